"""Other site generators build the same pages: Zensical and ProperDocs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from sites import CONFIG, build, mkdocs, write_site

PARTS = {
    "verdict panel": 'class="cp-verdict cp-',
    "table": "<table",
    "strip of a snippet": 'class="cp-strip',
    "tab": 'class="tabbed-set',
    "block of code": "<pre",
    "plot": "<figure",
    "linked data": "application/ld+json",
    "style sheet": "assets/cardproof.css",
    "script": "assets/cardproof.js",
}


@pytest.fixture(scope="session")
def zensical_site(own_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return this project's own site, rendered by cardproof and built by Zensical."""
    pytest.importorskip("zensical")
    folder = tmp_path_factory.mktemp("zensical")
    for name in ("docs", "templates"):
        shutil.copytree(own_site / name, folder / name)
    shutil.copy(own_site / "mkdocs.yml", folder)
    run_module("zensical", "build", "--strict", folder=folder)
    return folder / "site"


def run_module(name: str, *arguments: str, folder: Path = Path()) -> None:
    """Run a program in a process of its own; it must succeed."""
    command = [sys.executable, "-m", name, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def pages_of(site: Path) -> dict[str, str]:
    """Return the pages of a site with all attributes quoted, as only some engines leave them."""
    bare = re.compile(r"""(<[^<>]*?\s[\w-]+)=([^\s"'>]+)""")
    found = {}
    for path in sorted(site.rglob("*.html")):
        text, left = path.read_text("utf-8"), 1
        while left:
            text, left = bare.subn(r'\1="\2"', text)
        found[path.relative_to(site).as_posix()] = text
    return found


def test_zensical_builds_each_page_with_all_its_parts(zensical_site: Path, built_site: Path) -> None:
    """The page is read up to its footer: the frame around it is the theme's own."""
    ours, theirs = pages_of(built_site), pages_of(zensical_site)
    assert theirs.keys() == ours.keys()
    models = [name for name in ours if name.startswith("models/res2n")]
    assert len(models) > 3
    for name in models:
        counts = {part: (theirs[name].count(mark), ours[name].count(mark)) for part, mark in PARTS.items()}
        assert all(found == expected > 0 for found, expected in counts.values() if expected), (name, counts)
        assert counts["verdict panel"] == (1, 1)
    assert "cp-not-found" in theirs["404.html"]
    data = {"catalog", "evidence", "llms.txt"}
    assert data <= {path.name for path in zensical_site.iterdir()}


def test_links_of_a_model_page_lead_somewhere_in_a_site_of_zensical(zensical_site: Path) -> None:
    pages = pages_of(zensical_site)
    page = zensical_site / "models/res2net/index.html"
    links = {unescape(link) for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text("utf-8"))}
    local = [urlsplit(link) for link in links if not urlsplit(link).scheme]
    assert len(local) > 50
    for link in local:
        target = (page.parent / unquote(link.path)).resolve() if link.path else page
        target = target / "index.html" if target.is_dir() else target
        assert target.is_file(), link
        if link.fragment and target.suffix == ".html":
            assert f'id="{unquote(link.fragment)}"' in pages[target.relative_to(zensical_site).as_posix()], link


def test_zensical_finds_models_by_their_names_and_no_page_that_is_excluded(zensical_site: Path) -> None:
    index = json.loads((zensical_site / "search.json").read_text("utf-8"))
    places = {item["location"] for item in index["items"]}
    models = json.loads((zensical_site / "catalog/models.json").read_text("utf-8"))
    assert "models/res2net/#res2net50_26w_4s" in places
    assert len(places) > len(models)
    assert not [place for place in places if place.startswith(("models/compare/", "evidence/"))]


def test_properdocs_loads_the_plugin_and_builds_what_mkdocs_builds(tmp_path, monkeypatch) -> None:
    pytest.importorskip("properdocs")  # which stands in for mkdocs in its own process
    write_site(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs/index.md").write_text("# Home\n")
    Path("mkdocs.yml").write_text(f"theme: material\n{CONFIG}")
    build(Path())
    Path("docs/models/tiny.md").unlink()
    run_module("properdocs", "build", "--strict", "-f", "mkdocs.yml", "-d", "one")
    assert Path("docs/models/tiny.md").is_file(), "the plugin renders before the build"
    assert mkdocs("build", "--strict", "-d", "two").returncode == 0

    def without_generator(site: str) -> dict[str, str]:
        return {name: re.sub(r'<meta name="?generator.*?>', "", text) for name, text in pages_of(Path(site)).items()}

    assert without_generator("one") == without_generator("two")
    assert "cp-verdict" in pages_of(Path("one"))["models/tiny/index.html"]
