"""The snippets that published cards share, without the network: each block has a verdict and its reason."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cardproof.build import render
from cardproof.core.settings import Settings, SnippetSettings
from cardproof.snippets.run.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from cardproof.snippets.pages import Weights

PUBLISHED = Path(__file__).with_name("published")
CARDS = ("res2next", "gloun-xception")
"""The last one's name is of a network that timm no longer has."""

NEEDS_NETWORK = ("not-run", "needs the network: ")
UNDEFINED = ("fail", "NameError: name 'NUM_FINETUNE_CLASSES' is not defined")
UNKNOWN = [
    ("fail", "RuntimeError: Unknown model (gluon_xception65)"),
    ("not-run", "needs 'model' of the block at line 6, which failed"),
    ("not-run", "needs 'model' of the block at line 6, which failed"),
    ("not-run", "needs 'urllib' of the block at line"),
    UNDEFINED,
]
EXPECTED: dict[Weights, list[tuple[str, str]]] = {
    "strict": [
        ("not-run", "needs weights: timm/"),
        ("not-run", "needs 'model' of the block at line 6, which was not run"),
        ("not-run", "needs 'model' of the block at line 6, which was not run"),
        ("not-run", "needs 'urllib' of the block at line"),
        UNDEFINED,
    ],
    "random": [
        ("pass", ""),
        NEEDS_NETWORK,
        ("not-run", "needs 'batch' of the block at line"),
        ("not-run", "needs 'probabilities' of the block at line"),
        UNDEFINED,
    ],
}


@pytest.fixture(scope="module")
def runner(hubs: Runner) -> Runner:
    return hubs


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["strict", "random"])
@pytest.mark.parametrize("form", ["fences", "prompts"])
def test_each_block_of_a_published_card_has_a_verdict_with_its_reason(
    shared: Path,
    write: Callable[[str, str], Path],
    runner: Runner,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    weights: Weights,
) -> None:
    monkeypatch.setattr("cardproof.snippets.run.runner.Runner", lambda *_: nullcontext(runner))
    settings = Settings(
        base=write("mkdocs.yml", "site_name: Published\n").parent,
        templates=shared / "corpora" / "timm-model-templates",
        includes=PUBLISHED / form,
        snippets=SnippetSettings(weights=weights),
    )
    found = {Path(card.file).stem: list(card.full().blocks) for card in render(settings, only=CARDS).cards}
    assert set(found) == set(CARDS)
    assert_verdicts(found["res2next"], EXPECTED[weights])
    assert_verdicts(found["gloun-xception"], UNKNOWN)
    assert all("placeholders: {NUM_FINETUNE_CLASSES" in (blocks[4]["hint"] or "") for blocks in found.values())


def assert_verdicts(blocks: list[dict[str, str]], expected: list[tuple[str, str]]) -> None:
    """Assert status and reason of each block."""
    assert [block["status"] for block in blocks] == [status for status, _ in expected]
    assert [reason for block, (_, reason) in zip(blocks, expected, strict=True) if reason not in block["message"]] == []
