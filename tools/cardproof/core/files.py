"""One file given new content, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_file(path: Path, data: bytes, new: int = 0o600) -> None:
    """Write a file beside the old one and put it in its place: an error leaves the old one whole.

    The mode stays; a file that was not there gets the mode ``new``. Where the path is a link, the file that it leads to
    is replaced. Raises OSError.
    """
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(name).chmod(target.stat().st_mode & 0o777 if target.exists() else new)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_report(path: Path, text: str) -> None:
    """Write a report into a file, whose folder is made where it is not there; into a device or pipe as it is.

    What UTF-8 cannot hold, such as bytes of a file's name that are no text, is written as escapes. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode("utf-8", "backslashreplace")
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            stream.write(data)
    else:
        replace_file(path, data, 0o666 & ~_umask())


def _umask() -> int:
    """Return which bits new files do not get; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def show_path(path: Path) -> str:
    """Write a path as people pass it on: relative to the working directory where it lies below it, with ``/``."""
    here = os.getcwd().replace(os.sep, "/")  # noqa: PTH109  (for each file of a site; Path.cwd takes five times as long)
    text = path.as_posix()
    absolute = text if text.startswith("/") or path.is_absolute() else f"{here}/{text}"
    if absolute == here:
        return "."
    return absolute[len(here) + 1 :] if absolute.startswith(f"{here}/") else text


def cache_folder() -> Path:
    """Return the folder of what can be made again: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cardproof"
