"""Data sets: one name for each data set, and as many classes as the network has.

## What it does

Knows the usual spellings of the common image data sets. Other names are used as they are.

- `data-set-alias`: the card calls one data set by two names, such as `ImageNet` and `ImageNet-1k`. The warning names
  both places and the name to use, which is the more exact one.
- `class-count`: the card states an accuracy on a data set, and the head of the network has another number of classes.

## Why

A filter by data set misses the models that spell its name differently. An accuracy on classes that a network does not
have belongs to another head.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Metadata:
    Training Data: [ImageNet-1k]
  Results:
  - Dataset: ImageNet
    Metrics:
      Top 1 Accuracy: 69.758%
-->
```

```console
$ cardproof audit card.md
card.md:10:14: warning [data-set-alias] 'ImageNet-1k' (card.md:8:21) and 'ImageNet' are one data set
    under two names
    write ImageNet-1k in both places
```

## Fix

No command fixes it. By hand:

```diff
-  - Dataset: ImageNet
+  - Dataset: ImageNet-1k
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-  - Dataset: ImageNet
+  - Dataset: ImageNet  # cardproof: ignore[data-set-alias] the leaderboard needs this name
```

## Settings

None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cardproof.core.types import Finding, Place
from cardproof.judge.checks import CardContext, Check, Context
from cardproof.judge.checks._network import mismatch_reason

_KNOWN: dict[str, tuple[str, tuple[int, ...]]] = {
    "ImageNet-1k": ("imagenet imagenet1k imagenet2012 ilsvrc2012 ilsvrc12 imagenetilsvrc2012 in1k", (1000, 1001)),
    "ImageNet-21k": ("imagenet21k imagenet22k in21k in22k", ()),
    "CIFAR-10": ("cifar10", (10,)),
    "CIFAR-100": ("cifar100", (100,)),
    "Fashion-MNIST": ("fashionmnist", (10,)),
    "MNIST": ("mnist", (10,)),
    "Digits": ("digits", (10,)),
    "COCO": ("coco mscoco coco2017", ()),
    "iNaturalist 2018": ("inaturalist2018 inat2018", ()),
}
"""Data set -> its spellings, and the classes of a head for it; 1,001 with a first class for none of them, as in
TensorFlow's networks."""


def common_name(text: str) -> str | None:
    """Return the common name of a data set; None if it is not in the table."""
    plain = re.sub(r"[\s_-]+", "", text.strip().lower())
    return next((name for name, (spellings, _) in _KNOWN.items() if plain in spellings.split()), None)


def classes_of(text: str) -> tuple[int, ...]:
    """Return how many classes a head for a data set may have; empty if it is not in the table."""
    name = common_name(text)
    return _KNOWN[name][1] if name else ()


def check_card(context: CardContext) -> Iterator[Finding]:
    """Report data sets that one card calls by two names, once for each name."""
    first: dict[str, tuple[str, Place]] = {}
    reported: set[str] = set()
    for text, place in sorted(_stated_data_sets(context), key=lambda named: named[1].start):
        name = common_name(text)
        if name is None:
            continue
        earlier, there = first.setdefault(name, (text, place))
        if earlier.lower() != text.lower() and text.lower() not in reported:
            reported.add(text.lower())
            message = f"'{earlier}' ({there}) and '{text}' are one data set under two names"
            yield Finding(place, "data-set-alias", "warning", message, f"write {name} in both places")


def check_model(context: Context) -> Iterator[Finding]:
    """Report an accuracy on a data set with another number of classes than the network's head."""
    if context.counts is None or context.counts.head is None or mismatch_reason(context) or context.model.doubt:
        return
    classes = context.counts.head.classes
    for claim in context.claims:
        subject = context.subject(claim)
        if subject and subject.dataset:
            continue  # the table is about another network
        wanted = classes_of(claim.dataset or "")
        if wanted and claim.metric and claim.kind == "top 1 accuracy" and classes not in wanted:
            message = (
                f"{claim.field} of {claim.model} is stated on {claim.dataset}, which has {wanted[0]:,} classes; the "
                f"network's head has {classes:,}"
            )
            hint = "state the accuracy on the data set of this head, or link the network with the other head"
            yield Finding(claim.place, "class-count", "warning", message, hint)


def _stated_data_sets(context: CardContext) -> Iterator[tuple[str, Place]]:
    for model in context.models:
        yield from ((claim.stated, claim.place) for claim in model.stated("training data"))
        for result in model.model.results:
            if result.dataset and result.dataset_at:
                yield result.dataset, result.dataset_at


CHECK = Check("data-sets", check_model=check_model, check_card=check_card, findings=("data-set-alias", "class-count"))
