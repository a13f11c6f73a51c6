"""What a recipe can add to plain training: each against its formula, torch's or timm's own, and after a stop."""

from __future__ import annotations

import io
import json
import os
import signal
from functools import partialmethod
from pathlib import Path

import pytest
import torch
from quick_digits import digits, few_digits
from rich.console import Console
from rich.progress import Progress as Bar
from sites import run_main
from timm.loss import BinaryCrossEntropy
from torch import nn
from warm import torchrun

from res2next.commands import main
from res2next.commands import train as train_command
from res2next.commands.train import TrainingDisplay
from res2next.distributed import DeviceNotAvailable, World, convolution_precision
from res2next.recipes import Recipe, RecipeError, changed, load_recipe
from res2next.training import Progress, Trained, TrainingDataError, train
from res2next.training import run as run_module
from res2next.training.augment import Mix
from res2next.training.loop import NotCompiled, compute_binary_loss, seeded_dropout, update
from res2next.training.run import Checkpoint, Run, Score, initial_network
from res2next.training.run_folder import list_checkpoints, load_checkpoint, make_header, run_identity
from res2next.training_log import LogRow, TrainingLog, read_log_header
from res2next.weights import read_state_dict

torch.set_num_threads(1)

QUICK = changed(load_recipe("res2next_tiny_digits"), ("epochs=3", "batch_size=16", "warmup_epochs=0.5"))
HELD_OUT = 100
IMAGES = HELD_OUT + 10 * 16
"""30 updates of 10 an epoch, or of 16 where none is held out."""
PLAIN = changed(QUICK, ("ema_decay=null", "label_smoothing=0"))
ADAMW = changed(PLAIN, ("optimizer=AdamW", "momentum=0", "nesterov=false", "learning_rate=0.002"))
DROP = changed(QUICK, ("drop_path=0.3", "drop_rate=0.2"))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(1)
    return torch.randn(32, 1, 8, 8, generator=source), torch.randint(10, (32,), generator=source)


def trained(recipe: Recipe, folder: Path, **more: object) -> Trained:
    done = train(recipe, few_digits(IMAGES), folder, **more)  # type: ignore[arg-type]
    assert done is not None
    return done


class Listening:
    """Keeps rows and notices; asks to stop after an update, if given."""

    def __init__(self, stop_after: int = -1) -> None:
        self.stop_after = stop_after
        self.rows: list[LogRow] = []
        self.notices: list[str] = []

    def progress(self, progress: Progress) -> None:
        if progress.step == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)

    def epoch(self, row: LogRow, held_out: int) -> None:
        self.rows.append(row)

    def notice(self, text: str) -> None:
        self.notices.append(text)


# --- Updates ---


def test_adamw_is_torchs() -> None:
    run, reference = Run.fresh(ADAMW, 10, World()), Run.fresh(ADAMW, 10, World()).network
    optimizer = torch.optim.AdamW(reference.parameters(), 0.002, weight_decay=ADAMW.weight_decay)
    images, labels = batch()
    images = images.to(memory_format=torch.channels_last)
    for _ in range(3):
        update(run, run.network, [(images, labels)], 0.002)
        nn.functional.cross_entropy(reference(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    for ours, theirs in zip(run.network.parameters(), reference.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("setting", ["momentum=0.9", "nesterov=true"])
def test_adamw_has_no_momentum_of_sgd(setting: str) -> None:
    with pytest.raises(RecipeError, match="belongs to SGD"):
        changed(ADAMW, (setting,))


@pytest.mark.parametrize("limit", [0.05, 1000.0])
def test_gradients_are_scaled_down_to_the_norm_and_never_up(limit: float) -> None:
    settings = (f"clip_norm={limit}", "weight_decay=0", "momentum=0", "nesterov=false")
    run = Run.fresh(changed(PLAIN, settings), 10, World())
    before = [parameter.detach().clone() for parameter in run.network.parameters()]
    images, labels = batch()
    free = Run.fresh(run.recipe, 10, World()).network
    nn.functional.cross_entropy(free(images.to(memory_format=torch.channels_last)), labels).backward()
    norm = float(torch.linalg.vector_norm(torch.stack([value.grad.norm() for value in free.parameters()])))
    update(run, run.network, [(images, labels)], 1.0)  # plain SGD at rate 1: the step is the gradient
    steps = [old - new.detach() for old, new in zip(before, run.network.parameters(), strict=True)]
    moved = float(torch.linalg.vector_norm(torch.stack([step.norm() for step in steps])))
    assert 0.05 < norm < 1000
    assert moved == pytest.approx(min(norm, limit), rel=1e-3)


def test_binary_cross_entropy_is_timms() -> None:
    logits, labels = torch.randn(5, 7), torch.tensor([0, 3, 6, 3, 2])
    expected = BinaryCrossEntropy(smoothing=0.1)(logits, labels)
    assert torch.allclose(compute_binary_loss(logits, labels, Mix(logits, labels, 1.0), 0.1), expected)


def test_a_mixed_image_has_both_of_its_classes_wholly() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    chances = logits.sigmoid()[0]
    both = Mix(logits, torch.tensor([2]), 0.25)
    expected = -(chances[0].log() + (1 - chances[1]).log() + chances[2].log()) / 3
    assert torch.allclose(compute_binary_loss(logits, torch.tensor([0]), both, 0.0), expected)
    same = compute_binary_loss(logits, torch.tensor([2]), both, 0.0)  # both labels of one class
    assert torch.allclose(same, compute_binary_loss(logits, torch.tensor([2]), Mix(logits, both.others, 1.0), 0.0))


@pytest.mark.parametrize(
    "settings",
    [
        ("optimizer=AdamW", "momentum=0", "nesterov=false", "learning_rate=0.005"),
        ("clip_norm=1", "loss=bce", "learning_rate=0.5"),
        ("drop_path=0.1", "drop_rate=0.1", "augmentation.randaugment=1"),
    ],
    ids=lambda settings: settings[-1],
)
def test_every_feature_learns(settings: tuple[str, ...], tmp_path: Path) -> None:
    listening = Listening()
    trained(changed(QUICK, settings), tmp_path, listener=listening)
    assert listening.rows[2].train_loss < 0.95 * listening.rows[0].train_loss


# --- Dropout and stochastic depth ---


def draws(run: Run, part: int) -> list[float]:
    with seeded_dropout(run, part):
        return torch.rand(4).tolist()


def test_what_is_dropped_depends_on_seed_update_and_part_only() -> None:
    run = Run.fresh(DROP, 10, World())
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = draws(run, 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert draws(run, 0) == first != draws(run, 1)
    run.step = 1
    assert draws(run, 0) != first


def test_the_network_has_the_rates_of_the_recipe() -> None:
    modules = [*Run.fresh(DROP, 10, World()).network.modules()]
    assert [module.p for module in modules if isinstance(module, nn.Dropout)] == [0.2]
    rates = [module.p for module in modules if type(module).__name__ == "StochasticDepth"]
    assert rates == pytest.approx([0.06 * number for number in range(1, 6)])  # of six blocks the first is never skipped


def test_a_network_without_blocks_that_can_be_skipped_is_refused() -> None:
    with pytest.raises(RecipeError, match="dla60_res2net has no blocks that can be skipped"):
        initial_network(changed(DROP, ("model=dla60_res2net", "initial_weights=missing.pth")), 10, World())


def test_a_stopped_run_that_drops_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    recipe = changed(DROP, ("augmentation.randaugment=1", "clip_norm=2"))
    whole = trained(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(recipe, tmp_path / "stopped", listener=Listening(stop_after=20))
    torch.manual_seed(7)
    again = trained(recipe, tmp_path / "stopped", resume=True)
    assert again.weights.read_bytes() == whole.weights.read_bytes()


FEW = ("--hold-out", str(1437 - 5 * 32), "--device", "cpu")
"""Five updates an epoch of the recipe."""


@pytest.mark.slow
def test_two_processes_that_drop_go_on_as_if_they_had_not_been_stopped(tmp_path: Path) -> None:
    settings = [word for value in ("epochs=2", "drop_path=0.3", "drop_rate=0.2") for word in ("--set", value)]
    common = ("train", "res2next_tiny_digits", "--output", str(tmp_path), *settings, *FEW, "--json")
    found = []
    for options in ((), ("--resume",)):
        done = torchrun(2, *common, *options)
        assert done.returncode == 0, done.stderr
        weights = Path(json.loads(done.stdout)["weights"])
        found.append(weights.read_bytes())
        weights.unlink()
        list_checkpoints(tmp_path / "checkpoints")[-1].unlink()  # of the end of the second epoch
    assert found[0] == found[1]


# --- The best epoch ---


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Let the second of three epochs be the best; return the weights of each, as they are measured."""
    weights: list[dict[str, torch.Tensor]] = []

    def score(run: Run, batches: object) -> Score:
        weights.append(run.weights())
        return Score({1: 50, 2: 90, 3: 90}[run.step // 10], 0.5)

    monkeypatch.setattr(run_module, "evaluate_held_out", score)
    return weights


BEST = changed(QUICK, ("keep=best",))


def test_the_weights_of_the_best_epoch_are_kept_and_the_log_says_which(
    measured: list[dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    listening = Listening()
    done = trained(BEST, tmp_path, held_out=HELD_OUT, listener=listening)
    kept = read_state_dict(done.weights)
    assert all(torch.equal(kept[name], value) for name, value in measured[1].items())
    assert not torch.equal(kept["fc.weight"], measured[2]["fc.weight"])  # as many right later are no better
    assert read_log_header(done.log).kept_epoch == 2
    assert listening.notices[-1] == "kept the weights of epoch 2: 90 of 100 right"

    with pytest.raises(KeyboardInterrupt):
        trained(BEST, tmp_path / "stopped", held_out=HELD_OUT, listener=Listening(stop_after=20))
    again = trained(BEST, tmp_path / "stopped", held_out=HELD_OUT, resume=True)
    assert again.weights.read_bytes() == done.weights.read_bytes()
    assert read_log_header(again.log) == read_log_header(done.log)


def test_there_is_no_best_epoch_without_images_to_choose_by(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="hold some out"):
        train(BEST, digits("train"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- Several processes, compilers, precision ---


def test_norms_are_joined_between_gpus_and_their_names_stay() -> None:
    recipe = changed(QUICK, ("sync_batch_norm=true",))
    alone = initial_network(recipe, 10, World())
    joined = initial_network(recipe, 10, World(0, 2, torch.device("cuda")))
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in alone.modules())
    norms = [module for module in joined.modules() if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm)]
    assert norms
    assert all(isinstance(module, nn.SyncBatchNorm) for module in norms)
    assert list(joined.state_dict()) == list(alone.state_dict())
    with pytest.raises(DeviceNotAvailable, match="sync_batch_norm needs GPUs: torch cannot do it on cpu"):
        initial_network(recipe, 10, World(0, 2))


def test_a_compiled_network_has_weights_with_the_same_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="eager"))
    recipe = changed(DROP, ("epochs=1", "warmup_epochs=0"))
    plain, compiled = (trained(recipe, tmp_path / str(on), held_out=HELD_OUT, compiled=on) for on in (False, True))
    assert compiled.weights.name == plain.weights.name  # "eager" computes what the network computes
    assert (read_log_header(plain.log).compiled, read_log_header(compiled.log).compiled) == (False, True)


def test_a_network_that_cannot_be_compiled_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: object, inputs: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend=broken))
    with pytest.raises(NotCompiled, match="torch cannot compile the network here: no compiler; train"):
        trained(QUICK, tmp_path, compiled=True)


@pytest.mark.parametrize(
    ("everything", "convolutions", "supported", "found"),
    [
        ("none", "tf32", True, "tf32"),
        ("none", "ieee", True, "float32"),
        ("ieee", "none", True, "float32"),
        ("tf32", "none", True, "tf32"),
        ("none", "tf32", False, "float32"),  # GPUs before 2020
    ],
)
def test_tf32_is_called_so_where_convolutions_use_it(
    everything: str, convolutions: str, supported: bool, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cudnn = torch.backends.cudnn
    before = torch.backends.fp32_precision, cudnn.fp32_precision, cudnn.conv.fp32_precision
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: supported)
    try:
        torch.backends.fp32_precision, cudnn.fp32_precision = everything, "none"
        cudnn.conv.fp32_precision = convolutions
        assert convolution_precision(torch.device("cuda"), mixed=False) == found
        assert convolution_precision(torch.device("cpu"), mixed=False) == "float32"
        assert convolution_precision(torch.device("cpu"), mixed=True) == "bfloat16"
    finally:
        torch.backends.fp32_precision, cudnn.fp32_precision, cudnn.conv.fp32_precision = before


def test_the_precision_is_reported_at_the_start_and_logged(tmp_path: Path) -> None:
    listening = Listening()
    done = trained(changed(PLAIN, ("epochs=1", "warmup_epochs=0")), tmp_path, listener=listening)
    assert "training on cpu in float32" in listening.notices
    header = read_log_header(done.log)
    assert (header.precision, header.kept_epoch) == ("float32", None)


# --- Runs of earlier versions ---


def test_a_checkpoint_of_an_earlier_version_is_of_the_same_run(tmp_path: Path) -> None:
    identity = run_identity(make_header(QUICK, digits("train"), 0, World()))
    augmentation = "{'crop': 'pad-and-crop', 'least_area': 0.08, 'pad': 1, 'flip': False, 'erasing': 0.0}"
    assert identity["recipe.augmentation"] == augmentation
    later = {"loss", "clip_norm", "drop_rate", "drop_path", "keep", "sync_batch_norm"}
    assert not later & {key.removeprefix("recipe.") for key in identity}
    old = {"run": identity, "step": 4, "network": {}, "average": None, "optimizer": {}, "scaler": {}}
    torch.save(old | {"loss": 0.5, "log_bytes": 10}, tmp_path / "step-000000004.pt")
    assert load_checkpoint(tmp_path, identity, print) == Checkpoint(identity, 4, {}, None, {}, {}, 0.5, 10, None)


def test_a_log_of_an_earlier_version_goes_on_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("# {}\nepoch,step,learning_rate,train_loss,images_per_second,held_out_correct,held_out_loss\n")
    TrainingLog(path, None).epoch(LogRow(2, 22, 0.1, 1.5, 40.0, seconds=9.0), 0)
    assert path.read_text().splitlines()[-1] == "2,22,0.1,1.5,40,,"


def test_what_was_added_makes_another_run_if_it_is_used() -> None:
    plain, other = (
        run_identity(make_header(recipe, digits("train"), 0, World()))
        for recipe in (QUICK, changed(DROP, ("augmentation.randaugment=1",)))
    )
    assert {key for key in {*plain, *other} if plain.get(key) != other.get(key)} == {
        "recipe.augmentation",
        "recipe.drop_path",
        "recipe.drop_rate",
    }


# --- The command ---


def test_off_a_terminal_progress_is_at_most_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 0.0, 30.0, 61.0, 61.0, 90.0, 120.0, 122.0, 122.0, 170.0, 182.0))
    monkeypatch.setattr(train_command.time, "monotonic", lambda: next(clock))
    printed = io.StringIO()
    bar = Bar(console=Console(file=printed), disable=True)
    display = TrainingDisplay(bar, bar.add_task("training"))
    for _ in range(6):  # at 0, 30, 61 (printed), 90, 120 and 122 seconds (printed)
        display.progress(Progress(1, 3, 10, 99, 0.1, 2.5, 40.0, 3700.0))
    line = "epoch   1  update 10 of 99  lr 0.1  loss 2.5000  40 images/s  1:01:40 left"
    assert printed.getvalue().splitlines() == [line, line]
    display.epoch(LogRow(1, 33, 0.1, 2.5, 40.0), 0)  # at 170 seconds
    display.progress(Progress(1, 3, 10, 99, 0.1, 2.5, 40.0, 3700.0))
    assert len(printed.getvalue().splitlines()) == 3  # at 182 seconds the line of the epoch is new enough


def test_a_quiet_command_prints_results_only_and_memory_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bool] = []
    monkeypatch.setattr("res2next.inference.keep_memory", lambda: kept.append(True))
    settings = ("--set", "epochs=1", "--set", "warmup_epochs=0", *FEW)
    done = run_main(main, "res2next", "train", "res2next_tiny_digits", "--output", str(tmp_path), *settings, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["weights", "log"]
    assert kept == [True]
