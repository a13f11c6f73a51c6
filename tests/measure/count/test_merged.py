"""The merged form of a network is counted beside it, and the network stays as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cardproof.core.measurements import Totals
from cardproof.measure.count.build import build_on_meta
from cardproof.measure.count.counts import count, count_merged
from cardproof.measure.record import measure_model
from cardproof.zoos import load_zoo

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
