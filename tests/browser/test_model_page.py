"""The page of a model: links lead somewhere, code and citations are copied, plots and data can be read."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow


def test_every_link_within_the_page_leads_somewhere(reader):
    for path in ("models/res2net/", "models/res2next-small/"):
        page = reader.open(path)
        missing = page.evaluate(
            """() => [...document.querySelectorAll('article a[href^="#"]')].map(a => a.getAttribute('href').slice(1))
            .filter(id => id && !document.getElementById(decodeURIComponent(id)))"""
        )
        assert missing == []


def test_a_snippet_is_copied_as_it_is_shown(reader):
    page = reader.open("models/res2next/")
    block = page.locator(".highlight", has_text="create_model").first
    block.hover()
    block.locator(".md-code__button, .md-clipboard").first.click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "create_model(" in copied
    assert "Ran as shown" not in copied


def test_citations_are_in_tabs(reader):
    page = reader.open("models/res2next/")
    section = page.locator("article")
    section.locator("label", has_text="BibTeX").last.click()
    assert page.locator("code:visible", has_text="@").count() >= 1
    section.locator("label", has_text="APA").last.click()
    assert page.locator("code:visible", has_text="(20").count() >= 1


def test_plots_have_names_and_descriptions_and_their_marks_lead_to_rows(reader):
    page = reader.open("models/res2next/")
    plot = page.locator("figure svg[role=img], figure svg").first
    assert plot.locator("title").first.text_content().startswith("Top-1 accuracy")
    assert plot.locator("desc").count() == 1
    targets = plot.evaluate(
        "svg => [...svg.querySelectorAll('a')].map(a => a.getAttribute('href') || a.getAttribute('xlink:href'))"
    )
    assert targets
    assert page.evaluate("ids => ids.every(id => document.querySelector(id))", targets)


def test_linked_data_is_json_that_names_the_model(reader):
    page = reader.open("models/res2next/")
    data = json.loads(page.locator('script[type="application/ld+json"]').text_content())
    assert "schema.org" in json.dumps(data)
    assert "res2next50" in json.dumps(data)


@pytest.mark.parametrize("path", ["models/res2net/", "models/res2next/", "models/res2next-small/"])
def test_tab_reaches_every_control_and_shows_where_it_is(path, reader):
    page = reader.open(path)
    seen = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        where = page.evaluate(
            "() => { const e = document.activeElement; if (!e || e === document.body) return null;"
            " const s = getComputedStyle(e); return [e.tagName, e.className.toString(), s.outlineStyle] }"
        )
        if where is None:
            break
        seen.add((where[0], where[1]))
    assert any(tag == "SUMMARY" for tag, _ in seen)
    assert any("cp-sort" in names for _, names in seen)


def test_the_first_screens_of_a_family_answer_what_it_is_and_which_variants_there_are(reader):
    page = reader.open("models/res2net/")
    for selector, screens in ((".cp-verdict", 1), (".cp-facts", 1), (".cp-variants tr:last-child", 2)):
        box = page.locator(selector).first.bounding_box()
        assert box["y"] + box["height"] <= screens * 900, selector
    code, plot = (page.locator(selector).first.bounding_box()["y"] for selector in ("article .highlight", ".cp-plot"))
    assert plot < code


SMALL_TEXTS = """() => {
    const found = [];
    const walker = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        const svg = element.closest("svg");
        if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
        if (svg && element.tagName !== "text") continue;
        const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
        if (parseFloat(getComputedStyle(element).fontSize) * scale < 12) found.push(element.outerHTML);
    }
    return found;
}"""


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("path", ["models/res2net/", "models/res2next/", "models/res2next-small/"])
def test_text_can_be_read_and_tables_fit(path, width, reader):
    reader.resize(width)
    page = reader.open(path)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.wait_for_function("document.querySelector('.cp-more')")
    assert page.evaluate(SMALL_TEXTS) == []
    cut = page.locator(".cp-variants, .cp-stands, .cp-claims").evaluate_all(
        "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.outerHTML.slice(0, 99))"
    )
    assert cut == []
    reader.resize(1440)


def test_the_block_is_drawn_with_a_name(reader):
    page = reader.open("models/res2next/")
    assert page.get_by_role("img", name="First block of a stage").is_visible()
    assert page.locator(".cp-diagram", has_text="4 × 32 channels").count() == 2
