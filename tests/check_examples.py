"""The examples on the pages of the checks; ``python tests/check_examples.py`` writes what is printed today into them.

The section "Example" of a check's docstring has files (blocks with a title) and a command with what it prints. A block
``diff`` in the section "Fix" is what the command in its title writes, or what a person writes; one in the section
"Ignore" adds the comment that accepts the finding.
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sites import cardproof

from cardproof.judge.checks import Check, all_checks

FENCE = re.compile(r'^(`{3,})(\w*)(?: title="([^"]*)")?\n(.*?)^\1$', re.MULTILINE | re.DOTALL)
SUMMARY = re.compile(r"claims about |\d+ claims? of |\d+ pages?: ")
"""How what follows the findings begins."""
WIDTH = 100
"""Columns of what a page shows of a terminal."""


class Change(NamedTuple):
    """A change of the card, and the command that makes it; a person makes it if there is none."""

    command: str
    diff: str

    def apply(self, card: str) -> str:
        before, after = (self._lines_with(sign) for sign in "-+")
        assert card.count(before) == 1, f"the card does not have these lines once:\n{before}"
        return card.replace(before, after)

    def _lines_with(self, sign: str) -> str:
        return "".join(f"{line[1:]}\n" for line in self.diff.splitlines() if line[0] in (" ", sign))


class Example(NamedTuple):
    """What the page of a check shows."""

    files: dict[str, str]
    command: str
    printed: str
    fixes: tuple[Change, ...]
    ignores: tuple[Change, ...]


def example_of(check: Check) -> Example:
    """Return the example of a check."""
    blocks = list(FENCE.finditer(section(check, "Example")))
    (console,) = (block[4] for block in blocks if block[2] == "console")
    command, _, printed = console.partition("\n")
    return Example(
        {block[3]: block[4] for block in blocks if block[3]},
        command.removeprefix("$ "),
        printed,
        *(tuple(_changes(section(check, name))) for name in ("Fix", "Ignore")),
    )


def section(check: Check, title: str) -> str:
    """Return the text below a heading of a check's page; empty if there is no such heading."""
    return check.page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _changes(text: str) -> list[Change]:
    return [Change(block[3] or "", block[4]) for block in FENCE.finditer(text) if block[2] == "diff"]


def run(command: str, files: dict[str, str], folder: Path) -> tuple[str, str]:
    """Run a command in a folder with these files; return what it prints, and the card afterwards."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = cardproof(*shlex.split(command)[1:])
    finally:
        os.chdir(before)
    assert done.returncode in (0, 1), done.stderr
    return findings_in(done.stdout), (folder / "card.md").read_text(encoding="utf-8")


def findings_in(printed: str) -> str:
    """Return the findings that a command printed, in lines of a page's width, or its summary if there are none."""
    lines = printed.splitlines()
    end = next((number for number, line in enumerate(lines) if SUMMARY.match(line)), len(lines))
    if not end:
        lines = [line for line in lines if re.match(r"\d+ claims? of |\d+ pages?: ", line)]
    shown = []
    for line in lines[: end or 1]:
        indent = line[: len(line) - len(line.lstrip())]
        shown += textwrap.wrap(
            line, WIDTH, subsequent_indent=indent or "    ", break_long_words=False, break_on_hyphens=False
        )
    return "\n".join(shown) + "\n"


def update(check: Check, path: Path) -> None:
    """Write what the command of an example prints into the docstring of a check, in its file."""
    example = example_of(check)
    with TemporaryDirectory() as folder:
        printed, _ = run(example.command, example.files, Path(folder))
    text = path.read_text(encoding="utf-8")
    shown = f"$ {example.command}\n"
    path.write_text(text.replace(shown + example.printed, shown + printed), encoding="utf-8")


def source_of(check: Check) -> Path:
    """Return the file of a check."""
    module = import_module(f"cardproof.judge.checks.{check.name.replace('-', '_')}")
    return Path(inspect.getsourcefile(module) or "")


if __name__ == "__main__":
    for one in all_checks():
        if not sys.argv[1:] or one.name in sys.argv[1:]:
            update(one, source_of(one))
