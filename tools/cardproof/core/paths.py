"""Paths: as reports show them, and those that cards, templates and settings name, which stay below a folder.

A checkout may come from a stranger, and git stores links. What the user types on the command line is the user's own
choice: a link, a device or a pipe is opened there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from cardproof.core.errors import did_you_mean

MOST_ENTRIES = 100_000
"""Entries of folders that the wildcards of one index look through; the largest public zoos have a tenth of it."""
MOST_PARTS = 100
"""Folders in one path."""
_WILD = frozenset("*?[")


class PathError(ValueError):
    """A name that is not opened, for the reason in the message."""


def show_path(path: Path) -> str:
    """Write a path for a reader: with ``/``, and relative if it lies below the working directory."""
    here = os.getcwd().replace(os.sep, "/")  # noqa: PTH109  (for each file of a site; Path.cwd takes five times as long)
    text = path.as_posix()
    absolute = text if text.startswith("/") or path.is_absolute() else f"{here}/{text}"
    if absolute == here:
        return "."
    return absolute[len(here) + 1 :] if absolute.startswith(f"{here}/") else text


def in_repository(file: str) -> str | None:
    """Return a file's path from the root of the repository (or the working directory) with ``/``; None outside of it.

    Services use these paths; the folder in which a tool runs does not count.
    """
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
    path = Path(os.path.normpath(here / file))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def suggest_file(path: Path) -> str:
    """Return a question with the files beside a missing file whose names are similar to its name; empty if none is."""
    try:
        others = [other.name for other, _ in zip(path.parent.iterdir(), range(5_000), strict=False) if other != path]
    except OSError:
        return ""
    return did_you_mean(path.name, others)


def cache_folder() -> Path:
    """Return the folder of the cache: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cardproof"


def follow_links(path: Path) -> Path:
    """Return a path with its links followed. Raises OSError for links in a circle."""
    found = real_path(path)
    if found.is_symlink():
        raise OSError(errno.ELOOP, "Symlink loop", show_path(path))
    return found


def resolve_inside(path: Path, root: Path) -> Path | None:
    """Return a path with its links followed; None if that is outside of ``root``, or if no file can have the name."""
    try:
        found = follow_links(path)
        return found if found.is_relative_to(root.resolve()) else None
    except (OSError, ValueError, RuntimeError):  # a name that is too long, a null character, links in a circle
        return None


def real_path(path: Path) -> Path:
    """Return a path with its links followed; unlike ``Path.resolve``, this does not fail for links in a circle."""
    return Path(os.path.realpath(path))


def is_inside(path: Path, roots: Iterable[Path]) -> bool:
    """Return whether a path, with its links followed, is below one of some folders."""
    return any(resolve_inside(path, root) for root in roots)


def is_regular(path: Path) -> bool:
    """Return whether a path leads to a regular file, not to a folder, pipe or device; reading it cannot hang."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def existing_text(path: Path) -> str | None:
    """Return the text of a file; None if there is none, or if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") if is_regular(path) else None
    except OSError:
        return None


def file_key(path: Path) -> object:
    """Return a key that all names of one file share, whatever links, hard links, ``..`` and case they use."""
    try:
        state = path.stat()
        return state.st_dev, state.st_ino
    except (OSError, ValueError):
        return os.path.normcase(path.parent.resolve() / path.name)


def root_of(folder: Path, base: Path) -> Path:
    """Return the folder below which the files of a setting's ``folder`` must be.

    It is ``base``, the site's folder, unless the setting's own text leads out of it.
    """
    return base if Path(os.path.abspath(folder)).is_relative_to(os.path.abspath(base)) else folder  # noqa: PTH100


def root_of_argument(path: Path) -> Path:
    """Return the folder below which files may be that belong to a file or folder of the command line.

    It is the working directory, if the path is in it, or the file's folder; in the Hub's cache, that of the repository.
    """
    folder, here = (path if path.is_dir() else path.parent).resolve(), Path.cwd()
    return hub_repository(folder) or (here if folder.is_relative_to(here) else folder)


def hub_repository(folder: Path) -> Path | None:
    """Return the folder of a repository in the Hub's cache, whose snapshots have links to the blobs beside them."""
    above = next((above for above in folder.resolve().parents if above.name == "snapshots"), None)
    return above.parent if above and (above.parent / "blobs").is_dir() else None


def named_files(name: str, folder: Path, root: Path, left: Iterator[int]) -> list[Path]:
    """Return the regular files that a path or wildcard names, as seen from a folder, sorted.

    Raises PathError for a name that leads out of ``root``, before the disk is read, and once a wildcard has looked
    through as many entries of folders as ``left`` yields. A file that a link leads out may be among the result.
    """
    parts = Path(name).parts
    wild = next((number for number, part in enumerate(parts) if _WILD.intersection(part)), len(parts))
    if "\0" in name or len(parts) > MOST_PARTS:
        raise PathError("cannot be the name of a file")
    if ".." in parts[wild:]:
        raise PathError("has '..' after a wildcard")
    top = root.resolve()
    start = folder.joinpath(*parts[:wild])
    written = Path(os.path.normpath(folder.resolve().joinpath(*parts[:wild])))
    if not written.is_relative_to(top) or (wild < len(parts) and resolve_inside(start, top) is None):
        raise PathError(f"leads out of {show_path(root)}, where nothing is read")
    found = _matching_paths(start, parts[wild:], left) if wild < len(parts) else [folder / name]
    return sorted({path for path in found if is_regular(path)})


def _matching_paths(folder: Path, parts: tuple[str, ...], left: Iterator[int]) -> Iterator[Path]:
    """Yield the paths that match parts of a wildcard; ``**`` is any number of folders, through no link."""
    first, rest = parts[0], parts[1:]
    if first == "**":
        for place, _ in walk(folder, left=left):
            yield from _matching_paths(place, rest or ("*",), left)
    elif _WILD.isdisjoint(first):
        yield from _matching_paths(folder / first, rest, left) if rest else [folder / first]
    else:
        for entry in next(walk(folder, left=left))[1]:
            if fnmatch(entry.name, first):
                yield from _matching_paths(folder / entry.name, rest, left) if rest else [folder / entry.name]


def walk(
    folder: Path,
    *,
    skipped: Container[str] = (),
    left: Iterator[int] | None = None,
    on_error: Callable[[OSError], object] = lambda _: None,
) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """Yield a folder and those below it, through no link, each with its entries by name; at any depth.

    ``skipped`` are names of folders that are not read, and ``on_error`` gets the error of one that cannot be read.
    Raises PathError once there are more entries than ``left`` yields.
    """
    todo = [folder]
    while todo:
        place = todo.pop()
        entries: list[os.DirEntry[str]] = []
        try:
            with os.scandir(place) as found:
                for entry in found:
                    if left and next(left, None) is None:
                        raise PathError(f"makes a search of more than {MOST_ENTRIES:,} files and folders")
                    entries.append(entry)
        except OSError as error:
            on_error(error)
        entries.sort(key=lambda entry: entry.name)
        yield place, entries
        folders = [e.name for e in reversed(entries) if e.is_dir(follow_symlinks=False) and e.name not in skipped]
        todo += [place / name for name in folders]


def files_below(
    folder: Path,
    endings: tuple[str, ...],
    *,
    skipped: Container[str] = (),
    on_error: Callable[[OSError], object] = lambda _: None,
) -> list[Path]:
    """Return the files with some endings below a folder, and links and pipes that are not hidden; see :func:`walk`.

    Editors lock a file by a hidden link to nothing.
    """
    return [
        place / entry.name
        for place, entries in walk(folder, skipped=skipped, on_error=on_error)
        for entry in entries
        if os.path.splitext(entry.name)[1].lower() in endings and _is_named(entry)  # noqa: PTH122
    ]


def _is_named(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file, or a link or pipe that is not hidden."""
    try:
        return entry.is_file() or (entry.name[0] != "." and not entry.is_dir())
    except OSError:  # a link that leads in a circle
        return entry.name[0] != "."
