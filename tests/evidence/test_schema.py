"""The published schema of records: made from the code, and true of every record of this site."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from cardproof.evidence.schema import evidence_schema, schema_text

ROOT = Path(__file__).parents[2]
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
