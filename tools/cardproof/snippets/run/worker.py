"""Worker: the main module that processes spawned by a page's code import, so that they know its names.

A program's spawned workers import its file again. Here they run its imports, definitions and assignments again, up to
the statement that started them, and nothing of it prints.
"""

from __future__ import annotations

import base64
import contextlib
import io
import marshal
import os
from pathlib import Path
from types import CodeType
from typing import Any

STATE = "CARDPROOF_PAGE"
"""The environment variable that names the file of a page's statements: marshalled code, one a line."""


def encoded(code: CodeType) -> str:
    """Return a code object as one line of that file."""
    return base64.b64encode(marshal.dumps(code)).decode() + "\n"


def replay(names: dict[str, Any]) -> None:
    """Run the statements of the file; those that fail because this is not the main process are skipped."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for line in Path(os.environ[STATE]).read_text(encoding="ascii").splitlines():
            with contextlib.suppress(Exception):
                exec(marshal.loads(base64.b64decode(line)), names)  # nosec B102 B302  # the page's own code


if __name__ == "__mp_main__" and STATE in os.environ:
    replay(globals())
