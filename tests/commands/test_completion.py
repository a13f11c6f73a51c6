"""Completion, driven as a shell drives it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.shell_completion import get_completion_class

from cardproof.commands.cli import cardproof
from cardproof.report.formats import FORMATS


def complete(*words: str) -> list[str]:
    """Return what may stand in place of the last word."""
    completion = get_completion_class("bash")(cardproof, {}, "cardproof", "_CARDPROOF_COMPLETE")
    return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("au",), ["audit"]),
        (("audit", "--zoo", ""), ["res2next", "timm", "torchvision", "transformers"]),
        (("render", "--zoo", "to"), ["torchvision"]),
        (("export", "--zoo", "ti"), ["timm"]),
        (("explain", "closed"), ["closed-site"]),
        (("audit", "--force", ""), ["flops", "parameters", "results", "all"]),
        (("audit", "--tolerance", "FLO"), ["flops="]),
        (("audit", "--tolerance", "top-1-a"), ["top-1-acc=", "top-1-accuracy="]),
        (("audit", "--tolerance", "flops=w"), ["flops=written"]),
        (("audit", "--data", "Dig"), ["Digits="]),
        (("audit", "--format", ""), list(FORMATS)),
        (("audit", "--write", "s"), ["sarif="]),
        (("audit", "--tolerance", "nothing"), []),
    ],
)
def test_what_was_begun_is_completed(words, expected):
    assert complete(*words) == expected


def test_a_check_says_what_it_is_about():
    completion = get_completion_class("zsh")(cardproof, {}, "cardproof", "_CARDPROOF_COMPLETE")
    (item,) = completion.get_completions(["explain"], "closed-site")
    assert item.help == "Links"


def test_the_program_answers_a_shell():
    environment = {"_CARDPROOF_COMPLETE": "bash_complete", "COMP_WORDS": "cardproof audit --zoo t", "COMP_CWORD": "3"}
    command = [sys.executable, "-m", "cardproof"]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["plain,timm", "plain,torchvision", "plain,transformers"]
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_program_writes_what_a_shell_sources(shell):
    environment = {**os.environ, "_CARDPROOF_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-m", "cardproof"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "_CARDPROOF_COMPLETE" in done.stdout
    assert done.returncode == 0
