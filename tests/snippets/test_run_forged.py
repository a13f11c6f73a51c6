"""A block passes if its statements ran: no message that code of the page sends makes another block pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import Pages, assert_nothing_left, pages

from cardproof.snippets.run import protocol
from cardproof.snippets.types import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows how a process waits")

LIMITS = Limits(block_seconds=3, page_seconds=8, processes=40)

FORGER = '''
import gc, json, marshal, os, sys, threading

RAN = {"kind": "Ran", "value": None, "error": None, "traceback": "", "line": None}
REPLIES = {
    "begin": {"kind": "Began"},
    "run": RAN,
    "end": {"kind": "Ended", "warnings": []},
    "finish": {"kind": "Finished", "threads": 0},
}

def known(frame=None):
    """What the runner's loop in this process knows: descriptor, nonce, size."""
    frame = frame or sys._getframe()
    while frame.f_code.co_name != "follow_orders":
        frame = frame.f_back
    return dict(frame.f_locals)

def reply(nonce, fields):
    body = json.dumps(fields).encode()
    return nonce + b"\\0" + len(body).to_bytes(4, "big") + body

def converse(descriptor, size):
    """Play the page's part from the next order to the end."""
    while True:
        size, nonce, code, order = marshal.loads(os.read(descriptor, size)[4:])
        if order[0] == "exit":
            os._exit(0)
        os.write(descriptor, reply(nonce, REPLIES[order[0]]))

def forge(facts):
    """Say that this statement has ended, and that all others of the page ran."""
    os.write(facts["descriptor"], reply(facts["nonce"], RAN))
    converse(facts["descriptor"], facts["size"])
'''
"""Code of a page that knows this project as well as its authors."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module", autouse=True)
def _shown() -> None:
    """Skip the tests where the kernel does not show how a process waits; see the guide."""
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            Path(f"/proc/{process.pid}/syscall").read_bytes()
        except OSError as error:
            pytest.skip(f"/proc/PID/syscall: {error.strerror}")
        finally:
            process.kill()


@pytest.fixture(scope="module", params=[True, False], ids=["namespaces", "no namespaces"])
def _page(folder: Path, request: pytest.FixtureRequest) -> Iterator[Pages]:
    with pages(folder, LIMITS, namespaces=request.param) as found:
        yield found


@pytest.fixture
def page(_page: Pages, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pages]:
    monkeypatch.setattr(protocol, "_PATIENCE", 0.2)
    yield _page
    assert_nothing_left(_page.runner, folder)


def passed(page: Pages, attack: str) -> list[bool]:
    """Make an attack between a block with the tools for it and one that raises; return which blocks passed."""
    results = page.run(FORGER, attack, "raise ValueError('this block ran')")
    return [result.ended and result.error is None for result in results]


def test_the_forger_would_succeed_if_the_kernel_were_not_asked(page: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.OrderChannel, "_is_waiting", lambda self: True)
    assert passed(page, "forge(known())") == [True, True, True]


@pytest.mark.attack(
    "snippet", "messages that report the rest of a page as run, made from the runner's frame", "the page fails"
)
def test_messages_from_inside_a_statement_are_not_believed(page: Pages) -> None:
    results = page.run(FORGER, "forge(known())", "raise ValueError")
    assert (results[1].ended, results[1].error) == (
        False,
        "the code wrote to the runner's private channel: a statement was reported to have ended that had not",
    )
    assert not results[2].ended


@pytest.mark.attack(
    "snippet", "the runner's objects, found by `gc`, are called so that a later block passes", "it still fails"
)
def test_objects_of_the_runner_that_gc_finds_report_nothing(page: Pages) -> None:
    attack = (
        "found = [item for item in gc.get_objects() if type(item).__module__.startswith('cardproof.')]\n"
        "called = set()\nfor item in found:\n    for name in dir(item):\n        method = getattr(item, name, None)\n"
        "        for arguments in ((('end',), None), (('run', 0, False, (1, 1), False, True), None)):\n"
        "            try:\n                if name in ('leave', 'enter'):\n                    method(*arguments)\n"
        "                    called.add(name)\n            except Exception:\n                pass\n"
        "assert called == {'leave', 'enter'}"
    )
    assert passed(page, attack) == [True, True, False]


@pytest.mark.attack("snippet", "a thread that answers in place of the runner's loop", "no block passes unrun")
def test_a_thread_that_takes_the_orders_is_not_believed(page: Pages) -> None:
    attack = (
        "facts = known()\nos.set_blocking(facts['descriptor'], True)\n"
        "def steal():\n    while True:\n        try:\n            converse(facts['descriptor'], 70_000)\n"
        "        except Exception:\n            pass\n"
        "for _ in range(8):\n    threading.Thread(target=steal, daemon=True).start()"
    )
    assert passed(page, attack)[2] is False


@pytest.mark.attack("snippet", "a forked process that reports for its parent", "the page fails")
def test_a_forked_process_that_reports_is_not_believed(page: Pages) -> None:
    attack = (
        "def fork():\n    facts = known()\n    copy = os.dup(facts['descriptor'])\n    os.set_inheritable(copy, True)\n"
        "    if os.fork() == 0:\n        forge({**facts, 'descriptor': copy})\n    os.wait()\nfork()"
    )
    assert passed(page, attack)[1:] == [False, False]


PYTHONS = (
    "marshal.loads = os.write = os.read = functools.reduce = _functools.reduce = nothing",
    "builtins.eval = builtins.exec = builtins.compile = builtins.map = nothing",
    "sys.call_tracing = os._exit = os.getpid = nothing",
)
RUNNERS = (
    "for name in list(sys.modules):\n    if name.startswith('cardproof.'):\n"
    "        for item in list(vars(sys.modules[name])):\n            if not item.startswith('__'):\n"
    "                setattr(sys.modules[name], item, nothing)",
    "page = next(item for item in gc.get_objects() if type(item).__module__ == 'cardproof.snippets.run.page_process'"
    " and hasattr(item, 'end_fork'))\n"
    "owners = (page, type(page))\n"
    "[setattr(owner, name, nothing) for owner in owners for name in ('enter', 'wait', '_reply')]",
)


@pytest.mark.attack(
    "snippet", "functions of Python and the runner are replaced, so that a later block passes", "it still fails"
)
@pytest.mark.parametrize("replace", [*PYTHONS, *RUNNERS, "\n".join((*RUNNERS, *PYTHONS))])
def test_replaced_functions_do_not_decide_what_runs(page: Pages, replace: str) -> None:
    attack = (
        "import builtins, functools, _functools\n"
        "def nothing(*arguments, **more):\n    return REPLIES['run']\n" + replace
    )
    assert passed(page, attack)[2] is False


@pytest.mark.attack("snippet", "the runner's description of an error is replaced by one of success", "the page fails")
def test_an_error_that_is_described_as_a_success_is_an_error(page: Pages) -> None:
    attack = (
        "for found in gc.get_objects():\n    if type(found).__name__ == 'Page' and hasattr(found, 'leave'):\n"
        "        reply = type(found)._reply\n"
        "        type(found)._reply = lambda self, order, error: reply(self, order, None)\n"
    )
    results = page.run(FORGER, attack, "raise ValueError")
    assert results[1].error is None
    assert results[2].error == "the code wrote to the runner's private channel: a message out of turn"


@pytest.mark.attack(
    "snippet", "a trace function that changes the runner's loop, so that a later block passes", "it still fails"
)
def test_a_trace_function_does_not_see_the_loop(page: Pages) -> None:
    attack = (
        "def trace(frame, event, argument):\n    if frame.f_code.co_name == 'follow_orders':\n"
        "        frame.f_locals['code'] = frame.f_locals['error'] = None\n    return trace\n"
        "def begin():\n    frame = sys._getframe()\n    while frame:\n"
        "        frame.f_trace, frame.f_trace_opcodes, frame = trace, True, frame.f_back\n    sys.settrace(trace)\n"
        "begin()"
    )
    assert passed(page, attack)[2] is False


def test_a_trace_function_sees_the_page_s_own_code(page: Pages) -> None:
    define = "import sys\nseen = []\ndef f():\n    return 1\nsys.settrace(lambda *facts: seen.append(facts[1]))"
    assert page.out(define, "f()", "sys.settrace(None)\nprint(sorted(set(seen)))") == "['call']\n"


@pytest.mark.attack("snippet", "a reply of an earlier statement, sent again", "the page fails")
def test_an_earlier_reply_is_of_no_use(page: Pages) -> None:
    attack = "facts = known()\nforge(facts)"
    results = page.run(FORGER, attack, "raise ValueError")
    assert results[1].error == "the code wrote to the runner's private channel: a message that is not this page's"


@pytest.mark.attack("snippet", "replies to orders that were not given yet", "the page fails")
def test_replies_ahead_of_their_orders_are_refused(page: Pages) -> None:
    attack = (
        "def ahead():\n    facts = known()\n    data = reply(facts['nonce'], RAN)\n"
        "    os.write(facts['descriptor'], data + data)\nahead()"
    )
    results = page.run(FORGER, attack, "raise ValueError")
    assert results[1].error == "the code wrote to the runner's private channel: more than one reply to an order"


@pytest.mark.attack("snippet", "the end of a block written to every descriptor, then `os._exit(0)`", "the page fails")
def test_an_exit_after_writing_to_every_descriptor_is_no_pass(page: Pages) -> None:
    attack = (
        "def end():\n    for descriptor in range(3, 1000):\n        try:\n"
        "            os.write(descriptor, reply(known()['nonce'], RAN))\n        except OSError:\n            pass\n"
        "    os._exit(0)\nend()"
    )
    assert passed(page, attack)[1:] == [False, False]


@pytest.mark.attack("snippet", "a function that runs at the program's exit and reports", "it comes too late")
def test_a_function_at_exit_changes_nothing(page: Pages) -> None:
    attack = "import atexit\nfacts = known()\natexit.register(forge, facts)\natexit.register(os._exit, 0)"
    assert passed(page, attack) == [True, True, False]


def test_a_stop_iteration_is_an_error_like_any_other(page: Pages) -> None:
    (ran,) = page.run("next(iter(()))")
    assert ran.error == "StopIteration"


def test_a_forked_process_goes_on_with_its_block(page: Pages) -> None:
    code = "import os\npid = os.fork()\nif pid:\n    os.wait()\nprint('child' if pid == 0 else 'parent')"
    assert page.out(code, "print('after')").split() == ["child", "parent", "after"]


def test_where_the_kernel_shows_nothing_replies_are_believed(page: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(protocol, "open", closed, raising=False)
    assert page.out("print(1)", "print(2)") == "1\n2\n"
