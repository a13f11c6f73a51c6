"""Makes networks with fresh weights, by the entries of the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from res2next.dla import DLA_VARIANTS, Dla, DlaFeatures, DlaVariant
from res2next.model import SMALL_VARIANTS, VARIANTS, Res2Net, Res2NetFeatures, Variant, zero_last_norms

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    out_indices: Sequence[int] | None = None,
    output_stride: int = 32,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    zero_init_last: bool = False,
) -> nn.Module:
    """The network of an entry, in training mode and with fresh weights; arguments as of :func:`res2next.create_model`.

    Raises:
        ValueError: an argument out of its range, or one that this network does not have.
    """
    num_classes = entry.num_classes if num_classes is None else num_classes
    in_chans = entry.preprocessing.input_size[0] if in_chans is None else in_chans
    if num_classes < 0:
        raise ValueError(f"num_classes is {num_classes}: give the number of classes, or 0 for no head")
    if in_chans < 1:
        raise ValueError(f"in_chans is {in_chans}: images have at least one channel")
    for name, rate in (("drop_rate", drop_rate), ("drop_path_rate", drop_path_rate)):
        if not 0 <= rate < 1:
            raise ValueError(f"{name} is {rate}: give a probability from 0 to below 1")
    if out_indices is not None and not features_only:
        raise ValueError("out_indices selects feature maps: give features_only=True too")
    variant = BY_NAME[entry.architecture]
    if isinstance(variant, DlaVariant):
        if output_stride != 32 or drop_path_rate:
            raise ValueError(
                f"{entry.architecture} has neither output_stride nor drop_path_rate: its trees do not define them"
            )
        network: nn.Module = (
            DlaFeatures(variant, in_chans=in_chans, out_indices=out_indices)
            if features_only
            else Dla(variant, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate)
        )
    else:
        trunk: dict[str, Any] = {"in_chans": in_chans, "output_stride": output_stride, "drop_path_rate": drop_path_rate}
        network = (
            Res2NetFeatures(variant, out_indices=out_indices, **trunk)
            if features_only
            else Res2Net(variant, num_classes=num_classes, drop_rate=drop_rate, **trunk)
        )
    if zero_init_last:
        zero_last_norms(network)
    return network
