"""What a table is about, told by its heads, the text above it and its headings."""

from __future__ import annotations

import pytest

from cardproof.core.types import Place
from cardproof.read import read_cards
from cardproof.read.models import Table
from cardproof.read.table_subject import data_sets_in, subject_of, subject_of_results, subjects_of


def table(*heads: str, caption: str = "", headings: tuple[str, ...] = ()) -> Table:
    places = [(head, Place("README.md", 1, 10 * index)) for index, head in enumerate(heads, 1)]
    return Table(places[0][1], tuple(places), caption, headings)


@pytest.mark.parametrize(
    "head",
    [
        "mAP", "box mAP", "mask mAP", "bbox_mAP", "AP", "AP50", "AP<sup>b</sup>", "AP_75", "mask AP", "box AP (%)",
        "mAP@0.5", "mAP<br>val 50-95", "AP@[.5:.95]", "COCO AP", "Lr schd", "**Lr Schd**",
        "mIoU", "mIoU (ss)", "mIoU(ms+flip)", "val mIoU", "PQ", "PQ<sup>th</sup>", "OKS", "PCK", "Dice", "PSNR", "FID",
    ],
)  # fmt: skip
def test_a_head_names_another_task(head):
    subject = subject_of(table("Backbone", head, "Params", "FLOPs"))
    assert subject.task
    assert subject.task_said.startswith("its column '")


@pytest.mark.parametrize(
    "heads",
    [
        ("Model", "Params", "FLOPs"),
        ("Model", "Top-1", "Params"),
        ("Model", "Feature map", "Params"),
        ("Model", "Epochs", "lr schedule", "Params"),
        ("Model", "Top-1", "COCO box AP", "ADE20K mIoU", "Params"),
        ("Model", "ImageNet acc@1", "mAP", "Params"),
        ("Model", "Map size", "URL map", "Params"),
    ],
)
def test_heads_of_classifiers_name_no_other_task(heads):
    assert subject_of(table(*heads)).task == ""


@pytest.mark.parametrize(
    ("caption", "headings", "task"),
    [
        ("", ("Net", "Object Detection"), "object detection"),
        ("Results of Mask R-CNN with a pretrained backbone", (), "instance segmentation"),
        ("", ("Semantic segmentation with UPerNet",), "semantic segmentation"),
        ("", ("Object detection", "Image classification"), ""),
        ("ImageNet classification", ("Detection and segmentation",), ""),
        ("", ("Image classification, object detection and segmentation",), ""),
    ],
)
def test_the_nearest_words_name_the_task(caption, headings, task):
    assert subject_of(table("Model", "Params", caption=caption, headings=headings)).task == task


def test_an_accuracy_is_of_a_classifier_whatever_the_title_says():
    found = subject_of(table("Model", "Top-1", "Params", headings=("Object detection",)))
    assert found.task == ""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("CIFAR-10", ["CIFAR-10"]),
        ("cifar10", ["CIFAR-10"]),
        ("CIFAR 100", ["CIFAR-100"]),
        ("Models for CIFAR", ["CIFAR"]),
        ("CIFAR-10/100", ["CIFAR-10"]),
        ("Fashion-MNIST", ["Fashion-MNIST"]),
        ("MNIST digits", ["MNIST"]),
        ("SVHN", ["SVHN"]),
        ("Tiny-ImageNet", ["Tiny ImageNet"]),
        ("Tiny ImageNet 200", ["Tiny ImageNet"]),
        ("ImageNet-100", ["ImageNet-100"]),
        ("ImageNet-21K pretraining", ["ImageNet-21k"]),
        ("ImageNet", ["ImageNet-1k"]),
        ("ImageNet-1k", ["ImageNet-1k"]),
        ("ImageNet-V2", ["ImageNet-1k"]),
        ("ILSVRC 2012", ["ImageNet-1k"]),
        ("ImageNet-22K pretrained, ImageNet-1K fine-tuned", ["ImageNet-21k", "ImageNet-1k"]),
        ("Stanford Cars", ["Stanford Cars"]),
        ("COCO val2017", ["COCO"]),
        ("cocoon", []),
        ("a mnistery", []),
        ("", []),
    ],
)
def test_data_sets_are_found_in_a_text(text, names):
    assert [found.name for found in data_sets_in(text)] == names


@pytest.mark.parametrize(
    ("heads", "caption", "headings", "name"),
    [
        (("Model", "Params"), "", ("CIFAR-10",), "CIFAR-10"),
        (("Model", "Params"), "", ("Networks for CIFAR-100", "Results"), "CIFAR-100"),
        (("Model", "Params"), "Accuracies on SVHN:", ("ImageNet",), "SVHN"),
        (("Model", "CIFAR-10 acc", "Params"), "", ("ImageNet",), "CIFAR-10"),
        (("Model", "Params"), "", ("CIFAR-10", "ImageNet"), None),
        (("Model", "ImageNet top-1", "CIFAR-10", "Params"), "", ("CIFAR-10",), None),
        (("Model", "Params"), "Pretrained on ImageNet, fine-tuned on CIFAR-10.", (), None),
        (("Model", "Params"), "", (), None),
    ],
)
def test_the_nearest_words_name_the_data_set(heads, caption, headings, name):
    found = subject_of(table(*heads, caption=caption, headings=headings)).dataset
    assert (found.name if found else None) == name


ERRORS = [
    ("Top-1 error rates on ImageNet:", "| 30.2 | 11.0 |\n| a2 | 26.7 | 8.6 |", True),
    ("Top-1 and top-5 err on ImageNet:", "| 30.2 | 11.0 |", True),
    ("", "| 30.2 | 11.0 |\n| a2 | 26.7 | 8.6 |", True),
    ("", "| 69.8 | 89.1 |\n| a2 | 73.3 | 91.4 |", False),
    ("", "| 30.2 | 11.0 |\n| a2 | 73.3 | 91.4 |", False),
    ("", "| 93.4 | 78.2 |\n| a2 | 94.4 | 79.1 |", False),
    ("", "| 15.52 | 2.9 |", True),  # of the only row of a published table of error rates
    ("", "| 93.4 | 48.2 |", False),
    ("", "| 93.4 | 78.2 |", False),
    ("Accuracy, with error bars:", "| 69.8 | 89.1 |", False),
    ("Top-1 errors were corrected in May.", "| 69.8 | 89.1 |\n| a2 | 73.3 | 91.4 |", False),
    ("Errors were corrected in May.", "| 69.8 | 89.1 |", False),
    ("10-crop validation error (%)", "| 30.2 | 11.0 |", True),
]


@pytest.mark.parametrize(("caption", "rows", "errors"), ERRORS)
def test_error_rates_are_recognised_by_words_or_by_all_rows(write, caption, rows, errors):
    text = f"{caption}\n\n| Model | Top1 | Top5 | Params (M) |\n| --- | --- | --- | --- |\n"
    text += "".join(f"{line} 1.5 |\n" for line in f"| a1 {rows}".splitlines())
    (card,) = read_cards([write("README.md", text)]).cards
    subjects = subjects_of(card.tables, card.claims_of)
    columns = {claim.column for claim in card.claims if claim.metric}
    assert len(columns) == 2
    assert all((column in subjects[column].error_columns) == errors for column in columns)


def test_a_head_says_error(write):
    text = "| Model | Top-1 (error) | Params (M) |\n| --- | --- | --- |\n| a1 | 30.2 | 1.5 |\n"
    (card,) = read_cards([write("README.md", text)]).cards
    (metric,) = [claim for claim in card.claims if claim.metric]
    assert metric.column in subjects_of(card.tables, card.claims_of)[metric.column].error_columns


@pytest.mark.parametrize(
    ("results", "task", "dataset"),
    [
        ("[{Task: Object Detection, Dataset: COCO, Metrics: {AP: 1}}]", "object detection", "COCO"),
        ("[{Task: text-classification, Dataset: GLUE, Metrics: {acc: 1}}]", "text-classification", None),
        ("[{Task: Image Classification, Dataset: CIFAR-10, Metrics: {acc: 1}}]", "", "CIFAR-10"),
        ("[{Task: Image Classification, Dataset: ImageNet-1k, Metrics: {acc: 1}}]", "", None),
        ("[{Dataset: ImageNet, Metrics: {a: 1}}, {Task: Detection, Dataset: COCO, Metrics: {AP: 1}}]", "", None),
        ("[{Metrics: {a: 1}}]", "", None),
        ("[]", "", None),
    ],
)
def test_the_results_of_an_index_tell_what_a_model_is_for(write, results, task, dataset):
    text = f"Models:\n- Name: net\n  Results: {results}\n"
    ((model,),) = [card.models for card in read_cards([write("metafile.yml", text)]).cards]
    found = subject_of_results(model)
    assert (found.task, found.dataset.name if found.dataset else None) == (task, dataset)
