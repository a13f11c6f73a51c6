"""The public API: each name is what its module defines, is documented, and costs nothing until it is used."""

from __future__ import annotations

import ast
import doctest
import pydoc
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from sites import ONE_JOB, write_site

import cardproof
from cardproof.commands.cli import cardproof as program
from cardproof.core.settings import load_settings
from cardproof.render.generated_reference import reference_pages

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
    assert render.generated_reference.PUBLIC is cardproof.PUBLIC


def test_all_public_names_are_in_the_reference_and_others_are_no_attributes():
    assert sorted(cardproof.PUBLIC) == sorted(cardproof.__all__)
    assert [line[3:] for line in PAGE.splitlines() if line.startswith("## ")] == list(cardproof.PUBLIC)
    assert ":`" not in PAGE
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        cardproof.nothing  # noqa: B018


def test_completion_and_help_show_all_public_names():
    assert set(cardproof.__all__) <= set(dir(cardproof))
    text = pydoc.plaintext.document(cardproof)
    assert "class Settings" in text
    assert re.search(r"\baudit\(\s*paths", text)
    assert cardproof.__doc__.splitlines()[0].removeprefix("Cardproof: ") in text


def test_type_checkers_find_each_public_name_in_the_module_that_defines_it():
    tree = ast.parse(Path(cardproof.__file__).read_text(encoding="utf-8"))
    (only_checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = {name.name: node.module for node in only_checked.body for name in node.names}
    assert imports == cardproof.PUBLIC
    assert Path(cardproof.__file__).with_name("py.typed").is_file()


def test_the_example_of_the_package_runs(write, warm_processes):
    write("README.md", "# My network\n\n| Model | Parameters |\n| --- | --- |\n| mynet | 9.9K |\n")
    write("mynet.py", "from torch import nn\n\n\ndef create(name):\n    return nn.Conv2d(3, 64, 3)\n")
    example = doctest.DocTestParser().get_doctest(cardproof.__doc__, {}, "cardproof", None, None)
    assert len(example.examples) == 6
    printed: list[str] = []
    doctest.DocTestRunner().run(example, out=printed.append)
    assert printed == []


def test_importing_the_package_imports_nothing_of_it_but_an_empty_room():
    code = "import sys, cardproof; print(*sorted(name for name in sys.modules if name.startswith('cardproof')))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "cardproof cardproof.render\n"


def test_the_example_of_the_reference_runs(tmp_path):
    (tmp_path / "README.md").write_text("# A page\n\nWithout claims.\n")
    code = PAGE.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
