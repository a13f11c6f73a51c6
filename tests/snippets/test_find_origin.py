"""Every line of a rendered template leads back to the file and line that a person edits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardproof.render.origin import FIRST, trace
from cardproof.render.templates import Templates, TemplatesError
from cardproof.snippets.find.blocks import find_blocks


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
