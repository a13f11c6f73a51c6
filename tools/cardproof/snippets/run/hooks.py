"""Hooks in a page's process: for imports, pictures and the network."""

from __future__ import annotations

import importlib.util
import io
import ipaddress
import os
import random
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


class Pictures:
    """Receives the pictures of the code: sends them to the runner in a page's process, ignores them in others."""

    def __init__(self) -> None:
        self.keep: Callable[[str, bytes], None] = lambda name, png: None


pictures = Pictures()


class _AfterImport(MetaPathFinder):
    """Run an action on a module right after it was executed."""

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


def prepare_libraries(seed: int) -> None:
    """Seed random, numpy and torch, keep the pictures of PIL, and set the offline mode of hubs; now or on import."""
    random.seed(seed)
    actions: dict[str, Callable[[Any], None]] = {
        "numpy.random.mtrand": lambda module: module.seed(seed),
        "torch": lambda module: module.manual_seed(seed),
        "PIL.ImageShow": _replace_viewers,
        "huggingface_hub.constants": _read_offline_mode,
    }
    for name in actions.keys() & sys.modules.keys():
        actions.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _AfterImport(actions))


def _read_offline_mode(module: Any) -> None:
    """Apply the page's environment to a hub that was imported before the page began."""
    module.HF_HUB_OFFLINE = os.environ.get("HF_HUB_OFFLINE") == "1"


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


class NetworkGuard:
    """Refuse connections of Python to other machines, and record their hosts.

    Native code and other programs are not seen here: a network namespace stops them, if it is permitted.
    """

    _addressed = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
    _named = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})

    def __init__(self) -> None:
        self.open = False
        self.hosts: list[str] = []

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Check an audit event; raise ConnectionError if it leads to another machine."""
        if self.open:
            return
        if event in self._addressed:
            address = args[1]
            if isinstance(address, tuple) and address:
                self._refuse(address[0])
        elif event in self._named:
            self._refuse(args[0])

    def _refuse(self, host: object) -> None:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
        if _is_local(name):
            return
        if name not in self.hosts:
            self.hosts.append(name)
        raise ConnectionError(self.message([name]))

    @staticmethod
    def message(hosts: Sequence[str]) -> str:
        return f"network needed: this block tried to reach {', '.join(hosts)}; mark it .network"


def _is_local(host: str) -> bool:
    if host in ("", "localhost", "ip6-localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
