"""A build that is killed at any moment leaves a site that the next build makes whole, and forgets nothing."""

from __future__ import annotations

import os
import random
import shutil
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sites import CARD, cardproof, write_site
from warm import start_build

from cardproof.evidence.records import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

pytestmark = pytest.mark.slow

MODELS = (8, 16, 24, 32)
TIMES = 20
PATIENCE = 60.0
SNIPPET = """
```python
print([0.0] * 2)  # prints: [0.0, 0.0]
```
"""


def write_cards(folder: Path) -> Path:
    """Write a site of four models and a snippet on each page."""
    folder.mkdir(parents=True)
    site = write_site(folder)
    config = (site / "mkdocs.yml").read_text()
    (site / "mkdocs.yml").write_text(config.replace("run: false", "run: true, preload: []"))
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


def files(site: Path) -> dict[str, bytes]:
    """Return all files of the rendered site, hidden ones too."""
    return {
        path.relative_to(site).as_posix(): path.read_bytes() for path in (site / "docs").rglob("*") if path.is_file()
    }


def finished(site: Path) -> dict[str, object]:
    """Return what is on record of each model."""
    return {path.name: load(path) for path in (site / "docs/evidence").glob("[!.]*.json") if path.stem.count("_") == 1}


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


def test_a_build_killed_at_twenty_random_moments_is_completed_to_the_same_bytes(tmp_path):
    whole = write_cards(tmp_path / "whole" / "site")
    started = time.monotonic()
    assert status(start_build(whole, tmp_path / "cache")) == 1  # most cards state other numbers than their networks
    took = time.monotonic() - started
    expected = files(whole)
    assert len(expected) >= 2 * len(MODELS)
    draw = random.Random(0)
    kept = 0
    for number in range(TIMES):
        site = write_cards(tmp_path / str(number) / "site")
        cache = tmp_path / str(number) / "cache"
        broken = start_build(site, cache)
        if number % 2:
            wait_until(partial(finished, site))
        broken.join(draw.uniform(0, 0.2 if number % 2 else took))
        broken.kill()
        broken.join()
        assert ended(broken.pid), "a worker outlived the build that was killed"
        before = finished(site)
        kept += 0 < len(before) < len(MODELS)
        assert status(start_build(site, cache)) == 1
        assert files(site) == expected
        after = finished(site)
        assert {name: record.counts for name, record in before.items()}.items() <= {
            name: record.counts for name, record in after.items()
        }.items()
        shutil.rmtree(tmp_path / str(number))
    assert kept, "no build was killed between its first measurement and its last"


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
