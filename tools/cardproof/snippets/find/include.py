"""Include: watch pymdown's snippets (``--8<--``) being included, so that each line keeps its file and line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cardproof.core.paths import is_inside, is_regular, root_of, root_of_argument

if TYPE_CHECKING:
    import markdown  # type: ignore[import-untyped]

T = TypeVar("T")

Origin = tuple[str | None, int]
"""An included file, or None for the page itself, and its line, from 1."""


class Includes:
    """Watches the snippet preprocessor of one converter; ``lines`` and ``missing`` are filled by the conversion."""

    def __init__(self, converter: markdown.Markdown, base_path: str | Path) -> None:
        self.lines: list[tuple[str, Origin]] = []
        """Each line after inclusion with its origin; empty if the site has no snippets."""
        self.missing: list[str] = []
        """Paths of files that are missing, behind a link that leads out of the site, or not regular files."""
        self._base = Path(base_path).absolute()
        if "snippet" not in converter.preprocessors:
            return
        processor = converter.preprocessors["snippet"]
        run, read_lines = processor.run, processor.read_lines
        get_snippet_path, dedent = processor.get_snippet_path, processor.dedent
        own = self._base if (self._base / "mkdocs.yml").is_file() else root_of_argument(self._base)
        roots = [own, *(root_of(Path(base), self._base) for base in processor.base_path)]

        def observed_run(lines: list[str]) -> list[str]:
            included = run([_Line(line, (None, number)) for number, line in enumerate(lines, 1)])
            origins = filled([line.origin if isinstance(line, _Line) else None for line in included], (None, 1))
            plain = [str(line) for line in included]
            self.lines = list(zip(plain, origins, strict=True))
            return plain

        def observed_read(path: str) -> list[str]:
            name = Path(os.path.relpath(path, self._base)).as_posix()
            return [_Line(line, (name, number)) for number, line in enumerate(read_lines(path), 1)]

        def observed_path(path: str) -> str | None:
            found: str | None = get_snippet_path(path)
            if found and not (is_regular(Path(found)) and is_inside(Path(found), roots)):
                found = None
            if found is None:
                self.missing.append(path)
            return found

        def observed_dedent(lines: list[str]) -> list[str]:
            pairs = zip(dedent(lines), lines, strict=True)
            return [_Line(new, old.origin) if isinstance(old, _Line) else new for new, old in pairs]

        processor.run, processor.read_lines = observed_run, observed_read
        processor.get_snippet_path, processor.dedent = observed_path, observed_dedent


def include_config(config: Mapping[str, Any], base_path: str | Path) -> dict[str, Any]:
    """Return a configuration of the snippets extension that downloads nothing and ignores missing files.

    Base paths are relative to ``base_path``, the folder of the site's configuration.
    """
    given = config.get("base_path") or ["."]
    bases = [given] if isinstance(given, str | os.PathLike) else list(given)
    resolved = [os.path.join(base_path, base) for base in bases]  # noqa: PTH118  (MkDocs gives PathLike placeholders)
    return {**config, "base_path": resolved, "url_download": False, "check_paths": False}


class _Line(str):
    """A line that keeps its origin while the preprocessor changes it."""

    origin: Origin

    def __new__(cls, text: str, origin: Origin) -> _Line:
        line = super().__new__(cls, text)
        line.origin = origin
        return line

    def __radd__(self, indentation: str) -> _Line:
        return _Line(indentation + str(self), self.origin)

    def replace(self, *arguments: Any) -> _Line:
        return _Line(super().replace(*arguments), self.origin)


MOST_PAIRS = 4_000_000
"""Pairs of lines that are compared with one another; of longer texts, only what is equal at both ends is found."""


def aligned(old: Sequence[str], known: Sequence[T], new: Sequence[str]) -> list[T | None]:
    """Return the entry of ``known`` for each new line: that of the equal or replaced old line; None for an added one.

    Lines are compared without their blanks; ``known`` is as long as ``old``.
    """
    before, after = ["".join(line.split()) for line in old], ["".join(line.split()) for line in new]
    found: list[T | None] = [None] * len(new)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    is_short = len(before) * len(after) <= MOST_PAIRS
    for tag, i, i_end, j, j_end in matcher.get_opcodes() if is_short else _ends(before, after):
        if tag in ("equal", "replace"):
            for at in range(j, j_end):
                found[at] = known[min(i + at - j, i_end - 1)]
    return found


def _ends(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """Return the equal lines at the start and the end of two texts, and all between them as replaced."""
    same = [one == other for one, other in zip(before, after, strict=False)]
    head = same.index(False) if False in same else len(same)
    rest = zip(reversed(before[head:]), reversed(after[head:]), strict=False)
    same = [one == other for one, other in rest]
    tail = same.index(False) if False in same else len(same)
    i, j = len(before) - tail, len(after) - tail
    between = [("replace", head, i, head, j)] if i > head else []
    return [("equal", 0, head, 0, head), *between, ("equal", i, len(before), j, len(after))]


def filled(known: Sequence[T | None], first: T) -> list[T]:
    """Fill each None with the entry before it."""
    result: list[T] = []
    for item in known:
        first = first if item is None else item
        result.append(first)
    return result
