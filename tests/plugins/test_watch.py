"""Watching: what is watched, that every edit is rendered once, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sites import CARD, CONFIG, write_site

from cardproof.core.errors import InputError
from cardproof.core.settings import Settings, load_settings
from cardproof.plugins.watch import Watcher, sources_of
from cardproof.snippets.run.processes import descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE = 60
"""Seconds after which what is waited for will not come; what comes takes a tenth of one."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_site(tmp_path)


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.01)


# what is watched


def watched(settings: Settings) -> set[str]:
    return set(sources_of(settings, Path("mkdocs.yml")).state())


def test_templates_includes_sources_settings_and_evidence_are_watched(site: Path) -> None:
    (site / "cited.yml").write_text("")
    (site / "docs/evidence/snippets").mkdir(parents=True)
    (site / "docs/evidence/snippets/tiny.json").write_text("{}")
    settings = load_settings(Path("mkdocs.yml"))
    assert watched(Settings(**{**as_dict(settings), "cited": Path("cited.yml")})) == {
        "mkdocs.yml",
        "cited.yml",
        "zoo.py",
        "templates/code_snippets.md",
        "templates/models/tiny.md",
        "docs/evidence/snippets/tiny.json",
    }


def as_dict(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in Settings.__slots__}


def test_packages_beside_a_zoo_of_one_file_are_watched_and_other_folders_are_not(site: Path) -> None:
    for name in ("blocks/__init__.py", "blocks/deep/stem.py", "blocks/notes.txt", "venv/lib.py"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("")
    found = watched(load_settings(Path("mkdocs.yml")))
    assert {"zoo.py", "blocks/__init__.py", "blocks/deep/stem.py"} <= found
    assert not {"blocks/notes.txt", "venv/lib.py"} & found


def test_files_of_editors_beside_a_zoo_of_one_file_are_no_edits(site: Path) -> None:
    settings = load_settings(Path("mkdocs.yml"))
    before = watched(settings)
    for name in (".zoo.py", "#zoo.py"):
        (site / name).write_text("")
    assert watched(settings) == before


def test_the_bundled_package_is_watched_and_what_is_installed_is_not(site: Path) -> None:
    assert any(path.endswith("res2next/model.py") for path in watched(Settings(zoo="res2next")))
    assert not any(path.endswith(".py") for path in watched(Settings(zoo="timm")))


def test_a_package_in_the_working_directory_is_watched(site: Path) -> None:
    (site / "ournets_of_this_test").mkdir()
    (site / "ournets_of_this_test/nets.py").write_text("")
    (site / "ournets_of_this_test/__init__.py").write_text("")
    assert "ournets_of_this_test/nets.py" in watched(Settings(zoo="ournets_of_this_test.nets:build"))


def test_files_of_editors_and_rendered_pages_among_the_templates_are_no_edits(site: Path) -> None:
    settings = Settings(templates=Path("templates"), out=Path("templates/out"), evidence=Path("templates/out/evidence"))
    before = watched(settings)
    for name in (".tiny.md.swp", "tiny.md~", "#tiny.md#", "out/tiny.md"):
        (site / "templates" / name).parent.mkdir(exist_ok=True)
        (site / "templates" / name).write_text("x")
    assert watched(settings) == before


# when it renders: with a command that writes a line, and evidence, each time it runs

SCRIPT = """
import pathlib
card = pathlib.Path("templates/models/tiny.md").read_text().splitlines()[0]
evidence = pathlib.Path("docs/evidence/tiny.json")
evidence.parent.mkdir(parents=True, exist_ok=True)
with pathlib.Path("runs.txt").open("a") as runs:
    runs.write(card + "\\n")
evidence.write_text(pathlib.Path("runs.txt").read_text())
"""


@contextmanager
def following(site: Path, script: str = SCRIPT) -> Iterator[Watcher]:
    """Give a watcher that has rendered once and follows edits in a thread."""
    config = Path("mkdocs.yml")
    watcher = Watcher([sys.executable, "-c", script], lambda: load_settings(config), config, lambda _: None)
    watcher.render()
    thread = threading.Thread(target=watcher.follow)
    thread.start()
    try:
        yield watcher
    finally:
        watcher.stop()
        thread.join(DEADLINE)
    assert not thread.is_alive()


def runs(site: Path) -> list[str]:
    return (site / "runs.txt").read_text().splitlines()


def test_each_edit_is_rendered_once_although_a_render_writes_evidence(site: Path) -> None:
    card = site / "templates/models/tiny.md"
    with following(site):
        for title in ("# First", "# Second", "# Third"):
            card.write_text(CARD.replace("# Tiny", title))
            wait_until(lambda title=title: runs(site)[-1] == title, title)
    assert runs(site) == ["# Tiny", "# First", "# Second", "# Third"]


def test_an_editor_that_writes_beside_and_renames_is_noticed(site: Path) -> None:
    beside, card = site / "templates/models/.tiny.md.tmp", site / "templates/models/tiny.md"
    with following(site):
        beside.write_text(CARD.replace("# Tiny", "# Other"))
        beside.replace(card)
        wait_until(lambda: runs(site) == ["# Tiny", "# Other"], "the render after the rename")


@pytest.mark.parametrize("name", ["templates/code_snippets.md", "zoo.py", "mkdocs.yml", "docs/evidence/tiny.json"])
def test_an_edit_of_anything_else_that_pages_depend_on_is_noticed(site: Path, name: str) -> None:
    with following(site):
        with (site / name).open("a") as file:
            file.write("\n")
        wait_until(lambda: len(runs(site)) == 2, "the second render")


def test_a_new_template_and_one_that_is_removed_are_noticed(site: Path) -> None:
    other = site / "templates/models/deep/other.md"
    with following(site):
        other.parent.mkdir()
        other.write_text(CARD)
        wait_until(lambda: len(runs(site)) == 2, "the render of the new template")
        other.unlink()
        wait_until(lambda: len(runs(site)) == 3, "the render without it")


def test_what_the_settings_name_anew_is_watched_too(site: Path) -> None:
    with following(site):
        (site / "mkdocs.yml").write_text(CONFIG + "    cited: cited.yml\n")
        wait_until(lambda: len(runs(site)) == 2, "the render with the new settings")
        (site / "cited.yml").write_text("- source: us\n")
        wait_until(lambda: len(runs(site)) == 3, "the render with the cited file")


def test_settings_that_mean_nothing_leave_the_old_ones_watched(site: Path) -> None:
    with following(site):
        (site / "mkdocs.yml").write_text(CONFIG + "    pace: 3\n")
        wait_until(lambda: len(runs(site)) == 2, "the render that shows the error")
        (site / "templates/models/tiny.md").write_text(CARD + "\n")
        wait_until(lambda: len(runs(site)) == 3, "the render of the card")
    with pytest.raises(InputError, match="pace"):
        Watcher(["true"], lambda: load_settings(Path("mkdocs.yml")), None, print)


@pytest.mark.skipif(os.name != "posix", reason="needs a named pipe")
def test_an_edit_while_a_render_is_going_on_is_not_lost(site: Path) -> None:
    os.mkfifo("go")
    script = SCRIPT + "if len(open('runs.txt').readlines()) == 2: open('go').read()\n"
    card = site / "templates/models/tiny.md"
    with following(site, script) as watcher:
        card.write_text(CARD.replace("# Tiny", "# First"))
        wait_until(lambda: runs(site) == ["# Tiny", "# First"], "the first edit")
        card.write_text(CARD.replace("# Tiny", "# Second"))
        (site / "go").write_text("")  # lets the render of the first edit end
        watcher.settle(DEADLINE)
        assert runs(site) == ["# Tiny", "# First", "# Second"]


def test_settling_waits_until_the_last_edit_is_rendered(site: Path) -> None:
    with following(site) as watcher:
        (site / "templates/models/tiny.md").write_text(CARD.replace("# Tiny", "# Other"))
        watcher.settle(DEADLINE)
        assert runs(site) == ["# Tiny", "# Other"]


def test_the_status_is_that_of_the_last_render(site: Path) -> None:
    with following(site, SCRIPT + "raise SystemExit(1 if card == '# Wrong' else 0)") as watcher:
        assert watcher.status == 0
        (site / "templates/models/tiny.md").write_text("# Wrong\n")
        watcher.settle(DEADLINE)
        assert watcher.status == 1


# the command


@contextmanager
def watching(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``cardproof render --watch``; what it says is in ``said.txt``."""
    command = [sys.executable, "-m", "cardproof", "render", "--watch", *options]
    with Path("said.txt").open("w") as said, subprocess.Popen(command, stdout=said, stderr=said, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupt(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGINT)
    return process.wait(DEADLINE)


def has(path: Path, text: str) -> Callable[[], bool]:
    return lambda: path.is_file() and text in path.read_text()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_the_command_renders_goes_on_after_errors_and_ends_with_the_last_status(site: Path) -> None:
    card, page, said = site / "templates/models/tiny.md", site / "docs/models/tiny.md", site / "said.txt"
    with watching() as process:
        wait_until(has(said, "watching; Ctrl-C ends it"), "the first render")
        assert page.is_file()
        card.write_text(CARD.replace("A network", "{{ nothing }} network"))
        wait_until(has(said, "templates/models/tiny.md changed"), "the render of the edit")
        wait_until(has(said, "'nothing' is undefined"), "the error")
        card.write_text(CARD.replace("A network", "Another network"))
        wait_until(has(page, "Another network"), "the page without the error")
        (site / "zoo.py").write_text((site / "zoo.py").read_text().replace("width, 10)", "width, 11)"))
        wait_until(has(said, "error [parameters]"), "the counts of the edited network")
        wait_until(lambda: not descendants(process.pid), "the end of that render")
        time.sleep(1)  # the process is gone before Python has its status; a Ctrl-C between the two loses it
        assert interrupt(process) == 1
    assert list(site.rglob("*.tmp")) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_an_interrupted_render_writes_nothing_and_leaves_no_process(site: Path) -> None:
    with watching() as process:
        wait_until(lambda: len(descendants(process.pid)) > 1, "the process that measures")
        below = descendants(process.pid)
        assert interrupt(process) == 130
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below), "the end of all processes")
    assert not (site / "docs").exists()


@pytest.mark.parametrize("option", ["--check", "--json", "--dry-run", "--force=tiny"])
def test_watching_goes_with_no_option_that_ends(site: Path, option: str) -> None:
    with watching(option) as process:
        assert process.wait(DEADLINE) == 2
    assert (
        "--watch goes with none of --check, --dry-run, --force, --json and --format" in (site / "said.txt").read_text()
    )
