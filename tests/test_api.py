"""The public API: each name is what its module defines, is documented, and costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from sites import ONE_JOB, write_site

import cardproof
from cardproof.commands.cli import cardproof as program
from cardproof.core.settings import load_settings
from cardproof.render.reference import reference_pages

PAGE = reference_pages(Path(), program)[Path("api.md")]


@pytest.mark.parametrize("name", [name for name in cardproof.__all__ if name != "render"])
def test_a_public_name_is_what_its_module_defines_and_is_documented(name):
    assert getattr(cardproof, name) is getattr(import_module(cardproof.PUBLIC[name]), name)
    assert f"\n## {name}\n" in PAGE


def test_render_is_the_function_and_the_room(tmp_path, monkeypatch):
    from cardproof import render

    monkeypatch.chdir(tmp_path)
    site = write_site(tmp_path)
    run = render(load_settings(site / "mkdocs.yml"), ONE_JOB)
    assert (run.exit, run.measured) == (0, 1)
    assert (site / "docs/models/tiny.md").is_file()
    assert render.reference.PUBLIC is cardproof.PUBLIC


def test_all_public_names_are_in_the_reference_and_others_are_no_attributes():
    assert sorted(cardproof.PUBLIC) == sorted(cardproof.__all__)
    assert [line[3:] for line in PAGE.splitlines() if line.startswith("## ")] == list(cardproof.PUBLIC)
    assert ":`" not in PAGE
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        cardproof.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_of_it_but_an_empty_room():
    code = "import sys, cardproof; print(*sorted(name for name in sys.modules if name.startswith('cardproof')))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "cardproof cardproof.render\n"


def test_the_example_of_the_reference_runs(tmp_path):
    (tmp_path / "README.md").write_text("# A page\n\nWithout claims.\n")
    code = PAGE.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
