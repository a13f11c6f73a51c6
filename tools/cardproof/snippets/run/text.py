"""Text: what a terminal would show of what was written, and nothing of the machine it was written on."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
PAGE_FOLDER = "/page"
"""What stands for the page's temporary folder, so that two builds print the same."""


def as_shown(text: str) -> str:
    """Return text without escape sequences, and with what a carriage return overwrites gone."""
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if "\r" not in text:
        return text
    return "\n".join(_overwritten(line) for line in text.split("\n"))


def _overwritten(line: str) -> str:
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown


def writable(text: str) -> str:
    """Return text without what UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def size_text(count: int) -> str:
    """Return a number of bytes as a person writes it."""
    units = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
    return next((f"{count // size} {unit}" for unit, size in units if count % size == 0), f"{count:,} bytes")


class Mask:
    """Replace paths of the building machine by what they mean to a reader."""

    def __init__(self, folder: Path, search_path: Iterable[str]) -> None:
        names = {str(folder): PAGE_FOLDER, os.path.realpath(folder): PAGE_FOLDER}
        names |= {f"{path.rstrip(os.sep)}{os.sep}": "" for path in search_path if len(path) > 1}
        names |= {sysconfig.get_path("purelib"): "site-packages", sysconfig.get_path("platlib"): "site-packages"}
        version = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
        names |= {sysconfig.get_path("stdlib"): version, sys.prefix: "python", sys.base_prefix: "python"}
        home = Path.home()
        if home.parent.name.lower() in ("home", "users"):
            names[str(home)] = "~"
        self._names = {name: names[name] for name in sorted(names, key=len, reverse=True) if name not in ("/", "/usr")}
        ends = (re.escape(name) if name.endswith(os.sep) else rf"{re.escape(name)}(?![\w.-])" for name in self._names)
        self._pattern = re.compile("|".join(ends))

    def __call__(self, text: str) -> str:
        """Return text with those paths replaced."""
        return self._pattern.sub(lambda found: self._names[found.group()], text) if os.sep in text else text
