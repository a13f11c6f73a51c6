"""Names: which names of a page the statements of a block read, bind and change, by their syntax trees."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

_BUILTIN = frozenset(dir(builtins))
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)")
_BINDING = re.compile(
    r"(?:async )?(?:def|class) (\w+)|([\w, \t]++)(?::[^=]*)?=(?!=)|(?:async )?for ([\w, \t]+) in\b|.*\bas (\w+)\s*:"
)
"""A line that binds names, and is not a whole statement."""
_LONGEST = 300
"""Characters of such a line that are looked at."""


def tree_of(code: str) -> ast.Module | None:
    """Return the syntax tree of code; None if Python cannot read it."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class Uses(Struct):
    """How one statement uses the names of its page."""

    reads: set[str] = field(default_factory=set)
    """Names whose values it needs when it runs, before it binds them itself."""
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    """Names whose values it changes: assigns to their attributes or items, calls their methods for the effect."""
    passed: set[tuple[str, str]] = field(default_factory=set)
    """Functions that are called for the effect, each with a name that it is given."""
    imports: dict[str, str] = field(default_factory=dict)
    """Names that imports bind, with what they import."""
    later: dict[str, set[str]] = field(default_factory=dict)
    """Functions and classes that it defines, with the names that they read when they are called."""


def uses_of(nodes: Sequence[ast.stmt]) -> tuple[Uses, ...]:
    """Return how each statement uses the names of its page."""
    found = []
    for node in nodes:
        visitor = _Visitor()
        visitor.visit(node)
        found.append(visitor.uses)
    return tuple(found)


def uses_of_text(code: str) -> tuple[Uses, ...]:
    """Return the names that code binds or changes which does not parse, line by line, as one statement."""
    whole = Uses()
    for line in code.splitlines():
        text = _PROMPT.sub("", line).strip()
        try:
            parts = uses_of(ast.parse(text).body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            match = _BINDING.match(text[:_LONGEST])
            found = " ".join(filter(None, match.groups())) if match else ""
            parts = (Uses(binds={name for name in re.findall(r"\w+", found) if name.isidentifier()}),)
        for part in parts:
            whole.binds |= part.binds
            whole.changes |= part.changes
            whole.imports |= part.imports
    return (whole,)


def _names_read(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that nodes read and do not bind themselves, at any depth."""
    inner = [item for node in nodes for item in ast.walk(node)]
    names = {item.id for item in inner if isinstance(item, ast.Name)}
    stored = {item.id for item in inner if isinstance(item, ast.Name) and not isinstance(item.ctx, ast.Load)}
    stored |= {item.arg for item in inner if isinstance(item, ast.arg)}
    stored |= {item.name for item in inner if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for item in inner:
        if isinstance(item, ast.Import | ast.ImportFrom):
            stored |= {alias.asname or alias.name.partition(".")[0] for alias in item.names}
    return names - stored


def _root_name(node: ast.AST) -> str | None:
    """Return the name at the beginning of ``name.attribute[item]``."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


class _Visitor(ast.NodeVisitor):
    """Visits the parts of a statement in the order in which they are evaluated."""

    def __init__(self) -> None:
        self.uses = Uses()

    def _visit_all(self, *parts: ast.AST | Sequence[ast.AST | None] | None) -> None:
        for part in parts:
            for node in part if isinstance(part, Sequence) else (part,):
                if node is not None:
                    self.visit(node)

    def _add_reads(self, names: Iterable[str]) -> None:
        self.uses.reads |= set(names) - self.uses.binds

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.uses.binds.add(node.id)
        else:
            self._add_reads([node.id])

    def visit_Attribute(self, node: ast.Attribute | ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load) and (root := _root_name(node)):
            self.uses.changes.add(root)
        self.generic_visit(node)

    visit_Subscript = visit_Attribute  # noqa: N815

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call):
            if isinstance(call.func, ast.Attribute) and (root := _root_name(call.func)):
                self.uses.changes.add(root)
            elif isinstance(call.func, ast.Name) and call.func.id not in _BUILTIN:
                given = [*call.args, *(keyword.value for keyword in call.keywords)]
                self.uses.passed |= {(call.func.id, root) for root in map(_root_name, given) if root}
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._visit_all(node.value, node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._add_reads([node.target.id])
        self._visit_all(node.value, node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_all(node.annotation, node.value, node.target if node.value else None)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._visit_all(node.value, node.target)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._visit_all(node.iter, node.target, node.body, node.orelse)

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_ListComp(self, node: ast.AST) -> None:
        self._add_reads(_names_read([node]))
        self.uses.binds |= {item.target.id for item in ast.walk(node) if isinstance(item, ast.NamedExpr)}

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_Lambda = visit_ListComp  # noqa: N815

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        args = node.args
        given = [arg.annotation for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
        self._visit_all(node.decorator_list, args.defaults, args.kw_defaults, given, node.returns)
        self.uses.binds.add(node.name)
        shared = {name for item in ast.walk(node) if isinstance(item, ast.Global) for name in item.names}
        self.uses.binds |= shared
        self.uses.later[node.name] = _names_read([args, *node.body]) - {node.name}

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all(node.decorator_list, node.bases, node.keywords)
        inside = _Visitor()
        inside._visit_all(node.body)
        self._add_reads(inside.uses.reads)
        self.uses.binds.add(node.name)
        methods: set[str] = set().union(*inside.uses.later.values())
        self.uses.later[node.name] = methods - {node.name}

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            module = f"{'.' * node.level}{node.module or ''}" if isinstance(node, ast.ImportFrom) else ""
            self.uses.imports[name] = f"{module}:{alias.name if alias.asname or module else name}"
            self.uses.binds.add(name)

    visit_ImportFrom = visit_Import  # noqa: N815

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._visit_all(node.type)
        if node.name:
            self.uses.binds.add(node.name)
        self._visit_all(node.body)

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            self.uses.binds.add(node.name)
        self.generic_visit(node)

    visit_MatchStar = visit_MatchAs  # noqa: N815

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.uses.binds.add(node.rest)
        self.generic_visit(node)
