"""A page runs as a reader's own program would: output, errors, names, imports, surroundings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import Pages, assert_nothing_left, blocks, pages

from cardproof.snippets.compare.outputs import clean_output
from cardproof.snippets.run.page_runner import Job, Runner, RunnerError
from cardproof.snippets.types import Block, Limits, Options

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left behind is looked up in /proc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def _page(folder: Path) -> Iterator[Pages]:
    with pages(folder, Limits(block_seconds=20)) as found:
        yield found


@pytest.fixture
def page(_page: Pages, folder: Path) -> Iterator[Pages]:
    yield _page
    assert_nothing_left(_page.runner, folder)


# output


def test_each_statement_has_its_own_output_in_order(page: Pages) -> None:
    code = 'import os\nprint("py 1")\nos.system("echo shell")\nos.write(1, b"raw\\n")\nprint("py 2")'
    (ran,) = page.run(code)
    assert [(item.line, item.text) for item in ran.printed] == [
        (1, ""),
        (2, "py 1\n"),
        (3, "shell\n"),
        (4, "raw\n"),
        (5, "py 2\n"),
    ]


def test_output_of_c_code_belongs_to_its_statement(page: Pages) -> None:
    code = 'import ctypes\nlibc = ctypes.CDLL(None)\nlibc.printf(b"from C\\n")\nprint("after")'
    (ran,) = page.run(code)
    assert [item.text for item in ran.printed[2:]] == ["from C\n", "after\n"]


def test_standard_error_keeps_its_place_and_is_distinguished(page: Pages) -> None:
    code = (
        "import sys\ndef f():\n    for k in range(3):\n        print('out', k)\n"
        "        print('err', k, file=sys.stderr)\nf()"
    )
    (ran,) = page.run(code)
    assert ran.printed[-1].text == "out 0\nerr 0\nout 1\nerr 1\nout 2\nerr 2\n"
    assert ran.printed[-1].stdout == "out 0\nout 1\nout 2\n"


_WRITES = {
    "print": "print({0!r}, end='')",
    "flush": "print({0!r}, end='', flush=True)",
    "error": "print({0!r}, end='', file=sys.stderr)",
    "buffer": "sys.stdout.buffer.write({1!r})",
    "raw": "os.write(1, {1!r})",
    "raw error": "os.write(2, {1!r})",
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(_WRITES)),
            st.text(st.characters(codec="utf-8", exclude_characters="\r\x1b"), max_size=30),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_captured_output_equals_what_was_written(page: Pages, writes: list[tuple[str, str]]) -> None:
    code = ["import os, sys", *(_WRITES[kind].format(text, text.encode()) for kind, text in writes)]
    (ran,) = page.run("\n".join(code))
    assert ran.error is None
    assert [item.text for item in ran.printed[1:]] == [text for _, text in writes]
    expected = "".join(text for kind, text in writes if "error" not in kind)
    assert "".join(item.stdout or "" for item in ran.printed) == expected


def test_a_progress_bar_is_shown_as_a_terminal_would(page: Pages) -> None:
    code = (
        "import sys\nfor k in range(5):\n    sys.stderr.write('\\r%3d%%' % (k * 25)); sys.stderr.flush()\n"
        "sys.stderr.write('\\n')\nprint('done')"
    )
    (ran,) = page.run(code)
    assert "".join(item.text for item in ran.printed) == "100%\ndone\n"
    assert ran.printed[-1].stdout == "done\n"


def test_tqdm_writes_to_standard_error_only(page: Pages) -> None:
    pytest.importorskip("tqdm")
    assert page.out("from tqdm import tqdm\nfor k in tqdm(range(3)):\n    pass\nprint('done')") == "done\n"


def test_colours_are_removed(page: Pages) -> None:
    assert page.out('print("\\x1b[31mred\\x1b[0m plain")') == "red plain\n"


def test_colours_are_removed_that_two_statements_write(page: Pages) -> None:
    assert clean_output(page.out('print("\\x1b", end="")', 'print("[31mred\\x1b[0m")')) == "red"


@pytest.mark.parametrize("mark", ["\u2028", "\f"])
def test_a_traceback_shows_its_line_below_marks_that_end_no_line_of_python(page: Pages, mark: str) -> None:
    (ran,) = page.run(f'x = "{mark}"\n1 / 0\ny = 3')
    assert ran.traceback.split("\n")[2].strip() == "1 / 0"


def test_code_may_replace_functions_that_walk_through_frames(page: Pages) -> None:
    code = "import socket, traceback\ntraceback.walk_tb = traceback.walk_stack = None\n"
    (ran,) = page.run(f"{code}socket.create_connection(('example.com', 80))")
    assert ran.needs == "the network: example.com"


def test_unicode_is_printed_whatever_the_locale(page: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert page.out('print("emoji 🐕, é, שלום")\nprint(ascii("\\udc80"))') == "emoji 🐕, é, שלום\n'\\udc80'\n"


def test_a_closed_standard_output_is_a_warning_and_the_page_goes_on(page: Pages) -> None:
    closed, after = page.run("import sys\nsys.stdout.close()", "x = 2")
    assert (closed.ended, closed.error, closed.warnings) == (True, None, ("the code closed sys.stdout",))
    assert (after.ended, after.error, after.warnings) == (True, None, ())


def test_a_closed_descriptor_is_opened_again(page: Pages) -> None:
    first, second = page.run("import os\nos.close(1)", "import os\nos.system('echo again')")
    assert first.warnings == ("the code closed file descriptor 1",)
    assert second.printed[-1].stdout == "again\n"


def test_warnings_are_shown_as_a_reader_sees_them(page: Pages) -> None:
    (ran,) = page.run('import warnings\nwarnings.warn("old name", DeprecationWarning, stacklevel=1)\nprint("ok")')
    assert ran.printed[1].text.startswith("page.md:3: DeprecationWarning: old name\n")
    assert ran.printed[1].stdout == ""


# consoles


def test_a_console_shows_values_and_goes_on_after_an_error_that_it_states(page: Pages) -> None:
    code = (
        ">>> 1 + 1\n2\n>>> None\n>>> int('x')\nTraceback (most recent call last):\n    ...\nValueError\n"
        ">>> for k in range(2):\n...     k\n...\n0\n1\n>>> _ + 1\n2"
    )
    (ran,) = page.run(code)
    assert ran.error is None
    assert [(item.line, item.stdout, item.value) for item in ran.printed] == [
        (1, "", "2"),
        (3, "", None),
        (4, "", None),
        (8, "0\n1\n", None),
        (13, "", "2"),
    ]
    assert ran.printed[2].error == "ValueError: invalid literal for int() with base 10: 'x'"


def test_a_console_ends_at_an_error_that_it_does_not_state(page: Pages) -> None:
    (ran,) = page.run(">>> 1 / 0\n>>> print(1)")
    assert (ran.error, ran.error_line, len(ran.printed)) == ("ZeroDivisionError: division by zero", 1, 1)


# errors


def test_a_traceback_has_the_page_s_lines_and_no_frame_of_the_runner(page: Pages) -> None:
    good, bad = page.run("def scale(v, by):\n    return v / by", "a = 3\nb = scale(a, 0)")
    assert (good.error, bad.error, bad.error_line) == (None, "ZeroDivisionError: division by zero", 2)
    lines = [line.strip() for line in bad.traceback.split("\n") if set(line.strip()) - set("^~")]
    assert lines == [
        "Traceback (most recent call last):",
        'File "page.md", line 8, in <module>',
        "b = scale(a, 0)",
        'File "page.md", line 3, in scale',
        "return v / by",
        "ZeroDivisionError: division by zero",
    ]


def test_library_frames_are_shortened_to_the_last(page: Pages) -> None:
    (ran,) = page.run("import json\njson.loads('{')")
    assert ran.traceback.count("  File ") == 2
    assert 'File "json/decoder.py"' in ran.traceback


def test_an_included_line_is_named_by_its_own_file(page: Pages) -> None:
    included = Block("page.md", 2, "a = 1\nprint(a / 0)", Options(), lines=(("demo.py", 1), ("demo.py", 2)))
    (ran,) = page.runner.run(Job("page", (included,)))
    assert ran.error_line == 2
    assert 'File "demo.py", line 2' in ran.traceback


def test_a_block_after_a_syntax_error_still_runs(page: Pages) -> None:
    fine, broken, after = page.run('print("fine")', "x = 1\ndef broken(:", "print(x)")
    assert fine.error is None
    assert (broken.error, broken.error_line, broken.printed) == ("SyntaxError: invalid syntax", 2, ())
    assert 'File "page.md", line 7' in broken.traceback
    assert after.error == "not run: needs 'x' of the block at line 6"


def test_a_program_s_exit_ends_the_page(page: Pages) -> None:
    first, second = page.run("import sys\nsys.exit(3)", "print(1)")
    assert first.error == "SystemExit: 3: the code ends the program here"
    assert second.error == "not run: the code ended the program in the block at line 2"


# names


def test_blocks_share_names_and_fresh_ones_start_without(page: Pages) -> None:
    first, second = blocks("x = 1", "print(x)"), blocks("print('x' in globals())", file="other.md", fresh=True)
    results = page.runner.run(Job("page", (*first, *second)))
    assert [result.printed[-1].text for result in results] == ["", "1\n", "False\n"]


def test_pages_do_not_share_names(page: Pages) -> None:
    code = 'state = globals().get("state", 0) + 1\nprint(state)'
    assert [page.out(code), page.out(code)] == ["1\n", "1\n"]


def test_the_main_guard_runs(page: Pages) -> None:
    assert page.out('if __name__ == "__main__":\n    print("main ran")') == "main ran\n"


def test_top_level_await_shares_one_loop_and_asyncio_run_works(page: Pages) -> None:
    define = "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 7\nprint(await f())"
    assert page.out(define, "print(asyncio.run(f()))\nprint(await f())") == "7\n7\n7\n"


def test_source_dataclasses_and_pickling_work(page: Pages) -> None:
    code = (
        "import dataclasses, inspect, pickle\n@dataclasses.dataclass\nclass P:\n    x: int = 1\n"
        "def g(a):\n    return a + 1\nprint(inspect.getsource(g).splitlines()[0])\n"
        "print(inspect.getsource(P).splitlines()[-1].strip())\nprint(pickle.loads(pickle.dumps(P(5))))"
    )
    assert page.out(code) == "def g(a):\nx: int = 1\nP(x=5)\n"


def test_future_imports_hold_for_the_blocks_that_follow(page: Pages) -> None:
    assert page.out("from __future__ import annotations", "def f(a: missing): ...\nprint(f.__annotations__)") == (
        "{'a': 'missing'}\n"
    )


def test_spawned_workers_know_the_page_s_definitions(page: Pages) -> None:
    define = "import multiprocessing as mp\nSCALE = 3\nprint('once')\ndef scaled(v):\n    return v * SCALE"
    pool = "with mp.get_context('spawn').Pool(1) as pool:\n        print(pool.map(scaled, [1, 2]))"
    use = f"if __name__ == '__main__':\n    {pool}"
    assert page.out(define, use) == "once\n[3, 6]\n"


def test_a_process_that_the_code_forks_reports_nothing(page: Pages) -> None:
    code = (
        "import os\npid = os.fork()\nif pid == 0:\n    print('child', flush=True)\n    os._exit(3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert page.out(code, "print('after')").split() == ["child", "3", "after"]


# surroundings


def test_placeholders_are_defined(page: Pages) -> None:
    assert page.out("print(N, KINDS)", placeholders={"N": 3, "KINDS": ["a"]}) == "3 ['a']\n"


def test_a_placeholder_without_a_plain_value_is_refused(page: Pages) -> None:
    with pytest.raises(RunnerError, match="placeholder"):
        page.run("print(N)", placeholders={"N": object()})


def test_the_working_folder_is_the_page_s_own(page: Pages) -> None:
    here = sorted(Path.cwd().iterdir())
    write = "from pathlib import Path\nPath('model.bin').write_bytes(b'123')\nprint(Path('model.bin').stat().st_size)"
    first, second = page.run(write, "print(Path('model.bin').exists())")
    assert first.printed[-1].text == "3\n"
    assert second.printed[-1].text == "True\n"
    assert page.out("from pathlib import Path\nprint(Path('model.bin').exists())") == "False\n"
    assert sorted(Path.cwd().iterdir()) == here


def test_helpers_beside_the_page_can_be_imported(page: Pages, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "lib.py").write_text("VALUE = 2")
    assert page.out("import lib\nprint(lib.VALUE)", search_path=(str(tmp_path / "own"),)) == "2\n"


def test_secrets_and_folders_of_the_machine_stay_here(page: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    code = (
        "import os, json\nprint(os.environ.get('HF_TOKEN'))\nprint(os.getcwd(), os.environ['HOME'])\n"
        "print(json.__file__)\nprint('hf_secret' in open('/proc/self/environ').read())"
    )
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/json/__init__.py"
    assert page.out(code).split() == ["None", "/page/work", "/page/home", library, "False"]


def test_a_variable_may_be_passed_on(page: Pages) -> None:
    code = "import os\nprint(os.environ['TORCH_HOME'])"
    assert page.out(code, environment={"TORCH_HOME": "weights"}) == "weights\n"


def test_hashes_and_random_numbers_are_the_same_each_time(page: Pages) -> None:
    code = "import random, numpy\nprint(hash('a') % 97, {'b', 'a', 'c'}, random.random(), numpy.random.rand())"
    assert page.out(code) == page.out(code)
    assert page.out(code) != page.out(code, seed=1)


def test_blocks_that_must_not_run_do_not_run(page: Pages) -> None:
    code = "raise SystemError('must not run')"
    skipped = (*blocks(code, skip=True, reason="3 GB"), *blocks(code, gpu=True), *blocks(code, network=True))
    results = page.runner.run(Job("page", (*skipped, *blocks("print(1)"))))
    assert [(result.ended, result.error) for result in results] == [
        (False, "not run: 3 GB"),
        (False, "not run: it needs a GPU"),
        (False, "not run: it needs the network"),
        (True, None),
    ]


# pictures


def test_pictures_of_pil_are_kept_and_no_viewer_starts(page: Pages) -> None:
    (ran,) = page.run("from PIL import Image\nImage.new('RGB', (8, 8), 'red').show()")
    assert [(image.line, image.png[:4]) for image in ran.images] == [(2, b"\x89PNG")]


def test_figures_that_are_shown_or_saved_are_kept(page: Pages) -> None:
    pytest.importorskip("matplotlib")
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('curve.png')\nplt.show()\nplt.show()"
    (ran,) = page.run(code)
    assert [(image.line, image.name) for image in ran.images] == [(3, "curve.png"), (4, "figure-1")]
    assert (ran.error, ran.printed[-1].text) == (None, "")


# the runner itself


def test_importing_the_runner_imports_no_torch() -> None:
    code = "import sys, cardproof.snippets.run.page_runner; print('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_server_that_has_threads_is_not_forked_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Runner(preload=("threaded",)) as runner:
        assert runner.state("cpu").threads == 2
        results = runner.run(Job("page", blocks("import sys\nprint('threaded' in sys.modules)", "print(2)")))
    assert [result.printed[-1].text for result in results] == ["False\n", "2\n"]


def test_a_device_s_server_that_died_is_started_again(page: Pages) -> None:
    pid = page.runner.state("cpu").pid
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert page.out("print(1)") == "1\n"
