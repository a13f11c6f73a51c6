"""Counts of one column judged together: a tool's convention, one cause of many rows, and what few digits prove."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from msgspec.structs import replace

from cardproof.core.measurements import Counts, Environment, Evidence, Reproduction
from cardproof.core.numbers import parse_number
from cardproof.core.settings import Settings, Tolerance
from cardproof.core.source import Source
from cardproof.core.types import Finding, Fix, Judgement, Place
from cardproof.core.yaml import Scalar
from cardproof.judge.checks import Context
from cardproof.judge.columns import judge_columns
from cardproof.judge.other_networks import Judged, set_aside_outvoted
from cardproof.judge.verdicts import judge_claim
from cardproof.read import read_cards
from cardproof.read.models import Table, make_claim
from cardproof.read.tables import stated_model

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = Place("card.md", 1, 20, 25)


class Settled(NamedTuple):
    """The judgements of a column, the findings about it, and the positions of those without a finding of their own."""

    judgements: list[Judgement]
    findings: list[Finding]
    merged: set[int]


def context_of(
    name: str, plain: int, tools: dict[str, int] | None = None, statistics: int = 0,
    found: Iterable[Reproduction] = (), **settings: object,
) -> Context:  # fmt: skip
    """Return a model of a card with its evidence, as counted at 224x224."""
    source = Source("card.md", Path("card.md"), f"{name} 224")
    key, size = Scalar(source, 0, 0, "Image Size", "Image Size", ""), Scalar(source, 0, 3, "224", 224, "")
    model = stated_model(source, Scalar(source, 0, len(name), name, name, ""), [(key, size)], "table")
    counts = Counts((3, 224, 224), (1, 1000), plain // 100, 0, plain, 0, 0, 1, None, {}, "zoo:Net")
    counts = replace(counts, tools=tools or {}, statistics=statistics)
    environment = Environment("2026-01-01T00:00:00Z", 0.0, "meta", "", "", "", "")
    evidence = Evidence(name, "zoo", name, "key", counts, tuple(found), None, None, environment)
    size_claim = make_claim(name, "Image Size", "224", Place("card.md", 3, 1, 4))
    return Context(model, (size_claim,), Settings(**settings), evidence)


def column_of(*rows: tuple[str, Context], field: str = "FLOPs") -> Settled:
    """Judge a column of stated texts, one for each model."""
    judged = []
    for line, (stated, context) in enumerate(rows, 3):
        place = Place("card.md", line, 20, 20 + len(stated))
        claim = make_claim(context.model.name, field, stated, place, column=HEAD)
        judged.append(Judged(judge_claim(claim, context), context))
    findings = judge_columns(judged)
    merged = {position for position, one in enumerate(judged) if one.merged}
    return Settled([one.judgement for one in judged], findings, merged)


def verdicts(settled: Settled) -> list[str]:
    return [judgement.verdict for judgement in settled.judgements]


def test_what_a_tool_gives_is_confirmed_by_its_convention_with_the_multiply_adds_beside_it() -> None:
    settled = column_of(("1.82G", context_of("a", 1_814_000_000, {"fvcore": 1_819_000_000})))
    (judgement,) = settled.judgements
    assert judgement.verdict == "confirmed"
    assert judgement.found == 1_814_000_000
    assert judgement.fix is None
    assert "fvcore's convention" in judgement.method
    assert "batch norm twice" in (judgement.explanation or "")
    assert "1,814,000,000 multiply-adds" in (judgement.explanation or "")


def test_a_column_names_its_convention_once() -> None:
    rows = [(f"{n}.82G", context_of(f"net{n}", n * 10**9, {"mmcv": n * 10**9 + 820_000_000})) for n in range(1, 5)]
    settled = column_of(*rows)
    assert verdicts(settled) == ["confirmed"] * 4
    (note,) = settled.findings
    assert (note.severity, note.place) == ("note", HEAD)
    assert "net1, net2, net3, net4 are by mmcv's convention" in note.message


def test_strict_refutes_all_but_multiply_adds() -> None:
    strict = {"conventions": "strict"}
    settled = column_of(("1.82G", context_of("a", 1_814_000_000, {"fvcore": 1_819_000_000}, **strict)))
    assert verdicts(settled) == ["refuted"]
    assert settled.findings == []
    assert "what fvcore counts" in (settled.judgements[0].explanation or "")


def test_of_several_tools_the_one_of_most_rows_is_named() -> None:
    rows = [
        ("1.82G", context_of("a", 10**9, {"fvcore": 1_820_000_000, "mmcv": 1_821_000_000})),
        ("2.82G", context_of("b", 2 * 10**9, {"fvcore": 2_000_000_000, "mmcv": 2_821_000_000})),
    ]
    assert all("mmcv" in judgement.method for judgement in column_of(*rows).judgements)


def test_two_digits_are_confirmed_only_where_the_same_tool_gives_most_of_the_column() -> None:
    tools = {"mmcv": 1_830_000_000}
    (alone,) = column_of(("1.8G", context_of("a", 10**9, tools))).judgements
    assert (alone.verdict, alone.fix) == ("unchecked", None)
    assert "mmcv's convention" in alone.reason
    rows = [("1.8G", context_of(name, 10**9, tools)) for name in "abc"]
    assert verdicts(column_of(*rows)) == ["confirmed"] * 3
    others = [("5.7G", context_of(name, 10**9, tools)) for name in "defg"]
    assert verdicts(column_of(*rows, *others)) == ["unchecked"] * 3 + ["refuted"] * 4


def test_a_mistyped_row_of_a_tool_s_column_is_refuted() -> None:
    rows = [(f"{n}.82G", context_of(f"net{n}", n * 10**9, {"mmcv": n * 10**9 + 820_000_000})) for n in range(1, 5)]
    settled = column_of(*rows, ("9.99G", context_of("net9", 9 * 10**9, {"mmcv": 9_820_000_000})))
    assert verdicts(settled) == ["confirmed"] * 4 + ["refuted"]


@pytest.mark.parametrize(
    ("stated", "field", "verdict"),
    [
        ("2.00G", "FLOPs", "confirmed"),
        ("2.0G", "FLOPs", "unchecked"),
        ("2.00G", "MACs", "refuted"),
        ("2.00 GMACs", "FLOPs", "refuted"),
    ],
)
def test_flops_of_a_small_table_may_be_operations(stated: str, field: str, verdict: str) -> None:
    settled = column_of((stated, context_of("a", 10**9)), field=field)
    assert verdicts(settled) == [verdict]
    (judgement,) = settled.judgements
    said = f"{judgement.explanation}{judgement.reason}"
    assert (verdict == "refuted") is ("two operations for each multiply-add" not in said)
    assert len(settled.findings) == (verdict == "confirmed")


def test_operations_are_a_convention_of_a_whole_column() -> None:
    mixed = (("2.00G", context_of("a", 10**9)), ("1.50G", context_of("b", 1_500_000_000)))
    assert verdicts(column_of(*mixed)) == ["refuted", "confirmed"]
    rows = [(f"{2 * n}.00G", context_of(f"net{n}", n * 10**9)) for n in range(1, 5)]
    settled = column_of(*rows)
    assert verdicts(settled) == ["confirmed"] * 4
    assert "two operations for each multiply-add" in settled.findings[0].message


def test_running_statistics_are_parameters_by_keras() -> None:
    settled = column_of(("8062504", context_of("a", 797_885_600, statistics=83_648)), field="Parameters")
    (judgement,) = settled.judgements
    assert judgement.verdict == "confirmed"
    assert "Keras's convention" in judgement.method


def test_units_of_two_to_the_thirty_are_one_finding_that_names_the_rows() -> None:
    rows = [("3.99G", 4_283_537_072), ("7.55G", 8_105_781_680), ("8.31G", 8_921_133_056), ("26.9G", 28_895_395_840)]
    settled = column_of(*((stated, context_of(f"hrnet{n}", plain)) for n, (stated, plain) in enumerate(rows)))
    assert verdicts(settled) == ["refuted"] * 4
    assert all(judgement.explained for judgement in settled.judgements)
    assert settled.merged == {0, 1, 2, 3}
    (finding,) = settled.findings
    assert (finding.severity, finding.place) == ("error", HEAD)
    assert "hrnet0, hrnet1, hrnet2, hrnet3" in finding.message
    assert "2^30" in finding.message


def test_a_row_that_a_tool_gives_by_luck_does_not_leave_its_column() -> None:
    rows = [("3.99G", 4_283_537_072), ("7.55G", 8_105_781_680), ("8.31G", 8_921_133_056), ("26.9G", 28_895_395_840)]
    settled = column_of(
        *((stated, context_of(f"hrnet{n}", plain, {"mmcv": 3_990_000_000})) for n, (stated, plain) in enumerate(rows))
    )
    assert verdicts(settled) == ["refuted"] * 4
    assert len(settled.merged) == 4


def hint(stated: int, **known: object) -> Reproduction:
    return Reproduction("flops", stated, stated, exact=True, proved=False, **known)


def test_a_hint_of_one_cell_is_the_cause_in_three_rows() -> None:
    def rows(number: int) -> list[tuple[str, Context]]:
        stated = [n * 10**9 for n in range(2, 2 + number)]
        known = {"input": (256, 256), "tool": "mmcv"}
        return [(f"{n // 10**9}.0G", context_of(f"net{n}", n * 2, found=[hint(n, **known)])) for n in stated]

    few = column_of(*rows(2))
    assert [judgement.explained for judgement in few.judgements] == [False, False]
    assert all("mmcv counts at 256x256" in (one.explanation or "") for one in few.judgements)
    assert all("no proof" in (one.explanation or "") for one in few.judgements)
    whole = column_of(*rows(4))
    assert [judgement.explained for judgement in whole.judgements] == [True] * 4
    assert len(whole.findings) == 1


@pytest.mark.parametrize("part", ["classes", "input"])
def test_explanations_that_contradict_each_other_are_dropped(part: str) -> None:
    values = {"classes": (80, 100, 120), "input": ((122, 122), (96, 96), (80, 80))}[part]
    rows = []
    for n, value in enumerate(values, 2):
        found = Reproduction("flops", n * 10**9, n * 10**9, exact=True, **{part: value})
        rows.append((f"{n}.00G", context_of(f"net{n}", 12345678901, found=[found])))
    settled = column_of(*rows)
    assert [judgement.explained for judgement in settled.judgements] == [False] * 3
    alone = column_of(rows[0])
    assert alone.judgements[0].explained


@pytest.mark.parametrize(
    ("stated", "parameters", "verdict"),
    [
        ("119.6M", 119_653_468, "confirmed"),
        ("25.55M", 25_557_032, "confirmed"),
        ("11M", 11_689_512, "unchecked"),
        ("25.54M", 25_557_032, "refuted"),
        ("25557031", 25_557_032, "refuted"),
    ],
)
def test_a_number_cut_off_at_three_digits_is_confirmed(stated: str, parameters: int, verdict: str) -> None:
    settled = column_of((stated, context_of("a", 100 * parameters)), field="Parameters")
    (judgement,) = settled.judgements
    assert judgement.verdict == verdict
    assert [finding.severity for finding in settled.findings] == (["warning"] if verdict == "unchecked" else [])
    assert (verdict == "confirmed") is ("Cut off instead of rounded" in (judgement.explanation or ""))


@pytest.mark.parametrize(
    ("stated", "plain", "said"),
    [
        ("0.41G", 4_089_184_256, "A decimal point that moved"),
        ("40.9G", 4_089_184_256, "A decimal point that moved"),
        ("8.5G", 4_089_184_256, "about twice the multiply-adds"),
    ],
)
def test_a_hint_claims_no_proof(stated: str, plain: int, said: str) -> None:
    (judgement,) = column_of((stated, context_of("a", plain))).judgements
    assert (judgement.verdict, judgement.explained) == ("refuted", False)
    assert said in (judgement.explanation or "")
    assert "no proof" in (judgement.explanation or "")


def test_a_value_in_another_unit_than_its_head_says_is_named_and_fixed() -> None:
    (judgement,) = column_of(("1.81", context_of("a", 1_814_073_344)), field="FLOPs (M)").judgements
    assert judgement.verdict == "refuted"
    assert judgement.explanation == "The head says millions; the value is in billions (G)."
    assert judgement.fix == Fix(3, 20, 24, "1814", safe=True)


def test_equal_digits_in_another_unit_are_a_warning() -> None:
    settled = column_of(("11689512", context_of("a", 1_168_951_200)), field="Params (M)")
    assert verdicts(settled) == ["unchecked"]
    (finding,) = settled.findings
    assert finding.severity == "warning"
    assert finding.message == "Params (M) of a says 11689512: the head says millions; the value is in units"
    assert finding.fix == Fix(3, 20, 28, "11.7", safe=True)


def test_a_count_of_a_table_without_a_unit_is_confirmed_if_it_is_equal_to_the_digit() -> None:
    context = context_of("a", 738_600)
    text = "neither 'Params' nor '7,386' states a unit"
    for stated, verdict in (("7,386", "confirmed"), ("7,387", "unchecked")):
        claim = make_claim("a", "Params", stated, Place("card.md", 3, 1, 6), column=HEAD)
        judgement = judge_claim(replace(claim, number=None, unread=text), context)
        assert judgement.verdict == verdict


def test_two_exchanged_digits_are_named() -> None:
    (judgement,) = column_of(("68570000", context_of("vit", 100 * 86_567_656)), field="Parameters").judgements
    assert "Two digits are exchanged: 86,570,000 would be right." in (judgement.explanation or "")
    assert judgement.fix == Fix(3, 20, 28, "86570000", safe=True)


def test_a_fix_is_kept_where_a_row_has_a_finding_of_its_own() -> None:
    (judgement,) = column_of(("9.99G", context_of("a", 4_089_184_256))).judgements
    assert judgement.fix == Fix(3, 20, 25, "4.09G", safe=True)
    assert isinstance(judgement, Judgement)
    assert parse_number("9.99G", "count").value == Decimal("9.99e9")


def test_batch_norms_folded_into_convolutions_are_a_convention():
    # ResNet-34 has 8,512 channels with batch norm: 21,797,672 parameters, and 21,789,160 with a bias in place of two
    counts = Counts((3, 224, 224), (1, 1000), 21_797_672, 17_060, 3_663_761_408, 0, 0, 1, None, {}, "zoo:Net")
    assert replace(counts, statistics=17_024).folded_parameters == 21_789_160


def test_a_column_of_exact_counts_of_another_program_is_set_aside_once() -> None:
    table = Table(HEAD, (("FLOPs", HEAD),))
    judged = []
    for line, name in enumerate(("a", "b", "c"), 3):
        context = context_of(name, 2_000_000_000)
        for field, stated in (("Params", "20M"), ("FLOPs", f"1,234,567,89{line}")):
            place = Place("card.md", line, 20, 20 + len(stated))
            claim = make_claim(name, field, stated, place, column=HEAD)
            judged.append(Judged(judge_claim(claim, context), context))
    (finding,) = set_aside_outvoted(judged, [table])
    assert finding.check == "other-networks"
    assert [one.judgement.verdict for one in judged] == ["confirmed", "unchecked"] * 3


@pytest.mark.parametrize(
    ("stated", "parameters", "statistics", "verdict"),
    [
        ("25.60M", 25_549_352, 45_440, "unchecked"),  # 25.59M by Keras: 25.6M in a column of two decimals
        ("11.80M", 11_779_624, 0, "unchecked"),
        ("7.00M", 6_716_272, 0, "unchecked"),
        ("11.80M", 11_849_999, 0, "unchecked"),
        ("11.80M", 11_850_001, 0, "refuted"),
        ("25.61M", 25_549_352, 0, "refuted"),
        ("11.80M", 11_802_000, 0, "confirmed"),
        ("25.60M", 25_549_352, 51_000, "confirmed"),  # exactly Keras's
    ],
)
def test_a_zero_that_may_only_fill_its_cell_refutes_nothing(stated, parameters, statistics, verdict) -> None:
    def row(name: str, text: str, parameters: int, statistics: int = 0) -> tuple[str, Context]:
        return text, context_of(name, 100 * parameters, statistics=statistics)

    settled = column_of(
        row("a", stated, parameters, statistics), row("b", "1.23M", 1_230_000), row("c", "4.56M", 4_560_000),
        field="Parameters",
    )  # fmt: skip
    assert settled.judgements[0].verdict == verdict


def test_a_zero_may_fill_the_only_cell_of_a_column_too() -> None:
    settled = column_of(("25.60M", context_of("a", 2_554_935_200, statistics=45_440)), field="Parameters")
    assert settled.judgements[0].verdict == "unchecked"


def test_zeros_that_end_a_whole_column_are_left_out_once(tmp_path: Path) -> None:
    """The reader leaves out one zero of each cell: of ``0.400`` one more may fill the cell, not two."""
    card = tmp_path / "card.md"
    rows = "| a | 0.310 |\n| b | 0.620 |\n| c | 0.400 |\n| d | 0.500 |\n"
    card.write_text(f"| Model | Params (M) |\n| --- | --- |\n{rows}", encoding="utf-8")
    found = {"a": 310_000, "b": 620_000, "c": 460_000, "d": 540_000}
    claims = [claim for claim in read_cards([card]).claims if claim.kind == "parameters"]
    contexts = [context_of(claim.model, 100 * found[claim.model]) for claim in claims]
    judged = [Judged(judge_claim(*each), each[1]) for each in zip(claims, contexts, strict=True)]
    judge_columns(judged)
    assert [one.judgement.verdict for one in judged] == ["confirmed", "confirmed", "refuted", "unchecked"]


def test_zeros_count_where_the_settings_say_what_is_allowed() -> None:
    rows = [("11.80M", 11_779_624), ("1.23M", 1_230_000), ("4.56M", 4_560_000)]
    exact = {"parameters": Tolerance("exact")}
    settled = column_of(
        *((text, context_of(text, 100 * found, tolerances=exact)) for text, found in rows), field="Parameters"
    )
    assert verdicts(settled) == ["refuted", "confirmed", "confirmed"]


def test_zeros_that_may_fill_a_cell_of_a_column_of_operations_refute_nothing() -> None:
    rows = [("3.63G", 1_814), ("8.20G", 4_089), ("15.64G", 7_821), ("23.03G", 11_514)]
    settled = column_of(*((text, context_of(text, found * 10**6)) for text, found in rows))
    assert verdicts(settled) == ["confirmed", "unchecked", "confirmed", "confirmed"]


def test_one_cell_of_operations_in_a_column_of_multiply_adds_is_refuted_whatever_its_zeros() -> None:
    rows = [("1.81G", 1_814), ("8.20G", 4_089), ("7.82G", 7_821), ("11.51G", 11_514)]
    settled = column_of(*((text, context_of(text, found * 10**6)) for text, found in rows))
    assert verdicts(settled) == ["confirmed", "refuted", "confirmed", "confirmed"]


@pytest.mark.parametrize(("conventions", "verdict"), [("known", "unchecked"), ("strict", "refuted")])
def test_zeros_are_left_out_by_conventions_that_the_settings_know(conventions: str, verdict: str) -> None:
    rows = [("25.60M", 25_540_000, 50_000), ("1.23M", 1_230_000, 0), ("4.56M", 4_560_000, 0)]
    contexts = [context_of(name, 100 * found, statistics=more, conventions=conventions) for name, found, more in rows]
    settled = column_of(*((row[0], context) for row, context in zip(rows, contexts, strict=True)), field="Parameters")
    assert verdicts(settled)[0] == verdict
