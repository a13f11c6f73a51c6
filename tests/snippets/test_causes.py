"""A block that only follows from an earlier one says so."""

from __future__ import annotations

import pytest
from running import blocks

from cardproof.snippets.compare.causes import hint_for, with_causes
from cardproof.snippets.types import BlockRun, Outcome, Status


def outcomes(became: Status, first: str, error: str = "NameError: name 'x' is not defined") -> list[tuple[str, ...]]:
    """Return status, message and hint of the second of two blocks, the first of which became what is given."""
    one, two = blocks(first, "print(x)")
    explained = with_causes([Outcome(one, became, "why"), Outcome(two, "fail", error)])
    return [(outcome.status, outcome.message, outcome.hint or "") for outcome in explained[1:]]


@pytest.mark.parametrize(("became", "words"), [("skip", "was skipped"), ("not-run", "was not run"), ("fail", "failed")])
def test_what_lacks_a_name_of_a_block_that_did_not_give_it_is_not_run(became: Status, words: str) -> None:
    assert outcomes(became, "x = 1") == [("not-run", f"needs 'x' of the block at line 2, which {words}", "")]


@pytest.mark.parametrize(
    "code",
    [
        "import x",
        "import x.y",
        "from a import b as x",
        "def x(): ...",
        "with f() as x: ...",
        ">>> for x in y:\n...     x",
        "from a import *",
        "x = (",
        "x, y = 1, 2\n!pip install z",
        "def x(:",
    ],
)
def test_all_ways_to_bind_a_name_count(code: str) -> None:
    assert outcomes("skip", code)[0][0] == "not-run"


@pytest.mark.parametrize(("became", "code"), [("pass", "x = 1"), ("skip", "print(x)"), ("skip", "y = (x ==")])
def test_a_name_that_no_block_before_should_have_given_is_the_blocks_own_fault(became: Status, code: str) -> None:
    assert outcomes(became, code) == [("fail", "NameError: name 'x' is not defined", "")]


def test_what_an_earlier_block_lacked_is_no_second_failure() -> None:
    one, two, three = blocks("import foo", "import foo.bar", "import foobar")
    error, other = "ModuleNotFoundError: No module named 'foo'", "ModuleNotFoundError: No module named 'foobar'"
    found = [Outcome(block, "fail", text, ran=BlockRun(True, (), text)) for block, text in ((one, error), (two, error))]
    explained = with_causes([*found, Outcome(three, "fail", other, ran=BlockRun(True, (), other))])
    assert [outcome.status for outcome in explained] == ["fail", "not-run", "fail"]
    assert explained[1].message.startswith("needs the module 'foo', which is missing: see the block at line 2")


def test_other_errors_stay_as_they_are() -> None:
    assert outcomes("skip", "x = 1", "TypeError: no") == [("fail", "TypeError: no", "")]


def test_only_undefined_upper_case_names_get_the_hint_to_declare_them() -> None:
    assert "NUM_CLASSES" in (hint_for("NameError: name 'NUM_CLASSES' is not defined") or "")
    assert hint_for("NameError: name 'model' is not defined") is None
    assert hint_for("ValueError: NUM_CLASSES") is None
    assert hint_for(None) is None
