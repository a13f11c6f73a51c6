"""Jinja2 templates: sandboxed, strict about undefined names, with every error at its line of the template."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import (
    BytecodeCache,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
    nodes,
    pass_eval_context,
    select_autoescape,
)
from jinja2.bccache import Bucket
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from cardproof import __version__
from cardproof.core.cache import Entry, open_cache
from cardproof.core.clock import time_limit
from cardproof.core.types import VERDICTS, Finding, Place
from cardproof.render.output.text import code_text, html_text, markdown_text

if TYPE_CHECKING:
    from jinja2.nodes import EvalContext

LAYOUTS = Path(__file__).parent / "layouts"
"""Layouts that come with cardproof: of pages, which templates may include, and of lists."""


EXPRESSION_ERRORS = (
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    MemoryError,
    TimeoutError,
)
"""Errors of expressions in templates, which are reported as findings."""

MOST_EXPONENT = 64
MOST_REPEATED = 100_000
"""The limit of ``range`` in Jinja's sandbox."""

TIME_LIMIT = 60
"""Seconds that a page may take to render; a page of a hundred models takes 0.1."""

RAW_HINT = "define the name, or wrap literal braces in {% raw %} … {% endraw %}"


class TemplatesError(Exception):
    """A template that cannot be rendered, for the reasons in ``findings``."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(f"{finding.place}: {finding.message}" for finding in findings))
        self.findings = findings


class CallError(Exception):
    """A template called a function with an invalid argument."""


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with a limit for products: ``'x' * 10**10`` would take all memory."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.requested: set[str] = set()
        """Names of the templates that were requested."""

    def _load_template(self, name: str, globals: Any) -> Any:
        self.requested.add(name)
        return super()._load_template(name, globals)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute a product or power. Raises ValueError if the result would be too large."""
        if operator == "**" and not (isinstance(right, int | float) and abs(right) <= MOST_EXPONENT):
            raise ValueError(f"a power above {MOST_EXPONENT} is too large for a template")
        for repeated, times in ((left, right), (right, left)):
            is_repetition = isinstance(repeated, str | list | tuple) and isinstance(times, int)
            if is_repetition and len(repeated) * times > MOST_REPEATED:
                raise ValueError(f"more than {MOST_REPEATED:,} repeated items are too many for a template")
        return super().call_binop(context, operator, left, right)


class Templates:
    """The templates of one site: those of its folders first, then the layouts that come with cardproof."""

    def __init__(self, folders: list[Path], show: Callable[[Path], str]) -> None:
        self._show = show
        self._folders = folders
        loader = ChoiceLoader(
            [
                FileSystemLoader([str(f) for f in folders]),
                PrefixLoader({"cardproof": FileSystemLoader(str(LAYOUTS))}),
            ]
        )
        self._environment = _Environment(
            loader=loader,
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            bytecode_cache=_Compiled(),
        )
        self._environment.filters["md"] = markdown_text
        self._environment.filters["code"] = code_text
        self._environment.filters["html"] = html_text

    def requested(self) -> set[Path]:
        """Return every file that rendering looked for since the last call, also missing ones."""
        names, self._environment.requested = self._environment.requested, set()
        found: set[Path] = set()
        for name in names:
            for folder in self._folders:
                found.add(folder / name)
                if (folder / name).is_file():
                    break
        return found

    def render_file(self, name: str, variables: Mapping[str, Any]) -> str:
        """Render a template by its name. Raises TemplatesError."""
        source, filename, _ = self._source(name)
        return self._render(lambda: self._environment.get_template(name), source, filename or name, variables)

    def render_text(self, text: str, file: str, variables: Mapping[str, Any]) -> str:
        """Render a template from its text; errors name ``file``. Raises TemplatesError."""

        def compiled() -> Template:
            code = self._environment.compile(text, name=file, filename=file)
            names = self._environment.make_globals(None)
            return self._environment.template_class.from_code(self._environment, code, names)

        return self._render(compiled, text, file, variables)

    def _render(self, compiled: Callable[[], Template], text: str, file: str, variables: Mapping[str, Any]) -> str:
        try:
            template = compiled()
            with time_limit(TIME_LIMIT, "rendering it took more than"):
                return template.render(variables)
        except UndefinedError as trouble:
            undefined = self._undefined(text, file, set(variables))
            raise TemplatesError(undefined or [self._finding(trouble, file, RAW_HINT)]) from trouble
        except (TemplateError, CallError, *EXPRESSION_ERRORS) as trouble:
            raise TemplatesError([self._finding(trouble, file)]) from trouble

    def includes(self, text: str) -> set[str]:
        """Return the names of the templates that a text includes, imports or extends; empty after a syntax error."""
        try:
            tree = self._environment.parse(text)
        except TemplateSyntaxError:
            return set()
        return {name for node in tree.find_all(_REFERENCES) for name in _names(node)}

    def _undefined(self, text: str, file: str, defined: set[str], seen: frozenset[str] = frozenset()) -> list[Finding]:
        """Return a finding for every undefined name in a template and those that it includes."""
        tree = self._environment.parse(text)
        stored = {node.name for node in tree.find_all(nodes.Name) if node.ctx in ("store", "param")}
        defined = defined | stored | set(self._environment.globals) | {"loop", "self", "caller", "varargs", "kwargs"}
        findings: dict[tuple[int, str], Finding] = {}
        for node in tree.find_all(nodes.Name):
            if node.ctx == "load" and node.name not in defined:
                column = text.splitlines()[node.lineno - 1].find(node.name) + 1
                end = column + len(node.name) if column else None
                place = Place(self._show_path(file), node.lineno, max(column, 1), end)
                message = f"'{node.name}' is undefined"
                findings.setdefault((node.lineno, node.name), Finding(place, "template", "error", message, RAW_HINT))
        found = list(findings.values())
        for name in sorted(self.includes(text) - seen):
            try:
                inner, filename, _ = self._source(name)
            except TemplatesError:
                continue
            found += self._undefined(inner, filename or name, defined, seen | {name})
        return found

    def _finding(self, trouble: Exception, file: str, hint: str | None = None) -> Finding:
        if isinstance(trouble, TemplateSyntaxError):
            place = Place(self._show_path(trouble.filename or file), trouble.lineno, 1)
            return Finding(place, "template", "error", f"template syntax: {trouble.message}", hint)
        line, message = 1, str(trouble) or type(trouble).__name__
        for frame in traceback.extract_tb(trouble.__traceback__):
            if frame.filename == file or any(frame.filename.startswith(str(folder)) for folder in self._folders):
                file, line = frame.filename, frame.lineno or 1
        if isinstance(trouble, TemplateNotFound):
            message = f"template '{trouble.name}' is not found"
            hint = f"looked in {', '.join(self._show(folder) for folder in self._folders)}"
        return Finding(Place(self._show_path(file), line, 1), "template", "error", message, hint)

    def _source(self, name: str) -> tuple[str, str | None, Any]:
        assert self._environment.loader
        self._environment.requested.add(name)
        try:
            return self._environment.loader.get_source(self._environment, name)
        except TemplateNotFound as trouble:
            raise TemplatesError([self._finding(trouble, name)]) from trouble

    def _show_path(self, file: str) -> str:
        return self._show(Path(file))


def render_layout(name: str, **variables: Any) -> str:
    """Render a layout of cardproof, which is trusted; values in HTML and SVG become text on one line."""
    return _layouts().get_template(name).render(variables)


@cache
def _layouts() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(str(LAYOUTS)),
        undefined=StrictUndefined,
        autoescape=select_autoescape(("html", "svg")),
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_Compiled(),
    )
    environment.globals["VERDICTS"] = VERDICTS
    environment.filters["md"] = lambda value: Markup(markdown_text(value))  # nosec B704  # escaped
    environment.filters["commas"] = "{:,}".format
    return environment


@pass_eval_context
def _finalized(context: EvalContext, value: Any) -> Any:
    """Return a value escaped for a layout, on one line: in HTML, a line of a card could begin Markdown."""
    return value if not context.autoescape or hasattr(value, "__html__") else Markup(html_text(value))  # nosec B704


class _Compiled(BytecodeCache):
    """Compiled templates in the private cache: Jinja's code for one version of it and one text."""

    def __init__(self) -> None:
        self._cache = open_cache()

    def load_bytecode(self, bucket: Bucket) -> None:
        entry = self._cache.entry("compiled templates", bucket.key) if self._cache else None
        if entry and entry.inputs == self._inputs(bucket):
            bucket.bytecode_from_string(entry.value.encode("latin-1"))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if self._cache:
            text = bucket.bytecode_to_string().decode("latin-1")
            self._cache.put("compiled templates", [Entry(bucket.key, self._inputs(bucket), text)])

    def _inputs(self, bucket: Bucket) -> dict[str, str]:
        return {"jinja2": version("jinja2"), "cardproof": __version__, "text": bucket.checksum}


_REFERENCES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


def _names(node: nodes.Node) -> Iterator[str]:
    """Yield the constant names of an include; computed names are unknown before rendering."""
    template = getattr(node, "template", None)
    for item in template.items if isinstance(template, (nodes.List, nodes.Tuple)) else [template]:
        if isinstance(item, nodes.Const) and isinstance(item.value, str):
            yield item.value
