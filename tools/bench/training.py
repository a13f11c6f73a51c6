"""Time training of res2next50 on photos (JPEG, 500x375) against a loop like that of timm's train script, in one run.

Each side is a separate process, with equal first weights, batches, threads and workers, and the same augmentation: a
random resized crop and a flip. Theirs: timm's data set, loader, model, loss and optimizer, once with defaults and once
with memory kept (:func:`res2next.inference.keep_memory`). Ours: the updates of :func:`res2next.training.train`, in a
process as the command starts it, in float32 and in mixed precision. The first updates warm up and are not timed.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figures import Part, parser, result_of, show
from bench.photos import write_photos

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Row
    from res2next.recipes import Recipe

PEER = "timm's training loop"
KEPT = "timm's training loop, memory kept"
OURS = "res2next train"
HALF = "res2next train, mixed precision"
SIDES = (PEER, KEPT, OURS, HALF)

NAME = "res2next50"
BATCH, UPDATES, WARM_UP = 16, 10, 2
THREADS = 2
RATE, MOMENTUM, DECAY, SMOOTHING = 0.001, 0.9, 1e-4, 0.1


def main() -> None:
    """Measure and print the figures."""
    options = parser(__doc__)
    options.add_argument("--batch", type=int, default=BATCH, help="photos in an update")
    options.add_argument("--updates", type=int, default=UPDATES, help="how many to time")
    options.add_argument("--threads", type=int, default=THREADS, help="of torch, and processes that decode photos")
    options.add_argument("--rounds", type=int, default=1, help="how often each side is started")
    options.add_argument("--child", nargs=2, metavar=("SIDE", "FOLDER"), help="one side, in this process")
    given = options.parse_args()
    if given.child:
        side, folder = given.child
        updates = theirs if side in (PEER, KEPT) else ours
        print(json.dumps(timed(updates(side, Path(folder), given), given.updates)))
    else:
        show([measure(given.batch, given.updates, given.threads, given.rounds)], given.json)


def measure(batch: int = BATCH, updates: int = UPDATES, threads: int = THREADS, rounds: int = 1) -> Part:
    """Return the figures of all sides."""
    options = [f"--{name}={value}" for name, value in (("batch", batch), ("updates", updates), ("threads", threads))]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "photos").mkdir()
        size = write_photos(Path(folder, "photos"), batch * (WARM_UP + updates))
        write_weights(Path(folder, "weights.pt"))
        found = [
            {side: result_of("training.py", "--child", side, folder, *options) for side in SIDES} for _ in range(rounds)
        ]
    seconds = {side: statistics.median(one[side]["seconds"] for one in found) for side in SIDES}
    rows: list[Row] = [
        {
            "side": side,
            "images/s": round(batch * updates / seconds[side], 2),
            "times as fast as timm": round(seconds[PEER] / seconds[side], 2),
            "times as fast as timm with memory kept": round(seconds[KEPT] / seconds[side], 2),
            "loss of the first update": round(found[0][side]["losses"][0], 2),
            "loss of the last": round(found[0][side]["losses"][-1], 2),
        }
        for side in SIDES
    ]
    what = (
        f"{updates} updates of {NAME} on {batch} photos of 500x375 each "
        f"({size / batch / (WARM_UP + updates) / 1000:.0f} kB a photo), after {WARM_UP} to warm up; {threads} threads, "
        f"{threads} workers; random resized crop, flip, label smoothing, SGD with momentum and weight decay."
    )
    first = "In float32 but for mixed precision, which is bfloat16; how fast that is depends on the processor."
    note = "Sides draw their crops by other generators, so losses are close and not equal; first weights are equal."
    return Part("Training on a folder of photos", what, rows, "images/s", [first, note])


def write_weights(file: Path) -> None:
    """Write fresh weights, drawn by a fixed seed."""
    import torch

    from res2next import create_model

    torch.manual_seed(0)
    torch.save(create_model(NAME).state_dict(), file)


def timed(losses: Iterator[float], updates: int) -> dict[str, Any]:
    """Return the loss of each update, and the seconds of all but those that warm up."""
    found = [next(losses) for _ in range(WARM_UP)]
    started = time.perf_counter()
    found += [next(losses) for _ in range(updates)]
    return {"losses": found, "seconds": time.perf_counter() - started}


def theirs(side: str, folder: Path, given: Any) -> Iterator[float]:
    """Update timm's network as its train script does, on one epoch of the photos; yield the losses."""
    import timm
    import torch
    from timm.data import create_dataset, create_loader
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2

    if side == KEPT:
        from res2next.inference import keep_memory

        keep_memory()
    torch.set_num_threads(given.threads)
    network = timm.create_model(NAME)
    network.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    optimizer = create_optimizer_v2(network, opt="momentum", lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    loader = create_loader(
        create_dataset("", root=str(folder / "photos"), is_training=True),
        input_size=(3, 224, 224),
        batch_size=given.batch,
        is_training=True,
        color_jitter=0.0,
        interpolation="bilinear",
        num_workers=given.threads,
        device=torch.device("cpu"),
    )
    smoothed = LabelSmoothingCrossEntropy(SMOOTHING)
    network.train()
    optimizer.zero_grad()
    for images, labels in loader:
        loss = smoothed(network(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def ours(side: str, folder: Path, given: Any) -> Iterator[float]:
    """Update our network as :func:`res2next.training.train` does, on one epoch of the photos; yield the losses."""
    import torch

    from bench.evaluation import photo_set
    from res2next.distributed import World
    from res2next.inference import keep_memory
    from res2next.registry import Preprocessing
    from res2next.training.batches import Part as Share
    from res2next.training.batches import make_batches
    from res2next.training.loop import update
    from res2next.training.run import Run

    keep_memory()
    torch.set_num_threads(given.threads)
    recipe = make_recipe(given.batch, mixed=side == HALF)
    run = Run.fresh(recipe, 1000, World())
    run.network.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    batches = make_batches(photo_set(folder / "photos"), recipe, Preprocessing(), 0, Share(), workers=given.threads)
    for batch in batches.parts_from(0):
        yield float(update(run, run.network, [batch], RATE))


def make_recipe(batch: int, *, mixed: bool) -> Recipe:
    """Return the recipe of one epoch with the settings of timm's side."""
    from res2next.recipes import changed, load_recipe

    settings = {"epochs": 1, "batch_size": batch, "learning_rate": RATE, "momentum": MOMENTUM}
    settings |= {"weight_decay": DECAY, "label_smoothing": SMOOTHING, "decay_norm_and_bias": "false"}
    settings |= {"mixed_precision": str(mixed).lower()}
    return changed(load_recipe("res2next50_imagenet"), [f"{key}={value}" for key, value in settings.items()])


if __name__ == "__main__":
    main()
