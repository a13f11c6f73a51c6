"""Watch: render again after an edit of templates, includes, network sources, settings or evidence.

Every render is a separate process: an edited network is imported again, and a crash does not end the watcher. Edits are
found by polling, as mkdocs does, since network drives and shared folders send no events.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.errors import InputError
from cardproof.core.paths import show_path
from cardproof.zoos import BUILT_IN

if TYPE_CHECKING:
    from cardproof.core.settings import Settings

QUIET = 0.05
"""Seconds without a further change before a render starts: editors write, rename and touch in one go."""

MOST_QUIET = 1.0
"""Seconds after which a render starts although files still change."""

POLL = 0.25
"""Seconds between polls; one of a thousand files takes a few milliseconds."""

PATIENCE = 10.0
"""Seconds before an interrupted render is killed."""

State = dict[str, tuple[int, int, int]]
"""Of each file, by its path: time of change in nanoseconds, size, and inode, which differs after a rename."""


def watch(command: Sequence[str], load: Callable[[], Settings], config: Path | None, say: Callable[[str], None]) -> int:
    """Render, and again after every change, until Ctrl-C; return the exit status of the last render.

    The status is 130 if Ctrl-C ended the render. Arguments and exceptions are those of :class:`Watcher`.
    """
    watcher = Watcher(command, load, config, say)
    try:
        watcher.render()
        say("watching; Ctrl-C ends it")
        watcher.follow()
    except KeyboardInterrupt:
        say("stopped watching")
    finally:
        watcher.stop()
    return watcher.status


class Sources(Struct, frozen=True):
    """The files that the pages of a site depend on."""

    trees: tuple[Path, ...]
    """Folders with templates and includes: all their files, recursively."""
    code: tuple[Path, ...]
    """Folders with sources of the zoo: their Python files and packages."""
    files: tuple[Path, ...]
    """Single files: settings, cited results."""
    records: Path
    """The folder of evidence, which a render writes too."""
    outputs: tuple[Path, ...]
    """Folders of rendered files, which are ignored."""

    def state(self) -> State:
        without = {*self.outputs, self.records}
        found: set[str | Path] = {path for tree in self.trees for path in _watched_files(tree, without)}
        for top in self.code:
            packages = [top] if (top / "__init__.py").is_file() else [path.parent for path in top.glob("*/__init__.py")]
            found.update(path for path in top.glob("*.py") if _is_watched(path.name))
            found.update(path for package in packages for path in _watched_files(package) if path.endswith(".py"))
        return file_states([*found, *self.files]) | self.recorded()

    def recorded(self) -> State:
        return file_states(_watched_files(self.records))


def sources_of(settings: Settings, config: Path | None) -> Sources:
    """Return the sources of a site; ``config`` is its mkdocs.yml."""
    single = (settings.cited, settings.speed, settings.names)
    files = [config, *(settings.path(path) for path in single if path)]
    outputs = [folder for folder in (settings.out, settings.reference, settings.assets) if folder]
    return Sources(
        trees=tuple(dict.fromkeys(settings.path(folder) for folder in (settings.templates, settings.includes))),
        code=_zoo_folders(settings.zoo) if settings.zoo else (),
        files=tuple(file for file in files if file),
        records=settings.path(settings.evidence),
        outputs=tuple(settings.path(folder) for folder in outputs),
    )


class Watcher:
    """Renders a site, and again after each change of its sources."""

    def __init__(
        self,
        command: Sequence[str],
        load: Callable[[], Settings],
        config: Path | None,
        say: Callable[[str], None],
    ) -> None:
        """``command`` renders the site of the settings that ``load`` reads; ``say`` reports changes.

        Raises InputError if the settings are invalid.
        """
        self.status = 0
        """Exit status of the last render."""
        self._command = tuple(command)
        self._load = load
        self._config = config
        self._say = say
        self._sources = sources_of(load(), config)
        self._seen = self._sources.state()
        self._stopped = threading.Event()
        self._ended = threading.Condition()
        self._child: subprocess.Popen[bytes] | None = None

    def render(self) -> int:
        """Render once and return the exit status of the render."""
        before = self._sources.state()
        with self._ended:
            if self._stopped.is_set():
                return self.status
            # in a session of its own: a terminal's Ctrl-C is for us, and we pass it on once
            child = self._child = subprocess.Popen(self._command, start_new_session=True)
        try:
            child.wait()
        except BaseException:
            _end_render(child)
            raise
        finally:
            code = child.returncode
            self.status = code if code >= 0 else 128 - code  # as shells report a signal
            with self._ended:
                self._child = None
                # files that the render wrote are not edits; all other changes since it began are
                records = self._sources.records
                self._seen = {path: state for path, state in before.items() if not Path(path).is_relative_to(records)}
                self._seen |= self._sources.recorded()
                self._ended.notify_all()
        return self.status

    def follow(self) -> None:
        """Render after every change, until :meth:`stop` is called."""
        while not self._stopped.wait(POLL):
            if edited := self._edited_files():
                self._say(f"{_format_paths(edited)} changed")
                self._reload(edited)
                self.render()

    def settle(self, seconds: float) -> None:
        """Wait until every change up to now has been rendered, but no longer than this."""
        deadline = time.monotonic() + seconds
        with self._ended:
            while (self._child or self._sources.state() != self._seen) and time.monotonic() < deadline:
                self._ended.wait(QUIET)

    def stop(self) -> None:
        """End watching and a running render, which writes everything or nothing."""
        with self._ended:
            self._stopped.set()
            child = self._child
        if child:
            _end_render(child)

    def _edited_files(self) -> set[str]:
        """Return the files that changed since the last render, once they stop changing."""
        now = self._sources.state()
        deadline = time.monotonic() + MOST_QUIET
        while now != self._seen:
            time.sleep(QUIET)
            before, now = now, self._sources.state()
            if now == before or time.monotonic() > deadline:
                return {path for path, _ in now.items() ^ self._seen.items()}
        return set()

    def _reload(self, edited: set[str]) -> None:
        """Watch the sources of the edited settings; invalid ones are reported by the render and ignored here."""
        if str(self._config) in edited:
            with suppress(InputError):
                self._sources = sources_of(self._load(), self._config)


def _end_render(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        if os.name == "posix":
            child.send_signal(signal.SIGINT)
        else:
            child.terminate()
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _zoo_folders(zoo: str) -> tuple[Path, ...]:
    """Return the folders with the sources of a zoo; none for an installed zoo, which is not edited."""
    module = BUILT_IN.get(zoo, zoo).rpartition(":")[0]
    if module.endswith(".py"):
        return (Path(module).parent,)
    top = module.partition(".")[0]
    if not top or (zoo in BUILT_IN and top == "cardproof"):
        return ()
    found = importlib.util.find_spec(top)
    places = [Path(place) for place in found.submodule_search_locations or ()] if found else [Path(top)]
    return tuple(place for place in places if "site-packages" not in place.parts)


def _watched_files(folder: Path, without: Container[Path] = ()) -> Iterator[str]:
    """Yield the files below a folder, except hidden and editors' files, and folders in ``without``."""
    for place, folders, files in os.walk(folder):
        found = [Path(place, name) for name in folders if _is_watched(name) and name != "__pycache__"]
        folders[:] = [path.name for path in found if path not in without]
        start = str(Path(place, "x"))[:-1]  # as pathlib writes it; a path for each file takes twice the time
        yield from (start + name for name in files if _is_watched(name))


def _is_watched(name: str) -> bool:
    return name[0] not in ".#" and name[-1] != "~"


def file_states(files: Iterable[str | Path]) -> State:
    """Return the states of the files that exist."""
    found = {}
    for file in files:
        with suppress(OSError):
            state = os.stat(file)  # noqa: PTH116  (for each file of a site)
            found[str(file)] = state.st_mtime_ns, state.st_size, state.st_ino
    return found


def _format_paths(paths: set[str]) -> str:
    shown = sorted(show_path(Path(path)) for path in paths)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")
