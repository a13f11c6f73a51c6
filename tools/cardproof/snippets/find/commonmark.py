"""CommonMark: the code that a README shows where no site converts it, on GitHub and on PyPI."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from cardproof.snippets.find.page import (
    CONSOLE,
    PYTHON,
    Fence,
    ObservedPage,
    marked,
    marked_code,
    marked_comment,
    visible_parts,
)

_OF_PYMDOWN = re.compile(
    r"^[> \t]*(?:={3}[!+]{0,2} \"|!{3} |\?{3}\+? |;?-{1,8}8<-{1,8}|[`~]{3,9}[ \w.-]{0,40}\{)", re.MULTILINE
)
"""Tabs, admonitions, included files and options in braces, which only a site's extensions understand."""
_ATTRIBUTE = re.compile(r"""(?<![\w-])([\w-]+)=(?:"([^"\n]*)"|'([^'\n]*)'|([^\s"']+))""")


def is_commonmark(text: str) -> bool:
    """Return whether a README uses nothing that needs the extensions of a site."""
    return _OF_PYMDOWN.search(text) is None


def observe_commonmark(text: str) -> ObservedPage:
    """Convert Markdown without front matter, with ``\\n`` as line ends."""
    lines = text.split("\n")
    converter = MarkdownIt("commonmark").enable("table")
    tokens = converter.parse("\n".join(marked_comment(line, index) for index, line in enumerate(lines)))
    fences: list[Fence] = []
    refused: set[int] = set()
    for token in tokens:
        fence = _fence(token, lines) if token.type == "fence" else None
        if fence is None:
            continue
        if fence.classes and fence.language.lower() in PYTHON | CONSOLE:
            refused.add(fence.start)
        else:
            token.meta["number"] = len(fences)
            fences.append(fence)
    converter.add_render_rule("fence", _render_fence)
    shown, comments = visible_parts(converter.renderer.render(tokens, converter.options, {}), lines, fences)
    return ObservedPage(
        lines=tuple(lines),
        origins=tuple((None, number) for number in range(1, len(lines) + 1)),
        fences=tuple(fences),
        shown=tuple(shown),
        comments=tuple(comments),
        refused=frozenset(refused),
        missing=(),
        is_commonmark=True,
    )


def _fence(token: Token, lines: list[str]) -> Fence | None:
    """Return a fence; None if no line closes it. Words of its header after the language are its classes."""
    assert token.map is not None  # every block has lines
    start, end = token.map
    last = lines[end - 1].strip("> \t")
    if end - 1 == start or len(last) < len(token.markup) or set(last) != {token.markup[0]}:
        return None
    code = token.content.removesuffix("\n")
    for index in range(start, end):
        code = code.replace(marked_comment("<!-- snippet:", index), "<!-- snippet:")
    attributes = {match[1]: next(filter(None, match.groups()[1:]), "") for match in _ATTRIBUTE.finditer(token.info)}
    language, *classes = [*_ATTRIBUTE.sub(" ", token.info).split(), ""]
    return Fence(start, end, language, tuple(filter(None, classes)), attributes, code)


def _render_fence(_: object, tokens: list[Token], index: int, *__: object) -> str:
    token = tokens[index]
    html = marked_code(token.content)
    return marked(html, token.meta["number"]) if "number" in token.meta else html
