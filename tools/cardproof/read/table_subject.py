"""What a table is about: its task, its data set, and whether it states accuracies or error rates.

Only words tell it: those of its heads, then of the paragraph above it, then of the headings, the nearest first. The
first of these that names a task or a data set decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from cardproof.core.field_names import ACCURACIES, kind_of
from cardproof.core.types import Claim, Place
from cardproof.read.models import Model, Table

MOST_TEXT = 2000
"""Characters of a text that are looked at."""

MOST_CAPTION = 400
"""Characters right above a table that are taken to be about it."""

LARGEST_ERROR = 50
"""Top-5 error in percent above which no published classifier lies; two columns of larger values were exchanged."""


class DataSet(Struct, frozen=True):
    """A data set that a text names."""

    name: str
    classes: tuple[int, ...] = ()
    """Classes that a head for it may have; empty if unknown."""


class Subject(Struct, frozen=True):
    """What a table, or the results of a model, are about."""

    table: Table | None = None
    """None: of the results of a model index."""
    task: str = ""
    """A task other than image classification; empty if the words name none."""
    task_said: str = ""
    """The words that name the task."""
    dataset: DataSet | None = None
    """The data set if it is not ImageNet-1k; None if the words name none, or ImageNet-1k among others."""
    dataset_said: str = ""
    error_columns: frozenset[Place] = frozenset()
    """Columns under the head of an accuracy that state error rates."""


_IMAGENET = DataSet("ImageNet-1k", (1000, 1001))
_DATA_SETS = tuple(
    (re.compile(rf"\b(?:{pattern})", re.IGNORECASE), DataSet(name, classes))
    for pattern, name, classes in (
        (r"cifar[ _-]?100\b", "CIFAR-100", (100,)),
        (r"cifar[ _-]?10\b", "CIFAR-10", (10,)),
        (r"cifars?\b(?![ _-]?\d)", "CIFAR", (10, 100)),
        (r"fashion[ _-]?mnist\b", "Fashion-MNIST", (10,)),
        (r"(?<!fashion.)(?:[ek]?mnist)\b", "MNIST", (10,)),
        (r"svhn\b", "SVHN", (10,)),
        (r"stl[ _-]?10\b", "STL-10", (10,)),
        (r"imagenette\d*\b", "Imagenette", (10,)),
        (r"tiny[ _-]?imagenet(?:[ _-]?200)?\b", "Tiny ImageNet", (200,)),
        (r"imagenet[ _-]?100\b", "ImageNet-100", (100,)),
        (r"(?:imagenet|in)[ _-]?(?:21|22)k\b", "ImageNet-21k", (21841, 21843, 21842, 11221, 10450)),
        (r"(?:imagenet|in)[ _-]?12k\b", "ImageNet-12k", (11821,)),
        (r"places(?:[ _-]?365|[ _-]?205)\b", "Places", (365, 205)),
        (r"inaturalist|inat\d*\b", "iNaturalist", (8142, 5089, 1010, 10000)),
        (r"stanford[ _-]?cars\b", "Stanford Cars", (196,)),
        (r"(?:oxford[ _-]?)?flowers[ _-]?102\b|oxford[ _-]?flowers", "Flowers-102", (102,)),
        (r"oxford(?:[ _-]iiit)?[ _-]?pets?\b", "Oxford Pets", (37,)),
        (r"food[ _-]?101\b", "Food-101", (101,)),
        (r"cub[ _-]?200(?:[ _-]2011)?\b", "CUB-200", (200,)),
        (r"caltech[ _-]?(?:101|256)\b", "Caltech", (101, 102, 256, 257)),
        (r"(?:ms[ _-]?)?coco(?:[ _-]?20\d\d)?\b", "COCO", (80, 90, 91)),
        (r"ade[ _-]?20k\b", "ADE20K", (150,)),
        (r"cityscapes\b", "Cityscapes", (19,)),
        (r"pascal[ _-]?voc|voc[ _-]?(?:20)?(?:07|12)", "Pascal VOC", (20, 21)),
        (r"lvis\b", "LVIS", (1203,)),
        (r"objects[ _-]?365\b", "Objects365", (365,)),
        (r"kinetics(?:[ _-]?\d{3})?\b", "Kinetics", (400, 600, 700)),
    )
)
_IS_IMAGENET = re.compile(
    r"(?<!tiny)(?<!tiny[ _-])imagenet(?!te)(?![ _-]?(?:12|21|22)k)(?![ _-]?100\b)|\bilsvrc|\bin[ _-]?1k\b",
    re.IGNORECASE,
)

_TASK_WORDS = tuple(
    (re.compile(rf"\b(?:{pattern})", re.IGNORECASE), task)
    for pattern, task in (
        (r"instance[ -]segmentation|mask r-?cnn|cascade mask", "instance segmentation"),
        (r"panoptic", "panoptic segmentation"),
        (r"semantic[ -]segmentation|segmentors?\b|upernet|semantic fpn|deeplab|mmseg", "semantic segmentation"),
        (r"object[ -]detect|detectors?\b|(?:faster|cascade) r-?cnn|retinanet|mmdet|yolo", "object detection"),
        (r"pose[ -]estimation|key-?points?\b|mmpose", "pose estimation"),
        (r"depth[ -]estimation|optical flow|super[ -]resolution|denoising|image generation", "another task"),
        (r"action[ -]recognition|video[ -]classification", "action recognition"),
        (r"image[ -]retrieval|re-?identification|face recognition", "retrieval"),
    )
)
_NO_IMAGES = re.compile(r"text|token|sentence|audio|speech|video|tabular")
_IS_CLASSIFICATION = re.compile(r"\bclassif", re.IGNORECASE)
_TASK_HEADS = tuple(
    (re.compile(pattern), task)
    for pattern, task in (
        (r"(?:box|bbox|mask|segm|seg|coco|val|test)?m?ap(?:\d{1,4}|box|bbox|mask|segm|val|test|[bmsl])?", "detection"),
        (r"schd", "detection"),
        (r"m?iou(?:\d{2}|ss|ms|val|test)?|fwiou|dice|[am]acc", "segmentation"),
        (r"pq(?:th|st)?", "panoptic segmentation"),
        (r"oks|pckh?", "pose estimation"),
        (r"psnr|ssim|fid|epe|absrel|rmse|wer|cer|bleu|ppl|perplexity", "another task"),
    )
)
"""Words of heads, in small letters and without marks."""
_ERROR = re.compile(r"\berr(?:ors?)?\b", re.IGNORECASE)
_ERROR_RATE = re.compile(
    r"\berror rates?\b|\b(?:top|test|validation|val|classification|crop)\b[^.\n]{0,30}\berr(?:ors?)?\b", re.IGNORECASE
)
_ACCURACY = re.compile(r"\bacc(?:urac(?:y|ies))?\b|\berror bars?\b", re.IGNORECASE)
_MARKS = re.compile(r"<[^<>]{0,200}>|[*_`^~]+")


def subjects_of(tables: Iterable[Table], claims: Iterable[Sequence[Claim]]) -> dict[Place, Subject]:
    """Return the subject of each table by the places of its heads; ``claims`` are those of each model of the card."""
    by_column: dict[Place, list[Sequence[Claim]]] = {}
    for of_model in claims:
        for column in {claim.column for claim in of_model if claim.column and claim.metric}:
            by_column.setdefault(column, []).append(of_model)
    found: dict[Place, Subject] = {}
    for table in tables:
        places = [place for _, place in table.heads]
        models = {id(of_model): of_model for place in places for of_model in by_column.get(place, ())}
        subject = subject_of(table, list(models.values()))
        found |= dict.fromkeys(places, subject)
    return found


def subject_of(table: Table, claims: Sequence[Sequence[Claim]] = ()) -> Subject:
    """Return what a table is about; ``claims`` are those of each of its models."""
    task, task_said = _other_task(table)
    dataset, dataset_said = _data_set(table)
    return Subject(table, task, task_said, dataset, dataset_said, frozenset(_error_columns(table, claims)))


def subject_of_results(model: Model) -> Subject:
    """Return what all results of a model are about; nothing if one of them is of image classification or ImageNet."""
    tasks = [result.task or "" for result in model.results]
    task = next(iter(tasks), "") if all(map(_is_other_task, tasks)) else ""
    names = [result.dataset or "" for result in model.results]
    found = [data_sets_in(name) for name in names]
    dataset = found[0][0] if found and all(of and _IMAGENET not in of for of in found) else None
    said = f"its results are on {names[0]}" if dataset else ""
    return Subject(None, task.lower(), f"its results are of {task.lower()}" if task else "", dataset, said)


def data_sets_in(text: str) -> list[DataSet]:
    """Return the data sets that a text names."""
    text = text[:MOST_TEXT]
    found = [dataset for pattern, dataset in _DATA_SETS if pattern.search(text)]
    return [*found, _IMAGENET] if _IS_IMAGENET.search(text) else found


def _is_other_task(task: str) -> bool:
    """Return whether the task of a result is stated and is not the classification of images."""
    words = task.lower().replace("-", " ").replace("_", " ")
    return bool(words.strip()) and ("classif" not in words or _NO_IMAGES.search(words) is not None)


def _texts_about_subject(table: Table) -> Iterator[tuple[str, str]]:
    """Yield the texts that say what a table is about, the nearest first, each with its kind."""
    if table.caption:
        yield "the text above it", table.caption[-MOST_CAPTION:]
    yield from (("its heading", text[:MOST_TEXT]) for text in reversed(table.headings))


def _other_task(table: Table) -> tuple[str, str]:
    """Return another task than image classification, and the words that name it; empty if none is named."""
    if any(kind_of(_plain(head)) in ACCURACIES or _named_accuracy(head) for head, _ in table.heads):
        return "", ""
    for head, _ in table.heads:
        words = re.findall(r"[a-z]+\d*", _plain(head).lower())
        if "map" in words and len(words) > 1 and "mAP" not in head:
            continue  # a feature map, the size of a map
        for pattern, task in _TASK_HEADS:
            if any(pattern.fullmatch(word) for word in words):
                return task, f"its column '{_plain(head)}'"
    for kind, text in _texts_about_subject(table):
        named = next((task for pattern, task in _TASK_WORDS if pattern.search(text)), "")
        if _IS_CLASSIFICATION.search(text):
            return "", ""
        if named:
            return named, f"{kind} '{_shortened(text)}'"
    return "", ""


def _named_accuracy(head: str) -> bool:
    """Return whether a head is of an accuracy on a data set: ``ImageNet top-1``."""
    return bool(re.search(r"\btop[ -]?@?[15]\b|\bacc(?:uracy)?[ @-]{0,2}[15]?\b", _plain(head), re.IGNORECASE))


def _data_set(table: Table) -> tuple[DataSet | None, str]:
    """Return the data set that a table is about, and the words that name it, if it is not ImageNet-1k."""
    heads = " | ".join(_plain(head) for head, _ in table.heads)
    for kind, text in (("its heads", heads), *_texts_about_subject(table)):
        if named := data_sets_in(text):
            if _IMAGENET in named:
                return None, ""
            return named[0], f"{kind} '{_shortened(text)}'"
    return None, ""


def _error_columns(table: Table, claims: Sequence[Sequence[Claim]]) -> Iterator[Place]:
    """Yield the columns of accuracies that state error rates.

    A head, the text above the table or its nearest heading speaks of errors, or the first of two is above the second
    in all of several rows, or in the only one, and both are small.
    """
    pairs = list(_accuracy_pairs(table, claims))
    near = " ".join((table.caption[-MOST_CAPTION:], *table.headings[-1:]))[-MOST_TEXT:]
    said = bool(_ERROR_RATE.search(near)) and not _ACCURACY.search(near)
    every = bool(pairs) and all(top5 < top1 and top5 <= LARGEST_ERROR for top1, top5 in pairs)
    every = every and (len(pairs) > 1 or pairs[0][0] <= LARGEST_ERROR)  # as accuracies, 90 and 40 were exchanged
    contradicted = bool(pairs) and all(top1 <= top5 for top1, top5 in pairs)
    for head, place in table.heads:
        if kind_of(_plain(head)) not in ACCURACIES and not _named_accuracy(head):
            continue
        if not contradicted and (_ERROR.search(_plain(head)) or said or every):
            yield place


def _accuracy_pairs(table: Table, claims: Sequence[Sequence[Claim]]) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield the top-1 and top-5 of each row and data set."""
    columns = {place for _, place in table.heads}
    for of_model in claims:
        found: Mapping[str, list[Claim]] = {kind: [] for kind in ACCURACIES}
        for claim in of_model:
            if claim.metric and claim.column in columns and claim.kind in found and claim.number:
                found[claim.kind].append(claim)
        for top1, top5 in zip(*found.values(), strict=False):
            if top1.dataset == top5.dataset and top1.number and top5.number:
                yield top1.number.value, top5.number.value


def _plain(text: str) -> str:
    """Return a head without marks of emphasis and markup."""
    return " ".join(_MARKS.sub(" ", text[:200]).split())


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
