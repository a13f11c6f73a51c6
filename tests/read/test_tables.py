"""Tables, lists of cards for the Hub, and MDX pages: what they state, where, and what they do not state."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from report_runs import claim_rows
from sites import ONE_JOB

from cardproof.build import audit
from cardproof.commands.edit import apply_fixes
from cardproof.core.numbers import equal_as_written
from cardproof.core.settings import Settings
from cardproof.core.source import Source
from cardproof.core.yaml import read_yaml
from cardproof.judge.checks._counts import fix_of
from cardproof.read import read_cards
from cardproof.read.hub_header import model_of_results
from cardproof.read.model_stats import read_model_stats
from cardproof.read.models import image_size
from cardproof.read.tables import read_tables

README = """# Networks

| Model | Image size | #Params (M) | FLOPs (G) | ImageNet top-1 | acc@5 |
| :--- | ---: | ---: | :---: | --- | --- |
| [resnet18](https://example.org/a|b) | 224 | 11.8 | **1.82** | 69.76% | 89.08 |
| `resnet34` | 224x320 | 21.80M | 3.6 | - | n/a |
"""


def stated(path: Path) -> list[tuple[str, str, str]]:
    return [(claim.model, claim.field, claim.stated) for claim in read_cards([path]).claims]


def test_each_number_of_a_row_is_a_claim_of_its_model(write):
    text = README.replace("a|b", "a")
    path = write("README.md", text)
    assert stated(path) == [
        ("resnet18", "Image size", "224"),
        ("resnet18", "#Params (M)", "11.8"),
        ("resnet18", "FLOPs (G)", "1.82"),
        ("resnet18", "Top 1 Accuracy", "69.76%"),
        ("resnet18", "acc@5", "89.08"),
        ("resnet34", "Image size", "224x320"),
        ("resnet34", "#Params (M)", "21.80M"),
        ("resnet34", "FLOPs (G)", "3.6"),
    ]
    reading = read_cards([path])
    lines = text.splitlines()
    for claim in reading.claims:
        line = lines[claim.place.line - 1]
        assert line[claim.place.column - 1 : claim.place.end_column - 1] == claim.stated
    assert [claim.dataset for claim in reading.claims if claim.metric] == ["ImageNet", None]
    assert image_size(reading.cards[0].claims_of[1]) == (224, 320)


def test_units_come_from_the_head_or_from_the_cell(write):
    counts = {c.stated: c.number for c in read_cards([write("a.md", README.replace("a|b", "a"))]).claims}
    assert counts["11.8"].value == 11_800_000
    assert counts["21.80M"].value == 21_800_000
    assert counts["3.6"].value == 3_600_000_000


@pytest.mark.parametrize(
    "table",
    [
        "| variant | width | depth |\n|---|---|---|\n| tiny | 192 | 12 |",
        "| Parameter | Default |\n|---|---|\n| lr | 0.1 |",
        "| Model | Params | Params |\n|---|---|---|\n| net | 25M | 26M |",  # two of one kind
        "| Model | Params (M) |\n|---|\n| net | 25 |",  # no table
        "| Model | Params (M) |\n| net | 25 |",
        "| Backbone | Params (M) | box AP |\n|---|---|---|\n| resnet50 | 41.3 | 38 |",  # of a detector
        "| Name | top-1 |\n|---|---|\n| Anna | 3 |",
        "| Model | Params (M) |\n|---|---|\n| | 25 |\n| 2024 | 25 |\n| {{ model.name }} | 25 |\n| net | small |",
        "```\n| Model | Params (M) |\n|---|---|\n| net | 25 |\n```",
        "    | Model | Params (M) |\n    |---|---|\n    | net | 25 |",
        "<!--\n| Model | Params (M) |\n|---|---|\n| net | 25 |\n-->",
        "| Model | top-1 error |\n|---|---|\n| net | 25 |",
    ],
)
def test_a_table_that_states_nothing_certain_of_models_gives_no_claims(write, table):
    assert read_cards([write("README.md", f"# x\n\n{table}\n")]).models == []


def test_rows_of_one_name_and_one_size_are_one_model_and_another_size_is_another(write):
    table = (
        "model | img_size | GMACs | param_count\n---|---|---|---\n"
        "net | 224 | 4.1 | 25.56\nnet | 288 | 6.8 | 25.57\nnet | 224 | 4.2 | 25.58\n"
    )
    reading = read_cards([write("README.md", table)])
    assert [
        (model.key, image_size(claims))
        for model, claims in zip(reading.models, reading.cards[0].claims_of, strict=True)
    ] == [
        ("net", (224, 224)),
        ("net 288x288", (288, 288)),
    ]
    assert [[claim.stated for claim in claims] for claims in reading.cards[0].claims_of] == [
        ["224", "4.1", "25.56", "224", "4.2", "25.58"],
        ["288", "6.8", "25.57"],
    ]
    assert {claim.field for claim in reading.claims} == {"img_size", "GMACs", "param_count (M)"}


def test_a_card_template_has_its_index_and_its_tables_are_text(write):
    index = "<!--\nType: model-index\nModels:\n- Name: net\n  Metadata:\n    Parameters: 1\n-->\n"
    assert stated(write("card.md", index + README)) == [("net", "Parameters", "1")]


def test_a_header_and_a_table_state_of_one_model_together(write):
    header = (
        "---\nmodel-index:\n- name: resnet18\n  results:\n  - task: {type: image-classification}\n"
        "    dataset: {name: ImageNet, type: imagenet-1k}\n    metrics:\n    - {type: accuracy, value: 69.7}\n---\n"
    )
    reading = read_cards([write("README.md", header + README.replace("a|b", "a"))])
    assert [model.name for model in reading.models] == ["resnet18", "resnet34"]
    assert [claim.stated for claim in reading.cards[0].claims_of[0]] == [
        "224",
        "11.8",
        "1.82",
        "69.7",
        "69.76%",
        "89.08",
    ]


HUB = """---
tags: [timm]
---
# Model card for resnet50.a1_in1k

## Model Details
- **Model Type:** Image classification / feature backbone
- **Model Stats:**
  - Params (M): 25.6
  - GMACs: 4.1
  - Activations (M): 11.1
  - Image size: train = 224 x 224, test = 288 x 288
- **Papers:**
  - A paper: https://example.org
"""


def test_the_details_of_a_timm_card_are_claims(write):
    path = write("README.md", HUB)
    assert stated(path) == [
        ("resnet50.a1_in1k", "Params (M)", "25.6"),
        ("resnet50.a1_in1k", "GMACs", "4.1"),
        ("resnet50.a1_in1k", "Activations (M)", "11.1"),
        ("resnet50.a1_in1k", "Image size", "224 x 224"),
        ("resnet50.a1_in1k", "Image size (test)", "288 x 288"),
    ]
    places = {claim.stated: (claim.place.line, claim.place.column) for claim in read_cards([path]).claims}
    assert places == {"25.6": (9, 17), "4.1": (10, 12), "11.1": (11, 22), "224 x 224": (12, 25), "288 x 288": (12, 43)}
    assert image_size(read_cards([path]).claims) == (224, 224)


@pytest.mark.parametrize(("opening", "closing"), [("<!--", "-->"), ("{/*", "*/}")])
def test_an_index_in_a_comment_of_mdx_is_read(write, opening, closing):
    text = f"# Net\n\n{opening}\nType: model-index\nModels:\n- Name: net\n  Metadata:\n    FLOPs: 12\n{closing}\n"
    (claim,) = read_cards([write("net.mdx", text)]).claims
    assert (claim.stated, claim.place.line, claim.place.column) == ("12", 8, 12)


def test_braces_are_no_comment_in_markdown(write):
    text = "{/*\nType: model-index\nModels:\n- Name: net\n*/}\n"
    assert read_cards([write("net.md", text)]).models == []


def test_results_beside_a_card_are_claims_of_the_repository(write):
    text = (
        "- dataset:\n    id: ILSVRC/imagenet-1k\n    task_id: top-1\n  value: 69.8\n"
        '- dataset: {id: x/y, task_id: z}\n  value: 3\n  date: "2026-01-15"\n'
    )
    write("resnet18/.eval_results/imagenet.yaml", text)
    claims = read_cards([Path("resnet18")]).claims
    assert [(c.model, c.field, c.stated, c.dataset, c.metric) for c in claims] == [
        ("resnet18", "top-1", "69.8", "ILSVRC/imagenet-1k", True),
        ("resnet18", "z", "3", "x/y", True),
    ]
    assert claims[0].place.line == 4


@pytest.mark.parametrize("entry", ["{value: 3}", "{dataset: {id: x}, value: 3}", "{dataset: {id: x, task_id: y}}", "3"])
def test_a_result_that_the_hub_cannot_read_is_an_error(write, entry):
    write("net/.eval_results/a.yaml", f"- {entry}\n")
    reading = read_cards([Path("net")])
    assert [finding.check for finding in reading.findings] == ["hub-result"]
    assert reading.claims == []


def test_a_model_of_a_table_that_the_zoo_does_not_have_is_unchecked_and_no_error(write):
    write("own.py", "def build(name):\n    raise LookupError(name)\n")
    run = audit([write("README.md", README.replace("a|b", "a"))], Settings(zoo="own.py:build"), ONE_JOB)
    assert run.exit == 0
    assert all(set(verdicts) == {"unchecked"} for card in run.cards for verdicts in card.tally.values())


def test_a_size_of_a_table_is_no_claim_about_the_zoos_configuration(write):
    write(
        "own.py",
        "from torch import nn\n\n"
        "class Zoo:\n"
        "    def build(self, name):\n"
        "        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))\n"
        "    def preprocessing(self, name):\n"
        "        return {'input_size': (3, 16, 16)}\n",
    )
    table = "| Model | img_size | FLOPs | Params |\n|---|---|---|---|\n| net | 320 | 1228808 | 100.1K |\n"
    run = audit([write("README.md", table)], Settings(zoo="own.py:Zoo"), ONE_JOB)
    verdicts = {claim["field"]: claim["verdict"] for claim in claim_rows(run)}
    assert verdicts == {"img_size": "unchecked", "FLOPs": "confirmed", "Params": "refuted"}


WORDS = st.text(st.characters(whitelist_categories=("Lu", "Ll", "Nd"), max_codepoint=126), min_size=1, max_size=12)
NUMBERS = st.one_of(
    st.decimals(min_value=Decimal(0), max_value=Decimal(99999), places=2).map(str), st.integers(0, 99999).map(str)
)
DRESSED = st.sampled_from(["{}", "**{}**", "`{}`", "*{}*", " {}  "])


@given(
    st.lists(st.tuples(WORDS.map(lambda word: f"n{word}"), DRESSED, NUMBERS, DRESSED, NUMBERS), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_every_claim_of_a_table_stands_where_it_says(rows, end, bars):
    lines = ["intro", "", "Model | Params (M) | GMACs", "---|:-:|--:"]
    lines += [f"{dress.format(name)} | {dress2.format(a)} | {b}" for name, dress, a, dress2, b in rows]
    text = end.join(f"| {line} |" if bars and "|" in line else line for line in lines) + end
    source = Source("t.md", Path("t.md"), text)
    models = read_tables(source).models
    assert [model.name for model in models] == list(dict.fromkeys(row[0] for row in rows))
    written = text.split(end)
    found = []
    for model in models:
        for _, value in model.metadata:
            place = value.place
            assert written[place.line - 1][place.column - 1 : place.end_column - 1] == value.text
            found.append(value.text)
    assert sorted(found) == sorted(number for row in rows for number in (row[2], row[4]))


@given(NUMBERS, st.integers(1, 10**12), st.sampled_from(["Params (M)", "FLOPs (G)", "Params (K)"]), DRESSED)
def test_a_fix_of_a_cell_holds_and_a_second_one_changes_nothing(number, measured, head, dress):
    def claims(text):
        source = Source("t.md", Path("t.md"), text)
        from cardproof.read.models import claims_of

        return [claim for model in read_tables(source).models for claim in claims_of(model)]

    text = f"| Model | {head} |\n|---|---|\n| net | {dress.format(number)} |\n"
    (claim,) = claims(text)
    stated_number = claim.number
    fix = fix_of(claim, stated_number, measured)
    if fix is None:
        assert measured * 2 <= stated_number.quantum or equal_as_written(measured, stated_number)
        return
    after = apply_fixes(text, [fix])
    assert after.splitlines()[:2] == text.splitlines()[:2]
    (again,) = claims(after)
    assert equal_as_written(measured, again.number)
    assert fix_of(again, again.number, measured) is None
    assert again.kind in ("parameters", "flops")


@given(st.text(st.sampled_from("|-: \n`*[]()<!>{/}#aModelParams25M\\\t"), max_size=200))
def test_any_text_is_read_without_an_error_and_positions_lie_in_it(text):
    source = Source("t.md", Path("t.md"), "| Model | Params (M) |\n|---|---|\n" + text)
    for model in read_tables(source).models:
        for _, value in model.metadata:
            assert source.text[value.start : value.end] == value.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "|" * 1_000_000,
        "| " * 500_000,
        "| Model | Params (M) |\n|---|---|\n" + "| net | 25.6 |\n" * 10_000,
        "| Model | Params (M) |\n|---|---|\n" + "".join(f"| net{n} | 25.6 |\n" for n in range(10_000)),
        "| Model | Params (M) |\n|---|---|\n| " + "[" * 500_000 + " | 3 |\n",
        "| Model | Params (M) |\n|---|---|\n| net | " + "*" * 500_000 + " |\n",
        "<!--" * 200_000,
        "{/*\n" * 200_000,
        "# Model card for " + "a" * 500_000,
        "# Model card for a\n- **Model Stats:**\n" + "- Params (M): 1\n" * 60_000,
        "- **Model Stats:**" + " " * 1_000_000 + "x",
        "a|\n-|\n" * 150_000,
        " " * 500_000 + "|\n" + "-" * 500_000,
    ],
    ids=range(13),
)
def test_a_megabyte_is_read_in_time(write, text):
    path = write("README.md", text)
    started = time.process_time()
    read_cards([path])
    assert time.process_time() - started < 20


def test_a_long_header_is_read_in_time(write):
    entry = (
        "  - task: {{type: image-classification}}\n    dataset: {{name: d{0}, type: d{0}}}\n"
        "    metrics: [{{type: accuracy, value: {0}.5}}]\n"
    )
    header = "---\nmodel-index:\n- name: net\n  results:\n" + "".join(entry.format(n) for n in range(2_000)) + "---\n"
    assert len(header) > 230_000
    started = time.process_time()
    reading = read_cards([write("README.md", header)])
    assert time.process_time() - started < 7
    assert len(reading.claims) == 2_000


@given(st.text(st.sampled_from("-*+:#()[]x=`{}/<!> \n\r\t012.MModel Stats:ParamsGMACsImage size"), max_size=300))
def test_any_list_is_read_without_an_error_and_positions_lie_in_it(text):
    source = Source("t.md", Path("t.md"), "# Model card for net\n\n- **Model Stats:**\n" + text)
    model, _ = read_model_stats(source, 0)
    for _, value in (model.metadata or ()) if model else ():
        assert source.text[value.start : value.end] == value.text


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["dataset", "id", "task_id", "value", "x"]), inner, max_size=4),
        ),
        max_leaves=12,
    )
)
def test_any_results_are_read_or_reported(tree):
    source = Source("a.yaml", Path("net/.eval_results/a.yaml"), json.dumps(tree))
    root, _ = read_yaml(source)
    assume(root is not None)
    models, findings = model_of_results(root, source)
    entries = tree if isinstance(tree, list) else [tree]
    assert sum(len(model.results) for model in models) + len(findings) == len(entries)
