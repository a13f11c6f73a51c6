"""Long texts and many models: reports stay short, and the work grows with the card and not faster."""

from __future__ import annotations

import time

import pytest

from cardproof.build import audit
from cardproof.core.settings import Settings
from cardproof.report.formats import FORMATS, texts_of

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
