"""What a build remembers of an earlier one: nothing is done twice, and everything is done that has to be."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import to_builtins
from msgspec.structs import replace
from sites import CARD, ONE_JOB, OTHER, write_site

from cardproof.build import render
from cardproof.core.cache import Cache, cache_path
from cardproof.core.settings import load_settings
from cardproof.render.incremental import open_report_store
from cardproof.render.output.paths import page_templates, site_folders
from cardproof.report.finished_run import Run
from cardproof.report.terminal import json_of

INDEX = "# All\n\n{{ model_table(columns=['Parameters']) }}\n"


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A site of two cards and an index, rendered once."""
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path)
    edit(folder / "zoo.py", 'name not in ("tiny", "tiny_16")', 'not name.startswith("tiny")')
    edit(folder / "zoo.py", '16 if name == "tiny_16" else 8', 'int(name.partition("_")[2] or 8)')
    (folder / "templates/models/other.md").write_text(OTHER)
    (folder / "templates/models/index.md").write_text(INDEX)
    build(folder)
    return folder


def build(site: Path, **options) -> Run:
    return render(load_settings(site / "mkdocs.yml"), ONE_JOB, **options)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def made(run: Run) -> int:
    return len(run.cards) - run.remembered


def test_a_second_build_takes_no_card_through_the_flow_and_says_the_same(site):
    first, second = build(site, check=True), build(site)
    assert (second.remembered, second.measured, second.changes) == (3, 0, [])
    assert said(second) == said(first)


def test_a_warm_build_holds_the_long_lists_of_its_cards_packed(site):
    memory = open_report_store(load_settings(site / "mkdocs.yml"), site / "docs/models")
    lists = memory.cards["templates/models/tiny.md"].report.full()
    held = memory.cache.entry(f"cards {memory.site}", "templates/models/tiny.md").value["lists"]
    assert len(lists.claims) == 3
    assert len(held) < len(json.dumps(to_builtins(lists))) / 2


def test_a_warm_build_follows_no_path_that_cannot_be_an_include(site, monkeypatch):
    folders = site_folders(load_settings(site / "mkdocs.yml"))
    known = {f"templates/models/{name}.md": ("code_snippets.md", "other.md") for name in ("tiny", "other", "index")}
    resolved, resolve = [], Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda path, *given: resolved.append(path.name) or resolve(path, *given))
    assert list(page_templates(folders, known)) == ["templates/models/index.md", "templates/models/tiny.md"]
    assert not {"tiny.md", "index.md"} & set(resolved)


def said(run: Run) -> dict:
    """Return a report without what depends on the way to it."""
    data = json.loads(json_of(run))
    for name in ("seconds", "remembered", "measured", "recalled", "changed", "warnings"):
        data["summary"].pop(name)
    for page in data["pages"]:
        page.pop("status")
    data["pages"] = sorted((page for page in data["pages"] if page["template"]), key=lambda page: page["page"])
    data["findings"] = sorted((f for f in data["findings"] if f["check"] != "hand-edit"), key=str)
    return data


def test_an_edited_card_is_done_again_and_no_other(site):
    edit(site / "templates/models/tiny.md", "# Tiny", "# Very tiny")
    assert made(build(site)) == 1
    assert "# Very tiny" in (site / "docs/models/tiny.md").read_text()


def test_a_table_of_models_follows_the_cards_that_it_shows(site):
    edit(site / "templates/models/other.md", "Parameters: 634", "Parameters: 635")
    run = build(site)
    assert (made(run), run.exit) == (2, 1)  # the table shows what was measured, and that the card says otherwise
    edit(site / "templates/models/other.md", "Name: tiny_16", "Name: tiny_24")
    assert made(build(site)) == 2
    assert "tiny_24" in (site / "docs/models/index.md").read_text()


def test_a_new_page_without_models_is_done_alone(site):
    page = site / "templates/models/news.md"
    page.write_text("# News\n")
    assert made(build(site)) == 1
    page.unlink()
    assert made(build(site)) == 0


def test_an_edited_include_is_done_again_in_every_card_that_includes_it(site):
    edit(site / "templates/code_snippets.md", "##", "###")
    assert made(build(site)) == 2


def test_an_include_that_comes_to_lie_before_another_is_seen(site):
    (site / "templates/models/code_snippets.md").write_text("Nothing to see.\n")
    run = build(site)
    assert "Nothing to see." not in (site / "docs/models/tiny.md").read_text()  # the folder above comes first
    (site / "templates/code_snippets.md").unlink()
    run = build(site)
    assert made(run) == 2
    assert "Nothing to see." in (site / "docs/models/tiny.md").read_text()


@pytest.mark.parametrize("name", ["zoo.py", "mkdocs.yml"])
def test_a_changed_zoo_or_setting_is_done_again_everywhere(site, name):
    with (site / name).open("a") as file:
        file.write("\n# changed\n")
    assert made(build(site)) == 3


@pytest.mark.parametrize("name", ["docs/models/tiny.md", "docs/evidence/tiny.json"])
def test_an_output_that_is_gone_or_edited_is_written_again(site, name):
    before = (site / name).read_text()
    (site / name).unlink()
    assert made(build(site)) == 1
    (site / name).write_text(before.replace("tiny", "TINY"))
    run = build(site)
    assert [finding.severity for finding in run.findings] == ["warning"]
    assert "TINY" not in (site / name).read_text()


def test_findings_of_remembered_cards_are_reported_every_time(site):
    edit(site / "templates/models/tiny.md", "Parameters: 322", "Parameters: 323")
    first, second = build(site), build(site)
    assert (made(second), second.exit) == (0, 1)
    assert second.findings == first.findings
    assert second.findings[0].fix is not None


def test_a_count_of_another_model_is_explained_by_a_card_that_comes_later(site):
    edit(site / "templates/models/other.md", "Parameters: 634", "Parameters: 1258")
    assert "tiny_32" not in str(build(site).findings)
    third = CARD.replace("Name: tiny\n", "Name: tiny_32\n").replace("322", "1258").replace("55376", "221504")
    (site / "templates/models/third.md").write_text(third)
    run = build(site)
    assert made(run) == 3  # the new card, the table, and the card whose count it explains
    assert "another model: tiny_32" in str(run.findings)


def test_models_that_two_cards_define_are_found_among_remembered_cards(site):
    (site / "templates/models/again.md").write_text(CARD)
    run = build(site)
    assert run.remembered >= 1
    assert [finding.check for finding in run.findings] == ["duplicate-model"]


def test_a_page_whose_template_is_gone_is_removed(site):
    (site / "templates/models/other.md").unlink()
    run = build(site)
    assert sorted(c.path.name for c in run.changes if c.status == "removed") == ["other.md", "tiny_16.json"]
    assert "tiny_16" not in (site / "docs/models/index.md").read_text()


def test_only_one_card_is_rendered_without_reading_the_others(site, monkeypatch):
    edit(site / "templates/models/tiny.md", "# Tiny", "# Very tiny")
    from cardproof.render import site_build as module

    read: list[Path] = []
    original = module.read_cards
    monkeypatch.setattr(module, "read_cards", lambda paths, **more: read.extend(paths) or original(paths, **more))
    run = build(site, only=("tiny",))
    assert [path.name for path in read] == ["tiny.md"]
    assert [card.file for card in run.cards] == ["templates/models/tiny.md"]


def test_a_check_trusts_no_memory(site):
    page = site / "docs/models/tiny.md"
    assert build(site, check=True).remembered == 0
    page.write_text(page.read_text() + "more\n")
    assert build(site, check=True).exit == 1


def test_a_template_that_fails_is_reported_and_remembered_by_nobody(site):
    edit(site / "templates/models/tiny.md", "# Tiny", "# {{ nothing }}")
    for _ in range(2):
        run = build(site)
        assert (run.exit, {finding.check for finding in run.findings}) == (1, {"template"})
    edit(site / "templates/models/tiny.md", "# {{ nothing }}", "# Tiny")
    assert (build(site).exit, build(site).remembered) == (0, 3)


@pytest.mark.parametrize("junk", [b"", b"junk" * 500])
def test_an_invalid_cache_is_replaced(site, junk):
    assert cache_path().is_file()
    cache_path().write_bytes(junk)
    assert build(site).exit == 0
    assert build(site).remembered == 3


def test_a_cache_that_a_crash_broke_costs_one_build(site):
    data = bytearray(cache_path().read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)  # the first page of SQLite stays, with its version
    cache_path().write_bytes(data)
    assert (build(site).exit, build(site).exit, build(site).remembered) == (0, 0, 3)


def test_a_cache_that_another_build_holds_is_left_alone(site, monkeypatch):
    def held(self) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(Cache, "_open", held)
    assert build(site).exit == 0


def test_a_cache_folder_that_cannot_be_written_is_no_obstacle(site, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert (build(site).exit, build(site).remembered) == (0, 0)


@pytest.mark.slow
def test_two_builds_at_once_leave_the_site_and_the_memo_whole(site):
    for name in ("tiny", "other"):
        edit(site / f"templates/models/{name}.md", "# Tiny", "# Very tiny")
    command = [sys.executable, "-m", "cardproof", "render", "-q", "-j", "1"]
    running = [subprocess.Popen(command, cwd=site) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert build(site, check=True).exit == 0
    assert build(site).exit == 0


EDITS = (
    ("templates/models/tiny.md", "# Tiny", "# Very tiny"),
    ("templates/models/tiny.md", "Parameters: 322", "Parameters: 634"),
    ("templates/models/other.md", "Parameters: 634", "Parameters: 322"),
    ("templates/models/other.md", "{% include 'code_snippets.md' %}", "No snippets."),
    ("templates/models/index.md", "['Parameters']", "['FLOPs']"),
    ("templates/code_snippets.md", "##", "####"),
    ("templates/page.md", "", "{% extends 'cardproof/page.md' %}{% block source %}{% endblock %}"),
    ("mkdocs.yml", "site_name: Tiny", "site_name: Tinier"),
    ("docs/models/other.md", "tiny", "teeny"),
)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_after_any_edits_a_build_that_remembers_equals_one_that_does_not(site, tmp_path_factory, monkeypatch, seed):
    draw = random.Random(seed)
    done: set[tuple[str, str, str]] = set()
    for _ in range(8):
        change = draw.choice(EDITS)
        toggle(site, change, back=change in done)
        done ^= {change}
        remembered = said(build(site))
        fresh = tmp_path_factory.mktemp("fresh")
        shutil.copytree(site, fresh, dirs_exist_ok=True)
        with monkeypatch.context() as patch:
            patch.chdir(fresh)
            patch.setenv("XDG_CACHE_HOME", str(fresh / "cache"))
            run = render(replace(load_settings(Path("mkdocs.yml"))), ONE_JOB)
            assert not any(one.differs for one in run.changes)
            assert said(run) == remembered


def toggle(site: Path, change: tuple[str, str, str], *, back: bool) -> None:
    """Make an edit, or take it back; without an old text it is a file that comes and goes."""
    name, old, new = change
    path = site / name
    if not old:
        path.unlink() if back else path.write_text(new)
    elif name.startswith("docs/") or not back:
        path.write_text(path.read_text().replace(old, new))
    else:
        path.write_text(path.read_text().replace(new, old))
