"""Devices, exact float32 on GPUs, and processes of torchrun, which count every image once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from quick_digits import MODEL, digits, trained_network, weights_file
from sites import Done, run_main
from warm import launch, start, torchrun

from res2next.commands import main
from res2next.distributed import DeviceNotAvailable, join_processes
from res2next.evaluation import Evaluation, evaluate
from res2next.evaluation.scoring import SWITCHES, exact_on
from res2next.weights import file_digest

GPU = torch.device("cuda")
INNER = (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul)


def settings() -> list[object]:
    cudnn = torch.backends.cudnn
    return [*(switch.fp32_precision for switch in SWITCHES), cudnn.enabled, cudnn.benchmark, cudnn.deterministic]


@pytest.fixture
def restored_settings() -> Iterator[None]:
    before = []
    for switch in SWITCHES:
        before.append(switch.fp32_precision)
        switch.fp32_precision = "none" if switch in SWITCHES[:2] else before[-1]
    yield
    for switch, value in zip(SWITCHES, before, strict=True):
        switch.fp32_precision = value
    torch.backends.cudnn.benchmark = False


@pytest.mark.usefixtures("restored_settings")
@pytest.mark.parametrize("everything", ["none", "tf32", "ieee"])
@pytest.mark.parametrize("convolutions", ["none", "tf32", "ieee"])
def test_settings_of_any_caller_are_restored(everything: str, convolutions: str) -> None:
    torch.backends.fp32_precision = everything
    torch.backends.cudnn.conv.fp32_precision = convolutions
    torch.backends.cudnn.benchmark = True
    before = settings()
    with exact_on(GPU):
        assert [switch.fp32_precision for switch in INNER] == ["ieee"] * 3
        assert not torch.backends.cudnn.benchmark
    assert settings() == before
    torch.backends.fp32_precision = "ieee"  # what was not set follows the switch around it, as it did before
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"


@pytest.mark.usefixtures("restored_settings")
def test_they_are_restored_after_an_error() -> None:
    torch.backends.fp32_precision = "tf32"
    before = settings()
    with pytest.raises(KeyError), exact_on(GPU):
        raise KeyError
    assert settings() == before


@pytest.mark.usefixtures("restored_settings")
def test_on_a_cpu_nothing_is_set() -> None:
    before = settings()
    with exact_on(torch.device("cpu")):
        assert settings() == before


# --- Devices ---


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("abacus", "'abacus' is not a device of torch: use cpu, cuda, cuda:1 or mps"),
        ("cuda:99", "GPU 99 is wanted, and torch sees"),
        ("meta", "meta cannot be used here"),
    ],
)
def test_a_device_that_is_not_there_is_named(device: str, message: str) -> None:
    with pytest.raises(DeviceNotAvailable, match=message), join_processes(device):
        pass


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is one")
def test_an_apple_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceNotAvailable, match="mps cannot be used here"), join_processes("mps"):
        pass


def test_one_gpu_is_not_for_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    message = "there are several processes: use --device cuda"
    with pytest.raises(DeviceNotAvailable, match=message), join_processes("cuda:1"):
        pass


# --- Several processes ---


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights_file(tmp_path_factory.mktemp("weights"))


def shared_by(processes: int, *arguments: str | Path) -> Done:
    return torchrun(processes, "evaluate", MODEL, "--device", "cpu", *map(str, arguments))


@pytest.mark.slow
@pytest.mark.parametrize(("split", "images", "processes"), [("train", 1437, 2), ("test", 360, 3)])
def test_counts_and_loss_do_not_depend_on_the_number_of_processes(
    split: str, images: int, processes: int, weights: Path
) -> None:
    done = shared_by(processes, "--weights", weights, "--split", split, "--batch-size", "50", "--json")
    assert done.returncode == 0, done.stderr
    shared = Evaluation.from_dict(json.loads(done.stdout))
    alone = evaluate(trained_network(), digits(split))
    assert shared.images == images == sum(map(sum, shared.confusion))
    assert (shared.top1, shared.top5, shared.confusion) == (alone.top1, alone.top5, alone.confusion)
    assert shared.loss == pytest.approx(alone.loss, rel=1e-6)
    assert shared.data_digest == alone.data_digest


@pytest.mark.slow
def test_two_processes_go_on_with_what_one_has_done(weights: Path, tmp_path: Path) -> None:
    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done > 600:
            raise EnoughError

    output, partial = tmp_path / "found.json", tmp_path / "found.json.partial"
    name, digest = "res2next_tiny.digits", file_digest(weights)
    with pytest.raises(EnoughError):
        evaluate(trained_network(), digits("train"), progress=stop, partial=partial, name=name, weights=digest)
    common = ("--weights", weights, "--split", "train", "--output", output, "--resume")
    done = shared_by(2, *common)
    assert done.returncode == 0, done.stderr
    shared = Evaluation.from_dict(json.loads(output.read_text()))
    alone = evaluate(trained_network(), digits("train"), name=name, weights=digest)
    same = {"loss": 0, "ece": 0, "bins": (), "seconds": 0, "images_per_second": 0}
    assert replace(shared, **same) == replace(alone, **same)
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]


@pytest.mark.slow
def test_photos_that_cannot_be_decoded_are_listed_once_for_all_processes(weights: Path, tmp_path: Path) -> None:
    data, folder = digits(), tmp_path / "own"
    for place in range(30):
        (folder / str(data.labels[place])).mkdir(parents=True, exist_ok=True)
        data.image(place).save(folder / str(data.labels[place]) / f"{place:02}.png")
    bad = sorted(folder.rglob("*.png"))[3:7]
    for path in bad:
        path.write_bytes(b"no image")
    common = ("--weights", weights, "--data", f"folder:{folder}", "--output", tmp_path / "found.json")
    done = shared_by(2, *common)
    assert done.returncode != 0
    for path in bad:
        assert done.stderr.count(f"{path} cannot be decoded") == 1
    assert "4 of 30 images cannot be decoded" in done.stderr
    assert not (tmp_path / "found.json").exists()
    for path in bad:
        data.image(int(path.stem)).save(path)
    assert (
        run_main(main, "res2next", "evaluate", MODEL, "--device", "cpu", *map(str, common), "--resume").returncode == 0
    )
    assert json.loads((tmp_path / "found.json").read_text())["images"] == 30


@pytest.mark.slow
def test_no_process_waits_for_one_that_failed(tmp_path: Path) -> None:
    given = ["evaluate", MODEL, "--device", "cpu", "--weights", str(tmp_path / "none.safetensors")]
    options = ["--standalone", "--nproc-per-node", "2", "-m", "res2next", *given]
    launched = start(launch, options, tmp_path / "said")
    launched.join(120)
    assert launched.exitcode == 1
    assert "none.safetensors" in (tmp_path / "said").read_text()
