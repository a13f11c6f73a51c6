"""The page of a model: claims are filtered and sorted, links open evidence, everything can be copied."""

from __future__ import annotations

import json
import re

import pytest

pytestmark = pytest.mark.slow


def shown_rows(page):
    return page.locator(".cp-claims tbody tr:visible:not(.cp-record-row)")


def test_claims_are_filtered_by_verdict(reader):
    page = reader.open("models/res2next/")
    whole = shown_rows(page).count()
    button = page.locator(".cp-tools button", has_text="Cited")
    count = int(re.search(r"\d+", button.text_content())[0])
    button.click()
    words = shown_rows(page).locator("td:first-child b").all_text_contents()
    assert set(words) == {"Cited"}
    assert 0 < len(words) <= count < whole
    assert button.get_attribute("aria-pressed") == "true"
    page.locator(".cp-tools button", has_text="All").click()
    assert shown_rows(page).count() == whole


def test_claims_are_sorted_both_ways_and_back(reader):
    page = reader.open("models/res2next/")
    names = page.locator(".cp-claims tbody tr summary")
    written = names.all_text_contents()
    head = page.locator(".cp-claims thead th", has_text="Claim").first
    for order, expected in (("ascending", sorted), ("descending", lambda texts: sorted(texts, reverse=True))):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        found = [text.lower() for text in names.all_text_contents()]
        assert found == expected(text.lower() for text in written)
    head.locator("button").click()
    assert names.all_text_contents() == written


def test_a_link_to_a_claim_opens_it_with_its_evidence(reader):
    page = reader.open("models/res2next/#res2next50-flops")
    claim = page.locator("#res2next50-flops")
    claim.wait_for(state="visible")
    record = page.locator(".cp-record-row")
    record.wait_for(state="visible")
    said = record.text_content()
    assert "torch" in said
    assert "render_cards.py" in said or "cardproof" in said
    box = claim.bounding_box()
    assert 0 < box["y"] < 900


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
