"""Files of a site: paths for reports, the cache, and one lock per site.

Only the build that holds the site's lock writes temporary files into its folders. So those that are found when a build
takes the lock were left by a build that was killed; see :mod:`cardproof.core.journal`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cardproof.core.errors import InputError, did_you_mean

SUFFIX = ".cardproof-new"
"""End of the name of a temporary file; a dot at its start keeps it out of sites."""

PATIENCE = 60.0
"""Seconds to wait until another build has written, which takes milliseconds; if it takes longer, that build hangs."""


def show_path(path: Path) -> str:
    """Write a path for a reader: with ``/``, and relative if it lies below the working directory."""
    here = os.getcwd().replace(os.sep, "/")  # noqa: PTH109  (for each file of a site; Path.cwd takes five times as long)
    text = path.as_posix()
    absolute = text if text.startswith("/") or path.is_absolute() else f"{here}/{text}"
    if absolute == here:
        return "."
    return absolute[len(here) + 1 :] if absolute.startswith(f"{here}/") else text


def near_file(path: Path) -> str:
    """Return a question with the files beside a missing one whose names are most like its name; empty if none is."""
    try:
        others = [other.name for other, _ in zip(path.parent.iterdir(), range(5_000), strict=False) if other != path]
    except OSError:
        return ""
    return did_you_mean(path.name, others)


def cache_folder() -> Path:
    """Return the folder of the cache: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cardproof"


@contextmanager
def site_lock(site: Path) -> Iterator[None]:
    """Hold the lock of a site, which its folder of evidence identifies, while the block runs.

    The lock is in the user's cache folder, not in the site. If that cannot be written there is no lock: every file is
    still whole, but two builds at once may mix their pages. Raises InputError if another build holds the lock for more
    than :data:`PATIENCE` seconds.
    """
    from filelock import FileLock, Timeout  # imported by builds that write, and not by warm ones

    name = hashlib.sha256(str(site.resolve()).encode()).hexdigest()[:24]
    with ExitStack() as stack:
        try:
            cache_folder().mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(cache_folder() / f"{name}.lock", timeout=PATIENCE))
        except Timeout:
            message = f"another build has been writing into the site of {show_path(site)} for {PATIENCE:.0f} seconds"
            raise InputError(f"{message}: end it, and try again") from None
        except (OSError, NotImplementedError):  # a folder that cannot be written, a file system without locks
            pass
        yield
