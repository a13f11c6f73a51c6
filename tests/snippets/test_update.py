"""An update rewrites outdated outputs in the source, only with what the page's own code printed, and nothing else."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from running import fences, judged

from cardproof.snippets.compare.comparison import judge_block
from cardproof.snippets.compare.stated_outputs import expectations, statement_lines
from cardproof.snippets.find.blocks import find_blocks
from cardproof.snippets.run.page_runner import Runner
from cardproof.snippets.types import BlockRun, Outcome, Printed
from cardproof.snippets.update import update_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator


def run_blocks(text: str, **more) -> list[Outcome]:
    """Find, run (in this process) and judge the blocks of a page."""
    outcomes = []
    for block in find_blocks(text, "page.md", **more)[0]:
        printed, names, lines = [], {}, block.code.split("\n")
        for first, last in [] if block.console else statement_lines(block.code):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec("\n".join(lines[first - 1 : last]), names)
            printed.append(Printed(first, last, out.getvalue()))
        for example in expectations(block) if block.console else ():
            first, last = example.statements[0] if example.statements else (1, 1)
            value = eval(lines[first - 1].lstrip("> "))
            printed.append(Printed(first, last, "", None if value is None else repr(value)))
        outcomes.append(judge_block(block, BlockRun(True, tuple(printed)), "cpu"))
    return outcomes


def updated(text: str) -> str:
    new = update_outputs(text, run_blocks(text))
    assert update_outputs(new, run_blocks(new)) == new
    return new


def test_93_only_the_line_of_the_output_changes(shared):
    text = (shared / "cases" / "snippets" / "93-update-mode" / "page.md").read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    assert updated(text) == "".join([*lines[:4], "    # prints: new\n", *lines[5:]])


def test_18_line_ends_are_kept(shared):
    text = (shared / "cases" / "snippets" / "18-crlf" / "page.md").read_bytes().decode()
    assert updated(text) == text
    assert updated(text.replace("prints: cr lf", "prints: other")) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("print(1)  # prints: 2", "print(1)  # prints: 1"),
        ("print(1)  # prints: 2 # (1)!", "print(1)  # prints: 1 # (1)!"),
        ("print(1)  #> 2", "print(1)  #> 1"),
        ("print('a\\nb')\n# prints: a", "print('a\\nb')\n# prints: a\n# prints: b"),
        ("print(1)\n# prints: 3\n# prints: 4", "print(1)\n# prints: 1"),
        ("print('a\\n\\nb')\n# prints:\n# c\nx = 1", "print('a\\n\\nb')\n# prints:\n# a\n#\n# b\nx = 1"),
        ("print('a\\n\\nb')\n#> c", "print('a\\n\\nb')\n#> a\n#>\n#> b"),
        ("print(1)\n# prints:", "print(1)\n# prints: 1"),
        ("print(0.25, 'x')\n# prints: 0.2 y", "print(0.25, 'x')\n# prints: 0.25 x"),
        ("print('0.33333\\nb')\n# prints:\n# 0.33\n# a", "print('0.33333\\nb')\n# prints:\n# 0.33\n# b"),
        (
            "if 1:\n    print(1)  # prints: 1\n    print(2)  # prints: 3\nx = 0",
            "if 1:\n    print(1)  # prints: 1\n    print(2)  # prints: 2\nx = 0",
        ),
        (">>> 1 + 1\n3\n>>> 2\n2", ">>> 1 + 1\n2\n>>> 2\n2"),
    ],
)
def test_each_form_is_rewritten_in_its_own_form(before, after):
    assert updated(f"```python\n{before}\n```\n") == f"```python\n{after}\n```\n"


@pytest.mark.parametrize(
    "code",
    [
        "print('a\\nb')  # prints: c",  # two lines do not fit beside a statement
        "x = 1\n# prints: 1",  # nothing was printed
        "print(1)  # prints a word like: a",  # loose
        "print('# (1)')\n# prints: x",  # would be read as an annotation
        "print('prints: x')\n# prints:\n# y",  # would be read as another expectation
    ],
)
def test_what_could_not_be_read_back_is_left_alone(code):
    text = f"```python\n{code}\n```\n"
    assert updated(text) == text


def test_output_blocks_are_rewritten_with_their_indentation():
    text = "- x\n\n    ```python\n    print('a\\n\\nb')\n    ```\n\n    Output:\n\n    ```text\n    {}\n    ```\n"
    assert updated(text.format("old")) == text.format("a\n\n    b")
    assert updated(text.format("a\n\n    b\n    c")) == text.format("a\n\n    b")
    assert updated(text.replace("    {}\n", "")) == text.format("a\n\n    b")


def test_an_output_with_a_fence_in_it_does_not_end_its_block():
    text = "```python\nprint('```')\n```\n\nOutput:\n\n```text\nx\n```\n"
    assert updated(text) == text


def test_quoted_blocks_keep_their_marks():
    text = "> ```python\n> print(1)\n> # prints: 2\n> ```\n"
    assert updated(text) == text.replace("prints: 2", "prints: 1")


def test_a_byte_order_mark_and_a_missing_last_line_end_stay():
    text = "\ufeff```python\r\nprint('a\\nb')\r\n# prints: 2\r\n```"
    assert updated(text) == "\ufeff```python\r\nprint('a\\nb')\r\n# prints: a\r\n# prints: b\r\n```"


def test_nothing_is_written_for_a_block_that_crashed_or_did_not_end():
    text = "```python\nprint(1)\n# prints: 2\n```\n"
    (outcome,) = run_blocks(text)
    for ran in (replace(outcome.ran, error="ValueError: x"), replace(outcome.ran, ended=False), None):
        assert update_outputs(text, [replace(outcome, ran=ran)]) == text


def test_nothing_is_written_for_the_output_of_another_device():
    text = "```python\nprint(1)\n# prints: 2\n```\n"
    (outcome,) = run_blocks(text)
    assert update_outputs(text, [replace(outcome, ran=replace(outcome.ran, device="cuda:0"))]) == text
    gpu = text.replace("prints: 2", "prints: tensor(2, device='cuda:0')")
    assert updated(gpu) == gpu
    marked = replace(outcome.block, options=replace(outcome.block.options, gpu=True))
    assert update_outputs(text, [replace(outcome, block=marked)]) == text
    on_gpu = replace(outcome, block=marked, ran=replace(outcome.ran, device="cuda:0"))
    assert update_outputs(text, [on_gpu]) == text.replace("prints: 2", "prints: 1")


def test_text_that_a_template_makes_is_never_overwritten():
    page, template = "```python\nprint(1)\n# prints: 2\n```\n", "```python\nprint(1)\n# prints: {{ n }}\n```\n"
    assert update_outputs(template, run_blocks(page)) == template


def test_a_template_changes_only_if_all_its_pages_agree():
    page = "```python\nprint({})\n# prints: 2\n```\n"
    template = "```python\nprint({{ n }})\n# prints: 2\n```\n"
    one, other, right = (run_blocks(page.format(n))[0] for n in (1, 3, 2))
    assert update_outputs(template, [one, one]) == template.replace("prints: 2", "prints: 1")
    assert update_outputs(template, [one, other]) == template
    assert update_outputs(template, [one, right]) == template


def test_template_syntax_is_never_written_into_a_template():
    page = "```python\nprint('{' + '{')\n# prints: 2\n```\n"
    assert update_outputs(page, run_blocks(page)) == page.replace("prints: 2", "prints: {{")
    template = page + "{{ x }}\n"
    assert update_outputs(template, run_blocks(page)) == template


def test_the_output_of_an_included_file_is_rewritten_in_that_file_only(tmp_path):
    demo = "print(1)\n# prints: 2\n"
    (tmp_path / "demo.py").write_text(demo, encoding="utf-8")
    page = '```python\n--8<-- "demo.py"\n```\n'
    outcomes = run_blocks(page, base_path=tmp_path)
    assert update_outputs(page, outcomes) == page
    assert update_outputs(demo, outcomes, "demo.py") == "print(1)\n# prints: 1\n"


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12)


@settings(max_examples=200, deadline=None)
@given(
    printed=st.lists(WORDS, min_size=1, max_size=3),
    stated=st.lists(WORDS.map(str.strip).filter(lambda word: "\n" not in word), min_size=1, max_size=3),
    around=WORDS,
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    indent=st.sampled_from(["", "> "]),
    form=st.sampled_from(["# prints: {}", "#> {}", "heading", "inline", "output"]),
)
def test_whatever_is_printed_only_the_stated_output_changes(printed, stated, around, end, indent, form):
    value = "\n".join(printed)
    code = [f"x = {around!r}", f"print({value!r})"]
    if form == "inline":
        body, comments = code[:1], [f"{code[1]}  # prints: {stated[0]}"]
    elif form == "heading":
        body, comments = [*code, "# prints:"], [f"# {word}" for word in stated]
    elif form == "output":
        body, comments = [*code, "```", "", "Output:", "", "```text"], stated
    else:
        body, comments = code, [form.format(word) for word in stated]
    head, tail = [f"# {around}", "", "```python", *body], ["```", "", f"end {around}", ""]
    text = end.join(indent + line for line in [*head, *comments, *tail])
    new = updated(text)
    before, after = (end.join(indent + line for line in part) for part in (head, tail))
    assert new.startswith(before)
    assert new.endswith(after)
    assert len(find_blocks(new, "page.md")[0]) == len(find_blocks(text, "page.md")[0])


# an update writes only what the page's own code printed, on a page that ran as a reader runs it


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner(preload=("torch",)) as running:
        yield running


def updated_by_run(runner: Runner, page: str, **policy: object) -> str:
    return update_outputs(page, judged(runner, page, **policy))


SKIP = '{ .skip data-reason="no" }\n'
HUB = (
    "import torch\nmodel = torch.nn.Linear(1, 1)\n"
    "model.load_state_dict(torch.hub.load_state_dict_from_url('https://example.com/a.pth'))"
)
GET = "import urllib.request\ntry:\n    x = urllib.request.urlopen('https://example.com')\nexcept OSError:\n    x = 3\n"


@pytest.mark.parametrize(
    "codes",
    [
        ("x = 1", f"{SKIP}x = 2", "print(x)  # prints: 5"),
        ("x = [1]", f"{SKIP}x.append(2)", "print(len(x))  # prints: 2"),
        ("x = [1]\nl = x", f"{SKIP}x.append(2)", "y = x", "print(y)  # prints: [1, 2]"),
        ("import random", f"{SKIP}random.seed(1)", "print(random.random() > 2)  # prints: maybe"),
        ("x = 1", "x = 2\n1 / 0", "print(x)  # prints: 5"),
        (f"{GET}print(x)  # prints: online",),
        (GET, "print(x)  # prints: online"),
        ("import sys\nsys.exit(0)\nprint(1)  # prints: 2",),
        ("x = 1\nwhile x: print(x); 1 / 0  # prints: 5",),
        (">>> print(1)  # doctest: +SKIP\n2",),
    ],
)
def test_what_depends_on_a_block_that_did_not_run_is_never_written(runner: Runner, codes: tuple[str, ...]) -> None:
    page = fences(*codes)
    assert updated_by_run(runner, page) == page


@pytest.mark.attack("snippet", "values of random weights, written into the page by an update", "nothing is written")
def test_under_random_weights_nothing_is_written(runner: Runner) -> None:
    page = fences(HUB, "print(model.weight.shape)  # prints: torch.Size([2, 2])", "print(0.5)  # prints: 0.25")
    assert updated_by_run(runner, page, weights="random") == page


def test_what_does_not_depend_on_it_is_written(runner: Runner) -> None:
    page = fences("x = 1", f"{SKIP}x = 2", "y = 3\nprint(y)  # prints: 4", "{ .fresh }\nx = 7\nprint(x)  # prints: 8")
    assert updated_by_run(runner, page) == page.replace("prints: 4", "prints: 3").replace("prints: 8", "prints: 7")


def test_one_outdated_output_does_not_keep_another_from_being_written(runner: Runner) -> None:
    page = fences("x = 1\nprint(x)  # prints: 2", "print(x + 1)  # prints: 3")
    assert updated_by_run(runner, page) == page.replace("prints: 2", "prints: 1").replace("prints: 3", "prints: 2")
