"""What pyproject.toml says, and the page of licences: nothing twice, nothing missing, no stale row."""

from __future__ import annotations

import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {
    name: [Requirement(text) for text in requirements]
    for name, requirements in PROJECT["optional-dependencies"].items()
}
FOR_DEVELOPERS = {"dev", "fuzz"}


def test_no_package_is_listed_twice():
    lists = [map(Requirement, PROJECT["dependencies"]), *EXTRAS.values()]
    names = [canonicalize_name(requirement.name) for one in lists for requirement in one]
    assert sorted(set(names)) == sorted(names)


def test_the_tests_run_with_all_extras():
    (own,) = [requirement for requirement in EXTRAS["dev"] if requirement.name == PROJECT["name"]]
    assert own.extras == set(EXTRAS) - FOR_DEVELOPERS


def test_each_extra_is_on_the_page_on_installing():
    page = (ROOT / "docs" / "guide" / "install.md").read_text(encoding="utf-8")
    assert [name for name in set(EXTRAS) - FOR_DEVELOPERS if f"\n| `{name}` | " not in page] == []


def test_versions_of_python_are_named_from_the_lowest_on():
    prefix = "Programming Language :: Python :: 3."
    named = [text.removeprefix(prefix) for text in PROJECT["classifiers"] if text.startswith(prefix)]
    assert PROJECT["requires-python"] == f">=3.{named[0]}"
    assert named == sorted(named, key=int)


PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| .+ \| (.+?) \| ([\w.-]+)[^|]* \|$", PAGE, re.MULTILINE)
PATTERNS = [pattern for files, _, _ in ROWS for pattern in files.split()]
LICENCES = {"Apache-2.0", "OFL-1.1", "CC0-1.0", "WordNet", "MIT"}


@pytest.fixture(scope="module")
def files() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a Git checkout")
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
