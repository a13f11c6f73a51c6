"""Recipes: that of the paper, what is refused, and learning rates, against values worked out by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, fields, replace
from pathlib import Path

import pytest

from res2next.recipes import (
    Augmentation,
    Recipe,
    RecipeError,
    Schedule,
    UnknownRecipe,
    changed,
    learning_rate,
    list_recipes,
    load_recipe,
    make_recipe,
)
from res2next.registry import ENTRIES, PAPER_RECIPE
from res2next.training_log import LogError, LogHeader, logged_recipe, read_log_header, read_log_rows, start_log

TEXT = """\
source: a test
model: res2next_tiny
dataset: Digits
epochs: 3
batch_size: 64
learning_rate: 0.1
schedule: {kind: cosine}
augmentation: {crop: none}
"""
BUNDLED = [entry for entry in ENTRIES if entry.weights.url is None]


def load(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return load_recipe(path)


def trouble(tmp_path: Path, text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text)
    assert "mine.yaml" in str(caught.value)
    return str(caught.value)


# --- Those that come with the package ---


def test_the_recipe_of_the_card_is_that_of_the_papers_section_4_1() -> None:
    recipe = load_recipe(PAPER_RECIPE)
    assert (recipe.model, recipe.dataset, recipe.epochs, recipe.batch_size) == ("res2next50", "ImageNet", 100, 256)
    assert (recipe.optimizer, recipe.learning_rate, recipe.momentum) == ("SGD", 0.1, 0.9)
    assert (recipe.weight_decay, recipe.decay_norm_and_bias, recipe.nesterov) == (1e-4, True, False)
    assert (recipe.schedule.kind, recipe.schedule.every, recipe.schedule.gamma) == ("step", 30, 0.1)
    assert (recipe.warmup_epochs, recipe.label_smoothing, recipe.mixup, recipe.cutmix) == (0, 0, 0, 0)
    assert (recipe.augmentation.crop, recipe.augmentation.flip) == ("random-resized", True)
    assert (recipe.ema_decay, recipe.mixed_precision, recipe.zero_init_last) == (None, False, False)
    assert recipe.hardware == "4x Titan Xp GPUs"
    assert "1904.01169" in recipe.source


def test_its_techniques_are_named_as_the_card_names_them() -> None:
    techniques = load_recipe(PAPER_RECIPE).techniques
    assert {"SGD with Momentum", "Weight Decay"} <= set(techniques)
    assert {"Step Decay", "Random Resized Crop", "Random Horizontal Flip"} == set(techniques[2:])


def test_every_technique_shows_when_it_is_used() -> None:
    settings = ("mixup=0.2", "cutmix=1", "label_smoothing=0.1", "ema_decay=0.99", "nesterov=true", "warmup_epochs=1")
    more = ("mixed_precision=true", "zero_init_last=true", "augmentation.erasing=0.25", "schedule={kind: cosine}")
    assert set(changed(load_recipe(PAPER_RECIPE), (*settings, *more)).techniques) == {
        "SGD with Momentum",
        "Nesterov Accelerated Gradient",
        "Weight Decay",
        "Cosine Annealing",
        "Linear Warmup",
        "Label Smoothing",
        "Mixup",
        "CutMix",
        "Random Resized Crop",
        "Random Horizontal Flip",
        "Random Erasing",
        "Exponential Moving Average",
        "Mixed Precision",
        "Zero-Initialised Residual",
    }


def test_later_techniques_show_too() -> None:
    settings = ("optimizer=AdamW", "momentum=0", "clip_norm=1", "loss=bce", "augmentation.randaugment=2")
    more = ("drop_rate=0.1", "drop_path=0.1", "sync_batch_norm=true", "keep=best")
    before, after = (changed(load_recipe(PAPER_RECIPE), chosen).techniques for chosen in ((), (*settings, *more)))
    assert {*before} - {*after} == {"SGD with Momentum"}
    assert {*after} - {*before} == {
        "AdamW",
        "Gradient Clipping",
        "Binary Cross-Entropy",
        "RandAugment",
        "Dropout",
        "Stochastic Depth",
        "SyncBN",
    }


def test_every_key_is_documented() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "train.md").read_text()
    keys = {entry.name for cls in (Recipe, Schedule, Augmentation) for entry in fields(cls)} - {"name", "augmentation"}
    assert [key for key in sorted(keys) if not re.search(rf"`[a-z_]*\.?{key}\b", guide)] == []


def test_every_recipe_that_the_registry_names_is_there_and_every_one_is_used_but_that_for_ones_own_images() -> None:
    named = {entry.recipe for entry in ENTRIES if entry.recipe is not None}
    assert named | {"finetune"} == set(list_recipes())
    for name in named:
        assert load_recipe(name).name == name


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.name)
def test_the_log_beside_our_own_weights_says_that_they_were_trained_by_their_recipe(entry) -> None:
    assert logged_recipe(entry) == load_recipe(entry.recipe)


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.name)
def test_our_own_weights_are_those_of_a_whole_run_on_the_training_images(entry) -> None:
    path = Path(sys.modules["res2next"].__file__).parent / "pretrained" / entry.weights.file
    header, rows = read_log_header(path.with_suffix(".csv")), read_log_rows(path.with_suffix(".csv"))
    recipe = header.recipe
    assert header.images + header.held_out == {"Digits": 1_437, "FashionMNIST": 60_000}[header.dataset]
    assert len(rows) == recipe.epochs
    assert int(rows[-1]["step"]) == recipe.epochs * (header.images // recipe.batch_size)


def test_weights_that_others_trained_have_no_log() -> None:
    assert logged_recipe(ENTRIES[0]) is None


def test_recipes_are_read_without_torch() -> None:
    code = (
        "import sys; from res2next.recipes import *; load_recipe(list_recipes()[0]); assert 'torch' not in sys.modules"
    )
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


# --- A file of one's own ---


def test_a_short_recipe_is_plain_sgd_with_everything_else_off(tmp_path: Path) -> None:
    recipe = load(tmp_path, TEXT)
    assert recipe.name == "mine"
    assert recipe.techniques == ("SGD", "Cosine Annealing")
    assert (recipe.decay_norm_and_bias, recipe.accumulate, recipe.seed, recipe.hardware) == (True, 1, 0, None)


@pytest.mark.parametrize("number", ["1e-4", "1E-4", "0.0001", "1.0e-4", "'1e-4'"])
def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path: Path, number: str) -> None:
    assert load(tmp_path, f"{TEXT}weight_decay: {number}\n").weight_decay == 1e-4


def test_a_whole_number_will_do_for_a_number(tmp_path: Path) -> None:
    assert load(tmp_path, TEXT.replace("learning_rate: 0.1", "learning_rate: 1")).learning_rate == 1.0


def test_a_recipe_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(FrozenInstanceError):
        load(tmp_path, TEXT).epochs = 5


@pytest.mark.parametrize(
    ("old", "new", "key", "allowed"),
    [
        ("epochs: 3", "epochs: 3.5", "epochs", "a whole number"),
        ("epochs: 3", "epochs: true", "epochs", "a whole number"),
        ("epochs: 3", "epochs: 0", "epochs", "at least 1"),
        ("epochs: 3", "epochs:", "epochs", "a whole number"),
        ("learning_rate: 0.1", "learning_rate: fast", "learning_rate", "a number"),
        ("learning_rate: 0.1", "learning_rate: .nan", "learning_rate", "a number"),
        ("learning_rate: 0.1", "learning_rate: .inf", "learning_rate", "a number"),
        ("learning_rate: 0.1", "learning_rate: 0", "learning_rate", "above 0"),
        ("epochs: 3", "epochs: 3\nmomentum: 1", "momentum", "at least 0 and below 1"),
        ("epochs: 3", "epochs: 3\nnesterov: 1", "nesterov", "true or false"),
        ("epochs: 3", "epochs: 3\noptimizer: Adam", "optimizer", "SGD"),
        ("kind: cosine", "kind: linear", "schedule.kind", "step, cosine"),
        ("kind: cosine", "kind: step, milestones: 30", "schedule.milestones", "a list"),
        ("kind: cosine", "kind: step, milestones: [a]", "schedule.milestones", "a whole number"),
        ("{kind: cosine}", "cosine", "schedule", "keys of its own"),
        ("model: res2next_tiny", "model: 50", "model", "text"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(
    tmp_path: Path, old: str, new: str, key: str, allowed: str
) -> None:
    message = trouble(tmp_path, TEXT.replace(old, new))
    assert f": {key}: " in message
    assert allowed in message


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("momentun: 0.9", "momentun: unknown key; did you mean momentum?"),
        ("zzz: 1", "zzz: unknown key; allowed are name, model"),
        ("nesterov: true", "nesterov: needs a momentum above 0"),
        ("clip_norm: 0", "clip_norm: 0 is not allowed; it must be above 0"),
        ("drop_path: 1", "drop_path: 1 is not allowed; it must be at least 0 and below 1"),
        ("warmup_epochs: 3", "warmup_epochs: must be below the 3 epochs"),
        ("accumulate: 7", "accumulate: must divide batch_size, which is 64"),
        ("epochs: 4", "'epochs' is doubled"),
        ("seed: 9223372036854775808", "seed: 9223372036854775808 is not allowed; it must be at least 0 and below"),
        ("initial_weights: pretrained\nzero_init_last: true", "zero_init_last: belongs to fresh weights"),
        ("seed: &a 1", "anchors and aliases are not allowed"),
        ("<<: {seed: 1}", "doubled or not allowed"),
        ("seed: !!python/object/apply:os.getcwd []", "not a recipe in YAML"),
        ("- 1", "not a recipe in YAML"),
    ],
)
def test_a_line_that_does_not_belong_is_refused(tmp_path: Path, added: str, message: str) -> None:
    assert message in trouble(tmp_path, f"{TEXT}{added}\n")


@pytest.mark.parametrize("key", ["model", "epochs", "learning_rate", "source", "augmentation"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    text = "".join(line for line in TEXT.splitlines(keepends=True) if not line.startswith(key))
    assert f": {key}: missing" in trouble(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{kind: cosine}", "{kind: step}", "either `every` or `milestones`"),
        ("{kind: cosine}", "{kind: step, every: 3, milestones: [2]}", "either `every` or `milestones`"),
        ("{kind: cosine}", "{kind: cosine, every: 3}", "no `every`"),
        ("{kind: cosine}", "{kind: cosine, gamma: 0.5}", "schedule.gamma: belongs to a step schedule"),
        ("{crop: none}", "{crop: none, pad: 2}", "augmentation.pad"),
        ("{crop: none}", "{crop: none, magnitude: 5}", "augmentation.magnitude: belongs to randaugment"),
        ("{crop: none}", "{crop: pad-and-crop}", "augmentation.pad"),
        ("{crop: none}", "{flip: true}", "augmentation.crop: missing"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in trouble(tmp_path, TEXT.replace(old, new))


@pytest.mark.parametrize("text", ["", "just text", "[1, 2]", "a: [", "x: " + "[" * 5000, "\0"])
def test_what_is_no_recipe_at_all_is_one_error(tmp_path: Path, text: str) -> None:
    trouble(tmp_path, text)


def test_a_large_file_is_not_parsed(tmp_path: Path) -> None:
    assert "at most 65536" in trouble(tmp_path, TEXT + "#" * 70_000)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: \xff")
    with pytest.raises(RecipeError, match="not UTF-8"):
        load_recipe(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yaml: cannot be read"):
        load_recipe(tmp_path / "none.yaml")


def test_an_unknown_name_lists_those_that_there_are() -> None:
    with pytest.raises(UnknownRecipe, match="res2next50_imagenet"):
        load_recipe("resnet50")


# --- Changed on the command line ---


def test_settings_change_a_recipe_and_nothing_else() -> None:
    recipe = load_recipe(PAPER_RECIPE)
    other = changed(recipe, ("epochs=5", "weight_decay=1e-3", "augmentation.flip=false"))
    assert other == replace(recipe, epochs=5, weight_decay=1e-3, augmentation=replace(recipe.augmentation, flip=False))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "form key=value"),
        ("epochs=many", "whole number"),
        ("speed=9", "unknown key"),
        ("schedule.speed=9", "schedule.speed: unknown key"),
        ("epochs=[", "not a recipe in YAML"),
    ],
)
def test_a_setting_is_held_to_the_same_rules(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        changed(load_recipe(PAPER_RECIPE), (setting,))


# --- In a log ---


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_comes_out_of_a_log_as_it_went_in(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    header = LogHeader(recipe, "Digits", "sha256:00", 1437, 0, "cpu", 1, {"torch": "2"})
    start_log(tmp_path / "log.csv", header)
    assert read_log_header(tmp_path / "log.csv") == header
    assert read_log_rows(tmp_path / "log.csv") == []


@pytest.mark.parametrize("text", ["", "epoch,step\n1,2\n", "# {}\n", '# {"recipe": 3}\n', "# [\n"])
def test_what_is_not_a_log_is_reported(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(LogError, match=r"log\.csv is not a log of a training run"):
        read_log_header(path)


def test_a_log_without_its_file_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(LogError):
        read_log_header(tmp_path / "none.csv")


def test_a_log_of_a_recipe_that_cannot_be_is_refused() -> None:
    values = {**asdict(load_recipe(PAPER_RECIPE)), "epochs": -1}
    with pytest.raises(RecipeError):
        make_recipe(values, "log.csv")


# --- Learning rates ---


PAPER = load_recipe("res2next50_imagenet")
STEPS = 10  # updates an epoch


def recipe(*settings: str) -> Recipe:
    return changed(PAPER, settings)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 0.1), (29, 0.1), (30, 0.01), (59, 0.01), (60, 0.001), (89, 0.001), (90, 1e-4), (99, 1e-4)]
)
def test_the_papers_rate_is_divided_by_ten_every_thirty_epochs(epoch: int, rate: float) -> None:
    assert learning_rate(PAPER, epoch * STEPS, STEPS) == pytest.approx(rate)
    assert learning_rate(PAPER, epoch * STEPS + STEPS - 1, STEPS) == pytest.approx(rate)


def test_milestones_lower_the_rate_when_their_epoch_begins_in_whatever_order_they_are_written() -> None:
    steps = recipe("schedule={kind: step, gamma: 0.5, milestones: [8, 2]}")
    assert [learning_rate(steps, epoch * STEPS, STEPS) for epoch in (0, 1, 2, 7, 8, 9)] == pytest.approx(
        [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    )


def test_a_cosine_is_at_half_in_the_middle_and_near_zero_with_the_last_update() -> None:
    cosine = recipe("schedule={kind: cosine}", "epochs=4", "learning_rate=0.8")
    # (1 + cos(pi t)) / 2 at t = 0, 1/4, 1/2, 3/4
    assert [learning_rate(cosine, step, STEPS) for step in (0, 10, 20, 30)] == pytest.approx(
        [0.8, 0.8 * 0.8535533906, 0.4, 0.8 * 0.1464466094]
    )
    assert 0 < learning_rate(cosine, 39, STEPS) < 0.0015


def test_warm_up_climbs_update_by_update_and_its_last_one_has_the_whole_rate() -> None:
    warm = recipe("schedule={kind: cosine}", "epochs=3", "warmup_epochs=0.5", "learning_rate=1")
    assert [learning_rate(warm, step, STEPS) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_cosine_begins_where_warm_up_ends() -> None:
    warm = recipe("schedule={kind: cosine}", "epochs=3", "warmup_epochs=1", "learning_rate=1")
    assert learning_rate(warm, 10, STEPS) == 1
    assert learning_rate(warm, 20, STEPS) == pytest.approx(0.5)


def test_epochs_of_warm_up_count_towards_the_milestones() -> None:
    warm = recipe("warmup_epochs=5")
    assert learning_rate(warm, 29 * STEPS, STEPS) == pytest.approx(0.1)
    assert learning_rate(warm, 30 * STEPS, STEPS) == pytest.approx(0.01)
