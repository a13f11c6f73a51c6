"""Results: accuracies, compared with evaluations or with published sources.

## What it does

If the weights and the data set are on this machine, or an evaluation of the same weights is on record, top-1 and
top-5 are compared with the number of images that the network classifies correctly. Equal at the precision written is
**confirmed**, anything else **refuted**, with the difference in images and the 95 % interval of the measurement
(Wilson), which helps to tell a typing error from another set of weights.

Without an evaluation, each metric is compared with the results of the setting `cited`: a small file of values that
named sources publish, each with its address and date. A value that equals a source, at the coarser precision of the
two, is **cited**. It is **disputed** if it equals one source and another differs by more than `sources_agree`
percentage points, or if it equals none of several; the reason names each source and its value.

Without a cited result, the source is the zoo's own metadata, if it states results of its weights, as torchvision
does. A value of any weights with the model's name is cited, another value is disputed. If two models have each
other's values, the finding says that they are swapped. If the card links a file that the zoo does not have, or most
values of a column differ from the zoo's, the values belong to other weights and are **unchecked**. Without any
source, a value is unchecked, with what is missing.

`--data NAME=PATH` and `--weights PATH` say where the images of a data set and the files of weights are. An evaluation
is valid for everybody who has its record, until the source of the network, the weights, the data set or the method
change. Then the claim is cited or unchecked again, and the reason says what changed.

Error rates are recognised (accuracy = 100 - error) if the head of the column, the text above the table or its heading
speaks of errors, or if top-1 is above top-5 in all of several rows.

- `impossible-result`: an error without any evaluation: top-1 above top-5 of the same result, or an accuracy or error
  rate below 0 or above 100.
- `mixed-units`: a warning: one accuracy of a result is in percent and the other is a fraction, or one of a column or of
  the same results of a card's models: `0.699` among `69.9` and `71.2`.

## Why

Accuracies are copied more often than measured, and evaluations of the same weights differ with the image library, the
crop and the person.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Results:
  - Dataset: ImageNet
    Metrics:
      Top 1 Accuracy: 89.078%
      Top 5 Accuracy: 69.758%
-->
```

```console
$ cardproof audit card.md
card.md:10:23: error [impossible-result] Top 1 Accuracy of resnet18 (89.078%) is above Top 5
    Accuracy (69.758%, line 11), which is impossible: the best class is among the five best
    were the two swapped?
```

## Fix

Writes an accuracy that was evaluated. These values are swapped by hand:

```diff
-      Top 1 Accuracy: 89.078%
-      Top 5 Accuracy: 69.758%
+      Top 1 Accuracy: 69.758%
+      Top 5 Accuracy: 89.078%
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-      Top 1 Accuracy: 89.078%
+      Top 1 Accuracy: 89.078%  # cardproof: ignore[impossible-result] asked the authors
```

## Settings

`zoo`, `data`, `weights`, `cited`, `sources_agree`, `tolerances`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec.structs import replace

from cardproof.core.field_names import ACCURACIES, canonical_dataset, kind_of
from cardproof.core.measurements import Evaluated, StatedResult
from cardproof.core.numbers import equal_as_written, parse_number, show_count
from cardproof.core.types import Claim, Finding, Judgement, Number, shorten
from cardproof.judge.checks import CardContext, Check, Context
from cardproof.judge.checks._counts import allowed_text, fix_of, is_within, tolerance_of
from cardproof.read.models import weights_file


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a stated metric by an evaluation, or by cited sources."""
    stated = accuracy(claim, context)
    if stated is None:
        reason = claim.unread or f"'{shorten(claim.stated)}' is not a number"
        return Judgement(claim, "unchecked", reason=reason)
    name = canonical_dataset(claim.dataset or "")
    results = context.evidence.evaluations if context.evidence else ()
    result = next((result for result in results if result.dataset == name), None)
    if result and claim.kind in ACCURACIES:
        return _judge_by_images(claim, context, stated, result)
    return _judge_by_sources(claim, context, stated)


def percentage_points(claim: Claim) -> Number | None:
    """Return a stated accuracy in percentage points; ``0.7824`` without a sign is a fraction."""
    number = claim.number
    if number is None or number.unit not in ("", "%"):
        return None
    if not number.unit and "." in claim.stated and number.value <= 1:
        return Number(number.value * 100, number.quantum * 100, "%")
    return number


def accuracy(claim: Claim, context: Context) -> Number | None:
    """Return a stated accuracy in percentage points; an error rate becomes 100 minus its value."""
    number = percentage_points(claim)
    if number is None or not is_error_rate(claim, context):
        return number
    return Number(100 - number.value, number.quantum, number.unit)


def is_error_rate(claim: Claim, context: Context) -> bool:
    """Return whether a claim stands in a column of error rates."""
    subject = context.subject(claim)
    return subject is not None and claim.column in subject.error_columns


def _judge_by_images(claim: Claim, context: Context, stated: Number, result: Evaluated) -> Judgement:
    is_top1 = claim.kind == "top 1 accuracy"
    correct, interval = (result.top1, result.top1_interval) if is_top1 else (result.top5, result.top5_interval)
    found = Decimal(correct) * 100 / result.images
    detail = f"{correct:,} of {result.images:,} images"
    low, high = (f"{100 * bound:.2f}" for bound in interval)
    method = (
        f"evaluated on {result.dataset} ({result.split}): {detail}, 95% interval {low} to {high}% "
        f"({result.weights}, {result.environment.device}, {result.environment.measured[:10]})"
    )
    if result.close_calls:
        method += f"; {result.close_calls} images are decided by less than rounding may move"
    tolerance = tolerance_of(claim, context)
    allowed = allowed_text(tolerance, stated)
    shown = float(round(found, 4))
    difference = _difference_in_images(stated, correct, result.images)
    judgement = Judgement(
        claim, "confirmed", shown, "%", allowed, difference, method=method, detail=detail, interval=interval
    )
    if is_within(found, stated, tolerance):
        return replace(judgement, difference="0 images off") if equal_as_written(found, stated) else judgement
    inside = interval[0] * 100 <= stated.value <= interval[1] * 100
    meaning = (
        "another run of the same training could have it, these weights have not."
        if inside
        else "these are other weights, or another way of feeding them."
    )
    where = "within" if inside else "outside"
    explanation = f"{detail} are right. The stated value lies {where} the 95% interval of the measurement, "
    explanation += f"{low} to {high}%: {meaning}"
    scale = 100 if stated.unit == "%" and "%" not in claim.stated else 1  # written as a fraction
    written = 100 - found if is_error_rate(claim, context) else found
    fix = fix_of(
        claim, Number((percentage_points(claim) or stated).value / scale, stated.quantum / scale), written / scale
    )
    return replace(judgement, verdict="refuted", explanation=explanation, fix=fix, discrepancies=("images",))


def _difference_in_images(stated: Number, correct: int, images: int) -> str:
    off = correct - stated.value * images / 100
    whole = abs(off - round(off)) * 200 <= stated.quantum * images  # an integer within the precision stated
    count = f"{abs(off):,.0f}" if whole else f"{abs(off):,.1f}"
    sign = "+" if off > 0 else "−"
    return f"{sign}{count} image{'' if count == '1' else 's'} ({sign}{abs(off) * 100 / images:.2f} points)"


def _judge_by_sources(claim: Claim, context: Context, stated: Number) -> Judgement:
    sources = [
        (source, value)
        for source in context.cited
        if (value := source.value(claim.model, claim.dataset or "", claim.kind)) is not None
    ]
    unit = "%" if stated.unit == "%" else ""
    missing = _why_not_evaluated(claim, context)
    if not sources:
        by_zoo = _judge_by_zoo(claim, context, stated, missing)
        return by_zoo or Judgement(claim, "unchecked", unit=unit, reason=f"{missing}; and no cited source")
    named = tuple((source.title, f"{source.text(value).removesuffix('%')}{unit}") for source, value in sources)
    equal = [(source, value) for source, value in sources if _is_equal(stated, value)]
    margin = context.settings.sources_agree
    far = [(source, value) for source, value in sources if abs(value.value - stated.value) > margin]
    if equal and not far:
        source = equal[0][0]
        method = f"equal to {source.title} ({source.url}, retrieved {source.retrieved})"
        allowed = f"sources within {show_count(margin)} points"
        cited = (named[sources.index(equal[0])],)
        return Judgement(
            claim, "cited", float(equal[0][1].value), unit, allowed, "0", method=method, reason=missing, sources=cited
        )
    reason = "sources differ: " + "; ".join(f"{source.title} has {source.text(value)}" for source, value in sources)
    nearest = min(sources, key=lambda pair: abs(pair[1].value - stated.value))[1]
    differing = float(far[0][1].value if equal else nearest.value)
    difference = f"{differing - float(stated.value):+.3f}".replace("-", "−")
    return Judgement(claim, "disputed", differing, unit, "equal to a source", difference, reason=reason, sources=named)


ZooResult = tuple[StatedResult, Number]
OF_ZOO = "equal to the zoo's own metadata"
"""What is allowed of a result of which the zoo's metadata are the source."""


def _judge_by_zoo(claim: Claim, context: Context, stated: Number, missing: str) -> Judgement | None:
    evidence, unit = context.evidence, "%" if stated.unit == "%" else ""
    own = _zoo_results(claim, context)
    if not own or evidence is None:
        return None
    zoo = evidence.environment.zoo
    nearest, number = min(own, key=lambda pair: abs(pair[1].value - stated.value))
    found = number.value
    named = ((f"metadata of {zoo}", f"{found}{unit}"),)
    if _is_equal(stated, number):
        method = f"equal to the metadata of {zoo}: {nearest.weights} ({nearest.place})"
        return Judgement(claim, "cited", float(found), unit, OF_ZOO, "0", method=method, reason=missing, sources=named)
    difference = f"{found - stated.value:+.3f}".replace("-", "−")
    listed = f"the metadata of {zoo} state {'; '.join(f'{result.value} of {result.weights}' for result, _ in own)}"
    disputed = Judgement(claim, "disputed", float(found), unit, OF_ZOO, difference, reason=listed, sources=named)
    if other := _exchanged_model(claim, context, stated, own):
        reason = f"the values of {claim.model} and {other} are exchanged: {listed}, and this value of {other}"
        return replace(disputed, reason=reason, discrepancies=("another-model",))
    if claim.dataset is None:
        return None  # it may be on other data
    linked = weights_file(context.model)
    if linked and linked not in {result.file for result in evidence.stated_results}:
        reason = f"{missing}; the card links weights that are not the zoo's ({linked})"
        return Judgement(claim, "unchecked", unit=unit, reason=reason)
    return disputed


def _exchanged_model(claim: Claim, context: Context, stated: Number, own: list[ZooResult]) -> str | None:
    """Return the model of this card that has this value in the zoo's metadata, and states this model's; None if none.

    Values of few digits may be equal by chance.
    """
    if stated.digits < LEAST_DIGITS or len(context.neighbours) > MOST_NEIGHBOURS:
        return None
    for other in context.neighbours:
        theirs = [] if other.model.key == context.model.key else _zoo_results(claim, other)
        if not any(_is_equal(stated, number) for _, number in theirs):
            continue
        same = (c for c in other.claims if c.kind == claim.kind and c.metric and c.dataset == claim.dataset)
        values = [value for c in same if (value := accuracy(c, other))]
        if any(_is_equal(value, number) for value in values for _, number in own):
            return other.model.name
    return None


MOST_NEIGHBOURS = 1000
"""Models of a card among which an exchange is looked for: each claim is compared with each."""
LEAST_DIGITS = 3
"""Digits of two values that are called exchanged: fewer may be equal by chance."""


def _zoo_results(claim: Claim, context: Context) -> list[ZooResult]:
    """Return the zoo's own results of a model on the data set of a claim, without those that are the claim itself."""
    subject = context.subject(claim)
    if context.evidence is None or (subject and (subject.dataset or subject.task)):
        return []
    name = canonical_dataset(claim.dataset) if claim.dataset else None
    return [
        (result, number)
        for result in context.evidence.stated_results
        if (number := parse_number(result.value))
        and kind_of(result.metric) == claim.kind
        and not result.place.startswith(f"{claim.place.file}:")
        and (claim.dataset is None or (name is not None and name == canonical_dataset(result.dataset)))
    ]


def _why_not_evaluated(claim: Claim, context: Context) -> str:
    name = canonical_dataset(claim.dataset or "")
    if name is None and not claim.dataset:
        return f"not evaluated: the {'table' if claim.column else 'result'} names no data set"
    if name is None:
        return f"not evaluated: Cardproof cannot read images of '{claim.dataset}'"
    return context.unevaluated.get(name) or "not evaluated: needs the weights and the images (--weights, --data)"


def _is_equal(stated: Number, source: Number) -> bool:
    return abs(stated.value - source.value) * 2 <= max(stated.quantum, source.quantum)


def check_model(context: Context) -> Iterable[Finding]:
    """Report failed evaluations, at the first claim of the data set, and impossible values."""
    for dataset, reason in context.unevaluated.items():
        if reason.startswith("evaluating failed"):
            claims = (c for c in context.claims if c.metric and canonical_dataset(c.dataset or "") == dataset)
            if claim := next(claims, None):
                message = f"{context.model.name} could not be evaluated on {dataset}: {reason}"
                yield Finding(claim.place, "results", "error", message)
    metrics = (claim for claim in context.claims if claim.metric)  # in the order of the results
    for result in context.model.results:
        yield from _impossible_values(
            [next(metrics) for _, value in result.metrics if value.value is not None], context
        )


def _impossible_values(result: list[Claim], context: Context) -> Iterator[Finding]:
    accuracies: dict[str, tuple[Claim, Number]] = {}
    for claim in result:
        if not claim.kind.endswith("accuracy") or (stated := percentage_points(claim)) is None:
            continue
        if not 0 <= stated.value <= 100:
            message = f"{claim.field} of {claim.model} says {claim.stated}; an accuracy lies between 0 and 100 %"
            yield Finding(claim.place, "impossible-result", "error", message)
        accuracies.setdefault(claim.kind, (claim, stated))
    if not all(kind in accuracies for kind in ACCURACIES):
        return
    (top1, one), (top5, five) = (accuracies[kind] for kind in ACCURACIES)
    if ("%" in top1.stated) != ("%" in top5.stated) and _is_fraction(top1.stated) != _is_fraction(top5.stated):
        message = f"{top1.field} of {top1.model} says {top1.stated} and {top5.field} {top5.stated}: one is a fraction"
        yield Finding(top5.place, "mixed-units", "warning", message, "write both in percent")
    elif one.value > five.value and not (is_error_rate(top1, context) or is_error_rate(top5, context)):
        message = (
            f"{top1.field} of {top1.model} ({top1.stated}) is above {top5.field} ({top5.stated}, line "
            f"{top5.place.line}), which is impossible: the best class is among the five best"
        )
        yield Finding(top1.place, "impossible-result", "error", message, "were the two swapped?")


def _is_fraction(text: str) -> bool:
    return "%" not in text and text.strip().startswith(("0.", ".", "1.0"))


LEAST_OTHERS = 2
"""Percentages in a column that tell what its only fraction is."""
NEAR = 15
"""Percentage points: a fraction that is farther from all others may be a percentage, such as that of chance."""
LEAST_FRACTION = Decimal("0.1")
"""Of a result; a smaller one may be a percentage."""


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report the only fraction in a column of accuracies, among those of one field and data set, or of one result."""
    groups: dict[object, list[tuple[Claim, Context]]] = {}
    for one in context.models:
        for claim in _accuracies(one):
            groups.setdefault(claim.column or (claim.kind, claim.dataset), []).append((claim, one))
    in_columns = {one.model.key: claim for claim, one in filter(None, map(_fraction_in, groups.values()))}
    for one in context.models:
        if fraction := in_columns.get(one.model.key) or _fraction_of_pair(one):
            message = f"{fraction.field} of {one.model.name} says {fraction.stated} among percentages: a fraction?"
            yield Finding(fraction.place, "mixed-units", "warning", message, "write all in percent")


def _accuracies(context: Context) -> list[Claim]:
    own = (claim for claim in context.claims if claim.metric and claim.kind in ACCURACIES)
    return [claim for claim in own if not is_error_rate(claim, context)]


def _fraction_in(group: list[tuple[Claim, Context]]) -> tuple[Claim, Context] | None:
    """Return the only fraction of a column, if it is about as large as the percentages in it."""
    numbers = [(claim, one, claim.number.value) for claim, one in group if claim.number]
    fractions = [(claim, one, value) for claim, one, value in numbers if value <= 1]
    others = [value for _, _, value in numbers if value > 1]
    if len(fractions) != 1 or len(others) < LEAST_OTHERS or len(numbers) < len(group):
        return None
    claim, one, value = fractions[0]
    is_near = min(others) - NEAR <= value * 100 <= max(others) + NEAR
    beside = (c.stated for c in one.claims if c.metric and c.dataset == claim.dataset)
    return (claim, one) if is_near and _is_fraction(claim.stated) and not any("%" in text for text in beside) else None


def _fraction_of_pair(context: Context) -> Claim | None:
    """Return the top-1 or top-5 that is a fraction beside a percentage without a sign, and is right as a fraction."""
    pairs: dict[str | None, list[Claim]] = {}
    for claim in _accuracies(context):
        pairs.setdefault(claim.dataset, []).append(claim)
    for pair in pairs.values():
        pair.sort(key=lambda claim: ACCURACIES.index(claim.kind))
        values = [number.value for claim in pair if (number := percentage_points(claim))]
        fractions = [claim for claim in pair if _is_fraction(claim.stated)]
        is_pair = [claim.kind for claim in pair] == list(ACCURACIES) and len(values) == 2
        if not is_pair or len(fractions) != 1 or any("%" in claim.stated for claim in pair):
            continue
        raw = fractions[0].number
        if raw and raw.value >= LEAST_FRACTION and values[0] <= values[1]:
            return fractions[0]
    return None


CHECK = Check(
    "results",
    judge=judge,
    results=True,
    check_model=check_model,
    check_card=check_card,
    findings=("impossible-result", "mixed-units"),
)
