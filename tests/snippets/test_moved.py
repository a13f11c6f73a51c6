"""Pages with the same outline have the same blocks, as far apart as their first lines with markup are."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cardproof.snippets.find.blocks import EXTENSION_CONFIGS, EXTENSIONS, find_blocks
from cardproof.snippets.moved import facts_of, outline_of, starts_of

WORDS = ("Some words.", "Other words: more of them", "And *again*", "")
OTHERS = ("# Heading", "- item", "    indented", '=== "Tab"', "!!! note", "1. one", "a) letter", "> quote", "| a | b |")
CODE = (
    "```python\nx = 1\nSome words\n```",
    "~~~~ {.python .hide}\ny = 2\n```\n~~~~",
    "    ```python\n    z = 3\n    ```",
    "<!-- snippet: setup\nq = 4\n-->",
    "```text\nnothing\n```",
)


def blocks_of(text: str):
    return find_blocks(text, "page.md", extensions=EXTENSIONS, extension_configs=EXTENSION_CONFIGS)[0]


def written(pieces: tuple[str, ...]) -> str:
    return "\n".join(pieces)


words = st.lists(st.sampled_from(WORDS[:-1]), min_size=1, max_size=3)
paragraphs = st.lists(words.map(written), min_size=1, max_size=2).map("\n\n".join)
around = st.lists(
    st.one_of(st.sampled_from(("", *OTHERS)), st.tuples(paragraphs, paragraphs), st.just(("# One", "# Other"))),
    max_size=6,
)
middles = st.lists(st.sampled_from(WORDS + OTHERS + CODE), max_size=6)


@settings(max_examples=200, deadline=None)
@given(around, middles, around, st.booleans())
def test_the_same_outline_means_the_same_blocks(before, middle, after, apart):
    def page(number: int) -> str:
        pieces = [*before, CODE[0], *middle, CODE[0], *after]
        gap = ["", ""] if apart and number else [""]
        return "\n".join([*gap, *(piece if isinstance(piece, str) else piece[number] for piece in pieces)])

    one, other = page(0), page(1)
    first, second = outline_of(one), outline_of(other)
    assume(first.kept == second.kept)
    by = second.first - first.first
    found = blocks_of(one)
    assert facts_of(found) == facts_of(blocks_of(other))
    assert [(block.line + by, block.end and block.end + by) for block in found] == [
        (b.line, b.end) for b in blocks_of(other)
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Words.\n\n```python\nx\n```\n", "Other words.\nMore.\n\n```python\nx\n```\n", True),
        ("Words.\n\nMore.\n\n```python\nx\n```\n", "Other.\n\nAgain.\n\nMore.\n\n```python\nx\n```\n", True),
        ("Words.\n\n```python\nx\n```\n", "Words.\n\nMore.\n\n```python\nx\n```\n", False),
        ("Words.\n\n```python\nx\n```\n", "Words.\n\n```python\ny\n```\n", False),
        ("# One\n\n```python\nx\n```\n", "# Other\n\n```python\nx\n```\n", True),
        ("# One\n\n```python\nx\n```\n", "## One\n\n```python\nx\n```\n", False),
        ("Words.\n\n```python\nx\n```\n", "```python\nx\n```\n", False),
        (
            "- item\nwords\n\n    ```python\n    x\n    ```\n",
            "- item\n\nwords\n\n    ```python\n    x\n    ```\n",
            False,
        ),
        ("```python\nx\n```\nWords\n```text\n1\n```\n", "```python\nx\n```\nMore\n```text\n1\n```\n", False),
        ("Words\n\n```python\nx\n```\n", "a) Words\n\n```python\nx\n```\n", False),
        ("Words\n\n```python\nx\n```\n", "Words `code`\n\n```python\nx\n```\n", False),
        ("Words\n", "Other\n", False),
    ],
)
def test_words_before_and_after_the_blocks_are_no_part_of_an_outline(one, other, same):
    assert (outline_of(one).kept == outline_of(other).kept) is same


def test_blocks_begin_on_the_line_of_the_page_that_came_from_their_source():
    text = "Words\n\n```python\nx = 1\n```\n\n```python\ny = 2\n```\n"
    blocks = blocks_of(text)
    assert starts_of(blocks, text, "page.md", {}) == (4, 8)
    origin = {number: ("include.md", number - 2) for number in range(3, 10)}
    moved = [replace(block, file="include.md", line=block.line - 2) for block in blocks]
    assert starts_of(moved, text, "page.md", origin) == (4, 8)


def test_where_a_line_came_from_a_loop_its_place_is_not_known():
    text = "```python\nx = 1\n```\n\n```python\nx = 1\n```\n"
    origin = {number: ("include.md", (number - 1) % 4 + 1) for number in range(1, 9)}
    blocks = [replace(block, file="include.md", line=2) for block in blocks_of(text)]
    assert starts_of(blocks, text, "page.md", origin) == (0, 0)
