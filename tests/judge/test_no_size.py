"""Multiply-adds of a card that states no image size: the zoo's size is a guess, and is said to be one."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_runs import claim_rows
from sites import ONE_JOB

from cardproof.build import audit
from cardproof.commands.edit import fix_files
from cardproof.core.settings import Settings

ZOO = """
from torch import nn


class Zoo:
    def build(self, name):
        return nn.Sequential(nn.Conv2d(3, 40, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 2))

    def preprocessing(self, name):
        return {"input_size": (3, 256, 256)}
"""
AT_224, AT_256 = 120 * 224 * 224 + 80, 120 * 256 * 256 + 80


def judged(write, flops, size=""):
    write("zoo.py", ZOO)
    size = f", Image Size: {size}" if size else ""
    card = write("model-index.yml", f"Models:\n- Name: net\n  Metadata: {{FLOPs: {flops}{size}}}\n")
    run = audit([card], Settings(zoo="zoo.py:Zoo"), ONE_JOB)
    (claim,) = [row for row in claim_rows(run) if row["field"] == "FLOPs"]
    return claim, run


@pytest.mark.parametrize(
    ("flops", "size", "verdict"),
    [
        (AT_256, "", "confirmed"),
        (AT_224, "", "unchecked"),
        (AT_224, "224", "confirmed"),
        (AT_224, "256", "refuted"),
        (2 * AT_256, "", "refuted"),
        (2 * AT_224, "", "refuted"),
        (AT_256 + 1_234_567, "", "refuted"),
    ],
)
def test_a_value_that_is_right_at_another_size_is_refuted_only_where_the_card_says_which(write, flops, size, verdict):
    claim, _ = judged(write, flops, size)
    assert claim["verdict"] == verdict
    if verdict == "unchecked":
        assert claim["reason"] == (
            "the card states no image size: the value is right at 224x224, and not at the zoo's 256x256"
        )


def test_a_refuted_value_says_whose_size_it_is_and_is_not_fixed_unasked(write):
    claim, run = judged(write, 2 * AT_224 + 80)
    assert claim["explanation"].endswith("The card states no image size: 256x256 is the zoo's.")
    assert fix_files(run.findings) == {}
    assert len(fix_files(run.findings, unsafe=True)) == 1


def test_a_value_that_is_explained_at_the_zoos_size_was_made_there(write):
    claim, run = judged(write, 2 * AT_256)
    assert claim["explanation"] == "Exactly twice the multiply-adds at the image size."
    assert len(fix_files(run.findings)) == 1


def test_with_a_size_it_is_fixed(write):
    _, run = judged(write, 2 * AT_256, "256")
    assert len(fix_files(run.findings)) == 1


@pytest.mark.parametrize(
    ("flops", "verdict", "fixes"),
    [
        (AT_224 + 1_234_567, "unchecked", 0),  # another size would make no sense of it
        (2 * AT_224, "refuted", 0),  # explained by another way of counting; to be counted at the right size
        (AT_224, "confirmed", 0),  # another size would make it wrong
        (AT_256, "unchecked", 1),  # right at the zoo's size: the size is the mistake
    ],
)
def test_a_count_is_not_refuted_at_an_image_size_that_is_itself_refuted(write, flops, verdict, fixes):
    claim, run = judged(write, flops, "224")
    assert claim["verdict"] == verdict
    if verdict == "unchecked":
        assert claim["reason"] == "the image size is refuted: counts are judged when it is right"
    assert fix_files(run.findings) == {}
    assert len(fix_files(run.findings, unsafe=True)) == fixes
    again = audit([*map(Path, {finding.place.file for finding in run.findings})], Settings(zoo="zoo.py:Zoo"), ONE_JOB)
    assert fix_files(again.findings, unsafe=True) == {}  # a second run changes nothing
    assert bool(fixes) is (not [one for one in again.findings if one.severity == "error"])


WITHOUT_SIZE = ZOO[: ZOO.index("    def preprocessing")]
AT_32 = 120 * 32 * 32 + 80


@pytest.mark.parametrize(
    ("flops", "reason"),
    [
        (f"{AT_32 / 1000:.0f}K", "the value is right at 32x32, and not at the assumed 224x224"),
        (AT_32, "the value is right at 32x32, and not at the assumed 224x224"),
        ("99.9M", "no image size is stated; 224x224 was assumed"),
        (2 * AT_224, None),
    ],
)
def test_at_a_size_that_was_assumed_only_what_is_explained_there_is_refuted(write, flops, reason):
    write("zoo.py", WITHOUT_SIZE)
    card = write("model-index.yml", f"Models:\n- Name: net\n  Metadata: {{FLOPs: {flops}}}\n")
    run = audit([card], Settings(zoo="zoo.py:Zoo"), ONE_JOB)
    (claim,) = claim_rows(run)
    assert claim["verdict"] == ("unchecked" if reason else "refuted")
    assert reason is None or reason in claim["reason"]
    assert bool(fix_files(run.findings, unsafe=True)) is (reason is None)
