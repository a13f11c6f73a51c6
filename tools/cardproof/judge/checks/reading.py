"""Reading: what is wrong with a card before anything is measured.

**What it does.** Reads the model index and reports, each at its place:

- `yaml-syntax`: the YAML does not parse. The block is never skipped in silence, and no page is rendered from it.
- `yaml-1.1`: a value that YAML 1.1 and 1.2 readers take for different things: `no`, `on`, `1e-5`, `012`, `1:30`.
- `duplicate-key`: one key twice in a mapping; readers keep only one of them.
- `yaml-key`, `yaml-tag`, `yaml-limits`: keys that are no text, tags that would make code of data, documents that are
  too deep or too large once their aliases are followed, and an index whose models inherit more than 50,000 values.
- `model-index`: a shape that the format does not have, a path that names no file, files that import each other; a
  comment with models that does not say `Type: model-index` is a note.
- `index-shape`: a key that belongs elsewhere, since the indentation is lost or wrong (`Metadata` beside `Models`,
  `FLOPs` directly in a model), and a key that is one letter from one of the format (`Metdata`). It is an error at the
  first key of each mapping; the claims are read as they are meant, so that they are judged.
- `collection`: a model names a collection that is not defined.
- `open-comment`: the comment with the index is never closed.
- `hub-header`: a value that the Hub refuses or drops, in the header of a `README.md` or of another card for the Hub: an
  unknown identifier of a licence, a task or a relation to the base model, an empty or null value, a null entry of a
  list, a header that is not a mapping; with the nearest value that the Hub has. A header with two fences, or below a
  blank line, which not all readers find, is a note.
- `hub-result`: a result of the header that the Hub refuses: without task, data set or metrics, a metric without type or
  value, a source without its address.
- `encoding`, `byte-order-mark`, `control-character`: bytes that readers choke on or show as text. `encoding` also names
  files and folders that cannot be read, files that a link leads out of the site's or audited folder, pipes and devices.
- `unread-table`: a table that looks like claims is not read, with the reason: it has a column of counts, or names a
  model that was measured. A note: what it states is not checked.
- `duplicate-model`: two cards define one model.
- `template`: a template that cannot be rendered: an undefined name, a file that is not found, what the sandbox forbids.
- `ignore`: a comment `cardproof: ignore[check] reason` without a reason, for no check, or that nothing needs.
- `hand-edit`, `evidence`: a rendered page or a record of evidence was edited by hand.
- `stale-page`: under `--check`, a file of the site is not what it would be rendered to.

**Why.** A reader that guesses turns a typing error into a wrong page.

**Example.** `Batch Norm: no` gives `'no' is the boolean false under YAML 1.1, and text under YAML 1.2`.

**Fix.** Quotes for values that YAML 1.1 misreads, and numbers in the spelling that both versions understand. With
`--fix-unsafe` also the indentation of an index, the right spelling of its keys, and the identifiers of the Hub.
**Settings.** None.
"""

from __future__ import annotations

from collections.abc import Iterator

from cardproof.core.types import Finding
from cardproof.judge.checks import CardContext, Check

READABLE = "a table is read if it has a column 'Model' and one such as 'Params (M)', 'GMACs' or 'Top-1'"


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report tables that look like claims and are not read."""
    measured = {model.model.name for model in context.models if model.counts}
    for table in context.card.unread:
        if table.counts or measured.intersection(table.names):
            message = f"this table is not read: {table.reason}"
            hint = READABLE
            yield Finding(table.place, "unread-table", "note", message, hint)


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
