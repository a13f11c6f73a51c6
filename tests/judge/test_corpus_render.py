"""The published cards of timm, rendered: what costs nothing the second time, and what one edit costs."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BLOCKED = ("torch", "torchvision", "timm", "mkdocs", "pydantic", "numpy")


@pytest.fixture
def site(corpus):
    """Return the site of published cards; no other process of the tests renders it meanwhile."""
    with corpus.lock:
        yield corpus


def written(report: dict) -> set[str]:
    return {Path(page["page"]).name for page in report["pages"] if page["status"] != "unchanged"}


def test_a_second_run_measures_nothing_and_needs_no_torch(site):
    report = site.render(*BLOCKED)
    assert report["summary"]["measured"] == 0
    assert report["summary"]["snippets"] == "0 run, 50 recalled"
    assert written(report) == set()


def test_words_on_one_card_render_its_page_alone_and_need_no_torch(site):
    card = site.folder / "templates/models/resnest.md"
    card.write_text(card.read_text().replace("\n\n", " again\n\n", 1))
    report = site.render(*(name for name in BLOCKED if name != "mkdocs"))  # it has the site's Markdown extensions
    assert report["summary"]["measured"] == 0
    assert "resnest.md" in written(report)
    assert not [name for name in written(report) if name.endswith(".md") and name != "resnest.md"]


def test_a_claim_of_one_card_measures_its_model_alone(site):
    card = site.folder / "templates/models/xception.md"
    text = card.read_text()
    assert text.count("Parameters: 22860000") == 1
    card.write_text(text.replace("Parameters: 22860000", "Parameters: 22860001"))
    report = site.render()
    assert report["summary"]["measured"] == 1
    compared = {"xception.md", "res2net.md"}  # that page compares its models with this one, and marks it
    assert {name for name in written(report) if name.endswith(".md")} == compared
