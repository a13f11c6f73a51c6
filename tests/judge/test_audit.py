"""Audits as a whole: ignores and baselines, long texts and many models."""

from __future__ import annotations

import time

import pytest
from click.testing import CliRunner
from sites import ONE_JOB, copy_case, settings_of

from cardproof.build import audit
from cardproof.commands.cli import cardproof
from cardproof.core.settings import Settings
from cardproof.report.formats import FORMATS, texts_of


@pytest.fixture
def swapped(shared, tmp_path, monkeypatch):
    """Return a function that writes text behind the stated FLOPs of case 02, and audits it with or without a zoo."""

    def _swapped(behind: str, zoo: bool = True):
        folder = copy_case(shared, "02", tmp_path)
        monkeypatch.chdir(folder)
        card = folder / "card.md"
        card.write_text(card.read_text().replace("FLOPs: 221264", f"FLOPs: 221264{behind}"))
        return audit([card], settings_of(folder) if zoo else Settings(), ONE_JOB)

    return _swapped


def said(result) -> list[tuple[str, str, int]]:
    return [(f.check, f.severity, f.place.line) for f in result.findings]


def test_a_finding_that_is_ignored_for_a_reason_is_a_note_without_a_fix(swapped):
    result = swapped("  # cardproof: ignore[flops] counted at 64x64, as the paper does")
    assert (result.exit, said(result)) == (0, [("flops", "note", 18)])
    assert result.findings[0].hint == "ignored here: counted at 64x64, as the paper does"
    assert result.findings[0].fix is None


def test_without_a_reason_nothing_is_ignored(swapped):
    result = swapped("  # cardproof: ignore[flops]")
    assert (result.exit, said(result)) == (1, [("flops", "error", 18), ("ignore", "error", 18)])


@pytest.mark.parametrize("words", ["flop", "", "flops, nothing"])
def test_an_ignore_of_no_check_is_an_error(swapped, words):
    assert ("ignore", "error", 18) in said(swapped(f"  # cardproof: ignore[{words}] reason"))


def test_an_ignore_that_nothing_needs_is_a_warning(swapped):
    result = swapped("\n    # cardproof: ignore[parameters] reason")
    assert ("ignore", "warning", 19) in said(result)


def test_an_ignore_is_not_called_needless_where_nothing_was_measured(swapped):
    assert said(swapped("  # cardproof: ignore[flops] reason", zoo=False)) == []


def test_a_comment_in_the_text_is_about_the_line_below(write):
    text = "# Net\n\n<!-- cardproof: ignore[closed-site] kept for history -->\nhttps://paperswithcode.com/a\n"
    result = audit([write("card.md", text)], Settings())
    assert said(result) == [("closed-site", "note", 4)]


def test_an_example_of_an_ignore_is_none(write):
    text = "# Net\n\n```yaml\nFLOPs: 1  # cardproof: ignore[flops]\n```\n"
    assert said(audit([write("card.md", text)], Settings())) == []


def test_known_findings_fail_nothing_and_new_ones_do(write):
    card = write("card.md", "# Net\n\n[TODO]\n")
    base = ["audit", "card.md", "--baseline", "known.json"]
    run = CliRunner().invoke
    assert run(cardproof, [*base, "--update-baseline"], standalone_mode=False).return_value == 0
    card.write_text("# Net\n\nmoved\n\n[TODO]\n\nhttps://https://example.org\n")
    result = run(cardproof, base, standalone_mode=False)
    assert "card.md:5:1: note [placeholder]" in result.output
    assert "card.md:7:1: warning [link-syntax]" in result.output


def test_an_invalid_baseline_is_bad_input(write):
    write("card.md", "# Net\n")
    write("known.json", "[]")
    for name in ("known.json", "absent.json"):
        result = CliRunner().invoke(cardproof, ["audit", "card.md", "--baseline", name], standalone_mode=False)
        assert "baseline" in str(result.exception)


def test_every_check_is_explained_by_each_of_its_words():
    listed = CliRunner().invoke(cardproof, ["explain"]).output
    assert "closed" not in listed
    for word in ("flops", "closed-site", "yaml-1.1", "snippet-preprocessing"):
        result = CliRunner().invoke(cardproof, ["explain", word])
        assert result.exit_code == 0
        assert "\nWhy\n" in result.output
    assert CliRunner().invoke(cardproof, ["explain", "nothing"]).exit_code == 2


# long texts and many models: reports stay short, and the work grows with the card and not faster


LONG = "x" * 100_000


@pytest.mark.attack("card", "values and names of 100,000 characters", "reports repeat their beginning")
def test_a_long_value_or_name_is_not_repeated_whole(write):
    index = (
        f"Models:\n- Name: n{LONG}\n  Weights: {LONG}\n  Metadata:\n    Parameters: {LONG}\n    ? F{LONG}\n    : TBD\n"
    )
    run = audit([write("model-index.yml", index)], Settings())
    assert all(len(finding.message) + len(finding.hint or "") < 5000 for finding in run.findings)
    claims = run.cards[0].full().claims
    assert all(len(judgement.reason) < 3000 for judgement in claims)
    assert max(len(claim.claim.stated) for claim in claims) < 20_000


def inherited(number):
    values = "".join(f"    Field {index}: {index}\n" for index in range(8))
    models = "".join(f"- Name: m{index}\n  In Collection: c\n" for index in range(number))
    return "model-index.yml", f"Collections:\n- Name: c\n  Metadata:\n{values}Models:\n{models}"


def rows(number):
    return "a.md", "| Model | Params (M) | Top-1 |\n|---|---|---|\n" + "".join(
        f"| m{index} | 24.{index % 100} | 7{index % 10}.1 |\n" for index in range(number)
    )


def tables(number):
    return "a.md", "".join(f"text\n\n| Model | Params (M) |\n|---|---|\n| m{n} | 24.1 |\n\n" for n in range(number))


def columns(number):
    heads = " | ".join(f"Params {index}" for index in range(number))
    return "a.md", f"| Model | {heads} |\n|{'---|' * (number + 1)}\n| m |{' 1 |' * number}\n"


@pytest.mark.attack("card", "ten thousand rows, tables, columns or inheriting models", "the work grows with the card")
@pytest.mark.parametrize("card", [inherited, rows, tables, columns], ids=lambda card: card.__name__)
def test_the_work_grows_with_the_card(write, card):
    def seconds(number):
        name, text = card(number)
        path = write(name, text)
        started = time.process_time()
        texts_of(audit([path], Settings()), FORMATS[1:])
        return time.process_time() - started

    seconds(10)  # imports
    few, many = seconds(300), seconds(2400)
    assert many < 8 * 3 * max(few, 0.1)  # eight times as much; if the work were quadratic, 64 times
