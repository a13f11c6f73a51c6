"""Every kind of page: wide and narrow, light and dark, for everybody."""

from __future__ import annotations

import gzip
import re
import urllib.request

import pytest
from browser.conftest import ROOT, WIDTHS, Reader

from quickstart import PICTURE

pytestmark = pytest.mark.slow

PAGES = {
    "home": "",
    "guide": "guide/",
    "quickstart": "guide/quickstart/",
    "card": "guide/write-a-card/",
    "benchmarks": "guide/benchmarks/",
    "settings": "guide/configuration/",
    "speed": "guide/speed/",
    "index of models": "models/",
    "model with variants": "models/res2net/",
    "one model": "models/res2next/",
    "model that we trained": "models/res2next-small/",
    "compare": "models/compare/",
    "evidence": "evidence/?model=res2next50",
    "audit": "models/audit-timm/",
    "check": "reference/checks/flops/",
}
SERIOUS = ("serious", "critical")


every_page = pytest.mark.parametrize("opened", PAGES.values(), ids=PAGES, indirect=True, scope="module")


@every_page
def test_no_page_is_wider_than_its_window(opened):
    for width in WIDTHS:
        opened.resize(width)
        assert opened.overflow() <= 0, width


@every_page
def test_axe_finds_nothing_serious(opened):
    opened.resize(1440)
    assert not violations(opened)


@pytest.mark.parametrize("name", ["home", "guide", "model with variants", "compare"])
def test_axe_finds_nothing_serious_in_the_dark(name, reader_of, site):
    reader = reader_of(site, dark=True)
    reader.open(PAGES[name])
    assert not violations(reader, runOnly=["color-contrast"])  # nothing else depends on colours


def violations(reader: Reader, **options: object) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(reader.page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"][:3]
    ]


LISTS = ("benchmarks", "index of models", "compare", "evidence", "audit")
SMALL = """() => [...document.querySelectorAll("article *")]
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
    .filter((one) => one.checkVisibility() && parseFloat(getComputedStyle(one).fontSize) < 12)
    .map((one) => one.outerHTML.slice(0, 80))"""
CUT = """() => [...document.querySelectorAll("article *")]
    .filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1)
    .filter((one) => ["auto", "scroll"].includes(getComputedStyle(one).overflowX))
    .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("opened", [PAGES[name] for name in LISTS], ids=LISTS, indirect=True, scope="module")
def test_lists_have_no_small_text_on_a_phone_and_no_cut_table_on_a_desk(opened):
    opened.resize(390)
    opened.page.wait_for_load_state("networkidle")
    assert opened.page.evaluate(SMALL) == []
    opened.resize(1440)
    assert opened.page.evaluate(CUT) == []


@every_page
@pytest.mark.parametrize("width", [390, 1440])
def test_every_table_that_scrolls_can_be_reached_by_keyboard(width, opened):
    opened.resize(width)
    opened.page.wait_for_function(
        """() => [...document.querySelectorAll("article *")]
            .filter((one) => one.scrollWidth > one.clientWidth && one.clientWidth > 1
                && ["auto", "scroll"].includes(getComputedStyle(one).overflowX))
            .every((one) => one.tabIndex === 0 || one.querySelector("a, button"))"""
    )
    if (width, opened.page.url.rpartition("/guide/")[2]) == (390, "benchmarks/"):
        assert opened.page.locator("article .cp-figures[role=region][aria-label='Counting one network']").count()


def test_the_theme_is_switched_and_stays(reader_of, site):
    reader = reader_of(site)
    page = reader.open("models/res2next/")
    assert page.locator("body").get_attribute("data-md-color-scheme") == "default"
    page.get_by_title("Switch to dark mode").click()
    assert page.locator("body").get_attribute("data-md-color-scheme") == "slate"
    reader.open("models/res2net/")
    assert page.locator("body").get_attribute("data-md-color-scheme") == "slate"


@pytest.mark.parametrize("name", ["res2next50", "res2net101d", "res2next_tiny"])
def test_search_shows_the_exact_name_first(name, reader):
    page = reader.open("")
    page.locator(".md-search__input").click()
    page.wait_for_function("!document.querySelector('.md-search-result__meta').textContent.includes('Initializing')")
    page.locator(".md-search__input").press_sequentially(name)
    first = page.locator(".md-search-result__item").first
    first.locator(f"a[href*='#{name}']").first.wait_for(state="attached")
    assert name in first.text_content()


def test_a_page_that_is_not_there_says_so_and_leads_on(reader_of, site):
    reader = reader_of(site)
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{site}no/such/page/")
    page = reader.open("404.html")
    assert page.get_by_role("link", name="Compare").first.is_visible()


def test_a_page_without_scripts_is_whole(browser, site):
    context = browser.new_context(base_url=site, java_script_enabled=False)
    page = context.new_page()
    page.goto("models/res2next/")
    claim = page.locator("#res2next50-flops")
    assert claim.count() == 1
    page.locator("details", has=claim).locator("summary").click()
    assert claim.is_visible()
    page.goto("models/compare/")
    assert page.locator("table.cp-list tbody tr").count() >= 13
    context.close()


def test_what_is_printed_is_dark_on_white_whatever_the_scheme(reader_of, site):
    reader = reader_of(site, dark=True)
    page = reader.open("models/res2next/")
    page.emulate_media(media="print")
    page.wait_for_function(  # colours change over a quarter of a second
        """() => ['.cp-pill.cp-confirmed', '.cp-ran', '.cp-chips span', 'pre > code'].every(one => {
            const [r, g, b] = getComputedStyle(document.querySelector(one)).color.match(/[0-9.]+/g).map(Number);
            return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255 < 0.45;
        })"""
    )
    icons = "[...document.querySelectorAll('.cp-claims summary')].map(e => getComputedStyle(e, '::before').content)"
    assert set(page.evaluate(icons)) == {"none"}


def test_model_pages_are_small(site):
    for card in sorted((ROOT / "templates/models").rglob("*.md")):
        if card.stem == "index":
            continue
        address = f"{site}models/{card.relative_to(ROOT / 'templates/models').with_suffix('').as_posix()}/"
        data = urllib.request.urlopen(address).read()
        assert len(data) < 100_000, address
        assert len(gzip.compress(data, 9)) < 15 * 1024, address


@pytest.mark.parametrize("opened", [PAGES["home"]], ids=["home"], indirect=True, scope="module")
@pytest.mark.parametrize("width", [390, 1440])
def test_the_text_of_the_recorded_terminal_is_large_enough(width, opened):
    opened.resize(width)
    picture = PICTURE.read_text(encoding="utf-8")
    (whole,), (letters,) = re.findall(r'viewBox="0 0 (\d+)', picture), re.findall(r"font:(\d+)px", picture)
    shown = opened.page.locator(".site-terminal img").evaluate("one => one.clientWidth")
    assert shown / int(whole) * int(letters) >= 12
