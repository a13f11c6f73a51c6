"""Evaluations on Digits: the same counts however they are computed, interrupted or not."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from quick_digits import MODEL, TRANSFORM, digits, evaluate_and_die, trained_network, weights_file
from torch import nn
from warm import start

from res2next import create_model
from res2next.commands.evaluate import evaluate_
from res2next.datasets import open_dataset
from res2next.distributed import DeviceNotAvailable
from res2next.evaluation import Evaluation, UnfitNetwork, evaluate
from res2next.evaluation.metrics import Scores
from res2next.evaluation.partial_results import OtherEvaluation, Results, read_results
from res2next.weights import file_digest

if TYPE_CHECKING:
    from res2next.datasets import ImageSet

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def result() -> Evaluation:
    return evaluate(trained_network(), digits())


def counts(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation without times, and with what is no count as far as rounding leaves it."""
    bins = tuple(replace(part, confidence=round(part.confidence, 4)) for part in evaluation.bins)
    rounded = {"loss": round(evaluation.loss, 5), "ece": round(evaluation.ece, 5), "bins": bins}
    return replace(evaluation, **rounded, seconds=0, images_per_second=0)


class Constant(nn.Module):
    """Gives the same logits for every image."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float32))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), -1)


# --- Counts ---


def test_counts_are_those_of_a_plain_loop(result: Evaluation) -> None:
    data, network = digits(), trained_network().eval()
    with torch.inference_mode():
        logits = torch.cat([network(data[index][0][None]) for index in range(len(data))])
    labels = torch.tensor(data.labels)
    assert result.top1 == int((logits.argmax(1) == labels).sum())
    assert result.top5 == int((logits.topk(5).indices == labels[:, None]).sum())
    assert result.loss == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    assert 180 < result.top1 < result.top5 < 360  # it learned something, and not all
    assert result.close_calls == 0


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (7, 0), (256, 0), (7, 2), (256, 2)])
def test_counts_do_not_depend_on_batch_size_and_workers(batch_size: int, workers: int, result: Evaluation) -> None:
    other = evaluate(trained_network(), digits(), batch_size=batch_size, workers=workers)
    assert counts(other) == counts(result)


def test_results_hold_no_memory_that_another_process_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    add = Results.add

    def count(results: Results, indices: NDArray[np.int64], scores: Scores) -> None:
        add(results, indices, scores)
        held.append(sum("/torch_" in line for line in Path("/proc/self/maps").read_text().splitlines()))

    monkeypatch.setattr(Results, "add", count)
    evaluate(trained_network(), digits(), batch_size=7, workers=1)
    assert max(held) <= 20  # those of the batches that are under way, not of all 52


def test_all_that_is_counted_adds_up(result: Evaluation) -> None:
    assert result.images == sum(map(sum, result.confusion)) == sum(part.images for part in result.bins) == 360
    assert sum(one.correct for one in result.per_class) == sum(part.correct for part in result.bins) == result.top1
    assert [one.images for one in result.per_class] == [sum(row) for row in result.confusion]
    assert [one.name for one in result.per_class] == list("0123456789")
    low, high = result.top1_interval
    assert low < result.top1 / 360 < high
    assert result.data_digest == digits().digest


def test_one_answer_for_all_images_gets_one_class_right() -> None:
    answer = evaluate(Constant([0, 0, 9, 8, 7, 6, 5, 0, 0, 0]), digits())
    labels = digits().labels
    assert answer.top1 == labels.count(2)
    assert answer.top5 == sum(labels.count(label) for label in (2, 3, 4, 5, 6))
    assert all(row[2] == sum(row) for row in answer.confusion)


def test_logits_that_are_no_numbers_count_as_wrong_and_are_reported() -> None:
    broken = evaluate(Constant([math.nan] + [0] * 9), digits())
    assert (broken.top1, broken.top5, broken.not_numbers) == (0, 0, 360)
    assert math.isnan(broken.loss)
    text = json.dumps(broken.to_dict(), allow_nan=False)
    assert math.isnan(Evaluation.from_dict(json.loads(text)).loss)


def test_an_evaluation_comes_back_from_json_as_it_was(result: Evaluation) -> None:
    assert Evaluation.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result


def test_a_network_is_left_in_the_mode_that_it_was_in() -> None:
    network = trained_network().train()
    network.layer1.eval()
    layout = network.conv1.weight.stride()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate(network, digits())
    assert network.training
    assert not network.layer1.training
    assert network.conv1.weight.stride() == layout  # safetensors refuses others
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_progress_ends_at_all_images() -> None:
    seen: list[tuple[int, int]] = []
    evaluate(trained_network(), digits(), batch_size=100, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(100, 360), (200, 360), (300, 360), (360, 360)]


def test_mixed_precision_is_on_record_and_changes_few_counts(result: Evaluation) -> None:
    mixed = evaluate(trained_network(), digits(), amp=True)
    assert (result.precision, mixed.precision) == ("float32", "bfloat16")
    assert abs(mixed.top1 - result.top1) <= 5


def test_a_network_of_shorter_floats_is_on_record_as_such() -> None:
    network = Constant([0.0, 9, 8, 7, 6, 5, 0, 0, 0, 0]).bfloat16()
    assert evaluate(network, digits()).precision == "bfloat16"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_counts_as_a_cpu_does(result: Evaluation) -> None:
    found = evaluate(trained_network(), digits(), device="cuda")
    trained_network().cpu()
    assert (found.top1, found.top5, found.confusion) == (result.top1, result.top5, result.confusion)


def test_a_network_for_other_classes_is_refused() -> None:
    with pytest.raises(UnfitNetwork, match="gives 7 logits an image, and Digits has 10 classes"):
        evaluate(create_model(MODEL, num_classes=7), digits())


def test_images_that_are_not_made_ready_are_refused() -> None:
    with pytest.raises(ValueError, match="transform=evaluation_transform"):
        evaluate(trained_network(), open_dataset("Digits"))


# --- Interrupted ---


@pytest.fixture(scope="module")
def whole() -> Evaluation:
    """Return an unbroken evaluation of the training images, whose number is odd."""
    return evaluate(trained_network(), digits("train"))


def test_an_evaluation_that_was_killed_goes_on_and_gives_the_same(tmp_path: Path, whole: Evaluation) -> None:
    killed = start(evaluate_and_die, tmp_path / "partial")
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    seen: list[tuple[int, int]] = []
    result = evaluate(
        trained_network(),
        digits("train"),
        partial=tmp_path / "partial",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (887, 887)  # what is kept is written when there are 512 images or more, here 550
    assert counts(result) == counts(whole)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the one file of partial results that an evaluation of the training images wrote."""
    folder = tmp_path_factory.mktemp("written")
    evaluate(trained_network(), digits("train"), partial=folder)
    (path,) = folder.iterdir()
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.001, 0.2, 0.4, 0.9, 0.9999, 1])
def test_a_file_that_was_cut_off_anywhere_costs_its_last_line(
    share: float, written: bytes, tmp_path: Path, whole: Evaluation
) -> None:
    (tmp_path / "cut.jsonl").write_bytes(written[: int(share * len(written))])
    result = evaluate(trained_network(), digits("train"), partial=tmp_path)
    assert counts(result) == counts(whole)


def test_an_evaluation_that_was_done_computes_nothing_again(written: bytes, tmp_path: Path, whole: Evaluation) -> None:
    (tmp_path / "all.jsonl").write_bytes(written)
    seen: list[tuple[int, int]] = []
    result = evaluate(
        trained_network(), digits("train"), partial=tmp_path, progress=lambda *numbers: seen.append(numbers)
    )
    assert seen == []
    assert (result.top1, result.loss) == (whole.top1, whole.loss)


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"model": create_model(MODEL)}, "network"),
        ({"data": digits()}, "data set"),
        ({"amp": True}, "precision"),
        ({"weights": "sha256:12"}, "weights file"),
    ],
)
def test_results_of_something_else_are_not_gone_on_with(
    other: dict[str, object], name: str, written: bytes, tmp_path: Path
) -> None:
    (tmp_path / "all.jsonl").write_bytes(written)
    with pytest.raises(OtherEvaluation, match=f"another {name}"):
        evaluate(**{"model": trained_network(), "data": digits("train"), "partial": tmp_path, **other})  # type: ignore[arg-type]


# --- The command ---


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights_file(tmp_path_factory.mktemp("weights"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(evaluate_, [MODEL, *map(str, arguments)], catch_exceptions=False)


def test_the_command_prints_one_json_object(weights: Path, result: Evaluation) -> None:
    found = Evaluation.from_dict(json.loads(run("--weights", weights, "--json", "--device", "cpu").stdout))
    assert (found.model, found.weights_digest) == ("res2next_tiny.digits", file_digest(weights))
    assert counts(replace(found, model="", weights_digest="")) == counts(result)


def test_the_command_says_counts_and_interval(weights: Path, result: Evaluation) -> None:
    text = " ".join(run("--weights", weights, "--device", "cpu").stdout.split())
    low, high = (f"{100 * bound:.1f}" for bound in result.top1_interval)
    share = f"{result.top1 / 3.6:.2f}"
    assert f"top-1 {share} % ({result.top1} of 360; 95 % interval {low} to {high})" in text
    for part in ("top-5", "loss", "calibration error", "worst classes", "confusions", "images/s"):
        assert part in text


def test_the_command_says_the_direction_of_miscalibration_and_what_label_smoothing_does(weights: Path) -> None:
    text = " ".join(run("--device", "cpu").stdout.split())  # the published weights
    assert "calibration error 10.78 % (underconfident: mean confidence 86.7 %, 97.2 % correct)" in text
    assert "trained with label smoothing: targets gave the right class 91.0 % (Müller et al." in text
    assert "label smoothing" not in run("--weights", weights, "--device", "cpu").stdout


def test_a_file_is_written_and_nothing_is_left_beside_it(weights: Path, tmp_path: Path, result: Evaluation) -> None:
    run("--weights", weights, "--output", tmp_path / "found.json", "--device", "cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]
    assert json.loads((tmp_path / "found.json").read_text())["top1"] == result.top1


def test_an_interrupted_command_goes_on_with_resume_and_begins_anew_without(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, partial = tmp_path / "found.json", tmp_path / "found.json.partial"
    common = ("--weights", weights, "--output", output, "--split", "train", "--device", "cpu")
    interrupt_after(700, monkeypatch)
    assert run(*common).exit_code == 1  # click's answer to Ctrl-C; the command line makes it 130
    assert not output.exists()
    kept = done_in(partial)
    assert kept >= 512

    interrupt_after(100, monkeypatch)
    assert run(*common, "--resume").exit_code == 1
    assert done_in(partial) == kept
    assert run(*common).exit_code == 1
    assert done_in(partial) == 0

    monkeypatch.undo()
    assert run(*common, "--resume").exit_code == 0
    assert json.loads(output.read_text())["images"] == 1437
    assert not partial.exists()


def interrupt_after(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ctrl-C come when so many images are loaded."""

    class Interrupted:
        seen = 0

        def __call__(self, image: object) -> torch.Tensor:
            self.seen += 1
            if self.seen > images:
                raise KeyboardInterrupt
            return TRANSFORM(image)  # type: ignore[arg-type]

        def __repr__(self) -> str:
            return repr(TRANSFORM)

    monkeypatch.setattr("res2next.transforms.evaluation_transform", lambda preprocessing: Interrupted())


def done_in(folder: Path) -> int:
    """Return the number of images in a folder of partial results."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()[1:]]
    return sum(len(json.loads(line)["image"]) for line in lines)


def test_resume_without_a_file_is_a_usage_error(weights: Path) -> None:
    done = run("--weights", weights, "--resume")
    assert done.exit_code == 2
    assert "give the same --output again" in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named(weights: Path) -> None:
    with pytest.raises(DeviceNotAvailable, match="GPU 0 is wanted, and torch sees 0 here"):
        run("--weights", weights, "--device", "cuda")


def test_a_data_set_that_is_not_the_models_is_noted(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(name: str, path: Path | None, **options: object) -> ImageSet:
        data = digits()
        data.info = replace(data.info, name=name, read_classes=lambda: tuple("abcdefghij"))
        return data

    monkeypatch.setattr("res2next.datasets.open_dataset", opened)
    done = run("--weights", weights, "--dataset", "Others", "--device", "cpu")
    assert done.exit_code == 0
    assert "knows the classes of Digits" in done.stderr


def test_reading_a_folder_that_is_not_there_gives_nothing(tmp_path: Path) -> None:
    places, scores = read_results(tmp_path / "none", {}, digits())
    assert (len(places), len(scores)) == (0, 0)
