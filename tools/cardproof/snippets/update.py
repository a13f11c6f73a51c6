"""Update: replace outdated outputs in the source by the actual ones, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from cardproof.snippets.compare.comparison import Comparison, compare
from cardproof.snippets.compare.outputs import same_output
from cardproof.snippets.compare.stated_outputs import Expectation, Span, expectations
from cardproof.snippets.types import Block, ConsoleError, Outcome

_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|$)")
_TEMPLATE = re.compile(r"\{[{%#]")
_FENCE = re.compile(r"\s*(?:`{3,}|~{3,})")


class Edit(Struct, frozen=True):
    """Lines ``first`` to ``last`` of the source, from 1, become ``lines``; if ``last < first`` they are inserted."""

    first: int
    last: int
    lines: tuple[str, ...]
    """Without their line ends."""


def update_outputs(source_text: str, outcomes: Iterable[Outcome], file: str | None = None) -> str:
    """Return a source with the outdated outputs of its blocks rewritten; everything outside them stays as it is.

    ``file`` is the source's name in the blocks; None: that of each outcome's block. An output is not rewritten if its
    block crashed, if it depends on a block that did not run or on random weights, if it is loose, if the stated one is
    of another device, if a template makes the text, or if the new text would not be read back as the same output.
    """
    lines = [(match[1], match[2]) for match in _LINE.finditer(source_text) if match[0]]
    source = [text for text, _ in lines]
    edits: list[Edit] = []
    held: set[int] = set()
    for outcome in outcomes:
        name = file or outcome.block.file
        for result in _results(outcome):
            if result.holds:
                held |= _lines_of(outcome.block, result.expectation, name)
            elif edit := _edit_of_result(source, outcome, result, name):
                edits.append(edit)
    for edit in sorted(_compatible(edits, held), key=lambda edit: edit.first, reverse=True):
        _apply(lines, edit)
    return "".join(text + end for text, end in lines)


def _apply(lines: list[tuple[str, str]], edit: Edit) -> None:
    """Apply an edit; each line gets the line end of the line that it replaces or follows."""
    old = lines[edit.first - 1 : edit.last] or lines[edit.first - 2 : edit.first - 1]
    usual = next((end for _, end in lines if end), "\n")
    last = len(edit.lines) - 1
    ends = [old[min(number, len(old) - 1)][1] or usual for number in range(last)]
    lines[edit.first - 1 : edit.last] = zip(edit.lines, [*ends, old[-1][1]], strict=True)


def _results(outcome: Outcome) -> tuple[Comparison, ...]:
    """Return the comparisons of a block; none if it did not run to its end, or if its outputs are not a reader's."""
    ran = outcome.ran
    if ran is None or not ran.ended or ran.error is not None or outcome.status not in ("fail", "pass"):
        return ()
    if not outcome.may_update or ran.random_weights:
        return ()
    try:
        return compare(outcome.block, ran, ran.device)
    except ConsoleError:
        return ()


def _lines_of(block: Block, expectation: Expectation, file: str) -> set[int]:
    locate = block.located_output if expectation.kind == "output" else block.located
    return {line for span in expectation.spans for where, line in [locate(span[0])] if where == file}


def _same_device(block: Block, expectation: Expectation, device: str) -> bool:
    stated_on_gpu = block.options.gpu or bool(re.search(r"device='(?!cpu)", expectation.text))
    return expectation.kind != "loose" and stated_on_gpu == (device != "cpu")


def _edit_of_result(source: Sequence[str], outcome: Outcome, result: Comparison, file: str) -> Edit | None:
    """Return the edit that updates one stated output; None if it is refused."""
    block, device = outcome.block, outcome.ran.device if outcome.ran else ""
    if not (result.exact and result.got and _same_device(block, result.expectation, device)):
        return None
    if _TEMPLATE.search(result.got) and any(_TEMPLATE.search(line) for line in source):
        return None
    if result.expectation.kind == "output":
        return _output_edit(source, block, result, file)
    return _code_edit(source, block, result, file)


def _code_edit(source: Sequence[str], block: Block, result: Comparison, file: str) -> Edit | None:
    code, spans = block.code.split("\n"), _comment_spans(result.expectation)
    new = _rewritten_code(code, result)
    if new is None or not _is_read_back(block, code, new, result):
        return None
    prefixes: list[str] = []
    first = block.located(spans[0][0])[1]
    for number, span in enumerate(spans):
        prefix = _source_prefix(source, first + number, code[span[0] - 1][span[1] :])
        if prefix is None or block.located(span[0]) != (file, first + number):
            return None
        prefixes.append(prefix)
    last = len(spans) - 1
    texts = []
    for number, text in enumerate(new):
        prefix, rest = prefixes[min(number, last)], text[spans[min(number, last)][1] :]
        texts.append(prefix + rest if rest else prefix.rstrip())
    return Edit(first, first + last, tuple(texts))


def _comment_spans(expectation: Expectation) -> tuple[Span, ...]:
    return expectation.spans or ((expectation.heading,) if expectation.heading else ())


def _new_lines(result: Comparison) -> list[str]:
    """Return the new lines of an output: the stated ones that still hold, and the actual ones."""
    stated, got = result.expectation.text.split("\n"), result.got.split("\n")
    if len(stated) != len(got) or "..." in result.expectation.text:
        return got
    return [old if same_output(old, new) else new for old, new in zip(stated, got, strict=True)]


def _rewritten_code(code: Sequence[str], result: Comparison) -> list[str] | None:
    """Return the code lines with the new output; None if it does not fit."""
    expectation, got = result.expectation, _new_lines(result)
    if expectation.kind == "console":
        got = [line or "<BLANKLINE>" for line in got]
    spans = _comment_spans(expectation)
    if not spans or (len(got) != len(spans) and not expectation.can_grow):
        return None
    dropped = spans[len(got) :]
    if any(code[line - 1][end:].strip() for line, _, end in dropped):
        return None
    new = []
    for number, text in enumerate(got):
        line, start, end = spans[min(number, len(spans) - 1)]
        before = code[line - 1][:start]
        after = code[line - 1][end:] if number < len(spans) else ""
        gap = " " if text and not before.endswith(" ") and expectation.kind == "strict" else ""
        new.append((before + gap + text).rstrip() + after if not text else before + gap + text + after)
    return new


def _is_read_back(block: Block, code: Sequence[str], new: Sequence[str], result: Comparison) -> bool:
    """Return whether rewritten code states the output and is otherwise unchanged."""
    old = result.expectation
    spans = _comment_spans(old)
    first, last = spans[0][0], spans[-1][0]
    text = "\n".join([*code[: first - 1], *new, *code[last:]])
    try:
        stated = expectations(replace(block, code=text, stated_output=None))
        before = expectations(replace(block, stated_output=None))
    except ConsoleError:
        return False
    found = [e for e in stated if e.kind == old.kind and e.line == (old.line if old.spans else first)]
    return len(stated) == len(before) and len(found) == 1 and same_output(found[0].text, result.got)


def _source_prefix(source: Sequence[str], line: int, rest: str) -> str | None:
    """Return the part of a source line before the rest of a code line; None if the source differs."""
    if not 0 < line <= len(source):
        return None
    whole = source[line - 1]
    if not whole.endswith(rest):
        whole, rest = whole.rstrip(), rest.rstrip()
    return whole[: len(whole) - len(rest)] if whole.endswith(rest) else None


def _output_edit(source: Sequence[str], block: Block, result: Comparison, file: str) -> Edit | None:
    """Return the edit of an output block; lines are added and removed before its closing fence."""
    stated = result.expectation.text.split("\n") if result.expectation.spans else []
    got = _new_lines(result)
    places = [block.located_output(number) for number in range(1, len(stated) + 2)]
    first = places[0][1]
    if places != [(file, first + number) for number in range(len(places))] or len(source) < first + len(stated):
        return None
    closing = source[first + len(stated) - 1]
    if any(_FENCE.match(line) for line in got) or not _FENCE.match(closing.lstrip("> \t")):
        return None
    if any(_source_prefix(source, first + number, line) is None for number, line in enumerate(stated)):
        return None
    before = closing[: len(closing) - len(closing.lstrip("> \t"))]
    lines = [before + line if line else before.rstrip() for line in got]
    for index in range(min(len(got), len(stated))):
        if got[index] == stated[index]:
            lines[index] = source[first + index - 1]
    return Edit(first, first + len(stated) - 1, tuple(lines))


def _compatible(edits: Sequence[Edit], held: set[int]) -> list[Edit]:
    """Return the edits that contradict neither one another nor an output that holds.

    A template that renders several pages has one text for all of them, so it can only change for all of them.
    """
    unique = list(dict.fromkeys(edits))

    def clash(one: Edit, other: Edit) -> bool:
        return one != other and one.first <= max(other.last, other.first) and other.first <= max(one.last, one.first)

    return [
        edit
        for edit in unique
        if held.isdisjoint(range(edit.first, edit.last + 1)) and not any(clash(edit, other) for other in unique)
    ]
