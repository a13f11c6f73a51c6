"""Identity: whether the network that was built is the network of the card.

## What it does

Finds the network of the card's name, also by the zoo's list of renamed models.

- `unknown-model`, `not-measured`: the zoo does not have the model, or cannot build it. It is an error if the card
  states a count or a setting of the network; a card with results only needs no network. Tables may compare with models
  of other zoos, so a single unknown row is only unchecked. If all rows are unknown, a warning names similar models, or
  a note says that there are none.
- `not-run`: a note: the network cannot be run on one image. Its parameters are checked nevertheless.
- `another-network`: the network has another number of parameters than the card states (by more than 2 % and half a unit
  of the last digit), no way of counting explains the difference, and its number is not refuted: the name may mean
  another network today.
- `renamed`: a note with the model's new name, or one with the number of names that the built-in name map gives.

Nothing that depends on the network is decided if such a network has a new name that does not contain the old one, or
if the zoo links other weights for the name than the card does. A network from the built-in name map must have exactly
the stated number of parameters, or its multiply-adds at three digits or more; otherwise nothing is decided either.

## Why

Zoos rename and replace models. A check against the wrong network is worse than none.

## Example

```markdown title="card.md"
# Res2NeXt

<!--
Type: model-index
Models:
- Name: res2next51
  Metadata:
    Parameters: 24671464
-->
```

```console
$ cardproof audit card.md --zoo res2next
card.md:6:9: error [unknown-model] res2next51 was not measured: res2next has no model 'res2next51':
    did you mean res2next50 or res2net50d or res2net101d?
    check the name against the models of zoo 'res2next'
```

## Fix

No command fixes it. By hand:

```diff
-- Name: res2next51
+- Name: res2next50
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-- Name: res2next51
+- Name: res2next51  # cardproof: ignore[unknown-model] not published yet
```

## Settings

`zoo`, `names`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cardproof.core.types import Finding, Severity
from cardproof.judge.checks import CardContext, Check, Context
from cardproof.judge.checks._network import name_map, parameter_mismatch
from cardproof.read.models import Table
from cardproof.zoos import is_same_name
from cardproof.zoos.name_tables import bundled_network

NO_SUCH_MODEL = ("UnknownModel", "LookupError", "KeyError")
"""Beginnings of the errors by which a zoo says that it has no model of a name."""
OF_NETWORK = (
    "parameters", "flops", "classes", "layers", "image size", "min size", "crop", "interpolation", "mean", "std",
    "architecture",
)  # fmt: skip
"""Kinds of fields that state a count or a setting of a network."""
MOST_NEAR = 3


def check_model(context: Context) -> Iterator[Finding]:
    """Report an unknown model, a renamed one, and one that is probably another network."""
    evidence = context.evidence
    place = context.model.place
    if evidence is None:
        return
    if evidence.error and (context.model.form in ("table", "evaluations") or not _needs_network(context)):
        return  # a table may compare with models of anybody, a folder have any name; claims say why they are unchecked
    if evidence.error:
        near = " or ".join((evidence.near_names or ())[:MOST_NEAR])
        message = f"{context.model.name} was not measured: {evidence.missing}"
        message += f"; did you mean {near}?" if near and "did you mean" not in evidence.missing else ""
        is_unknown = evidence.error.startswith(NO_SUCH_MODEL)
        hint = f"check the name against the models of zoo '{evidence.zoo}'" if is_unknown else None
        yield Finding(place, "unknown-model" if is_unknown else "not-measured", "error", message, hint)
        return
    if evidence.unrun:
        message = f"{context.model.name} was built and not run: {evidence.unrun.reason}"
        yield Finding(place, "not-run", "note", message, "its parameters are checked, and nothing that needs a run")
    if other := parameter_mismatch(context):
        hint = "name the network that the card describes, or write a card for the new one"
        yield Finding(place, "another-network", "warning", other, hint)
    elif not context.network and not _is_own_name(context.model.name, evidence.known_as):
        message = f"the zoo '{evidence.zoo}' now calls {context.model.name} {evidence.known_as}"
        yield Finding(place, "renamed", "note", message)


def _needs_network(context: Context) -> bool:
    return any(claim.kind in OF_NETWORK and claim.is_field for claim in context.claims)


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report names that a map gives or could give, and tables of which the zoo has no model at all."""
    yield from _report_mapped_names(context.models)
    yield from _report_other_zoo(context.models)
    table_of = {place: table for table in context.card.tables for _, place in table.heads}
    models_of: dict[Table, dict[str, Context]] = {}
    for model in context.models:
        for claim in model.claims:
            if claim.column in table_of and claim.kind in OF_NETWORK:
                models_of.setdefault(table_of[claim.column], {})[model.model.key] = model
    for table, rows in ((table, list(found.values())) for table, found in models_of.items()):
        failed = [model.evidence for model in rows if model.evidence and model.evidence.error]
        if any(model.model.doubt for model in rows):
            continue
        if len(failed) < len(rows):
            yield from _report_misspelt_names(table, rows)
            continue
        zoo, number = failed[0].zoo, len(rows)
        severity: Severity = "warning"
        what = f"none of the {number} models" if number > 1 else f"the model {rows[0].model.name}"
        near = list(dict.fromkeys(name for evidence in failed for name in (evidence.near_names or ())[:1]))
        if all(evidence.near_names is not None for evidence in failed):
            message = f"{what} of this table is {'' if number > 1 else 'not '}in zoo '{zoo}'"
            message += f"; did you mean {' or '.join(near[:MOST_NEAR])}?" if near else ""
            severity = "warning" if near else "note"  # without a similar name, it is a table of somebody else's models
        else:
            message = f"{what} of this table was {'' if number > 1 else 'not '}measured: {failed[0].missing}"
        hint = "its counts are unchecked: check the names, or audit it with the zoo of its networks"
        yield Finding(table.place, "unknown-model", severity, message, hint)


def _report_mapped_names(models: Iterable[Context]) -> Iterator[Finding]:
    """Report the networks of a name map: one by one, or those of a file together if the map is the built-in one."""
    said = []
    for model in models:
        evidence = model.evidence
        if evidence is None or evidence.error or not model.network or _is_own_name(model.model.name, evidence.known_as):
            continue
        if not parameter_mismatch(model):
            message = f"{model.model.name} is checked as {evidence.zoo}'s {evidence.known_as} ({name_map(model)})"
            said.append((model, Finding(model.model.place, "renamed", "note", message)))
    if len(said) > 1 and not said[0][0].settings.names:
        message = f"{len(said)} names are mapped by the built-in name map"
        yield Finding(said[0][1].place, "renamed", "note", message, f"the first: {said[0][1].message}")
    else:
        yield from (finding for _, finding in said)


def _report_other_zoo(models: Iterable[Context]) -> Iterator[Finding]:
    """Report once that the built-in name map has models of a card, which is checked with another zoo."""
    for model in models:
        evidence = model.evidence
        if evidence is None or not (evidence.error or "").startswith(NO_SUCH_MODEL) or not _needs_network(model):
            continue
        zoo, network = bundled_network(model.model.name) or ("", "")
        if zoo not in ("", evidence.zoo):
            message = f"the built-in name map is for {zoo}, where {model.model.name} is {network}"
            yield Finding(model.model.place, "unknown-model", "note", message, f"audit it with --zoo {zoo}")
            return


def _report_misspelt_names(table: Table, rows: list[Context]) -> Iterator[Finding]:
    """Report rows whose names are those of the zoo's models but for case and punctuation."""
    found = []
    for model in rows:
        near = ((model.evidence.near_names if model.evidence else None) or ("",))[0]
        if near and is_same_name(model.model.name, near):
            found.append(f"{model.model.name} (did you mean {near}?)")
    if found:
        zoo = next(model.evidence.zoo for model in rows if model.evidence)
        more = f" and {len(found) - MOST_NEAR} more" if len(found) > MOST_NEAR else ""
        message = f"rows of this table are not in zoo '{zoo}': {', '.join(found[:MOST_NEAR])}{more}"
        yield Finding(table.place, "unknown-model", "note", message, "their counts are unchecked")


def _is_own_name(name: str, known_as: str) -> bool:
    """Return whether the zoo's name is the model's own, without an owner, or that of an entry of its weights."""
    own, known = name.rpartition("/")[2].partition(".")[0], known_as.partition(".")[0]
    return known == own or re.sub(r"[\W_]", "", known).lower() == re.sub(r"[\W_]", "", f"{own}weights").lower()


CHECK = Check(
    "identity",
    check_model=check_model,
    check_card=check_card,
    findings=("unknown-model", "not-measured", "not-run", "another-network", "renamed"),
)
