"""Results under the snippets of a page: status of a block, seconds, device, and output."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cardproof.render.output.text import fence_for, inert_text
from cardproof.render.templates import render_layout

if TYPE_CHECKING:
    from cardproof.snippets.results import BlockResult, PageRun
    from cardproof.snippets.types import Status

STATUS_LABELS: dict[Status, str] = {
    "pass": "Ran as shown",  # nosec B105  # no password
    "fail": "Failed",
    "skip": "Skipped",
    "not-run": "Not run",
}
_HIDDEN = re.compile(r"<!--\s*snippet:|#\s*snippet:\s*hide|\.hide\b")
MOST_OUTPUT = 4000
"""Characters of output on a page; the evidence record has all."""


def snippets_summary(runs: Sequence[PageRun]) -> str:
    """Return a summary of a page's snippets: blocks by status, models and devices."""
    if not runs:
        return "Snippets not run"
    counts = Counter(block.status for run in runs for block in run.blocks if not block.hidden)
    if not counts:
        return "No snippets"
    statuses = ", ".join(f"{counts[status]} {status}" for status in STATUS_LABELS if counts[status])
    models = len({run.model for run in runs})
    devices = ", ".join(sorted({run.device for run in runs}))
    random = "; random weights" if any(run.random_weights for run in runs) else ""
    last = max(run.measured for run in runs)[:10]
    when = f" {last}" if last else ""
    return f"Snippets{when}: {statuses}, for {models} model{'' if models == 1 else 's'} on {devices}{random}"


def insert_results(text: str, runs: Sequence[PageRun]) -> str:
    """Return a page's text with the result under each block of a run, and without hidden code."""
    lines = text.split("\n")
    ends: dict[int, list[tuple[PageRun, BlockResult]]] = {}
    for run in runs:
        for block in run.blocks:
            if block.end and not block.hidden:
                ends.setdefault(block.end, []).append((run, block))
    for end in sorted(ends, reverse=True):
        fence = lines[end - 1]
        prefix = fence[: len(fence) - len(fence.lstrip(" \t>"))]
        inserted = [line for run, block in ends[end] for line in _result(run, block)]
        lines[end:end] = [(prefix + line).rstrip() for line in inserted]
    result = "\n".join(lines)
    if _HIDDEN.search(result):
        from cardproof.snippets.find.blocks import visible_markdown

        return visible_markdown(result)
    return result


def _result(run: PageRun, block: BlockResult) -> list[str]:
    ran_to_the_end = block.status in ("pass", "fail")
    output = inert_text(block.output).rstrip() if ran_to_the_end and not block.stated else ""
    if len(output) > MOST_OUTPUT:
        output = output[:MOST_OUTPUT] + "\n…"
    words = STATUS_LABELS[block.status]
    text = render_layout("strip.html", run=run, block=block, words=words, output=output, fence=fence_for(output))
    return ["", *text.split("\n")]
