"""Fine-tuning: from trained weights to the classes of one's own folder, and files of weights that say what they are."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from res2next import UnreadableWeights, classify, create_model
from res2next.commands import main
from res2next.datasets import CorruptImage, open_dataset
from res2next.distributed import World
from res2next.recipes import RecipeError, changed, load_recipe
from res2next.registry import find
from res2next.training import TrainingDataError, train
from res2next.training.loop import update
from res2next.training.run import Run, initial_network, make_optimizer
from res2next.training_log import read_log_header
from res2next.weights import file_digest, read_state_dict
from res2next.weights.find import BUNDLED
from res2next.weights.read import METADATA_KEY, Metadata, as_header, count_outputs, read_metadata

torch.set_num_threads(1)

TINY = find("res2next_tiny")
NAMES = ("eight", "one", "zero")
RECIPE = changed(
    load_recipe("finetune"),
    ["model=res2next_tiny", "epochs=2", "batch_size=8", "augmentation={crop: none}"],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return folders train and test with 16 and 5 images of each of three classes, 8x8 pixels."""
    root = tmp_path_factory.mktemp("own") / "My digits"
    for split, number in (("train", 16), ("test", 5)):
        data = open_dataset("Digits", split="train" if split == "train" else "test")
        for name, label in zip(NAMES, (8, 1, 0), strict=True):
            (root / split / name).mkdir(parents=True)
            places = [place for place in range(len(data)) if data.labels[place] == label]
            for place in places[:number]:
                data.image(place).save(root / split / name / f"{place}.png")
    return root


@pytest.fixture(scope="module")
def weights(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the weights of a short run on the folder."""
    images = open_dataset(f"folder:{folder}", split="train")
    trained = train(RECIPE, images, tmp_path_factory.mktemp("run"))
    assert trained is not None
    return trained.weights


def pretrained() -> dict[str, torch.Tensor]:
    return create_model("res2next_tiny", pretrained=True).state_dict()


# --- Initial weights ---


@pytest.mark.parametrize("classes", [3, 10])
def test_the_head_is_fresh_and_everything_else_is_trained(classes: int) -> None:
    torch.manual_seed(0)
    state, published = initial_network(RECIPE, classes, World()).state_dict(), pretrained()
    assert state["fc.weight"].shape[0] == classes
    assert all(torch.equal(state[name], value) for name, value in published.items() if not name.startswith("fc."))
    if classes == 10:  # as many as the published head has
        assert not torch.equal(state["fc.weight"], published["fc.weight"])


def test_training_starts_from_a_file_for_any_number_of_classes(weights: Path) -> None:
    recipe = changed(RECIPE, [f"initial_weights={json.dumps(str(weights))}"])
    state = initial_network(recipe, 5, World()).state_dict()
    assert state["fc.weight"].shape[0] == 5
    assert torch.equal(state["conv1.weight"], read_state_dict(weights)["conv1.weight"])


def test_without_initial_weights_a_slower_trunk_is_refused() -> None:
    with pytest.raises(RecipeError, match="a trunk that learns more slowly needs initial_weights"):
        changed(load_recipe("res2next_tiny_digits"), ["trunk_rate=0.1"])


# --- Rates ---


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    return torch.randn(8, 1, 8, 8, generator=source), torch.arange(8) % 3


def test_the_trunk_learns_at_its_share_of_the_rate() -> None:
    recipe = changed(RECIPE, ["trunk_rate=0.25", "weight_decay=0", "momentum=0", "nesterov=false"])
    run = Run.fresh(recipe, 3, World())
    before = {name: value.clone() for name, value in run.network.named_parameters()}
    update(run, run.network, [batch()], 0.5)
    assert [(group["factor"], group["lr"]) for group in run.optimizer.param_groups] == [(0.25, 0.125), (1.0, 0.5)]
    single = Run.fresh(changed(recipe, ["trunk_rate=1"]), 3, World())
    update(single, single.network, [batch()], 0.5)
    whole, parts = dict(single.network.named_parameters()), dict(run.network.named_parameters())
    for name, start in before.items():
        share = 1.0 if name.startswith("fc.") else 0.25
        assert torch.allclose(parts[name] - start, share * (whole[name] - start), atol=1e-6), name


def test_a_frozen_trunk_keeps_its_weights_and_statistics() -> None:
    run = Run.fresh(changed(RECIPE, ["trunk_rate=0"]), 3, World())
    head = run.network.fc.weight.clone()
    assert sum(len(group["params"]) for group in make_optimizer(run.network, run.recipe).param_groups) == 2
    for _ in range(2):
        update(run, run.network, [batch()], 0.5)
    published = pretrained()
    state = run.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in published.items() if not name.startswith("fc."))
    assert not torch.equal(run.network.fc.weight, head)


# --- What the weights say ---


def test_the_weights_say_their_model_classes_and_preprocessing(weights: Path, folder: Path) -> None:
    assert read_metadata(weights) == Metadata("res2next_tiny", NAMES, TINY.preprocessing)
    assert weights.name.startswith("res2next_tiny-my_digits-")
    assert count_outputs(weights) == 3
    header = read_log_header(weights.with_suffix(".csv"))
    assert header.dataset == "folder:My digits"
    assert header.initial_digest == file_digest(BUNDLED / TINY.weights.file)


def test_the_same_run_gives_the_same_bytes(weights: Path, folder: Path, tmp_path: Path) -> None:
    again = train(RECIPE, open_dataset(f"folder:{folder}", split="train"), tmp_path)
    assert again is not None
    assert again.weights.name == weights.name


def test_weights_for_the_registrys_own_data_set_say_nothing() -> None:
    assert read_metadata(BUNDLED / TINY.weights.file) is None
    assert count_outputs(BUNDLED / TINY.weights.file) == 10


def stated(**changes: object) -> str:
    values = asdict(Metadata("res2next_tiny", ("a", "b"), TINY.preprocessing))
    for name, value in changes.items():
        (values if name in values else values["preprocessing"])[name] = value
    return json.dumps(values)


@pytest.mark.attack(
    "weights",
    "a file states a model, classes or sizes of images that steer a terminal or fill the memory",
    "refused before a network is built",
)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        "x" * (2**22 + 1),
        stated(model="res2next_huge"),
        stated(model=["res2next_tiny"]),
        stated(classes=[]),
        stated(classes="ab"),
        stated(classes=["a", "a"]),
        stated(classes=["a", 1]),
        stated(classes=["a", "\x1b[2J"]),
        stated(classes=["a", "b" * 256]),
        stated(input_size=[3, 1_000_000, 8]),
        stated(input_size=[2, 8, 8]),
        stated(input_size=[1, 8.0, 8]),
        stated(mean=[float("nan")]),
        stated(std=[0]),
        stated(std=[1, 1]),
        stated(crop_pct=float("nan")),
        stated(crop_pct=0),
        stated(interpolation="magic"),
        stated(preprocessing=None),
    ],
)
def test_what_a_file_says_is_checked(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file({"fc.weight": torch.zeros(2, 4)}, path, {METADATA_KEY: text})
    with pytest.raises(UnreadableWeights, match="states its network in a way that cannot be read"):
        read_metadata(path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    metadata = Metadata("res2next50", ("Käse", "x" * 255), find("res2next50").preprocessing)
    save_file({"fc.weight": torch.zeros(2, 4)}, tmp_path / "mine.safetensors", as_header(metadata))
    assert read_metadata(tmp_path / "mine.safetensors") == metadata


# --- Classify and evaluate with it ---


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_classify_needs_nothing_but_the_weights(
    weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = next((folder / "test" / "one").iterdir())
    status, out, err = run(capsys, "classify", "--weights", weights, photo, "--json")
    assert (status, err) == (0, "")
    ((best, *others),) = [row["predictions"] for row in json.loads(out)]
    assert {best["name"], *(one["name"] for one in others)} == {*NAMES}
    assert classify(photo, weights)[0].name == best["name"]


def test_another_model_than_the_weights_say_is_refused(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "classify", "--weights", weights, "x.png", "--model", "res2next_small")
    assert status == 2
    assert "is for res2next_tiny, not for res2next_small.fashion_mnist; leave the model out" in err


def test_an_evaluation_knows_the_classes_of_the_weights(
    weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / "zero").symlink_to(folder / "test" / "zero")  # the first folder, and the third class
    common = ("evaluate", "res2next_tiny", "--weights", weights, "--device", "cpu", "--json")
    status, out, _ = run(capsys, *common, "--data", f"folder:{part}")
    assert status == 0
    assert [(one["name"], one["images"]) for one in json.loads(out)["per_class"]] == [
        ("eight", 0),
        ("one", 0),
        ("zero", 5),
    ]
    (part / "two").symlink_to(folder / "test" / "one")
    status, _, err = run(capsys, *common, "--data", f"folder:{part}")
    assert status == 2
    assert "folders that are not classes of" in err
    status, _, err = run(capsys, *common)
    assert status == 2
    assert "know other classes than those of Digits" in err


# --- The command ---


def test_one_command_fine_tunes_and_measures_the_test_images(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("--set", "epochs=2", "--set", "batch_size=16", "--workers", "0", "--device", "cpu")
    common = ("train", "finetune", "--model", "res2next_tiny", *settings)
    status, out, err = run(capsys, *common, "--data", f"folder:{folder}", "--output", tmp_path / "run", "--json")
    assert status == 0, err
    summary = json.loads(out)
    assert summary["test"]["images"] == 15
    assert summary["test"]["published"] is False
    assert read_metadata(Path(summary["weights"])) is not None

    train_only = ("--data", f"folder:{folder / 'train'}", "--output", tmp_path / "all")
    status, out, err = run(capsys, *common, *train_only, "--quiet")
    assert status == 0
    assert "test " not in out
    assert err.startswith("nothing was tested, as the images have no folder test or val: --hold-out N measures on N")


def test_the_recipe_asks_for_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "train", "finetune", "--device", "cpu")
    assert status == 2
    assert "the recipe finetune is for images of your own: give --data folder:PATH" in err


def test_one_class_is_nothing_to_learn(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "zero").symlink_to(folder / "train" / "zero")
    with pytest.raises(TrainingDataError, match="has one class"):
        train(RECIPE, open_dataset(f"folder:{tmp_path / 'one'}", split="train"), tmp_path / "run")


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_decoded_is_named_in_one_line(folder: Path, tmp_path: Path, workers: int) -> None:
    shutil.copytree(folder / "train", tmp_path / "own")
    bad = tmp_path / "own" / "one" / "bad.png"
    bad.write_bytes(b"no image")
    recipe = changed(RECIPE, ["augmentation={crop: random-resized}", "batch_size=49"])
    with pytest.raises(CorruptImage) as caught:
        train(recipe, open_dataset(f"folder:{tmp_path / 'own'}", split="train"), tmp_path / "run", workers=workers)
    assert str(caught.value) == f"{bad} cannot be decoded: it is no image. Repair it, or take it out of the folder"
