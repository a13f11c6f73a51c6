"""``cardproof edit``, and the fixes of ``--fix``: edits of a file's text that leave all else byte for byte."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from cardproof.commands.header_edits import EditError, Header, result_of
from cardproof.commands.options import PATH, epilog
from cardproof.core.errors import InputError, did_you_mean
from cardproof.core.journal import OutsideError, check_link, replace_sources
from cardproof.core.paths import show_path
from cardproof.core.source import BOM_COLUMN, Source
from cardproof.core.terminal import printable
from cardproof.core.types import INDENTED, SEVERITIES, Finding, Fix
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, read_yaml, to_yaml
from cardproof.read.hub_header import LISTS, TASKS, TEXTS, check_header, nearest_word
from cardproof.read.index_repair import indentation_fixes, read_index
from cardproof.read.markdown import Span, find_header, find_index_comments
from cardproof.read.model_stats import read_model_stats
from cardproof.read.tables import read_tables

_BOM = "\ufeff"
_DATA = (".yml", ".yaml", ".json")
_HUB_FIELDS = frozenset(
    {
        *LISTS, *TEXTS, "co2_eq_emissions", "eval_results", "extra_gated_button_content", "extra_gated_description",
        "extra_gated_fields", "extra_gated_heading", "extra_gated_prompt", "inference", "model-index", "model_name",
        "new_version", "thumbnail", "widget",
    }
)  # fmt: skip
"""Fields that the Hub reads in the header of a model's card."""
_PAGE_FIELDS = frozenset(
    {
        "author", "authors", "categories", "date", "description", "draft", "hide", "icon", "search", "slug", "status",
        "subtitle", "template", "title", "version",
    }
)  # fmt: skip
"""Fields of any page, for site generators and their themes."""
_MEANT = {"task": "pipeline_tag", "library": "library_name"}
"""Words for fields of the Hub that are spelt otherwise."""
_FORMS = "write FIELD=VALUE or FIELD+=VALUE"


@click.command(
    "edit",
    epilog=epilog(
        "cardproof edit README.md license=apache-2.0 tags+=vision",
        "cardproof edit README.md --result 'task=image-classification; dataset=beans; metric=accuracy; value=0.9'",
    ),
)
@click.argument("path", type=PATH)
@click.argument("edits", metavar="[FIELD=VALUE | FIELD+=VALUE]...", nargs=-1)
@click.option(
    "--result",
    "results",
    metavar="KEY=VALUE;…",
    multiple=True,
    help="Add a result: task, dataset, metric and value, and if wanted model, task_name, dataset_name, config, split, "
    "revision, metric_name, source, source_url. May be repeated.",
)
def edit_command(path: Path, edits: tuple[str, ...], results: tuple[str, ...]) -> int:
    """Edit the YAML header of a card.

    Everything else stays byte for byte.
    FIELD=VALUE writes or adds a field, FIELD+=VALUE adds an entry to a list. A value is text, in quotes if it needs
    them, unless the old one is a number or boolean. Misspelt fields and values that the Hub refuses are not written.
    """
    if not edits and not results:
        raise click.UsageError("Missing argument 'FIELD=VALUE...', or --result.")
    header = Header(path)
    parsed = [_parse_edit(text, header.fields) for text in edits]
    added = [_parse_result(text) for text in results]
    warnings = [warning for field, _, _ in parsed if (warning := _warning_of(field, header.fields))]
    warnings += [f"the Hub has no task '{words['task']}'" for words in added if words["task"] not in TASKS]
    for warning in warnings:
        click.echo(printable(f"{show_path(path)}: warning: {warning}"), err=True)
    said = []
    for field, value, adds in parsed:
        if adds:
            said.append(
                f"added {value} to {field}" if header.add_entry(field, value) else f"{field} already has {value}"
            )
        else:
            now = "now" if header.set_field(field, value) else "already"
            said.append(f"{field} is {now} {value}")
    for words in added:
        now = "now" if header.add_result(words) else "already"
        said.append(f"{words['metric']} on {words['dataset']} is {now} {words['value']}")
    header.save()
    for line in said:
        click.echo(printable(f"{show_path(path)}: {line}"))
    return 0


def _parse_edit(text: str, header: Mapping) -> tuple[str, str, bool]:
    """Return the field and the value of an edit, and whether it adds the value to a list.

    Raises InputError if the header of a card cannot take it.
    """
    name, separator, value = text.partition("=")
    adds, field = name.endswith("+"), name.removesuffix("+")
    if not separator or not field:
        raise InputError(f"{text}: {_FORMS}")
    if not field[-1].isalnum() and field[-1] != "_":
        raise InputError(f"{text}: unknown operator '{field[-1]}{'+=' if adds else '='}'; {_FORMS}")
    node = header.get(field)
    _check_name(text, field, node)
    if not value.strip():
        where = f"line {node.place.line}" if node else "its line"
        raise InputError(f"{text}: the value is empty; to remove a field, delete {where}")
    if adds and field.lower() in TEXTS and not isinstance(node, Sequence):
        raise InputError(f"{text}: '{field}' is one value, not a list; write {field}={value}")
    tree, _ = read_yaml(Source("", Path(), to_yaml({field: [value] if adds else value})))
    for finding in check_header(tree) if tree else ():  # what the Hub refuses or drops
        raise InputError(f"{text}: {finding.message}{f'; {finding.hint}' if finding.hint else ''}")
    return field, value, adds


def _check_name(text: str, field: str, node: Node | None) -> None:
    """Refuse a field that holds results, is inside another, or is misspelt; fields that the header has are accepted."""
    if field.lower() == "model-index" or (node is None and field.lower().startswith(("model-index.", "model-index["))):
        raise InputError(f"{text}: results are not written as fields; --result adds a result or replaces its value")
    if node is not None or field in _HUB_FIELDS | _PAGE_FIELDS:
        return
    if not field.replace("-", "_").isidentifier():
        raise InputError(f"{text}: '{field}' is not the name of a field; edit values inside of a field in the file")
    if meant := _MEANT.get(field.lower()) or nearest_word(field, _HUB_FIELDS):
        raise InputError(f"{text}: unknown field '{field}'; did you mean {meant}?")


def _warning_of(field: str, header: Mapping) -> str:
    """Return a warning about a new field that is unusual, or an old one that looks misspelt; usually empty."""
    known = header.get(field) is not None and not nearest_word(field, _HUB_FIELDS)
    if known or field in _HUB_FIELDS | _PAGE_FIELDS:
        return ""
    return f"the Hub does not read the field '{field}'{did_you_mean(field, _HUB_FIELDS, 1)}"


def _parse_result(text: str) -> dict[str, str]:
    """Return the words of ``--result``. Raises InputError if they are not pairs, or not those of a result."""
    words: dict[str, str] = {}
    for part in filter(str.strip, text.split(";")):
        key, separator, value = (piece.strip() for piece in part.partition("="))
        if not separator or not key:
            raise InputError(f"--result: '{part.strip()}' is not KEY=VALUE; separate the pairs by semicolons")
        if key in words:
            raise InputError(f"--result has '{key}' twice")
        words[key] = value
    task, value = words.get("task", ""), words.get("value", "")
    if task not in TASKS and (nearest := nearest_word(task, TASKS)):
        raise InputError(f"--result: the Hub has no task '{task}'; did you mean {nearest}?")
    if value and not any(character.isdigit() for character in value):
        raise InputError(f"--result: the value '{value}' is not a number")
    result_of(words)
    return words


def apply_fixes(text: str, fixes: Iterable[Fix]) -> str:
    """Return a text, with or without a byte order mark, after some fixes. Raises EditError if two overlap."""
    bom, body = text.startswith(_BOM), text.removeprefix(_BOM)
    starts = [0, *(match.end() for match in re.finditer("\n", body))]
    spans: list[tuple[int, int, str]] = []
    for fix in sorted(set(fixes), key=lambda fix: (fix.line, fix.column)):
        if fix.column == BOM_COLUMN:
            bom = False
            continue
        first = starts[fix.line - 1]
        spans.append((first + fix.column - 1, first + fix.end_column - 1, fix.text))
    parts, position = [], 0
    for start, end, replacement in spans:
        if start < position:
            raise EditError(f"two fixes of the same characters, at {body[start : start + 40]!r}")
        parts += [body[position:start], replacement]
        position = end
    return (_BOM if bom else "") + "".join(parts) + body[position:]


def fix_files(findings: Iterable[Finding], *, unsafe: bool = False) -> dict[Path, list[Fix]]:
    """Make the fixes of findings in their files, only the safe ones unless ``unsafe``, and return those made.

    If two findings edit the same characters, the more severe one is fixed. A file whose other values would change, and
    one that a link leads away, is left alone: EditError is raised for it, after the others were written, all or none.
    """
    by_file: dict[Path, list[Finding]] = {}
    for finding in findings:
        indents = unsafe and finding.check == INDENTED
        if indents or (finding.fix and (unsafe or finding.fix.safe)):
            by_file.setdefault(Path(finding.place.file), []).append(finding)
    fixed: dict[Path, list[Fix]] = {}
    contents: dict[Path, str] = {}
    errors: list[str] = []
    for path, in_file in sorted(by_file.items()):
        fixes = _compatible_fixes([finding for finding in in_file if finding.fix])
        if any(finding.check == INDENTED for finding in in_file):
            source = Source(path.name, path, path.read_bytes().decode("utf-8").removeprefix(_BOM))
            for span in _header_and_indexes(source)[1]:
                fixes += indentation_fixes(source, span.yaml_start, span.yaml_end)
        try:
            if fixes and (after := _text_after_fixes(path, fixes)) is not None:
                check_link(path)
                fixed[path], contents[path] = fixes, after
        except EditError as error:
            errors.append(f"{show_path(path)}: {error}")
        except OutsideError as error:
            errors.append(str(error))
    replace_sources(contents)
    if errors:
        raise EditError("; ".join(errors))
    return fixed


def _compatible_fixes(findings: list[Finding]) -> list[Fix]:
    """Return the fixes of one file, without the less severe ones of two that edit the same characters.

    A value that several models inherit may need a different fix for each of them: then it is left alone.
    """
    chosen: list[Fix] = []
    conflicting: set[Fix] = set()
    for finding in sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)):
        fix = finding.fix
        assert fix
        overlapping = (
            f for f in chosen if f.line == fix.line and f.column < fix.end_column and fix.column < f.end_column
        )
        rival = next(overlapping, None)
        if rival is None:
            chosen.append(fix)
        elif (rival.column, rival.end_column) == (fix.column, fix.end_column) and rival.text != fix.text:
            conflicting.add(rival)
    return sorted((fix for fix in chosen if fix not in conflicting), key=lambda fix: (fix.line, fix.column))


def _text_after_fixes(path: Path, fixes: list[Fix]) -> str | None:
    """Return the text of a file after fixes, None if it is the same. Raises EditError if other values would change."""
    before = path.read_bytes().decode("utf-8")
    after = apply_fixes(before, fixes)
    if after == before:
        return None
    old, new = Counter(_values_with_keys(path, before)), Counter(_values_with_keys(path, after))
    same_keys = Counter(keys for keys, _ in old.elements()) == Counter(keys for keys, _ in new.elements())
    if old and (not same_keys or sum((old - new).values()) > len(fixes)):
        raise EditError("the fixes would change other values; nothing was written")
    return after


def _values_with_keys(path: Path, text: str) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield a file's values, each after the keys that lead to it: of its YAML once corrected, or else of its text."""
    source = Source(path.name, path, text.removeprefix(_BOM))
    header, indexes = _header_and_indexes(source)
    if header:
        yield from _values(read_yaml(source, header.yaml_start, header.yaml_end)[0], "header")
    declared = path.suffix.lower() not in _DATA
    for number, span in enumerate(indexes):
        yield from _values(read_index(source, span.yaml_start, span.yaml_end, declared=declared)[0], number)
    if indexes:
        return
    start = header.end if header else 0
    details, _ = read_model_stats(source, start, only="model")  # any name will do
    for model in (*([details] if details else ()), *read_tables(source, start).models):
        yield from _values(model.fields, model.form, model.name)
        for number, result in enumerate(model.results):
            for name, value in result.metrics:
                yield from _values(value, model.form, model.name, number, name.text)


def _header_and_indexes(source: Source) -> tuple[Span | None, list[Span]]:
    suffix, size = source.path.suffix.lower(), len(source.text)
    if suffix in (*_DATA, ".csv"):
        return None, [Span(0, size, 0, size)] if suffix in _DATA else []
    header = find_header(source)
    return header, find_index_comments(source, header.end if header else 0)[0]


def _values(node: Node | None, *keys: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(node, Scalar):
        yield keys, repr(node.value)
    elif node is not None:
        inner = enumerate(node.items) if isinstance(node, Sequence) else ((key.text, value) for key, value in node)
        for key, value in inner:
            yield from _values(value, *keys, key)
