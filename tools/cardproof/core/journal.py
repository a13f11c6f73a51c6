"""Writes all files or none, even if the process is killed: a journal states what the next command has to finish.

All new contents are written into temporary files first, which are then renamed. What is to be renamed is in a journal
in the user's cache, never in a checkout, which may come from a stranger. A process that is killed before all temporary
files are whole has changed nothing, and they are removed; one that is killed later is completed. A file that was
changed by something else since then is left as it is, and so are the others of that journal.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO

from msgspec import Struct

from cardproof.core.errors import InputError
from cardproof.core.paths import cache_folder, follow_links, is_inside, is_regular, root_of, show_path, walk
from cardproof.core.signals import uninterrupted

SUFFIX = ".cardproof-new"
"""End of the name of a temporary file; a dot at its start keeps it out of sites."""
WHOLE = "whole\n"
"""The last line of a journal: all temporary files are complete."""
LOCK_PATIENCE = 60.0
"""Seconds to wait until another build has written its site; if it takes longer, that build hangs."""
PATIENCE = 5.0
"""Seconds to wait for another process that writes, which takes milliseconds."""


class OutsideError(OSError):
    """A file that is not written, since a link places it outside of its folder."""


class Step(Struct, frozen=True):
    """One file that is replaced or removed."""

    target: Path
    temporary: Path | None
    """Holds the new content; None if the file is removed."""
    old: str
    """Digest of the content before; empty if there was no file."""
    new: str

    def apply(self) -> None:
        """Replace or remove the file, and its folder if that is empty now. Raises OSError."""
        if self.temporary:
            self.temporary.replace(self.target)
            return
        self.target.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            self.target.parent.rmdir()


def replace_files(
    contents: Mapping[Path, str | bytes], *, gone: Iterable[Path] = (), roots: Iterable[Path] | None = None
) -> None:
    """Write files and remove those that are ``gone``: all or none. Raises OSError, and nothing has changed then.

    What a killed command has begun in their folders is finished first. Modes are kept. Symbolic links are followed;
    with ``roots``, OutsideError is raised for one that leads out of them. A file that is removed is never looked for
    behind a link.
    """
    roots = None if roots is None else tuple(roots)
    new = {path: text.encode() if isinstance(text, str) else text for path, text in contents.items()}
    removed = [path for path in gone if path.is_symlink() or path.exists()]
    for path in (*new, *(path.parent for path in removed)):
        if roots is not None and not is_inside(path, roots):
            raise OutsideError(f"{show_path(path)}: a link leads out of {show_path(roots[0])}; nothing was written")
    finish_interrupted(*{path.parent for path in (*new, *removed)})
    token = secrets.token_hex(4)
    steps, before, written = [], {}, {}
    for number, (path, content) in enumerate(new.items()):
        target = follow_links(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name[:40]}.{token}-{number}{SUFFIX}")
        before[target], written[temporary] = _read_content(target), content
        steps.append(Step(target, temporary, _digest(before[target]), _digest(content)))
    for path in removed:
        target = path.parent.resolve() / path.name
        before[target] = _read_content(target)
        steps.append(Step(target, None, _digest(before[target]), ""))
    if not steps:
        return
    with _journal(steps) as journal:
        try:
            _write_temporaries(steps, written)
            with uninterrupted():
                with suppress(OSError):  # the cache is full: a build that is killed now is not completed
                    if journal:
                        journal.write(WHOLE)
                        journal.flush()
                        if len(steps) > 1:  # one file is whole in any case
                            os.fsync(journal.fileno())
                _apply_steps(steps, before)
        except BaseException:
            _remove_files(written)
            raise


def replace_sources(contents: Mapping[Path, str | bytes]) -> None:
    """Write files that people edit, all or none. Raises OutsideError, and OSError like :func:`replace_files`.

    A link is followed if it stays in the working directory; that of a file elsewhere, if it stays in the file's folder.
    """
    for path in contents:
        check_link(path)
    replace_files(contents)


def check_link(path: Path) -> None:
    """Raise OutsideError if :func:`replace_sources` would not write a file."""
    if not is_inside(path, [root := root_of(path.parent, Path.cwd())]):
        raise OutsideError(f"{show_path(path)}: a link leads out of {show_path(root)}; nothing was written")


def write_report(path: Path, text: str) -> None:
    """Write a report into a file, whose folder is made if it is missing, or into a device or pipe. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode("utf-8", "backslashreplace")  # names of files may hold bytes that are not text
    if path.exists() and not path.is_file():
        path.write_bytes(data)
    else:
        replace_files({path: data})


def _write_temporaries(steps: Iterable[Step], written: Mapping[Path, bytes]) -> None:
    """Write the temporary files, with the modes of those that they will replace."""
    for step in steps:
        if step.temporary:
            mode = step.target.stat().st_mode & 0o777 if is_regular(step.target) else None
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            handle = os.open(step.temporary, flags, 0o666 if mode is None else mode)
            with os.fdopen(handle, "wb") as stream:
                stream.write(written[step.temporary])
            if mode is not None:
                step.temporary.chmod(mode)


def _apply_steps(steps: Iterable[Step], before: Mapping[Path, bytes | None]) -> None:
    """Do all steps; after an error those that were done are undone."""
    done: list[Step] = []
    try:
        for step in steps:
            step.apply()
            done.append(step)
    except BaseException:
        for step in done:
            with suppress(OSError):
                old = before[step.target]
                if old is None:
                    step.target.unlink()
                else:
                    step.target.parent.mkdir(exist_ok=True)
                    step.target.write_bytes(old)
        raise


def finish_interrupted(*folders: Path) -> None:
    """Complete or undo what commands that were killed have begun to write below some folders."""
    for path in _journals(folders):
        with (
            suppress(OSError, NotImplementedError),
            _lock(path),
        ):  # another process writes, or the files cannot be written now
            _finish_steps(*_read_journal(path))
            path.unlink(missing_ok=True)


def _journals(folders: Iterable[Path]) -> list[Path]:
    """Return the journals with files below some folders, and those that were killed themselves."""
    try:
        with os.scandir(cache_folder() / "journals") as found:
            paths = sorted(Path(entry.path) for entry in found if entry.name.endswith(".journal"))
    except OSError:
        return []
    steps = {path: _read_journal(path)[0] for path in paths}
    return [path for path in paths if not steps[path] or any(is_inside(s.target.parent, folders) for s in steps[path])]


def tidy_site(evidence: Path, base: Path, outputs: Iterable[Path], root: Path) -> None:
    """Complete or undo what commands that were killed have begun in a site, and remove their temporary files.

    ``evidence`` identifies the site of the folder ``base``; ``outputs`` are folders that only builds write into, and
    ``root`` is one with some files of builds. The lock is taken only if there is something to do.
    """
    outputs = [folder for folder in dict.fromkeys(outputs) if folder.is_dir()]
    places = [*(place for folder in outputs for place in walk(folder)), *islice(walk(root), 1)]
    left = [folder / entry.name for folder, entries in places for entry in entries if entry.name.endswith(SUFFIX)]
    if left or _journals([base, *outputs]):
        with site_lock(evidence):
            finish_interrupted(base, *outputs)
            _remove_files(left)


def _finish_steps(steps: list[Step], whole: bool) -> None:
    """Do the steps that are left if that makes all files new, or remove the temporary files. Raises OSError."""
    todo = [step for step in steps if _digest(_read_content(step.target)) != step.new]
    ready = all(
        _digest(_read_content(step.target)) == step.old
        and (step.temporary is None or _digest(_read_content(step.temporary)) == step.new)
        for step in todo
    )
    for step in todo if whole and ready else ():
        step.apply()
    _remove_files(step.temporary for step in steps if step.temporary)


def _read_journal(path: Path) -> tuple[list[Step], bool]:
    """Return the steps of a journal, and whether all temporary files were written; none if it is not complete."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
        rows = json.loads(lines[0])
        steps = [Step(Path(row[0]), Path(row[1]) if row[1] else None, row[2], row[3]) for row in rows]
    except (OSError, ValueError, LookupError, TypeError):
        return [], False
    return steps, lines[1:] == [WHOLE]


@contextmanager
def _journal(steps: Iterable[Step]) -> Iterator[IO[str] | None]:
    """Write a journal that lasts as long as the block; None if the cache cannot be written: then there is none."""
    path = cache_folder() / "journals" / f"{secrets.token_hex(8)}.journal"
    rows = [[str(step.target), str(step.temporary or ""), step.old, step.new] for step in steps]
    with ExitStack() as stack:
        journal = None
        with suppress(OSError, NotImplementedError):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_lock(path))
            stack.callback(path.unlink, missing_ok=True)
            journal = stack.enter_context(path.open("w", encoding="ascii"))
            journal.write(json.dumps(rows) + "\n")
            journal.flush()
        yield journal


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the lock of a journal. Raises OSError (TimeoutError) if another process holds it for long."""
    from filelock import FileLock  # imported by builds that write, and not by warm ones

    name = path.with_suffix(".lock")
    with FileLock(name, timeout=PATIENCE):
        try:
            yield
        finally:
            with suppress(OSError):  # on Windows it is open
                name.unlink()


def _read_content(path: Path) -> bytes | None:
    return path.read_bytes() if is_regular(path) else None


def _digest(content: bytes | None) -> str:
    return "" if content is None else sha256(content).hexdigest()


def _remove_files(files: Iterable[Path | str]) -> None:
    for path in files:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108


@contextmanager
def site_lock(site: Path) -> Iterator[None]:
    """Hold the lock of a site, which its folder of evidence identifies, while the block runs.

    Only its holder writes temporary files into the site, so those that are found when a build takes the lock were left
    by one that was killed. The lock is in the user's cache folder, not in the site. If that cannot be written there is
    no lock: every file is still whole, but two builds at once may mix their pages. Raises InputError if another build
    holds the lock for more than :data:`LOCK_PATIENCE` seconds.
    """
    from filelock import FileLock, Timeout  # imported by builds that write, and not by warm ones

    name = sha256(str(site.resolve()).encode()).hexdigest()[:24]
    with ExitStack() as stack:
        try:
            cache_folder().mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(cache_folder() / f"{name}.lock", timeout=LOCK_PATIENCE))
        except Timeout:
            message = f"another build has been writing into the site of {show_path(site)} for {LOCK_PATIENCE:.0f}"
            raise InputError(f"{message} seconds: end it, and try again") from None
        except (OSError, NotImplementedError):  # a folder that cannot be written, a file system without locks
            pass
        yield
