"""Pages: find their blocks, run them, compare their output, and recall runs that are still valid."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.clock import build_time, now
from cardproof.core.digests import digest_of_data
from cardproof.core.errors import InputError
from cardproof.core.paths import PathError
from cardproof.core.settings import Settings
from cardproof.core.source import read_source
from cardproof.core.types import Finding, Place
from cardproof.core.yaml import Mapping as Tree
from cardproof.core.yaml import read_yaml
from cardproof.snippets.compare.causes import hint_for, hint_for_needs, with_causes
from cardproof.snippets.results import BlockResult, PageRun, result_of
from cardproof.snippets.types import Block, BlockRun, Device, Limits, Outcome, Status

if TYPE_CHECKING:
    from cardproof.snippets.run.page_runner import Job, Runner

DEVICES: tuple[Device, ...] = ("cpu", "cuda")

METHOD = "snippets/2"
"""Version of finding, running and comparing: a new one makes all older runs stale."""

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
"""Variables that let hubs fail at once instead of trying again for minutes."""

_README = re.compile(r"readme\b", re.IGNORECASE)
_LINE = re.compile(r"\bline \d|:\d")
"""A line number in a message."""

Weights = Literal["strict", "random"]


class Policy(Struct, frozen=True):
    """How pages are run."""

    devices: tuple[Device, ...] = ("cpu",)
    placeholders: Mapping[str, object] = field(default_factory=dict)
    weights: Weights = "strict"
    """If published weights are missing: ``strict`` does not run the block, ``random`` runs it with random ones."""
    network: bool = False
    """Blocks marked ``.network`` may reach it."""
    search_path: tuple[str, ...] = ()
    """Folders of modules that pages may import."""
    config: Path | None = None
    """The site's mkdocs.yml, whose Markdown extensions decide what is shown as code; None: default ones."""
    preload: tuple[str, ...] | None = None
    """Modules that the forking process imports once; None: what each page needs."""
    limits: Limits | None = None
    files: tuple[str, ...] = ()
    """Paths and wildcards of the files that pages are given, seen from the page's folder and the site's."""
    strict_device: bool = False
    """A block that finds no GPU fails instead of being skipped."""


class Page(Struct, frozen=True):
    """A page whose blocks are to be run."""

    file: str
    """The source for reports: the template, or the Markdown file itself."""
    text: str
    """The page's Markdown."""
    base: Path
    """Folder from which files for ``--8<--`` are looked for: that of the site's mkdocs.yml, if there is one."""
    origin: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """Source file and line of each line of the text; other lines are the file's own."""
    model: str | None = None
    """The model that the page shows."""
    inputs: str = ""
    """Digest of further inputs: the network's source, the site's Markdown extensions."""
    folder: Path | None = None
    """Folder of the file itself, if it is not a template."""


def key_of(page: Page, device: str, policy: Policy) -> str:
    """Return the digest of all inputs of a run and of its messages: the blocks and their positions."""
    origin = sorted((line, *place) for line, place in page.origin.items())
    return digest_of_data([*_inputs_beside_code(page, device, policy), page.text, origin])


def code_key_of(page: Page, blocks: tuple[Block, ...], device: str, policy: Policy) -> str:
    """Return the digest of all inputs of a run, without the positions of the blocks."""
    parts = [[b.code, repr(b.options), b.console, b.stated_output and b.stated_output[0]] for b in blocks]
    return digest_of_data([*_inputs_beside_code(page, device, policy), parts])


def _inputs_beside_code(page: Page, device: str, policy: Policy) -> list[object]:
    placeholders = {name: repr(value) for name, value in policy.placeholders.items()}
    model = [page.file, page.model, page.inputs]
    files: list[str] = []
    if policy.files:
        from cardproof.snippets.run.page_runner import digests_of_given

        files = digests_of_given(policy.files, _folders(page), page.base)
    return [METHOD, *model, device, placeholders, policy.weights, policy.network, repr(policy.limits), *files]


def _folders(page: Page) -> list[Path]:
    return [folder for folder in (page.folder, page.base) if folder is not None]


def runs_of_pages(
    pages: Iterable[Page],
    policy: Policy,
    stored: Mapping[str, PageRun] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[PageRun]:
    """Return a run of each page on each device, in that order.

    ``stored`` has runs by each of their keys. Valid stored runs on other devices are returned as well. A process is
    started only if something has to run; without a visible GPU nothing runs on it, and the run states that.
    """
    stored = stored or {}
    recorded = {(run.page, run.model, run.device) for run in stored.values()}
    devices = (*policy.devices, *(device for device in DEVICES if device not in policy.devices))
    sought_pages = [_PageRuns(page, policy) for page in pages]
    pairs = [(sought, device, key_of(sought.page, device, policy)) for sought in sought_pages for device in devices]
    runs: dict[str, PageRun] = {}
    for sought, device, key in pairs:
        is_recorded = (sought.page.file, sought.page.model, device) in recorded
        if run := stored.get(key) or (sought.moved(device, key, stored) if is_recorded else None):
            runs[key] = run
    wanted = [pair for pair in pairs if pair[1] in policy.devices or pair[2] in runs]
    missing = [pair for pair in wanted if pair[2] not in runs]
    possible = [pair for pair in missing if pair[1] != "cuda" or gpu_is_visible()]
    if possible:
        from cardproof.snippets.run.page_runner import Runner

        with Runner(policy.limits, policy.preload) as runner:
            for done, (sought, device, key) in enumerate(possible, 1):
                runs[key] = sought.run(device, runner, key)
                if progress:
                    progress(done, len(possible), sought.page.model or sought.page.file)
    return [
        runs[key] if key in runs else run_without_gpu(sought.page, device, policy) for sought, device, key in wanted
    ]


class _PageRuns:
    """A page to run; its blocks are found once, and only if no run is on record by its text."""

    def __init__(self, page: Page, policy: Policy) -> None:
        self.page = page
        self._policy = policy

    @cached_property
    def found(self) -> tuple[tuple[Block, ...], tuple[Finding, ...]]:
        return page_blocks(self.page, self._policy)

    def moved(self, device: Device, key: str, stored: Mapping[str, PageRun]) -> PageRun | None:
        """Return a stored run of the same blocks at other positions."""
        blocks, findings = self.found
        run = stored.get(code_key_of(self.page, blocks, device, self._policy))
        return with_current_positions(run, key, blocks, findings) if run else None

    def run(self, device: Device, runner: Runner, key: str) -> PageRun:
        blocks, findings = self.found
        outcomes, random = run_blocks(self.page, blocks, device, self._policy, runner)
        run = run_of(self.page, device, self._policy, key, outcomes, findings, random)
        return replace(run, code_key=code_key_of(self.page, blocks, device, self._policy))


def with_current_positions(
    run: PageRun, key: str, blocks: tuple[Block, ...], findings: tuple[Finding, ...]
) -> PageRun | None:
    """Return a run of the same blocks with their current positions; None if its messages contain line numbers.

    ``key`` is that of the current page, and ``findings`` are the finder's.
    """
    if len(run.blocks) != len(blocks) or not all(_names_no_line(result, run.page) for result in run.blocks):
        return None
    pairs = zip(run.blocks, blocks, strict=True)
    results = tuple(
        replace(result, file=block.file, line=block.line, end=block.end, indent=block.indent) for result, block in pairs
    )
    return replace(run, key=key, blocks=results, findings=findings)


def _names_no_line(result: BlockResult, page: str) -> bool:
    """Return whether no message of a block contains a line number; failures always do."""
    fails = result.status == "fail" or result.traceback or result.warnings
    return not fails and not _LINE.search(f"{result.message} {result.hint}") and page not in result.output


def gpu_is_visible() -> bool:
    """Return whether a GPU is visible to this process, without importing torch."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/kfd"))


def run_without_gpu(page: Page, device: Device, policy: Policy) -> PageRun:
    """Return a run without results because no GPU is visible; it has no key, so that it is not stored."""
    blocks, findings = page_blocks(page, policy)
    status: Status = "fail" if policy.strict_device else "not-run"
    outcomes = [Outcome(block, status, "no GPU is visible here") for block in blocks]
    results = tuple(result_of(outcome, _states_output(outcome.block)) for outcome in outcomes)
    return PageRun(page.file, page.model, device, "", False, "", (), results, findings)


def run_of(
    page: Page,
    device: Device,
    policy: Policy,
    key: str,
    outcomes: Iterable[Outcome],
    findings: tuple[Finding, ...],
    random: bool,
) -> PageRun:
    """Return the outcomes of a page as a run to store."""
    outcomes = tuple(outcomes)
    results = tuple(result_of(outcome, _states_output(outcome.block)) for outcome in outcomes)
    if build_time():
        results = tuple(replace(result, seconds=0.0) for result in results)
    versions = _versions(policy, [outcome.block for outcome in outcomes])
    return PageRun(page.file, page.model, device, key, random, now(), versions, results, findings)


def page_blocks(page: Page, policy: Policy) -> tuple[tuple[Block, ...], tuple[Finding, ...]]:
    """Return the blocks of a page and the finder's findings."""
    try:
        blocks, findings = _find_blocks(page, policy)
        return blocks, (*findings, *(finding for block in blocks for finding in _report_uncompared(block)))
    except InputError:
        raise
    except Exception as error:
        message = f"the blocks of this page could not be found: {_describe_error(error)}"
        return (), (Finding(Place(page.file, 1, 1), "snippets", "error", message, "report this with the page"),)


def _find_blocks(page: Page, policy: Policy) -> tuple[tuple[Block, ...], tuple[Finding, ...]]:
    """Find the blocks that the page shows on its site, or on GitHub for a README outside of the site's docs."""
    from cardproof.snippets.find.blocks import EXTENSION_CONFIGS, EXTENSIONS, find_blocks, find_readme_blocks

    if _is_readme(page, policy.config):
        from cardproof.snippets.find.conversion import is_commonmark

        if is_commonmark(page.text):
            return find_readme_blocks(page.text, page.file)
    config = policy.config
    site = _extensions(config.absolute(), config.stat().st_mtime_ns) if config else None
    extensions, configs = site or (EXTENSIONS, EXTENSION_CONFIGS)
    return find_blocks(
        page.text,
        page.file,
        extensions=extensions,
        extension_configs=configs,
        base_path=page.base,
        origin=page.origin,
    )


def _is_readme(page: Page, config: Path | None) -> bool:
    """Return whether a page is a README outside of the docs of its site, which lie below the folder of mkdocs.yml."""
    if page.folder is None or not _README.match(Path(page.file).name):
        return False
    return config is None or page.folder.resolve() == config.parent.resolve()


def _report_uncompared(block: Block) -> Iterator[Finding]:
    """Report comments that state an output in a form that is not compared."""
    from cardproof.snippets.compare.stated_outputs import unknown_directives
    from cardproof.snippets.compare.value_comments import unread_outputs

    if block.options.skip:
        return
    for line, name in unknown_directives(block):
        message = f"doctest has no directive '{name}'"
        yield Finding(Place(*block.located(line), 1), "snippets", "warning", message, "write '# doctest: +SKIP'")
    for line in unread_outputs(block):
        message = "this comment looks like a stated output, and is not compared"
        hint = "write '# prints: …' to have it compared"
        yield Finding(Place(*block.located(line), 1), "snippets", "warning", message, hint)


@cache
def _extensions(config: Path, changed: int) -> tuple[list[str], dict[str, dict[str, Any]]]:
    from cardproof.snippets.find.blocks import site_extensions

    return site_extensions(config)


def run_blocks(
    page: Page, blocks: tuple[Block, ...], device: Device, policy: Policy, runner: Runner
) -> tuple[list[Outcome], bool]:
    """Run blocks and judge them; the second value is whether networks had random weights."""
    from cardproof.snippets.run.page_runner import Job, given_files

    job = Job(
        page.file,
        blocks,
        device,
        policy.network,
        dict(policy.placeholders),
        search_path=policy.search_path,
        random_weights=policy.weights == "random",
        environment={} if policy.network else OFFLINE,
    )
    try:
        job = replace(job, files=given_files(policy.files, _folders(page), page.base)) if policy.files else job
    except (OSError, PathError) as trouble:
        reason = f"the page cannot be given its files: {trouble}"
        return [Outcome(block, "skip" if block.options.skip else "fail", reason) for block in blocks], False
    judged = [
        _judge_safely(block, ran, device, policy) for block, ran in zip(blocks, _run_job(job, runner), strict=True)
    ]
    random = any(outcome.ran is not None and outcome.ran.random_weights for outcome in judged)
    try:
        return with_causes(judged, of_site=policy.config is not None), random
    except Exception:  # without the causes, nothing is known to be sound
        return [replace(outcome, may_update=False) for outcome in judged], random


def _run_job(job: Job, runner: Runner) -> tuple[BlockRun, ...]:
    """Return the runs of a job's blocks: one for each, even after an error."""
    from cardproof.snippets.run.page_runner import RunnerError

    try:
        return runner.run(job)
    except RunnerError as trouble:
        reason = str(trouble)
    except Exception as error:
        reason = f"the page could not be run: {_describe_error(error)}"
    return (BlockRun(False, (), reason, device=job.device),) * len(job.blocks)


def _describe_error(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _judge_safely(block: Block, ran: BlockRun, device: str, policy: Policy) -> Outcome:
    """Return the outcome of a block; one that cannot be judged has failed with that reason."""
    try:
        return _judge_block(block, ran, device, policy)
    except Exception as error:
        return Outcome(block, "fail", f"its output could not be compared: {_describe_error(error)}", ran=ran)


def _judge_block(block: Block, ran: BlockRun, device: str, policy: Policy) -> Outcome:
    from cardproof.snippets.compare.comparison import judge_block

    reason = (ran.error or "").removeprefix("not run: ")
    if not block.options.skip and not ran.ended and reason != (ran.error or ""):
        return Outcome(block, "not-run", reason, ran=ran)
    outcome = judge_block(block, ran, device, strict_device=policy.strict_device, values=not ran.random_weights)
    was_wrong_before = outcome.expected_line is not None and not ran.refused_before
    if ran.needs and (outcome.status == "fail" or block.options.expect_error == "") and not was_wrong_before:
        hint = hint_for_needs(ran.needs, policy.config is not None)
        return Outcome(block, "not-run", f"needs {ran.needs}", ran=ran, hint=hint)
    if outcome.status == "fail" and outcome.hint is None:
        asked_for = f"this block also asked for {', '.join(ran.refused)}, and did not get it" if ran.refused else None
        return replace(outcome, hint=hint_for(ran.error) or asked_for)
    return outcome


def _states_output(block: Block) -> bool:
    """Return whether a block states its exact output; otherwise the page shows the output as well."""
    from cardproof.snippets.compare.stated_outputs import expectations

    try:
        stated = expectations(block)
    except Exception:  # the block has failed with this reason
        return False
    loose = any(expectation.kind == "loose" for expectation in stated)
    return not loose and (block.console or block.stated_output is not None or bool(stated))


def _versions(policy: Policy, blocks: Sequence[Block]) -> tuple[str, ...]:
    from importlib.metadata import version

    from cardproof.snippets.run.page_runner import preload_for

    found = [f"python {platform.python_version()}"]
    for name in preload_for(blocks) if policy.preload is None else policy.preload:
        try:
            found.append(f"{name} {version(name)}")
        except ModuleNotFoundError:
            continue
    return tuple(found)


def policy_of(settings: Settings) -> Policy:
    """Return the policy of the settings, with the Markdown extensions of the site."""
    wanted = settings.snippets
    config = settings.base / "mkdocs.yml"
    preload = wanted.preload
    if preload is not None and settings.zoo in ("timm", "torchvision") and settings.zoo not in preload:
        preload = (*preload, settings.zoo)
    root = settings.path(settings.templates)
    search = tuple(dict.fromkeys(str(folder.resolve()) for folder in (settings.base, root, root / "models")))
    return Policy(
        devices=wanted.devices,
        placeholders=wanted.placeholders,
        weights=wanted.weights,
        network=wanted.network,
        search_path=search,
        config=config if config.is_file() else None,
        preload=preload,
        limits=replace(Limits(), **wanted.limits) if wanted.limits else None,
        files=wanted.files,
    )


def with_timeout(policy: Policy, seconds: float) -> Policy:
    """Return a policy whose blocks may take as long, and whose pages at least five times as long."""
    limits = policy.limits or Limits()
    page = max(limits.page_seconds, 5 * seconds)
    return replace(policy, limits=replace(limits, block_seconds=seconds, page_seconds=page))


def extensions_text(settings: Settings) -> str:
    """Return the Markdown extensions in mkdocs.yml, as written."""
    source, _ = read_source(settings.base / "mkdocs.yml", "mkdocs.yml")
    tree = read_yaml(source)[0] if source else None
    node = tree.get("markdown_extensions") if isinstance(tree, Tree) else None
    return source.text[node.start : node.end] if source and node else ""
