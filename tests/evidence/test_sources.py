"""Evidence depends on all that a zoo of the user's own reads, and on the digest that it states of its networks."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import pytest
from report_runs import claim_rows
from sites import build

from cardproof.evidence.records import NAMES, Record, load_record, source_files, source_state
from cardproof.measure.tracked_files import _files, file_sources, track_files

READS = {
    "open": "json.load(open('widths.json'))",
    "pathlib": "json.loads(pathlib.Path('widths.json').read_text())",
    "descriptor": "json.loads(os.read(os.open('widths.json', os.O_RDONLY), 99))",
}


def record(site, name: str = "tiny") -> Record:
    return load_record(site / f"docs/evidence/{name}.json")


def verdicts(run) -> set[str]:
    return {claim["verdict"] for claim in claim_rows(run)}


def reasons(run) -> set[str]:
    return {claim["reason"] for claim in claim_rows(run) if claim["verdict"] == "unchecked"}


def edit(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def configured(site, how: str) -> None:
    """Let the zoo take the width of its network from a file of data."""
    edit(site / "zoo.py", 'width = 16 if name == "tiny_16" else 8', how)
    (site / "widths.json").write_text('{"tiny": 8}')
    (site / "templates/models/other.md").unlink()


@pytest.mark.attack(
    "zoo", "a JSON file that the zoo reads changes after the measurement", "the evidence is stale, and measured again"
)
@pytest.mark.parametrize("how", READS.values(), ids=READS)
def test_a_file_that_a_zoo_reads_while_it_builds_is_an_input(site, how):
    configured(site, f"import json, os, pathlib\n        width = {how}['tiny']")
    assert verdicts(build(site)) == {"confirmed"}
    assert dict(record(site).sources)["widths.json"].startswith("sha256:")
    assert build(site).measured == 0
    (site / "widths.json").write_text('{"tiny": 9}')
    checked = build(site, check=True)
    assert (checked.measured, checked.exit) == (1, 1)
    assert "refuted" in verdicts(checked)
    changed = build(site)  # the build that remembers cards sees it too
    assert changed.measured == 1
    assert "refuted" in verdicts(changed)


def test_a_file_that_a_zoo_reads_while_it_is_imported_is_an_input_of_each_model(site):
    edit(site / "zoo.py", "from torch import nn", "from torch import nn\nWIDTH = int(open('width.txt').read())")
    edit(site / "zoo.py", " else 8", " else WIDTH")
    (site / "width.txt").write_text("8")
    build(site)
    assert {"width.txt", "zoo.py"} <= dict(record(site).sources).keys()
    assert record(site).sources == record(site, "tiny_16").sources
    (site / "width.txt").write_text("9")
    assert build(site).measured == 2


def test_what_a_zoo_read_for_one_model_is_no_input_of_another(site):
    edit(site / "zoo.py", "width = 16", "open(f'{name}.txt').read()\n        width = 16")
    (site / "tiny.txt").write_text("")
    (site / "tiny_16.txt").write_text("")
    build(site)
    assert "tiny_16.txt" not in dict(record(site).sources)
    (site / "tiny_16.txt").write_text("other")
    assert build(site).measured == 1


def test_a_file_that_was_looked_for_and_missing_is_an_input(site):
    looks = "try:\n            width = int(open('override.txt').read())\n        except OSError:\n            width = 8"
    configured(site, looks)
    assert verdicts(build(site)) == {"confirmed"}
    assert dict(record(site).sources)["override.txt"] == "absent"
    assert build(site).measured == 0
    (site / "override.txt").write_text("9")
    assert "refuted" in verdicts(build(site))


def test_a_new_file_in_a_folder_that_a_zoo_lists_is_an_input(site):
    reads = "from pathlib import Path\n        width = sum(int(p.read_text()) for p in Path('conf').glob('*.txt'))"
    configured(site, reads)
    (site / "conf").mkdir()
    (site / "conf/a.txt").write_text("8")
    assert verdicts(build(site)) == {"confirmed"}
    assert dict(record(site).sources)["conf/*.txt"].startswith(NAMES)
    (site / "conf/notes.md").write_text("no input")
    assert build(site).measured == 0
    (site / "conf/b.txt").write_text("1")
    assert "refuted" in verdicts(build(site))


def test_what_a_zoo_writes_and_what_belongs_to_python_is_no_input(site):
    writes = "open('log.txt', 'w').write('x'); open('log.txt').read(); import colorsys; width = 8"
    configured(site, writes)
    build(site)
    assert dict(record(site).sources) == {"zoo.py": source_state("zoo.py")}


def test_a_compiled_module_beside_a_zoo_is_an_input(tmp_path, monkeypatch):
    from cardproof.measure.tracked_files import _module_sources

    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast.so").write_bytes(b"ELF")
    module = type(sys)("fast")
    module.__file__ = str(tmp_path / "fast.so")
    monkeypatch.setitem(sys.modules, "fast", module)
    assert _module_sources({"fast"}) == {"fast.so": source_state("fast.so")}


def test_a_network_that_reads_more_files_than_can_be_followed_is_not_measured(tmp_path, monkeypatch):
    from cardproof.measure import tracked_files

    monkeypatch.setattr(tracked_files, "MOST_FILES", 3)
    monkeypatch.setattr(_files, "read", set())
    monkeypatch.chdir(tmp_path)
    with track_files():
        for number in range(9):
            with pytest.raises(FileNotFoundError):
                (tmp_path / f"{number}.json").read_bytes()
    with pytest.raises(OSError, match="opened more than 3 files"):
        file_sources()


def test_a_distribution_and_a_file_of_one_name_are_distinguished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numpy").write_text("a file")
    assert source_state("numpy", "1.0") == version("numpy")
    assert source_state("numpy", "sha256:0").startswith("sha256:")
    assert {path.name for path in source_files((("numpy", "1.0"), ("a.json", "sha256:0"), ("b", "absent")))} == {
        "a.json",
        "b",
    }


def give_digest(site, *lines: str) -> None:
    """Give the zoo a method ``digest``; it imports torch where it builds, so that asking it takes no time."""
    body = "\n        ".join(lines)
    digest = (
        f"\n    def digest(self, name):\n        {body}\n\n    def build(self, name):\n        from torch import nn"
    )
    edit(site / "zoo.py", "\nfrom torch import nn\n", "")
    edit(site / "zoo.py", "\n    def build(self, name):", digest)


@pytest.mark.attack(
    "zoo", "an environment variable decides the network, and the zoo's digest says so", "stale when it changes"
)
def test_a_zoos_own_digest_is_asked_at_every_build(site, monkeypatch):
    give_digest(site, "import os", "print('asked for', name)", "return os.environ['WIDTHS']")
    monkeypatch.setenv("WIDTHS", "a")
    assert verdicts(build(site)) == {"confirmed"}
    assert build(site).measured == 0
    monkeypatch.setenv("WIDTHS", "b")
    assert build(site, check=True).measured == 2
    assert build(site).measured == 2


def test_a_zoos_own_digest_that_fails_is_the_reason_of_its_model_and_the_others_go_on(site):
    give_digest(site, "return 3 if name == 'tiny' else 'a'")
    run = build(site)
    of_model = {row["model"]: (row["verdict"], row["reason"]) for row in claim_rows(run)}
    assert of_model["tiny_16"] == ("confirmed", "")
    assert of_model["tiny"][0] == "unchecked"
    assert "the zoo's digest failed: TypeError: digest('tiny') returned int, not text" in of_model["tiny"][1]


@pytest.mark.parametrize("ending", ["raise SystemExit(0)", "import os; os._exit(0)", "import sys; sys.stdout.close()"])
def test_a_digest_that_ends_the_process_confirms_nothing(site, ending):
    give_digest(site, ending)
    run = build(site)
    assert verdicts(run) == {"unchecked"}
    assert all("the zoo's digest failed" in reason for reason in reasons(run))


def test_a_digest_that_hangs_is_ended(site, monkeypatch):
    from cardproof.zoos import source_digests

    monkeypatch.setattr(source_digests, "TIME_LIMIT", 1)
    give_digest(site, "while True: pass")
    assert any("the zoo took more than 1 seconds" in reason for reason in reasons(build(site)))


def test_a_zoo_that_only_has_the_word_is_asked_once(site, monkeypatch):
    from cardproof.zoos import source_digests

    (site / "helper.py").write_text("digest = None\n")
    build(site)
    monkeypatch.setattr(source_digests, "_ask_in_process", None)
    build(site)
    run = build(site)
    assert (run.measured, run.remembered) == (0, 2)


def test_a_record_of_another_model_is_not_used(site):
    """As where the file system ignores the case of ``Tiny`` and ``tiny``."""
    build(site)
    (site / "docs/evidence/tiny_16.json").replace(site / "docs/evidence/tiny.json")
    run = build(site, check=True)
    assert run.measured == 2
    assert verdicts(run) == {"confirmed"}


def test_a_result_on_data_is_stale_when_a_file_that_the_zoo_read_for_it_changes(tmp_path, monkeypatch):
    from cardproof.core.measurements import Evaluated
    from cardproof.plan.needed_evaluations import _changed_inputs

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mean.json").write_text("0.5")
    inputs = (("method", "m"), ("weights", "w"))
    fields = dict.fromkeys(Evaluated.__struct_fields__[:-1]) | {"inputs": inputs}
    result = Evaluated(**fields, sources=(("mean.json", source_state("mean.json")),))
    assert _changed_inputs(result, inputs) == []
    (tmp_path / "mean.json").write_text("0.4")
    assert _changed_inputs(result, inputs) == ["source mean.json"]


def test_records_of_zoos_without_data_have_the_bytes_that_they_had(site):
    build(site)
    stored = json.loads((site / "docs/evidence/tiny.json").read_text())
    assert stored["sources"] == [["zoo.py", source_state("zoo.py")]]
