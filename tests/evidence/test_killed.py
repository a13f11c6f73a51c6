"""A build that is ended at any moment leaves a site that the next build makes whole, and forgets nothing.

``SIGNALS=200 pytest -n 0 -s tests/evidence/test_killed.py`` sends 200 signals instead of a few, and prints the figures.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sites import CARD, cardproof, write_site
from warm import start_build

from cardproof.core.journal import SUFFIX
from cardproof.evidence.records import load_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

pytestmark = pytest.mark.slow

MODELS = (8, 16, 24)
SIGNALS = int(os.environ.get("SIGNALS", "6"))
SEED = int(os.environ.get("SEED", "0"))
PATIENCE = 60.0
SNIPPET = """
```python
print([0.0] * 2)  # prints: [0.0, 0.0]
```
"""


def write_cards(folder: Path) -> Path:
    """Write a site of some models, with a catalog and a snippet on each page."""
    folder.mkdir(parents=True)
    site = write_site(folder)
    config = (site / "mkdocs.yml").read_text().replace("run: false", "run: true, preload: []")
    (site / "mkdocs.yml").write_text(config + "    catalog: docs/catalog\n")
    zoo = (site / "zoo.py").read_text()
    zoo = zoo.replace('name not in ("tiny", "tiny_16")', 'not name.startswith("tiny")')
    zoo = zoo.replace('16 if name == "tiny_16" else 8', 'int(name.partition("_")[2])')
    zoo = zoo.replace("from torch import nn", "import time\n\nfrom torch import nn")
    slow = "        time.sleep(0.1)  # so that a build can be killed while it measures\n        width ="
    (site / "zoo.py").write_text(zoo.replace("        width =", slow))
    (site / "templates/models/tiny.md").unlink()
    for width in MODELS:
        card = CARD.replace("Name: tiny\n", f"Name: tiny_{width}\n").replace("<!--", SNIPPET + "\n<!--", 1)
        (site / f"templates/models/{width}.md").write_text(card)
    return site


def edit_cards(site: Path) -> None:
    """Change what every output depends on: the zoo, a snippet and the text of all cards; one card is removed."""
    (site / "zoo.py").write_text((site / "zoo.py").read_text() + "\n# edited\n")
    for width in MODELS[1:]:
        path = site / f"templates/models/{width}.md"
        text = path.read_text().replace("[0.0]", "[1.0]").replace("0.0, 0.0", "1.0, 1.0")
        path.write_text(text.replace("one convolution", "a single convolution"))
    (site / f"templates/models/{MODELS[0]}.md").unlink()


def files(site: Path) -> dict[str, bytes]:
    """Return all files of the rendered site, hidden ones too."""
    docs = site / "docs"
    return {path.relative_to(docs).as_posix(): path.read_bytes() for path in docs.rglob("*") if path.is_file()}


def finished(site: Path) -> dict[str, object]:
    """Return what is on record of each model."""
    return {
        path.name: load_record(path)
        for path in (site / "docs/evidence").glob("[!.]*.json")
        if path.stem.count("_") == 1
    }


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def status(process: BaseProcess) -> int | None:
    """Wait for the end of a build; return its exit status, None if it does not end."""
    process.join(PATIENCE)
    return process.exitcode


def ended(group: int) -> bool:
    """Return whether every process of a group is gone, within a while."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(PermissionError):
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return True
        time.sleep(0.05)
    return False


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files and journals of builds."""
    return [path for path in folder.rglob("*") if path.name.endswith((SUFFIX, ".journal"))]


def writes_site(cache: Path, build: BaseProcess) -> bool:
    """Return whether a build has begun to write the site, of which its journal has many files, or has ended."""
    with suppress(OSError):
        if any(path.stat().st_size > 2000 for path in (cache / "cardproof/journals").iterdir()):
            return True
    return not build.is_alive()


@pytest.mark.attack(
    "machine",
    "SIGINT, SIGTERM or SIGKILL at a random moment of a build that measures, runs snippets and writes",
    "the next build completes or undoes it: every file is new, nothing and no process is left",
)
def test_a_build_ended_by_a_signal_at_random_moments_is_completed_by_the_next(tmp_path):
    old = write_cards(tmp_path / "old" / "site")
    assert status(start_build(old, tmp_path / "cache")) == 1  # most cards state other numbers than their networks
    new = tmp_path / "new" / "site"
    shutil.copytree(old, new)
    edit_cards(new)
    started = time.monotonic()
    assert status(start_build(new, tmp_path / "cache")) == 1
    took = time.monotonic() - started
    before, expected = files(old), files(new)
    assert not before.keys() <= expected.keys()
    draw = random.Random(SEED)
    seen: Counter[str] = Counter()
    for number in range(SIGNALS):
        folder = tmp_path / str(number)
        site, cache = folder / "site", folder / "cache"
        shutil.copytree(old, site)
        edit_cards(site)
        broken = start_build(site, cache)
        kind = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[number % 3]
        if number // 3 % 2:  # while it writes the site, which takes a hundredth of the time
            wait_until(partial(writes_site, cache, broken))
            broken.join(draw.uniform(0.0, 0.02))
        else:
            broken.join(draw.uniform(0.0, took * 1.1))
        with suppress(ProcessLookupError):
            os.kill(broken.pid, kind)
        ending = status(broken)
        assert ending in (1, -kind, 128 + kind), f"it ended with {ending} after {kind.name}"
        assert ended(broken.pid), "a process outlived the build"
        found = files(site)
        pages = {name for name in found if not name.startswith("evidence/")}
        kept = {name for name in pages if found[name] == before.get(name)}
        made = {name for name in pages if found[name] == expected.get(name)}
        state = "new" if made == pages else "old" if kept == pages else "mixed"
        if kind != signal.SIGKILL:
            assert state != "mixed", f"{kind.name} left {pages - kept - made or pages - made}"
            assert not leftovers(folder)
        seen[f"{kind.name}: {'ended before' if ending == 1 else state}"] += 1
        assert status(start_build(site, cache)) == 1
        assert files(site) == expected
        assert not leftovers(folder)
        shutil.rmtree(folder)
    print(f"\n{SIGNALS} signals, a build takes {took:.1f} s:", dict(sorted(seen.items())))


def test_what_was_finished_is_not_measured_again(tmp_path, monkeypatch):
    site = write_cards(tmp_path / "site")
    broken = start_build(site, tmp_path / "cache")
    wait_until(partial(finished, site))
    broken.kill()
    broken.join()
    known = set(finished(site))
    monkeypatch.chdir(site)
    told = cardproof("render", "--dry-run")
    missing = {line.partition(":")[0] for line in told.stdout.splitlines() if ": counts, new" in line}
    assert missing == {f"tiny_{width}" for width in MODELS} - {name.removesuffix(".json") for name in known}


def test_two_builds_at_once_leave_a_whole_site(tmp_path):
    whole = write_cards(tmp_path / "whole" / "site")
    assert status(start_build(whole, tmp_path / "cache")) == 1
    site = write_cards(tmp_path / "both" / "site")
    both = [start_build(site, tmp_path / "cache") for _ in range(2)]
    assert [status(process) for process in both] == [1, 1]
    assert files(site) == files(whole)
