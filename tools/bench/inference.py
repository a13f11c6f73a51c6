"""Time inference of res2next50 against timm's model in the same run, with equal weights and equal outputs.

In each round every way runs once, in a separate process, so that all run on the same machine; figures are medians over
the rounds of the median forward. Ways: timm with defaults; timm with memory kept
(:func:`res2next.inference.keep_memory`); ours in float32 and bfloat16 by torch; ours exported, by ONNX Runtime and
OpenVINO; and ours in 8-bit integers by OpenVINO. The way that is the fastest in float32 is the best engine.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figures import Part, installed, parser, result_of, show
from bench.photos import CLASSES, images, networks, teach

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from bench.figures import Row

PEER = "timm, float32, eager"
KEPT = "timm, float32, eager, memory kept"
OURS = "res2next.optimize, float32"
HALF = "res2next.optimize, bfloat16"
EXPORTED = {
    "res2next exported, float32, ONNX Runtime": "onnxruntime",
    "res2next exported, float32, OpenVINO": "openvino",
}
INT8 = "res2next quantized, int8, OpenVINO"
WAYS = (PEER, KEPT, OURS, HALF, *EXPORTED, INT8)
EXACT = (OURS, *EXPORTED)
"""Ways of ours that compute in float32."""

CALIBRATION, FIRST_CALIBRATION = 64, 2_000_000
"""Photos for the ranges of int8; they are not among those that are timed."""

THREADS = 2
ROUNDS = 3
FORWARDS = {1: 20, 16: 4}
"""Batch size -> forwards that are timed in each process, each of other photos, after one to warm up."""

MULTIPLY_ADDS = 4_172_677_120
"""Of res2next50 on one image of 224x224, by its evidence record."""

Logits = list[list[float]]


def main() -> None:
    """Measure and print the figures."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=ROUNDS, help="how often each way is started")
    options.add_argument("--batch", type=int, action="append", choices=tuple(FORWARDS), help="all unless given")
    options.add_argument("--child", nargs=3, metavar=("WAY", "BATCHES", "FOLDER"), help="one way, in this process")
    given = options.parse_args()
    if given.child:
        way, batches, folder = given.child
        print(json.dumps(forwards(way, json.loads(batches), Path(folder))))
    else:
        show(measure(given.rounds, tuple(given.batch or FORWARDS)), given.json)


def measure(rounds: int = ROUNDS, batches: tuple[int, ...] = tuple(FORWARDS)) -> list[Part]:
    """Return a part for each batch size."""
    with tempfile.TemporaryDirectory() as folder:
        teach(weights_file(Path(folder)))
        write_quantized(Path(folder))
        found = [
            {way: result_of("inference.py", "--child", way, json.dumps(batches), folder) for way in WAYS}
            for _ in range(rounds)
        ]
    return [_part(batch, [{way: one[way][str(batch)] for way in WAYS} for one in found]) for batch in batches]


def weights_file(folder: Path) -> Path:
    """Return the file of the weights of all ways."""
    return folder / "weights.pt"


def write_quantized(folder: Path) -> None:
    """Write the network in 8-bit integers, for all processes."""
    from res2next.inference.onnx import quantized_bytes

    photos = images(FIRST_CALIBRATION, CALIBRATION).split(16)
    (folder / "int8.onnx").write_bytes(quantized_bytes(networks(weights_file(folder))[1], photos))


def _part(batch: int, rounds: list[dict[str, Any]]) -> Part:
    """Return the table of a batch size, from the results of each way in each round."""
    seconds = {way: statistics.median(one[way]["seconds"] for one in rounds) for way in WAYS}
    logits: dict[str, Logits] = {way: rounds[0][way]["logits"] for way in WAYS}
    rows: list[Row] = [
        {
            "way": way,
            "milliseconds a forward": round(1000 * seconds[way], 1),
            "times as fast as timm": round(seconds[PEER] / seconds[way], 2),
            "times as fast as timm with memory kept": round(seconds[KEPT] / seconds[way], 2),
            "largest difference of a logit, by the largest logit": difference(logits[PEER], logits[way]),
            "photos said right": right(logits[way]),
            "photos taken for another class than by timm": sum(
                a != b for a, b in zip(top(logits[PEER]), top(logits[way]), strict=True)
            ),
        }
        for way in WAYS
    ]
    images = f"{batch} photos" if batch > 1 else "one photo"
    what = (
        f"A forward of res2next50 on {images} of 224x224, {THREADS} threads, equal weights, over "
        f"{batch * FORWARDS[batch]} photos of {CLASSES} classes."
    )
    best = min(EXACT, key=lambda way: seconds[way])
    ratios = (seconds[peer] / seconds[best] for peer in (PEER, KEPT))
    limit = "The best engine in float32 is {}: {:.2f} times timm, {:.2f} times timm with memory kept."
    return Part(
        f"Inference, batch {batch}",
        what,
        rows,
        "milliseconds a forward",
        [limit.format(best.rpartition(", ")[2] if best in EXPORTED else "torch", *ratios), *notes(batch)],
    )


def notes(batch: int) -> list[str]:
    """Return facts that the figures depend on, other than the machine."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    half = "with" if torch.cpu._is_avx512_bf16_supported() else "without"
    packages = " and ".join(f"{name} {installed(name)}" for name in EXPORTED.values())
    return [
        f"Vectors of {capability}, {half} instructions for bfloat16; {packages}. Memory kept: freed memory is not "
        "given back to the system. The last layer was fitted to tell the photos apart.",
        _least(batch),
    ]


def _least(batch: int) -> str:
    """Return the processor's peak rate in each type, and the least time of a forward at that rate."""
    import torch

    torch.set_num_threads(1)
    float32, bfloat16 = (rate(numbers) for numbers in (torch.float32, torch.bfloat16))
    least = [MULTIPLY_ADDS * batch / each / THREADS / 1e6 for each in (float32, bfloat16)]  # ms
    return (
        f"A product of matrices that stay in the cache does {float32:.0f} thousand million multiply-adds a second on a "
        f"core in float32, and {bfloat16:.0f} in bfloat16. With nothing but that, a forward takes {least[0]:.0f} ms "
        f"and {least[1]:.0f} ms."
    )


def rate(numbers: torch.dtype) -> float:
    """Return the best rate of a product of two square matrices, in 10^9 multiply-adds a second."""
    import torch

    side = 256
    one, other = (torch.randn(side, side).to(numbers) for _ in range(2))
    best = math.inf
    for _ in range(2000):
        started = time.perf_counter()
        torch.mm(one, other)
        best = min(best, time.perf_counter() - started)
    return side**3 / best / 1e9


def forwards(way: str, batches: list[int], folder: Path) -> dict[int, dict[str, Any]]:
    """Return the median seconds of a forward in this process, and the logits, by batch size."""
    import torch

    from res2next.inference import keep_memory

    if way != PEER:
        keep_memory()
    torch.set_num_threads(THREADS)
    run = load_network(way, folder)
    found = {}
    for batch in batches:
        photos = images(0, batch * FORWARDS[batch])  # (n, 3, 224, 224)
        with torch.inference_mode():
            found[batch] = _timed(run, photos.split(batch))
    return found


def load_network(way: str, folder: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function from images to logits."""
    import torch

    from res2next.inference import Exported, optimize

    theirs, ours = networks(weights_file(folder))
    if way in (PEER, KEPT):
        return theirs
    if way == OURS:
        return optimize(ours)
    if way == HALF:
        return optimize(ours, dtype=torch.bfloat16)
    if way == INT8:
        return Exported((folder / "int8.onnx").read_bytes(), "openvino", precision="int8")
    return Exported(ours, EXPORTED[way])


def _timed(run: Callable[[torch.Tensor], torch.Tensor], batches: Sequence[torch.Tensor]) -> dict[str, Any]:
    run(batches[0])
    logits: Logits = []
    seconds = []
    for batch in batches:
        started = time.perf_counter()
        answer = run(batch)
        seconds.append(time.perf_counter() - started)
        logits += answer.tolist()
    return {"seconds": statistics.median(seconds), "logits": logits}


def difference(one: Logits, other: Logits) -> float:
    """Return the largest difference of two logits, by the largest logit."""
    pairs = [(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]
    return float(f"{max(abs(a - b) for a, b in pairs) / max(abs(a) for a, _ in pairs):.1e}")


def right(logits: Logits) -> int:
    """Return how many photos are classified correctly."""
    return sum(said == index % CLASSES for index, said in enumerate(top(logits)))


def top(logits: Logits) -> list[int]:
    """Return the class of each image."""
    return [row.index(max(row)) for row in logits]


if __name__ == "__main__":
    main()
