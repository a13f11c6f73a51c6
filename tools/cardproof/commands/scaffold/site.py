"""The files of a new site: settings, pages, and cards for the families of a zoo or copies of cards that exist."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cardproof.commands.scaffold.families import RESERVED_NAMES, Family, families, family_index, index_text
from cardproof.core.clock import now
from cardproof.core.errors import InputError
from cardproof.core.field_names import kind_of
from cardproof.core.measurements import Evidence
from cardproof.core.numbers import short_text
from cardproof.core.paths import show_path
from cardproof.core.settings import Settings
from cardproof.core.yaml import to_yaml
from cardproof.read import Card, read_cards
from cardproof.read.markdown import find_header
from cardproof.render.output.paths import page_templates, site_folders
from cardproof.report.terminal import plural, short_list
from cardproof.zoos.metadata import ModelList, Published

STARTER = Path(__file__).parent / "starter"
CITED = "docs/data/cited-results.yml"
COMMON_FILES = (
    "mkdocs.yml",
    "docs/index.md",
    "docs/evidence.md",
    "docs/assets/site.css",
    "templates/models/index.md",
    "templates/models/compare.md",
    "templates/code_snippets.md",
)
"""Files that every new site has."""
MOST_FAMILIES = 30
"""Rows of the table on the first page."""
IGNORE = ".gitignore"
"""Lists what a render generates; an existing one is never overwritten."""
GENERATED = "# cardproof: generated {} from measurements; remove this line when the values come from somewhere else"
"""The first line of the model index of a new card: its pages say so."""
COLUMNS = ("Top 1 Accuracy", "Top 5 Accuracy")
"""Metrics in the table of all models, if any model states them."""
KINDS_OF_COLUMNS = ("parameters", "flops", "image size", "training data", "top 1 accuracy", "top 5 accuracy")
"""Kinds of the fields in the table of all models, if any card states them."""
_JINJA = ("{{", "{%", "{#")


class NewSite(Struct, frozen=True):
    """What a new site is made of."""

    source: str
    models: tuple[str, ...]
    texts: Mapping[str, str]
    """Its files, by their paths in its folder."""
    note: str = ""
    """What the user should know of the cards that existed before."""


def site_of_models(
    zoo: str, listed: ModelList, models: Sequence[tuple[Published, Evidence]], folder: Path, name: str | None
) -> NewSite:
    """Return a site of measured models. Its navigation has the cards that the folder has already, too."""
    day = now()[:10]
    cited = _cited_sources(listed, (published for published, _ in models), day)
    members = families(models, listed.title)
    cards = {f"{family.file}.md": _card_text(family, listed, day) for family in members}
    kept = [card for card in _existing_cards(folder) if card not in cards]
    nav = [f"- {quote(one.name)}: models/{one.file}.md" for one in members]
    nav += [f"- {quote(f'models/{card}')}" for card in sorted(kept)]
    builtin = zoo if zoo in ("timm", "torchvision") else ""
    description = (
        f"Models of {listed.source}: parameters and multiply-adds measured on the networks, "
        "and a verdict on every other claim."
    )
    values = _snippet_placeholders(zoo, folder) | {
        "%DESCRIPTION%": quote(description),
        "%CITED%": f"cited: {CITED}" if cited else "",
        "%PRELOAD%": f"[torch, {builtin}]" if builtin else "[torch]",
        "%COLUMNS%": json.dumps(_columns([published for published, _ in models])),
        "%COUNTS%": without_markup(
            f"{plural(len(models), 'model')} of {listed.source} in {plural(len(members), 'family')}"
        ),
        "%DAY%": day,
        "%SOURCE%": without_markup(listed.source),
        "%FAMILY_ROWS%": "\n".join(_family_rows(members)),
        "%FAMILIES%": "\n      ".join(nav),
    }
    starters = {**dict.fromkeys(COMMON_FILES, ""), "templates/code_snippets.md": f"snippets/{builtin or 'other'}.md"}
    texts = fill_starters(starters, values, zoo, name or f"Models of {listed.title}", cards, folder)
    if cited:
        texts[CITED] = cited
    note = f"the navigation has the cards that existed before, too: {short_list(kept)}" if kept else ""
    return NewSite(listed.source, tuple(published.model for published, _ in models), texts, note)


def _existing_cards(folder: Path) -> list[str]:
    """Return the templates of pages that the folder has already, relative to their folder."""
    folders = site_folders(replace(Settings(), base=folder))
    if folders.cards == folders.root:  # templates beside includes: they are not in the folder of the new cards
        return []
    own = {Path(path).name for path in COMMON_FILES}
    names = [path.relative_to(folders.cards).as_posix() for path in page_templates(folders, {}).values()]
    return [name for name in names if name not in own]


def fill_starters(
    starters: Mapping[str, str], values: Mapping[str, str], zoo: str, name: str, cards: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Return the files of a site with these cards, by their paths in its folder.

    ``starters`` names the starter of a file that has not its own name; ``values`` are those of its placeholders.
    """
    values = {**values, "%SITE_NAME%": quote(name), "%TITLE%": without_markup(name), "%ZOO%": quote(zoo)}
    texts = {
        path: _fill_placeholders((STARTER / (own or path)).read_text(encoding="utf-8"), values)
        for path, own in starters.items()
    }
    texts |= {f"templates/models/{file}": text for file, text in cards.items()}
    if not (folder / IGNORE).exists():
        texts[IGNORE] = (STARTER / "gitignore").read_text(encoding="utf-8")
    return texts


def _snippet_placeholders(zoo: str, folder: Path) -> dict[str, str]:
    """Name a zoo for snippets: a file as a module below the site's folder; if it is not one, snippets are skipped."""
    path, _, attribute = zoo.rpartition(":")
    imported, skip = zoo, ""
    if path.endswith(".py"):
        parts = Path(os.path.relpath(path, folder)).with_suffix("").parts
        if all(part.isidentifier() for part in parts):
            imported = f"{'.'.join(parts)}:{attribute}"
        else:
            skip = ' { .skip data-reason="the zoo is not a module of the site\'s folder" }'
    return {"%IMPORTED%": quote(imported), "%SKIP%": skip}


def _columns(models: Sequence[Published]) -> list[str]:
    """Return the columns of the table of all models that are not empty for all of them."""
    stated = {value.field for published in models for _, values in published.results for value in values}
    data = ["Training Data"] if any(published.data for published in models) else []
    return ["Parameters", "FLOPs", "Image Size", *data, *(name for name in COLUMNS if name in stated)]


def _family_rows(members: Sequence[Family]) -> Iterator[str]:
    """Yield the rows of the first page's table: each family with its number of models and the range of their counts."""

    def ends(counts: Iterable[int | None]) -> str:
        known = sorted(count for count in counts if count is not None)
        texts = [short_text(count) for count in known]
        return " to ".join(dict.fromkeys((texts[0], texts[-1]))) if texts else ""

    for family in members[:MOST_FAMILIES]:
        counts = [evidence.counts for _, evidence in family.models if evidence.counts]
        parameters, multiply_adds = ends(c.parameters for c in counts), ends(c.all_multiply_adds for c in counts)
        link = f"[{without_markup(family.name)}](models/{family.file}.md)"
        yield f"| {link} | {len(family.models)} | {parameters} | {multiply_adds} |"
    if len(members) > MOST_FAMILIES:
        yield f"| [and {len(members) - MOST_FAMILIES} more](models/index.md) | | | |"


def _fill_placeholders(text: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders of a file; a line that becomes empty is removed."""
    lines = []
    for line in text.splitlines():
        new = re.sub("%[A-Z_]+%", lambda match: values[match.group()], line)  # once: a value may look like one
        if new.strip() or not line.strip():
            lines.append(new)
    return "\n".join(lines) + "\n"


def _card_text(family: Family, listed: ModelList, day: str) -> str:
    """Return the text of a card: a summary, the snippets, and the model index."""
    number = plural(len(family.models), "model")
    where = f", defined in `{family.module}`" if family.module else ""
    summary = "Parameters and multiply-adds were measured on the networks."
    if any(published.results for published, _ in family.models):
        summary += f" Accuracies are those that {without_markup(listed.title)} publishes with its weights."
    index = index_text(family_index(family.name, family.models))
    return (
        f"# {without_markup(family.name)}\n\n{number} of {without_markup(listed.source)}{where}. {summary}\n\n"
        f"{{% include 'code_snippets.md' %}}\n\n<!--\n{GENERATED.format(day)}\n{index}-->\n"
    )


def _cited_sources(listed: ModelList, models: Iterable[Published], day: str) -> str:
    """Return the zoo's results as cited sources, one per data set and set of metrics; empty if there are none."""
    tables: dict[tuple[str, tuple[str, ...]], dict[str, list[str]]] = {}
    for published in models:
        for dataset, values in published.results:
            metrics = tuple(value.field for value in values)
            tables.setdefault((dataset, metrics), {})[published.model] = [value.text for value in values]
    if not tables:
        return ""
    sources: list[dict[str, Any]] = [
        {
            "Title": f"the metadata of {listed.source}",
            "URL": listed.address,
            "Retrieved": day,
            "Dataset": dataset,
            "Metrics": list(metrics),
            "Values": rows,
        }
        for (dataset, metrics), rows in tables.items()
    ]
    return to_yaml({"Sources": sources})


def site_of_cards(zoo: str, cards: Path, folder: Path, name: str | None) -> NewSite:
    """Return a site made of a folder's Markdown files that describe models. Raises InputError if no file does.

    A file whose text Jinja would change has it in a raw block.
    """
    reading = read_cards([cards])
    if fatal := next((finding for finding in reading.findings if finding.fatal), None):
        raise InputError(f"{fatal.place}: {fatal.message}")
    found = [card for card in reading.cards if card.models and card.source.path.suffix == ".md"]
    if not found:
        raise InputError(f"{show_path(cards)}: no Markdown file has a model index or the header of a model card")
    names = tuple(dict.fromkeys(model.name for card in found for model in card.models))
    texts: dict[str, str] = {}
    raw = []
    for card in found:
        text = _template_of_card(card)
        texts[_unique_name(card.source.path.relative_to(cards), texts)] = text
        if text != card.source.text:
            raw.append(card.file)
    counts = f"{plural(len(names), 'model')} in {plural(len(texts), 'card')}"
    columns = tuple(_columns_of_cards(found))
    table = f'<div class="cp-table" markdown>\n\n{{{{ model_table(columns={json.dumps(columns)}) }}}}\n\n</div>'
    values = {
        "%DESCRIPTION%": quote(f"{counts}, with a verdict on every claim."),
        "%COUNTS%": counts,
        "%CITED%": "",
        "%PRELOAD%": "[torch]",
        "%TABLE%": table if columns else "",
        "%FAMILIES%": "\n      ".join(f"- {quote(f'models/{file}')}" for file in sorted(texts)),
    }
    own = {"docs/index.md": "cards/index.md", "templates/models/index.md": "cards/models.md"}
    starters = {path: own.get(path, "") for path in COMMON_FILES if path != "templates/code_snippets.md"}
    files = fill_starters(starters, values, zoo, name or "Model cards", texts, folder)
    note = f"the braces of {short_list(raw)} are kept as text, in a raw block: they are not run as Jinja" if raw else ""
    return NewSite(show_path(cards), names, files, note)


def _template_of_card(card: Card) -> str:
    """Return the text of a card as a template that Jinja leaves as it is. Raises InputError if no block can hold it."""
    text = card.source.text
    header = find_header(card.source)
    start = header.end if header else 0
    body = text[start:]
    if not any(mark in body for mark in _JINJA):
        return text
    if "endraw" in body:
        place = card.source.place(text.index("endraw", start))
        raise InputError(f"{place}: a text with 'endraw' and the braces of Jinja cannot be copied; remove one of both")
    end = "" if body.endswith("\n") else "\n"
    return f"{text[:start]}{{% raw %}}\n{body}{end}{{% endraw %}}\n"


def _unique_name(path: Path, used: Iterable[str]) -> str:
    """Return the name of a copy: that of the card, unless a page of the site has it."""
    if len(path.parts) == 1 and path.stem.lower() in RESERVED_NAMES:
        path = path.with_name(f"{path.stem.lower()}-card.md")
    while path.as_posix() in used:
        path = path.with_name(f"{path.stem}-2.md")
    return path.as_posix()


def _columns_of_cards(cards: Iterable[Card]) -> Iterator[str]:
    """Yield the fields of the table, each as the first card writes it."""
    fields: dict[str, str] = {}
    for card in cards:
        for claim in card.claims:
            if not claim.published:
                fields.setdefault(kind_of(claim.field), claim.field)
    yield from (fields[kind] for kind in KINDS_OF_COLUMNS if kind in fields)


def quote(text: str) -> str:
    """Return a text in double quotes, as YAML, TOML and Python read it."""
    return json.dumps(text, ensure_ascii=False)


def without_markup(text: str) -> str:
    """Return a text on one line, without markup of Markdown and Jinja."""
    return " ".join(text.split()).translate({ord(character): f"&#{ord(character)};" for character in "\\`*_[]<>#{}%&|"})
