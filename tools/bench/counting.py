"""Time the counting of multiply-adds against other counters, on the same networks, each in a process of its own.

Every count is compared with torch's own FlopCounterMode: a faster count that is not equal is worth little. The second
table is the cold counting of a whole corpus, imports included.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.figures import CORPUS, Cell, Part, Row, child, installed, output_of, parser, run, show

COUNTERS = {
    "cardproof": "cardproof",
    "FlopCounterMode": "torch",
    "fvcore": "fvcore",
    "ptflops": "ptflops",
    "torchinfo": "torchinfo",
}
"""Counters, and the distribution that each is part of."""

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
    given = options.parse_args()
    parts = [measure(given.models)]
    if given.corpus.is_dir():
        parts.append(measure_corpus(given.corpus))
    show(parts, given.json)


def measure(models: tuple[str, ...] = MODELS) -> Part:
    """Return the figures of each counter."""
    counted = {counter: _counted(counter, models) for counter in COUNTERS if installed(COUNTERS[counter])}
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
    ran = run(child("count_models.py", counter, *models), Path.cwd(), OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
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
    plain = run(child("count_corpus.py", "plain", str(corpus)), Path.cwd(), OMP_NUM_THREADS="1")
    right = output_of(plain)
    rows: list[Row] = [_whole("plain script: build on meta, FlopCounterMode, one process", plain.seconds, plain, right)]
    for what, mode in (("cardproof", "counts"), ("cardproof, with the search for explanations", "explained")):
        ran = run(child("count_corpus.py", mode, str(corpus)), Path.cwd())
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


if __name__ == "__main__":
    main()
