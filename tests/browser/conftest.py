"""The site, built once and served, and readers of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.browsing import WIDTHS, Reader

from shots import ARGUMENTS, chromium, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    api = pytest.importorskip("playwright.sync_api")
    program = chromium()
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium-headless-shell")
    api.expect.set_options(timeout=60_000)
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
    for reader in readers:
        reader.leave()
        reader.context.close()


@pytest.fixture(scope="session")
def _readers(browser: Browser, site: str) -> Iterator[dict[int, Reader]]:
    """Readers who have been here before, by the width of their windows: browsers have fetched what pages share."""
    readers = {width: Reader(browser, site, width) for width in (WIDTHS[0], 1440)}
    yield readers
    for reader in readers.values():
        reader.context.close()


@pytest.fixture
def reader(_readers: dict[int, Reader]) -> Iterator[Reader]:
    """A reader of this project's site, with a wide window."""
    yield _readers[1440]
    _readers[1440].leave()


@pytest.fixture(scope="module")
def opened(_readers: dict[int, Reader], request: pytest.FixtureRequest) -> Iterator[Reader]:
    """A reader of this project's site with a narrow window, before the page that the test names."""
    reader = _readers[WIDTHS[0]]
    reader.resize(WIDTHS[0])
    reader.open(request.param)
    yield reader
    reader.leave()
