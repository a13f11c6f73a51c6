"""Tables about another task or data set, rows that vote, unknown names, and results that the zoo itself states."""

from __future__ import annotations

import pytest

from cardproof.core.measurements import Reproduction, SiblingCounts, StatedResult

NETS = {
    "net18": (11_689_512, 1_814_073_344),
    "net34": (21_797_672, 3_663_761_408),
    "net50": (25_557_032, 4_089_184_256),
}
"""Parameters and multiply-adds of the zoo's networks: those of ResNets."""


def table(head: str, *rows: str, above: str = "") -> str:
    rule = "|".join(" --- " for _ in head.split("|"))
    return "\n".join((above, "", f"| {head} |", f"|{rule}|", *(f"| {row} |" for row in rows), ""))


def verdicts(found) -> list[str]:
    (judgements,) = found.judgements.values()
    return [judgement.verdict for judgement in judgements]


def said(found) -> list[tuple[str, str]]:
    (findings,) = found.findings.values()
    return [(finding.severity, finding.check) for finding in findings]


@pytest.mark.parametrize("head", ["box mAP", "AP50", "mIoU (ss)", "Lr schd", "PQ", "OKS"])
def test_a_table_of_another_task_is_unchecked_with_one_note(judge_card, head):
    text = table(
        f"Backbone | Model | {head} | Params | FLOPs", "x | net18 | 1 | 31M | 208G", "x | net50 | 1 | 44M | 260G"
    )
    found = judge_card(text, NETS)
    assert verdicts(found) == ["unchecked"] * 4
    assert said(found) == [("note", "another-task")]
    assert {head in judgement.reason for judgement in found.judgements["README.md"]} == {True}


def test_a_right_value_in_a_table_of_another_task_is_not_confirmed(judge_card):
    found = judge_card(table("Model | box AP | Params", "net18 | 38.2 | 11.7M"), NETS)
    assert verdicts(found) == ["unchecked"]


CIFAR = "## Results on CIFAR-10"


def test_a_table_of_another_data_set_is_unchecked_with_one_warning(judge_card):
    found = judge_card(table("Model | Params (M)", "net18 | 11.17", "net34 | 21.28", above=CIFAR), NETS)
    assert verdicts(found) == ["unchecked"] * 2
    assert said(found) == [("warning", "another-data-set")]
    assert found.findings["README.md"][0].fix is None


def test_a_count_that_holds_with_the_head_of_the_data_set_is_confirmed_and_says_so(judge_card):
    ten_classes = 11_689_512 - 990 * 513
    found = judge_card(table("Model | Params", f"net18 | {ten_classes:,}", above=CIFAR), NETS)
    (judgement,) = found.judgements["README.md"]
    assert (judgement.verdict, judgement.found) == ("confirmed", ten_classes)
    assert "10-class head of CIFAR-10" in judgement.method
    assert said(found) == []


def test_multiply_adds_that_hold_at_the_size_of_the_data_set_are_confirmed(judge_card):
    way = Reproduction("flops", 37_000_000, 37_037_056, exact=True, input=(32, 32))
    text = table("Model | FLOPs (M) | Params (M)", "net18 | 37.0 | 11.7", above=CIFAR)
    found = judge_card(text, NETS, reproductions={"net18": (way,)})
    assert verdicts(found) == ["confirmed"] * 2
    assert "32x32" in found.judgements["README.md"][0].method


def test_a_value_of_the_zoos_own_network_is_confirmed_whatever_the_heading(judge_card):
    found = judge_card(table("Model | Params (M)", "net18 | 11.69", "net34 | 21.80", above=CIFAR), NETS)
    assert verdicts(found) == ["confirmed"] * 2
    assert said(found) == []


def test_results_of_another_task_leave_a_refuted_count_of_an_index_unchecked(judge_card):
    task = "{Task: Object Detection, Dataset: COCO, Metrics: {box AP: 38.2}}"
    model = "Models:\n- Name: net50\n  Metadata: {{Parameters: {}}}\n  Results: [{}]\n"
    wrong = judge_card(model.format("44.2M", task), NETS, "metafile.yml")
    assert verdicts(wrong)[0] == "unchecked"
    right = judge_card(model.format("25.56M", task), NETS, "metafile.yml")
    assert verdicts(right)[0] == "confirmed"
    classifier = judge_card(model.format("44.2M", task.replace("Object Detection", "Image Classification")).replace(
        "COCO", "ImageNet"), NETS, "metafile.yml")  # fmt: skip
    assert verdicts(classifier)[0] == "refuted"


def test_error_rates_are_no_impossible_results(judge_card):
    rows = ("net18 | 30.24 | 10.92 | 11.7M", "net34 | 26.69 | 8.58 | 21.8M")
    for above in ("", "Top-1 and top-5 error (%):"):
        found = judge_card(table("Model | Top1 | Top5 | Params", *rows, above=above), NETS)
        assert said(found) == []
    swapped = judge_card(table("Model | Top1 | Top5 | Params", "net18 | 89.08 | 69.76 | 11.7M"), NETS)
    assert said(swapped) == [("error", "impossible-result")]


HEAD = "Model | Params (M) | FLOPs (G)"


def test_an_outlier_among_rows_that_hold_is_refuted(judge_card):
    found = judge_card(table(HEAD, "net18 | 11.69 | 1.81", "net34 | 2.18 | 9.99", "net50 | 25.56 | 4.09"), NETS)
    assert verdicts(found).count("refuted") == 2
    assert said(found) == [("error", "parameters"), ("error", "flops")]


def test_a_table_whose_rows_are_mostly_off_is_about_other_networks(judge_card):
    found = judge_card(table(HEAD, "net18 | 14.1 | 9.81", "net34 | 24.8 | 19.9", "net50 | 25.56 | 4.09"), NETS)
    assert verdicts(found) == ["unchecked"] * 4 + ["confirmed"] * 2
    assert said(found) == [("warning", "other-networks")]


def test_explained_values_hold_in_a_vote(judge_card):
    ways = {
        name: (Reproduction("parameters", stated, stated, exact=True, classes=21841),)
        for name, stated in (("net18", 22_380_000), ("net34", 32_480_000))
    }
    text = table("Model | Params", "net18 | 22,380,000", "net34 | 32,480,000", "net50 | 99.91M")
    found = judge_card(text, NETS, reproductions=ways)
    assert verdicts(found) == ["refuted"] * 3


def test_one_row_has_no_majority(judge_card):
    found = judge_card(table(HEAD, "net18 | 99.9 | 9.99"), NETS)
    assert verdicts(found) == ["refuted"] * 2


def test_a_column_that_is_mostly_off_was_counted_in_another_way(judge_card):
    found = judge_card(table(HEAD, "net18 | 11.69 | 2.22", "net34 | 21.80 | 4.44", "net50 | 25.56 | 4.99"), NETS)
    assert sorted(verdicts(found)) == ["confirmed"] * 3 + ["unchecked"] * 3
    assert said(found) == [("warning", "another-way")]


@pytest.mark.parametrize(("wrong", "verdict"), [(1, "refuted"), (2, "refuted"), (3, "unchecked")])
def test_models_of_an_index_vote_if_there_are_three(judge_card, wrong, verdict):
    values = [f"{parameters + 1_234_567}" for parameters, _ in NETS.values()][:wrong]
    text = "".join(f"- Name: {name}\n  Metadata: {{Parameters: {v}}}\n" for name, v in zip(NETS, values, strict=False))
    found = judge_card(f"Models:\n{text}", NETS, "metafile.yml")
    assert verdicts(found) == [verdict] * wrong
    assert ("warning", "other-networks") in said(found) or wrong < 3
    assert ("warning", "another-network") not in said(found) or wrong < 3


def test_one_wrong_number_of_a_network_with_the_zoo_s_own_name_is_one_finding(judge_card):
    found = judge_card("Models:\n- Name: net18\n  Metadata: {Parameters: 12.9M}\n", NETS, "metafile.yml")
    assert said(found) == [("error", "parameters")]


@pytest.mark.parametrize(
    ("rows", "severity", "message"),
    [
        (
            ("net_18 | 99.9", "net_34 | 21.8"),
            "warning",
            "none of the 2 models of this table is in zoo 'timm'; did you mean net18 or net34?",
        ),
        (("zzz | 99.9",), "note", "the model zzz of this table is not in zoo 'timm'"),
    ],
)
def test_a_table_of_which_the_zoo_has_no_model_is_one_finding(judge_card, rows, severity, message):
    found = judge_card(table("Model | Params (M)", *rows), NETS)
    (finding,) = found.findings["README.md"]
    assert (finding.severity, finding.check, finding.message) == (severity, "unknown-model", message)
    assert set(verdicts(found)) == {"unchecked"}


def test_one_row_that_the_zoo_does_not_have_is_unchecked_in_silence(judge_card):
    found = judge_card(table("Model | Params (M)", "net18 | 11.69", "their_net | 99.9"), NETS)
    assert verdicts(found) == ["confirmed", "unchecked"]
    assert said(found) == []


def test_a_row_that_is_spelt_like_a_model_of_the_zoo_is_noted_with_that_model(judge_card):
    found = judge_card(table("Model | Params (M)", "net18 | 11.69", "net_34 | 21.8"), NETS)
    (finding,) = found.findings["README.md"]
    assert (finding.severity, finding.message) == (
        "note",
        "rows of this table are not in zoo 'timm': net_34 (did you mean net34?)",
    )


def test_a_table_of_accuracies_alone_needs_no_network(judge_card):
    assert said(judge_card(table("Model | Top-1 | Top-5", "a_net | 70.1 | 90.1"), NETS)) == []


@pytest.mark.parametrize(
    ("metadata", "errors"),
    [("Parameters: 5M", 1), ("Image Size: 224", 1), ("FLOPs: 1G", 1), ("Epochs: 90", 0), ("License: mit", 0)],
)
def test_an_unknown_name_is_an_error_if_the_card_states_a_count_or_a_setting(judge_card, metadata, errors):
    found = judge_card(f"Models:\n- Name: own-model\n  Metadata: {{{metadata}}}\n", NETS, "metafile.yml")
    assert said(found) == [("error", "unknown-model")] * errors


def test_a_count_of_other_weights_of_the_same_name_is_confirmed_and_says_so(judge_card):
    sibling = SiblingCounts("net18.in22k", 21_841, 22_380_912, 1_824_000_000)
    text = table("Model | Params (M) | FLOPs (G)", "net18 | 22 | 1.8")
    found = judge_card(text, NETS, siblings={"net18": (sibling,)})
    parameters, flops = found.judgements["README.md"]
    assert (parameters.verdict, parameters.found, flops.verdict) == ("confirmed", 22_380_912, "confirmed")
    assert "net18.in22k" in parameters.method
    assert said(found) == []


STATED = {
    name: (StatedResult(f"{name}.V1", f"{name}-1234.pth", "ImageNet-1K", "Top 1 Accuracy", f"{value}%", "nets.py:1:1"),)
    for name, value in (("net18", "69.758"), ("net34", "73.314"), ("net50", "76.130"))
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("69.758", "73.314", "76.13"), ["cited"] * 3),
        (("69.8", "73.3", "76.1"), ["cited"] * 3),
        (("73.314", "69.758", "76.13"), ["disputed", "disputed", "cited"]),
        (("69.758", "73.314", "79.0"), ["cited", "cited", "disputed"]),
        (("71.1", "75.2", "79.3"), ["unchecked"] * 3),
    ],
)
def test_the_metadata_of_the_zoo_are_a_source_of_accuracies(judge_card, values, expected):
    rows = [f"{name} | {value} | {NETS[name][0]}" for name, value in zip(NETS, values, strict=True)]
    found = judge_card(table("Model | ImageNet top-1 | Params", *rows), NETS, stated_results=STATED)
    judged = [j for j in found.judgements["README.md"] if j.claim.metric]
    assert [judgement.verdict for judgement in judged] == expected
    exchanged = [judgement for judgement in judged if "exchanged" in judgement.reason]
    assert len(exchanged) == (2 if values[0] == "73.314" else 0)
    assert all(severity == "warning" for severity, _ in said(found))


def test_an_accuracy_on_unnamed_data_is_cited_or_unchecked(judge_card):
    rows = ("net18 | 69.758 | 11,689,512", "net34 | 75.0 | 21,797,672")
    found = judge_card(table("Model | Top-1 | Params", *rows), NETS, stated_results=STATED)
    results = [judgement for judgement in found.judgements["README.md"] if judgement.claim.metric]
    assert [judgement.verdict for judgement in results] == ["cited", "unchecked"]
    assert results[1].reason.startswith("not evaluated: the table names no data set;")


@pytest.mark.parametrize(("file", "verdict"), [("net18-1234.pth", "disputed"), ("mine.pth", "unchecked")])
def test_an_accuracy_of_other_weights_is_not_disputed(judge_card, file, verdict):
    results = "[{Dataset: ImageNet, Metrics: {Top 1 Accuracy: 72.5}}]"
    text = f"Models:\n- Name: net18\n  Weights: https://example.org/{file}\n  Results: {results}\n"
    found = judge_card(text, NETS, "metafile.yml", stated_results=STATED)
    assert verdicts(found) == [verdict]


def test_error_rates_are_compared_as_accuracies(judge_card):
    rows = ("net18 | 30.242 | 11,689,512", "net34 | 26.686 | 21,797,672")
    text = table("Model | ImageNet top-1 (error) | Params", *rows, above="Top-1 error on ImageNet:")
    found = judge_card(text, NETS, stated_results=STATED)
    assert [j.verdict for j in found.judgements["README.md"] if j.claim.metric] == ["cited"] * 2


def test_a_model_that_may_be_another_network_is_unchecked_with_the_doubt(judge_card):
    why = "a second row of this name differs in its column window"
    rows = ("net18 | 14.1 | 9.81", "net34 | 21.80 | 3.66")
    found = judge_card(table(HEAD, *rows), NETS, doubts={"net18": why})
    assert verdicts(found) == ["unchecked"] * 2 + ["confirmed"] * 2
    assert [judgement.reason for judgement in found.judgements["README.md"]][:2] == [why] * 2
    assert said(found) == []


def test_exact_counts_that_nothing_explains_are_of_another_implementation(judge_card):
    text = "| Model | Params |\n| --- | ---: |\n| a | 1,234,567 |\n| b | 2,345,678 |\n| c | 3,456,789 |\n"
    verdicts = judge_card(text, {"a": (1234567, 10**9), "b": (2345678, 10**9), "c": (3456123, 10**9)})
    assert [one.verdict for one in verdicts.judgements["README.md"]] == ["confirmed", "confirmed", "unchecked"]
    (finding,) = verdicts.findings["README.md"]
    assert (finding.check, finding.severity, finding.place.line) == ("other-networks", "warning", 5)


def test_a_rounded_count_among_right_ones_stays_refuted(judge_card):
    text = "| Model | Params |\n| --- | ---: |\n| a | 1.23M |\n| b | 2.35M |\n| c | 3.99M |\n"
    verdicts = judge_card(text, {"a": (1234567, 10**9), "b": (2345678, 10**9), "c": (3456123, 10**9)})
    assert [one.verdict for one in verdicts.judgements["README.md"]] == ["confirmed", "confirmed", "refuted"]


def test_a_rounded_value_that_is_nearly_right_is_unchecked_and_one_that_is_not_is_refuted(judge_card):
    text = table("Model | FLOPs", "net18 | 1.01G", "net34 | 1.05G", "net50 | 1.00G")
    found = judge_card(text, dict.fromkeys(("net18", "net34", "net50"), (10**7, 10**9)))
    assert verdicts(found) == ["unchecked", "refuted", "confirmed"]
    assert "1.0% off" in found.judgements["README.md"][0].reason


def test_words_of_another_data_set_do_not_outweigh_counts_that_hold(judge_card):
    text = "## ImageNet-22K trained models\n\n" + table(
        "Model | Params (M) | FLOPs (G)", "net18 | 11.69 | 1.81", "net34 | 21.80 | 3.66", "net50 | 25.56 | 4.9"
    )
    found = judge_card(text, NETS)
    assert verdicts(found) == ["confirmed"] * 5 + ["refuted"]
