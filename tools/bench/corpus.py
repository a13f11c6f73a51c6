"""Time proved builds of published cards against a plain renderer of the same cards, which checks nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import CARDPROOF, CORPUS, Part, Ran, Row, child, interleaved, parser, run, show, workplace

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 9
SNIPPET = """## Use it

```python
import timm

model = timm.create_model("{{ model_name }}", pretrained=False).eval()
print(type(model).__name__)
```
"""
CONFIG = (
    "site_name: Corpus\nplugins:\n- cardproof:\n    zoo: {zoo}\n    snippets: {{run: {snippets}, preload: [torch]}}\n"
)


def main() -> None:
    """Measure and print the figures."""
    options = parser(__doc__)
    options.add_argument("--corpus", type=Path, default=CORPUS, help="folder of card templates, of networks in timm")
    options.add_argument("--rounds", type=int, default=ROUNDS, help="warm builds, of which the median is taken")
    given = options.parse_args()
    show([measure(given.corpus, given.rounds)], given.json)


def measure(corpus: Path, rounds: int = ROUNDS, zoo: str = "timm", snippets: bool = True) -> Part:
    """Return the figures of the builds of a folder of cards."""
    with workplace() as site:
        cards = write_site(site, corpus, zoo, snippets)
        plain = child("plain_render.py", str(site / "templates"), str(site / "plain"))
        cold = render(site)
        run(plain, site)
        memory = render(site).own_peak_mb
        warm, peer = interleaved(rounds, lambda: render(site).seconds, lambda: run(plain, site).seconds)
        prose = interleaved(max(1, rounds // 3), lambda: _edited(site, cards[0], _one_more_word))[0]
        claim = _edited(site, cards[0], lambda text: text.replace("Parameters: ", "Parameters: 1", 1))
    rows: list[Row] = [
        _row("plain renderer, checks nothing", peer, peer),
        _row("proved build, nothing changed", warm, peer),
        _row("proved build, one card's text edited", prose, peer),
        _row("proved build, one claim edited: its model is measured again", claim, peer),
        _row("proved build from nothing: all counted, explained and run", cold.seconds, peer),
    ]
    what = (
        f"Whole processes that build the pages of {len(cards)} published cards ({zoo}). The plain renderer is Jinja2, "
        "PyYAML's own loader and the include, as published tools do it; both ran in turn."
    )
    return Part(
        "A proved build against a plain one", what, rows, "seconds", [f"Memory of a warm build: {memory:.0f} MiB."]
    )


def write_site(site: Path, corpus: Path, zoo: str, snippets: bool, cards: int | None = None) -> list[Path]:
    """Write a site of the first cards of the corpus, of all unless given; return their templates."""
    models = site / "templates" / "models"
    models.mkdir(parents=True)
    for card in sorted(corpus.glob("*.md"))[:cards]:
        shutil.copyfile(card, models / card.name)
    (site / "templates" / "code_snippets.md").write_text(SNIPPET)
    (site / "mkdocs.yml").write_text(CONFIG.format(zoo=zoo, snippets=str(snippets).lower()))
    return sorted(models.iterdir())


def render(site: Path) -> Ran:
    """Run ``cardproof render``; the cards may be wrong, which is status 1."""
    return run([*CARDPROOF, "render", "--quiet"], site, (0, 1))


def _edited(site: Path, card: Path, edit: Callable[[str], str]) -> float:
    """Edit a card and return the seconds of the render after it."""
    text = card.read_text()
    assert edit(text) != text
    card.write_text(edit(text))
    return render(site).seconds


def _one_more_word(text: str) -> str:
    before, heading, after = text.partition("\n\n")
    return f"{before} again{heading}{after}"


def _row(what: str, seconds: float, peer: float) -> Row:
    return {"build": what, "seconds": round(seconds, 3), "of the plain renderer's time": round(seconds / peer, 2)}


if __name__ == "__main__":
    main()
