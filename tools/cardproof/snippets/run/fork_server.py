"""Fork server: a process that imports libraries once, computes nothing with them, and forks one child per page.

It stays on one thread and never touches a device, so that its children may do both. Started by the runner as
``main(descriptor, preload)``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from cardproof.snippets.run.confine import confine
from cardproof.snippets.run.messages import HEADER, frame
from cardproof.snippets.run.page import run_page
from cardproof.snippets.run.processes import reap
from cardproof.snippets.run.supervise import (
    Reach,
    SupervisedPage,
    adopt_orphans,
    is_exposed,
    permitted_reach,
    supervise,
)


def main(descriptor: int, preload: Sequence[str]) -> NoReturn:
    """Import, report the state, and fork a page for each request until the runner closes the socket."""
    control = socket.socket(fileno=descriptor)
    reach = permitted_reach()
    exposed = is_exposed(os.getppid())
    adopt_orphans()
    signal.signal(signal.SIGCHLD, lambda *_: reap())
    for name in preload:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if preload:
        gc.collect()
    gc.freeze()  # children that collect do not copy the pages of all imported objects
    control.sendall(frame({"reach": reach, "exposed": exposed, **_state()}))
    while request := _request(control):
        content, descriptors = request
        if content["what"] == "state":
            control.sendall(frame(_state()))
        else:
            content["reach"] = _narrower(reach, content["reach"])
            pid = _fork(control, descriptors, content)
            control.sendall(frame({"pid": pid, "helpers": int(content["reach"] == "all")}))
    os._exit(0)


def _state() -> dict[str, Any]:
    """Return the number of threads, and whether a device is in use; without using either."""
    threads = Path("/proc/self/task")
    torch: Any = sys.modules.get("torch")
    return {
        "threads": len(list(threads.iterdir())) if threads.is_dir() else 1,
        "device_in_use": bool(torch and torch.cuda.is_initialized()),
    }


def _request(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next request and its descriptors; None when the runner has closed the socket."""
    data = b""
    descriptors: list[int] = []
    while len(data) < HEADER or len(data) < HEADER + int.from_bytes(data[:HEADER], "big"):
        part, new, _, _ = socket.recv_fds(control, 65536, 8)
        if not part:
            return None
        data += part
        descriptors += new
    return json.loads(data[HEADER:]), descriptors


def _fork(control: socket.socket, descriptors: list[int], content: dict[str, Any]) -> int:
    """Fork a page's supervisor and return its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            supervise(_supervised_page(descriptors, content))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def _supervised_page(descriptors: list[int], content: dict[str, Any]) -> SupervisedPage:
    lifeline, channel, turns, output, errors, crash = descriptors

    def become_page() -> NoReturn:
        with contextlib.suppress(OSError):  # when memory runs out, the kernel takes the page before the build
            Path("/proc/self/oom_score_adj").write_text("1000")
        confine()
        sys.dont_write_bytecode = True  # of modules beside the page; what is preloaded is compiled once
        run_page(socket.socket(fileno=channel), turns, output, errors, crash)

    return SupervisedPage(
        socket.socket(fileno=lifeline),
        (channel, turns, output, errors, crash),
        Path(content["folder"]),
        content["reach"],
        content["network"],
        become_page,
    )


def _narrower(permitted: Reach, wanted: Reach) -> Reach:
    order: tuple[Reach, ...] = ("none", "network", "all")
    return order[min(order.index(permitted), order.index(wanted))]
