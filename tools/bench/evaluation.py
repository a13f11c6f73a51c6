"""Time the evaluation of 1,000 photos (JPEG, 500x375) against a loop like that of timm's validate script, in one run.

Each side is a separate process on two cores. Theirs: timm's data set, loader with two workers, transforms and model,
batch 32, once with defaults and once with memory kept (:func:`res2next.inference.keep_memory`). Ours:
:func:`res2next.evaluation.evaluate` with its defaults, and by the best engine that is installed. Weights are equal, so
predicted classes must be equal. The limit is what that engine does on photos that are in memory, decoded and resized.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figures import Part, parser, result_of, show
from bench.photos import CLASSES, images, networks, teach, write_photos

if TYPE_CHECKING:
    from bench.figures import Row
    from res2next.datasets.imagenet import PhotoSet

PEER = "timm's loader and model"
KEPT = "timm's loader and model, memory kept"
OURS = {"res2next evaluate": "torch", "res2next evaluate, best engine": "auto"}
LIMIT = "best engine alone, photos in memory"
SIDES = (PEER, KEPT, *OURS, LIMIT)

THREADS = 2
PHOTOS = 1000
IN_MEMORY, BATCH = 96, 8
"""Photos of the limit, and those of one forward in each thread."""


def main() -> None:
    """Measure and print the figures."""
    options = parser(__doc__)
    options.add_argument("--photos", type=int, default=PHOTOS, help="how many to evaluate")
    options.add_argument("--rounds", type=int, default=1, help="how often each side is started")
    options.add_argument("--child", nargs=2, metavar=("SIDE", "FOLDER"), help="one side, in this process")
    given = options.parse_args()
    if given.child:
        side, folder = given.child
        if side == LIMIT:
            found = limit(Path(folder))
        else:
            found = ours(OURS[side], Path(folder)) if side in OURS else theirs(side, Path(folder))
        print(json.dumps(found))
    else:
        show([measure(given.photos, given.rounds)], given.json)


def measure(photos: int = PHOTOS, rounds: int = 1) -> Part:
    """Return the figures of all sides."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "photos").mkdir()
        size = write_photos(Path(folder, "photos"), photos)
        teach(Path(folder, "weights.pt"))
        found = [{side: _in_a_process(side, folder) for side in SIDES} for _ in range(rounds)]
    loops, wholes = (
        {side: statistics.median(one[side][key] for one in found) for side in SIDES} for key in ("loop", "whole")
    )
    loops[LIMIT] *= photos / IN_MEMORY
    rows: list[Row] = []
    for side in SIDES:
        row: Row = {
            "side": side,
            "images/s": round(photos / loops[side], 1),
            "times as fast as timm": round(loops[PEER] / loops[side], 2),
        }
        taken = found[0][side]["taken"]
        whole: Row = {
            "seconds, whole process": round(wholes[side], 1),
            "times as fast, whole process": round(wholes[PEER] / wholes[side], 2),
            "with memory kept": round(wholes[KEPT] / wholes[side], 2),
            "top-1": sum(number for label, other, number in taken if label == other),
            "classes said": len({other for _, other, _ in taken}),
            "equal counts": "yes" if taken == found[0][PEER]["taken"] else "no",
        }
        rows.append(row | (dict.fromkeys(whole) if side == LIMIT else whole))
    what = (
        f"{photos:,} photos of 500x375 ({size / photos / 1000:.0f} kB each) in a folder, res2next50 in float32, "
        f"{THREADS} threads; timm with two workers and batch 32."
    )
    computed = "; ".join(f"{side}: {found[0][side]['how']}" for side in (*OURS, LIMIT))
    note = "Counts are equal when as many photos of each class were taken for each other class, whether right or not."
    return Part("Evaluating a folder of photos", what, rows, "images/s", [f"{computed}.", note])


def _in_a_process(side: str, folder: str) -> dict[str, Any]:
    started = time.perf_counter()
    found: dict[str, Any] = result_of("evaluation.py", "--child", side, folder)
    return found | {"whole": time.perf_counter() - started}


def photo_set(folder: Path) -> PhotoSet:
    """Return the photos as a data set of res2next."""
    from res2next.datasets import find_dataset
    from res2next.datasets.imagenet import PhotoSet
    from res2next.datasets.photos import FolderPhotos
    from res2next.registry import Preprocessing
    from res2next.transforms import evaluation_transform

    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.JPEG"))
    labels = [int(path[1:9]) for path in paths]
    transform = evaluation_transform(Preprocessing())
    return PhotoSet(find_dataset("ImageNet"), "test", FolderPhotos(folder, paths), labels, transform)


def theirs(side: str, folder: Path) -> dict[str, Any]:
    """Return the seconds of a plain loop, and the confusion: class, predicted class, number."""
    import torch
    from timm.data import create_dataset, create_loader

    if side == KEPT:
        from res2next.inference import keep_memory

        keep_memory()
    torch.set_num_threads(THREADS)
    network = networks(folder / "weights.pt")[0]
    started = time.perf_counter()
    loader = create_loader(
        create_dataset("", root=str(folder / "photos")),
        input_size=(3, 224, 224),
        batch_size=32,
        interpolation="bilinear",
        crop_pct=0.875,
        num_workers=2,
        device=torch.device("cpu"),
    )
    confusion = torch.zeros(CLASSES, 1000, dtype=torch.int64)
    loss = torch.zeros(())
    with torch.inference_mode():
        for images, labels in loader:
            logits = network(images)  # (n, 1000)
            loss += torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
            best = logits.topk(5).indices[:, 0]
            confusion.index_put_((labels, best), torch.ones_like(labels), accumulate=True)
    seconds = time.perf_counter() - started
    return {"loop": seconds, "taken": [[*map(int, at), int(confusion[tuple(at)])] for at in confusion.nonzero()]}


def ours(engine: str, folder: Path) -> dict[str, Any]:
    """Return the seconds of our evaluation, how it was computed, and the confusion: class, predicted class, number."""
    import torch

    from res2next.evaluation import evaluate
    from res2next.inference import keep_memory

    keep_memory()
    torch.set_num_threads(THREADS)
    network = networks(folder / "weights.pt")[1]
    started = time.perf_counter()
    result = evaluate(network, photo_set(folder / "photos"), engine=engine)
    seconds = time.perf_counter() - started
    how = f"{result.engine}, {result.streams} {'batches' if result.streams > 1 else 'batch'} at a time"
    return {"loop": seconds, "taken": result.to_dict()["confusion"], "how": how}


def limit(folder: Path) -> dict[str, Any]:
    """Return the seconds in which the best engine computes photos in memory, a forward in each thread at a time."""
    import torch

    from res2next.inference import Exported, choose_engine, keep_memory, optimize

    keep_memory()
    torch.set_num_threads(1)
    engine = choose_engine("auto")
    network = networks(folder / "weights.pt")[1]
    exported = optimize(network) if engine == "torch" else Exported(network, engine, threads=THREADS, streams=THREADS)
    batches = images(0, IN_MEMORY).split(BATCH)
    with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(exported, batches[:THREADS]))
        started = time.perf_counter()
        list(pool.map(exported, batches))
        seconds = time.perf_counter() - started
    return {"loop": seconds, "taken": [], "how": f"{engine}, {THREADS} batches at a time"}


if __name__ == "__main__":
    main()
