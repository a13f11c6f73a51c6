"""The zoo of transformers: kinds of network, and configurations in a folder; nothing is downloaded or run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sites import ONE_JOB

from cardproof.build import audit
from cardproof.core.errors import InputError
from cardproof.core.measurements import Preprocessing
from cardproof.core.settings import Settings
from cardproof.measure.list_models import list_in_worker
from cardproof.report.terminal import json_of
from cardproof.zoos import load_zoo, preprocessing_of
from cardproof.zoos.source_digests import network_digests

TINY_VIT = {
    "model_type": "vit",
    "architectures": ["ViTForImageClassification"],
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
    "id2label": {str(n): f"class {n}" for n in range(10)},
}
# a layer has attention, two linear layers and two norms; beside them are patches, positions, a class token and the head
LAYER = 4 * (32 * 32 + 32) + (32 * 64 + 64) + (64 * 32 + 32) + 4 * 32
PARAMETERS = 3 * 8 * 8 * 32 + 32 + 17 * 32 + 32 + 2 * LAYER + 2 * 32 + 32 * 10 + 10
TOKENS = 17
MULTIPLY_ADDS = 16 * 3 * 8 * 8 * 32 + 2 * (TOKENS * (4 * 32 * 32 + 2 * 32 * 64) + 2 * TOKENS * TOKENS * 32) + 32 * 10
PROCESSOR = {
    "size": {"height": 32, "width": 32},
    "resample": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "do_normalize": True,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "vit-tiny"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(TINY_VIT))
    (path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return path


def test_a_card_is_judged_by_the_configuration_in_a_folder(folder):
    fields = f"Parameters: {PARAMETERS}, FLOPs: {MULTIPLY_ADDS}, Classes: 10, Image Size: 32, Interpolation: bilinear"
    Path("card.md").write_text(
        f"<!--\nType: model-index\nModels:\n- Name: vit-tiny\n  Metadata: {{{fields}, Mean: [0.5, 0.5, 0.5]}}\n-->\n"
    )
    report = json.loads(json_of(audit([Path("card.md")], Settings(zoo="transformers"), ONE_JOB)))
    assert [(claim["field"], claim["verdict"]) for claim in report["claims"]] == [
        (name, "confirmed") for name in ("Parameters", "FLOPs", "Classes", "Image Size", "Interpolation", "Mean")
    ]


def test_a_kind_of_network_has_its_default_configuration():
    pytest.importorskip("transformers")
    zoo = load_zoo("transformers")
    assert preprocessing_of(zoo, "vit").input_size == (3, 224, 224)
    found = list_in_worker("transformers", ("vit", "res*"), False)
    assert [one.model for one in found.models] == ["resnet", "vit"]


def test_a_folder_is_a_name_although_no_list_has_it(folder):
    found = list_in_worker("transformers", ("vit-tiny", "vit"), False)
    assert [one.model for one in found.models] == ["vit", "vit-tiny"]
    with pytest.raises(InputError, match="matches 'vit-tinny'"):
        list_in_worker("transformers", ("vit-tinny",), False)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (PROCESSOR, Preprocessing((3, 32, 32), 1.0, "bilinear", (0.5,) * 3, (0.5,) * 3)),
        (
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "resample": 3},
            Preprocessing((3, 224, 224), 0.875, "bicubic"),
        ),
        ({"size": 224, "do_center_crop": False, "crop_size": 192}, Preprocessing((3, 224, 224), 1.0)),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.9}, Preprocessing((3, 224, 224), 0.9)),
        ({"size": [32, 48]}, Preprocessing((3, 32, 48), 1.0)),
        ({"size": {"longest_edge": 224}}, None),
        ({}, None),
        ({"size": "large"}, None),
        ({**PROCESSOR, "do_normalize": False}, Preprocessing((3, 32, 32), 1.0, "bilinear")),
    ],
)
def test_preprocessing_is_read_in_the_forms_that_configurations_have(folder, given, wanted):
    (folder / "preprocessor_config.json").write_text(json.dumps(given))
    assert preprocessing_of(load_zoo("transformers"), "vit-tiny") == wanted


def test_the_digest_follows_the_configuration_and_imports_nothing(folder):
    first = network_digests("transformers", ["vit-tiny", "vit"])
    assert first["vit-tiny"] != first["vit"]
    (folder / "config.json").write_text(json.dumps({**TINY_VIT, "hidden_size": 64}))
    assert network_digests("transformers", ["vit-tiny"]) != {"vit-tiny": first["vit-tiny"]}
    code = (
        "import sys; from cardproof.zoos.source_digests import network_digests as n; n('transformers', ['vit-tiny']); "
    )
    done = subprocess.run(
        [sys.executable, "-c", code + "print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[]", "it is not a mapping"),
        ("{", "cannot be read"),
        ('{"model_type": "bert"}', "no image classifier"),
        ("{}", "of kind 'None'"),
        ('{"model_type": "vit", "auto_map": {"AutoConfig": "evil.Evil"}, "patch_size": 0}', "zero"),
    ],
)
def test_a_configuration_that_means_nothing_is_an_error_that_names_it(folder, config, words):
    (folder / "config.json").write_text(config)
    (folder / "evil.py").write_text("raise SystemExit('run')\n")
    with pytest.raises(Exception, match=words):
        load_zoo("transformers").build("vit-tiny")


@pytest.mark.parametrize("name", ["no/such", "no such", "../x", "a/b/c", "", "bert"])
def test_a_name_that_stands_for_nothing_is_a_lookup_error(folder, name):
    with pytest.raises(LookupError):
        load_zoo("transformers").build(name)
