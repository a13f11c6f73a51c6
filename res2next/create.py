"""Makes a network by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from res2next.dla import DLA_VARIANTS, Dla, DlaFeatures, DlaVariant
from res2next.errors import WeightsNotAvailable
from res2next.model import VARIANTS, Res2Net, Res2NetFeatures, Variant, zero_last_norms
from res2next.registry import find

if TYPE_CHECKING:
    from torch import nn

BY_NAME: dict[str, Variant | DlaVariant] = {variant.name: variant for variant in (*VARIANTS, *DLA_VARIANTS)}


def create_model(
    name: str,
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    features_only: bool = False,
    pretrained: bool = False,
    zero_init_last: bool = False,
) -> nn.Module:
    """The network called ``name``, with fresh weights and in training mode.

    It has ``forward(x)`` -> logits (N, num_classes), ``forward_features(x)`` -> (N, C, ceil(H/32),
    ceil(W/32)), ``num_features`` (that C), ``num_classes``, and ``feature_info``.

    Args:
        name: an architecture of :func:`res2next.list_models`, or ``architecture.tag`` as in the registry.
        num_classes: outputs; 0 leaves the head out, and ``forward`` gives pooled features (N, num_features).
        in_chans: channels of the images.
        features_only: a module instead whose ``forward`` gives the list of feature maps of strides 2, 4, 8,
            16 and 32; ``feature_info`` says the channels, stride and module of each. It has no head, whatever
            ``num_classes`` is, and the classifier's state dict without ``fc``.
        pretrained: trained weights; not available yet.
        zero_init_last: start with the last norm of every block at zero, as timm does and the authors do not.

    Raises:
        UnknownModel: no such name; the message suggests names that are spelled alike.
        WeightsNotAvailable: ``pretrained`` was asked for.
        ValueError: a negative ``num_classes``, or ``in_chans`` below 1.
    """
    entry = find(name)
    if num_classes < 0:
        raise ValueError(f"num_classes is {num_classes}: give the number of classes, or 0 for no head")
    if in_chans < 1:
        raise ValueError(f"in_chans is {in_chans}: images have at least one channel")
    if pretrained:
        raise WeightsNotAvailable(entry.name, entry.weights.file, entry.weights.url)
    variant = BY_NAME[entry.architecture]
    network: nn.Module
    if isinstance(variant, Variant):
        network = (
            Res2NetFeatures(variant, in_chans=in_chans)
            if features_only
            else Res2Net(variant, num_classes=num_classes, in_chans=in_chans)
        )
    else:
        network = (
            DlaFeatures(variant, in_chans=in_chans)
            if features_only
            else Dla(variant, num_classes=num_classes, in_chans=in_chans)
        )
    if zero_init_last:
        zero_last_norms(network)
    return network
