"""Stated outputs beyond the shared cases: which statement they speak of, and what may differ."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cardproof.snippets.compare.expect import statement_lines
from cardproof.snippets.compare.match import expectations, judge_block
from cardproof.snippets.compare.outputs import alike, cleaned, same
from cardproof.snippets.types import Block, BlockRun, Options, Printed


def block(code: str, **more) -> Block:
    return Block("page.md", 10, textwrap.dedent(code).strip("\n"), more.pop("options", Options()), **more)


def run(code: Block) -> BlockRun:
    """Run a block's statements in this process, as the real runner does in another."""
    names: dict[str, object] = {}
    printed = []
    lines = code.code.split("\n")
    for first, last in statement_lines(code.code):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec("\n".join(lines[first - 1 : last]), names)
        printed.append(Printed(first, last, out.getvalue()))
    return BlockRun(True, tuple(printed))


def judged(code: str, **more):
    made = block(code, **more)
    return judge_block(made, run(made), "cpu")


@pytest.mark.parametrize(
    "code",
    [
        "print(1)  # prints: 1",
        "print(1)  #> 1",
        "print(1)\n#> 1",
        "print('a\\n\\nb')\n#> a\n#>\n#> b",
        "print('a\\n\\nb')\n# prints:\n# a\n#\n# b",
        "print(1)\nprint(2)\n# prints:\n# 1\n# 2",
        "print(0)\nprint(1)\nprint(2)\n# prints: 2",
        "for i in range(2):\n    print(i)\n# prints: 0\n# prints: 1",
        "for i in range(2):\n    print(i)\n    # prints: 0\n    # prints: 1",
        "if True:\n    print(1)  # prints: 1\n    print(2)  # prints: 2\nx = 0",
        "print(\n    1,  # the number\n)  # prints: 1",
        "a = 1; print(a)  # prints: 1",
        "print(1)\n# prints: 1\n# a note that is no output",
        "print(1)  # prints: 1  # snippet: hide",
        "print(1)  # prints: 1 # (2)!",
        "print('x')\n\n# prints: x",
        "print('# (1)')\n# prints: # (1) # (3)!",
        "x = '''\n# prints: nothing\n'''",
        "print(3.14159)\n# e.g.: 2.7",
        "print(0.5)  # prints a number like: 0.1",
        "print(1)\n# prints: 1\nprint(2)\n# prints: 2",
        "@print\ndef f(): ...\n# prints: <function f at 0x7f0000000000>",
    ],
)
def test_stated_outputs_that_hold(code):
    outcome = judged(code)
    assert (outcome.status, outcome.message, outcome.warnings) == ("pass", "", ())
    assert bool(expectations(block(code))) == ("nothing" not in code)


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        ("print(1)  # prints: 2", 10, 'expected "2", got "1"'),
        ("print('a\\nb')\n# prints:\n# a\n# c", 13, 'expected "c", got "b"'),
        ("print('a\\nb')\n# prints: a", 11, 'expected "a", got "a⏎b"'),
        ("x = 1\n# prints: 1", 11, 'expected "1", got nothing'),
        ("print(1)\n# prints:", 11, 'expected "", got "1"'),
        ("# prints: 1\nprint(1)", 10, 'expected "1", got nothing'),
        ("if 1:\n    print(1)  # prints: 1\n    print(2)  # prints: 3\nx = 0", 12, 'expected "3", got "2"'),
        ("print(1)\nprint(2)\n# prints:\n# 3\n# 2", 13, 'expected "3", got "1"'),
    ],
)
def test_outputs_that_differ_are_reported_at_the_line_that_does(code, line, message):
    outcome = judged(code)
    assert (outcome.status, outcome.expected_line, outcome.message) == ("fail", line, message)


def test_a_bare_expression_gets_the_hint_to_print_it():
    assert "printed" in judged("1 + 1\n# prints: 2").hint


def test_expectations_of_included_code_name_the_included_file():
    made = block("x = 1\nprint(x)\n# prints: 2", lines=(("demo.py", 1), ("demo.py", 2), ("demo.py", 3)))
    outcome = judge_block(made, run(made), "cpu")
    assert (outcome.expected_file, outcome.expected_line) == ("demo.py", 3)


def test_a_stated_output_block_is_compared_with_all_that_was_printed():
    made = block("print('a')\nprint('b')", stated_output=("a\nc", 20))
    outcome = judge_block(made, run(made), "cpu")
    assert (outcome.expected_line, outcome.message) == (21, 'expected "c", got "b"')


def test_standard_error_is_no_output_where_the_runner_tells_them_apart():
    made = block("print(1)\n# prints: 1")
    printed = Printed(1, 1, "a warning\n1\n", stdout="1\n")
    assert judge_block(made, BlockRun(True, (printed,)), "cpu").status == "pass"


def test_numbers_of_weights_that_were_not_at_hand_are_not_compared_and_that_is_said():
    made = block("print(0.5)\n# prints: 0.7\nprint(3)\n# prints: 3")
    outcome = judge_block(made, run(made), "cpu", values=False)
    assert outcome.status == "pass"
    assert outcome.warnings == ("line 11: not compared, its numbers depend on weights that were not at hand",)


def test_code_that_is_no_python_states_nothing():
    assert expectations(block("def broken(:\n# prints: 1")) == ()


def test_an_undeclared_placeholder_gets_the_hint_to_declare_it():
    result = BlockRun(True, (), "NameError: name 'NUM_FINETUNE_CLASSES' is not defined", error_line=1)
    outcome = judge_block(block("f(NUM_FINETUNE_CLASSES)"), result, "cpu")
    assert outcome.status == "fail"
    assert "placeholders: {NUM_FINETUNE_CLASSES: value}" in outcome.hint


def test_an_expected_exception_of_any_class_and_of_a_qualified_one():
    error = BlockRun(True, (), "torch.cuda.OutOfMemoryError: no", error_line=1)
    for expected in ("", "OutOfMemoryError", "torch.cuda.OutOfMemoryError"):
        assert judge_block(block("x", options=Options(expect_error=expected)), error, "cpu").status == "pass"


def console(code: str) -> Block:
    return block(code, console=True)


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


EQUAL = [
    ("0.3", "0.30000001192092896"),
    ("0.333", "0.33333"),
    ("1e-05", "1.2e-05"),
    ("tensor([1., 2.])", "tensor([1.0000, 2.0000])"),
    ("tensor([ 0.0000, 0.2])", "tensor([-0.0000, 0.2])"),
    ("took 0.5s", "took 0.52s"),
    ("<object at 0x7f00>", "<object at 0x1234567>"),
    ("{'a', 'b'}", "{'b', 'a'}"),
    ("frozenset({1, 2})", "frozenset({2, 1})"),
    ("[{1, 2}, {3}]", "[{2, 1}, {3}]"),
    ("{0.1, 0.2}", "{0.2000001, 0.1000003}"),
    ("{'a,b', 'c'}", "{'c', 'a,b'}"),
    ("{1, ..., 9}", "{9, 3, 1}"),
    ("a\n...", "a\nb\nc"),
    ("a\n...\nb", "a\nb"),
    ("...\nb\n...", "bb\nb\nbc"),
    ("...", ""),
    ("ab...yz", "abcxyz"),
    ("0.12...", "0.1278"),
    ("loss ... 0.3 {'a', 'b'} at 0x10", "loss x 0.3001 {'b', 'a'} at 0x20"),
    ("done", " 10%\r 90%\rdone\x1b[0m  \n"),
]
DIFFERENT = [
    ("0.3", "0.36"),
    ("2", "2.0"),
    ("2", "3"),
    ("1.", "1.3"),
    ("1.2.3", "1.2.34"),
    ("conv1", "conv2"),
    ("0xff", "0xfe"),
    ("{1, 2}", "{1, 1}"),
    ("{1, 2}", "{1, 2, 3}"),
    ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"),
    ("a  b", "a b"),
    ("ab", "abc"),
    ("step 1\n...", "step 10\nx"),
    ("a\n...\nb", "axb"),
    ("a\n...\nb", "a"),
    ("...\nb\n...", "xb\nbc"),
    ("", "x"),
    ("x", ""),
]


@pytest.mark.parametrize(("want", "got"), EQUAL)
def test_outputs_that_are_the_same(want, got):
    assert same(want, cleaned(got))


@pytest.mark.parametrize(("want", "got"), DIFFERENT)
def test_outputs_that_are_not_the_same(want, got):
    assert not same(want, cleaned(got))


def test_deep_nesting_and_huge_exponents_are_compared_all_the_same():
    nested = "{" * 5000 + "}" * 5000
    assert same(nested, nested)
    assert not same("1e9999999999999999999", "2e9999999999999999999")


def test_kinds_of_numbers_are_compared_loosely():
    assert alike("husky 0.64\nwolf 0.04", "husky 0.1\nwolf 0.9999")
    assert not alike("0.1234", "3")
    assert not alike("0.1234", "0.1\n0.2")


TEXTS = st.text(st.sampled_from("ab {}[](),:'\"0123456789.-e\n\r\t\x1b[m"), max_size=40)


@given(TEXTS)
def test_every_output_is_the_same_as_itself(text):
    got = cleaned(text)
    assert same(got, got)
    assert alike(got, got)
    assert cleaned(got) == got


PLAIN = st.text(st.sampled_from("ab {}[](),:'\"0123456789-e\n"), max_size=20)


@given(PLAIN, PLAIN, PLAIN)
def test_dots_stand_for_any_text(before, between, after):
    assert same(f"x{cleaned(before)}y...z{cleaned(after)}", cleaned(f"x{cleaned(before)}y{between}z{after}"))


@given(st.floats(-1e6, 1e6), st.integers(1, 8))
def test_a_number_is_the_same_as_itself_rounded_to_any_precision(number, digits):
    assume("e" not in repr(number))
    assert same(f"{number:.{digits}f}", repr(number))


@given(st.sets(st.one_of(st.integers(), st.text("ab,{}'\"", max_size=4))), st.randoms())
def test_a_set_is_the_same_in_any_order(items, random):
    elements = [repr(item) for item in items]
    shuffled = random.sample(elements, len(elements))
    assume(items and all(text.count("'") in (0, 2) and '"' not in text for text in elements))
    assert same("{" + ", ".join(elements) + "}", "{" + ", ".join(shuffled) + "}")


@given(TEXTS, TEXTS)
def test_any_two_texts_can_be_compared(want, got):
    assert isinstance(same(want, cleaned(got)), bool)


def test_matching_needs_neither_torch_nor_markdown():
    modules = "compare.match, cardproof.snippets.compare.causes, cardproof.snippets.update"
    code = f"import sys, cardproof.snippets.{modules}\nprint(sorted({{'torch', 'markdown'}} & set(sys.modules)))"
    tools = str(Path(__file__).parents[2] / "tools")
    run = subprocess.run([sys.executable, "-c", code], cwd=tools, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
