"""Training for templates: recipes, learning curves, and confusions of classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from cardproof.core.numbers import parse_number
from cardproof.render.output.text import slug
from cardproof.render.views.evidence import dataset_name
from cardproof.render.views.svg import PlotText, curves

if TYPE_CHECKING:
    from cardproof.core.measurements import Curve, Evaluated, Recipe
    from cardproof.judge.audit import Audit
    from cardproof.read import Card

MOST_CLASSES = 20
"""A confusion of more classes is in the evidence file only."""
LABELS = {"lr": "Learning rate"}


class RecipeView(Struct, frozen=True):
    """One recipe, with the models trained by it."""

    models: tuple[str, ...]
    name: str
    source: str
    log: str
    """Name of the training log; empty if the weights have none."""
    rows: tuple[tuple[str, str, str], ...]
    """Setting, value, and value in the log."""


class CurveView(Struct, frozen=True):
    """The course of one training."""

    model: str
    svg: str
    summary: str
    """Duration, hardware, and held-out accuracy in words, as far as the log has them."""


class ConfusionView(Struct, frozen=True):
    """How often images of each class were predicted as each class."""

    model: str
    dataset: str
    images: int
    classes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[int, int, bool], ...]], ...]
    """True class; for each predicted class: images, percent of the row, whether it is the true one."""
    worst: str
    """The most frequent mistakes in words."""
    calibration: str
    """The calibration error."""
    smoothing: str
    """Label smoothing of the training; empty without."""
    target: str
    """The share of the right class in the targets of a training with this label smoothing."""


class TrainingView(Struct, frozen=True):
    """Training and its results for the models of a page."""

    recipes: tuple[RecipeView, ...]
    curves: tuple[CurveView, ...]
    confusions: tuple[ConfusionView, ...]


def training_view(card: Card, audit: Audit) -> TrainingView:
    """Return how a card's models were trained, as far as known."""
    models = [(model.name, audit.needs[card.file, model.key], audit.evidence(card, model)) for model in card.models]
    recipes = {name: audit.recipe(need) for name, need, _ in models}
    logged = ((name, audit.gathered.curves.get(need)) for name, need, _ in models)
    results = ((name, found.evaluations) for name, _, found in models if found)
    return TrainingView(
        recipe_views(recipes.items()),
        tuple(view for name, curve in logged if curve and (view := curve_view(name, curve))),
        tuple(view for name, found in results for view in confusion_views(name, found, recipes[name])),
    )


def recipe_views(recipes: Iterable[tuple[str, Recipe | None]]) -> tuple[RecipeView, ...]:
    """Return the recipes of a page's models, each once."""
    models: dict[Recipe, list[str]] = {}
    for model, recipe in recipes:
        if recipe:
            models.setdefault(recipe, []).append(model)
    return tuple(_recipe(recipe, names) for recipe, names in models.items())


def _recipe(recipe: Recipe, models: Sequence[str]) -> RecipeView:
    logged = dict(recipe.logged or ())
    rows = [(LABELS.get(name, name.capitalize()), value, logged.get(name, "")) for name, value in recipe.values]
    if recipe.techniques:
        rows.append(("Techniques", ", ".join(recipe.techniques), ", ".join(recipe.logged_techniques)))
    return RecipeView(tuple(models), recipe.name, recipe.source, recipe.log, tuple(rows))


def curve_view(model: str, curve: Curve) -> CurveView | None:
    """Return the learning curve of a training; None for fewer than two epochs."""
    if len(curve.losses) < 2:
        return None
    (first, start), (last, end) = curve.losses[0], curve.losses[-1]
    title, labels, lines = "Training loss", ["Training loss"], [curve.losses]
    direction = "falls" if end < start else "rises"
    described = f"The loss {direction} from {start:.3f} after epoch {first:g} to {end:.3f} after epoch {last:g}."
    if len(curve.accuracies) > 1:
        title += " and held-out accuracy"
        labels.append("Held-out top-1, %")
        lines.append(tuple((epoch, 100 * share) for epoch, share in curve.accuracies))
        (_, start), (_, end) = curve.accuracies[0], curve.accuracies[-1]
        described += f" The held-out accuracy goes from {_percent(start)} to {_percent(end)}."
    words = PlotText(f"curve-{slug(model)}", f"{title} of {model} by epoch", described, "Epoch", tuple(labels))
    return CurveView(model, curves(lines, words), _summary(curve))


def _summary(curve: Curve) -> str:
    """Return duration, hardware, and the best and last held-out accuracy in words, as far as known."""
    sentences = []
    if curve.seconds:
        hardware = f" on {curve.hardware}" if curve.hardware else ""
        sentences.append(f"Training took {_duration(curve.seconds)}{hardware}.")
    if curve.accuracies:
        last, end = curve.accuracies[-1]
        best, most = max(curve.accuracies, key=lambda point: point[1])
        peak = "the best and the last" if most == end else f"the last; {_percent(most)} after epoch {best:g}, the best"
        sentences.append(
            f"Accuracy on {curve.held_out:,} training images that were held out: {_percent(end)} after epoch {last:g}, "
            f"{peak}."
        )
    return " ".join(sentences)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def confusion_views(model: str, results: Iterable[Evaluated], recipe: Recipe | None) -> tuple[ConfusionView, ...]:
    """Return the confusion of each result with few enough classes; ``recipe`` is that of the model's training."""
    return tuple(_confusion(model, result, recipe) for result in results if 1 < len(result.classes) <= MOST_CLASSES)


def _confusion(model: str, result: Evaluated, recipe: Recipe | None) -> ConfusionView:
    counts = [[int(number) for number in row.split()] for row in result.confusion]
    rows = []
    mistakes = []
    for right, (name, row) in enumerate(zip(result.classes, counts, strict=True)):
        total = sum(row) or 1
        rows.append((name, tuple((n, round(100 * n / total), predicted == right) for predicted, n in enumerate(row))))
        mistakes += [(-n, right, predicted, total) for predicted, n in enumerate(row) if n and predicted != right]
    named = (
        f"{result.classes[right]} for {result.classes[predicted]} ({-n:,} of {total:,})"
        for n, right, predicted, total in sorted(mistakes)[:3]
    )
    smoothing = _label_smoothing(recipe)
    return ConfusionView(
        model,
        dataset_name(result.dataset),
        result.images,
        result.classes,
        tuple(rows),
        ", ".join(named),
        _percent(result.calibration_error),
        f"{smoothing:g}" if smoothing else "",
        f"{100 * (1 - smoothing + smoothing / len(result.classes)):.4g} %",
    )


def _label_smoothing(recipe: Recipe | None) -> float:
    """Return the label smoothing of a recipe; 0 without, or if it is not a share."""
    stated = dict(recipe.values).get("label smoothing", "") if recipe else ""
    number = parse_number(stated)
    return float(number.value) if number and 0 < number.value < 1 else 0.0
