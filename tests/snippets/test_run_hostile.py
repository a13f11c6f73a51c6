"""A page that means harm ends as its own failed blocks: the build goes on, and keeps its secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import Pages, assert_nothing_left, pages

from cardproof.snippets.results import findings_of
from cardproof.snippets.run import recorder
from cardproof.snippets.run.isolation import landlock_version
from cardproof.snippets.run.page_runner import Runner
from cardproof.snippets.run.processes import remove_folder
from cardproof.snippets.run_pages import Page, Policy, runs_of_pages
from cardproof.snippets.types import Limits

if TYPE_CHECKING:
    from cardproof.snippets.results import PageRun

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left behind is looked up in /proc")

LIMITS = Limits(block_seconds=2, page_seconds=8, file_bytes=2**20, output_bytes=2**16, processes=40)
NOTES = (
    "import gc\nnotes = next(item for item in gc.get_objects() if type(item).__name__ == 'Notes')\n"
    "from cardproof.snippets.run import protocol\n"
)


# what the build reads


@pytest.mark.attack("snippet", "a pipe, a link to `/dev/zero` or a large file in its folder, then a crash", "not read")
@pytest.mark.parametrize(
    "make", ["os.mkfifo(name)", "os.symlink('/dev/zero', name)", "open(name, 'wb').truncate(2**20)"]
)
def test_nothing_in_the_folder_of_a_page_that_crashed_is_read(page: Pages, make: str) -> None:
    code = (
        "import ctypes, os\nos.rmdir('../tmp')\nos.rmdir('../home')\n"
        f"for name in ('../tmp', '../home', '../crash'):\n    {make}\ndef crash():\n    ctypes.string_at(0)\ncrash()"
    )
    first, second = page.run(code, "print(1)")
    assert first.error == "killed by SIGSEGV"
    assert first.traceback.endswith("in crash")
    assert not second.ended


@pytest.mark.attack("snippet", "a megabyte of text in place of the report of a crash", "64 KiB are read")
def test_a_long_report_of_a_crash_is_cut(page: Pages) -> None:
    code = (
        "import os, stat\nfor name in range(500, 520):\n    try:\n        if stat.S_ISREG(os.fstat(name).st_mode):\n"
        "            os.write(name, b'x' * 2**19)\n    except OSError:\n        pass\nos.abort()"
    )
    (ran,) = page.run(code)
    assert ran.error == "killed by SIGABRT"
    assert len(ran.traceback) <= 2**16


@pytest.mark.attack("snippet", "messages without end on the runner's channel", "the limits of time hold")
def test_messages_without_end_end_with_the_block(page: Pages) -> None:
    code = f"{NOTES}while True:\n    notes.send(protocol.StreamSwitched())"
    assert page.error(code, timeout=0.5) == "timeout: over the limit of 0.5 s for a block"


@pytest.mark.attack("snippet", "messages to the runner whose answers are never read", "the page fails")
def test_a_page_that_reads_no_answers_does_not_hold_up_the_build(page: Pages) -> None:
    code = (
        f"{NOTES}import os\ndata = protocol.note_frame(protocol.StreamSwitched(), notes._nonce)\n"
        "while True:\n    os.write(notes._channel, data)"
    )
    assert page.error(code) in (
        "the connection to the page's process broke: timed out",
        "timeout: over the limit of 2 s for a block",
    )


@pytest.mark.attack("snippet", "pictures without end", "the page fails at 64 MiB")
def test_pictures_without_end_are_limited(page: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_ALL_PICTURES", 2**20)
    code = f"{NOTES}while True:\n    notes.send(protocol.PictureShown('a', 'iVBORw0K' + 'A' * 2**17))"
    assert page.error(code) == "over the limit of 1 MiB for the pictures of a page"


@pytest.mark.attack("snippet", "messages of 4 GB, nested 100,000 deep, or not JSON", "the page fails")
@pytest.mark.parametrize("data", ["b'\\xff' * 9", "(10**5).to_bytes(4, 'big') + b'[' * 10**5", "b'\\0\\0\\0\\2{]'"])
def test_bytes_that_are_not_a_message_fail_the_page(page: Pages, data: str) -> None:
    code = f"{NOTES}import os\nos.write(notes._channel, {data})\nos.read(notes._channel, 1)"
    assert page.error(code).startswith("the code wrote to the runner's private channel")


def test_a_process_that_is_stopped_does_not_hold_up_the_build(page: Pages) -> None:
    code = "import os, signal\nif os.fork() == 0:\n    os.kill(os.getppid(), signal.SIGSTOP)\nelse:\n    os.wait()"
    assert page.error(code) == "timeout: over the limit of 2 s for a block"


# what it does to its folder


@pytest.mark.attack("snippet", "its own folder is removed while it runs", "it goes on; nothing else is harmed")
def test_a_page_may_remove_its_folder(page: Pages) -> None:
    assert page.out("import os, shutil\nshutil.rmtree(os.path.dirname(os.getcwd()))", "x = 1\nprint(x)") == "1\n"


@pytest.mark.attack("snippet", "its folder is replaced by a link to a folder of the user", "only the link goes")
def test_a_link_in_place_of_the_folder_is_not_followed(page: Pages, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir(mode=0o711)
    (tmp_path / "kept" / "file").touch()
    code = (
        "import os, shutil\nown = os.path.dirname(os.getcwd())\nos.symlink(TARGET, 'link')\n"
        "shutil.rmtree(own)\nos.symlink(TARGET, own)"
    )
    page.run(code, placeholders={"TARGET": str(tmp_path)})
    assert list((tmp_path / "kept").iterdir()) == [tmp_path / "kept" / "file"]
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o711


@pytest.mark.attack(
    "snippet", "more folders, one in the other, than Python has levels; some closed", "they are removed"
)
def test_folders_nested_deep_are_removed(folder: Path) -> None:
    code = (
        "import os\nfor depth in range(1100):\n    os.mkdir('d')\n    os.chdir('d')\n    if depth % 500 == 0:\n"
        "        os.chmod('.', 0)"
    )
    with pages(folder, LIMITS, namespaces=False) as page:
        page.run(code)
        assert_nothing_left(page.runner, folder)


def test_a_closed_folder_s_link_leaves_its_target_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o500)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "link").symlink_to(target)
    assert remove_folder(tmp_path / "own")
    assert target.stat().st_mode & 0o777 == 0o500


# what it does to other pages

_FINE = "```python\nprint(1)  # prints: 1\n```\n"


def statuses(hostile: str, tmp_path: Path, **more: object) -> list[PageRun]:
    """Prove three pages of which the second is hostile; return their runs."""
    texts = (_FINE, hostile, _FINE)
    found = [Page(f"page{number}.md", text, tmp_path) for number, text in enumerate(texts)]
    runs = runs_of_pages(found, Policy(preload=(), limits=LIMITS))
    assert [block.status for run in (runs[0], runs[2]) for block in run.blocks] == ["pass", "pass"]
    return runs


@pytest.mark.attack("snippet", "code that is nested too deep for the parser", "its block fails, others pass")
@pytest.mark.parametrize("code", ["-" * 8000 + "1", "(" * 8000, "a" + ".b" * 20_000, ">>> " + "-" * 8000 + "1\n1"])
def test_code_that_no_parser_can_read_fails_its_block_only(tmp_path: Path, code: str) -> None:
    run = statuses(f"```python\n{code}\n```\n\n```python\nprint(2)  # prints: 2\n```\n", tmp_path)[1]
    assert [block.status for block in run.blocks] == ["fail", "pass"]
    assert findings_of(run)


@pytest.mark.skipif(landlock_version() < 6, reason="where neither Landlock nor namespaces hold, it ends this machine")
@pytest.mark.attack("snippet", "all processes that it can signal are killed", "it fails, other pages pass")
@pytest.mark.parametrize("target", ["-1", "0", "os.getppid()"])
def test_killing_everything_ends_the_page_only(tmp_path: Path, target: str) -> None:
    code = f"import os, signal\nos.kill({target}, signal.SIGKILL)"
    run = statuses(f"```python\n{code}\nsignal.pause()\n```\n", tmp_path)[1]
    assert run.blocks[0].status == "fail"


def test_a_page_that_cannot_be_run_is_reported_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Runner.run

    def fail(self: Runner, job: object) -> object:
        if job.name == "page1.md":  # type: ignore[attr-defined]
            raise RecursionError("too deep")
        return real(self, job)  # type: ignore[arg-type]

    monkeypatch.setattr(Runner, "run", fail)
    (block,) = statuses(_FINE, tmp_path)[1].blocks
    assert (block.status, block.message) == ("fail", "the page could not be run: RecursionError: too deep")


def test_a_page_that_cannot_be_read_is_a_finding_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cardproof.snippets.find import blocks

    real = blocks.find_blocks

    def fail(text: str, file: str, **more: object) -> object:
        if file == "page1.md":
            raise MemoryError
        return real(text, file, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(blocks, "find_blocks", fail)
    (finding,) = findings_of(statuses(_FINE, tmp_path)[1])
    assert (finding.severity, finding.message) == ("error", "the blocks of this page could not be found: MemoryError:")


# secrets

_READ = """
import os, subprocess
def trial(action):
    try:
        return action()
    except OSError as error:
        return type(error).__name__
print(*{'sesame' in trial(lambda: open(f'/proc/{pid}/environ').read()) for pid in PIDS})
command = ['cat', *(f'/proc/{pid}/environ' for pid in PIDS)]
print('sesame' in subprocess.run(command, capture_output=True, text=True).stdout)
print(*{trial(lambda: os.kill(pid, 0)) for pid in PIDS})
print(*{trial(lambda: open(f'/proc/{pid}/mem', 'rb').name) for pid in PIDS})
"""

_AS_USER = """
import ctypes, struct
library = ctypes.CDLL(None)  # this user, without a capability
for capability in range(64):
    library.prctl(24, *map(ctypes.c_ulong, (capability, 0, 0, 0)))
library.capset(struct.pack("Ii", 0x20080522, 0), bytes(24))
library.prctl(4, *map(ctypes.c_ulong, (1, 0, 0, 0)))
"""

_BUILD = f"""
import os, sys
if sys.argv[2] == "as a user":
    exec(sys.argv[3])
from cardproof.snippets.run.page_runner import *
from cardproof.snippets.types import *
block = Block("page.md", 1, {_READ!r}, Options())
pids = [os.getpid(), int(os.environ["ABOVE"])]
with Runner(preload=(), namespaces=sys.argv[1] == "True") as runner:
    (ran,) = runner.run(Job("page", (block,), placeholders={{"PIDS": pids}}))
print(ran.error, "".join(printed.text for printed in ran.printed))
"""


@pytest.mark.attack("snippet", "it reads the environment of the build and of what started it", "access denied")
@pytest.mark.parametrize("namespaces", [True, False])
@pytest.mark.parametrize("user", ["as it is", "as a user"])
def test_the_environment_of_the_build_cannot_be_read(namespaces: bool, user: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TOKEN": "sesame", "ABOVE": str(os.getpid())}
    command = [sys.executable, "-c", _BUILD, str(namespaces), user, _AS_USER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    error, read, by_program, signalled, memory = done.stdout.split()
    assert (error, read, by_program) == ("None", "False", "False")
    assert landlock_version() < 6 or signalled in ("PermissionError", "ProcessLookupError")
    assert memory in ("PermissionError", "FileNotFoundError")


def test_without_landlock_the_build_hides_itself() -> None:
    script = (
        f"{_AS_USER}import os, subprocess\nfrom cardproof.snippets.run.isolation import hide_process\n"
        "def seen():\n    command = ['cat', f'/proc/{os.getpid()}/environ']\n"
        "    return b'sesame' in subprocess.run(command, capture_output=True).stdout\n"
        "with hide_process():\n    with hide_process():\n        inner = seen()\n    outer = seen()\n"
        "print(inner, outer, seen())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TOKEN": "sesame"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False False True\n"


@pytest.mark.attack("snippet", "a program that changes the user, such as `sudo`", "it gains nothing")
def test_no_program_gains_privileges(page: Pages) -> None:
    code = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('NoNewPrivs')])"
    assert page.out(code) == "['1']\n"
