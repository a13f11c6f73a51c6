"""Count some networks with one counter and print, as JSON, the seconds, the counts, and how many failed.

Usage: count_models.py COUNTER ZOO/NAME...
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cardproof.zoos import load_zoo

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPE = (3, 224, 224)


def main(counter: str, models: list[str]) -> None:
    """Count the models and print the figures."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    count = COUNTERS[counter]()
    builders = {name: (load_zoo(name.partition("/")[0]).build, name.partition("/")[2]) for name in models}
    for build, name in builders.values():
        _on_meta(lambda build=build, name=name: build(name))  # imports of a zoo are not timed
    counts: dict[str, int] = {}
    started = time.perf_counter()
    for model, (build, name) in builders.items():
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            counts[model] = int(count(lambda build=build, name=name: build(name)))
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "counts": counts, "failed": len(models) - len(counts)}))


Build = Any
"""A function without arguments that returns a network."""


def by_cardproof() -> Callable[[Build], int]:
    """Return cardproof's counter."""
    from cardproof.measure.count.build import build_on_meta
    from cardproof.measure.count.counts import count

    return lambda build: count(build_on_meta(build), SHAPE).multiply_adds


def by_flopcountermode() -> Callable[[Build], int]:
    """Return torch's own counter, on the meta device if a network can be built there."""
    from torch.utils.flop_counter import FlopCounterMode

    def count(build: Build) -> int:
        model = _on_meta(build)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, *SHAPE, device="meta"))
        return counter.get_total_flops() // 2

    return count


def _on_meta(build: Build) -> nn.Module:
    try:
        with torch.device("meta"):
            return build().eval()
    except NotImplementedError:  # it reads values during construction
        return build().to("meta").eval()


def by_fvcore() -> Callable[[Build], int]:
    """Return fvcore's counter, which traces the network."""
    from fvcore.nn import FlopCountAnalysis

    def count(build: Build) -> int:
        analysis = FlopCountAnalysis(build().eval(), torch.zeros(1, *SHAPE))
        return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()

    return count


def by_ptflops() -> Callable[[Build], int]:
    """Return ptflops's counter."""
    from ptflops import get_model_complexity_info

    def count(build: Build) -> int:
        found, _ = get_model_complexity_info(
            build().eval(), SHAPE, as_strings=False, print_per_layer_stat=False, verbose=False
        )
        return found

    return count


def by_torchinfo() -> Callable[[Build], int]:
    """Return torchinfo's counter."""
    from torchinfo import summary

    return lambda build: summary(build().eval(), input_size=(1, *SHAPE), verbose=0).total_mult_adds


COUNTERS = {
    "cardproof": by_cardproof,
    "FlopCounterMode": by_flopcountermode,
    "fvcore": by_fvcore,
    "ptflops": by_ptflops,
    "torchinfo": by_torchinfo,
}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
