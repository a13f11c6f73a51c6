"""The cluster engine: workers of a Dask scheduler, on any number of machines.

If a worker dies, the scheduler gives its measurements to another. Each result is returned and stored when it is
finished, so a client that dies loses none of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, as_completed
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Client, get_worker
from distributed.scheduler import KilledWorker

from cardproof import __version__
from cardproof.core.digests import digest_of_package
from cardproof.measure.engines import EngineError, Submit, evaluate_in_worker
from cardproof.zoos import BUILT_IN, ZooError, source_digest, zoo_version

if TYPE_CHECKING:
    from cardproof.core.measurements import Evaluated
    from cardproof.plan.needed_evaluations import Job
    from cardproof.plan.options import Progress

Code = dict[str, str]
"""Version or digest of each part of the code that measures; a worker must have the client's."""

PATIENCE = 10
"""Seconds in which a scheduler must answer."""

RETRIES = 2
"""How often a measurement that raises is tried again: files on network drives come and go."""

GPU = "GPU"
"""The resource that workers with a device offer (``dask worker --resources GPU=1``); evaluations then go to those."""


class CodeDiffersError(Exception):
    """A worker has different code than the client; raised on the worker."""


class ClusterEngine:
    """The workers of a Dask scheduler."""

    worker_died: tuple[type[BaseException], ...] = (KilledWorker,)

    def __init__(self, address: str) -> None:
        """Use the scheduler at this address."""
        self._address = address

    @contextmanager
    def open(self, zoo: str, calls: int) -> Iterator[Submit]:
        """Yield a function that submits calls; unfinished calls are cancelled if the block raises."""
        with self._client() as client, self._engine_errors():
            self._check_code(client, zoo)
            yield self._submit(client, zoo, {})

    def evaluate(self, jobs: list[Job], zoo: str, progress: Progress | None) -> Iterator[tuple[Job, Evaluated | str]]:
        """Evaluate one model per worker at a time; on workers with a GPU only, if there are any."""
        with self._client() as client, self._engine_errors():
            self._check_code(client, zoo)
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
            resources = {GPU: 1} if any(worker["resources"].get(GPU) for worker in workers) else {}
            submit = self._submit(client, zoo, resources)
            futures = {submit(_evaluate_in_worker, job, zoo): job for job in jobs}
            for done, future in enumerate(as_completed(futures), 1):
                job = futures[future]
                try:
                    result: Evaluated | str = future.result()
                except KilledWorker:
                    result = "the workers that evaluated this model died (out of memory, or a crash)"
                yield job, result
                if progress:
                    progress(done, len(jobs), f"{job.need.model} on {job.dataset}")

    @contextmanager
    def _client(self) -> Iterator[Client]:
        try:
            client = Client(self._address, timeout=PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise EngineError(f"no Dask scheduler answers at {self._address}: {error}") from error
        try:
            yield client
        finally:
            client.close()  # type: ignore[no-untyped-call]

    @contextmanager
    def _engine_errors(self) -> Iterator[None]:
        """Turn Dask's exceptions into EngineError."""
        try:
            yield
        except CodeDiffersError as error:
            raise EngineError(str(error)) from error
        except CancelledError as error:
            message = f"the Dask scheduler at {self._address} is gone; what was finished is on record"
            raise EngineError(message) from error

    def _submit(self, client: Client, zoo: str, resources: dict[str, int]) -> Submit:
        """Return the executor's submit, with a check of the worker's code before each call."""
        options = {"pure": False, "retries": RETRIES, **({"resources": resources} if resources else {})}
        executor = client.get_executor(**options)  # type: ignore[no-untyped-call]
        folder = str(Path.cwd())
        expected = local_code(zoo, folder)

        def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
            future: Future[Any] = executor.submit(_run_checked, expected, zoo, folder, function, *arguments)
            return future

        return submit

    def _check_code(self, client: Client, zoo: str) -> None:
        """Raise EngineError if a worker's code differs or is missing; later workers are checked at each call."""
        ours = local_code(zoo, str(Path.cwd()))
        for worker, theirs in sorted(client.run(_worker_code, zoo, str(Path.cwd()), on_error="return").items()):
            if "ModuleNotFoundError" in repr(theirs):  # Dask sends an exception that it cannot pickle as text
                raise EngineError(f"worker {worker} cannot run cardproof: {theirs}; install what this machine has")
            if isinstance(theirs, ZooError | FileNotFoundError):
                raise EngineError(f"worker {worker} does not have the zoo: {theirs}")
            if isinstance(theirs, BaseException):
                raise EngineError(f"worker {worker} does not report its code: {type(theirs).__name__}: {theirs}")
            if differing := differences(ours, theirs):
                raise EngineError(_code_message(worker, differing))


def _code_message(worker: str, differing: str) -> str:
    return (
        f"worker {worker} has other code than this machine: {differing}; install the same, and restart the workers: "
        "they keep what they have imported"
    )


_alone = threading.Lock()
"""A worker measures one model at a time: building a network replaces functions of torch."""


def _worker_code(zoo: str, folder: str) -> Code:
    """Return a worker's code. Raises ZooError or FileNotFoundError if the zoo is missing."""
    with _alone, _in_folder(zoo, folder):
        return local_code(zoo, folder)


def _run_checked(expected: Code, zoo: str, folder: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function on a worker. Raises CodeDiffersError if the worker's code is not the client's."""
    with _alone, _in_folder(zoo, folder):
        if differing := differences(expected, local_code(zoo, folder)):
            raise CodeDiffersError(_code_message(get_worker().address, differing))
        return function(*arguments)


@contextmanager
def _in_folder(zoo: str, folder: str) -> Iterator[None]:
    """Change to the client's folder, since paths of zoos, weights and data are relative to it.

    Only installed zoos work without it. Raises FileNotFoundError.
    """
    if zoo in BUILT_IN and not Path(folder).is_dir():
        yield
        return
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.chdir(before)


def _evaluate_in_worker(job: Job, zoo: str) -> Evaluated | str:
    return evaluate_in_worker(job, zoo, get_worker().state.nthreads, lambda done, total: None)


@cache
def local_code(zoo: str, folder: str) -> Code:
    """Return the code with which this process measures networks of a zoo. Raises ZooError if the zoo is missing.

    Cached, since a process continues with the code that it has imported. ``folder`` is the working directory, to
    which the paths of zoos are relative.
    """
    found = find_spec("res2next")
    code = {
        "cardproof": __version__,
        "cardproof's source": digest_of_package(Path(__file__).parents[2]),
        "res2next's source": digest_of_package(Path(found.origin).parent) if found and found.origin else "",
        "torch": zoo_version("torch"),
    }
    if zoo in ("timm", "torchvision", "transformers"):
        code[zoo] = zoo_version(zoo)
    elif zoo not in BUILT_IN:
        code[f"the source of {zoo}"] = source_digest(zoo)
    return code


def differences(ours: Code, theirs: Code) -> str:
    """Return the names of the parts that differ, with their versions; empty if none do."""
    named = []
    for name, own in ours.items():
        other = theirs.get(name, "")
        if other != own:
            digests = own.startswith("sha256:") or other.startswith("sha256:")
            named.append(name if digests else f"{name} ({other or 'none'} there, {own or 'none'} here)")
    return ", ".join(named)
