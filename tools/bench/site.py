"""Time the build of a site of 300 model pages against plain Material on as many ordinary pages of the same size."""

from __future__ import annotations

import shutil
import statistics
from typing import TYPE_CHECKING

from bench.figures import CARDPROOF, Part, Row, interleaved, mkdocs_alone, parser, run, show, workplace
from bench.scaling import write_site

if TYPE_CHECKING:
    from pathlib import Path

CARDS = 300
ROUNDS = 3
EXTENSIONS = """markdown_extensions:
- admonition
- attr_list
- md_in_html
- tables
- toc: {permalink: true}
- pymdownx.details
- pymdownx.highlight
- pymdownx.superfences
- pymdownx.tabbed: {alternate_style: true}
"""
PROVED = "theme: {name: material, font: false, features: [navigation.prune, content.code.copy]}\n" + EXTENSIONS
PLAIN = "site_name: Plain\ntheme: {name: material, font: false}\nplugins: [search]\n" + EXTENSIONS
WORDS = (
    "A paragraph of ordinary words that says what a network is made of, how it was trained, on which images, and what "
    "came of it, with a [link](#more), some *emphasis* and `code` between them."
)


def main() -> None:
    """Measure and print the figures."""
    options = parser(__doc__)
    options.add_argument("--cards", type=int, default=CARDS, help="how many pages")
    options.add_argument("--rounds", type=int, default=ROUNDS, help="builds of each, of which the median is taken")
    given = options.parse_args()
    show([measure(given.cards, given.rounds)], given.json)


def measure(cards: int = CARDS, rounds: int = ROUNDS) -> Part:
    """Return the figures of both builds."""
    with workplace() as folder:
        proved, plain = folder / "proved", folder / "plain"
        proved.mkdir()
        write_site(proved, cards)
        config = proved / "mkdocs.yml"
        config.write_text(config.read_text().replace("plugins:\n", "plugins:\n- search\n") + PROVED)
        run([*CARDPROOF, "render", "--quiet"], proved)
        (proved / "docs" / "index.md").write_text("# Home\n")
        write_plain(proved / "docs", plain)
        ours, theirs = interleaved(rounds, lambda: _build(proved), lambda: _build(plain))
        rows: list[Row] = [
            _row("plain Material, ordinary pages", plain, theirs, theirs),
            _row("pages of models, proved", proved, ours, theirs),
        ]
    what = (
        f"`mkdocs build` of {cards} generated model pages, rendered before, and of as many pages of paragraphs, tables "
        "and code with the same bytes of Markdown; the same extensions, both with search."
    )
    return Part("A site of 300 pages", what, rows, "seconds")


def write_plain(pages: Path, plain: Path) -> None:
    """Write a site with a page as long as each of the rendered ones."""
    (plain / "docs" / "models").mkdir(parents=True)
    (plain / "mkdocs.yml").write_text(PLAIN)
    shutil.copy(pages / "index.md", plain / "docs")
    for page in sorted((pages / "models").rglob("*.md")):
        (plain / "docs" / "models" / page.name).write_text(ordinary(page.stem, page.stat().st_size))


def ordinary(title: str, size: int) -> str:
    """Return a page of about ``size`` bytes: sections of a paragraph, a table and a block of code each."""
    parts = [f"# {title}\n\n"]
    number = 0
    while sum(map(len, parts)) < size:
        number += 1
        rows = "".join(f"| row {row} | {row * number} | {'words ' * 6}|\n" for row in range(8))
        block = "```python\nfor number in range(10):\n    print(number, number ** 2)\n```\n"
        heading = "More" if number == 1 else f"Section {number}"
        parts.append(f"## {heading}\n\n{WORDS}\n\n{WORDS}\n\n| a | b | c |\n| --- | --- | --- |\n{rows}\n{block}\n")
    return "".join(parts)[:size].rpartition("\n\n")[0] + "\n"


def _build(site: Path) -> float:
    return run(mkdocs_alone(site), site).seconds


def _row(what: str, site: Path, seconds: float, peer: float) -> Row:
    built = [page.stat().st_size for page in (site / "site" / "models").rglob("index.html")]
    written = [page.stat().st_size for page in (site / "docs" / "models").rglob("*.md")]
    return {
        "site": what,
        "seconds": round(seconds, 2),
        "of plain Material's time": round(seconds / peer, 2),
        "kB of Markdown a page": round(statistics.mean(written) / 1000, 1),
        "kB of HTML a page": round(statistics.mean(built) / 1000, 1),
    }


if __name__ == "__main__":
    main()
