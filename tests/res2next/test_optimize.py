"""Optimized networks: the same logits, for all networks, sizes and batches, by oneDNN and without it."""

from __future__ import annotations

import copy
import importlib

import pytest
import torch
from torch import nn

from res2next import create_model, list_models, optimize
from res2next.datasets import open_dataset
from res2next.registry import find
from res2next.transforms import evaluation_transform

module = importlib.import_module("res2next.optimize")
torch.set_num_threads(1)


def stirred(name: str) -> nn.Module:
    """A network in which every norm tells, and each one otherwise."""
    torch.manual_seed(0)
    network = create_model(name)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.uniform_(layer.weight, 0.4, 0.8)
            nn.init.uniform_(layer.bias, -0.3, 0.3)
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.8, 1.5)
    return network


def images(name: str, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape[0], find(name).preprocessing.input_size[0], *shape[1:], generator=generator)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference, by the largest logit."""
    return ((a - b).abs().max() / a.abs().max()).item()


@pytest.fixture(params=[True, False], ids=["onednn", "plain"])
def onednn(request, monkeypatch) -> None:
    if request.param and not module.has_onednn(torch.float32):
        pytest.skip("this torch has no oneDNN operators that give the right sums")
    if not request.param:
        monkeypatch.setattr(module, "has_onednn", lambda dtype: False)


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("name", list_models())
def test_logits_are_those_of_the_network_at_any_size_and_batch(name):
    network = stirred(name).eval()
    fast = optimize(network)
    with torch.inference_mode():
        for shape in ((1, 64, 64), (3, 33, 47)):
            x = images(name, *shape)
            kept = x.clone()
            assert difference(network(x), fast(x)) < 1e-5
            assert torch.equal(x, kept)


@pytest.mark.parametrize("name", ["res2next50", "dla60_res2next", "res2net50d"])
def test_no_norm_is_left_and_the_network_itself_is_as_it_was(name):
    network = stirred(name)
    before = copy.deepcopy(network.state_dict())
    fast = optimize(network)
    assert not [layer for layer in fast.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [layer for layer in fast.modules() if isinstance(layer, module.Convolution)]
    assert network.training
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in before.items())
    network(images(name, 2, 64, 64)).sum().backward()


def test_an_optimized_network_cannot_be_trained():
    fast = optimize(create_model("res2next_tiny"))
    assert not fast.eval().training
    with pytest.raises(ValueError, match="cannot be trained"):
        fast.train()


def test_other_networks_and_numbers_are_refused():
    with pytest.raises(TypeError, match="Linear is no network of res2next"):
        optimize(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="float32 and bfloat16"):
        optimize(create_model("res2next_tiny"), dtype=torch.float16)


def test_feature_maps_come_out_the_same():
    torch.manual_seed(0)
    network = create_model("res2next50", features_only=True).eval()
    x = images("res2next50", 1, 64, 64)
    with torch.inference_mode():
        for plain, fast in zip(network(x), optimize(network)(x), strict=True):
            assert difference(plain, fast) < 1e-5


def test_counts_of_a_trained_network_stay_in_float32_and_hardly_change_in_bfloat16():
    entry = find("res2next_tiny")
    data = open_dataset("Digits", transform=evaluation_transform(entry.preprocessing))
    batch = torch.stack([data[index][0] for index in range(len(data))])
    network = create_model(entry.name, pretrained=True).eval()
    with torch.inference_mode():
        plain = network(batch)
        assert torch.equal(optimize(network)(batch).argmax(1), plain.argmax(1))
        half = optimize(network, dtype=torch.bfloat16)(batch)
        assert half.dtype == torch.float32
        assert (half.argmax(1) == plain.argmax(1)).sum() >= len(data) - 1


def test_folding_is_the_norm_after_the_convolution():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 6, 3, bias=True), nn.BatchNorm2d(6).eval()
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    assert norm.running_mean is not None
    norm.running_mean.uniform_()
    x = torch.randn(2, 4, 8, 8)
    weight, bias = module.folded(conv, norm)
    assert torch.allclose(nn.functional.conv2d(x, weight, bias), norm(conv(x)), atol=1e-5)


@pytest.mark.slow
def test_an_exported_network_gives_the_same_logits_outside_of_torch(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    network = stirred("res2next50").eval()
    module.export_onnx(network, tmp_path / "net.onnx", size=(3, 64, 64))
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    x = images("res2next50", 3, 64, 64)
    (logits,) = session.run(None, {"images": x.numpy()})
    with torch.inference_mode():
        assert difference(network(x), torch.from_numpy(logits)) < 1e-4
