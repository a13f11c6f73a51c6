"""Run one command and print, as JSON, time and memory of it and of all processes that it started.

Usage: gauge.py COMMAND ARGUMENT... Processes that outlive their parent (the workers' server) are waited for too.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
"""Of Linux's prctl: orphans among the descendants become this process's children."""


def main(command: list[str]) -> None:
    """Run the command and print its figures."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        _, status, own = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        used = [own, *_orphans()]
        output.seek(0)
        text = output.read().decode(errors="replace")
    figures = {
        "status": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "cpu_seconds": sum(usage.ru_utime + usage.ru_stime for usage in used),
        "peak_mb": max(usage.ru_maxrss for usage in used) / 1024,
        "own_peak_mb": own.ru_maxrss / 1024,
        "output": text,
    }
    print(json.dumps(figures))


def _orphans() -> list:
    found = []
    while True:
        try:
            found.append(os.wait4(-1, 0)[2])
        except ChildProcessError:
            return found


if __name__ == "__main__":
    main(sys.argv[1:])
