"""The shared cases of snippets: which blocks a page has, at which lines, and what is found beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardproof.snippets.find.blocks import find_blocks, shown

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
    assert shown(text) == "".join([lines[3], *lines[4:10], lines[10]])
    blocks, _ = found(CASES / "41-hidden-setup")
    assert [(b.options.setup, b.options.hide) for b in blocks] == [(True, True), (False, False), (False, True)]


def test_a_hidden_line_runs_and_is_not_shown(shared):
    text = (CASES / "42-hidden-lines" / "page.md").read_text(encoding="utf-8")
    assert "manual_seed" in found(CASES / "42-hidden-lines")[0][0].code
    assert shown(text) == "```python\nimport torch\nprint(torch.rand(1).shape)\n```\n"


def test_consoles_and_expected_errors_are_recognised(shared):
    (console,), _ = found(CASES / "02-doctest-prompts")
    errors, _ = found(CASES / "74-expected-exception")
    assert console.console
    assert [(b.console, b.options.expect_error) for b in errors] == [(False, "ValueError"), (True, None)]
