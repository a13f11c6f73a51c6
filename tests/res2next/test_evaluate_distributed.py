"""Two processes of torchrun count every image once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from quick_digits import MODEL, digits, trained_network, weights_file
from sites import Done, run_main
from warm import launch, start, torchrun

from res2next.commands import main
from res2next.evaluation import Evaluation, evaluate
from res2next.weights import file_digest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights_file(tmp_path_factory.mktemp("weights"))


def shared_by(processes: int, *arguments: str | Path) -> Done:
    return torchrun(processes, "evaluate", MODEL, "--device", "cpu", *map(str, arguments))


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


def test_no_process_waits_for_one_that_failed(tmp_path: Path) -> None:
    given = ["evaluate", MODEL, "--device", "cpu", "--weights", str(tmp_path / "none.safetensors")]
    options = ["--standalone", "--nproc-per-node", "2", "-m", "res2next", *given]
    launched = start(launch, options, tmp_path / "said")
    launched.join(120)
    assert launched.exitcode == 1
    assert "none.safetensors" in (tmp_path / "said").read_text()
