"""Count every model of a folder of cards and print the multiply-adds as JSON, by the model's name.

Usage: count_corpus.py plain|counts|explained FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from msgspec.structs import replace

from cardproof.core.types import Need
from cardproof.plan.recall import plan
from cardproof.read import read_cards


def main() -> None:
    """Count in the given mode."""
    mode, folder = sys.argv[1:]
    needs = list(dict.fromkeys(plan(read_cards([Path(folder)])).values()))
    if mode == "plain":
        counts = count_plainly(needs)
    else:
        counts = count_in_workers([replace(need, questions=()) for need in needs] if mode == "counts" else needs)
    print(json.dumps(counts))


def count_in_workers(needs: list[Need]) -> dict[str, int | None]:
    """Count as a cold build does, in its worker processes."""
    from cardproof.measure.submit import measure

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
