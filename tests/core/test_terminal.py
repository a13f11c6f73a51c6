"""What is printed steers no terminal, fails for no encoding, and ends the command if nobody reads it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import cardproof

from cardproof.core.terminal import BROKEN_PIPE, Terminal, printable

HEADER = """---
license: mit
model-index:
- name: tiny
  results:
  - task: {type: image-classification}
    dataset: {type: digits, name: Digits}
    metrics:
    - {type: accuracy, name: Top 1 Accuracy, value: 120.1}
---
# Tïny ✓
"""
STEERING = "\x1b]0;owned\x07\x1b[2J\r\x9b2J‮\n::stop-commands::x"
COMMAND = [sys.executable, "-m", "cardproof", "audit"]


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, timeout=60)


@given(st.text())
def test_printable_text_is_one_line_without_anything_that_steers(text):
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not any(character in shown for character in "\x1b\x07\r\x9b\u202e\u2028")
    shown.encode()


@pytest.mark.attack("card", "a file name with terminal escapes, line ends and workflow commands", "they are escaped")
def test_a_file_name_steers_no_terminal(write):
    write(f"a{STEERING}.md", HEADER)
    done = run([*COMMAND, "."], GITHUB_ACTIONS="true")
    assert done.returncode == 1
    text = done.stdout.decode()
    assert "impossible-result" in text
    for character in "\x1b\x07\r\x9b‮":
        assert character not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


@pytest.mark.attack("card", "a line of a hint is a workflow command of GitHub Actions", "it is broken up")
def test_a_hint_of_several_lines_holds_no_command_of_github(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    below = io.StringIO()
    Terminal(below, ends=True).write("    hint\n    ::stop-commands::x\n##[error]y\nfine ::here\n")
    assert below.getvalue() == "    hint\n    \\u003a:stop-commands::x\n\\u0023#[error]y\nfine ::here\n"


def test_colours_pass_and_other_escapes_do_not():
    below = io.StringIO()
    Terminal(below, ends=True).write("\x1b[31mred\x1b[0m \x1b[2Jgone\ttab\n")
    assert below.getvalue() == "\x1b[31mred\x1b[0m \\u001b[2Jgone\ttab\n"


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [("ascii", "text"), ("cp1252", "text"), ("utf-16", "text"), ("ascii", "json"), ("cp1252", "github")],
)
@pytest.mark.attack("machine", "an encoding that lacks characters of the report", "escapes; formats are UTF-8")
def test_no_encoding_of_a_terminal_is_an_error(write, encoding, kind):
    write("ñ ✓ 模型.md", HEADER)
    done = run([*COMMAND, ".", "--format", kind], PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (1, b"")
    text = done.stdout.decode(encoding if kind == "text" else "utf-8")
    assert ("\\u2713" in text) == (kind == "text" and encoding not in ("utf-16",))


def test_a_locale_without_characters_is_no_error(write):
    write("ñ ✓.md", HEADER)
    done = run([*COMMAND, "."], LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (1, b"")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    text = line.replace("CARDPROOF", f"'{sys.executable}' -m cardproof")
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("kind", ["text", "json"])
@pytest.mark.attack("machine", "the reader of the output ends early, as head does", "exit status 141, no traceback")
def test_a_reader_that_went_away_ends_the_command_as_it_ends_other_tools(write, kind):
    write("card.md", HEADER)
    done = shell(f"CARDPROOF audit . --format {kind} --write json=out.json | true; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == (f"{BROKEN_PIPE}\n", "")
    assert Path("out.json").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("kind", ["text", "json"])
@pytest.mark.parametrize(("where", "why"), [(">/dev/full", "No space left"), (">&-", "Bad file descriptor")])
@pytest.mark.attack("machine", "the output is closed, or its disk is full", "one line says so, exit status 2")
def test_an_output_that_cannot_be_written_is_reported_in_one_line(write, where, why, kind):
    write("card.md", HEADER)
    done = shell(f"CARDPROOF audit . --format {kind} {where}")
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output cannot be written: ")
    assert (why in done.stderr, len(done.stderr.splitlines())) == (True, 1)


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "0<&-"])
def test_messages_that_cannot_be_written_change_no_exit_status(write, where):
    write("card.md", HEADER)
    done = shell(f"CARDPROOF audit . {where}")
    assert (done.returncode, done.stderr) == (1, "")
    missing = shell(f"CARDPROOF audit missing.md {where}")
    assert (missing.returncode, missing.stdout) == (2, "")


def test_a_closed_output_that_is_not_used_is_no_error(write):
    write("card.md", "# Nothing stated\n")
    done = shell("CARDPROOF audit . --quiet --write json=report.json >&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("report.json").read_text().startswith("{")


def test_help_and_version_are_printed_through_it(write):
    write("card.md", HEADER)
    assert shell("CARDPROOF --help | true; echo ${PIPESTATUS[0]}").stdout == f"{BROKEN_PIPE}\n"
    assert cardproof("--version").stdout.startswith("cardproof ")
