"""Long lists of a report: each card gives its own once, whatever is made of them."""

from __future__ import annotations

import json
from pathlib import Path

from msgspec.structs import replace
from sites import CARD

from cardproof.build import audit
from cardproof.core.settings import Settings
from cardproof.report.terminal import json_of


def test_each_card_gives_its_long_lists_once(write):
    write("cards/tiny.md", CARD)
    write("cards/other.md", CARD.replace("tiny", "other"))
    run = audit([Path("cards")], Settings())
    asked: list[str] = []

    def counted(card):
        def full():
            asked.append(card.file)
            return card.full()

        return replace(card, full=full)

    expected = json_of(run)
    run.cards = [counted(card) for card in run.cards]
    assert json_of(run) == expected
    assert asked == ["cards/other.md", "cards/tiny.md"]
    assert {claim["model"] for claim in json.loads(expected)["claims"]} == {"tiny", "other"}
