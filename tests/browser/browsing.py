"""A person before a built site in a real browser, who remembers what should not happen."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
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
