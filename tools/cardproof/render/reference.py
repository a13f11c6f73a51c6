"""Reference pages of the documentation, generated from the code: checks, commands, settings, exit statuses, Python."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import fields

from cardproof import PUBLIC
from cardproof.core.settings import SETTINGS, Settings
from cardproof.judge.checks import Check, all_checks
from cardproof.render.output.text import add_stamp, markdown_text

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
    pages = {
        "index.md": (_index(), "tools/cardproof/render/reference.py"),
        "commands.md": (_commands(program), "tools/cardproof/commands/cli.py"),
        "settings.md": (_settings(), "tools/cardproof/core/settings.py"),
        "exit-statuses.md": (_exit_statuses(), "tools/cardproof/render/reference.py"),
        "api.md": (_api(), "tools/cardproof/__init__.py"),
    }
    for check in all_checks():
        module = f"tools/cardproof/judge/checks/{check.name.replace('-', '_')}.py"
        pages[f"checks/{check.name}.md"] = (_check(check), module)
    return {folder / name: add_stamp(text, source) for name, (text, source) in pages.items()}


def _index() -> str:
    rows = [f"| [{_title(check)}](checks/{check.name}.md) | {_first_sentence(check)} |" for check in all_checks()]
    return "\n".join(
        [
            "# Reference",
            "",
            "Generated from the code of cardproof.",
            "",
            "- [Commands](commands.md)",
            "- [Settings](settings.md)",
            "- [Exit statuses](exit-statuses.md)",
            "- [Python](api.md): what programs import",
            "",
            "| Check | What is checked |",
            "| :--- | :--- |",
            *rows,
        ]
    )


def _check(check: Check) -> str:
    """Return the page of a check: its docstring, with its fields and the names of its findings below the title."""
    _, _, rest = check.page.partition("\n\n")
    words = sorted({check.name, *check.findings} if check.judge else set(check.findings) or {check.name})
    lines = [f"# {_title(check)}", "", f"{_first_sentence(check)}.", ""]
    lines += ["Reported as " + ", ".join(f"`[{word}]`" for word in words) + "."]
    if check.judge and check.fields:
        names = ", ".join(f"`{name}`" for name in sorted(check.fields))
        lines += ["", f"Fields, in any case and with hyphens, underscores or a unit in brackets: {names}."]
    return "\n".join([*lines, "", rest.rstrip()])


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


def _commands(program: click.Group) -> str:
    parts = [
        "# Commands",
        "",
        "`python tools/render_cards.py` in this repository is the same as `cardproof render`, with the same options.",
    ]
    parent = click.Context(program, info_name="cardproof", terminal_width=WIDTH, **program.context_settings)
    for name, command in sorted(program.commands.items()):
        context = click.Context(command, parent, info_name=name, terminal_width=WIDTH)
        parts += ["", f"## cardproof {name}", "", "```text", command.get_help(context).rstrip(), "```"]
    return "\n".join(parts)


def _settings() -> str:
    described = {name: text.replace("``", "") for name, text in _attribute_docs(Settings).items()}
    lines = [
        "# Settings",
        "",
        "Settings are in `mkdocs.yml` under the plugin `cardproof`; options of the command line override them. Paths "
        "are relative to the folder of `mkdocs.yml`.",
        "",
        "| Setting | Default | Meaning |",
        "| :--- | :--- | :--- |",
    ]
    defaults = {field.name: field.default for field in fields(Settings)}
    for name in SETTINGS:
        default = defaults[name]
        shown = f"`{default}`" if isinstance(default, str | int | Path | Decimal) else ""
        shown = shown.lower() if isinstance(default, bool) else shown
        lines.append(f"| `{name}` | {shown} | {markdown_text(described[name])} |")
    return "\n".join(lines)


def _attribute_docs(kind: type) -> dict[str, str]:
    """Return the docstrings of a record's attributes."""
    found = re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', inspect.getsource(kind), re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in found}


def _exit_statuses() -> str:
    rows = [f"| {status} | {meaning} |" for status, meaning in EXIT_STATUSES]
    return "\n".join(["# Exit statuses", "", "| Status | Meaning |", "| ---: | :--- |", *rows])


API = """# Python

```python
from pathlib import Path

from cardproof import Settings, audit

run = audit([Path("README.md")], Settings(zoo="timm"))
for finding in run.findings:
    print(finding.place, finding.severity, finding.message)
raise SystemExit(run.exit)
```

`cardproof` has the names on this page. Importing the package is cheap: each name is imported when it is first used.
All other modules may change with any version."""


def _api() -> str:
    parts = [API]
    for public, module in PUBLIC.items():
        thing = getattr(import_module(module), public)
        parts += ["", f"## {public}", ""]
        if inspect.isfunction(thing):
            parts += [*_signature(thing), "", _docs(thing)]
        elif thing is Settings:
            parts += [f"{_docs(thing)} See [Settings](settings.md)."]
        elif issubclass(thing, Struct):
            parts += [_docs(thing), "", *_attributes(thing)]
        else:
            parts += [_docs(thing)]
            for name, method in vars(thing).items():
                if inspect.isfunction(method) and name[0] != "_":
                    parts += ["", *_signature(method), "", _docs(method)]
    return "\n".join(parts)


def _signature(function: Callable[..., object]) -> list[str]:
    """Return the source of a function's head."""
    head = textwrap.dedent(inspect.getsource(function)).partition('"""')[0]
    return ["```python", head.rstrip().removesuffix(":"), "```"]


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
