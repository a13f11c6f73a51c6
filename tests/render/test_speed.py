"""Speeds: measured one by one under one set of conditions, shown while the network is the one that was timed."""

from __future__ import annotations

import importlib.util
import json
import re
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from msgspec.structs import replace
from sites import CARD, ONE_JOB, OTHER, write_site

from cardproof.build import render
from cardproof.commands.cli import cardproof
from cardproof.commands.speed import speed_table
from cardproof.core.errors import InputError
from cardproof.core.settings import load_settings
from cardproof.measure.speeds import Conditions, Speed, Speeds, current_conditions, dump_speeds, load_speeds
from cardproof.render.catalog.model_summary import read_model_summary
from cardproof.render.views.comparison_view import conditions_text
from res2next.distributed import convolution_precision

HERE = Conditions("cpu", "Toy processor", 2, 16, "float32", "2.0")
SCORE = (
    "  Results:\n  - Task: Image Classification\n    Dataset: ImageNet\n    Metrics:\n      Top 1 Accuracy: {}%\n-->\n"
)


def scored(card: str, percent: int) -> str:
    return card.replace("-->\n", SCORE.format(percent))


pytestmark = pytest.mark.usefixtures("warm_processes")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Three models with accuracies, and a place for speeds."""
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path, scored(CARD, 50))
    models = folder / "templates/models"
    (models / "other.md").write_text(scored(OTHER, 60))
    third = OTHER.replace("tiny_16", "tiny_24").replace("634", "946").replace("110752", "166128")
    (models / "third.md").write_text(scored(third, 70))
    zoo = (folder / "zoo.py").read_text()
    zoo = zoo.replace('name not in ("tiny", "tiny_16")', 'not name.startswith("tiny")')
    (folder / "zoo.py").write_text(zoo.replace('16 if name == "tiny_16" else 8', 'int(name.partition("_")[2] or 8)'))
    config = folder / "mkdocs.yml"
    config.write_text(config.read_text() + "    speed: docs/data/speed.json\n    catalog: docs/catalog\n")
    return folder


def command(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(cardproof, ["speed", *options], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.output


def build(site):
    return render(load_settings(site / "mkdocs.yml"), ONE_JOB)


def speed(network: str = "sha256:a", milliseconds: float = 2.5) -> Speed:
    return Speed(network, (3, 32, 32), milliseconds, (2.0, 3.0), 9, "2026-11-25T00:00:00Z")


def test_a_file_of_speeds_is_read_as_it_was_written(tmp_path):
    speeds = Speeds(HERE, {"b": speed(), "a": speed("sha256:b", 1.0)})
    path = tmp_path / "speed.json"
    path.write_text(dump_speeds(speeds))
    assert load_speeds(path) == speeds
    assert list(json.loads(path.read_text())["models"]) == ["a", "b"]
    assert load_speeds(tmp_path / "none.json") is None


def test_a_file_that_was_edited_by_hand_is_refused(tmp_path):
    path = tmp_path / "speed.json"
    path.write_text(dump_speeds(Speeds(HERE, {"a": speed()})).replace("2.5", "0.5"))
    with pytest.raises(InputError, match="changed after `cardproof speed` wrote it"):
        load_speeds(path)


@pytest.mark.attack("record", "the file of speeds is edited by hand or damaged", "not used; one finding at its file")
@pytest.mark.parametrize("content", ["", "[" * 100_000, '{"schema": "cardproof-speed/1", "seal": NaN}'])
def test_a_damaged_file_of_speeds_is_one_finding_of_a_build(site, content):
    path = site / "docs/data/speed.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    (found,) = [finding for finding in build(site).findings if finding.place.file == "docs/data/speed.json"]
    assert (found.check, found.severity) == ("evidence", "warning")


@pytest.mark.parametrize(
    ("device", "switch", "supported", "precision"),
    [
        ("cpu", "tf32", True, "float32"),
        ("cuda", "tf32", True, "tf32"),
        ("cuda", "ieee", True, "float32"),
        ("cuda", "none", True, "float32"),
        ("cuda", "tf32", False, "float32"),
    ],
)
def test_the_precision_is_that_in_which_torch_computes_convolutions(monkeypatch, device, switch, supported, precision):
    monkeypatch.setattr(torch.backends.cudnn, "conv", SimpleNamespace(fp32_precision=switch))
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: supported)
    assert convolution_precision(torch.device(device), mixed=False) == precision


def test_speeds_measured_on_a_cpu_before_stay_comparable():
    stored = load_speeds(Path(__file__).parents[2] / "docs/data/speed-cpu.json")
    assert stored
    here = current_conditions("cpu", stored.conditions.threads, stored.conditions.batch, "torch")
    same = replace(here, processor=stored.conditions.processor, torch=stored.conditions.torch)
    assert same.differences(stored.conditions) == ""


def test_the_table_and_the_page_say_the_precision():
    here = replace(HERE, device="cuda", precision="tf32")
    assert "in tf32" in conditions_text(here)
    assert " in tf32, " in str(speed_table(Speeds(here)).title)


def test_a_speed_is_valid_for_the_network_and_the_method_that_were_timed():
    speeds = Speeds(HERE, {"a": speed("sha256:a")})
    assert speeds.of("a", "sha256:a") == speed("sha256:a")
    assert speeds.of("a", "sha256:b") is None
    assert speeds.of("a", None) is None
    assert speeds.of("b", "sha256:a") is None
    older = Conditions("cpu", "Toy processor", 2, 16, "float32", "2.0", "speed/0")
    assert Speeds(older, speeds.models).of("a", "sha256:a") is None


@pytest.mark.slow
def test_networks_are_timed_once_and_the_pages_show_it(site):
    status, output = command("--seconds", "0", "--batch", "2")
    assert status == 0
    assert "tiny_16" in output
    first = load_speeds(site / "docs/data/speed.json")
    assert first.conditions.batch == 2
    for timed in first.models.values():
        assert timed.size == (3, 32, 32)
        assert timed.quartiles[0] <= timed.milliseconds <= timed.quartiles[1]
        assert 0 < timed.milliseconds < 10_000
        assert timed.passes >= 5
    assert set(first.models) == {"tiny", "tiny_16", "tiny_24"}
    assert command("--seconds", "0", "--batch", "2", "-q") == (0, "")
    assert load_speeds(site / "docs/data/speed.json") == first

    run = build(site)
    page = (site / "docs/models/tiny.md").read_text()
    assert "Against time" in page
    milliseconds = f"{first.models['tiny'].milliseconds:.3g}"
    assert re.search(rf"\| {re.escape(milliseconds)}(?: \{{:[^}}]*\}})? \| 50\.00 <i ", page)
    assert "2 images at a time" in page
    row = next(row for card in run.cards for row in card.rows if row.name == "tiny")
    quantity = read_model_summary(row.listing).quantity("milliseconds-per-image-cpu")
    assert (quantity.value, quantity.better) == (first.models["tiny"].milliseconds, "less")
    assert build(site).remembered == 3

    edit = (site / "zoo.py").read_text()
    (site / "zoo.py").write_text(edit + "\n# another network\n")
    build(site)
    assert "Against time" not in (site / "docs/models/tiny.md").read_text()


@pytest.mark.slow
def test_speeds_of_other_conditions_are_not_mixed_with_new_ones(site):
    path = site / "docs/data/speed.json"
    path.parent.mkdir(parents=True)
    path.write_text(dump_speeds(Speeds(HERE, {"tiny": speed(), "gone": speed()})))
    with pytest.raises(InputError, match="processor Toy processor there"):
        command("--seconds", "0")
    with pytest.raises(InputError, match="cannot be compared"):
        command("--seconds", "0", "--again", "--only", "tiny")
    assert command("--seconds", "0", "--again", "-q")[0] == 0
    assert set(load_speeds(path).models) == {"tiny", "tiny_16", "tiny_24"}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_speeds_of_an_engine_name_it_and_are_not_mixed_with_torch_s(site, engine):
    pytest.importorskip("onnx", reason="exports networks: the extra export")
    pytest.importorskip(engine, reason="the engine: the extra export")
    assert command("--seconds", "0", "--batch", "2", "--engine", engine)[0] == 0
    speeds = load_speeds(site / "docs/data/speed.json")
    assert speeds.conditions.engine == f"{engine} {version(engine)}"
    assert set(speeds.models) == {"tiny", "tiny_16", "tiny_24"}
    with pytest.raises(InputError, match=f"engine {engine} .* there, torch here"):
        command("--seconds", "0", "--batch", "2")
    build(site)
    assert f", {engine} {version(engine)} in float32, 2 images" in (site / "docs/models/tiny.md").read_text()


def test_a_missing_engine_is_reported(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"--engine openvino: .*pip install 'cardproof\[export\]'"):
        current_conditions("cpu", 1, 1, "openvino")
    assert current_conditions("cpu", 1, 1, "auto").engine == "torch"


@pytest.mark.slow
def test_what_cannot_be_timed_is_reported_and_the_others_are_timed(site):
    (site / "templates/models/third.md").write_text(scored(CARD.replace("Name: tiny\n", "Name: nothing\n"), 70))
    status, output = command("--seconds", "0", "--batch", "1", "-q")
    assert status == 1
    assert "not timed: nothing: LookupError: no model nothing" in output
    assert set(load_speeds(site / "docs/data/speed.json").models) == {"tiny", "tiny_16"}
    with pytest.raises(InputError, match="no card defines the model tiny_99"):
        command("--only", "tiny_99")
    with pytest.raises(InputError, match="no GPU is visible"):
        command("--device", "cuda", "--out", "other.json")


def test_a_changed_file_of_speeds_renders_the_pages_again(site):
    build(site)
    assert build(site).remembered == 3
    settings = load_settings(site / "mkdocs.yml")
    from cardproof.commands.speed import network_digests

    digests = {need.model: digest for need, digest in network_digests(settings).items()}
    path = site / "docs/data/speed.json"
    path.parent.mkdir(parents=True)
    path.write_text(dump_speeds(Speeds(HERE, {name: speed(digest) for name, digest in digests.items()})))
    assert build(site).remembered == 0
    page = (site / "docs/models/tiny.md").read_text()
    assert "with 2 threads of Toy processor, torch 2.0 in float32, 16 images at a time" in page
    assert "tiny: 50.00% (unchecked) in 2.5 milliseconds per image" in page


@pytest.mark.slow
def test_a_model_that_the_zoo_calls_otherwise_is_timed_as_the_zoos(site):
    (site / "templates/models/third.md").write_text(scored(CARD.replace("Name: tiny\n", "Name: mine\n"), 70))
    (site / "names.yml").write_text("mine: tiny_16\n")
    (site / "zoo.py").write_text((site / "zoo.py").read_text().replace('startswith("tiny")', 'startswith("tiny_")'))
    config = site / "mkdocs.yml"
    config.write_text(config.read_text() + "    names: names.yml\n")
    status, output = command("--seconds", "0", "--batch", "1", "-q", "--only", "mine")
    assert (status, output) == (0, "")
    assert set(load_speeds(site / "docs/data/speed.json").models) == {"mine"}
