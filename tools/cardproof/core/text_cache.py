"""Results of slow pure functions of text, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cardproof import __version__
from cardproof.core.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable


def recalled(kind: str, text: str, make: Callable[[str], Any], *depends: str) -> Any:
    """Return what ``make`` says of a text, as plain data; from an earlier run where there was one.

    ``depends`` is what else decides the result, such as the version of the library that makes it. A cache that cannot
    be read or written costs time, nothing else.
    """
    key = hashlib.sha256("\0".join((kind, *depends, text)).encode("utf-8", "surrogatepass")).hexdigest()
    path = cache_folder() / f"texts-{__version__}" / f"{key}.json"
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        found = make(text)
    from cardproof.core.files import replace_file

    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(found).encode())
    return found
