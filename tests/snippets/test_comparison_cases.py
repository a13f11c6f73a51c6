"""The shared cases of snippets, with what a runner would report: the verdict, the message and its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardproof.snippets.compare.comparison import judge_block
from cardproof.snippets.compare.stated_outputs import expectations, statement_lines
from cardproof.snippets.find.blocks import find_blocks
from cardproof.snippets.types import Block, BlockRun, Printed

CASES = Path(__file__).parents[3] / "shared" / "cases" / "snippets"

STEPS = "".join(f"step {number}\n" for number in range(100))
PROGRESS = "\r  0%\r 25%\r 50%\r 75%\r100%\n"
PRINTS = {
    "05-prints-comment-wrong": {2: "torch.Size([3, 2])\n"},
    "06-prints-like": {3: "husky 0.6399999856948853\nwolf 0.03999999910593033\n"},
    "08-output-text-block": {1: "a 1\n", 2: "b 2\n"},
    "09-output-text-block-not-adjacent": {1: "hello\n"},
    "18-crlf": {1: "cr lf\n"},
    "33-bom-and-unicode": {2: "naïve ✓\n"},
    "56-float-noise": {3: "0.30000001192092896\n"},
    "57-cpu-gpu-float": {5: "tensor(15.6907)\n"},
    "60-partial-output": {1: STEPS},
    "62-whitespace-only-difference": {1: "a   \nb\n"},
    "63-prints-in-a-string": {2: "# prints: nothing\n"},
    "65-async-top-level": {6: "7\n"},
    "66-name-main": {4: "main ran\n"},
    "68-dataloader-workers": {4: "[0, 1, 2, 3]\n[4, 5, 6, 7]\n"},
    "69-fd-level-output": {2: "py 1\n", 3: "shell\n", 4: "raw\n", 5: "py 2\n"},
    "71-stderr-progress-bar": {2: PROGRESS, 5: "done\n"},
    "80-source-introspection": {10: "def g(a):\n", 12: "x: int = 1\n", 14: "P(x=5)\n"},
    "89-ansi-output": {1: "\x1b[31mred\x1b[0m plain\n"},
    "90-secrets-and-paths": {2: "None\n"},
    "95-code-annotation": {2: "2\n"},
    "98-parallel-op-after-warm-up": {3: "tensor(True)\n"},
    "99-clock": {3: "took 0.001 s\n"},
}
"""Per case: what each statement of its first block prints, by the line at which it begins."""

CHECKED = {
    "02-doctest-prompts": [6, 8],
    "03-doctest-prompts-no-output": [],
    "06-prints-like": [7],
    "08-output-text-block": [9],
    "09-output-text-block-not-adjacent": [],
    "63-prints-in-a-string": [4],
    "95-code-annotation": [4],
}
"""Per case: first source lines of what is compared, by EXPECT.txt."""


def page_blocks(name: str) -> tuple[Block, ...]:
    text = (CASES / name / "page.md").read_bytes().decode("utf-8")
    return find_blocks(text, "page.md", base_path=CASES / name)[0]


def ran(block: Block, prints: dict[int, str], **more) -> BlockRun:
    statements = statement_lines(block.code)
    return BlockRun(True, tuple(Printed(a, b, prints.get(a, "")) for a, b in statements), **more)


def judged(name: str, number: int = 0, device: str = "cpu", prints: dict[int, str] | None = None, **more):
    block = page_blocks(name)[number]
    return judge_block(block, ran(block, PRINTS[name] if prints is None else prints, device=device, **more), device)


@pytest.fixture(autouse=True)
def _cases(shared):
    """All of these read the shared cases."""


@pytest.mark.parametrize("name", [name for name in PRINTS if name != "05-prints-comment-wrong"])
def test_a_case_that_prints_what_it_states_passes(name):
    outcome = judged(name)
    assert (outcome.status, outcome.message, outcome.warnings) == ("pass", "", ())


@pytest.mark.parametrize("name", [*PRINTS])
def test_a_case_that_prints_nothing_fails_where_it_states_an_output(name):
    outcome = judged(name, prints={})
    stated = expectations(page_blocks(name)[0])
    site_findings = any(expectation.kind == "loose" for expectation in stated)
    assert outcome.status == ("fail" if stated and not site_findings else "pass")
    assert bool(outcome.warnings) == site_findings


@pytest.mark.parametrize("name", [*CHECKED])
def test_the_lines_that_a_case_says_are_compared(name):
    block = page_blocks(name)[0]
    found = [e for e in expectations(block) if e.text]
    lines = [block.stated_output[1] if e.kind == "output" else block.line + e.line - 1 for e in found]
    if name == "02-doctest-prompts":
        lines = [block.line + e.statements[0][0] - 1 for e in found]
    assert lines == CHECKED[name]


def test_05_a_wrong_output_is_reported_at_its_line_with_the_statements_line_beside_it():
    outcome = judged("05-prints-comment-wrong")
    assert outcome.status == "fail"
    assert f"page.md:{outcome.expected_line}: {outcome.message}" == (
        'page.md:4: expected "torch.Size([2, 3])", got "torch.Size([3, 2])"'
    )


def test_02_consoles_show_values_by_repr_and_none_as_nothing():
    (block,) = page_blocks("02-doctest-prompts")
    printed = (Printed(1, 1, ""), Printed(2, 4, ""), Printed(5, 5, "", "3"), Printed(7, 7, "", "'aaa'"))
    assert judge_block(block, BlockRun(True, printed), "cpu").status == "pass"
    wrong = (*printed[:3], Printed(7, 7, "", "'aa'"))
    outcome = judge_block(block, BlockRun(True, wrong), "cpu")
    assert (outcome.message, outcome.expected_line) == ("""expected "'aaa'", got "'aa'\"""", 9)


def test_03_a_value_without_a_stated_output_is_not_compared():
    (block,) = page_blocks("03-doctest-prompts-no-output")
    printed = (Printed(3, 3, "", "Linear(in_features=2, out_features=2, bias=True)"),)
    assert judge_block(block, BlockRun(True, printed), "cpu").status == "pass"


def test_06_a_loose_output_only_warns_however_it_differs():
    assert judged("06-prints-like", prints={3: "husky 0.1\nwolf 0.2\n"}).warnings == ()
    for other in ("husky 0.1\n", "husky 1\nwolf 2\n", "cat 0.1\ndog 0.2\n"):
        outcome = judged("06-prints-like", prints={3: other})
        assert outcome.status == "pass"
        assert outcome.warnings[0].startswith("line 7: expected something like")


def test_21_and_39_skipped_blocks_have_their_reason():
    for name, reason in [("21-brace-attributes", "needs 80 GB"), ("39-skip-with-reason", "downloads 3 GB")]:
        outcome = judge_block(page_blocks(name)[0], BlockRun(False, ()), "cpu")
        assert (outcome.status, outcome.message) == ("skip", reason)


def test_44_a_block_without_its_own_message_failed():
    outcome = judge_block(
        page_blocks("44-os-exit-zero")[0], BlockRun(False, (Printed(2, 2, "about to vanish\n"),)), "cpu"
    )
    assert outcome.status == "fail"
    assert outcome.message == "process ended inside this block, before reporting"
    killed = judge_block(page_blocks("45-segfault")[0], BlockRun(False, (), "killed by SIGSEGV"), "cpu")
    assert (killed.status, killed.message) == ("fail", "killed by SIGSEGV")


def test_57_and_87_a_gpu_in_the_output_is_ignored_on_a_gpu_only():
    assert (
        judged("57-cpu-gpu-float", device="cuda:0", prints={5: "tensor(15.6907, device='cuda:0')\n"}).status == "pass"
    )
    on_gpu = {4: "tensor([1., 1.], device='cuda:0')\n"}
    assert judged("87-cuda-on-a-cpu-machine", device="cuda:0", prints=on_gpu).status == "pass"
    assert judged("87-cuda-on-a-cpu-machine", prints=on_gpu).status == "fail"


def test_59_dots_that_are_a_prompt_are_named():
    (block,) = page_blocks("59-ellipsis-first-line")
    outcome = judge_block(block, BlockRun(True, (Printed(1, 2, "noise\nend\n"),)), "cpu")
    assert outcome.status == "fail"
    assert outcome.message == (
        "line 3 '...' is read as a continuation prompt; write <...> or [...] to match any first line"
    )


def test_69_only_the_last_statements_output_is_stated():
    block = page_blocks("69-fd-level-output")[0]
    assert judge_block(block, ran(block, {**PRINTS["69-fd-level-output"], 2: "other\n"}), "cpu").status == "pass"
    assert judge_block(block, ran(block, {5: "py 3\n"}), "cpu").status == "fail"


def test_74_expected_exceptions_pass():
    script, console = page_blocks("74-expected-exception")
    error = "ValueError: invalid literal for int() with base 10: 'x'"
    assert judge_block(script, BlockRun(True, (), error, error_line=1), "cpu").status == "pass"
    assert judge_block(console, BlockRun(True, (), error, error_line=1), "cpu").status == "pass"
    other = judge_block(console, BlockRun(True, (), "TypeError: no", error_line=1), "cpu")
    assert (other.status, other.expected_line) == ("fail", 7)


def test_75_missing_and_other_exceptions_are_named():
    first, second = page_blocks("75-expected-exception-missing")
    none = judge_block(first, BlockRun(True, ()), "cpu")
    other = judge_block(second, BlockRun(True, (), "ZeroDivisionError: division by zero", error_line=1), "cpu")
    assert (none.status, none.message) == ("fail", "no exception, expected ValueError")
    assert (other.status, other.message) == ("fail", "ZeroDivisionError, expected ValueError")


def test_87_a_block_that_finds_no_gpu_is_skipped_unless_devices_are_strict():
    block = page_blocks("87-cuda-on-a-cpu-machine")[1]
    result = BlockRun(True, (), "AssertionError: Torch not compiled with CUDA enabled", error_line=1)
    outcome = judge_block(block, result, "cpu")
    assert (outcome.status, outcome.message) == ("skip", "needs a GPU")
    assert judge_block(block, result, "cpu", strict_device=True).status == "fail"
    assert judge_block(block, result, "cuda:0").status == "fail"


def test_92_ipython_syntax_is_named():
    (block,) = page_blocks("92-magic-and-shell")
    outcome = judge_block(block, BlockRun(True, (), "SyntaxError: invalid syntax", error_line=1), "cpu")
    assert outcome.message == "SyntaxError at line 2: IPython syntax in a python block"


def test_93_the_stated_output_is_in_line_5():
    outcome = judged("93-update-mode", prints={1: "new\n", 3: "xxx\n"})
    assert (outcome.status, outcome.message, outcome.expected_line) == ("fail", 'expected "old", got "new"', 5)
