"""Places of values in the Python source of a zoo, found in its syntax tree without running it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from cardproof.core.types import Place


class SourceFile:
    """One file of an installed package."""

    def __init__(self, path: Path, name: str) -> None:
        """``name`` is its path relative to the folder of the package, the same on every machine."""
        self.name = name
        self._text = path.read_text(encoding="utf-8")
        self._lines = self._text.split("\n")
        self._tree = ast.parse(self._text)
        self._constants = {
            target.id: node.value
            for node in self._tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        texts = (
            node for node in ast.walk(self._tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        self._texts = {node.value: node for node in sorted(texts, key=lambda node: node.lineno)}

    def entry(self, cls: str, name: str) -> ast.expr | None:
        """Return the expression that a class of this file assigns to a name."""
        for node in self._tree.body:
            if isinstance(node, ast.ClassDef) and node.name == cls:
                for statement in node.body:
                    if isinstance(statement, ast.Assign) and _assigns(statement, name):
                        return statement.value
        return None

    def place_of_text(self, text: str) -> Place:
        """Return the place of the last such text constant; of the file if there is none."""
        found = self._texts.get(text)
        return self.place(found) if found else Place(self.name, 1, 1)

    def value(self, within: ast.expr, *keys: str) -> ast.expr | None:
        """Return the value at nested keys of a dictionary in an expression; names of this file are resolved."""
        for node in ast.walk(within):
            if isinstance(node, ast.Dict) and (found := self._look_up(node, keys, 0)) is not None:
                return found
        return None

    def place(self, node: ast.expr) -> Place:
        end = self._column(node.end_lineno or 0, node.end_col_offset or 0) if node.end_lineno == node.lineno else None
        return Place(self.name, node.lineno, self._column(node.lineno, node.col_offset), end)

    def text(self, node: ast.expr) -> str:
        """Return what is written, as ``ast.get_source_segment`` does, which splits the whole file each time."""
        lines = [line.encode() for line in self._lines[node.lineno - 1 : node.end_lineno]]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"\n".join(lines).decode()

    def _look_up(self, node: ast.expr, keys: tuple[str, ...], depth: int) -> ast.expr | None:
        if not keys:
            return node
        if isinstance(node, ast.Name) and depth < 10:
            constant = self._constants.get(node.id)
            return self._look_up(constant, keys, depth + 1) if constant is not None else None
        if not isinstance(node, ast.Dict):
            return None
        pairs = list(zip(node.keys, node.values, strict=True))
        for key, value in reversed(pairs):  # the last entry of a key counts
            if key is None:
                found = self._look_up(value, keys, depth + 1)
            else:
                is_key = isinstance(key, ast.Constant) and key.value == keys[0]
                found = self._look_up(value, keys[1:], depth) if is_key else None
            if found is not None:
                return found
        return None

    def _column(self, line: int, offset: int) -> int:
        """Return the column, in characters, of an offset in bytes."""
        return len(self._lines[line - 1].encode()[:offset].decode(errors="replace")) + 1


@cache
def source_file(path: str, package: str) -> SourceFile | None:
    """Return a file of a package; None if it cannot be read, as in an archive."""
    parts = Path(path).parts
    start = max((i for i, part in enumerate(parts) if part == package), default=0)
    try:
        return SourceFile(Path(path), "/".join(parts[start:]))
    except (OSError, SyntaxError, ValueError):
        return None


def _assigns(statement: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in statement.targets)
