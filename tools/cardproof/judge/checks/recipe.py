"""Recipe: learning rate, epochs, batch size and techniques, compared with the training recipe of the weights.

## What it does

A zoo may say how its weights were trained: `recipe(name)`. The stated values of `LR`, `Epochs`, `Momentum`, `Batch
Size`, `Weight Decay` and `Label Smoothing` are compared with it exactly, since they are choices and not measurements.
Each of the `Training Techniques` is looked for in the recipe. A difference is **refuted**, at the card's line.

An equal value is **confirmed** only if a training log comes with the weights and agrees with the recipe. If the
recipe was copied from a paper, the claim is **cited**. If recipe and log differ, the claim is refuted whatever the
card says: one of the two does not belong to these weights. The claim is **unchecked** if there is no recipe, or if it
describes the value in words (`0.1 x batch / 256`).

## Why

Recipes are copied from card to card and from script to script. Nobody trains again to see whether the recipe gives
these weights.

## Example

```markdown title="card.md"
# Res2NeXt

<!--
Type: model-index
Models:
- Name: res2next50
  Metadata:
    Epochs: 90
-->
```

```console
$ cardproof audit card.md --zoo res2next
card.md:8:13: error [recipe] Epochs of res2next50: card says 90, the recipe has 100
    The recipe res2next50_imagenet has 100 (Gao et al., 'Res2Net: A New Multi-scale Backbone
    Architecture', section 4.1, https://arxiv.org/abs/1904.01169).
```

## Fix

Writes the value of the recipe.

```diff title="cardproof audit card.md --zoo res2next --fix-unsafe"
-    Epochs: 90
+    Epochs: 100
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-    Epochs: 90
+    Epochs: 90  # cardproof: ignore[recipe] our own training
```

## Settings

`zoo`, `tolerances`.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from cardproof.core.field_names import RECIPE
from cardproof.core.measurements import Recipe
from cardproof.core.numbers import parse_number
from cardproof.core.settings import Tolerance
from cardproof.core.types import Claim, Judgement, Verdict, shorten
from cardproof.judge.checks import Check, Context
from cardproof.judge.checks._counts import allowed_text, is_within, replacing_fix, tolerance_of

TECHNIQUES = "training techniques"
SHOWS = ("recipe",)


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a stated value of a recipe."""
    recipe = context.recipe
    if recipe is None:
        return Judgement(claim, "unchecked", reason="the zoo has no recipe of these weights")
    judged = _judge_technique(claim, recipe) if claim.kind == TECHNIQUES else _judge_value(claim, context, recipe)
    source = "the training recipe" if recipe.logged is None else "the training recipe and its log"
    return judged if judged.found is None else replace(judged, sources=((source, str(judged.found)),))


def _judge_value(claim: Claim, context: Context, recipe: Recipe) -> Judgement:
    has = dict(recipe.values).get(claim.kind)
    if has is None:
        return Judgement(claim, "unchecked", reason=f"the recipe {recipe.name} does not say it")
    stated = claim.number
    if stated is None or stated.unit or stated.about:
        return Judgement(claim, "unchecked", reason=f"'{shorten(claim.stated)}' is not a number")
    found = _number(has)
    if found is None:
        return Judgement(claim, "unchecked", reason=f"the recipe {recipe.name} says it in words: {shorten(has)}")
    shown = int(found) if found == found.to_integral_value() else float(found)
    # a setting is a choice and not a measurement: 0.1 is not a rounded 0.05
    tolerance = tolerance_of(claim, context, Tolerance("exact"))
    allowed = allowed_text(tolerance, stated)
    method = _method(recipe)
    logged = dict(recipe.logged or ()).get(claim.kind)
    refuted = Judgement(claim, "refuted", shown, "", allowed, method=method, discrepancies=SHOWS)
    if logged is not None and _number(logged) != found:
        explanation = (
            f"The recipe {recipe.name} has {has}, and {recipe.log}, the log of the training that made these weights, "
            f"has {logged}: one of them was changed since."
        )
        return replace(refuted, explanation=explanation)
    if is_within(found, stated, tolerance):
        verdict: Verdict = "cited" if logged is None else "confirmed"
        return Judgement(claim, verdict, shown, "", allowed, "0", method=method)
    difference = f"{found - stated.value:+f}".replace("-", "−")
    explanation = f"The recipe {recipe.name} has {has} ({recipe.source})."
    return replace(refuted, difference=difference, explanation=explanation, fix=replacing_fix(claim, has))


def _number(text: str) -> Decimal | None:
    """Return the finite number that a recipe states; None if it says something else, such as a formula."""
    number = parse_number(text)
    return number.value if number and not number.unit else None


def _judge_technique(claim: Claim, recipe: Recipe) -> Judgement:
    words = {word.lower(): word for word in recipe.techniques}
    logged = {word.lower() for word in recipe.logged_techniques}
    allowed, method, name = "matches the recipe", _method(recipe), claim.stated.strip().lower()
    if recipe.logged is not None and (name in words) != (name in logged):
        which = f"the recipe {recipe.name}, and not in {recipe.log}" if name in words else f"{recipe.log} only"
        explanation = f"It is in {which}: one of the two was changed since the training."
    elif found := words.get(name):
        verdict: Verdict = "cited" if recipe.logged is None else "confirmed"
        return Judgement(claim, verdict, found, "", allowed, "0", method=method)
    else:
        listed = ", ".join(recipe.techniques) or "none"
        explanation = f"The recipe {recipe.name} has these techniques: {listed}."
    return Judgement(claim, "refuted", "none", "", allowed, "", explanation, method, discrepancies=SHOWS)


def _method(recipe: Recipe) -> str:
    if recipe.logged is not None:
        return f"recipe {recipe.name}, which the log of the training ({recipe.log}) bears out"
    return f"recipe {recipe.name}, from {recipe.source}"


CHECK = Check("recipe", (*RECIPE, TECHNIQUES), judge)
