"""Before a build pages are rendered; while a site is served, an edit is in the browser after exactly one build."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import pytest
from mkdocs.exceptions import PluginError
from sites import CARD, CONFIG, OTHER, build, mkdocs, write_site

from cardproof.plugins.mkdocs_plugin import CardproofPlugin, _BuildOnce
from cardproof.snippets.run.processes import descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE = 60
"""Seconds after which what is waited for will not come."""

SETTLED = 2.5
"""Seconds without a build after which none will come: the server looks at its folders every half second."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_site(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Home\n")
    (tmp_path / "mkdocs.yml").write_text(CONFIG + "- search\n")
    return tmp_path


class Server:
    """A running ``mkdocs serve``."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self._port, self._log = process, port, log

    def log(self) -> str:
        return self._log.read_text()

    def builds(self) -> int:
        return self.log().count("Building documentation...")

    def shows(self, page: str, text: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/{page}", timeout=DEADLINE) as answer:
                return text in answer.read().decode()
        except (URLError, ConnectionError):
            return False

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not is_so():
            assert time.monotonic() < deadline, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.1)

    def builds_when_settled(self) -> int:
        """Wait until there is no more build, and return how many there were."""
        builds, since = self.builds(), time.monotonic()
        while time.monotonic() < since + SETTLED:
            if self.builds() != builds:
                builds, since = self.builds(), time.monotonic()
            time.sleep(0.1)
        return builds


@contextmanager
def serving() -> Iterator[Server]:
    """Serve the site of the working directory on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mkdocs", "serve", "--dev-addr", f"127.0.0.1:{port}"]
    log = Path("serve.log")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file, env=environment) as process:
        server = Server(process, port, log.absolute())
        try:
            server.wait_until(lambda: "Serving on" in server.log())
            yield server
        finally:
            process.kill()


@pytest.mark.slow
def test_an_edit_is_in_the_browser_after_one_build_and_nothing_loops(site: Path) -> None:
    card = site / "templates/models/tiny.md"
    with serving() as server:
        server.wait_until(lambda: server.shows("models/tiny/", "A network of one convolution"))
        assert server.builds_when_settled() == 1, "the render before the first build is in it"

        card.write_text(CARD.replace("A network", "Another network"))
        server.wait_until(lambda: server.shows("models/tiny/", "Another network"))
        assert server.builds_when_settled() == 2

        other = CARD.replace("FLOPs: 55376", "FLOPs: 55377")  # is measured again: page and evidence change
        card.write_text(other)
        server.wait_until(lambda: server.shows("models/tiny/", "55377"))
        assert server.builds_when_settled() == 3

        card.write_text(other.replace("A network", "{{ nothing }} network"))
        server.wait_until(lambda: "'nothing' is undefined" in server.log())
        assert server.builds_when_settled() == 3, "an error leaves the site as it was"

        (site / "docs/index.md").write_text("# Welcome\n")
        server.wait_until(lambda: server.shows("", "Welcome"))
        assert server.builds_when_settled() == 4


@pytest.mark.slow
def test_an_edit_of_the_configuration_that_changes_pages_is_one_build(site: Path) -> None:
    with serving() as server:
        server.wait_until(lambda: server.shows("models/tiny/", "FLOPs"))
        text = (site / "mkdocs.yml").read_text()
        (site / "mkdocs.yml").write_text(text.replace("    zoo:", "    flops: operations\n    zoo:"))
        server.wait_until(lambda: server.shows("models/tiny/", "110,752"))  # two for each of the 55,376 multiply-adds
        assert server.builds_when_settled() == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_the_end_of_the_server_ends_the_watcher_and_its_render(site: Path) -> None:
    with serving() as server:
        (site / "zoo.py").write_text((site / "zoo.py").read_text() + "import time\ntime.sleep(1000)\n")
        server.wait_until(lambda: len(descendants(server.process.pid)) > 2)
        below = descendants(server.process.pid)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(DEADLINE) == 0
    deadline = time.monotonic() + DEADLINE
    while any(Path(f"/proc/{pid}").exists() for pid in below):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_settings_that_mean_nothing_stop_the_server_with_their_place(site: Path) -> None:
    (site / "mkdocs.yml").write_text(CONFIG + "    pace: 3\n")
    plugin = CardproofPlugin()
    plugin.load_config({}, str(site / "mkdocs.yml"))
    with pytest.raises(PluginError, match=r"mkdocs.yml:\d+:5: cardproof has no setting 'pace'"):
        plugin.on_startup(command="serve", dirty=False)


# mkdocs build


def begin(command: str = "build") -> None:
    """Do what mkdocs does before it builds the site of the working directory."""
    plugin = CardproofPlugin()
    plugin.load_config({}, str(Path("mkdocs.yml").absolute()))
    plugin.on_startup(command=command, dirty=False)
    assert plugin._watcher is None
    plugin.on_shutdown()


def test_a_build_renders_first_and_stops_if_pages_cannot_be_written(
    site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    card, page = site / "templates/models/tiny.md", site / "docs/models/tiny.md"
    begin()
    assert "A network of one convolution" in page.read_text()
    before = {path: path.stat().st_mtime_ns for path in (site / "docs").rglob("*")}
    begin()
    assert {path: path.stat().st_mtime_ns for path in (site / "docs").rglob("*")} == before

    card.write_text(CARD.replace("A network", "{{ nothing }} network"))
    with pytest.raises(PluginError, match=r"could not be rendered \(exit status 1\)"):
        begin()
    assert "templates/models/tiny.md:3:" in capfd.readouterr().out
    card.write_text(CARD.replace("Name: Tiny", "Name: Tiny: net"))
    with pytest.raises(PluginError, match=r"could not be rendered \(exit status 2\)"):
        begin()
    assert {path: path.stat().st_mtime_ns for path in (site / "docs").rglob("*")} == before

    card.write_text(CARD.replace("Parameters: 322", "Parameters: 323"))
    begin()
    assert "error [parameters]" in capfd.readouterr().out
    assert "323" in page.read_text(), "a refuted claim is on its page, and stops nothing"

    page.write_text("mine\n")
    with pytest.raises(PluginError, match=r"could not be rendered"):
        begin()
    assert page.read_text() == "mine\n"


@pytest.mark.parametrize("command", ["build", "serve"])
def test_a_setting_leaves_the_pages_as_they_are(site: Path, command: str) -> None:
    (site / "mkdocs.yml").write_text(CONFIG + "    render: false\n")
    begin(command)
    assert not (site / "docs/models").exists()
    (site / "mkdocs.yml").write_text(CONFIG + "    render: sometimes\n")
    with pytest.raises(PluginError, match=r"mkdocs.yml:\d+:13: render is true or false"):
        begin(command)


def test_a_build_that_does_not_render_names_pages_that_are_older_than_their_templates(site: Path) -> None:
    card = site / "templates/models/tiny.md"
    card.with_name("other.md").write_text(OTHER)
    build(Path())
    (site / "mkdocs.yml").write_text(f"{CONFIG}    render: false\n")
    done = mkdocs("build", "--strict", "--theme", "mkdocs")
    assert done.returncode == 0, done.stderr
    os.utime(card, (2**32, 2**32))  # as a checkout of Git may leave it
    assert mkdocs("build", "--strict", "--theme", "mkdocs").returncode == 0

    card.write_text(CARD.replace("one convolution", "a convolution"))
    done = mkdocs("build", "--theme", "mkdocs")
    assert done.returncode == 0
    named = [line for line in done.stderr.splitlines() if "is older than" in line]
    assert len(named) == 1
    assert named[0].endswith("docs/models/tiny.md is older than templates/models/tiny.md; run cardproof render")


def test_a_site_without_templates_is_built_without_rendering(site: Path) -> None:
    (site / "templates").rename(site / "others")
    begin()
    assert not (site / "docs/models").exists()


def test_pages_are_right_in_a_site_that_names_no_markdown_extensions(site: Path) -> None:
    paper = (
        "  Paper:\n    Title: A network\n    Authors: ['Doe, J']\n    Year: 2020\n    URL: https://example.org/1\n-->"
    )
    (site / "templates/models/tiny.md").write_text(CARD.replace("322", "999").replace("-->", paper))
    (site / "mkdocs.yml").write_text(f"{CONFIG}theme: material\n")
    build(Path())
    done = mkdocs("build", "--strict")
    assert done.returncode == 0, done.stderr
    page = (site / "site/models/tiny/index.html").read_text()
    shown = re.sub(r"<(script|pre)\b.*?</\1>", "", page, flags=re.DOTALL)
    for literal in ("{:", "!!!", "???", "===", "```", "| ---"):
        assert literal not in shown, literal
    for part in ("admonition failure", "cp-button", "tabbed-alternate", "<details"):
        assert part in shown, part


def test_an_extension_that_the_site_sets_keeps_its_settings(site: Path) -> None:
    from mkdocs.config import load_config

    extensions = "- extra\n- pymdownx.tabbed: {alternate_style: true, slugify: x}\n"
    (site / "mkdocs.yml").write_text(f"{CONFIG}markdown_extensions:\n{extensions}")
    config = load_config(str(site / "mkdocs.yml"))
    config = config.plugins.on_config(config)
    assert config.mdx_configs["pymdownx.tabbed"]["slugify"] == "x"
    assert config.markdown_extensions.count("pymdownx.tabbed") == 1
    assert "attr_list" not in config.markdown_extensions
    assert "admonition" in config.markdown_extensions


# builds that the server asks for twice


class Builds:
    """Stands for a server and counts the builds of its site."""

    def __init__(self, *watched: Path) -> None:
        self.count = 0
        self._watched_paths = {str(path): 1 for path in watched}

    def builder(self) -> None:
        self.count += 1


def builder_for(builds: Any) -> _BuildOnce:
    return _BuildOnce(builds, SimpleNamespace(settle=lambda seconds: None))  # type: ignore[arg-type]


def test_a_build_of_what_was_built_already_is_left_out(site: Path) -> None:
    builds = Builds(site / "docs", site / "mkdocs.yml")
    build = builder_for(builds)
    build()
    build()
    assert builds.count == 1
    os.utime(site / "mkdocs.yml", ns=(1, 1))
    build()
    assert builds.count == 2


def test_a_link_that_the_system_cannot_follow_stops_no_build(site: Path) -> None:
    (site / "templates/odd").symlink_to("x" * 300)  # a name that no file can have
    builds = Builds(site / "templates")
    builder_for(builds)()
    assert builds.count == 1


def test_a_build_that_failed_is_tried_again(site: Path) -> None:
    class Failing(Builds):
        def builder(self) -> None:
            super().builder()
            raise ValueError

    builds = Failing(site / "docs")
    build = builder_for(builds)
    for _ in range(2):
        with pytest.raises(ValueError):
            build()
    assert builds.count == 2


def test_a_server_that_does_not_tell_what_it_watches_builds_always() -> None:
    builds = Builds()
    del builds._watched_paths
    build = builder_for(builds)
    build()
    build()
    assert builds.count == 2
