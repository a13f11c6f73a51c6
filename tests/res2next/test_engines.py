"""Engines and streams: the same counts to the image, whatever computes them and however many batches at a time."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import record_fashion_mnist
import torch
from click.testing import CliRunner
from quick_digits import MODEL, digits
from torch import nn

from res2next import create_model
from res2next.classification import load_classifier
from res2next.commands import ENGINE
from res2next.commands.classify import classify_
from res2next.commands.evaluate import CALIBRATION, calibration_indices, evaluate_
from res2next.datasets import open_dataset
from res2next.datasets.arrays import ArrayImages
from res2next.datasets.base import CorruptImage, DataSetNotFound
from res2next.errors import EngineNotAvailable, ExportFailed
from res2next.evaluation import Evaluation, OtherEvaluation, UndecodableImages, evaluate, scoring
from res2next.evaluation.scoring import DeviceSettings, most_streams
from res2next.inference import CHOICES, Exported, choose_engine, optimize, quantize
from res2next.registry import find
from res2next.transforms import evaluation_transform

if TYPE_CHECKING:
    from res2next.evaluation.metrics import Scores

torch.set_num_threads(1)

ROOT = Path(__file__).parents[2]

ENGINES = ("onnxruntime", "openvino")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param != "torch":
        pytest.importorskip("onnx", reason="exports networks: the extra export")
        pytest.importorskip(request.param, reason="the engine: the extra export")
    return str(request.param)


@pytest.fixture
def two_threads() -> None:
    """Two threads of torch, so that there is something to choose."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def same_counts(one: Evaluation, other: Evaluation) -> bool:
    return (one.top1, one.top5, one.confusion) == (other.top1, other.top5, other.confusion)


# --- Engines ---


@pytest.fixture(scope="module")
def by_torch() -> Evaluation:
    return evaluate(create_model(MODEL, pretrained=True), digits())


def test_an_engine_counts_digits_as_torch_does(engine: str, by_torch: Evaluation) -> None:
    result = evaluate(create_model(MODEL, pretrained=True), digits(), engine=engine)
    assert same_counts(result, by_torch)
    assert (result.images, result.engine, result.precision) == (360, engine, "float32")


@pytest.fixture(scope="module")
def garments() -> ArrayImages:
    entry = find("res2next_small")
    try:
        data = open_dataset(entry.dataset, transform=evaluation_transform(entry.preprocessing))
    except DataSetNotFound as missing:
        pytest.skip(str(missing))
    assert isinstance(data, ArrayImages)
    return data


def test_what_is_recorded_of_fashion_mnist_by_torch_is_the_evidence(garments: ArrayImages) -> None:
    (evidence,) = json.loads((ROOT / "docs/evidence/res2next_small.json").read_text())["evaluations"]
    recorded = record_fashion_mnist.read()
    ranks = [int(rank) for rank in recorded.rank]
    pairs = Counter(zip(garments.labels, map(int, recorded.predicted), strict=True))
    assert recorded.weights == evidence["weights"]
    assert len(ranks) == evidence["images"] == 10_000
    assert (ranks.count(0), sum(rank < 5 for rank in ranks)) == (evidence["top1"], evidence["top5"])
    rows = [" ".join(str(pairs[label, answer]) for answer in range(10)) for label in range(10)]
    assert rows == evidence["confusion"]


@pytest.mark.parametrize("engine", ("torch", *ENGINES), indirect=True)
def test_an_engine_computes_fashion_mnist_as_torch_did(engine: str, garments: ArrayImages) -> None:
    """Those images whose logits are the closest, which would be the first to change, and one in forty of all."""
    recorded, data = record_fashion_mnist.read(), copy.copy(garments)
    places = sorted({*recorded.closest, *range(0, 10_000, 40)})
    data.pixels, data.labels = data.pixels[places], [data.labels[place] for place in places]
    found: list[Scores] = []
    evaluate(create_model("res2next_small", pretrained=True), data, engine=engine, predictions=found.append)
    assert "".join(map(str, found[0].predicted)) == "".join(recorded.predicted[place] for place in places)
    assert "".join(map(str, found[0].rank)) == "".join(recorded.rank[place] for place in places)


def test_logits_are_those_of_torch_for_any_batch_and_any_size(engine: str) -> None:
    network = create_model("res2next_small", pretrained=True).eval()
    exported = Exported(network, engine)
    with torch.inference_mode():
        for shape in ((1, 1, 28, 28), (3, 1, 28, 28), (2, 1, 36, 28)):
            images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            expected = network(images)
            # in bfloat16, which OpenVINO takes where a processor has it, the third digit is another
            assert (exported(images) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_any_network_that_gives_logits_is_computed(engine: str) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    assert same_counts(evaluate(network, digits(), engine=engine), evaluate(network, digits()))


def test_classify_gives_the_probabilities_of_torch(engine: str) -> None:
    classifier = load_classifier(MODEL)
    image, _ = open_dataset("Digits")[0]
    for one, other in zip(classifier.by_engine(engine).classify(image), classifier.classify(image), strict=True):
        assert (one.name, one.index) == (other.name, other.index)
        assert one.probability == pytest.approx(other.probability, abs=1e-5)


def test_the_command_classify_has_engines(engine: str, tmp_path: Path) -> None:
    image, label = open_dataset("Digits")[0]
    image.save(tmp_path / "digit.png")
    run = [str(tmp_path / "digit.png"), "--model", MODEL, "--json", "--top", "1", "--engine", engine]
    done = CliRunner().invoke(classify_, run)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["predictions"][0]["index"] == label


def test_partial_results_of_another_engine_are_refused(engine: str, tmp_path: Path) -> None:
    network = create_model(MODEL, pretrained=True)
    evaluate(network, digits(), partial=tmp_path)
    with pytest.raises(OtherEvaluation, match="with another engine"):
        evaluate(network, digits(), partial=tmp_path, engine=engine)


def test_the_command_writes_which_engine_computed(engine: str) -> None:
    done = CliRunner().invoke(evaluate_, [MODEL, "--engine", engine, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["engine"] == engine


def test_mixed_precision_is_torch_s() -> None:
    done = CliRunner().invoke(evaluate_, [MODEL, "--engine", "openvino", "--amp"])
    assert done.exit_code == 2
    assert "leave out --engine openvino" in done.output
    assert evaluate(create_model(MODEL, pretrained=True), digits(), engine="auto", amp=True).engine == "torch"


def test_a_network_of_shorter_floats_is_refused(engine: str) -> None:
    with pytest.raises(ValueError, match="computes in float32, and the network is not"):
        Exported(create_model(MODEL).bfloat16(), engine)
    with pytest.raises(ValueError, match="computes in float32, and not in bfloat16"):
        evaluate(create_model(MODEL).bfloat16(), digits(), engine=engine)


class OfOneImage(nn.Module):
    """A network whose export, of one image, gives other logits for more images, without an error."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.linear(images.flatten(1))
        return -logits if len(images) > 1 else logits


class Views(OfOneImage):
    """A network whose export has the number of images in it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.linear(images.reshape(len(images), -1))
        return logits


@pytest.mark.parametrize("network", [OfOneImage(), Views()])
def test_a_network_that_is_another_once_exported_gets_no_counts(engine: str, network: nn.Module) -> None:
    with pytest.raises(ExportFailed, match=f"exported.* by {engine}"):
        evaluate(network, digits(), engine=engine)


def test_a_network_that_cannot_be_exported_is_named(engine: str) -> None:
    with pytest.raises(ExportFailed, match=r"Optimized cannot be exported to ONNX \(.*export the network that it was"):
        evaluate(optimize(create_model(MODEL)), digits(), engine=engine)
    with pytest.raises(ExportFailed, match="Optimized cannot be exported"):
        load_classifier(MODEL).optimized().by_engine(engine).classify(open_dataset("Digits")[0][0])


def test_the_telemetry_of_onnxruntime_is_off() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_only_exported_networks_have_engines_of_them() -> None:
    with pytest.raises(ValueError, match="choose openvino or onnxruntime"):
        Exported(create_model(MODEL), "torch")


def test_a_missing_package_is_named_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineNotAvailable, match=r"packages onnx and openvino: pip install 'cardproof\[export\]'"):
        evaluate(create_model(MODEL), digits(), engine="openvino")
    assert choose_engine("auto") == "torch"


def test_the_first_engine_that_is_there_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"onnx", "onnxruntime", "openvino"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in there else None)
    assert choose_engine("auto") == "openvino"
    there.remove("openvino")
    assert choose_engine("auto") == "onnxruntime"
    assert choose_engine("auto", "cuda") == "torch"
    with pytest.raises(EngineNotAvailable, match="computes on a CPU, and not on cuda"):
        choose_engine("onnxruntime", "cuda")
    with pytest.raises(ValueError, match="is not an engine"):
        choose_engine("tensorrt")


def test_commands_offer_the_engines_that_there_are() -> None:
    (option,) = ENGINE(evaluate_.callback).__click_params__
    assert tuple(option.type.choices) == CHOICES


# --- Streams ---


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("number", [2, 3])
def test_streams_count_each_image_once(number: int, by_torch: Evaluation) -> None:
    result = evaluate(create_model(MODEL, pretrained=True), digits(), streams=number, batch_size=7)
    assert same_counts(result, by_torch)
    assert result.streams == number
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_both_ways_are_tried_on_images_that_count(monkeypatch: pytest.MonkeyPatch, by_torch: Evaluation) -> None:
    monkeypatch.setattr(scoring, "SHARE", 1)
    tried: list[tuple[int, int]] = []
    network = create_model(MODEL, pretrained=True)

    class Watched(type(network)):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tried.append((len(images), torch.get_num_threads()))
            return super().forward(images)

    network.__class__ = Watched
    result = evaluate(network, digits(), optimized=False)
    assert same_counts(result, by_torch)
    # in each of three rounds a batch by two threads, and two halves of one by a thread each
    assert tried[: 3 * scoring.ROUNDS] == [(16, 2), (8, 1), (8, 1)] * scoring.ROUNDS
    assert sum(images for images, _ in tried) == 360


@pytest.mark.usefixtures("two_threads")
def test_few_images_are_not_tried_with(by_torch: Evaluation) -> None:
    result = evaluate(create_model(MODEL, pretrained=True), digits())
    assert result.streams == 1
    assert same_counts(result, by_torch)


@pytest.mark.usefixtures("two_threads")
def test_a_foreign_network_is_not_called_by_two_threads() -> None:
    here = DeviceSettings.of(nn.Linear(1, 1), torch.device("cpu"), False)
    assert most_streams(nn.Linear(1, 1), here, "torch") == 1
    assert most_streams(nn.Linear(1, 1), here, "openvino") == most_streams(create_model(MODEL), here, "torch") == 2
    mixed = DeviceSettings.of(nn.Linear(1, 1), torch.device("cpu"), True)
    assert most_streams(create_model(MODEL), mixed, "torch") == 1


@pytest.mark.parametrize("wrong", [{"streams": 0}, {"streams": 2, "batch_size": -1}, {"batch_size": 0}])
def test_numbers_below_one_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        evaluate(create_model(MODEL), digits(), **wrong)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("share", [1, 8])
@pytest.mark.parametrize("damaged", [{0, *range(20, 40), 359}, {*range(32)}], ids=["some", "both first trials"])
def test_images_that_cannot_be_decoded_are_listed_at_the_end(
    monkeypatch: pytest.MonkeyPatch, share: int, damaged: set[int]
) -> None:
    monkeypatch.setattr(scoring, "SHARE", share)
    data = digits()
    whole = data.image

    def image(index: int) -> object:
        if index in damaged:
            raise CorruptImage(f"image {index}")
        return whole(index)

    monkeypatch.setattr(data, "image", image)
    with pytest.raises(UndecodableImages) as caught:
        evaluate(create_model(MODEL, pretrained=True), data, streams=2 if share == 8 else None)
    assert caught.value.messages == tuple(f"image {index}" for index in sorted(damaged))


@pytest.mark.usefixtures("two_threads")
def test_an_interrupt_leaves_no_thread_and_what_was_written_counts(
    tmp_path: Path, by_torch: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("res2next.evaluation.partial_results.CHUNK", 32)
    network, before = create_model(MODEL, pretrained=True), threading.active_count()

    def interrupt(done: int, total: int) -> None:
        if done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(network, digits(), streams=2, progress=interrupt, partial=tmp_path)
    assert (threading.active_count(), torch.get_num_threads()) == (before, 2)
    seen: list[int] = []
    result = evaluate(network, digits(), partial=tmp_path, progress=lambda done, total: seen.append(total))
    assert 0 < seen[0] <= 360 - 96
    assert same_counts(result, by_torch)


@pytest.mark.usefixtures("two_threads")
def test_an_optimized_network_may_be_called_by_several_threads() -> None:
    network = optimize(create_model(MODEL, pretrained=True))
    data = digits()
    images = torch.stack([data[index][0] for index in range(5)])
    expected = [network(images[: 1 + number]) for number in range(5)]
    with scoring._pool(4) as pool:  # another size each: weights are packed again and again
        found = list(pool.map(network, [images[: 1 + number] for number in range(5)] * 10))
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(found, expected * 10, strict=True))


# --- int8 ---


def test_int8_costs_few_of_digits_and_says_so(engine: str, by_torch: Evaluation) -> None:
    pytest.importorskip("onnxruntime", reason="quantizes: the extra export")
    training = digits("train")
    batches = torch.stack([training[index][0] for index in range(256)]).split(64)
    network = quantize(create_model(MODEL, pretrained=True), batches, engine)
    result = evaluate(network, digits())
    assert (result.precision, result.engine) == ("int8", engine)
    assert abs(result.top1 - by_torch.top1) <= 4
    assert result.loss != by_torch.loss
    other = evaluate(network, digits(), streams=2)
    assert same_counts(result, other)
    with pytest.raises(ValueError, match=r"for images of \(1, 8, 8\), and these are of \(1, 16, 16\)"):
        network(torch.zeros(1, 1, 16, 16))


def test_int8_is_calibrated_on_images_that_are_not_evaluated() -> None:
    pytest.importorskip("onnxruntime", reason="quantizes: the extra export")
    run = CliRunner().invoke
    done = run(evaluate_, [MODEL, "--engine", "onnxruntime", "--int8", "--split", "train"])
    assert done.exit_code == 2
    assert "needs training images that are not evaluated" in done.output
    done = run(evaluate_, [MODEL, "--engine", "onnxruntime", "--int8", "--json"])
    assert json.loads(done.stdout)["precision"] == "int8"
    assert "add --engine auto" in run(evaluate_, [MODEL, "--int8"]).output
    with pytest.raises(ValueError, match="some of the training set"):
        quantize(create_model(MODEL), [], "onnxruntime")


def test_int8_is_calibrated_on_images_from_all_parts_of_the_set() -> None:
    for images in (257, 511, 1437, 60_000):
        places = calibration_indices(images)
        steps = [after - before for before, after in zip(places, [*places[1:], images], strict=True)]
        assert (len(places), places[0]) == (CALIBRATION, 0)
        assert max(steps) - min(steps) <= 1
    assert calibration_indices(3) == [0, 1, 2]


def test_int8_on_a_gpu_is_refused() -> None:
    done = CliRunner().invoke(evaluate_, [MODEL, "--engine", "auto", "--int8", "--device", "cuda"])
    assert done.exit_code == 2
    assert "--int8 computes on a CPU, and not on cuda" in done.output


def test_partial_results_of_int8_are_those_of_the_same_ranges(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="quantizes: the extra export")
    network, training = create_model(MODEL, pretrained=True), digits("train")
    images = torch.stack([training[index][0] for index in range(64)])
    evaluate(quantize(network, [images], "onnxruntime"), digits(), partial=tmp_path)
    with pytest.raises(OtherEvaluation, match="with another network"):
        evaluate(quantize(network, [2 * images], "onnxruntime"), digits(), partial=tmp_path)
