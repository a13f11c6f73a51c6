"""Answers of earlier runs, in the user's cache folder, so that an address is not asked again every time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from cardproof.core.files import replace_file
from cardproof.judge.online.request import Answer

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from pathlib import Path

SCHEMA = "cardproof-links/1"
LIFETIMES = {"reachable": timedelta(days=7), "refused": timedelta(days=7), "gone": timedelta(days=1)}
"""How long an answer is used, by state; addresses in other states are asked again in the next run."""
MOST_ANSWERS = 50_000


def load_answers(path: Path, wanted: Container[str], now: datetime | None = None) -> dict[str, Answer]:
    """Return the stored answers for the ``wanted`` addresses that are still fresh."""
    now = now or datetime.now(UTC)
    return {answer.url: answer for answer in _read(path) if answer.url in wanted and _is_fresh(answer, now)}


def store_answers(path: Path, answers: Iterable[Answer]) -> None:
    """Add answers to the stored ones, and drop those that are not fresh."""
    now = datetime.now(UTC)
    kept = {answer.url: answer for answer in _read(path) if _is_fresh(answer, now)}
    kept |= {answer.url: answer for answer in answers if answer.state in LIFETIMES}
    newest = sorted(kept.values(), key=lambda answer: (answer.asked, answer.url))[-MOST_ANSWERS:]
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps({"schema": SCHEMA, "answers": to_builtins(newest)}).encode())


def _read(path: Path) -> list[Answer]:
    """Return the stored answers; none if the file is missing or invalid."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            return []
        return [Answer(**entry) for entry in data["answers"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _is_fresh(answer: Answer, now: datetime) -> bool:
    try:
        asked = datetime.fromisoformat(answer.asked)
        return timedelta(0) <= now - asked < LIFETIMES.get(answer.state, timedelta(0))
    except (ValueError, TypeError):
        return False
