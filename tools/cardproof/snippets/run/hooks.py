"""Hooks in a page's process: what is done to libraries once they are imported, and what is noted while code runs.

Noted are the pictures that code shows, and what it asked for and did not get: hosts of the network, and files of hubs.
A refusal is noted when it happens: a connection or a look-up that is refused, a file of a hub that is not on this
machine. Whether it ended a statement is decided by the exception: it is the refusal, or follows from it, or came out of
the very call into a library in which the refusal happened.
"""

from __future__ import annotations

import errno
import importlib.util
import io
import ipaddress
import os
import random
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from traceback import walk_stack, walk_tb
from types import FrameType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

UNGUARDED = (
    "An attempt has been made to start a new process before the current process has finished its bootstrapping phase: "
    "a script that is run with this code would run it again in each process that it spawns"
)

_ADDRESSED = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_NAMED = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ETIMEDOUT, errno.ENETDOWN})
_FAULTS = (NameError, AttributeError, TypeError, SyntaxError, ImportError, LookupError, ArithmeticError, AssertionError)
"""Faults of the code itself: raised by the page while it handles a refusal, they do not follow from it."""
_DOWNLOADS = ("huggingface_hub.file_download", "huggingface_hub._snapshot_download")
_MARK = "_cardproof_refused"
_MOST = 100
"""Refusals of one statement that are kept."""

pictures = SimpleNamespace(keep=lambda name, png: None)
"""Receives the pictures of the code: sends them to the runner in a page's process, ignores them in others."""


def prepare_libraries(seed: int, spawns: Callable[[], bool], random_weights: bool) -> None:
    """Seed random, numpy and torch, keep the pictures of PIL, set the offline mode of hubs; now or on import.

    ``spawns`` says whether a script may spawn processes now that import it again. With ``random_weights`` loaders of
    published weights load nothing.
    """
    random.seed(seed)
    actions: dict[str, Callable[[Any], None]] = {
        "numpy.random.mtrand": lambda module: module.seed(seed),
        "torch": lambda module: module.manual_seed(seed),
        "PIL.ImageShow": _replace_viewers,
        "huggingface_hub.constants": _set_offline,
        "huggingface_hub.errors": _note_misses,
        "multiprocessing.popen_spawn_posix": lambda module: _guard_spawn(module.Popen, spawns),
        **(_load_nothing() if random_weights else {}),
    }
    for name in actions.keys() & sys.modules.keys():
        actions.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _AfterImport(actions))


def _guard_spawn(kind: Any, spawns: Callable[[], bool]) -> None:
    """Refuse to spawn if a script would begin again in each new process: Python ends those with this error."""
    launch = kind._launch

    def _launch(self: Any, process: Any) -> Any:
        if not spawns():
            raise RuntimeError(UNGUARDED)
        return launch(self, process)

    kind._launch = _launch


def _replace_viewers(module: Any) -> None:
    """Register a viewer before all others that keeps the picture and starts no program."""

    def keep(self: object, image: Any, **options: Any) -> int:
        pictures.keep(str(options.get("title") or "image"), _png(image))
        return 1

    module.register(type("Kept", (module.Viewer,), {"show": keep})(), 0)


def _png(image: Any) -> bytes:
    """Return a PIL image as PNG, in RGB if PNG does not support its mode."""
    memory = io.BytesIO()
    try:
        image.save(memory, "PNG")
    except OSError:
        memory = io.BytesIO()
        image.convert("RGB").save(memory, "PNG")
    return memory.getvalue()


class _AfterImport:
    def __init__(self, actions: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._actions = dict(actions)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find the module with the other finders, and let its loader run the action; None for all other modules."""
        action = self._actions.pop(name, None)
        spec = importlib.util.find_spec(name) if action else None
        loader: Any = spec.loader if spec else None
        if action is None or loader is None:
            return None
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            action(module)

        loader.exec_module = exec_module
        return spec


def _note_misses(module: Any) -> None:
    """Let the exceptions of huggingface_hub note that a file is not on this machine, or that it may not ask."""
    for name in ("LocalEntryNotFoundError", "OfflineModeIsEnabled"):
        if kind := getattr(module, name, None):
            kind.__init__ = _with_refusal_noted(kind.__init__)


def _with_refusal_noted(begin: Callable[..., None]) -> Callable[..., None]:
    def begin_and_note(self: BaseException, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        refusals.refuse(self, "huggingface.co")

    return begin_and_note


def _load_nothing() -> dict[str, Callable[[Any], None]]:
    """Return what to do after the import of modules, so that loaders of published weights load nothing.

    The networks keep the random weights that they were built with; that a loader was called is noted.
    """

    class Nothing(dict[str, Any]):
        """Stands for a state dict that was not loaded."""

    def nothing(*args: Any, **options: Any) -> Nothing:
        refusals.random_weights = True
        return Nothing()

    def keep_random(module: Any) -> None:
        load = module.Module.load_state_dict

        def load_state_dict(self: Any, state_dict: Any, *args: Any, **options: Any) -> Any:
            if isinstance(state_dict, Nothing):
                return module._IncompatibleKeys([], [])
            return load(self, state_dict, *args, **options)

        module.Module.load_state_dict = load_state_dict

    def of_torchvision(module: Any) -> None:
        module.load_state_dict_from_url = nothing
        module.WeightsEnum.get_state_dict = nothing

    return {
        "torch.nn.modules.module": keep_random,
        "torch.hub": lambda module: setattr(module, "load_state_dict_from_url", nothing),
        "torchvision.models._api": of_torchvision,
        "timm.models._builder": lambda module: setattr(module, "load_pretrained", nothing),
    }


def _set_offline(module: Any) -> None:
    """Apply the page's environment to a hub that was imported before the page began."""
    module.HF_HUB_OFFLINE = os.environ.get("HF_HUB_OFFLINE") == "1"


class Refusals:
    """What was refused in the statement that runs."""

    def __init__(self) -> None:
        self.open = False
        """The network may be used."""
        self.is_page: Callable[[str], bool] = lambda file: False
        """Whether a file is one of the page's sources."""
        self.random_weights = False
        """A loader of weights has loaded nothing."""
        self._refused: list[tuple[str, FrameType | None]] = []
        self._tried: str | None = None
        self._unrouted = 0

    def begin(self) -> None:
        self._refused.clear()
        self._tried = None
        self._unrouted = 0 if self.open else _unrouted()

    @property
    def refused(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(what for what, _ in self._refused))[:8]

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Check an audit event; raise ConnectionError if it leads to another machine that may not be reached."""
        if event in _ADDRESSED:
            host = args[1][0] if isinstance(args[1], tuple) and args[1] else ""
        elif event in _NAMED:
            host = args[0]
        else:
            return
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
        if _is_local(name):
            return
        if self.open:
            self._tried = name if event in _NAMED else self._tried or name
            return
        error = ConnectionError(f"network needed: this block tried to reach {name}; mark it .network")
        self.refuse(error, name)
        raise error

    def refuse(self, error: BaseException, host: str = "") -> None:
        """Note that the code is refused a host, or a file of a hub, with this exception."""
        stack = [frame for frame, _ in walk_stack(sys._getframe(1))]
        what = _requested_file(stack) or (f"the network: {host}" if host else "the network")
        called = next((inner for inner, outer in pairwise(stack) if self._is_of_page(outer)), None)
        if len(self._refused) < _MOST:
            self._refused.append((what, called))
        error.__dict__[_MARK] = what

    def _is_of_page(self, frame: FrameType) -> bool:
        return self.is_page(frame.f_code.co_filename)

    def cause(self, error: BaseException) -> str | None:
        """Return what was refused, if that is why the statement ended with this exception."""
        for link in self._chain(error):
            if what := link.__dict__.get(_MARK):
                return str(what)
            is_unreachable = isinstance(link, socket.gaierror | TimeoutError)
            if self._tried and (is_unreachable or (isinstance(link, OSError) and link.errno in _UNREACHABLE)):
                return f"the network: {self._tried}"
            if self._is_of_others(link):
                return "the network"
            frames = {id(frame) for frame in _frames(link)}
            for what, called in self._refused:
                if called is not None and id(called) in frames and not self._is_of_page(called):
                    return what
        return None

    def _is_of_others(self, error: BaseException) -> bool:
        """Return whether native code or another program found no network, and the exception may come from that."""
        if self.open or _unrouted() <= self._unrouted or isinstance(error, _FAULTS):
            return False
        return bool(_frames(error)) and not (self._is_of_page(_frames(error)[-1]) and _is_raised_by_code(error))

    def _chain(self, error: BaseException) -> Iterator[BaseException]:
        waiting, seen = [error], set[int]()
        while waiting and len(seen) < _MOST:
            link = waiting.pop()
            if id(link) in seen:
                continue
            seen.add(id(link))
            yield link
            waiting += [part for part in getattr(link, "exceptions", ()) if isinstance(part, BaseException)]
            own_fault = isinstance(link, _FAULTS) and any(map(self._is_of_page, _frames(link)[-1:]))
            explicit = own_fault and _is_raised_by_code(link)
            context = link.__context__ if not own_fault or explicit else None
            waiting += [other for other in (link.__cause__, context) if other is not None]


refusals = Refusals()


def _is_raised_by_code(error: BaseException) -> bool:
    """Return whether a ``raise`` of the code gave the exception, and not Python itself."""
    import linecache

    for frame, number in list(walk_tb(error.__traceback__))[-1:]:
        return "raise " in linecache.getline(frame.f_code.co_filename, number).partition("#")[0]
    return False


def _frames(error: BaseException) -> list[FrameType]:
    return [frame for frame, _ in walk_tb(error.__traceback__)]


def _requested_file(stack: list[FrameType]) -> str | None:
    """Return the weights or data that a known loader on the stack was asked for."""
    for frame in stack:
        module, names = str(frame.f_globals.get("__name__")), frame.f_locals
        if module in _DOWNLOADS and isinstance(names.get("repo_id"), str):
            kind = "the data set" if names.get("repo_type") == "dataset" else "weights"
            return f"{kind}: {names['repo_id'][:200]}"
        if module == "torch.hub" and frame.f_code.co_name == "load_state_dict_from_url":
            return f"weights: {str(names.get('url')).rpartition('/')[2][:200]}"
    return None


def _unrouted() -> int:
    """Return how many packets of this page found no way, as its network namespace counts them; 0 without one."""
    if not _is_alone():
        return 0
    try:
        with open("/proc/self/net/snmp", encoding="ascii") as file:  # noqa: PTH123 - once a statement
            names, values = (line.split() for line in file if line.startswith("Ip:"))
        return int(values[names.index("OutNoRoutes")])
    except (OSError, ValueError):
        return 0


@cache
def _is_alone() -> bool:
    """Return whether the page is in a network namespace of its own, which has no interface but the loopback."""
    try:
        with open("/proc/self/net/dev", encoding="ascii") as file:  # noqa: PTH123
            return [line.split(":")[0].strip() for line in file if ":" in line] == ["lo"]
    except (OSError, ValueError):
        return False


def _is_local(host: str) -> bool:
    if host in ("", "localhost", "ip6-localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
