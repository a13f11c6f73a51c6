r"""Text: placeholders and unfinished formulas that nobody meant to publish.

## What it does

Looks at the text that a reader sees, outside of code and comments, and at stated values:

- `placeholder`: text that should have been replaced: `[More Information Needed]`, `Lorem ipsum`, a line that begins
  with `TODO` or `FIXME`; in the model index, values such as `TBD` and `???`.
- `formula`: `$$` opens a formula that is not closed before the page ends, or `\begin{…}` has no `\end{…}`: from there
  on the page shows source.

## Why

A half-finished card looks as if somebody had answered for it.

## Example

```markdown title="card.md"
# A network

TODO: describe the training.
```

```console
$ cardproof audit card.md
card.md:3:1: warning [placeholder] 'TODO' stands for text that is not there
    write it, or take the heading away
```

## Fix

No command fixes it. By hand:

```diff
-TODO: describe the training.
+Trained for 90 epochs on ImageNet-1k.
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
+<!-- cardproof: ignore[placeholder] for the next release -->
 TODO: describe the training.
```

## Settings

None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cardproof.core.types import Finding
from cardproof.judge.checks import CardContext, Check
from cardproof.read import Card
from cardproof.read.markdown import Fences, split_lines

_PLACEHOLDER = re.compile(
    r"\[(?:more information needed|needs? more information|todo|tbd|your [a-z ]{1,40}|insert [a-z ]{1,40})\](?!\()"
    r"|\blorem ipsum\b|^[ \t>*-]{0,12}(?:TODO|FIXME|TBD|XXX)\b",
    re.IGNORECASE,
)
_VALUES = frozenset({"todo", "tbd", "fixme", "xxx", "?", "??", "???", "[more information needed]", "<todo>"})
_FORMULA = re.compile(r"\$\$|\\(?P<mark>begin|end)\{(?P<name>[a-zA-Z]{1,30}\*?)\}")
_CODE = re.compile(r"(`{1,5})[^`]{0,1000}\1")


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report placeholders and formulas that are never closed."""
    source = context.card.source
    for claim in (claim for model in context.models for claim in model.claims):
        if claim.stated.strip().lower() in _VALUES:
            message = (
                f"{claim.field} of {claim.model} says '{claim.stated}', which stands for a value that is not there"
            )
            yield Finding(claim.place, "placeholder", "warning", message, "state the value, or leave the field out")
    dollars: int | None = None
    open_names: list[tuple[str, int]] = []
    for start, line in _visible_lines(context.card):
        if match := _PLACEHOLDER.search(line):
            place = source.place(start + match.start(), start + match.end())
            message = f"'{match.group().strip()}' stands for text that is not there"
            yield Finding(place, "placeholder", "warning", message, "write it, or take the heading away")
        for mark in _FORMULA.finditer(line):
            at, name = start + mark.start(), mark["name"]
            if name is None:
                dollars = at if dollars is None else None
            elif mark["mark"] == "begin":
                open_names.append((name, at))
            elif open_names and open_names[-1][0] == name:
                open_names.pop()
            else:
                message = f"\\end{{{name}}} closes nothing that is open"
                yield Finding(source.place(at), "formula", "warning", message)
    for name, at in open_names[:20]:
        yield Finding(source.place(at), "formula", "warning", f"\\begin{{{name}}} is never closed")
    if dollars is not None:
        message = "$$ opens a formula that is never closed"
        yield Finding(source.place(dollars), "formula", "warning", message, "close it with $$")


def _visible_lines(card: Card) -> Iterator[tuple[int, str]]:
    """Yield the lines outside of header, code and comments, with their positions; inline code is blanked."""
    if card.source.path.suffix.lower() not in (".md", ".mdx"):
        return
    comment, fences = False, Fences()
    for start, line in split_lines(card.source.text, card.header.end if card.header else 0):
        if comment:
            comment = "-->" not in line
        elif not fences.feed(line):
            text, opened, after = line.partition("<!--")
            comment = bool(opened) and "-->" not in opened + after
            if not text.startswith(("    ", "\t")):
                yield start, _CODE.sub(lambda match: " " * len(match.group()), text[:20_000])


CHECK = Check("text", check_card=check_card, findings=("placeholder", "formula"))
