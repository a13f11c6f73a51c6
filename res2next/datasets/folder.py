"""Images of one's own: a folder for each class, named ``folder:PATH`` where a data set is named.

``PATH`` has the class folders, or ``train`` and ``val`` or ``test`` that have them; without these the images are the
same for every split. The classes are the sorted names of the folders. For a network that knows ImageNet, folders may
also be named by WordNet ids, or 0 to 999 as in ImageNet-V2, and for others by the names of their classes: labels are
then the numbers of the network's outputs, and some classes may have no images.

Results on such images are marked, and are never results on a published split.
"""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

from res2next.datasets.base import DataSetIncomplete, DatasetInfo, DataSetNotFound, Split, first_names
from res2next.datasets.photos import IMAGE_SUFFIXES, FolderPhotos, PhotoSet, is_image_name, prepare_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image

PREFIX = "folder:"
"""Begins the name of such a data set."""

NOT_PUBLISHED = "your own images, not a published split"
"""Said of every result on them."""

SPLITS: Mapping[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val")}
"""Folders with the class folders of a split."""


class FolderImages(PhotoSet):
    """The images of class folders.

    They are decoded as :func:`res2next.classify` does it: upright and scaled to 8 bits. With the classes of ImageNet
    they are decoded as ImageNet's photos are, so that results of single photos are those of the whole data set.
    """

    ADVICE = "Repair it, or take it out of the folder"
    splits: tuple[str, ...] = ()
    """Which of train, val and test the folder has; none if the images are the same for every split."""
    upright = True
    """Whether images are decoded as :func:`res2next.classify` does it."""

    def decoded(self, content: bytes) -> Image:
        if not self.upright:
            return super().decoded(content)
        import PIL.Image

        return prepare_image(PIL.Image.open(io.BytesIO(content))).convert("RGB")


def open_folder(
    path: Path,
    split: Split,
    transform: Callable[[Image], Any] | None = None,
    *,
    classes_of: DatasetInfo | None = None,
) -> FolderImages:
    """The images of a split, class by class.

    Args:
        classes_of: the classes that a network knows, whose numbers the labels are if the folders are named by them.

    Raises:
        DataSetNotFound: no such folder, or it has other splits than this one.
        DataSetIncomplete: there are no class folders, one is empty, or they do not fit ``classes_of``.
    """
    path = path.expanduser()
    if not path.is_dir():
        raise DataSetNotFound(f"there is no folder {path}")
    parts = {name: path / name for name in ("train", "val", "test") if _has_class_folders(path / name)}
    root = next((parts[name] for name in SPLITS[split] if name in parts), path)
    if parts and root == path:
        wanted = " or ".join(SPLITS[split])
        raise DataSetNotFound(f"{path} has {' and '.join(parts)}, but not {wanted}: add it, or choose another split")
    names = _class_folders(root)
    numbers = None if classes_of is None else _numbers(classes_of, names, root)
    if classes_of is None or numbers is None:
        _require_equal_classes(root, names, parts.values())
        read_classes: Callable[[], tuple[str, ...]] = partial(tuple[str, ...], names)
        count, upright = len(names), True
        numbers = {name: number for number, name in enumerate(names)}
    else:
        read_classes = classes_of.read_classes
        count, upright = classes_of.num_classes, not (classes_of.published and classes_of.read_class_ids())
    files = [(name, file) for name in names for file in _images(root / name)]
    _require_images(root, names, {name for name, _ in files})
    info = DatasetInfo(
        name=f"{PREFIX}{path.resolve().name}",
        aliases=(),
        num_classes=count,
        images={split: len(files)},
        source=NOT_PUBLISHED,
        licence="unknown",
        read_classes=read_classes,
        published=False,
    )
    photos = FolderPhotos(root, [f"{name}/{file}" for name, file in files])
    images = FolderImages(info, split, photos, [numbers[name] for name, _ in files], transform)
    images.splits, images.upright = tuple(parts), upright
    return images


def _numbers(known: DatasetInfo, names: Sequence[str], root: Path) -> dict[str, int] | None:
    """The labels of class folders that are named by the classes of ``known``; None if they are not.

    Raises:
        DataSetIncomplete: only some of them are, or two are for the same class; or none is, and the classes are those
            of weights that state them.
    """
    # no folder has a name with a slash
    ids = {name.replace("/", "_"): number for number, name in enumerate(known.read_class_ids() or known.classes)}
    if any(name in ids for name in names) or not known.published:
        others = [name for name in names if name not in ids]
        if others:
            raise DataSetIncomplete(
                f"{root} has folders that are not classes of {known.name}: {first_names(others)}. "
                f"Its classes are {first_names([*ids])}"
            )
        return {name: ids[name] for name in names}
    if not all(name.isascii() and name.isdecimal() and int(name) < known.num_classes for name in names):
        return None
    if len({int(name) for name in names}) < len(names):
        raise DataSetIncomplete(f"{root} has several folders for the same number of a class: {first_names(names)}")
    return {name: int(name) for name in names}


def _has_class_folders(folder: Path) -> bool:
    """Whether a folder has folders, and no images itself."""
    return folder.is_dir() and bool(_folders(folder)) and not _images(folder)


def _class_folders(root: Path) -> list[str]:
    names = _folders(root)
    if not names:
        raise DataSetIncomplete(
            f"{root} has no class folders: put the images of each class into a folder with its name, such as {root}/cat"
        )
    for name in names:
        if not name.isprintable():
            raise DataSetIncomplete(f"{root} has a folder whose name cannot be printed: {name!r}. Rename it")
    return names


def _require_equal_classes(root: Path, names: Sequence[str], others: Iterable[Path]) -> None:
    """Raise if another split has other classes, whose numbers would then differ."""
    for other in others:
        if different := sorted(set(_folders(other)).symmetric_difference(names)):
            raise DataSetIncomplete(
                f"{root} and {other} have different classes: only one of them has {first_names(different)}"
            )


def _require_images(root: Path, names: Sequence[str], filled: set[str]) -> None:
    if empty := [name for name in names if name not in filled]:
        ends = ", ".join(IMAGE_SUFFIXES)
        raise DataSetIncomplete(
            f"{root} has class folders without an image: {first_names(empty)}. Images end in {ends}"
        )


def _folders(root: Path) -> list[str]:
    """Names of the folders in a folder, links to folders included, hidden ones not; sorted."""
    return sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(".") and entry.is_dir())


def _images(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if is_image_name(entry.name) and not entry.is_dir())
