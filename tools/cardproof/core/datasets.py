"""Names of data sets that cards use."""

from __future__ import annotations

from functools import cache


@cache
def canonical(name: str) -> str | None:
    """Return the own name of a data set that a card may call by another; None where nobody here knows it."""
    from res2next.datasets import UnknownDataset, find_dataset

    try:
        return find_dataset(name).name
    except UnknownDataset:
        return None


def dataset_names() -> tuple[str, ...]:
    """Return the names of all data sets that can be evaluated."""
    from res2next.datasets import list_datasets

    return tuple(list_datasets())
