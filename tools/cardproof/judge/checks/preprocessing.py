"""Preprocessing: image size, crop, interpolation, mean and standard deviation against the zoo's configuration.

**What it does.** Compares `Image Size`, `Crop Pct`, `Interpolation`, `Mean` and `Std` with what the zoo itself uses
for the weights that the card links. These are settings, not measurements: they are equal or not, and `'0.875'` as
text equals 0.875 as a number. A crop is compared at the precision written, at three decimals at least. If a zoo
evaluates the same weights at two sizes, either is confirmed.

Snippets are looked at too: a literal `mean` or `std`, or the size of a `CenterCrop`, in a Python block of the card or
of a file that it includes, that is not the configuration of any of its models is a warning (`snippet-preprocessing`).

**Why.** An accuracy belongs to its preprocessing. With another crop or interpolation a reader gets other predictions
and does not learn why.

**Unchecked** if the zoo states no preprocessing, or states it for other weights than those that the card links.

**Example.** `Crop Pct: 0.9` gives `Crop Pct of res2next50 says 0.9, the zoo has 0.875`.

**Fix.** Writes the configuration's value, with `--fix-unsafe`. **Settings.** `zoo`, `names`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from cardproof.core.types import Claim, Finding, Judgement, Preprocessing
from cardproof.judge.checks import CardContext, Check, Context
from cardproof.judge.checks._counts import edit
from cardproof.read.claims import image_size, weights_file
from cardproof.read.markdown import Fences, split_lines

METHOD = "compared with the zoo's configuration"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a claim about preprocessing."""
    config = context.evidence.preprocessing if context.evidence else None
    if config is None:
        reason = f"not measured: {context.missing}" if context.missing else "the zoo states no preprocessing for it"
        return Judgement(claim, "unchecked", reason=reason)
    mine = weights_file(context.model)
    if mine and config.weights and mine != config.weights and context.model.form != "table":
        reason = f"the zoo's configuration belongs to other weights ({config.weights})"
        return Judgement(claim, "unchecked", reason=reason)
    found, equal = _compare(claim, config, context)
    if found is None:
        return Judgement(claim, "unchecked", reason=f"the zoo states no {claim.name}")
    if equal:
        return Judgement(claim, "confirmed", found, allowed="exact", difference="0", method=METHOD)
    if claim.kind == "image size" and context.model.form == "table":
        reason = f"a table says at which size its numbers were made; the configuration of the zoo says {found}"
        return Judgement(claim, "unchecked", found, reason=reason)
    explanation = f"The configuration of the zoo says {found}."
    fix, shows = edit(claim, str(found)), ("configuration",)
    return Judgement(claim, "refuted", found, "", "exact", "", explanation, METHOD, "", fix, discrepancies=shows)


def _compare(claim: Claim, config: Preprocessing, context: Context) -> tuple[str | float | int | None, bool]:
    """Return the configured value and whether the claim states it."""
    if claim.kind == "image size":
        sizes = [size[1:] for size in (config.input_size, config.test_size) if size]
        shown = sizes[0][0] if sizes[0][0] == sizes[0][1] else f"{sizes[0][0]}x{sizes[0][1]}"
        return (claim.stated, True) if claim.size in sizes else (shown, False)
    if claim.kind == "crop":
        crop = _crop_at(image_size(context.claims), config)
        return crop, _is_crop(claim.stated, crop)
    if claim.kind == "interpolation":
        return config.interpolation, config.interpolation == claim.stated.strip().lower()
    values = config.mean if claim.kind == "mean" else config.std
    if values is None:
        return None, False
    stated_values = [_number(part) for part in re.findall(r"[\d.]+", claim.stated)]
    wanted = [Decimal(str(value)) for value in values]
    if len(stated_values) == 1:
        stated_values *= len(wanted)  # one value for all channels
    return ", ".join(str(value) for value in values), stated_values == wanted


def _crop_at(size: tuple[int, int] | None, config: Preprocessing) -> float | None:
    """Return the crop at the card's image size: a zoo may evaluate at a second size with another crop."""
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
    """Return a number, with ``87.5%`` as 0.875; None if the text is not a number."""
    try:
        value = Decimal(text.strip().removesuffix("%"))
    except InvalidOperation:
        return None
    return value / 100 if text.strip().endswith("%") else value


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report snippets that normalise or crop images unlike the zoo for every model of the card."""
    configs = [model.evidence.preprocessing for model in context.models if model.evidence]
    stated = [config for config in configs if config]
    sizes = {side for config in stated for size in (config.input_size, config.test_size) if size for side in size[1:]}
    for source in (context.card.source, *context.includes):
        card = "" if source is context.card.source else f", included by {context.card.file}"
        for block, offset in _python(source.text) if sizes else ():
            for match in _CENTER_CROP.finditer(block):
                if int(match[1]) not in sizes:
                    place = source.place(offset + match.start(1), offset + match.end(1))
                    message = (
                        f"the snippet{card} crops to {match[1]} pixels; the zoo's configuration has "
                        f"{' or '.join(map(str, sorted(sizes)))}"
                    )
                    hint = "take the size from the configuration of the model"
                    yield Finding(place, "snippet-preprocessing", "warning", message, hint)
        for name, values, start, end in literals(source.text) if None not in configs else ():
            wanted = {own for config in stated if (own := getattr(config, name))}
            if wanted and values not in wanted:
                message = (
                    f"the snippet{card} has {name} {_tuple_text(values)}; the zoo's configuration has "
                    f"{' or '.join(sorted(map(_tuple_text, wanted)))}"
                )
                hint = "take the values from the configuration of the model"
                yield Finding(source.place(start, end), "snippet-preprocessing", "warning", message, hint)


def literals(text: str) -> Iterator[tuple[str, tuple[float, ...], int, int]]:
    """Yield name, values and span of each literal mean and std of three channels in the Python blocks of a text."""
    for block, offset in _python(text):
        for match in _THREE.finditer(block):
            before = block[max(0, match.start() - 80) : match.start()]
            named = _NAMED.search(before)
            pair = _PAIR.search(before)
            values = tuple(float(part) for part in match[1].split(","))
            span = (offset + match.start(), offset + match.end())
            if pair:
                yield pair[1], values, *span
                comma = _COMMA.match(block, match.end())
                if comma and (second := _THREE.match(block, comma.end())):
                    other = tuple(float(part) for part in second[1].split(","))
                    yield pair[2], other, offset + second.start(), offset + second.end()
            elif named:
                yield named[1], values, *span


def _python(text: str) -> Iterator[tuple[str, int]]:
    """Yield the fenced Python blocks of a text, with their positions."""
    fences, start = Fences(), -1
    for position, line in split_lines(text):
        if fences.feed(line) and start < 0:
            is_python = re.match(r"\s{0,3}[`~]{3,20}\s?\{?\.?(?:py|python)", line)
            start = position + len(line) if is_python else -2
        elif start != -1 and not fences.is_open:
            if start >= 0:
                yield text[start:position], start
            start = -1


def _tuple_text(values: tuple[float, ...]) -> str:
    return f"({', '.join(str(value) for value in values)})"


_NUMBER = r"(?:\d{1,4}\.\d{0,12}|\.\d{1,12}|\d{1,4})"
_THREE = re.compile(rf"[\[(]\s{{0,20}}({_NUMBER}(?:\s{{0,20}},\s{{0,20}}{_NUMBER}){{2}})\s{{0,20}},?\s{{0,20}}[\])]")
_NAMED = re.compile(r"\b(mean|std)\s{0,5}=\s{0,20}(?:[\w.]{1,30}\()?$")
_PAIR = re.compile(r"\b(mean|std)\s{0,5},\s{0,5}(mean|std)\s{0,5}=\s{0,5}$")
_CENTER_CROP = re.compile(r"\bCenterCrop\(\s{0,20}(?:size=)?(\d{1,5})\b")
_COMMA = re.compile(r"\s{0,20},?\s{0,20}")

CHECK = Check(
    "preprocessing",
    ("image size", "crop", "interpolation", "mean", "std"),
    judge,
    check_card=check_card,
    findings=("snippet-preprocessing",),
)
