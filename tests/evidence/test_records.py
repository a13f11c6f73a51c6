"""Records of evidence: written at once, stale when an input changes, and as the published schema says."""

from __future__ import annotations

import json

import pytest
from convnets import ROOT
from jsonschema import Draft202012Validator, ValidationError
from report_runs import claim_rows
from sites import ONE_JOB, PARAMETERS

from cardproof.build import render
from cardproof.core.digests import digest_of_data
from cardproof.core.errors import InputError
from cardproof.core.json import NewerError, TamperedError, dump_sealed, to_plain_data
from cardproof.core.settings import load_settings
from cardproof.evidence.records import Record, load_record
from cardproof.evidence.schema import evidence_schema, schema_text
from cardproof.measure import gather
from cardproof.snippets.results import SCHEMA, load_runs
from cardproof.zoos import ZooError

GONE = object()
"""For :func:`rewrite`: a field that the record shall not have."""


def build(site, **options):
    return render(load_settings(site / "mkdocs.yml"), ONE_JOB, **options)


def record(site, name: str = "tiny") -> Record:
    return load_record(site / f"docs/evidence/{name}.json")


def edit(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def rewrite(path, **changes) -> None:
    """Change fields of a record and seal it again, as another version of cardproof would have written it."""
    content = json.loads(path.read_text())
    content.pop("seal")
    content = {name: value for name, value in (content | changes).items() if value is not GONE}
    path.write_text(json.dumps({**content, "seal": digest_of_data(content)}, indent=2))


def reasons(run) -> set[str]:
    return {claim["reason"] for claim in claim_rows(run) if claim["verdict"] == "unchecked"}


def verdicts(run) -> set[str]:
    return {claim["verdict"] for claim in claim_rows(run)}


@pytest.fixture
def interrupted(monkeypatch):
    """Let measuring end like a killed process after the first model."""
    measure = gather.measure

    def _measure(*arguments):
        for number, found in enumerate(measure(*arguments)):
            if number == 1:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(gather, "measure", _measure)


def test_what_was_finished_before_a_build_broke_off_is_on_record_and_no_page_is_written(site, interrupted):
    with pytest.raises(KeyboardInterrupt):
        build(site)
    assert len(list((site / "docs/evidence").iterdir())) == 1
    assert not (site / "docs/models").exists()


def test_a_build_after_one_that_broke_off_measures_only_the_rest(site, monkeypatch, interrupted):
    with pytest.raises(KeyboardInterrupt):
        build(site)
    monkeypatch.undo()
    monkeypatch.chdir(site)
    run = build(site)
    assert (run.measured, run.recalled) == (1, 1)
    assert {change.path.name for change in run.changes if change.path.parent.name != "assets"} == {
        "tiny.md",
        "other.md",
        "tiny.json",
        "tiny_16.json",
    }


def test_a_check_stores_nothing(site):
    build(site, check=True)
    assert not (site / "docs").exists()


def test_a_record_that_is_stored_at_once_is_reported_as_new_and_not_as_unchanged(site):
    run = build(site)
    assert {change.status for change in run.changes} == {"new"}


def test_a_file_that_is_no_record_is_not_overwritten(site):
    path = site / "docs/evidence/tiny.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"mine": true}')
    run = build(site)
    assert path.read_text() == '{"mine": true}'
    assert "hand-edit" in [finding.check for finding in run.findings if finding.place.file.endswith("tiny.json")]


def test_a_record_names_what_it_depends_on(site):
    build(site)
    inputs = dict(record(site).inputs)
    assert list(inputs) == ["method", "zoo", "network", "file of weights", "image size", "stated counts"]
    assert inputs["image size"] == "32x32"
    assert inputs["stated counts"] == "flops 55376, parameters 322"


def test_a_record_without_names_of_its_inputs_is_valid_and_gets_them(site):
    build(site)
    before = record(site)
    rewrite(site / "docs/evidence/tiny.json", inputs=GONE)
    assert record(site).inputs == ()
    run = build(site)
    assert run.measured == 0
    assert record(site) == before


@pytest.mark.parametrize("field", ["inputs", "sources", "recipe", "evaluations", "outdated"])
def test_a_record_from_before_a_field_was_added_can_be_read(site, field):
    build(site)
    rewrite(site / "docs/evidence/tiny.json", **{field: GONE})
    assert record(site).counts.parameters == PARAMETERS


def test_a_stale_record_of_a_network_that_cannot_be_built_now_is_unchecked_with_what_changed(site):
    build(site)
    before = (site / "docs/evidence/tiny.json").read_text()
    edit(site / "zoo.py", 'raise LookupError(f"no model {name}")', "pass")
    edit(site / "zoo.py", "width = 16", "raise OSError('no licence')\n        width = 16")
    run = build(site)
    assert verdicts(run) == {"unchecked"}
    (counted,) = {reason for reason in reasons(run) if "no licence" in reason}
    day = record(site).environment.measured[:10]
    assert f"evidence of {day} is on record, but since then the network changed" in counted
    assert (site / "docs/evidence/tiny.json").read_text() == before
    assert "no licence" in (site / "docs/models/tiny.md").read_text()


def test_a_network_that_can_be_built_again_finds_its_record(site):
    build(site)
    source = (site / "zoo.py").read_text()
    edit(site / "zoo.py", "width = 16", "raise OSError('no licence')\n        width = 16")
    build(site)
    (site / "zoo.py").write_text(source)
    run = build(site)
    assert (run.measured, run.exit) == (0, 0)


def test_a_changed_image_size_is_named_with_both_values(site):
    build(site)
    edit(site / "templates/models/tiny.md", "'32'", "'40'")
    edit(site / "zoo.py", "width = 16", "raise OSError('no licence')\n        width = 16")
    (reason,) = {reason for reason in reasons(build(site, only=("tiny",))) if "no licence" in reason}
    assert "the network and the image size (32x32, now 40x40) changed" in reason


def test_evidence_of_a_zoo_that_is_not_here_is_unchecked_and_kept(site, monkeypatch):
    from cardproof import zoos

    build(site)
    before = (site / "docs/evidence/tiny.json").read_text()

    def missing(name: str) -> str:
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError("thenets")

    monkeypatch.setattr(zoos, "digest_of_files", missing)
    run = build(site, check=True)
    assert verdicts(run) == {"unchecked"}
    day = record(site).environment.measured[:10]
    assert any("needs the package thenets" in r and f"evidence of {day} is on record" in r for r in reasons(run))
    assert not any(change.path.suffix == ".json" for change in run.changes if change.differs)
    assert (site / "docs/evidence/tiny.json").read_text() == before
    assert (run.recalled, run.measured) == (0, 0)


def test_evidence_of_a_zoo_that_cannot_be_imported_is_unchecked_and_kept(site):
    build(site)
    before = (site / "docs/evidence/tiny.json").read_text()
    (site / "zoo.py").write_text("import no_such_package\n")
    run = build(site)
    assert verdicts(run) == {"unchecked"}
    assert any("no_such_package" in r and "since then the zoo changed" in r for r in reasons(run))
    assert (site / "docs/evidence/tiny.json").read_text() == before


def test_a_zoo_that_cannot_be_loaded_stops_a_build_that_has_nothing_on_record(site):
    (site / "zoo.py").write_text("import no_such_package\n")
    with pytest.raises(ZooError, match="no_such_package"):
        build(site)


def test_a_record_of_a_newer_schema_stops_the_build_and_is_left_as_it_is(site):
    build(site)
    path = site / "docs/evidence/tiny.json"
    rewrite(path, schema="cardproof-evidence/2")
    before = path.read_text()
    with pytest.raises(InputError, match=r"evidence/tiny\.json:1:1: this record was written by a newer cardproof"):
        build(site)
    assert path.read_text() == before


def test_a_whole_record_with_a_field_that_nobody_knows_is_a_newer_one(site):
    build(site)
    rewrite(site / "docs/evidence/tiny.json", energy=3)
    with pytest.raises(NewerError, match="it has content that this one does not know"):
        record(site)


def test_runs_of_snippets_of_an_earlier_version_have_more_fields_and_can_be_read(tmp_path):
    runs = load_runs(ROOT / "docs/evidence/snippets/templates-models-res2next.json")
    earlier = [{**to_plain_data(run), "outline_key": "sha256:0", "first": 3, "starts": [3]} for run in runs]
    (tmp_path / "runs.json").write_text(dump_sealed(SCHEMA, {"runs": earlier}))
    assert runs
    assert load_runs(tmp_path / "runs.json") == runs


def test_a_record_with_another_seal_was_edited_by_hand(site):
    build(site)
    edit(site / "docs/evidence/tiny.json", '"parameters": 322', '"parameters": 323')
    with pytest.raises(TamperedError):
        record(site)


def test_every_model_of_one_worker_names_the_sources_that_the_zoo_loaded(site):
    (site / "lib").mkdir()
    (site / "lib/widths.py").write_text("WIDTH = 8\n")
    edit(
        site / "zoo.py",
        "from torch import nn",
        "import sys\nsys.path.insert(0, 'lib')\nimport widths\nfrom torch import nn",
    )
    build(site)
    assert {"lib/widths.py", "zoo.py"} <= dict(record(site).sources).keys()
    assert record(site).sources == record(site, "tiny_16").sources
    edit(site / "lib/widths.py", "8", "9")
    assert build(site).measured == 2


def test_the_time_of_a_reproducible_build_is_that_of_its_source(site, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    build(site)
    environment = record(site).environment
    assert (environment.measured, environment.seconds) == ("2023-11-14T22:13:20Z", 0.0)


def test_a_time_of_the_source_that_is_no_number_is_bad_input(site, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH=yesterday"):
        build(site)


RECORDS = sorted((ROOT / "docs/evidence").glob("*.json"))
VALIDATOR = Draft202012Validator(evidence_schema())


def test_the_committed_schema_is_what_the_code_says():
    assert (ROOT / "docs/data/evidence.schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_schema_is_one():
    Draft202012Validator.check_schema(evidence_schema())


def test_there_are_records():
    assert RECORDS


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_every_committed_record_is_as_the_schema_says_and_has_no_field_beyond_it(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    VALIDATOR.validate(record)
    assert record.keys() <= evidence_schema()["properties"].keys()


@pytest.mark.parametrize(
    ("field", "value"),
    [("model", 1), ("schema", "cardproof-evidence/2"), ("counts", {"parameters": "many"}), ("seal", "none")],
)
def test_a_record_with_a_wrong_value_is_not_as_the_schema_says(field, value):
    record = json.loads(RECORDS[0].read_text(encoding="utf-8"))
    with pytest.raises(ValidationError):
        VALIDATOR.validate({**record, field: value})
