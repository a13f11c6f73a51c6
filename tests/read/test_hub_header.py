"""Headers of cards for the Hub."""

from __future__ import annotations

import pytest

from cardproof.read import read_cards
from cardproof.read.hub_header import LICENCES, TASKS, header_facts, licence_id, nearest_word

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
def test_an_invalid_index_ends_in_findings_and_not_in_an_exception(write, index):
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


@pytest.mark.parametrize("start", ["\n", "\n\n", "  \n", "\r\n"])
def test_a_header_below_a_blank_line_is_read_as_the_hub_reads_it(write, start):
    reading = read_cards([write("README.md", (start + GOOD).encode())])
    assert [claim.stated for claim in reading.claims] == ["61.2"]
    assert [(f.check, f.severity) for f in reading.findings] == [("hub-header", "note")]
    assert read_cards([write("card.md", f"{start}---\n# A title\n---\ntext\n".encode())]).findings == []


def found(write, *lines: str, name: str = "README.md"):
    text = "---\n" + "".join(f"{line}\n" for line in lines) + "---\n"
    findings = read_cards([write(name, text)]).findings
    assert {f.check for f in findings} <= {"hub-header"}
    return [(f.severity, f.place.line, f.fix.text if f.fix else None) for f in findings]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("license: Apache 2.0", ("error", "apache-2.0")),
        ("license: MIT License", ("error", "mit")),
        ("license: 'bsd-3-claus'", ("error", "'bsd-3-clause'")),
        ("license: our own", ("error", None)),
        ("license: [mit, appache-2.0]", ("error", "apache-2.0")),
        ("pipeline_tag: Image Classification", ("warning", "image-classification")),
        ("pipeline_tag: wizardry", ("warning", None)),
        ("base_model_relation: fine-tune", ("error", "finetune")),
        ("base_model: not an id", ("error", None)),
        ("base_model:", ("error", None)),
        ("tags: null", ("error", None)),
        ("tags: ''", ("error", None)),
        ("tags: [a, null]", ("error", None)),
        ("language: ['']", ("error", None)),
        ("tags: 0.9", ("error", "'0.9'")),
        ("tags: [a, {b: 1}]", ("error", None)),
        ("license_name: true", ("error", "'true'")),
    ],
)
def test_values_that_the_hub_refuses_or_drops_are_found_with_the_nearest_that_it_takes(write, line, expected):
    severity, text = expected
    assert found(write, "library_name: timm", line) == [(severity, 3, text)]


@pytest.mark.parametrize(
    "line",
    [
        "license: gpl-2.0",
        "license: [mit, apache-2.0]",
        "pipeline_tag: any-to-any",
        "base_model_relation: quantized",
        "base_model: [org/base, bert-base-uncased]",
        "tags: a",
        "my_own: null",
    ],
)
def test_values_that_the_hub_takes_are_no_finding(write, line):
    assert found(write, line) == []


def test_a_header_of_another_site_is_not_judged_by_the_hub(write):
    assert found(write, "license: Apache 2.0", "tags:", name="page.md") == []


def test_a_header_that_is_a_list_is_an_error(write):
    assert found(write, "- license: mit") == [("error", 2, None)]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    metrics:\n    - {type: accuracy, value: 61.2, name: Top 1 Accuracy}\n", "", "no list of metrics"),
        ("\n---\n\n# Net", "\n    source: {name: A board}\n---\n\n# Net", "no url"),
    ],
)
def test_results_that_the_hub_cannot_read_are_errors(write, old, new, words):
    assert old in GOOD
    (finding,) = read_cards([write("README.md", GOOD.replace(old, new))]).findings
    assert (finding.check, finding.severity) == ("hub-result", "error")
    assert words in finding.message


@pytest.mark.parametrize(
    ("task", "fix"),
    [("image-clasification", "image-classification"), ("Image Classification", "image-classification"), ("x", None)],
)
def test_the_task_of_a_result_that_the_hub_does_not_know_is_a_warning_if_another_is_near(write, task, fix):
    findings = read_cards([write("README.md", GOOD.replace("type: image-classification", f"type: {task}"))]).findings
    assert [(f.check, f.severity, f.fix.text) for f in findings] == ([("hub-header", "warning", fix)] if fix else [])


def test_a_model_of_the_header_without_results_is_an_error(write):
    (finding,) = read_cards([write("README.md", "---\nmodel-index:\n- name: net\n---\n")]).findings
    assert "no list of results" in finding.message


def test_a_metric_without_a_value_is_reported_and_no_claim(write):
    reading = read_cards([write("README.md", GOOD.replace("value: 61.2, ", ""))])
    assert reading.claims == []
    assert [f.check for f in reading.findings] == ["hub-result"]


def test_the_header_and_the_title_of_a_card_are_about_one_model(write):
    text = GOOD.replace("# Net", "# Model card for org_net.in1k\n\n- **Model Stats:**\n  - Params (M): 5.5\n")
    reading = read_cards([write("README.md", text)])
    assert [model.name for model in reading.models] == ["net"]
    assert [(claim.model, claim.stated) for claim in reading.claims] == [("net", "5.5"), ("net", "61.2")]


@pytest.mark.parametrize(
    ("words", "identifier"),
    [
        ("Apache 2.0", "apache-2.0"),
        ("The Apache License, Version 2.0", "apache-2.0"),
        ("MIT", "mit"),
        ("BSD 3-Clause License", "bsd-3-clause"),
        ("GPLv3", "gpl-3.0"),
        ("GNU General Public License v2.0", "gpl-2.0"),
        ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"),
        ("Creative Commons Attribution-NonCommercial 4.0 International", "cc-by-nc-4.0"),
        ("Apache", None),
        ("GPL 2", "gpl-2.0"),
        ("CC BY-NC-SA 9.0", None),
        ("https://example.org/LICENSE", None),
        ("", None),
    ],
)
def test_licences_in_words_have_their_identifier(words, identifier):
    assert licence_id(words) == identifier


def test_every_licence_of_the_hub_is_known_by_identifier_and_name():
    assert len(LICENCES) == 83
    for identifier, name in LICENCES.items():
        assert licence_id(identifier) == licence_id(name) == identifier
    assert nearest_word("image-clasification", TASKS) == "image-classification"
    assert nearest_word("nothing alike", TASKS) is None


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("above", ["", "\n"])
@pytest.mark.parametrize(
    "fields",
    ["license: mit\n", "tags:\n- timm\n- x\nlicense: mit\n", "title: Net\nauthor: A. B.\n", "license: mit\n# Net\n"],
)
def test_a_header_that_is_never_closed_is_a_warning_at_its_first_line(write, fields, above, end):
    text = f"{above}---\n{fields}\n# Net\n\nText.\n".replace("\n", end)
    (finding,) = read_cards([write("README.md", text)]).findings
    first = 1 + above.count("\n")
    assert (finding.check, finding.severity, finding.place.line) == ("hub-header", "warning", first)
    assert finding.hint == f"write --- on a line of its own below line {first + fields.count(chr(10))}"


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nlicense: mit\n",
        "---\nText below a rule.\n",
        "---\nNote: this page is old.\n\nText.\n",
        "---\nNote: this page is old.\nWarning: it is wrong.\n",
        "---\n# Net\n",
        "---\nlicense: mit\nis what we chose: [x\n",
        "---\ntitle: x\nlicense: mit\n...\n\nText.\n",
        "----\nlicense: mit\n",
        "Text.\n\n---\nlicense: mit\n",
    ],
)
def test_a_rule_across_the_page_opens_no_header(write, text):
    assert read_cards([write("README.md", text)]).findings == []
