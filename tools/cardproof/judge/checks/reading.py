"""Reading: faults of a card that are found before anything is measured.

## What it does

Reads the card and its model index, and reports:

- `yaml-syntax`: the YAML cannot be parsed. The block is always reported, and no page is rendered from it.
- `yaml-1.1`: a value that readers of YAML 1.1 and 1.2 understand differently: `no`, `on`, `1e-5`, `012`, `1:30`.
- `duplicate-key`: a key that is in a mapping twice; readers keep only one of them.
- `yaml-key`, `yaml-tag`, `yaml-limits`: keys that are not text, tags that would make code of data, documents that are
  too deep or, with their aliases expanded, too large, and an index whose models inherit more than 50,000 values.
- `model-index`: a shape that the format does not have, a path to a missing file, files that import each other. A
  comment with models that does not say `Type: model-index` is a note.
- `index-shape`: a key in the wrong place because the indentation is lost or wrong (`Metadata` next to `Models`,
  `FLOPs` directly in a model), or a key that is one letter from one of the format (`Metdata`). It is an error at the
  first such key of each mapping. The claims are read as they are meant, so that they are checked.
- `collection`: a model names a collection that is not defined.
- `open-comment`: the comment with the index is never closed.
- `hub-header`: a value in the header of a card for the Hub (such as `README.md`) that the Hub rejects or drops, with
  the nearest value that the Hub has: an unknown licence, task or relation to the base model, an empty or null value,
  a null entry of a list, a header that is not a mapping. A header with two fences, or below a blank line, is a note:
  some readers do not find it. One that is never closed is a warning: no reader finds it.
- `hub-result`: a result in the header that the Hub rejects: without task, data set or metrics, a metric without type
  or value, a source without its address.
- `encoding`, `byte-order-mark`, `control-character`: bytes that readers reject or show as text. `encoding` also
  reports files and folders that cannot be read, symbolic links that lead out of the site's or audited folder, pipes
  and devices.
- `unread-table`: a table that looks like claims is not read, with the reason: it has a column of counts, or names a
  model that was measured. It is a note: its values are not checked. So is a list with counts, if a zoo is
  named.
- `duplicate-model`: two cards define the same model.
- `template`: a template cannot be rendered: an undefined name, a missing file, something that the sandbox forbids.
- `ignore`: a comment `cardproof: ignore[check] reason` without a reason, for an unknown check, or that is not needed.
- `hand-edit`, `evidence`: a rendered page or a record of evidence was edited by hand.
- `stale-page`: with `--check`, a file of the site differs from what would be rendered.

## Why

A reader that guesses makes a wrong page of a typing error.

## Example

```markdown title="card.md"
# A network

<!--
Type: model-index
Models:
- Name: net
  Metadata:
    Batch Norm: no
-->
```

```console
$ cardproof audit card.md
card.md:8:17: warning [yaml-1.1] 'no' is the boolean false under YAML 1.1, and text under YAML 1.2
    quote it: 'no'
```

## Fix

Quotes for values that YAML 1.1 misreads, and numbers in the spelling that both versions understand. Also the
indentation of an index, the spelling of its keys, and the identifiers of the Hub.

```diff title="cardproof audit card.md --fix-unsafe"
-    Batch Norm: no
+    Batch Norm: 'no'
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-    Batch Norm: no
+    Batch Norm: no  # cardproof: ignore[yaml-1.1] read by our own tool only
```

## Settings

None.
"""

from __future__ import annotations

from collections.abc import Iterator

from cardproof.core.types import Finding
from cardproof.judge.checks import CardContext, Check

READABLE = "a table is read if it has a column 'Model' and one such as 'Params (M)', 'GMACs' or 'Top-1'"

READABLE_LIST = "a list 'Model Stats' of a page about one model is read, with items such as 'Params (M): 25.6'"


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report tables that look like claims and are not read, and such lists if a zoo is named."""
    measured = {model.model.name for model in context.models if model.counts}
    for table in context.card.unread:
        is_list = table.what == "list"
        if context.has_zoo if is_list else table.counts or measured.intersection(table.names):
            message = f"this {table.what} is not read: {table.reason}"
            yield Finding(table.place, "unread-table", "note", message, READABLE_LIST if is_list else READABLE)


CHECK = Check(
    "reading",
    check_card=check_card,
    findings=(
        "yaml-syntax", "yaml-1.1", "duplicate-key", "yaml-key", "yaml-tag", "yaml-limits", "model-index",
        "index-shape", "collection", "open-comment", "hub-header", "hub-result", "encoding", "byte-order-mark",
        "control-character", "unread-table", "duplicate-model", "template", "ignore", "hand-edit", "evidence",
        "stale-page",
    ),
)  # fmt: skip
