"""Find: the Python blocks that a finished page shows, with the source lines that a person edits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.types import Finding, Place, Severity
from cardproof.snippets.doctest_blocks import is_console
from cardproof.snippets.find.converted_page import (
    CONSOLE,
    PYTHON,
    Comment,
    ConvertedPage,
    Fence,
    Prose,
    comment_options,
    fence_options,
    indentation,
)
from cardproof.snippets.find.missed_fences import missed_fences
from cardproof.snippets.types import Block, Options

CHECK = "snippets"
OUTPUT = frozenset({"", "text", "txt", "plaintext", "console", "output"})
"""Languages of a fence that states an output after an "Output:" line."""
HIDDEN_LINE = re.compile(r"#\s*snippet:\s*hide\s*$")
EXTENSIONS = (
    "pymdownx.superfences",
    "pymdownx.tabbed",
    "pymdownx.details",
    "admonition",
    "attr_list",
    "tables",
    "toc",
    "pymdownx.snippets",
)
"""Markdown extensions of a page that belongs to no site."""
EXTENSION_CONFIGS: dict[str, dict[str, Any]] = {"pymdownx.tabbed": {"alternate_style": True}}

_SETUP = re.compile(r"setup\b[ \t]*")
_MAY_BE_FRONT_MATTER = re.compile(r"\s|---|[A-Za-z0-9_-]+:|$")
_ANNOUNCES = re.compile(r"\boutput\s*:\s*$", re.IGNORECASE)
_LONGEST_ANNOUNCEMENT = 200
"""Characters of a paragraph that ends in "Output:"; a longer one is prose."""


def find_blocks(
    text: str,
    file: str,
    *,
    extensions: Sequence[Any] = EXTENSIONS,
    extension_configs: Mapping[str, Any] = EXTENSION_CONFIGS,
    base_path: str | Path = ".",
    origin: Mapping[int, tuple[str, int]] | None = None,
) -> tuple[tuple[Block, ...], tuple[Finding, ...]]:
    """Return the Python blocks of a page in page order, and findings for text that only looks like one.

    ``extensions`` are those of the site; ``base_path`` is the folder of files for ``--8<--``. ``origin`` maps lines of
    ``text``, from 1, to the file and line that they were rendered from; other lines are those of ``file``. Raises the
    error of Markdown for an extension that cannot be loaded.
    """
    from cardproof.snippets.find.conversion import convert_page

    body, first = _without_front_matter(text)
    page = convert_page(body, extensions, extension_configs, base_path)
    return _blocks_and_findings(_Finder(page, body, file, first, origin or {}))


def find_readme_blocks(text: str, file: str) -> tuple[tuple[Block, ...], tuple[Finding, ...]]:
    """Return what ``find_blocks`` does for a README that no site converts: what GitHub and PyPI show as code."""
    from cardproof.snippets.find.conversion import convert_readme

    body, first = _without_front_matter(text)
    return _blocks_and_findings(_Finder(convert_readme(body), body, file, first, {}))


def _blocks_and_findings(finder: _Finder) -> tuple[tuple[Block, ...], tuple[Finding, ...]]:
    finder.walk()
    finder.report_missed()
    blocks = tuple(block for block in finder.blocks if block.code.strip())  # what was to be included may be missing
    return blocks, tuple(sorted(finder.findings, key=lambda finding: finding.place.start))


def visible_markdown(text: str) -> str:
    """Return a page's Markdown without hidden lines: set-up comments, ``.hide`` blocks, ``# snippet: hide`` lines.

    Everything else stays byte for byte.
    """
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)
    from cardproof.snippets.find.conversion import convert_page

    body, first = _without_front_matter(text)
    page = convert_page(body, EXTENSIONS, EXTENSION_CONFIGS, ".")
    finder = _Finder(page, body, "", first, {})
    finder.walk()
    hidden = {page.origins[index][1] + first for index in finder.hidden if page.origins[index][0] is None}
    return "".join(line for number, line in enumerate(lines, 1) if number not in hidden)


def site_extensions(mkdocs_yml: str | Path) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return names and configurations of the Markdown extensions of a site, as MkDocs itself configures them.

    Raises OSError if the file cannot be read, and InputError if MkDocs finds it invalid.
    """
    from mkdocs.config.base import Config
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.exceptions import ConfigurationError

    class Extensions(Config):  # type: ignore[no-untyped-call]
        markdown_extensions = MkDocsConfig.markdown_extensions
        mdx_configs = MkDocsConfig.mdx_configs

    whole = MkDocsConfig(str(mkdocs_yml))
    try:
        with open(mkdocs_yml, "rb") as stream:  # noqa: PTH123  (MkDocs reads the name of the stream)
            whole.load_file(stream)
    except ConfigurationError as error:
        raise InputError(f"{mkdocs_yml}: {error}") from None
    only = Extensions(str(mkdocs_yml))
    only.load_dict({"markdown_extensions": whole["markdown_extensions"]})
    errors, _ = only.validate()
    if errors:
        raise InputError(f"{mkdocs_yml}: {errors[0][0]}: {errors[0][1]}")
    return list(only.markdown_extensions), dict(only.mdx_configs or {})


def _without_front_matter(text: str) -> tuple[str, int]:
    """Return the Markdown that MkDocs converts, with ``\\n`` as line ends, and the number of lines before it."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not _MAY_BE_FRONT_MATTER.match(text):  # most pages: the import takes a tenth of a second
        return text, 0
    from mkdocs.utils.meta import get_data

    body, _ = get_data(text)
    return body, text.count("\n") - body.count("\n")


def _comment_end(page: ConvertedPage, start: int) -> int:
    return next((i + 1 for i in range(start, len(page.lines)) if "-->" in page.lines[i]), len(page.lines))


class _Finder(Struct):
    """Walks over the visible parts of a page and collects its blocks."""

    page: ConvertedPage
    body: str
    """The page's text without front matter, before inclusion."""
    file: str
    first: int
    """Lines of front matter."""
    origin: Mapping[int, tuple[str, int]]
    blocks: list[Block] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)
    """Indexes of the lines that the finished page does not show."""
    _comments: list[Comment] = field(default_factory=list)
    """Options that wait for their block."""
    _after: Prose | None = None
    """The text after the last Python block; None if there is no block whose output could be stated."""

    def walk(self) -> None:
        for item in self.page.shown:
            if isinstance(item, Prose):
                self._prose(item)
            elif isinstance(item, Fence):
                self._fence(item)
            elif match := _SETUP.match(item.text):
                self._add(self._setup(item, item.text[match.end() :].split("\n")[0].strip()))
            else:
                self._comments.append(item)
        self._drop_comments()

    def report_missed(self) -> None:
        for found in missed_fences(self.page):
            self._finding(*found)
        for path in self.page.missing:
            line = next((i for i, text in enumerate(self.body.split("\n")) if path in text), 0) + 1 + self.first
            place = self.origin.get(line, (self.file, line))
            message = f"snippet file '{path}' is not found; nothing is included for it"
            hint = "files are looked for below base_path of pymdownx.snippets; no link is followed out of the site"
            self.findings.append(Finding(Place(*place, 1), CHECK, "error", message, hint))

    def _prose(self, prose: Prose) -> None:
        text = prose.text.strip()
        if text:
            self._drop_comments()
        if self._after is not None:
            old = self._after
            text = f"{old.text}\n{text}".strip()
            self._after = Prose(text, old.paragraphs + prose.paragraphs, old.others + prose.others)

    def _fence(self, fence: Fence) -> None:
        comments = [comment.line for comment in self._comments]
        asked = comments[-1] if comments else fence.start
        options = self._options(fence)
        python = fence.language.lower() in PYTHON | CONSOLE
        if python and options.hide:
            self.hidden.update(range(fence.start, fence.end), comments)
        elif python:
            inside = range(fence.start + 1, fence.end - 1)
            self.hidden.update(index for index in inside if HIDDEN_LINE.search(self.page.lines[index]))
        if options.output or (not python and fence.language.lower() in OUTPUT and self._is_announced_as_code()):
            self._attach_output(fence)
        elif python:
            self._add(self._block(fence, options))
        else:
            self._after = None
            if options != Options():
                message = f"a '{fence.language}' block is not run, so its options have no effect"
                self._finding(asked, "warning", message, "only Python blocks have options")

    def _add(self, block: Block) -> None:
        self.blocks.append(block)
        self._after = None if block.options.setup else Prose("", 0, 0)

    def _is_announced_as_code(self) -> bool:
        after = self._after
        if after is None or after.paragraphs > 1 or after.others or len(after.text) > _LONGEST_ANNOUNCEMENT:
            return False
        return bool(_ANNOUNCES.search(after.text))

    def _options(self, fence: Fence) -> Options:
        options, errors, warnings = fence_options(fence.classes, fence.attributes)
        hint = "options are .skip .gpu .network .expect-error .hide .fresh .output .timeout=SECONDS"
        asked = fence.start
        for comment in self._comments:
            asked = asked if options.skip else comment.line
            options, wrong = comment_options(comment.text, options)
            for message in wrong:
                self._finding(comment.line, "error", message, hint.replace(" .", " "))
        self._comments = []
        for message in errors:
            self._finding(fence.start, "error", message, hint)
        for message in warnings if fence.language.lower() in PYTHON | CONSOLE else ():
            self._finding(fence.start, "warning", message, hint)
        if options.skip and not options.reason:
            why = 'write { .python .skip data-reason="…" } or <!-- snippet: skip reason="…" -->'
            self._finding(asked, "warning", "a block is skipped without a reason", why)
        return options

    def _block(self, fence: Fence, options: Options) -> Block:
        lines = [self._source(index) for index in range(fence.start + 1, fence.end - 1)]
        file, header = self._source(fence.start)
        line = lines[0][1] if lines and lines[0][0] == file else header + 1
        name = fence.attributes.get("id") or fence.attributes.get("title") or ""
        console = fence.language.lower() in CONSOLE or (">>>" in fence.code and is_console(fence.code))
        included, end = self.page.origins[fence.end - 1]
        end = end + self.first if included is None else 0
        indent = indentation(self.page.lines[fence.start])
        origins = _origins(file, line, lines)
        return Block(file, line, fence.code, options, origins, console, name=name, end=end, indent=indent)

    def _setup(self, comment: Comment, first: str) -> Block:
        """Return the set-up in a comment; its code begins after the word or on the next line."""
        end = _comment_end(self.page, comment.line)
        self.hidden.update(range(comment.line, end))
        raw = list(self.page.lines[comment.line : end])
        width = indentation(raw[0])
        rest = [line[min(width, indentation(line)) :] for line in raw[1:]]
        code = [first, *rest]
        code[-1] = code[-1].split("-->")[0].rstrip()
        start = comment.line if code[0] else comment.line + 1
        code = code if code[0] else code[1:]
        while code and not code[-1].strip():
            code.pop()
        lines = [self._source(index) for index in range(start, start + len(code))]
        file, line = lines[0] if lines else self._source(comment.line)
        return Block(file, line, "\n".join(code), Options(hide=True, setup=True), _origins(file, line, lines))

    def _attach_output(self, fence: Fence) -> None:
        if not self.blocks or self.blocks[-1].options.setup or self.blocks[-1].stated_output:
            message = "an output block follows no Python block whose output it could state"
            self._finding(fence.start, "error", message, "put it after the block that prints it")
            return
        lines = [self._source(index) for index in range(fence.start + 1, fence.end - 1)]
        block = self.blocks[-1]
        line = lines[0][1] if lines else self._source(fence.start)[1] + 1
        stated = (fence.code, line)
        self.blocks[-1] = replace(block, stated_output=stated, stated_lines=_origins(block.file, line, lines))
        self._after = None

    def _drop_comments(self) -> None:
        for comment in self._comments:
            message = f"no code block follows the comment 'snippet: {comment.text}'"
            self._finding(comment.line, "error", message, "put the comment on the line above the fence")
        self._comments = []

    def _source(self, index: int) -> tuple[str, int]:
        included, line = self.page.origins[index]
        if included is not None:
            return included, line
        return self.origin.get(line + self.first, (self.file, line + self.first))

    def _finding(self, index: int, severity: Severity, message: str, hint: str, column: int | None = None) -> None:
        file, line = self._source(index)
        column = column or indentation(self.page.lines[index]) + 1
        self.findings.append(Finding(Place(file, line, column), CHECK, severity, message, hint))


def _origins(file: str, line: int, lines: Sequence[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Return the source lines of a block, or nothing if they are consecutive lines of its file."""
    return () if list(lines) == [(file, line + k) for k in range(len(lines))] else tuple(lines)
