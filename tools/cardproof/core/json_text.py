"""JSON that every reader accepts: infinity, NaN and endless numbers, which it cannot have, are null."""

from __future__ import annotations

import json
import math
from typing import Any

MOST_BITS = 10_000
"""Of a whole number; Python refuses to write much longer ones."""


def strict_json(data: Any, **options: Any) -> str:
    """Return data as JSON; ``options`` are those of :func:`json.dumps`."""
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, **options)


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, int):
        return data if data.bit_length() < MOST_BITS else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(item) for item in data] if isinstance(data, list | tuple) else data
