"""Results of a real model on real images: evaluated in the build, recalled after it, refuted when a digit changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sites import ONE_JOB

from cardproof.build import audit, render
from cardproof.core.settings import Settings, SnippetSettings
from cardproof.evidence.records import load_record
from cardproof.report.terminal import json_of

ROOT = Path(__file__).parents[2]
CARD = ROOT / "templates/models/res2next-tiny.md"

pytestmark = pytest.mark.usefixtures("warm_processes")


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("small_snippets.md", "page.md"):
        (tmp_path / "templates/models").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "templates" / name, tmp_path / "templates")
    shutil.copy(CARD, tmp_path / "templates/models")
    return tmp_path


def claims(run) -> dict[str, dict]:
    return {claim["field"]: claim for claim in json.loads(json_of(run))["claims"]}


def build(site: Path):
    return render(Settings(base=site, zoo="res2next", snippets=SnippetSettings(run=False)), ONE_JOB)


@pytest.mark.slow
def test_a_result_is_measured_once_as_a_count_and_stays_on_record(site):
    first = build(site)
    assert (first.exit, first.evaluated) == (0, 1)
    (result,) = load_record(site / "docs/evidence/res2next_tiny.json").evaluations
    assert (result.dataset, result.images, sum(int(n) for row in result.confusion for n in row.split())) == (
        "Digits",
        360,
        360,
    )
    assert claims(first)["Top 1 Accuracy"]["verdict"] == "confirmed"
    assert f"{result.top1:,} of 360 images" in (site / "docs/models/res2next-tiny.md").read_text()

    card = site / "templates/models/res2next-tiny.md"
    card.write_text(card.read_text().replace("Top 1 Accuracy: 97.22%", "Top 1 Accuracy: 97.50%"))
    second = build(site)
    assert (second.exit, second.measured, second.evaluated) == (1, 0, 0)
    claim = claims(second)["Top 1 Accuracy"]
    assert (claim["verdict"], claim["difference"]) == ("refuted", "−1 image (−0.28 points)")
    (finding,) = second.findings
    assert card.read_text().splitlines()[finding.place.line - 1].strip() == "Top 1 Accuracy: 97.50%"
    assert finding.fix is not None
    assert finding.fix.text == "97.22%"


@pytest.mark.slow
def test_the_cards_of_our_own_models_hold_and_their_recipes_are_confirmed_by_the_log(monkeypatch):
    monkeypatch.chdir(ROOT)
    run = audit([CARD], Settings(zoo="res2next"), ONE_JOB)
    assert run.exit == 0
    fields = claims(run)
    for field in ("LR", "Epochs", "Momentum", "Batch Size", "Weight Decay", "Training Techniques", "Top 5 Accuracy"):
        assert fields[field]["verdict"] == "confirmed", field


def test_a_recipe_of_the_paper_is_cited(monkeypatch):
    monkeypatch.chdir(ROOT)
    run = audit([ROOT / "templates/models/res2next.md"], Settings(zoo="res2next"), ONE_JOB)
    assert {claims(run)[field]["verdict"] for field in ("LR", "Epochs", "Batch Size")} == {"cited"}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["res2next50_imagenet", "res2next_tiny_digits"])
def test_a_changed_recipe_is_refuted_at_the_line_of_the_card(tmp_path, recipe):
    shutil.copytree(ROOT / "res2next", tmp_path / "res2next")
    path = tmp_path / f"res2next/recipes/{recipe}.yaml"
    path.write_text(path.read_text().replace("learning_rate: 0.1", "learning_rate: 0.05"))
    card = CARD if "tiny" in recipe else ROOT / "templates/models/res2next.md"
    shutil.copy(card, tmp_path / "card.md")
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]; del sys.argv[1:3]; from cardproof.commands.cli import main; main()"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(ROOT / "tools"), "audit", "card.md", "--zoo", "res2next"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [*command, "--json", "-j", "1"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    report = json.loads(done.stdout)
    (finding,) = [finding for finding in report["findings"] if finding["check"] == "recipe"]
    line = (tmp_path / "card.md").read_text().splitlines()[finding["line"] - 1]
    assert line.strip() == "LR: 0.1"
    assert done.returncode == 1
    assert ("log of the training" in finding["hint"]) == ("tiny" in recipe)
