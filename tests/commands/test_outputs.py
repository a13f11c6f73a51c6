"""No option writes over an input, under whatever name; fixes stay in the working directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sites import CARD, cardproof, write_site

WRONG = CARD.replace("Parameters: 322", "Parameters: 323")


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path, WRONG)
    card = folder / "templates/models/tiny.md"
    (folder / "link.md").symlink_to(card)
    os.link(card, folder / "hard.md")
    return folder


AUDIT = ("audit", "templates/models/tiny.md")


@pytest.mark.attack(
    "card", "a report, baseline or export with the name of a card, also by links and ..", "refused; the card stays"
)
@pytest.mark.parametrize(
    "name", ["templates/models/tiny.md", "templates/../templates/models/tiny.md", "link.md", "hard.md"]
)
@pytest.mark.parametrize(
    "command",
    [
        (*AUDIT, "--report", "{}"),
        (*AUDIT, "--write", "json={}"),
        (*AUDIT, "--baseline", "{}", "--update-baseline"),
        ("render", "--no-snippets", "--write", "json={}"),
        ("render", "--no-snippets", "--baseline", "{}", "--update-baseline"),
        ("export", "templates/models/tiny.md", "--format", "json", "--out", "{}"),
        ("speed", "--out", "{}"),
    ],
)
def test_a_card_is_never_an_output(site, command, name):
    done = cardproof(*(word.format(name) for word in command))
    assert done.returncode == 2
    assert "is a card of this run, or another input" in done.stderr
    assert (site / "templates/models/tiny.md").read_text() == WRONG
    assert Path("hard.md").samefile("templates/models/tiny.md")


@pytest.mark.parametrize("name", ["mkdocs.yml", "zoo.py", "templates/code_snippets.md", "cited.yml"])
def test_no_other_input_is_an_output_either(site, name):
    Path("cited.yml").write_text("Sources: []\n")
    Path("mkdocs.yml").write_text(Path("mkdocs.yml").read_text() + "    cited: cited.yml\n")
    before = Path(name).read_text()
    for command in (AUDIT, ("render", "--no-snippets")):
        done = cardproof(*command, "--write", f"json={name}")
        assert (done.returncode, Path(name).read_text()) == (2, before)


def test_two_outputs_are_not_one_file(site):
    done = cardproof(*AUDIT, "--report", "out.json", "--write", "json=./out.json")
    assert done.returncode == 2
    assert "--write and --report name the same file" in done.stderr
    assert not Path("out.json").exists()


def test_a_baseline_that_is_read_is_not_written(site):
    assert cardproof(*AUDIT, "--baseline", "known.json", "--update-baseline").returncode == 0
    assert cardproof(*AUDIT, "--baseline", "known.json", "--write", "json=known.json").returncode == 2
    assert '"format": "cardproof-baseline/1"' in Path("known.json").read_text()


def test_a_report_and_a_baseline_are_written_again(site):
    words = ("--report", "out.json", "--write", "junit=out.xml", "--baseline", "known.json", "--update-baseline")
    assert [cardproof(*AUDIT, *words).returncode for _ in range(2)] == [0, 0]


def test_an_export_does_not_replace_the_readme_that_it_was_made_of(site):
    Path("hub/tiny").mkdir(parents=True)
    Path("hub/tiny/README.md").write_text(WRONG)
    done = cardproof("export", "hub", "--format", "hub", "--out", "hub/tiny/README.md")
    assert done.returncode == 2
    assert Path("hub/tiny/README.md").read_text() == WRONG


@pytest.mark.attack("card", "--fix of a card that is a link to a file outside", "refused; the file stays as it is")
def test_a_fix_is_not_written_through_a_link_out_of_the_working_directory(site, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "card.md"
    outside.write_text(WRONG)
    Path("away.md").symlink_to(outside)
    done = cardproof("audit", "away.md", "templates/models", "--fix")
    assert done.returncode == 2
    assert "away.md: a link leads out of ." in done.stderr
    assert outside.read_text() == WRONG
    assert "Parameters: 322" in Path("templates/models/tiny.md").read_text()


def test_a_fix_is_written_through_a_link_inside(site):
    assert cardproof("audit", "link.md", "--fix").returncode == 0
    assert "Parameters: 322" in Path("templates/models/tiny.md").read_text()
    assert Path("link.md").is_symlink()


@pytest.mark.attack(
    "snippet", "snippets --update of a page that is a link to a file outside", "refused; the file stays as it is"
)
def test_an_update_is_not_written_through_a_link_out_of_the_working_directory(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = "```python\nprint(1)  # prints: 2\n```\n"
    outside = tmp_path_factory.mktemp("outside") / "page.md"
    outside.write_text(page)
    Path("page.md").symlink_to(outside)
    done = cardproof("snippets", "page.md", "--update")
    assert done.returncode == 2
    assert "not updated: page.md: a link leads out of ." in done.stdout
    assert outside.read_text() == page


@pytest.mark.attack(
    "card", "cardproof edit of a pipe, or of a link to a file outside", "refused; nothing hangs or is written"
)
def test_edit_writes_regular_files_inside_only(site, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "card.md"
    outside.write_text("---\nlicense: mit\n---\n")
    Path("away.md").symlink_to(outside)
    os.mkfifo("pipe.md")
    assert cardproof("edit", "away.md", "license=apache-2.0").returncode == 2
    assert cardproof("edit", "pipe.md", "license=apache-2.0").returncode == 2
    assert "mit" in outside.read_text()
