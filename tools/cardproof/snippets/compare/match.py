"""Match: compare the output of a block with the stated outputs of its page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from cardproof.snippets.compare.causes import hint_for
from cardproof.snippets.compare.expect import ConsoleError, Expectation, expectations
from cardproof.snippets.compare.outputs import alike, cleaned, has_decimals, same, without_device
from cardproof.snippets.types import Block, BlockRun, Outcome, Printed

__all__ = ["Comparison", "Expectation", "compare", "expectations", "judge_block"]

LONGEST_SHOWN = 300
"""Characters of an output in a message."""

_NO_GPU = re.compile(
    r"Found no NVIDIA driver|not compiled with CUDA|No CUDA GPUs are available|no CUDA-capable device|"
    r"CUDA driver version is insufficient|Cannot access accelerator device"
)


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
        return Outcome(block, "fail", message, ran=ran)
    try:
        results = compare(block, ran, device)
    except ConsoleError as trouble:
        return Outcome(block, "fail", f"not a console that doctest can read: {trouble}", ran=ran)
    return _of_error(block, ran, device, strict_device) or _of_output(block, ran, results, values)


def compare(block: Block, ran: BlockRun, device: str) -> tuple[Comparison, ...]:
    """Return each expectation that was reached, with its output. Raises ConsoleError."""
    results: list[Comparison] = []
    stated = expectations(block)
    for _, group in groupby(stated, key=lambda e: (e.kind == "output", e.statements[-1:])):
        members = list(group)
        if members[0].kind == "output":
            whole = "".join(_text(printed, block.console) for printed in ran.printed)
            results.append(_compare(members[0], (whole,), device))
        elif members[0].kind == "console":
            results += [_console(member, ran, block, device) for member in members]
        elif _reached(members[0], ran):
            outputs = _outputs(members[0], ran.printed)
            results += (
                _shared(members, outputs, device) if len(members) > 1 else [_compare(members[0], outputs, device)]
            )
    return tuple(results)


def _of_error(block: Block, ran: BlockRun, device: str, strict_device: bool) -> Outcome | None:
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
            return Outcome(block, "fail", ran.error, ran=ran, hint=hint)
        return None
    if ran.error is None or (block.console and _is_stated(block, ran)):
        return None
    if device == "cpu" and not strict_device and _NO_GPU.search(ran.error):
        return Outcome(block, "skip", "needs a GPU", ran=ran)
    if line := _ipython_line(block, ran):
        message = f"SyntaxError at line {line}: IPython syntax in a python block"
        return Outcome(block, "fail", message, ran=ran, hint="write it as a shell block, or in Python")
    return Outcome(block, "fail", ran.error, ran=ran, hint=hint_for(ran.error))


def _ipython_line(block: Block, ran: BlockRun) -> int | None:
    """Return the source line of a syntax error that is a magic or a shell command of IPython."""
    code = block.code.split("\n")
    if not (ran.error or "").startswith("SyntaxError") or not ran.error_line or ran.error_line > len(code):
        return None
    magic = re.match(r"\s*(?:!|%{1,2})\w", code[ran.error_line - 1])
    return block.located(ran.error_line)[1] if magic else None


def _is_stated(block: Block, ran: BlockRun) -> bool:
    """Return whether a console's exception arose in an example that states a traceback."""
    return any(e.error and _is_at(e, ran.error_line) for e in expectations(block))


def _of_output(block: Block, ran: BlockRun, results: Sequence[Comparison], values: bool) -> Outcome:
    warnings = []
    for result in results:
        expectation = result.expectation
        file, line = (block.located_output if expectation.kind == "output" else block.located)(
            result.line or expectation.line
        )
        if not values and expectation.kind != "loose" and has_decimals(expectation.text):
            warnings.append(f"line {line}: not compared, its numbers depend on weights that were not at hand")
        elif not result.holds and expectation.kind == "loose":
            warnings.append(f"line {line}: {result.message}")
        elif not result.holds:
            return Outcome(
                block,
                "fail",
                result.message,
                line,
                ran,
                expected_file=file if file != block.file else None,
                hint=result.hint,
                warnings=tuple(warnings),
            )
    ended = "raised" if ran.exit_line is None else "ended the program"
    warnings += [f"line {line}: not compared, the block {ended} before it" for line in _unreached(block, ran)]
    return Outcome(block, "pass", ran=ran, warnings=tuple(warnings))


def _unreached(block: Block, ran: BlockRun) -> list[int]:
    """Return the source lines of expectations after the expected exception of a block, or after its exit."""
    if (block.options.expect_error is None and ran.exit_line is None) or block.console:
        return []
    later = [e for e in expectations(block) if e.kind != "output" and not _reached(e, ran)]
    return [block.located(expectation.line)[1] for expectation in later]


def _reached(expectation: Expectation, ran: BlockRun) -> bool:
    """Return whether the statement of an expectation ended."""
    if ran.exit_line is not None and expectation.statements and expectation.statements[-1][0] > ran.exit_line:
        return False
    return ran.error_line is None or not expectation.statements or expectation.statements[-1][1] < ran.error_line


def _outputs(expectation: Expectation, printed: Sequence[Printed]) -> tuple[str, ...]:
    """Return the possible outputs of an expectation: of its statement, of the last two, three, … statements."""
    outputs: list[str] = []
    for first, last in reversed(expectation.statements):
        own = "".join(_text(item, False) for item in printed if item.line <= last and item.end_line >= first)
        outputs.append(own + (outputs[-1] if outputs else ""))
    return tuple(outputs) or ("",)


def _compare(expectation: Expectation, outputs: Sequence[str], device: str) -> Comparison:
    """Compare with the first output that matches; else with the one that has as many lines."""
    want = expectation.text
    candidates = [_cleaned(output, want, device) for output in outputs]
    for got in candidates:
        if _holds(expectation, got):
            return Comparison(expectation, got, True)
    got = next((c for c in candidates if c.count("\n") == want.count("\n")), candidates[0])
    return _differs(expectation, got)


def _holds(expectation: Expectation, got: str) -> bool:
    return alike(expectation.text, got) if expectation.kind == "loose" else same(expectation.text, got)


def _shared(members: Sequence[Expectation], outputs: Sequence[str], device: str) -> Iterator[Comparison]:
    """Compare the expectations of one statement, which together state its output."""
    want = "\n".join(member.text for member in members)
    got = _cleaned(outputs[0], want, device)
    if same(want, got):
        yield from (Comparison(member, member.text, True) for member in members)
        return
    lines = got.split("\n")
    sliced = len(lines) == want.count("\n") + 1
    for member in members:
        count = member.text.count("\n") + 1
        part = "\n".join(lines[:count]) if sliced else got
        lines = lines[count:] if sliced else lines
        if _holds(member, part):
            yield Comparison(member, part, True)
        else:
            yield replace(_differs(member, part), exact=sliced)


def _console(expectation: Expectation, ran: BlockRun, block: Block, device: str) -> Comparison:
    """Compare one example by doctest's rules; one without an output is not compared."""
    first, last = expectation.statements[0]
    entries = [item for item in ran.printed if item.line <= last and item.end_line >= first]
    error = next((item.error for item in entries if item.error), None)
    if error is None and ran.error is not None and _is_at(expectation, ran.error_line):
        error = ran.error
    if "SKIP" in expectation.flags or (not expectation.text and not expectation.error):
        return Comparison(expectation, "", True)
    if expectation.error is not None:
        return _raised(expectation, error)
    if ran.error_line is not None and last > ran.error_line and not entries:
        line = block.located(ran.error_line)[1]
        return Comparison(expectation, "", False, False, f"not run: the block ended with an exception at line {line}")
    got = _cleaned("".join(_text(item, True) for item in entries), expectation.text, device)
    want = expectation.text
    if "NORMALIZE_WHITESPACE" in expectation.flags:
        want, got = " ".join(want.split()), " ".join(got.split())
    if same(want, got):
        return Comparison(expectation, got, True)
    if expectation.swallowed is not None:
        line = block.located(expectation.swallowed)[1]
        message = f"line {line} '...' is read as a continuation prompt; write <...> or [...] to match any first line"
        return Comparison(expectation, got, False, False, message)
    return _differs(expectation, got)


def _raised(expectation: Expectation, error: str | None) -> Comparison:
    want = expectation.error or ""
    if error is None:
        return Comparison(expectation, "", False, False, f"no exception, expected {_shown(want)}")
    detail = "IGNORE_EXCEPTION_DETAIL" not in expectation.flags
    if same(_unqualified(want, detail), _unqualified(error, detail)):
        return Comparison(expectation, "", True)
    return Comparison(expectation, "", False, False, f"{_shown(error)}, expected {_shown(want)}")


def _unqualified(error: str, detail: bool) -> str:
    """Return an exception's text without its module, which depends on the Python version."""
    name, colon, message = error.partition(":")
    return name.strip().split(".")[-1] + (f":{message}" if detail and colon else "")


def _differs(expectation: Expectation, got: str) -> Comparison:
    """Return a comparison that fails: in the first line that differs if the number of lines is equal."""
    if expectation.kind == "loose":
        message = f"expected something like {_shown(expectation.text)}, got {_shown(got) if got else 'nothing'}"
        return Comparison(expectation, got, False, message=message)
    wanted, found = expectation.text.split("\n"), got.split("\n")
    line, want, have = expectation.line, expectation.text, got
    if len(wanted) == len(found) > 1 and "..." not in expectation.text:
        index = next((i for i, pair in enumerate(zip(wanted, found, strict=True)) if not same(*pair)), None)
        if index is not None:
            line, want, have = expectation.line + index, wanted[index], found[index]
    hint = None
    if not got and expectation.kind == "strict":
        hint = "only what is printed is compared; a value alone is shown by '>>>' blocks only"
    message = f"expected {_shown(want)}, got {_shown(have) if have else 'nothing'}"
    return Comparison(expectation, got, False, True, message, hint, line)


def _text(printed: Printed, console: bool) -> str:
    shown = f"{printed.value}\n" if console and printed.value is not None else ""
    return (printed.text if printed.stdout is None else printed.stdout) + shown


def _cleaned(output: str, want: str, device: str) -> str:
    got = cleaned(output)
    return got if device == "cpu" else without_device(want, got)


def _is_at(expectation: Expectation, line: int | None) -> bool:
    first, last = expectation.statements[0] if expectation.statements else (0, 0)
    return line is not None and first <= line <= last


def _shown(text: str) -> str:
    if len(text) > LONGEST_SHOWN:
        text = f"{text[:LONGEST_SHOWN]}…"
    return '"' + text.replace("\n", "\\n") + '"'
