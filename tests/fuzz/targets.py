"""What is fuzzed: functions that take any text, and raise nothing but the errors that they document.

Each target has seeds, texts that reach deep into the code; the drivers make others from them.
"""

from __future__ import annotations

import json
import re
import string
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import NamedTuple

from cardproof.commands.edit import apply_fixes, fix_files
from cardproof.commands.header_edits import EditError
from cardproof.core.errors import InputError
from cardproof.core.json import TamperedError, load_sealed
from cardproof.core.numbers import MAX_TEXT, has_own_scale, parse_approximate, parse_number, show_count, write_like
from cardproof.core.settings import Settings, load_settings
from cardproof.core.source import Source
from cardproof.evidence.records import SCHEMA, Record, load_record
from cardproof.judge.audit import Audit
from cardproof.judge.online.request import is_public
from cardproof.judge.verdicts import judge
from cardproof.measure.gather import GatheredEvidence
from cardproof.plan.local_files import find_local_files
from cardproof.plan.recall import plan
from cardproof.read import Reading, read_cards
from cardproof.read.bibtex import entries_of, plain_value
from cardproof.read.cited_results import read_cited
from cardproof.read.tables import read_tables
from cardproof.report.baseline import read_baseline
from cardproof.report.finished_run import Run
from cardproof.report.terminal import json_of
from cardproof.snippets.compare.comparison import judge_block
from cardproof.snippets.compare.outputs import clean_output, same_kinds, same_output
from cardproof.snippets.find.blocks import find_blocks
from cardproof.snippets.results import load_runs
from cardproof.snippets.types import Block, BlockRun, Options, Printed

ROOT = Path(__file__).parents[2]
CRASHERS = Path(__file__).with_name("crashers.json")
"""Inputs that once raised, by target; bytes that are not UTF-8 are surrogate escapes."""
SUFFIXES = (".md", ".yml", ".json", ".csv", ".mdx")
MOST = 20_000
"""Characters of an input: a longer one finds nothing that a shorter one does not."""


SLOW = 5.0
"""Seconds of one input that count as a hang."""

TOKENS = (
    *("|", "\n", "\n\n", "---\n", "```", "~~~", "<!--", "-->", ": ", "- ", "{", "}", "[", "]", "&a ", "*a", "!!int "),
    *("%", "\t", "\r", "\0", "\x1b[2J", "\u202e", "\ufeff", "\ud800", "0x_", "1e999", "-", ".", "...", "9" * 5_000),
    *(" " * 500, "../../", "/etc/passwd", "nan", ".inf", "null", "'", '"', "1/0", "<td colspan=9999>", "{{ x }}"),
    *("Models:", "Results:", "Metadata:"),
)
"""Pieces that mean something to a reader, or to none."""


class Target(NamedTuple):
    """A function, and texts to begin with."""

    run: Callable[[str], object]
    seeds: tuple[str, ...]


@cache
def folder() -> Path:
    """Return this process's folder for the files that targets read."""
    return Path(tempfile.mkdtemp(prefix="cardproof-fuzz-"))


def _file(name: str, text: str) -> Path:
    path = folder() / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def number(text: str) -> None:
    """Read a number in each way, and write the value of another in its style."""
    for kind in ("count", "bytes", "plain"):
        for scale in ("", "M"):
            found = parse_number(text, kind, scale)
            parse_approximate(text, kind, scale)
            if found is not None:
                assert found.quantum > 0
                show_count(found.value)
                written = write_like(24_671_464, found, text)
                if written is not None and len(written) <= MAX_TEXT:
                    assert parse_number(written, kind, scale) is not None
    has_own_scale(text)


def _suffix_and_body(text: str) -> tuple[str, str]:
    """Return the kind of file that an input is, by its first character, and the rest."""
    return SUFFIXES[ord(text[0]) % len(SUFFIXES)], text[1:]


@cache
def _evidence() -> Record:
    return load_record(ROOT / "docs" / "evidence" / "res2next50.json")


def _audit(reading: Reading) -> Run:
    """Judge cards as if each of their models were the same measured network."""
    from msgspec.structs import replace

    settings = Settings(zoo="res2next", base=folder())
    needs = plan(reading)
    gathered = GatheredEvidence({need: replace(_evidence(), model=need.model) for need in needs.values()})
    local = find_local_files(reading, settings)
    audit = Audit(reading, needs, gathered, judge(reading, needs, gathered, settings, (), None, local), local, None)
    return Run(cards=[audit.report(card) for card in reading.cards], audit=audit)


def card(text: str) -> None:
    """Read a card, judge its claims, write the report, and make its fixes."""
    if not text:
        return
    suffix, body = _suffix_and_body(text)
    path = _file(f"card{suffix}", body)
    reading = read_cards([path])
    run = _audit(reading)
    json_of(run)
    findings = [finding for finding in run.findings if finding.fix]
    before = path.read_bytes()
    with suppress(EditError):
        fixed = fix_files(findings, unsafe=True)
        lines = {fix.line for fixes in fixed.values() for fix in fixes}
        old, new = before.split(b"\n"), path.read_bytes().split(b"\n")
        if fixed and len(old) == len(new):
            assert all(
                one == other for line, (one, other) in enumerate(zip(old, new, strict=True), 1) if line not in lines
            )
        read_cards([path])


def table(text: str) -> None:
    """Read the tables of a page; each value stands where the reader says."""
    source = Source("card.md", Path("card.md"), text.replace("\r", ""))
    for model in read_tables(source).models:
        for result in model.results:
            for _, value in result.metrics:
                assert value.place.line <= source.text.count("\n") + 1


def fence(text: str) -> None:
    """Find the blocks of a page; each lies on the page."""
    blocks, _ = find_blocks(text, "page.md", base_path=folder())
    lines = text.count("\n") + 1
    assert all(0 < block.line <= lines + 1 for block in blocks)


def match(text: str) -> None:
    """Compare the output of a block, the second part of the text, with what its code states."""
    code, _, output = text.partition("\0")
    shown = clean_output(output)
    assert same_output(shown, shown)
    assert same_output(code, shown) <= same_kinds(code, shown)
    ran = BlockRun(True, (Printed(1, code.count("\n") + 1, output),))
    for console in (False, True):
        judge_block(Block("page.md", 1, code, Options(), console=console, stated_output=(output, 1)), ran, "cpu")


def fix(text: str) -> None:
    """Apply all safe edits of a card's text twice: the second time there is nothing to do."""
    source = _file("fix.md", text.replace("\r", ""))
    run = _audit(read_cards([source]))
    own = {finding.fix for finding in run.findings if finding.fix}
    with suppress(EditError):
        apply_fixes(source.read_text(encoding="utf-8", errors="surrogateescape"), own)


def record(text: str) -> None:
    """Read what is stored: evidence, runs of snippets, a baseline, cited results."""
    path = _file("record.json", text)
    for read in (load_record, load_runs, read_baseline, read_cited, lambda path: load_sealed(path, SCHEMA, Record)):
        with suppress(TamperedError, InputError):
            read(path)


def settings(text: str) -> None:
    """Read the settings of a site."""
    with suppress(InputError):
        load_settings(_file("mkdocs.yml", text))


def citation(text: str) -> None:
    """Read BibTeX."""
    for entry in entries_of(text):
        for value in entry.fields.values():
            plain_value(str(value))


def address(text: str) -> None:
    """Decide whether an address is public: none is that Python knows as private."""
    with suppress(ValueError):
        assert not is_public(text) or ip_address(text.partition("%")[0]).is_global


@cache
def _published(pattern: str) -> tuple[str, ...]:
    """Return texts of this project and of the shared cases, where those are here."""
    paths = sorted([*ROOT.glob(pattern), *(ROOT.parent / "shared" / "cases").glob(f"**/{pattern.rpartition('/')[2]}")])
    return tuple(path.read_text(encoding="utf-8", errors="surrogateescape")[:MOST] for path in paths)


def _cards() -> tuple[str, ...]:
    """Return cards of each kind of file, with the character that says which."""
    pages = [chr(5) + text for text in _published("templates/models/*.md")]
    index = re.compile(r"<!--\n(Type: model-index.*?)-->", re.DOTALL)
    indexes = [match[1] for page in pages for match in index.finditer(page)]
    tables = [chr(8) + text for text in _published("*/*.csv")]
    return (
        *pages,
        *(chr(6) + text for text in indexes),
        *tables,
        *(chr(5) + text for text in _published("*/README.md")),
    )


NUMBERS = (
    "24.67M",
    "5,396,798,208",
    "1.2e6",
    "44.5 ± 0.1M",
    "16-17M",
    "3.2 GiB",
    "78.24%",
    "0x1F",
    "−0.5",
    "1'000 params",
)
CODE = (
    "x = 1\nprint(x)  # prints: 1\0001\n",
    "print([1.0, 2.0])\n#> [1.0, ...]\0[1.0, 2.0]\n",
    ">>> {1, 2}\n{2, 1}\n>>> 1/0\nTraceback (most recent call last):\nZeroDivisionError: division by zero\0001\n",
    "f()  # e.g.: tensor([0.1, 0.2], device='cuda:0')\0tensor([0.1000, 0.2000])\n",
    ">>> object()  # doctest: +ELLIPSIS\n<object object at 0x...>\0<object object at 0x7f00>\n",
)
BIBTEX = (
    '@article{gao2019,\n  title = {Res{2}Net: A \\"u},\n  author = "Gao, S. and Cheng, M.",\n  year = 2019 # mar\n}',
    '@string{x = "y"}\n@misc(key, url = {https://arxiv.org/abs/1904.01169})',
)
ADDRESSES = ("127.0.0.1", "::1", "fec0::1", "64:ff9b::7f00:1", "0x7f.1", "fe80::1%eth0", "::ffff:10.0.0.1", "8.8.8.8")

TARGETS: dict[str, Target] = {
    "address": Target(address, ADDRESSES),
    "card": Target(card, _cards()),
    "citation": Target(citation, BIBTEX),
    "fence": Target(fence, (*_published("docs/guide/snippets.md"), *_published("*/page.md"))),
    "fix": Target(fix, _published("templates/models/*.md")),
    "match": Target(match, CODE),
    "number": Target(number, NUMBERS),
    "record": Target(record, (*_published("docs/evidence/res2next*.json")[:2], *_published("docs/data/*.yml"), "{}")),
    "settings": Target(settings, _published("mkdocs.yml")),
    "table": Target(table, _published("*/README.md")),
}


def crashers() -> dict[str, list[str]]:
    """Return the inputs that once raised, by the name of their target."""
    kept: dict[str, list[str]] = json.loads(CRASHERS.read_text(encoding="ascii"))
    return kept


def mutant(draw: Random, seeds: tuple[str, ...]) -> str:
    """Draw a seed in which some pieces are removed, doubled, taken from another seed, or put in."""
    text = draw.choice(seeds)
    for _ in range(draw.randint(0, 5)):
        start = draw.randint(0, len(text))
        end = min(len(text), start + draw.choice((0, 0, 1, 3, 30, 300)))
        other = draw.choice(seeds)
        at = draw.randint(0, len(other))
        printable = "".join(draw.choices(string.printable, k=draw.randint(0, 6)))
        piece = draw.choice((draw.choice(TOKENS), printable, text[start:end] * 2, other[at : at + 40]))
        text = text[:start] + piece + text[end:]
    return text[:MOST]
