"""Networks of res2next as they are published, but narrow and short: they go through the same code in less time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from res2next.dla import Dla, DlaFeatures, DlaVariant
from res2next.model import Res2Net, Res2NetFeatures
from res2next.registry import find, list_models
from res2next.variants import BY_NAME

if TYPE_CHECKING:
    from torch import nn

DIFFERENT = tuple(name for name in list_models() if not name.startswith("res2net101"))
"""All but those that have only more blocks than another one."""
QUARTER = (16, 32, 64, 128)
"""Widths of the stages of a narrow Res2Net."""
TREES = (8, 8, 32, 64, 128, 256)
"""Channels of the levels of a narrow DLA, whose trees are as deep as those of the published ones."""
CLASSES = 50


def narrow(name: str, *, widths: tuple[int, ...] = QUARTER, features_only: bool = False, **options: Any) -> nn.Module:
    """A network with the stem, shortcut, scale, base width and groups of this name, and options of its class.

    Two blocks a stage are one of each kind. The small networks of the package are as they are.
    """
    variant = BY_NAME[name]
    options.setdefault("in_chans", find(name).preprocessing.input_size[0])
    if not features_only:
        options.setdefault("num_classes", CLASSES)
    if isinstance(variant, DlaVariant):
        tree = replace(variant, channels=TREES)
        return DlaFeatures(tree, **options) if features_only else Dla(tree, **options)
    if len(variant.widths) == len(QUARTER):
        variant = replace(variant, widths=widths, depths=(2, 2, 2, 2))
    return Res2NetFeatures(variant, **options) if features_only else Res2Net(variant, **options)
