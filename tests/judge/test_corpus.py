"""The published cards of timm, audited and rendered as a stranger would: read whole, counted exactly, and explained."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from cardproof.build import audit
from cardproof.core.settings import Settings
from cardproof.read import read_cards
from cardproof.report.terminal import json_of

GONE = "gluon_xception65"  # no longer in timm, as the shared counts say


@pytest.fixture(scope="module")
def report(shared, corpus):
    cards = shared / "corpora" / "timm-model-templates"
    run = audit([cards], Settings(zoo="timm"), store=corpus.evidence)
    assert (run.measured, run.recalled, run.unmeasured) == (0, 219, 1)  # timm has no model gluon_xception65
    return json.loads(json_of(run))


BY_FILE = {"ig_resnext101_32x16d", "ig_resnext101_32x32d"}
"""timm's renames send these to 32x8d, which the shared counts are of; the files of their weights say better."""
LOST = ("ig_resnext101_32x48d", "vit_small_patch16_224")
"""Names for which timm has another network now."""


@pytest.fixture(scope="module")
def rows(shared):
    with (shared / "data" / "timm_counts.csv").open(newline="") as stream:
        return {row["model"]: row for row in csv.DictReader(stream) if row["model"] != GONE}


def claims(report, field):
    return {claim["model"]: claim for claim in report["claims"] if claim["field"] == field}


def test_all_cards_of_the_corpora_are_read_without_a_finding(shared):
    timm = read_cards([shared / "corpora" / "timm-model-templates"])
    assert (len(timm.cards), len(timm.models), timm.findings) == (50, 220, [])
    mmpretrain = read_cards([shared / "corpora" / "mmpretrain-metafiles"])
    assert (len(mmpretrain.cards), len(mmpretrain.models), mmpretrain.findings) == (63, 402, [])


@pytest.mark.slow
def test_every_count_equals_the_shared_one(report, rows):
    flops, parameters = claims(report, "FLOPs"), claims(report, "Parameters")
    wrong = [
        name
        for name, row in rows.items()
        if name not in BY_FILE
        and (flops[name]["found"], parameters[name]["found"])
        != (int(row["multiply_adds_at_image_size"]), int(row["parameters"]))
    ]
    assert not wrong
    assert len(rows) == 219
    assert {name: parameters[name]["verdict"] for name in BY_FILE} == dict.fromkeys(BY_FILE, "confirmed")
    assert all(flops[name]["explained"] for name in BY_FILE)


@pytest.mark.slow
def test_every_flops_figure_that_the_shared_table_reproduces_exactly_is_explained(report, rows):
    flops = claims(report, "FLOPs")
    exact = [name for name, row in rows.items() if row["match"] == "exact"]
    assert len(exact) == 198
    assert [name for name in exact if not flops[name]["explained"]] == []
    assert all("non-square" in flops[name]["explanation"] for name in exact)  # each was made on the uncropped photo
    assert "224x285" in flops["res2next50"]["explanation"]
    assert "classifier" in flops["res2next50"]["explanation"]


@pytest.mark.slow
def test_a_model_that_is_gone_is_unchecked_with_the_reason(report):
    claim = claims(report, "FLOPs")[GONE]
    assert (claim["verdict"], claim["found"]) == ("unchecked", None)
    assert GONE in claim["reason"]


@pytest.mark.slow
def test_names_that_mean_another_network_now_are_findings(report):
    named = {f["message"].split()[0] for f in report["findings"] if f["check"] == "another-network"}
    assert {"ig_resnext101_32x48d", "vit_small_patch16_224"} <= named
    assert not BY_FILE & named
    verdicts = {claims(report, field)[name]["verdict"] for field in ("FLOPs", "Parameters") for name in LOST}
    assert verdicts == {"unchecked"}


@pytest.mark.slow
def test_nothing_is_confirmed_that_was_not_measured(report):
    assert all(claim["found"] is not None for claim in report["claims"] if claim["verdict"] == "confirmed")
    assert {claim["verdict"] for claim in report["claims"] if claim["field"] == "File Size"} == {"unchecked"}
    assert all(claim["reason"] for claim in report["claims"] if claim["verdict"] == "unchecked")


MMCV = ("densenet", "mobilenet_v3", "regnet", "resnext", "wrn")
"""Metafiles whose multiply-adds were counted by mmcv, with values to the digit and of two to four digits."""


@pytest.mark.slow
def test_the_convention_of_a_zoo_is_confirmed_and_its_real_faults_are_refuted(shared, tmp_path):
    pytest.importorskip("timm")
    for name in MMCV:
        shutil.copy(shared / "corpora" / "mmpretrain-metafiles" / f"{name}__metafile.yml", tmp_path)
    audited = json.loads(json_of(audit([tmp_path], Settings(zoo="timm"))))
    judged = [claim for claim in audited["claims"] if claim["field"] == "FLOPs"]
    by_convention = [claim for claim in judged if "mmcv's convention" in claim["method"]]
    assert {claim["verdict"] for claim in by_convention} == {"confirmed"}
    assert len(by_convention) == 16
    refuted = {claim["model"]: claim["stated"] for claim in judged if claim["verdict"] == "refuted"}
    assert refuted == {
        "mobilenet-v3-small-075_3rdparty_in1k": "44791000",
    }
    notes = [finding for finding in audited["findings"] if "convention" in finding["message"]]
    assert len(notes) == 4


# the published cards of timm, rendered: what costs nothing the second time, and what one edit costs


BLOCKED = ("torch", "torchvision", "timm", "mkdocs", "pydantic", "numpy")


@pytest.fixture
def site(corpus):
    """Return the site of published cards; no other process of the tests renders it meanwhile."""
    with corpus.lock:
        yield corpus


def written(report: dict) -> set[str]:
    return {Path(page["page"]).name for page in report["pages"] if page["status"] != "unchanged"}


@pytest.mark.slow
def test_a_second_run_measures_nothing_and_needs_no_torch(site):
    report = site.render(*BLOCKED)
    assert report["summary"]["measured"] == 0
    assert report["summary"]["snippets"] == "0 run, 50 recalled"
    assert written(report) == set()


@pytest.mark.slow
def test_words_on_one_card_render_its_page_alone_and_need_no_torch(site):
    card = site.folder / "templates/models/resnest.md"
    card.write_text(card.read_text().replace("\n\n", " again\n\n", 1))
    report = site.render(*(name for name in BLOCKED if name != "mkdocs"))  # it has the site's Markdown extensions
    assert report["summary"]["measured"] == 0
    assert "resnest.md" in written(report)
    assert not [name for name in written(report) if name.endswith(".md") and name != "resnest.md"]


@pytest.mark.slow
def test_a_claim_of_one_card_measures_its_model_alone(site):
    card = site.folder / "templates/models/xception.md"
    text = card.read_text()
    assert text.count("Parameters: 22860000") == 1
    card.write_text(text.replace("Parameters: 22860000", "Parameters: 22860001"))
    report = site.render()
    assert report["summary"]["measured"] == 1
    compared = {"xception.md", "res2net.md"}  # that page compares its models with this one, and marks it
    assert {name for name in written(report) if name.endswith(".md")} == compared
