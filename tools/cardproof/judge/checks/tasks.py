"""Tasks: what the card says the network is for, compared with its output.

## What it does

`Image Classification` is **confirmed** if the network gives as many values as its last linear layer has outputs, and
as a data set of the card has classes. Anything else is **unchecked**: the shape of an output does not distinguish
scores from features, or a detector from an encoder. A misspelt task is a warning.

## Why

Tools filter by task, and nobody finds a misspelt one.

## Example

```markdown title="card.md"
# ResNet

<!--
Type: model-index
Models:
- Name: resnet18
  Metadata:
    Tasks: [Image Clasification]
-->
```

```console
$ cardproof audit card.md
card.md:8:13: warning [tasks] no common task is called 'Image Clasification'
    did you mean 'Image Classification'?
```

## Fix

No command fixes it: the hint names the task that was probably meant. By hand:

```diff
-    Tasks: [Image Clasification]
+    Tasks: [Image Classification]
```

## Ignore

A comment with a reason turns the finding into a note:

```diff
-    Tasks: [Image Clasification]
+    Tasks: [Image Clasification]  # cardproof: ignore[tasks] the name in our own tool
```

## Settings

`zoo`, `names`.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from cardproof.core.types import Claim, Finding, Judgement
from cardproof.judge.checks import Check, Context
from cardproof.judge.checks._network import unchecked_reason
from cardproof.judge.checks.data_sets import classes_of

KNOWN = (
    "image classification", "object detection", "semantic segmentation", "instance segmentation", "image retrieval",
    "panoptic segmentation", "depth estimation", "image captioning", "visual question answering", "visual grounding",
    "image generation", "feature extraction", "zero-shot image classification", "multi-label classification",
    "keypoint detection", "pose estimation", "action recognition", "video classification", "text generation",
    "image segmentation", "image to text", "image-to-text retrieval", "self-supervised learning", "super resolution",
)  # fmt: skip
METHOD = "shape of the output for one image on the meta device"


def judge(claim: Claim, context: Context) -> Judgement:
    """Judge a stated task by the network's output."""
    if claim.stated.strip().lower().replace("-", " ") != "image classification":
        return Judgement(claim, "unchecked", reason="the shape of an output does not tell this task")
    if why := unchecked_reason(context):
        return Judgement(claim, "unchecked", reason=why)
    shape, head = context.run_counts.output_shape, context.run_counts.head
    if head is None or shape != (1, head.classes):
        return Judgement(claim, "unchecked", reason="the output has not the shape of one score for each class")
    named = [one.dataset or one.stated for one in context.claims if one.dataset or one.kind == "training data"]
    if not any(head.classes in classes_of(name) for name in named):
        reason = f"the output has {head.classes:,} values, which may be classes or features"
        return Judgement(claim, "unchecked", reason=reason)
    found = f"{head.classes:,} scores"
    return Judgement(claim, "confirmed", found, "", "one score for each class of a data set", method=METHOD)


def check_model(context: Context) -> Iterator[Finding]:
    """Report tasks that are written almost like a common one."""
    for claim in context.stated("tasks"):
        task = claim.stated.strip().lower()
        near = get_close_matches(task, KNOWN, 1, 0.9) if 3 < len(task) < 60 and task not in KNOWN else []
        if near and near[0].replace("-", " ") != task.replace("-", " "):
            hint = f"did you mean '{near[0].title()}'?"
            yield Finding(claim.place, "tasks", "warning", f"no common task is called '{claim.stated}'", hint)


CHECK = Check("tasks", ("tasks",), judge, check_model=check_model)
