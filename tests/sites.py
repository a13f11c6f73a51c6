"""A site of small networks with counts that are easy to do by hand, and the shared cases: written, built, audited."""

from __future__ import annotations

import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

from cardproof.core.settings import Settings, SnippetSettings
from cardproof.plan.options import MeasureOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cardproof.report.finished_run import Run

ONE_JOB = MeasureOptions(jobs=1)

TINY = '''
"""A zoo of one small network: ``tiny`` and its wider sister ``tiny_16``."""

from torch import nn


class Zoo:
    def build(self, name):
        if name not in ("tiny", "tiny_16"):
            raise LookupError(f"no model {name}")
        width = 16 if name == "tiny_16" else 8
        return nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 10),
        )

    def preprocessing(self, name):
        return {"image_size": 32, "crop_pct": 0.875, "interpolation": "bilinear", "mean": (0.5,) * 3}
'''
PARAMETERS = 3 * 8 * 9 + 8 + 8 + 8 * 10 + 10  # convolution, batch norm's weight and bias, linear layer = 322
MULTIPLY_ADDS = 16 * 16 * 8 * 3 * 9 + 8 * 10  # of a 32x32 image: stride 2 halves both sides = 55,376

CARD = """# Tiny

A network of one convolution.

{% include 'code_snippets.md' %}

<!--
Type: model-index
Collections:
- Name: Tiny
Models:
- Name: tiny
  In Collection: Tiny
  Metadata:
    FLOPs: 55376
    Parameters: 322
    Image Size: '32'
-->
"""
OTHER = CARD.replace("Name: tiny\n", "Name: tiny_16\n").replace("322", "634").replace("55376", "110752")
"""Of the wider sister: 3 * 16 * 9 + 32 + 160 + 10 parameters, 16 * 16 * 16 * 3 * 9 + 160 multiply-adds."""
SNIPPETS = "## Use it\n\n```python\nname = '{{ model_name }}'\n```\n"
CONFIG = """site_name: Tiny
plugins:
- cardproof:
    zoo: zoo.py:Zoo
    snippets: {run: false}
"""


def write_site(folder: Path, card: str = CARD) -> Path:
    """Write a site with one card and its zoo; return its folder."""
    models = folder / "templates" / "models"
    models.mkdir(parents=True)
    (folder / "zoo.py").write_text(TINY)
    (folder / "mkdocs.yml").write_text(CONFIG)
    (folder / "templates" / "code_snippets.md").write_text(SNIPPETS)
    (models / "tiny.md").write_text(card)
    return folder


def build(site: Path, **options) -> Run:
    """Render a site as its configuration says."""
    from cardproof.build import render
    from cardproof.core.settings import load_settings

    return render(load_settings(site / "mkdocs.yml"), ONE_JOB, **options)


class Done(NamedTuple):
    """What became of a command."""

    returncode: int
    stdout: str
    stderr: str


def cardproof(*arguments: str) -> Done:
    """Run a command in this process, from what its console script calls to its exit status."""
    from cardproof.commands.cli import main

    return run_main(main, "cardproof", *arguments)


def refusal(*arguments: str) -> str:
    """Return what a command says as it refuses its input: it ends with 2, prints nothing and shows no traceback."""
    done = cardproof(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def mkdocs(*arguments: str) -> Done:
    """Run MkDocs in this process, without its advertisement."""
    from mkdocs.__main__ import cli

    with patch.dict("os.environ", NO_MKDOCS_2_WARNING="1"):
        return run_main(cli, "mkdocs", *arguments)


def run_main(main: Callable[[], object], *command: str) -> Done:
    """Run a program in this process with the words of its command line, its own name first."""
    out, err = BytesIO(), BytesIO()
    stdout, stderr = TextIOWrapper(out, "utf-8"), TextIOWrapper(err, "utf-8", "backslashreplace")
    with redirect_stdout(stdout), redirect_stderr(stderr), patch.object(sys, "argv", list(command)):
        try:
            main()
        except SystemExit as ended:
            stdout.flush()
            stderr.flush()
            return Done(int(ended.code or 0), out.getvalue().decode(), err.getvalue().decode())
    raise AssertionError("the command ended without an exit status")


TOY_ZOO = '''
"""Networks of one case: ``toynet_W`` is ``ToyNet(width=W)``."""

import toynet


class Zoo:
    def build(self, name):
        return toynet.ToyNet(width=int(name.split("_")[1]))

    def preprocessing(self, name):
        return getattr(toynet, "preprocess", None)
'''


def copy_case(shared: Path, name: str, to: Path) -> Path:
    """Copy the case whose folder starts with ``name``; return the copy."""
    (folder,) = (shared / "cases" / "cards").glob(f"{name}*")
    copy = to / folder.name
    shutil.copytree(folder, copy)
    if (copy / "toynet.py").is_file():
        (copy / "zoo.py").write_text(TOY_ZOO)
    return copy


def settings_of(case: Path, **options) -> Settings:
    """Return settings for a case: its own zoo where it has one, its own folder as templates, pages in ``out``."""
    zoo = f"{case / 'zoo.py'}:Zoo" if (case / "zoo.py").is_file() else None
    options.setdefault("snippets", SnippetSettings(run=False))
    return Settings(base=case, zoo=zoo, templates=case, out=case / "out", evidence=case / "out" / "evidence", **options)
