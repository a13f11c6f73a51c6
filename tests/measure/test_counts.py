"""Counts are exact: by hand, against torch's own counter, and against torchvision's metadata."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from convnets import convnet, flop_counter_multiply_adds
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from torch import Tensor, nn
from torch_counts import build, differing, recorded

from cardproof.core.measurements import Head, Totals
from cardproof.evidence.records import file_name, load_record
from cardproof.measure.count.counts import count, count_merged
from cardproof.measure.count.meta_network import build_on_meta
from cardproof.measure.model_evidence import measure_model
from cardproof.zoos import load_zoo

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Corpus

    from cardproof.core.measurements import Counts


def counted(build: Any, shape: tuple[int, int, int]) -> Any:
    return count(build_on_meta(build), shape)


def test_a_convolution_by_hand() -> None:
    found = counted(lambda: nn.Conv2d(3, 8, 3, stride=2, padding=1), (3, 32, 32))
    assert found.multiply_adds == 16 * 16 * 8 * 3 * 3 * 3
    assert found.parameters == 8 * 27 + 8
    assert found.activations == 16 * 16 * 8
    assert found.output_shape == (1, 8, 16, 16)
    assert found.layers == 1
    assert found.head is None


def test_groups_divide_the_filters() -> None:
    found = counted(lambda: nn.Conv2d(8, 16, 3, groups=4, dilation=2), (8, 10, 10))
    assert found.multiply_adds == 6 * 6 * 16 * 2 * 9


def test_a_transposed_convolution_meets_every_input_element() -> None:
    found = counted(lambda: nn.ConvTranspose2d(4, 6, 2, stride=2), (4, 5, 5))
    assert found.multiply_adds == 5 * 5 * 4 * 6 * 2 * 2


@pytest.mark.parametrize("padding", ["same", "valid", 1])
def test_padding_by_name_counts_as_by_number(padding: Any) -> None:
    found = counted(lambda: nn.Conv2d(2, 2, 3, padding=padding), (2, 8, 8))
    assert found.multiply_adds == (36 if padding == "valid" else 64) * 2 * 2 * 9


def test_a_linear_layer_counts_at_every_position() -> None:
    found = counted(lambda: nn.Linear(7, 5), (3, 4, 7))
    assert found.multiply_adds == 3 * 4 * 7 * 5
    assert found.head == Head(7, 5, bias=True)


class Attention(nn.Module):
    """q k' and (q k') v over two heads, by one of several functions."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = x.flatten(2).transpose(1, 2).reshape(1, -1, 2, x.shape[1] // 2).transpose(1, 2)
        if self.how == "fused":
            return F.scaled_dot_product_attention(q, q, q)
        if self.how == "einsum":
            weights = torch.einsum("bhid,bhjd->bhij", q, q).softmax(-1)
            return torch.einsum("bhij,bhjd->bhid", weights, q)
        return (q @ q.transpose(-2, -1)).softmax(-1) @ q


@pytest.mark.parametrize("how", ["fused", "einsum", "matmul"])
def test_attention_counts_both_products_once(how: str) -> None:
    tokens, width = 4 * 4, 8
    assert counted(lambda: Attention(how), (width, 4, 4)).multiply_adds == 2 * tokens * tokens * width


class Encoder(nn.Module):
    """torch's own encoder layer on the positions of a map."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(2).transpose(1, 2))


class Recurrent(nn.Module):
    """A recurrent layer over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3 * 8, 16, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x.permute(0, 2, 1, 3).flatten(2))[0][:, -1]


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(8, 8, bias=False)
        self.b = nn.Linear(8, 8, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x))


class Functional(nn.Module):
    """Calls functions only, in place and out of place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(6, 3, 3, 3))
        self.matrix = nn.Parameter(torch.empty(6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu_(torch.conv2d(x, self.weight, padding=1))
        x = x + x.mean((2, 3), keepdim=True).sigmoid() * x
        x = F.adaptive_avg_pool2d(F.max_pool2d(x, 3, 2, 1, ceil_mode=True), (2, 2)).contiguous()
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        return x.flatten(2).mean(2) @ self.matrix


class ReturnsDict(nn.Module):
    """Segmentation networks answer with a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        y = self.conv(x)
        return {"out": y, "more": (y, [y])}


class MakesTensors(nn.Module):
    """Makes a tensor of its own without saying where."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x + torch.arange(4).float())


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (Encoder, (16, 4, 4)),
        (Recurrent, (3, 5, 8)),
        (Tied, (2, 4, 8)),
        (Functional, (3, 9, 11)),
        (ReturnsDict, (3, 4, 4)),
    ],
    ids=str,
)
def test_it_equals_half_of_torch_s_own_counter(build: Any, shape: Any) -> None:
    model = build_on_meta(build)
    assert count(model, shape).multiply_adds == flop_counter_multiply_adds(model, shape) > 0


def test_one_and_three_dimensional_convolutions_count() -> None:
    class Unsqueezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat = nn.Conv1d(3, 4, 3)
            self.deep = nn.Conv3d(1, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.flat(x.flatten(2)).sum() + self.deep(x[None]).sum()

    found = counted(Unsqueezed, (3, 4, 4))
    assert found.multiply_adds == 14 * 4 * 9 + 3 * 16 * 2 * 27


def test_tied_weights_are_counted_and_stored_once() -> None:
    found = counted(Tied, (2, 4, 8))
    assert found.parameters == 64
    assert found.state_dict_bytes == 256


def test_a_tensor_that_a_network_makes_itself_is_no_obstacle() -> None:
    assert counted(MakesTensors, (3, 4, 4)).multiply_adds == 12 * 8


def test_a_dict_of_outputs_has_a_shape_and_a_1x1_convolution_as_head() -> None:
    found = counted(ReturnsDict, (3, 4, 4))
    assert found.output_shape == (1, 5, 4, 4)
    assert found.head == Head(3, 5, bias=True)


def test_buffers_bytes_and_source() -> None:
    found = counted(lambda: convnet([8]), (3, 32, 32))
    assert (found.parameters, found.buffers, found.multiply_adds) == (322, 17, 55376)
    assert found.state_dict_bytes == (322 + 16) * 4 + 8
    assert found.source == "torch.nn.modules.container:Sequential"


def test_half_precision_counts_the_same() -> None:
    assert counted(lambda: convnet([8]).half(), (3, 32, 32)).multiply_adds == 55376


def test_a_wrong_input_is_an_error_as_on_real_tensors() -> None:
    model = build_on_meta(lambda: convnet([8]))
    with pytest.raises(RuntimeError, match="channel"):
        count(model, (4, 32, 32))
    with pytest.raises(RuntimeError):
        count(build_on_meta(lambda: nn.Linear(5, 2)), (3, 4, 4))


layers = st.one_of(
    st.builds(
        lambda k, s, p, g, b: lambda c: nn.Conv2d(c, 4 * g, k, stride=s, padding=p, groups=g, bias=b),
        st.sampled_from([1, 2, 3, (1, 3)]),
        st.integers(1, 2),
        st.integers(0, 2),
        st.sampled_from([1, 2]),
        st.booleans(),
    ),
    st.builds(
        lambda k, s, ceil: lambda c: nn.MaxPool2d(k, s, padding=k // 2, ceil_mode=ceil),
        st.integers(2, 3),
        st.integers(1, 3),
        st.booleans(),
    ),
    st.builds(
        lambda k, s, ceil: lambda c: nn.AvgPool2d(k, s, padding=k // 2, ceil_mode=ceil),
        st.integers(2, 3),
        st.integers(1, 3),
        st.booleans(),
    ),
    st.sampled_from(
        [
            lambda c: nn.ConvTranspose2d(c, 4, 2, stride=2),
            lambda c: nn.BatchNorm2d(c),
            lambda c: nn.GroupNorm(2, c),
            lambda c: nn.SiLU(inplace=True),
            lambda c: nn.ReLU6(),
            lambda c: nn.ZeroPad2d((1, 0, 2, 1)),
            lambda c: nn.Upsample(scale_factor=2),
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(layers, min_size=1, max_size=6), st.integers(12, 40), st.integers(12, 40))
def test_random_networks_count_as_torch_counts_them(choices: list[Any], height: int, width: int) -> None:
    def build() -> nn.Module:
        channels, made = 4, []
        for choice in choices:
            made.append(choice(channels))
            channels = getattr(made[-1], "out_channels", channels)
        return nn.Sequential(*made, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 3))

    model = build_on_meta(build)
    shape = (4, height, width)
    try:
        wanted = flop_counter_multiply_adds(model, shape)
    except RuntimeError:
        with pytest.raises(RuntimeError):
            count(model, shape)
        return
    assert count(model, shape).multiply_adds == wanted


@cache
def counts_of(network: str, side: int, **options: Any) -> Counts:
    """Count a network of a library once, whichever test asks first."""
    return counted(lambda: build(network, side, **options), (3, side, side))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
def test_every_torchvision_network_counts_as_torch_counts_it() -> None:
    models = pytest.importorskip("torchvision.models")
    networks = [(network, side) for network, side in recorded() if network.startswith("torchvision/")]
    names = models.list_models(module=models) + models.list_models(module=models.segmentation)
    assert {network for network, _ in networks} == {f"torchvision/{name}" for name in names}
    assert len(names) == 86
    assert differing({key: counts_of(*key) for key in networks}) == []


@pytest.mark.slow
def test_every_timm_network_of_the_corpus_counts_as_torch_counts_it(shared: Path, corpus: Corpus) -> None:
    with (shared / "data" / "timm_counts.csv").open(newline="") as stream:
        sizes = {row["model"]: int(row["image_size"]) for row in csv.DictReader(stream) if row["image_size"]}
    assert len(sizes) == 219
    ours = {}
    for name, side in sizes.items():
        found = load_record(corpus.evidence / file_name(name))
        assert found
        assert found.counts
        assert found.counts.input_shape == (3, side, side)
        ours[f"timm/{found.known_as}", side] = found.counts
    assert len(ours) == 218  # two names mean one network
    assert differing(ours) == []


TIMM_SPREAD = (
    ("efficientnet_b0", 224), ("vit_tiny_patch16_224", 224), ("swin_tiny_patch4_window7_224", 224),
    ("convnext_tiny", 224), ("res2net50d", 224), ("mixer_s32_224", 224), ("coat_lite_tiny", 224),
    ("levit_128s", 224), ("eca_resnet33ts", 256), ("halonet26t", 256), ("volo_d1_224", 224),
    ("xcit_nano_12_p16_224", 224), ("cait_xxs24_224", 224), ("gmlp_s16_224", 224), ("nfnet_f0", 192),
    ("edgenext_xx_small", 256), ("mobilevit_xxs", 256), ("poolformer_s12", 224), ("maxvit_pico_rw_256", 256),
    ("deit_tiny_distilled_patch16_224", 224),
)  # fmt: skip
"""Networks of kinds that the corpus has none of."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), TIMM_SPREAD)
def test_timm_networks_count_as_torch_counts_them(name: str, side: int) -> None:
    pytest.importorskip("timm")
    assert differing({(f"timm/{name}", side): counts_of(f"timm/{name}", side)}) == []


def test_a_count_that_is_not_torch_s_is_found() -> None:
    """Neither the record nor torch itself takes another count for its own."""
    key = next(iter(recorded()))
    right = counts_of(*key)
    wrong = replace(right, multiply_adds=right.multiply_adds + 1)
    assert (differing({key: right}), differing({key: wrong})) == ([], [key])


IMAGE = (4, 8, 8)


class Branches(nn.Module):
    """A 3x3 and a 1x1 convolution that become one 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.wide = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.narrow = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.merged: nn.Conv2d | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self.merged(x) if self.merged else self.norm(self.wide(x) + self.narrow(x))

    def weight(self) -> Tensor:
        kernel = self.wide.weight + nn.functional.pad(self.narrow.weight, [1, 1, 1, 1])
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        return kernel * scale.reshape(-1, 1, 1, 1) + torch.zeros(kernel.shape)


class Switched(Branches):
    """Merges itself in place."""

    def switch_to_deploy(self) -> None:
        self.merged = nn.Conv2d(self.channels, self.channels, 3, padding=1)
        self.merged.weight.data = self.weight()
        del self.wide, self.narrow, self.norm


class Fused(Branches):
    """Returns the layer that takes its place."""

    def fuse(self) -> nn.Module:
        layer = nn.Conv2d(self.channels, self.channels, 3, padding=1)
        layer.weight.data.copy_(self.weight())
        return layer


class Asks(Branches):
    """Has a method of this name that does something else."""

    def fuse(self, other: Tensor) -> Tensor:
        return other


class Fails(Branches):
    """Reads values, which meta tensors do not have."""

    def reparameterize(self) -> None:
        self.wide.weight.sum().item()


def merged(build: Callable[[], nn.Module]) -> Totals | None:
    model = build_on_meta(build)
    counts = count(model, IMAGE)
    found = count_merged(model, build, counts)
    assert count(model, IMAGE) == counts
    return found


@pytest.mark.parametrize("kind", [Switched, Fused])
def test_branches_are_counted_as_the_one_layer_that_they_become(kind: type[Branches]) -> None:
    found = merged(lambda: nn.Sequential(nn.Sequential(kind(4)), nn.Conv2d(4, 2, 1)))
    assert found == Totals(4 * 36 + 4 + 10, 64 * (4 * 36 + 2 * 4))


@pytest.mark.parametrize("kind", [Branches, Asks, Fails])
def test_nothing_to_merge_or_no_way_to_do_it_gives_no_merged_form(kind: type[Branches]) -> None:
    assert merged(lambda: nn.Sequential(kind(4))) is None


def test_a_merged_form_of_the_same_counts_is_none() -> None:
    class Same(nn.Conv2d):
        def fuse(self) -> nn.Module:
            return self

    assert merged(lambda: nn.Sequential(Same(4, 4, 1))) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"), [("repvit_m0_9", 5_067_056), ("mobileone_s0", 2_078_504), ("repvgg_a0", 8_309_384)]
)
def test_timm_s_networks_merge_to_the_counts_that_their_papers_state(name: str, parameters: int) -> None:
    pytest.importorskip("timm")
    counts = measure_model(load_zoo("timm"), name, (3, 224, 224), ()).counts
    assert counts
    assert counts.merged
    assert counts.merged.parameters == parameters
