"""A site reads and writes below its folder, whatever links say; nothing hangs on pipes and devices."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sites import CARD, CONFIG, build, cardproof

from cardproof.core.errors import InputError

SECRET = "the secret of this machine\n"


@pytest.fixture
def outside(site, tmp_path_factory) -> Path:
    """A folder beside the site."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret.md").write_text(SECRET)
    return folder


def pages(site: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (site / "docs/models").glob("*.md")}


def errors(run) -> list[tuple[str, str]]:
    return [(str(finding.place), finding.message) for finding in run.findings if finding.severity == "error"]


@pytest.mark.attack(
    "template", "a template that is a link to a file outside", "an error at the link; no page is written"
)
@pytest.mark.parametrize("target", ["/etc/passwd", "secret.md", "missing.md"])
def test_a_template_that_a_link_leads_out_is_not_published(site, outside, target):
    (site / "templates/models/leak.md").symlink_to(outside / target)
    run = build(site)
    assert [place for place, _ in errors(run)] == ["templates/models/leak.md:1:1"]
    assert run.exit == 2
    assert pages(site) == {}


def test_a_template_that_is_a_pipe_is_an_error(site):
    os.mkfifo(site / "templates/models/pipe.md")
    assert [place for place, _ in errors(build(site))] == ["templates/models/pipe.md:1:1"]


def test_links_inside_the_site_are_followed(site):
    shutil.move(site / "templates/models", site / "cards")
    (site / "templates/models").symlink_to("../cards")
    (site / "pages").mkdir()
    (site / "docs").symlink_to("pages")
    assert build(site).exit == 0
    assert "tiny.md" in pages(site)
    assert (site / "pages/models/tiny.md").is_file()


def test_a_site_behind_a_link_is_built_as_it_is(site, outside, monkeypatch):
    (outside / "site").symlink_to(site)
    monkeypatch.chdir(outside / "site")
    assert build(outside / "site").exit == 0
    assert "tiny.md" in pages(site)


@pytest.mark.attack(
    "template",
    "an include that is a link, or is in a linked folder, outside",
    "an error at the include; nothing is read",
)
@pytest.mark.parametrize("name", ["leak.md", "away/secret.md"])
def test_an_include_that_a_link_leads_out_is_not_published(site, outside, name):
    (site / "templates/leak.md").symlink_to(outside / "secret.md")
    (site / "templates/away").symlink_to(outside)
    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("code_snippets.md", name))
    message = f"template '{name}' is not read: a link leads out of the site's folder"
    assert errors(build(site)) == [("templates/models/tiny.md:5:1", message)]
    assert pages(site) == {}


def test_an_include_that_is_a_pipe_is_not_found(site):
    os.mkfifo(site / "templates/pipe.md")
    (site / "templates/models/tiny.md").write_text(CARD.replace("code_snippets.md", "pipe.md"))
    assert [place for place, _ in errors(build(site))] == ["templates/models/tiny.md:5:1"]


@pytest.mark.attack(
    "template", "a snippet file (--8<--) that is a link outside", "an error at its line; it is not read"
)
def test_a_snippet_file_that_a_link_leads_out_is_not_read(site, outside):
    (site / "docs").mkdir()
    (site / "docs/leak.md").symlink_to(outside / "secret.md")
    (site / "docs/inside.md").symlink_to("../templates/code_snippets.md")
    card = '# Tiny\n\n--8<-- "docs/leak.md"\n--8<-- "docs/inside.md"\n'
    Path("page.md").write_text(card)
    Path("mkdocs.yml").write_text(CONFIG + "markdown_extensions: [pymdownx.snippets, pymdownx.superfences]\n")
    done = cardproof("snippets", "page.md")
    assert "page.md:3:1: error [snippets] snippet file 'docs/leak.md' is not found" in done.stdout
    assert "inside" not in done.stdout
    assert SECRET.strip() not in done.stdout


@pytest.mark.attack(
    "template", "templates, docs or the catalog are a link to a folder outside", "bad input; nothing is written"
)
@pytest.mark.parametrize(
    "name", ["templates", "templates/models", "docs", "docs/models", "docs/evidence", "docs/assets"]
)
def test_a_folder_that_a_link_leads_out_is_bad_input(site, outside, name):
    path, target = site / name, outside / "folder"
    if path.is_dir():
        shutil.move(path, target)
    target.mkdir(exist_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)
    before = sorted(target.rglob("*"))
    with pytest.raises(InputError, match="a link leads out of"):
        build(site)
    assert sorted(target.rglob("*")) == before


def test_a_folder_outside_that_the_settings_name_is_used(site, outside):
    shutil.move(site / "templates", outside / "cards")
    config = CONFIG + f"    templates: {outside}/cards\n    out: {outside}/pages\n"
    (site / "mkdocs.yml").write_text(config)
    assert build(site).exit == 0
    assert (outside / "pages/tiny.md").is_file()


@pytest.mark.attack(
    "template", "a page or a record is a link to a file outside", "the link and the file stay as they are"
)
@pytest.mark.parametrize("target", ["secret.md", "missing.md"])
@pytest.mark.parametrize(
    "name", ["models/tiny.md", "evidence/tiny.json", "assets/cardproof.css", "catalog/models.json"]
)
def test_an_output_that_a_link_leads_out_is_not_written(site, outside, name, target):
    (site / "mkdocs.yml").write_text(CONFIG + "    catalog: docs/catalog\n")
    path = site / "docs" / name
    path.parent.mkdir(parents=True)
    path.symlink_to(outside / target)
    done = cardproof("render")
    assert done.returncode == 1
    assert f"docs/{name}:1:1: error [hand-edit]" in done.stdout
    assert SECRET.strip() not in done.stdout
    assert [file.read_text() for file in outside.iterdir()] == [SECRET]
    assert path.is_symlink()
    assert name == "models/tiny.md" or not (site / "docs/models/tiny.md").exists()


def test_an_output_that_is_a_pipe_or_a_folder_is_left_alone(site):
    (site / "docs/models").mkdir(parents=True)
    os.mkfifo(site / "docs/models/tiny.md")
    assert [place for place, _ in errors(build(site))] == ["docs/models/tiny.md:1:1"]
    (site / "docs/models/tiny.md").unlink()
    (site / "docs/models/tiny.md").mkdir()
    assert [place for place, _ in errors(build(site))] == ["docs/models/tiny.md:1:1"]


def test_evidence_that_is_a_pipe_is_not_read(site):
    (site / "docs/evidence").mkdir(parents=True)
    os.mkfifo(site / "docs/evidence/tiny.json")
    assert "docs/evidence/tiny.json:1:1" in [place for place, _ in errors(build(site))]


@pytest.mark.attack("template", "an outdated page or badge behind a link", "files outside are never removed")
def test_outdated_files_are_not_removed_behind_a_link(site, outside):
    (site / "mkdocs.yml").write_text(CONFIG + "    catalog: docs/catalog\n")
    (site / "templates/models/other.md").write_text(CARD.replace("Name: tiny\n", "Name: tiny_16\n"))
    build(site)
    shutil.move(site / "docs/catalog/models/tiny_16", outside / "tiny_16")
    (site / "docs/catalog/models/tiny_16").symlink_to(outside / "tiny_16")
    shutil.move(site / "docs/models/other.md", outside / "other.md")
    (site / "docs/models/other.md").symlink_to(outside / "other.md")
    before = sorted(outside.rglob("*"))
    (site / "templates/models/other.md").unlink()
    build(site)
    assert sorted(outside.rglob("*")) == before


def test_a_link_that_the_system_cannot_follow_is_no_orphan(site):
    (site / "mkdocs.yml").write_text(CONFIG + "    catalog: docs/catalog\n")
    build(site)
    (site / "docs/catalog/models/odd").symlink_to("x" * 300)  # a name that no file can have
    assert build(site).exit == 0
    assert (site / "docs/catalog/models/odd").is_symlink()


def test_a_folder_of_templates_that_cannot_be_read_is_bad_input_and_removes_no_page(site, monkeypatch):
    (site / "templates/models/more").mkdir()
    (site / "templates/models/more/other.md").write_text(CARD.replace("Name: tiny\n", "Name: tiny_16\n"))
    build(site)
    scandir = os.scandir

    def deny(path):
        if Path(path).name == "more":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(InputError, match=r"models/more: this folder of templates cannot be read: Permission denied"):
        build(site)
    assert pages(site).keys() == {"tiny.md", "other.md"} or (site / "docs/models/more/other.md").is_file()


@pytest.mark.parametrize(
    "settings",
    [
        ("out", "evidence"),
        ("templates", "evidence"),
        ("templates", "assets"),
        ("templates", "catalog"),
        ("out", "catalog"),
        ("evidence", "catalog"),
        ("out", "assets"),
    ],
)
def test_settings_that_name_one_folder_lose_no_template(site, settings):
    folder = "templates" if "templates" in settings else "docs/models"
    lines = [f"    {name}: {folder}\n" for name in settings]
    (site / "mkdocs.yml").write_text(CONFIG + "".join(lines))
    (site / "templates/models/other.md").write_text(CARD.replace("Name: tiny\n", "Name: tiny_16\n"))
    kept = {path: path.read_text() for path in (site / "templates").rglob("*.md")}
    assert build(site).exit == 1  # the other card states the numbers of the first
    (site / "templates/models/other.md").unlink()
    del kept[site / "templates/models/other.md"]
    assert build(site).exit == 0
    assert {path: path.read_text() for path in kept} == kept
    assert pages(site).keys() == {"tiny.md"}
    assert not [change for change in build(site).changes if change.differs]
