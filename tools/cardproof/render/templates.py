"""Jinja2 templates: sandboxed, strict about undefined names, with every error at its line of the template."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
    nodes,
    pass_eval_context,
    select_autoescape,
)
from jinja2.bccache import Bucket
from jinja2.meta import find_referenced_templates
from markupsafe import Markup

from cardproof import __version__
from cardproof.core.cache import Entry, open_cache
from cardproof.core.clock import time_limit
from cardproof.core.errors import TemplatesError
from cardproof.core.paths import is_inside, is_regular, show_path
from cardproof.core.types import SHOWN_VERDICTS, Finding, Place
from cardproof.render.output.text import code_text, entity_text, html_text, markdown_text
from cardproof.render.sandbox import VERSION, Sandbox

if TYPE_CHECKING:
    from jinja2.ext import Extension
    from jinja2.nodes import EvalContext

LAYOUTS = Path(__file__).parent / "layouts"
"""Layouts that come with cardproof: of pages, which templates may include, and of lists."""


MOST_MESSAGE = 500
"""Characters of a message, which may quote a value."""

TIME_LIMIT = 60
"""Seconds that a page may take to render; a page of a hundred models takes 0.1."""

GRACE = 5
"""Seconds after that limit until a signal ends a filter that takes long by itself; all else stops at the limit."""

RAW_HINT = "define the name, or wrap literal braces in {% raw %} … {% endraw %}"


class CallError(Exception):
    """A template called a function with an invalid argument."""


class _SiteLoader(FileSystemLoader):
    """Loads the templates of a site's folders; one that a link places outside of ``roots`` is not read."""

    def __init__(self, folders: list[Path], roots: tuple[Path, ...]) -> None:
        super().__init__([str(folder) for folder in folders])
        self._roots = roots

    def get_source(self, environment: Environment, template: str) -> Any:
        """Return a template, as its base class does. Raises CallError for one that is not read."""
        found = super().get_source(environment, template)
        if not is_inside(Path(found[1]), self._roots):
            raise CallError(f"template '{template}' is not read: a link leads out of the site's folder")
        return found


class Templates:
    """The templates of one site: those of its folders first, then the layouts that come with cardproof."""

    def __init__(self, folders: list[Path], roots: Iterable[Path] = ()) -> None:
        """``roots`` are the folders below which the files must be after links are followed; by default ``folders``."""
        self._folders = folders
        loader = ChoiceLoader(
            [
                _SiteLoader(folders, tuple(roots) or tuple(folders)),
                PrefixLoader({"cardproof": FileSystemLoader(str(LAYOUTS))}),
            ]
        )
        self._environment = Sandbox(
            loader=loader,
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            bytecode_cache=_Compiled("sandboxed"),
        )
        json_options = {"sort_keys": True, "ensure_ascii": False}  # YAML reads it too
        self._environment.policies["json.dumps_kwargs"] = json_options
        for name, function in {"md": markdown_text, "code": code_text, "html": html_text}.items():
            self._environment.add_filter(name, function)

    def requested(self) -> set[Path]:
        """Return every file that rendering looked for since the last call, also missing ones."""
        names, self._environment.requested = self._environment.requested, set()
        found: set[Path] = set()
        for name in filter(can_exist, names):
            for folder in self._folders:
                found.add(folder / name)
                if is_regular(folder / name):
                    break
        return found

    def render_file(self, name: str, variables: Mapping[str, Any]) -> str:
        """Render a template by its name. Raises TemplatesError."""
        source, filename, _ = self._source(name)
        return self._render(lambda: self._environment.get_template(name), source, filename or name, variables)

    def render_text(self, text: str, file: str, variables: Mapping[str, Any]) -> str:
        """Render a template from its text; errors name ``file``. Raises TemplatesError."""
        return self._render(lambda: _compiled(self._environment, text, file), text, file, variables)

    def render_with(
        self, extension: type[Extension], hidden: Mapping[str, Any], text: str, file: str, variables: Mapping[str, Any]
    ) -> str:
        """Render a text with an extension of Jinja and its own global names. Raises any exception."""
        environment = self._environment.overlay(extensions=[extension])
        environment.globals = {**environment.globals, **hidden}
        environment.bytecode_cache = None  # what it compiles is of no use without the extension
        return _render_within_limits(environment, lambda: _compiled(environment, text, file), variables)

    def _render(self, compiled: Callable[[], Template], text: str, file: str, variables: Mapping[str, Any]) -> str:
        try:
            return _render_within_limits(self._environment, compiled, variables)
        except UndefinedError as trouble:
            undefined = self._undefined(text, file, set(variables))
            raise TemplatesError(undefined or [self._finding(trouble, file, RAW_HINT)]) from trouble
        except Exception as trouble:  # a template is input: whatever it raises is reported at its place
            raise TemplatesError([self._finding(trouble, file)]) from trouble

    def includes(self, text: str) -> set[str]:
        """Return the names of the templates that a text includes, imports or extends; empty after a syntax error."""
        try:
            tree = self._environment.parse(text)
            return {name for name in find_referenced_templates(tree) if name and can_exist(name)}
        except (TemplateSyntaxError, RecursionError):
            return set()

    def _undefined(self, text: str, file: str, defined: set[str], seen: frozenset[str] = frozenset()) -> list[Finding]:
        """Return a finding for every undefined name in a template and those that it includes."""
        try:
            tree = self._environment.parse(text)
            named = list(tree.find_all(nodes.Name))
        except (TemplateSyntaxError, RecursionError) as trouble:
            return [self._finding(trouble, file)]
        stored = {node.name for node in named if node.ctx in ("store", "param")}
        stored |= {node.name for node in tree.find_all(nodes.Macro)} | set(_imported_names(tree))
        defined = defined | stored | set(self._environment.globals) | {"loop", "self", "caller", "varargs", "kwargs"}
        findings: dict[tuple[int, str], Finding] = {}
        for node in named:
            if node.ctx == "load" and node.name not in defined:
                column = text.splitlines()[node.lineno - 1].find(node.name) + 1
                end = column + len(node.name) if column else None
                place = Place(show_path(Path(file)), node.lineno, max(column, 1), end)
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
            place = Place(show_path(Path(trouble.filename or file)), trouble.lineno, 1)
            return Finding(place, "template", "error", f"template syntax: {trouble.message}", hint)
        line, message = 1, str(trouble) or type(trouble).__name__
        for frame in traceback.extract_tb(trouble.__traceback__):
            if frame.filename == file or any(frame.filename.startswith(str(folder)) for folder in self._folders):
                file, line = frame.filename, frame.lineno or 1
        if isinstance(trouble, RecursionError):
            message = "it includes or calls itself, or nests too deeply"
        if isinstance(trouble, TemplateNotFound):
            message = f"template '{trouble.name}' is not found"
            hint = f"looked in {', '.join(map(show_path, self._folders))}"
        message = message.encode("utf-8", "backslashreplace").decode()
        message = message if len(message) <= MOST_MESSAGE else f"{message[:MOST_MESSAGE]} …"
        return Finding(Place(show_path(Path(file)), line, 1), "template", "error", message, hint)

    def _source(self, name: str) -> tuple[str, str | None, Any]:
        assert self._environment.loader
        self._environment.requested.add(name)
        try:
            return self._environment.loader.get_source(self._environment, name)
        except Exception as trouble:  # it is missing, or not a text
            raise TemplatesError([self._finding(trouble, name)]) from trouble


def _render_within_limits(environment: Sandbox, compiled: Callable[[], Template], variables: Mapping[str, Any]) -> str:
    environment.budget.start(TIME_LIMIT)
    with time_limit(TIME_LIMIT + GRACE, "rendering it took more than"):
        return compiled().render(variables)


def render_layout(name: str, **variables: Any) -> str:
    """Render a layout of cardproof, which is trusted; values in HTML and SVG become text on one line."""
    return _layouts().get_template(name).render(variables)


@cache
def _layouts() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(str(LAYOUTS)),
        undefined=StrictUndefined,
        autoescape=select_autoescape(("html", "svg")),
        finalize=_escape_for_layout,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_Compiled("trusted"),
    )
    environment.globals["VERDICTS"] = SHOWN_VERDICTS
    environment.filters["md"] = lambda value: Markup(markdown_text(value))  # nosec B704  # escaped
    environment.filters["entities"] = lambda value: Markup(entity_text(value))  # nosec B704  # escaped
    environment.filters["commas"] = "{:,}".format
    return environment


@pass_eval_context
def _escape_for_layout(context: EvalContext, value: Any) -> Any:
    """Return a value escaped for a layout, on one line: in HTML, a line of a card could begin Markdown."""
    return value if not context.autoescape or hasattr(value, "__html__") else Markup(html_text(value))  # nosec B704


def _imported_names(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all(nodes.Import):
        yield node.target
    for other in tree.find_all(nodes.FromImport):
        yield from (name[1] if isinstance(name, tuple) else name for name in other.names)


class _Compiled(BytecodeCache):
    """Compiled templates in the private cache: a third of the time of a build in which one card's words changed.

    Code for the sandbox has its limits; the same layout is other code if it is trusted.
    """

    def __init__(self, kind: str) -> None:
        self._cache, self._kind = open_cache(), kind

    def load_bytecode(self, bucket: Bucket) -> None:
        entry = self._cache.entry("compiled templates", f"{self._kind} {bucket.key}") if self._cache else None
        if entry and entry.inputs == _inputs(bucket):
            bucket.bytecode_from_string(entry.value.encode("latin-1"))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if self._cache:
            text = bucket.bytecode_to_string().decode("latin-1")
            self._cache.put(("compiled templates", [Entry(f"{self._kind} {bucket.key}", _inputs(bucket), text)]))


def _inputs(bucket: Bucket) -> dict[str, str]:
    versions = {"jinja2": version("jinja2"), "cardproof": __version__, "sandbox": VERSION}
    return {**versions, "text": bucket.checksum}


def can_exist(name: str) -> bool:
    """Return whether a file could have a name, so that asking for it raises nothing."""
    try:
        return "\0" not in name and all(len(os.fsencode(part)) < 256 for part in name.split("/"))
    except UnicodeError:
        return False


def _compiled(environment: Environment, text: str, file: str) -> Template:
    code = environment.compile(text, name=file, filename=file)
    return environment.template_class.from_code(environment, code, environment.make_globals(None))
