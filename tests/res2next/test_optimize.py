"""Optimized networks: the same logits, for all kinds of network, sizes and batches, by oneDNN and without it."""

from __future__ import annotations

import copy
import importlib.util
import json
import platform

import pytest
import torch
from click.testing import CliRunner
from convnets import DIFFERENT, filled, narrow
from quick_digits import memory_is_kept
from torch import nn
from warm import start

from res2next import create_model
from res2next.commands.evaluate import evaluate_
from res2next.datasets import open_dataset
from res2next.evaluation import evaluate
from res2next.inference import convolution, export_onnx, optimize
from res2next.registry import find
from res2next.transforms import evaluation_transform

torch.set_num_threads(1)


def stirred(name: str) -> nn.Module:
    """A narrow network in which every norm tells, and each one otherwise."""
    return filled(lambda: narrow(name))


def images(name: str, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape[0], find(name).preprocessing.input_size[0], *shape[1:], generator=generator)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference, by the largest logit."""
    return ((a - b).abs().max() / a.abs().max()).item()


@pytest.fixture(params=[True, False], ids=["onednn", "plain"])
def convolutions(request, monkeypatch) -> None:
    if request.param and not convolution.has_onednn(torch.float32):
        pytest.skip("this torch has no oneDNN operators that give the right sums")
    if not request.param:
        monkeypatch.setattr(convolution, "has_onednn", lambda dtype: False)


@pytest.mark.usefixtures("convolutions")
@pytest.mark.parametrize("name", DIFFERENT)
def test_logits_are_those_of_the_network_at_any_size_and_batch(name):
    network = stirred(name).eval()
    fast = optimize(network)
    with torch.inference_mode():
        for shape in ((1, 64, 64), (3, 33, 47), (1, 1, 1)):
            x = images(name, *shape)
            kept = x.clone()
            assert difference(network(x), fast(x)) < 1e-5
            assert torch.equal(x, kept)


@pytest.mark.parametrize("name", ["res2next50", "dla60_res2next", "res2net50d"])
def test_logits_are_those_of_a_network_of_published_width(name):
    network = filled(lambda: create_model(name)).eval()
    x = images(name, 2, 64, 64)
    with torch.inference_mode():
        assert difference(network(x), optimize(network)(x)) < 1e-5


@pytest.mark.parametrize("name", ["res2next50", "dla60_res2next", "res2net50d"])
def test_no_norm_is_left_and_the_network_itself_is_as_it_was(name):
    network = stirred(name)
    before = copy.deepcopy(network.state_dict())
    fast = optimize(network)
    assert not [layer for layer in fast.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [layer for layer in fast.modules() if isinstance(layer, convolution.Convolution)]
    assert network.training
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in before.items())
    network(images(name, 2, 64, 64)).sum().backward()


def test_an_optimized_network_cannot_be_trained():
    fast = optimize(create_model("res2next_tiny"))
    assert not fast.eval().training
    with pytest.raises(ValueError, match="cannot be trained"):
        fast.train()


def test_other_networks_and_numbers_are_refused():
    with pytest.raises(TypeError, match="Linear is not a network of res2next"):
        optimize(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="float32 and bfloat16"):
        optimize(create_model("res2next_tiny"), dtype=torch.float16)


def test_feature_maps_come_out_the_same():
    torch.manual_seed(0)
    network = narrow("res2next50", features_only=True).eval()
    x = images("res2next50", 1, 64, 64)
    with torch.inference_mode():
        for plain, fast in zip(network(x), optimize(network)(x), strict=True):
            assert difference(plain, fast) < 1e-5


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, torch.Tensor]:
    """The network that comes trained on Digits, and the 360 images that it is evaluated on."""
    entry = find("res2next_tiny")
    data = open_dataset("Digits", transform=evaluation_transform(entry.preprocessing))
    return create_model(entry.name, pretrained=True).eval(), torch.stack([data[i][0] for i in range(len(data))])


def test_a_trained_network_gives_the_same_answers(trained):
    network, batch = trained
    with torch.inference_mode():
        assert torch.equal(optimize(network)(batch).argmax(1), network(batch).argmax(1))


@pytest.mark.usefixtures("convolutions")
def test_bfloat16_gives_the_same_answers_where_logits_are_clear(trained):
    """Clear: the two highest are further apart than a twentieth of the highest; a bfloat16 has 8 significant bits."""
    network, batch = trained
    half = optimize(network, dtype=torch.bfloat16)
    with torch.inference_mode():
        logits, found = network(batch), half(batch)
    first, second = logits.topk(2).values.unbind(1)
    clear = first - second > first / 20
    assert clear.sum() > 340
    assert found.dtype == torch.float32
    assert torch.equal(found.argmax(1)[clear], logits.argmax(1)[clear])
    assert 0 < difference(logits, found) < 0.05


@pytest.mark.usefixtures("convolutions")
def test_weights_that_are_loaded_later_are_those_that_compute(trained):
    network, batch = trained
    fast = optimize(create_model("res2next_tiny"))
    with torch.inference_mode():
        fast(batch)  # packs the weights for this size
        fast.load_state_dict(optimize(network).state_dict())
        assert difference(network(batch), fast(batch)) < 1e-5


def test_bfloat16_warns_on_a_processor_that_has_no_instructions_for_it(monkeypatch, recwarn):
    network = create_model("res2next_tiny")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "amx_bf16": False}, raising=False)
    optimize(network, dtype=torch.bfloat16)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "avx2": True}, raising=False)
    optimize(network)
    assert not recwarn.list
    with pytest.warns(UserWarning, match="has no bfloat16 instructions"):
        optimize(network, dtype=torch.bfloat16)


# --- Evaluation ---


def test_an_evaluation_counts_the_same_with_and_without():
    data = open_dataset("Digits", transform=evaluation_transform(find("res2next_tiny").preprocessing))
    network = create_model("res2next_tiny.digits", pretrained=True)
    fast, plain = evaluate(network, data), evaluate(network, data, optimized=False)
    assert fast.close_calls == 0
    assert (fast.top1, fast.top5, fast.confusion) == (plain.top1, plain.top5, plain.confusion)
    assert fast.loss == pytest.approx(plain.loss, rel=1e-5)


def test_an_optimized_network_is_evaluated_and_recorded_as_what_it_computes_in():
    data = open_dataset("Digits", transform=evaluation_transform(find("res2next_tiny").preprocessing))
    network = create_model("res2next_tiny.digits", pretrained=True)
    half = evaluate(optimize(network, dtype=torch.bfloat16), data)
    assert half.precision == "bfloat16"
    assert abs(half.top1 - evaluate(network, data).top1) <= 1


def test_the_command_evaluates_optimized_networks_unless_told_not_to(monkeypatch):
    calls = []
    monkeypatch.setattr("res2next.evaluation.scoring.optimize", lambda model: calls.append(model) or optimize(model))
    runs = [CliRunner().invoke(evaluate_, ["res2next_tiny", "--json", *more]) for more in ([], ["--no-optimize"])]
    assert [run.exit_code for run in runs] == [0, 0]
    assert len(calls) == 1
    fast, plain = (json.loads(run.stdout) for run in runs)
    assert (fast["top1"], fast["top5"], fast["confusion"]) == (plain["top1"], plain["top5"], plain["confusion"])


# --- Parts ---


def test_folding_is_the_norm_after_the_convolution():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 6, 3, bias=True), nn.BatchNorm2d(6).eval()
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    assert norm.running_mean is not None
    norm.running_mean.uniform_()
    x = torch.randn(2, 4, 8, 8)
    weight, bias = convolution.fold_norm(conv, norm)
    assert torch.allclose(nn.functional.conv2d(x, weight, bias), norm(conv(x)), atol=1e-5)


def test_operators_that_give_other_sums_are_not_used(monkeypatch):
    if not convolution.has_onednn(torch.float32):
        pytest.skip("this torch has no oneDNN operators that give the right sums")
    monkeypatch.setattr(convolution.OneDnnConvolution, "forward_add", lambda self, x, shortcut: shortcut)
    assert not convolution.has_onednn.__wrapped__(torch.float32)


def test_memory_is_kept_where_the_c_library_is_that_of_gnu(tmp_path):
    start(memory_is_kept, tmp_path / "kept").join()
    assert (tmp_path / "kept").read_text() == str(platform.libc_ver()[0] == "glibc")


# --- ONNX ---


def test_networks_that_cannot_be_exported_are_reported_and_leave_no_file(tmp_path):
    for network in (nn.Linear(2, 2), optimize(create_model("res2next_tiny"))):
        with pytest.raises(TypeError, match="is not a network of res2next: export_onnx takes"):
            export_onnx(network, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_an_export_without_the_package_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'cardproof\[export\]'"):
        export_onnx(create_model("res2next_tiny"), tmp_path / "net.onnx")


@pytest.mark.parametrize("name", ["res2next50", "dla60_res2next", "res2net50d", "res2next_small"])
def test_an_exported_network_gives_the_same_logits_outside_of_torch(name, tmp_path):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    network = stirred(name).eval()
    x = images(name, 3, 64, 64)
    export_onnx(network, tmp_path / "net.onnx", size=tuple(x.shape[1:]))
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": x.numpy()})
    with torch.inference_mode():
        assert difference(network(x), torch.from_numpy(logits)) < 1e-4
