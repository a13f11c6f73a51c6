"""Badges are valid images that say their verdict in words and can be read."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from cardproof.core.types import VERDICTS
from cardproof.render.catalog.badges import COLOURS, MOST_CHARACTERS, claim_badge, model_badge, text_width

TEXT = "{http://www.w3.org/2000/svg}text"


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_badge_says_its_verdict_as_a_word_in_its_text_and_its_label(verdict):
    root = ET.fromstring(claim_badge("FLOPs", "4.17 G", verdict))
    assert [text.text for text in root.iter(TEXT)] == ["FLOPs", f"4.17 G · {verdict}"]
    assert (root.attrib["role"], root.attrib["aria-label"]) == ("img", f"FLOPs: 4.17 G · {verdict}")


@pytest.mark.parametrize(("verdict", "colour"), COLOURS.items())
def test_white_text_on_the_colour_of_a_verdict_has_the_contrast_of_wcag_aa(verdict, colour):
    def light(hex_colour: str) -> float:
        parts = [int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert 1.05 / (light(colour) + 0.05) >= 4.5, verdict


def test_texts_fit_into_their_halves():
    root = ET.fromstring(claim_badge("Top 1 Accuracy", "78.24%", "cited"))
    width = int(root.attrib["width"])
    label, message = root.iter(TEXT)
    assert int(label.attrib["x"]) + int(label.attrib["textLength"]) < int(message.attrib["x"])
    assert int(message.attrib["x"]) + int(message.attrib["textLength"]) <= width - 6
    assert root.find("{*}g/{*}rect").attrib["width"] == str(int(label.attrib["textLength"]) + 12)


def test_wide_letters_take_more_room_than_narrow_ones_and_marks_take_none():
    assert text_width("MMM") > text_width("aaa") > text_width("iii")
    assert text_width("模型") == 22
    assert text_width("e\u0301") == text_width("e")


def test_a_long_text_is_cut():
    root = ET.fromstring(claim_badge("x" * 200, "y" * 200, "cited"))
    texts = [text.text for text in root.iter(TEXT)]
    assert [len(text) for text in texts] == [MOST_CHARACTERS, MOST_CHARACTERS]
    assert all(text.endswith("…") for text in texts)


@pytest.mark.parametrize("name", ["a\x00b", "a\ud800b", "\u202egnp.exe", "</title><script>", "\ufffe"])
def test_no_name_breaks_the_image_or_turns_its_text_round(name):
    text = model_badge(name, {"confirmed": 1})
    ET.fromstring(text.encode())
    assert "\u202e" not in text
    assert "<script" not in text


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ({"confirmed": 3}, "3 of 3 claims confirmed"),
        ({"confirmed": 2, "refuted": 1, "disputed": 1}, "1 refuted · 1 disputed · 2 of 4 claims confirmed"),
        ({"cited": 2}, "0 of 2 claims confirmed"),
        ({}, "no claims"),
    ],
)
def test_the_badge_of_a_model_counts_its_claims(verdicts, words):
    assert f"m: {words}" in model_badge("m", verdicts)


@pytest.mark.parametrize(
    ("verdicts", "colour"),
    [({"confirmed": 9, "refuted": 1}, "refuted"), ({"confirmed": 1, "disputed": 1}, "disputed"),
     ({"cited": 1, "unchecked": 5}, "cited"), ({}, "unchecked")],
)  # fmt: skip
def test_its_colour_is_that_of_the_gravest_verdict(verdicts, colour):
    assert COLOURS[colour] in model_badge("m", verdicts)
