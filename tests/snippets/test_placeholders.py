"""Placeholders get a value for the run and stay as written on the page."""

from __future__ import annotations

import pytest

from cardproof.snippets.find.blocks import find_blocks
from cardproof.snippets.placeholders import (
    PlaceholderError,
    check_placeholders,
    hint_for,
    used_placeholders,
    with_placeholders,
)
from cardproof.snippets.types import Block, Options

VALUES = {"NUM_FINETUNE_CLASSES": 7, "PATH": "a.pth"}


def block(code: str, **options) -> Block:
    return Block("page.md", 2, code, Options(**options))


def test_a_page_gets_set_up_for_the_names_that_it_uses_and_stays_as_written():
    page = (block("x = 1"), block("f(NUM_FINETUNE_CLASSES)"))
    set_up, *rest = with_placeholders(page, VALUES, "mkdocs.yml")
    assert (set_up.code, set_up.options.setup, set_up.options.hide) == ("NUM_FINETUNE_CLASSES = 7", True, True)
    assert tuple(rest) == page


def test_a_page_that_uses_none_stays_as_it_is():
    page = (block("x = 1"),)
    assert with_placeholders(page, VALUES, "mkdocs.yml") == page


def test_a_block_that_starts_afresh_gets_its_placeholders_again():
    page = (block("PATH"), block("y", fresh=True), block("PATH", fresh=True), block("PATH"))
    blocks = with_placeholders(page, VALUES, "mkdocs.yml")
    assert [b.code for b in blocks] == ["PATH = 'a.pth'", "PATH", "y", "PATH = 'a.pth'", "PATH", "PATH"]
    assert [b.options.fresh for b in blocks] == [False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("f(NUM_FINETUNE_CLASSES, PATH)", ("NUM_FINETUNE_CLASSES", "PATH")),
        (">>> f(PATH)\n1\n>>> for x in y:\n...     PATH", ("PATH",)),
        ("PATH = 1", ()),
        ("'PATH'  # PATH", ()),
        ("x.PATH", ()),
        ("def broken(:", ()),
    ],
)
def test_the_names_that_code_reads(code, names):
    assert used_placeholders(code, VALUES) == names


@pytest.mark.parametrize("values", [{"lower": 1}, {"A B": 1}, {1: 1}, {"DATA": object()}, {"DATA": float("nan")}])
def test_a_declaration_that_means_nothing_is_refused(values):
    with pytest.raises(PlaceholderError):
        check_placeholders(values)


def test_only_undefined_upper_case_names_get_the_hint():
    assert "NUM_CLASSES" in hint_for("NameError: name 'NUM_CLASSES' is not defined")
    assert hint_for("NameError: name 'model' is not defined") is None
    assert hint_for("ValueError: NUM_CLASSES") is None
    assert hint_for(None) is None


def test_the_published_card_with_a_placeholder_can_run(shared):
    text = (shared / "cases" / "cards" / "50-placeholder-name-in-snippet" / "code_snippets.md").read_text("utf-8")
    blocks, _ = find_blocks(text, "code_snippets.md")
    set_up, shown = with_placeholders(blocks, {"NUM_FINETUNE_CLASSES": 7}, "mkdocs.yml")
    assert set_up.code == "NUM_FINETUNE_CLASSES = 7"
    assert "num_classes=NUM_FINETUNE_CLASSES" in shown.code
