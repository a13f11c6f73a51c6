"""Each network against timm's: an independent implementation, given the same weights."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import timm
import torch
from convnets import filled
from narrow import CLASSES, DIFFERENT, TREES, narrow
from torch.nn.functional import cross_entropy

from res2next import create_model
from res2next.registry import find

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

TOLERANCE = 1e-5
X = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([3, 47])
WIDTHS = (64, 80, 96, 112)
KINDS = [name for name in DIFFERENT if find(name).weights.url is not None]


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
