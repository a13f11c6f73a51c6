"""Where an index stands in a Markdown file, and files that are not what they seem."""

from __future__ import annotations

import pytest

from cardproof.read import read_cards

INDEX = "<!--\nType: model-index\nModels:\n- Name: a\n-->\n"


def names(write, text) -> list[str]:
    return [model.name for model in read_cards([write("card.md", text)]).models]


@pytest.mark.parametrize(
    "text",
    [
        f"```text\n{INDEX}```\n",
        f"~~~\n{INDEX}~~~\n",
        f"````\n```\n{INDEX}```\n````\n",
        f"```\n{INDEX}",
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
        INDEX,
        f"```\ncode\n```\n{INDEX}",
        f"``` not a fence ` really\n{INDEX}",
        f"<!-- other\n``` -->\n{INDEX}",
        f"---\ntitle: x\n---\n{INDEX}",
        INDEX.replace("\n", "\r\n"),
        "<!-- Type: model-index\nModels:\n- Name: a\n-->\n",
        "<!--\ntype: 'model-index'\nModels:\n- Name: a\n-->",
        f"\ufeff{INDEX}",
    ],
)
def test_an_index_is_found(write, text):
    assert names(write, text) == ["a"]


def test_a_second_index_is_read_as_well_and_shares_the_collections_of_the_first(write):
    first = INDEX.replace("Models", "Collections:\n- Name: C\n  Metadata: {Epochs: 3}\nModels")
    second = "<!--\nType: model-index\nModels:\n- Name: b\n  In Collection: C\n-->\n"
    reading = read_cards([write("card.md", first + second)])
    assert [m.name for m in reading.models] == ["a", "b"]
    assert [(claim.model, claim.field, claim.stated) for claim in reading.claims] == [("b", "Epochs", "3")]
    assert reading.findings == []
    assert len(reading.cards[0].indexes) == 2


def test_an_index_that_is_never_closed_is_a_fatal_error(write):
    reading = read_cards([write("card.md", INDEX.replace("-->", ""))])
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
    reading = read_cards([write("card.md", INDEX.replace("a\n", f"a{character}\n"))])
    finding = reading.findings[0]
    assert f"U+{ord(character):04X}" in finding.message
    assert character not in finding.message
    assert (finding.place.line, finding.place.column) == (4, 10)
