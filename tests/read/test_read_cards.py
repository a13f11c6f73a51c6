"""Files that hold cards: where an index stands in a Markdown file, and no link leads out of the folder."""

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


INDEX_COMMENT = "<!--\nType: model-index\nModels:\n- Name: a\n-->\n"


def names(write, text) -> list[str]:
    return [model.name for model in read_cards([write("card.md", text)]).models]


@pytest.mark.parametrize(
    "text",
    [
        f"```text\n{INDEX_COMMENT}```\n",
        f"~~~\n{INDEX_COMMENT}~~~\n",
        f"````\n```\n{INDEX_COMMENT}```\n````\n",
        f"```\n{INDEX_COMMENT}",
        "    <!--\n    Type: model-index\n    Models:\n    - Name: a\n    -->\n",
        "<!-- not an index -->\n",
        "Text <!-- Type: model-index -->\n",
    ],
)
def test_examples_and_other_comments_are_no_index(write, text):
    assert names(write, text) == []


@pytest.mark.parametrize(
    "text",
    [
        INDEX_COMMENT,
        f"```\ncode\n```\n{INDEX_COMMENT}",
        f"``` not a fence ` really\n{INDEX_COMMENT}",
        f"<!-- other\n``` -->\n{INDEX_COMMENT}",
        f"---\ntitle: x\n---\n{INDEX_COMMENT}",
        INDEX_COMMENT.replace("\n", "\r\n"),
        "<!-- Type: model-index\nModels:\n- Name: a\n-->\n",
        "<!--\ntype: 'model-index'\nModels:\n- Name: a\n-->",
        f"\ufeff{INDEX_COMMENT}",
    ],
)
def test_an_index_is_found(write, text):
    assert names(write, text) == ["a"]


def test_a_second_index_is_read_as_well_and_shares_the_collections_of_the_first(write):
    first = INDEX_COMMENT.replace("Models", "Collections:\n- Name: C\n  Metadata: {Epochs: 3}\nModels")
    second = "<!--\nType: model-index\nModels:\n- Name: b\n  In Collection: C\n-->\n"
    reading = read_cards([write("card.md", first + second)])
    assert [m.name for m in reading.models] == ["a", "b"]
    assert [(claim.model, claim.field, claim.stated) for claim in reading.claims] == [("b", "Epochs", "3")]
    assert reading.findings == []
    assert len(reading.cards[0].indexes) == 2


def test_an_index_that_is_never_closed_is_a_fatal_error(write):
    reading = read_cards([write("card.md", INDEX_COMMENT.replace("-->", ""))])
    assert [(f.check, f.fatal) for f in reading.findings] == [("open-comment", True)]


def test_an_index_without_models_is_an_error(write):
    reading = read_cards([write("card.md", "<!--\nType: model-index\n-->\n")])
    assert [f.message for f in reading.findings] == ["the model index holds no model"]


def test_bytes_that_are_not_utf_8_are_reported_where_they_stand(write):
    reading = read_cards([write("card.md", b"# ok\nab\xff\n")])
    assert [str(f.place) for f in reading.findings] == ["card.md:2:3"]
    assert reading.findings[0].fatal


def test_a_file_too_large_for_a_card_is_refused_before_it_is_parsed(write):
    reading = read_cards([write("card.md", b"x" * (5 * 2**20))])
    assert "too large" in reading.findings[0].message


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x9b"])
def test_a_control_character_is_named_and_never_repeated(write, character):
    reading = read_cards([write("card.md", INDEX_COMMENT.replace("a\n", f"a{character}\n"))])
    finding = reading.findings[0]
    assert f"U+{ord(character):04X}" in finding.message
    assert character not in finding.message
    assert (finding.place.line, finding.place.column) == (4, 10)
