"""The site, built once and served, and readers of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.browsing import Reader

from shots import ARGUMENTS, chromium, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]


def built(folder: Path, to: Path) -> str:
    """Build a site as its README says; return what MkDocs printed."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(to)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    api = pytest.importorskip("playwright.sync_api")
    program = chromium()
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def site(built_site: Path) -> Iterator[str]:
    """The address of this project's own site."""
    with served(built_site) as address:
        yield address


@pytest.fixture
def reader_of(browser: Browser) -> Iterator[Callable[..., Reader]]:
    """Readers of any site; nothing may have gone wrong for any of them."""
    readers: list[Reader] = []

    def make(address: str, **options: object) -> Reader:
        readers.append(Reader(browser, address, **options))
        return readers[-1]

    yield make
    troubles = [trouble for reader in readers for trouble in reader.troubles]
    for reader in readers:
        reader.context.close()
    assert not troubles


@pytest.fixture
def reader(reader_of: Callable[..., Reader], site: str) -> Reader:
    """A reader of this project's site, with a wide window."""
    return reader_of(site)
