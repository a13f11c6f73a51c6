"""The preview image of a model page for shared links: title, description, and verdicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image, ImageColor, ImageDraw, ImageFont

from cardproof.core.types import SHOWN_VERDICTS, ShownVerdict
from cardproof.render.catalog.badges import COLOURS

if TYPE_CHECKING:
    Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

SIZE = (1200, 630)
"""The size that Open Graph clients show without cropping."""
MARGIN, BAR = 80, 28
PAPER, INK, QUIET = "#ffffff", "#16202b", "#5f6b76"
MOST_TITLE, MOST_WORDS = 120, 400
"""Characters of the title and the description that are used."""
_VERDICTS = re.compile(r'<div class="cp-bar" role="img" aria-label="([^"]{1,200})"')


def read_verdicts(markdown: str) -> dict[ShownVerdict, int]:
    """Return verdict -> number of claims, read from the panel of a rendered page."""
    found = _VERDICTS.search(markdown)
    counts = {word: int(number) for number, word in re.findall(r"\b(\d++) (\w+)", found[1])} if found else {}
    return {verdict: counts[verdict] for verdict in SHOWN_VERDICTS if counts.get(verdict)}


def social_card(site: str, title: str, description: str, verdicts: Mapping[ShownVerdict, int]) -> bytes:
    """Return a page's preview image as PNG, 1200 by 630 pixels."""
    image = Image.new("RGB", SIZE, PAPER)
    draw = ImageDraw.Draw(image)
    width = SIZE[0] - 2 * MARGIN
    draw.text((MARGIN, 60), _truncate(draw, " ".join(site.split()), _font(32), width), QUIET, _font(32))
    top = 130
    for line in _wrapped_lines(draw, title[:MOST_TITLE], _font(84), width, 2):
        draw.text((MARGIN, top), line, INK, _font(84))
        top += 100
    top += 20
    for line in _wrapped_lines(draw, description[:MOST_WORDS], _font(34), width, 3 if top < 300 else 2):
        draw.text((MARGIN, top), line, QUIET, _font(34))
        top += 48
    left, total = float(MARGIN), sum(verdicts.values())
    for verdict, count in verdicts.items():
        right = left + width * count / total
        draw.rectangle((left, SIZE[1] - 130, right, SIZE[1] - 130 + BAR), COLOURS[verdict])
        left = right
    listed = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    words = f"{total} claim{'' if total == 1 else 's'}: {listed}" if total else "no claims"
    draw.text((MARGIN, SIZE[1] - 84), words, INK, _font(32))
    stream = BytesIO()
    image.quantize(palette=_palette(), dither=Image.Dither.NONE).save(stream, "PNG")
    return stream.getvalue()


@cache
def _palette() -> Image.Image:
    """Return the colours of an image: those of areas, and steps between paper and text."""
    own = [ImageColor.getrgb(colour)[:3] for colour in (PAPER, INK, QUIET, *COLOURS.values())]
    steps = [
        tuple(paper + (ink - paper) * step // 8 for paper, ink in zip(own[0], letters, strict=True))
        for letters in own[1:3]
        for step in range(1, 8)
    ]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in (*own, *steps) for value in colour])
    return palette


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _wrapped_lines(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int, most_lines: int) -> list[str]:
    """Return a text in at most ``most_lines`` lines that fit; the last ends with an ellipsis if text is left out."""
    lines: list[str] = []
    for word in text.split():
        if lines and draw.textlength(f"{lines[-1]} {word}", font) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    shown = lines[:most_lines]
    if len(lines) > most_lines:
        shown[-1] += " …"
    return [_truncate(draw, line, font, width) for line in shown]


def _truncate(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> str:
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"{text}…", font) > width:
        text = text[:-1]
    return f"{text.rstrip(' …')}…"
