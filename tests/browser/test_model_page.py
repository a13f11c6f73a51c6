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
