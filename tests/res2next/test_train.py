"""Training: each piece against its formula, and a whole run."""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from quick_digits import digits, few_digits, share_of_statistics
from sites import Done, run_main
from torch import nn
from warm import start, torchrun

from res2next import create_model
from res2next.commands import main
from res2next.datasets import open_dataset
from res2next.distributed import ProcessesNotConnected, World, join_processes
from res2next.evaluation import evaluate
from res2next.evaluation.metrics import wilson_interval
from res2next.recipes import Recipe, changed, load_recipe
from res2next.registry import find
from res2next.training import CheckpointError, FolderInUse, Progress, TrainingDataError, train
from res2next.training.augment import Mix
from res2next.training.batches import MemoryBatches, Part, PhotoBatches
from res2next.training.loop import compute_loss, update, update_average
from res2next.training.run import Run, make_optimizer
from res2next.training_log import LogRow, read_log_header, read_log_rows
from res2next.weights import load_weights

torch.set_num_threads(1)

ROOT = Path(__file__).parents[2]
TINY = find("res2next_tiny").preprocessing
QUICK = changed(load_recipe("res2next_tiny_digits"), ("epochs=2", "batch_size=64"))
"""44 updates of all training images."""
SHORT = changed(QUICK, ("batch_size=32", "warmup_epochs=0"))
"""20 updates of 320 images."""
PLAIN = changed(QUICK, ("augmentation={crop: none}", "ema_decay=null", "label_smoothing=0"))


class Recorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[Progress] = []
        self.rows: list[LogRow] = []
        self.notices: list[str] = []

    def progress(self, progress: Progress) -> None:
        self.steps.append(progress)

    def epoch(self, row: LogRow, held_out: int) -> None:
        self.rows.append(row)

    def notice(self, text: str) -> None:
        self.notices.append(text)


class Toy(nn.Module):
    """Learns without batch norm, so that a batch is the mean of its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4 * 36, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(self.conv(x).flatten(1))
        return logits


def toy_run(recipe: Recipe) -> Run:
    run = Run.fresh(recipe, 10, World())
    with torch.random.fork_rng():
        torch.manual_seed(5)
        run.network = Toy()
    run.optimizer = make_optimizer(run.network, recipe)
    return run


def batch(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(1)
    return torch.randn(count, 1, 8, 8, generator=source), torch.randint(10, (count,), generator=source)


# --- An update ---


def test_an_update_is_that_of_torchs_sgd_on_the_mean_loss() -> None:
    run, reference = toy_run(PLAIN), toy_run(PLAIN).network
    images, labels = batch()
    optimizer = torch.optim.SGD(
        reference.parameters(), lr=0.02, momentum=0.9, nesterov=True, weight_decay=PLAIN.weight_decay
    )
    for _ in range(3):
        loss = nn.functional.cross_entropy(reference(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert float(update(run, run.network, [(images, labels)], 0.02)) == pytest.approx(float(loss.detach()))
    for ours, theirs in zip(run.network.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-7)
    assert run.step == 3


def test_four_parts_of_a_batch_give_the_update_of_the_whole() -> None:
    images, labels = batch()
    whole, parts = toy_run(PLAIN), toy_run(PLAIN)
    for _ in range(3):
        one = update(whole, whole.network, [(images, labels)], 0.1)
        four = update(parts, parts.network, list(zip(images.split(16), labels.split(16), strict=True)), 0.1)
        assert float(four) == pytest.approx(float(one), rel=1e-5)
    for first, second in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        assert torch.allclose(first, second, atol=1e-6)


def test_weight_decay_holds_for_all_parameters_unless_the_recipe_says_otherwise() -> None:
    network = create_model("res2next_tiny")
    (group,) = make_optimizer(network, QUICK).param_groups
    assert len(group["params"]) == len(list(network.parameters()))
    assert group["weight_decay"] == 5e-4


def test_norms_and_biases_are_kept_from_weight_decay_if_the_recipe_says_so() -> None:
    network = create_model("res2next_tiny")
    decayed, others = make_optimizer(network, replace(QUICK, decay_norm_and_bias=False)).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (5e-4, 0)
    kernels = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert {id(parameter) for parameter in decayed["params"]} == {id(kernel) for kernel in kernels}
    assert len(decayed["params"]) + len(others["params"]) == len(list(network.parameters()))


def test_the_loss_of_mixed_images_is_weighed_by_their_shares() -> None:
    logits, labels, others = torch.randn(4, 10), torch.tensor([0, 1, 2, 3]), torch.tensor([3, 0, 1, 2])
    target = 0.3 * nn.functional.one_hot(labels, 10) + 0.7 * nn.functional.one_hot(others, 10)
    smoothed = 0.9 * target + 0.1 / 10
    expected = -(smoothed * logits.log_softmax(1)).sum(1).mean()
    assert float(compute_loss(logits, labels, Mix(logits, others, 0.3), 0.1)) == pytest.approx(
        float(expected), rel=1e-5
    )


def test_the_average_follows_its_formula_and_counters_are_copied() -> None:
    network = nn.BatchNorm1d(1)
    average = {name: value.clone() for name, value in network.state_dict().items()}
    expected = 1.0
    for updates, weight in enumerate([3.0, -1.0, 2.0, 5.0], start=1):
        nn.init.constant_(network.weight, weight)
        network.num_batches_tracked.fill_(updates)
        update_average(average, network, 0.4, updates)
        decay = min(0.4, (1 + updates) / (10 + updates))  # 2/11, 3/12, 4/13, 5/14
        expected = decay * expected + (1 - decay) * weight
    assert float(average["weight"]) == pytest.approx(expected)
    assert int(average["num_batches_tracked"]) == 4


def test_the_average_never_forgets_slower_than_the_recipe_says() -> None:
    network = nn.Linear(1, 1)
    average = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    nn.init.ones_(network.weight)
    update_average(average, network, 0.9, 10**9)
    assert float(average["weight"]) == pytest.approx(0.1)


# --- Batches ---


def test_an_epoch_has_every_image_once_and_another_order_than_the_next() -> None:
    batches = MemoryBatches(digits("train"), changed(QUICK, ("batch_size=479",)), TINY, 0, Part())
    assert batches.steps_per_epoch == 3  # 3 x 479 = 1437
    first, second = batches.order(0), batches.order(1)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(1437))
    assert not torch.equal(first, second)


def test_images_that_fill_no_batch_are_others_in_every_epoch() -> None:
    batches = MemoryBatches(digits("train"), QUICK, TINY, 0, Part())
    left = [set(range(1437)) - set(batches.order(epoch).tolist()) for epoch in range(2)]
    assert [len(images) for images in left] == [1437 % 64] * 2
    assert left[0] != left[1]


def test_images_that_are_held_out_are_never_trained_on_and_all_are_measured() -> None:
    batches = MemoryBatches(digits("train"), QUICK, TINY, 300, Part())
    seen = {index for epoch in range(4) for index in batches.order(epoch).tolist()}
    held_out = set(batches.held_out.tolist())
    assert len(held_out) == 300
    assert not seen & held_out
    assert sum(len(labels) for _, labels in batches.evaluation()) == 300


def test_held_out_images_are_prepared_as_for_evaluation() -> None:
    data = digits("train")
    batches = MemoryBatches(data, QUICK, TINY, 5, Part())
    ((images, labels),) = batches.evaluation()
    for row, index in enumerate(batches.held_out.tolist()):
        image, label = data[index]
        assert torch.equal(images[row], image)
        assert labels[row] == label


@pytest.mark.parametrize(("processes", "accumulate"), [(2, 1), (1, 4), (4, 2)])
def test_all_parts_together_are_the_batch_image_by_image(processes: int, accumulate: int) -> None:
    whole = list(MemoryBatches(digits("train"), QUICK, TINY, 0, Part()).epoch(1, 20))
    ranks = [
        list(MemoryBatches(digits("train"), QUICK, TINY, 0, Part(rank, processes, accumulate)).epoch(1, 20))
        for rank in range(processes)
    ]
    for step, (images, labels) in enumerate(whole):
        turns = [ranks[rank][step * accumulate + turn] for turn in range(accumulate) for rank in range(processes)]
        assert torch.equal(torch.cat([part[0] for part in turns]), images)
        assert torch.equal(torch.cat([part[1] for part in turns]), labels)


def test_batches_from_the_middle_are_those_that_would_have_come() -> None:
    batches = MemoryBatches(digits("train"), QUICK, TINY, 0, Part())
    everything, later = list(batches.parts_from(0)), list(batches.parts_from(30))
    assert len(everything) == 44
    assert len(later) == 14
    for (images, labels), (expected, expected_labels) in zip(later, everything[30:], strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(labels, expected_labels)


@pytest.mark.slow
def test_photos_are_the_same_whatever_the_number_of_workers_and_processes() -> None:
    recipe = changed(QUICK, ("augmentation={crop: random-resized, flip: true, erasing: 0.5}", "batch_size=128"))
    data = open_dataset("Digits", split="train")
    alone = list(PhotoBatches(data, recipe, TINY, 50, Part(), workers=0).epoch(0, 8))
    workers = list(PhotoBatches(data, recipe, TINY, 50, Part(), workers=2).epoch(0, 8))
    halves = [list(PhotoBatches(data, recipe, TINY, 50, Part(rank, 2), workers=0).epoch(0, 8)) for rank in (0, 1)]
    assert len(alone) == len(workers) == (1437 - 50) // 128 - 8
    for step, (images, labels) in enumerate(alone):
        assert torch.equal(workers[step][0], images)
        assert torch.equal(torch.cat([halves[0][step][0], halves[1][step][0]]), images)
        assert torch.equal(torch.cat([halves[0][step][1], halves[1][step][1]]), labels)


def test_a_batch_that_the_processes_cannot_share_is_refused() -> None:
    with pytest.raises(TrainingDataError, match="cannot be shared by 3 processes"):
        MemoryBatches(digits("train"), QUICK, TINY, 0, Part(0, 3))


def test_too_few_images_for_a_batch_are_refused() -> None:
    with pytest.raises(TrainingDataError, match="37 images to train on are less than one batch of 64"):
        MemoryBatches(digits("train"), QUICK, TINY, 1400, Part())


def test_images_of_another_size_than_the_networks_need_a_recipe_that_resizes() -> None:
    small = find("res2next_small").preprocessing
    with pytest.raises(TrainingDataError, match="8x8 pixels, and the network takes 28x28"):
        MemoryBatches(digits("train"), QUICK, small, 0, Part())


# --- A whole run ---


def test_a_run_leaves_weights_named_by_their_hash_that_load_and_a_log_that_says_all(tmp_path: Path) -> None:
    recorder = Recorder()
    state = torch.get_rng_state()
    trained = train(SHORT, few_digits(420), tmp_path / "run", held_out=100, listener=recorder)
    assert torch.equal(torch.get_rng_state(), state)
    assert trained is not None
    prefix = hashlib.sha256(trained.weights.read_bytes()).hexdigest()[:8]
    assert trained.weights.name == f"res2next_tiny-digits-{prefix}.safetensors"
    load_weights(create_model("res2next_tiny"), trained.weights)

    header, rows = read_log_header(trained.log), read_log_rows(trained.log)
    assert header.recipe == SHORT
    assert (header.dataset, header.images, header.held_out) == ("Digits", 320, 100)
    assert header.digest == digits("train").digest
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "10"), ("2", "20")]
    assert [row.step for row in recorder.rows] == [10, 20]
    assert [progress.step for progress in recorder.steps] == [10, 20]
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"]) < 3
    assert 0 <= int(rows[1]["held_out_correct"]) <= 100


def test_the_log_has_the_rate_of_the_last_update(tmp_path: Path) -> None:
    recipe = changed(PLAIN, ("epochs=1", "warmup_epochs=0", "schedule={kind: step, every: 1}"))
    trained = train(recipe, few_digits(320), tmp_path)
    assert trained is not None
    (row,) = read_log_rows(trained.log)
    assert float(row["learning_rate"]) == 0.1
    assert row["held_out_correct"] == ""


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    recipe = changed(SHORT, ("epochs=1",))
    names = []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)  # which must not matter
        trained = train(replace(recipe, seed=seed), few_digits(320), tmp_path / str(number))
        assert trained is not None
        names.append(trained.weights.name)
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    "setting", ["mixup=0.4", "cutmix=1", "mixed_precision=true", "accumulate=4", "zero_init_last=true"]
)
def test_every_feature_learns(setting: str, tmp_path: Path) -> None:
    recorder = Recorder()
    train(changed(SHORT, ("epochs=3", setting)), few_digits(320), tmp_path, listener=recorder)
    assert recorder.rows[2].train_loss < 0.95 * recorder.rows[0].train_loss


def test_without_tensorboard_there_is_a_notice_and_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    recorder = Recorder()
    train(changed(SHORT, ("epochs=1",)), few_digits(320), tmp_path, listener=recorder)
    assert "TensorBoard: it is not installed" in recorder.notices[0]
    assert not (tmp_path / "tensorboard").exists()


def test_a_folder_with_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    recipe = changed(SHORT, ("epochs=1",))
    trained = train(recipe, few_digits(320), tmp_path)
    assert trained is not None
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".partial"}
    with pytest.raises(FolderInUse, match=trained.weights.name):
        train(recipe, few_digits(320), tmp_path)
    with pytest.raises(CheckpointError, match=r"recipe\.seed was 0 and is 7"):
        train(replace(recipe, seed=7), few_digits(320), tmp_path, resume=True)
    assert before == {path: path.read_bytes() for path in before}


def test_resuming_a_finished_run_gives_the_same_files(tmp_path: Path) -> None:
    recipe = changed(SHORT, ("epochs=1",))
    first = train(recipe, few_digits(320), tmp_path)
    assert train(recipe, few_digits(320), tmp_path, resume=True) == first


# --- From the command line ---


def command(*arguments: str | Path, processes: int = 1) -> Done:
    words = ("train", *map(str, arguments))
    return torchrun(processes, *words) if processes > 1 else run_main(main, "res2next", *words)


LARGE = ("--set", "epochs=2", "--set", "batch_size=320")
"""Few updates."""


def test_the_command_trains_says_so_epoch_by_epoch_and_measures_the_test_images(tmp_path: Path) -> None:
    done = command("res2next_tiny_digits", "--output", tmp_path, *LARGE, "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["recipe"]["epochs"] == 2
    assert summary["test"]["images"] == 360
    assert Path(summary["weights"]).is_file()
    epochs = [line.split()[:2] for line in done.stderr.splitlines() if line.startswith("epoch")]
    assert epochs == [["epoch", "1"], ["epoch", "2"]]


def test_the_test_images_are_not_looked_at_where_images_are_held_out_to_choose_by(tmp_path: Path) -> None:
    options = ("--hold-out", "1117", *LARGE, "--device", "cpu", "--json")
    done = command("res2next_tiny_digits", "--output", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test"] is None
    assert "of 1117 right" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet50",), "no recipe 'resnet50'"),
        (("res2next_tiny_digits", "--set", "epochs=0"), "epochs: 0 is not allowed"),
        (("res2next_tiny_digits", "--model", "res2next_small"), "use a recipe whose crop is random-resized"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = command(*arguments, "--output", tmp_path / "run", "--device", "cpu")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


THREE = ("--set", "epochs=3", "--set", "warmup_epochs=0")
"""Of ten updates each, if 1,117 images are held out."""


@pytest.mark.slow
def test_two_processes_share_a_run_and_one_goes_on_with_it(tmp_path: Path) -> None:
    common = ("res2next_tiny_digits", "--output", tmp_path, *THREE, "--device", "cpu", "--json")
    done = command(*common, "--hold-out", "1117", processes=2)
    assert done.returncode == 0, done.stderr
    log = Path(json.loads(done.stdout)["log"])
    assert read_log_header(log).processes == 2
    assert [row["step"] for row in read_log_rows(log)] == ["10", "20", "30"]
    losses = [float(row["train_loss"]) for row in read_log_rows(log)]
    assert losses[2] < losses[1] < losses[0] < 3

    checkpoints = sorted((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in checkpoints] == ["step-000000020.pt", "step-000000030.pt"]
    checkpoints[1].unlink()
    again = command(*common, "--hold-out", "1117", "--resume")
    assert again.returncode == 0, again.stderr
    repeated = read_log_rows(tmp_path / "log.csv")
    assert [row["epoch"] for row in repeated] == ["1", "2", "3"]
    # the statistics of batch norm, and so the losses, are now of whole batches
    assert float(repeated[2]["train_loss"]) == pytest.approx(losses[2], rel=0.1)


@pytest.mark.slow
def test_running_statistics_are_the_mean_of_those_of_all_processes(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    processes = [start(share_of_statistics, rank, port, str(tmp_path / str(rank))) for rank in (0, 1)]
    for process in processes:
        process.join(120)
    first, second = (torch.load(tmp_path / str(rank)) for rank in (0, 1))
    assert {float(value.mean()) for name, value in first.items() if name.endswith("running_mean")} == {0.5}
    assert {float(value.mean()) for name, value in first.items() if name.endswith("running_var")} == {3.0}
    assert all(torch.equal(value, second[name]) for name, value in first.items() if value.is_floating_point())


def test_processes_without_an_address_are_told_to_use_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(ProcessesNotConnected, match="without MASTER_ADDR"), join_processes("cpu"):
        pass


@pytest.mark.slow
def test_digits_from_scratch_lands_within_the_interval_of_the_model_that_comes_with_the_package(
    tmp_path: Path,
) -> None:
    entry = find("res2next_tiny")
    assert entry.recipe is not None
    trained = train(changed(load_recipe(entry.recipe), ("epochs=12",)), digits("train"), tmp_path)
    assert trained is not None
    network = create_model("res2next_tiny")
    load_weights(network, trained.weights)
    shipped = evaluate(create_model(entry.name, pretrained=True), digits())
    low, high = wilson_interval(shipped.top1, shipped.images)
    assert low <= evaluate(network, digits()).top1 / 360 <= high
