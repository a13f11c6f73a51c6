"""Single checks: their pages, and what they say of classes, smallest sizes, recipes and names."""

from __future__ import annotations

import json
import re

import check_examples
import pytest
from check_examples import Change, example_of, section
from msgspec.structs import replace
from sites import ONE_JOB, TINY

from cardproof.build import audit, render
from cardproof.core.measurements import Evidence, Recipe
from cardproof.core.settings import SETTINGS, Settings, load_settings
from cardproof.evidence.records import load_record
from cardproof.judge.checks import CardContext, Check, Context, all_checks
from cardproof.judge.checks.identity import check_card, check_model
from cardproof.judge.verdicts import judge as judge_reading
from cardproof.measure.gather import GatheredEvidence
from cardproof.plan.recall import plan
from cardproof.read import read_cards
from cardproof.report.terminal import json_of
from cardproof.zoos import recipe_of_zoo

SECTIONS = ["What it does", "Why", "Example", "Fix", "Ignore", "Settings"]
CHANGES = [
    pytest.param(check, change, id=f"{check.name}-{number}")
    for check in all_checks()
    for number, change in enumerate((*example_of(check).fixes, *example_of(check).ignores))
]
by_check = pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)


@by_check
def test_a_page_has_the_same_sections_as_all_others_and_names_settings_that_exist(check: Check):
    outside = check_examples.FENCE.sub("", check.page)
    assert re.findall(r"^## (.*)$", outside, re.MULTILINE) == SECTIONS
    assert set(re.findall(r"`(\w+)`", section(check, "Settings"))) <= set(SETTINGS)


@by_check
def test_the_example_prints_what_its_page_shows(check: Check, tmp_path):
    example = example_of(check)
    printed, _ = check_examples.run(example.command, example.files, tmp_path)
    assert printed == example.printed
    words = set(re.findall(r"^card\.md:\d+:\d+: \w+ \[(\S+)\]", printed, re.MULTILINE))
    assert words <= {check.name, *check.findings}
    assert words or check.name == "layers"


@pytest.mark.parametrize(("check", "change"), CHANGES)
def test_a_fix_or_an_ignore_leaves_nothing_to_report(check: Check, change: Change, tmp_path):
    example = example_of(check)
    changed = {**example.files, "card.md": change.apply(example.files["card.md"])}
    if change.command:
        printed, fixed = check_examples.run(change.command, example.files, tmp_path)
        assert fixed == changed["card.md"]
    else:
        printed, _ = check_examples.run(example.command, changed, tmp_path)
    findings = re.split(r"^(?=card\.md:\d)", printed, flags=re.MULTILINE)[1:]
    ignored = [finding for finding in findings if " note [" in finding and "ignored here: " in finding]
    assert findings == (ignored if change in example.ignores else [])


def test_the_tool_writes_what_is_printed_today_and_nothing_else(tmp_path):
    (check,) = (check for check in all_checks() if check.name == "text")
    source = check_examples.source_of(check).read_text(encoding="utf-8")
    printed = example_of(check).printed
    stale = tmp_path / "text.py"
    stale.write_text(source.replace(printed, "old words\n"), encoding="utf-8")
    check_examples.update(replace(check, page=check.page.replace(printed, "old words\n")), stale)
    assert stale.read_text(encoding="utf-8") == source


# classes and smallest sizes: stated, against what networks put out and take in


ZOO = (
    TINY
    + '''

class Sized(Zoo):
    """Takes images of 32 pixels and more, or of 32 alone."""

    def build(self, name):
        from torch import nn

        if name == "maps":
            return nn.Conv2d(3, 8, 3)
        layers = [nn.Conv2d(3, 8, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
        if name == "fixed":
            layers = [nn.Flatten(), nn.Linear(3 * 32 * 32, 10)]
        return nn.Sequential(*layers)
'''
)


@pytest.fixture
def judge(write):
    write("zoo.py", ZOO)

    def _judge(field: str, name: str = "net"):
        card = write("card.md", f"<!--\nType: model-index\nModels:\n- Name: {name}\n  Metadata:\n    {field}\n-->\n")
        report = json.loads(json_of(audit([card], Settings(zoo="zoo.py:Sized"), ONE_JOB)))
        (claim,) = report["claims"]
        return claim["verdict"], claim["found"], claim["reason"] or claim["explanation"]

    return _judge


@pytest.mark.parametrize("field", ["Classes", "Num Classes", "num_classes", "Number of Classes"])
def test_classes_are_the_scores_of_the_output(judge, field):
    assert judge(f"{field}: 10") == ("confirmed", 10, None)


def test_another_number_of_classes_is_refuted(judge):
    assert judge("Classes: 1,000") == ("refuted", 10, "The output for one image has 10 scores.")


def test_one_score_more_than_classes_may_stand_for_none_of_them(judge):
    verdict, found, reason = judge("Classes: 9")
    assert (verdict, found) == ("unchecked", 10)
    assert "no class" in reason


@pytest.mark.parametrize("stated", ["many", "10 cats", "'-'"])
def test_classes_that_are_no_number_are_unchecked(judge, stated):
    assert judge(f"Classes: {stated}")[0] == "unchecked"


def test_a_map_is_no_row_of_scores(judge):
    assert judge("Classes: 8", "maps")[0] == "unchecked"


def test_the_smallest_size_that_is_taken_is_confirmed(judge):
    assert judge("Min Size: 32") == ("confirmed", 32, None)


def test_a_size_that_is_refused_is_refuted(judge):
    assert judge("Min Size: 31") == ("refuted", "refuses it", "The network rejects images of 31x31.")


def test_a_size_of_which_smaller_ones_are_taken_is_unchecked(judge):
    verdict, _, reason = judge("Min Input Size: 40")
    assert verdict == "unchecked"
    assert "also accepts images of 39x39" in reason


@pytest.mark.parametrize("stated", ["32x48", "small", "0", "100000", "-1"])
def test_what_is_no_side_of_a_square_is_unchecked(judge, stated):
    assert judge(f"Min Size: '{stated}'")[0] == "unchecked"


def test_a_network_of_one_size_takes_no_other(judge):
    assert judge("Min Size: 32", "fixed") == ("confirmed", 32, None)


def test_what_a_network_takes_is_on_record_only_where_it_was_asked(write):
    write("zoo.py", ZOO)
    models = "- Name: net\n  Metadata: {Min Size: 32}\n- Name: other\n  Metadata: {Classes: 10}\n"
    write("templates/models/net.md", f"# Net\n\n<!--\nType: model-index\nModels:\n{models}-->\n")
    settings = "    zoo: zoo.py:Sized\n    snippets: {run: false}\n"
    config = write("mkdocs.yml", f"site_name: N\nplugins:\n- cardproof:\n{settings}")
    assert render(load_settings(config), ONE_JOB).exit == 0
    folder = config.parent / "docs/evidence"
    assert load_record(folder / "net.json").takes == ((31, False), (32, True))
    assert "takes" not in (folder / "other.json").read_text()
    again = render(load_settings(config), ONE_JOB, check=True)
    assert (again.measured, again.exit) == (0, 0)


# stated recipes against the recipe of the weights, and that against the log of their training


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
        verdicts = judge_reading(reading, needs, GatheredEvidence(recipes=recipes), Settings(), ())
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
    recipe = recipe_of_zoo({"name": "mine", "learning_rate": 0.1, "epochs": 5, "techniques": ["Mixup"]})
    assert recipe == Recipe("mine", "", (("lr", "0.1"), ("epochs", "5")), ("Mixup",))
    assert recipe_of_zoo(None) is None


@pytest.mark.parametrize("words", ["0.1 x batch / 256", "cosine", "inf", ""])
def test_a_recipe_in_words_is_not_compared_and_ends_in_no_traceback(judged, words):
    recipe = replace(PAPER, values=(("lr", words),))
    judgement, _ = judged("LR: 0.1", recipe)
    assert (judgement.verdict, words in judgement.reason) == ("unchecked", True)
    logged, _ = judged("LR: 0.1", replace(recipe, values=VALUES, logged=(("lr", words),), log="net.csv"))
    assert logged.verdict == "refuted"


# messages on names that the zoo does not have, and on names that a map gives


@pytest.fixture
def contexts(write, judge_card):
    """Return a function that gives the contexts of an index of these names, of which the zoo has the mapped ones."""

    def _contexts(names: dict[str, str], zoo: str = "timm", near: tuple[str, ...] = ()) -> CardContext:
        models = [{"Name": name, "Metadata": {"Parameters": 1}} for name in names]
        (card,) = read_cards([write("metafile.yml", json.dumps({"Models": models}))]).cards
        nowhere = judge_card.__globals__["NOWHERE"]
        found = []
        for model, claims in zip(card.models, card.claims_of, strict=True):
            network = names[model.name]
            error = None if network else f"LookupError: {zoo} 1.0 has no model '{model.name}'"
            evidence = Evidence(model.name, zoo, network or model.name, "", None, (), None, error, nowhere)
            evidence = replace(evidence, near_names=near if error else None)
            found.append(Context(model, claims, Settings(zoo=zoo), evidence, network=network))
        return CardContext(card, tuple(found))

    return _contexts


def test_an_unknown_model_is_reported_in_words_with_similar_names(contexts):
    ((finding,),) = (list(check_model(model)) for model in contexts({"ResNet-50": ""}, near=("resnet50",)).models)
    assert finding.message == "ResNet-50 was not measured: timm 1.0 has no model 'ResNet-50'; did you mean resnet50?"


def test_a_claim_of_an_unknown_model_says_so_in_words(judge_card):
    found = judge_card("Models:\n- Name: gone\n  Metadata: {Parameters: 1M}\n", {}, "metafile.yml")
    assert found.judgements["metafile.yml"][0].reason == "not measured: timm has no model 'gone'"


def test_the_names_of_the_built_in_map_are_one_note_for_a_file(contexts):
    card = contexts({"resnet50_8xb32_in1k": "resnet50", "resnet18_8xb32_in1k": "resnet18"})
    assert [finding for model in card.models for finding in check_model(model)] == []
    (note,) = check_card(card)
    assert (note.check, note.severity) == ("renamed", "note")
    assert note.message == "2 names are mapped by the built-in name map"


def test_a_single_name_of_the_map_is_named(contexts):
    (note,) = check_card(contexts({"resnet50_8xb32_in1k": "resnet50"}))
    assert note.message == "resnet50_8xb32_in1k is checked as timm's resnet50 (built-in name map)"


def test_for_names_of_another_zoos_map_that_zoo_is_reported_once(contexts):
    card = contexts({"resnet50_8xb32_in1k": "", "resnet18_8xb32_in1k": ""}, zoo="torchvision")
    (note,) = check_card(card)
    assert note.message == "the built-in name map is for timm, where resnet50_8xb32_in1k is resnet50"
    assert note.hint == "audit it with --zoo timm"
