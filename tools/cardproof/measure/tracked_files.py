"""Sources of a network: the files that a custom zoo loads and reads, and its packages. Runs in a worker.

An audit hook of Python sees each file that is opened and each folder that is listed. It does not see what libraries in
C or other processes read, environment variables, the network, and whether a file exists that is only asked for.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import FrameType
from typing import Any

from cardproof.evidence.records import ABSENT, NAMES, source_state
from cardproof.zoos import BUILT_IN

Sources = tuple[tuple[str, str], ...]
"""Names of files and distributions, with their digests or versions."""

MOST_FILES = 10_000
"""A network that reads more files is not measured, since changes of the files would go unnoticed."""

SYSTEM = ("/proc", "/dev", "/sys", "/run", "/etc", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/System", "/Library")
"""Folders that belong to the machine."""

_IMPORTS = ("<frozen importlib", os.path.dirname(importlib.__file__))  # noqa: PTH120
"""Files of Python that list the folders of the search path, where a new file decides nothing else."""

_WRITES = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@contextmanager
def track_sources(spec: str, left_out: Iterable[Path] = ()) -> Iterator[Callable[[], Sources]]:
    """Yield a function that returns what a custom zoo loaded and read in the block; of others nothing."""
    if spec in BUILT_IN:
        yield tuple
        return
    before = set(sys.modules)

    def sources() -> Sources:
        _loaded.update(_module_sources(set(sys.modules) - before))
        _loaded.update(file_sources(_loaded))
        return tuple(sorted(_loaded.items()))

    with track_files(left_out):
        yield sources


_loaded: dict[str, str] = {}
"""Sources of the modules that zoos have loaded into this process, as they were then: a second model uses the same."""


def _module_sources(modules: set[str]) -> dict[str, str]:
    """Return the files of these modules with their digests, and the distributions with their versions."""
    installed = tuple(str(Path(sysconfig.get_path(kind)).resolve()) for kind in ("purelib", "platlib"))
    standard = str(Path(sysconfig.get_path("stdlib")).resolve())
    found: dict[str, str] = {}
    for module in modules:
        file = getattr(sys.modules.get(module), "__file__", None)
        path = str(Path(file).resolve()) if file else ""
        if path.startswith(installed):
            names = _distributions().get(module.partition(".")[0], ())
            found |= {name: source_state(name, "") for name in names}
        elif path and not path.startswith(standard) and not module.startswith("cardproof.") and Path(path).is_file():
            name = Path(os.path.relpath(path)).as_posix()  # also of compiled extensions
            found[name] = source_state(name)
    return found


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the distributions of each top-level package; cached, since it takes half a second."""
    return packages_distributions()


class _OpenedFiles:
    """What was opened in this process while a block of :func:`track_files` ran: a library may remember a file."""

    def __init__(self) -> None:
        self.active = 0
        self.installed = False
        self.read: set[str] = set()
        """Absolute paths."""
        self.written: set[str] = set()
        self.listed: set[str] = set()
        self.left_out: tuple[str, ...] = ()

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take note of an event; called for every one of them, and must not raise."""
        if not self.active:
            return
        if event == "open":
            flags = arguments[2]
            self._add_path(self.written if isinstance(flags, int) and flags & _WRITES else self.read, arguments[0])
        elif event in ("os.listdir", "os.scandir"):
            if _is_listed_by_user(sys._getframe().f_back):
                self._add_path(self.listed, arguments[0] or ".")
        elif event == "sqlite3.connect":
            self._add_path(self.read, arguments[0])

    def _add_path(self, to: set[str], path: Any) -> None:
        if not isinstance(path, str | bytes) or len(to) > MOST_FILES:
            return
        try:
            found = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  (the zoo may change the folder later)
        except (OSError, ValueError):
            return
        left_out = any(found == path or found.startswith(path + os.sep) for path in self.left_out)
        if found not in self.written and not found.endswith(".pyc") and not left_out:
            to.add(found)


def _is_listed_by_user(caller: FrameType | None) -> bool:
    """Return whether code of the user's own lists a folder; imports and lists of libraries do not count."""
    while caller:
        if caller.f_code.co_filename.startswith(_IMPORTS):
            return False
        if _is_own_code(caller.f_code.co_filename):
            return True
        caller = caller.f_back
    return False


@cache
def _is_own_code(name: str) -> bool:
    return not name.startswith("<") and _is_own(name)


_files = _OpenedFiles()


@contextmanager
def track_files(left_out: Iterable[Path] = ()) -> Iterator[None]:
    """Take note of the files that are opened while the block runs, except those in ``left_out`` and below."""
    if not _files.installed:
        sys.addaudithook(_files.hook)  # it cannot be removed
        _files.installed = True
    _files.left_out = tuple(str(path.absolute()) for path in left_out)
    _files.active += 1
    try:
        yield
    finally:
        _files.active -= 1


def file_sources(known: Iterable[str] = ()) -> dict[str, str]:
    """Return the files that were read with their digests, and the names in listed folders, as they are now.

    Left out are Python, installed packages, which count by their version, the machine's own files, and caches; and
    what is ``known`` already. Raises OSError if there are too many.
    """
    if len(_files.read) > MOST_FILES:
        raise OSError(f"the zoo opened more than {MOST_FILES:,} files, so what the network depends on is not known")
    found: dict[str, str] = {}
    read = [path for path in list(_files.read) if _is_own(path)]
    for path in read:
        name = _recorded_name(path)
        if name not in known and (state := source_state(name) or source_state(name, ABSENT)):
            found[name] = state
    for folder in {os.path.dirname(path) for path in read} & _files.listed:  # noqa: PTH120
        here = {Path(path).suffix for path in read if os.path.dirname(path) == folder}  # noqa: PTH120
        for suffix in sorted(suffix for suffix in here if re.fullmatch(r"\.\w+", suffix)):
            name = _recorded_name(f"{folder}/*{suffix}")
            found[name] = source_state(name, NAMES)
    return found


def _recorded_name(path: str) -> str:
    """Return a path as records name it: relative to the working directory."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:  # another drive
        return Path(path).as_posix()


def _is_own(path: str) -> bool:
    """Return whether a file is the user's: in the working directory, or not in a place of Python or the machine."""
    real = Path(os.path.realpath(path))
    here, home = Path.cwd().resolve(), Path.home().resolve()
    if any(
        real.is_relative_to(folder) and folder != here and not here.is_relative_to(folder)
        for folder in _folders_not_tracked()
    ):
        return False
    if real.is_relative_to(here):
        return True
    hidden = real.is_relative_to(home) and real.relative_to(home).as_posix().startswith(".")
    machine = any(real.is_relative_to(folder) for folder in (*SYSTEM, *_cache_folders(), sys.prefix, sys.base_prefix))
    return not hidden and not machine


@cache
def _folders_not_tracked() -> tuple[Path, ...]:
    """Return the folders of Python, installed packages, this package, and a virtual environment."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [*(sysconfig.get_path(kind) for kind in kinds), sys.prefix, str(Path(__file__).parents[1])]
    return tuple(Path(folder).resolve() for folder in found)


def _cache_folders() -> list[str]:
    """Return the folders of caches: another machine has other ones."""
    named = [os.environ.get(name) for name in ("XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME")]
    return [os.path.realpath(folder) for folder in named if folder]
