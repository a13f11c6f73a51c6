"""Model pages in Chromium: claims by verdict, order and address; keyboard; no script; no sideways scrolling."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]
ROOT = Path(__file__).parents[2]
WIDTHS = (390, 768, 1000, 1440, 2560)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing of each request."""


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """Where the committed pages are served, as mkdocs builds them."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "mkdocs", "build", "-d", str(folder), "-f", str(ROOT / "mkdocs.yml")]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/models"
    server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture
def page(browser, address):
    """A page of which every request stays on the host, and that reports no error."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    found = context.new_page()
    trouble: list[str] = []
    found.on("pageerror", lambda error: trouble.append(str(error)))
    found.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    host = address.removesuffix("/models")
    found.on(
        "request", lambda sent: None if sent.url.startswith((host, "data:", "blob:")) else trouble.append(sent.url)
    )
    yield found
    context.close()
    assert not trouble


def shown(page, selector: str = ".cp-claims tbody tr") -> list[str]:
    return [row.inner_text() for row in page.locator(selector).all() if row.is_visible()]


def test_claims_are_filtered_by_verdict(page, address):
    page.goto(f"{address}/res2net/")
    everything = len(shown(page))
    button = page.get_by_role("button", name="Disputed 3")
    button.click()
    rows = shown(page)
    assert 0 < len(rows) < everything
    assert all(row.startswith("Disputed") for row in rows)
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator(".cp-tools output").inner_text() == "3 claims shown"
    page.get_by_role("button", name="All 162").click()
    assert len(shown(page)) == everything


def test_claims_are_sorted_by_a_column_from_the_keyboard_and_back(page, address):
    page.goto(f"{address}/res2next/")
    before = shown(page)
    head = page.locator(".cp-claims th").nth(1)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    names = [text.inner_text() for text in page.locator(".cp-claims summary").all()]
    assert names == sorted(names, key=str.lower)
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert [text.inner_text() for text in page.locator(".cp-claims summary").all()] == names[::-1]
    page.keyboard.press("Enter")
    assert shown(page) == before


def test_numbers_are_sorted_as_numbers(page, address):
    page.goto(f"{address}/res2net/")
    page.locator(".cp-stands th", has_text="Parameters").locator("button").click()
    values = [float(cell.inner_text().split()[0]) for cell in page.locator(".cp-stands td:nth-child(3)").all()]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("name", "claim", "model"),
    [
        ("res2next", "res2next50-flops", "res2next50"),
        ("res2next", "res2next50-architecture-3", "res2next50"),
        ("res2net", "res2net50_26w_6s-crop-pct", "res2net50_26w_6s"),
    ],
)
def test_an_address_opens_a_claim_with_the_evidence_of_its_model(page, address, name, claim, model):
    page.goto(f"{address}/{name}/#{claim}")
    row = page.locator(f"tr:has([id='{claim}'])")
    api.expect(row.locator("details")).to_have_attribute("open", "")
    api.expect(row).to_be_in_viewport()
    record = row.locator("xpath=following-sibling::tr[1]")
    wanted = page.locator(f"[id='evidence-{model}'] dd").nth(2).text_content()
    assert record.locator("dd").nth(2).text_content() == wanted
    assert record.locator("pre code").inner_text().startswith("cardproof audit templates/models/")


def test_an_address_within_the_page_opens_its_claim_even_if_a_filter_hides_it(page, address):
    page.goto(f"{address}/res2next/")
    page.get_by_role("button", name="Cited 9").click()
    page.evaluate("location.hash = '#res2next50-flops'")
    api.expect(page.locator("#res2next50-flops")).to_be_visible()


def test_a_closed_claim_takes_its_record_with_it(page, address):
    page.goto(f"{address}/res2next/#res2next50-flops")
    api.expect(page.locator(".cp-record-row")).to_have_count(1)
    page.locator("details:has(#res2next50-flops) summary").click()
    api.expect(page.locator(".cp-record-row")).to_have_count(0)


def test_without_script_an_address_opens_its_claim_and_nothing_is_missing(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/res2next/#res2next50-flops")
    api.expect(page.locator("#res2next50-flops")).to_be_visible()
    assert page.locator(".cp-claims tbody tr:visible").count() == page.locator(".cp-claims tbody tr").count()
    page.locator("#res2next50-flops a").click()
    api.expect(page.locator("#evidence-res2next50 pre")).to_be_visible()
    context.close()


def test_a_mark_of_the_plot_leads_to_its_row(page, address):
    page.goto(f"{address}/res2next/")
    mark = page.locator(".cp-mark.cp-own").first
    mark.focus()
    page.keyboard.press("Enter")
    assert page.url.endswith("#stands-res2next50")
    api.expect(page.locator("#stands-res2next50")).to_be_in_viewport()


@pytest.mark.parametrize("name", ["res2net", "res2next-small"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(page, address, name, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}/{name}/")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
