"""What ``cardproof edit`` is asked to write, checked before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cardproof.core.errors import InputError, did_you_mean
from cardproof.core.source import Source
from cardproof.core.yaml import Mapping, Node, Sequence, read_yaml
from cardproof.core.yaml_text import to_yaml
from cardproof.read.hub import TEXTS, check_header
from cardproof.read.hub_ids import TASKS, near

HUB_FIELDS = frozenset(
    {
        "base_model", "base_model_relation", "co2_eq_emissions", "datasets", "eval_results",
        "extra_gated_button_content", "extra_gated_description", "extra_gated_fields", "extra_gated_heading",
        "extra_gated_prompt", "inference", "language", "library_name", "license", "license_link", "license_name",
        "metrics", "model-index", "model_name", "new_version", "pipeline_tag", "tags", "thumbnail", "widget",
    }
)  # fmt: skip
"""Fields that the Hub reads in the header of a model's card."""
PAGE_FIELDS = frozenset(
    {
        "author", "authors", "categories", "date", "description", "draft", "hide", "icon", "search", "slug", "status",
        "subtitle", "template", "title", "version",
    }
)  # fmt: skip
"""Fields of any page, for site generators and their themes."""
_MEANT = {"task": "pipeline_tag", "library": "library_name"}
"""Words for fields of the Hub that are spelt otherwise."""
FORMS = "write FIELD=VALUE or FIELD+=VALUE"


class Edit(NamedTuple):
    """One edit of a field."""

    field: str
    value: str
    adds: bool
    """Whether the value is added to a list."""


def parse_edit(text: str, header: Mapping | None) -> Edit:
    """Return an edit of the command line. Raises InputError if it is not one that the header of a card can take."""
    name, separator, value = text.partition("=")
    adds, field = name.endswith("+"), name.removesuffix("+")
    if not separator or not field:
        raise InputError(f"{text}: {FORMS}")
    if not field[-1].isalnum() and field[-1] != "_":
        raise InputError(f"{text}: unknown operator '{field[-1]}{'+=' if adds else '='}'; {FORMS}")
    node = header.get(field) if header else None
    _check_name(text, field, node)
    if not value.strip():
        where = f"line {node.place.line}" if node else "its line"
        raise InputError(f"{text}: the value is empty; to remove a field, delete {where}")
    if adds and field.lower() in TEXTS and not isinstance(node, Sequence):
        raise InputError(f"{text}: '{field}' is one value, not a list; write {field}={value}")
    _check_value(text, field, [value] if adds else value)
    return Edit(field, value, adds)


def _check_name(text: str, field: str, node: Node | None) -> None:
    """Refuse a field that holds results, is inside of another, or is a misspelt one; one of the header is taken."""
    if field.lower() == "model-index" or (node is None and field.lower().startswith(("model-index.", "model-index["))):
        raise InputError(f"{text}: results are not written as fields; --result adds a result or replaces its value")
    if node is not None or field in HUB_FIELDS | PAGE_FIELDS:
        return
    if not field.replace("-", "_").isidentifier():
        raise InputError(f"{text}: '{field}' is not the name of a field; edit values inside of a field in the file")
    if meant := _MEANT.get(field.lower()) or near(field, HUB_FIELDS):
        raise InputError(f"{text}: unknown field '{field}'; did you mean {meant}?")


def _check_value(text: str, field: str, value: str | list[str]) -> None:
    """Refuse a value that the Hub refuses or drops."""
    tree, _ = read_yaml(Source("", Path(), to_yaml({field: value})))
    for finding in check_header(tree) if tree else ():
        raise InputError(f"{text}: {finding.message}{f'; {finding.hint}' if finding.hint else ''}")


def warning_of(edit: Edit, header: Mapping | None) -> str | None:
    """Return a warning about a new field that is not a usual one, or an old one that looks misspelt."""
    old = header is not None and header.get(edit.field) is not None
    if edit.field in HUB_FIELDS | PAGE_FIELDS or (old and not near(edit.field, HUB_FIELDS)):
        return None
    return f"the Hub does not read the field '{edit.field}'{did_you_mean(edit.field, HUB_FIELDS, 1)}"


def parse_result(text: str) -> dict[str, str]:
    """Return the words of ``--result``. Raises InputError if they are not pairs, or say what no result has."""
    words: dict[str, str] = {}
    for part in filter(str.strip, text.split(";")):
        key, separator, value = (piece.strip() for piece in part.partition("="))
        if not separator or not key:
            raise InputError(f"--result: '{part.strip()}' is not KEY=VALUE; separate the pairs by semicolons")
        if key in words:
            raise InputError(f"--result has '{key}' twice")
        words[key] = value
    task, value = words.get("task", ""), words.get("value", "")
    if task not in TASKS and (nearest := near(task, TASKS)):
        raise InputError(f"--result: the Hub has no task '{task}'; did you mean {nearest}?")
    if value and not any(character.isdigit() for character in value):
        raise InputError(f"--result: the value '{value}' is not a number")
    return words


def warning_of_result(words: dict[str, str]) -> str | None:
    """Return a warning about a task that the Hub does not have."""
    task = words.get("task", "")
    return f"the Hub has no task '{task}'" if task and task not in TASKS else None
