"""What pyproject.toml says: nothing twice, each extra in the page on installing, versions of Python from the lowest."""

from __future__ import annotations

import tomllib
from pathlib import Path

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
