"""Headers of cards for the Hub."""

from __future__ import annotations

import pytest

from cardproof.read import read_cards
from cardproof.read.hub import header_facts

GOOD = """---
model-index:
- name: net
  results:
  - task: {type: image-classification, name: Image Classification}
    dataset: {name: ImageNet, type: imagenet-1k}
    metrics:
    - {type: accuracy, value: 61.2, name: Top 1 Accuracy}
---

# Net
"""
COMMENT = """
<!--
Type: model-index
Models:
- Name: net
  Metadata:
    Parameters: 1
-->
"""


def test_results_of_a_header_are_claims(write):
    (claim,) = read_cards([write("README.md", GOOD)]).claims
    assert (claim.model, claim.field, claim.stated, claim.dataset, claim.task) == (
        "net",
        "Top 1 Accuracy",
        "61.2",
        "ImageNet",
        "Image Classification",
    )
    assert (claim.place.line, claim.metric) == (8, True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dataset: {name: ImageNet, type: imagenet-1k}", "dataset: {name: ImageNet}"),
        ("dataset: {name: ImageNet, type: imagenet-1k}", "dataset: ImageNet"),
        ("dataset: {name: ImageNet, type: imagenet-1k}", "split: x"),
        ("task: {type: image-classification, name: Image Classification}", "task: {name: Image Classification}"),
        ("type: accuracy, ", ""),
        ("value: 61.2, ", ""),
    ],
)
def test_what_the_hub_refuses_is_an_error_and_the_rest_is_read(write, old, new):
    reading = read_cards([write("README.md", GOOD.replace(old, new))])
    assert {(f.check, f.severity) for f in reading.findings} == {("hub-result", "error")}
    assert [model.name for model in reading.models] == ["net"]


def test_a_model_of_the_comment_wins_over_the_same_one_of_the_header(write):
    reading = read_cards([write("README.md", GOOD + COMMENT)])
    assert [(claim.model, claim.field) for claim in reading.claims] == [("net", "Parameters")]
    assert reading.findings == []


@pytest.mark.parametrize("index", ["", " 1", " []", " {}", " [1, 2]", "\n- name: net\n  results: 3"])
def test_an_index_that_is_none_ends_in_findings_and_not_in_an_exception(write, index):
    reading = read_cards([write("README.md", f"---\nmodel-index:{index}\nlicense: mit\n---\n")])
    assert reading.cards[0].header.plain()["license"] == "mit"


def test_an_empty_index_is_none(write):
    assert read_cards([write("README.md", "---\nmodel-index:\nlicense: mit\n---\n")]).findings == []


def test_one_text_is_a_list_of_one_where_the_hub_takes_it_so(write):
    text = "---\nlanguage: en\nTags: a\nmetrics: [x]\nbase_model:\nlicense: mit\n---\n"
    header = read_cards([write("README.md", text)]).cards[0].header
    assert header_facts(header) == {
        "language": ["en"],
        "Tags": ["a"],
        "metrics": ["x"],
        "base_model": None,
        "license": "mit",
    }
