"""Sealed records that somebody damaged or forged: they are refused, and nothing else fails."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from convnets import ROOT
from msgspec import Struct
from sites import build

from cardproof.core.digests import digest_of_data
from cardproof.core.json import NewerError, TamperedError, dump_sealed, load_sealed
from cardproof.evidence.records import file_name, load_record


def resealed(path, change) -> None:
    """Change the content of a record and seal it again, as a forger would."""
    content = json.loads(path.read_text())
    content.pop("seal")
    change(content)
    path.write_text(json.dumps({**content, "seal": digest_of_data(content)}))


def a_number(content: dict, value) -> None:
    content["counts"]["parameters"] = value


def a_way(content: dict, factor) -> None:
    content["reproductions"] = [{"field": "flops", "stated": 1, "value": 1, "exact": True, "factor": factor}]


FORGED = {
    "text for a count": lambda content: a_number(content, "322"),
    "a negative count": lambda content: a_number(content, -1),
    "a huge count": lambda content: a_number(content, 10**40),
    "a count of nothing": lambda content: a_number(content, None),
    "an infinite duration": lambda content: content["environment"].update(seconds=float("inf")),
    "not a number": lambda content: content["environment"].update(seconds=float("nan")),
    "division by zero": lambda content: a_way(content, "1/0"),
    "a long fraction": lambda content: a_way(content, "1" * 5000),
    "no fraction": lambda content: a_way(content, [1, 0]),
    "an empty shape": lambda content: content["counts"].update(output_shape=[]),
    "no sides": lambda content: content["counts"].update(input_shape=[3, 0, 0]),
    "a missing part": lambda content: content.pop("counts"),
    "deep": lambda content: content.update(counts=json.loads("[" * 900 + "]" * 900)),
}
BYTES = {
    "brackets": b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "utf-16": '{"schema": "cardproof-evidence/1"}'.encode("utf-16"),
    "latin-1": b'{"schema": "\xe9"}',
    "empty": b"",
    "zeros": b"\0" * 5000,
    "list": b"[]",
    "text": b'"cardproof-evidence/1"',
    "digits": b'{"schema": "cardproof-evidence/1", "seal": ' + b"9" * 5000 + b"}",
}


@pytest.fixture
def stored(tmp_path):
    """A copy of a record of this project."""
    return Path(shutil.copy(ROOT / "docs/evidence/res2next50.json", tmp_path))


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_a_record_with_values_that_no_measurement_gives_is_refused(stored, change):
    resealed(stored, change)
    with pytest.raises(TamperedError):
        load_record(stored)


@pytest.mark.parametrize("content", BYTES.values(), ids=BYTES)
def test_a_record_that_is_not_json_is_refused(stored, content):
    stored.write_bytes(content)
    with pytest.raises(TamperedError):
        load_record(stored)


@pytest.mark.parametrize("length", [1, 20, 33, 34, 35, 100])
def test_a_record_that_was_cut_off_is_refused(stored, length):
    stored.write_bytes(stored.read_bytes()[:length])
    with pytest.raises(TamperedError):
        load_record(stored)


def pipe(path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def folder(path) -> None:
    path.unlink()
    path.mkdir()


NO_FILES = (device, folder, *([pipe] if hasattr(os, "mkfifo") else []))


@pytest.mark.parametrize("replace", NO_FILES)
def test_what_is_no_file_is_not_read_as_a_record(stored, replace):
    replace(stored)
    with pytest.raises(TamperedError):
        load_record(stored)


@pytest.mark.attack(
    "record",
    "a record is damaged, or sealed again with values that nothing measures",
    "not used; one finding at its file",
)
@pytest.mark.attack("record", "a pipe, a device or a folder has the name of a record", "not opened; one finding")
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: resealed(path, FORGED["division by zero"]),
        lambda path: resealed(path, FORGED["an empty shape"]),
        lambda path: path.write_bytes(BYTES["brackets"]),
        lambda path: path.write_bytes(BYTES["utf-16"]),
        lambda path: path.write_bytes(path.read_bytes()[:20]),
        *NO_FILES,
    ],
)
def test_a_damaged_record_is_one_finding_and_its_model_is_measured(site, damage):
    build(site)
    damage(site / "docs/evidence/tiny.json")
    run = build(site)
    assert run.measured == 1
    (found,) = [finding for finding in run.findings if finding.place.file.endswith("evidence/tiny.json")]
    assert found.check in ("evidence", "hand-edit")
    assert run.cards[0].tally["FLOPs"] == {"confirmed": 1}


def test_a_record_is_read_as_it_was_written(tmp_path):
    class Kept(Struct):
        number: int
        share: float

    (tmp_path / "a.json").write_text(dump_sealed("kept/1", {"number": 10**17, "share": 1e300}))
    assert load_sealed(tmp_path / "a.json", "kept/1", Kept) == Kept(10**17, 1e300)
    with pytest.raises(NewerError):
        load_sealed(tmp_path / "a.json", "kept/0", Kept)
    with pytest.raises(FileNotFoundError):
        load_sealed(tmp_path / "b.json", "kept/1", Kept)


def test_names_of_models_are_file_names_everywhere():
    ordinary = ("res2next50", "ResNet50", "a.b-c_d", "console", "nullnet", "com10", "x" * 100)
    assert [file_name(name) for name in ordinary] == [f"{name}.json" for name in ordinary]
    odd = (
        "CON",
        "nul",
        "aux.",
        "con.v2",
        "COM1",
        "lpt9.x",
        "net.",
        "..",
        "",
        "a/b",
        "a\\b",
        "x" * 101,
        "\ud800",
        ".a",
        "é",
    )
    files = [file_name(name) for name in odd]
    assert len({file.lower() for file in files}) == len(odd)
    for file in files:
        stem = file.removesuffix(".json")
        assert stem.partition(".")[0].lower() not in ("con", "nul", "aux", "com1", "lpt9", "")
        assert not stem.endswith(".")
        assert not set(file) & set('/\\:*?"<>|')
