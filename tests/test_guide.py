"""A reader finds every page of the guide, and what the first pages show is what happens."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from warm import run_command

import quickstart

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
HOME = (DOCS / "index.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_the_first_pages_show_is_what_their_commands_print(monkeypatch):
    """If not, ``python tools/quickstart.py`` records them anew."""

    def run(words, cwd, env, **streams):
        module = [sys.executable, "-m", "cardproof"]
        if words[:3] == module:
            return run_command(words[3:], cwd, env)
        return subprocess.run(words, cwd=cwd, env=env, **streams)

    monkeypatch.setattr(
        quickstart, "subprocess", SimpleNamespace(run=run, PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT)
    )
    for path, text in quickstart.record().items():
        assert quickstart.masked(path.read_text(encoding="utf-8")) == quickstart.masked(text), path.name


def test_the_quickstart_goes_from_a_refuted_claim_to_none():
    first, fixed, last = re.findall(
        r"^\$ cardproof audit .*\n((?:(?!```|\$ ).*\n)*)", quickstart.QUICKSTART.read_text(), re.M
    )
    assert "error [flops]" in first
    assert "1 refuted" in first
    assert "1 fix" in fixed
    assert "refuted," not in last
    assert "error" not in last


def test_the_first_audit_of_the_readme_is_that_of_the_quickstart_and_shows_a_finding():
    shown = re.findall(r"^\$ cardproof audit .*\n(?:(?!```).*\n)*", README, re.M)[0]
    assert "error [flops]" in shown
    assert shown in quickstart.QUICKSTART.read_text(encoding="utf-8")


def test_the_picture_loads_nothing_and_says_what_it_shows():
    picture = quickstart.PICTURE.read_text(encoding="utf-8")
    assert len(picture) < 40_000
    assert re.findall(r"https?://[^\"' ]+", picture) == ["http://www.w3.org/2000/svg"]
    title = ElementTree.fromstring(picture).find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text
    for page in (HOME, README):
        assert re.search(r"!\[[^]]{40,}\]\([\w/]*assets/red-to-green\.svg\)", page)


def test_the_numbers_of_the_home_page_are_those_of_the_audits():
    timm, mmpretrain = (
        json.loads((DOCS / "data" / f"audit-{name}.json").read_text()) for name in ("timm", "mmpretrain")
    )
    flops = dict(timm["fields"])["FLOPs"]
    verdicts = mmpretrain["verdicts"]
    facts = [
        (flops["refuted"], sum(flops.values())),
        (timm["explained"], timm["verdicts"]["refuted"]),
        (verdicts["confirmed"], verdicts["confirmed"] + verdicts["refuted"]),
    ]
    said = [f"{part:,} of {whole:,}" for part, whole in facts]
    assert re.findall(r"\*\*([\d,]+ of [\d,]+)\*\*", HOME) == said
    assert said[0] in README


def guide() -> set[str]:
    pages = {path.relative_to(DOCS).as_posix() for path in (DOCS / "guide").glob("*.md")}
    return pages - {"guide/index.md"} | {"security.md", "licences.md"}


def test_the_first_page_of_the_guide_links_every_page_of_it_under_the_same_groups_as_the_navigation():
    index = (DOCS / "guide" / "index.md").read_text(encoding="utf-8")
    groups = dict(re.findall(r"^- ## (.*)\n\n((?:    - .*\n)+)", index, re.M))
    linked = {name: re.findall(r"\]\((?:\.\./)?([\w-]+\.md)\)", text) for name, text in groups.items()}
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("  - Guide:\n")[1].split("\n  - Models:")[0]
    named = dict(re.findall(r"^      - (.*):\n((?:          - .*\n?)+)", nav, re.M))
    assert linked == {name: re.findall(r"([\w-]+\.md)$", text, re.M) for name, text in named.items()}
    assert {name.rpartition("/")[2] for name in guide()} == {page for pages in linked.values() for page in pages}


def test_every_page_of_the_guide_has_the_title_of_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    titles = {page: title for title, page in re.findall(r"- ([^:\n]+): ((?:guide/)?[\w-]+\.md)$", nav, re.M)}
    for page in guide():
        assert (DOCS / page).read_text(encoding="utf-8").startswith(f"# {titles[page]}\n"), page
