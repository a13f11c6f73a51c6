"""``cardproof edit``, and the fixes of ``--fix``: edits of a file's text that leave all else byte for byte."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from cardproof.commands.edit_checks import parse_edit, parse_result, warning_of, warning_of_result
from cardproof.commands.header_edits import EditError, add_entry, add_result, header_of, set_field
from cardproof.commands.options import PATH, epilog
from cardproof.core.files import show_path
from cardproof.core.journal import OutsideError, check_link, replace_sources
from cardproof.core.source import BOM_COLUMN, Source
from cardproof.core.terminal import printable
from cardproof.core.types import INDENTED, Finding, Fix
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, read_yaml
from cardproof.read.index_shape import indentation_fixes, read_index
from cardproof.read.markdown import find_header, find_index_comments

_BOM = "\ufeff"
_DATA = (".yml", ".yaml", ".json")


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
    header = header_of(path)
    parsed = [parse_edit(text, header) for text in edits]
    added = [parse_result(text) for text in results]
    warnings = *(warning_of(edit, header) for edit in parsed), *(warning_of_result(words) for words in added)
    for warning in filter(None, warnings):
        click.echo(printable(f"{show_path(path)}: warning: {warning}"), err=True)
    for field, value, adds in parsed:
        with _edit_errors():
            changed = (add_entry if adds else set_field)(path, field, value)
        said = _added(field, value, changed) if adds else _set(field, value, changed)
        click.echo(printable(f"{show_path(path)}: {said}"))
    for words in added:
        with _edit_errors():
            changed = add_result(path, words)
        said = _set(f"{words['metric']} on {words['dataset']}", words["value"], changed)
        click.echo(printable(f"{show_path(path)}: {said}"))
    return 0


def _set(what: str, value: str, changed: bool) -> str:
    return f"{what} is {'now' if changed else 'already'} {value}"


def _added(field: str, value: str, changed: bool) -> str:
    return f"added {value} to {field}" if changed else f"{field} already has {value}"


@contextmanager
def _edit_errors() -> Iterator[None]:
    try:
        yield
    except EditError as error:
        raise click.ClickException(str(error)) from error


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
            fixes += _indentation(path)
        try:
            if fixes and (after := _edited(path, fixes)) is not None:
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
    order = {"error": 0, "warning": 1, "note": 2}
    chosen: list[Fix] = []
    conflicting: set[Fix] = set()
    for finding in sorted(findings, key=lambda finding: order[finding.severity]):
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


def _edited(path: Path, fixes: list[Fix]) -> str | None:
    """Return the text of a file after fixes, None if it is the same. Raises EditError if other values would change."""
    before = path.read_bytes().decode("utf-8")
    after = apply_fixes(before, fixes)
    if after == before:
        return None
    old, new = _leaves(path, before), _leaves(path, after)
    same_keys = Counter(keys for keys, _ in old.elements()) == Counter(keys for keys, _ in new.elements())
    if old and (not same_keys or sum((old - new).values()) > len(fixes)):
        raise EditError("the fixes would change other values; nothing was written")
    return after


def _indentation(path: Path) -> list[Fix]:
    """Return the edits that restore the indentation of a file's model indexes."""
    source = Source(path.name, path, path.read_bytes().decode("utf-8").removeprefix(_BOM))
    if path.suffix.lower() in _DATA:
        return indentation_fixes(source)
    header = find_header(source)
    comments, _ = find_index_comments(source, header.end if header else 0)
    return [fix for span in comments for fix in indentation_fixes(source, span.yaml_start, span.yaml_end)]


def _leaves(path: Path, text: str) -> Counter[Any]:
    """Count the values of a file's YAML, each with the keys that lead to it in the index as it is meant."""
    source = Source(path.name, path, text.removeprefix(_BOM))
    found: Counter[Any] = Counter()
    if path.suffix.lower() == ".csv":
        _collect_claims(source, 0, found)
        return found
    if path.suffix.lower() in _DATA:
        tree, _ = read_index(source)
        if tree is not None:
            _collect(tree, (0,), found)
        return found
    header = find_header(source)
    if header and (tree := read_yaml(source, header.yaml_start, header.yaml_end)[0]):
        _collect(tree, ("header",), found)
    comments, _ = find_index_comments(source, header.end if header else 0)
    for number, span in enumerate(comments):
        if tree := read_index(source, span.yaml_start, span.yaml_end, declared=True)[0]:
            _collect(tree, (number,), found)
    if not comments:
        _collect_claims(source, header.end if header else 0, found)
    return found


def _collect_claims(source: Source, start: int, found: Counter[Any]) -> None:
    """Collect the values in a text's list for the Hub and in its tables."""
    from cardproof.read.details import read_details
    from cardproof.read.tables import read_tables

    details, _ = read_details(source, start, only="model")  # any name will do
    for model in (*([details] if details else ()), *read_tables(source, start).models):
        _collect(model.fields, (model.form, model.name), found)
        for number, result in enumerate(model.results):
            for name, value in result.metrics:
                _collect(value, (model.form, model.name, number, name.text), found)


def _collect(node: Node, keys: tuple[Any, ...], found: Counter[Any]) -> None:
    if isinstance(node, Scalar):
        found[keys, repr(node.value)] += 1
    elif isinstance(node, Sequence):
        for number, item in enumerate(node.items):
            _collect(item, (*keys, number), found)
    elif isinstance(node, Mapping):
        for key, value in node:
            _collect(value, (*keys, key.text), found)
