"""Time the evaluation of 1,000 photos (500x375 JPEG) against a loop as timm's validation script has it, in one run.

The photos are made of the package's own photo with noise, in folders as ImageNet's. Both sides are whole processes on
two cores: theirs with torch's DataLoader and two workers, PIL, timm's transforms and model, batch 32; ours by
:func:`res2next.evaluate.evaluate`. Weights are equal, so the counts must be. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

THREADS = 2
CLASSES = 20


def main() -> None:
    """Make the photos, time both sides in turns, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--child", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        side, folder = arguments.child
        print(json.dumps({"timm": timm_loop, "res2next": own}[side](Path(folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder), arguments.photos)
        seconds: dict[str, list[float]] = {"timm": [], "res2next": []}
        counts: dict[str, Any] = {}
        for _ in range(arguments.rounds):
            for side, values in seconds.items():
                started = time.perf_counter()
                command = [sys.executable, __file__, "--child", side, folder]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                values.append(time.perf_counter() - started)
                counts[side] = json.loads(done.stdout)
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    report = {
        "photos": arguments.photos,
        "seconds, whole processes": {side: round(value, 1) for side, value in medians.items()},
        "images/s": {side: round(arguments.photos / value, 1) for side, value in medians.items()},
        "times as fast": round(medians["timm"] / medians["res2next"], 2),
        "equal counts": counts["timm"] == counts["res2next"],
        "counts": counts,
    }
    print(json.dumps(report, indent=2))


def make_photos(folder: Path, number: int) -> None:
    """Write photos of 500x375 in as many folders as there are classes; the same each time."""
    import numpy as np
    from PIL import Image

    from res2next import example_photo

    photo = np.asarray(Image.open(example_photo()).convert("RGB").resize((500, 375)), dtype=np.int16)
    draw = np.random.RandomState(0)
    for index in range(number):
        path = folder / f"n{index % CLASSES:08}" / f"{index:05}.JPEG"
        path.parent.mkdir(exist_ok=True)
        shifted = np.roll(photo, draw.randint(0, 375, 2), (0, 1)) + draw.randint(-60, 60, photo.shape)
        Image.fromarray(np.clip(shifted, 0, 255).astype(np.uint8)).save(path, quality=90)


def networks() -> tuple[Any, Any]:
    """Return timm's network and ours with equal weights."""
    from inference import networks

    return networks()


def timm_loop(folder: Path) -> dict[str, Any]:
    """Return the counts of a plain loop."""
    import torch
    from timm.data import create_transform
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    torch.set_num_threads(THREADS)
    network = networks()[0]
    transform = create_transform((3, 224, 224), interpolation="bilinear", crop_pct=0.875)
    top1 = top5 = 0
    said = torch.zeros(1000, dtype=torch.int64)
    with torch.inference_mode():
        for images, labels in DataLoader(ImageFolder(str(folder), transform), batch_size=32, num_workers=2):
            best = network(images).topk(5).indices
            said += torch.bincount(best[:, 0], minlength=1000)
            ranked = best == labels[:, None]
            top1, top5 = top1 + int(ranked[:, :1].sum()), top5 + int(ranked.sum())
    return {"top1": top1, "top5": top5, "classes said": counted(said.tolist())}


def own(folder: Path) -> dict[str, Any]:
    """Return the counts of our evaluation."""
    import torch

    from res2next.datasets import find_dataset
    from res2next.datasets.imagenet import PhotoSet
    from res2next.datasets.photos import FolderPhotos
    from res2next.evaluate import evaluate
    from res2next.optimize import keep_memory
    from res2next.registry import Preprocessing
    from res2next.transforms import evaluation_transform

    keep_memory()
    torch.set_num_threads(THREADS)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.JPEG"))
    labels = [int(path[1:9]) for path in paths]
    transform = evaluation_transform(Preprocessing())
    photos = PhotoSet(find_dataset("ImageNet"), "test", FolderPhotos(folder, paths), labels, transform)
    result = evaluate(networks()[1], photos)
    said = [sum(column) for column in zip(*result.confusion, strict=True)]
    return {"top1": result.top1, "top5": result.top5, "classes said": counted(said)}


def counted(said: list[int]) -> dict[int, int]:
    """Return how often each class was said: equal counts could be equal by chance where the weights are random."""
    return {index: number for index, number in enumerate(said) if number}


if __name__ == "__main__":
    main()
