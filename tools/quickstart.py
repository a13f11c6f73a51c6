"""Run the commands of the quickstart and the recipes; write what they print into the pages, and draw the terminal.

The picture is ``docs/assets/red-to-green.svg``, for the home page and the README. All are committed; a test runs the
commands again and compares. Files are written only if more than the seconds changed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from xml.etree import ElementTree  # nosec B405  # reads only the picture that this file writes

from rich.console import Console, Group
from rich.padding import Padding
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
QUICKSTART = ROOT / "docs" / "guide" / "quickstart.md"
RECIPES = ROOT / "docs" / "guide" / "recipes.md"
PICTURE = ROOT / "docs" / "assets" / "red-to-green.svg"
COLUMNS = 80

FILE = re.compile(r'^```\w+ title="([\w.]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = re.compile(r"\d+(?:\.\d+)? s\b")

COLOURS = "8c9bb0 ff7b72 56d38a f0be5a 79b8ff d2a8ff 56d4dd e2e8f0"
"""Black to white of the terminal, each at least 4.5 to 1 on its background."""
THEME = TerminalTheme((13, 27, 42), (226, 232, 240), [(r, g, b) for r, g, b in map(bytes.fromhex, COLOURS.split())])
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>A terminal: an audit finds a wrong number, --fix corrects it, the next audit finds nothing</title>
<style>
.{unique_id}-matrix{{font:{char_height}px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}}
{styles}
</style>
<defs>{lines}</defs>
<rect width="{width}" height="{height}" rx="12" fill="#0d1b2a"/>
<g transform="translate({terminal_x} {terminal_y})">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


class Command(NamedTuple):
    """A command of the page and what it printed, with its colours."""

    line: str
    output: Text


def main() -> None:
    """Write the pages and the picture if they changed."""
    for path, text in record().items():
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        if masked(old) != masked(text):
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: written")


def record() -> dict[Path, str]:
    """Run all commands; return the files as they should be."""
    pages = {path: path.read_text(encoding="utf-8") for path in (QUICKSTART, RECIPES)}
    first, others = run(list(pages.values()))
    return {
        QUICKSTART: with_outputs(pages[QUICKSTART], first),
        RECIPES: with_outputs(pages[RECIPES], others),
        PICTURE: picture(first),
    }


def run(pages: list[str]) -> list[list[Command]]:
    """Write the files that pages show into an empty folder, and run the commands of each page there, in order."""
    with TemporaryDirectory() as folder:
        for name, text in FILE.findall("".join(pages)):
            Path(folder, name).write_text(text, encoding="utf-8")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "XDG_CACHE_HOME": f"{folder}/.cache",
            "LC_ALL": "C.UTF-8",
            "COLUMNS": str(COLUMNS),
            "FORCE_COLOR": "1",
        }
        return [[Command(line, _output(line, folder, environment)) for line in _commands(page)] for page in pages]


def _commands(page: str) -> list[str]:
    return [line for block in CONSOLE.findall(page) for line in block.splitlines() if line.startswith("$ ")]


def _output(line: str, folder: str, environment: dict[str, str]) -> Text:
    words = shlex.split(line.removeprefix("$ "))
    if words[0] == "cardproof":
        words[:1] = [sys.executable, "-m", "cardproof"]
    done = subprocess.run(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Text.from_ansi(done.stdout)


def with_outputs(page: str, commands: list[Command]) -> str:
    """Return the page with what its commands printed."""
    left = iter(commands)

    def block(found: re.Match[str]) -> str:
        count = sum(line.startswith("$ ") for line in found[1].splitlines())
        shown = [next(left) for _ in range(count)]
        text = "".join(f"{line}\n{_plain(output)}" for line, output in shown)
        return f"```console\n{text}```"

    return CONSOLE.sub(block, page)


def _plain(output: Text) -> str:
    return "".join(f"{line.rstrip()}\n" for line in output.plain.splitlines())


def picture(commands: list[Command]) -> str:
    """Return an SVG of the terminal: without fonts from elsewhere, dark in both colour schemes."""
    console = Console(record=True, width=COLUMNS + 4, file=StringIO(), force_terminal=True, color_system="truecolor")
    for number, (line, output) in enumerate(commands):
        output.rstrip()
        typed = Text.assemble("\n" if number else "", ("$ ", "green"), (line.removeprefix("$ "), "bold"))
        console.print(Padding(Group(typed, output), (0, 2)))
    console.print()
    svg = console.export_svg(title="", theme=THEME, code_format=SVG, unique_id="t")
    return "".join(f"{line.strip()}\n" for line in svg.splitlines() if line.strip())


def masked(text: str) -> str:
    """Return the words of a page or picture, without the seconds that something took."""
    if text.startswith("<svg"):
        text = "\n".join(ElementTree.fromstring(text).itertext())  # nosec B314  # the picture that this file writes
    return SECONDS.sub("… s", text.replace("\xa0", " "))


if __name__ == "__main__":
    main()
