"""Check on a GPU, within two minutes, what a machine without one cannot: logits, evaluation, snippets, speed, training.

It prints one table and ends with 0 if every check holds, with 1 otherwise. Without a GPU, or with ``--device cpu``, it
is a rehearsal: the same checks on the CPU with small images. Speeds are shown and not judged.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bench.figures import CARDPROOF, ROOT, Part, parser, show
from res2next import create_model, list_models
from res2next.datasets import open_dataset
from res2next.distributed import World
from res2next.evaluation import evaluate
from res2next.evaluation.scoring import exact_on
from res2next.recipes import changed, load_recipe
from res2next.registry import find
from res2next.training import train
from res2next.training_log import read_log_rows
from res2next.transforms import evaluation_transform

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.figures import Row

FARTHEST = 1e-4
"""Largest difference of logits in float32 from those of the CPU, by the largest logit."""
DIGITS = "res2next_tiny"
HALF_PRECISION_IMAGES = 4
"""Images of the 360 of Digits that 16-bit numbers may count otherwise."""
SNIPPETS = "docs/models/res2next.md"
FORWARDS = 10


@dataclass(frozen=True)
class Scale:
    """How large the inputs are."""

    side: int
    batch: int
    epochs: int


FULL, REHEARSAL = Scale(224, 64, 3), Scale(64, 2, 1)


def main() -> None:
    """Run the checks and print them."""
    options = parser(__doc__)
    kinds = ("cuda", "cpu")
    options.add_argument("--device", choices=kinds, default=kinds[not torch.cuda.is_available()])
    options.add_argument("--model", action="append", choices=list_models(), help="all published ones unless given")
    options.add_argument("--no-snippets", action="store_true", help="leave out the snippets")
    given = options.parse_args()
    published = [name for name in list_models() if find(name).weights.url]
    rows = measure(torch.device(given.device), given.model or published, snippets=not given.no_snippets)
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU, rehearsal"
    notes = [] if given.device == "cuda" else ["No GPU was used."]
    show([Part(f"Checks on {name}", "Each row is one check.", rows, notes=notes)], given.json)
    sys.exit(any(row["holds"] == "no" for row in rows))


def measure(device: torch.device, models: list[str], *, snippets: bool = True) -> list[Row]:
    """Return a row for each check."""
    scale = FULL if device.type == "cuda" else REHEARSAL
    rows = [logits_row(name, device, scale) for name in models]
    rows += evaluation_rows(device)
    if snippets:
        rows.append(snippets_row(device))
    rows += [speed_row(models[0], device, scale, dtype) for dtype in (torch.float32, torch.bfloat16)]
    rows.append(training_row(device, scale))
    return rows


def row(check: str, found: str, expected: str, holds: bool | None) -> Row:
    """Return a row; ``holds`` is None for what is only shown."""
    return {"check": check, "found": found, "expected": expected, "holds": {True: "yes", False: "no", None: ""}[holds]}


def logits_row(name: str, device: torch.device, scale: Scale) -> Row:
    """Compare logits in float32 with those of the CPU."""
    torch.manual_seed(0)
    network = create_model(name).eval()
    images = torch.randn(2, 3, scale.side, scale.side)
    with torch.inference_mode():
        expected = network(images)
        with exact_on(device):
            found = network.to(device)(images.to(device)).cpu()
    difference = float((found - expected).abs().max() / expected.abs().max())
    return row(f"logits of {name}, float32", f"{difference:.1e} off", f"at most {FARTHEST:.0e}", difference <= FARTHEST)


def evaluation_rows(device: torch.device) -> list[Row]:
    """Compare the counts of the bundled network on Digits, in float32 and in 16 bits, with those of the CPU."""
    data = open_dataset("Digits", transform=evaluation_transform(find(DIGITS).preprocessing))
    network = create_model(DIGITS, pretrained=True)
    expected = evaluate(network, data).top1
    exact = evaluate(network, data, device=str(device), optimized=False).top1
    mixed = evaluate(network, data, device=str(device), amp=True, optimized=False)
    half = evaluate(network.to(device).half(), data, device=str(device), optimized=False)
    rows = [row("Digits, float32", f"{exact} right", f"{expected} right", exact == expected)]
    for result in (mixed, half):
        near = abs(result.top1 - expected) <= HALF_PRECISION_IMAGES
        bound = f"{expected} right, ± {HALF_PRECISION_IMAGES}"
        rows.append(row(f"Digits, {result.precision}", f"{result.top1} right", bound, near))
    return rows


def snippets_row(device: torch.device) -> Row:
    """Run the snippets of a model page."""
    command = [*CARDPROOF, "snippets", SNIPPETS, "--device", device.type, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = json.loads(done.stdout or "{}").get("summary", {})
    counts = ", ".join(f"{found.get(status, 0)} {status}" for status in ("pass", "fail", "not-run"))
    holds = done.returncode == 0 and found.get("pass", 0) > 0 and not found["not-run"]
    return row(f"snippets of {Path(SNIPPETS).stem} on {device.type}", counts, "all pass", holds)


def speed_row(name: str, device: torch.device, scale: Scale, dtype: torch.dtype) -> Row:
    """Time forward passes."""
    network = create_model(name).eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(scale.batch, 3, scale.side, scale.side, device=device)
    with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32), exact_on(device):
        seconds = seconds_of_forward(network, images)
    number = str(dtype).removeprefix("torch.")
    return row(f"{name}, {number}, batch {scale.batch}", f"{scale.batch / seconds:,.0f} images/s", "", None)


def seconds_of_forward(network: nn.Module, images: Tensor) -> float:
    """Return the mean time of a forward pass after two to warm up."""
    for turn in range(FORWARDS + 2):
        if turn == 2:
            synchronize(images.device)
            started = time.perf_counter()
        network(images)
    synchronize(images.device)
    return (time.perf_counter() - started) / FORWARDS


def synchronize(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def training_row(device: torch.device, scale: Scale) -> Row:
    """Train on Digits and compare the mean loss of the last epoch with that of a guess among ten classes."""
    recipe = changed(load_recipe("res2next_tiny_digits"), (f"epochs={scale.epochs}", "warmup_epochs=0"))
    with tempfile.TemporaryDirectory() as name:
        trained = train(recipe, open_dataset("Digits", split="train"), Path(name), world=World(device=device))
        assert trained is not None  # a single process
        loss = float(read_log_rows(trained.log)[-1]["train_loss"])
    guess = math.log(10)
    return row(f"training, {scale.epochs} epochs of Digits", f"loss {loss:.2f}", f"below {guess:.2f}", loss < guess)


if __name__ == "__main__":
    main()
