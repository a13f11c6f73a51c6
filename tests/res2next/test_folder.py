"""Images of one's own in class folders: their labels, their errors, and results on them, which are marked as such."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from quick_digits import MODEL, weights_file

from res2next.commands.evaluate import evaluate_
from res2next.commands.lists import datasets_
from res2next.datasets import (
    DataSetIncomplete,
    DataSetNotFound,
    UnknownDataset,
    find_dataset,
    open_dataset,
)
from res2next.datasets.folder import NOT_PUBLISHED
from res2next.evaluation import UndecodableImages, evaluate
from res2next.registry import Preprocessing
from res2next.transforms import evaluation_transform

torch.set_num_threads(1)

IMAGENET = find_dataset("ImageNet")
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def save(path: Path, colour: tuple[int, int, int] = RED, size: tuple[int, int] = (9, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Return a folder with two cats, three dogs and a frog, in all formats."""
    for name in ("dog/1.png", "dog/2.JPG", "dog/3.bmp", "cat/1.jpeg", "cat/2.webp", "frog/1.png"):
        save(tmp_path / "pets" / name)
    return tmp_path / "pets"


# --- Classes and labels ---


def test_sorted_folders_are_the_classes(pets: Path) -> None:
    (pets / "cat" / "notes.txt").write_text("not an image")
    (pets / ".cache").mkdir()
    images = open_dataset(f"folder:{pets}")
    assert images.classes == ("cat", "dog", "frog")
    assert list(images.labels) == [0, 0, 1, 1, 1, 2]
    assert [images.image_path(place) for place in range(3)] == ["cat/1.jpeg", "cat/2.webp", "dog/1.png"]
    assert {images.image(place).mode for place in range(len(images))} == {"RGB"}
    assert (images.info.name, images.info.published, images.info.num_classes) == ("folder:pets", False, 3)


def test_without_folders_for_splits_the_images_are_the_same(pets: Path) -> None:
    train, test = (open_dataset(f"folder:{pets}", split=split) for split in ("train", "test"))
    assert train.digest == test.digest
    assert train.splits == ()


@pytest.mark.parametrize("name", ["val", "test"])
def test_folders_for_splits_are_chosen_by_the_split(name: str, pets: Path) -> None:
    root = pets.parent
    pets.rename(root / "train")
    for file in ("cat/7.png", "dog/8.png", "frog/9.png"):
        save(root / name / file)
    train = open_dataset(f"folder:{root}", split="train")
    assert (len(train), train.splits) == (6, ("train", name))
    images = open_dataset(f"folder:{root}", split="test")
    assert [images.image_path(place) for place in range(3)] == ["cat/7.png", "dog/8.png", "frog/9.png"]
    shutil.rmtree(root / name / "frog")
    with pytest.raises(DataSetIncomplete, match="have different classes: only one of them has frog"):
        open_dataset(f"folder:{root}", split="test")


def test_a_split_that_is_missing_is_named(pets: Path) -> None:
    pets.rename(pets.parent / "train")
    with pytest.raises(DataSetNotFound, match="has train, but not test or val"):
        open_dataset(f"folder:{pets.parent}", split="test")


def test_a_class_may_be_called_train(pets: Path) -> None:
    save(pets / "train" / "1.png")
    assert open_dataset(f"folder:{pets}").classes == ("cat", "dog", "frog", "train")


def test_links_to_folders_and_images_elsewhere_are_followed(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "cat").symlink_to(pets / "cat")
    (tmp_path / "linked" / "dog").mkdir()
    (tmp_path / "linked" / "dog" / "1.png").symlink_to(pets / "dog" / "1.png")
    assert list(open_dataset(f"folder:{tmp_path / 'linked'}").labels) == [0, 0, 1]


def test_wordnet_ids_have_the_labels_of_imagenet(tmp_path: Path) -> None:
    for name in ("n02123045", "n01440764"):
        save(tmp_path / name / "1.JPEG")
    images = open_dataset(f"folder:{tmp_path}", classes_of=IMAGENET)
    assert list(images.labels) == [0, 281]  # a tench and a tabby
    assert (images.info.num_classes, images.classes[281]) == (1000, "tabby")
    save(tmp_path / "n99999999" / "1.JPEG")
    with pytest.raises(DataSetIncomplete, match="folders that are not classes of ImageNet: n99999999"):
        open_dataset(f"folder:{tmp_path}", classes_of=IMAGENET)


def test_numbers_are_those_of_imagenets_classes_and_not_places_in_the_sorted_names(tmp_path: Path) -> None:
    for name in ("10", "2", "999"):
        save(tmp_path / name / "1.jpeg")
    assert sorted(open_dataset(f"folder:{tmp_path}", classes_of=IMAGENET).labels) == [2, 10, 999]
    save(tmp_path / "010" / "1.jpeg")
    with pytest.raises(DataSetIncomplete, match="several folders for the same number"):
        open_dataset(f"folder:{tmp_path}", classes_of=IMAGENET)


def test_names_of_classes_have_their_numbers_in_any_order(tmp_path: Path) -> None:
    for name in ("Bag", "T-shirt_top"):
        save(tmp_path / name / "1.png")
    images = open_dataset(f"folder:{tmp_path}", classes_of=find_dataset("FashionMNIST"))
    assert list(images.labels) == [8, 0]


def test_photos_of_ones_own_are_upright_and_those_of_imagenets_classes_are_read_as_imagenets(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "n01440764").mkdir()
    Image.new("RGB", (9, 8)).save(tmp_path / "n01440764" / "1.jpg", exif=exif)
    assert open_dataset(f"folder:{tmp_path}").image(0).size == (8, 9)
    assert open_dataset(f"folder:{tmp_path}", classes_of=IMAGENET).image(0).size == (9, 8)


# --- Errors ---


def test_a_folder_that_is_missing_or_has_no_class_folders_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataSetNotFound, match="there is no folder"):
        open_dataset(f"folder:{tmp_path / 'nowhere'}")
    save(tmp_path / "1.png")
    with pytest.raises(DataSetIncomplete, match="has no class folders: put the images of each class into a folder"):
        open_dataset(f"folder:{tmp_path}")


def test_an_empty_class_is_named(pets: Path) -> None:
    (pets / "hamster").mkdir()
    with pytest.raises(DataSetIncomplete, match=r"class folders without an image: hamster\. Images end in \.jpeg"):
        open_dataset(f"folder:{pets}")


def test_a_class_whose_name_could_steer_a_terminal_is_refused(pets: Path) -> None:
    (pets / "\x1b[2J").mkdir()
    with pytest.raises(DataSetIncomplete, match="cannot be printed"):
        open_dataset(f"folder:{pets}")


def test_such_images_are_no_published_data_set(pets: Path) -> None:
    with pytest.raises(UnknownDataset):
        find_dataset(f"folder:{pets}")
    with pytest.raises(DataSetNotFound):
        open_dataset("ImageNet", Path(f"folder:{pets}"))


# --- Results ---


class Colours(torch.nn.Module):
    """Knows red, green and blue, and looks at the left half of an image only."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[..., : images.shape[3] // 2].mean((2, 3))


PLAIN = evaluation_transform(Preprocessing((3, 8, 8), 1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Return six images, five of which have the colour of their class."""
    shown = {"a": (RED, RED, RED), "b": (GREEN, RED), "c": (BLUE,)}
    for name, images in shown.items():
        for number, colour in enumerate(images):
            save(tmp_path / "colours" / name / f"{number}.png", colour, (8, 8))
    return tmp_path / "colours"


def test_a_result_counts_the_images_and_says_that_they_are_not_published(colours: Path) -> None:
    result = evaluate(Colours(), open_dataset(f"folder:{colours}", transform=PLAIN))
    assert (result.top1, result.images) == (5, 6)
    assert result.confusion == ((3, 0, 0), (1, 1, 0), (0, 0, 1))
    assert result.to_dict()["published"] is False
    assert evaluate(Colours(), open_dataset(f"folder:{colours}", transform=PLAIN), flip=True).changes == ("flip",)


class Tabby(torch.nn.Module):
    """Answers 281 for every image, then 4, 3, 2 and 1."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(images), 1000)
        logits[:, [1, 2, 3, 4, 281]] = torch.tensor([1.0, 2.0, 3.0, 4.0, 9.0])
        return logits


def test_all_1000_logits_compete_for_a_subset_of_imagenets_classes(tmp_path: Path) -> None:
    ids = IMAGENET.read_class_ids()
    for label, images in ((281, 2), (4, 1), (999, 3)):
        for number in range(images):
            save(tmp_path / ids[label] / f"{number}.JPEG")
    data = open_dataset(f"folder:{tmp_path}", classes_of=IMAGENET, transform=PLAIN)
    result = evaluate(Tabby(), data)
    assert (result.top1, result.top5, result.images) == (2, 3, 6)
    assert (result.classes_with_images, len(result.classes)) == (3, 1000)
    assert sum(result.confusion[999]) == result.confusion[999][281] == 3


def test_flip_takes_the_mean_of_the_logits_of_both_images(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), RED)
    image.paste((0, 0, 204), (4, 0, 8, 8))
    for name in "abc":
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "1.png")
    data = open_dataset(f"folder:{tmp_path}", transform=PLAIN)
    logits = torch.tensor([0.5, 0.0, 0.4], dtype=torch.float64)  # of (1, 0, 0) and (0, 0, 0.8)
    expected = -float(logits.log_softmax(0).mean())
    assert evaluate(Colours(), data, flip=True).loss == pytest.approx(expected, rel=1e-6)


# --- Photos that cannot be decoded ---


def break_file(path: Path) -> bytes:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return whole


@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_goes_on_after_bad_photos_and_lists_all_of_them(colours: Path, workers: int) -> None:
    bad = [colours / "a" / "1.png", colours / "c" / "0.png"]
    for path in bad:
        break_file(path)
    data = open_dataset(f"folder:{colours}", transform=PLAIN)
    with pytest.raises(UndecodableImages) as caught:
        evaluate(Colours(), data, batch_size=2, workers=workers)
    assert [message.partition(" cannot be decoded: ")[0] for message in caught.value.messages] == [*map(str, bad)]
    assert caught.value.images == 6


def test_after_a_photo_is_restored_only_chunks_with_changed_photos_are_evaluated_again(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("res2next.evaluation.partial_results.CHUNK", 2)

    def measured(seen: list[int]) -> int:
        data = open_dataset(f"folder:{colours}", transform=PLAIN)
        result = evaluate(
            Colours(), data, batch_size=1, partial=tmp_path / "partial", progress=lambda done, _: seen.append(done)
        )
        return result.top1

    whole = break_file(colours / "a" / "1.png")
    first: list[int] = []
    with pytest.raises(UndecodableImages):
        measured(first)
    (colours / "a" / "1.png").write_bytes(whole)
    save(colours / "c" / "0.png", GREEN, (9, 9))  # in one chunk with the image before it
    second: list[int] = []
    assert measured(second) == 4
    assert (first[-1], second[-1]) == (5, 1 + 1)


# --- The command ---


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights_file(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the first 60 test images of Digits, without fours and sevens."""
    data, folder = open_dataset("Digits"), tmp_path_factory.mktemp("own") / "digits"
    for place in range(60):
        if data.labels[place] not in (4, 7):
            (folder / str(data.labels[place])).mkdir(parents=True, exist_ok=True)
            data.image(place).save(folder / str(data.labels[place]) / f"{place:02}.png")
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(evaluate_, [MODEL, "--device", "cpu", *map(str, arguments)], catch_exceptions=False)


def test_the_same_images_in_folders_give_the_same_counts(weights: Path, written: Path, tmp_path: Path) -> None:
    table = tmp_path / "all.csv"
    assert run("--weights", weights, "--predictions", table).exit_code == 0
    published = [row for row in csv.DictReader(table.open()) if row["label"] not in "47"]
    published = [row for row in published if int(row["file"].rpartition(" ")[2]) < 60]
    done = run("--weights", weights, "--data", f"folder:{written}", "--json", "--predictions", tmp_path / "own.json")
    result, rows = json.loads(done.stdout), json.loads((tmp_path / "own.json").read_text())
    assert result["images"] == len(published) == len(rows)
    assert result["top1"] == sum(row["label"] == row["predicted"] for row in published)
    assert (result["published"], result["dataset"]) == (False, "folder:digits")
    assert {row["file"]: str(row["predicted"]) for row in rows} == {
        f"{row['label']}/{int(row['file'].rpartition(' ')[2]):02}.png": row["predicted"] for row in published
    }
    assert all(0.1 <= row["probability"] <= 1 and row["label_name"] == str(row["label"]) for row in rows)


def test_the_text_says_that_the_images_are_not_published_how_many_classes_and_what_was_changed(
    weights: Path, written: Path
) -> None:
    done = run("--weights", weights, "--data", f"folder:{written}", "--crop", "0.8", "--size", "12", "--flip")
    text = " ".join(done.stdout.split())
    assert NOT_PUBLISHED in text
    assert "images of 8 of 10 classes" in text
    assert "not the published way of evaluating: crop 0.8, size 12, flip" in text


def test_the_published_crop_and_size_are_not_a_change(weights: Path, written: Path) -> None:
    done = run("--weights", weights, "--data", f"folder:{written}", "--crop", "1", "--size", "8", "--json")
    assert json.loads(done.stdout)["changes"] == []


def test_folders_for_another_number_of_classes_than_the_weights_know_are_refused(weights: Path, pets: Path) -> None:
    done = run("--weights", weights, "--data", f"folder:{pets}")
    assert done.exit_code == 2
    assert "has 3 class folders, and the weights in quick.safetensors know 10 classes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "folder:.", "--dataset", "Digits"), "give one of the two"),
        (("--predictions", "found.txt"), "found.txt must end in .csv or .json"),
    ],
)
def test_wrong_usage_is_reported_at_once(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_bad_photo_ends_with_status_1_and_resume_gives_the_result_of_a_run_without_it(
    weights: Path, written: Path, tmp_path: Path
) -> None:
    folder, output = tmp_path / "digits", tmp_path / "found.json"
    shutil.copytree(written, folder)
    bad = next((folder / "3").iterdir())
    whole = break_file(bad)
    common = ("--weights", weights, "--data", f"folder:{folder}", "--output", output)
    done = run(*common)
    assert done.exit_code == 1
    assert f"{bad} cannot be decoded" in done.stderr
    assert "1 of " in done.stderr
    assert "use --resume" in done.stderr
    assert not output.exists()
    assert (tmp_path / "found.json.partial").is_dir()
    bad.write_bytes(whole)
    assert run(*common, "--resume").exit_code == 0
    resumed = json.loads(output.read_text())
    straight = json.loads(run(*common[:-2], "--json").stdout)
    assert resumed["loss"] == pytest.approx(straight["loss"], rel=1e-6)
    for name in ("seconds", "images_per_second", "loss", "ece", "bins"):  # times, and what rounding changes
        del resumed[name], straight[name]
    assert resumed == straight


def test_checking_a_folder_says_what_it_is(pets: Path) -> None:
    done = CliRunner().invoke(datasets_, ["--check", f"folder:{pets}"])
    assert f"folder:pets test: 6 images of 3 classes, {NOT_PUBLISHED}" in done.stdout
