"""Run: the blocks of a page in a process of their own, under limits that this process enforces.

A fork server starts when a page needs it. One that has imported torch serves the pages that use torch, so that each
costs milliseconds; others get one that has imported nothing. If forking is unsafe (an import left threads behind, or
this is not Linux) each page gets a fresh interpreter. Windows is not supported. A page's folder has copies of the files
that the setting ``files`` names.
"""

from __future__ import annotations

import ast
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from cardproof.core.digests import digest_of_file
from cardproof.core.paths import MOST_ENTRIES, PathError, named_files, resolve_inside
from cardproof.snippets.name_uses import tree_of
from cardproof.snippets.run.fork_client import ForkServer, PageProcess, RunnerError, ServerState
from cardproof.snippets.run.isolation import hide_process
from cardproof.snippets.run.monitor import Monitor
from cardproof.snippets.run.processes import remove_folder
from cardproof.snippets.run.protocol import Reach, Task
from cardproof.snippets.run.recorder import Mask, Record
from cardproof.snippets.run.schedule import Schedule
from cardproof.snippets.run.worker import STATE
from cardproof.snippets.types import Block, BlockRun, Device, Limits

__all__ = ["Device", "Job", "Limits", "Runner", "RunnerError", "ServerState", "preload_for"]


_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables of the build's environment that pages get; others, above all secrets, are withheld."""
_FIXED = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "PYTHONUTF8": "1",
    "PYTHONHASHSEED": "0",
}

MOST_GIVEN = 256 * 2**20
"""Bytes of all files that one page is given."""
_USE_TORCH = frozenset({"torch", "torchvision", "torchaudio", "timm", "transformers", "res2next"})
"""Packages that import torch sooner or later although their metadata may not require it."""
_PROMPT = re.compile(r"(?m)^[ \t]*(?:>>>|\.\.\.) ?(.*)$")


class Job(Struct, frozen=True):
    """A page to run."""

    name: str
    blocks: tuple[Block, ...]
    """In page order, set-up included."""
    device: Device = "cpu"
    network: bool = False
    """Blocks marked ``.network`` may reach it; without this they do not run. Other blocks never reach it."""
    placeholders: Mapping[str, object] = field(default_factory=dict)
    """Predefined names of the page's code: JSON values."""
    search_path: tuple[str, ...] = ()
    """Folders of modules that the page may import, in addition to those of this interpreter."""
    seed: int = 0
    random_weights: bool = False
    """Loaders of published weights load nothing, and networks keep the random ones that they were built with."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables, such as ``TORCH_HOME`` for local weights."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files that are copied into the page's folder, by their names there."""


class Runner:
    """Runs pages; a context manager. May be used by several threads at a time."""

    def __init__(
        self,
        limits: Limits | None = None,
        preload: Sequence[str] | None = None,
        *,
        namespaces: bool = True,
    ) -> None:
        """``preload`` names modules that the fork servers import; None: what each page needs (:func:`preload_for`).

        ``namespaces=False`` uses no Linux namespaces even if they are permitted.
        """
        self._limits = limits or Limits()
        self._preload = None if preload is None else tuple(preload)
        self._namespaces = namespaces
        self._servers: dict[tuple[Device, tuple[str, ...]], ForkServer] = {}
        self._hidden = ExitStack()
        self._lock = threading.Lock()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        """End the fork servers and all that is left below them."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        self._hidden.close()

    def state(self, device: Device) -> ServerState:
        return self._server(device).state()

    def run(self, job: Job) -> tuple[BlockRun, ...]:
        """Run a page and return the run of each of its blocks, in order.

        A block that is ended at its limit ends its process. Those after it run in another one, in which the blocks
        before it run again if that is cheap.
        """
        count = len(job.blocks)
        schedule = Schedule(job.blocks, [_reason_not_to_run(block, job) for block in job.blocks], job.device)
        longer = sum(max(0.0, (block.options.timeout or 0.0) - self._limits.block_seconds) for block in job.blocks)
        until = time.monotonic() + self._limits.page_seconds + longer
        runs: list[BlockRun | None] = [None] * count
        first, again = 0, list[int]()
        while first < count:
            numbers = [*again, *range(first, count)]
            found, ended = self._run(job, schedule, numbers, until)
            for number, ran in zip(numbers, found, strict=False):
                runs[number] = ran if number >= first else runs[number]
            if ended is None:
                break
            is_replay = ended < len(again)
            first = first if is_replay else numbers[ended] + 1
            again = schedule.begin_again(first - 1, runs, replay=not is_replay)
        return tuple(ran for ran in runs if ran)

    def _run(
        self, job: Job, schedule: Schedule, numbers: Sequence[int], until: float
    ) -> tuple[tuple[BlockRun, ...], int | None]:
        """Run blocks of a page in a separate process; return their runs, and which was ended at its limit."""
        if all(schedule.reasons[number] is not None for number in numbers):
            return tuple(omitted for number in numbers if (omitted := schedule.omits(number))), None
        folder = Path(tempfile.mkdtemp(prefix="cardproof-"))
        try:
            for name in ("work", "home", "tmp"):
                (folder / name).mkdir()
            for name, path in job.files.items():  # copies, so that the code cannot change them
                target = folder / "work" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            blocks = [job.blocks[number] for number in numbers]
            task = self._task(job, folder, blocks)
            with self._forked_page(job, folder, blocks) as page:
                record = Record(task, job.device, Mask(folder, task.search_path))
                monitor = Monitor(page, task, schedule, numbers, self._limits, until, record)
                ran = monitor.run()
        finally:
            gone = remove_folder(folder)
        if not gone:
            warning = f"left files that could not be removed, in {folder}"
            ran = (*ran[:-1], replace(ran[-1], warnings=(*ran[-1].warnings, warning)))
        return ran, monitor.timed_out

    @contextmanager
    def _forked_page(self, job: Job, folder: Path, blocks: Sequence[Block]) -> Iterator[PageProcess]:
        """Fork a page, from the device's server or from a fresh interpreter; leave none of its processes behind."""
        server = self._server(job.device, blocks)
        shared = sys.platform == "linux" and server.is_safe()
        if not shared:
            server = ForkServer(_environment(job.device), ())
        try:
            network = job.network and any(block.options.network for block in blocks)
            reach: Reach = "none"
            if self._namespaces:  # drivers of devices expect to see the machine's own processes
                reach = "all" if job.device == "cpu" else "network"
            if server.exposes(reach):
                self._hidden.enter_context(hide_process())  # until the runner ends
            page = server.fork(folder, reach, network)
            try:
                yield page
            finally:
                server.end(page)
        finally:
            if not shared:
                server.close()

    def _server(self, device: Device, blocks: Sequence[Block] = ()) -> ForkServer:
        """Return the server for blocks; one that runs already and has imported more will do for pages with imports."""
        preload = preload_for(blocks) if self._preload is None else self._preload
        wanted = device, preload if sys.platform == "linux" else ()
        with self._lock:
            others = (key for key in self._servers if preload and key[0] == device and {*preload} <= {*key[1]})
            key = wanted if wanted in self._servers else next(others, wanted)
            server = self._servers.get(key)
            if server is not None and not server.is_running():
                server.close()
                server = None
            if server is None:
                server = self._servers[key] = ForkServer(_environment(device), key[1])
            return server

    def _task(self, job: Job, folder: Path, blocks: Sequence[Block]) -> Task:
        search_path = tuple(str(Path(path).resolve()) for path in job.search_path)
        return Task(
            nonce=secrets.token_hex(16),
            blocks=tuple(map(_without_local_paths, blocks)),
            placeholders=_as_plain_data(job.placeholders),
            environment=_page_environment(job, folder, search_path),
            folder=str(folder),
            search_path=search_path,
            seed=job.seed,
            memory_bytes=self._limits.memory_bytes if job.device == "cpu" and sys.platform == "linux" else 0,
            file_bytes=self._limits.file_bytes,
            output_bytes=self._limits.output_bytes,
            random_weights=job.random_weights,
        )


def preload_for(blocks: Sequence[Block]) -> tuple[str, ...]:
    """Return the modules that are worth importing once for all pages like this one: torch, and what builds on it."""
    names = {name for block in blocks for name in _imported_packages(block)}
    if not any(_uses_torch(name) for name in names):
        return ()
    return ("torch", *(name for name in ("timm", "torchvision") if name in names))


def _imported_packages(block: Block) -> set[str]:
    """Return the top-level packages that a block imports, at any depth; none if it is not valid Python."""
    code = "\n".join(_PROMPT.findall(block.code)) if block.console else block.code
    tree = tree_of(code)
    nodes = list(ast.walk(tree)) if tree else []
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names}


@cache
def _uses_torch(name: str) -> bool:
    """Return whether a package uses torch: a well-known one, or one whose metadata requires it."""
    if name in _USE_TORCH or name in sys.stdlib_module_names:
        return name in _USE_TORCH
    from importlib.metadata import PackageNotFoundError, requires

    try:
        needs = requires(name) or ()
    except (PackageNotFoundError, ValueError):
        return False
    return any(re.match(r"torch(?![\w.-])", need) and "extra ==" not in need for need in needs)


def _reason_not_to_run(block: Block, job: Job) -> str | None:
    options = block.options
    if options.skip:
        return options.reason or "skipped"
    if options.gpu and job.device == "cpu":
        return "it needs a GPU"
    if options.network and not job.network:
        return "it needs the network"
    return None


def _without_local_paths(block: Block) -> Block:
    """Return a block as the page's process gets it: without folders of this machine, and without the stated output."""
    lines = tuple((_public_file_name(file), line) for file, line in block.lines)
    return replace(block, file=_public_file_name(block.file), lines=lines, stated_output=None, stated_lines=())


def _public_file_name(file: str) -> str:
    """Return a file's name without the folders of this machine."""
    path = Path(file)
    if not path.is_absolute():
        return file
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name


def _as_plain_data(placeholders: Mapping[str, object]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(placeholders), allow_nan=False))
    except (TypeError, ValueError) as trouble:
        raise RunnerError(f"a placeholder's value is not a number, text, list or mapping: {trouble}") from None
    return plain


def _environment(device: Device) -> dict[str, str]:
    names = (*_PASSED_ON, "CUDA_VISIBLE_DEVICES") if device == "cuda" else _PASSED_ON
    passed = {name: os.environ[name] for name in names if name in os.environ}
    roots = [str(Path(path).resolve()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    visible = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    path = {"PYTHONPATH": os.pathsep.join(roots)} if roots else {}
    # OpenBLAS starts its threads when numpy is imported; one thread is what makes forking safe
    return {**passed, **_FIXED, **visible, **path, "OPENBLAS_NUM_THREADS": "1"}


def _page_environment(job: Job, folder: Path, search_path: Sequence[str]) -> dict[str, str]:
    environment = _environment(job.device)
    roots = [*search_path, *filter(None, [environment.get("PYTHONPATH")])]
    if roots:
        environment["PYTHONPATH"] = os.pathsep.join(roots)
    return {
        **environment,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",  # a page leaves nothing beside the modules that it imports
        "MPLBACKEND": f"module://{__package__}.matplotlib_backend",
        STATE: str(folder / "statements"),
        **job.environment,
    }


def given_files(patterns: Iterable[str], folders: Iterable[Path], root: Path) -> dict[str, Path]:
    """Return the files that patterns name, by their names in the page's folder; the first folder that has one decides.

    Raises PathError for what leads out of ``root``, and for more than a page is given.
    """
    left = iter(range(MOST_ENTRIES))
    places = [folder for folder in dict.fromkeys(folders) if resolve_inside(folder, root)]
    found: dict[str, Path] = {}
    for pattern in patterns:
        for folder in places:
            for path in named_files(pattern, folder, root, left):
                name = Path(os.path.normpath(path.relative_to(folder))).as_posix()
                if resolve_inside(path, root) is None:
                    raise PathError(f"'{name}' is a link that leads out of the site's folder")
                found.setdefault(name, path)
    if (size := sum(path.stat().st_size for path in found.values())) > MOST_GIVEN:
        raise PathError(f"{size:,} bytes in all; a page is given at most {MOST_GIVEN:,}")
    return found


def digests_of_given(patterns: Iterable[str], folders: Iterable[Path], root: Path) -> list[str]:
    """Return name and digest of each file that patterns name, or the reason why a page cannot be given them."""
    try:
        return [f"{name} {digest_of_file(path)}" for name, path in given_files(patterns, folders, root).items()]
    except (OSError, ValueError) as trouble:
        return [str(trouble)]
