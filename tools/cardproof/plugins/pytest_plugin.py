"""The pytest plugin: one item for each Python block that a Markdown page shows; a page runs once, in page order.

Loaded into every pytest run where cardproof is installed, so it imports nothing else until a page is collected.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import os

    from _pytest._code.code import ExceptionInfo, TerminalRepr

    from cardproof.core.types import Finding
    from cardproof.render.page_sources import Sources
    from cardproof.snippets.run.page_runner import Runner
    from cardproof.snippets.run_pages import Page, Policy
    from cardproof.snippets.types import Block, Device, Limits, Outcome

DEVICES = ("cpu", "cuda")
ENDINGS = (".md", ".markdown", ".mdx")
"""Of the files that are collected."""
TRACEBACK_LINES = 8
"""How many of the last lines of a reader's traceback a failure shows."""
NO_GPU = "no GPU is visible"


class CardproofWarning(pytest.PytestWarning):
    """A problem of a page that is not a failure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; all begin with ``--cardproof`` to avoid conflicts."""
    group = parser.getgroup("cardproof", "Python blocks of Markdown pages")
    group.addoption(
        "--cardproof", action="store_true", help="Run the Python blocks of all Markdown pages that are collected."
    )
    group.addoption(
        "--cardproof-device",
        action="append",
        metavar="DEVICE",
        help="cpu, cuda or both (cpu,cuda); by default those of mkdocs.yml. May be repeated, and written --device if "
        "no other plugin has that option.",
    )
    group.addoption(
        "--cardproof-random-weights",
        action="store_true",
        help="Run with random weights if published ones are missing; numbers are then not compared.",
    )
    group.addoption(
        "--cardproof-timeout",
        type=float,
        metavar="SECONDS",
        help="Limit of each block; that of a page is at least five times as long. By default as in mkdocs.yml.",
    )
    parser.addini("cardproof_timeout", "Limit of each block in seconds, as --cardproof-timeout.", "string", "")
    parser.addini("cardproof", "Run the Python blocks of all Markdown pages, as --cardproof does.", "bool", False)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> Generator[None]:
    """Add ``--device`` if it is used and not defined by a plugin or conftest file."""
    yield
    if any(arg.split("=")[0] == "--device" for arg in args):
        _, unknown = parser.parse_known_and_unknown_args(args)
        if any(arg.split("=")[0] == "--device" for arg in unknown):
            parser.getgroup("cardproof").addoption("--device", action="append", dest="cardproof_device")


def pytest_configure(config: pytest.Config) -> None:
    """Check the options and create what the pages of the session share. Raises UsageError."""
    config.addinivalue_line("markers", "cardproof: a Python block of a Markdown page.")
    shared = config.stash[_SHARED] = _SharedState(config)
    config.add_cleanup(shared.close)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> MarkdownPage | None:
    """Collect Markdown: all files with the option, or files named on the command line, except those of doctest."""
    if file_path.suffix.lower() not in ENDINGS:
        return None
    config = parent.config
    doctest = any(file_path.match(glob) for glob in config.getoption("doctestglob", None) or ())
    named = parent.session.isinitpath(file_path) and not doctest
    if named or config.getoption("cardproof") or config.getini("cardproof"):
        page: MarkdownPage = MarkdownPage.from_parent(parent, path=file_path)
        return page
    return None


class MarkdownPage(pytest.File):
    """A Markdown file; its items are its blocks and errors of its fences."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the items in page order; nothing runs yet. Raises CollectError for a page that cannot be read."""
        from cardproof.core.errors import InputError, TemplatesError
        from cardproof.core.terminal import printable

        try:
            jobs = self.config.stash[_SHARED].pages_of_file(self.path, named=self.session.isinitpath(self.path))
        except (InputError, OSError) as trouble:
            raise self.CollectError(str(trouble)) from None
        except TemplatesError as trouble:
            found = [printable(f"{finding.place}: {finding.message}") for finding in trouble.findings]
            raise self.CollectError("\n".join(found)) from None
        names = _Names()
        for finding in dict.fromkeys(finding for job in jobs for finding in job.findings):
            if finding.severity == "error":
                yield FindingItem.from_parent(self, name=names.next("finding"), finding=finding)
            else:
                _warn_at_collection(finding.message, finding.place.file, finding.place.line)
        for job in jobs:
            for number, (block, heading) in enumerate(zip(job.blocks, job.headings, strict=True)):
                titled = names.title(block.name, job.suffix) if block.name else ""
                name = titled or names.next(heading or "block", job.suffix)
                yield BlockItem.from_parent(self, name=name, job=job, number=number)


class _Names:
    """Names of a page's items, without line numbers: they stay what they are if text is added above."""

    def __init__(self) -> None:
        self._count: Counter[tuple[str, str]] = Counter()
        self._given: set[str] = set()

    def next(self, name: str, suffix: str = "") -> str:
        """Return a name with its number among those of this name, as in ``Usage-1``."""
        while True:
            self._count[name, suffix] += 1
            numbered = f"{name}-{self._count[name, suffix]}{suffix}"
            if numbered not in self._given:
                self._given.add(numbered)
                return numbered

    def title(self, title: str, suffix: str) -> str:
        """Return a title that the author gave; from the second on, with its number."""
        title = title.replace("::", ":")
        first = self._count[title, suffix] == 0 and title + suffix not in self._given
        numbered = self.next(title, suffix)
        if not first:
            return numbered
        self._given.add(title + suffix)
        return title + suffix


class _Item(pytest.Item):
    """An item with its place in the source, which may be a template of the page."""

    def __init__(self, *, file: str, line: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.add_marker("cardproof")
        self._place = Path(file).absolute(), line - 1, self.name
        self.user_properties += [("file", file), ("line", line)]

    def reportinfo(self) -> tuple[os.PathLike[str], int, str]:
        """Return file, line from 0, and what pytest calls the item."""
        return self._place

    def repr_failure(self, excinfo: ExceptionInfo[BaseException], style: Any = None) -> str | TerminalRepr:
        """Show a failure as the reader's code, in pytest's own form, which xdist and JUnit reports preserve."""
        from _pytest._code.code import ReprEntry, ReprExceptionInfo, ReprFileLocation, ReprTraceback

        if not isinstance(excinfo.value, _BlockError):
            return super().repr_failure(excinfo, style)
        file, line, message, lines = excinfo.value.args
        where = ReprFileLocation(file, line, message)
        entry = ReprEntry(lines, None, None, where, "long")
        return ReprExceptionInfo(reprtraceback=ReprTraceback([entry], None, "long"), reprcrash=where)


class BlockItem(_Item):
    """One block of a page; the first that runs starts the whole page."""

    def __init__(self, *, job: _PageJob, number: int, **arguments: Any) -> None:
        block = job.blocks[number]
        super().__init__(file=block.file, line=block.line, **arguments)
        self._job = job
        self._number = number
        self.user_properties.append(("device", job.device))
        if job.page.model:
            self.user_properties.append(("model", job.page.model))

    def runtest(self) -> None:
        """Report the outcome of the block. Raises pytest's exceptions for a skip and a failure."""
        outcome = self.config.stash[_SHARED].outcomes(self._job)[self._number]
        block, ran = outcome.block, outcome.ran
        if self._job.random:
            self.user_properties.append(("weights", "random"))
        for message in (*outcome.warnings, *(ran.warnings if ran else ())):
            _warn(message, block.file, block.line)
        if ran and (output := "".join(printed.text for printed in ran.printed)):
            self.add_report_section("call", "output", output)
        if outcome.status == "not-run":
            raise pytest.skip.Exception(f"not run: {outcome.message}", _use_item_location=True)
        if outcome.status == "skip":
            raise pytest.skip.Exception(outcome.message or "skipped without a reason", _use_item_location=True)
        if outcome.status == "fail":
            raise _BlockError(*_failure_lines(outcome))


class FindingItem(_Item):
    """An error of a page itself: a fence that is not closed, an invalid option."""

    def __init__(self, *, finding: Finding, **arguments: Any) -> None:
        super().__init__(file=finding.place.file, line=finding.place.line, **arguments)
        self._finding = finding

    def runtest(self) -> None:
        from cardproof.core.terminal import printable

        found = self._finding
        message = printable(found.message)
        hint = (f"E   hint: {printable(found.hint)}",) if found.hint else ()
        raise _BlockError(found.place.file, found.place.line, message, (f"E   {message}", *hint))


@dataclass(eq=False)
class _PageJob:
    """A page for one model on one device, with the outcomes of its blocks after the run."""

    page: Page
    device: Device
    policy: Policy
    blocks: tuple[Block, ...]
    findings: tuple[Finding, ...]
    headings: tuple[str, ...]
    """The heading above each block."""
    suffix: str
    """Part of the items' names: model and device, if there are several."""
    outcomes: Sequence[Outcome] | None = None
    random: bool = False
    """Its networks had random weights."""


class _SharedState:
    """The sites and processes that the pages of a session share."""

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath
        self._random = bool(config.getoption("cardproof_random_weights"))
        given = [name for names in config.getoption("cardproof_device") or () for name in names.split(",")]
        if unknown := [name for name in given if name not in DEVICES]:
            raise pytest.UsageError(f"--cardproof-device: {unknown[0]!r} is none; devices are {' and '.join(DEVICES)}")
        self._devices: tuple[Any, ...] = tuple(dict.fromkeys(given))
        self._timeout = _timeout(config)
        self._paths = tuple(str(path) for path in config.getini("pythonpath"))
        self._sources: Sources | None = None
        self._open = ExitStack()
        self._runners: dict[tuple[tuple[str, ...] | None, Limits | None], Runner] = {}
        self._gpu: bool | None = None

    def pages_of_file(self, path: Path, *, named: bool) -> list[_PageJob]:
        """Return the pages of a file, one per model and device; none for a template that is not ``named`` itself.

        Raises InputError, TemplatesError and OSError.
        """
        from msgspec.structs import replace

        from cardproof.render.page_sources import Sources
        from cardproof.snippets.run_pages import page_blocks, with_timeout

        if self._sources is None:
            self._sources = Sources(self._root)
        if not named and self._sources.is_template(path):
            return []
        source = self._sources.read(path)
        policy = replace(source.policy, search_path=(*source.policy.search_path, *self._paths))
        policy = replace(policy, weights="random") if self._random else policy
        policy = with_timeout(policy, self._timeout) if self._timeout else policy
        devices = self._devices or policy.devices
        jobs = []
        for page in source.pages:
            blocks, findings = page_blocks(page, policy)
            headings = _headings(page.text, blocks)
            for device in devices:
                parts = [page.model] if page.model and len(source.pages) > 1 else []
                parts += [device] if len(devices) > 1 else []
                suffix = f"[{'-'.join(parts)}]" if parts else ""
                jobs.append(_PageJob(page, device, policy, blocks, findings, headings, suffix))
        return jobs

    def outcomes(self, job: _PageJob) -> Sequence[Outcome]:
        """Return the outcomes of a page's blocks; the first call runs the page."""
        from cardproof.snippets.run_pages import run_blocks
        from cardproof.snippets.types import Outcome

        if job.outcomes is None:
            runner = self._runner(job.policy)
            if job.device == "cuda" and not self._has_gpu(runner):
                job.outcomes = [Outcome(block, "not-run", NO_GPU) for block in job.blocks]
            else:
                ran = run_blocks(job.page, job.blocks, job.device, job.policy, runner)
                job.outcomes, job.random = ran
        return job.outcomes

    def close(self) -> None:
        """End all processes; pytest calls it however the session ends."""
        self._open.close()

    def _runner(self, policy: Policy) -> Runner:
        from cardproof.snippets.run.page_runner import Runner

        wanted = policy.preload, policy.limits
        if wanted not in self._runners:
            self._runners[wanted] = self._open.enter_context(Runner(policy.limits, policy.preload))
        return self._runners[wanted]

    def _has_gpu(self, runner: Runner) -> bool:
        """Return whether torch sees a GPU, tested in a separate process if there may be one."""
        from cardproof.snippets.run.page_runner import Job, RunnerError
        from cardproof.snippets.run_pages import gpu_is_visible
        from cardproof.snippets.types import Block, Options

        if self._gpu is None:
            block = Block("gpu", 1, "import torch\nassert torch.cuda.is_available()", Options())
            try:
                self._gpu = gpu_is_visible() and runner.run(Job("gpu", (block,), "cuda"))[0].error is None
            except RunnerError:
                self._gpu = False
        return self._gpu


_SHARED = pytest.StashKey[_SharedState]()


class _BlockError(Exception):
    """A failure: its arguments are file, line, message, and the lines shown above the message."""

    def __str__(self) -> str:  # for other plugins
        return str(self.args[2])


def _failure_lines(outcome: Outcome) -> tuple[str, int, str, list[str]]:
    """Return file and line of a failure, its message, and the reader's code with the failing line marked."""
    block, ran = outcome.block, outcome.ran
    place = None
    if ran and ran.error_line:
        place = block.located(ran.error_line)
    elif outcome.expected_line is not None:
        place = outcome.expected_file or block.file, outcome.expected_line
    rows = [(block.located(number), text) for number, text in enumerate(block.code.rstrip().split("\n"), 1)]
    if block.stated_output and place not in [where for where, _ in rows]:
        stated = block.stated_output[0].rstrip().split("\n")
        rows += [(block.located_output(number), text) for number, text in enumerate(stated, 1)]
    lines = [f"{'>' if where == place else ' '}   {text}".rstrip() for where, text in rows]
    errors = ran.traceback.rstrip().split("\n")[-TRACEBACK_LINES:] if ran and ran.traceback else []
    errors += [] if outcome.message in errors else outcome.message.split("\n")
    errors += [f"hint: {outcome.hint}"] if outcome.hint else []
    lines += [f"E   {text}".rstrip() for text in errors]
    return *(place or (block.file, block.line)), outcome.message, lines


def _warn(message: str, file: str, line: int) -> None:
    from cardproof.core.terminal import printable

    warnings.warn_explicit(printable(message), CardproofWarning, file, line)


def _warn_at_collection(message: str, file: str, line: int) -> None:
    """Warn; where warnings are errors, show it as a warning, since an error would keep the whole page from running."""
    try:
        _warn(message, file, line)
    except CardproofWarning:
        with warnings.catch_warnings():
            warnings.simplefilter("always", CardproofWarning)
            _warn(message, file, line)


def _timeout(config: pytest.Config) -> float | None:
    """Return the limit of a block. Raises UsageError for what is not a number of seconds."""
    given = config.getoption("cardproof_timeout")
    text = str(config.getini("cardproof_timeout") or "0") if given is None else str(given)
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) or (given is not None and given <= 0):
        raise pytest.UsageError(f"cardproof_timeout: {text!r} is not a number of seconds above 0")
    return float(text) or None


_FENCE = re.compile(r"[>\s]*(`{3,}|~{3,})")
_HEADING = re.compile(r"#{1,6}[ \t]+(.*?)(?:[ \t]+#*)?(?:[ \t]*\{[^}]*\})?[ \t]*$")
LONGEST_HEADING = 60


def _headings(text: str, blocks: Sequence[Block]) -> tuple[str, ...]:
    """Return the heading above each block, for its name; empty text if there is none, or if the block was included."""
    above: list[str] = [""]
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
            fence = ""
        heading = None if fence else _HEADING.match(line)
        above.append(_plain_heading(heading[1]) if heading else above[-1])
    return tuple(above[block.end] if 0 < block.end < len(above) else "" for block in blocks)


def _plain_heading(heading: str) -> str:
    """Return a heading as a part of an item's name: words, without marks of Markdown."""
    words = re.sub(r"!?\[([^\[\]]*)\]\([^()]*\)|<[^<>]*>|[`*\[\]]", r"\1", heading).replace("::", ":")
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:LONGEST_HEADING].rstrip()
