"""Comparison of the output of a block with the stated outputs of its page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from cardproof.snippets.compare.causes import hint_for
from cardproof.snippets.compare.outputs import (
    clean_output,
    close_output,
    has_decimals,
    same_kinds,
    same_output,
    without_device,
)
from cardproof.snippets.compare.stated_outputs import Expectation, compared_lines, expectations
from cardproof.snippets.compare.value_comments import StatedValue, compare_value, depends_on_weights, stated_values
from cardproof.snippets.doctest_blocks import Example
from cardproof.snippets.types import Block, BlockRun, ConsoleError, Outcome, Printed

__all__ = ["Comparison", "Expectation", "compare", "expectations", "judge_block"]

LONGEST_SHOWN = 300
"""Characters of an output in a message."""
MOST_PIECES = 200
"""Lines that a body printed from which on they are compared with a stated output."""
MOST_SHOWN = 20
"""Wrong outputs of a block in its message."""

_NO_GPU = re.compile(
    r"Found no NVIDIA driver|not compiled with CUDA|No CUDA GPUs are available|no CUDA-capable device|"
    r"CUDA driver version is insufficient|Cannot access accelerator device"
)


_NOT_PYTHON = (
    (re.compile(r"^\s*(?:!|%{1,2})\w|^\s*In ?\[\d+\]:|=\s*[!%]\w|^\s*\?+\w|[\w.]\?{1,2}\s*$"),
     "IPython syntax in a python block",
     "write it as a shell block, or in Python"),
    (re.compile(r"^\s*(?:\$ |(?:pip3?|conda|git|cd|python3?|wget|curl|apt|apt-get|export|mkdir|uv) +[\w./~-])"),
     "a shell command in a python block", "write it in a block of its own, ```console"),
    (re.compile(r"<[A-Za-z][\w .-]*>"), "'{}' is not Python: it stands for something of the reader's",
     "write a name in capitals and give it a value for the run, under 'placeholders', or mark the block .skip"),
)  # fmt: skip
"""What is often written in blocks of Python and is not Python."""


class Comparison(Struct, frozen=True):
    """An expectation with its output."""

    expectation: Expectation
    got: str
    """The cleaned output."""
    holds: bool
    exact: bool = True
    """``got`` is the output of this expectation alone, so that it can replace the stated text."""
    message: str = ""
    hint: str | None = None
    line: int = 0
    """The line of the expectation that differs, within the code or the stated output."""
    known: bool = True
    """What was printed for this expectation is known; otherwise a difference is a warning."""


def judge_block(
    block: Block, ran: BlockRun, device: str, *, strict_device: bool = False, values: bool = True
) -> Outcome:
    """Return the outcome of a block that ran on ``device`` (``cpu``, ``cuda:0``).

    Without ``strict_device`` a block that finds no GPU on the CPU is skipped. Without ``values`` (the weights were
    missing) expectations with decimals are not compared, which gives a warning.
    """
    if block.options.skip:
        return Outcome(block, "skip", block.options.reason, ran=ran)
    if not ran.ended:
        message = ran.error or "process ended inside this block, before reporting"
        return Outcome(block, "fail", readable(message), ran=ran)
    try:
        results = compare(block, ran, device)
    except ConsoleError as trouble:
        file, line = block.located(trouble.line)
        other = file if file != block.file else None
        message = f"not a console that doctest can read: {readable(str(trouble))}"
        return Outcome(block, "fail", message, line, ran, expected_file=other)
    if block.console and (reason := _not_run(block, ran)):
        return Outcome(block, "skip", reason, ran=ran)
    if (raised := _judge_error(block, ran, device, strict_device)) is None:
        return _judge_output(block, ran, results, values)
    output = _judge_output(block, ran, [result for result in results if _is_before_error(result, ran)], values)
    return replace(output, message=f"{output.message}; then {raised.message}") if output.status == "fail" else raised


def _is_before_error(result: Comparison, ran: BlockRun) -> bool:
    statements = result.expectation.statements if result.expectation.kind != "output" else ()
    return bool(statements and ran.error_line is not None and statements[-1][1] < ran.error_line)


def _not_run(block: Block, ran: BlockRun) -> str | None:
    """Return why a console was not run: it has no example, all of them are left out, or one that is binds a name."""
    found = [stated.example for stated in expectations(block)]
    if all(example and example.left_out for example in found):
        return found[0].left_out if found and found[0] else "nothing to run: no line begins with '>>> '"
    missing = re.match(r"NameError: name '(\w+)' is not defined", ran.error or "")
    lines = block.code.split("\n")
    for example in found if missing else ():
        if example and example.left_out and missing:
            code = "\n".join(lines[example.line - 1 : example.end_line])
            if re.search(rf"\b{missing[1]}\b", code):
                place = block.located(example.line)[1]
                return f"needs '{missing[1]}' of line {place}, which was not run: {example.left_out}"
    return None


def compare(block: Block, ran: BlockRun, device: str) -> tuple[Comparison, ...]:
    """Return each expectation that was reached, with its output. Raises ConsoleError."""
    results: list[Comparison] = []
    stated = expectations(block)
    for _, group in groupby(stated, key=lambda e: (e.kind == "output", e.statements[-1:])):
        members = list(group)
        if members[0].kind == "output":
            whole = "".join(_text_of_printed(printed, block.console) for printed in ran.printed)
            results.append(_compare(members[0], (whole,), device))
        elif members[0].kind == "console":
            results += [_compare_examples(member, ran, block, device) for member in members]
        elif _is_reached(members[0], ran):
            outputs = _outputs(members[0], ran.printed)
            judged = (
                _compare_group(members, outputs, device)
                if len(members) > 1
                else [_compare(members[0], outputs, device)]
            )
            results += (_by_its_lines(result, ran, block, device) for result in judged)
    return tuple(results)


def _judge_error(block: Block, ran: BlockRun, device: str, strict_device: bool) -> Outcome | None:
    """Return the outcome of a block by its exception; None if it raised nothing, or the expected exception."""
    expected = block.options.expect_error
    if expected is not None:
        if ran.error is None:
            return Outcome(block, "fail", f"no exception, expected {expected or 'one'}", ran=ran)
        name = ran.error.split(":")[0].strip()
        if expected and expected.split(".")[-1] != name.split(".")[-1]:
            return Outcome(block, "fail", f"{name}, expected {expected}", ran=ran)
        if not expected and name == "SyntaxError":
            hint = "a typing error would pass as well: write expect-error=SyntaxError if it is meant"
            return Outcome(block, "fail", readable(ran.error), ran=ran, hint=hint)
        return None
    if ran.error is None:
        return None
    if block.console and any(e.example and e.example.error and _is_at(e, ran.error_line) for e in expectations(block)):
        return None
    if device == "cpu" and not strict_device and _NO_GPU.search(ran.error):
        return Outcome(block, "skip", "needs a GPU", ran=ran)
    message, advice = _advice(block, ran) or (readable(ran.error), hint_for(ran.error))
    return Outcome(block, "fail", message, ran=ran, hint=advice)


def _advice(block: Block, ran: BlockRun) -> tuple[str, str] | None:
    """Return message and hint for a syntax error that is a shell command, IPython's own syntax, or a placeholder."""
    code = block.code.split("\n")
    if not (ran.error or "").startswith("SyntaxError") or not ran.error_line or ran.error_line > len(code):
        return None
    start = f"SyntaxError at line {block.located(ran.error_line)[1]}"
    for pattern, what, hint in _NOT_PYTHON:
        if found := pattern.search(code[ran.error_line - 1]):
            return f"{start}: {what.format(found[0].strip())}", hint
    return None


def _judge_output(block: Block, ran: BlockRun, results: Sequence[Comparison], values: bool) -> Outcome:
    warnings: list[str] = []
    wrong: list[tuple[str, int, Comparison]] = []
    for result in results:
        expectation = result.expectation
        file, line = (block.located_output if expectation.kind == "output" else block.located)(
            result.line or expectation.line
        )
        if not values and expectation.kind != "loose" and has_decimals(expectation.text):
            warnings.append(f"line {line}: not compared, its numbers depend on weights that were not at hand")
        elif not result.holds and (expectation.kind == "loose" or not result.known):
            warnings.append(f"line {line}: {result.message}")
        elif not result.holds:
            wrong.append((file, line, result))
    warnings += _comments_that_differ(block, ran, values)
    if wrong:
        file, line, first = wrong[0]
        shown = [f"{'' if f == file else f'{f}, '}line {n}: {result.message}" for f, n, result in wrong[1:MOST_SHOWN]]
        more = [f"and {len(wrong) - MOST_SHOWN} more"] if len(wrong) > MOST_SHOWN else []
        message = "; ".join([first.message, *shown, *more])
        other = file if file != block.file else None
        return Outcome(block, "fail", message, line, ran, other, first.hint, tuple(warnings))
    ended = "raised" if ran.exit_line is None else "ended the program"
    warnings += [f"line {line}: not compared, the block {ended} before it" for line in _unreached_lines(block, ran)]
    return Outcome(block, "pass", ran=ran, warnings=tuple(warnings))


def _comments_that_differ(block: Block, ran: BlockRun, values: bool) -> Iterator[str]:
    """Yield warnings about values in comments that differ from the actual values."""
    if block.console or block.stated_output is not None:
        return
    compared = compared_lines(block)
    for stated in stated_values(block.code):
        if stated.line in compared or not (values or not depends_on_weights(stated)):
            continue
        answers = {got: compare_value(stated, got) for got in _actual_values(stated, ran)}
        line = block.located(stated.line)[1]
        if "holds" in answers.values() or not answers:
            continue
        got, found = next(iter(answers.items()))
        if found == "differs":
            yield f"line {line}: the comment says {_quote(stated.text)}, it is {_quote(got)}"
        elif found == "unclear":
            yield f"line {line}: the comment looks like an output, and could not be compared with {_quote(got)}"


def _actual_values(stated: StatedValue, ran: BlockRun) -> Iterator[str]:
    """Yield the outputs or the value that a comment may state; none if they are not known."""
    first, last = stated.lines
    if stated.is_top:
        own = [item for item in ran.printed if item.line <= first and item.end_line >= last][-1:]
        texts = [(item.value or "") if not stated.is_print else _text_of_printed(item, False) for item in own]
        yield from (clean_output(text) for text in texts if text)
        return
    parts = [part for item in ran.printed for part in item.parts]
    if text := clean_output("".join(text for lines, text in parts if any(first <= line <= last for line in lines))):
        yield from _runs_of_lines(text, stated.text)


def _unreached_lines(block: Block, ran: BlockRun) -> list[int]:
    """Return the source lines of expectations after the expected exception of a block, or after its exit."""
    if (block.options.expect_error is None and ran.exit_line is None) or block.console:
        return []
    later = [e for e in expectations(block) if e.kind != "output" and not _is_reached(e, ran)]
    return [block.located(expectation.line)[1] for expectation in later]


def _is_reached(expectation: Expectation, ran: BlockRun) -> bool:
    if ran.exit_line is not None and expectation.statements and expectation.statements[-1][0] > ran.exit_line:
        return False
    return ran.error_line is None or not expectation.statements or expectation.statements[-1][1] < ran.error_line


def _outputs(expectation: Expectation, printed: Sequence[Printed]) -> tuple[str, ...]:
    """Return the possible outputs of an expectation: of its statement, of the last two, three, … statements."""
    outputs: list[str] = []
    for first, last in reversed(expectation.statements):
        own = "".join(_text_of_printed(item, False) for item in printed if item.line <= last and item.end_line >= first)
        outputs.append(own + (outputs[-1] if outputs else ""))
    return tuple(outputs) or ("",)


def _compare(expectation: Expectation, outputs: Sequence[str], device: str) -> Comparison:
    """Compare with the first output that matches; else with the one that has as many lines."""
    want = expectation.text
    candidates = [_clean_output(output, want, device) for output in outputs]
    for got in candidates:
        if _matches(expectation, got):
            return Comparison(expectation, got, True)
    got = next((c for c in candidates if c.count("\n") == want.count("\n")), candidates[0])
    return _failed_comparison(expectation, got)


def _matches(expectation: Expectation, got: str) -> bool:
    return same_kinds(expectation.text, got) if expectation.kind == "loose" else same_output(expectation.text, got)


def _compare_group(members: Sequence[Expectation], outputs: Sequence[str], device: str) -> Iterator[Comparison]:
    want = "\n".join(member.text for member in members)
    got = _clean_output(outputs[0], want, device)
    if same_output(want, got):
        yield from (Comparison(member, member.text, True) for member in members)
        return
    lines = got.split("\n")
    sliced = len(lines) == want.count("\n") + 1
    for member in members:
        count = member.text.count("\n") + 1
        part = "\n".join(lines[:count]) if sliced else got
        lines = lines[count:] if sliced else lines
        if _matches(member, part):
            yield Comparison(member, part, True)
        else:
            yield replace(_failed_comparison(member, part), exact=sliced)


def _by_its_lines(result: Comparison, ran: BlockRun, block: Block, device: str) -> Comparison:
    """Return the comparison of an output of an inner body with what was printed while its lines ran, if that differs.

    A body runs any number of times, so that an output may be any of those that came out.
    """
    expectation = result.expectation
    if result.holds or not expectation.inner:
        return result
    parts = [part for printed in ran.printed for part in printed.parts]
    last, own = expectation.inner[-1][1], ""
    for first, _ in reversed(expectation.inner):
        text = "".join(text for lines, text in parts if any(first <= line <= last for line in lines))
        own = own or text
        for got in _parts_of_output(_clean_output(text, expectation.text, device), expectation):
            if _matches(expectation, got):
                return Comparison(expectation, got, True, exact=False)
    if own and expectation.in_function:
        return replace(_failed_comparison(expectation, _clean_output(own, expectation.text, device)), exact=False)
    if expectation.in_function or (parts and not own and not result.exact):
        line = block.located(expectation.inner[-1][0])[1]
        message = f"not compared: it is not known that line {line} printed anything in this block"
        return Comparison(expectation, "", False, False, message, known=False)
    return result


def _parts_of_output(got: str, expectation: Expectation) -> Iterator[str]:
    """Yield an output, and as many lines of it as are stated, from each line on.

    A comment below the lines of a loop states all that the loop printed.
    """
    if "..." in expectation.text or len(got) <= 20 * len(expectation.text) + 1000:
        yield got
    if expectation.in_function or not expectation.can_grow:
        yield from _runs_of_lines(got, expectation.text)


def _runs_of_lines(got: str, want: str) -> Iterator[str]:
    """Yield as many lines of an output as are stated, from each line on."""
    lines, count = got.split("\n"), want.count("\n") + 1
    yield from dict.fromkeys("\n".join(lines[at : at + count]) for at in range(min(MOST_PIECES, len(lines))))


def _compare_examples(expectation: Expectation, ran: BlockRun, block: Block, device: str) -> Comparison:
    """Compare one example by doctest's rules; one without an output is not compared."""
    example = expectation.example
    assert example is not None
    first, last = example.line, example.end_line
    entries = [item for item in ran.printed if item.line <= last and item.end_line >= first]
    error = next((item.error for item in entries if item.error), None)
    if error is None and ran.error is not None and _is_at(expectation, ran.error_line):
        error = ran.error
    if not example.is_compared or (not expectation.text and not example.error):
        return Comparison(expectation, "", True)
    if example.error is not None:
        return _compare_error(expectation, example, error)
    if ran.error_line is not None and last > ran.error_line and not entries:
        line = block.located(ran.error_line)[1]
        return Comparison(expectation, "", False, False, f"not run: the block ended with an exception at line {line}")
    got = _clean_output("".join(_text_of_printed(item, True) for item in entries), expectation.text, device)
    if _same_example(expectation.text, got, example.flags):
        return Comparison(expectation, got, True)
    if expectation.swallowed is not None:
        line = block.located(expectation.swallowed)[1]
        message = f"line {line} '...' is read as a continuation prompt; write <...> or [...] to match any first line"
        return Comparison(expectation, got, False, False, message)
    return _failed_comparison(expectation, got)


def _same_example(want: str, got: str, flags: frozenset[str]) -> bool:
    if "NORMALIZE_WHITESPACE" in flags:
        want, got = " ".join(want.split()), " ".join(got.split())
    for flag, prefix in (("ALLOW_UNICODE", "uU"), ("ALLOW_BYTES", "bB")):
        if flag in flags:  # of pytest: 'x' is u'x' or b'x'
            pattern = rf"(?<!\w)[{prefix}](?=[rR]?['\"])"
            want, got = re.sub(pattern, "", want), re.sub(pattern, "", got)
    is_old = "DONT_ACCEPT_TRUE_FOR_1" not in flags and (want, got) in (("1", "True"), ("0", "False"))
    return is_old or (close_output if "FLOAT_CMP" in flags else same_output)(want, got)


def _compare_error(expectation: Expectation, example: Example, error: str | None) -> Comparison:
    want = example.error or ""
    if error is None:
        return Comparison(expectation, "", False, False, f"no exception, expected {_quote(want)}")
    detail = "IGNORE_EXCEPTION_DETAIL" not in example.flags
    if same_output(_unqualified(want, detail), _unqualified(error, detail)):
        return Comparison(expectation, "", True)
    return Comparison(expectation, "", False, False, f"{_quote(error)}, expected {_quote(want)}")


def _unqualified(error: str, detail: bool) -> str:
    """Return an exception's text without its module, which depends on the Python version."""
    name, colon, message = error.partition(":")
    return name.strip().split(".")[-1] + (f":{message}" if detail and colon else "")


def _failed_comparison(expectation: Expectation, got: str) -> Comparison:
    """Return a comparison that fails: in the first line that differs if the number of lines is equal."""
    if expectation.kind == "loose":
        message = f"expected something like {_quote(expectation.text)}, got {_quote(got) if got else 'nothing'}"
        return Comparison(expectation, got, False, message=message)
    wanted, found = expectation.text.split("\n"), got.split("\n")
    line, want, have = expectation.line, expectation.text, got
    if len(wanted) == len(found) > 1 and "..." not in expectation.text:
        index = next((i for i, pair in enumerate(zip(wanted, found, strict=True)) if not same_output(*pair)), None)
        if index is not None:
            line, want, have = expectation.line + index, wanted[index], found[index]
    hint = None
    if not got and expectation.kind == "strict":
        hint = "only what is printed is compared; a value alone is shown by '>>>' blocks only"
    message = f"expected {_quote(want)}, got {_quote(have) if have else 'nothing'}"
    return Comparison(expectation, got, False, True, message, hint, line)


def _text_of_printed(printed: Printed, console: bool) -> str:
    shown = f"{printed.value}\n" if console and printed.value is not None else ""
    return (printed.text if printed.stdout is None else printed.stdout) + shown


def _clean_output(output: str, want: str, device: str) -> str:
    got = clean_output(output)
    return got if device == "cpu" else without_device(want, got)


def _is_at(expectation: Expectation, line: int | None) -> bool:
    first, last = expectation.statements[0] if expectation.statements else (0, 0)
    return line is not None and first <= line <= last


def _quote(text: str) -> str:
    if len(text) > LONGEST_SHOWN:
        text = f"{text[:LONGEST_SHOWN]}…"
    return f'"{readable(text)}"'


def readable(text: str) -> str:
    """Return text in one line, with a sign for each line end."""
    return text.strip("\n").replace("\n", "⏎").replace("\t", " ")
