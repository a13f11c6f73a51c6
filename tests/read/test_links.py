"""Cards are read below their folder, whatever links say; what is not a regular file is not opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sites import CARD, cardproof

from cardproof.read import read_cards

SECRET = CARD.replace("tiny", "secret")
INDEX = """<!--
Type: model-index
{}
Models:
- Name: tiny
  Metadata: {{Parameters: 322}}
-->
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory of an audit, beside a file that is not part of it."""
    (tmp_path / "secret.md").write_text(SECRET)
    here = tmp_path / "here"
    (here / "cards").mkdir(parents=True)
    (here / "cards/tiny.md").write_text(CARD)
    monkeypatch.chdir(here)
    return here


def findings(*paths: str) -> list[tuple[str, str, str]]:
    found = read_cards(map(Path, paths)).findings
    return [(str(finding.place), finding.severity, finding.message) for finding in found]


def models(*paths: str) -> list[str]:
    return [model.name for model in read_cards(map(Path, paths)).models]


@pytest.mark.attack("card", "a card that is a link to a file outside", "an error at the link; the file is not read")
def test_a_card_that_a_link_leads_out_is_not_read(folder):
    (folder / "cards/leak.md").symlink_to("../../secret.md")
    assert models("cards") == ["tiny"]
    assert findings("cards") == [("cards/leak.md:1:1", "error", f"not read: a link leads out of {Path()}")]
    done = cardproof("audit", "cards", "--json")
    assert done.returncode == 1
    assert "secret" not in done.stdout


def test_a_link_inside_is_read_once(folder):
    (folder / "cards/again.md").symlink_to("tiny.md")
    assert (models("cards"), findings("cards")) == (["tiny"], [])


def test_a_link_that_is_named_itself_is_read(folder):
    Path("leak.md").symlink_to("../secret.md")
    assert (models("leak.md"), findings("leak.md")) == (["secret"], [])


def test_a_checkout_behind_a_link_is_read_as_it_is(folder, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path / "link")
    assert (models("cards"), findings("cards")) == (["tiny"], [])
    monkeypatch.chdir("/")
    assert models(str(tmp_path / "link/cards")) == ["tiny"]


def test_the_links_of_the_hubs_cache_to_its_blobs_are_followed(tmp_path):
    blob = tmp_path / "models--a--b/blobs/0123"
    blob.parent.mkdir(parents=True)
    blob.write_text(CARD)
    snapshot = tmp_path / "models--a--b/snapshots/main"
    snapshot.mkdir(parents=True)
    (snapshot / "README.md").symlink_to("../../blobs/0123")
    assert (models(str(snapshot)), findings(str(snapshot))) == (["tiny"], [])


@pytest.mark.attack("card", "a pipe, a device, or a link to nothing among the cards", "reported, and never opened")
def test_what_is_not_a_regular_file_is_not_opened(folder):
    os.mkfifo("cards/pipe.md")
    Path("cards/zero.yml").symlink_to("/dev/zero")
    Path("cards/nothing.md").symlink_to("missing.md")
    Path("cards/.#tiny.md").symlink_to("user@host.123")  # an editor's lock
    message = "not read: this is a link to nothing, a device or a pipe"
    assert findings("cards") == [
        (f"cards/{name}:1:1", "warning", message) for name in ("nothing.md", "pipe.md", "zero.yml")
    ]
    assert models("cards") == ["tiny"]


def test_a_folder_that_cannot_be_read_is_an_error(folder, monkeypatch):
    (folder / "cards/closed").mkdir()
    scandir = os.scandir

    def deny(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    message = "this folder cannot be read: Permission denied"
    assert findings("cards") == [("cards/closed:1:1", "error", message)]
    assert cardproof("audit", "cards").returncode == 1


@pytest.mark.attack(
    "card", "Import of a file that is a link, or lies in a linked folder, outside", "an error at the Import"
)
@pytest.mark.parametrize("name", ["leak.yml", "away/secret.yml", "away/*.yml", "../../secret.yml"])
def test_an_import_that_leads_out_is_an_error(folder, tmp_path, name):
    (tmp_path / "secret.yml").write_text("Models: [{Name: secret}]")
    Path("cards/leak.yml").symlink_to("../../secret.yml")
    Path("cards/away").symlink_to(tmp_path)
    Path("cards/tiny.md").write_text(INDEX.format(f"Import: {name}"))
    found = findings("cards/tiny.md")
    assert [place for place, _, _ in found] == ["cards/tiny.md:3:9"]
    assert found[0][2] == f"'{name}' leads out of {Path()}, where nothing is read"
    assert models("cards/tiny.md") == ["tiny"]


@pytest.mark.parametrize("value", ["n" * 300, "d/" * 150 + "x.yml", '"a\\0b"', "~/x.yml", "C:/x.yml", "n" * 300 + "*"])
@pytest.mark.parametrize("field", ["Import", "Weights", "Code", "README", "Config"])
@pytest.mark.attack(
    "card", "names of 300 letters or with a null character in Import, Weights, Code, README", "no traceback"
)
def test_names_that_no_file_can_have_end_in_no_traceback(folder, field, value):
    text = INDEX.format(f"Import: {value}" if field == "Import" else "")
    if field != "Import":
        text = text.replace("\n-->", f"\n  {field}: {value}\n-->")
    Path("cards/tiny.md").write_text(text)
    done = cardproof("audit", "cards/tiny.md")
    assert done.returncode in ((1, 2) if field == "Import" else (0, 1))
    assert "Traceback" not in done.stderr


def test_weights_behind_a_link_are_not_read_and_a_note_says_so(folder, tmp_path):
    (tmp_path / "big.pth").write_text("x")
    Path("cards/w.pth").symlink_to(tmp_path / "big.pth")
    Path("cards/tiny.md").write_text(INDEX.format("").replace("\n-->", "\n  Weights: w.pth\n-->"))
    done = cardproof("audit", "cards/tiny.md", "--verbose")
    assert "cards/w.pth is not read: a link leads out of the card's folder" in " ".join(done.stdout.split())
    assert done.returncode == 0
