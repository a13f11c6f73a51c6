"""Builds in processes of their own that start at once: forked from one that has imported everything and run nothing."""

from __future__ import annotations

import multiprocessing
import os
import sys
from itertools import pairwise
from multiprocessing import util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.process import BaseProcess

IMPORTED = ("cardproof.measure.preload", "cardproof.measure.record", "cardproof.build", "cardproof.commands.cli")


def start_build(site: Path, cache: Path, *options: str) -> BaseProcess:
    """Start ``cardproof render`` in a process group of its own, at a fixed time of the source."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    process = context.Process(target=_build, args=(site, cache, options))
    process.start()
    return process


def _build(site: Path, cache: Path, options: Sequence[str]) -> None:
    from cardproof.commands.cli import main
    from cardproof.measure.preload import start_collector

    start_collector()
    os.setsid()
    os.chdir(site)
    os.environ |= {"SOURCE_DATE_EPOCH": "1700000000", "XDG_CACHE_HOME": str(cache)}
    for number in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    util.spawnv_passfds = _fork_passfds  # type: ignore[assignment]
    sys.argv = ["cardproof", "render", "--quiet", *options]
    main()


def _fork_passfds(path: bytes, arguments: Sequence[str], kept: Sequence[int]) -> int:
    """Stand in for the start of another interpreter, which would import all that this one has imported."""
    pid = os.fork()
    if pid:
        return pid
    try:
        for low, high in pairwise([2, *sorted(kept), os.sysconf("SC_OPEN_MAX")]):
            os.closerange(low + 1, high)
        exec(arguments[-1], {})
    finally:
        os._exit(0)
