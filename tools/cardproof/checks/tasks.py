"""Tasks: what a card says a network is for, against what it puts out.

**What it does.** `Image Classification` is **confirmed** where the network that ran gives one score for each class of
its last linear layer, and **refuted** where it gives something else. Other tasks are **unchecked**: the shape of an
output does not tell a detector from an encoder. A task that is written almost like a common one is a warning.

**Why.** Tools filter by task; a misspelt one is found by nobody.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from cardproof.checks import Check, Context
from cardproof.fields import TASKS, normal_field
from cardproof.words import Finding, Judgement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cardproof.words import Claim

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
    if context.counts is None:
        return Judgement(claim, "unchecked", reason=f"not measured: {context.missing}")
    shape, head = context.counts.output_shape, context.counts.head
    if head and shape == (1, head.classes):
        found = f"{head.classes:,} scores"
        return Judgement(claim, "confirmed", found, "", "one score for each class", method=METHOD)
    if head is None:
        return Judgement(claim, "unchecked", reason="no linear layer says how many classes there are")
    found = "x".join(map(str, shape))
    explanation = f"The output has the shape {found}, the last linear layer {head.classes:,} classes."
    return Judgement(claim, "refuted", found, "", "one score for each class", "", explanation, METHOD)


def look(context: Context) -> Iterator[Finding]:
    """Report tasks that are written almost like a common one."""
    for claim in context.claims:
        if normal_field(claim.field) not in TASKS or claim.metric or claim.published:
            continue
        task = claim.stated.strip().lower()
        near = get_close_matches(task, KNOWN, 1, 0.9) if 3 < len(task) < 60 and task not in KNOWN else []
        if near and near[0].replace("-", " ") != task.replace("-", " "):
            hint = f"did you mean '{near[0].title()}'?"
            yield Finding(claim.place, "tasks", "warning", f"no common task is called '{claim.stated}'", hint)


CHECK = Check("tasks", TASKS, judge, look=look, page=__doc__)
