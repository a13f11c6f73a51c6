"""Limits are kept by the runner: whatever a page does, it ends in time with a reason, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from running import Pages, assert_nothing_left, blocks, pages

from cardproof.snippets.run.page_runner import Job, Runner
from cardproof.snippets.run.processes import descendants
from cardproof.snippets.types import Limits

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left behind is looked up in /proc")

LIMITS = Limits(block_seconds=2, page_seconds=8, memory_bytes=2**28, file_bytes=2**20, output_bytes=2**16, processes=40)


def lost(page: Pages, code: str) -> str:
    """Run a block that ends its process, and one after it; return what is said of the first."""
    first, second = page.run(code, "print('never reached')")
    assert not first.ended
    assert second.error is not None
    assert (second.ended, second.printed, second.error.partition(":")[0]) == (False, (), "not run")
    assert first.error is not None
    return first.error


def test_an_infinite_loop_is_ended(page: Pages) -> None:
    first, second = page.run("while True:\n    pass", "print(1)", timeout=1.0)
    assert (first.ended, first.error) == (False, "timeout: over the limit of 1 s for a block")
    assert (second.ended, second.error) == (True, None)


@pytest.mark.attack("snippet", "a hang in native code with all signals blocked", "ended at its limit")
def test_a_native_hang_with_all_signals_blocked_is_ended(page: Pages) -> None:
    code = (
        "import ctypes, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nctypes.PyDLL(None).pause()"
    )
    first, _ = page.run(code, "print(1)")
    assert (first.error, first.error_line) == ("timeout: over the limit of 2 s for a block", 4)


def test_the_page_has_a_limit_of_its_own(folder: Path) -> None:
    with pages(folder, Limits(block_seconds=60, page_seconds=1)) as page:
        first, second = page.run("print(1)", "import threading\nthreading.Event().wait()")
    assert (first.error, second.error) == (None, "timeout: over the limit of 1 s for a page")


def test_memory_that_is_used_is_limited(page: Pages) -> None:
    code = "kept = []\nwhile True:\n    kept.append(b'x' * 2**22)"
    (ran,) = page.run(code)
    assert ran.error in ("MemoryError", "over the memory limit of 256 MiB")


@pytest.mark.attack("snippet", "memory in several processes", "ended at its limit")
def test_memory_of_several_processes_is_limited_together(page: Pages) -> None:
    code = (
        "import os, signal\nfor k in range(4):\n    if os.fork() == 0:\n        kept = b'x' * (100 * 2**20)\n"
        "        signal.pause()\nsignal.pause()"
    )
    assert lost(page, code) == "over the memory limit of 256 MiB"


@pytest.mark.parametrize("name", [r"\xff", r"\x1cRssShmem: x", r"\rRssAnon: x"])
def test_memory_is_limited_whatever_the_name_of_the_process(page: Pages, name: str) -> None:
    code = (
        f"import ctypes, mmap, signal\nctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0)\n"
        "kept = mmap.mmap(-1, 300 * 2**20)\nfor k in range(0, len(kept), 4096):\n    kept[k] = 1\nsignal.pause()"
    )
    assert lost(page, code) == "over the memory limit of 256 MiB"


def test_one_allocation_that_is_too_big_is_an_error_of_the_code(page: Pages) -> None:
    first, second = page.run("x = bytearray(40_000_000_000)", "print(1)")
    assert (first.ended, first.error, second.error) == (True, "MemoryError", None)


@pytest.mark.attack("snippet", "a fork bomb", "ended at its limit")
def test_a_fork_bomb_of_200_processes_is_ended(page: Pages) -> None:
    code = "import os, signal\nfor k in range(200):\n    if os.fork() == 0:\n        signal.pause()\nsignal.pause()"
    assert lost(page, code) == "over the limit of 40 processes"


@pytest.mark.attack("snippet", "a gigabyte of output", "cut off at its limit")
def test_a_gigabyte_of_output_is_cut_off(page: Pages) -> None:
    code = "import os\nline = b'x' * 65535 + b'\\n'\nfor k in range(2**14):\n    os.write(1, line)"
    first, _ = page.run(code, "print(1)")
    assert first.error == "over the output limit of 64 KiB: the output is cut off here"
    assert first.printed[-1].text == "x" * 65535 + "\n"


def test_a_file_that_is_too_big_is_an_error_of_the_code(page: Pages) -> None:
    code = "with open('big', 'wb') as file:\n    for k in range(64):\n        file.write(b'x' * 2**16)"
    assert page.error(code) == "OSError: [Errno 27] File too large"


def test_an_exit_without_a_message_fails_whatever_its_status(page: Pages) -> None:
    code = 'import os\nprint("about to vanish", flush=True)\nos._exit(0)'
    first, _ = page.run(code, "print(1)")
    assert (first.ended, first.error_line, first.printed[1].text) == (False, 3, "about to vanish\n")
    assert first.error == "process ended inside this block, status 0, before reporting"


def test_a_crash_names_its_signal_and_the_page_s_frames(page: Pages) -> None:
    code = "import ctypes\ndef crash():\n    ctypes.string_at(0)\ncrash()"
    first, _ = page.run(code, "print(1)")
    assert (first.error, first.error_line) == ("killed by SIGSEGV", 4)
    assert first.traceback == (
        "Fatal Python error: Segmentation fault\n"
        '  File "page.md", line 5, in <module>\n  File "page.md", line 4, in crash'
    )


def test_becoming_another_program_is_named(page: Pages) -> None:
    code = "import os\nos.execv('/bin/true', ['true'])"
    assert lost(page, code) == "process replaced itself by another program (/bin/true) inside this block"


def test_closing_all_descriptors_is_named(page: Pages) -> None:
    code = "import os\nos.closerange(3, 65536)"
    assert lost(page, code) == "process closed the descriptor that it reports on, inside this block"


def test_closing_the_usual_descriptors_harms_nothing(page: Pages) -> None:
    assert page.out("import os\nos.closerange(3, 256)", "print('still here')") == "still here\n"


def test_a_forged_message_is_no_end_of_a_block(page: Pages) -> None:
    code = (
        "import os, json\nbody = json.dumps({'kind': 'BlockEnded', 'nonce': '0', 'error': None}).encode()\n"
        "for fd in range(3, 1000):\n    try:\n        os.write(fd, len(body).to_bytes(4, 'big') + body)\n"
        "    except OSError:\n        pass"
    )
    assert lost(page, code).startswith("the code wrote to the runner's private channel")


def test_a_grandchild_in_another_session_does_not_outlive_its_page(page: Pages) -> None:
    code = (
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], "
        "start_new_session=True)\nprint('started')"
    )
    (ran,) = page.run(code)
    assert (ran.ended, ran.error, ran.warnings) == (True, None, ("left 1 process running",))


@pytest.mark.attack("snippet", "a daemon, forked twice, in a session of its own", "ended with the page; a warning")
def test_a_daemon_that_was_forked_twice_does_not_outlive_its_page(page: Pages) -> None:
    code = (
        "import os, signal\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        signal.pause()\n"
        "    os._exit(0)\nos.wait()"
    )
    (ran,) = page.run(code)
    assert (ran.error, ran.warnings) == (None, ("left 1 process running",))


def test_a_thread_left_running_is_a_warning(page: Pages) -> None:
    code = "import threading\nthreading.Thread(target=threading.Event().wait).start()\nprint('started')"
    (ran,) = page.run(code)
    assert (ran.error, ran.warnings) == (None, ("1 non-daemon thread still alive",))


def test_a_page_that_kills_all_it_can_is_over(page: Pages) -> None:
    code = (
        "import contextlib, os, signal\nfor pid in {os.getppid(), os.getpid()}:\n"
        "    with contextlib.suppress(PermissionError):\n        os.kill(pid, signal.SIGKILL)\nsignal.pause()"
    )
    assert lost(page, code) in ("killed by SIGKILL", "the page's processes were ended from outside")


@pytest.mark.attack("snippet", "its supervisor is killed", "not permitted, or the page is over; nothing is left")
def test_what_was_started_before_the_supervisor_was_killed_is_ended(page: Pages) -> None:
    code = (
        "import contextlib, os, signal, subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "for pid in [os.getppid(), os.getpid()]:\n    with contextlib.suppress(PermissionError):\n"
        "        os.kill(pid, signal.SIGKILL)"
    )
    assert lost(page, code) in ("killed by SIGKILL", "the page's processes were ended from outside")


def test_closed_folders_are_removed_as_well(page: Pages) -> None:
    page.run("import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\nos.chmod('a/b', 0)\nos.chmod('a', 0)")


@pytest.mark.attack("snippet", "a connection to another machine", "refused, with the host's name")
def test_the_network_is_refused_with_the_host_s_name(page: Pages) -> None:
    code = "import socket\nsocket.create_connection(('example.com', 80))"
    (ran,) = page.run(code)
    assert ran.error == "ConnectionError: network needed: this block tried to reach example.com; mark it .network"
    assert ran.needs == "the network: example.com"
    hidden = (
        "import socket\ntry:\n    socket.gethostbyname('example.com')\nexcept OSError:\n    raise KeyError('weights')"
    )
    (ran,) = page.run(hidden)
    assert (ran.error, ran.needs) == ("KeyError: 'weights'", "the network: example.com")


def test_this_machine_can_be_reached(page: Pages) -> None:
    code = (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(('localhost', server.getsockname()[1]))\nprint('connected')"
    )
    assert page.out(code) == "connected\n"


def test_other_programs_find_no_network_either(folder: Path) -> None:
    code = (
        "import os, subprocess, sys\nprint(os.readlink('/proc/self/ns/net'), flush=True)\n"
        "show = 'import socket; print([name for _, name in socket.if_nameindex()])'\n"
        "done = subprocess.run([sys.executable, '-c', show])"
    )
    with pages(folder, LIMITS) as page:
        space, interfaces = page.out(code).splitlines()
    if space == os.readlink("/proc/self/ns/net"):  # noqa: PTH115
        pytest.skip("network namespaces are not permitted here")
    assert interfaces == "['lo']"


def test_only_a_block_that_is_marked_may_reach_the_network(page: Pages) -> None:
    reach = "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))\nprint('sent')"
    marked, other = page.runner.run(Job("page", (*blocks(reach, network=True), *blocks(reach)), network=True))
    assert marked.error is None or "network needed" not in marked.error
    assert other.error is not None
    assert "tried to reach 192.0.2.1" in other.error


_PARENT = """
import sys, threading
from cardproof.snippets.run.page_runner import *
from cardproof.snippets.types import *
code = "import subprocess\\nsubprocess.Popen(['sleep', '600'], start_new_session=True)"
code += "\\nopen(SIGN, 'w').close()\\nwhile True: pass"
block = Block("page.md", 1, code, Options())
with Runner(preload=(), namespaces=sys.argv[2] == "True") as runner:
    print(runner.state("cpu").pid, flush=True)
    runner.run(Job("page", (block,), placeholders={"SIGN": sys.argv[1]}))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("namespaces", [True, False])
def test_the_end_of_the_build_ends_everything(tmp_path: Path, number: signal.Signals, namespaces: bool) -> None:
    (tmp_path / "tmp").mkdir()
    sign = tmp_path / "sign"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-c", _PARENT, str(sign), str(namespaces)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as build:
        assert build.stdout is not None
        server = int(build.stdout.readline())
        while not sign.exists():
            assert build.poll() is None
            time.sleep(0.01)
        below = [server, *descendants(server)]
        build.send_signal(number)
        build.wait(10)
    until(lambda: not any(is_alive(pid) for pid in below))
    until(lambda: not list((tmp_path / "tmp").iterdir()))


def until(holds: object) -> None:
    """Wait until this holds; fail after a while."""
    for _ in range(200_000):
        if holds():  # type: ignore[operator]
            return
    raise AssertionError("it never held")


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b") ")[2][:1] != b"Z"
    except OSError:
        return False


def test_several_threads_may_run_pages(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with pages(folder, Limits()) as page, ThreadPoolExecutor(4) as pool:
        printed = list(pool.map(lambda k: page.out(f"print({k})"), range(8)))
        assert printed == [f"{k}\n" for k in range(8)]
        assert_nothing_left(page.runner, folder)


def test_a_runner_that_ran_nothing_ends() -> None:
    with Runner(preload=()) as runner:
        pid = runner.state("cpu").pid
    assert not is_alive(pid)
