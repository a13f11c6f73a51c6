"""A run that is stopped, at whatever moment, goes on as if it had not been."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from quick_digits import few_digits, train_and_kill
from warm import start

from res2next.files import atomic_path, write_atomic
from res2next.recipes import changed, load_recipe
from res2next.training import Progress, Trained, train
from res2next.training.run import Checkpoint
from res2next.training.run_folder import (
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    write_checkpoint,
)
from res2next.training_log import LogError, LogRow, read_log_rows

torch.set_num_threads(1)

QUICK = changed(load_recipe("res2next_tiny_digits"), ("epochs=3", "batch_size=16", "cutmix=1", "warmup_epochs=0.5"))
HELD_OUT = 100
IMAGES = HELD_OUT + 7 * 16
"""21 updates of 7 an epoch."""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    settings = ("epochs=10", "batch_size=16", "cutmix=1", "mixup=0.2")  # 100 updates
    killing = start(train_and_kill, tmp_path, settings)
    killing.join()
    assert killing.exitcode == 0
    (killed,) = (tmp_path / "killed").glob("*.safetensors")
    (unbroken,) = (tmp_path / "unbroken").glob("*.safetensors")
    assert killed.name == unbroken.name
    assert killed.read_bytes() == unbroken.read_bytes()
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "unbroken")


def numbers(folder: Path) -> list[dict[str, str]]:
    """What the log says, without how fast it was; its durations never fall, since they count earlier starts too."""
    rows = read_log_rows(folder / "log.csv")
    durations = [float(row["seconds"]) for row in rows]
    assert durations == sorted(durations)
    return [
        {name: value for name, value in row.items() if name not in ("images_per_second", "seconds")} for row in rows
    ]


class StopAfter:
    """Asks to stop by a signal, as a person or a cluster does, after an update."""

    def __init__(self, step: int, number: signal.Signals) -> None:
        self.step, self.number = step, number
        self.notices: list[str] = []

    def progress(self, progress: Progress) -> None:
        self.done(progress.step)

    def epoch(self, row: LogRow, held_out: int) -> None:
        self.done(row.step)

    def done(self, step: int) -> None:
        if step == self.step:
            os.kill(os.getpid(), self.number)

    def notice(self, text: str) -> None:
        self.notices.append(text)


def run(folder: Path, **more: object) -> Trained:
    trained = train(QUICK, few_digits(IMAGES), folder, **more)  # type: ignore[arg-type]
    assert trained is not None
    return trained


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return run(tmp_path_factory.mktemp("unbroken") / "run", held_out=HELD_OUT)


def stopped(folder: Path, step: int, number: signal.Signals = signal.SIGTERM) -> StopAfter:
    stop = StopAfter(step, number)
    with pytest.raises(KeyboardInterrupt):
        run(folder, held_out=HELD_OUT, listener=stop)
    return stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [10, 14])
def test_a_signal_leaves_a_checkpoint_of_that_update_from_which_the_run_goes_on(
    step: int, number: signal.Signals, tmp_path: Path, unbroken: Trained
) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stop = stopped(tmp_path, step, number)
    assert f"stopped after update {step} of 21" in stop.notices[-1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert list_checkpoints(tmp_path / "checkpoints")[-1].name == f"step-{step:09d}.pt"
    again = run(tmp_path, held_out=HELD_OUT, resume=True)
    assert again.weights.read_bytes() == unbroken.weights.read_bytes()
    assert numbers(tmp_path) == numbers(unbroken.log.parent)


def test_rows_after_the_checkpoint_are_cut_and_written_again(tmp_path: Path, unbroken: Trained) -> None:
    stopped(tmp_path, 10)
    with (tmp_path / "log.csv").open("a") as log:
        log.write("2,14,0.05,0.5,1000,90,0.2\n3,1")  # of an epoch whose checkpoint a kill prevented
    run(tmp_path, held_out=HELD_OUT, resume=True)
    assert numbers(tmp_path) == numbers(unbroken.log.parent)


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_loaded(tmp_path: Path, unbroken: Trained) -> None:
    stopped(tmp_path, 10)
    older, newer = list_checkpoints(tmp_path / "checkpoints")
    newer.write_bytes(newer.read_bytes()[:5000])
    told = StopAfter(0, signal.SIGTERM)
    again = run(tmp_path, held_out=HELD_OUT, resume=True, listener=told)
    assert f"{newer} is damaged" in told.notices[0]
    assert older.name == "step-000000007.pt"
    assert again.weights.read_bytes() == unbroken.weights.read_bytes()


def test_resuming_where_nothing_was_begun_begins(tmp_path: Path, unbroken: Trained) -> None:
    again = run(tmp_path / "new", held_out=HELD_OUT, resume=True)
    assert again.weights.name == unbroken.weights.name


def test_a_log_that_lost_rows_is_not_gone_on_with(tmp_path: Path) -> None:
    stopped(tmp_path, 10)
    (tmp_path / "log.csv").write_text("")
    with pytest.raises(LogError, match="lacks rows"):
        run(tmp_path, held_out=HELD_OUT, resume=True)


def test_a_run_with_other_images_held_out_is_another_run(tmp_path: Path) -> None:
    stopped(tmp_path, 10)
    with pytest.raises(CheckpointError, match="images held out was 100 and is 0"):
        run(tmp_path, resume=True)


# --- The files ---


def checkpoint(step: int, **run: str) -> Checkpoint:
    return Checkpoint(run, step, {"weight": torch.ones(3)}, None, {"state": {}, "param_groups": []}, {}, 0.5, 10)


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 100, 1_000_000):
        write_checkpoint(tmp_path, checkpoint(step))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-000000100.pt", "step-001000000.pt"]


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(3, seed="0"))
    found = load_checkpoint(tmp_path, {"seed": "0"}, print)
    assert found is not None
    assert (found.step, found.loss, found.log_bytes, found.average) == (3, 0.5, 10, None)
    assert torch.equal(found.network["weight"], torch.ones(3))


def test_all_differences_are_reported(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(3, seed="0", model="a", same="x"))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path, {"seed": "1", "data": "d", "same": "x"}, print)
    for difference in ("seed was 0 and is 1", "model was a and is not set", "data was not set and is d"):
        assert difference in str(caught.value)
    assert "same" not in str(caught.value)


def test_where_no_checkpoint_can_be_read_that_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "step-000000001.pt").write_bytes(b"")
    (tmp_path / "step-000000002.pt").write_bytes(b"not a checkpoint")
    notices: list[str] = []
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(tmp_path, {}, notices.append)
    assert len(notices) == 2


def test_a_checkpoint_that_holds_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"run": Path}, tmp_path / "step-000000001.pt")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path, {}, lambda _: None)


def test_what_a_kill_left_half_written_is_no_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(1))
    (tmp_path / ".step-000000002.pt.77.partial").write_bytes(b"half")
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-000000001.pt"]
    write_checkpoint(tmp_path, checkpoint(3))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-000000001.pt", "step-000000003.pt"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"old")
    write_atomic(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"new")]


def test_a_file_that_could_not_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"old")
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "file") as partial:
        partial.write_bytes(b"ne")
        raise KeyboardInterrupt
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]
