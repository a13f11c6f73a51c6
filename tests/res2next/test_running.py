"""Where and how the networks run: devices, types, layouts, compilers, sizes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
import torch._inductor.config
from convnets import filled
from narrow import narrow
from torch import nn

from res2next import create_model
from res2next.dla import Dla, DlaVariant
from res2next.model import Res2Net, Variant

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = ("res2next50", "dla60_res2next")
"""One network of each kind; the others differ in numbers only."""


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=SMALL)
def network(request: pytest.FixtureRequest) -> nn.Module:
    return filled(lambda: narrow(request.param)).eval().requires_grad_(False)


def short() -> Res2Net:
    """Both kinds of block, and few of them: compilers are slow on long networks."""
    torch.manual_seed(0)
    variant = Variant("short", (2, 1), base_width=4, scale=3, cardinality=8, widths=(16, 32))
    return Res2Net(variant, num_classes=3)


def short_dla() -> Dla:
    """Trees of both kinds, and small ones."""
    torch.manual_seed(0)
    channels, depths = (4, 8, 32, 32, 32, 32), (1, 2, 1, 1)
    variant = DlaVariant("short", base_width=4, cardinality=8, scale=3, channels=channels, depths=depths)
    return Dla(variant, num_classes=3)


short_ones = pytest.mark.parametrize("build", [short, short_dla])


@pytest.mark.parametrize("name", SMALL)
def test_a_network_trains_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        logits = create_model(name)(torch.empty(2, 3, 96, 64))
        logits.sum().backward()
    assert logits.shape == (2, 1000)
    assert logits.device.type == "meta"


def test_a_network_made_on_meta_becomes_real_with_loaded_weights(network: nn.Module) -> None:
    real = copy.deepcopy(network).to("meta").to_empty(device="cpu")
    real.load_state_dict(network.state_dict(), strict=True)
    x = images(1, 3, 64, 64)
    assert torch.equal(real(x), network(x))


@short_ones
def test_an_exported_network_takes_any_batch_and_size(build: Callable[[], nn.Module]) -> None:
    network = build().eval().requires_grad_(False)
    dynamic = {"x": {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}}
    program = torch.export.export(network, (images(2, 3, 64, 96),), dynamic_shapes=dynamic, strict=False)
    other = images(3, 3, 95, 70)
    torch.testing.assert_close(program.module()(other), network(other))


@short_ones
def test_a_network_compiles_without_a_graph_break(build: Callable[[], nn.Module]) -> None:
    network = build().eval().requires_grad_(False)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    x = images(2, 3, 64, 64)
    torch.testing.assert_close(compiled(x), network(x))


@pytest.mark.slow
def test_a_training_step_of_both_kinds_of_block_has_the_same_gradients_when_compiled() -> None:
    eager = short().layer1
    compiled_from = copy.deepcopy(eager)
    x = images(4, 16, 8, 8)
    eager(x).square().sum().backward()
    torch.compile(compiled_from, backend="aot_eager", fullgraph=True)(x).square().sum().backward()
    compiled = dict(compiled_from.named_parameters())
    for name, parameter in eager.named_parameters():
        torch.testing.assert_close(compiled[name].grad, parameter.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_inductor_gives_the_same_values_of_both_kinds_of_block() -> None:
    stage = short().eval().requires_grad_(False).layer1
    x = images(1, 16, 8, 8)
    # other threads would import torch first; the headers for vectors, and asking the compiler for each kind of them
    # whether it has it, take three quarters of the time
    with torch._inductor.config.patch({"compile_threads": 1, "cpp.simdlen": 0, "cpp.vec_isa_ok": False}):
        torch.testing.assert_close(torch.compile(stage)(x), stage(x), rtol=1e-4, atol=1e-4)


def test_channels_last_gives_the_same_logits(network: nn.Module) -> None:
    x = images(2, 3, 64, 64)
    turned = copy.deepcopy(network).to(memory_format=torch.channels_last)
    last = turned.forward_features(x.to(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(turned(x.to(memory_format=torch.channels_last)), network(x), rtol=1e-4, atol=1e-4)


def test_bfloat16_stays_bfloat16_and_near_the_float32_logits(network: nn.Module) -> None:
    x = images(2, 3, 64, 64)
    expected = network(x)
    logits = copy.deepcopy(network).to(torch.bfloat16)(x.to(torch.bfloat16))
    assert logits.dtype == torch.bfloat16
    assert float((logits.float() - expected).norm() / expected.norm()) < 0.1


@pytest.mark.parametrize("height", [1, 31, 33, 50])
@pytest.mark.parametrize("width", [1, 65])
def test_a_side_of_any_length_leaves_a_32nd_rounded_up(network: nn.Module, height: int, width: int) -> None:
    x = images(1, 3, height, width)
    last = network.forward_features(x)
    assert last.shape == (1, network.num_features, -(-height // 32), -(-width // 32))
    assert bool(network(x).isfinite().all())


def test_the_d_stem_takes_odd_sides_too() -> None:
    network = narrow("res2net50d").eval()
    with torch.no_grad():
        assert network.forward_features(images(1, 3, 33, 47)).shape == (1, 512, 2, 2)


def test_training_on_one_value_per_channel_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        narrow("res2next50")(images(1, 3, 32, 32))


def test_the_image_of_a_batch_does_not_change_its_neighbour(network: nn.Module) -> None:
    x = images(2, 3, 64, 64)
    torch.testing.assert_close(network(x)[:1], network(x[:1]), rtol=1e-4, atol=1e-5)


def test_the_input_is_left_as_it_was(network: nn.Module) -> None:
    x = images(1, 3, 64, 64)
    before = x.clone()
    network(x)
    assert torch.equal(x, before)
