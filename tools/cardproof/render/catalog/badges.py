"""Badges: small SVG images with a verdict in words, so that a README needs no badge service."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from cardproof.core.types import ShownVerdict
from cardproof.render.templates import render_layout

MARK = 'data-cardproof="badge"'
"""Marks an SVG file as a badge."""

MOST_CHARACTERS = 48
"""Longer texts end in an ellipsis."""

COLOURS: Mapping[ShownVerdict, str] = {
    "confirmed": "#0b7047",
    "cited": "#2456a6",
    "disputed": "#8a5a00",
    "refuted": "#b3261e",
    "generated": "#36424e",
    "unchecked": "#5f6b76",
}
"""White text has a contrast of at least 4.5 on each."""

ATTENTION: tuple[ShownVerdict, ...] = ("refuted", "disputed", "confirmed", "generated", "cited", "unchecked")
"""What needs a reader's attention first: the order of rows in a claims table, and the colour of a model's badge."""

_WIDTHS = {
    **dict.fromkeys("ijlI|!.,:;'` ", 3.6),
    **dict.fromkeys('()[]{}/\\-frt"', 4.6),
    **dict.fromkeys("mwMW%@&", 10.2),
    **dict.fromkeys("ABCDEGHKNOPQRSTUVXYZ_+=<>~#", 7.9),
}
"""Widths in pixels at 11 px, about those of Verdana and DejaVu Sans; the image stretches its text to them."""
_USUAL, _WIDE = 6.7, 11.0


def claim_badge(field: str, value: str, verdict: ShownVerdict) -> str:
    """Return the badge of one claim: field, value and verdict."""
    return _badge(field, f"{value} · {verdict}" if value else verdict, verdict)


def model_badge(model: str, verdicts: Mapping[ShownVerdict, int]) -> str:
    """Return the badge of a model: the numbers of refuted, disputed and confirmed claims."""
    total = sum(verdicts.values())
    worst: ShownVerdict = next((verdict for verdict in ATTENTION if verdicts.get(verdict)), "unchecked")
    parts = [f"{verdicts[verdict]} {verdict}" for verdict in ("refuted", "disputed") if verdicts.get(verdict)]
    if generated := verdicts.get("generated"):
        parts.append(f"{generated} of {total} values generated")
    if not generated or verdicts.get("confirmed"):
        parts += [f"{verdicts.get('confirmed', 0)} of {total} claims confirmed"] if total else ["no claims"]
    return _badge(model, " · ".join(parts), worst)


def text_width(text: str) -> float:
    """Return the approximate width of a text at 11 px."""
    return sum(_width(character) for character in text)


def _width(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return _WIDE
    return _WIDTHS.get(character, _USUAL)


def _badge(label: str, message: str, verdict: ShownVerdict) -> str:
    label, message = _printable_text(label), _printable_text(message)
    left, right = (round(text_width(text)) for text in (label, message))
    parts = {"label": label, "message": message, "left": left, "middle": left + 12, "right": right}
    return render_layout("badge.svg", **parts, colour=COLOURS[verdict]).replace("\n", "") + "\n"


def _printable_text(text: str) -> str:
    """Return a text on one line, cut to length, without characters that XML forbids or that reorder text."""
    kept = "".join(
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") else c for c in " ".join(text.split())
    )
    return kept if len(kept) <= MOST_CHARACTERS else kept[: MOST_CHARACTERS - 1].rstrip() + "…"
