"""Baselines that cannot be read are bad input, in one sentence."""

from __future__ import annotations

import pytest

from cardproof.core.errors import InputError
from cardproof.report.baseline import FORMAT, read_baseline


def with_row(row: str) -> bytes:
    return f'{{"format": "{FORMAT}", "findings": [{row}]}}'.encode()


BROKEN = {
    "brackets": b"[" * 100_000,
    "utf-16": "{}".encode("utf-16"),
    "a list": b"[]",
    "another format": b'{"format": "other"}',
    "no rows": f'{{"format": "{FORMAT}"}}'.encode(),
    "rows of text": with_row('"a"'),
    "an infinite count": with_row('{"file": "a", "check": "b", "message": "c", "count": 1e999}'),
    "a list for a text": with_row('{"file": [], "check": "b", "message": "c", "count": 1}'),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_no_baseline_is_bad_input(tmp_path, content):
    (tmp_path / "baseline.json").write_bytes(content)
    with pytest.raises(InputError, match="this is not a baseline"):
        read_baseline(tmp_path / "baseline.json")
