"""Classes and smallest sizes: stated, against what networks put out and take in."""

from __future__ import annotations

import json

import pytest
from sites import ONE_JOB, TINY

from cardproof.build import audit, render
from cardproof.core.settings import Settings, load_settings
from cardproof.evidence.records import load_record
from cardproof.report.terminal import json_of

ZOO = (
    TINY
    + '''

class Sized(Zoo):
    """Takes images of 32 pixels and more, or of 32 alone."""

    def build(self, name):
        from torch import nn

        if name == "maps":
            return nn.Conv2d(3, 8, 3)
        layers = [nn.Conv2d(3, 8, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
        if name == "fixed":
            layers = [nn.Flatten(), nn.Linear(3 * 32 * 32, 10)]
        return nn.Sequential(*layers)
'''
)


@pytest.fixture
def judge(write):
    write("zoo.py", ZOO)

    def _judge(field: str, name: str = "net"):
        card = write("card.md", f"<!--\nType: model-index\nModels:\n- Name: {name}\n  Metadata:\n    {field}\n-->\n")
        report = json.loads(json_of(audit([card], Settings(zoo="zoo.py:Sized"), ONE_JOB)))
        (claim,) = report["claims"]
        return claim["verdict"], claim["found"], claim["reason"] or claim["explanation"]

    return _judge


@pytest.mark.parametrize("field", ["Classes", "Num Classes", "num_classes", "Number of Classes"])
def test_classes_are_the_scores_of_the_output(judge, field):
    assert judge(f"{field}: 10") == ("confirmed", 10, None)


def test_another_number_of_classes_is_refuted(judge):
    assert judge("Classes: 1,000") == ("refuted", 10, "The output for one image has 10 scores.")


def test_one_score_more_than_classes_may_stand_for_none_of_them(judge):
    verdict, found, reason = judge("Classes: 9")
    assert (verdict, found) == ("unchecked", 10)
    assert "no class" in reason


@pytest.mark.parametrize("stated", ["many", "10 cats", "'-'"])
def test_classes_that_are_no_number_are_unchecked(judge, stated):
    assert judge(f"Classes: {stated}")[0] == "unchecked"


def test_a_map_is_no_row_of_scores(judge):
    assert judge("Classes: 8", "maps")[0] == "unchecked"


def test_the_smallest_size_that_is_taken_is_confirmed(judge):
    assert judge("Min Size: 32") == ("confirmed", 32, None)


def test_a_size_that_is_refused_is_refuted(judge):
    assert judge("Min Size: 31") == ("refuted", "refuses it", "The network rejects images of 31x31.")


def test_a_size_of_which_smaller_ones_are_taken_is_unchecked(judge):
    verdict, _, reason = judge("Min Input Size: 40")
    assert verdict == "unchecked"
    assert "also accepts images of 39x39" in reason


@pytest.mark.parametrize("stated", ["32x48", "small", "0", "100000", "-1"])
def test_what_is_no_side_of_a_square_is_unchecked(judge, stated):
    assert judge(f"Min Size: '{stated}'")[0] == "unchecked"


def test_a_network_of_one_size_takes_no_other(judge):
    assert judge("Min Size: 32", "fixed") == ("confirmed", 32, None)


def test_what_a_network_takes_is_on_record_only_where_it_was_asked(write):
    write("zoo.py", ZOO)
    models = "- Name: net\n  Metadata: {Min Size: 32}\n- Name: other\n  Metadata: {Classes: 10}\n"
    write("templates/models/net.md", f"# Net\n\n<!--\nType: model-index\nModels:\n{models}-->\n")
    settings = "    zoo: zoo.py:Sized\n    snippets: {run: false}\n"
    config = write("mkdocs.yml", f"site_name: N\nplugins:\n- cardproof:\n{settings}")
    assert render(load_settings(config), ONE_JOB).exit == 0
    folder = config.parent / "docs/evidence"
    assert load_record(folder / "net.json").takes == ((31, False), (32, True))
    assert "takes" not in (folder / "other.json").read_text()
    again = render(load_settings(config), ONE_JOB, check=True)
    assert (again.measured, again.exit) == (0, 0)
