"""Stated recipes against the recipe of the weights, and that against the log of their training."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cardproof.core.measurements import Recipe
from cardproof.core.settings import Settings
from cardproof.judge.verdicts import judge
from cardproof.measure.gather import GatheredEvidence
from cardproof.plan.recall import plan
from cardproof.read import read_cards
from cardproof.zoos import as_recipe

VALUES = (("lr", "0.1"), ("epochs", "100"), ("momentum", "0.9"), ("batch size", "256"), ("weight decay", "0.0001"))
PAPER = Recipe("net_imagenet", "the paper, section 4.1", VALUES, ("SGD with Momentum", "Weight Decay"))
LOGGED = replace(PAPER, logged=VALUES, logged_techniques=PAPER.techniques, log="net.csv")


@pytest.fixture
def judged(write):
    """Return a function that judges one field of one model by a recipe."""

    def _judged(field: str, recipe: Recipe | None = PAPER):
        text = f"<!--\nType: model-index\nModels:\n- Name: net\n  Metadata:\n    {field}\n-->\n"
        reading = read_cards([write("card.md", text)])
        needs = plan(reading)
        recipes = {need: recipe for need in needs.values() if recipe}
        verdicts = judge(reading, needs, GatheredEvidence(recipes=recipes), Settings(), ())
        return verdicts.judgements["card.md"][0], verdicts.findings["card.md"]

    return _judged


@pytest.mark.parametrize(
    "field",
    [
        "LR: 0.1",
        "Learning Rate: 0.10",
        "LR: 1.0e-1",
        "Epochs: 100",
        "Momentum: 0.9",
        "Batch Size: 256",
        "Weight Decay: 0.0001",
        "Weight Decay: 1e-4",
        "Weight Decay: 1.0e-04",
        "Training Techniques: SGD with Momentum",
        "Training Techniques: [weight decay]",
    ],
)
def test_what_the_recipe_says_is_cited_and_with_a_log_of_the_training_confirmed(judged, field):
    assert judged(field)[0].verdict == "cited"
    assert judged(field, LOGGED)[0].verdict == "confirmed"


@pytest.mark.parametrize(
    ("field", "found", "fix"),
    [
        ("LR: 0.05", 0.1, "0.1"),
        ("LR: 0.12", 0.1, "0.1"),
        ("Epochs: 90", 100, "100"),
        ("Batch Size: '512'", 256, "'256'"),
        ("Weight Decay: 1e-5", 0.0001, "0.0001"),
        ("Momentum: 0", 0.9, "0.9"),
    ],
)
def test_what_the_recipe_does_not_say_is_refuted_at_the_cards_line(judged, field, found, fix):
    judgement, findings = judged(field)
    assert (judgement.verdict, judgement.found) == ("refuted", found)
    (finding,) = (finding for finding in findings if finding.check == "recipe")
    assert (finding.place.file, finding.place.line, finding.severity) == ("card.md", 6, "error")
    assert finding.fix is not None
    assert finding.fix.text == fix


def test_a_setting_is_no_rounded_value(judged):
    changed = replace(PAPER, values=(("lr", "0.05"), *VALUES[1:]))
    assert judged("LR: 0.1", changed)[0].verdict == "refuted"


def test_a_recipe_that_was_changed_after_the_training_is_refuted_whatever_the_card_says(judged):
    changed = replace(LOGGED, values=(("lr", "0.2"), *VALUES[1:]))
    for field in ("LR: 0.1", "LR: 0.2"):
        judgement, (finding,) = judged(field, changed)
        assert judgement.verdict == "refuted"
        assert finding.place.line == 6
        assert "has 0.2, and net.csv" in (judgement.explanation or "")
    assert judged("Epochs: 100", changed)[0].verdict == "confirmed"


def test_a_technique_that_the_recipe_does_not_use_is_refuted(judged):
    judgement, _ = judged("Training Techniques: Mixup")
    assert judgement.verdict == "refuted"
    assert "SGD with Momentum, Weight Decay" in (judgement.explanation or "")


def test_a_technique_that_only_the_recipe_or_only_the_log_has_is_refuted(judged):
    changed = replace(LOGGED, techniques=(*PAPER.techniques, "Mixup"))
    assert judged("Training Techniques: Mixup", changed)[0].verdict == "refuted"
    assert judged("Training Techniques: Weight Decay", replace(LOGGED, techniques=()))[0].verdict == "refuted"
    assert judged("Training Techniques: Weight Decay", changed)[0].verdict == "confirmed"


@pytest.mark.parametrize("field", ["LR: 0.1", "Training Techniques: Mixup"])
def test_without_a_recipe_nothing_is_checked(judged, field):
    judgement, _ = judged(field, None)
    assert (judgement.verdict, judgement.reason) == ("unchecked", "the zoo has no recipe of these weights")


def test_what_is_no_number_or_not_in_the_recipe_is_unchecked(judged):
    assert judged("LR: about 0.1")[0].verdict == "unchecked"
    for text in ("32 x 4", "256 per GPU", "256 / 8", "30M"):
        assert judged(f"Batch Size: {text}")[0].verdict == "unchecked"
    assert judged("Label Smoothing: 0.1")[0].verdict == "unchecked"


def test_a_recipe_may_be_a_mapping_of_a_zoo_of_the_users_own():
    recipe = as_recipe({"name": "mine", "learning_rate": 0.1, "epochs": 5, "techniques": ["Mixup"]})
    assert recipe == Recipe("mine", "", (("lr", "0.1"), ("epochs", "5")), ("Mixup",))
    assert as_recipe(None) is None


@pytest.mark.parametrize("words", ["0.1 x batch / 256", "cosine", "inf", ""])
def test_a_recipe_in_words_is_not_compared_and_ends_in_no_traceback(judged, words):
    recipe = replace(PAPER, values=(("lr", words),))
    judgement, _ = judged("LR: 0.1", recipe)
    assert (judgement.verdict, words in judgement.reason) == ("unchecked", True)
    logged, _ = judged("LR: 0.1", replace(recipe, values=VALUES, logged=(("lr", words),), log="net.csv"))
    assert logged.verdict == "refuted"
