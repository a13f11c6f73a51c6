"""A model page: what it shows of claims, evidence, trainings and papers; no value of a card escapes its place."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec import convert
from sites import CARD, ONE_JOB, cardproof, mkdocs

from cardproof.build import render
from cardproof.core.measurements import Evaluated, Recipe
from cardproof.core.settings import load_settings
from cardproof.render.output.files import ASSETS, SCRIPTS, STYLES, asset_text
from cardproof.render.views.training import confusion_views

ROOT = Path(__file__).parents[2]
EXTENSIONS = [
    "admonition",
    "attr_list",
    "md_in_html",
    "tables",
    "toc",
    "pymdownx.details",
    "pymdownx.superfences",
    "pymdownx.tabbed",
]
EVIL = "</script></svg><script>alert(1)</script><img src=x onerror=y>| `` {{ x }} {% y %} \" ' & [l](javascript:z)"


class Elements(HTMLParser):
    """All elements of a page: (tag, attributes), and the text of those that are asked for by their ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def values(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.found if (value := attributes.get(attribute))]


def page_of(site: Path, card: str = CARD, name: str = "tiny") -> str:
    (site / f"templates/models/{name}.md").write_text(card)
    render(load_settings(site / "mkdocs.yml"), ONE_JOB)
    return (site / f"docs/models/{name}.md").read_text()


def html_of(page: str) -> str:
    from markdown import markdown

    body = page.split("\n---\n", 1)[1] if page.startswith("---\n") else page
    return markdown(body, extensions=EXTENSIONS, extension_configs={"pymdownx.tabbed": {"alternate_style": True}})


def committed(name: str) -> str:
    return (ROOT / f"docs/models/{name}.md").read_text(encoding="utf-8")


def two_models(card: str = CARD) -> str:
    """Return a card of two networks that share all but their counts."""
    first = card[card.index("- Name: tiny\n") : card.index("-->")]
    second = first.replace("tiny", "tiny_16").replace("322", "634").replace("55376", "110752")
    return card.replace("-->", f"{second}-->")


PAGES = sorted(
    path.stem for path in (ROOT / "docs/models").glob("*.md") if "cp-verdict" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", PAGES)
def test_every_claim_of_a_committed_page_has_an_anchor_of_its_own_and_all_links_within_it_lead_somewhere(name):
    page = Elements(html_of(committed(name)))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = {link[1:] for link in page.values("href") if link.startswith("#")}
    assert links <= set(ids)
    counts = [int(attributes.get("data-n") or 1) for tag, attributes in page.found if _is_row(tag, attributes)]
    assert sum(counts) == sum(int(n) for n in re.findall(r'class="cp-pill[^>]*>(\d+) ', committed(name)))


def _is_row(tag: str, attributes: dict[str, str | None]) -> bool:
    return tag == "tr" and (attributes.get("class") or "").startswith("cp-")


def test_a_claim_is_reached_by_its_address_within_the_details_that_hold_its_evidence(site):
    html = html_of(page_of(site))
    row = re.search(r'<tr class="cp-confirmed">(?:(?!</tr>).)*id="tiny-flops"(?:(?!</tr>).)*</tr>', html, re.DOTALL)
    assert row
    assert re.search(r'<details><summary>FLOPs</summary><div id="tiny-flops">multiply-adds counted', row[0])
    assert 'href="#evidence-tiny"' in row[0]
    assert [unescape(cell) for cell in re.findall(r"<td>([^<]*)</td>", row[0])] == ["55,376", "55,376", "", "exact"]


def test_a_record_says_inputs_and_versions(site):
    html = html_of(page_of(site))
    (record,) = re.findall(r'<dl id="evidence-tiny">.*?</dl>', html, re.DOTALL)
    evidence = json.loads((site / "docs/evidence/tiny.json").read_text())
    for _, value in evidence["inputs"]:
        assert value in unescape(record)
    for name in ("torch", "python", "measured"):
        assert evidence["environment"][name] in record


@pytest.mark.slow
def test_the_command_of_a_record_measures_the_card_again(site):
    html = html_of(page_of(site, CARD.replace("322", "323")))
    (command,) = re.findall(r"<pre><code>(cardproof [^<]*)</code></pre>", html)
    words = shlex.split(unescape(command))
    assert words[0] == "cardproof"
    done = cardproof(*words[1:], "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["summary"]["measured"]) == (1, 1)
    assert [(c["field"], c["found"]) for c in said["claims"] if c["verdict"] == "refuted"] == [("Parameters", 322)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_a_committed_page_is_a_command_line_that_cardproof_takes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    commands = re.findall(r"<pre><code>(cardproof [^<]*)</code></pre>", committed(name))
    assert commands
    for command in set(commands):
        words = shlex.split(unescape(command).replace("IMAGES", str(tmp_path)).replace("WEIGHTS", str(tmp_path)))
        done = cardproof(*words[1:], "--dry-run", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)


def test_items_of_a_list_that_were_judged_alike_are_one_row_with_an_anchor_for_each(site):
    card = CARD.replace(
        "Image Size: '32'", "Image Size: '32'\n    Architecture: [Convolution, ReLU, Batch Normalization]"
    )
    html = html_of(page_of(site, card))
    (row,) = [row for row in re.findall(r"<tr class.*?</tr>", html, re.DOTALL) if "<summary>Architecture" in row]
    assert 'data-n="3"' in row
    assert re.findall(r'id="([^"]*)"', row) == ["tiny-architecture", "tiny-architecture-2", "tiny-architecture-3"]
    assert "Convolution, ReLU, Batch Normalization" in row


def test_an_item_that_was_judged_otherwise_keeps_a_row_of_its_own(site):
    card = CARD.replace("Image Size: '32'", "Image Size: '32'\n    Architecture: [Convolution, Max Pooling, ReLU]")
    html = html_of(page_of(site, card))
    rows = [row for row in re.findall(r"<tr class.*?</tr>", html, re.DOTALL) if "<summary>Architecture" in row]
    assert sorted((row.split('"')[1], "data-n" in row) for row in rows) == [
        ("cp-confirmed", False),
        ("cp-confirmed", False),
        ("cp-refuted", False),
    ]
    assert 'href="#tiny-architecture-2"' in html  # the call-out leads to the claim


def test_what_all_models_share_is_shown_once_and_what_differs_with_each(site):
    html = html_of(page_of(site, two_models()))
    assert html.count("<summary>Image Size</summary>") == 1
    assert html.count("<summary>FLOPs</summary>") == 2
    ids = Elements(html).values("id")
    assert {"tiny-image-size", "tiny_16-image-size", "tiny-flops", "tiny_16-flops"} <= set(ids)
    assert "All 6 claims that we could check ourselves hold." in html


def test_a_refuted_claim_is_never_among_those_that_all_models_share(site):
    html = html_of(page_of(site, two_models().replace("'32'", "'48'").replace("55376", "1").replace("110752", "1")))
    shared = html.split('id="all-models"')[1] if 'id="all-models"' in html else ""
    assert "cp-refuted" in html
    assert "cp-refuted" not in shared


def test_a_status_is_a_word_wherever_it_is_a_colour(site):
    html = html_of(page_of(site, CARD.replace("322", "323").replace("Image Size", "Tint: blue\n    Image Size")))
    for verdict in ("confirmed", "refuted", "unchecked"):
        assert f'<tr class="cp-{verdict}"><td><b>{verdict.capitalize()}</b>' in html
        assert re.search(rf'<a class="cp-pill cp-{verdict}"[^>]*>\d+ {verdict}</a>', html)
    assert 'aria-label="2 confirmed, 1 refuted, 1 unchecked"' in html


def test_a_call_out_says_who_has_the_other_value_and_the_tile_shows_it(site):
    page = page_of(site, CARD.replace("Image Size: '32'", "Image Size: '48'"))
    assert "The card states **48**; the zoo has **32**." in page
    tile = re.search(r'<div class="cp-fact cp-refuted"><span>Image size</span><b>([^ ]*) .*?<em>([^<]*)</em>', page)
    assert tile
    assert tile.groups() == ("32", "refuted · card says 48")


def test_nothing_that_a_card_says_leaves_its_place(site):
    quoted = EVIL.replace("'", "''")
    card = CARD.replace("Image Size: '32'", f"Image Size: '32'\n    Tasks: ['{quoted}']\n    '{quoted}': 1")
    card = card.replace(
        "- Name: Tiny\n",
        f"- Name: Tiny\n  License: '{quoted}'\n  Paper:\n    Title: '{quoted}'\n    Authors: ['{quoted}', B]\n"
        f"    Year: 2021\n    Journal: '{quoted}'\n    DOI: '{quoted}'\n    URL: '{quoted}'\n",
    )
    page = page_of(site, card).split("??? example")[0] + "\n" + page_of(site, card).split("</code>.\n")[-1]
    html = html_of(page.split("??? example")[0])
    elements = Elements(html)
    assert "img" not in [tag for tag, _ in elements.found]
    assert not [value for value in elements.values("href") if value.startswith("javascript")]
    assert not elements.values("onerror")
    shown = re.sub(r"<pre.*?</pre>", "", html, flags=re.DOTALL)
    assert "{{" not in shown
    assert EVIL in unescape(unescape(html))


def test_a_name_of_a_model_stays_a_name(site):
    quoted = EVIL.replace("'", "''")
    card = CARD.replace("- Name: tiny\n", f"- Name: '{quoted}'\n")
    elements = Elements(html_of(page_of(site, card)))
    assert [attributes for tag, attributes in elements.found if tag in ("img", "script")] == [
        {"type": "application/ld+json"}
    ]
    assert all(re.fullmatch(r"[\w.-]+", value) for value in elements.values("id"))


def test_linked_data_is_json_that_no_value_can_end(site):
    quoted = EVIL.replace("'", "''")
    card = CARD.replace("- Name: Tiny\n", f"- Name: Tiny\n  License: '{quoted}'\n  Paper: {{Title: '{quoted}'}}\n")
    page = page_of(site, card)
    (script,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, re.DOTALL)
    data = json.loads(script)
    assert data["license"] == data["citation"][0]["name"] == EVIL
    assert not re.search(r"[<>&`]|\{\{", script)
    assert data["about"][0]["name"] == "tiny"
    assert "322 (confirmed)" in data["about"][0]["description"]


def test_the_description_of_a_page_is_its_first_paragraph(site):
    page = page_of(site, CARD.replace("A network of", "A *small* [network](x.md) of"))
    assert 'description: "A small network of one convolution."\n' in page


def test_chips_name_task_data_and_licence(site):
    card = CARD.replace(
        "    Image Size", "    Tasks: [Image Classification]\n    Training Data: [Dots]\n    Image Size"
    )
    html = html_of(page_of(site, card.replace("- Name: Tiny\n", "- Name: Tiny\n  License: MIT\n")))
    assert re.findall(r"<span>([^<]*)</span>", html.split('class="cp-chips"')[1].split("</p>")[0]) == [
        "Image Classification",
        "Dots",
        "MIT",
    ]


def test_the_recipe_names_its_source_and_what_the_log_says():
    html = html_of(committed("res2next-small"))
    table = html.split('aria-label="Recipe')[1].split("</table>")[0]
    assert re.search(r'<th scope="row">Epochs</th><td>30</td><td>the same</td>', table)
    assert "res2next_small-fashion_mnist-a71970c9.csv" in html


def test_the_confusion_on_the_page_is_that_of_the_evidence():
    evidence = json.loads((ROOT / "docs/evidence/res2next_small.json").read_text())
    (result,) = evidence["evaluations"]
    table = html_of(committed("res2next-small")).split("cp-confusion")[1].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>(\d+)</td>", row) for row in table.split("<tr>")[2:]]
    assert [" ".join(row) for row in rows] == result["confusion"]
    right = [int(n) for n in re.findall(r'class="cp-right"[^>]*>(\d+)<', table)]
    assert sum(right) == result["top1"]
    assert [unescape(name) for name in re.findall(r'<abbr title="([^"]*)"', table)] == result["classes"]


@pytest.mark.parametrize(
    ("stated", "smoothing", "target"),
    [
        ("0.1", "0.1", "91 %"),
        ("0.25", "0.25", "77.5 %"),
        ("0.0", "", "100 %"),
        (None, "", "100 %"),
        ("low", "", "100 %"),
    ],
)
def test_a_calibration_error_comes_with_the_label_smoothing_of_the_training(stated, smoothing, target):
    """Targets give the right one of K classes 1 - a + a / K (Szegedy et al., 2016, section 7)."""
    record = json.loads((ROOT / "docs/evidence/res2next_tiny.json").read_text())["evaluations"][0]
    result = convert({key: value for key, value in record.items() if key in Evaluated.__struct_fields__}, Evaluated)
    values = () if stated is None else (("label smoothing", stated),)
    (view,) = confusion_views("m", [result], Recipe("r", "here", values, ()))
    assert (view.calibration, view.smoothing, view.target) == ("10.78 %", smoothing, target)
    assert confusion_views("m", [result], None)[0].smoothing == ""


def test_an_index_that_outweighs_the_page_is_named_and_not_repeated(site):
    assert "??? example" in page_of(site)
    long = page_of(site, CARD.replace("    Image Size", f"    Note: {'x ' * 3000}\n    Image Size"))
    assert "??? example" not in long
    assert "rendered from <code>templates/models/tiny.md</code>" in long


def test_style_sheet_and_script_come_with_the_package_and_are_written_where_they_differ(site):
    page_of(site)
    style, script = (site / "docs/assets" / name for name in ("cardproof.css", "cardproof.js"))
    assert asset_text("cardproof.css") in style.read_text()
    script.write_text("broken\n" + script.read_text())
    run = render(load_settings(site / "mkdocs.yml"), ONE_JOB)
    assert [(change.path.name, change.status) for change in run.changes] == [("cardproof.js", "edited")]
    assert not script.read_text().startswith("broken")


@pytest.mark.parametrize("name", [*STYLES, *SCRIPTS])
def test_an_asset_is_its_source_without_comments_and_indents(name):
    source = (ASSETS / name).read_text().split("\n")
    kept = [line.lstrip() for line in source if not re.fullmatch(r"\s*/\*(?:(?!\*/).)*\*/\s*", line)]
    assert asset_text(name).split("\n") == kept


def test_a_style_sheet_of_the_users_own_is_not_overwritten(site):
    style = site / "docs/assets/cardproof.css"
    style.parent.mkdir(parents=True)
    style.write_text("mine{}\n")
    run = render(load_settings(site / "mkdocs.yml"), ONE_JOB)
    assert (run.exit, style.read_text()) == (1, "mine{}\n")


def test_assets_and_pages_fetch_nothing_from_elsewhere():
    for path in (ASSETS / "cardproof.css", ASSETS / "cardproof.js", ROOT / "docs/assets/site.css"):
        text = path.read_text()
        assert not re.search(r"@import|url\((?!'data:|fonts/)|fetch\(|https?://(?!www\.w3\.org/2000/svg)", text), path
    for name in PAGES:
        page = Elements(html_of(committed(name)))
        assert not [src for src in page.values("src") if not src.startswith("data:")]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_built_page_stays_small(built_site, name):
    data = (built_site / "models" / name / "index.html").read_bytes()
    assert len(data) < 100 * 1024
    assert len(gzip.compress(data, 9)) < 15 * 1024


@pytest.mark.slow
def test_a_built_page_loads_the_assets_and_says_what_a_shared_link_shows(built_site):
    page = Elements((built_site / "models/res2next/index.html").read_text())
    assert "../../assets/cardproof.css" in page.values("href")
    assert "../../assets/cardproof.js" in page.values("src")
    said = {attributes.get("property"): attributes.get("content") for tag, attributes in page.found if tag == "meta"}
    assert said["og:title"] == "Res2NeXt"
    assert said["og:description"].startswith("A residual network")


@pytest.mark.parametrize("named", ["", "extra_css: [assets/cardproof.css]\nextra_javascript: [assets/cardproof.js]\n"])
def test_a_build_loads_the_assets_once_whether_the_site_names_them_or_not(site, named):
    from mkdocs.config import load_config

    config = site / "mkdocs.yml"
    config.write_text(config.read_text() + named)
    page_of(site)
    loaded = load_config(str(config))
    loaded.plugins.on_config(loaded)
    assert sorted(map(str, loaded.extra_css)) == [f"assets/{name}" for name in STYLES]
    assert sorted(map(str, loaded.extra_javascript)) == [f"assets/{name}" for name in SCRIPTS]


def test_pages_build_without_the_plugin(own_site, tmp_path):
    shutil.copytree(own_site / "docs", tmp_path / "docs")
    config = (ROOT / "mkdocs.yml").read_text()
    plain = re.sub(r"  - cardproof:\n(?: {6}.*\n)+", "", config).replace("  custom_dir: templates/theme\n", "")
    assert "cardproof:" not in plain
    (tmp_path / "mkdocs.yml").write_text(plain)
    done = mkdocs("build", "--strict", "-f", str(tmp_path / "mkdocs.yml"))
    assert done.returncode == 0, done.stderr
    assert 'id="res2next50-flops"' in (tmp_path / "site/models/res2next/index.html").read_text()
