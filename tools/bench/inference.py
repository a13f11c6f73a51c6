"""Time inference of res2next50 against timm's model in the same run, with equal outputs.

Each round runs every way once, in a process of its own, one after another; what is compared are medians over rounds.
Ways: timm as its users run it; timm with memory kept (:func:`res2next.optimize.keep_memory`); ours in float32 and
bfloat16; ours exported to ONNX Runtime. All use the same weights, with norms that matter, and the same images.
Prints one JSON object: milliseconds a forward, ratios to timm, and the largest difference of a logit.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = ("timm", "timm, memory kept", "float32", "bfloat16", "onnxruntime")
THREADS = 2
FORWARDS = {1: 20, 16: 5}


def main() -> None:
    """Measure all ways and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, action="append", choices=list(FORWARDS), help="1 and 16 unless given.")
    parser.add_argument("--child", nargs=3, metavar=("WAY", "BATCH", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, batch, file = arguments.child
        print(json.dumps(forward(way, int(batch), Path(file))))
        return
    report: dict[str, Any] = {"machine": f"{platform.machine()}, {THREADS} threads", "network": "res2next50, 224x224"}
    with tempfile.TemporaryDirectory() as folder:
        for batch in arguments.batch or list(FORWARDS):
            report[f"batch {batch}"] = compared(batch, arguments.rounds, Path(folder))
    print(json.dumps(report, indent=2))


def compared(batch: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Return the figures of one batch size; the ways take turns."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    logits: dict[str, list[list[float]]] = {}
    for _ in range(rounds):
        for way in WAYS:
            command = [sys.executable, __file__, "--child", way, str(batch), str(folder / "net.onnx")]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            seconds[way].append(found["seconds"])
            logits[way] = found["logits"]
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    return {
        "milliseconds": {way: round(1000 * value, 1) for way, value in medians.items()},
        "times as fast as timm": {way: round(medians["timm"] / value, 2) for way, value in medians.items()},
        "largest difference, by the largest logit": {way: difference(logits["timm"], logits[way]) for way in WAYS},
        "same top-1": {way: top(logits["timm"]) == top(logits[way]) for way in WAYS},
    }


def forward(way: str, batch: int, file: Path) -> dict[str, Any]:
    """Return the median time of a forward in this process, and the logits."""
    import torch

    from res2next.optimize import export_onnx, keep_memory, optimize

    if way != "timm":
        keep_memory()
    torch.set_num_threads(THREADS)
    theirs, ours = networks()
    images = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    if way == "onnxruntime":
        import onnxruntime

        if not file.exists():
            export_onnx(ours, file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        array = images.numpy()
        return timed(lambda: torch.from_numpy(session.run(None, {"images": array})[0]), batch)
    if way.startswith("timm"):
        network = theirs
    else:
        network = optimize(ours, dtype=torch.bfloat16 if way == "bfloat16" else torch.float32)
    with torch.inference_mode():
        return timed(lambda: network(images), batch)


def networks() -> tuple[Any, Any]:
    """Return timm's network and ours with equal weights, and norms as a trained network has them."""
    import timm
    import torch

    from res2next import create_model

    torch.manual_seed(0)
    theirs = timm.create_model("res2next50")
    for layer in theirs.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.4, 0.8)
            torch.nn.init.uniform_(layer.bias, -0.3, 0.3)
            layer.running_mean.uniform_(-0.3, 0.3)
            layer.running_var.uniform_(0.8, 1.5)
    ours = create_model("res2next50")
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval(), ours.eval()


def timed(run: Any, batch: int) -> dict[str, Any]:
    """Return the median seconds of a run after two to warm up, and what it gave."""
    logits = run()
    run()
    seconds = []
    for _ in range(FORWARDS[batch]):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return {"seconds": statistics.median(seconds), "logits": logits.tolist()}


def difference(one: list[list[float]], other: list[list[float]]) -> float:
    """Return the largest difference of two logits, by the largest."""
    pairs = [(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]
    return float(f"{max(abs(a - b) for a, b in pairs) / max(abs(a) for a, _ in pairs):.1e}")


def top(logits: list[list[float]]) -> list[int]:
    """Return the class of each image."""
    return [row.index(max(row)) for row in logits]


if __name__ == "__main__":
    main()
