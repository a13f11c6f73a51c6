"""Preprocessing: image size, crop, interpolation, mean and standard deviation against the zoo's configuration.

**What it does.** Compares `Image Size`, `Crop Pct`, `Interpolation`, `Mean` and `Std` with what the zoo itself uses
for the weights that the card links. These are settings, not measurements: they are equal or not, and `'0.875'` as
text equals 0.875 as a number. A crop is compared at the precision written, at three decimals at least. Where a zoo
evaluates the same weights at two sizes, either is confirmed.

**Why.** An accuracy belongs to its preprocessing. With another crop or interpolation a reader gets other predictions
and does not learn why.

**Unchecked** where the zoo states no preprocessing, or states it for other weights than those that the card links.

**Fix.** Writes the configuration's value.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from cardproof.checks import Check, Context
from cardproof.fields import CROP, IMAGE_SIZE, INTERPOLATION, MEAN, STD, normal_field
from cardproof.plan import image_size, parse_size, weights_file
from cardproof.words import Fix, Judgement, Preprocessing

if TYPE_CHECKING:
    from cardproof.words import Claim

METHOD = "compared with the zoo's configuration"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a claim about preprocessing."""
    config = context.evidence.preprocessing if context.evidence else None
    if config is None:
        reason = f"not measured: {context.missing}" if context.missing else "the zoo states no preprocessing for it"
        return Judgement(claim, "unchecked", reason=reason)
    mine = weights_file(context.model)
    if mine and config.weights and mine != config.weights:
        reason = f"the zoo's configuration belongs to other weights ({config.weights})"
        return Judgement(claim, "unchecked", reason=reason)
    name = normal_field(claim.field)
    found, equal = _compare(name, claim, config, context)
    if found is None:
        return Judgement(claim, "unchecked", reason=f"the zoo states no {name}")
    if equal:
        return Judgement(claim, "confirmed", found, allowed="exact", difference="0", method=METHOD)
    explanation = f"The configuration of the zoo says {found}."
    return Judgement(claim, "refuted", found, "", "exact", "", explanation, METHOD, "", _fix(claim, found))


def _compare(name: str, claim: Claim, config: Preprocessing, context: Context) -> tuple[str | float | int | None, bool]:
    """Return the configured value and whether the claim states it."""
    if name in IMAGE_SIZE:
        sizes = [size[1:] for size in (config.input_size, config.test_size) if size]
        stated = parse_size(claim.stated)
        shown = sizes[0][0] if sizes[0][0] == sizes[0][1] else f"{sizes[0][0]}x{sizes[0][1]}"
        return (claim.stated, True) if stated in sizes else (shown, False)
    if name in CROP:
        crop = _crop_at(image_size(context.model), config)
        return crop, _is_crop(claim.stated, crop)
    if name in INTERPOLATION:
        return config.interpolation, config.interpolation == claim.stated.strip().lower()
    values = config.mean if name in MEAN else config.std
    if values is None:
        return None, False
    stated_values = [_number(part) for part in re.findall(r"[\d.]+", claim.stated)]
    wanted = [Decimal(str(value)) for value in values]
    if len(stated_values) == 1:
        stated_values *= len(wanted)  # one value for all channels
    return ", ".join(str(value) for value in values), stated_values == wanted


def _crop_at(size: tuple[int, int] | None, config: Preprocessing) -> float | None:
    """Return the crop that belongs to the card's image size: a zoo may evaluate at a second size with another crop."""
    if config.test_size and config.test_crop_pct and size == config.test_size[1:] != config.input_size[1:]:
        return config.test_crop_pct
    return config.crop_pct


def _is_crop(text: str, configured: float | None) -> bool:
    """Return whether a crop is the configured one at the precision written, three decimals at least."""
    stated = _number(text)
    if stated is None or configured is None:
        return False
    exponent = stated.as_tuple().exponent
    assert isinstance(exponent, int)
    return abs(stated - Decimal(str(configured))) * 2 <= Decimal(1).scaleb(min(exponent, -3))


def _number(text: str) -> Decimal | None:
    """Return a number, with ``87.5%`` as 0.875; None where the text is none."""
    try:
        value = Decimal(text.strip().removesuffix("%"))
    except InvalidOperation:
        return None
    return value / 100 if text.strip().endswith("%") else value


def _fix(claim: Claim, found: str | float | int) -> Fix | None:
    place = claim.place
    if place.end_column is None or claim.style not in ("", "'", '"'):
        return None
    return Fix(place.line, place.column, place.end_column, f"{claim.style}{found}{claim.style}")


CHECK = Check("preprocessing", IMAGE_SIZE | CROP | INTERPOLATION | MEAN | STD, judge, page=__doc__)
