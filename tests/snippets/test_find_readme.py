"""READMEs that no site converts: what CommonMark shows as code is found, as GitHub and PyPI show it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cardproof.snippets.find.blocks import find_blocks, find_readme_blocks
from cardproof.snippets.run_pages import Page, Policy, page_blocks


def found(text):
    blocks, findings = find_readme_blocks(text, "README.md")
    return [(block.line, block.code) for block in blocks], [(str(f.place), f.severity, f.message) for f in findings]


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        (" ```python\n a = 1\n ```\n", 2, "a = 1"),
        ("- item\n\n  ```python\n  a = 1\n  ```\n", 4, "a = 1"),
        ("1. item\n   ```py\n   a = 1\n     b\n   ```\n", 3, "a = 1\n  b"),
        ("> ```python3\n> a = 1\n> ```\n", 2, "a = 1"),
        ("- ```python\n  a = 1\n  ```\n", 2, "a = 1"),
        ("<details>\n<summary>More</summary>\n\n```python\na = 1\n```\n\n</details>\n", 5, "a = 1"),
        ("text\n```Python title=\"a.py\"\na = 1\n```\ntext\n", 3, "a = 1"),
        ("````python\n```\n````\n", 2, "```"),
    ],
)  # fmt: skip
def test_a_fence_that_commonmark_shows_is_a_block(text, line, code):
    assert found(text) == ([(line, code)], [])


def test_a_header_of_another_language_may_have_any_words():
    assert found("```shell script\nls\n```\n\n```python\na = 1\n```\n") == ([(6, "a = 1")], [])


@pytest.mark.parametrize(
    "text",
    [
        "    ```python\n    a = 1\n    ```\n",
        "<!--\n```python\na = 1\n```\n-->\n",
        "<pre>\n```python\na = 1\n```\n</pre>\n",
        "`````text\n```python\na = 1\n```\n`````\n",
    ],
)
def test_what_commonmark_does_not_show_as_python_is_not_run(text):
    assert found(text)[0] == []


def test_a_fence_that_never_closes_is_an_error():
    assert found("```python\na = 1\n") == ([], [("README.md:1:1", "error", "fence is never closed")])


def test_a_python_header_with_another_word_is_an_error_and_not_run():
    message = "fence header 'python notest' is not understood; write ``` { .python .skip }"
    assert found("```python notest\na = 1\n```\n") == ([], [("README.md:1:1", "error", message)])


def test_comments_with_options_stated_outputs_and_set_up_work_as_on_a_site():
    text = (
        "<!-- snippet: setup\nx = 1\n-->\n\n<!-- snippet: fresh -->\n```python\nprint(x)\n```\n\n"
        "Output:\n\n```text\n1\n```\n\n```python\ny = '<!-- snippet: skip -->'\n```\n"
    )
    blocks, findings = find_readme_blocks(text, "README.md")
    assert findings == ()
    assert [block.code for block in blocks] == ["x = 1", "print(x)", "y = '<!-- snippet: skip -->'"]
    assert blocks[1].options.fresh and not blocks[2].options.skip
    assert blocks[1].stated_output == ("1", 13)


def test_lines_below_front_matter_are_those_of_the_file():
    assert found("---\nlicense: mit\n---\n\n```python\na = 1\n```\n")[0] == [(6, "a = 1")]


FENCED = "- ```python\n  a = 1\n  ```\n"
"""A block on GitHub; superfences takes it for text."""


@pytest.mark.parametrize(
    ("file", "config", "blocks"),
    [
        ("README.md", None, 1),
        ("readme.markdown", None, 1),
        ("README.md", "mkdocs.yml", 1),
        ("docs/README.md", "mkdocs.yml", 0),
        ("page.md", None, 0),
    ],
)
def test_a_readme_outside_of_the_docs_is_read_as_github_shows_it(tmp_path, file, config, blocks):
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nmarkdown_extensions: [pymdownx.superfences]\n")
    path = tmp_path / file
    page = Page(file, FENCED, tmp_path, folder=path.parent)
    policy = Policy(config=tmp_path / config if config else None)
    assert len(page_blocks(page, policy)[0]) == blocks


@pytest.mark.parametrize(
    "sign", ['=== "A"\n\n    text', "!!! note\n    text", "```{ .python .skip }\nx\n```", "--8<-- 'a'"]
)
def test_a_readme_with_the_syntax_of_a_sites_extensions_is_read_with_them(tmp_path, sign):
    text = f"{sign}\n\n" + FENCED
    blocks, _ = page_blocks(Page("README.md", text, tmp_path, folder=tmp_path), Policy())
    assert [block.line for block in blocks] == [block.line for block in find_blocks(text, "README.md")[0]]


PIECES = (
    "```python",
    "```",
    " ```py",
    "  ```",
    "~~~python",
    "~~~",
    "a = 1",
    "- item",
    "> quote",
    "",
    "text",
    "    x",
    "<b>",
)


@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_the_blocks_are_the_closed_python_fences_of_commonmark(lines):
    text = "\n".join(lines)
    tokens = [token for token in MarkdownIt("commonmark").parse(text) if token.type == "fence"]
    closed = [t for t in tokens if t.map[1] - t.map[0] > 1 and lines[t.map[1] - 1].strip("> ") == t.markup]
    code = [t.content.strip() for t in closed if t.info in ("python", "py") and t.content.strip()]
    assert [block.code.strip() for block in find_readme_blocks(text, "README.md")[0]] == code


def test_this_projects_readme_has_no_finding():
    path = Path(__file__).parents[2] / "README.md"
    assert find_readme_blocks(path.read_text(encoding="utf-8"), "README.md")[1] == ()
