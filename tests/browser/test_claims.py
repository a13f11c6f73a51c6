"""Claims of model pages: by verdict, by column and by address; keyboard; without a script; no sideways scrolling."""

from __future__ import annotations

import pytest

api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow
WIDTHS = (390, 768, 1000, 1440, 2560)


@pytest.fixture
def address(site: str) -> str:
    """Where model pages are served."""
    return f"{site}models"


@pytest.fixture
def page(reader):
    """A page of a reader of whom nothing may go wrong."""
    return reader.page


def shown(page, selector: str = ".cp-claims tbody tr") -> list[str]:
    texts = "rows => rows.filter(row => row.checkVisibility()).map(row => row.innerText)"
    return page.locator(selector).evaluate_all(texts)


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


def test_a_filter_leaves_no_heading_and_no_table_without_claims(page, address):
    page.goto(f"{address}/res2net/")
    for name in ("Disputed 3", "Cited 51", "Unchecked 24", "All 162"):
        page.get_by_role("button", name=name).click()
        assert page.evaluate(
            """() => [...document.querySelectorAll(".cp-claims")].every((box) => {
                const heading = box.previousElementSibling;
                const rows = [...box.querySelectorAll("tbody tr")].some((row) => row.checkVisibility());
                return box.checkVisibility() === rows && heading.tagName === "H3" && heading.checkVisibility() === rows;
            })"""
        ), name
    page.get_by_role("button", name="Disputed 3").click()
    heads = page.locator("article h3").evaluate_all("all => all.filter(h => h.checkVisibility()).map(h => h.id)")
    assert {"res2net50_48w_2s", "res2net50_26w_8s"} <= set(heads)
    assert "res2net50_14w_8s" not in heads


def test_a_count_of_the_verdict_panel_shows_its_claims(page, address):
    page.goto(f"{address}/res2net/")
    page.locator(".cp-verdict").get_by_role("link", name="3 disputed").click()
    rows = shown(page)
    assert len(rows) == 3
    assert all(row.startswith("Disputed") for row in rows)
    api.expect(page.locator(".cp-tools")).to_be_in_viewport()
    api.expect(page.get_by_role("button", name="Disputed 3")).to_be_focused()


@pytest.mark.parametrize("width", [390, 1440])
def test_an_open_claim_is_as_wide_as_its_table(reader, address, width):
    reader.resize(width)
    page = reader.open(f"{address}/res2net/#res2net50_26w_4s-top-1-accuracy")
    claim = page.locator("#res2net50_26w_4s-top-1-accuracy")
    table = page.locator(".cp-claims table", has=claim)
    api.expect(claim).to_be_visible()
    assert claim.bounding_box()["width"] > 0.9 * table.bounding_box()["width"]
    reader.resize(1440)


def test_an_item_of_a_shared_list_has_the_address_of_the_list(page, address):
    page.goto(f"{address}/res2net/#res2net50_26w_6s-architecture-3")
    row = page.locator("tr:has(summary:text-is('Architecture'))")
    api.expect(row.locator("details")).to_have_attribute("open", "")


def test_claims_are_sorted_by_a_column_from_the_keyboard_and_back(page, address):
    page.goto(f"{address}/res2next/")
    before = shown(page)
    head = page.locator(".cp-claims th").nth(1)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    names = page.locator(".cp-claims summary").all_inner_texts()
    assert names == sorted(names, key=str.lower)
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert page.locator(".cp-claims summary").all_inner_texts() == names[::-1]
    page.keyboard.press("Enter")
    assert shown(page) == before


def test_numbers_are_sorted_as_numbers(page, address):
    page.goto(f"{address}/res2net/")
    page.locator(".cp-aside", has=page.locator(".cp-stands")).locator("summary").click()
    page.locator(".cp-stands th", has_text="Parameters").locator("button").click()
    values = [float(text.split()[0]) for text in page.locator(".cp-stands td:nth-child(3)").all_inner_texts()]
    assert values == sorted(values)


def test_units_are_part_of_a_number_and_marks_are_not(page, address):
    page.goto(f"{address}/res2net/")
    cells = page.locator(".cp-variants td:nth-child(2)")
    page.evaluate("document.querySelector('.cp-variants td:nth-child(2)').firstChild.textContent = '999.00 k'")
    page.locator(".cp-variants th", has_text="Parameters").locator("button").click()
    texts = [" ".join(text.split()[:2]) for text in cells.all_inner_texts()]
    assert texts[0].startswith("999.00 k")
    assert texts[1:] == sorted(texts[1:])


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
    api.expect(row.locator("xpath=preceding-sibling::tr[1]").locator("details")).to_have_attribute("open", "")
    api.expect(row).to_be_in_viewport()
    record = row
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
    api.expect(page.locator(".cp-more #res2next50-flops")).to_have_count(1)
    page.locator("tr:has(+ .cp-more) summary").click()
    api.expect(page.locator(".cp-more")).to_have_count(0)
    api.expect(page.locator("details > #res2next50-flops")).to_be_hidden()


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
def test_nothing_is_wider_than_the_window_with_all_details_open(reader, address, name):
    reader.resize(WIDTHS[0])
    page = reader.open(f"{address}/{name}/")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    for width in WIDTHS:
        reader.resize(width)
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width
    reader.resize(1440)
