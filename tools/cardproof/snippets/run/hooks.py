"""Hooks: what happens in a page's process when its code imports, shows a picture, or reaches for the network."""

from __future__ import annotations

import importlib.util
import io
import ipaddress
import os
import random
import socket
import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class Pictures:
    """Where pictures go that the code shows or saves: to the runner in a page's process, nowhere in others."""

    def __init__(self) -> None:
        self.keep: Callable[[str, bytes], None] = lambda name, png: None


pictures = Pictures()


class _AfterImport(MetaPathFinder):
    """Run an action on a module right after it was executed, however it came to be imported."""

    def __init__(self, actions: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._actions = dict(actions)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find the module as others do, and let its loader run the action; None for all other modules."""
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


def after_import(actions: Mapping[str, Callable[[ModuleType], None]]) -> None:
    """Run each action on its module: now where it is imported already, else when it is."""
    for name, action in actions.items():
        if name in sys.modules:
            action(sys.modules[name])
    waiting = {name: action for name, action in actions.items() if name not in sys.modules}
    sys.meta_path.insert(0, _AfterImport(waiting))


def prepare_libraries(seed: int) -> None:
    """Seed the generators of random, numpy and torch, take over what PIL shows, and tell hubs whether to go online."""
    random.seed(seed)
    after_import(
        {
            "numpy.random.mtrand": lambda module: _call(module, "seed", seed),
            "torch": lambda module: _call(module, "manual_seed", seed),
            "PIL.ImageShow": _take_over_viewers,
            "huggingface_hub.constants": _read_offline_mode,
        }
    )


def _call(module: ModuleType, name: str, seed: int) -> None:
    getattr(module, name)(seed)


def _read_offline_mode(module: ModuleType) -> None:
    """Let a hub that was imported before the page began see what the page's environment says."""
    module.__dict__["HF_HUB_OFFLINE"] = os.environ.get("HF_HUB_OFFLINE") == "1"


def _take_over_viewers(module: ModuleType) -> None:
    """Register a viewer before all others that keeps the picture and starts no program."""
    base: Any = module.__dict__["Viewer"]

    def keep(self: object, image: Any, **options: Any) -> int:
        pictures.keep(str(options.get("title") or "image"), png_of(image))
        return 1

    module.__dict__["register"](type("Kept", (base,), {"show": keep})(), 0)


def png_of(image: Any) -> bytes:
    """Return a PIL image as PNG, in colours where PNG has no such mode."""
    memory = io.BytesIO()
    try:
        image.save(memory, "PNG")
    except OSError:
        memory = io.BytesIO()
        image.convert("RGB").save(memory, "PNG")
    return memory.getvalue()


class NetworkGuard:
    """Refuse what Python itself would send to other machines, and remember where it was to go.

    Native code and other programs are not seen here: a network namespace is what stops them, where it is permitted.
    """

    _addressed = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
    _named = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})

    def __init__(self) -> None:
        self.open = False
        self.hosts: list[str] = []

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Look at an audit event; raise ConnectionError where it leads off this machine."""
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
        if _is_here(name):
            return
        if name not in self.hosts:
            self.hosts.append(name)
        raise ConnectionError(self.message([name]))

    @staticmethod
    def message(hosts: Sequence[str]) -> str:
        """Say what was tried and what to do."""
        return f"network needed: this block tried to reach {', '.join(hosts)}; mark it .network"


def _is_here(host: str) -> bool:
    if host in ("", "localhost", "ip6-localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
