"""The merged form of a network: branches and normalisation that only training needs become part of one layer.

RepVGG (Ding et al., CVPR 2021) made it usual; MobileOne, FastViT, RepViT and others state its counts on their cards.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cardproof.core.measurements import Counts, Totals
from cardproof.measure.count.build import build_on_meta
from cardproof.measure.count.counts import weigh
from cardproof.measure.count.events import Tally
from cardproof.measure.count.tally import ShapeRules, tally

_METHODS = ("fuse", "reparameterize", "switch_to_deploy")
"""Methods by which zoos merge a module; one that returns a module is replaced by it."""


def count_merged(model: nn.Module, build: Callable[[], nn.Module], counts: Counts) -> Totals | None:
    """Return the counts of a network's merged form at the input of ``counts``; ``build`` returns it once more.

    ``model`` stays as it is. None if it has nothing to merge, or if it cannot be merged on shapes alone.
    """
    if not any(map(_method_of, {type(module) for module in model.modules()})):
        return None
    try:
        merged = build_on_meta(lambda: _merge(build()))
        events = tally(merged, counts.input_shape).events
    except (MemoryError, TimeoutError):
        raise
    except Exception:  # a module's own way of merging is foreign code, and may raise anything
        return None
    found = Totals(weigh(merged, counts.input_shape).parameters, sum(event.multiply_adds for event in events))
    return None if found == Totals(counts.parameters, counts.multiply_adds) else found


def _merge(model: nn.Module) -> nn.Module:
    """Merge the modules below ``model``, outer ones first."""
    with torch.no_grad(), ShapeRules(Tally()):
        pending = [model.eval()]
        while pending:
            module = pending.pop()
            for name, child in list(module.named_children()):
                if method := _method_of(type(child)):
                    merged = getattr(child, method)()
                    if isinstance(merged, nn.Module):
                        setattr(module, name, merged)
                pending.append(module.get_submodule(name))
    return model


def _method_of(cls: type[nn.Module]) -> str:
    """Return the method by which modules of a class are merged; empty if they have none that needs no argument."""
    return next((name for name in _METHODS if _takes_nothing(getattr(cls, name, None))), "")


def _takes_nothing(method: Any) -> bool:
    if not inspect.isfunction(method):
        return False
    needed = [one for one in inspect.signature(method).parameters.values() if one.default is one.empty]
    return len([one for one in needed if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]) == 1
