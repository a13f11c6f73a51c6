"""Time builds of generated sites of 100, 1,000 and, with ``--full``, 10,000 cards: time per card must not grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import CARDPROOF, Part, Ran, Row, interleaved, parser, run, show, workplace

if TYPE_CHECKING:
    from pathlib import Path

SIZES = (100, 1_000)
FULL = (*SIZES, 10_000)
ROUNDS = 3

ZOO = '''"""Networks of one convolution and one linear layer; the number at the end of a name is their width."""

from torch import nn


def build(name):
    width = int(name.rpartition("_")[2])
    layers = nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)
    return nn.Sequential(*layers)
'''
CONFIG = """site_name: Generated
plugins:
- cardproof:
    zoo: zoo.py:build
    snippets: {run: false}
"""
SNIPPET = '## Use it\n\n```python\nmodel = zoo.build("{{ model_name }}")\n```\n'
CARD = """# Net {width}

A network whose only convolution has {width} filters.

{{% include 'code_snippets.md' %}}

<!--
Type: model-index
Collections:
- Name: Net {width}
  Paper:
    Title: A paper about networks
    URL: https://example.org/paper-{width}
Models:
- Name: net_{width}
  In Collection: Net {width}
  Metadata:
    FLOPs: {multiply_adds}
    Parameters: {parameters}
    Image Size: '32'
    Architecture:
    - Convolution
    - Global Average Pooling
-->
"""


def main() -> None:
    """Measure and print the figures."""
    options = parser(__doc__)
    options.add_argument("--full", action="store_true", help="10,000 cards too, which takes a quarter of an hour")
    given = options.parse_args()
    show([measure(FULL if given.full else SIZES)], given.json)


def measure(sizes: tuple[int, ...] = SIZES, rounds: int = ROUNDS) -> Part:
    """Return the figures of sites with these numbers of cards."""
    what = (
        "Whole builds of generated sites with one small network a card, snippets not run: from nothing, with nothing "
        "changed, and after one card was edited; a claim that is edited is measured again, which imports torch."
    )
    return Part("Sites that grow", what, [_row(cards, rounds) for cards in sizes], "warm ms a card")


def _row(cards: int, rounds: int) -> Row:
    with workplace() as site:
        write_site(site, cards)
        cold = _render(site)
        warm = _render(site)
        seconds = interleaved(rounds, lambda: _render(site).seconds)[0]
        word, only, claim = interleaved(
            rounds,
            lambda: _edited(site, WORDS),
            lambda: _edited(site, WORDS, "--only", "net-1"),
            lambda: _edited(site, CLAIMS),
        )
    return {
        "cards": cards,
        "cold s": round(cold.seconds, 2),
        "warm s": round(seconds, 2),
        "one word edited s": round(word, 2),
        "with --only s": round(only, 2),
        "one claim edited s": round(claim, 2),
        "cold ms a card": round(1000 * cold.seconds / cards, 2),
        "warm ms a card": round(1000 * seconds / cards, 2),
        "warm memory MiB": round(warm.own_peak_mb),
        "cold memory MiB": round(cold.own_peak_mb),
    }


def write_site(site: Path, cards: int) -> None:
    """Write a site whose claims all hold."""
    models = site / "templates" / "models"
    models.mkdir(parents=True)
    (site / "zoo.py").write_text(ZOO)
    (site / "mkdocs.yml").write_text(CONFIG)
    (site / "templates" / "code_snippets.md").write_text(SNIPPET)
    for width in range(1, cards + 1):
        counts = {"multiply_adds": 16 * 16 * width * 27 + width * 10, "parameters": width * 27 + width * 10 + 10}
        (models / f"net-{width}.md").write_text(CARD.format(width=width, **counts))


def _render(site: Path, *options: str) -> Ran:
    return run([*CARDPROOF, "render", "--quiet", *options], site)


WORDS = ("A network whose", "One network whose")
CLAIMS = ("Parameters: 47\n", "Parameters: 0.047 K\n")
"""The same number with another precision: the model is measured again, and the claim still holds."""


def _edited(site: Path, texts: tuple[str, str], *options: str) -> float:
    """Swap one text for the other, and return the seconds of the next render."""
    card = site / "templates" / "models" / "net-1.md"
    text, (one, other) = card.read_text(), texts
    card.write_text(text.replace(one, other) if one in text else text.replace(other, one))
    return _render(site, *options).seconds


if __name__ == "__main__":
    main()
