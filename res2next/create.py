"""Makes a network by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from res2next.dla import DLA_VARIANTS, Dla, DlaFeatures, DlaVariant
from res2next.model import SMALL_VARIANTS, VARIANTS, Res2Net, Res2NetFeatures, Variant, zero_last_norms
from res2next.registry import find
from res2next.weights import load_pretrained, weights_path

if TYPE_CHECKING:
    from torch import nn

BY_NAME: dict[str, Variant | DlaVariant] = {
    variant.name: variant for variant in (*VARIANTS, *DLA_VARIANTS, *SMALL_VARIANTS)
}


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    features_only: bool = False,
    pretrained: bool = False,
    weights: Path | str | None = None,
    zero_init_last: bool = False,
) -> nn.Module:
    """The network called ``name``, in training mode and with fresh weights unless trained ones are asked for.

    It has ``forward(x)`` -> logits (N, num_classes), ``forward_features(x)`` -> (N, C, ceil(H/32),
    ceil(W/32)), ``num_features`` (that C), ``num_classes``, and ``feature_info``.

    Args:
        name: an architecture of :func:`res2next.list_models`, or ``architecture.tag`` as in the registry.
        num_classes: outputs; those of the registry's entry (1000 for ImageNet) unless given. 0 leaves the head
            out, and ``forward`` gives pooled features (N, num_features).
        in_chans: channels of the images; those of the registry's entry (3 for ImageNet) unless given.
        features_only: a module instead whose ``forward`` gives the list of feature maps (strides 2, 4, 8, 16
            and 32 for the published variants); ``feature_info`` says the channels, stride and module of each.
            It has no head, whatever ``num_classes`` is, and the classifier's state dict without ``fc``.
        pretrained: load the trained weights of the registry's entry, found or downloaded by
            :func:`res2next.weights.weights_path`. With a ``num_classes`` of its own the network keeps a fresh
            head; with ``in_chans=1`` the first convolution gets the sum over red, green and blue; other
            channels are refused.
        weights: load this file instead, or the entry's file from this folder, whether or not ``pretrained`` is
            said. A file of the caller's own may have its own number of classes, given as ``num_classes``.
        zero_init_last: start with the last norm of every block at zero, as timm does and the authors do not.

    Raises:
        UnknownModel: no such name; the message suggests names that are spelled alike.
        WeightsNotAvailable, TruncatedWeights, WrongWeights: as :func:`res2next.weights.weights_path`.
        UnreadableWeights, UnfitWeights: as :func:`res2next.weights.load_weights`.
        ValueError: a negative ``num_classes``, or ``in_chans`` below 1.
    """
    entry = find(name)
    num_classes = entry.num_classes if num_classes is None else num_classes
    in_chans = entry.preprocessing.input_size[0] if in_chans is None else in_chans
    if num_classes < 0:
        raise ValueError(f"num_classes is {num_classes}: give the number of classes, or 0 for no head")
    if in_chans < 1:
        raise ValueError(f"in_chans is {in_chans}: images have at least one channel")
    network = build(BY_NAME[entry.architecture], num_classes, in_chans, features_only)
    if zero_init_last:
        zero_last_norms(network)
    if pretrained or weights is not None:
        load_pretrained(network, weights_path(entry, None if weights is None else Path(weights)), entry.num_classes)
    return network


def build(variant: Variant | DlaVariant, num_classes: int, in_chans: int, features_only: bool) -> nn.Module:
    """The network of a variant, with fresh weights; the arguments are those of :func:`create_model`."""
    if isinstance(variant, Variant):
        if features_only:
            return Res2NetFeatures(variant, in_chans=in_chans)
        return Res2Net(variant, num_classes=num_classes, in_chans=in_chans)
    if features_only:
        return DlaFeatures(variant, in_chans=in_chans)
    return Dla(variant, num_classes=num_classes, in_chans=in_chans)
