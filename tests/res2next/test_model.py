"""The block, by itself and against the bottleneck that it extends; networks against timm's, with the same weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import timm
import torch
from convnets import CLASSES, DIFFERENT, TREES, filled, narrow
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision.models.resnet import Bottleneck

from res2next import create_model
from res2next.model import Res2Block, pooled_shortcut, strided_shortcut
from res2next.registry import ENTRIES, find

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SIZES = settings(max_examples=20, deadline=None)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def with_open_relus(block: Res2Block) -> Res2Block:
    """In eval mode, every ReLU between the splits kept well above zero, so that none hides an influence."""
    for norm in block.bns:
        nn.init.constant_(norm.bias, 50.0)
    return block.eval()


def mixed(block: Res2Block, splits: list[Tensor]) -> tuple[Tensor, ...]:
    """y_1 ... y_s from x_1 ... x_s, none of them negative: the branch without its 1x1 convolutions."""
    block.conv1 = block.bn1 = block.conv3 = block.bn3 = nn.Identity()
    joined: Tensor = block.residual(torch.cat(splits, dim=1))
    return joined.split(block.width, dim=1)


def influence(block: Res2Block, scale: int, width: int) -> list[list[bool]]:
    """Row i, column j: whether y_(j+1) changes with x_(i+1)."""
    splits = [noise(1, width, 8, 8, seed=i).abs() for i in range(scale)]
    with torch.no_grad():
        before = mixed(block, splits)
        rows = []
        for changed in range(scale):
            other = [x + 1.0 if i == changed else x for i, x in enumerate(splits)]
            rows.append([not torch.equal(a, b) for a, b in zip(before, mixed(block, other), strict=True)])
    return rows


def test_a_small_block_has_the_parameters_counted_by_hand() -> None:
    block = Res2Block(8, 16, width=2, scale=4, cardinality=2, stride=2, downsample=strided_shortcut(8, 16, stride=2))
    shapes = {name: tuple(parameter.shape) for name, parameter in block.named_parameters()}
    assert shapes["conv1.weight"] == (8, 8, 1, 1)  # 4 splits of 2 channels
    assert shapes["convs.2.weight"] == (2, 1, 3, 3)  # 2 groups: each channel sees itself
    assert "convs.3.weight" not in shapes
    assert shapes["conv3.weight"] == (16, 8, 1, 1)
    convolutions = 8 * 8 + 3 * (2 * 1 * 9) + 8 * 16 + 8 * 16
    norms = 2 * (8 + 3 * 2 + 16 + 16)
    assert sum(parameter.numel() for parameter in block.parameters()) == convolutions + norms == 466


@pytest.mark.parametrize(("side", "left"), [(1, 1), (2, 1), (7, 4), (8, 4)])
@pytest.mark.parametrize("shortcut", [strided_shortcut, pooled_shortcut])
def test_a_strided_block_halves_a_side_and_rounds_up(side: int, left: int, shortcut) -> None:
    block = Res2Block(8, 16, width=2, scale=4, stride=2, downsample=shortcut(8, 16, 2)).eval()
    assert block(noise(3, 8, side, side)).shape == (3, 16, left, left)


@given(scale=st.integers(2, 8), cardinality=st.sampled_from([1, 2]))
@SIZES
def test_inside_a_stage_each_split_takes_in_what_the_one_before_gave(scale: int, cardinality: int) -> None:
    width = 4
    block = with_open_relus(Res2Block(8, 8, width=width, scale=scale, cardinality=cardinality))
    last = scale - 1
    expected = [[(j == last) if i == last else i <= j < last for j in range(scale)] for i in range(scale)]
    assert influence(block, scale, width) == expected


@given(scale=st.integers(2, 8), stride=st.integers(1, 2))
@SIZES
def test_the_first_block_of_a_stage_does_not_add_its_splits(scale: int, stride: int) -> None:
    shortcut = strided_shortcut(8, 16, stride)
    block = with_open_relus(Res2Block(8, 16, width=4, scale=scale, stride=stride, downsample=shortcut))
    assert influence(block, scale, 4) == [[i == j for j in range(scale)] for i in range(scale)]


def test_the_splits_follow_the_published_rule_term_by_term() -> None:
    block = Res2Block(8, 8, width=3, scale=4).eval()
    x1, x2, x3, x4 = (noise(2, 3, 5, 5, seed=seed).abs() for seed in range(4))
    k1, k2, k3 = (
        lambda x, conv=conv, bn=bn: torch.relu(bn(conv(x))) for conv, bn in zip(block.convs, block.bns, strict=True)
    )
    with torch.no_grad():
        y1 = k1(x1)
        y2 = k2(x2 + y1)
        y3 = k3(x3 + y2)
        for ours, published in zip(mixed(block, [x1, x2, x3, x4]), (y1, y2, y3, x4), strict=True):
            torch.testing.assert_close(ours, published)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_last_split_of_a_first_block_is_pooled_with_its_padding_counted(stride: int) -> None:
    block = Res2Block(8, 16, width=1, scale=2, stride=stride, downsample=strided_shortcut(8, 16, stride))
    ones = torch.ones(1, 1, 6, 6)
    pooled = mixed(block, [ones, ones])[-1][0, 0]
    assert pooled.shape == (6 // stride, 6 // stride)
    torch.testing.assert_close(pooled[0, 0], torch.tensor(4 / 9))  # 4 pixels of 9 are inside
    torch.testing.assert_close(pooled[0, 1], torch.tensor(6 / 9))


def test_the_pool_of_a_d_shortcut_does_not_count_what_is_outside() -> None:
    pool = pooled_shortcut(1, 1, 2)[0]
    torch.testing.assert_close(pool(torch.ones(1, 1, 5, 5)), torch.ones(1, 1, 3, 3))


@given(
    planes=st.sampled_from([4, 8]),
    cardinality=st.sampled_from([1, 2, 4]),
    stride=st.integers(1, 2),
    side=st.integers(1, 9),
    seed=st.integers(0, 2**16),
)
@SIZES
def test_a_block_of_scale_1_is_the_plain_bottleneck(
    planes: int, cardinality: int, stride: int, side: int, seed: int
) -> None:
    """torchvision's, in training mode, so that the running statistics are compared too."""
    torch.manual_seed(seed)
    channels = planes * 4
    in_channels = channels if stride == 1 else planes
    ours_down = None if stride == 1 else strided_shortcut(in_channels, channels, stride)
    theirs_down = None if stride == 1 else strided_shortcut(in_channels, channels, stride)
    ours = Res2Block(
        in_channels,
        channels,
        width=planes,
        scale=1,
        cardinality=cardinality,
        stride=stride,
        downsample=ours_down,
    )
    theirs = Bottleneck(in_channels, planes, stride, theirs_down, groups=cardinality, base_width=64 // cardinality)
    renamed = {
        key.replace("convs.0.", "conv2.").replace("bns.0.", "bn2."): value for key, value in ours.state_dict().items()
    }
    theirs.load_state_dict(renamed, strict=True)
    x = noise(2, in_channels, side, side, seed=seed)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.bns[0].running_var, theirs.bn2.running_var)


def test_a_stride_inside_a_stage_is_refused() -> None:
    with pytest.raises(ValueError, match="only the first block of a stage strides"):
        Res2Block(8, 8, width=2, scale=4, stride=2)


def test_groups_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible by groups"):
        Res2Block(8, 8, width=3, scale=4, cardinality=2)


# --- Networks and timm's, an independent implementation ---


TOLERANCE = 1e-5
X = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([3, 47])
WIDTHS = (64, 80, 96, 112)
KINDS = [name for name in DIFFERENT if find(name).weights.url is not None]


@dataclass(frozen=True)
class Pair:
    name: str
    ours: nn.Module
    theirs: nn.Module

    def align(self) -> None:
        """Give our network the weights of timm's, strictly."""
        self.ours.load_state_dict(self.theirs.state_dict(), strict=True)


PUBLISHED = [entry.architecture for entry in ENTRIES if entry.weights.url is not None]
"""The two small networks that come with the package exist nowhere else."""


@pytest.fixture(scope="module", params=PUBLISHED)
def pair(request: pytest.FixtureRequest) -> Pair:
    theirs = filled(lambda: timm.create_model(request.param))
    with torch.device("meta"):  # its own fresh weights would be overwritten
        ours = create_model(request.param)
    return Pair(request.param, ours.to_empty(device="cpu"), theirs)


def furthest(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max())


def narrow_pair(name: str) -> tuple[nn.Module, nn.Module]:
    """Our network and timm's, of few channels and blocks, with the same weights; timm's stem always has 64."""
    sizes = {"channels": TREES} if name.startswith("dla") else {"channels": WIDTHS, "layers": (2, 2, 2, 2)}
    theirs = filled(lambda: timm.create_model(name, num_classes=CLASSES, **sizes))
    ours = narrow(name, widths=WIDTHS)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def one_step(network: nn.Module) -> Tensor:
    """A step of SGD in training mode; gives the logits before it, leaves the gradients."""
    network.train()
    logits: Tensor = network(X)
    cross_entropy(logits, LABELS).backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    return logits.detach()


def test_names_and_shapes_of_the_state_dict_are_timms(pair) -> None:
    ours = {key: value.shape for key, value in pair.ours.state_dict().items()}
    theirs = {key: value.shape for key, value in pair.theirs.state_dict().items()}
    assert ours == theirs


def test_logits_in_eval_mode_equal_timms(pair) -> None:
    pair.align()
    with torch.inference_mode():
        ours, theirs = pair.ours.eval()(X), pair.theirs.eval()(X)
    assert theirs.std() > 0.01, "logits that say nothing would be equal whatever the network does"
    assert furthest(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize("name", KINDS)
def test_logits_of_an_odd_size_equal_timms(name) -> None:
    """63 and 95: odd at the first strides, and still sizes that timm's DLA can take."""
    ours, theirs = narrow_pair(name)
    x = X[:, :, :63].repeat(1, 1, 1, 2)[..., :95]
    with torch.inference_mode():
        assert furthest(ours.eval()(x), theirs.eval()(x)) <= TOLERANCE


def test_feature_maps_equal_timms_stage_by_stage(pair) -> None:
    with torch.device("meta"):
        extractor = create_model(pair.name, features_only=True).eval()
    without_head = {k: v for k, v in pair.theirs.state_dict().items() if not k.startswith("fc.")}
    extractor.load_state_dict(without_head, strict=True, assign=True)
    with torch.inference_mode():
        ours = extractor(X)
        theirs = pair.theirs.eval().forward_intermediates(X, intermediates_only=True)[-5:]
    assert len(ours) == 5
    for our_map, their_map in zip(ours, theirs, strict=True):
        assert furthest(our_map, their_map) <= TOLERANCE * max(1.0, float(their_map.abs().max()))


@pytest.mark.parametrize("name", KINDS)
def test_a_training_step_equals_timms(name) -> None:
    """Logits in training mode, the gradient of every parameter, and all that the step changes."""
    ours, theirs = narrow_pair(name)
    assert furthest(one_step(ours), one_step(theirs)) <= TOLERANCE
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        scale = max(1.0, float(gradients[name].abs().max()))
        assert furthest(parameter.grad, gradients[name]) <= TOLERANCE * scale, name
    after = theirs.state_dict()
    for name, value in ours.state_dict().items():
        scale = max(1.0, float(after[name].abs().max()))
        assert furthest(value.double(), after[name].double()) <= TOLERANCE * scale, name


def test_published_dla_checkpoints_load_strictly_with_their_unused_projections(tmp_path: Path) -> None:
    network = narrow("dla60_res2net")
    published = dict(network.state_dict())
    unused = {"level3": (256, 128), "level4": (512, 256), "level4.tree1": (512, 256)}
    for prefix, (out_channels, in_channels) in unused.items():
        published[f"{prefix}.project.0.weight"] = torch.zeros(out_channels, in_channels, 1, 1)
        for part in ("weight", "bias", "running_mean", "running_var"):
            published[f"{prefix}.project.1.{part}"] = torch.zeros(out_channels)
    torch.save(published, tmp_path / "published.pth")
    loaded = torch.load(tmp_path / "published.pth", weights_only=True)
    for receiver in (network, copy.deepcopy(network)):
        assert not any(receiver.load_state_dict(loaded, strict=True))
    assert "level3.project.0.weight" in loaded, "the caller's dict stays whole"


def test_a_stray_key_is_still_refused_by_a_dla() -> None:
    network = narrow("dla60_res2next")
    stray = {**network.state_dict(), "level3.projects.0.weight": torch.zeros(1)}
    with pytest.raises(RuntimeError, match=r"Unexpected key.*level3\.projects\.0\.weight"):
        network.load_state_dict(stray, strict=True)
