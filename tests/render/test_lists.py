"""The compare table and the families of an index: right, whole without JavaScript, escaped, and current."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown import markdown
from sites import CARD, MULTIPLY_ADDS, ONE_JOB, OTHER, PARAMETERS, write_site

from cardproof.build import render
from cardproof.core.settings import load_settings
from cardproof.render.output.paths import Urls

LISTS = "# All\n\n{{ compare_table() }}\n\n## Families\n\n{{ family_cards() }}\n"
EVIL = "<img src=x onerror=alert(1)>\"'&[x](javascript:y)`|*b*_c_ --8<-- {{7*7}}"
EXTENSIONS = ["admonition", "attr_list", "md_in_html", "tables", "toc", "pymdownx.superfences", "pymdownx.details"]


class Cells(HTMLParser):
    """Collects tags, and the cells of each row with attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[tuple[dict[str, str | None], str]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append((dict(attrs), ""))

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            attributes, text = self.rows[-1][-1]
            self.rows[-1][-1] = (attributes, text + data)


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path)
    models = folder / "templates/models"
    (models / "lists.md").write_text(LISTS)
    (models / "other.md").write_text(OTHER)
    build(folder)
    return folder


def build(site: Path, **options):
    return render(load_settings(site / "mkdocs.yml"), ONE_JOB, **options)


def page(site: Path) -> str:
    return (site / "docs/models/lists.md").read_text()


def html(site: Path) -> str:
    return markdown(page(site), extensions=EXTENSIONS)


def table(site: Path) -> list[dict[str, tuple[dict[str, str | None], str]]]:
    """Return the rows of the table by the keys of its columns."""
    head, *rows = Cells(html(site)).rows
    keys = [attributes["data-key"] for attributes, _ in head]
    return [dict(zip(keys, [(found, text.strip()) for found, text in row], strict=True)) for row in rows]


def test_the_table_has_every_model_with_measured_numbers_and_their_verdicts(site):
    first, second = table(site)
    assert (first["name"][1], second["name"][1]) == ("tiny", "tiny_16")
    attributes, text = first["multiply-adds"]
    assert (attributes["data-value"], text) == (str(MULTIPLY_ADDS), "55.38 k confirmed")
    assert first["parameters"][0]["data-value"] == str(PARAMETERS)
    assert (first["families"][1], first["verdicts"][1]) == ("Tiny", "3 confirmed")


def test_a_refuted_number_is_the_measured_one_with_what_the_card_says(site):
    (site / "templates/models/tiny.md").write_text(CARD.replace("FLOPs: 55376", "FLOPs: 110752"))
    build(site)
    attributes, text = table(site)[0]["multiply-adds"]
    assert (attributes["data-value"], text) == (str(MULTIPLY_ADDS), "55.38 k refuted card says 110752")
    assert table(site)[0]["verdicts"][1] == "2 confirmed 1 refuted"


def test_links_of_raw_html_are_those_of_the_finished_site(site):
    links = [attributes["href"] for tag, attributes in Cells(html(site)).tags if tag == "a"]
    assert links[:2] == ["../tiny/#tiny", "../other/#tiny_16"]
    (site / "mkdocs.yml").write_text("use_directory_urls: false\n" + (site / "mkdocs.yml").read_text())
    build(site)
    links = [attributes["href"] for tag, attributes in Cells(html(site)).tags if tag == "a"]
    assert links[:2] == ["tiny.html#tiny", "other.html#tiny_16"]


def test_a_family_has_ranges_counts_and_links(site):
    text = html(site).split("cp-families")[1]
    assert "2 models" in text
    parameters = text.split("<dt>Parameters</dt>")[1].split("</dd>")[0]
    assert re.sub("<[^>]*>", "", parameters) == "322 confirmed to 634 confirmed"
    assert 'aria-label="6 confirmed"' in text
    assert '<a href="../other/#tiny_16"><code>tiny_16</code></a>' in text


def test_a_number_in_a_table_has_the_mark_of_its_verdict_and_a_legend_says_what_the_marks_mean(site):
    (site / "templates/models/tiny.md").write_text(CARD.replace("Parameters: 322", "Parameters: 323"))
    (site / "templates/models/lists.md").write_text("# All\n\n{{ model_table(columns=['Parameters', 'FLOPs']) }}\n")
    build(site)
    assert [[text.split("\n")[0] for _, text in row] for row in Cells(html(site)).rows] == [
        ["Model", "Parameters", "Multiply-adds"],
        ["tiny_16", "634 confirmed", "110.75 k confirmed"],
        ["tiny", "322 refuted", "55.38 k confirmed"],
    ]
    legend = html(site).split('<p class="cp-legend">')[1]
    assert re.findall("<dfn>(.*?)</dfn>", legend) == ["confirmed", "refuted"]


def test_refuted_claims_are_linked_from_every_list(site):
    (site / "templates/models/tiny.md").write_text(CARD.replace("Parameters: 322", "Parameters: 323"))
    build(site)
    links = [found for tag, found in Cells(html(site)).tags if tag == "a" and "cp-pill" in (found.get("class") or "")]
    assert [link["href"] for link in links] == ["../tiny/#tiny-parameters"] * 2
    assert 'id="tiny-parameters"' in (site / "docs/models/tiny.md").read_text()


def test_lists_without_models_say_so(site):
    for name in ("tiny", "other"):
        (site / f"templates/models/{name}.md").unlink()
    build(site)
    assert html(site).count("No models yet") == 2


def test_a_data_set_has_its_published_name_and_its_usual_key(site):
    results = (
        "  Results:\n  - Task: Image Classification\n    Dataset: FashionMNIST\n    Metrics:\n      Top 1 Accuracy: 90%"
    )
    (site / "templates/models/tiny.md").write_text(CARD.replace("\n-->", f"\n{results}\n-->"))
    build(site)
    assert ">Top-1 accuracy on Fashion-MNIST<" in page(site)
    assert table(site)[0]["top-1-accuracy-on-fashionmnist"][1] == "90% unchecked"


def test_a_page_of_lists_is_made_again_where_a_verdict_changed_and_not_else(site):
    before = page(site)
    tiny = site / "templates/models/tiny.md"
    tiny.write_text(CARD.replace("# Tiny", "# Very tiny"))
    run = build(site)
    assert (len(run.cards) - run.remembered, page(site)) == (1, before)
    tiny.write_text(CARD.replace("Parameters: 322", "Parameters: 323"))
    run = build(site)
    assert len(run.cards) - run.remembered == 2
    assert "card says 323" in page(site)


def test_what_cards_say_is_text_in_the_lists(site):
    quoted = EVIL.replace("'", "''")
    text = CARD.replace("- Name: tiny\n", f"- Name: '{quoted}'\n")
    text = text.replace("In Collection: Tiny", f"In Collection: '{quoted}'")
    text = text.replace("- Name: Tiny\n", f"- Name: '{quoted}'\n  License: '{quoted}'\n", 1)
    (site / "templates/models/tiny.md").write_text(text.replace("FLOPs: 55376", f"FLOPs: '{quoted}'"))
    build(site)
    tags = Cells(html(site)).tags
    assert not any(tag in ("img", "script", "b", "em", "strong") for tag, _ in tags)
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    links = [attributes.get("href") or "" for _, attributes in tags]
    assert not any(link.startswith("javascript") for link in links)
    rows = [row for row in table(site) if row["name"][1] != "tiny_16"]
    assert [(row["name"][1], row["families"][1], row["licence"][1]) for row in rows] == [(EVIL, EVIL, EVIL)]
    assert page(site).count(EVIL) == 0


def test_beyond_its_limit_the_table_names_the_files_that_have_the_rest(site, monkeypatch):
    monkeypatch.setattr("cardproof.render.functions.model_lists.MOST_ROWS", 1)
    (site / "mkdocs.yml").write_text((site / "mkdocs.yml").read_text() + "    catalog: docs/catalog\n")
    build(site)
    assert [row["name"][1] for row in table(site)] == ["tiny"]
    assert "1 more models are in models.json and models.csv." in page(site)
    (root,) = [attributes for _, attributes in Cells(html(site)).tags if "data-models" in attributes]
    assert (root["data-models"], root["data-total"]) == ("../../catalog/models.json", "2")
    assert len(json.loads((site / "docs/catalog/models.json").read_text())["models"]) == 2


def test_a_folder_of_a_family_becomes_a_folder_of_the_site(site):
    folder = site / "templates/models/wide"
    folder.mkdir()
    (site / "templates/models/other.md").rename(folder / "other.md")
    build(site)
    assert (site / "docs/models/wide/other.md").is_file()
    assert not (site / "docs/models/other.md").exists()
    links = [attributes["href"] for tag, attributes in Cells(html(site)).tags if tag == "a"]
    assert links[:2] == ["../tiny/#tiny", "../wide/other/#tiny_16"]


@pytest.mark.parametrize(
    ("page", "directories", "address"),
    [
        ("docs/index.md", True, "./"),
        ("docs/index.md", False, "index.html"),
        ("docs/models/index.md", True, "models/"),
        ("docs/models/README.md", False, "models/index.html"),
        ("docs/models/a.md", True, "models/a/"),
        ("docs/models/a b.md", False, "models/a%20b.html"),
        ("docs/catalog/models.json", True, "catalog/models.json"),
    ],
)
def test_addresses_are_those_that_mkdocs_gives(page, directories, address):
    assert Urls(Path("docs"), directories).of(Path(page)) == address


@pytest.mark.parametrize(
    ("target", "here", "directories", "address"),
    [
        ("docs/models/b.md", "docs/models/a.md", True, "../b/"),
        ("docs/models/a.md", "docs/models/a.md", True, "./"),
        ("docs/models/b.md", "docs/models/index.md", True, "b/"),
        ("docs/models/b.md", "docs/models/a.md", False, "b.html"),
        ("docs/index.md", "docs/models/a.md", True, "../../"),
        ("docs/index.md", "docs/models/a.md", False, "../index.html"),
        ("docs/catalog/models.json", "docs/models/a.md", True, "../../catalog/models.json"),
        ("docs/catalog/models.json", "docs/index.md", True, "catalog/models.json"),
    ],
)
def test_addresses_between_pages(target, here, directories, address):
    assert Urls(Path("docs"), directories).between(Path(target), Path(here)) == address


def test_a_layout_that_a_page_imports_still_serves_lists(tmp_path, monkeypatch):
    from cardproof.render import templates

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    page = "{% import 'cardproof/parts.html' as parts %}{% for _ in 'ab' %}{{ parts.mark('cited') }}{% endfor %}"
    shown = templates.Templates([tmp_path]).render_text(page, "page.md", {})
    assert shown.count("cp-mark cp-cited") == 2
    templates._layouts.cache_clear()
    assert "1 cited" in templates._layouts().get_template("parts.html").module.verdict_bar({"cited": 1})
    templates._layouts.cache_clear()
