"""ImageNet (ILSVRC 2012): 1,281,167 photos to train on and 50,000 to validate, of 1,000 classes.

Layouts: a folder per class, the original tar files, or one flat folder with the labels of the
development kit or of Kaggle. Label 0 is the class whose WordNet id sorts first (n01440764), as in torchvision and
timm. The original labels have another order; they are translated, see :mod:`res2next.datasets.imagenet_labels`.
The ids are in ``imagenet_class_ids.txt``.

Anything missing, surplus or in another order is an error, so that a result is always on all 50,000 photos.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from res2next.datasets.base import DataSetIncomplete, DatasetInfo, DataSetNotFound, Split, WrongLabels, first_names
from res2next.datasets.photos import (
    FolderPhotos,
    PhotoSet,
    TarPhotos,
    is_photo,
    photos_in_nested_tar,
    photos_in_tar,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL.Image import Image

    from res2next.datasets.photos import Photos

TARS: dict[Split, str] = {"train": "ILSVRC2012_img_train.tar", "test": "ILSVRC2012_img_val.tar"}
"""The published files. That for training holds a tar file per class."""

FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "ILSVRC2012_img_train", "ILSVRC/Data/CLS-LOC/train", "."),
    "test": ("val", "ILSVRC2012_img_val", "ILSVRC/Data/CLS-LOC/val", "."),
}
"""Possible places of photos or class folders below the given folder; the long ones are Kaggle's."""


def class_names() -> tuple[str, ...]:
    """The short names that torchvision gives with its weights."""
    from torchvision.models import ResNet50_Weights  # names only: nothing is downloaded

    return tuple(ResNet50_Weights.IMAGENET1K_V2.meta["categories"])


@cache
def class_ids() -> tuple[str, ...]:
    """The WordNet ids of the classes, sorted, which is the order of the labels."""
    return tuple(Path(__file__).with_name("imagenet_class_ids.txt").read_text(encoding="ascii").split())


INFO = DatasetInfo(
    name="ImageNet",
    aliases=("ImageNet-1k", "ImageNet 2012", "ILSVRC 2012", "ILSVRC", "ImageNet ILSVRC 2012", "in1k"),
    num_classes=1000,
    images={"train": 1_281_167, "test": 50_000},
    source="O. Russakovsky, J. Deng, H. Su et al., 2015, https://image-net.org/challenges/LSVRC/2012",
    licence="non-commercial research and education only, https://image-net.org/download",
    read_classes=class_names,
    read_class_ids=class_ids,
    # the first validation photos, by the original labels; those whose label the independent relabelling of Beyer
    # et al., "Are we done with ImageNet?" (2020), confirms
    anchors={
        "ILSVRC2012_val_00000002.JPEG": "n09193705",
        "ILSVRC2012_val_00000003.JPEG": "n02105855",
        "ILSVRC2012_val_00000004.JPEG": "n04263257",
        "ILSVRC2012_val_00000005.JPEG": "n03125729",
        "ILSVRC2012_val_00000006.JPEG": "n01735189",
        "ILSVRC2012_val_00000007.JPEG": "n02346627",
        "ILSVRC2012_val_00000009.JPEG": "n03794056",
        "ILSVRC2012_val_00000010.JPEG": "n02328150",
    },
)


def open_imagenet(
    info: DatasetInfo, path: Path | None, split: Split, transform: Callable[[Image], Any] | None
) -> PhotoSet:
    """The photos of a split, in the order of their file names; in training, class by class.

    Args:
        path: a folder with one of: ``val/<class id>/`` and ``train/<class id>/``; the original tar files, and
            the development kit for the validation photos; ``val/`` with all photos, and the development kit, Kaggle's
            ``LOC_val_solution.csv`` or ``imagenet_2012_validation_synset_labels.txt``. Or that very folder of
            photos, or that tar file.

    Raises:
        DataSetNotFound: there is none of these.
        DataSetIncomplete: photos, classes or labels are missing, duplicate or surplus.
        DataSetDamaged: a tar file or the development kit is truncated.
        WrongLabels: the labels are in another order.
    """
    found = None if path is None else _class_folders(info, path, split) or _flat_or_tar(info, path, split)
    if found is None:
        raise DataSetNotFound(_advice(info, path, split))
    photos, ids = found
    _check_photos(info, split, photos, ids)
    if split == "test":
        _check_labels(info, dict(zip(photos.names, ids, strict=True)))
    number = {class_id: label for label, class_id in enumerate(info.read_class_ids())}
    return PhotoSet(info, split, photos, [number[class_id] for class_id in ids], transform)


def validation_photos(info: DatasetInfo, path: Path) -> Photos | None:
    """The validation photos in the order of their file names, whatever their labels; None if ``path`` has none.

    Raises:
        DataSetIncomplete: photos or classes are missing, duplicate or surplus.
        DataSetDamaged: a tar file is truncated.
    """
    sorted_ = _class_folders(info, path, "test")
    photos = sorted_[0] if sorted_ else _flat_photos(path)
    if photos is not None:
        _check_photos(info, "test", photos, ())
    return photos


# --- Layouts: photos in order with their class ids ---

Found = tuple["Photos", "list[str]"]


def _class_folders(info: DatasetInfo, path: Path, split: Split) -> Found | None:
    """A folder per class, named by its id."""
    places = (path / place for place in FOLDERS[split])
    root, folders = next(((place, found) for place in places if (found := _class_id_folders(place))), (path, []))
    if not folders:
        return None
    known = info.read_class_ids()
    _refuse(f"{root} has no folder for", [name for name in known if name not in folders], "class", info)
    _refuse(f"{root} has a folder that is no class of", [name for name in folders if name not in known], "", info)
    listed = [
        (file, f"{folder}/{file}", folder)
        for folder in folders
        for file in sorted(entry.name for entry in (root / folder).iterdir())
        if is_photo(file)
    ]
    if split == "test":
        listed.sort()
    return FolderPhotos(root, [where for _, where, _ in listed]), [folder for _, _, folder in listed]


def _class_id_folders(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if _is_class_id(entry.name) and entry.is_dir())


def _is_class_id(name: str) -> bool:
    return len(name) == 9 and name[0] == "n" and name[1:].isdigit()


def _flat_or_tar(info: DatasetInfo, path: Path, split: Split) -> Found | None:
    """The published tar file; or, for validation photos, a flat folder."""
    if split == "train":
        tar = path if path.is_file() else path / TARS[split]
        return _train_tar(info, tar) if tar.is_file() else None
    photos = _flat_photos(path)
    if photos is None:
        return None
    from res2next.datasets.imagenet_labels import validation_labels  # not needed for facts

    labels = validation_labels(info, [path, path.parent] if path.is_dir() else [path.parent])
    unlabelled = [name for name in photos.names if _stem(name) not in labels]
    _refuse("the labels have none for", unlabelled, "photo", info)
    return photos, [labels[_stem(name)] for name in photos.names]


def _flat_photos(path: Path) -> Photos | None:
    """The validation photos of the published tar file or of a flat folder."""
    tar = path if path.is_file() else path / TARS["test"]
    if tar.is_file():
        return TarPhotos(tar, sorted(photos_in_tar(tar), key=lambda member: member.name))
    for folder in (path / place for place in FOLDERS["test"]):
        if any(folder.glob("ILSVRC2012_val_*")):
            return FolderPhotos(folder, sorted(entry.name for entry in folder.iterdir() if is_photo(entry.name)))
    return None


def _train_tar(info: DatasetInfo, tar: Path) -> Found:
    listed = sorted(photos_in_nested_tar(tar), key=lambda pair: (pair[0], pair[1].name))
    ids = [class_id for class_id, _ in listed]
    present, known = set(ids), info.read_class_ids()
    _refuse(f"{tar} has no photos of", [name for name in known if name not in present], "class", info)
    _refuse(f"{tar} has photos that are of no class of", sorted(present - set(known)), "", info)
    return TarPhotos(tar, (member for _, member in listed)), ids


# --- Verification ---


def _check_photos(info: DatasetInfo, split: Split, photos: Photos, ids: Sequence[str]) -> None:
    """Check that each photo exists once. Numbers of training photos have gaps: only their count is checked."""
    twice = [name for name, times in Counter(_stem(name) for name in photos.names).items() if times > 1]
    _refuse("there is more than one photo called", twice, "", info)
    expected = info.images[split]
    if split == "test":
        there = {_stem(name) for name in photos.names}
        wanted = [f"ILSVRC2012_val_{number:08}" for number in range(1, expected + 1)]
        _refuse("missing", [name for name in wanted if name not in there], "photo", info)
        _refuse("there are photos that are not of", sorted(there.difference(wanted)), "", info)
    elif len(photos.names) != expected:
        raise DataSetIncomplete(
            f"{info.name} has {expected:,} photos to train on, and here are {len(photos.names):,}, from "
            f"{min(Counter(ids).values(), default=0):,} to {max(Counter(ids).values(), default=0):,} of a class"
        )


def _check_labels(info: DatasetInfo, labels: Mapping[str, str]) -> None:
    """Check that classes have equally many validation photos, and the classes of the anchors."""
    each = info.images["test"] // info.num_classes
    numbers = Counter(labels.values())
    uneven = [f"{name} ({numbers[name]})" for name in info.read_class_ids() if numbers[name] != each]
    if uneven:
        raise WrongLabels(
            f"every class of {info.name} has {each} validation photos, but here not {first_names(uneven)}"
        )
    by_stem = {_stem(name): class_id for name, class_id in labels.items()}
    for name, class_id in info.anchors.items():
        if by_stem[_stem(name)] != class_id:
            raise WrongLabels(
                f"the labels are in another order than the photos or the classes: {name} is of class {class_id}, and "
                f"here it is of {by_stem[_stem(name)]}. Labels of the development kit are numbers of its meta.mat, "
                "not places in the sorted class ids; take the original files"
            )


def _refuse(what: str, names: Sequence[str], kind: str, info: DatasetInfo) -> None:
    """Raise if there are any names."""
    if names:
        of = f"{kind} {first_names(names)}" if kind else f"{info.name}: {first_names(names)}"
        raise DataSetIncomplete(f"{what} {of}. {info.name} is used whole or not at all")


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _advice(info: DatasetInfo, path: Path | None, split: Split) -> str:
    folder = "train" if split == "train" else "val"
    place = (
        "give its folder with --data, or put it as ImageNet into the folder that RES2NEXT_DATA names"
        if path is None
        else f"not in {path}"
    )
    need = TARS[split] + ("" if split == "train" else " and ILSVRC2012_devkit_t12.tar.gz")
    return (
        f"no {info.name}: {place}. It must be {folder}/ with a folder per class (n01440764 ...), or {need} from "
        "https://image-net.org/download, which needs an account"
    )
