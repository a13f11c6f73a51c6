"""Answers of earlier runs, in the user's cache folder: an address is not asked again every time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, convert, to_builtins

from cardproof.core.files import replace_files
from cardproof.judge.online.request import Answer

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from pathlib import Path

LASTS = {"reachable": timedelta(days=7), "refused": timedelta(days=7), "gone": timedelta(days=1)}
"""How long an answer is used; others are asked again at once."""
MOST_KEPT = 50_000


class _Answers(Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["cardproof-links/1"]
    answers: tuple[Answer, ...]


def fresh_answers(path: Path, wanted: Container[str], at: datetime | None = None) -> dict[str, Answer]:
    """Return the answers that are fresh enough to be used."""
    at = at or datetime.now(UTC)
    return {answer.url: answer for answer in _read(path) if answer.url in wanted and _is_fresh(answer, at)}


def keep_answers(path: Path, answers: Iterable[Answer]) -> None:
    """Add answers to those that are kept, and forget what is old."""
    at = datetime.now(UTC)
    kept = {answer.url: answer for answer in _read(path) if _is_fresh(answer, at)}
    kept |= {answer.url: answer for answer in answers if answer.state in LASTS}
    newest = sorted(kept.values(), key=lambda answer: (answer.asked, answer.url))[-MOST_KEPT:]
    record = to_builtins(_Answers("cardproof-links/1", tuple(newest)))
    replace_files({path: json.dumps(record)})


def _read(path: Path) -> tuple[Answer, ...]:
    """Return what is kept; nothing if the file is missing or not ours: it can be made again."""
    try:
        return convert(json.loads(path.read_bytes()), _Answers).answers
    except (OSError, ValueError, RecursionError):
        return ()


def _is_fresh(answer: Answer, at: datetime) -> bool:
    try:
        asked = datetime.fromisoformat(answer.asked)
        return timedelta(0) <= at - asked < LASTS.get(answer.state, timedelta(0))
    except (ValueError, TypeError):
        return False
