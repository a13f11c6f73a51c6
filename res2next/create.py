"""Creates a network by its name, with fresh or trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from res2next.registry import find, pretrained_cfg
from res2next.variants import build
from res2next.weights import load_pretrained, weights_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    output_stride: int = 32,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    pretrained: bool = False,
    weights: Path | str | None = None,
    zero_init_last: bool = False,
) -> nn.Module:
    """The network called ``name``, in training mode, with fresh weights unless ``pretrained`` or ``weights`` is given.

    It has ``forward(x)`` -> logits (N, num_classes), ``forward_features(x)`` -> (N, C, ceil(H/32),
    ceil(W/32)), ``forward_head``, ``reset_classifier``, ``num_features`` (that C), ``num_classes``, ``feature_info``,
    and ``pretrained_cfg``, which says how timm should prepare its images (``timm.data.resolve_data_config``).

    Args:
        name: an architecture of :func:`res2next.list_models`, or ``architecture.tag`` as in the registry.
        num_classes: outputs; those of the registry's entry (1000 for ImageNet) unless given. 0 leaves the head
            out, and ``forward`` gives pooled features (N, num_features).
        in_chans: channels of the images; those of the registry's entry (3 for ImageNet) unless given.
        features_only: a module whose ``forward`` returns the list of feature maps (strides 2, 4, 8, 16 and 32 for
            the published variants); ``feature_info`` has the channels, stride and module of each. It never has a
            head; its state dict is the classifier's without ``fc``.
        out_indices: with ``features_only``, the maps that are returned, by timm's numbers: ``(2, 4)`` are those of
            strides 8 and 32, of a DLA those of strides 4 and 16.
        output_stride: largest stride of a feature map, 8 or 16 for dense predictions: later stages are dilated
            instead. Not for DLAs.
        drop_rate: probability of dropout before the head.
        drop_path_rate: probability of stochastic depth in the last block, growing from 0. Not for DLAs.
        pretrained: load the trained weights of the registry's entry, found or downloaded by
            :func:`res2next.weights.weights_path`. With another ``num_classes`` the network keeps a fresh
            head; with ``in_chans=1`` the first convolution gets the sum over red, green and blue; other
            channels are refused.
        weights: load this file, or the entry's file from this folder, regardless of ``pretrained``. A custom file
            may have another number of classes, given as ``num_classes``.
        zero_init_last: initialise the last norm of every block with zero, as timm does and the authors do not.

    Raises:
        UnknownModel: no such name; the message suggests similar names.
        WeightsNotAvailable, TruncatedWeights, WrongWeights: as :func:`res2next.weights.weights_path`.
        UnreadableWeights, UnfitWeights: as :func:`res2next.weights.load_weights`.
        ValueError: an argument out of its range, or one that this network does not have.
    """
    entry = find(name)
    network = build(
        entry,
        num_classes=num_classes,
        in_chans=in_chans,
        features_only=features_only,
        out_indices=out_indices,
        output_stride=output_stride,
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
        zero_init_last=zero_init_last,
    )
    network.pretrained_cfg = pretrained_cfg(entry)  # type: ignore[assignment]  # not a module
    if pretrained or weights is not None:
        load_pretrained(network, weights_path(entry, None if weights is None else Path(weights)), entry.num_classes)
    return network
