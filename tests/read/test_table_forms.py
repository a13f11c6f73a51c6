"""Forms of tables as people write them: where a value stands, what it states, and what is left open with a reason."""

from __future__ import annotations

import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardproof.commands.edit import apply_fixes
from cardproof.core.field_names import kind_of, scale_of
from cardproof.core.numbers import parse_approximate
from cardproof.core.source import Source
from cardproof.core.types import Claim
from cardproof.judge.checks._counts import fix_of
from cardproof.read import Card, read_cards
from cardproof.read.models import claims_of, parse_size
from cardproof.read.table_cells import MOST_CELLS, csv_table, tables_of
from cardproof.read.tables import read_tables


def card_of(path: Path) -> Card:
    (card,) = read_cards([path]).cards
    return card


def claims_in(text: str, name: str = "t.md") -> list[Claim]:
    return [claim for model in read_tables(Source(name, Path(name), text)).models for claim in claims_of(model)]


def text_at(text: str, claim: Claim) -> str:
    """Return the characters of a text at a claim's place."""
    return text.split("\n")[claim.place.line - 1][claim.place.column - 1 : claim.place.end_column - 1]


def numbers(text: str, kind: str = "parameters") -> dict[str, int | None]:
    """Return the number that each model of a table states."""
    return {claim.model: claim.number and int(claim.number.value) for claim in claims_in(text) if claim.kind == kind}


@pytest.mark.parametrize(
    ("head", "kind", "scale"),
    [
        ("#MACs*", "flops", ""),
        ("Params.", "parameters", ""),
        ("Param # (M)", "parameters", "M"),
        ("MACCs", "flops", ""),
        ("acc@top1", "top 1 accuracy", ""),
        ("FLOPs/2", "flops", ""),
        ("mParams", "parameters", "M"),
        ("#Params.(M)", "parameters", "M"),
        ("#MAdds(M)", "flops", "M"),
        ("infer_gmacs", "flops", "G"),
        ("FLOPs (×10^9)", "flops", "G"),
        ("FLOPs (10⁹)", "flops", "G"),
        ("Params, M", "parameters", "M"),
        ("Params in millions", "parameters", "M"),
        ("FLOPs (B) (↓)", "flops", "G"),
        ("Top-1 Acc.(%)", "top 1 accuracy", ""),
        ("Image resolution", "image size", ""),
    ],
)
def test_a_head_is_a_field_and_a_unit(head, kind, scale):
    assert (kind_of(head), scale_of(head)) == (kind, scale)


@pytest.mark.parametrize("head", ["Model", "模型", "**模型名称**", "モデル", "Modell", "Modèle", "Modelo"])
def test_models_are_named_in_a_column_of_models_in_several_languages(head):
    assert numbers(f"| {head} | Params (M) |\n| :-- | --: |\n| net_a | 11.7 |\n") == {"net_a": 11_700_000}


@pytest.mark.parametrize("head", ["FLOPs@1", "Params'", "top-1 error", "image_mparams", "MACs per token"])
def test_other_heads_are_no_field_of_a_network(head):
    assert kind_of(head) not in ("flops", "parameters", "top 1 accuracy")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("224", (224, 224)),
        ("224²", (224, 224)),
        ("224x320", (224, 320)),
        ("224x224x3", (224, 224)),
        ("3x256x256", (256, 256)),
        ("(3, 224, 320)", (224, 320)),
        ("192 px", (192, 192)),
        ("45 MB", None),
        ("S", None),
        ("1x3x224x224", None),
    ],
)
def test_a_size_is_a_side_or_a_shape(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("16-17M", 15_500_000, 17_500_000),
        ("44.5 ± 0.1M", 44_350_000, 44_650_000),
        ("5.2M – 5.3M", 5_150_000, 5_350_000),
    ],
)
def test_a_range_or_tolerance_holds_what_lies_in_it(text, low, high):
    number = parse_approximate(text, "count")
    half = number.quantum / 2
    assert (number.value - half, number.value + half) == (low, high)


@pytest.mark.parametrize("text", ["17-16M", "2-x", "1e-5-", "0,9G", "0,900", "± 3", "a ± 1"])
def test_what_is_neither_number_nor_range_is_none(text):
    assert parse_approximate(text, "count") is None


FORMS = [
    ("~11.7M", "11.7M", 11_700_000),
    ("≈ 11.7M", "11.7M", 11_700_000),
    ("about 11.7M", "11.7M", 11_700_000),
    ("11.7M[^1]", "11.7M", 11_700_000),
    ("11.7M<sup>1</sup>", "11.7M", 11_700_000),
    ("11.7M\\*", "11.7M", 11_700_000),
    ("11.7M†", "11.7M", 11_700_000),
    ("**11.7M**†", "11.7M", 11_700_000),
    ("<b>11.7M</b>", "11.7M", 11_700_000),
    ("[11.7M](https://example.org/a)", "11.7M", 11_700_000),
    ("11.7 M (fused)", "11.7 M", 11_700_000),
    ("11 689 512", "11 689 512", 11_689_512),
    ("11,689,512", "11,689,512", 11_689_512),
    ("9.9K", "9.9K", 9_900),
    ("0.0055M", "0.0055M", 5_500),
    ("11.7 million", "11.7 million", 11_700_000),
]


@pytest.mark.parametrize(("cell", "stated", "value"), FORMS)
def test_marks_and_words_are_no_part_of_a_number(cell, stated, value):
    text = f"| Model | Params |\n|---|---|\n| net | {cell} |\n"
    (claim,) = claims_in(text)
    assert (claim.stated, claim.number.value) == (stated, value)
    assert text_at(text, claim) == stated


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("0,9M", "decimal comma"),
        ("25,6M", "decimal comma"),
        ("25.6", "states a unit, such as"),
        ("<1M", "be read for sure"),
        ("25.6M (26.1M)", "be read for sure"),
        ("25.6 / 26.1M", "be read for sure"),
        ("12 apples", "be read for sure"),
    ],
)
def test_what_cannot_be_read_for_sure_is_a_claim_without_number_and_with_the_reason(cell, reason):
    (claim,) = claims_in(f"| Model | Params |\n|---|---|\n| net | {cell} |\n")
    assert claim.number is None
    assert reason in claim.unread


@pytest.mark.parametrize("cell", ["-", "—", "n/a", "?", "", "small", "alpha=0.1, beta=2"])
def test_a_cell_without_a_number_states_nothing(cell):
    assert claims_in(f"| Model | Params |\n|---|---|\n| net | {cell} |\n") == []


def test_one_decimal_comma_leaves_every_single_comma_of_its_column_open():
    text = "| Model | Params |\n|---|---|\n| a | 2,342K |\n| b | 0,9M |\n| c | 5,435,488 |\n"
    assert numbers(text) == {"a": None, "b": None, "c": 5_435_488}
    assert numbers("| Model | Params |\n|---|---|\n| a | 2,342K |\n") == {"a": 2_342_000}


@pytest.mark.parametrize(
    "name",
    [
        "`net`\\*",
        "**net**†",
        "net<sup>1</sup>",
        "net[^1]",
        "[net](https://example.org)",
        "<b>net</b>",
        "net [12]",
        "*net*",
    ],
)
def test_marks_are_no_part_of_a_name(name):
    (claim,) = claims_in(f"| Model | Params |\n|---|---|\n| {name} | 25M |\n")
    assert claim.model == "net"


def test_parameters_without_a_unit_are_millions_only_if_the_whole_column_can_be():
    table = "| Model | #params |\n|---|---|\n| a | {} |\n| b | {} |\n"
    assert numbers(table.format("22.0", "86.6")) == {"a": 22_000_000, "b": 86_600_000}
    assert {claim.field for claim in claims_in(table.format("22.0", "86.6"))} == {"#params (M)"}
    for cells in (("22", "86.6"), ("22.0M", "86.6"), ("22.0", "86000.5"), ("0.05", "86.6")):
        assert numbers(table.format(*cells))["b" if cells[1] == "86.6" else "a"] is None


def test_zeros_that_end_every_cell_of_a_column_are_padding():
    text = "| Model | Params (M) |\n|---|---|\n| a | 11.690 |\n| b | 21.800 |\n"
    assert [claim.number.quantum for claim in claims_in(text)] == [10_000, 10_000]
    assert [claim.number.quantum for claim in claims_in(text.replace("21.800", "21.801"))] == [1000, 1000]
    (first, _) = claims_in(text)
    fixed = apply_fixes(text, [fix_of(first, first.number, 11_999_999)])
    assert "| 12.000 |" in fixed
    assert claims_in(fixed)[0].number.quantum >= 10_000


def test_a_row_that_ends_early_states_nothing_behind_its_end():
    text = "| Model | top-1 | Params (M) | FLOPs (G) |\n|---|---|---|---|\n| a | 70.1 |\n| b | 71.2 | 25.6 | 4.1 |\n"
    assert [(claim.model, claim.stated) for claim in claims_in(text)] == [
        ("a", "70.1"),
        ("b", "25.6"),
        ("b", "4.1"),
        ("b", "71.2"),
    ]


@pytest.mark.parametrize(
    ("heads", "cell", "stated"),
    [
        ("Top-1 / Top-5", "74.3 / 91.9", [("top 1 accuracy", "74.3"), ("top 5 accuracy", "91.9")]),
        ("FLOPs/params", "4.1G/25.6M", [("flops", "4.1G"), ("parameters", "25.6M")]),
        ("Params/FLOPs (M/G)", "25.6/4.1", [("parameters", "25.6"), ("flops", "4.1")]),
    ],
)
def test_combined_cells_state_each_of_their_parts(heads, cell, stated):
    text = f"| Model | {heads} | Params (G) x |\n|---|---|---|\n| net | {cell} | 1 |\n"
    claims = claims_in(text)
    assert sorted((claim.kind, claim.stated) for claim in claims) == sorted(stated)
    assert all(text_at(text, claim) == claim.stated for claim in claims)
    assert len({claim.column for claim in claims}) == 2


def test_a_size_may_stand_in_the_head_in_the_name_or_in_the_heading():
    for text, size in (
        ("| Model | FLOPs@288 (G) |\n|---|---|\n| net | 4.1 |\n", (288, 288)),
        ("| Model | GFLOPs@288 |\n|---|---|\n| net | 4.1 |\n", (288, 288)),
        ("| Model | GFLOPs |\n|---|---|\n| net@384 | 4.1 |\n", (384, 384)),
        ("| Model | GFLOPs |\n|---|---|\n| net ↑384 | 4.1 |\n", (384, 384)),
        ("## Trained at 224x224\n\n| Model | GFLOPs |\n|---|---|\n| net | 4.1 |\n", (224, 224)),
        ("## From 224x224 to 384x384\n\n| Model | GFLOPs |\n|---|---|\n| net | 4.1 |\n", None),
    ):
        claims = claims_in(text)
        assert {claim.size for claim in claims if claim.kind == "image size"} == ({size} if size else set())
        assert all(claim.model == "net" and text_at(text, claim) == claim.stated for claim in claims)


def test_multiply_adds_at_a_size_that_cannot_be_read_are_no_number():
    text = "| Model | Resolution | GFLOPs | Params |\n|---|---|---|---|\n| net | 224-384 | 4.1 | 25M |\n"
    stated = {claim.kind: (claim.number is not None, claim.size, claim.unread) for claim in claims_in(text)}
    reason = "'224-384' cannot be read for sure as an image size"
    assert stated == {
        "image size": (False, None, reason),
        "flops": (False, None, reason),
        "parameters": (True, None, ""),
    }


def test_a_size_column_of_other_things_is_none():
    text = "| Model | Size | GFLOPs |\n|---|---|---|\n| net | 45 MB | 4.1 |\n"
    assert [claim.kind for claim in claims_in(text)] == ["flops"]


def test_flops_beside_multiply_adds_are_operations():
    text = "| Model | MACs | FLOPs |\n|---|---|---|\n| net | 1.8G | 3.6G |\n"
    assert [(claim.field, claim.operations) for claim in claims_in(text)] == [("MACs", False), ("FLOPs", True)]
    assert not any(claim.operations for claim in claims_in(text.replace("MACs", "width")))
    equal = claims_in(text.replace("3.6G", "1.9G"))
    assert [claim.number is None for claim in equal] == [False, True]
    assert "about as many" in equal[1].unread


HTML = """# Nets

<table align="center">
  <caption>On ImageNet</caption>
  <thead>
    <tr><th rowspan="2">Model</th><th rowspan=2>Params (M)</th><th colspan="2">ImageNet</th></tr>
    <tr><th>top-1</th><th>top-5</th></tr>
  </thead>
  <tbody>

    <tr><td><a href="https://example.org/a.pth">small</a></td><td> 11.7 </td><td>69.8</td><td><b>89.1</b></td></tr>
    <tr><td>large<br></td><td>21.8</td><td rowspan="2">73.3</td><td>91.4</td></tr>
    <tr><td>wide</td><td>44.5<sup>2</sup></td><td>92
    </td></tr>
  </tbody>
</table>

After it.
"""


def test_a_table_of_html_has_the_spans_of_its_cells_and_positions_of_their_text(write):
    card = card_of(write("README.md", HTML))
    assert [(c.model, c.kind, c.stated, c.dataset) for c in card.claims] == [
        ("small", "parameters", "11.7", None),
        ("small", "top 1 accuracy", "69.8", "ImageNet"),
        ("small", "top 5 accuracy", "89.1", "ImageNet"),
        ("large", "parameters", "21.8", None),
        ("large", "top 1 accuracy", "73.3", "ImageNet"),
        ("large", "top 5 accuracy", "91.4", "ImageNet"),
        ("wide", "parameters", "44.5", None),
        ("wide", "top 1 accuracy", "73.3", "ImageNet"),
        ("wide", "top 5 accuracy", "92", "ImageNet"),
    ]
    assert all(text_at(HTML, claim) == claim.stated for claim in card.claims)
    (table,) = card.tables
    assert (table.caption, table.headings) == ("On ImageNet", ("Nets",))
    assert card.models[0].text("Weights") == "https://example.org/a.pth"
    shared = [claim for claim in card.claims if claim.stated == "73.3"]
    assert [fix_of(claim, claim.number, Decimal("70.0")) for claim in shared] == [None, None]


def test_tables_in_quotations_and_lists_are_read_at_their_places():
    text = (
        "> | Model | Params |\n> |---|---|\n> | a | 25M |\n\n"
        "- | Model | Params |\n  |---|---|\n  | b | 26M |\n\n"
        "1. x\n\n   | Model | Params |\n   |---|---|\n   | c | 27M |\n"
    )
    claims = claims_in(text)
    assert [(claim.model, claim.stated) for claim in claims] == [("a", "25M"), ("b", "26M"), ("c", "27M")]
    assert all(text_at(text, claim) == claim.stated for claim in claims)


def test_a_table_knows_its_caption_its_headings_and_its_unread_heads(write):
    text = "# Zoo\n\n## **CIFAR-10**\n\nOld words.\n\nErrors of\nnetworks:\n\n"
    text += "| Model | window | Params |\n|---|---|---|\n| a | 7 | 2M |\n"
    (table,) = card_of(write("README.md", text)).tables
    assert table.caption == "Errors of networks:"
    assert table.headings == ("Zoo", "CIFAR-10")
    assert [head for head, _ in table.unread] == ["window"]
    assert table.place.line == 10


def test_claims_name_the_head_of_their_column(write):
    card = card_of(
        write("README.md", "| Model | Complexity | |\n|---|---|---|\n| | Params (M) | GMACs |\n| a | 1 | 2 |\n")
    )
    (table,) = card.tables
    heads = {place for _, place in table.heads}
    assert {claim.column for claim in card.claims} < heads
    assert [text for text, _ in table.heads] == ["Model", "Complexity Params (M)", "Complexity GMACs"]


def test_a_second_row_of_heads_may_have_the_units():
    text = "| Model | Params | FLOPs |\n|---|---|---|\n| | (M) | (G) |\n| net | 25.6 | 4.1 |\n"
    assert [(claim.field, int(claim.number.value)) for claim in claims_in(text)] == [
        ("Params (M)", 25_600_000),
        ("FLOPs (G)", 4_100_000_000),
    ]


def test_a_table_of_names_and_values_is_about_the_model_of_its_heading_or_file(write):
    table = "\n| Metric | Value |\n|---|---|\n| Type | Classification |\n| GFLOPs | 3.642 |\n| MParams | 11.69 |\n"
    for name, text in (
        ("README.md", f"# resnet18\n\n## Specification\n{table}"),
        ("resnet18.md", f"# Use case\n\n## All numbers\n{table}"),
        ("other.md", f"# Nets\n\n## resnet18\n{table}"),
    ):
        card = card_of(write(name, text))
        assert [(claim.model, claim.kind, int(claim.number.value)) for claim in card.claims] == [
            ("resnet18", "flops", 3_642_000_000),
            ("resnet18", "parameters", 11_690_000),
        ]
        assert all(text_at(text, claim) == claim.stated for claim in card.claims)
    assert claims_in(f"# All of it\n{table}") == []


def test_a_table_with_a_field_a_row_is_turned():
    text = "| | small | large |\n|---|---|---|\n| Params (M) | 11.7 | 21.8 |\n| GMACs | 1.8 | 3.7 |\n"
    claims = claims_in(text)
    assert [(claim.model, claim.stated) for claim in claims] == [
        ("small", "11.7"),
        ("small", "1.8"),
        ("large", "21.8"),
        ("large", "3.7"),
    ]
    assert all(text_at(text, claim) == claim.stated for claim in claims)


CSV = 'model,img_size,top1,param_count,infer_gmacs\nsmall,224,69.758,11.69,1.82\n"large, wide",288,73.3,"1,044.44",-\n'


def test_a_csv_file_of_results_is_a_table(write):
    text = CSV.replace('"large, wide"', '"large"')
    card = card_of(write("results.csv", text))
    assert [
        (c.model, c.kind, c.number and str(c.number.value.normalize())) for c in card.claims if c.kind != "image size"
    ] == [
        ("small", "parameters", "1.169E+7"),
        ("small", "flops", "1.82E+9"),
        ("small", "top 1 accuracy", "69.758"),
        ("large", "parameters", "1.04444E+9"),
        ("large", "top 1 accuracy", "73.3"),
    ]
    assert all(text_at(text, claim) == claim.stated for claim in card.claims)


def test_only_csv_files_of_results_are_read_from_a_folder(write):
    write("d/results.csv", CSV)
    write("d/prices.csv", "item,price\nbread,2.5\n")
    write("d/losses.csv", "epoch,top1\n1,20.5\n")
    assert [card.file for card in read_cards([Path("d")]).cards] == ["d/results.csv"]


def test_rows_of_one_name_differ_by_size_by_weights_or_may_be_another_network(write):
    text = (
        "| name | window | res | FLOPs | FPS | model |\n|---|---|---|---|---|---|\n"
        "| a | 8 | 224 | 4.5G | 700 | [x](https://e.org/a.pth) |\n"
        "| a | 8 | 384 | 9.5G | 300 | [x](https://e.org/b.pth) |\n"
        "| a | 8 | 224 | 4.5G | 650 | [x](https://e.org/c.pth) |\n"
        "| a | 8 | 224 | 4.5G | 650 | - |\n"
        "| a | 16 | 224 | 6.6G | 500 | - |\n"
    )
    card = card_of(write("README.md", text))
    assert [(model.key, bool(model.doubt)) for model in card.models] == [
        ("a", False),
        ("a 384x384", False),
        ("a line 5", False),
        ("a line 7", True),
    ]
    assert "'window' (8, here 16)" in card.models[-1].doubt
    assert len(card.claims_of[0]) == 4  # the row without weights adds to the first of its size


def test_only_one_link_to_a_file_of_its_own_is_the_weights_of_a_row(write):
    text = (
        "| Model | Pretrain | Params | Download |\n|---|---|---|---|\n"
        "| a | [MAE](https://e.org/mae.pth) | 25M | [model](https://e.org/a.pth) \\| [log](https://e.org/a.json) |\n"
        "| b | [MAE](https://e.org/mae.pth) | 26M | [model](https://e.org/b.pth) [ema](https://e.org/b-ema.pth) |\n"
        "| [c](https://e.org/c.safetensors?download=true) | - | 27M | [model](https://e.org/c) |\n"
    )
    models = card_of(write("README.md", text)).models
    links = ["https://e.org/a.pth", None, "https://e.org/c.safetensors?download=true"]
    assert [model.text("Weights") for model in models] == links


def test_tables_that_look_like_claims_and_are_not_read_say_why(write):
    text = (
        "| Backbone | Value |\n|---|---|\n| A | 3 |\n\n"
        "| Backbone | Params | mAP |\n|---|---|---|\n| resnet50 | 41.3 | 38 |\n\n"
        "| Arch | FLOPs@1 | Params' |\n|---|---|---|\n| resnet18 | 1.8 | 11.7 |\n\n"
        "| Model | Params | Params |\n|---|---|---|\n| net | 25M | 26M |\n\n"
        "| Name | Parameters | Default |\n|---|---|---|\n| lr | float | 0.1 |\n"
    )
    unread = card_of(write("README.md", text)).unread
    assert [(table.place.line, table.counts) for table in unread] == [(5, True), (9, True), (13, True), (17, False)]
    assert [table.reason.split(",")[0] for table in unread[:3]] == [
        "no column names the models",
        "no column states parameters",
        "two columns state parameters",
    ]
    assert unread[1].names == ("resnet18",)


def test_markdown_it_is_imported_only_for_a_card_that_may_have_a_table(write):
    write("plain.md", "# No table\n\nModel Stats\n")
    write("table.md", "| Model | Params |\n|---|---|\n| net | 25M |\n")
    for name, imported in (("plain.md", False), ("table.md", True)):
        code = (
            "import sys; from pathlib import Path; from cardproof.read import read_cards\n"
            f"read_cards([Path('{name}')]); assert ('markdown_it' in sys.modules) is {imported}\n"
            "assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


PIECES = st.sampled_from(
    [
        *(
            "|",
            "\n",
            "<table>",
            "</table>",
            "<tr>",
            "<td rowspan=3>",
            "<th colspan='2'>",
            "</td>",
            "<!--",
            "-->",
            "```\n",
        ),
        *(
            "Model",
            "Params (M)",
            "FLOPs/params",
            "Top-1",
            "res",
            "---|",
            "25.6",
            "~1,5M",
            "16-17M",
            "224²",
            "[a](b.pth)",
        ),
        *("**", "†", "\\*", "<sup>1</sup>", "[^1]", "net@384", " ", "\r", "\t", "# ", "- ", "> ", ",", '"', "&nbsp;"),
        *("İ", "\u2028"),
    ]
)


@given(st.lists(PIECES, max_size=60).map("".join), st.sampled_from(["t.md", "t.mdx", "t.csv"]))
def test_any_text_is_read_and_every_claim_stands_where_it_says(text, name):
    text = f"| Model | Params (M) |\n|---|---|\n{text}" if name != "t.csv" else f"Model,Params (M)\n{text}"
    for claim in claims_in(text, name):
        assert text_at(text, claim) == claim.stated


CELLS = st.one_of(
    st.sampled_from([form[0] for form in FORMS] + ["25,6M", "-", "", "16-17M", "44.5 ± 0.1M", "**x**", "12", "`7.5`"]),
    st.decimals(min_value=0, max_value=999, places=3).map(str),
)


@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=3), min_size=1, max_size=6),
    st.sampled_from(["markdown", "html"]),
    st.integers(1000, 10**9),
)
def test_a_fix_of_a_claim_changes_its_text_and_no_other_claim(rows, form, measured):
    heads = ["Model", "Params (M)", "FLOPs", "Top-1"]
    table = [heads, *([f"net{number}", *cells] for number, cells in enumerate(rows))]
    if form == "html":
        lines = ["<table>", *("<tr><td>" + "</td><td>".join(row) + "</td></tr>" for row in table), "</table>"]
    else:
        lines = ["| " + " | ".join(row) + " |" for row in (table[0], ["---"] * 4, *table[1:])]
    text = "\n".join(lines) + "\n"
    claims = claims_in(text)
    assert all(text_at(text, claim) == claim.stated for claim in claims)
    for claim in claims:
        fix = fix_of(claim, claim.number, measured) if claim.number else None
        if fix is None:
            continue
        before = text.split("\n")
        after = apply_fixes(text, [fix]).split("\n")
        line = before[fix.line - 1]
        before[fix.line - 1] = line[: fix.column - 1] + fix.text + line[fix.end_column - 1 :]
        assert after == before
        again = claims_in("\n".join(after))
        assert [one.stated for one in again if one.place.line != fix.line] == [
            one.stated for one in claims if one.place.line != fix.line
        ]


def test_a_quoted_attribute_of_html_may_hold_the_sign_that_ends_a_tag(write):
    text = HTML.replace('rowspan="2">73.3', "title='5 > 4' rowspan=\"2\">73.3").replace(
        "<td>21.8", '<td title="a > b">21.8'
    )
    card = card_of(write("README.md", text))
    assert [claim.stated for claim in card.claims if claim.model != "small"] == [
        "21.8",
        "73.3",
        "91.4",
        "44.5",
        "73.3",
        "92",
    ]


def test_tags_of_html_that_do_not_end_are_not_looked_at_again_and_again():
    text = "<table><tr>" + ("<td " * 100 + 'a="' + "<td " * 200 + '"') * 700
    started = time.process_time()
    read_tables(Source("t.md", Path("t.md"), text))
    assert time.process_time() - started < 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "<table>" + "<tr><td>" * 200_000,
        "<table>\n" + "<!--" * 200_000,
        "<table><tr><td " + "a=" * 400_000,
        "<table><tr>" + "<td rowspan=9999 colspan=99>x" * 5_000 + "<tr><td>" * 20_000,
        "<table>\n\n" * 60_000,
        "<table>" * 100_000,
        "a|\n-|\n" * 29_000,
        "| Model | Params |\n|---|---|\n" + "| net | " + "(" * 300_000 + " |\n",
        "| Model | Params |\n|---|---|\n" + "| [" * 200_000 + "\n",
        "- a|b\n" * 59_000,
    ],
    ids=range(10),
)
def test_a_card_of_a_megabyte_is_read_in_time_and_its_cells_are_bounded(text):
    source = Source("t.md", Path("t.md"), text)
    started = time.process_time()
    read_tables(source)
    assert time.process_time() - started < 20
    assert all(sum(map(len, table.rows)) <= MOST_CELLS for table in tables_of(source))


def test_a_file_of_too_many_lines_says_that_its_tables_are_not_read(write):
    text = "| Model | Params |\n|---|---|\n" + "| net | 25M |\n" * 70_000
    (table,) = card_of(write("README.md", text)).unread
    assert "lines" in table.reason and table.counts


def test_a_csv_record_over_several_lines_ends_the_table_at_what_was_read():
    source = Source("t.csv", Path("t.csv"), 'model,params\na,25M\n"b\nc",3M\n')
    table = csv_table(source)
    assert len(table.rows) == 1 and table.cut


def test_emoji_and_check_marks_are_no_part_of_names_heads_and_values():
    text = "| 🏷️ Model | 📦 Params ⬇️ | FLOPs ✔ |\n|---|---|---|\n| 🐣 net18 | 11.7M ✅ | ⭐ 1.81G |\n"
    claims = claims_in(text)
    assert [(claim.model, claim.stated) for claim in claims] == [("net18", "11.7M"), ("net18", "1.81G")]
    assert [text_at(text, claim) for claim in claims] == ["11.7M", "1.81G"]


def test_a_cross_is_not_a_check_mark():
    assert [claim.number for claim in claims_in("| Model | Params |\n|---|---|\n| net | 11.7M ❌ |\n")] == [None]


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ("FLOPs@32", (32, 32)),
        ("FLOPs (32x32)", (32, 32)),
        ("FLOPs (224)", (224, 224)),
        ("FLOPs (224 px)", (224, 224)),
        ("FLOPs (32px)", (32, 32)),
        ("FLOPs @ 224²", (224, 224)),
        ("FLOPs @224 (G)", (224, 224)),
        ("FLOPs (total)", None),
    ],
)
def test_a_head_of_flops_states_the_image_size(head, size):
    text = f"| Model | {head} |\n|---|---|\n| net | 4.17G |\n"
    claims = {claim.kind: claim for claim in claims_in(text)}
    assert (claims["image size"].size if size else claims.get("image size")) == size
    assert claims["flops"].number.value == 4_170_000_000


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("FLOPs at 32x32 (CIFAR-10).", (32, 32)),
        ("Image size: 28×28", (28, 28)),
        ("Trained at 192x192.", None),
        ("Patch size 32x32.", None),
        ("FLOPs at 32x32 and at 64x64", None),
    ],
)
def test_words_above_a_table_state_the_image_size(words, size):
    claims = claims_in(f"{words}\n\n| Model | FLOPs |\n|---|---|\n| net | 4.17G |\n")
    assert [claim.size for claim in claims if claim.kind == "image size"] == ([size] if size else [])


def test_zero_is_not_a_count():
    (claim,) = claims_in("| Model | Params |\n|---|---|\n| net | 0 |\n")
    assert (claim.number, claim.unread) == (None, "0 is not a count")
