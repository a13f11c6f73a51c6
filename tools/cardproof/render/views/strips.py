"""Strips under the snippets of a page: whether a block ran as shown, for how long and where, and what came out."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from cardproof.render.output.text import markdown_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cardproof.snippets.results import BlockResult, PageRun
    from cardproof.snippets.types import Status

WORDS: dict[Status, str] = {"pass": "Ran as shown", "fail": "Failed", "skip": "Skipped", "not-run": "Not run"}
_HIDDEN = re.compile(r"<!--\s*snippet:|#\s*snippet:\s*hide|\.hide\b")
MOST_OUTPUT = 4000
"""Characters of output that a page shows; the record has all of it."""


def shown_runs(runs: Sequence[PageRun], model: str | None) -> list[PageRun]:
    """Return the runs for the model that a page shows, one for each device."""
    return [run for run in runs if run.model == model]


def stamp_of(runs: Sequence[PageRun]) -> str:
    """Say what ran of a page's snippets: blocks by status, models and devices."""
    if not runs:
        return "Snippets not run"
    counts = Counter(block.status for run in runs for block in run.blocks if not block.hidden)
    if not counts:
        return "No snippets"
    statuses = ", ".join(f"{counts[status]} {status}" for status in WORDS if counts[status])
    models = len({run.model for run in runs})
    devices = ", ".join(sorted({run.device for run in runs}))
    random = "; random weights" if any(run.random_weights for run in runs) else ""
    last = max(run.measured for run in runs)[:10]
    when = f" {last}" if last else ""
    return f"Snippets{when}: {statuses}, for {models} model{'' if models == 1 else 's'} on {devices}{random}"


def with_strips(text: str, runs: Sequence[PageRun]) -> str:
    """Return a page's text with a strip under each block that ran, and without what is hidden."""
    lines = text.split("\n")
    ends: dict[int, list[tuple[PageRun, BlockResult]]] = {}
    for run in runs:
        for block in run.blocks:
            if block.end and not block.hidden:
                ends.setdefault(block.end, []).append((run, block))
    for end in sorted(ends, reverse=True):
        fence = lines[end - 1]
        prefix = fence[: len(fence) - len(fence.lstrip(" \t>"))]
        inserted = [line for run, block in ends[end] for line in _strip(run, block)]
        lines[end:end] = [(prefix + line).rstrip() for line in inserted]
    result = "\n".join(lines)
    if _HIDDEN.search(result):
        from cardproof.snippets.find.blocks import shown

        return shown(result)
    return result


def _strip(run: PageRun, block: BlockResult) -> list[str]:
    facts = [f"<strong>{WORDS[block.status]}</strong>"]
    if block.message:
        facts.append(markdown_text(block.message))
    if block.status in ("pass", "fail"):
        facts.append(f"{block.seconds:.1f} s")
    facts.append(run.device)
    if run.random_weights:
        facts.append("random weights")
    if run.measured:
        facts.append(run.measured[:10])
    lines = ["", f'<p class="cp-strip cp-{block.status}">{" · ".join(facts)}</p>']
    output = block.output.rstrip()
    if output and not block.stated and block.status != "skip":  # of a skipped block it is no result
        shown = output[:MOST_OUTPUT] + ("\n…" if len(output) > MOST_OUTPUT else "")
        fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall("`+", shown)), 3)
        lines += ["", f'{fence}text title="Output"', *shown.split("\n"), fence]
    lines += [
        line
        for image in block.images
        for line in (
            "",
            f'<img class="cp-image" alt="Picture that this block shows" src="data:image/png;base64,{image}">',
        )
    ]
    return [*lines, ""]
