"""FLOPs: the network's multiply-adds at the card's image size.

**What it does.** Builds the network on the meta device, feeds one image of the card's `Image Size` (the zoo's input
size if the card states none, 224x224 if the zoo has none either), and counts the multiply-adds of every convolution,
linear layer, matrix product and attention product. A multiply-add counts once. Bias additions, normalisation,
activations, pooling and resizing are not counted. A network with an operation that multiplies matrices and has no
formula here (a Fourier transform, an operation of somebody's own) is unchecked, and the reason names it: its count
would be too low. What cards call FLOPs are nearly always multiply-adds; the setting `flops: operations` compares with
twice as many, and so does a column of FLOPs in a table that has a column of multiply-adds too. `4.17 GMACs` are
multiply-adds whatever the field is called, and a number with the unit of another count (`24.7 MParams`) is unchecked.

**Why.** Of 271 FLOPs figures of one well-kept documentation, 255 are not what the networks compute. A number that is
off by a third makes a comparison of two models worthless.

**In merged form.** Networks like RepVGG merge their branches for inference. A value that is right of the merged form is
confirmed, and the method says so.

**Compared** at the precision written: `5396798208` is exact, `4.17 G` has three digits. The setting `tolerances`
loosens it.

**A tool's convention is not a mistake.** What fvcore, mmcv, ptflops, thop or torchinfo counts for this network, at the
card's image size, is confirmed by that tool's convention at three digits or more; with fewer, if the same tool gives
most of its column. So is a column of which most rows are twice the multiply-adds. The multiply-adds stand beside it,
and one note says it for the whole column. `conventions: strict` refutes all but multiply-adds. A number that was cut
off instead of rounded is confirmed at three digits or more; with fewer it is unchecked, with a warning.

**Refuted claims are explained.** The check looks for the way of counting that gives the stated value: another input
size, an input that is not square, a factor of two, a tool fed with another input, the classifier left out or another
number of classes, batch norm or pooling counted, FLOPs and parameters swapped, another model's value. It says which one
matches exactly, or that none does. Few digits prove nothing in one cell: a decimal point that moved, about twice the
multiply-adds, or a value that is right at another usual size is a hint. Where one way gives most of the refuted values
of a column, it explains them all, in one finding.

**A card that states no image size** may mean another than the zoo's. If its value is right at another square size,
the claim is unchecked and the reason names both. If it is refuted and not explained at the zoo's size, the
explanation says whose size it is, and only `--fix-unsafe` writes the measured value.

**Nearly right.** A rounded value that nothing explains and that is within 3 % of the multiply-adds (5 % with fewer than
three digits) is unchecked: ways of counting that are not known here, and variants of a network, differ by as much. So
is one within 25 % of a network with attention at another size than the zoo's: the card's may have other windows.

**Example.** `FLOPs: 5396798208` gives `FLOPs of res2next50: card says 5396798208, network has 4,172,677,120 (−22.7 %)`.

**Fix.** Writes the measured value at the claim's precision; a column that is explained as a whole has none.
**Settings.** `zoo`, `names`, `flops`, `conventions`, `tolerances`.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from cardproof.core.numbers import MULTIPLY_ADDS
from cardproof.core.types import Claim, Judgement, Reproduction
from cardproof.judge.checks import Check, Context
from cardproof.judge.checks._counts import judge_count, reproductions_of
from cardproof.read.claims import image_size


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
        return judgement
    if judgement.verdict == "unchecked" and "truncated" in judgement.discrepancies:
        reason = f"{judgement.reason}; the card states no image size"
        return replace(judgement, reason=reason, discrepancies=())
    return _without_size(judgement, context) if judgement.verdict == "refuted" else judgement


def _without_size(judgement: Judgement, context: Context) -> Judgement:
    """Weaken a refutation at the zoo's size: the card may mean another, and then no fix is safe.

    A value that is explained exactly at the zoo's size was counted there.
    """
    assert context.counts
    if judgement.explained and not {"other-size", "non-square"} & set(judgement.discrepancies):
        return judgement
    own = "x".join(str(side) for side in context.counts.input_shape[1:])
    zoo = "the zoo's" if context.evidence and context.evidence.preprocessing else "the assumed"
    found = [] if _names_size(context) else reproductions_of(judgement.claim, context)
    squares = [way for way in found if _is_of_another_square(way)]
    for size in (way.input for way in squares):
        if size:
            height, width = size
            tools = dict.fromkeys(way.tool for way in squares if way.input == size)
            by = "" if "" in tools else f" by the convention of {' or '.join(tools)}"
            reason = (
                f"the card states no image size: the value is right{by} at {height}x{width}, and not at {zoo} {own}"
            )
            return Judgement(judgement.claim, "unchecked", judgement.found, judgement.unit, reason=reason)
    whose = (
        "is the zoo's" if context.evidence and context.evidence.preprocessing else "was assumed, as the zoo has none"
    )
    explanation = f"{judgement.explanation} The card states no image size: {own} {whose}."
    return replace(
        judgement, explanation=explanation, fix=replace(judgement.fix, safe=False) if judgement.fix else None
    )


def _names_size(context: Context) -> bool:
    """Return whether the model's name states the size at which it was counted: ``swinv2-tiny-w8-256px``."""
    assert context.counts
    return str(context.counts.input_shape[-1]) in re.findall(r"\d+", context.model.name)


def _is_of_another_square(found: Reproduction) -> bool:
    """Return whether a way of counting gives exactly the multiply-adds, or a tool's count, of a square image."""
    square = found.input is not None and found.input[0] == found.input[1]
    others = found.counted or found.left_out or found.classes or found.note
    return found.exact and square and found.factor == 1 and bool(found.tool or not others)


CHECK = Check("flops", ("flops",), judge)
