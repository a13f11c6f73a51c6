"""Time the counting of multiply-adds against other counters, on the same networks, each in a process of its own.

Every count is compared with torch's own FlopCounterMode: a faster count that is not equal is worth little. The second
table is the cold counting of a whole corpus, imports included. ``--child`` counts in this process and prints JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figures import CORPUS, Cell, Part, Row, child, installed, output_of, parser, run, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from cardproof.core.types import Need

SHAPE = (3, 224, 224)

MODELS = (
    "res2next/res2next50",
    "res2next/res2net101_26w_4s",
    "res2next/dla60_res2net",
    "torchvision/resnet50",
    "torchvision/densenet121",
    "torchvision/vit_b_16",
    "torchvision/swin_t",
    "torchvision/convnext_tiny",
    "torchvision/efficientnet_b0",
    "torchvision/regnet_y_400mf",
)


def main() -> None:
    """Measure and print the figures."""
    options = parser(__doc__)
    options.add_argument("--corpus", type=Path, default=CORPUS, help="folder of cards, of networks in timm")
    options.add_argument("--models", nargs="+", default=MODELS, metavar="ZOO/NAME", help="networks of the first table")
    options.add_argument("--child", choices=(*COUNTERS, *CORPUS_COUNTERS), help="count in this process")
    given = options.parse_args()
    if given.child in COUNTERS:
        print(json.dumps(count_models(given.child, given.models)))
    elif given.child:
        print(json.dumps(count_corpus(given.child, given.corpus)))
    else:
        parts = [measure(given.models)]
        if given.corpus.is_dir():
            parts.append(measure_corpus(given.corpus))
        show(parts, given.json)


def measure(models: tuple[str, ...] = MODELS) -> Part:
    """Return the figures of each counter."""
    counted = {counter: _counted(counter, models) for counter in filter(is_installed, COUNTERS)}
    right = counted["FlopCounterMode"]["counts"]
    own = counted["cardproof"]["seconds"]
    rows = [_row(counter, counted.get(counter), right, own) for counter in COUNTERS]
    what = (
        f"{len(models)} networks of torchvision and res2next, built and counted one after another, each counter in a "
        "process of its own with one thread. Imports are left out. A counter without meta tensors gets real weights."
    )
    notes = [
        "Equal: the same number of multiply-adds as FlopCounterMode (half of its FLOPs). fvcore and ptflops count "
        "normalisation and activations as well by default, torchinfo counts modules only."
    ]
    return Part("Counting one network", what, rows, "seconds", notes)


def _counted(counter: str, models: tuple[str, ...]) -> dict[str, Any]:
    command = child("counting.py", "--child", counter, "--models", *models)
    ran = run(command, Path.cwd(), OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    return {**output_of(ran), "peak": ran.peak_mb}


def _row(counter: str, found: dict[str, Any] | None, right: dict[str, int], own: float) -> Row:
    name = counter if counter in ("cardproof", "FlopCounterMode") else f"{counter} {installed(counter) or ''}".strip()
    if found is None:
        return {"counter": f"{name} (not installed)", **dict.fromkeys(_COLUMNS)}
    equal = sum(found["counts"].get(model) == count for model, count in right.items())
    cells: tuple[Cell, ...] = (
        round(found["seconds"], 2),
        round(found["seconds"] / own, 1),
        round(found["peak"]),
        f"{equal} of {len(right)}",
        found["failed"],
    )
    return {"counter": name, **dict(zip(_COLUMNS, cells, strict=True))}


_COLUMNS = ("seconds", "of cardproof's time", "peak memory MiB", "equal", "failed")


def measure_corpus(corpus: Path) -> Part:
    """Return the figures of counting all models of a corpus."""
    folder = ("--corpus", str(corpus))
    plain = run(child("counting.py", "--child", "plain", *folder), Path.cwd(), OMP_NUM_THREADS="1")
    right = output_of(plain)
    rows: list[Row] = [_whole("plain script: build on meta, FlopCounterMode, one process", plain.seconds, plain, right)]
    for what, mode in (("cardproof", "counts"), ("cardproof, with the search for explanations", "explained")):
        ran = run(child("counting.py", "--child", mode, *folder), Path.cwd())
        rows.append(_whole(what, plain.seconds, ran, right))
    what = f"Cold counts of the {len(right)} models of {corpus.name}, as whole processes, imports included."
    return Part("Counting a corpus from nothing", what, rows, "seconds")


def _whole(what: str, peer: float, ran: Any, right: dict[str, int | None]) -> Row:
    counts = output_of(ran)
    return {
        "counter": what,
        "seconds": round(ran.seconds, 2),
        "of the plain script's time": round(ran.seconds / peer, 3),
        "CPU seconds": round(ran.cpu_seconds, 1),
        "peak memory MiB": round(ran.peak_mb),
        "equal": f"{sum(counts[name] == count for name, count in right.items())} of {len(right)}",
    }


def count_models(counter: str, models: list[str]) -> dict[str, Any]:
    """Count networks with one counter; return the seconds, the counts, and how many failed."""
    import torch

    from cardproof.zoos import load_zoo

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
    return {"seconds": seconds, "counts": counts, "failed": len(models) - len(counts)}


Build = Any
"""A function without arguments that returns a network."""


def by_cardproof() -> Callable[[Build], int]:
    """Return cardproof's counter."""
    from cardproof.measure.count.counts import count
    from cardproof.measure.count.meta_network import build_on_meta

    return lambda build: count(build_on_meta(build), SHAPE).multiply_adds


def by_flopcountermode() -> Callable[[Build], int]:
    """Return torch's own counter, on the meta device if a network can be built there."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def count(build: Build) -> int:
        model = _on_meta(build)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, *SHAPE, device="meta"))
        return counter.get_total_flops() // 2

    return count


def _on_meta(build: Build) -> nn.Module:
    import torch

    try:
        with torch.device("meta"):
            return build().eval()
    except NotImplementedError:  # it reads values during construction
        return build().to("meta").eval()


def by_fvcore() -> Callable[[Build], int]:
    """Return fvcore's counter, which traces the network."""
    import torch
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


def is_installed(counter: str) -> bool:
    """Return whether the distribution that a counter is part of is installed."""
    return installed({"FlopCounterMode": "torch"}.get(counter, counter)) is not None


CORPUS_COUNTERS = ("plain", "counts", "explained")
"""A script with torch's counter; cardproof; cardproof with the search for explanations."""


def count_corpus(mode: str, folder: Path) -> dict[str, int | None]:
    """Count every model of a folder of cards in one of the modes of :data:`CORPUS_COUNTERS`; by the model's name."""
    from msgspec.structs import replace

    from cardproof.plan.recall import plan
    from cardproof.read import read_cards

    needs = list(dict.fromkeys(plan(read_cards([folder])).values()))
    if mode == "plain":
        return count_plainly(needs)
    return count_in_workers([replace(need, questions=()) for need in needs] if mode == "counts" else needs)


def count_in_workers(needs: list[Need]) -> dict[str, int | None]:
    """Count as a cold build does, in its worker processes."""
    from msgspec.structs import replace

    from cardproof.measure.gather import measure

    needs = [replace(need, datasets=()) for need in needs]
    found = measure(needs, "timm", dict.fromkeys(needs, ""))
    return {need.model: evidence.counts.multiply_adds if evidence.counts else None for need, evidence in found}


def count_plainly(needs: list[Need]) -> dict[str, int | None]:
    """Count as a short script would: build on meta, and let torch count."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from cardproof.zoos import load_zoo, preprocessing_of

    zoo = load_zoo("timm")
    counts: dict[str, int | None] = {}
    for need in needs:
        counts[need.model] = None
        name = zoo.known_as(need.model, need.weights)  # type: ignore[attr-defined]
        try:
            with torch.device("meta"):
                model = zoo.build(name).eval()
        except LookupError:  # no longer in timm
            continue
        config = preprocessing_of(zoo, name)
        size = need.size or (config.input_size[1:] if config else (224, 224))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 3, *size, device="meta"))
        counts[need.model] = counter.get_total_flops() // 2
    return counts


if __name__ == "__main__":
    main()
