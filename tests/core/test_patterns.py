"""No pattern of the product takes time that grows faster than the text: each is fed up to a million characters.

The patterns are found in the modules and in the calls of ``re``, with the ways in which they are used. They run in a
process of their own, which is killed if one does not return.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from warm import run_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

PRODUCT = Path(__file__).parents[2] / "tools" / "cardproof"
WAYS = ("match", "search", "fullmatch", "finditer", "findall", "sub", "split")
SIZES = (4_000, 100_000, 1_000_000)
KEPT = (3, 1, 1)
"""How many of the texts, the slowest ones, are tried at the next size too."""
MOST_SECONDS = 2.0
"""Of the processor, for a million characters: a linear pattern takes hundredths of one, a quadratic one minutes."""
HARD_LIMIT = 300
BAITS = (
    *(" ", "0", "a", "A", "(", "[", "{", "<", "|", "\n", '"', "'", "`", "-", "\\", ",", ".", "*", "_", "#", "$", "="),
    *("a ", "0 ", "0,", "a-", ": ", " \n", "[(", "<a", "0.", "- "),
)
"""Texts that are repeated."""


class Found:
    """One pattern and one way to use it."""

    def __init__(self, where: str, pattern: re.Pattern[Any], way: str) -> None:
        self.where, self.pattern, self.way = where, pattern, way

    def seconds(self, text: str) -> float:
        """Return how long the pattern takes for a text, at most about as long as is allowed."""
        searched: Any = text.encode() if isinstance(self.pattern.pattern, bytes) else text
        started = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)
            if self.way in ("match", "fullmatch", "search"):
                getattr(self.pattern, self.way)(searched)
            else:
                for _ in self.pattern.finditer(searched):
                    pass
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except TimeoutError:
            return MOST_SECONDS
        return time.process_time() - started


def patterns() -> list[Found]:
    """Return all patterns of the product with the ways in which their names are used, each once."""
    trees = {path: _nodes(path) for path in sorted(PRODUCT.rglob("*.py"))}
    used: dict[str, set[str]] = {}
    for nodes in trees.values():
        for name, way in _uses(nodes):
            used.setdefault(name, set()).add(way)
    found: dict[tuple[str, int, str], Found] = {}
    for path, nodes in trees.items():
        if "re." not in path.read_text(encoding="utf-8") or path.stem == "__main__":
            continue
        name = ".".join(path.relative_to(PRODUCT.parent).with_suffix("").parts).removesuffix(".__init__")
        module = importlib.import_module(name)
        here: dict[str, set[str]] = {}
        for pattern_name, way in _uses(nodes):
            here.setdefault(pattern_name, set()).add(way)
        for attribute, value in vars(module).items():
            ways = here.get(attribute) or used.get(attribute) or {"search", "fullmatch"}
            for pattern in _inside(value):
                for way in ways:
                    found.setdefault((pattern.pattern, pattern.flags, way), Found(f"{name}.{attribute}", pattern, way))
        own = {(pattern.pattern, pattern.flags) for value in vars(module).values() for pattern in _inside(value)}
        for call, pattern, way in _called(nodes, module):
            if (pattern.pattern, pattern.flags) in own:
                continue  # it has a name, whose ways are known
            found.setdefault((pattern.pattern, pattern.flags, way), Found(f"{name}:{call.lineno}", pattern, way))
    return list(found.values())


def _nodes(path: Path) -> list[ast.Attribute | ast.Call]:
    """Return what a module looks up, and what it calls."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Call)]


def _uses(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield the names of which a method of patterns is called, with the method."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in WAYS and isinstance(node.value, ast.Name | ast.Attribute):
            way = node.attr if node.attr in WAYS[:3] else "finditer"  # the others find one match after the other
            yield node.value.id if isinstance(node.value, ast.Name) else node.value.attr, way


def _inside(value: Any, depth: int = 0) -> Iterator[re.Pattern[str]]:
    """Yield the patterns in a value of a module: itself, or in tuples and mappings."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, list | tuple | dict) and depth < 3 and len(value) < 500:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _inside(inner, depth + 1)


def _called(nodes: Sequence[ast.AST], module: ModuleType) -> Iterator[tuple[ast.Call, re.Pattern[str], str]]:
    """Yield the patterns that are written where they are used: ``re.fullmatch(r"…", text)``."""
    for node in nodes:
        match node:
            case ast.Call(ast.Attribute(ast.Name("re"), way), [_, *_]) if way in (*WAYS, "compile"):
                pass
            case _:
                continue
        flags = [keyword.value for keyword in node.keywords if keyword.arg == "flags"]
        flags += [argument for argument in node.args[1:] if ast.unparse(argument).startswith("re.")]
        try:
            written, *given = (_value(part, module) for part in (node.args[0], *flags))
        except NameError:
            continue  # made of variables: a module's own pattern, or escaped text
        if isinstance(written, str):
            yield node, re.compile(written, *given), "search" if way == "compile" else way


def _value(node: ast.expr, module: ModuleType) -> Any:
    return eval(compile(ast.Expression(node), "pattern", "eval"), dict(vars(module)))


def baits(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what may hurt: a beginning, what is repeated, and an end at which no match is left."""
    written = pattern.pattern.decode() if isinstance(pattern.pattern, bytes) else pattern.pattern
    own = dict.fromkeys(re.findall(r"[A-Za-z]{2,}|[^\sA-Za-z\\]", written))
    yield from (("", bait, "\x00") for bait in BAITS)
    for word in list(own)[:12]:
        yield from (("", word, "\x00"), ("", f"{word} ", "\x00"), (word, " ", "\x00"), (word, "0", "\x00"))


def slow_patterns(found_patterns: Sequence[Found]) -> Iterator[str]:
    """Yield the patterns that take too long; each text is tried longer if it was the slowest at a shorter length."""
    for found in found_patterns:
        tried = list(baits(found.pattern))
        for size, kept in zip(SIZES, KEPT, strict=True):
            texts = [(begin + bait * (size // len(bait)) + end, (begin, bait, end)) for begin, bait, end in tried]
            times = []
            for text, bait in texts:
                times.append((found.seconds(text), bait))
                if times[-1][0] >= MOST_SECONDS:
                    yield f"{found.where} {found.way} of {size:,} characters {bait}: {found.pattern.pattern[:200]!r}"
                    break
            else:
                times.sort(reverse=True)
                tried = [bait for _, bait in times[:kept]]
                continue
            break


@pytest.mark.slow
@pytest.mark.attack("card", "texts of a million characters that make patterns search for minutes", "linear time")
def test_the_time_of_each_pattern_grows_with_the_text_and_not_faster():
    done = run_script(Path(__file__), within=HARD_LIMIT)
    assert done.returncode == 0, done.stderr[-3000:]
    found, slow = json.loads(done.stdout)
    assert slow == []
    assert ["cardproof.core.numbers._NUMBER", "fullmatch"] in found
    assert ["cardproof.read.table_subject._DATA_SETS", "search"] in found
    assert len(found) > 150


def test_a_pattern_that_searches_for_minutes_is_found(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "MOST_SECONDS", 0.2)
    signal.signal(signal.SIGVTALRM, _stop)
    try:
        assert len(list(slow_patterns([Found("here", re.compile(r"(?:a|a)*x"), "fullmatch")]))) == 1
        assert list(slow_patterns([Found("here", re.compile(r"a*x"), "fullmatch")])) == []
    finally:
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)


def _stop(*_: object) -> None:
    raise TimeoutError


if __name__ == "__main__":
    signal.signal(signal.SIGVTALRM, _stop)
    everything = patterns()
    json.dump([[(one.where, one.way) for one in everything], list(slow_patterns(everything))], sys.stdout)
