"""Preprocessing: image size, crop, interpolation, mean and standard deviation, compared with the zoo's configuration.

## What it does

Compares `Image Size`, `Crop Pct`, `Interpolation`, `Mean` and `Std` with what the zoo uses for the weights that the
card links. These are settings and not measurements: they are equal or not, and the text `'0.875'` equals the number
0.875. A crop is compared at the precision written, with three decimals at least. If a zoo evaluates the same weights
at two sizes, both are confirmed.

- `snippet-preprocessing`: a literal `mean` or `std`, or the size of a `CenterCrop`, in a Python block of the card or
  of a file that it includes, is not the configuration of any of its models. It is a warning.

A claim is **unchecked** if the zoo states no preprocessing, or states it for other weights than those that the card
links. So is a value that is not fully understood: `bilinear or bicubic`, `0.875 (center)`, `not 0.229`, a mean of
images from 0 to 255. An image size with channels must have the network's channels.

## Why

An accuracy is valid for its preprocessing only. With another crop or interpolation a reader gets other predictions
and is not told why.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Metadata:
    Crop Pct: 0.9
-->
```

```console
$ cardproof audit card.md --zoo torchvision
card.md:8:15: error [preprocessing] Crop Pct of resnet18: card says 0.9, the zoo has 0.875
    The configuration of the zoo says 0.875.
```

## Fix

Writes the value of the zoo's configuration. An image size is fixed only if the stated FLOPs are right at the zoo's.

```diff title="cardproof audit card.md --zoo torchvision --fix-unsafe"
-    Crop Pct: 0.9
+    Crop Pct: 0.875
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-    Crop Pct: 0.9
+    Crop Pct: 0.9  # cardproof: ignore[preprocessing] our own evaluation uses this crop
```

## Settings

`zoo`, `names`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from cardproof.core.measurements import Preprocessing, Reproduction
from cardproof.core.numbers import MAX_TEXT
from cardproof.core.types import Claim, Finding, Judgement, shorten
from cardproof.judge.checks import CardContext, Check, Context
from cardproof.judge.checks._counts import replacing_fix, reproductions_of
from cardproof.read.markdown import Fences, split_lines
from cardproof.read.models import channels_in, image_size, weights_file

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
    if equal is None:
        reason = f"'{shorten(claim.stated)}' is not wholly understood as {_WHAT[claim.kind]}"
        return Judgement(claim, "unchecked", found, reason=reason)
    if equal:
        return Judgement(claim, "confirmed", found, allowed="exact", difference="0", method=METHOD)
    if claim.kind == "image size" and context.model.form == "table":
        reason = f"a table says at which size its numbers were made; the configuration of the zoo says {found}"
        return Judgement(claim, "unchecked", found, reason=reason)
    explanation = f"The configuration of the zoo says {found}."
    fix, shows = replacing_fix(claim, str(found)), ("configuration",)
    if claim.kind == "image size" and not _have_flops_of(config, context):
        explanation += " The stated FLOPs are not those at that size, so this size is not fixed."
        fix = None
    return Judgement(claim, "refuted", found, "", "exact", "", explanation, METHOD, "", fix, discrepancies=shows)


def _have_flops_of(config: Preprocessing, context: Context) -> bool:
    """Return whether all FLOPs of a card are right at the zoo's size: else another size would make them wrong."""
    return all(
        any(way.input == config.input_size[1:] and is_right_square(way) for way in reproductions_of(claim, context))
        for claim, _ in context.numbers("flops")
    )


def is_right_square(found: Reproduction) -> bool:
    """Return whether a way of counting gives exactly the multiply-adds, or a tool's count, of a square image."""
    square = found.input is not None and found.input[0] == found.input[1]
    others = found.counted or found.left_out or found.classes or found.note
    return found.exact and square and found.factor == 1 and bool(found.tool or not others)


_WHAT = {
    "image size": "the size of an image",
    "crop": "a share of the image",
    "interpolation": "the name of one interpolation",
    "mean": "one value, or one for each channel, of images from 0 to 1",
    "std": "one value, or one for each channel, of images from 0 to 1",
}
INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos", "area")


def _compare(claim: Claim, config: Preprocessing, context: Context) -> tuple[str | float | int | None, bool | None]:
    """Return the configured value and whether the claim states it; None if the claim cannot be read."""
    if claim.kind == "image size":
        return _compare_size(claim, config)
    if claim.kind == "crop":
        return _compare_crop(claim.stated, config, image_size(context.claims))
    if claim.kind == "interpolation":
        stated = claim.stated.strip().lower()
        known = stated in INTERPOLATIONS or stated == config.interpolation
        return config.interpolation, stated == config.interpolation if known else None
    values = config.mean if claim.kind == "mean" else config.std
    if values is None:
        return None, False
    match = _VALUES.fullmatch(claim.stated.strip()) if len(claim.stated) <= MAX_TEXT else None
    stated_values = [Decimal(part) for part in re.split(r"[,\s]+", match[1])] if match else []
    wanted = [Decimal(str(value)) for value in values]
    if len(stated_values) == 1:
        stated_values *= len(wanted)  # one value for all channels
    of_bytes = any(value > 1 for value in stated_values) and all(value <= 1 for value in wanted)
    equal = None if len(stated_values) != len(wanted) or of_bytes else stated_values == wanted
    return ", ".join(str(value) for value in values), equal


def _compare_size(claim: Claim, config: Preprocessing) -> tuple[str | int, bool | None]:
    sizes = [size for size in (config.input_size, config.test_size) if size]
    channels, height, width = sizes[0]
    shown = height if height == width else f"{height}x{width}"
    stated = channels_in(claim.stated)
    if claim.size is None:
        return shown, None
    if any(claim.size == size[1:] and stated in (None, size[0]) for size in sizes):
        return claim.stated, True
    return shown if stated is None else f"{channels}x{height}x{width}", False


def _compare_crop(text: str, config: Preprocessing, size: tuple[int, int] | None) -> tuple[float | None, bool | None]:
    """Return the crop at the card's image size, and whether it is the stated one, at three decimals at least.

    A zoo may evaluate at a second size with another crop. A text that is not a share, such as a number of pixels, is
    not understood; ``87.5%`` is 0.875.
    """
    is_second = config.test_size is not None and size == config.test_size[1:] != config.input_size[1:]
    crop = (config.test_crop_pct if is_second else None) or config.crop_pct
    match = _SHARE.fullmatch(text.strip()) if len(text) <= MAX_TEXT else None
    stated = Decimal(match[1]) / (100 if match[2] else 1) if match else None
    if stated is None or crop is None or stated > MOST_CROP:
        return crop, None
    exponent = stated.as_tuple().exponent
    assert isinstance(exponent, int)
    return crop, abs(stated - Decimal(str(crop))) * 2 <= Decimal(1).scaleb(min(exponent, -3))


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report snippets that normalise or crop images unlike the zoo for every model of the card."""
    configs = [model.evidence.preprocessing for model in context.models if model.evidence]
    stated = [config for config in configs if config]
    sizes = {side for config in stated for size in (config.input_size, config.test_size) if size for side in size[1:]}
    known: dict[str, set[tuple[float, ...]]] = {"crop": {(side,) for side in sizes}}
    if None not in configs:
        known |= {name: {own for config in stated if (own := getattr(config, name))} for name in ("mean", "std")}
    for source in (context.card.source, *context.files.includes):
        card = "" if source is context.card.source else f", included by {context.card.file}"
        for name, values, start, end in preprocessing_literals(source.text) if any(known.values()) else ():
            if not known.get(name) or values in known[name]:
                continue
            if name == "crop":
                said, right = f"crops to {source.text[start:end]} pixels", [str(side) for side in sorted(sizes)]
            else:
                said, right = f"has {name} {_tuple_text(values)}", sorted(map(_tuple_text, known[name]))
            message = f"the snippet{card} {said}; the zoo's configuration has {' or '.join(right)}"
            hint = f"take the {'size' if name == 'crop' else 'values'} from the configuration of the model"
            yield Finding(source.place(start, end), "snippet-preprocessing", "warning", message, hint)


def preprocessing_literals(text: str) -> Iterator[tuple[str, tuple[float, ...], int, int]]:
    """Yield name, values and span of each literal mean and std of three channels, and of each centre crop.

    Only the Python blocks of a text are looked at.
    """
    for block, offset in _python_lines(text):
        for match in _CENTER_CROP.finditer(block):
            yield "crop", (int(match[1]),), offset + match.start(1), offset + match.end(1)
        for match in _THREE.finditer(block):
            before = block[max(0, match.start() - 80) : match.start()]
            pair = _PAIR.search(before)
            if named := pair or _NAMED.search(before):
                yield named[1], _floats(match), offset + match.start(), offset + match.end()
            comma = _COMMA.match(block, match.end()) if pair else None
            if pair and comma and (second := _THREE.match(block, comma.end())):
                yield pair[2], _floats(second), offset + second.start(), offset + second.end()


def _floats(match: re.Match[str]) -> tuple[float, ...]:
    return tuple(float(part) for part in match[1].split(","))


def _python_lines(text: str) -> Iterator[tuple[str, int]]:
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


_SHARE = re.compile(r"([-+]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20}))\s?(%)?")
_DECIMAL = r"[-+]?(?:\d{1,6}(?:\.\d{0,20})?|\.\d{1,20})"
_VALUES = re.compile(rf"[(\[]?\s*+({_DECIMAL}(?:(?:\s*+,\s*+|\s++){_DECIMAL}){{0,9}})\s*+[)\]]?")
MOST_CROP = 2
"""A crop is a share of the image, at most a little more than all of it."""
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
