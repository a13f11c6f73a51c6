"""Stated outputs beyond the shared cases: which statement they speak of, and what may differ."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cardproof.snippets.compare import outputs
from cardproof.snippets.compare.comparison import judge_block
from cardproof.snippets.compare.outputs import clean_output, same_kinds, same_output
from cardproof.snippets.compare.stated_outputs import expectations, statement_lines
from cardproof.snippets.run.page_runner import Job, Runner
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


def test_all_wrong_outputs_of_a_block_are_named_and_the_first_is_its_place():
    outcome = judged("print(1)  # prints: 2\nprint(3)  # prints: 3\nprint('a\\tb\\nc')  # prints: d")
    assert outcome.expected_line == 10
    assert outcome.message == 'expected "2", got "1"; line 12: expected "d", got "a b⏎c"'


def test_many_wrong_outputs_are_counted():
    outcome = judged("\n".join(f"print({n})  # prints: x" for n in range(30)))
    assert outcome.message.endswith("; and 10 more")


def test_an_error_of_several_lines_is_one_line():
    outcome = judge_block(block("x"), BlockRun(True, (), "ValueError: a\n\tb\n", error_line=1), "cpu")
    assert outcome.message == "ValueError: a⏎ b"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("$ pip install x", "a shell command in a python block"),
        ("pip install x", "a shell command in a python block"),
        ("git clone https://host/x", "a shell command in a python block"),
        ("files = !ls", "IPython syntax in a python block"),
        ("%timeit f()", "IPython syntax in a python block"),
        ("math?", "IPython syntax in a python block"),
        ("net(<your_image>)", "'<your_image>' is not Python: it stands for something of the reader's"),
        ("x = = 2", None),
        ("python = 3 +", None),
        ("if a < b > :", None),
    ],
)
def test_what_is_no_python_gets_advice(code, words):
    outcome = judge_block(block(code), BlockRun(True, (), "SyntaxError: invalid syntax", error_line=1), "cpu")
    assert outcome.message == (f"SyntaxError at line 10: {words}" if words else "SyntaxError: invalid syntax")
    assert bool(outcome.hint) == bool(words)


@pytest.fixture(scope="module")
def really():
    """Return a function that runs a block in a process of its own, which notes where each print comes from."""
    with Runner(preload=()) as runner:

        def _really(code: str):
            made = block(code)
            (ran,) = runner.run(Job("page.md", (made,)))
            return judge_block(made, ran, "cpu")

        yield _really


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    print(x)  # prints: 1\nf(1)",
        "def f(x):\n    print(x)\n    # prints: 1\nf(1)",
        "def f(x):\n    print(x)  # prints: 2\n    print('end')  # prints: end\nf(1)\nf(2)",
        "class A:\n    def f(self):\n        for i in range(2):\n            print(i)\n"
        "        # prints:\n        # 0\n        # 1\nA().f()",
        "def f():\n    print(1)\n    print(2)\n    # prints: 1\n    # prints: 2\nf()",
        "def g():\n    print('deep')\ndef f():\n    g()  # prints: deep\nf()",
        "for x in 'ab':\n    print(x, 1)  # prints: a 1\n    print(x, 2)  # prints: a 2",
        "import sys\nwith open('x', 'w'):\n    print(4)\n    sys.stdout.write('5\\n')\n"
        "    # prints: 4\n    # prints: 5",
        "def f():\n    print(1)\nf()  # prints: 1",
        "f = lambda x: print(x)  # prints: 3\nf(3)",
        "async def f():\n    print(1)  # prints: 1\nawait f()",
        "def f():\n    yield 1\n    print(2)  # prints: 2\n    yield 3\nlist(f())",
    ],
)
def test_a_print_belongs_to_the_line_that_ran(really, code):
    outcome = really(code)
    assert (outcome.status, outcome.message, outcome.warnings) == ("pass", "", ())


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        ("def f(x):\n    print(x)  # prints: 2\nf(1)", 11, 'expected "2", got "1"'),
        ("for x in 'ab':\n    print(x, 1)  # prints: c 1", 11, 'expected "c 1", got "a 1⏎b 1"'),
        ("for i in range(3):\n    print(i)\n    # prints: 0\n    # prints: 1", 12, 'expected "0⏎1", got "0⏎1⏎2"'),
        ("def f():\n    print(1)\nf()\nprint(3)\n# prints: 1", 14, 'expected "1", got "3"'),
    ],
)
def test_a_print_of_another_line_is_no_output(really, code, line, message):
    outcome = really(code)
    assert (outcome.status, outcome.expected_line, outcome.message) == ("fail", line, message)


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    print(x)  # prints: 1",
        "f = lambda x: print(x)  # prints: 1",
        "if False:\n    print(1)  # prints: 1\nelse:\n    print(2)  # prints: 2",
        "import os\ndef f():\n    os.system('echo 1')  # prints: 1\nf()",
    ],
)
def test_an_output_of_a_line_that_printed_nothing_is_a_warning(really, code):
    outcome = really(code)
    assert outcome.status == "pass"
    (warning,) = outcome.warnings
    assert "not compared: it is not known that line" in warning


def test_output_that_did_not_pass_through_python_belongs_to_no_line(really):
    printed = really("import os\ndef f():\n    print(1)\n    os.system('echo 2')\nf()").ran.printed
    assert [item.parts for item in printed] == [(), (), ()]


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


def test_numbers_of_missing_weights_are_not_compared_and_that_is_reported():
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
    ("<object object at 0x...>", "<object object at 0x7f00aa>"),
    ("<a.B at 0x...>, <c at 0x7f...>", "<a.B at 0x7f3>, <c at 0x12>"),
    ("<...Conv2d... at 0x...>", "<torch.nn.Conv2d object at 0x7fab>"),
    ("a ... b 0x... c ... d", "a 1 b 0x7f c 2 d"),
    ("Lin...(in_features=...)", "Linear(in_features=2)"),
    ("x=...5, y=0.2...", "x=15, y=0.25"),
    ("conv...d_1...", "conv2d_15"),
    ("1.0", "np.float64(1.0)"),
    ("np.float64(1.0)", "1.0"),
    ("[1.0, True, 'a']", "[np.float64(1.0), np.True_, np.str_('a')]"),
    ("<class 'numpy.bool_'>", "<class 'numpy.bool'>"),
    ("array([1., 2.,\n       3.])", "array([1., 2., 3.])"),
    ("array([0, 1, ..., 9])", "array([0, 1, ..., 9], shape=(1000,))"),
    ("tensor([[1., 2.],\n        [3., 4.]])", "tensor([[1., 2.], [3., 4.]])"),
    ("tensor([1.], grad_fn=<AddBackward>)", "tensor([1.], grad_fn=<AddBackward0>)"),
    ("tensor([1.0000e-05, 2.0000e-05])", "tensor([0.00001, 0.00002])"),
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
    ("at 0x...>", "at 7>"),
    ("1.0", "np.float64(1.1)"),
    ("1", "np.float64(1.0)"),
    ("np.float64(1.0)", "np.float32(1.0)"),
    ("array([1., 2.])", "array([12.])"),
    ("array([1], shape=(1,))", "array([1], shape=(2,))"),
    ("array([0], dtype=int32)", "array([0], dtype=int64)"),
    ("array(['a b'])", "array(['a  b'])"),
    ("Foo(1, shape=(3,))", "Foo(1)"),
    ("tensor(1., grad_fn=<AddBackward0>)", "tensor(1., grad_fn=<MulBackward0>)"),
    ("tensor(1., grad_fn=<AddBackward0>)", "tensor(1., grad_fn=<AddBackward1>)"),
    ("tensor(1., grad_fn=<AddBackward0>)", "tensor(1.)"),
]


@pytest.mark.parametrize(("want", "got"), EQUAL)
def test_outputs_that_are_the_same(want, got):
    assert same_output(want, clean_output(got))


@pytest.mark.parametrize(("want", "got"), DIFFERENT)
def test_outputs_that_are_not_the_same(want, got):
    assert not same_output(want, clean_output(got))


def test_the_work_of_a_pattern_with_many_dots_does_not_grow_with_their_number(monkeypatch):
    compared = []
    same_token = outputs._same_token
    monkeypatch.setattr(outputs, "_same_token", lambda *tokens: compared.append(1) or same_token(*tokens))
    assert same_output("a ... " * 50 + "a", "a b " * 1000 + "a")
    assert same_output("a\n...\n" * 50 + "a", "a\nb\n" * 1000 + "a")
    assert len(compared) < 2000


def test_deep_nesting_and_huge_exponents_are_compared_all_the_same():
    nested = "{" * 5000 + "}" * 5000
    assert same_output(nested, nested)
    assert not same_output("1e9999999999999999999", "2e9999999999999999999")


def test_kinds_of_numbers_are_compared_loosely():
    assert same_kinds("husky 0.64\nwolf 0.04", "husky 0.1\nwolf 0.9999")
    assert not same_kinds("0.1234", "3")
    assert not same_kinds("0.1234", "0.1\n0.2")


TEXTS = st.text(st.sampled_from("ab {}[](),:'\"0123456789.-e\n\r\t\x1b[m"), max_size=40)


@given(TEXTS)
def test_every_output_is_the_same_as_itself(text):
    got = clean_output(text)
    assert same_output(got, got)
    assert same_kinds(got, got)
    assert clean_output(got) == got


PLAIN = st.text(st.sampled_from("ab {}[](),:'\"0123456789-e\n"), max_size=20)


@given(PLAIN, PLAIN, PLAIN)
def test_dots_stand_for_any_text(before, between, after):
    assert same_output(
        f"x{clean_output(before)}y...z{clean_output(after)}", clean_output(f"x{clean_output(before)}y{between}z{after}")
    )


@given(st.floats(-1e6, 1e6), st.integers(1, 8))
def test_a_number_is_the_same_as_itself_rounded_to_any_precision(number, digits):
    assume("e" not in repr(number))
    assert same_output(f"{number:.{digits}f}", repr(number))


@given(st.sets(st.one_of(st.integers(), st.text("ab,{}'\"", max_size=4))), st.randoms())
def test_a_set_is_the_same_in_any_order(items, random):
    elements = [repr(item) for item in items]
    shuffled = random.sample(elements, len(elements))
    assume(items and all(text.count("'") in (0, 2) and '"' not in text for text in elements))
    assert same_output("{" + ", ".join(elements) + "}", "{" + ", ".join(shuffled) + "}")


VALUES = st.recursive(
    st.one_of(
        st.integers(0, 999).map(str),
        st.floats(0, 999).map(lambda x: f"{x:.4f}"),
        st.sampled_from(["np.float64(1.25)", "np.int64(7)", "<a at 0x...>"]),
    ),
    lambda inner: st.tuples(
        st.sampled_from(["tensor([{}])", "array([{}], dtype=int32)", "torch.Size([{}])", "({})", "[{}]"]),
        st.lists(inner, min_size=1, max_size=3),
        st.sampled_from([", ", ",\n        "]),
    ).map(lambda parts: parts[0].format(parts[2].join(parts[1]))),
    max_leaves=5,
)


@given(VALUES, st.data())
def test_a_changed_digit_never_matches(want, data):
    numbers = re.finditer(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", want)
    places = [at for number in numbers for at in range(*number.span()) if want[at] != "."]
    assume(places)
    at = data.draw(st.sampled_from(places))
    digit = data.draw(st.sampled_from("0123456789".replace(want[at], "")))
    got = want.replace("0x...", "0x7f")
    changed = want[:at] + digit + want[at + 1 :]
    assert same_output(want, clean_output(got))
    assert not same_output(want, clean_output(changed.replace("0x...", "0x7f")))


@given(st.lists(st.text("ab 1.\n(", max_size=4), min_size=1, max_size=4), st.text("ab 1.\n(", max_size=20))
def test_what_matches_by_doctests_rules_matches_here(pieces, text):
    want = clean_output("...".join(pieces))
    assume("...." not in want)
    if doctest.OutputChecker().check_output(f"{want}\n", f"{clean_output(text)}\n", doctest.ELLIPSIS):
        assert same_output(want, clean_output(text))


@given(TEXTS, TEXTS)
def test_any_two_texts_can_be_compared(want, got):
    assert isinstance(same_output(want, clean_output(got)), bool)


def test_matching_needs_neither_torch_nor_markdown():
    modules = "compare.comparison, cardproof.snippets.compare.causes, cardproof.snippets.update"
    code = f"import sys, cardproof.snippets.{modules}\nprint(sorted({{'torch', 'markdown'}} & set(sys.modules)))"
    tools = str(Path(__file__).parents[2] / "tools")
    run = subprocess.run([sys.executable, "-c", code], cwd=tools, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
