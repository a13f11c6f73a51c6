"""Networks of res2next as they are published, but narrow and short: they go through the same code in less time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from res2next.dla import Dla, DlaFeatures, DlaVariant
from res2next.model import Res2Net, Res2NetFeatures
from res2next.registry import list_models
from res2next.variants import BY_NAME

if TYPE_CHECKING:
    from torch import nn

DIFFERENT = tuple(name for name in list_models() if not name.startswith("res2net101"))
"""All but those that have only more blocks than another one."""
TREES = (8, 8, 32, 64, 128, 256)
"""Channels of the levels of a narrow DLA, whose trees are as deep as those of the published ones."""


def narrow(
    name: str, *, widths: tuple[int, int, int, int] = (16, 32, 64, 128), features_only: bool = False
) -> nn.Module:
    """A network with the stem, shortcut, scale, base width and groups of this name.

    Two blocks a stage are one of each kind. The small networks of the package are as they are.
    """
    variant = BY_NAME[name]
    if isinstance(variant, DlaVariant):
        tree = replace(variant, channels=TREES)
        return DlaFeatures(tree) if features_only else Dla(tree, num_classes=50)
    if len(variant.widths) == 4:
        variant = replace(variant, widths=widths, depths=(2, 2, 2, 2))
    channels = 3 if len(variant.widths) == 4 else 1
    if features_only:
        return Res2NetFeatures(variant, in_chans=channels)
    return Res2Net(variant, num_classes=50, in_chans=channels)
