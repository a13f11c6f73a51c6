"""Facts about the published weights, the photo that comes with the package, and the package as a zoo."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import FrozenInstanceError
from hashlib import sha256
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
import timm
import torch
from click.testing import CliRunner
from PIL import Image

import res2next
from res2next import UnknownModel, create_model, list_models
from res2next.commands.lists import models_
from res2next.datasets import find_dataset
from res2next.model import Res2Branch
from res2next.recipes import load_recipe
from res2next.registry import ENTRIES, PAPER_RECIPE, find
from res2next.zoo import NETWORK_SOURCES, block_diagram, zoo

ROOT = Path(res2next.__file__).parent.parent
PUBLISHED = [entry for entry in ENTRIES if entry.weights.url is not None]
BUNDLED = [entry for entry in ENTRIES if entry.weights.url is None]


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_preprocessing_and_classes_are_those_of_timms_configuration(entry) -> None:
    config = timm.get_pretrained_cfg(entry.name)
    ours = entry.preprocessing
    assert (ours.input_size, ours.crop_pct, ours.interpolation) == (
        config.input_size,
        config.crop_pct,
        config.interpolation,
    )
    assert (ours.mean, ours.std) == (config.mean, config.std)
    assert (entry.num_classes, entry.tag) == (config.num_classes, config.tag)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_file_of_weights_has_its_hash_in_its_name(entry) -> None:
    assert re.fullmatch("[0-9a-f]{8}", entry.weights.sha256_prefix)
    assert (
        entry.weights.file.removesuffix(".safetensors").removesuffix(".pth").endswith(f"-{entry.weights.sha256_prefix}")
    )


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_published_weights_have_an_address_and_the_authors_licence(entry) -> None:
    assert entry.weights.url.startswith("https://")
    assert entry.weights.url.endswith("/" + entry.weights.file)
    assert "non-commercial" in entry.weights.licence


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.name)
def test_weights_that_come_with_the_package_have_its_licence(entry) -> None:
    assert entry.weights.licence == "Apache-2.0"
    assert entry.weights.file.endswith(".safetensors")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_classes_are_those_of_the_data_set(entry) -> None:
    info = find_dataset(entry.dataset)
    assert info.name == entry.dataset
    assert info.num_classes == len(info.classes) == entry.num_classes


def test_the_small_networks_take_grey_images_of_their_data_sets_size() -> None:
    assert {entry.name: entry.preprocessing.input_size for entry in BUNDLED} == {
        "res2next_tiny.digits": (1, 8, 8),
        "res2next_small.fashion_mnist": (1, 28, 28),
    }


def test_no_two_models_share_a_file() -> None:
    assert len({entry.weights.file for entry in ENTRIES}) == len(ENTRIES) == 13


def test_the_weights_of_res2next50_are_the_file_of_timms_release() -> None:
    weights = find("res2next50.in1k").weights
    assert weights.file == "res2next50_4s-6ef7e7bf.pth"
    assert weights.sha256_prefix == "6ef7e7bf"
    assert weights.url.startswith("https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-res2net/")


def test_the_recipe_of_the_paper_is_that_of_the_card() -> None:
    assert find("res2next50").recipe == PAPER_RECIPE
    recipe = load_recipe(PAPER_RECIPE)
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.1, 0.9, 1e-4)
    assert (recipe.batch_size, recipe.epochs, recipe.optimizer) == (256, 100, "SGD")


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.name)
def test_weights_that_come_with_the_package_were_trained_by_a_recipe_for_them(entry) -> None:
    recipe = load_recipe(entry.recipe)
    assert (recipe.model, recipe.dataset) == (entry.architecture, entry.dataset)


@pytest.mark.parametrize("name", ["res2net50d", "res2net101d"])
def test_no_recipe_is_stated_for_unpublished_ones(name: str) -> None:
    assert find(name).recipe is None


def test_an_entry_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        find("res2next50").num_classes = 10


def test_the_list_of_models_shows_their_whole_names_in_80_columns(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = CliRunner().invoke(models_, []).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [entry.name for entry in ENTRIES]
    assert lines[1].split() == ["res2next50.in1k", "ImageNet", "224x224", "99", "MB", "non-commercial"]


def test_an_entry_is_found_by_architecture_and_by_tag() -> None:
    assert find("dla60_res2net") is find("dla60_res2net.in1k")


def test_the_zoo_lists_and_builds_classifiers_for_1000_classes() -> None:
    assert zoo.name == "res2next"
    assert zoo.models() == list_models()
    with torch.device("meta"):
        assert zoo.build("res2next50")(torch.empty(1, 3, 64, 64)).shape == (1, 1000)


def test_the_zoo_hands_out_what_the_registry_has() -> None:
    entry = find("res2next50")
    assert zoo.preprocessing("res2next50") is entry.preprocessing
    assert zoo.weights("res2next50") is entry.weights
    assert zoo.recipe("res2next50") == load_recipe(entry.recipe)
    assert zoo.recipe("res2net50d") is None


@pytest.mark.parametrize("method", ["build", "preprocessing", "weights", "recipe"])
def test_every_method_of_the_zoo_that_needs_an_entry_refuses_an_unknown_name(method: str) -> None:
    with pytest.raises(UnknownModel):
        getattr(zoo, method)("resnet50")


def test_the_digest_is_over_the_files_that_decide_the_network() -> None:
    expected = sha256()
    for name in NETWORK_SOURCES:
        source = (ROOT / "res2next" / name).read_bytes().replace(b"\r\n", b"\n")
        expected.update(b"%s %d\n" % (name.encode(), len(source)) + source)
    assert zoo.digest("res2next50") == f"sha256:{expected.hexdigest()}"
    assert set(NETWORK_SOURCES) >= {"model.py", "dla.py", "variants.py", "registry.py"}


@pytest.mark.parametrize("changed", NETWORK_SOURCES)
def test_a_change_in_any_of_these_files_changes_the_digest(changed: str, tmp_path: Path) -> None:
    before = digest_of_a_copy(tmp_path / "a", lambda path: None)
    after = digest_of_a_copy(tmp_path / "b", lambda path: append_to(path / changed))
    assert before == zoo.digest("res2next50")
    assert after != before


def test_line_ends_of_a_checkout_do_not_change_the_digest(tmp_path: Path) -> None:
    def with_crlf(package: Path) -> None:
        for name in NETWORK_SOURCES:
            source = (package / name).read_bytes()
            (package / name).write_bytes(source.replace(b"\n", b"\r\n"))

    assert digest_of_a_copy(tmp_path, with_crlf) == zoo.digest("res2next50")


def append_to(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"# one more line\n")


def digest_of_a_copy(folder: Path, change) -> str:
    package = folder / "res2next"
    shutil.copytree(ROOT / "res2next", package, ignore=shutil.ignore_patterns("__pycache__", "pretrained"))
    change(package)
    return run("from res2next.zoo import zoo; print(zoo.digest('res2next50'))", folder)


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_everything_but_building_works_without_torch() -> None:
    code = """
import sys
import res2next, res2next.registry, res2next.zoo
from res2next.zoo import zoo
for name in zoo.models():
    zoo.preprocessing(name), zoo.weights(name), zoo.recipe(name), zoo.digest(name)
assert 'create_model' in dir(res2next)
assert 'torch' not in sys.modules
res2next.create_model
assert 'torch' in sys.modules
"""
    run(code, ROOT)


def test_the_package_imports_nothing_of_cardproof() -> None:
    for source in (ROOT / "res2next").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) (cardproof|tools)", source.read_text(), re.MULTILINE)


def test_the_package_exports_each_public_name_once() -> None:
    assert sorted(set(res2next.__all__)) == list(res2next.__all__)
    assert set(res2next.LAZY) <= set(res2next.__all__)
    assert all(getattr(res2next, name) for name in res2next.__all__)
    assert set(res2next.__all__) <= set(dir(res2next))
    with pytest.raises(AttributeError, match="no attribute 'res2net'"):
        res2next.res2net  # noqa: B018 - the access is what is tested


def test_no_module_has_the_name_of_something_else_in_its_package() -> None:
    for folder in [ROOT / "res2next", *(path.parent for path in (ROOT / "res2next").glob("*/__init__.py"))]:
        package = import_module(".".join(folder.relative_to(ROOT).parts))
        modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
        names = {name for name in dir(package) if not isinstance(getattr(package, name), ModuleType)}
        assert not modules & names - {"__init__"}


# --- The photo ---


def test_the_photo_is_a_small_picture_in_colour() -> None:
    with Image.open(res2next.example_photo()) as photo:
        photo.load()
        assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (256, 170))
    assert res2next.example_photo().stat().st_size < 20_000


def test_its_licence_stands_beside_it() -> None:
    photo = res2next.example_photo()
    text = photo.with_name("README.md").read_text(encoding="utf-8")
    assert f"`{photo.name}`" in text
    assert "CC0" in text


# --- Diagrams of blocks: their numbers are those of the networks, and reading them imports no torch ---


@pytest.mark.parametrize("name", list_models())
def test_a_diagram_has_the_numbers_of_the_network(name):
    with torch.device("meta"):
        network = create_model(name)
    blocks = [module for module in network.modules() if isinstance(module, Res2Branch)]
    first, other = next(pair for pair in pairwise(blocks) if pair[0].first and not pair[1].first)
    for panel, block in zip(block_diagram(name)["panels"], (first, other), strict=True):
        assert [box["text"] for box in panel["boxes"][:3]] == [
            f"{block.conv1.in_channels} channels",
            f"1×1: {block.scale} × {block.width} channels",
            f"1×1: {block.conv3.out_channels} channels",
        ]
        texts = [box["text"] for box in panel["boxes"]]
        assert texts.count("3×3") == len(block.convs)
        assert texts.count("+") == (0 if block.first else len(block.convs) - 1)
        assert ("pool" in texts) == block.first
    groups = first.convs[0].groups
    assert (f"in {groups} groups" in block_diagram(name)["caption"]) == (groups > 1)


def test_a_diagram_needs_no_torch():
    code = "import sys; from res2next.zoo import zoo; zoo.diagram('res2next50'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
