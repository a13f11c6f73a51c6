"""A site of the published cards of timm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from filelock import FileLock
from warm import run_script

if TYPE_CHECKING:
    from pathlib import Path

    from sites import Done


class Corpus:
    """A site of 50 published cards with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.evidence = folder / "evidence"
        """What the first render put on record, whatever is rendered later."""
        self.lock = FileLock(f"{folder}.lock")
        """Held by a process that writes or renders the site."""

    def write(self, cards: Path) -> None:
        """Write the site and render it from nothing."""
        folder = self.folder
        shutil.copytree(cards, folder / "templates/models")
        (folder / "templates/code_snippets.md").write_text("## Use it\n\n```python\nname = '{{ model_name }}'\n```\n")
        (folder / "mkdocs.yml").write_text(
            "site_name: Corpus\nplugins:\n- cardproof: {zoo: timm, snippets: {run: true}}\n"
        )
        summary = self.render()["summary"]
        assert (summary["measured"], summary["unmeasured"]) == (219, 1)  # timm has no model gluon_xception65
        shutil.copytree(folder / "docs/evidence", self.evidence)

    def render(self, *blocked: str) -> dict:
        """Render in a fresh process in which some packages cannot be imported; return its report.

        If none is blocked, it is forked from one that has imported torch and timm.
        """
        code = (
            "import os, sys\n"
            f"os.chdir({str(self.folder)!r})\n"
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
        environment = {"XDG_CACHE_HOME": str(self.folder / "cache")}
        done: Done | subprocess.CompletedProcess[str]
        if blocked:
            command = [sys.executable, str(script)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
        else:
            done = run_script(script, **environment)
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)
