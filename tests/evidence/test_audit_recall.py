"""What an audit of the command line remembers: in the user's cache, and by the records of the site that it runs in."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

import pytest
from sites import CARD, TINY, build, cardproof

from cardproof.core.cache import cache_path
from cardproof.core.types import Need
from cardproof.evidence.records import PrivateRecords, dependencies, file_name
from cardproof.plan.recall import recall

README = CARD.replace("{% include 'code_snippets.md' %}\n", "")
COLUMNS = "| Model | Params (K) | MACs (K) |\n| --- | --- | --- |\n| tiny | 0.322 | 55.4 |\n"


@pytest.fixture
def folder(write):
    write("zoo.py", TINY)
    return write("README.md", README).parent


def audit(*options: str) -> dict:
    done = cardproof("audit", "README.md", "--zoo", "zoo.py:Zoo", "--jobs", "1", "--json", *options)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def measured(*options: str) -> tuple[int, int]:
    summary = audit(*options)["summary"]
    return summary["measured"], summary["recalled"]


def test_a_second_audit_measures_nothing_and_says_the_same(folder):
    first, second = audit(), audit()
    assert (first["summary"]["measured"], first["summary"]["recalled"]) == (1, 0)
    assert (second["summary"]["measured"], second["summary"]["recalled"]) == (0, 1)
    assert first["claims"] == second["claims"]
    assert [path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"] == []


def test_the_second_audit_of_a_timm_model_does_not_import_torch(write, tmp_path):
    pytest.importorskip("timm")
    write("README.md", "| Model | Params |\n| --- | --- |\n| resnet18 | 11.69M |\n")
    assert cardproof("audit", "README.md", "--zoo", "timm").returncode == 0
    code = "import sys; sys.modules['torch'] = None; from cardproof.commands.cli import main; main()"
    command = [sys.executable, "-c", code, "audit", "README.md", "--zoo", "timm", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    summary = json.loads(done.stdout)["summary"]
    assert (done.returncode, summary["confirmed"], summary["recalled"]) == (0, 1, 1)


def test_a_changed_network_is_measured_again(folder):
    audit()
    zoo = folder / "zoo.py"
    zoo.write_text(zoo.read_text().replace("stride=2", "stride=1"))
    assert measured() == (1, 0)


def test_what_is_forced_is_measured_again(folder):
    audit()
    assert measured("--force", "all") == (1, 0)


def test_a_number_that_was_corrected_needs_no_measurement(folder):
    readme = folder / "README.md"
    readme.write_text(README.replace("322", "339"))
    assert audit()["summary"]["explained"] == 1
    readme.write_text(README)
    assert measured() == (0, 1)


def test_a_number_that_is_wrong_in_a_new_way_is_measured_to_explain_it(folder):
    audit()
    (folder / "README.md").write_text(README.replace("322", "339"))
    summary = audit()["summary"]
    assert (summary["measured"], summary["explained"]) == (1, 1)


def test_a_fix_measures_once(folder):
    (folder / "README.md").write_text(README.replace("55376", "221264"))
    assert measured("--fix") == (0, 1)
    assert (folder / "README.md").read_text() == README


def test_evidence_of_the_site_is_used_and_not_written(site):
    build(site)
    (site / "README.md").write_text(COLUMNS)  # other numbers than the template's, and no image size
    evidence = {path: path.read_bytes() for path in (site / "docs" / "evidence").iterdir()}
    summary = audit()["summary"]
    assert (summary["measured"], summary["recalled"], summary["confirmed"]) == (0, 1, 2)
    assert {path: path.read_bytes() for path in (site / "docs" / "evidence").iterdir()} == evidence


def test_damaged_records_are_measured_again(folder):
    audit()
    with sqlite3.connect(cache_path()) as database:
        database.execute("UPDATE results SET value = ?", (b"damaged",))
    assert measured() == (1, 0)


def test_a_cache_of_another_user_is_not_read(folder, monkeypatch):
    audit()
    monkeypatch.setattr("os.geteuid", lambda: -1)
    assert measured() == (1, 0)


def test_a_failure_that_may_pass_is_tried_again(folder):
    zoo = folder / "zoo.py"
    zoo.write_text(TINY.replace("return nn", "raise MemoryError('too much')\n        return nn"))
    assert audit()["summary"]["unmeasured"] == 1
    assert audit()["summary"]["recalled"] == 0


def test_a_dry_run_tells_what_is_remembered(folder):
    assert json.loads(cardproof("audit", "README.md", "--zoo", "zoo.py:Zoo", "--dry-run", "--json").stdout)["plan"]
    audit()
    done = cardproof("audit", "README.md", "--zoo", "zoo.py:Zoo", "--dry-run", "--json")
    assert json.loads(done.stdout)["summary"]["to_measure"] == 0


def test_an_audit_does_not_read_a_damaged_record_of_the_site_again(tmp_path, monkeypatch):
    folder = tmp_path / "docs" / "evidence"
    folder.mkdir(parents=True)
    (folder / file_name("tiny")).write_text("{}")
    monkeypatch.setattr("cardproof.plan.recall.is_record", lambda _: pytest.fail("it was read"))  # it may be unreadable
    need = Need("tiny", None, None, ())
    found = recall([need], {need: dependencies(need, "zoo", "")}, folder, PrivateRecords("zoo"))
    assert (found.valid, found.tampered) == ({}, [])
