"""Pages beyond the shared cases: what the site's own extensions show is found, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardproof.snippets.find.blocks import find_blocks, find_readme_blocks, site_extensions, visible_markdown

PLAIN = {"extensions": ["toc", "tables", "fenced_code"], "extension_configs": {}}


def lines_of(text, **options):
    return [block.line for block in find_blocks(text, "page.md", **options)[0]]


def messages(text, **options):
    return [(str(f.place), f.message) for f in find_blocks(text, "page.md", **options)[1]]


def test_code_in_admonitions_details_lists_and_quotes_in_them_is_found():
    text = (
        "!!! note\n\n    ```python\n    a = 1\n    ```\n\n"
        '??? tip "more"\n\n    1.  item\n\n        ```py\n        b = 2\n        ```\n\n'
        "> - x\n>\n>     ```python3\n>     c = 3\n>     ```\n"
    )
    blocks, findings = find_blocks(text, "page.md")
    assert [(block.line, block.code) for block in blocks] == [(4, "a = 1"), (12, "b = 2"), (18, "c = 3")]
    assert findings == ()


def test_fences_of_other_languages_and_of_none_are_not_python():
    text = "```\na\n```\n\n```bash\nls\n```\n\n    indented = 1\n\n```PYTHON\nx = 1\n```\n"
    assert lines_of(text) == [12]
    assert messages(text) == []


def test_a_fence_that_only_an_indented_block_shows_is_named():
    text = "Text\n\n    ```python\n    x = 1\n    ```\n"
    assert lines_of(text) == []
    assert messages(text) == [
        ("page.md:3:5", "looks like a code fence but the page shows it with its back-ticks, as an indented block")
    ]


def test_a_site_without_superfences_shows_fences_at_the_start_of_a_line_only():
    text = "```python\na = 1\n```\n\n- item\n\n    ```python\n    b = 2\n    ```\n"
    assert lines_of(text, **PLAIN) == [2]
    assert lines_of(text) == [2, 8]
    assert messages(text, **PLAIN)[0][0] == "page.md:7:5"


def test_a_fence_in_an_html_comment_is_neither_run_nor_reported():
    assert find_blocks("<!--\n```python notest\nx\n```\n\n```python\nnever closed\n-->\n", "p.md") == ((), ())


@pytest.mark.parametrize(
    ("word", "option"),
    [("notest", "skip"), ("no-run", "skip"), ("cuda", "gpu"), ("raises", "expect-error"), ("whatever", "skip")],
)
def test_a_refused_header_is_reported_with_the_header_that_it_probably_means(word, option):
    ((place, message),) = messages(f"Text\n\n```py {word}\nx\n```\n")
    assert place == "page.md:3:1"
    assert message.endswith(f"write ``` {{ .py .{option} }}")


@pytest.mark.parametrize(
    ("header", "written"),
    [
        ('python title="a.py" showLineNumbers', '{ .python title="a.py" linenums="1" }'),
        ('python title="a.py" notest', '{ .python .skip title="a.py" }'),
        ("python out", "{ .python .output }"),
        ("python src/train.py", '{ .python title="src/train.py" }'),
        ("python:train.py", '{ .python title="train.py" }'),
        ("python, ignore", "{ .python .skip }"),
        ("python {1,3-4} notest", '{ .python .skip hl_lines="1 3-4" }'),
        ("{code-block} python", "{ .python }"),
        ("{code-cell} ipython3", "{ .python }"),
        ("{python}", "{ .python }"),
        ("{doctest}", "{ .python }"),
    ],
)
def test_the_header_to_write_keeps_what_the_refused_one_says(header, written):
    ((place, message),) = messages(f"```{header}\nx\n```\n")
    assert place == "page.md:1:1"
    assert message.endswith(f"write ``` {written}")


def test_a_directive_of_another_tool_that_is_skipped_there_is_skipped_here():
    _, (finding,) = find_blocks("```{code-cell}\n:tags: [skip-execution]\n\nx\n```\n", "page.md")
    assert finding.message.endswith("write ``` { .python .skip }")
    assert finding.hint == "and leave out the lines below it: :tags: [skip-execution]"
    _, (finding,) = find_blocks("```{doctest}\n:skipif: True\n>>> x\n```\n", "page.md")
    assert finding.message.endswith("write ``` { .python .skip }")
    assert "write" not in messages("```{note} A title\nx\n```\n")[0][1]


@pytest.mark.parametrize(
    "comment",
    [
        "<!-- skip: next -->",
        '<!-- skip: next if(True, reason="x") -->',
        "<!--pytest-codeblocks:skip-->",
        "<!--pytest.mark.skip-->",
        "<!-- pytest.mark.skipif(1 < 2, reason='x') -->",
        "<!-- notest -->",
        "<!-- phmdoctest-skip -->",
    ],
)
def test_a_comment_by_which_another_tool_skips_a_block_is_a_warning(comment):
    _, (finding,) = find_blocks(f"Text.\n\n{comment}\n\n```python\nx\n```\n", "page.md")
    assert (finding.place.line, finding.severity) == (3, "warning")
    assert comment in finding.message
    assert find_blocks(f"{comment}\n\n```bash\nx\n```\n", "page.md")[1] == ()
    assert find_blocks(f"```html\n{comment}\n```\n\n`{comment}`\n\n```python\nx\n```\n", "page.md")[1] == ()


def test_other_comments_are_nobodys():
    assert find_blocks("<!-- skip this part in talks -->\n\n```python\nx\n```\n", "page.md")[1] == ()


@pytest.mark.parametrize("text", ["``` { .python .timeout=120 }", "<!-- snippet: timeout=120 -->\n```python"])
def test_a_block_may_have_a_limit_of_its_own(text):
    (block,), findings = find_blocks(f"{text}\nx\n```\n", "page.md")
    assert (block.options.timeout, findings) == (120.0, ())


@pytest.mark.parametrize(
    "text",
    ["``` { .python .timeout=soon }", "``` { .python .timeout }", "<!-- snippet: timeout=-1 -->\n```python"],
)
def test_a_limit_that_is_no_number_is_an_error(text):
    (block,), (finding,) = find_blocks(f"{text}\nx\n```\n", "page.md")
    assert (block.options.timeout, finding.severity) == (None, "error")
    assert "needs a number of seconds" in finding.message


def test_the_closing_line_of_a_refused_fence_opens_one_as_on_the_page():
    text = "```python notest\nx\n```\n\n```python\ny = 1\n```\n"
    assert lines_of(text) == []
    assert [place for place, _ in messages(text)] == ["page.md:1:1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("``` { .python .skipp }\nx\n```\n", "unknown option '.skipp', did you mean '.skip'?"),
        ("``` { .python .notest }\nx\n```\n", "unknown option '.notest', did you mean '.skip'?"),
        (
            "``` { .python .mine }\nx\n```\n",
            "class '.mine' is not an option of a snippet and changes nothing about how it runs",
        ),
        ("``` { .python .skip }\nx\n```\n", "a block is skipped without a reason"),
        (
            "<!-- snippet: gpus -->\n```python\nx\n```\n",
            "unknown option 'gpus' in a snippet comment, did you mean 'gpu'?",
        ),
        ("<!-- snippet: skip -->\n```python\nx\n```\n", "a block is skipped without a reason"),
        ("<!-- snippet: gpu -->\n\ntext\n\n```python\nx\n```\n", "no code block follows the comment 'snippet: gpu'"),
        ("<!-- snippet: gpu -->\n```bash\nx\n```\n", "a 'bash' block is not run, so its options have no effect"),
        ("``` { .text .output }\nx\n```\n", "an output block follows no Python block whose output it could state"),
    ],
)
def test_options_that_mean_nothing_are_findings_at_their_line(text, message):
    assert messages("\n\n" + text) == [("page.md:3:1", message)]


def test_classes_of_the_theme_are_no_options_and_no_findings():
    blocks, findings = find_blocks("``` { .python .annotate .no-copy }\nx\n```\n", "page.md")
    assert len(blocks) == 1
    assert findings == ()


def test_options_of_fence_and_comment_add_up():
    text = '<!-- snippet: gpu network -->\n<!-- snippet: expect-error="OSError" -->\n``` { .python .fresh }\nx\n```\n'
    options = find_blocks(text, "page.md")[0][0].options
    assert (options.gpu, options.network, options.fresh, options.expect_error) == (True, True, True, "OSError")


def test_an_expected_error_without_a_class_is_any():
    (block,), _ = find_blocks("``` { .python .expect-error }\nx\n```\n", "page.md")
    assert block.options.expect_error == ""


def test_a_missing_include_is_an_error_at_its_line(tmp_path):
    (finding,) = find_blocks('# T\n\n--8<-- "gone.md"\n', "page.md", base_path=tmp_path)[1]
    assert (str(finding.place), finding.severity) == ("page.md:3:1", "error")
    assert "gone.md" in finding.message


def test_an_included_page_has_its_blocks_at_its_own_lines(tmp_path):
    (tmp_path / "part.md").write_text("intro\n\n```python\na = 1\n```\n", encoding="utf-8")
    blocks, _ = find_blocks('# T\n\n--8<-- "part.md"\n\n```python\nb = 2\n```\n', "page.md", base_path=tmp_path)
    assert [(b.file, b.line, b.lines) for b in blocks] == [("part.md", 4, ()), ("page.md", 6, ())]


def test_lines_and_sections_of_an_included_file_keep_their_numbers(tmp_path):
    code = "import os\n# --8<-- [start:part]\nif True:\n    a = 1\n# --8<-- [end:part]\nb = 2\n"
    (tmp_path / "demo.py").write_text(code, encoding="utf-8")
    page = '```python\n--8<-- "demo.py:part"\n```\n\n- x\n\n    ```python\n    --8<-- "demo.py:6:6"\n    ```\n'
    blocks, _ = find_blocks(page, "page.md", base_path=tmp_path)
    assert [(b.line, b.code, b.lines) for b in blocks] == [
        (2, "if True:\n    a = 1", (("demo.py", 3), ("demo.py", 4))),
        (8, "b = 2", (("demo.py", 6),)),
    ]


def test_a_dedented_section_keeps_its_numbers(tmp_path):
    (tmp_path / "demo.py").write_text("def f():\n    a = 1\n    b = 2\n", encoding="utf-8")
    (block,), _ = find_blocks(
        '```python\n--8<-- "demo.py:2:3"\n```\n',
        "page.md",
        extensions=["pymdownx.superfences", "pymdownx.snippets"],
        extension_configs={"pymdownx.snippets": {"dedent_subsections": True}},
        base_path=tmp_path,
    )
    assert (block.code, block.lines) == ("a = 1\nb = 2", (("demo.py", 2), ("demo.py", 3)))


def test_rendered_lines_lead_back_to_the_template():
    origin = {1: ("t.md", 1), 2: ("inc.md", 7), 3: ("inc.md", 8), 4: ("inc.md", 9)}
    blocks, _ = find_blocks("\n```python\nx\n```\n", "page.md", origin=origin)
    assert [(b.file, b.line, b.lines) for b in blocks] == [("inc.md", 8, ())]
    loop = {**origin, 3: ("data.md", 3)}
    blocks, _ = find_blocks("\n```python\nx\n```\n", "page.md", origin=loop)
    assert [(b.file, b.line, b.lines) for b in blocks] == [("inc.md", 8, (("data.md", 3),))]


def test_findings_are_at_the_template_line_as_well():
    (finding,) = find_blocks("```python notest\nx\n```\n", "page.md", origin={1: ("t.md", 40)})[1]
    assert (finding.place.file, finding.place.line) == ("t.md", 40)


def test_front_matter_counts_as_lines_and_is_never_code():
    assert lines_of("---\na: b\n---\n\n```python\nx\n```\n") == [6]
    assert lines_of("title: x\nother: y\n\n```python\nx\n```\n") == [5]


def test_a_tab_in_code_is_what_the_page_shows():
    (block,), _ = find_blocks("```python\nif 1:\n\tx = 1\n```\n", "page.md")
    assert block.code == "if 1:\n    x = 1"


def test_tabs_that_the_site_preserves_are_preserved():
    options = {
        "extensions": ["pymdownx.superfences"],
        "extension_configs": {"pymdownx.superfences": {"preserve_tabs": True}},
    }
    (block,), _ = find_blocks("a\n\n```python\nif 1:\n\tx = 1\n```\n", "page.md", **options)
    assert (block.code, block.line) == ("if 1:\n\tx = 1", 4)


@pytest.mark.parametrize("announcement", ["Output:", "This is the **output:**", "It prints this output:"])
def test_an_announced_output_belongs_to_the_block_before(announcement):
    (block,), _ = find_blocks(f"```python\nx\n```\n\n{announcement}\n\n```text\n1\n\n2\n```\n", "page.md")
    assert block.stated_output == ("1\n\n2", 8)


@pytest.mark.parametrize(
    "between", ["# Output:", "Text.\n\nOutput:", "- Output:", "```bash\nls\n```\n\nOutput:", "Outputs are many:"]
)
def test_an_output_block_is_not_guessed(between):
    (block,), _ = find_blocks(f"```python\nx\n```\n\n{between}\n\n```text\n1\n```\n", "page.md")
    assert block.stated_output is None


def test_a_marked_output_needs_no_announcement():
    text = "```python\nx\n```\n\nAnything. More.\n\nElse.\n\n``` { .json .output }\n{}\n```\n"
    assert find_blocks(text, "page.md")[0][0].stated_output == ("{}", 10)
    text = "```python\nx\n```\n<!-- snippet: output -->\n```json\n{}\n```\n"
    assert find_blocks(text, "page.md")[0][0].stated_output == ("{}", 6)


def test_set_up_may_begin_beside_the_word_or_stand_in_a_list():
    blocks, _ = find_blocks(
        "<!-- snippet: setup a = 1 -->\n\n- x\n\n    <!-- snippet: setup\n    b = 2\n    -->\n", "p.md"
    )
    assert [(b.code, b.line, b.options.setup) for b in blocks] == [("a = 1", 1, True), ("b = 2", 6, True)]


def test_set_up_that_a_fence_shows_as_text_is_not_run():
    text = "```html\n<!-- snippet: setup\nx = 1\n-->\n```\n\n    <!-- snippet: setup\n    y = 1\n    -->\n"
    assert find_blocks(text, "page.md") == ((), ())
    assert visible_markdown(text) == text


def test_comments_survive_a_site_that_strips_them():
    options = {"extensions": ["pymdownx.superfences", "pymdownx.striphtml"], "extension_configs": {}}
    text = '<!-- snippet: skip reason="r" -->\n```python\nx\n```\n'
    assert find_blocks(text, "page.md", **options)[0][0].options.skip


def test_showing_keeps_byte_order_mark_line_ends_and_everything_else():
    text = "\ufeff# T\r\n\r\n```python\r\na = 1  # snippet: hide\r\nb = 2\r\n```\r\nno end"
    assert visible_markdown(text) == "\ufeff# T\r\n\r\n```python\r\nb = 2\r\n```\r\nno end"


def test_a_block_hidden_by_a_comment_is_not_shown_either():
    text = "a\n\n<!-- snippet: hide -->\n```python\nassert x\n```\n\nb\n"
    assert find_blocks(text, "page.md")[0][0].options.hide
    assert visible_markdown(text) == "a\n\n\nb\n"


def test_the_extensions_of_a_site_are_those_that_mkdocs_uses(write):
    config = (
        "site_name: x\nmarkdown_extensions:\n  - admonition\n  - pymdownx.superfences\n"
        "  - pymdownx.tabbed:\n      alternate_style: true\n"
    )
    extensions, configs = site_extensions(write("mkdocs.yml", config))
    assert extensions == ["toc", "tables", "fenced_code", "admonition", "pymdownx.superfences", "pymdownx.tabbed"]
    assert configs == {"pymdownx.tabbed": {"alternate_style": True}}
    assert lines_of("```python\nx\n```\n", extensions=extensions, extension_configs=configs) == [2]


def test_a_wrong_extension_is_an_error_that_names_it(write):
    from cardproof.core.errors import InputError

    with pytest.raises(InputError, match="no_such_extension"):
        site_extensions(write("mkdocs.yml", "site_name: x\nmarkdown_extensions: [no_such_extension]\n"))


MARKS = [
    "<!-- snippet@3: skip -->",
    "<!-- snippet@0: setup -->",
    "<! snippet@99: x>",
    f"<!-- snippet@{'9' * 5000}: x -->",
    '<i data-cardproof-fence="7"></i>',
    '<i data-cardproof-fence="x" data-cardproof-end="²">',
]
"""What looks like a mark that finding puts into a page itself."""


@pytest.mark.parametrize("find", [find_blocks, find_readme_blocks])
@pytest.mark.parametrize("mark", MARKS)
def test_text_that_looks_like_a_mark_is_text(find, mark):
    blocks, findings = find(f"{mark}\n\n```python\nx = 1\n```\n", "README.md")
    assert [(block.line, block.code, block.options.skip) for block in blocks] == [(4, "x = 1", False)]
    assert findings == ()


OPTION = st.lists(
    st.sampled_from([*"\"'=:-@#.!<> \n\t\0²９", "skip", "timeout", "setup", "reason", "hide", "1e9", "nan"]), max_size=9
).map("".join)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(OPTION, st.sampled_from(MARKS)), max_size=5), OPTION)
def test_no_option_or_mark_ends_in_an_exception(texts, header):
    comments = "\n".join(text if text in MARKS else f"<!-- snippet: {text} -->" for text in texts)
    page = f"{comments}\n```python {{ {header} }}\nx = 1\n```\n"
    for find in (find_blocks, find_readme_blocks):
        find(page, "README.md")


PIECES = st.sampled_from(
    [
        "text",
        "```python",
        "```",
        "~~~",
        "~~~python",
        "    ```python",
        "    ```",
        "> ```py",
        "> ```",
        "- ```python",
        "<!--",
        "-->",
        "<!-- snippet: skip -->",
        "<!-- snippet: setup",
        "<div>",
        "</div>",
        '=== "tab"',
        "!!! note",
        "Output:",
        "```text",
        "x = 1",
        "    y = 2",
        "``` { .python .hide }",
        "",
        "",
        "---",
        "key: value",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=14))
def test_whatever_a_page_says_each_code_line_is_its_source_line(pieces):
    source = "\n".join(pieces)
    lines = source.split("\n")
    blocks, _ = find_blocks(source, "page.md")
    for block in blocks:
        assert block.file == "page.md"
        for number, code in enumerate(block.code.split("\n") if block.code else []):
            at = block.lines[number][1] if block.lines else block.line + number
            assert code.strip() in lines[at - 1]


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=14), st.sampled_from(["\n", "\r\n"]))
def test_showing_only_takes_lines_away(pieces, end):
    text = end.join(pieces)
    kept = iter(text.splitlines(keepends=True))
    assert all(line in kept for line in visible_markdown(text).splitlines(keepends=True))
