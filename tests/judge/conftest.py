"""The published cards of timm: rendered once, since measuring 220 networks takes most of what their tests take."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from difflib import get_close_matches
from pathlib import Path

import pytest
from msgspec.structs import replace

from cardproof.core.settings import Settings
from cardproof.core.types import Counts, Environment, Evidence, Head
from cardproof.judge.judge import Verdicts, judge
from cardproof.measure.gather import GatheredEvidence
from cardproof.plan.needs import plan
from cardproof.read import read_cards


class Corpus:
    """A site of 50 published cards with a cache of its own."""

    def __init__(self, folder: Path, cards: Path) -> None:
        """Write the site and render it from nothing."""
        self.folder = folder
        self.evidence = folder / "evidence"
        """What the first render put on record, whatever is rendered later."""
        shutil.copytree(cards, folder / "templates/models")
        (folder / "templates/code_snippets.md").write_text("## Use it\n\n```python\nname = '{{ model_name }}'\n```\n")
        (folder / "mkdocs.yml").write_text(
            "site_name: Corpus\nplugins:\n- cardproof: {zoo: timm, snippets: {run: true}}\n"
        )
        summary = self.render()["summary"]
        assert (summary["measured"], summary["unmeasured"]) == (219, 1)  # timm has no model gluon_xception65
        shutil.copytree(folder / "docs/evidence", self.evidence)

    def render(self, *blocked: str) -> dict:
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
        script = self.folder / "run.py"
        script.write_text(code)
        environment = os.environ | {"XDG_CACHE_HOME": str(self.folder / "cache")}
        command = [sys.executable, str(script)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def corpus(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    pytest.importorskip("timm")
    return Corpus(tmp_path_factory.mktemp("corpus"), shared / "corpora" / "timm-model-templates")


NOWHERE = Environment("2026-11-25T05:00:00Z", 1.0, "meta", "3.11", "2.14", "torchvision 0.29", "x86_64")


@pytest.fixture
def judge_card(write):
    """Return a function that judges a card with made-up measurements: parameters and multiply-adds by the model's name.

    A model without them is one that the zoo does not have. ``facts`` are further fields of the evidence, and
    ``doubts`` why a model may be another network, by the model's name.
    """

    def _judge(text: str, counts: dict[str, tuple[int, int]], name="README.md", doubts=None, **facts) -> Verdicts:
        reading = read_cards([write(name, text)])
        (card,) = reading.cards
        models = tuple(replace(model, doubt=(doubts or {}).get(model.name, "")) for model in card.models)
        reading.cards = [replace(card, models=models)]
        needs = plan(reading)
        evidence = {}
        for need in needs.values():
            error = None if need.model in counts else f"LookupError: timm has no model '{need.model}'"
            found = Evidence(need.model, "timm", need.model, "key", None, (), None, error, NOWHERE)
            if error:
                found = replace(found, near_names=tuple(get_close_matches(need.model, counts, 1)))
            else:
                parameters, multiply_adds = counts[need.model]
                head = Head(512, 1000, True)
                measured = Counts((3, 224, 224), (1, 1000), parameters, 0, multiply_adds, 0, 0, 1, head, {}, "net:Net")
                given = {key: value.get(need.model, ()) for key, value in facts.items()}
                found = replace(found, counts=measured, **given)
            evidence[need] = found
        return judge(reading, needs, GatheredEvidence(evidence), Settings(zoo="timm"), ())

    return _judge
