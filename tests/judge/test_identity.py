"""Messages on names that the zoo does not have, and on names that a map gives."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from cardproof.core.measurements import Evidence
from cardproof.core.settings import Settings
from cardproof.judge.checks import CardContext, Context
from cardproof.judge.checks.identity import check_card, check_model
from cardproof.read import read_cards


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


def test_names_of_the_map_with_another_zoo_are_told_once_which_zoo_it_is_for(contexts):
    card = contexts({"resnet50_8xb32_in1k": "", "resnet18_8xb32_in1k": ""}, zoo="torchvision")
    (note,) = check_card(card)
    assert note.message == "the built-in name map is for timm, where resnet50_8xb32_in1k is resnet50"
    assert note.hint == "audit it with --zoo timm"
