"""Weights: the file that a card links, by its name, its content and the models that share it.

## What it does

Looks at the field `Weights` of every model of a card. Nothing is downloaded, and no file is renamed.

- `weights-digest`: the name of the file ends in hex digits, where torch.hub writes the start of its SHA-256, and the
  file on this machine has another digest.
- `same-weights`: two models have files with the same content.
- `weights-name`: the name of the file begins with the name of another model of the card and not with its own. It is
  an error if that model links the file too and the card states different parameters for the two.
- `shared-weights`: two models link one file although their cards state different numbers of parameters, and its name
  does not tell which model it belongs to.

## Why

Loading another model's weights fails, or gives wrong predictions. Entries are made by copying the one above, and its
link stays.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Weights: https://example.org/resnet18-5c106cde.pth
- Name: resnet34
  Weights: https://example.org/resnet18-5c106cde.pth
-->
```

```console
$ cardproof audit card.md
card.md:9:12: warning [weights-name] resnet34 links resnet18-5c106cde.pth, named after another model
    of this card: resnet18
    link the model's own weights
```

## Fix

No command fixes it: only somebody who has seen the file can link it. By hand:

```diff
 - Name: resnet34
-  Weights: https://example.org/resnet18-5c106cde.pth
+  Weights: https://example.org/resnet34-333f7ec4.pth
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
 - Name: resnet34
-  Weights: https://example.org/resnet18-5c106cde.pth
+  Weights: https://example.org/resnet18-5c106cde.pth  # cardproof: ignore[weights-name] one file for both
```

## Settings

`weights`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from cardproof.core.numbers import show_count
from cardproof.core.types import Finding, Severity
from cardproof.core.yaml import Scalar
from cardproof.judge.checks import CardContext, Check, Context
from cardproof.plan.local_files import link_of, model_names, model_of_weights
from cardproof.read.models import weights_file

_DIGEST = re.compile(r"-([0-9a-f]{8,64})$")
_DATE = re.compile(r"20\d\d[01]\d[0-3]\d")


def promised_digest(name: str) -> str | None:
    """Return the start of a SHA-256 at the end of a file's name; None if missing."""
    match = _DIGEST.search(name[:300].partition(".")[0])
    return match[1] if match and not _DATE.fullmatch(match[1]) else None


def check_model(context: Context) -> Iterator[Finding]:
    """Report a file whose digest differs from the one in its name."""
    link, file = link_of(context.model, "Weights"), context.weights
    if link is None or file is None:
        return
    name = weights_file(context.model) or ""
    promised = promised_digest(name)
    if promised and not file.sha256.startswith(promised):
        message = (
            f"the name {name} promises a SHA-256 that starts with {promised}; {file.name} ({file.size:,} bytes) "
            f"has {file.sha256}"
        )
        right = name.replace(f"-{promised}", f"-{file.sha256[: len(promised)]}")
        hint = f"if this is the right file, its name is {right}; if not, the file is damaged or another one"
        yield Finding(link.place, "weights-digest", "error", message, hint)


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report models that share a file, and links that name another model."""
    yield from _report_identical_files(context)
    yield from _report_misleading_links(context)


def _report_identical_files(context: CardContext) -> Iterator[Finding]:
    by_digest: dict[str, dict[str, Context]] = {}
    for model in context.models:
        if model.weights:
            by_digest.setdefault(model.weights.sha256, {}).setdefault(model.weights.name, model)
    for digest, files in sorted(by_digest.items()):
        if len(files) > 1:
            models = [model.model.name for model in files.values()]
            link = link_of(list(files.values())[1].model, "Weights")
            message = f"the files {_join(list(files))} of {_join(models)} are the same bytes, SHA-256 {digest}"
            if link:
                yield Finding(link.place, "same-weights", "error", message, "link each model's own weights")


def _report_misleading_links(context: CardContext) -> Iterator[Finding]:
    names = model_names(model.model for model in context.models)
    by_name = {model.model.name: model for model in context.models}
    by_link: dict[str, list[Context]] = {}
    for model in context.models:
        link = link_of(model.model, "Weights")
        other = model_of_weights(model.model, names)
        if link and other and _are_compared(model, by_name[other]):
            yield _link_to_another(model, by_name[other], link)
        elif link and not other:
            by_link.setdefault(link.text, []).append(model)
    for models in by_link.values():
        for first, second in combinations(models[:50], 2):
            link = link_of(second.model, "Weights")
            if link and (differing := _differing_parameters(second, first)):
                message = (
                    f"{second.model.name} links the weights of {first.model.name}, although the card states "
                    f"{differing[0]} parameters for the one and {differing[1]} for the other"
                )
                yield Finding(link.place, "shared-weights", "error", message, "link the model's own weights")
                break


def _are_compared(model: Context, other: Context) -> bool:
    """Return whether two models stand side by side; those of two tables may be one network with two names."""
    if "table" not in (model.model.form, other.model.form):
        return True
    return bool({claim.column for claim in model.claims} & {claim.column for claim in other.claims})


def _differing_parameters(first: Context, second: Context) -> tuple[str, str] | None:
    """Return the stated parameters of two models if they cannot be those of one network; None if they can."""
    one, other = (next(model.numbers("parameters"), None) for model in (first, second))
    if one is None or other is None:
        return None
    values = one[1].value, other[1].value
    if min(values) <= 0 or abs(values[0] - values[1]) * 50 <= max(values):
        return None
    return show_count(values[0]), show_count(values[1])


def _link_to_another(model: Context, other: Context, link: Scalar) -> Finding:
    """Report a link named after another model: an error if it is that model's, with other stated parameters."""
    theirs = link_of(other.model, "Weights")
    message = (
        f"{model.model.name} links {weights_file(model.model)}, named after another model of this card: "
        f"{other.model.name}"
    )
    differing = _differing_parameters(model, other) if theirs and theirs.text == link.text else None
    message += f", for which the card states {differing[1]} parameters instead of {differing[0]}" if differing else ""
    severity: Severity = "error" if differing else "warning"
    return Finding(link.place, "weights-name", severity, message, "link the model's own weights")


def _join(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


CHECK = Check(
    "weights",
    check_model=check_model,
    check_card=check_card,
    findings=("weights-digest", "same-weights", "shared-weights", "weights-name"),
)
