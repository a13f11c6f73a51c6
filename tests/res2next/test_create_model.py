"""What create_model gives, what it says when it gives nothing, and counts on the meta device."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.error import URLError

import pytest
import torch
from convnets import flop_counter_multiply_adds, narrow
from torch import nn

from res2next import UnknownModel, WeightsNotAvailable, create_model, list_models
from res2next.model import Res2Branch
from res2next.registry import find
from res2next.variants import BY_NAME

if TYPE_CHECKING:
    from pathlib import Path


CHANNELS = {"res2net": (64, 256, 512, 1024, 2048), "dla60": (32, 128, 256, 512, 1024)}
KINDS = ("res2next50", "res2net50d", "dla60_res2net")


def test_the_models_are_the_rows_of_the_tables_in_their_order() -> None:
    assert list_models() == tuple(BY_NAME)
    assert list_models()[0] == "res2next50"


@pytest.mark.parametrize("name", KINDS)
def test_the_head_has_as_many_classes_as_asked_for(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name, num_classes=5).eval()
        assert network.num_classes == 5
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("name", KINDS)
def test_no_classes_means_no_head_and_pooled_features(name: str) -> None:
    network = create_model(name, num_classes=0).eval()
    assert not any(key.startswith("fc.") for key in network.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network.forward_features(x).mean(dim=(2, 3)))
    assert network.num_features == network(x).shape[1]


@pytest.mark.parametrize("name", KINDS)
def test_images_may_have_other_than_three_channels(name: str) -> None:
    network = create_model(name, num_classes=2, in_chans=1).eval()
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 2)
    with pytest.raises(RuntimeError, match="to have 1 channels, but got 3 channels"):
        network(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("name", KINDS)
def test_feature_maps_have_the_channels_and_strides_that_feature_info_says(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name, features_only=True)
        maps = network(torch.empty(2, 3, 64, 96))
    assert [(info.channels, info.stride) for info in network.feature_info] == [
        (maps[i].shape[1], 64 // maps[i].shape[2]) for i in range(5)
    ]
    assert [tuple(m.shape[2:]) for m in maps] == [(64 // s, 96 // s) for s in (2, 4, 8, 16, 32)]
    kind = "dla60" if name.startswith("dla60") else "res2net"
    assert tuple(info.channels for info in network.feature_info) == CHANNELS[kind]
    assert all(network.get_submodule(info.module) is not None for info in network.feature_info)


@pytest.mark.parametrize("name", list_models())
def test_a_feature_extractor_has_the_classifiers_state_dict_without_the_head(name: str) -> None:
    with torch.device("meta"):
        classifier, extractor = create_model(name), create_model(name, features_only=True)
    expected = [key for key in classifier.state_dict() if not key.startswith("fc.")]
    assert list(extractor.state_dict()) == expected


def test_the_small_networks_have_a_feature_map_for_each_of_their_three_stages() -> None:
    expected = {
        # name: (channels, stride) of the stem and of each stage
        "res2next_tiny": [(8, 1), (32, 1), (64, 2), (128, 4)],
        "res2next_small": [(16, 1), (64, 1), (128, 2), (256, 4)],
    }
    for name, maps in expected.items():
        with torch.device("meta"):
            network = create_model(name, features_only=True)
            found = network(torch.empty(2, 1, 32, 16))
        assert [(info.channels, info.stride) for info in network.feature_info] == maps
        assert [tuple(one.shape) for one in found] == [(2, c, 32 // stride, 16 // stride) for c, stride in maps]


def test_classes_and_channels_are_those_of_the_registrys_entry_unless_given() -> None:
    assert create_model("res2next_tiny").eval()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    given = create_model("res2next_small", num_classes=4, in_chans=3).eval()
    assert given(torch.zeros(2, 3, 28, 28)).shape == (2, 4)


@pytest.mark.parametrize("name", KINDS)
def test_feature_maps_are_those_on_the_way_to_the_last_one(name: str) -> None:
    classifier = narrow(name).eval()
    extractor = narrow(name, features_only=True).eval()
    extractor.load_state_dict(
        {key: value for key, value in classifier.state_dict().items() if not key.startswith("fc.")}
    )
    seen: list[torch.Tensor] = []
    for info in extractor.feature_info:
        classifier.get_submodule(info.module).register_forward_hook(lambda m, i, o: seen.append(o.clone()))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        classifier(x)
        for ours, passed in zip(extractor(x), seen, strict=True):
            torch.testing.assert_close(ours, passed)


@pytest.mark.parametrize("name", KINDS)
def test_last_norms_start_at_one_as_the_authors_have_it(name: str) -> None:
    branches = [m for m in create_model(name).modules() if isinstance(m, Res2Branch)]
    assert branches
    assert all(bool((branch.bn3.weight == 1).all()) for branch in branches)


@pytest.mark.parametrize("name", KINDS)
def test_last_norms_start_at_zero_when_asked_to_and_no_other_norm_does(name: str) -> None:
    network = create_model(name, zero_init_last=True)
    zeroed = {n for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d) and not m.weight.any()}
    assert zeroed == {f"{n}.bn3" for n, m in network.named_modules() if isinstance(m, Res2Branch)}


def test_convolutions_start_with_the_variance_of_he_initialisation() -> None:
    torch.manual_seed(0)
    network = create_model("res2next50", num_classes=0)
    first = network.get_submodule("conv1").weight.detach()
    grouped = network.get_submodule("layer4.0.convs.0").weight.detach()  # 256 outputs, 3x3
    assert float(first.std()) == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)
    assert float(grouped.std()) == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.05)


def test_the_tag_of_the_registry_is_part_of_a_name_that_is_known() -> None:
    with torch.device("meta"):
        assert create_model("res2next50.in1k").state_dict().keys() == create_model("res2next50").state_dict().keys()


def test_an_unknown_name_is_answered_with_names_spelled_alike() -> None:
    with pytest.raises(UnknownModel, match="did you mean res2next50") as caught:
        create_model("res2nxt50")
    assert caught.value.close[0] == "res2next50"
    assert isinstance(caught.value, ValueError)


def test_a_name_like_no_other_is_answered_with_where_to_look() -> None:
    with pytest.raises(UnknownModel, match=r"no model 'vit': see res2next\.list_models\(\)"):
        create_model("vit")


def test_a_wrong_tag_is_an_unknown_model() -> None:
    with pytest.raises(UnknownModel, match="did you mean res2next50"):
        create_model("res2next50.in21k")


def test_pretrained_without_a_network_says_which_file_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.delenv("RES2NEXT_WEIGHTS", raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(WeightsNotAvailable) as caught:
        create_model("res2next50", pretrained=True)
    message = str(caught.value)
    assert "res2next50.in1k" in message
    assert "/v0.1-res2net/res2next50_4s-6ef7e7bf.pth cannot be downloaded" in message
    assert f"put the file res2next50_4s-6ef7e7bf.pth into {tmp_path / 'checkpoints'}" in message


@pytest.mark.parametrize(("argument", "value"), [("num_classes", -1), ("in_chans", 0), ("in_chans", -3)])
def test_impossible_numbers_are_refused_by_name(argument: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{argument} is {value}: "):
        create_model("res2next50", **{argument: value})


# --- Parameters, buffers and multiply-adds ---


COUNTS = {
    # name: (parameters, values in buffers, multiply-adds of one image: 224x224, 8x8, 28x28)
    "res2next50": (24_671_464, 64_533, 4_172_677_120),
    "res2net50_48w_2s": (25_287_304, 55_061, 4_159_832_064),
    "res2net50_26w_4s": (25_699_120, 59_577, 4_255_166_464),
    "res2net50_14w_8s": (25_059_816, 62_945, 4_178_898_944),
    "res2net50_26w_6s": (37_051_448, 71_881, 6_295_523_328),
    "res2net50_26w_8s": (48_403_776, 84_185, 8_335_880_192),
    "res2net101_26w_4s": (45_206_688, 119_230, 8_066_974_464),
    "res2net50d": (25_718_352, 59_707, 4_494_807_040),
    "res2net101d": (45_225_920, 119_360, 8_306_615_040),
    "dla60_res2net": (20_848_072, 49_071, 4_122_681_344),
    "dla60_res2next": (17_032_984, 52_319, 3_458_752_512),
    "res2next_tiny": (60_578, 2_178, 604_928),
    "res2next_small": (499_034, 5_852, 46_879_488),
}


def test_every_model_is_counted_here() -> None:
    assert tuple(COUNTS) == list_models()


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_buffer_values_and_multiply_adds_are_the_known_ones(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    buffers = sum(buffer.numel() for buffer in network.buffers())
    multiply_adds = flop_counter_multiply_adds(network.eval(), find(name).preprocessing.input_size)
    assert (parameters, buffers, multiply_adds) == COUNTS[name]


def test_res2next50_has_24671464_parameters() -> None:
    with torch.device("meta"):
        network = create_model("res2next50")
    assert sum(parameter.numel() for parameter in network.parameters()) == 24_671_464


@pytest.mark.parametrize(("name", "stated"), [("dla60_res2net", 21.15), ("dla60_res2next", 17.33)])
def test_the_authors_counted_projections_that_a_dla_never_uses(name: str, stated: float) -> None:
    unused = sum(i * o + 2 * o for i, o in ((128, 256), (256, 512), (256, 512)))
    assert round((COUNTS[name][0] + unused) / 1e6, 2) == stated


def by_hand(
    depths: tuple[int, ...], widths: tuple[int, ...], side: int, *, base_width: int, scale: int
) -> tuple[int, int, int]:
    """The counts of a small Res2NeXt of 10 classes, summed layer by layer: two groups, 3x3 stem without pool, grey."""
    channels = widths[0]
    weights, multiply_adds = 9 * channels, 9 * channels * side**2  # the stem
    norms = [channels]
    for stage, (depth, planes) in enumerate(zip(depths, widths, strict=True)):
        split, out = planes * base_width // 64 * 2, 4 * planes
        for block in range(depth):
            left = -(-side // 2) if stage and not block else side
            before, grouped, after = channels * scale * split, (scale - 1) * split * split // 2 * 9, scale * split * out
            shortcut = 0 if block else channels * out
            weights += before + grouped + after + shortcut
            multiply_adds += before * side**2 + (grouped + after + shortcut) * left**2
            norms += [scale * split, *[split] * (scale - 1), out, *([] if block else [out])]
            channels, side = out, left
    parameters = weights + 2 * sum(norms) + 10 * channels + 10
    return parameters, 2 * sum(norms) + len(norms), multiply_adds + 10 * channels


def test_the_small_networks_have_what_is_counted_by_hand() -> None:
    """An independent count, since neither timm nor anybody else has these networks."""
    assert COUNTS["res2next_tiny"] == by_hand((2, 2, 2), (8, 16, 32), 8, base_width=16, scale=4)
    assert COUNTS["res2next_small"] == by_hand((1, 2, 3), (16, 32, 64), 28, base_width=32, scale=3)
