"""Options that several commands share; ``render`` and ``audit`` get theirs as one :class:`RunOptions`."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from msgspec import Struct
from msgspec.structs import replace

from cardproof.core.errors import InputError
from cardproof.core.field_names import WITH_TOLERANCE, dataset_names, spellings_of
from cardproof.core.paths import show_path
from cardproof.core.settings import (
    Settings,
    load_settings,
    parse_dataset,
    parse_images,
    parse_path,
    parse_tolerance,
    tolerance_field,
)
from cardproof.plan.options import FIELDS, LOCAL, MeasureOptions, Progress, parse_force
from cardproof.report.formats import FORMATS
from cardproof.zoos import BUILT_IN, local_zoo

EXIT_STATUS = """Exit status: 0 all holds; 1 refuted claims, other errors in cards, or stale pages under --check;
2 bad input or usage, or an internal error."""


def epilog(*examples: str) -> str:
    """Return the end of a command's help: examples, one a line, and the exit statuses."""
    lines = "\n".join(f"  {example}" for example in examples)
    return f"\b\nExamples:\n{lines}\n\n{EXIT_STATUS}"


class PathType(click.Path):
    """A path on the command line; empty paths, web addresses, impossible names and circular links are refused."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        text = os.fspath(value)
        if not text:
            self.fail("a path is empty; '.' is the working directory", param, ctx)
        if _ADDRESS.match(text) and not os.path.lexists(text):  # before its slashes are those of a path
            raise InputError(f"{text}: addresses are not read: download the file first, and name it")
        try:
            Path(text).stat()
        except (FileNotFoundError, NotADirectoryError):
            pass  # it may be written; what reads it says that it is missing
        except OSError as error:
            is_loop = error.errno == errno.ELOOP
            why = (
                "this link leads in a circle; name the file itself" if is_loop else f"cannot be used: {error.strerror}"
            )
            raise InputError(f"{show_path(Path(text))}: {why}") from None
        return super().convert(value, param, ctx)


_ADDRESS = re.compile(r"(?:https?|hf):/", re.IGNORECASE)
PATH = PathType(path_type=Path)


def _completion(words: Callable[[str], Iterable[str]]) -> Callable[..., list[CompletionItem]]:
    """Return a shell completion; ``words`` gives the candidates for the text typed so far."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in words(incomplete) if word.lower().startswith(incomplete.lower())]

    return complete


def _tolerances(incomplete: str) -> list[str]:
    """Return the fields that have a tolerance; after ``=``, the tolerances that are words."""
    field, separator, _ = incomplete.partition("=")
    if separator:
        return [f"{field}=exact", f"{field}=written"]
    return [f"{name.replace(' ', '-')}=" for name in sorted(spellings_of(*WITH_TOLERANCE))]


def complete_zoo(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a zoo's name, or a file if the text has a slash or a dot."""
    if "/" in incomplete or "." in incomplete:
        return [CompletionItem(incomplete, type="file")]
    return [CompletionItem(name) for name in BUILT_IN if name.startswith(incomplete)]


ZOO_HELP = (
    "Where the networks come from: timm, torchvision, transformers, res2next, package.module:object or file.py:object."
)
ZOO = click.option("--zoo", metavar="ZOO", shell_complete=complete_zoo, help=ZOO_HELP)
CONFIG = click.option(
    "--config", "-f", type=PATH, help="The site's mkdocs.yml; by default the one in the working directory, if any."
)
DATA = click.option(
    "--data",
    metavar="NAME=PATH",
    multiple=True,
    shell_complete=_completion(lambda _: (f"{name}=" for name in dataset_names())),
    help="Folder with the images of a data set, such as ImageNet=PATH: results are evaluated. May be repeated.",
)
WEIGHTS = click.option(
    "--weights", type=PATH, help="Folder with files of weights under their published names, or one file."
)
ENGINE = click.option(
    "--engine",
    metavar="ENGINE",
    default=LOCAL,
    help="Where to measure: local, or a Dask scheduler such as tcp://host:8786.",
)
JOBS = click.option("--jobs", "-j", type=click.IntRange(min=1), help="Worker processes; one per core by default.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="Print findings only.")
VERBOSE = click.option(
    "--verbose",
    "-v",
    is_flag=True,
    help="Say why each claim is unchecked, show all fields, and name the columns of tables that are not read.",
)

_RUN_OPTIONS = (
    ZOO,
    click.option("--names", type=PATH, help="YAML file that maps model names of the cards to names of the zoo."),
    click.option(
        "--tolerance",
        "tolerances",
        metavar="FIELD=SPEC",
        multiple=True,
        shell_complete=_completion(_tolerances),
        help="How far a field may be off: 'exact', 'written' (the default), 'N digits', 'N%' or a number, as in "
        "FLOPs=1%. May be repeated.",
    ),
    CONFIG,
    DATA,
    WEIGHTS,
    JOBS,
    click.option("--dry-run", is_flag=True, help="Print what would be measured and why; measure and write nothing."),
    click.option(
        "--force",
        metavar="FIELD|MODEL",
        multiple=True,
        shell_complete=_completion(lambda _: FIELDS),
        help="Measure again what was measured before: flops, parameters, results, a model, or all. May be repeated.",
    ),
    ENGINE,
    click.option("--baseline", type=PATH, help="File of accepted findings: they become notes, and only new ones fail."),
    click.option("--update-baseline", is_flag=True, help="Write the current findings into the file of --baseline."),
    click.option(
        "--format",
        "kind",
        metavar="FORMAT",
        type=click.Choice(FORMATS),
        help=f"Format to print: {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.",
    ),
    click.option(
        "--write",
        "writes",
        metavar="FORMAT=FILE",
        multiple=True,
        shell_complete=_completion(lambda _: (f"{name}=" for name in FORMATS[1:])),
        help="Write the report into a file too, in any format except text. May be repeated.",
    ),
    click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
    QUIET,
    VERBOSE,
)


class RunOptions(Struct, frozen=True):
    """The options that ``render`` and ``audit`` share, as given."""

    zoo: str | None
    names: Path | None
    tolerances: tuple[str, ...]
    config: Path | None
    data: tuple[str, ...]
    weights: Path | None
    jobs: int | None
    dry_run: bool
    force: tuple[str, ...]
    engine: str
    baseline: Path | None
    update_baseline: bool
    kind: str | None
    writes: tuple[str, ...]
    as_json: bool
    quiet: bool
    verbose: bool

    def settings(self) -> Settings:
        """Return the site's settings with those of the command line. Raises InputError."""
        return site_settings(self.config, self.zoo, self.tolerances, self.names, self.data, self.weights)

    def measure_options(self, progress: Progress | None) -> MeasureOptions:
        return MeasureOptions(parse_force(self.force), self.engine, self.jobs, progress)


def run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of :class:`RunOptions` to a command; it gets them as its first argument."""

    @wraps(command)
    def run(**values: Any) -> int:
        return command(RunOptions(**{name: values.pop(name) for name in RunOptions.__struct_fields__}), **values)

    for option in reversed(_RUN_OPTIONS):
        run = option(run)
    return run


def site_settings(
    config: Path | None,
    zoo: str | None = None,
    tolerances: tuple[str, ...] = (),
    names: Path | None = None,
    data: tuple[str, ...] = (),
    weights: Path | None = None,
) -> Settings:
    """Return the settings of a site; paths of the command line are relative to the working directory."""
    settings = load_settings(config or default_config())
    wanted, folders = dict(settings.tolerances), dict(settings.data)
    for text in tolerances:
        with _option_errors(f"--tolerance {text}"):
            field, separator, spec = text.partition("=")
            if not separator:
                raise ValueError("write FIELD=SPEC")
            wanted[tolerance_field(field)] = parse_tolerance(spec)
    for text in data:
        with _option_errors(f"--data {text}"):
            name, _, path = text.partition("=")
            if not path:
                raise ValueError("write NAME=PATH")
            folders[parse_dataset(name)] = parse_images(path).expanduser().absolute()
    with _option_errors("--names, --weights"):
        for given in (names, weights):
            parse_path(str(given or ""))
    return replace(
        settings,
        zoo=local_zoo(settings.zoo if zoo is None else zoo),
        tolerances=wanted,
        names=names.expanduser().absolute() if names else settings.names,
        data=folders,
        weights=weights.expanduser().absolute() if weights else settings.weights,
    )


def default_config() -> Path | None:
    """Return the ``mkdocs.yml`` of the working directory, if there is one."""
    config = Path("mkdocs.yml")
    return config if config.is_file() else None


@contextmanager
def _option_errors(option: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None


def parse_devices(values: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the devices of ``--device cpu,cuda``. Raises InputError for others."""
    names = tuple(name.strip() for text in values for name in text.split(","))
    if unknown := set(names) - {"cpu", "cuda"}:
        raise InputError(f"--device {', '.join(sorted(unknown))}: devices are cpu and cuda")
    return tuple(dict.fromkeys(names))
