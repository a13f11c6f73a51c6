"""The blocks of a page, with the source line of each: the shared cases, includes, templates and line ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardproof.render.line_origins import FIRST, trace
from cardproof.render.templates import Templates, TemplatesError
from cardproof.snippets.find.blocks import find_blocks, visible_markdown

CASES = Path(__file__).parents[3] / "shared" / "cases" / "snippets"
NAMES = [path.name for path in sorted(CASES.iterdir()) if path.is_dir()] if CASES.is_dir() else []

FINDINGS = {
    "14-list-marker-line": [
        ("page.md:1:3", "warning", "looks like a code fence but the page does not render it as one"),
    ],
    "24-bare-word-option": [
        (
            "page.md:1:1",
            "error",
            "fence header 'python notest' is not understood; write ``` { .python .skip }",
        ),
    ],
    "26-unclosed-fence": [("page.md:1:1", "error", "fence is never closed")],
}


@pytest.fixture(params=NAMES or [pytest.param("", marks=pytest.mark.skip("../shared is absent"))])
def case(request) -> Path:
    return CASES / request.param


def expected(case: Path) -> dict[str, str]:
    lines = (case / "EXPECT.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def found(case: Path):
    text = (case / "page.md").read_bytes().decode("utf-8")
    return find_blocks(text, "page.md", base_path=case)


def test_a_case_has_the_blocks_that_it_says(case):
    blocks, _ = found(case)
    assert len(blocks) == int(expected(case)["blocks"].split()[0])


def test_a_case_has_its_blocks_at_the_lines_that_it_says(case):
    blocks, _ = found(case)
    lines = expected(case).get("lines")
    if lines:
        assert [block.line for block in blocks] == [int(line) for line in lines.split(",")]


def test_a_case_has_findings_only_where_it_says(case):
    _, findings = found(case)
    assert [(str(f.place), f.severity, f.message) for f in findings] == FINDINGS.get(case.name, [])
    assert all(finding.hint for finding in findings)


def test_every_line_of_code_is_the_source_line_that_it_names(case):
    for block in found(case)[0]:
        for number, line in enumerate(block.code.split("\n"), 1):
            file, at = block.lines[number - 1] if block.lines else (block.file, block.line + number - 1)
            source = (case / file).read_text(encoding="utf-8-sig").split("\n")
            assert source[at - 1].endswith(line)


def test_a_reason_and_a_name_are_taken_from_the_header(shared):
    blocks, _ = found(CASES / "21-brace-attributes")
    assert [(b.options.skip, b.options.reason, b.name) for b in blocks] == [
        (True, "needs 80 GB", ""),
        (False, "", "fwd"),
    ]
    (titled,), _ = found(CASES / "20-title-and-highlight")
    assert titled.name == "infer.py"


def test_a_comment_above_skips_with_its_reason(shared):
    (block,), _ = found(CASES / "39-skip-with-reason")
    assert (block.options.skip, block.options.reason) == (True, "downloads 3 GB")


def test_an_included_line_names_the_included_file(shared):
    (block,), _ = found(CASES / "35-included-file")
    assert (block.file, block.line) == ("page.md", 2)
    assert block.lines[1] == ("demo.py", 2)


def test_an_output_block_is_an_expectation_only_where_it_is_announced(shared):
    (announced,), _ = found(CASES / "08-output-text-block")
    (unrelated,), _ = found(CASES / "09-output-text-block-not-adjacent")
    assert announced.stated_output == ("a 1\nb 2", 9)
    assert unrelated.stated_output is None


def test_set_up_and_hidden_checks_are_not_shown(shared):
    text = (CASES / "41-hidden-setup" / "page.md").read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    assert visible_markdown(text) == "".join([lines[3], *lines[4:10], lines[10]])
    blocks, _ = found(CASES / "41-hidden-setup")
    assert [(b.options.setup, b.options.hide) for b in blocks] == [(True, True), (False, False), (False, True)]


def test_a_hidden_line_runs_and_is_not_shown(shared):
    text = (CASES / "42-hidden-lines" / "page.md").read_text(encoding="utf-8")
    assert "manual_seed" in found(CASES / "42-hidden-lines")[0][0].code
    assert visible_markdown(text) == "```python\nimport torch\nprint(torch.rand(1).shape)\n```\n"


def test_consoles_and_expected_errors_are_recognised(shared):
    (console,), _ = found(CASES / "02-doctest-prompts")
    errors, _ = found(CASES / "74-expected-exception")
    assert console.console
    assert [(b.console, b.options.expect_error) for b in errors] == [(False, "ValueError"), (True, None)]


# every line of a rendered template leads back to the file and line that a person edits


@pytest.fixture
def traced(write, tmp_path, monkeypatch):
    """Return a function that traces a template; other templates are given by name and text."""

    monkeypatch.chdir(tmp_path)

    def _traced(text: str, variables=None, **others: str):
        for name, content in others.items():
            write(f"{name}.md", content)
        templates = Templates([tmp_path])
        rendered, origin = trace(templates, text, "page.md", variables or {})
        assert rendered == templates.render_text(text, "page.md", variables or {})
        lines = rendered.split("\n")
        assert list(origin) == list(range(1, len(lines) + 1))
        return [(line, *origin[number]) for number, line in enumerate(lines, 1)]

    return _traced


def test_plain_lines_keep_their_numbers(traced):
    assert traced("a\n\nb") == [("a", "page.md", 1), ("", "page.md", 2), ("b", "page.md", 3)]


def test_an_included_line_names_the_include(traced):
    found = traced("a\n{% include 'inc.md' %}\nz", {"n": 1}, inc="x = {{ n }}\ny\n")
    assert found == [
        ("a", "page.md", 1),
        ("x = 1", "inc.md", 1),
        ("y", "inc.md", 2),
        ("", "page.md", 2),
        ("z", "page.md", 3),
    ]


def test_includes_in_includes_and_indented_ones(traced):
    found = traced("  {% include 'one.md' %}\nend", one="{% include 'two.md' %}\n1", two="2")
    assert found == [("  2", "two.md", 1), ("1", "one.md", 2), ("end", "page.md", 2)]


def test_loops_name_the_same_line_each_time(traced):
    found = traced("{% for i in [1, 2] %}\nx{{ i }}\n{% endfor %}\nend")
    assert [item for item in found if item[0]] == [
        ("x1", "page.md", 2),
        ("x2", "page.md", 2),
        ("end", "page.md", 4),
    ]


def test_conditions_and_removed_blanks(traced):
    found = traced("a\n{%- if true %}\nb\n{%- endif -%}\n\n\nc\n{#- gone\ngone #}\nd")
    assert found == [("a", "page.md", 1), ("bc", "page.md", 3), ("d", "page.md", 10)]


def test_lines_of_a_value_are_those_of_the_expression(traced):
    found = traced("a\n{{ v }} x\nb", {"v": "1\n2"})
    assert found == [("a", "page.md", 1), ("1", "page.md", 2), ("2 x", "page.md", 2), ("b", "page.md", 3)]


def test_macros_are_traced_to_where_they_are_written(traced):
    found = traced("{% from 'mac.md' import m %}\n{{ m(1) }}", mac="{% macro m(x) %}\nx{{ x }}\n{% endmacro %}")
    assert ("x1", "mac.md", 2) in found


def test_inherited_blocks_are_traced_to_the_template_that_has_them(traced):
    base = "top\n{% block body %}{% endblock %}\nbottom"
    found = traced("{% extends 'base.md' %}\n{% block body %}\nhere\n{% endblock %}", base=base)
    assert [item for item in found if item[0]] == [
        ("top", "base.md", 1),
        ("here", "page.md", 3),
        ("bottom", "base.md", 3),
    ]


def test_a_filter_that_sees_the_marks_does_not_change_the_text(traced):
    found = traced("a\n{% filter indent(2, true) %}\nb\n\nc\n{% endfilter %}\n{{ d }}", {"d": "D"})
    assert [item for item in found if item[0].strip()] == [
        ("a", "page.md", 1),
        ("  b", "page.md", 3),
        ("  c", "page.md", 5),
        ("D", "page.md", 7),
    ]


def test_a_condition_that_sees_the_marks_does_not_change_the_text(traced):
    text = "{% set x %}ab{% endset %}\n{% if x|length == 2 %}\nyes\n{% else %}\nno\n{% endif %}\n{{ x|length }}\nend"
    found = traced(text)
    assert [line for line, _, _ in found if line] == ["yes", "2", "end"]
    assert ("end", "page.md", 8) in found


def test_a_filter_that_fails_on_marks_does_not_fail_the_trace(traced):
    found = traced("a\n{% set x %}3{% endset %}\n{{ 1 // (x|length - 2 or 1) }}\n{{ [0][x|length - 1] }}\nb")
    assert found[0] == ("a", "page.md", 1)
    assert found[-1] == ("b", "page.md", 5)


def test_private_characters_of_an_author_stay(traced):
    (found,) = traced(f"a{chr(FIRST)}{{{{ v }}}}", {"v": chr(FIRST + 5)})
    assert found == (f"a{chr(FIRST)}{chr(FIRST + 5)}", "page.md", 1)


def test_literal_template_text_is_traced(traced):
    assert ("{{ x }}", "page.md", 2) in traced("{% raw %}\n{{ x }}\n{% endraw %}")


def test_errors_are_those_of_the_untraced_template(traced):
    with pytest.raises(TemplatesError, match="'missing' is undefined"):
        traced("a\n{{ missing }}")


def test_36_a_block_of_a_template_is_found_at_the_templates_line(shared, monkeypatch):
    case = shared / "cases" / "snippets" / "36-template-page"
    monkeypatch.chdir(case)
    case = Path.cwd()  # without links, as places are shown
    templates = Templates([case])
    text = "{# a comment\nof two lines #}" + (case / "page.md").read_text(encoding="utf-8")
    rendered, origin = trace(templates, text, str(case / "page.md"), {"model": {"name": "tinynet"}})
    (block,), _ = find_blocks(rendered, "models/page.md", origin=origin)
    assert (block.file, block.line) == ("page.md", 3)
    assert 'name = "tinynet"' in block.code
    assert "# prints: tinynet" in block.code


PARTS = st.sampled_from(
    [
        "text\n",
        "\n",
        "{{ v }}",
        "{{- v -}}",
        "{% if v %}",
        "{% endif %}",
        "{%- for i in [1, 2] -%}",
        "{% endfor %}",
        "{% filter upper %}",
        "{% filter indent %}",
        "{% endfilter %}",
        "{% set x %}",
        "{% endset %}",
        "{{ x|length }}",
        "{% raw %}",
        "{% endraw %}",
        "  ",
        "{# note\n #}",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=12))
def test_a_traced_text_is_the_untraced_one_with_a_place_for_every_line(parts):
    text = "".join(parts)
    templates = Templates([])
    variables = {"v": "a\nb", "x": "c"}
    try:
        plain = templates.render_text(text, "page.md", variables)
    except TemplatesError:
        with pytest.raises(TemplatesError):
            trace(templates, text, "page.md", variables)
        return
    rendered, origin = trace(templates, text, "page.md", variables)
    assert rendered == plain
    assert list(origin) == list(range(1, plain.count("\n") + 2))
    assert all(1 <= line <= text.count("\n") + 1 for _, line in origin.values())
