"""Licence: a header that allows commercial use, while the text, the weights or the licence file forbid it.

## What it does

Reads `license` in the header of the page, or `License` of a model, and searches the text for licences that forbid
commercial use: Creative Commons with NC, "non-commercial", "research only". Other licences in the text are not
compared: a header with `mit` and a text that says Apache-2.0 are no finding.

- `licence`: the header allows what the text forbids. Also a link to weights whose authors forbid commercial use, by a
  short dated list of addresses. Also a `LICENSE` file in the card's folder or repository, which is recognised by its
  text: the header allows what the file forbids, or the file in the card's own folder is another licence. A file with
  several licences, or with an unknown one, is not compared.
- A card for the Hub whose header states no licence is a note. No default is filled in.

## Why

Filters and companies' tools read the header. If it says `mit` and the weights are for research only, their users
break a licence.

## Example

```markdown title="card.md"
---
license: mit
---

# A network

The weights are published under CC BY-NC 4.0.
```

```console
$ cardproof audit card.md
card.md:7:33: warning [licence] the text says 'CC BY-NC 4.0', the licence (line 2) is mit
    state the licence of the weights in both places, or say in the text what each is for
```

## Fix

No command fixes it: only the authors know which one is right. By hand:

```diff
-license: mit
+license: cc-by-nc-4.0
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-The weights are published under CC BY-NC 4.0.
+<!-- cardproof: ignore[licence] the header is the licence of the code -->
+The weights are published under CC BY-NC 4.0.
```

## Settings

None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cardproof.core.types import Finding, LicenceFile
from cardproof.core.yaml import Mapping, Scalar, Sequence
from cardproof.judge.checks import CardContext, Check
from cardproof.plan.local_files import link_of
from cardproof.read import Card
from cardproof.read.markdown import lines_of

PERMISSIVE = frozenset(
    {
        "mit", "apache-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "cc0-1.0", "cc-by-4.0",
        "cc-by-3.0", "cc-by-2.0", "cc-by-sa-4.0", "cc-by-sa-3.0", "gpl", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0",
        "mpl-2.0", "wtfpl", "zlib", "afl-3.0", "artistic-2.0", "bsl-1.0", "ecl-2.0", "epl-2.0", "eupl-1.1",
    }
)  # fmt: skip
"""Licences that allow commercial use, by the Hub's names."""

SOURCES = {
    "dl.fbaipublicfiles.com/semiweaksupervision/": "CC BY-NC 4.0",
    "download.pytorch.org/models/ig_resnext101": "CC BY-NC 4.0",
    "shanghuagao.oss-cn-beijing.aliyuncs.com/res2net/": "non-commercial",
    "releases/download/v0.1-res2net/": "non-commercial",
}
"""Places of weights whose authors forbid commercial use: semi-supervised-ImageNet1K-models and WSL-Images of
facebookresearch, and Res2Net-PretrainedModels with timm's copies of its weights; as of 2026-11."""

_FORBIDS = re.compile(
    r"\bCC[- ]BY[- ]NC(?:[- ](?:SA|ND))?(?:[- ]\d\.\d)?\b"
    r"|\bnon-?commercial (?:use|purposes?|research|licen[cs]es?|only)\b"
    r"|\b(?:for |to )?(?:academic |scientific )?research (?:purposes? |use )?only\b"
    r"|\bonly (?:be used )?for (?:academic |scientific )?research\b",
    re.IGNORECASE,
)


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report licences that allow what the text or the source of the weights forbids, and a header without one."""
    card = context.card
    if card.header is not None and card.source.path.name == "README.md" and not _licences_of(card.header):
        message = "the header states no licence"
        hint = "add 'license: …' with the licence of the weights, or 'license: unknown'"
        yield Finding(card.header.place, "licence", "note", message, hint)
    of_header = _licences_of(card.header) if card.header else []
    of_models = [_licences_of(model.model.fields) + _licences_of(model.model.metadata) for model in context.models]
    yield from _compare_with_file(context.files.licence, of_header)
    permissive = [one for own in (of_header, *of_models) for one in own if one.text.strip().lower() in PERMISSIVE]
    if permissive:
        yield from _compare_with_text(card, permissive[0])
    for model, own in zip(context.models, of_models, strict=True):
        stated = [one for one in own or of_header if one in permissive]
        link = link_of(model.model, "Weights")
        source = next((name for name in SOURCES if link and name in link.text), None)
        if stated and link and source:
            message = (
                f"the weights of {model.model.name} are published as {SOURCES[source]} ({source}), the licence on line "
                f"{stated[0].place.line} is {stated[0].text}"
            )
            yield Finding(link.place, "licence", "warning", message, "state the licence of the weights")


def _compare_with_file(file: LicenceFile | None, of_header: list[Scalar]) -> Iterator[Finding]:
    """Report a header whose licence is not that of the licence file.

    A header may be stricter than the file, which may be about the code, and so may a file in another folder than the
    card's be, unless it forbids what the header allows.
    """
    stated = ["-".join(one.text.lower().split()) for one in of_header]
    if file is None or len(file.licences) != 1 or not stated or not set(stated) <= PERMISSIVE:
        return
    (licence,) = file.licences
    if any(licence == one or licence.startswith(f"{one}-") for one in stated):
        return
    if file.beside or "-nc" in licence:
        first = of_header[0]
        message = f"the header states {first.text}, the file {file.name} is {licence}"
        yield Finding(first.place, "licence", "warning", message, "state the licence of the weights in both places")


def _compare_with_text(card: Card, permissive: Scalar) -> Iterator[Finding]:
    for line in lines_of(card.source.text, card.header.end if card.header else 0):
        if found := [] if line.is_code else list(_FORBIDS.finditer(line.text[:5000])):
            match = next((one for one in found if one.group().upper().startswith("CC")), found[0])
            place = card.source.place(line.start + match.start(), line.start + match.end())
            message = (
                f"the text says '{match.group()}', the licence (line {permissive.place.line}) is {permissive.text}"
            )
            hint = "state the licence of the weights in both places, or say in the text what each is for"
            yield Finding(place, "licence", "warning", message, hint)
            return


def _licences_of(fields: Mapping | None) -> list[Scalar]:
    if fields is None:
        return []
    node = fields.get("license") or fields.get("licence")
    items = node.items if isinstance(node, Sequence) else [node]
    return [item for item in items if isinstance(item, Scalar) and isinstance(item.value, str) and item.text.strip()]


CHECK = Check("licence", check_card=check_card)
