"""Files are written all or none: after an error, after a signal, and after a kill by the next command."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from cardproof.core.journal import SUFFIX, OutsideError, Step, finish_interrupted, replace_files, replace_sources
from cardproof.core.paths import cache_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked and killed")


@pytest.fixture
def files(tmp_path, monkeypatch) -> dict[Path, str]:
    """Three files with old contents, and the new ones; a fourth, ``gone``, is to be removed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("a", "b/c", "gone"):
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"old {name}")
    return {tmp_path / "site" / name: f"new {name}" for name in ("a", "b/c", "d")}


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


OLD = {"a": "old a", "b/c": "old b/c", "gone": "old gone"}
NEW = {"a": "new a", "b/c": "new b/c", "d": "new d"}


def write(files, tmp_path) -> None:
    replace_files(files, gone=[tmp_path / "site/gone"], roots=[tmp_path / "site"])


def end_at(monkeypatch, step: int, how) -> None:
    """Let something happen before a step of writing, counted from the first file that is staged."""
    done = iter(range(100))

    def before(action):
        def observed(*arguments, **options):
            is_step = isinstance(arguments[0], Step) or str(arguments[0]).endswith(SUFFIX)
            if is_step and next(done) == step:
                how()
            return action(*arguments, **options)

        return observed

    monkeypatch.setattr(os, "open", before(os.open))
    monkeypatch.setattr(Step, "apply", before(Step.apply))


def in_a_child(action) -> int:
    """Run something in a forked process and return its exit status, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_files_are_replaced_made_and_removed(files, tmp_path):
    write(files, tmp_path)
    assert contents(tmp_path / "site") == NEW
    assert list((cache_folder() / "journals").iterdir()) == []


@pytest.mark.parametrize("step", range(7))
@pytest.mark.attack(
    "machine",
    "SIGKILL before each step of writing several files",
    "the next command restores all files to the old state or completes the new one",
)
def test_a_killed_write_is_undone_or_completed(files, tmp_path, step):
    def die() -> None:
        with pytest.MonkeyPatch.context() as patch:
            end_at(patch, step, kill)
            write(files, tmp_path)

    assert in_a_child(die) == -signal.SIGKILL
    finish_interrupted(tmp_path / "site")
    found = contents(tmp_path / "site")
    assert found in (OLD, NEW)
    assert (found == NEW) == (step >= 3)
    assert list((cache_folder() / "journals").glob("*.journal")) == []


def test_a_file_that_was_edited_after_the_kill_is_not_overwritten(files, tmp_path):
    def die() -> None:
        with pytest.MonkeyPatch.context() as patch:
            end_at(patch, 5, kill)
            write(files, tmp_path)

    assert in_a_child(die) == -signal.SIGKILL
    (tmp_path / "site/b/c").write_text("mine")
    finish_interrupted(tmp_path / "site")
    found = contents(tmp_path / "site")
    assert found["b/c"] == "mine"
    assert not [name for name in found if name.endswith(SUFFIX)]


def test_a_killed_write_elsewhere_is_left_to_its_own_next_command(files, tmp_path):
    def die() -> None:
        with pytest.MonkeyPatch.context() as patch:
            end_at(patch, 5, kill)
            write(files, tmp_path)

    in_a_child(die)
    (tmp_path / "other").mkdir()
    finish_interrupted(tmp_path / "other")
    assert contents(tmp_path / "site") not in (OLD, NEW)
    finish_interrupted(tmp_path / "site")
    assert contents(tmp_path / "site") == NEW


def test_the_next_write_into_a_folder_removes_what_a_killed_one_left_there(files, tmp_path):
    path = tmp_path / "site/a"

    def die() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "chmod", lambda *_: kill())
            replace_files({path: "killed"})

    assert in_a_child(die) == -signal.SIGKILL
    assert len(contents(tmp_path / "site")) == len(OLD) + 1
    replace_files({path: "new a"})
    assert contents(tmp_path / "site") == OLD | {"a": "new a"}


def test_links_in_a_circle_are_an_error_and_no_traceback(files, tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="circle"):
        replace_files({tmp_path / "circle": "x"})


def test_a_journal_that_is_not_whole_is_removed(files, tmp_path):
    journal = cache_folder() / "journals/x.journal"
    journal.parent.mkdir(parents=True)
    journal.write_text('[["/etc/passwd')
    finish_interrupted(tmp_path / "site")
    assert contents(tmp_path / "site") == OLD
    assert not journal.exists()


@pytest.mark.parametrize("step", range(7))
def test_an_error_at_any_step_leaves_all_files_as_they_were(files, tmp_path, monkeypatch, step):
    def fail() -> None:
        raise OSError("no")

    end_at(monkeypatch, step, fail)
    with pytest.raises(OSError, match="no"):
        write(files, tmp_path)
    monkeypatch.undo()
    assert contents(tmp_path / "site") == OLD


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_files_are_renamed_waits_until_all_are(files, tmp_path, number):
    def interrupted() -> None:
        with pytest.MonkeyPatch.context() as patch:
            end_at(patch, 5, lambda: os.kill(os.getpid(), number))
            write(files, tmp_path)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert in_a_child(interrupted) == (0 if number == signal.SIGINT else -number)
    assert contents(tmp_path / "site") == NEW


@pytest.mark.attack(
    "machine", "the cache, and so the journal, cannot be written", "files are written all the same, each one whole"
)
def test_without_a_cache_files_are_written_without_a_journal(files, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    write(files, tmp_path)
    assert contents(tmp_path / "site") == NEW


@pytest.mark.parametrize("link", ["site/b", "site/a"])
def test_nothing_is_written_if_a_link_leads_one_file_out(files, tmp_path, link):
    outside = tmp_path / "outside"
    outside.mkdir()
    path = tmp_path / link
    if path.is_dir():
        path.rename(outside / "b")
        path.symlink_to(outside / "b")
    else:
        path.rename(outside / "a")
        path.symlink_to(outside / "a")
    before = contents(outside)
    with pytest.raises(OutsideError, match="leads out of site"):
        write(files, tmp_path)
    assert contents(outside) == before
    assert (tmp_path / "site/gone").exists()


def test_a_source_behind_a_link_is_written_inside_the_working_directory_only(files, tmp_path):
    (tmp_path / "link").symlink_to("site/a")
    replace_sources({Path("link"): "mine"})
    assert ((tmp_path / "site/a").read_text(), (tmp_path / "link").is_symlink()) == ("mine", True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "site/b")
        Path("away").symlink_to("../a")
        with pytest.raises(OutsideError, match="away"):
            replace_sources({Path("away"): "other", Path("c"): "other"})
        assert Path("c").read_text() == "old b/c"
