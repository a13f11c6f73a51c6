"""Labels of ImageNet's validation photos that are not sorted into class folders.

The development kit numbers classes as its ``meta.mat`` lists them, from 1, and that is not the order of the class ids
which networks are trained with: 490 stands for n01751748, whose label is 65. So numbers are translated to
class ids by a ``meta.mat`` only, and without one there are no labels.
"""

from __future__ import annotations

import csv
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from res2next.datasets.base import INSTALL_DATA, DataSetDamaged, DataSetIncomplete, DataSetNotFound, WrongLabels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from res2next.datasets.base import DatasetInfo

DEVKIT = "ILSVRC2012_devkit_t12"
NUMBERS = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
SOLUTION = "LOC_val_solution.csv"
"""Kaggle's list: photo, then class id and box of each object; the class is the same for all."""
CLASS_IDS = "imagenet_2012_validation_synset_labels.txt"
"""A list of class ids in the order of the photos, which comes with TensorFlow's models."""


def validation_labels(info: DatasetInfo, folders: Sequence[Path]) -> dict[str, str]:
    """The class id of each validation photo, by its name without ``.JPEG``, from the first list that a folder has.

    Raises:
        DataSetNotFound: there is no list, or the development kit lacks a file.
        DataSetIncomplete: a list has too few or too many lines.
        DataSetDamaged: the development kit cannot be unpacked or read.
        WrongLabels: a list has other classes than the data set.
    """
    for folder in folders:
        if kit := _devkit(folder):
            return _from_devkit(info, *kit)
        if (solution := folder / SOLUTION).is_file():
            return _from_solution(info, solution)
        if (listed := folder / CLASS_IDS).is_file():
            return _in_order(info, listed.read_text(encoding="utf-8").split(), str(listed))
    raise DataSetNotFound(
        f"the validation photos of {info.name} have no labels: put {DEVKIT}.tar.gz from "
        f"https://image-net.org/download, {SOLUTION} from Kaggle or {CLASS_IDS} into {folders[0]}"
    )


# --- The development kit ---


def _devkit(folder: Path) -> tuple[str, bytes, bytes] | None:
    """Its place, its numbers and its meta.mat; None if missing."""
    archive = folder / f"{DEVKIT}.tar.gz"
    if archive.is_file():
        return (str(archive), *_from_archive(archive))
    for place in (folder, folder / "data", folder / DEVKIT / "data", folder / DEVKIT):
        if (numbers := place / NUMBERS).is_file():
            if not (meta := place / META).is_file():
                raise DataSetNotFound(
                    f"{numbers} numbers classes as {META} of the development kit lists them, and {place} has none: "
                    f"put it there"
                )
            return str(numbers), numbers.read_bytes(), meta.read_bytes()
    return None


def _from_archive(archive: Path) -> tuple[bytes, bytes]:
    found = {}
    try:
        with tarfile.open(archive, "r:gz") as kit:
            for member in kit:
                name = PurePosixPath(member.name).name
                if name in (NUMBERS, META) and (file := kit.extractfile(member)):
                    found[name] = file.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as trouble:
        raise DataSetDamaged(f"{archive} is damaged or cut short: {trouble}. Fetch it again") from None
    for name in (NUMBERS, META):
        if name not in found:
            raise DataSetNotFound(f"{archive} has no {name}: take the development kit of tasks 1 and 2")
    return found[NUMBERS], found[META]


def _from_devkit(info: DatasetInfo, where: str, numbers: bytes, meta: bytes) -> dict[str, str]:
    ids = _ids_by_number(info, where, meta)
    listed = []
    for line, text in enumerate(numbers.decode("ascii", "replace").split(), 1):
        if text not in ids:
            raise WrongLabels(
                f"{where}: label {line} is {text!r}, and {META} numbers classes from 1 to {info.num_classes}. "
                "Take the original file"
            )
        listed.append(ids[text])
    return _in_order(info, listed, where)


def _ids_by_number(info: DatasetInfo, where: str, meta: bytes) -> dict[str, str]:
    """The class ids of meta.mat, by number as text. It also lists groups of classes, which have children."""
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError:
        needs = f"{META} beside {where} is read by scipy, which is not installed: {INSTALL_DATA}"
        raise DataSetNotFound(needs) from None

    try:
        synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
        ids = {
            str(int(synset["ILSVRC2012_ID"])): str(synset["WNID"])
            for synset in synsets
            if int(synset["num_children"]) == 0
        }
    except Exception as trouble:  # scipy can raise any error
        raise DataSetDamaged(f"{META} beside {where} cannot be read: {trouble}. Fetch it again") from None
    if sorted(ids.values()) != list(info.read_class_ids()):
        raise WrongLabels(f"{META} beside {where} lists other classes than {info.name} has. Fetch it again")
    return ids


# --- Lists that name class ids ---


def _from_solution(info: DatasetInfo, path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["ImageId"], row["PredictionString"].split(" ")[0]) for row in csv.DictReader(file)]
    _check(info, [class_id for _, class_id in rows], str(path))
    return dict(rows)


def _in_order(info: DatasetInfo, ids: list[str], where: str) -> dict[str, str]:
    _check(info, ids, where)
    return {f"ILSVRC2012_val_{number:08}": class_id for number, class_id in enumerate(ids, 1)}


def _check(info: DatasetInfo, ids: list[str], where: str) -> None:
    if len(ids) != info.images["test"]:
        raise DataSetIncomplete(f"{where} has {len(ids):,} labels; {info.name} has {info.images['test']:,} photos")
    known = set(info.read_class_ids())
    for line, class_id in enumerate(ids, 1):
        if class_id not in known:
            raise WrongLabels(f"{where}: label {line} is {class_id!r}, which is no class of {info.name}")
