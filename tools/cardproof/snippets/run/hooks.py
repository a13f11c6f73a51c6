"""Hooks in a page's process: what is done to libraries once they are imported, and the pictures that code shows."""

from __future__ import annotations

import importlib.util
import io
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from cardproof.snippets.run.needs import load_nothing, note_misses, offline

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


UNGUARDED = (
    "An attempt has been made to start a new process before the current process has finished its bootstrapping phase: "
    "a script that is run with this code would run it again in each process that it spawns"
)


pictures = SimpleNamespace(keep=lambda name, png: None)
"""Receives the pictures of the code: sends them to the runner in a page's process, ignores them in others."""


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
        "huggingface_hub.constants": offline,
        "huggingface_hub.errors": note_misses,
        "multiprocessing.popen_spawn_posix": lambda module: _guard_spawn(module.Popen, spawns),
        **(load_nothing() if random_weights else {}),
    }
    for name in actions.keys() & sys.modules.keys():
        actions.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _AfterImport(actions))


def _guard_spawn(kind: Any, spawns: Callable[[], bool]) -> None:
    """Refuse to spawn where a script would begin again in each new process: Python ends those with this error."""
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
