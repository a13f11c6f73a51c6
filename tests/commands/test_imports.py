"""What is imported when: the warm path needs no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sites import write_site

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
"""


def python(code: str, blocked: tuple[str, ...]):
    program = BLOCK.format(blocked=blocked) + code
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "module", ["cardproof", "cardproof.read", "cardproof.commands.cli", "cardproof.build", "cardproof.report.terminal"]
)
def test_importing_cardproof_imports_neither_torch_nor_mkdocs_nor_pydantic(module):
    done = python(f"import {module}", ("torch", "mkdocs", "pydantic", "timm", "torchvision", "numpy"))
    assert done.returncode == 0, done.stderr


def test_importing_the_networks_zoo_imports_no_torch():
    assert python("import res2next, res2next.zoo; res2next.list_models()", ("torch",)).returncode == 0


def test_the_network_package_imports_nothing_from_the_tools():
    code = "import res2next, res2next.zoo, res2next.model; res2next.zoo.zoo.build('res2next50')"
    assert python(code, ("cardproof",)).returncode == 0


def test_a_warm_render_runs_where_torch_cannot_be_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_site(tmp_path)
    render = "from cardproof.commands.cli import main; sys.argv = ['cardproof', 'render', '--quiet']; main()"
    cold = python(render, ())
    assert cold.returncode == 0, cold.stderr
    warm = python(render, ("torch", "mkdocs", "timm", "torchvision", "numpy"))
    assert warm.returncode == 0, warm.stderr


@pytest.mark.parametrize(("page", "unneeded"), [("page.md", ()), ("README.md", ("markdown", "pymdownx"))])
def test_a_plain_page_is_run_where_only_what_it_needs_can_be_imported(tmp_path, monkeypatch, page, unneeded):
    monkeypatch.chdir(tmp_path)
    (tmp_path / page).write_text("# Page\n\n```python\nprint(1)\n# prints: 1\n```\n")
    run = f"from cardproof.commands.cli import main; sys.argv = ['cardproof', 'snippets', '{page}']; main()"
    done = python(run, ("torch", "mkdocs", "jinja2", "numpy", "yaml", "rich", "filelock", "doctest", *unneeded))
    assert (done.returncode, done.stdout[:15]) == (0, "1 page: 1 pass;"), done.stderr
