"""Evidence stays valid while the method's version does: who changes code that measures must decide about it here."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import pytest

import res2next
from cardproof.measure import evaluation
from cardproof.plan import evaluations

OURS = Path(res2next.__file__).parent
EVALUATION = (
    OURS / "transforms.py",
    *sorted((OURS / "evaluation").glob("*.py")),
    *sorted((OURS / "datasets").glob("*.py")),
    Path(evaluation.__file__),
)
"""What feeds images to a network and counts what it says; networks and weights are inputs of their own."""

DECIDED = {"evaluation/1": "8377d9914dca842c"}
"""For each version of a method, the code that gives its results. Where this test fails: raise METHOD in
``plan/evaluations.py`` if any count could come out otherwise, which makes all older results stale; then write the
new digest here."""


def digest_of_code(paths: tuple[Path, ...]) -> str:
    """Return a digest of what code does: comments, docstrings and layout do not count."""
    found = hashlib.sha256()
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [part for part in body if not _is_text(part)] or [ast.Pass()]
        found.update(f"{path.name} {ast.unparse(tree)}\n".encode())
    return found.hexdigest()[:16]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_the_code_that_evaluates_is_that_of_its_method() -> None:
    assert {evaluations.METHOD: digest_of_code(EVALUATION)} == DECIDED


@pytest.mark.parametrize(("one", "other", "same"), [("x = 1", "x  =  1  # one", True), ("x = 1", "x = 2", False)])
def test_only_what_code_does_counts(tmp_path: Path, one: str, other: str, same: bool) -> None:
    file = tmp_path / "code.py"
    digests = []
    for text in (f'"""One."""\n{one}\n', f'"""Other."""\n{other}\n'):
        file.write_text(text)
        digests.append(digest_of_code((file,)))
    assert (digests[0] == digests[1]) is same
