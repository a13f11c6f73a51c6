"""The compare page: what is shown is filtered, sorted, shared by its address, and downloaded."""

from __future__ import annotations

import csv
import io
import json

import pytest

pytestmark = pytest.mark.slow


def names(page) -> list[str]:
    return page.locator("table.cp-list tbody tr th").all_text_contents()


def test_models_are_sorted_by_multiply_adds(reader):
    page = reader.open("models/compare/")
    page.locator("th[data-key=multiply-adds] button").click()
    values = page.locator("table.cp-list tbody tr").evaluate_all(
        """rows => {
            const place = document.querySelector("th[data-key=multiply-adds]").cellIndex;
            return rows.map((row) => row.cells[place].dataset.value);
        }"""
    )
    numbers = [int(value) for value in values if value]
    assert numbers == sorted(numbers)
    assert page.locator("th[data-key=multiply-adds]").get_attribute("aria-sort") == "ascending"


def test_filters_are_in_the_address_and_come_back_with_it(reader_of, site):
    first = reader_of(site)
    page = first.open("models/compare/")
    page.locator("input[name=name]").fill("res2next")
    page.locator("select[name=verdict]").select_option("cited")
    page.wait_for_function("location.search.includes('res2next')")
    shown = names(page)
    assert 0 < len(shown) < 13
    second = reader_of(site)
    other = second.open(page.url.removeprefix(site))
    assert names(other) == shown
    assert other.locator("input[name=name]").input_value() == "res2next"


def test_a_range_leaves_out_what_is_outside(reader):
    page = reader.open("models/compare/")
    page.locator("summary", has_text="Ranges").click()
    page.locator("input[name='max-multiply-adds']").fill("4.2 G")
    page.wait_for_function("document.querySelectorAll('table.cp-list tbody tr').length < 13")
    values = page.locator("table.cp-list tbody tr td[data-value]:nth-child(2)").evaluate_all(
        "cells => cells.map(cell => Number(cell.dataset.value))"
    )
    assert values
    assert max(values) <= 4.2e9


def test_filters_that_no_model_passes_leave_words_and_no_empty_table(reader):
    page = reader.open("models/compare/?name=nothing")
    assert page.get_by_text("No model matches these filters.").is_visible()
    assert not page.locator("table.cp-list").is_visible()
    assert not page.locator(".cp-pareto").is_visible()
    page.get_by_role("button", name="Reset").click()
    assert len(names(page)) == 13
    assert page.locator("table.cp-list").is_visible()


def test_on_a_phone_names_and_numbers_are_seen_at_once_and_filters_are_folded(reader_of, site):
    page = reader_of(site, width=390).open("models/compare/")
    page.locator(".cp-compare__toggle").wait_for()
    seen = page.evaluate(
        """() => {
            const table = document.querySelector("table.cp-list");
            const lines = (text) => {
                const range = document.createRange();
                range.selectNodeContents(text);
                return range.getClientRects().length;
            };
            const parts = [...table.querySelectorAll("tbody code")].flatMap((code) => [...code.childNodes]);
            return {
                head: table.tHead.clientHeight,
                right: table.tBodies[0].rows[0].cells[2].getBoundingClientRect().right,
                broken: parts.filter((node) => node.nodeType === Node.TEXT_NODE && lines(node) > 1).length,
            };
        }"""
    )
    assert seen["head"] < 70
    assert seen["right"] <= 390  # of the second number
    assert seen["broken"] == 0  # a name is only broken behind an underscore
    family = page.locator("select[name=family]")
    assert not family.is_visible()
    page.get_by_role("button", name="Filters and columns").click()
    assert family.is_visible()


def test_columns_are_chosen(reader):
    page = reader.open("models/compare/")
    head = page.locator("th[data-key=layers]")
    assert not head.is_visible()
    page.locator("summary", has_text="Columns").click()
    page.locator("input[name=cols][value=layers]").check()
    assert head.is_visible()
    assert "cols=" in page.url


@pytest.mark.parametrize("kind", ["CSV", "JSON"])
def test_what_is_shown_is_downloaded(kind, reader):
    page = reader.open("models/compare/?name=res2next")
    shown = names(page)
    with page.expect_download() as download:
        page.locator("button", has_text=kind).first.click()
    text = download.value.path().read_text()
    if kind == "CSV":
        found = [row["name"] for row in csv.DictReader(io.StringIO(text))]
    else:
        found = [row["name"] for row in json.loads(text)]
    assert found == shown


def test_the_plot_draws_a_mark_for_each_model_that_has_both_numbers(reader):
    page = reader.open("models/compare/")
    plot = page.locator(".cp-pareto svg")
    plot.wait_for()
    assert plot.locator("title").first.text_content()
    placed = page.locator("table.cp-list tbody tr").evaluate_all(
        """rows => {
            const at = key => document.querySelector(`table.cp-list th[data-key="${key}"]`).cellIndex;
            const [x, y] = [at("multiply-adds"), at("top-1-accuracy-on-imagenet")];
            return rows.filter(row => row.cells[x].dataset.value && row.cells[y].dataset.value).length;
        }"""
    )
    assert plot.locator("a path").count() == placed > 5


def test_the_plot_has_the_marks_of_the_model_pages_by_verdict(reader):
    page = reader.open("models/compare/")
    page.locator(".cp-pareto svg").wait_for()
    disputed = page.locator(".cp-pareto a", has=page.locator(".cp-pareto__disputed"))
    assert sorted(disputed.evaluate_all("links => links.map(link => link.getAttribute('href').split('#')[1])")) == [
        "res2net50_26w_8s",
        "res2net50_48w_2s",
    ]
    assert page.locator(".cp-pareto__measured").count() == 0
    legend = page.locator(".cp-pareto figcaption").inner_text()
    assert legend.startswith("○ agrees with a published source, ◇ sources differ. The line connects")


def test_the_evidence_page_lists_all_models_as_links(reader):
    page = reader.open("evidence/")
    page.locator(".cp-viewer__models a").get_by_text("res2next50", exact=True).click()
    page.get_by_text("24,671,464").first.wait_for()


def test_the_evidence_viewer_shows_a_record_and_links_the_file(reader):
    page = reader.open("evidence/?model=res2next50")
    page.get_by_text("24,671,464").first.wait_for()
    raw = page.locator("a[href$='res2next50.json']").first
    answer = page.request.get(raw.evaluate("a => a.href"))
    assert answer.json()["counts"]["parameters"] == 24671464
