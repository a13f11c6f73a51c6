"""Fixes as text edits: only the claimed values change, a second run changes nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sites import ONE_JOB, cardproof, copy_case, settings_of

from cardproof.build import audit
from cardproof.commands.edit import apply_fixes, fix_files
from cardproof.commands.header_edits import EditError
from cardproof.core.numbers import equal_as_written, parse_number
from cardproof.core.settings import Settings
from cardproof.core.types import Finding, Fix, Place
from cardproof.judge.checks._counts import fix_of
from cardproof.read import read_cards
from cardproof.read.models import make_claim

ROOT = Path(__file__).parents[2]


def changed_lines(before: bytes, after: bytes) -> list[int]:
    old, new = before.split(b"\n"), after.split(b"\n")
    assert len(old) == len(new)
    return [number for number, (a, b) in enumerate(zip(old, new, strict=True), 1) if a != b]


def test_01_swapped_values_are_swapped_back_and_nothing_else_changes(shared, tmp_path, monkeypatch):
    folder = copy_case(shared, "01", tmp_path)
    monkeypatch.chdir(folder)
    card = folder / "card.md"
    before = card.read_bytes()
    fix_files(audit([card], settings_of(folder), ONE_JOB).findings)
    assert changed_lines(before, card.read_bytes()) == [18, 19]
    again = audit([card], settings_of(folder), ONE_JOB)
    assert again.exit == 0
    assert fix_files(again.findings) == {}


def test_02_the_command_fixes_and_then_says_what_is_left(shared, tmp_path, monkeypatch):
    folder = copy_case(shared, "02", tmp_path)
    monkeypatch.chdir(folder)
    before = (folder / "card.md").read_bytes()
    for said in ("card.md: 1 fix was made\n", "nothing to fix\n"):
        run = cardproof("audit", "card.md", "--zoo", "zoo.py:Zoo", "--fix")
        assert (run.returncode, run.stderr) == (0, said)
    assert (folder / "card.md").read_bytes() == before.replace(b"FLOPs: 221264", b"FLOPs: 55376")


def test_34_line_ends_stay_after_a_fix(shared, tmp_path, monkeypatch):
    folder = copy_case(shared, "34", tmp_path)
    monkeypatch.chdir(folder)
    assert cardproof("edit", "README.md", "license=apache-2.0").returncode == 0
    assert Path("README.md").read_bytes() == b"---\r\n---\r\nlicense: apache-2.0\r\n---\r\n\r\n# ToyNet\r\n"


def test_35_a_byte_order_mark_is_taken_off(shared, tmp_path, monkeypatch):
    folder = copy_case(shared, "35", tmp_path)
    monkeypatch.chdir(folder)
    for name in ("card.md", "README.md"):
        path = folder / name
        before = path.read_bytes()
        fix_files(audit([path], Settings()).findings)
        assert b"\xef\xbb\xbf" + path.read_bytes() == before
        assert not [f for f in audit([path], Settings()).findings if f.check == "byte-order-mark"]


@pytest.mark.parametrize("seed", ["0", "1"])
def test_37_one_field_changes_and_the_layout_stays(shared, tmp_path, seed):
    folder = copy_case(shared, "37", tmp_path)
    card = folder / "README.md"
    before = card.read_bytes()
    environment = {"PYTHONPATH": f"{ROOT / 'tools'}:{ROOT}", "PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "cardproof", "edit", "README.md", "license=apache-2.0"]
    for _ in range(2):
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        assert changed_lines(before, card.read_bytes()) == [3]
        assert card.read_bytes() == before.replace(b"license: mit", b"license: apache-2.0")


def test_32_no_edit_leaves_the_file_byte_for_byte(shared, tmp_path, monkeypatch):
    folder = copy_case(shared, "32", tmp_path)
    monkeypatch.chdir(folder)
    before = Path("README.md").read_bytes()
    assert fix_files(audit([Path("README.md")], Settings()).findings, unsafe=True) == {}
    assert cardproof("edit", "README.md", "license=mit").stdout == "README.md: license is already mit\n"
    assert Path("README.md").read_bytes() == before


def test_a_fix_that_would_change_another_value_is_refused(write):
    card = write("README.md", "---\na: 1\nb: 2\n---\n")
    wrong = Finding(Place("README.md", 2, 4, 5), "x", "error", "m", None, Fix(2, 4, 5, "1\nb: 3\nc: 4", safe=True))
    with pytest.raises(EditError):
        fix_files([wrong])
    assert card.read_text() == "---\na: 1\nb: 2\n---\n"


def test_a_value_that_two_models_inherit_and_that_is_wrong_for_both_is_left_alone(write):
    write("card.md", "---\na: 1\n---\n")
    place = Place("card.md", 2, 4, 5)
    rivals = [Finding(place, "x", "error", "m", None, Fix(2, 4, 5, text, safe=True)) for text in ("2", "3")]
    assert fix_files(rivals) == {}


def test_what_is_not_measured_is_written_only_when_asked(write):
    write("card.md", "---\na: 1\n---\n")
    guess = Finding(Place("card.md", 2, 4, 5), "x", "error", "m", None, Fix(2, 4, 5, "2"))
    assert fix_files([guess]) == {}
    assert list(fix_files([guess], unsafe=True)) == [Path("card.md")]


STYLES = st.sampled_from(["{}", "'{}'", '"{}"', "{}  # note", "'{}'   # as the paper says"])
ENDS = st.sampled_from(["\n", "\r\n"])


@given(
    st.lists(st.tuples(st.integers(1, 10**12), STYLES, st.integers(1, 10**12)), min_size=1, max_size=8),
    ENDS,
    st.booleans(),
    st.data(),
)
def test_edits_change_the_values_that_they_name_and_nothing_else(values, end, mark, data):
    lines = ["Type: model-index  # an index", "Models:"]
    wanted = {}
    for number, (value, style, _) in enumerate(values):
        lines += [f"- Name: m{number}", "  Metadata:", f"    FLOPs: {style.format(value)}"]
    text = ("\ufeff" if mark else "") + end.join(["# Title", "", "<!--", *lines, "-->", ""])
    chosen = data.draw(st.sets(st.integers(0, len(values) - 1)))
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        card = Path(folder) / "card.md"
        card.write_bytes(text.encode())
        claims = {claim.model: claim for claim in read_cards([card]).claims}
        fixes = []
        for number in chosen:
            claim = claims[f"m{number}"]
            new = str(values[number][2])
            wanted[claim.model] = new
            place = claim.place
            fixes.append(Fix(place.line, place.column, place.end_column, f"{claim.style}{new}{claim.style}", safe=True))
        findings = [Finding(Place(str(card), fix.line, fix.column), "x", "error", "m", None, fix) for fix in fixes]
        fix_files(findings)
        after = card.read_bytes()
        again = {claim.model: claim.stated for claim in read_cards([card]).claims}
        assert again == {name: wanted.get(name, claim.stated) for name, claim in claims.items()}
        assert after.count(b"\r\n") == text.count("\r\n")
        assert after.startswith("\ufeff".encode()) == mark
        back = apply_fixes(after.decode(), [_back(fix, claims, values) for fix in fixes])
        assert back == text


def _back(fix: Fix, claims, values) -> Fix:
    claim = next(claim for claim in claims.values() if claim.place.line == fix.line)
    return Fix(fix.line, fix.column, fix.column + len(fix.text), f"{claim.style}{claim.stated}{claim.style}")


@given(
    st.sampled_from(["{:d}", "{:,d}", "{:_d}", "{:.2f}M", "{:.1f} G", "{:.3f}B", "{:d}000", "{:d}0000"]),
    st.integers(1, 10**7),
    st.integers(1, 10**12),
)
def test_a_measured_value_that_is_written_at_the_claims_precision_is_confirmed_then(form, stated, found):
    text = form.format(stated)
    number = parse_number(text, "count")
    claim = make_claim("m", "FLOPs", text, Place("card.md", 1, 1, 1 + len(text)))
    fix = fix_of(claim, number, found)
    if fix is None:
        assert found * 1000 < 10**9 or equal_as_written(found, number)
        return
    again = parse_number(fix.text, "count")
    assert equal_as_written(found, again)
    assert abs(again.value - found) * 200 <= found
    assert re.sub(r"[\d,_.]", "", fix.text) == re.sub(r"[\d,_.]", "", text)
    assert fix_of(replace(claim, stated=fix.text), again, found) is None


@pytest.mark.slow
def test_fixing_the_published_cards_of_timm_leaves_counts_at_a_refuted_size_alone_and_touches_only_the_claimed_values(
    shared, corpus, tmp_path, monkeypatch
):
    folder = tmp_path / "cards"
    shutil.copytree(shared / "corpora" / "timm-model-templates", folder)
    monkeypatch.chdir(tmp_path)
    settings = Settings(zoo="timm")
    before = {path: path.read_bytes() for path in sorted(folder.glob("*.md"))}
    claims = {(c.place.file, c.place.line): c for c in read_cards([folder]).claims}
    made = fix_files(audit([folder], settings, store=corpus.evidence).findings)
    assert sum(map(len, made.values())) > 200
    for path, old in before.items():
        new = path.read_bytes()
        shown = path.relative_to(tmp_path).as_posix()
        lines = changed_lines(old, new)
        assert lines == [fix.line for fix in made.get(Path(shown), [])]
        for line in lines:
            claim = claims[shown, line]
            was, now = (text.split(b"\n")[line - 1].decode() for text in (old, new))
            start, end = claim.place.column - 1, claim.place.end_column - 1
            assert claim.field in ("FLOPs", "Parameters")
            assert (now[:start], now[len(now) - (len(was) - end) :]) == (was[:start], was[end:])
    after = audit([folder], settings, store=corpus.evidence)
    refuted = [f for f in after.findings if f.check in ("flops", "parameters") and f.severity == "error"]
    assert all("The image size is refuted too: correct it first." in f"{f.message} {f.hint}" for f in refuted)
    assert len(refuted) < 10
    assert "828410000" in (folder / "ig-resnext.md").read_text()  # the zoo's rename leads to another network
    assert fix_files(after.findings) == {}
