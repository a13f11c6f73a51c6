"""Processes that start at once: forked from one that has imported everything and computed nothing."""

from __future__ import annotations

import gc
import multiprocessing
import os
import runpy
import signal
import socket
import sys
from itertools import pairwise
from multiprocessing import forkserver, util
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sites import Done

from cardproof.core.signals import ENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.process import BaseProcess

IMPORTED = (
    "cardproof.measure.model_evidence",
    "cardproof.measure.tracked_files",
    "cardproof.measure.engines.local",
    "cardproof.build",
    "cardproof.commands.cli",
    "torch._dynamo",
    "timm",
    "torchvision",
    "sklearn.datasets",
    "torch.utils.tensorboard",
    "res2next.commands.evaluate",
    "res2next.commands.train",
)
_set_preload = forkserver.set_forkserver_preload


def preload_all() -> None:
    """Let the one fork server of this process import all that any test needs, not what its first user asks for.

    The product asks for what a zoo needs, which is too late once the server runs; each process that measures a network
    of timm would import timm then.
    """

    def preload(names: Sequence[str]) -> None:
        own = sorted(name for name in sys.modules if name.startswith("cardproof."))
        _set_preload(list(dict.fromkeys((*IMPORTED, *names, *own))))

    forkserver.set_forkserver_preload = preload


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a function of a module that the tests can import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def start_build(site: Path, cache: Path, *options: str) -> BaseProcess:
    """Start ``cardproof render`` in a process group of its own, at a fixed time of the source."""
    return start(_build, site, cache, options)


def start_dask(folder: Path, log: Path, *words: str) -> BaseProcess:
    """Start a command of Dask in a folder."""
    return start(_dask, folder, log, words)


def run_script(script: Path, *arguments: str, within: float | None = None, **environment: str) -> Done:
    """Run a script of Python as its own interpreter would, with these variables beside those of this process.

    After so many seconds it is killed.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        process = start(_script, script, arguments, folder, os.environ | environment)
        process.join(within)
        process.kill()
        process.join()
        said = ((folder / stream).read_text() for stream in ("out", "err"))
        return Done(process.exitcode or 0, *said)


def run_command(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Done:
    """Run ``cardproof`` in a folder with these variables and no others; all that it says is in its standard output."""
    with TemporaryDirectory() as name:
        said = Path(name, "said")
        process = start(_command, words, folder, environment, said)
        process.join()
        return Done(process.exitcode or 0, said.read_text(), "")


def torchrun(processes: int, *arguments: str) -> Done:
    """Run a command of res2next in several processes, with the variables that torchrun gives them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory() as folder:
        ranks = [start(_rank, rank, processes, port, Path(folder), arguments) for rank in range(processes)]
        for rank in ranks:
            rank.join(120)
        said = ["".join(path.read_text() for path in sorted(Path(folder).glob(f"{name}*"))) for name in ("out", "err")]
        return Done(max(abs(rank.exitcode or 0) for rank in ranks), *said)


def _write_into(out: Path, err: Path) -> None:
    """Let this process and its children write their standard streams into files."""
    for number, path in enumerate((out, err), start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)


def _become(command: str, arguments: Sequence[str], out: Path, err: Path) -> None:
    """Let this process be a command whose streams are files, and which forks the processes that it starts."""
    gc.freeze()
    _write_into(out, err)
    util.spawnv_passfds = _fork_passfds
    sys.argv = [command, *arguments]


def _dask(folder: Path, log: Path, words: Sequence[str]) -> None:
    from dask.__main__ import main

    os.chdir(folder)
    _become("dask", words, log, log)
    main()


def _script(script: Path, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    os.environ |= environment
    _become(str(script), arguments, folder / "out", folder / "err")
    sys.path.insert(0, str(script.parent))
    runpy.run_path(str(script), run_name="__main__")


def _command(words: Sequence[str], folder: Path, environment: Mapping[str, str], said: Path) -> None:
    from cardproof.commands.cli import main

    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment
    _become("cardproof", words, said, said)
    main()


def launch(arguments: Sequence[str], said: Path) -> None:
    """Be torchrun, the real one, which starts its processes itself; what they say on stderr goes to a file."""
    from torch.distributed.run import main

    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
    main(arguments)


def _rank(rank: int, processes: int, port: int, folder: Path, arguments: Sequence[str]) -> None:
    from res2next.commands import main

    here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in (here | there).items()}
    _write_into(folder / f"out{rank}", folder / f"err{rank}")
    main(arguments)


def _build(site: Path, cache: Path, options: Sequence[str]) -> None:
    from cardproof.commands.cli import main

    os.setsid()
    os.chdir(site)
    os.environ |= {"SOURCE_DATE_EPOCH": "1700000000", "XDG_CACHE_HOME": str(cache)}
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _become("cardproof", ["render", "--quiet", *options], Path(os.devnull), Path(os.devnull))
    main()


def _fork_passfds(path: bytes, arguments: Sequence[str], kept: Sequence[int]) -> int:
    """Stand in for the start of another interpreter, which would import all that this one has imported."""
    pid = os.fork()
    if pid:
        return pid
    try:
        for number in ENDING:  # as a new program has them: ignored signals stay ignored
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        for low, high in pairwise([2, *sorted(kept), os.sysconf("SC_OPEN_MAX")]):
            os.closerange(low + 1, high)
        exec(arguments[-1], {})
    finally:
        os._exit(0)
