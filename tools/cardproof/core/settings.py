"""Settings: the options of the plugin ``cardproof`` in ``mkdocs.yml``; the command line overrides them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.errors import InputError, did_you_mean
from cardproof.core.field_names import WITH_TOLERANCE, canonical_dataset, dataset_names, normal_field, spellings_of
from cardproof.core.numbers import parse_number
from cardproof.core.paths import is_inside, real_path, root_of
from cardproof.core.source import read_source
from cardproof.core.types import shorten
from cardproof.core.yaml import Mapping, Node, Scalar, Sequence, read_yaml

FlopsAre = Literal["multiply-adds", "operations"]
Badges = Literal["claims", "models", "none"]
Conventions = Literal["known", "strict"]


class Tolerance(Struct, frozen=True):
    """How far a found value may be from the stated one; see :func:`parse_tolerance`."""

    kind: Literal["written", "exact", "digits", "percent", "absolute"] = "written"
    amount: Decimal = Decimal(0)


class SnippetSettings(Struct, frozen=True):
    """How the snippets of pages are run: the mapping ``snippets``."""

    run: bool = True
    """Whether they are run at all."""
    weights: Literal["strict", "random"] = "strict"
    """If published weights are missing: ``strict`` does not run a block, ``random`` runs it with random weights."""
    models: Literal["first", "all"] = "first"
    """Run a page for the model that it shows, or for every model of its card."""
    devices: tuple[Literal["cpu", "cuda"], ...] = ("cpu",)
    """``cpu``, ``cuda``, or both."""
    network: bool = False
    """Whether blocks marked ``.network`` may reach it."""
    placeholders: dict[str, Any] = field(default_factory=dict)
    """Values that upper-case names have for the run, such as ``NUM_FINETUNE_CLASSES``; the page keeps the name."""
    preload: tuple[str, ...] | None = None
    """Modules that the forking process imports once, for every page; not set: torch, for the pages that use it."""
    limits: dict[str, float] = field(default_factory=dict)
    """Limits of a page, by their names in :class:`cardproof.snippets.types.Limits`; see ``LIMITS``."""
    files: tuple[str, ...] = ()
    """Files that pages find in their working folder: paths and wildcards, seen from the page or the site's folder."""


class SiteSettings(Struct, frozen=True):
    """The options of ``mkdocs.yml`` outside of the plugin."""

    name: str = "Model cards"
    """``site_name``."""
    description: str = ""
    """``site_description``."""
    url: str = ""
    """``site_url``; addresses are relative to the site's root if it is empty."""
    docs: Path = Path("docs")
    """``docs_dir``: the root of what is published."""
    directory_urls: bool = True
    """``use_directory_urls``: whether a page is published as a folder."""


class Settings(Struct, frozen=True):
    """All settings, with paths as given (relative to the folder of ``mkdocs.yml``)."""

    base: Path = field(default_factory=Path)
    """The folder of ``mkdocs.yml``; the working directory if there is no such file."""
    zoo: str | None = None
    """Source of networks: ``res2next``, ``timm``, ``torchvision``, ``transformers``, ``package.module:object`` or
    ``file.py:object``."""
    names: Path | None = None
    """YAML file with the zoo's names of models that cards call otherwise: a mapping in which ``*`` and ``?`` stand for
    any characters of the card's name."""
    templates: Path = Path("templates")
    """Folder of card templates (``models/*.md`` below it) and of what they include."""
    includes: Path = Path("templates")
    """Second folder for templates that cards include, for cards that live elsewhere (``--templates``)."""
    out: Path = Path("docs/models")
    """Folder of the rendered pages."""
    evidence: Path = Path("docs/evidence")
    """Folder of the evidence, one JSON file per model."""
    cited: Path | None = None
    """YAML file with results that named sources publish; see the guide's page on configuration."""
    speed: Path | None = None
    """File with the speeds of the models, which ``cardproof speed`` measures and pages show."""
    data: dict[str, Path] = field(default_factory=dict)
    """Where the images of data sets are: a mapping from the data set's name to a folder or file."""
    weights: Path | None = None
    """Folder with files of weights by their published names, or one file; it is looked into before anything else."""
    reference: Path | None = None
    """Folder of generated pages about checks, commands and settings; none are written if it is not set."""
    assets: Path | None = Path("docs/assets")
    """Folder of the style sheet and the script of model pages, below ``docs``; they are written if they differ."""
    catalog: Path | None = None
    """Folder of what other programs read: a folder for each model with ``model.json`` and badges, and ``models.json``,
    ``models.csv`` and ``model-index.yml`` of all; none are written if it is not set."""
    badges: Badges = "claims"
    """Badges in the catalog: ``claims`` (of each claim and each model), ``models``, or ``none``."""
    render: bool = True
    """Whether ``mkdocs build`` and ``mkdocs serve`` render before they build. If not, they warn of pages whose
    templates have changed since."""
    snippets: SnippetSettings = field(default_factory=SnippetSettings)
    """How snippets are run: a mapping with ``run``, ``weights`` (strict or random), ``models`` (first or all),
    ``devices``, ``network``, ``placeholders``, ``preload``, ``limits`` and ``files``."""
    tolerances: dict[str, Tolerance] = field(default_factory=dict)
    """Per field, what replaces "equal at the precision written"."""
    flops: FlopsAre = "multiply-adds"
    """What the cards' field ``FLOPs`` counts: multiply-adds, or operations (two per multiply-add)."""
    conventions: Conventions = "known"
    """Counts that a well-known tool gives for the network itself: ``known`` confirms them by that tool's convention,
    ``strict`` refutes all but multiply-adds and parameters."""
    sources_agree: Decimal = Decimal("0.05")
    """Percentage points within which two sources of one accuracy agree; beyond, the claim is disputed."""

    site: SiteSettings = field(default_factory=SiteSettings)

    def path(self, given: Path) -> Path:
        """Return a configured path as seen from the working directory."""
        return given if given.is_absolute() else self.base / given


SETTINGS = tuple(name for name in Settings.__struct_fields__ if name not in ("base", "site"))
"""Names that may stand under the plugin; each is described in the guide."""

_PATHS = (
    "templates", "includes", "out", "evidence", "cited", "names", "speed", "weights", "reference", "catalog", "assets",
)  # fmt: skip


def load_settings(config: Path | None) -> Settings:
    """Read the settings of a ``mkdocs.yml``, and of those that it inherits from; defaults if ``config`` is None.

    Raises InputError, with file, line and column, for a file that cannot be read and for an invalid setting.
    """
    if config is None:
        return Settings()
    trees = _inherited_configurations(config)
    settings = Settings(base=config.parent, site=_site_settings(trees))
    for tree in trees:
        if tree.get("plugins") is not None:
            for key, node in _plugin_options(tree):
                settings = _with_setting(settings, key, node)
            break
    return settings


def _inherited_configurations(config: Path) -> list[Mapping]:
    """Return a configuration, then the one that it inherits from by ``INHERIT``, and so on; an empty file has none."""
    trees: list[Mapping] = []
    seen: set[Path] = set()
    while (real := real_path(config)) not in seen:
        seen.add(real)
        source, findings = read_source(config, config.as_posix())
        tree: Node | None = None
        if source:
            tree, more = read_yaml(source)
            findings += [finding for finding in more if finding.fatal]
        if fatal := [finding for finding in findings if finding.fatal]:
            raise InputError(f"{fatal[0].place}: {fatal[0].message}")
        if tree is None or (isinstance(tree, Scalar) and tree.value is None):
            break
        if not isinstance(tree, Mapping):
            raise InputError(f"{tree.place}: settings are a mapping, such as 'site_name: TEXT'; this is another file")
        trees.append(tree)
        parent = tree.get("INHERIT")
        if not isinstance(parent, Scalar) or not parent.text:
            break
        config = config.parent / parent.text
    return trees


def _site_settings(trees: list[Mapping]) -> SiteSettings:
    """Return the options of the site, each from the first file that has it; mkdocs itself validates them."""
    texts: dict[str, str] = {}
    for tree in trees:
        for name in ("site_name", "site_description", "site_url", "docs_dir", "use_directory_urls"):
            node = tree.get(name)
            if isinstance(node, Scalar) and node.value is not None:
                texts.setdefault(name, node.text)
    default = SiteSettings()
    return SiteSettings(
        texts.get("site_name", default.name),
        texts.get("site_description", default.description),
        texts.get("site_url", default.url),
        Path(texts.get("docs_dir", default.docs)),
        texts.get("use_directory_urls", "true").lower() != "false",
    )


def parse_tolerance(text: str) -> Tolerance:
    """Parse a tolerance. Raises ValueError if the text is not one.

    ``written``: equal at the precision written, the default. ``exact``: equal to the last unit. ``3 digits``: equal
    after rounding both to three significant digits. ``0.5%``: of the stated value. ``0.05``: in the field's own unit
    (percentage points for accuracies).
    """
    text = text.strip().lower()
    if text in ("written", "exact"):
        return Tolerance("exact" if text == "exact" else "written")
    if match := re.fullmatch(r"(\d{1,2}) digits?", text):
        return Tolerance("digits", Decimal(match[1]))
    if match := re.fullmatch(r"(?:±\s{0,5})?(\d{1,12}(?:\.\d{1,12})?)\s{0,5}(%?)", text):
        return Tolerance("percent" if match[2] else "absolute", Decimal(match[1]))
    raise ValueError(f"'{shorten(text)}' is not a tolerance: write 'exact', 'written', 'N digits', 'N%' or a number")


def tolerance_field(name: str) -> str:
    """Return the normal spelling of a field that has a tolerance. Raises ValueError for others."""
    normal = normal_field(name)
    known = spellings_of(*WITH_TOLERANCE)
    if normal not in known:
        near = did_you_mean(normal, known) or f"; such fields are {', '.join(WITH_TOLERANCE)}"
        raise ValueError(f"'{shorten(name)}' is not a field with a tolerance{near}")
    return normal


def _plugin_options(tree: Mapping) -> list[tuple[Scalar, Node]]:
    plugins = tree.get("plugins")
    for entry in plugins.items if isinstance(plugins, Sequence) else [plugins]:
        options = entry.get("cardproof") if isinstance(entry, Mapping) else None
        if isinstance(options, Mapping):
            return list(options)
    return []


def _with_setting(settings: Settings, key: Scalar, node: Node) -> Settings:
    def wrong(message: str) -> InputError:
        return InputError(f"{node.place}: {message}")

    name = key.text
    if name not in SETTINGS:
        near = did_you_mean(name, SETTINGS) or f"; it has {', '.join(SETTINGS)}"
        raise InputError(f"{key.place}: cardproof has no setting '{name}'{near}")
    if name == "tolerances":
        if not isinstance(node, Mapping):
            raise wrong("tolerances is a mapping from field to tolerance")
        tolerances: dict[str, Tolerance] = {}
        for field_key, value in node:
            try:
                text = value.text if isinstance(value, Scalar) else ""
                tolerances[tolerance_field(field_key.text)] = parse_tolerance(text)
            except ValueError as trouble:
                raise InputError(f"{value.place}: {trouble}") from None
        return replace(settings, tolerances=tolerances)
    if name == "data":
        return replace(settings, data=_parse_data(node))
    if name == "snippets":
        return replace(settings, snippets=_parse_snippets(node))
    if not isinstance(node, Scalar) or node.value is None:
        raise wrong(f"{name} must be one value")
    setting: Any = node.text
    if name in _PATHS:
        setting = _parse_path_node(node)
        full = settings.path(setting)
        if name in ("cited", "names", "speed") and not is_inside(full, [root_of(full, settings.base)]):
            raise wrong(f"{name} is not read: a link leads out of the site's folder; name the file itself")
    elif name == "sources_agree":
        if not re.fullmatch(r"\d{1,3}(\.\d{1,12})?", node.text):
            raise wrong("sources_agree is a number of percentage points")
        setting = Decimal(node.text)
    elif name == "render":
        if not isinstance(node.value, bool):
            raise wrong("render is true or false")
        setting = node.value
    elif name == "badges" and node.text not in ("claims", "models", "none"):
        raise wrong("badges is 'claims', 'models' or 'none'")
    elif name == "flops" and node.text not in ("multiply-adds", "operations"):
        raise wrong("flops is 'multiply-adds' or 'operations'")
    elif name == "conventions" and node.text not in ("known", "strict"):
        raise wrong("conventions is 'known' or 'strict'")
    return replace(settings, **{name: setting})


def parse_dataset(name: str) -> str:
    """Return a data set's canonical name. Raises ValueError if it is unknown."""
    found = canonical_dataset(name)
    if found is None:
        known = ", ".join(dataset_names())
        near = did_you_mean(name, dataset_names())
        raise ValueError(f"'{shorten(name)}' is not a data set that can be evaluated{near or f'; known are {known}'}")
    return found


def _parse_path_node(node: Scalar, parse: Callable[[str], Path] | None = None) -> Path:
    try:
        return (parse or parse_path)(node.text)
    except ValueError as trouble:
        raise InputError(f"{node.place}: {trouble}") from None


def parse_path(text: str) -> Path:
    """Return a path. Raises ValueError for what cannot be one: a null character, ``~name`` of no user."""
    if "\0" in text:
        raise ValueError("a path has no null character")
    if text.startswith("~") and os.path.expanduser(text) == text:  # noqa: PTH111  (does not raise)
        raise ValueError(f"{text.partition('/')[0]} is the home of no user; for a file of this name, write ./{text}")
    return Path(text)


def parse_images(text: str) -> Path:
    """Return the path of a data set's images. Raises ValueError as :func:`parse_path`, and for user images."""
    if text.startswith("folder:"):
        raise ValueError("images of your own are not a published split, so no claim about one can be checked with them")
    return parse_path(text)


def _parse_data(node: Node) -> dict[str, Path]:
    if not isinstance(node, Mapping):
        raise InputError(f"{node.place}: data is a mapping from data set to folder")
    found = {}
    for key, value in node:
        if not isinstance(value, Scalar) or value.value is None:
            raise InputError(f"{value.place}: data needs a path")
        try:
            found[parse_dataset(key.text)] = _parse_path_node(value, parse_images)
        except ValueError as trouble:
            raise InputError(f"{key.place}: {trouble}") from None
    return found


_CHOICES: dict[str, tuple[object, ...]] = {
    "run": (True, False),
    "network": (True, False),
    "weights": ("strict", "random"),
    "models": ("first", "all"),
}

LIMITS = {
    "block_seconds": "block_seconds",
    "page_seconds": "page_seconds",
    "memory": "memory_bytes",
    "file": "file_bytes",
    "output": "output_bytes",
    "processes": "processes",
}
"""Limits that may be set, and their names in :class:`cardproof.snippets.types.Limits`."""


def _parse_limits(node: Node) -> dict[str, float]:
    """Return limits by their names in the runner: seconds, bytes, or a number of processes."""
    if not isinstance(node, Mapping):
        raise InputError(f"{node.place}: limits is a mapping of {', '.join(LIMITS)}")
    found: dict[str, float] = {}
    for key, value in node:
        name = key.text
        if name not in LIMITS:
            raise InputError(f"{key.place}: there is no limit '{shorten(name)}'; there are {', '.join(LIMITS)}")
        text = value.text.strip() if isinstance(value, Scalar) else ""
        is_bytes = LIMITS[name].endswith("_bytes")
        number = parse_number(text, "bytes" if is_bytes else "plain")
        amount = float(number.value) if number and (is_bytes or not number.unit) else 0
        if amount <= 0 or (name == "processes" and amount != int(amount)):
            kind = "a size such as 500 MB or 8 GB" if is_bytes else "a number of processes"
            kind = "a number of seconds above 0" if name.endswith("seconds") else kind
            raise InputError(f"{value.place}: {name} is {kind}")
        found[LIMITS[name]] = amount if name.endswith("seconds") else int(amount)
    return found


def _parse_snippets(node: Node) -> SnippetSettings:
    if not isinstance(node, Mapping):
        raise InputError(f"{node.place}: snippets is a mapping")
    values: dict[str, Any] = {}
    for key, value in node:
        plain = value.plain()
        name = key.text
        if name in _CHOICES:
            if plain not in _CHOICES[name]:
                raise InputError(f"{value.place}: {name} is {' or '.join(str(c).lower() for c in _CHOICES[name])}")
            values[name] = plain
        elif name == "limits":
            values[name] = _parse_limits(value)
        elif name in ("devices", "preload", "files"):
            values[name] = tuple(str(item) for item in (plain if isinstance(plain, list) else [plain]))
            if name == "devices" and not set(values[name]) <= {"cpu", "cuda"}:
                raise InputError(f"{value.place}: devices are cpu and cuda")
            if name == "files" and any(Path(text).is_absolute() or ".." in Path(text).parts for text in values[name]):
                raise InputError(f"{value.place}: files of pages are below the site's folder; write paths without '..'")
        elif name == "placeholders" and isinstance(plain, dict):
            values[name] = plain
        else:
            raise InputError(f"{key.place}: snippets has no setting '{name}', or its value is invalid")
    return SnippetSettings(**values)
