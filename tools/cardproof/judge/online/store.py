"""Answers: what came of asking an address, kept in the private cache so that it is not asked again every time."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec import Struct, convert, to_builtins

from cardproof.core.cache import Entry, open_cache
from cardproof.core.secrets import masked

State = Literal["reachable", "gone", "unreachable", "refused", "private", "not-run"]
STATES: tuple[State, ...] = ("reachable", "gone", "unreachable", "refused", "private", "not-run")

KIND = "answers of servers"
LASTS = {"reachable": timedelta(days=7), "refused": timedelta(days=7), "gone": timedelta(days=1)}
"""How long an answer is used; others are asked again at once."""


class Answer(Struct, frozen=True):
    """What came of asking one address."""

    url: str
    state: State
    status: int | None
    """Of the last answer; None where there was none."""
    reason: str
    asked: str
    """Time in UTC, ISO 8601."""
    no_network: bool = False
    """It failed in a way that everything fails in without a network."""


def fresh_answers(wanted: Iterable[str], at: datetime | None = None) -> dict[str, Answer]:
    """Return the answers of some addresses that are fresh enough to be used."""
    cache = open_cache()
    if cache is None:
        return {}
    found = {}
    with closing(cache):
        for entry in filter(None, (cache.entry(KIND, url) for url in wanted)):
            with suppress(ValueError, TypeError):  # another version may have written it
                answer = convert(entry.value, Answer)
                age = (at or datetime.now(UTC)) - datetime.fromisoformat(answer.asked)
                if timedelta(0) <= age < LASTS.get(answer.state, timedelta(0)):
                    found[answer.url] = answer
    return found


def keep_answers(answers: Iterable[Answer]) -> None:
    """Keep the answers that may be used again, of addresses that hold no credentials."""
    if cache := open_cache():
        with closing(cache):
            kept = (one for one in answers if one.state in LASTS and masked(one.url) == one.url)
            cache.put((KIND, [Entry(one.url, {}, to_builtins(one)) for one in kept]))
