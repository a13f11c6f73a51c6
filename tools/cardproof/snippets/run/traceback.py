"""Traceback: exceptions without frames of the runner and folders of this machine."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from cardproof.snippets.run.statements import Place, Sources, Span

_HERE = str(Path(__file__).parents[1])


class Failure(Struct, frozen=True):
    error: str
    traceback: str
    line: int | None
    """Within the block's code."""


def describe(error: BaseException, sources: Sources, place: Place, statement: Span | None) -> Failure:
    """Describe an exception of a statement, or of compiling the block if there is no statement."""
    whole = traceback.TracebackException.from_exception(error)
    frames = list(whole.stack) if statement else []
    _shorten(whole, sources, set())
    summary = "".join(whole.format_exception_only()).rstrip("\n")
    if isinstance(error, SyntaxError) and not statement:
        summary = summary.rsplit("\n", 1)[-1]
        line = place.line(error.filename or "", error.lineno or 0, 1, len(place.origins))
    else:
        line = _line(frames, place, statement)
    if isinstance(error, SystemExit):
        summary = f"{summary}: the code ends the program here"
    return Failure(summary, "".join(whole.format()).rstrip("\n"), line)


def _line(frames: list[traceback.FrameSummary], place: Place, statement: Span | None) -> int | None:
    """Return the line of the deepest frame that lies in the statement that ran."""
    if statement is None:
        return None
    lines = (
        place.line(frame.filename, frame.lineno or 0, statement.line, statement.end_line) for frame in reversed(frames)
    )
    return next((line for line in lines if line is not None), statement.line)


def _shorten(error: traceback.TracebackException, sources: Sources, seen: set[int]) -> None:
    """Keep the page's frames, and the last of each run of library frames; in causes and groups as well."""
    if id(error) in seen:
        return
    seen.add(id(error))
    kept: list[traceback.FrameSummary] = []
    begun = False
    for frame in error.stack:
        ours = frame.filename in sources
        begun = begun or ours
        if frame.filename.startswith(_HERE) or not begun:
            continue
        if kept and not ours and kept[-1].filename not in sources:
            kept.pop()
        kept.append(frame)
    for frame in kept:
        if frame.filename not in sources:
            _ = frame.line  # read now: it is looked up by the file name
            frame.filename = _short(frame.filename)
    error.stack = traceback.StackSummary.from_list(kept)
    for name in ("__cause__", "__context__"):
        other = getattr(error, name)
        if other is not None:
            _shorten(other, sources, seen)
            if not other.stack:  # raised and handled inside a library
                setattr(error, name, None)
    for other in getattr(error, "exceptions", None) or ():
        _shorten(other, sources, seen)


def _short(filename: str) -> str:
    """Return a library's file name from its package on."""
    parts = Path(filename).parts
    for index in range(len(parts) - 1, 0, -1):
        if parts[index - 1] in ("site-packages", "dist-packages") or parts[index - 1].startswith("python3."):
            return "/".join(parts[index:])
    return filename
