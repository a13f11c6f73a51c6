"""Citations: three styles of one paper, each valid, whatever a card says."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sites import CARD, ONE_JOB, write_site

from cardproof.build import render
from cardproof.core.settings import load_settings
from cardproof.render.views.paper_and_licence import Paper, apa, arxiv_id, bibtex, cff, citations, is_citable

RES2NET = Paper(
    "Res2Net: A New Multi-scale Backbone Architecture",
    "https://arxiv.org/abs/1904.01169",
    ("Gao, Shang-Hua", "Cheng, Ming-Ming", "Torr, Philip"),
    "2021",
    "IEEE Transactions on Pattern Analysis and Machine Intelligence",
    "10.1109/TPAMI.2019.2938758",
)


def test_bibtex_keeps_the_capitals_of_names_and_knows_arxiv():
    text = bibtex(RES2NET)
    assert text.startswith("@article{gao2021res2net,\n")
    assert "title         = {{Res2Net}: A New Multi-scale Backbone Architecture}" in text
    assert "author        = {Gao, Shang-Hua and Cheng, Ming-Ming and Torr, Philip}" in text
    assert "eprint        = {1904.01169}" in text
    assert "url " not in text


def test_apa_has_initials_with_hyphens():
    assert apa(RES2NET) == (
        "Gao, S.-H., Cheng, M.-M., & Torr, P. (2021). Res2Net: A New Multi-scale Backbone Architecture. IEEE "
        "Transactions on Pattern Analysis and Machine Intelligence. https://doi.org/10.1109/TPAMI.2019.2938758"
    )


def test_apa_names_at_most_twenty_authors():
    many = tuple(f"Family{n}, Given" for n in range(25))
    text = apa(Paper("T", authors=many, year="2020"))
    assert "Family18, G., … Family24, G. (2020)" in text
    assert "Family19" not in text


def test_cff_is_yaml_with_what_the_format_requires():
    data = yaml.safe_load(cff(RES2NET))
    assert {"cff-version", "message", "title", "authors"} <= data.keys()
    assert data["authors"][0] == {"family-names": "Gao", "given-names": "Shang-Hua"}
    assert data["preferred-citation"]["year"] == 2021
    assert "&id" not in cff(RES2NET)


def test_an_author_written_given_name_first_is_understood():
    assert yaml.safe_load(cff(Paper("T", authors=("Ada Lovelace",))))["authors"] == [
        {"family-names": "Lovelace", "given-names": "Ada"}
    ]


@pytest.mark.parametrize(
    ("author", "short", "parts"),
    [
        ("Laurens van der Maaten", "van der Maaten, L.", ("Maaten", "Laurens", "van der", None)),
        ("van der Maaten, Laurens", "van der Maaten, L.", ("Maaten", "Laurens", "van der", None)),
        ("King, Jr., Martin Luther", "King, M. L., Jr.", ("King", "Martin Luther", None, "Jr.")),
        ("{Google Research}", "Google Research", ("Google Research", None, None, None)),
        ("Too, Many, Commas, Here", "Too, Many, Commas, Here", ("Too, Many, Commas, Here", None, None, None)),
    ],
)
def test_names_have_the_parts_that_bibtex_finds_in_them(author, short, parts):
    paper = Paper("T", authors=(author,), year="2020")
    (person,) = yaml.safe_load(cff(paper))["authors"]
    assert apa(paper) == f"{short} (2020). T."
    assert tuple(person.get(key) for key in ("family-names", "given-names", "name-particle", "name-suffix")) == parts


@given(st.text("aB{},\\~' \u00e9\u4f55", max_size=30))
def test_any_text_may_be_an_author(author):
    paper = Paper("T", authors=(author,), year="2020")
    text = bibtex(paper)
    assert text.replace("\\{", "").count("{") == text.replace("\\}", "").count("}")
    assert apa(paper).endswith(" (2020). T.")
    if is_citable(paper):
        assert all(isinstance(part, str) for part in yaml.safe_load(cff(paper))["authors"][0].values())


@pytest.mark.parametrize(
    ("paper", "styles"),
    [
        (RES2NET, ["BibTeX", "APA", "CFF"]),
        (Paper("T", authors=("A, B",)), ["BibTeX", "CFF"]),
        (Paper("T", "https://example.org"), ["BibTeX"]),
        (Paper("", "https://example.org"), []),
    ],
)
def test_a_style_that_lacks_something_is_left_out(paper, styles):
    assert [citation.style for citation in citations(paper)] == styles


def test_characters_that_mean_something_to_latex_are_written_as_themselves():
    text = bibtex(Paper("100% of {A} & B_c $x# ~ ^ \\d"))
    for written in (r"100\%", r"\{", r"\}", r"\&", r"B\_c", r"\$x\#", r"\textasciitilde{}", r"\textasciicircum{}"):
        assert written in text
    assert r"\textbackslash{}d" in text


@pytest.mark.parametrize("doi", ["}{", "10.1/{x", "}} @misc{evil,"])
def test_braces_of_an_entry_close_whatever_a_doi_holds(doi):
    text = bibtex(Paper("T", doi=doi))
    assert text.count("{") == text.count("}")
    assert text.count("@misc{") == 1


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("https://arxiv.org/abs/1904.01169", "1904.01169"),
        ("https://arxiv.org/abs/1904.01169v2", "1904.01169"),
        ("https://arxiv.org/pdf/1904.01169v2.pdf", "1904.01169"),
        ("https://arxiv.org/abs/cs/0102030", "cs/0102030"),
        ("https://example.org/abs/1904.01169", ""),
    ],
)
def test_an_address_at_arxiv_names_its_paper(url, number):
    assert arxiv_id(url) == number


PAPER = "- Name: Tiny\n  Paper:\n    Title: A paper\n    Authors: ['Doe, Jane']\n    Year: 2020\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_site(tmp_path, CARD.replace("- Name: Tiny\n", PAPER))


def page_of(site) -> str:
    render(load_settings(site / "mkdocs.yml"), ONE_JOB)
    return (site / "docs/models/tiny.md").read_text()


def test_a_page_shows_the_styles_in_tabs(site):
    page = page_of(site)
    assert [line for line in page.splitlines() if line.startswith("===")] == ['=== "BibTeX"', '=== "APA"', '=== "CFF"']
    assert "    Doe, J. (2020). A paper." in page


def test_a_card_that_brings_its_own_bibtex_gets_no_second_one(site):
    card = site / "templates/models/tiny.md"
    card.write_text(card.read_text().replace("<!--", "```BibTeX\n@misc{own}\n```\n\n<!--"))
    page = page_of(site)
    assert "@misc{own}" in page
    assert "How to cite" not in page
