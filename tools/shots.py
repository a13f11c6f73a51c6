"""Take screenshots of the built site, wide and narrow, light and dark, to be looked at; ``make shots`` runs it.

They are written to ``shots/``, which is not part of the repository, as whole pages.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import track

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = {
    "index": "models/",
    "model": "models/res2next/",
    "variants": "models/res2net/",
    "trained": "models/res2next-small/",
    "claim": "models/res2next/#res2next50-flops",
    "compare": "models/compare/",
    "evidence": "evidence/?model=res2next50",
    "audit": "models/audit-timm/",
    "check": "reference/checks/flops/",
    "home": "",
    "guide": "guide/",
    "quickstart": "guide/quickstart/",
    "benchmarks": "guide/benchmarks/",
    "missing": "404.html",
}
WIDTHS = (1440, 390)
SCHEMES = ("light", "dark")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
"""For Debian's Chromium as root, without a screen and without a network."""


def main() -> None:
    """Take the screenshots that are asked for; without names, all."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(PAGES)}")
    options.add_argument("--site", type=Path, default=Path("site"), help="the built site")
    options.add_argument("--out", type=Path, default=Path("shots"), help="where the pictures go")
    given = options.parse_args()
    if unknown := sorted(set(given.pages) - set(PAGES)):
        options.error(f"no page {', '.join(unknown)}: there is {', '.join(PAGES)}")
    if not (given.site / "index.html").is_file():
        options.error(f"{given.site} is no built site: run `make cards` first")
    if (program := chromium()) is None:
        sys.exit("Chromium is not installed: apt-get install chromium-headless-shell")
    given.out.mkdir(parents=True, exist_ok=True)
    with served(given.site) as address:
        shoot(program, address, given.pages or list(PAGES), given.out)


def chromium() -> str | None:
    """Return the system's Chromium, the one without windows if it is installed; None if there is none."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    return next(filter(None, map(shutil.which, names)), None)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on the loopback, as a plain file server does; give its address, which ends with a slash."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def shoot(program: str, address: str, names: list[str], out: Path) -> None:
    """Write a picture of each page at each width in each scheme."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        kinds = [(width, scheme) for width in WIDTHS for scheme in SCHEMES]
        for width, scheme in track(kinds, description="screenshots", disable=not sys.stderr.isatty()):
            context = browser.new_context(
                base_url=address, viewport={"width": width, "height": 900}, color_scheme=scheme
            )
            page = context.new_page()
            for name in names:
                page.goto("about:blank")  # so that only a fragment that differs is a visit too
                page.goto(PAGES[name], wait_until="networkidle")
                page.screenshot(path=out / f"{name}-{width}-{scheme}.png", full_page=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
