"""What is on an image, as a function and as a command."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from res2next import Prediction, UnreadableImage, classify, create_model, example_photo
from res2next import classification as module
from res2next.commands import main
from res2next.datasets import find_dataset
from res2next.errors import NoAnswer
from res2next.registry import Preprocessing, find
from res2next.transforms import evaluation_transform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN = Preprocessing((3, 8, 8), 1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
COLOURS = ("red", "green", "blue")


class MeanColour(nn.Module):
    """Its logits are ten times the means of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(10.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x.mean(dim=(2, 3))


def seen(image: Image.Image | Path | str, **options: object) -> tuple[Prediction, ...]:
    return classify(image, MeanColour(), preprocessing=PLAIN, classes=COLOURS, **options)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGB", size, colour)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(module.prepare_image(image))


@pytest.fixture
def tiny_weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(create_model("res2next_tiny").state_dict(), tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


@pytest.fixture
def a_fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("RES2NEXT_WEIGHTS", raising=False)
    module._load.cache_clear()
    yield
    module._load.cache_clear()  # of weights that a test made


def test_weights_that_were_trained_again_are_loaded_again(tiny_weights: Path, a_fresh_process: None) -> None:
    first = module.load_classifier("res2next_tiny", weights=tiny_weights)
    assert module.load_classifier("res2next_tiny", weights=tiny_weights) is first
    torch.manual_seed(1)
    torch.save(create_model("res2next_tiny").state_dict(), tiny_weights)
    assert module.load_classifier("res2next_tiny", weights=tiny_weights) is not first


# --- Predictions ---


def test_the_most_probable_class_comes_first_with_its_softmax() -> None:
    first, second, third = seen(plain((255, 0, 51)))  # logits 10, 0, 2
    total = np.exp(10) + np.exp(0) + np.exp(2)
    assert (first.name, first.index) == ("red", 0)
    assert first.probability == pytest.approx(np.exp(10) / total, rel=1e-6)
    assert [(p.name, p.index) for p in (second, third)] == [("blue", 2), ("green", 1)]
    assert third.probability == pytest.approx(1 / total, rel=1e-4)


def test_equal_probabilities_come_in_the_order_of_their_classes() -> None:
    assert [p.index for p in seen(plain((90, 90, 90)))] == [0, 1, 2]


def test_as_many_classes_come_as_are_asked_for_and_no_more_than_there_are() -> None:
    assert len(seen(plain((1, 2, 3)), top=2)) == 2
    assert len(seen(plain((1, 2, 3)), top=9)) == 3
    with pytest.raises(ValueError, match="top is 0: ask for at least one class"):
        seen(plain((1, 2, 3)), top=0)


def test_an_image_a_path_and_a_string_give_the_same(tmp_path: Path) -> None:
    image = plain((10, 200, 30))
    image.save(tmp_path / "photo.png")
    assert seen(image) == seen(tmp_path / "photo.png") == seen(str(tmp_path / "photo.png"))


def test_a_network_is_fed_by_its_preprocessing() -> None:
    torch.manual_seed(0)
    network = create_model("res2next_tiny").eval()
    entry = find("res2next_tiny")
    photo = Image.open(example_photo())
    with torch.inference_mode():
        expected = network(evaluation_transform(entry.preprocessing)(photo)[None])[0].softmax(0)
    found = classify(photo, network, preprocessing=entry.preprocessing, classes=[str(i) for i in range(10)], top=10)
    assert all(p.probability == float(expected[p.index]) for p in found)
    assert sum(p.probability for p in found) == pytest.approx(1)


def test_every_module_is_left_in_the_mode_that_it_was_in() -> None:
    network = create_model("res2next_tiny").train()
    frozen = network.get_submodule("bn1").eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    entry = find("res2next_tiny")
    classify(example_photo(), network, preprocessing=entry.preprocessing, classes=[str(i) for i in range(10)])
    assert all(part.training for part in network.modules() if part is not frozen)
    assert not frozen.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_network_that_fails_is_left_in_its_mode_too() -> None:
    network = create_model("res2next_tiny").train()
    with pytest.raises(RuntimeError, match="to have 1 channels"):
        classify(example_photo(), network, preprocessing=PLAIN, classes=COLOURS)
    assert network.training


def test_a_network_in_bfloat16_is_fed_in_bfloat16() -> None:
    found = classify(plain((255, 0, 0)), MeanColour().to(torch.bfloat16), preprocessing=PLAIN, classes=COLOURS)
    assert found[0].name == "red"
    assert found[0].probability > 0.99


def test_a_network_without_parameters_will_do() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    assert classify(plain((0, 0, 255)), network, preprocessing=PLAIN, classes=COLOURS)[0].name == "blue"


@pytest.mark.parametrize("given", [{}, {"preprocessing": PLAIN}, {"classes": COLOURS}])
def test_a_network_needs_preprocessing_and_classes(given: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="give preprocessing and classes"):
        classify(plain((1, 2, 3)), MeanColour(), **given)


def test_names_for_another_number_of_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="the network has 3 outputs, and there are 2 class names"):
        classify(plain((1, 2, 3)), MeanColour(), preprocessing=PLAIN, classes=("a", "b"))


# --- By name ---


@pytest.mark.usefixtures("a_fresh_process")
def test_a_model_by_name_loads_its_weights_once_and_names_its_data_sets_classes(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RES2NEXT_WEIGHTS", str(tiny_weights))
    found = classify(example_photo(), "res2next_tiny", top=10)
    tiny_weights.unlink()
    assert classify(example_photo(), "res2next_tiny.digits", top=10) == found
    entry = find("res2next_tiny")
    network = create_model("res2next_tiny")
    network.load_state_dict(module.load_classifier("res2next_tiny").network.state_dict())
    classes = find_dataset("Digits").classes
    assert classify(example_photo(), network, preprocessing=entry.preprocessing, classes=classes, top=10) == found


@pytest.mark.usefixtures("a_fresh_process")
def test_names_and_preprocessing_that_are_given_go_before_the_registrys(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RES2NEXT_WEIGHTS", str(tiny_weights))
    names = tuple("abcdefghij")
    shifted = replace(find("res2next_tiny").preprocessing, mean=(0.9,))
    as_is, other = (classify(example_photo(), "res2next_tiny", classes=names, preprocessing=p) for p in (None, shifted))
    assert {p.name for p in as_is} <= set(names)
    assert as_is != other


def test_imagenet_has_1000_different_names() -> None:
    classes = find_dataset(find("res2next50").dataset).classes
    assert len(set(classes)) == 1000
    assert [classes[i] for i in (0, 281, 999)] == ["tench", "tabby", "toilet tissue"]
    assert (classes[264], classes[474]) == ("Cardigan", "cardigan")


# --- Images as people have them ---


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_exif_says(tmp_path: Path, orientation: int) -> None:
    photo = Image.open(example_photo()).crop((20, 10, 180, 130))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "turned.png", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "turned.png"))
    assert module.open_image(tmp_path / "turned.png").tobytes() == upright.tobytes()
    assert (upright.size == photo.size) == (orientation < 5)


def test_16_bit_grey_is_scaled_where_pillow_would_cut_it_off(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257], [32896, 65407, 65406, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    # 257 steps of 16 bits are one of 8
    expected = [[0, 0, 1, 1], [128, 255, 254, 255]]
    assert np.asarray(module.open_image(tmp_path / "deep.png")).tolist() == expected
    assert pixels(Image.fromarray(values.astype(np.int32))).tolist() == expected


def test_integers_within_8_bits_stay() -> None:
    assert pixels(Image.fromarray(np.array([[0, 7, 255]], dtype=np.int32))).tolist() == [[0, 7, 255]]


def test_floating_point_values_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="does not say which of them is white: convert it to 8 bits"):
        seen(Image.fromarray(np.ones((4, 4), dtype=np.float32)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa"])
def test_transparency_is_dropped_and_the_colour_below_it_shows(mode: str) -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image = clear if mode == "RGBA" else clear.convert("LA") if mode == "LA" else Image.new(mode, (8, 8))
    assert seen(image) == seen(image.convert("RGB"))


@pytest.mark.filterwarnings("error")
def test_a_palette_with_transparency_is_read_without_a_warning() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 0, 255, 0])
    image.info["transparency"] = b"\x00\x80"
    assert seen(image)[0].name == "green"


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB"])
def test_images_of_other_modes_are_converted(mode: str) -> None:
    image = plain((200, 30, 30))
    image = image.convert(mode) if mode != "LAB" else Image.new("LAB", (8, 8))
    assert len(seen(image)) == 3
    if mode in {"P", "CMYK", "YCbCr", "HSV"}:
        assert seen(image)[0].name == "red"


def test_lab_colours_are_shown_to_networks_for_grey_images() -> None:
    network = create_model("res2next_tiny").eval()
    grey = Preprocessing((1, 8, 8), 1.0, "bilinear", (0.5,), (0.5,))
    found = classify(Image.new("LAB", (8, 8)), network, preprocessing=grey, classes="0123456789")
    assert len(found) == 5


def test_a_strip_that_would_take_gigabytes_is_refused_in_words(tmp_path: Path) -> None:
    Image.new("L", (1, 65000)).save(tmp_path / "strip.png")
    with pytest.raises(UnreadableImage, match=r"it has 1x65000 pixels, and [\d,]+x[\d,]+ once its shorter side fits"):
        classify(tmp_path / "strip.png", MeanColour(), preprocessing=Preprocessing(), classes=COLOURS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_outputs_that_are_no_numbers_are_no_answer(value: float) -> None:
    network = create_model("res2next_tiny").eval()
    torch.nn.init.constant_(network.fc.bias, value)
    grey = Preprocessing((1, 8, 8), 1.0, "bilinear", (0.5,), (0.5,))
    with pytest.raises(NoAnswer, match="10 of the network's 10 outputs are not finite numbers"):
        classify(Image.new("L", (8, 8)), network, preprocessing=grey, classes="0123456789")


def damaged(tmp_path: Path, damage: str) -> Path:
    written = io.BytesIO()
    Image.open(example_photo()).save(written, "PNG" if damage.endswith("png") else "JPEG")
    whole = written.getvalue()
    content = {
        "empty": b"",
        "text": b"# no image",
        "half jpeg": whole[: len(whole) // 2],
        "half png": whole[: len(whole) // 2],
        "broken png": whole[:60] + bytes(50) + whole[110:],
    }
    path = tmp_path / "photo"
    path.write_bytes(content[damage])
    return path


@pytest.mark.parametrize("damage", ["empty", "text", "half jpeg", "half png", "broken png"])
def test_a_file_that_is_no_whole_image_is_an_error_with_its_path(tmp_path: Path, damage: str) -> None:
    path = damaged(tmp_path, damage)
    with pytest.raises(UnreadableImage, match=r"photo cannot be read as an image: .") as caught:
        seen(path)
    assert caught.value.path == path


def test_an_image_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        seen(tmp_path / "nowhere.jpg")


# --- The command ---


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["classify", *map(str, arguments)])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def model(weights: Path) -> tuple[object, ...]:
    return ("--model", "res2next_tiny", "--weights", weights)


def test_the_command_prints_a_line_for_each_class(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_weights: Path
) -> None:
    photo, other = example_photo(), tmp_path / "other.png"
    Image.new("L", (9, 9), 3).save(other)
    status, out, err = run(capsys, photo, other, *model(tiny_weights), "--top", 2)
    assert (status, err) == (0, "")
    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[0] for line in lines] == [str(photo)] * 2 + [str(other)] * 2
    found = module.load_classifier("res2next_tiny", weights=tiny_weights).classify(photo, 2)
    assert lines[0] == [str(photo), str(found[0].index), f"{found[0].probability:.6f}", found[0].name]


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str], tiny_weights: Path) -> None:
    status, out, _ = run(capsys, example_photo(), example_photo(), *model(tiny_weights), "--json")
    first, second = json.loads(out)
    assert status == 0
    assert first == second
    assert first["image"] == str(example_photo())
    assert [set(one) for one in first["predictions"]] == [{"name", "index", "probability"}] * 5


def test_on_a_terminal_a_table_is_printed(
    capsys: pytest.CaptureFixture[str], tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = run(capsys, example_photo(), *model(tiny_weights), "--top", 1)
    header, row = click.unstyle(out).splitlines()
    assert status == 0
    assert header.split() == ["image", "class", "index", "probability"]
    assert row.startswith(str(example_photo()))
    assert row.rstrip().endswith("%")


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_an_image_that_cannot_be_read_is_named_and_the_others_are_classified(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_weights: Path, as_json: tuple[str, ...]
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    status, out, err = run(capsys, text, example_photo(), *model(tiny_weights), *as_json)
    assert status == 1
    assert err == f"error: {text} cannot be read as an image: it is in no format that Pillow knows\n"
    alone = run(capsys, example_photo(), *model(tiny_weights), *as_json)
    assert alone == (0, out, "")


def test_a_folder_is_all_images_in_it_by_path(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_weights: Path
) -> None:
    names = ("b.png", "a/2.PNG", "a/1.bmp", ".hidden.png", "notes.txt")
    for name in names:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 50).save(tmp_path / "photos" / name, "PNG")
    status, out, _ = run(capsys, tmp_path / "photos", *model(tiny_weights), "--json")
    found = [row["image"].removeprefix(f"{tmp_path}/photos/") for row in json.loads(out)]
    assert (status, found) == (0, ["a/1.bmp", "a/2.PNG", "b.png"])


def test_a_folder_without_images_is_bad_input(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_weights: Path
) -> None:
    (tmp_path / "photos").mkdir()
    status, _, err = run(capsys, tmp_path / "photos", *model(tiny_weights))
    assert status == 2
    assert "photos cannot be read as an image: the folder has no file that ends in .jpeg, .jpg" in err


@pytest.mark.parametrize("optimize", ["--optimize", "--no-optimize"])
def test_batches_and_the_optimized_network_give_the_probabilities_of_single_images(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_weights: Path, optimize: str
) -> None:
    for number in range(9):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)).save(
            tmp_path / f"{number}.png"
        )
    _, out, _ = run(capsys, tmp_path, *model(tiny_weights), "--json", "--batch-size", 4, optimize)
    rows = json.loads(out)
    assert len(rows) == 9
    classifier = module.load_classifier("res2next_tiny", weights=tiny_weights)
    for number, row in enumerate(rows):
        alone = {p.index: p.probability for p in classifier.classify(tmp_path / f"{number}.png", 10)}
        assert all(p["probability"] == pytest.approx(alone[p["index"]], abs=1e-5) for p in row["predictions"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'IMAGE...'"),
        (("nowhere.png", "--model", "res2nxt50"), "res2next has no model 'res2nxt50': did you mean res2next50"),
        (("a.png", "--model", "res2next_tiny", "--top", "0"), "0 is not in the range x>=1"),
        (("a.png", "--model", "res2next_tiny", "--device", "abacus"), "'abacus' cannot be used here"),
        (("a.png", "--model", "res2next_tiny", "--weights", "nowhere.pth"), "there is no file nowhere.pth"),
    ],
)
def test_wrong_usage_has_status_2_and_a_message(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert message in err


def test_a_missing_image_has_status_2_and_is_named(capsys: pytest.CaptureFixture[str], tiny_weights: Path) -> None:
    status, out, err = run(capsys, "nowhere.png", *model(tiny_weights))
    assert (status, out) == (2, "")
    assert "nowhere.png" in err


def test_without_a_model_res2next50_classifies_as_the_readme_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RES2NEXT_WEIGHTS", str(tmp_path / "mine.pth"))
    torch.save(create_model("res2next50").state_dict(), tmp_path / "mine.pth")
    status, out, _ = run(capsys, example_photo())
    assert status == 0
    assert len(out.splitlines()) == 5


def test_a_missing_engine_is_named_before_weights_are_looked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    status, _, err = run(capsys, tmp_path / "photo.png", "--weights", tmp_path / "none.pt", "--engine", "openvino")
    assert status == 2
    assert "the engine openvino needs the packages onnx and openvino" in err
