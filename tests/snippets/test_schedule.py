"""Names that a block gives and later ones need: which blocks run, which do not, and which earlier one is the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from running import blocks, fences, judged, said

from cardproof.snippets.compare.causes import hint_for, with_causes
from cardproof.snippets.run.page_runner import Job, Runner
from cardproof.snippets.run.schedule import uses_of_code
from cardproof.snippets.types import BlockRun, Limits, Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

SKIP = '{ .skip data-reason="no" }\n'
PASS, NO = ("pass", ""), ("skip", "no")


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner(Limits(block_seconds=20), ()) as running:
        yield running


def needs(name: str, line: int, state: str) -> tuple[str, str]:
    return ("not-run", f"needs '{name}' of the block at line {line}, which {state}")


@pytest.mark.attack("snippet", "an older value in place of one that a skipped block gives", "its readers are not run")
def test_a_name_that_a_skipped_block_would_bind_does_not_keep_its_older_value(runner: Runner) -> None:
    page = fences('net = "small"', f"{SKIP}net = big()", "print(net)  # prints: small", "print(net.fc)", "print(1)")
    found = said(judged(runner, page))
    assert found == [PASS, NO, needs("net", 6, "was skipped"), needs("net", 6, "was skipped"), PASS]


def test_what_did_not_run_for_that_reason_gives_no_names_either(runner: Runner) -> None:
    page = fences(f"{SKIP}a = 1", "b = a", "c = b", "print(c)", "c = 3\nprint(c)  # prints: 3", "print(c)")
    found = said(judged(runner, page))
    assert found[1:4] == [needs("a", 2, "was skipped"), needs("b", 6, "was not run"), needs("c", 10, "was not run")]
    assert found[4:] == [PASS, PASS]


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    return net\nnet2 = f()",
        "print([net for _ in range(2)])",
        "x = lambda: net\nprint(x())",
        "class A:\n    n = net",
        "net += 1",
        "del net",
        "net[0] = 1",
        "f'{net}'",
        "for net.x in []: pass",
        ">>> net\n1",
    ],
)
def test_a_missing_name_is_needed_however_it_is_read(runner: Runner, code: str) -> None:
    page = fences("net = 1", f"{SKIP}net = 2", code)
    assert said(judged(runner, page))[2] == needs("net", 6, "was skipped")


def test_functions_need_what_they_read_when_they_are_called(runner: Runner) -> None:
    page = fences(
        "net = 1\ndef f():\n    return net",
        f"{SKIP}net = 2",
        "print(f())  # prints: 1",
        "net = 3\nprint(f())  # prints: 3",
    )
    assert said(judged(runner, page)) == [PASS, NO, needs("net", 8, "was skipped"), PASS]


@pytest.mark.parametrize("code", ["net.fc = 2", "net.update(fc=2)", "change(net)", "net['fc'] = 2"])
def test_a_value_that_a_skipped_block_would_change_is_not_the_readers(runner: Runner, code: str) -> None:
    page = fences("net = {}\ndef change(net): pass", f"{SKIP}{code}", "print(net)  # prints: {}")
    assert said(judged(runner, page))[2] == needs("net", 7, "was skipped")


def test_an_import_that_a_skipped_block_repeats_stays(runner: Runner) -> None:
    page = fences("import os", f"{SKIP}import os\nos.environ['A'] = '1'\nprint(os)", "print(os.sep)  # prints: /")
    assert said(judged(runner, page)) == [PASS, NO, PASS]


def test_what_a_block_bound_before_it_failed_stays_and_the_rest_is_unbound(runner: Runner) -> None:
    page = fences("a = b = c = 1", "a = 2\nb = 1 / 0\nc = 3", "print(a)  # prints: 2", "print(b)", "print(c)")
    found = said(judged(runner, page))
    failed = ("fail", "ZeroDivisionError: division by zero")
    assert found == [PASS, failed, PASS, needs("b", 6, "failed"), needs("c", 6, "failed")]


def test_an_expected_exception_leaves_the_names_as_python_does(runner: Runner) -> None:
    page = fences("x = 1", '{ .expect-error data-error="ValueError" }\nx = int("one")', "print(x)  # prints: 1")
    assert said(judged(runner, page)) == [PASS, PASS, PASS]


def test_a_fresh_block_begins_anew(runner: Runner) -> None:
    page = fences("x = 1", f"{SKIP}x = 2", "{ .fresh }\nprint('x' in globals())  # prints: False\nx = 3", "print(x)")
    assert said(judged(runner, page)) == [PASS, NO, PASS, PASS]


def test_a_skipped_fresh_block_begins_anew_too(runner: Runner) -> None:
    page = fences("x = 1", '{ .fresh .skip data-reason="no" }\ny = 2', "print('x' in globals())  # prints: False")
    assert said(judged(runner, page)) == [PASS, NO, PASS]


def test_a_syntax_error_is_the_cause_of_the_names_that_are_missing(runner: Runner) -> None:
    page = fences("import json\nclass Net(:\n    pass\nx, y = 1, 2", "Net()", "print(y)", "json.dumps(1)", "print(1)")
    found = said(judged(runner, page))
    assert found[1:] == [needs(name, 2, "failed") for name in ("Net", "y", "json")] + [PASS]


def test_a_missing_module_fails_once(runner: Runner) -> None:
    page = fences("import missing_one", "from missing_one import a", "print(a)", "import missing_two", "print(1)")
    outcomes = judged(runner, page)
    assert [outcome.status for outcome in outcomes] == ["fail", "not-run", "not-run", "fail", "pass"]
    expected = "needs the module 'missing_one', which is missing: see the block at line 2, which failed"
    assert outcomes[1].message == expected


@pytest.mark.parametrize("code", ["print(undefined)", "open('missing.txt')", "from json import missing"])
def test_what_is_missing_fails_once(runner: Runner, code: str) -> None:
    outcomes = judged(runner, fences(code, code, "print(1)", code))
    assert [outcome.status for outcome in outcomes] == ["fail", "not-run", "pass", "not-run"]
    assert "see the block at line 2, which failed" in outcomes[3].message


def test_errors_with_causes_of_their_own_all_fail(runner: Runner) -> None:
    outcomes = judged(runner, fences("1 / 0", "1 / 0", "import missing_one", "import missing_two", "[][1]"))
    assert {outcome.status for outcome in outcomes} == {"fail"}


# the end of a program


@pytest.mark.parametrize("code", ["import sys\nsys.exit(0)", "exit()", "raise SystemExit", "import sys\nsys.exit()"])
def test_an_exit_ends_the_program_and_passes(runner: Runner, code: str) -> None:
    ended = ("not-run", "the code ended the program in the block at line 2")
    assert said(judged(runner, fences(code, "print(1)", "{ .fresh }\nprint(2)"))) == [PASS, ended, PASS]


def test_what_follows_an_exit_in_its_block_is_not_compared_which_is_a_warning(runner: Runner) -> None:
    code = "import sys\nif 1:\n    print('a')  # prints: a\n    sys.exit(0)\nprint(2)  # prints: 3"
    (outcome,) = judged(runner, fences(code))
    assert (outcome.status, outcome.warnings) == (
        "pass",
        ("line 6: not compared, the block ended the program before it",),
    )
    wrong: list[Outcome] = judged(runner, fences(code.replace("prints: a", "prints: b")))
    assert said(wrong) == [("fail", 'expected "b", got "a"')]


@pytest.mark.parametrize("status", ["3", "'no'", "True"])
def test_an_exit_with_a_status_fails_and_ends_the_program(runner: Runner, status: str) -> None:
    first, second = judged(runner, fences(f"import sys\nsys.exit({status})", "print(1)"))
    assert (first.status, second.status) == ("fail", "not-run")
    assert second.message == "the code ended the program in the block at line 2"


def test_an_expected_exit_ends_nothing(runner: Runner) -> None:
    code = '{ .expect-error data-error="SystemExit" }\nimport sys\nsys.exit(0)'
    assert said(judged(runner, fences(code, "print(1)"))) == [PASS, PASS]


@pytest.mark.attack("snippet", "an exit with 0 that its process only reports", "not believed: it fails")
def test_an_exception_that_poses_as_an_exit_fails(runner: Runner) -> None:
    code = "class SystemExit(BaseException):\n    code = 0\nraise SystemExit"
    assert judged(runner, fences(code))[0].status == "fail"
    patched = (
        "from cardproof.snippets.run import page_process\n"
        "page_process.describe = lambda *_: ('SystemExit: 0', '', None)\nraise ValueError"
    )
    assert said(judged(runner, fences(patched))) == [("fail", "SystemExit: 0")]


# the main guard

_SPAWN = "q = mp.get_context('spawn').Process(target=print)\nq.start()\nq.join()\nprint(q.exitcode)"


@pytest.mark.attack("snippet", "a script that runs again in each process that it spawns", "it fails, with a hint")
def test_a_script_that_spawns_without_the_main_guard_fails_with_a_hint(runner: Runner) -> None:
    guarded = "if __name__ == '__main__':\n    " + _SPAWN.replace("\n", "\n    ")
    page = fences("import multiprocessing as mp", _SPAWN, guarded)
    first, bare, right = judged(runner, page)
    assert (first.status, bare.status, right.status) == ("pass", "fail", "pass")
    assert "before the current process has finished its bootstrapping phase" in bare.message
    assert bare.ran is not None
    assert bare.ran.error_line == 2
    assert 'if __name__ == "__main__":' in (bare.hint or "")


def test_a_console_may_spawn(runner: Runner) -> None:
    code = ">>> import multiprocessing as mp\n>>> " + _SPAWN.replace("\n", "\n>>> ")
    assert said(judged(runner, fences(code))) == [PASS]


# time

HANG = "while True: __import__('time').sleep(9)"
"""It waits, and so costs the machine nothing; tests/snippets/test_run_limits.py has loops that are busy."""


@pytest.fixture(scope="module")
def hasty() -> Iterator[Runner]:
    with Runner(Limits(block_seconds=1), ()) as running:
        yield running


def test_a_time_out_ends_its_block_and_the_others_go_on(hasty: Runner) -> None:
    page = fences("x = [1]", "x.append(2)", f"y = 1\n{HANG}\nz = 1", "print(x)  # prints: [1, 2]", "print(y)")
    found = said(judged(hasty, page))
    assert found[2] == ("fail", "timeout: over the limit of 1 s for a block")
    assert found[3:] == [PASS, needs("y", 10, "failed")]


def test_the_blocks_before_a_time_out_run_again_as_they_ran(hasty: Runner) -> None:
    page = fences(
        "net = 1\nother = 2",
        f"{SKIP}net = 2",
        HANG,
        "print(net)",
        "print(other)",
        HANG,
        "other",
    )
    found = [status for status, _ in said(judged(hasty, page))]
    assert found == ["pass", "skip", "fail", "not-run", "pass", "fail", "pass"]


def test_where_blocks_would_take_long_to_run_again_their_readers_are_not_run(
    hasty: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardproof.snippets.run.schedule.CHEAP", 0.0)
    page = fences("x = 1", HANG, "print(x)", "print(2)")
    assert said(judged(hasty, page))[2:] == [needs("x", 2, "ran in a process that was ended"), PASS]


def test_a_block_that_hangs_when_it_runs_again_is_left_out(hasty: Runner, tmp_path: object) -> None:
    file = repr(f"{tmp_path}/file")
    code = f"import os, time\nwhile os.path.exists({file}): time.sleep(0.1)\nopen({file}, 'w').close()\nx = 1"
    found = said(judged(hasty, fences(code, HANG, "print(x)", "print(2)")))
    assert found[0] == PASS
    assert found[2:] == [needs("x", 2, "ran in a process that was ended"), PASS]


def test_a_time_out_shows_where_it_hung(hasty: Runner) -> None:
    (outcome,) = judged(hasty, fences("def f():\n    while True:\n        pass\ndef g(): f()\ng()"))
    assert outcome.ran is not None
    assert outcome.ran.traceback.split("\n")[0] == "Where it hung:"
    assert outcome.ran.traceback.split("\n")[-1].endswith(", in f")


def test_a_block_may_have_a_limit_of_its_own(hasty: Runner) -> None:
    short, long = blocks("while True: pass", "import time\ntime.sleep(1.5)")
    runs = hasty.run(
        Job(
            "page",
            (
                replace(short, options=replace(short.options, timeout=0.2)),
                replace(long, options=replace(long.options, timeout=20.0)),
            ),
        )
    )
    assert [run.error for run in runs] == ["timeout: over the limit of 0.2 s for a block", None]


# names, by the syntax


def test_reading_the_names_of_a_page_warns_of_nothing_here(recwarn: pytest.WarningsRecorder) -> None:
    assert [uses_of_code(block)[0].binds for block in blocks("y = '\\d'", "z = '\\d' (")] == [{"y"}, {"z"}]
    assert list(recwarn) == []


def test_code_of_any_kind_is_read_in_time() -> None:
    hostile = [
        "a" + " " * 200_000 + "b (",
        "(" * 5_000,
        "x" + ".a" * 20_000,
        "\0",
        "def " * 50_000,
        "x = " * 20_000 + "1",
    ]
    for block in blocks(*hostile):
        assert uses_of_code(block)


def test_a_name_that_became_a_module_fails_once(runner: Runner) -> None:
    outcomes = judged(runner, fences("from math import sqrt", "import json as sqrt\nprint(sqrt(4))", "print(sqrt(9))"))
    assert [outcome.status for outcome in outcomes] == ["pass", "fail", "not-run"]


# a block that only follows from an earlier one says so


def outcomes(became: Status, first: str, error: str = "NameError: name 'x' is not defined") -> list[tuple[str, ...]]:
    """Return status, message and hint of the second of two blocks, the first of which became what is given."""
    one, two = blocks(first, "print(x)")
    explained = with_causes([Outcome(one, became, "why"), Outcome(two, "fail", error)])
    return [(outcome.status, outcome.message, outcome.hint or "") for outcome in explained[1:]]


@pytest.mark.parametrize(("became", "words"), [("skip", "was skipped"), ("not-run", "was not run"), ("fail", "failed")])
def test_what_lacks_a_name_of_a_block_that_did_not_give_it_is_not_run(became: Status, words: str) -> None:
    assert outcomes(became, "x = 1") == [("not-run", f"needs 'x' of the block at line 2, which {words}", "")]


@pytest.mark.parametrize(
    "code",
    [
        "import x",
        "import x.y",
        "from a import b as x",
        "def x(): ...",
        "with f() as x: ...",
        ">>> for x in y:\n...     x",
        "from a import *",
        "x = (",
        "x, y = 1, 2\n!pip install z",
        "def x(:",
    ],
)
def test_all_ways_to_bind_a_name_count(code: str) -> None:
    assert outcomes("skip", code)[0][0] == "not-run"


@pytest.mark.parametrize(("became", "code"), [("pass", "x = 1"), ("skip", "print(x)"), ("skip", "y = (x ==")])
def test_a_name_that_no_block_before_should_have_given_is_the_blocks_own_fault(became: Status, code: str) -> None:
    assert outcomes(became, code) == [("fail", "NameError: name 'x' is not defined", "")]


def test_what_an_earlier_block_lacked_is_no_second_failure() -> None:
    one, two, three = blocks("import foo", "import foo.bar", "import foobar")
    error, other = "ModuleNotFoundError: No module named 'foo'", "ModuleNotFoundError: No module named 'foobar'"
    found = [Outcome(block, "fail", text, ran=BlockRun(True, (), text)) for block, text in ((one, error), (two, error))]
    explained = with_causes([*found, Outcome(three, "fail", other, ran=BlockRun(True, (), other))])
    assert [outcome.status for outcome in explained] == ["fail", "not-run", "fail"]
    assert explained[1].message.startswith("needs the module 'foo', which is missing: see the block at line 2")


def test_other_errors_stay_as_they_are() -> None:
    assert outcomes("skip", "x = 1", "TypeError: no") == [("fail", "TypeError: no", "")]


def test_only_undefined_upper_case_names_get_the_hint_to_declare_them() -> None:
    assert "NUM_CLASSES" in (hint_for("NameError: name 'NUM_CLASSES' is not defined") or "")
    assert hint_for("NameError: name 'model' is not defined") is None
    assert hint_for("ValueError: NUM_CLASSES") is None
    assert hint_for(None) is None
