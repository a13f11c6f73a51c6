"""YAML as cards write it: traps of YAML 1.1, limits, and errors at the card's own lines."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cardproof.core.source import Source
from cardproof.core.yaml import read_yaml


def parse(text: str):
    from pathlib import Path

    return read_yaml(Source("f.yml", Path("f.yml"), text))


@pytest.mark.parametrize(
    ("text", "value", "fix"),
    [
        ("no", "no", "'no'"),
        ("Yes", "Yes", "'Yes'"),
        ("on", "on", "'on'"),
        ("1e-5", 1e-5, "1.0e-5"),
        ("1e5", 1e5, "1.0e+5"),
        ("1.5e3", 1500.0, "1.5e+3"),
        ("012", "012", "'012'"),
        ("1:30", "1:30", "'1:30'"),
        ("1_000", "1_000", "'1_000'"),
    ],
)
def test_what_yaml_1_1_reads_differently_is_kept_and_reported_with_a_fix(text, value, fix):
    root, findings = parse(f"k: {text}\n")
    assert root.plain() == {"k": value}
    assert [(f.check, f.severity, f.place.line, f.place.column, f.fix.text) for f in findings] == [
        ("yaml-1.1", "warning", 1, 4, fix)
    ]


@pytest.mark.parametrize(
    "text", ["true", "12", "1.5", "1.0e-5", "~", "text", "'no'", '"1e-5"', "2021-01-01", "0x1F", "-3"]
)
def test_plain_values_are_not_reported(text):
    assert not parse(f"k: {text}\n")[1]


def test_fixes_of_traps_are_read_alike_by_yaml_1_1():
    for text in ("1e-5", "1e5", "1.5e3", ".5e2"):
        fix = parse(f"k: {text}\n")[1][0].fix.text
        assert yaml.safe_load(f"k: {fix}")["k"] == float(text)


def test_a_duplicate_key_is_an_error_at_the_second_place():
    _, findings = parse("a: 1\nb: 2\nA: 3\n")
    assert [(f.check, f.place.line, f.place.column) for f in findings] == [("duplicate-key", 3, 1)]


def test_merge_keys_bring_values_that_own_keys_win_over():
    root, findings = parse("base: &b {x: 1, y: 2}\nk:\n  <<: *b\n  y: 3\n")
    assert root.plain()["k"] == {"x": 1, "y": 3}
    assert not findings


def test_aliases_that_stand_for_billions_of_values_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    root, findings = parse("\n".join(lines))
    assert root is None
    assert [f.check for f in findings] == ["yaml-limits"]


@pytest.mark.parametrize("text", [f"|\n  {'x' * 50_000}", "x" * 50_000, "1" * 50_000])
def test_a_long_text_is_converted_once_for_all_its_aliases(text):
    root, _ = parse(f"a: &a {text}\nb: [{', '.join(['*a'] * 1000)}]\n")
    assert len({id(item.text) for item in root.get("b").items}) == 1


@pytest.mark.parametrize(
    "text", ["a: &x [*x]", "a: &x {b: *x}", "k: " + "[" * 500 + "]" * 500, "- " * 500 + "x", "[" * 100_000]
)
def test_depth_is_limited(text):
    root, findings = parse(text)
    assert root is None
    assert findings[0].severity == "error"
    assert findings[0].fatal


@pytest.mark.parametrize(
    ("text", "value", "checks"),
    [
        ("!!python/object/apply:os.system ['true']", ["true"], []),
        ("!!python/name:os.system x", "x", ["yaml-tag"]),
        ("!foo x", "x", ["yaml-tag"]),
    ],
)
def test_tags_never_make_code_of_data(text, value, checks):
    root, findings = parse(f"k: {text}\n")
    assert root.plain() == {"k": value}
    assert [f.check for f in findings] == checks


def test_a_syntax_error_stands_at_its_line_and_hides_the_document():
    root, findings = parse("a: 1\nTitle: Toy nets: small\n")
    assert root is None
    assert [(f.place.line, f.place.column, f.fatal, f.fix.text) for f in findings] == [
        (2, 16, True, "'Toy nets: small'")
    ]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_gives_a_tree_or_a_finding_and_never_an_exception(text):
    root, findings = parse(text)
    assert root is None or not any(f.fatal for f in findings)


# PyYAML writes text such as 1e5 without quotes; that trap is reported, and has tests of its own above.
TEXT = st.text(st.characters(codec="ascii", exclude_categories=["Cc"])).filter(
    lambda text: not text.startswith(tuple("+-.0123456789"))
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text("abcdefgh", min_size=1, max_size=6), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_what_pyyaml_writes_is_read_back(data):
    root, findings = parse(yaml.safe_dump(data))
    assert (root.plain() if root else None) == data
    assert not findings


@given(
    st.lists(st.text("xyzäß—", min_size=1, max_size=8), min_size=1, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
)
def test_every_scalar_stands_where_its_place_says(values, end):
    text = end.join(f"- {value}" for value in values) + end
    root, _ = parse(text)
    lines = text.split(end)
    for item in root.items:
        place = item.place
        assert lines[place.line - 1][place.column - 1 : place.end_column - 1] == item.text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a:\n   FLOPs: 1\n    Params: 11690000\n", "'Params' begins in column 5 and 'FLOPs' above it in column 4"),
        ("a:\n    FLOPs: 1\n   Params: 11690000\n", "'Params' begins in column 4 and 'FLOPs' above it in column 5"),
        ("- Name: x\n   Params: 3\n", "'Params' begins in column 4 and 'Name' above it in column 3"),
        (
            "tags:\n- timm\nlicense: mit\n  base_model: 3\n",
            "'base_model' begins in column 3 and 'license' above it in column 1",
        ),
    ],
)
def test_a_bad_indentation_is_named_and_no_quotes_are_proposed(text, hint):
    _, (finding,) = parse(text)
    assert (finding.check, finding.fix) == ("yaml-syntax", None)
    assert finding.hint == f"bad indentation: {hint}; keys of one mapping begin in the same column"


@pytest.mark.parametrize(
    "text", ["a:\n  b: 'x' y\n", "k: {a: 1\n b: 2}\n", "a: 1\nb: 'x\n   c: 2\n", "a: 'x\n  c: d'\nb: 'e' f\n"]
)
def test_what_is_no_fault_of_indentation_is_not_called_one(text):
    assert [finding.hint for finding in parse(text)[1]] == [None]


@given(st.lists(st.sampled_from(["a: 1", "  b: c: d", "   e: 2", "- f: g", "    h: 'i", "j: [k", "l: m: n", "\to: p"])))
def test_quotes_are_proposed_only_if_the_line_is_valid_with_them(lines):
    _, findings = parse("\n".join(lines))
    for finding in findings:
        if finding.fix and finding.check == "yaml-syntax":
            fixed = [*lines[: finding.fix.line - 1], apply(lines[finding.fix.line - 1], finding.fix)]
            assert not any(more.fatal for more in parse("\n".join(fixed))[1])


def apply(line, fix):
    return line[: fix.column - 1] + fix.text + line[fix.end_column - 1 :]
