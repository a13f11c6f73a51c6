"""Makes networks with fresh weights, by the entries of the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from res2next.dla import DLA_VARIANTS, Dla, DlaFeatures, DlaVariant
from res2next.model import SMALL_VARIANTS, VARIANTS, Res2Net, Res2NetFeatures, Variant, zero_last_norms

if TYPE_CHECKING:
    from torch import nn

    from res2next.registry import Entry

BY_NAME: dict[str, Variant | DlaVariant] = {
    variant.name: variant for variant in (*VARIANTS, *DLA_VARIANTS, *SMALL_VARIANTS)
}


def build(
    entry: Entry,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    features_only: bool = False,
    zero_init_last: bool = False,
) -> nn.Module:
    """The network of an entry, in training mode and with fresh weights; arguments as of :func:`res2next.create_model`.

    Raises:
        ValueError: a negative ``num_classes``, or ``in_chans`` below 1.
    """
    num_classes = entry.num_classes if num_classes is None else num_classes
    in_chans = entry.preprocessing.input_size[0] if in_chans is None else in_chans
    if num_classes < 0:
        raise ValueError(f"num_classes is {num_classes}: give the number of classes, or 0 for no head")
    if in_chans < 1:
        raise ValueError(f"in_chans is {in_chans}: images have at least one channel")
    network = _network(BY_NAME[entry.architecture], num_classes, in_chans, features_only)
    if zero_init_last:
        zero_last_norms(network)
    return network


def _network(variant: Variant | DlaVariant, num_classes: int, in_chans: int, features_only: bool) -> nn.Module:
    if isinstance(variant, Variant):
        if features_only:
            return Res2NetFeatures(variant, in_chans=in_chans)
        return Res2Net(variant, num_classes=num_classes, in_chans=in_chans)
    if features_only:
        return DlaFeatures(variant, in_chans=in_chans)
    return Dla(variant, num_classes=num_classes, in_chans=in_chans)
