"""The site, built once and served, and readers of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from shots import ARGUMENTS, chromium, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

WIDTHS = (390, 768, 1440, 2560)


class Reader:
    """A person with a browser, before one site; what goes wrong on any page is remembered. Animations end at once."""

    def __init__(self, browser: Browser, address: str, width: int = 1440, dark: bool = False) -> None:
        self.context: BrowserContext = browser.new_context(
            base_url=address,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.context.set_default_timeout(60_000)
        self.troubles: list[str] = []
        self._host = urlsplit(address).netloc
        self.page: Page = self.context.new_page()
        motion = self.context.new_cdp_session(self.page)
        motion.send("Animation.enable")
        motion.send("Animation.setPlaybackRate", {"playbackRate": 1000})
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.troubles.append(f"{self.page.url}: {error}"))
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def leave(self) -> None:
        """Go away and forget all but the files that the browser has fetched; nothing may have gone wrong till now."""
        self.page.evaluate("localStorage.clear(), sessionStorage.clear()")
        self.page.goto("about:blank")
        troubles, self.troubles = self.troubles, []
        assert not troubles

    def open(self, path: str) -> Page:
        """Go to a page of the site and wait until its scripts have run."""
        self.page.goto(path, wait_until="load")
        return self.page

    def resize(self, width: int) -> None:
        """Make the window wider or narrower, and wait until everything has moved to its place."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.evaluate("() => new Promise(requestAnimationFrame)")
        self.page.evaluate("() => Promise.allSettled(document.getAnimations().map(one => one.finished))")

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        wide: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return wide

    def _said(self, message: object) -> None:
        if message.type in ("error", "warning"):  # type: ignore[attr-defined]
            self.troubles.append(f"{self.page.url}: console: {message.text}")  # type: ignore[attr-defined]

    def _asked(self, request: object) -> None:
        url = urlsplit(request.url)  # type: ignore[attr-defined]
        if url.scheme in ("http", "https", "ws", "wss") and url.netloc != self._host:
            self.troubles.append(f"{self.page.url}: asked {url.netloc}")

    def _answered(self, response: object) -> None:
        if response.status >= 400:  # type: ignore[attr-defined]
            self.troubles.append(f"{self.page.url}: {response.status} for {response.url}")  # type: ignore[attr-defined]


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
