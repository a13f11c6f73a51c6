"""A Markdown page as a place of models: its header, and the comments with a model index."""

from __future__ import annotations

from msgspec import Struct

from cardproof.core.source import Source
from cardproof.core.types import Finding
from cardproof.core.yaml import Mapping, Node, Scalar, read_yaml
from cardproof.read.hub import as_index, check_closed, check_header, check_results, is_for_hub
from cardproof.read.index_shape import read_index
from cardproof.read.markdown import Span, find_header, find_index_comments, header_notes


class Page(Struct, frozen=True, eq=False):
    """What a Markdown page says of models outside of its text."""

    source: Source
    header: Mapping | None
    header_end: int
    """Where its text begins."""
    indexes: tuple[Span, ...]
    """Its comments with a model index."""
    roots: tuple[Node, ...]
    """The indexes in them."""
    hub: Mapping | None
    """The ``model-index`` of its header, as a model index."""
    findings: tuple[Finding, ...]

    @property
    def every(self) -> tuple[Node, ...]:
        """The indexes of its comments and of its header."""
        return (*self.roots, *([self.hub] if self.hub else []))


def read_page(source: Source) -> Page:
    """Read the header and the model indexes of a page, with what is wrong in them."""
    findings: list[Finding] = []
    header: Node | None = None
    span = find_header(source)
    if span:
        header, more = read_yaml(source, span.yaml_start, span.yaml_end)
        findings += [*more, *header_notes(source, span)]
        if header is not None and is_for_hub(header, source):
            findings += check_header(header)
    else:
        findings += check_closed(source)
    end = span.end if span else 0
    indexes, more = find_index_comments(source, end)
    findings += more
    roots = []
    for comment in indexes:
        tree, more = read_index(source, comment.yaml_start, comment.yaml_end, declared=True)
        findings += more
        roots += [tree] if tree is not None else []
    fields = header if isinstance(header, Mapping) else None
    index = fields.get("model-index") if fields else None
    hub = None
    if index is not None and not (isinstance(index, Scalar) and index.value is None):
        findings += check_results(index)
        hub = as_index(index)
    return Page(source, fields, end, tuple(indexes), tuple(roots), hub, tuple(findings))
