"""Reference pages of the documentation, generated from the code: checks, commands, settings, exit statuses, Python."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import fields

from cardproof import PUBLIC
from cardproof.core.settings import SETTINGS, Settings
from cardproof.judge.checks import Check, all_checks
from cardproof.render.output.text import add_stamp
from cardproof.render.templates import render_layout

WIDTH = 88
"""Columns of help texts that a page shows without scrolling on a laptop."""

EXIT_STATUSES = (
    (0, "success: no refuted claim and no other error; warnings and notes do not count"),
    (1, "a claim is refuted, a card or template has an error, or, under `--check`, a page or record is stale"),
    (
        2,
        "bad input or usage: an invalid option or setting, a path that does not exist, a zoo that cannot be loaded; "
        "for `render` also a card that cannot be read (YAML that does not parse); or the output cannot be "
        "written: it is closed, or its disk is full",
    ),
    (130, "interrupted with Ctrl-C; no file is half-written"),
    (141, "the reader of the output went away, as in `| head`; files are written before anything is printed"),
)


def reference_pages(folder: Path, program: click.Group) -> dict[Path, str]:
    """Return the pages of the reference, by path; ``program`` is the command line."""
    public = [(name, _description(getattr(import_module(module), name))) for name, module in PUBLIC.items()]
    in_words = {"title": _title, "sentence": _first_sentence}
    pages = {
        "index.md": _page("render/generated_reference.py", "index.md", checks=all_checks(), **in_words),
        "commands.md": _page("commands/cli.py", "commands.md", commands=_help_texts(program)),
        "settings.md": _page("core/settings.py", "settings.md", settings=_settings()),
        "exit-statuses.md": _page("render/generated_reference.py", "exit-statuses.md", statuses=EXIT_STATUSES),
        "api.md": _page("__init__.py", "api.md", public=public),
    }
    for check in all_checks():
        words = sorted({check.name, *check.findings} if check.judge else set(check.findings) or {check.name})
        source = f"judge/checks/{check.name.replace('-', '_')}.py"
        pages[f"checks/{check.name}.md"] = _page(source, "check.md", check=check, words=words, **in_words)
    return {folder / name: text for name, text in pages.items()}


def _page(source: str, layout: str, **parts: Any) -> str:
    return add_stamp(render_layout(f"reference/{layout}", **parts), f"tools/cardproof/{source}")


_FENCE = re.compile(r'^(`{3,})\w*(?: title="([^"]*)")?\n(.*?)^\1$', re.MULTILINE | re.DOTALL)
_PROSE_MARKS = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)


def terminal_page(check: Check) -> str:
    """Return the page of a check for a terminal: bold headings, and blocks of code indented."""
    parts, end = [], 0
    for block in _FENCE.finditer(check.page):
        shown = f"$ {block[2]}" if block[2] and block[2].startswith("cardproof ") else f"{block[2]}:"
        title = f"    {click.style(shown, dim=True)}\n" if block[2] else ""
        parts += [_terminal_prose(check.page[end : block.start()]), title, textwrap.indent(block[3], "    ").rstrip()]
        end = block.end()
    return "".join([*parts, _terminal_prose(check.page[end:])]).strip()


def _terminal_prose(text: str) -> str:
    text = _PROSE_MARKS.sub(lambda found: click.style(found[1], bold=True), text)
    return re.sub(r"^## (.*)$", lambda found: click.style(found[1], bold=True), text, flags=re.MULTILINE)


def _title(check: Check) -> str:
    return check.page.partition(":")[0].strip()


def _first_sentence(check: Check) -> str:
    text = " ".join(check.page.partition(":")[2].split("\n\n")[0].split()).rstrip(".")
    return text[:1].upper() + text[1:]


def _help_texts(program: click.Group) -> Iterator[tuple[str, str]]:
    parent = click.Context(program, info_name="cardproof", terminal_width=WIDTH, **program.context_settings)
    for name, command in sorted(program.commands.items()):
        context = click.Context(command, parent, info_name=name, terminal_width=WIDTH)
        yield name, command.get_help(context).rstrip()


def _settings() -> Iterator[tuple[str, str, str]]:
    """Yield name, default and meaning of each setting; the default is empty if it is not one value."""
    described = _attribute_docs(Settings)
    defaults = {field.name: field.default for field in fields(Settings)}
    for name in SETTINGS:
        default = defaults[name]
        shown = str(default) if isinstance(default, str | int | Path | Decimal) else ""
        yield name, shown.lower() if isinstance(default, bool) else shown, described[name].replace("``", "")


def _attribute_docs(kind: type) -> dict[str, str]:
    """Return the docstrings of a record's attributes."""
    found = re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', inspect.getsource(kind), re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in found}


def _description(thing: Any) -> str:
    """Return the section of a public function or class."""
    if inspect.isfunction(thing):
        head = textwrap.dedent(inspect.getsource(thing)).partition('"""')[0].rstrip().removesuffix(":")
        return f"```python\n{head}\n```\n\n{_docs(thing)}"
    if thing is Settings:
        return f"{_docs(thing)} See [Settings](settings.md)."
    if issubclass(thing, Struct):
        return "\n".join([_docs(thing), "", *_attributes(thing)])
    methods = [method for name, method in vars(thing).items() if inspect.isfunction(method) and name[0] != "_"]
    return "\n\n".join([_docs(thing), *map(_description, methods)])


def _docs(thing: object) -> str:
    return _markdown(inspect.getdoc(thing) or "")


def _markdown(docstring: str) -> str:
    return re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", docstring).replace("``", "`")


def _attributes(kind: type[Struct]) -> list[str]:
    described = {name: f": {_markdown(text)}" for name, text in _attribute_docs(kind).items()}
    fields = {name: kind.__annotations__[name] for name in kind.__struct_fields__}
    for name, method in vars(kind).items():
        if isinstance(method, property):
            fields[name] = inspect.get_annotations(method.fget)["return"]  # type: ignore[arg-type]
            described[name] = f": {_docs(method)}"
    return [f"- `{name}: {annotation}`{described.get(name, '')}" for name, annotation in fields.items()]
