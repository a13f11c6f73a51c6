"""FLOPs: the network's multiply-adds at the card's image size.

## What it does

Builds the network on torch's meta device, feeds one image of the card's `Image Size`, and counts the multiply-adds of
every convolution, linear layer, matrix product and attention product. If the card states no size, the zoo's input
size is used, and 224x224 if the zoo has none.

A multiply-add counts once. Bias additions, normalisation, activations, pooling and resizing are not counted. A
network with an operation that multiplies matrices and has no formula here (a Fourier transform, a custom operation)
is unchecked, and the reason names the operation: the count would be too low.

Most cards write FLOPs and mean multiply-adds. The setting `flops: operations` compares with twice as many, and so
does a column of FLOPs in a table that has a column of multiply-adds as well. `4.17 GMACs` are multiply-adds in any
field. A number with the unit of another count (`24.7 MParams`) is unchecked.

Values are compared at the precision written: `5396798208` is exact, `4.17 G` has three digits. The setting
`tolerances` allows more. A value whose last digit leaves more than ±5 % open (`4000000000`), or
±10 % in a unit (`4 G`), is never confirmed: it says too little to be checked.

**Merged networks.** Networks such as RepVGG merge their branches for inference. A value that is right for the merged
network is confirmed, and the method says so.

**Conventions of tools.** The count of fvcore, mmcv, ptflops, thop or torchinfo for this network, at the card's image
size, is confirmed by the convention of that tool at three digits or more; with fewer digits, if the same tool gives
most values of the column. A column of which most rows are twice the multiply-adds is confirmed too, and so are the
values of a table's column called FLOPs with one or two rows, if all are twice the multiply-adds at three digits or
more. The page shows the multiply-adds next to the value, and one note explains the whole column.
`conventions: strict` refutes everything but multiply-adds. A number that was cut off instead of rounded is confirmed
at three digits or more; with fewer it is unchecked, with a warning.

**Explanations.** For a refuted value, the check searches for the way of counting that gives it: another input size,
an input that is not square, a factor of two, a tool that was fed another input, the classifier left out or with
another number of classes, batch norm or pooling counted, FLOPs and parameters swapped, another model's value. The
finding says which one matches exactly, or that none does. A value of few digits proves nothing on its own: a moved
decimal point, about twice the multiply-adds, and a value that is right at another common size are hints. If one way
explains most refuted values of a column, one finding explains them all.

**Cards without an image size** may mean another size than the zoo's. If the value is right at another square size,
the claim is unchecked and the reason names both sizes. If it is refuted and not explained at the zoo's size, the
finding says so, and only `--fix-unsafe` writes the measured value. If the zoo has no size either, 224x224 is assumed,
and a value is refuted only if it is explained exactly there, or if another value of its column is right there. A
table may state the size in a column, in a head such as `FLOPs (32x32)`, or in the words above it (`FLOPs at 32x32`).

**A refuted image size** makes the count at it meaningless: a claim that is not right there is unchecked, or
refuted without a fix if another way of counting explains it exactly.

**Nearly right.** A rounded value that is within 3 % of the multiply-adds (5 % with fewer than three digits) and is
not explained is unchecked: unknown ways of counting and variants of a network differ by as much. So is a value within
25 % of a network with attention at another size than the zoo's: its windows may differ.

## Why

Of 271 FLOPs figures in one well-kept documentation, 255 are not what the networks compute. A number that is off by a
third makes a comparison of two models worthless.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Metadata:
    Image Size: 224
    FLOPs: 2369245184
-->
```

```console
$ cardproof audit card.md --zoo torchvision
card.md:9:12: error [flops] [*] FLOPs of resnet18: card says 2369245184, network has 1,814,073,344
    (−23.4 %)
    Exactly the multiply-adds of a 256x256 input (the image size is 224x224).
```

## Fix

Writes the measured value with as many significant digits as the claim has, three at least. A column that is
explained as a whole is not fixed.

```diff title="cardproof audit card.md --zoo torchvision --fix"
-    FLOPs: 2369245184
+    FLOPs: 1814073344
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-    FLOPs: 2369245184
+    FLOPs: 2369245184  # cardproof: ignore[flops] counted at 256x256, as in the paper
```

## Settings

`zoo`, `names`, `flops`, `conventions`, `tolerances`.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from cardproof.core.numbers import MULTIPLY_ADDS
from cardproof.core.types import Claim, Judgement
from cardproof.judge.checks import Check, Context, preprocessing
from cardproof.judge.checks._counts import (
    conventions_of,
    is_within,
    judge_count,
    reproductions_of,
    tolerance_of,
)
from cardproof.read.models import image_size


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a claim of multiply-adds, or of operations."""
    if claim.number and claim.number.unit.lower() in MULTIPLY_ADDS:
        context = replace(context, settings=replace(context.settings, flops="multiply-adds"))
    elif claim.operations:
        context = replace(context, settings=replace(context.settings, flops="operations"))
    unit = "operations" if context.settings.flops == "operations" else "multiply-adds"
    if context.evidence and context.evidence.refused:
        reason = f"the network rejects images of the card's size: {context.evidence.refused}"
        return Judgement(claim, "unchecked", unit=unit, reason=reason)
    if context.counts and context.counts.uncounted:
        reason = f"{', '.join(context.counts.uncounted)} ran, whose multiply-adds are not counted"
        return Judgement(claim, "unchecked", unit=unit, reason=reason)
    size = "x".join(str(side) for side in context.counts.input_shape) if context.counts else ""
    judgement = judge_count(claim, context, "flops", unit, f"{unit} counted on the meta device for one {size} image")
    if image_size(context.claims) is not None:
        return _at_refuted_size(judgement, context) if judgement.verdict == "refuted" else judgement
    if judgement.verdict == "unchecked" and "truncated" in judgement.discrepancies:
        reason = f"{judgement.reason}; the card states no image size"
        return replace(judgement, reason=reason, discrepancies=())
    return _without_size(judgement, context) if judgement.verdict == "refuted" else judgement


def _at_refuted_size(judgement: Judgement, context: Context) -> Judgement:
    """Set aside a refutation at an image size that is itself refuted: it may be right at the right size.

    A value that another way of counting explains exactly stays refuted, without a fix.
    """
    sizes = (preprocessing.judge(one, context) for one in context.claims if one.kind == "image size")
    if all(size.verdict != "refuted" for size in sizes) or _may_be_of_a_tool(judgement, context):
        return judgement
    ways = reproductions_of(judgement.claim, context)
    if judgement.explained and not any(preprocessing.is_right_square(way) for way in ways):
        explanation = f"{judgement.explanation} The image size is refuted too: correct it first."
        return replace(judgement, explanation=explanation, fix=None)
    reason = "the image size is refuted: counts are judged when it is right"
    return Judgement(judgement.claim, "unchecked", judgement.found, judgement.unit, reason=reason)


def _may_be_of_a_tool(judgement: Judgement, context: Context) -> bool:
    """Return whether a well-known tool gives a value at the image size; its column decides."""
    stated = judgement.claim.number
    assert stated
    values = conventions_of(context, "flops").values() if context.settings.conventions == "known" else ()
    return any(is_within(value, stated, tolerance_of(judgement.claim, context)) for value in values)


def _without_size(judgement: Judgement, context: Context) -> Judgement:
    """Weaken a refutation at the zoo's size: the card may mean another, and then no fix is safe.

    A value that is explained exactly at the zoo's size was counted there.
    """
    if judgement.explained and not {"other-size", "non-square"} & set(judgement.discrepancies):
        return judgement
    own = "x".join(str(side) for side in context.run_counts.input_shape[1:])
    is_of_zoo = bool(context.evidence and context.evidence.preprocessing)
    found = [] if _names_size(context) else reproductions_of(judgement.claim, context)
    squares = [way for way in found if preprocessing.is_right_square(way)]
    if size := next((way.input for way in squares), None):
        tools = dict.fromkeys(way.tool for way in squares if way.input == size)
        by = "" if "" in tools else f" by the convention of {' or '.join(tools)}"
        at, zoo = f"{size[0]}x{size[1]}", "the zoo's" if is_of_zoo else "the assumed"
        reason = f"the card states no image size: the value is right{by} at {at}, and not at {zoo} {own}"
        return Judgement(judgement.claim, "unchecked", judgement.found, judgement.unit, reason=reason)
    whose = "is the zoo's" if is_of_zoo else "was assumed, as the zoo has none"
    explanation = f"{judgement.explanation} The card states no image size: {own} {whose}."
    unsafe = replace(judgement.fix, safe=False) if judgement.fix else None
    return replace(judgement, explanation=explanation, fix=unsafe)


def is_size_assumed(context: Context) -> bool:
    """Return whether neither the card, nor the zoo, nor the model's name states the size of the image."""
    zoo = context.evidence.preprocessing if context.evidence else None
    return zoo is None and image_size(context.claims) is None and not _names_size(context)


def _names_size(context: Context) -> bool:
    """Return whether the model's name states the size at which it was counted: ``swinv2-tiny-w8-256px``."""
    return str(context.run_counts.input_shape[-1]) in re.findall(r"\d+", context.model.name)


CHECK = Check("flops", ("flops",), judge)
