"""Networks in use: on devices, in types, layouts and compilers; traced, cut, with another head, loaded from the hub."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import timm
import torch
import torch._inductor.config
from convnets import CLASSES, filled, narrow
from timm.data import resolve_data_config
from torch import nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.feature_extraction import create_feature_extractor

import res2next
from res2next import create_model, list_models
from res2next.dla import Dla, DlaVariant
from res2next.model import Res2Block, Res2Net, Variant, stage_strides, strided_shortcut

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


# --- What people do with a network ---


KINDS = ("res2next50", "res2net50d", "dla60_res2net")
X = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    return {name: narrow(name).eval() for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_a_network_can_be_traced_symbolically(networks, name) -> None:
    traced = torch.fx.symbolic_trace(networks[name])
    with torch.inference_mode():
        assert torch.equal(traced(X), networks[name](X))


@pytest.mark.parametrize(
    ("name", "nodes"),
    [("res2next50", ["layer2", "layer4"]), ("dla60_res2net", ["level3.tree2.root.relu", "level5.root.relu"])],
)
def test_torchvision_cuts_features_out_of_a_network(networks, name, nodes) -> None:
    extractor = create_feature_extractor(networks[name], dict(zip(nodes, nodes, strict=True)))
    with torch.inference_mode():
        found = extractor(X)
        maps = networks[name].feature_maps(X)
    for node, expected in zip(nodes, (maps[-3], maps[-1]), strict=True):
        torch.testing.assert_close(found[node], expected)


def test_a_block_can_be_scripted() -> None:
    block = Res2Block(8, 8, width=2, scale=4).eval()
    x = torch.randn(2, 8, 8, 8)
    torch.testing.assert_close(torch.jit.script(block)(x), block(x))


def test_a_network_can_be_exported(networks) -> None:
    exported = torch.export.export(networks["res2next50"], (X,)).module()
    with torch.inference_mode():
        torch.testing.assert_close(exported(X), networks["res2next50"](X))


def test_a_network_is_the_backbone_of_torchvisions_feature_pyramid(networks) -> None:
    layers = {f"layer{number}": str(number) for number in (1, 2, 3, 4)}
    pyramid = BackboneWithFPN(networks["res2next50"], layers, [64, 128, 256, 512], 16)
    with torch.inference_mode():
        sides = {name: tuple(maps.shape[1:]) for name, maps in pyramid(X).items()}
    assert sides == {"1": (16, 16, 16), "2": (16, 8, 8), "3": (16, 4, 4), "4": (16, 2, 2), "pool": (16, 1, 1)}


@pytest.mark.parametrize(
    ("name", "strides"), [("res2next50", [8, 32]), ("res2net50d", [8, 32]), ("dla60_res2net", [4, 16])]
)
def test_feature_maps_are_selected_by_timms_indices(name, strides) -> None:
    with torch.device("meta"):
        network = create_model(name, features_only=True, out_indices=(2, 4))
        theirs = timm.create_model(name, features_only=True, out_indices=(2, 4))
        shapes = [tuple(found.shape[1:]) for found in network(torch.empty(1, 3, 64, 64))]
    assert [info.stride for info in network.feature_info] == strides == theirs.feature_info.reduction()
    assert [info.channels for info in network.feature_info] == theirs.feature_info.channels()
    assert shapes == [(info.channels, 64 // info.stride, 64 // info.stride) for info in network.feature_info]


def test_negative_indices_count_from_the_end_and_wrong_ones_are_refused() -> None:
    with torch.device("meta"):
        assert [
            info.stride for info in create_model("res2next50", features_only=True, out_indices=(-1, 1)).feature_info
        ] == [4, 32]
        for wrong in ((5,), (-6,), (1, 1), ()):
            with pytest.raises(ValueError, match="out_indices is"):
                create_model("res2next50", features_only=True, out_indices=wrong)
        with pytest.raises(ValueError, match="features_only"):
            create_model("res2next50", out_indices=(1,))


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("name", ["res2next50", "res2net50d"])
def test_a_dilated_network_gives_timms_feature_map(name, stride) -> None:
    widths = (64, 80, 96, 112)  # timm's stem always has 64 channels
    theirs = timm.create_model(name, output_stride=stride, channels=widths, layers=(2, 2, 2, 2), num_classes=CLASSES)
    theirs.eval()
    ours = narrow(name, output_stride=stride, widths=widths).eval()
    ours.load_state_dict(theirs.state_dict())
    with torch.inference_mode():
        found, expected = ours.forward_features(X), theirs.forward_features(X)
    assert found.shape[-1] == 64 // stride
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_strides_become_dilations_beyond_the_output_stride() -> None:
    plain = [(each.stride, each.first_dilation, each.dilation, each.reduction) for each in stage_strides(4, 4, 32)]
    assert plain == [(1, 1, 1, 4), (2, 1, 1, 8), (2, 1, 1, 16), (2, 1, 1, 32)]
    dilated = [(each.stride, each.first_dilation, each.dilation, each.reduction) for each in stage_strides(4, 4, 8)]
    assert dilated == [(1, 1, 1, 4), (2, 1, 1, 8), (1, 1, 2, 8), (1, 2, 4, 8)]
    with pytest.raises(ValueError, match="output_stride is 12: it can be 4, 8, 16, 32"):
        stage_strides(4, 4, 12)


def test_a_dla_has_neither_output_stride_nor_stochastic_depth() -> None:
    for option in ({"output_stride": 8}, {"drop_path_rate": 0.1}):
        with pytest.raises(ValueError, match="dla60_res2net has neither"):
            create_model("dla60_res2net", **option)


@pytest.mark.parametrize("name", KINDS)
def test_a_head_can_be_replaced_and_used_alone(name) -> None:
    network = narrow(name).eval()
    network.reset_classifier(7)
    features = network.forward_features(X)
    assert network.num_classes == 7
    assert network.get_classifier() is network.fc
    assert network(X).shape == (2, 7)
    torch.testing.assert_close(network.forward_head(features), network(X))
    torch.testing.assert_close(network.forward_head(features, pre_logits=True), features.mean(dim=(2, 3)))
    network.reset_classifier(0)
    torch.testing.assert_close(network(X), features.mean(dim=(2, 3)))


def test_stochastic_depth_grows_evenly_and_acts_in_training_only() -> None:
    network = create_model("res2next_tiny", drop_path_rate=0.5)
    rates = [getattr(m.drop_path, "p", 0.0) for m in network.modules() if isinstance(m, Res2Block)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    x = torch.randn(4, 1, 8, 8)
    plain = create_model("res2next_tiny")
    plain.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(x), plain.eval()(x))


def test_stochastic_depth_leaves_out_the_branch_of_an_image() -> None:
    block = Res2Block(8, 16, width=2, scale=2, downsample=strided_shortcut(8, 16, 1), drop_path=0.5).train()
    torch.manual_seed(0)
    left_out = (block.residual(torch.randn(400, 8, 4, 4)) == 0).flatten(1).all(1).float().mean()
    assert 0.4 < left_out < 0.6


@pytest.mark.parametrize("name", KINDS)
def test_dropout_acts_before_the_head_in_training_only(name) -> None:
    network = create_model(name, drop_rate=0.5)
    features = torch.ones(1, network.num_features, 2, 2)
    dropped = network.train().forward_head(features, pre_logits=True)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert set(network.eval().forward_head(features, pre_logits=True).unique().tolist()) == {1.0}


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_that_is_not_a_probability_is_refused(rate) -> None:
    for name in ("drop_rate", "drop_path_rate"):
        with pytest.raises(ValueError, match=f"{name} is"):
            create_model("res2next_tiny", **{name: rate})


def test_models_are_listed_by_a_pattern() -> None:
    assert list_models("*50*") == tuple(name for name in list_models() if "50" in name)
    assert len(list_models("*50*")) == 7
    assert list_models("dla*") == ("dla60_res2net", "dla60_res2next")
    assert list_models("nothing") == ()


def test_the_package_has_the_version_of_its_distribution() -> None:
    from cardproof import __version__

    assert res2next.__version__ == __version__
    assert "__version__" in dir(res2next)


@pytest.mark.parametrize(("name", "interpolation"), [("res2next50", "bilinear"), ("res2next_tiny", "bilinear")])
def test_timm_prepares_images_as_the_registry_says(name, interpolation) -> None:
    with torch.device("meta"):
        found = resolve_data_config(model=create_model(name))
    wants = res2next.registry.find(name).preprocessing
    assert found["interpolation"] == interpolation == wants.interpolation
    assert (found["input_size"], found["crop_pct"], found["mean"], found["std"]) == (
        wants.input_size,
        wants.crop_pct,
        wants.mean,
        wants.std,
    )


def test_the_hub_builds_every_network() -> None:
    root = str(Path(__file__).parents[2])
    module = torch.hub._import_module("hubconf", str(Path(root, "hubconf.py")))
    assert {name for name, value in vars(module).items() if callable(value) and name[0] != "_"} == {*list_models()}
    network = torch.hub.load(root, "res2next_tiny", source="local", pretrained=True)
    assert torch.equal(network.fc.weight, create_model("res2next_tiny", pretrained=True).fc.weight)
