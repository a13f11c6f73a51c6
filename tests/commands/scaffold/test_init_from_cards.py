"""``cardproof init`` in folders that have cards: a site of them, which shows what they say and lists them all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from sites import CARD, OTHER, TINY, cardproof, mkdocs

BRACES = "# Sister\n\n{{ 7 * 7 }}, {% include 'none.md' %} and {# no comment #}\n"
HUB = """---
license: mit
model-index:
- name: tiny
  results:
  - task: {type: image-classification}
    dataset: {name: Digits, type: digits}
    metrics: [{type: accuracy, value: 90.1, name: Top 1 Accuracy}]
---
# Hub card {{ braces }}
"""
PLAIN = CARD.replace("{% include 'code_snippets.md' %}\n", "")


def init(*arguments: str):
    return cardproof("init", "--zoo", "zoo.py:Zoo", "--no-snippets", *arguments)


def start(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a zoo and a folder of one card."""
    patch.chdir(folder)
    patch.setenv("XDG_CACHE_HOME", str(folder / ".cache"))
    Path("zoo.py").write_text(TINY)
    Path("cards/hub").mkdir(parents=True)
    Path("cards/tiny.md").write_text(PLAIN)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    start(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a site of four cards, built, beside the cards."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cards")
        start(folder, patch)
        Path("cards/index.md").write_text(OTHER[OTHER.index("<!--") :].join([BRACES, ""]))
        Path("cards/hub/README.md").write_text(HUB)
        Path("cards/notes.md").write_text("# No card\n")
        done = init("--from", "cards", "--out", "site")
        assert done.returncode in (0, 1), done.stderr
        built = mkdocs("build", "--strict", "-f", "site/mkdocs.yml")
        assert built.returncode == 0, built.stderr
        yield folder / "site", done.stderr


def copies(site: Path) -> Path:
    return site / "templates/models"


def test_cards_are_copied_as_they_are(site):
    assert (copies(site[0]) / "tiny.md").read_text() == PLAIN
    assert not (copies(site[0]) / "notes.md").exists()


def test_the_navigation_has_all_cards_and_lists(site):
    nav = yaml.safe_load((site[0] / "mkdocs.yml").read_text())["nav"]
    pages = [page for entry in nav for page in entry.get("Models", [])]
    assert pages == ["models/index.md", "models/hub/README.md", "models/index-card.md", "models/tiny.md"]
    assert all((site[0] / "docs" / page).is_file() for page in pages)
    assert {"Home": "index.md"} in nav
    assert {"Compare": "models/compare.md"} in nav


def test_each_card_has_a_page_with_verdicts_and_the_lists_have_its_models(site):
    built = site[0] / "site/models"
    for page in ("tiny", "index-card", "hub"):
        assert "cp-verdict" in (built / page / "index.html").read_text(), page
    for lists in ("index.html", "compare/index.html"):
        assert "tiny_16" in (built / lists).read_text().replace("<wbr>", "")


def test_braces_of_a_card_are_shown_and_never_run(site):
    page = (site[0] / "site/models/index-card/index.html").read_text()
    assert "{{ 7 * 7 }}, {% include 'none.md' %} and {# no comment #}" in page
    assert "Hub card {{ braces }}" in (site[0] / "site/models/hub/index.html").read_text()
    assert "cards/hub/README.md, cards/index.md are kept as text" in site[1]


def test_a_card_that_no_raw_block_can_hold_is_refused_at_its_place(folder):
    Path("cards/tiny.md").write_text(f"{{{{ x }}}}\n{{% endraw %}}\n{PLAIN}")
    done = init("--from", "cards", "--out", "site")
    assert done.returncode == 2
    assert "cards/tiny.md:2:4: a text with 'endraw'" in done.stderr
    assert not Path("site/mkdocs.yml").exists()


def test_what_cannot_be_a_site_of_cards_is_refused(folder):
    assert init("--from", "cards", "tiny").returncode == 2
    shutil.rmtree("cards")
    Path("cards").mkdir()
    Path("cards/a.md").write_text("# No card\n")
    done = init("--from", "cards", "--out", "site")
    assert done.returncode == 2
    assert "cards: no Markdown file has a model index or the header of a model card" in done.stderr


def test_a_dry_run_lists_the_models_of_the_cards_and_writes_nothing(folder):
    done = init("--from", "cards", "--out", "site", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "tiny\n")
    assert not Path("site/mkdocs.yml").exists()


def test_cards_that_the_folder_has_already_are_in_the_navigation(folder):
    Path("templates/models").mkdir(parents=True)
    Path("templates/models/mine.md").write_text(PLAIN)
    done = init("tiny_16")
    assert done.returncode == 0, done.stderr
    assert "the navigation has the cards that existed before, too: mine.md" in done.stderr
    nav = yaml.safe_load(Path("mkdocs.yml").read_text())["nav"]
    assert "models/mine.md" in nav[1]["Models"]
