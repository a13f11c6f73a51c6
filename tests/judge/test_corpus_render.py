"""The published cards of timm, rendered: what costs nothing the second time, and what one edit costs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BLOCKED = ("torch", "torchvision", "timm", "mkdocs", "pydantic", "numpy")


@pytest.fixture(scope="module")
def site(shared, tmp_path_factory):
    """A site of 50 cards, rendered from nothing, with a cache of its own."""
    pytest.importorskip("timm")
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(shared / "corpora" / "timm-model-templates", folder / "templates" / "models")
    (folder / "templates/code_snippets.md").write_text("## Use it\n\n```python\nname = '{{ model_name }}'\n```\n")
    (folder / "mkdocs.yml").write_text("site_name: Corpus\nplugins:\n- cardproof: {zoo: timm, snippets: {run: true}}\n")
    assert render(folder)["summary"]["measured"] == 220
    return folder


def render(folder: Path, *blocked: str) -> dict:
    """Render in a fresh process in which some packages cannot be imported; return its report."""
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {blocked!r}:\n"
        "            raise ImportError('blocked: ' + name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "sys.argv = ['cardproof', 'render', '--json']\n"
        "from cardproof.commands.cli import main\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    script = folder / "run.py"
    script.write_text(code)
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def written(report: dict) -> set[str]:
    return {Path(page["page"]).name for page in report["pages"] if page["status"] != "unchanged"}


def test_a_second_run_measures_nothing_and_needs_no_torch(site):
    report = render(site, *BLOCKED)
    assert report["summary"]["measured"] == 0
    assert report["summary"]["snippets"] == "0 run, 50 recalled"
    assert written(report) == set()


def test_words_on_one_card_render_its_page_alone_and_need_no_torch(site):
    card = site / "templates/models/resnest.md"
    card.write_text(card.read_text().replace("\n\n", " again\n\n", 1))
    report = render(site, *BLOCKED)
    assert report["summary"]["measured"] == 0
    assert "resnest.md" in written(report)
    assert not [name for name in written(report) if name.endswith(".md") and name != "resnest.md"]


def test_a_claim_of_one_card_measures_its_model_alone(site):
    card = site / "templates/models/xception.md"
    text = card.read_text()
    assert text.count("Parameters: 22860000") == 1
    card.write_text(text.replace("Parameters: 22860000", "Parameters: 22860001"))
    report = render(site)
    assert report["summary"]["measured"] == 1
    assert {name for name in written(report) if name.endswith(".md")} == {"xception.md"}
