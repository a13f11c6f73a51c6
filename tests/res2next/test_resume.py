"""A run that is stopped, at whatever moment, goes on as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from quick_digits import digits

from res2next.files import atomic_path, write_atomic
from res2next.recipes import changed, load_recipe
from res2next.training import Progress, Trained, train
from res2next.training.checkpoint import Checkpoint, CheckpointError, list_checkpoints, load_newest, save
from res2next.training_log import LogError, LogRow, read_log_rows

torch.set_num_threads(1)

ROOT = Path(__file__).parents[2]
QUICK = changed(load_recipe("res2next_tiny_digits"), ("epochs=3", "batch_size=64", "cutmix=1", "warmup_epochs=0.5"))
"""66 updates of 22 an epoch."""

KILLED = """
# Trains in children that are killed at random moments, until one comes to the end. They are forked from a process
# that has imported torch and computed nothing, which is as good as a fresh one and takes no seconds to start.
import os, random, signal, sys
from pathlib import Path
import torch
import torch._dynamo  # the first optimizer does it
torch.set_num_threads(1)
sys.modules["torch.utils.tensorboard"] = None  # it starts threads, which a fork would lose
from res2next.datasets import open_dataset
from res2next.recipes import changed, load_recipe
from res2next.training import train

recipe = changed(load_recipe("res2next_tiny_digits"), sys.argv[2:])
data = open_dataset("Digits", split="train")
output = Path(sys.argv[1])

class Telling:
    def __init__(self, pipe): self.pipe = pipe
    def progress(self, progress): os.write(self.pipe, b".")
    def epoch(self, row, held_out): os.write(self.pipe, b"e")
    def notice(self, text): pass

def attempt(folder, killed_after, every=2):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            train(recipe, data, folder, resume=True, checkpoint_every=every, listener=Telling(writing))
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(9)
    os.close(writing)
    for _ in range(killed_after):
        os.read(reading, 1)
    # a chance to be within an update, or a checkpoint being written
    for _ in range(random.randrange(200_000)):
        pass
    if killed_after:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(reading)
    return status

random.seed(1)
deaths = 0
while deaths < 10:
    # each gets some updates further; after ten kills the run is near its end
    status = attempt(output / "killed", random.randint(1, 2))
    assert status == -signal.SIGKILL, status
    deaths += 1
assert not list((output / "killed").glob("*.safetensors"))
assert attempt(output / "killed", 0) == 0
assert attempt(output / "unbroken", 0, every=1000) == 0
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    settings = ("epochs=7", "batch_size=64", "cutmix=1", "mixup=0.2")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), *settings],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
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
        if progress.step == self.step:
            os.kill(os.getpid(), self.number)

    def epoch(self, row: LogRow, held_out: int) -> None: ...

    def notice(self, text: str) -> None:
        self.notices.append(text)


def run(folder: Path, **more: object) -> Trained:
    trained = train(QUICK, digits("train"), folder, **more)  # type: ignore[arg-type]
    assert trained is not None
    return trained


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return run(tmp_path_factory.mktemp("unbroken") / "run", held_out=100)


def stopped(folder: Path, step: int, number: signal.Signals = signal.SIGTERM) -> StopAfter:
    stop = StopAfter(step, number)
    with pytest.raises(KeyboardInterrupt):
        run(folder, held_out=100, listener=stop)
    return stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [10, 40])
def test_a_signal_leaves_a_checkpoint_of_that_update_from_which_the_run_goes_on(
    step: int, number: signal.Signals, tmp_path: Path, unbroken: Trained
) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stop = stopped(tmp_path, step, number)
    assert f"stopped after update {step} of 60" in stop.notices[-1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert list_checkpoints(tmp_path / "checkpoints")[-1].name == f"step-{step:09d}.pt"
    again = run(tmp_path, held_out=100, resume=True)
    assert again.weights.read_bytes() == unbroken.weights.read_bytes()
    assert numbers(tmp_path) == numbers(unbroken.log.parent)


def test_rows_after_the_checkpoint_are_cut_and_written_again(tmp_path: Path, unbroken: Trained) -> None:
    stopped(tmp_path, 30)
    with (tmp_path / "log.csv").open("a") as log:
        log.write("2,40,0.05,0.5,1000,90,0.2\n3,6")  # of an epoch whose checkpoint a kill prevented
    run(tmp_path, held_out=100, resume=True)
    assert numbers(tmp_path) == numbers(unbroken.log.parent)


def test_a_damaged_checkpoint_is_told_of_and_the_one_before_it_taken(tmp_path: Path, unbroken: Trained) -> None:
    stopped(tmp_path, 30)
    older, newer = list_checkpoints(tmp_path / "checkpoints")
    newer.write_bytes(newer.read_bytes()[:5000])
    told = StopAfter(0, signal.SIGTERM)
    again = run(tmp_path, held_out=100, resume=True, listener=told)
    assert f"{newer} is damaged" in told.notices[0]
    assert older.name == "step-000000020.pt"
    assert again.weights.read_bytes() == unbroken.weights.read_bytes()


def test_resuming_where_nothing_was_begun_begins(tmp_path: Path, unbroken: Trained) -> None:
    again = run(tmp_path / "new", held_out=100, resume=True)
    assert again.weights.name == unbroken.weights.name


def test_a_log_that_lost_rows_is_not_gone_on_with(tmp_path: Path) -> None:
    stopped(tmp_path, 30)
    (tmp_path / "log.csv").write_text("")
    with pytest.raises(LogError, match="lacks rows"):
        run(tmp_path, held_out=100, resume=True)


def test_a_run_with_other_images_held_out_is_another_run(tmp_path: Path) -> None:
    stopped(tmp_path, 10)
    with pytest.raises(CheckpointError, match="images held out was 100 and is 0"):
        run(tmp_path, resume=True)


# --- The files ---


def checkpoint(step: int, **run: str) -> Checkpoint:
    return Checkpoint(run, step, {"weight": torch.ones(3)}, None, {"state": {}, "param_groups": []}, {}, 0.5, 10)


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 100, 1_000_000):
        save(tmp_path, checkpoint(step))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-000000100.pt", "step-001000000.pt"]


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, checkpoint(3, seed="0"))
    found = load_newest(tmp_path, {"seed": "0"}, print)
    assert found is not None
    assert (found.step, found.loss, found.log_bytes, found.average) == (3, 0.5, 10, None)
    assert torch.equal(found.network["weight"], torch.ones(3))


def test_all_that_differs_is_said(tmp_path: Path) -> None:
    save(tmp_path, checkpoint(3, seed="0", model="a", same="x"))
    with pytest.raises(CheckpointError) as caught:
        load_newest(tmp_path, {"seed": "1", "data": "d", "same": "x"}, print)
    for difference in ("seed was 0 and is 1", "model was a and is not set", "data was not set and is d"):
        assert difference in str(caught.value)
    assert "same" not in str(caught.value)


def test_where_no_checkpoint_can_be_read_that_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "step-000000001.pt").write_bytes(b"")
    (tmp_path / "step-000000002.pt").write_bytes(b"not a checkpoint")
    notices: list[str] = []
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_newest(tmp_path, {}, notices.append)
    assert len(notices) == 2


def test_a_checkpoint_that_holds_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"run": Path}, tmp_path / "step-000000001.pt")
    with pytest.raises(CheckpointError):
        load_newest(tmp_path, {}, lambda _: None)


def test_what_a_kill_left_half_written_is_no_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, checkpoint(1))
    (tmp_path / ".step-000000002.pt.77.partial").write_bytes(b"half")
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-000000001.pt"]
    save(tmp_path, checkpoint(3))
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
