"""The cluster engine: workers of a Dask scheduler, on any number of machines.

A worker that dies is no trouble: the scheduler gives its measurements to another. What is finished comes back at once
and is kept, so a client that dies loses nothing of it.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError, Future, as_completed
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Client, get_worker
from distributed.scheduler import KilledWorker

from cardproof import __version__
from cardproof.core.digests import digest_of_package
from cardproof.measure.engines import EngineError
from cardproof.zoos import BUILT_IN, ZooError, network_digests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cardproof.core.types import Evaluated
    from cardproof.measure.engines import Submit
    from cardproof.plan.evaluations import Job
    from cardproof.plan.options import Progress

Code = dict[str, str]
"""The code that measures: names of parts, with a version or digest each; a worker must have the client's."""

PATIENCE = 10
"""Seconds in which a scheduler must answer."""

RETRIES = 2
"""How often a measurement that raises is tried again: files on network drives come and go."""

GPU = "GPU"
"""The resource that workers with a device offer (``dask worker --resources GPU=1``); evaluations then go to those."""


class OtherCodeError(Exception):
    """A worker has other code than the client; raised on the worker."""


class ClusterEngine:
    """The workers of a Dask scheduler."""

    lost: tuple[type[BaseException], ...] = (KilledWorker,)

    def __init__(self, address: str) -> None:
        """Use the scheduler at this address."""
        self._address = address

    @contextmanager
    def open(self, zoo: str, calls: int) -> Iterator[Submit]:
        """Give what takes calls; those that are not done when the block raises are cancelled."""
        with self._client() as client, self._understood():
            self._check_code(client, zoo)
            yield self._submit(client, zoo, {})

    def evaluate(self, jobs: list[Job], zoo: str, progress: Progress | None) -> Iterator[tuple[Job, Evaluated | str]]:
        """Evaluate as many models at once as there are workers; those with a GPU where any worker offers one."""
        with self._client() as client, self._understood():
            self._check_code(client, zoo)
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
            resources = {GPU: 1} if any(worker["resources"].get(GPU) for worker in workers) else {}
            submit = self._submit(client, zoo, resources)
            futures = {submit(evaluate_one, job, zoo): job for job in jobs}
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
        except (OSError, ValueError) as trouble:
            raise EngineError(f"no Dask scheduler answers at {self._address}: {trouble}") from trouble
        try:
            yield client
        finally:
            client.close()  # type: ignore[no-untyped-call]

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Turn what Dask raises into what a person can act on."""
        try:
            yield
        except OtherCodeError as trouble:
            raise EngineError(str(trouble)) from trouble
        except CancelledError as trouble:
            message = f"the Dask scheduler at {self._address} is gone; what was finished is on record"
            raise EngineError(message) from trouble

    def _submit(self, client: Client, zoo: str, resources: dict[str, int]) -> Submit:
        """Return a function that submits calls: the executor's, with the check of the worker's code around each."""
        wishes = {"pure": False, "retries": RETRIES, **({"resources": resources} if resources else {})}
        executor = client.get_executor(**wishes)  # type: ignore[no-untyped-call]
        folder = str(Path.cwd())
        expected = code_of(zoo, folder)

        def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
            future: Future[Any] = executor.submit(run_here, expected, zoo, folder, function, *arguments)
            return future

        return submit

    def _check_code(self, client: Client, zoo: str) -> None:
        """Raise EngineError where a worker has other code, or none; one that comes later is checked by its calls."""
        ours = code_of(zoo, str(Path.cwd()))
        for worker, theirs in sorted(client.run(code_here, zoo, str(Path.cwd()), on_error="return").items()):
            if "ModuleNotFoundError" in repr(theirs):  # Dask sends an exception that it cannot pickle as text
                raise EngineError(f"worker {worker} cannot run cardproof: {theirs}; install what this machine has")
            if isinstance(theirs, ZooError | FileNotFoundError):
                raise EngineError(f"worker {worker} does not have the zoo: {theirs}")
            if isinstance(theirs, BaseException):
                raise EngineError(f"worker {worker} cannot be asked for its code: {type(theirs).__name__}: {theirs}")
            if differing := differences(ours, theirs):
                raise EngineError(_other_code(worker, differing))


def _other_code(worker: str, differing: str) -> str:
    return (
        f"worker {worker} has other code than this machine: {differing}; install the same, and restart the workers: "
        "they keep what they have imported"
    )


_alone = threading.Lock()
"""Held by the one measurement that a worker process makes: building a network replaces functions of torch."""


def code_here(zoo: str, folder: str) -> Code:
    """Return a worker's code. Raises ZooError and FileNotFoundError where the zoo is not there."""
    with _alone, _in_folder(zoo, folder):
        return code_of(zoo, folder)


def run_here(expected: Code, zoo: str, folder: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function on a worker, as the client would. Raises OtherCodeError where the worker's code is another."""
    with _alone, _in_folder(zoo, folder):
        if differing := differences(expected, code_of(zoo, folder)):
            raise OtherCodeError(_other_code(get_worker().address, differing))
        return function(*arguments)


@contextmanager
def _in_folder(zoo: str, folder: str) -> Iterator[None]:
    """Work in the client's folder, which paths of zoos, weights and data are relative to.

    Only zoos that are installed can do without it. Raises FileNotFoundError.
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


def evaluate_one(job: Job, zoo: str) -> Evaluated | str:
    """Evaluate one model with all threads of a worker; runs there."""
    from cardproof.measure.evaluation import evaluate_job

    return evaluate_job(job, zoo, get_worker().state.nthreads, lambda done, total: None)


@cache
def code_of(zoo: str, folder: str) -> Code:
    """Return the code that this process measures networks of a zoo with.

    It is looked at once: a process goes on with what it has imported, whatever happens to the files. ``folder`` is the
    working directory, which zoos that are files are relative to. Raises ZooError where the zoo is not here.
    """
    found = {
        "cardproof": __version__,
        "cardproof's source": digest_of_package(Path(__file__).parents[2]),
        "res2next's source": _digest_of("res2next"),
        "torch": _version("torch"),
    }
    if zoo in ("timm", "torchvision", "transformers"):
        found[zoo] = _version(zoo)
    elif zoo not in BUILT_IN:
        found[f"the source of {zoo}"] = network_digests(zoo, {""})[""]
    return found


def differences(ours: Code, theirs: Code) -> str:
    """Say in which parts two codes differ; empty for none."""
    named = []
    for name, own in ours.items():
        other = theirs.get(name, "")
        if other != own:
            digests = own.startswith("sha256:") or other.startswith("sha256:")
            named.append(name if digests else f"{name} ({other or 'none'} there, {own or 'none'} here)")
    return ", ".join(named)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except ModuleNotFoundError:
        return ""


def _digest_of(package: str) -> str:
    found = find_spec(package)
    return digest_of_package(Path(found.origin).parent) if found and found.origin else ""
