"""Conversion: a page as its site converts it, or a README as GitHub does, and which of its fences the HTML shows."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardproof.core.paths import is_inside, is_regular, root_of, root_of_argument
from cardproof.snippets.find.converted_page import (
    CONSOLE,
    PYTHON,
    Comment,
    ConvertedPage,
    Fate,
    Fence,
    Origin,
    Prose,
    align_lines,
    fill_gaps,
    indentation,
)

if TYPE_CHECKING:
    from markdown import Markdown  # type: ignore[import-untyped]
    from markdown_it.token import Token

SUPERFENCES, SNIPPETS = "pymdownx.superfences", "pymdownx.snippets"

_FENCE, _END, _COMMENT = "data-cardproof-fence", "data-cardproof-end", "<!-- snippet:"
_FLOW = {"h1", "h2", "h3", "h4", "h5", "h6", "li", "tr", "hr", "img", "pre", "blockquote", "dt", "dd", "summary"}
"""Elements that end the neighbourhood of a code block and its output."""
_OF_PYMDOWN = re.compile(
    r"^[> \t]*(?:={3}[!+]{0,2} \"|!{3} |\?{3}\+? |;?-{1,8}8<-{1,8}|[`~]{3,9}[ \w.-]{0,40}\{)", re.MULTILINE
)
"""Tabs, admonitions, included files and options in braces, which only a site's extensions understand."""
_ATTRIBUTE = re.compile(r"""(?<![\w-])([\w-]+)=(?:"([^"\n]*)"|'([^'\n]*)'|([^\s"']+))""")


def convert_page(
    text: str, extensions: Sequence[Any], extension_configs: Mapping[str, Any], base_path: str | Path
) -> ConvertedPage:
    """Convert Markdown without front matter, with ``\\n`` as line ends. Nothing is downloaded.

    Raises the error of Markdown for an extension that cannot be loaded.
    """
    configs = deepcopy(dict(extension_configs))
    if SNIPPETS in extensions:
        configs[SNIPPETS] = _include_config(configs.get(SNIPPETS) or {}, base_path)
    from markdown import Markdown  # a README of plain CommonMark needs no Markdown of a site

    converter = Markdown(extensions=list(extensions), extension_configs=configs)
    if "strip-html" in converter.postprocessors:
        converter.postprocessors.deregister("strip-html")  # it would remove the comments
    includes = _Includes(converter, base_path)
    recorder = _Recorder(converter)
    html = converter.convert(text)  # fills what the recorder and the includes have
    shown, comments = _visible_parts(html, recorder.lines, recorder.fences)
    source = includes.lines or [(line, (None, number)) for number, line in enumerate(text.split("\n"), 1)]
    return ConvertedPage(
        tuple(recorder.lines),
        _origins(source, recorder.lines),
        tuple(recorder.fences),
        tuple(shown),
        tuple(comments),
        frozenset(recorder.refused),
        tuple(includes.missing),
    )


def _origins(source: Sequence[tuple[str, Origin]], lines: Sequence[str]) -> tuple[Origin, ...]:
    """Return the origin of each line that superfences saw; other preprocessors may have added or removed some."""
    known = [origin for _, origin in source]
    if len(source) <= len(lines) <= len(source) + 2:  # Markdown itself adds two empty lines
        found: list[Origin | None] = [*known, None, None]
        return tuple(fill_gaps(found[: len(lines)], (None, 1)))
    return tuple(fill_gaps(align_lines([line for line, _ in source], known, lines), (None, 1)))


class _Recorder:
    """Watches superfences: each block that it formats gets a mark in the HTML."""

    def __init__(self, converter: Markdown) -> None:
        self.lines: list[str] = []
        self.fences: list[Fence] = []
        self.refused: set[int] = set()
        from pymdownx.superfences import SuperFencesBlockPreprocessor  # type: ignore[import-untyped]

        names = converter.preprocessors
        self._site_has_superfences = "fenced_code_block" in names and isinstance(
            names["fenced_code_block"], SuperFencesBlockPreprocessor
        )
        self._plain = SuperFencesBlockPreprocessor.highlight
        if not self._site_has_superfences:
            converter.registerExtensions([SUPERFENCES], {})
        self._watch_lines(names["fenced_code_block"])
        self._watch_blocks(names["fenced_code_block"])

    def _watch_lines(self, processor: Any) -> None:
        search, refused = processor.search_nested, set()

        def observed_search(lines: list[str]) -> list[str]:
            self.lines = [str(line) for line in lines]
            found = search(lines)
            covered = {index for fence in self.fences for index in range(fence.start, fence.end)}
            self.refused = {i for i, line in enumerate(self.lines) if line in refused and i not in covered}
            return self._with_marked_comments(found)

        def observed_header(parse: Any) -> Any:
            def parsed(match: re.Match[str]) -> Any:
                okay = parse(match)
                if not okay:
                    refused.add(match.string)
                return okay

            return parsed

        processor.search_nested = observed_search
        for name in ("handle_attrs", "parse_options", "handle_unrecognized"):
            setattr(processor, name, observed_header(getattr(processor, name)))

    def _watch_blocks(self, processor: Any) -> None:
        process = processor.process_nested_block

        def observed_block(ws: str, content: str, start: int, end: int) -> None:
            header = self.lines[start]
            if not self._site_has_superfences and indentation(header):
                processor.clear()  # Markdown's own fences begin at the start of a line
                return
            number, stored = len(self.fences), len(processor.stack)
            fence = Fence(start, end, processor.lang or "", tuple(processor.classes), _attributes(header))
            plain = getattr(processor.formatter, "__func__", None) is self._plain
            processor.formatter = _formatter_with_mark(
                _plain_highlight if plain else processor.formatter, fence, number
            )
            process(ws, content, start, end)
            if len(processor.stack) > stored:
                self.fences.append(fence)

        processor.process_nested_block = observed_block

    def _with_marked_comments(self, lines: list[str]) -> list[str]:
        """Write each snippet comment's line into it; fences are placeholders by now, so these are not inside code."""
        ends, index, lines_marked = {fence.start: fence.end for fence in self.fences}, 0, []
        for line in lines:
            lines_marked.append(_with_line_mark(line, index))
            index = ends.get(index, index + 1)
        return lines_marked


def _formatter_with_mark(formatter: Any, fence: Fence, number: int) -> Any:
    def marking(**arguments: Any) -> Any:
        fence.code = arguments["src"]
        html = formatter(**arguments)
        if not isinstance(html, str):
            return html
        return _with_fence_mark(str(html), number)

    return marking if formatter else None


def _plain_highlight(**arguments: Any) -> str:
    return _html_of_code(arguments["src"])


def _attributes(header: str) -> dict[str, str]:
    from markdown.extensions.attr_list import get_attrs  # type: ignore[import-untyped]
    from pymdownx.superfences import RE_NESTED_FENCE_START, RE_OPTIONS

    match = RE_NESTED_FENCE_START.match(header, indentation(header))
    if not match:
        return {}
    if match["attrs"]:
        return {key: value for key, value in get_attrs(match["attrs"]) if key != "."}
    return {option["key"]: option["value"] or "" for option in RE_OPTIONS.finditer(match["options"] or "")}


class _Includes:
    """Watches the snippet preprocessor of one converter; ``lines`` and ``missing`` are filled by the conversion."""

    def __init__(self, converter: Markdown, base_path: str | Path) -> None:
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
            origins = fill_gaps([line.origin if isinstance(line, _Line) else None for line in included], (None, 1))
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


def _include_config(config: Mapping[str, Any], base_path: str | Path) -> dict[str, Any]:
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


def is_commonmark(text: str) -> bool:
    """Return whether a README uses nothing that needs the extensions of a site."""
    return _OF_PYMDOWN.search(text) is None


def convert_readme(text: str) -> ConvertedPage:
    """Convert Markdown without front matter, with ``\\n`` as line ends."""
    from markdown_it import MarkdownIt  # only READMEs need it

    lines = text.split("\n")
    converter = MarkdownIt("commonmark").enable("table")
    tokens = converter.parse("\n".join(_with_line_mark(line, index) for index, line in enumerate(lines)))
    fences: list[Fence] = []
    refused: set[int] = set()
    for token in tokens:
        fence = _commonmark_fence(token, lines) if token.type == "fence" else None
        if fence is None:
            continue
        if fence.classes and fence.language.lower() in PYTHON | CONSOLE:
            refused.add(fence.start)
        else:
            token.meta["number"] = len(fences)
            fences.append(fence)
    converter.add_render_rule("fence", _render_commonmark_fence)
    shown, comments = _visible_parts(converter.renderer.render(tokens, converter.options, {}), lines, fences)
    return ConvertedPage(
        lines=tuple(lines),
        origins=tuple((None, number) for number in range(1, len(lines) + 1)),
        fences=tuple(fences),
        shown=tuple(shown),
        comments=tuple(comments),
        refused=frozenset(refused),
        missing=(),
        is_commonmark=True,
    )


def _commonmark_fence(token: Token, lines: list[str]) -> Fence | None:
    """Return a fence; None if no line closes it. Words of its header after the language are its classes."""
    assert token.map is not None  # every block has lines
    start, end = token.map
    last = lines[end - 1].strip("> \t")
    if end - 1 == start or len(last) < len(token.markup) or set(last) != {token.markup[0]}:
        return None
    code = token.content.removesuffix("\n")
    for index in range(start, end):
        code = code.replace(_with_line_mark("<!-- snippet:", index), "<!-- snippet:")
    attributes = {match[1]: next(filter(None, match.groups()[1:]), "") for match in _ATTRIBUTE.finditer(token.info)}
    language, *classes = [*_ATTRIBUTE.sub(" ", token.info).split(), ""]
    return Fence(start, end, language, tuple(filter(None, classes)), attributes, code)


def _render_commonmark_fence(_: object, tokens: list[Token], index: int, *__: object) -> str:
    token = tokens[index]
    html = _html_of_code(token.content)
    return _with_fence_mark(html, token.meta["number"]) if "number" in token.meta else html


def _html_of_code(code: str) -> str:
    """Return the HTML of code without colours, which change nothing about what is code and cost a lexer."""
    return f"<pre><code>{escape(code)}</code></pre>"


def _with_fence_mark(html: str, number: int) -> str:
    """Return the HTML of a fence with its number in the first tag, and a mark where it ends."""
    opened = re.sub(r"<([a-zA-Z][\w-]*)", rf'<\1 {_FENCE}="{number}"', html, count=1)
    return f'{opened}<i {_END}="{number}"></i>'


def _with_line_mark(line: str, index: int) -> str:
    """Return a line whose snippet comment holds the index of the line."""
    return line.replace(_COMMENT, f"{_COMMENT[:-1]}@{index}:")


class _Events(HTMLParser):
    """The HTML as a row of fences, comments and the prose between them."""

    def __init__(self, lines: Sequence[str], fences: int) -> None:
        super().__init__()
        self._lines = lines
        self._fences = fences
        self.row: list[int | Comment | Prose] = []
        """Numbers of fences, comments, and the prose between them."""
        self.comments: list[str] = []
        self._inside: int | None = None

    def fate(self, number: int) -> Fate:
        if number in self.row:
            return "shown"
        mark = f'{_FENCE}="{number}"'
        return "commented" if any(mark in comment for comment in self.comments) else "lost"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            number = _index(value or "", self._fences) if name in (_FENCE, _END) else None
            if name == _FENCE and number is not None and number not in self.row:
                self._inside = number
                self.row.append(number)
            elif name == _END and number is not None and number == self._inside:
                self._inside = None
                return
        if self._inside is None:
            self._prose().paragraphs += tag == "p"
            self._prose().others += tag in _FLOW

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self._prose().text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)
        match = re.match(r" snippet@(\d+):(.*)", data, re.DOTALL)
        line = _index(match[1], len(self._lines)) if match else None
        if self._inside is None and match and line is not None and _COMMENT in self._lines[line]:
            self.row.append(Comment(line, match[2].strip()))

    def _prose(self) -> Prose:
        last = self.row[-1] if self.row else None
        if not isinstance(last, Prose):
            last = Prose()
            self.row.append(last)
        return last


def _index(text: str, most: int) -> int | None:
    """Return the index in a mark; None if it is not one of ours: a page may hold text that looks like a mark."""
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else most
    return number if number < most else None


def _visible_parts(
    html: str, lines: Sequence[str], fences: Sequence[Fence]
) -> tuple[list[Fence | Comment | Prose], list[str]]:
    """Return the visible parts of a page in their order, and the texts of all comments; note the fate of each fence."""
    events = _Events(lines, len(fences))
    events.feed(html)
    events.close()
    for number, fence in enumerate(fences):
        fence.fate = events.fate(number)
    return [fences[item] if isinstance(item, int) else item for item in events.row], events.comments
