"""What tests share: the folder of shared cases and corpora, cards written on the spot, and a small site."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis import settings
from sites import mkdocs, write_site
from warm import IMPORTED, preload_all, run_script

from cardproof.render.sandbox import Sandbox

# Tests run side by side, one on each core: threads of torch would only get in each other's way, here and in children.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

# jsonschema would make 38 grammars for addresses, which no test asks it for: two seconds in each process of the tests.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

preload_all()

# Time is no assertion here: machines are shared. CI draws the same examples each time, so that it fails for a reason.
settings.register_profile("cardproof", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("cardproof")

if TYPE_CHECKING:
    from collections.abc import Generator

    from sites import Done

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
CACHES = count()
LAYOUTS = str(ROOT / "tools/cardproof/render/layouts")
compile_template = Sandbox.compile
compiled: dict[tuple[object, ...], object] = {}


def _compile_once(sandbox: Sandbox, source: object, name: str = "", filename: str = "", *options: object) -> object:
    """Compile the project's own layouts once in a process: that is most of the time of a build of a small site."""
    key = (frozenset(sandbox.extensions), source, name, filename)
    if options or not str(filename).startswith(LAYOUTS):
        return compile_template(sandbox, source, name, filename, *options)
    if key not in compiled:
        compiled[key] = compile_template(sandbox, source, name, filename)
    return compiled[key]


Sandbox.compile = _compile_once  # type: ignore[method-assign]


def pytest_collection_finish() -> None:
    """Let the garbage collector look at what tests make, and not at torch and all else that was imported."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, pytest.CollectReport]:
    """Let each process begin with another folder: who imports a file first compiles it, asserts and all, for all."""
    report = yield
    if collector.path == ROOT / "tests" and "PYTEST_XDIST_WORKER" in os.environ:
        turn, processes = int(os.environ["PYTEST_XDIST_WORKER"][2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        first = len(report.result) * turn // processes
        report.result[:] = report.result[first:] + report.result[:first]
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Let each process begin with the files of slow tests and end with quick ones.

    xdist gives each process a run of tests of equal length, and who is done takes from the end of another's.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.path.parts)  # the same in all processes
    remembered = ROOT / ".hypothesis"
    remembered.mkdir(exist_ok=True)
    with FileLock(remembered / "constants.lock"):  # Hypothesis reads all modules once, and the others its notes
        yield
    processes = getattr(config, "workerinput", {"workercount": 1})["workercount"]
    files = {item.path for item in items if item.get_closest_marker("slow")}
    slow, quick = [item for item in items if item.path in files], [item for item in items if item.path not in files]
    ends = [[len(part) * turn // processes for turn in range(processes + 1)] for part in (slow, quick)]
    runs = [(slow[a:b], quick[c:d]) for (a, b), (c, d) in zip(*map(pairwise, ends), strict=True)]
    items[:] = [item for slow_part, quick_part in runs for item in (*slow_part, *quick_part)]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared cases and corpora; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("../shared is absent: the published cards and cases are not part of this repository")
    return SHARED


@pytest.fixture(scope="session")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clean copy of this project's own site, built once by ``mkdocs build`` for all processes of the tests.

    No derived file was there before. Tests read it; whoever writes takes a copy.
    """
    folder = _shared_folder(tmp_path_factory) / "own"
    with FileLock(f"{folder}.lock"):
        if not (folder / "site").is_dir():
            _build_own_site(folder)
    return folder


def _shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all processes of the tests have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _build_own_site(folder: Path) -> None:
    for name in _sources("mkdocs.yml", "templates", "docs"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        done = mkdocs("build", "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr


def _sources(*paths: str) -> list[str]:
    """Return the files below these paths that a clone with today's edits has."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *paths]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split("\0")
    if found := [name for name in listed if name and (ROOT / name).is_file()]:
        return found
    files = (file for path in paths for file in [ROOT / path, *(ROOT / path).rglob("*")] if file.is_file())
    return [file.relative_to(ROOT).as_posix() for file in files]


class Corpus:
    """A site of 50 published cards with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.evidence = folder / "evidence"
        """What the first render put on record, whatever is rendered later."""
        self.lock = FileLock(f"{folder}.lock")
        """Held by a process that writes or renders the site."""

    def write(self, cards: Path) -> None:
        """Write the site and render it from nothing."""
        folder = self.folder
        shutil.copytree(cards, folder / "templates/models")
        (folder / "templates/code_snippets.md").write_text("## Use it\n\n```python\nname = '{{ model_name }}'\n```\n")
        (folder / "mkdocs.yml").write_text(
            "site_name: Corpus\nplugins:\n- cardproof: {zoo: timm, snippets: {run: true}}\n"
        )
        summary = self.render()["summary"]
        assert (summary["measured"], summary["unmeasured"]) == (219, 1)  # timm has no model gluon_xception65
        shutil.copytree(folder / "docs/evidence", self.evidence)

    def render(self, *blocked: str) -> dict:
        """Render in a fresh process in which some packages cannot be imported; return its report.

        If none is blocked, it is forked from one that has imported torch and timm.
        """
        code = (
            "import os, sys\n"
            f"os.chdir({str(self.folder)!r})\n"
            "class Block:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name.partition('.')[0] in {blocked!r}:\n"
            "            raise ImportError('blocked: ' + name)\n"
            "sys.meta_path.insert(0, Block())\n"
            "sys.argv = ['cardproof', 'render', '--json']\n"
            "from cardproof.commands.cli import main\n"
            "if __name__ == '__main__':\n"
            "    main()\n"
        )
        script = self.folder / "run.py"
        script.write_text(code)
        environment = {"XDG_CACHE_HOME": str(self.folder / "cache")}
        done: Done | subprocess.CompletedProcess[str]
        if blocked:
            command = [sys.executable, str(script)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
        else:
            done = run_script(script, **environment)
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def corpus(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return the published cards of timm, which are rendered once for all processes of the tests."""
    pytest.importorskip("timm")
    found = Corpus(_shared_folder(tmp_path_factory) / "corpus")
    with found.lock:
        if not found.evidence.is_dir():
            found.write(shared / "corpora" / "timm-model-templates")
    return found


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a cache folder of its own: what a build remembers is kept there."""
    folder = tmp_path_factory.getbasetemp() / "caches" / str(next(CACHES))  # mktemp would look at all folders each time
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that writes a file below an empty working directory and returns its path."""
    monkeypatch.chdir(tmp_path)

    def _write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text, encoding="utf-8", newline="")
        return path

    return _write


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a site of one card, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return write_site(tmp_path)


@pytest.fixture(scope="session")
def built_site(own_site: Path) -> Path:
    """Return the site of this project, as MkDocs builds it."""
    return own_site / "site"


@pytest.fixture
def warm_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork from a process that has imported torch what would be started anew: the import takes most of the time."""
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(list(IMPORTED))
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind=None: forked)
