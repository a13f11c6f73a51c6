"""Survey a zoo: which of its models some patterns name, and what its metadata says of them. Runs in a worker."""

from __future__ import annotations

import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from cardproof.core.errors import InputError
from cardproof.measure.submit import engine_named
from cardproof.plan.options import LOCAL
from cardproof.zoos import Zoo, ZooError, load_zoo, zoo_version
from cardproof.zoos.published import ModelList, Published, as_published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MOST_NEAR = 5


def list_models(zoo: str, patterns: Sequence[str], *, entries: bool = False, engine: str | None = None) -> ModelList:
    """Ask a zoo for the models that match any of the patterns, in a worker: a zoo may import torch to answer.

    Without a pattern these are all models; with ``entries`` all weights where the zoo names them, and a pattern of a
    model means all of its weights. Raises InputError if a pattern matches none or the zoo does not list its models,
    ZooError if it cannot be loaded.
    """
    chosen = engine_named(engine or LOCAL, 1)
    try:
        with chosen.open(zoo, 1) as submit:
            found: ModelList = submit(look_around, zoo, tuple(patterns), entries).result()
            return found
    except chosen.lost:
        raise InputError(f"the worker process died while it asked zoo '{zoo}' for its models") from None


def look_around(spec: str, patterns: tuple[str, ...], entries: bool) -> ModelList:
    """Do what :func:`list_models` says, in this process."""
    zoo = load_zoo(spec)
    try:
        return _listed(spec, zoo, patterns, entries)
    except (InputError, ZooError):
        raise
    except (Exception, SystemExit) as trouble:  # a zoo is foreign code, and may raise or exit as it likes
        raise ZooError(f"zoo '{spec}' does not list its models: {type(trouble).__name__}: {trouble}") from None


def _listed(spec: str, zoo: Zoo, patterns: tuple[str, ...], entries: bool) -> ModelList:
    models = tuple(getattr(zoo, "models", tuple)())
    weights = tuple(getattr(zoo, "entries", tuple)()) if entries or any("." in one for one in patterns) else ()
    if entries and weights:
        names = _entries_of(zoo, patterns, models, weights)
    else:
        names = _chosen(patterns, models, weights, getattr(zoo, "knows", None))
    if not names:
        raise InputError(f"zoo '{spec}' does not list its models: name those that you mean")
    return ModelList(
        getattr(zoo, "title", spec),
        zoo_version(spec),
        getattr(zoo, "address", str)(),
        tuple(_published(zoo, name) for name in names),
    )


def _published(zoo: Zoo, name: str) -> Published:
    """Return what a zoo says of a model; nothing if it knows none of that name, which building it will tell."""
    try:
        return as_published(name, getattr(zoo, "published", zoo.weights)(name))
    except (LookupError, ValueError):
        return as_published(name, None)


def _chosen(
    patterns: Sequence[str],
    models: Sequence[str],
    weights: Sequence[str],
    knows: Callable[[str], bool] | None = None,
) -> tuple[str, ...]:
    """Return the names that match, in the zoo's order; a pattern with a dot is about weights.

    A name that is none of the zoo's list may be one that it ``knows`` all the same.
    """
    if not patterns:
        return tuple(models)
    if not models:
        if wild := next((one for one in patterns if _is_wild(one)), None):
            raise InputError(f"'{wild}': this zoo does not list its models, so no pattern can match; name them")
        return tuple(dict.fromkeys(patterns))
    found: dict[str, None] = {}
    for pattern in patterns:
        matching = [name for name in models if fnmatchcase(name, pattern)]
        if "." in pattern:
            matching += [name for name in weights if fnmatchcase(name, pattern)]
        if not matching and knows and knows(pattern):
            matching = [pattern]
        if not matching:
            raise InputError(_no_match(pattern, (*models, *weights)))
        found |= dict.fromkeys(matching)
    order = {name: number for number, name in enumerate((*models, *weights))}
    return tuple(sorted(found, key=lambda name: order.get(name, len(order))))


def _entries_of(zoo: Zoo, patterns: Sequence[str], models: Sequence[str], weights: Sequence[str]) -> tuple[str, ...]:
    """Return the names of all weights of the models that match, and of those that match themselves."""
    if not patterns:
        return tuple(weights)
    chosen = _chosen(patterns, models, weights)
    of_models = getattr(zoo, "entries_of", lambda name: [one for one in weights if one.partition(".")[0] == name])
    wanted = {one for name in chosen for one in (of_models(name) if name in set(models) else [name])}
    return tuple(name for name in weights if name in wanted)


def _no_match(pattern: str, names: Iterable[str]) -> str:
    plain = re.sub(r"[*?\[\]!]", "", pattern)
    by_case = [name for name in names if fnmatchcase(name.lower(), pattern.lower())]
    near = by_case[:MOST_NEAR] or get_close_matches(plain, list(names), MOST_NEAR, 0.5)
    said = f"; near names are {', '.join(near)}" if near else ""
    return f"no model of the zoo matches '{pattern}'{said}"


def _is_wild(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")
