"""Digits and FashionMNIST by any of their names, whole and unchanged, or a clear error."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quick_digits
import torch
from click.testing import CliRunner
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST

from res2next.commands.lists import datasets_
from res2next.datasets import (
    DataSetDamaged,
    DataSetNotFound,
    UnknownDataset,
    find_dataset,
    is_available,
    list_datasets,
    open_dataset,
)
from res2next.datasets.arrays import DEBIAN, FILES
from res2next.registry import ENTRIES

torch.set_num_threads(1)

packaged = pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the packed test files."""
    for file in FILES["test"]:
        shutil.copyfile(DEBIAN / f"{file.name}.gz", tmp_path / f"{file.name}.gz")
    return tmp_path


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ImageNet", "ImageNet"),
        ("ImageNet-1k", "ImageNet"),
        ("imagenet1K", "ImageNet"),
        ("ILSVRC 2012", "ImageNet"),
        ("ILSVRC2012", "ImageNet"),
        ("Fashion MNIST", "FashionMNIST"),
        ("fashion-mnist", "FashionMNIST"),
        ("sklearn digits", "Digits"),
        ("Optical Recognition of Handwritten Digits", "Digits"),
    ],
)
def test_a_data_set_is_found_by_the_names_that_cards_write(written: str, name: str) -> None:
    assert find_dataset(written).name == name


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownDataset, match="did you mean ImageNet") as caught:
        find_dataset("ImagNet")
    assert caught.value.close[0] == "ImageNet"
    with pytest.raises(UnknownDataset, match="there are ImageNet, ImageNet-ReaL, Digits, FashionMNIST"):
        find_dataset("CIFAR-10")


def test_every_entry_of_the_registry_is_of_a_known_data_set() -> None:
    for entry in ENTRIES:
        assert find_dataset(entry.dataset).name == entry.dataset
        assert find_dataset(entry.dataset).num_classes == entry.num_classes


def test_facts_are_available_without_torch() -> None:
    code = (
        "import sys; from res2next.datasets import find_dataset, is_available, list_datasets;"
        "[(find_dataset(name).digests, is_available(find_dataset(name))) for name in list_datasets()];"
        "print({'torch', 'torchvision', 'sklearn', 'numpy', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", list_datasets())
def test_facts_are_equal_after_a_worker_process_was_sent_them(name: str) -> None:
    info = find_dataset(name)
    assert pickle.loads(pickle.dumps(info)) == info


# --- Digits ---


@pytest.fixture
def reference() -> Any:
    """The data set as scikit-learn gives it, which is imported when it is needed."""
    from sklearn.datasets import load_digits

    return load_digits()


def test_digits_are_scikit_learns_with_the_last_360_held_out(reference: Any) -> None:
    train, test = open_dataset("Digits", split="train"), open_dataset("Digits")
    assert (len(train), len(test)) == (1437, 360)
    assert [*train.labels, *test.labels] == reference.target.tolist()
    for index in range(0, 360, 37):
        grey = np.asarray(test.image(index))
        assert grey.tolist() == [[round(v * 255 / 16) for v in row] for row in reference.images[1437 + index].tolist()]


def test_an_image_is_grey_and_comes_with_its_label_through_a_transform(reference: Any) -> None:
    image, label = open_dataset("Digits")[3]
    assert isinstance(image, Image.Image)
    assert (image.mode, image.size, label) == ("L", (8, 8), reference.target[1440])
    assert open_dataset("Digits", transform=lambda shown: shown.size)[3] == ((8, 8), label)


def test_there_are_as_many_images_as_there_are_and_no_more() -> None:
    with pytest.raises(IndexError):
        open_dataset("Digits")[360]


def test_a_place_for_digits_is_refused_since_nothing_would_be_read_there(tmp_path):
    with pytest.raises(DataSetNotFound, match=r"Digits comes with scikit-learn, and .* would not be read"):
        open_dataset("Digits", tmp_path)


def test_the_digest_is_over_the_values_and_the_labels(reference: Any) -> None:
    content = reference.images[1437:].astype("uint8").tobytes() + reference.target[1437:].astype("uint8").tobytes()
    assert open_dataset("Digits").digest == f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("name", ["Digits", pytest.param("FashionMNIST", marks=packaged)])
def test_the_stated_digest_and_number_are_those_of_what_is_opened(name: str) -> None:
    for split in ("train", "test"):
        data = open_dataset(name, split=split)
        assert data.digest == data.info.digests[split]
        assert len(data) == data.info.images[split]
        assert len(data.classes) == data.info.num_classes == len(set(data.labels))


def test_other_digits_than_the_published_are_refused(monkeypatch: pytest.MonkeyPatch, reference: Any) -> None:
    reference.images[1500, 0, 0] += 1
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: reference)
    assert len(open_dataset("Digits", split="train")) == 1437
    with pytest.raises(DataSetDamaged, match="Reinstall scikit-learn"):
        open_dataset("Digits")


def test_a_data_set_can_be_sent_to_worker_processes() -> None:
    data = open_dataset("Digits", transform=quick_digits.TRANSFORM)
    again = pickle.loads(pickle.dumps(data))
    assert again.digest == data.digest
    assert torch.equal(again[5][0], data[5][0])


def test_a_data_set_is_one_for_torchs_data_loader() -> None:
    data = open_dataset("Digits", transform=quick_digits.TRANSFORM)
    batches = list(DataLoader(data, batch_size=100))
    assert [len(labels) for _, labels in batches] == [100, 100, 100, 60]
    assert torch.cat([labels for _, labels in batches]).tolist() == data.labels


# --- FashionMNIST ---


@packaged
def test_fashion_mnist_is_what_torchvision_reads_from_the_unpacked_files(folder: Path, tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for files in FILES.values():
        for file in files:
            (raw / file.name).write_bytes(gzip.decompress((DEBIAN / f"{file.name}.gz").read_bytes()))
    reference = FashionMNIST(tmp_path, train=False, download=False)
    for place in (None, raw, raw.parent, tmp_path):
        data = open_dataset("FashionMNIST", place)
        assert data.classes == tuple(reference.classes)
        assert data.labels == reference.targets.tolist()
    assert (data.pixels == reference.data.numpy()).all()
    assert np.array_equal(np.asarray(data[17][0]), np.asarray(reference[17][0]))


@packaged
def test_packed_files_of_one_split_are_enough(folder: Path) -> None:
    assert len(open_dataset("FashionMNIST", folder)) == 10_000
    with pytest.raises(DataSetNotFound, match="train-images-idx3-ubyte"):
        open_dataset("FashionMNIST", folder, split="train")


@packaged
def test_a_sub_folder_of_the_named_folder_is_found(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("RES2NEXT_DATA", str(root))
    assert is_available(find_dataset("FashionMNIST"))  # Debian's
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    folder.rename(root / "fashion-mnist")
    with pytest.raises(DataSetNotFound, match="needs too"):
        open_dataset("FashionMNIST")


def test_where_nothing_is_installed_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("res2next.datasets.arrays.DEBIAN", tmp_path / "nowhere")
    assert not is_available(find_dataset("FashionMNIST"))
    with pytest.raises(DataSetNotFound, match="apt-get install dataset-fashion-mnist"):
        open_dataset("FashionMNIST")


def test_without_scikit_learn_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert not is_available(find_dataset("Digits"))
    with pytest.raises(DataSetNotFound, match=r"pip install 'cardproof\[data\]'"):
        open_dataset("Digits")


@packaged
def test_a_packed_file_that_is_cut_short_is_named(folder: Path) -> None:
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataSetDamaged, match=r"t10k-images-idx3-ubyte\.gz cannot be unpacked, it is cut short"):
        open_dataset("FashionMNIST", folder)


@packaged
def test_an_unpacked_file_that_is_cut_short_is_named(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0x27, 0x10]) + bytes(9_999))
    with pytest.raises(DataSetDamaged, match="10,007 bytes unpacked, 10,008 expected"):
        open_dataset("FashionMNIST", folder)


@packaged
def test_one_changed_pixel_is_noticed(folder: Path) -> None:
    path = folder / "t10k-images-idx3-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[5000] ^= 1
    path.write_bytes(gzip.compress(bytes(content), 1))
    with pytest.raises(DataSetDamaged, match="right size but is not FashionMNIST's t10k-images"):
        open_dataset("FashionMNIST", folder)


@packaged
def test_more_labels_than_images_are_noticed(folder: Path) -> None:
    shutil.copyfile(DEBIAN / "train-labels-idx1-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(DataSetDamaged, match="does not say 10,000 labels"):
        open_dataset("FashionMNIST", folder)


@packaged
def test_a_file_packed_by_somebody_else_is_the_same_file(folder: Path) -> None:
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=5))
    assert open_dataset("FashionMNIST", folder).digest == find_dataset("FashionMNIST").digests["test"]


# --- The command ---


def test_the_command_lists_all_data_sets() -> None:
    done = CliRunner().invoke(datasets_, ["--json"])
    assert [row["name"] for row in json.loads(done.output)] == list(list_datasets())
    assert "FashionMNIST" in CliRunner().invoke(datasets_, []).output


def test_the_command_verifies_one() -> None:
    done = CliRunner().invoke(datasets_, ["--check", "digits", "--json"])
    found = json.loads(done.output)
    assert found["digest"] == find_dataset("Digits").digests["test"]
    assert found["class_names"] == list("0123456789")
    assert "360 images of 10 classes, complete" in CliRunner().invoke(datasets_, ["--check", "digits"]).output


def test_a_place_without_a_name_is_a_usage_error() -> None:
    assert CliRunner().invoke(datasets_, ["--data", "."]).exit_code == 2
