"""Consoles: read, run and compared as doctest does it, with the directives of other tools."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cardproof.snippets.compare.comparison import judge_block
from cardproof.snippets.compare.stated_outputs import unknown_directives
from cardproof.snippets.doctest_blocks import examples, is_console
from cardproof.snippets.find.blocks import find_blocks
from cardproof.snippets.run.page_runner import Job, Runner
from cardproof.snippets.types import Block, BlockRun, ConsoleError, Options, Printed


def console(code: str) -> Block:
    return Block("page.md", 10, code, Options(), console=True)


@pytest.fixture(scope="module")
def runner():
    with Runner(preload=()) as running:
        yield running


@pytest.fixture
def judged(runner):
    """Return a function that runs and judges the consoles of a page."""

    def _judged(*codes: str):
        blocks = tuple(console(code) for code in codes)
        runs = runner.run(Job("page.md", blocks))
        return [judge_block(block, ran, "cpu") for block, ran in zip(blocks, runs, strict=True)]

    return _judged


def printed(code: str, text: str):
    return judge_block(console(code), BlockRun(True, (Printed(1, 1, text),)), "cpu")


def test_a_skipped_example_is_not_run_and_binds_nothing(judged):
    (outcome,) = judged(">>> x = 1\n>>> x = 1 / 0  # doctest: +SKIP\n>>> x\n1")
    assert (outcome.status, outcome.message) == ("pass", "")
    assert [item.line for item in outcome.ran.printed] == [1, 3]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (">>> 1 / 0  # doctest: +SKIP\n>>> y  # doctest: +SKIP", "marked '# doctest: +SKIP'"),
        (">>> # doctest: +SKIP\n>>> 1 / 0\n>>> 2", "marked '# doctest: +SKIP'"),
        ('>>> 1 / 0  # xdoctest: +SKIP("undefined")', "marked '# doctest: +SKIP'"),
        (">>> 1 / 0  # doctest: +SKIP  # it's slow", "marked '# doctest: +SKIP'"),
        (">>> get()  # doctest: +REMOTE_DATA", "needs the network: marked '# doctest: +REMOTE_DATA'"),
        (
            ">>> f()  # doctest: +REQUIRES(env:CUDA)",
            "marked '# doctest: +REQUIRES', a condition of xdoctest that is not decided here",
        ),
        ("print(1)", "nothing to run: no line begins with '>>> '"),
    ],
)
def test_a_console_of_which_nothing_runs_is_skipped_with_the_reason(judged, code, reason):
    (outcome,) = judged(code)
    assert (outcome.status, outcome.message) == ("skip", reason)


def test_an_example_that_needs_a_skipped_one_is_not_a_failure(judged):
    (outcome,) = judged(">>> x = load()  # doctest: +SKIP\n>>> x\n3")
    assert outcome.status == "skip"
    assert outcome.message == "needs 'x' of line 10, which was not run: marked '# doctest: +SKIP'"
    (other,) = judged(">>> x = load()  # doctest: +SKIP\n>>> y\n3")
    assert other.status == "fail"


@pytest.mark.parametrize("text", ["# doctest: +SKIP", '"# doctest: +SKIP"'])
def test_a_directive_in_a_text_is_none(text):
    assert (examples(f">>> f()  {text}")[0].left_out is None) == text.startswith('"')


@pytest.mark.parametrize(
    ("code", "line", "reason"),
    [
        (">>> import os\n>>>x = 1", 11, "lacks blank after >>>: '>>>x = 1'"),
        (">>> for i in 'a':\n...print(i)", 11, "lacks blank after ...: '...print(i)'"),
        ("  >>> f()\n a", 11, "has inconsistent leading whitespace: 'a'"),
    ],
)
def test_a_console_that_cannot_be_read_fails_at_its_line_and_the_others_run(judged, code, line, reason):
    broken, other = judged(code, ">>> 1 + 1\n2")
    assert (broken.status, broken.expected_line) == ("fail", line)
    assert broken.message == f"not a console that doctest can read: {reason}"
    assert broken.ran.error_line == line - 9
    assert other.status == "pass"
    with pytest.raises(ConsoleError, match=r"blank|whitespace"):
        examples(code)


@pytest.mark.parametrize("flag", ["FLOAT_CMP", "NUMBER", "IGNORE_RESULT", "REMOTE_DATA", "FOO", "REPORT_NDIFF"])
def test_flags_of_other_tools_end_no_page(judged, flag):
    outcome, after = judged(f">>> 0.1 + 0.2  # doctest: +{flag}\n0.3", ">>> 1\n1")
    assert outcome.status == ("skip" if flag == "REMOTE_DATA" else "pass")
    assert after.status == "pass"


def test_only_a_directive_that_nobody_knows_is_reported():
    block = console(">>> 1  # doctest: +FLOAT_CMP, +FOO\n1\n>>> 2  # doctest: SKIP\n3")
    assert unknown_directives(block) == ((1, "+FOO"), (3, "SKIP"))
    assert unknown_directives(console(">>>x")) == ()


@pytest.mark.parametrize(
    ("flag", "want", "got", "holds"),
    [
        ("+FLOAT_CMP", "1.0000001", "1.0", True),
        ("+FLOAT_CMP", "1.001", "1.0", False),
        ("+NUMBER", "3.14", "3.14159", True),
        ("+NUMBER", "3.15", "3.14159", False),
        ("+IGNORE_OUTPUT", "x", "y", True),
        ("+NORMALIZE_WHITESPACE", "a b", "a\n   b", True),
        ("+NORMALIZE_WHITESPACE", "a b", "a c", False),
        ("+ELLIPSIS", "a...c", "abc", True),
        ("+ALLOW_UNICODE", "u'x'", "'x'", True),
        ("+ALLOW_BYTES", "b'x'", "'x'", True),
        ("+ELLIPSIS", "1", "True", True),
        ("+DONT_ACCEPT_TRUE_FOR_1", "1", "True", False),
        ("+DONT_ACCEPT_BLANKLINE", "<BLANKLINE>", "<BLANKLINE>", True),
        ("+ELLIPSIS", "a\n<BLANKLINE>\nb", "a\n\nb", True),
    ],
)
def test_flags_mean_what_their_tools_say(flag, want, got, holds):
    outcome = printed(f">>> f()  # doctest: {flag}\n{want}", f"{got}\n")
    assert (outcome.status == "pass") == holds, outcome.message


@pytest.mark.parametrize(
    "first", ["# A comment.", "import os", "import os\nfrom pathlib import Path\n", "\n# a\n\nx = 1"]
)
def test_prompts_after_python_are_a_console(judged, first):
    code = f"{first}\n>>> 1 + 1\n2"
    (block,), _ = find_blocks(f"```python\n{code}\n```\n", "page.md")
    assert block.console
    (outcome,) = judged(code + "\n>>> 2\n3")
    assert outcome.message == 'expected "3", got "2"'


def test_python_before_the_first_prompt_is_run(judged):
    (outcome,) = judged("import os\n>>> os.sep\n'/'")
    assert (outcome.status, outcome.message) == ("pass", "")


@pytest.mark.parametrize(
    "code",
    [
        'def f():\n    """Add.\n\n    >>> f()\n    1\n    """\n    return 1',
        "x = '''\n>>> 1\n'''",
        "x >>= 2\ny = x >>\\\n1",
        'def f(:\n    """\n    >>> f()\n    """',
    ],
)
def test_prompts_inside_of_python_are_no_console(code):
    assert not is_console(code)


def test_all_wrong_examples_are_named(judged):
    (outcome,) = judged(">>> 1\n2\n>>> 3\n3\n>>> print('a\\nb')\nc")
    assert outcome.expected_line == 11
    assert outcome.message == 'expected "2", got "1"; line 15: expected "c", got "a⏎b"'


def test_a_console_above_an_output_block_that_lacks_a_name_fails_with_that_error():
    block = replace(console(">>> print(y)\n1"), stated_output=("1", 9))
    ran = BlockRun(True, (Printed(1, 1, ""),), "NameError: name 'y' is not defined", error_line=1)
    outcome = judge_block(block, ran, "cpu")
    assert (outcome.status, outcome.message) == ("fail", "NameError: name 'y' is not defined")


def test_a_blank_line_in_a_console_is_written_blankline():
    made = console(">>> f()\na\n<BLANKLINE>\nb")
    assert judge_block(made, BlockRun(True, (Printed(1, 1, "a\n\nb\n"),)), "cpu").status == "pass"


def test_directives_of_doctest_are_followed():
    spaces = console(">>> f()  # doctest: +NORMALIZE_WHITESPACE\na b")
    assert judge_block(spaces, BlockRun(True, (Printed(1, 1, "a   b\n"),)), "cpu").status == "pass"
    skipped = console(">>> f()  # doctest: +SKIP\nnever")
    assert judge_block(skipped, BlockRun(True, ()), "cpu").status == "skip"
    detail = console(">>> f()  # doctest: +IGNORE_EXCEPTION_DETAIL\nTraceback (most recent call last):\nValueError: x")
    assert judge_block(detail, BlockRun(True, (), "ValueError: y", error_line=1), "cpu").status == "pass"


def test_a_console_that_goes_on_after_a_stated_exception():
    made = console(">>> f()\nTraceback (most recent call last):\n    ...\nValueError: x\n>>> 1\n1")
    went_on = BlockRun(True, (Printed(1, 1, "", error="ValueError: x"), Printed(5, 5, "", "1")))
    assert judge_block(made, went_on, "cpu").status == "pass"
    stopped = judge_block(made, BlockRun(True, (), "ValueError: x", error_line=1), "cpu")
    assert (stopped.status, stopped.expected_line) == ("fail", 15)
    missing = judge_block(made, BlockRun(True, (Printed(1, 1, ""), Printed(5, 5, "", "1"))), "cpu")
    assert missing.message == 'no exception, expected "ValueError: x"'


def test_a_console_that_doctest_cannot_read_fails_with_the_reason():
    outcome = judge_block(console(">>>x = 1"), BlockRun(True, ()), "cpu")
    assert outcome.status == "fail"
    assert "lacks blank after >>>" in outcome.message
