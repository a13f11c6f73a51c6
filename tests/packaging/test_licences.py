"""Every file that is not plainly the project's own text is on the page of licences, and no row is stale."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| .+ \| (.+?) \| ([\w.-]+)[^|]* \|$", PAGE, re.MULTILINE)
PATTERNS = [pattern for files, _, _ in ROWS for pattern in files.split()]
LICENCES = {"Apache-2.0", "OFL-1.1", "CC0-1.0", "WordNet", "MIT"}


@pytest.fixture(scope="module")
def files() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of Git")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    return [name for name in found if (ROOT / name).exists()]


def test_each_file_of_others_is_named_with_its_licence(files):
    own = re.compile(r"\.(py|md)$|^docs/evidence/.*\.json$|^tests/fuzz/crashers\.json$")
    missing = [
        name for name in files if not own.search(name) and not any(fnmatch(name, pattern) for pattern in PATTERNS)
    ]
    assert missing == [], "add them to docs/licences.md"


def test_no_row_is_stale(files):
    assert [pattern for pattern in PATTERNS if not any(fnmatch(name, pattern) for name in files)] == []


def test_licences_are_those_that_may_be_bundled():
    assert {licence for _, _, licence in ROWS} == LICENCES
    assert len(ROWS) == PAGE.count("\n| `")


def test_the_texts_of_licences_that_ask_for_it_are_beside_the_files():
    for name in ("inter", "jetbrains-mono"):
        text = (ROOT / "docs" / "assets" / "fonts" / f"{name}-LICENSE.txt").read_text(encoding="utf-8")
        assert "SIL OPEN FONT LICENSE" in text.upper()
