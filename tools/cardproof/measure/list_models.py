"""List the models of a zoo that match patterns, with their metadata. Runs in a worker."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from cardproof.core.errors import InputError, error_text
from cardproof.measure.gather import create_engine
from cardproof.plan.options import LOCAL
from cardproof.zoos import Zoo, ZooError, load_zoo, zoo_version
from cardproof.zoos.metadata import ModelList, Published, as_published

MOST_NEAR = 3


def list_models(zoo: str, patterns: Sequence[str], *, entries: bool = False, engine: str | None = None) -> ModelList:
    """List the models that match any of the patterns, in a worker, since a zoo may import torch; by default all.

    With ``entries``, list weights if the zoo names them; the pattern of a model then matches all its weights. Raises
    InputError if a pattern matches none or the zoo does not list its models, ZooError if it cannot be loaded.
    """
    chosen = create_engine(engine or LOCAL, 1)
    try:
        with chosen.open(zoo, 1) as submit:
            found: ModelList = submit(list_in_worker, zoo, tuple(patterns), entries).result()
            return found
    except TimeoutError as limit:
        raise InputError(f"zoo '{zoo}' does not list its models: {limit}") from None
    except chosen.worker_died:
        raise InputError(f"the worker process died while it listed the models of zoo '{zoo}'") from None


def list_in_worker(spec: str, patterns: tuple[str, ...], entries: bool) -> ModelList:
    """List models as :func:`list_models` does, in this process."""
    zoo = load_zoo(spec)
    try:
        return _list_models(spec, zoo, patterns, entries)
    except (InputError, ZooError):
        raise
    except BaseException as error:  # a zoo is foreign code, and may raise anything or exit
        raise ZooError(f"zoo '{spec}' does not list its models: {error_text(error)}") from None


def _list_models(spec: str, zoo: Zoo, patterns: tuple[str, ...], entries: bool) -> ModelList:
    models = tuple(getattr(zoo, "models", tuple)())
    weights = tuple(getattr(zoo, "entries", tuple)()) if entries or any("." in pattern for pattern in patterns) else ()
    if entries and weights:
        names = _matching_weights(zoo, patterns, models, weights)
    else:
        names = _matching_models(patterns, models, weights, getattr(zoo, "knows", None))
    if not names:
        raise InputError(f"zoo '{spec}' does not list its models: name them")
    return ModelList(
        getattr(zoo, "title", spec),
        zoo_version(spec),
        getattr(zoo, "address", str)(),
        tuple(_published(zoo, name) for name in names),
    )


def _published(zoo: Zoo, name: str) -> Published:
    """Return a zoo's metadata of a model; empty if the zoo does not know it, since building it will report that."""
    try:
        return as_published(name, getattr(zoo, "published", zoo.weights)(name))
    except BaseException:  # of foreign code
        return as_published(name, None)


def _matching_models(
    patterns: Sequence[str],
    models: Sequence[str],
    weights: Sequence[str],
    knows: Callable[[str], bool] | None = None,
) -> tuple[str, ...]:
    """Return the names that match, in the zoo's order; a pattern with a dot matches weights too.

    ``knows`` tells whether a zoo has a name that it does not list.
    """
    if not patterns:
        return tuple(models)
    if not models:
        if wild := next((pattern for pattern in patterns if re.search(r"[*?\[]", pattern)), None):
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


def _matching_weights(
    zoo: Zoo, patterns: Sequence[str], models: Sequence[str], weights: Sequence[str]
) -> tuple[str, ...]:
    """Return all weights of the models that match, and the weights that match themselves."""
    if not patterns:
        return tuple(weights)
    matching = _matching_models(patterns, models, weights)
    of_model = getattr(zoo, "entries_of", lambda model: [name for name in weights if name.partition(".")[0] == model])
    wanted = {weight for name in matching for weight in (of_model(name) if name in set(models) else [name])}
    return tuple(name for name in weights if name in wanted)


def _no_match(pattern: str, names: Iterable[str]) -> str:
    plain = re.sub(r"[*?\[\]!]", "", pattern)
    by_case = [name for name in names if fnmatchcase(name.lower(), pattern.lower())]
    near = by_case[:MOST_NEAR] or get_close_matches(plain, list(names), MOST_NEAR, 0.5)
    return f"no model of the zoo matches '{pattern}'" + (f"; did you mean {' or '.join(near)}?" if near else "")
