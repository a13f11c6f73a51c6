"""The list "Model Stats" of cards for the Hub: which lists are read, whose they are, and what is said of others."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sites import ONE_JOB

from cardproof.build import audit
from cardproof.core.settings import Settings
from cardproof.read import read_cards

CARD = """# Model card for resnet50.a1_in1k

- **Model Type:** Image classification
- **Model Stats:**
  - Params (M): 25.6
  - GMACs: 4.1
  - Activations (M): 11.1
  - Image size: 224 x 224
- **Papers:**
  - A paper: https://example.org
"""
LIST = CARD[CARD.index("- **Model Stats") : CARD.index("- **Papers")]
STATED = ["25.6", "4.1", "11.1", "224 x 224"]


def claims_of(write, text, file="README.md"):
    return read_cards([write(file, text)]).claims


def unread_in(write, text):
    (card,) = read_cards([write("README.md", text)]).cards
    return [(one.place.line, one.reason) for one in card.unread]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- **Model Stats:**", "- Model Stats:"),
        ("- **Model Stats:**", "- **Model Stats**:"),
        ("- **Model Stats:**", "* Model stats"),
        ("- **Model Stats:**", "## Model Stats"),
        ("- **Model Stats:**\n", "- **Model Stats:**\n\n"),
        ("  - ", "    - "),
        ("  - ", "\t- "),
        ("  - ", "  * "),
        ("  - ", "  + "),
        ("  - ", "- "),
        ("  - Params (M): ", "  - **Params (M):** "),
        ("  - Params (M): ", "  - **Params (M)**: "),
        ("  - Params (M): ", "  - __Params (M):__ "),
        ("  - Params (M): 25.6", "  - Params (M): **25.6**"),
        ("  - GMACs", "  - trained with care\n  - GMACs"),
        ("  - GMACs", "  - Backbone:\n    - Params (M): 23.5\n  - GMACs"),
        ("- **Papers:**", "- **Teacher:**\n  - its parameters: many\n- **Papers:**"),
        ("# Model card for ", "# "),
        ("# Model card for resnet50.a1_in1k", "# `resnet50.a1_in1k`"),
        ("- **Model Stats:**", "## Usage\n\n## ImageNet-1k\n\n- **Model Stats:**"),
    ],
)
def test_the_list_is_read_however_it_is_written(write, old, new, end):
    text = CARD.replace(old, new)
    assert text != CARD
    claims = claims_of(write, text.replace("\n", end))
    assert [(claim.model, claim.stated) for claim in claims] == [("resnet50.a1_in1k", stated) for stated in STATED]
    lines = text.splitlines()
    assert [lines[one.place.line - 1][one.place.column - 1 : one.place.end_column - 1] for one in claims] == STATED


@pytest.mark.parametrize(
    ("item", "kind", "number"),
    [
        ("Params: 28.6M", "parameters", "28600000"),
        ("Parameters (M): 28.6", "parameters", "28600000"),
        ("#Params: 28,600,000", "parameters", "28600000"),
        ("GFLOPs: 4.1", "flops", "4100000000"),
        ("FLOPs (G): 4.1", "flops", "4100000000"),
        ("MACs: 4.1G", "flops", "4100000000"),
    ],
)
def test_counts_have_the_usual_keys_and_units(write, item, kind, number):
    (claim,) = claims_of(write, f"# Model card for a\n\n- **Model Stats:**\n  - {item}\n")
    assert (claim.kind, claim.number and claim.number.value) == (kind, Decimal(number))


@pytest.mark.parametrize(("stated", "size"), [("224", (224, 224)), ("3 x 224 x 320", (224, 320))])
def test_an_image_size_may_be_one_side_or_a_shape(write, stated, size):
    (claim,) = claims_of(write, f"# Model card for a\n\n- **Model Stats:**\n  - Image size: {stated}\n")
    assert claim.size == size


def test_a_number_without_a_unit_is_not_read_as_a_count(write):
    (claim,) = claims_of(write, "# Model card for a\n\n- Model Stats:\n  - Params: 25.6\n")
    assert claim.number is None
    assert "states a unit" in claim.unread


def test_flops_beside_multiply_adds_are_operations(write):
    text = "# Model card for a\n\n- Model Stats:\n  - GMACs: 4.1\n  - GFLOPs: {}\n"
    assert [claim.operations for claim in claims_of(write, text.format("8.2"))] == [False, True]
    doubted = claims_of(write, text.format("4.1"), "other.md")[1]
    assert (doubted.number, doubted.unread) == (
        None, "FLOPs and multiply-adds of this list are about as many: it is unclear what the FLOPs count",
    )  # fmt: skip


@pytest.mark.parametrize("field", ["model_name", "name", "title"])
def test_a_field_of_the_header_names_the_model_if_the_title_does_not(write, field):
    claims = claims_of(write, f"---\n{field}: resnet18\n---\n# Overview\n\n{LIST}")
    assert [claim.model for claim in claims] == ["resnet18"] * 4


def test_the_only_model_of_the_headers_results_has_the_list(write):
    results = "model-index:\n- name: net\n  results: []\n"
    claims = claims_of(write, f"---\n{results}---\n# A fine network\n\n{LIST}")
    assert [claim.model for claim in claims] == ["net"] * 4


OTHER = "only a list below the words 'Model Stats' is read"


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        (f"# Overview\n\n{LIST}", "neither the title nor the header names its model"),
        (f"---\nbase_model: resnet50\n---\n# Overview\n\n{LIST}", "neither the title nor the header"),
        (f"# resnet50\n\n{LIST}\n# resnet101\n\n{LIST}", "the page has several lists 'Model Stats'"),
        (f"# resnet50\n\n# resnet101\n\n{LIST}", "titles name several models: resnet101, resnet50"),
        (f"# resnet50\n\n## resnet101\n\n{LIST}", "titles name several models: resnet101, resnet50"),
        (CARD.replace("GMACs: 4.1", "Params (M): 23.5"), "it states params more than once"),
        (CARD.replace("**Model Stats:**", "Numbers"), OTHER),
        ("# resnet50\n\n- Parameters: 25.6M\n- Licence: MIT\n", OTHER),
        ("# Nets\n\n- Params: 2M\n\n## More\n\n- Params: 3M\n", f"{OTHER} (one of 2 such lists)"),
    ],
)
def test_a_list_with_counts_that_may_be_of_another_model_is_not_read_and_named(write, text, unread):
    assert claims_of(write, text) == []
    assert all(reason.startswith(unread) for _, reason in unread_in(write, text))
    assert unread_in(write, text)


@pytest.mark.parametrize(
    "text",
    [
        "# resnet50\n\nModel Stats: Params (M): 25.6\n\nParameters: 25.6M are many.\n",
        "# resnet50\n\n- Parameters: the path of a file\n- FLOPs: see below\n",
        "# resnet50\n\n- Params: 3\n- Trainable layers: 4.5M\n",
        f"# resnet50\n\n```\n{LIST}```\n",
        f"# resnet50\n\n<!--\n{LIST}-->\n",
        "# resnet50\n\n- **Model Stats:**\n```\n    - Params (M): 25.6\n```\n",
        "# resnet50\n\n- Model Stats:\n<!--\n    - Params (M): 25.6\n-->\n",
    ],
)
def test_prose_code_and_comments_are_no_lists(write, text):
    assert claims_of(write, text) == []
    assert unread_in(write, text) == []


def test_a_list_that_is_not_read_is_a_note_if_a_zoo_is_named(write):
    write("own.py", "def build(name):\n    raise LookupError(name)\n")
    path = write("README.md", f"# Overview\n\n{LIST}")
    assert audit([path], Settings(), ONE_JOB).findings == []
    (note,) = audit([path], Settings(zoo="own.py:build"), ONE_JOB).findings
    assert (note.check, note.severity, note.place.line) == ("unread-table", "note", 3)
    assert note.message.startswith("this list is not read: neither the title nor the header names its model")
