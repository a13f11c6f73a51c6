"""Fork server: a process that imports libraries once, computes nothing with them, and forks one child per page.

It stays on one thread and never touches a device, so that its children may do both. Started by the runner as
``main(descriptor, preload)``. Each child supervises a page's process: it adopts all of its descendants, and ends them.
If namespaces are permitted, the page's processes live in one of their own: none can leave it, see or signal processes
outside, or outlive its first process. Otherwise the supervisor adopts orphans and kills all its descendants.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from cardproof.snippets.run.isolation import (
    REACHES,
    adopt_orphans,
    confine,
    die_with_parent,
    enter_namespaces,
    may_read,
    mount_own,
    permitted_reach,
)
from cardproof.snippets.run.page_process import run_page
from cardproof.snippets.run.processes import close_descriptors, kill_descendants, reap, remove_folder
from cardproof.snippets.run.protocol import END, HEADER, STATUS, frame

_RUNNER_GONE = 3
"""Exit status of the first process of a namespace if it was not the runner that ended the page."""


def main(descriptor: int, preload: Sequence[str]) -> NoReturn:
    """Import, report the state, and fork a page for each request until the runner closes the socket."""
    control = socket.socket(fileno=descriptor)
    reach = permitted_reach()
    exposed = may_read(os.getppid())
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
            content["reach"] = min(reach, content["reach"], key=REACHES.index)
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
            _supervise(descriptors, content)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    close_descriptors(*descriptors)
    return pid


def _supervise(descriptors: Sequence[int], content: dict[str, Any]) -> NoReturn:
    """Run the page below this process until the runner ends it; kill its processes, then exit."""
    adopt_orphans()
    enter_namespaces(content["reach"], content["network"])
    if content["reach"] == "all":
        ended_by_runner = _run_in_namespace(descriptors)
    else:
        ended_by_runner = _run(*descriptors)
        kill_descendants(os.getpid())
    if not ended_by_runner:
        remove_folder(Path(content["folder"]))
    os._exit(0)


def _run_in_namespace(descriptors: Sequence[int]) -> bool:
    """Fork the first process of the namespace, and wait until it and all others in it are gone."""
    first = os.fork()
    if first == 0:
        die_with_parent()
        mount_own()
        os._exit(0 if _run(*descriptors) else _RUNNER_GONE)
    close_descriptors(*descriptors[1:])
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) != _RUNNER_GONE


def _run(lifeline: int, *descriptors: int) -> bool:
    """Fork the page, adopt and reap orphans, report the page's end; return whether the runner ended it.

    ``lifeline`` is the connection with the runner; only the page's process keeps the other descriptors open.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    child = os.fork()
    if child == 0:
        die_with_parent()
        close_descriptors(lifeline, reader, writer)
        with contextlib.suppress(OSError):  # when memory runs out, the kernel takes the page before the build
            Path("/proc/self/oom_score_adj").write_text("1000")
        confine()
        sys.dont_write_bytecode = True  # of modules beside the page; what is preloaded is compiled once
        run_page(*descriptors)
    close_descriptors(*descriptors)
    while True:
        ready = select.select([lifeline, reader], [], [])[0]
        if reader in ready:
            os.read(reader, 4096)
        for pid, status in reap():
            if pid == child:
                with contextlib.suppress(OSError):
                    os.write(lifeline, STATUS.pack(status))
        if lifeline in ready:
            try:
                return os.read(lifeline, 1) == END
            except OSError:
                return False
