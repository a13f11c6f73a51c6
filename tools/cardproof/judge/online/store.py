"""Answers of earlier runs, in the user's cache folder: an address is not asked again every time."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from cardproof.judge.online.request import Answer

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

SCHEMA = "cardproof-links/1"
LASTS = {"reachable": timedelta(days=7), "refused": timedelta(days=7), "gone": timedelta(days=1)}
"""How long an answer is used; others are asked again at once."""
MOST_KEPT = 50_000


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
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            json.dump({"schema": SCHEMA, "answers": [to_builtins(answer, enc_hook=str) for answer in newest]}, stream)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path) -> list[Answer]:
    """Return what is kept; nothing where the file is not there or not ours: it can be made again."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            return []
        return [Answer(**entry) for entry in data["answers"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _is_fresh(answer: Answer, at: datetime) -> bool:
    try:
        asked = datetime.fromisoformat(answer.asked)
        return timedelta(0) <= at - asked < LASTS.get(answer.state, timedelta(0))
    except (ValueError, TypeError):
        return False
