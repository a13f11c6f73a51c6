"""The top of a page: the verdict in a sentence, tiles of a family, links, and what others publish."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from markdown.extensions.toc import slugify  # type: ignore[import-untyped]
from msgspec import Struct

from cardproof.core.types import SHOWN_VERDICTS, ShownVerdict
from cardproof.read.markdown import lines_of
from cardproof.render.catalog.badges import ATTENTION
from cardproof.render.views.claims import WEAKEST, Fact, public_address

if TYPE_CHECKING:
    from cardproof.render.views.claims import ModelView
    from cardproof.render.views.paper_and_licence import About

MOST_NAMED = 2
"""Fields of wrong claims that the sentence names."""


class Link(Struct, frozen=True):
    """A button at the top of a page."""

    label: str
    address: str
    is_file: bool = False
    """Whether it is a file of the site, named relative to the page."""


class PublishedGroup(Struct, frozen=True):
    """Values of one field that one source publishes, which differ from the card in the same way."""

    field: str
    source: str
    verdict: ShownVerdict
    how: str
    explanation: str
    rows: tuple[tuple[str, str, str], ...]
    """Model, published value, and measured value."""


def verdict_sentence(
    verdicts: Iterable[tuple[ShownVerdict, int]], wrong: Mapping[str, int], day: str = "", not_checkable: int = 0
) -> str:
    """Return the verdicts on a page's claims in one sentence.

    ``wrong`` are the names of the refuted ones, with how many have each. ``day`` is when values were generated,
    ``not_checkable`` counts the unchecked claims that no check judges.
    """
    counts: Mapping[ShownVerdict, int] = dict(verdicts)
    total, refuted, confirmed = sum(counts.values()), counts.get("refuted", 0), counts.get("confirmed", 0)
    cited, disputed, unchecked = (counts.get(verdict, 0) for verdict in ("cited", "disputed", "unchecked"))
    generated, unchecked = counts.get("generated", 0), unchecked - not_checkable
    if not total:
        return "This page makes no claims."
    parts = []
    if refuted:
        more = refuted - sum(list(wrong.values())[:MOST_NAMED])
        names = ", ".join(list(wrong)[:MOST_NAMED]) + (f" and {more} more" if more else "")
        parts.append(f"{refuted} of {_claims(total)} {'is' if refuted == 1 else 'are'} wrong: {names}")
        if confirmed:
            parts.append(f"{confirmed} that we could check ourselves {'holds' if confirmed == 1 else 'hold'}")
    if generated:
        were = "1 value was" if generated == 1 else f"{generated} values were"
        parts.append(f"{were} generated from measurements on {day}")
    if confirmed and not refuted:
        all_hold = "the 1 claim {} holds" if confirmed == 1 else f"all {confirmed} claims {{}} hold"
        parts.append(all_hold.format("that we could check ourselves"))
    elif not refuted and not generated:
        parts.append("we could not check any claim ourselves")
    elif not refuted and not cited and not disputed:
        parts.append("nothing was checked against an independent source")
    if cited:
        parts.append(f"{cited} agree{'s with a published source' if cited == 1 else ' with published sources'}")
    if disputed:
        parts.append(f"{disputed} {'is' if disputed == 1 else 'are'} disputed")
    if unchecked and counts["unchecked"] < total:
        parts.append(f"{unchecked} could not be checked")
    if not_checkable:
        parts.append(f"{not_checkable} {'is' if not_checkable == 1 else 'are'} not checkable")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def wrong_fields(models: Sequence[ModelView]) -> dict[str, int]:
    """Return the fields of the refuted claims with their models, and the number of claims."""
    claims: dict[str, list[str]] = {}
    for model in models:
        for claim in model.refuted:
            claims.setdefault(claim.field, []).append(model.name)
    found = {}
    for field, names in claims.items():
        several = len(set(names))
        of = f" of {several} models" if several > 1 else f" of {names[0]}" if len(models) > 1 else ""
        found[f"{field}{of}"] = len(names)
    return found


def _claims(count: int) -> str:
    return f"{count} claim{'' if count == 1 else 's'}"


def page_verdict(verdicts: Iterable[tuple[ShownVerdict, int]]) -> ShownVerdict:
    """Return the verdict that colours the sentence: what needs attention first."""
    counts = dict(verdicts)
    if counts.get("generated", 0) >= counts.get("confirmed", 0):
        counts.pop("confirmed", None)  # few of the values were checked
    return min(counts, key=ATTENTION.index, default="unchecked")


def family_facts(models: Sequence[ModelView]) -> tuple[Fact, ...]:
    """Return the tiles of a page: those of its model, or for several the range of each number."""
    if len(models) == 1:
        return models[0].facts
    groups: dict[str, list[Fact]] = {}
    for model in models:
        for fact in model.facts:
            groups.setdefault(fact.kind, []).append(fact)
    return tuple(_join_facts(facts, len(models)) for facts in groups.values())


def _join_facts(facts: Sequence[Fact], models: int) -> Fact:
    """Return one tile for the same number of several models: from the least to the most."""
    labels = {fact.label for fact in facts}
    label = facts[0].label if len(labels) == 1 else facts[0].label.partition(" at ")[0]
    known = [fact for fact in facts if fact.number is not None]
    low, high = (
        (pick(known, key=lambda fact: fact.number or 0) for pick in (min, max)) if known else (facts[0], facts[-1])
    )
    value, unit = _range(low, high)
    counts = Counter(fact.verdict for fact in facts)
    tally = ", ".join(f"{counts[verdict]} {verdict}" for verdict in SHOWN_VERDICTS if counts[verdict])
    note = "" if len(facts) == models else f"of {models} models"
    return Fact(label, value, unit, min(counts, key=WEAKEST.index), note, facts[0].kind, tally=tally)


def _range(low: Fact, high: Fact) -> tuple[str, str]:
    if low.value == high.value and low.unit == high.unit:
        return low.value, low.unit
    if low.unit == high.unit:
        return f"{low.value}–{high.value}", low.unit
    return f"{low.value} {low.unit}–{high.value}".replace(" –", "–"), high.unit


def page_links(models: Sequence[ModelView], about: About, body: str, has_recipe: bool) -> tuple[Link, ...]:
    """Return the buttons of a page, for what there is."""
    found = []
    if len(models) == 1:
        found.append(Link("Weights", models[0].weights))
    elif any(model.weights for model in models):
        found.append(Link("Weights", "#variants"))
    found.append(Link(f"Licence: {about.licence}", licence_address(about.licence, body)))
    found.append(Link("Training recipe", "#training-recipe" if has_recipe else ""))
    found += [Link("Paper", public_address(paper.url)) for paper in about.papers[:1]]
    if len(models) == 1:
        found.append(Link("Evidence file", models[0].evidence or "", is_file=True))
    return tuple(link for link in found if link.address)


def licence_address(licence: str, body: str) -> str:
    """Return where a licence is explained: its own address, or the author's section about it."""
    if not licence or (address := public_address(licence)):
        return address if licence else ""
    for line in lines_of(body):
        if not line.is_code and (heading := _LICENCE.match(line.text)):
            return f"#{heading['id'] or slugify(heading['text'], '-')}"
    return ""


_LICENCE = re.compile(
    r"#{2,3}[ ](?P<text>(?i:licen[cs]e)[^{}<>#\[\]`*_&\\]{0,100}+)(?:\{:?[ ]?#(?P<id>[\w.-]{1,100})[ ]?\})?$"
)


def published_groups(models: Iterable[ModelView]) -> tuple[PublishedGroup, ...]:
    """Return what others publish of a page's models; values that are explained in the same way are one group."""
    groups: dict[tuple[str, str, ShownVerdict, str, str], list[tuple[str, str, str]]] = {}
    for model in models:
        for claim in model.published:
            key = claim.field, claim.source, claim.verdict, claim.how, claim.explanation
            groups.setdefault(key, []).append((model.name, claim.stated, claim.found))
    return tuple(PublishedGroup(*key, tuple(rows)) for key, rows in groups.items())
