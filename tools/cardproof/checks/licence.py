"""Licence: the licence that a card states for machines against the one that its text names.

**What it does.** Reads `license` of the page's header and looks through the text for licences
that forbid commercial use: Creative Commons with NC, "non-commercial", "research only". Where the one allows what the
other forbids, the line of the text is reported (`licence`). A card for the Hub whose header states no licence is
reported as a note; no default is filled in.

**Why.** Filters and companies' tools read the header. A header of `mit` above weights for research only leads them to
break a licence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cardproof.checks import CardContext, Check
from cardproof.read.fences import Fences
from cardproof.read.nodes import Mapping, Scalar, Sequence
from cardproof.words import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

PERMISSIVE = frozenset(
    {
        "mit", "apache-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "cc0-1.0", "cc-by-4.0",
        "cc-by-3.0", "cc-by-2.0", "cc-by-sa-4.0", "cc-by-sa-3.0", "gpl", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0",
        "mpl-2.0", "wtfpl", "zlib", "afl-3.0", "artistic-2.0", "bsl-1.0", "ecl-2.0", "epl-2.0", "eupl-1.1",
    }
)  # fmt: skip
"""Licences that allow commercial use, by the names that the Hub has for them."""

_FORBIDS = re.compile(
    r"\bCC[- ]BY[- ]NC(?:[- ](?:SA|ND))?(?:[- ]\d\.\d)?\b"
    r"|\bnon-?commercial (?:use|purposes?|research|licen[cs]es?|only)\b"
    r"|\b(?:for |to )?(?:academic |scientific )?research (?:purposes? |use )?only\b"
    r"|\bonly (?:be used )?for (?:academic |scientific )?research\b",
    re.IGNORECASE,
)


def look_at_card(context: CardContext) -> Iterator[Finding]:
    """Report a header that allows what the text forbids, and a header without a licence."""
    card = context.card
    if card.header is None:
        return
    stated = _stated(card.header)
    if not stated and card.source.path.name == "README.md":
        message = "the header states no licence"
        hint = "add 'license: …' with the licence of the weights, or 'license: unknown'"
        yield Finding(card.header.place, "licence", "note", message, hint)
    permissive = next((one for one in stated if one.text.strip().lower() in PERMISSIVE), None)
    if permissive is None:
        return
    position, fences = card.header.end, Fences()
    for line in card.source.text[position:].splitlines(keepends=True):
        found = [] if fences.feed(line) else list(_FORBIDS.finditer(line[:5000]))
        if found:
            match = next((one for one in found if one.group().upper().startswith("CC")), found[0])
            place = card.source.place(position + match.start(), position + match.end())
            message = f"the text says '{match.group()}', the header (line {permissive.place.line}) {permissive.text}"
            hint = "state the licence of the weights in both places, or say in the text what each is for"
            yield Finding(place, "licence", "warning", message, hint)
            return
        position += len(line)


def _stated(header: Mapping) -> list[Scalar]:
    """Return the licences of a header."""
    node = header.get("license")
    items = node.items if isinstance(node, Sequence) else [node]
    return [item for item in items if isinstance(item, Scalar) and isinstance(item.value, str) and item.text.strip()]


CHECK = Check("licence", look_at_card=look_at_card, page=__doc__)
