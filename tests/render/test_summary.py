"""The top of a model page: what the sentence, the tiles, the buttons and the call-outs say."""

from __future__ import annotations

import re

import pytest
from render.test_model_page import Elements, html_of, page_of, two_models
from sites import CARD

from cardproof.render.views.claims import public_address
from cardproof.render.views.evidence import dataset_name
from cardproof.render.views.summary import licence_address, page_verdict, verdict_sentence


@pytest.mark.parametrize(
    ("verdicts", "wrong", "sentence"),
    [
        ({}, {}, "This page makes no claims."),
        ({"confirmed": 1}, {}, "The 1 claim that we could check ourselves holds."),
        ({"confirmed": 2}, {}, "All 2 claims that we could check ourselves hold."),
        ({"unchecked": 3}, {}, "We could not check any claim ourselves."),
        ({"cited": 1}, {}, "We could not check any claim ourselves; 1 agrees with a published source."),
        (
            {"confirmed": 15, "cited": 9, "unchecked": 4},
            {},
            "All 15 claims that we could check ourselves hold; 9 agree with published sources; 4 could not be checked.",
        ),
        (
            {"confirmed": 2, "disputed": 1, "unchecked": 1},
            {},
            "All 2 claims that we could check ourselves hold; 1 is disputed; 1 could not be checked.",
        ),
        (
            {"generated": 202},
            {},
            "202 values were generated from measurements on 2026-11-30; "
            "nothing was checked against an independent source.",
        ),
        (
            {"generated": 1, "confirmed": 2, "cited": 1},
            {},
            "1 value was generated from measurements on 2026-11-30; all 2 claims that we could check ourselves hold; "
            "1 agrees with a published source.",
        ),
        (
            {"generated": 3, "refuted": 1},
            {"FLOPs": 1},
            "1 of 4 claims is wrong: FLOPs; 3 values were generated from measurements on 2026-11-30.",
        ),
        ({"refuted": 1}, {"FLOPs": 1}, "1 of 1 claim is wrong: FLOPs."),
        (
            {"refuted": 1, "confirmed": 1},
            {"FLOPs": 1},
            "1 of 2 claims is wrong: FLOPs; 1 that we could check ourselves holds.",
        ),
        ({"refuted": 2, "disputed": 2}, {"A": 1, "B": 1}, "2 of 4 claims are wrong: A, B; 2 are disputed."),
        ({"refuted": 4}, {"A": 1, "B": 1, "C": 1, "D": 1}, "4 of 4 claims are wrong: A, B and 2 more."),
        ({"refuted": 6}, {"FLOPs of 6 models": 6}, "6 of 6 claims are wrong: FLOPs of 6 models."),
    ],
)
def test_the_sentence_says_what_was_done_and_not_more(verdicts, wrong, sentence):
    assert verdict_sentence(verdicts.items(), wrong, "2026-11-30") == sentence


@pytest.mark.parametrize(
    ("unchecked", "not_checkable", "words"),
    [
        (5, 3, "All 2 claims that we could check ourselves hold; 2 could not be checked; 3 are not checkable."),
        (1, 1, "All 2 claims that we could check ourselves hold; 1 is not checkable."),
    ],
)
def test_claims_that_no_check_judges_are_counted_apart(unchecked, not_checkable, words):
    verdicts = {"confirmed": 2, "unchecked": unchecked}
    assert verdict_sentence(verdicts.items(), {}, not_checkable=not_checkable) == words


@pytest.mark.parametrize(
    ("verdicts", "colour"),
    [
        ({"generated": 9}, "generated"),
        ({"confirmed": 1, "generated": 9}, "generated"),
        ({"confirmed": 9, "generated": 1}, "confirmed"),
        ({"refuted": 1, "generated": 9}, "refuted"),
        ({"generated": 9, "cited": 2, "unchecked": 1}, "generated"),
        ({"cited": 2}, "cited"),
        ({}, "unchecked"),
    ],
)
def test_a_page_of_generated_values_is_not_green(verdicts, colour):
    assert page_verdict(verdicts.items()) == colour


def test_the_sentence_names_a_field_once_for_all_models(site):
    one = html_of(page_of(site, two_models().replace("634", "635")))
    assert "1 of 6 claims is wrong: Parameters of tiny_16; 5 that we could check ourselves hold." in one
    both = html_of(page_of(site, two_models().replace("634", "635").replace("322", "323")))
    assert "2 of 6 claims are wrong: Parameters of 2 models; 4 that" in both


def test_tiles_of_several_models_show_ranges_with_all_verdicts(site):
    html = html_of(page_of(site, two_models().replace("634", "635")))
    tiles = re.findall(r'class="cp-fact cp-(\w+)"><span>([^<]*)</span><b>([^ <]*).*?<em>([^<]*)</em>', html)
    assert ("refuted", "Parameters", "322–634", "1 confirmed, 1 refuted") in tiles
    assert ("confirmed", "Image size", "32", "2 confirmed") in tiles


def test_numbers_of_variants_are_marked_with_a_word_and_a_legend_says_what_marks_mean(site):
    html = html_of(page_of(site, two_models().replace("634", "635")))
    table = html.split('aria-label="Variants"')[1].split("</table>")[0]
    assert re.findall(r'>([^<>]*) <i class="cp-mark cp-(\w+)">(\w+)</i>', table)[:2] == [
        ("322", "confirmed", "confirmed"),
        ("55.38 k", "confirmed", "confirmed"),
    ]
    assert '634 <i class="cp-mark cp-refuted">refuted</i>' in table
    legend = html.split('class="cp-legend"')[1].split("</p>")[0]
    assert {"confirmed", "refuted"} == set(re.findall(r"<(?:b|dfn)>(\w+)</", legend))


def test_a_phone_shows_each_number_of_a_variant_with_its_label(site):
    html = html_of(page_of(site, two_models()))
    rows = html.split('aria-label="Variants"')[1].split("</tbody>")[0].partition("<tbody>")[2].split("</tr>")[:2]
    for row in rows:
        assert re.findall(r'<td data-label="([^"]*)">', row) == ["Parameters", "Multiply-adds", "Claims", "Files"]


def test_words_of_claims_are_at_the_left_and_numbers_at_the_right(site):
    card = CARD.replace("    FLOPs", "    Architecture: [Convolution, Batch Normalization]\n    FLOPs")
    html = html_of(page_of(site, card))
    texts = re.findall(r'<td[^>]*class="cp-text"[^>]*>([^<]+)<', html)
    assert texts == ["Convolution, Batch Normalization"]
    assert "<td>322</td>" in html


def test_a_count_at_a_refuted_image_size_is_marked(site):
    html = html_of(page_of(site, CARD.replace("'32'", "'64'").replace("55376", "221264")))
    (note,) = re.findall(r"<span>Multiply-adds at 64</span>.*?<em>([^<]*)</em>", html)
    assert note == "confirmed · counted at the card&#x27;s image size, which is refuted"
    (other,) = re.findall(r"<span>Multiply-adds at 32</span>.*?<em>([^<]*)</em>", html_of(page_of(site)))
    assert other == "confirmed · counted"


def test_the_column_of_measured_flops_says_multiply_adds(site):
    html = html_of(page_of(site, two_models()))
    heads = re.findall(r"<th>([^<]*)</th>", html.split('aria-label="Variants"')[1].split("</thead>")[0])
    assert heads == ["Model", "Parameters", "Multiply-adds", "Claims", "Files"]
    assert html.count("<summary>FLOPs</summary>") == 2  # a claim keeps the name that its card gives it


def test_key_facts_variants_and_claims_stand_in_this_order(site):
    html = html_of(page_of(site, two_models().replace("{% include", "## Use it\n\n{% include")))
    places = [
        html.index(text)
        for text in ("cp-verdict", "cp-facts", "Variants</h2>", "Use it</h2>", "Models and claims</h2>")
    ]
    assert places == sorted(places)


def test_the_counts_of_verdicts_lead_to_the_first_claim_of_each(site):
    page = Elements(html_of(page_of(site, CARD.replace("322", "323"))))
    links = {a["class"]: a["href"] for tag, a in page.found if tag == "a" and "cp-pill" in (a.get("class") or "")}
    assert links["cp-pill cp-refuted"] == "#tiny-parameters"
    assert {link[1:] for link in links.values()} <= set(page.values("id"))


def test_buttons_lead_to_weights_licence_and_paper_as_far_as_the_card_names_them(site):
    card = CARD.replace("- Name: Tiny\n", "- Name: Tiny\n  License: MIT\n  Paper: https://example.org/paper\n")
    card = card.replace("  In Collection", "  Weights: https://example.org/tiny.pth\n  In Collection")
    html = html_of(page_of(site, card.replace("<!--\n", "## Licence\n\nMIT.\n\n<!--\n", 1)))
    buttons = re.findall(r'<a class="cp-button" href="([^"]*)">([^<]*)</a>', html)
    assert buttons == [
        ("https://example.org/tiny.pth", "Weights"),
        ("#licence", "Licence: MIT"),
        ("https://example.org/paper", "Paper"),
        ("../evidence/tiny.json", "Evidence file"),
    ]
    assert 'id="licence"' in html
    assert "<span>MIT</span>" not in html


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "tiny.pth",
        "ftp://example.org/x",
        "https://me:hunter22@example.org/tiny.pth",
        "https://a b",
    ],
)
def test_an_address_that_is_not_a_public_one_on_the_web_is_no_button(address):
    assert public_address(address) == ""
    assert public_address("https://example.org/tiny.pth") == "https://example.org/tiny.pth"


@pytest.mark.parametrize(
    ("licence", "body", "address"),
    [
        ("https://example.org/l", "", "https://example.org/l"),
        ("MIT", "Text\n\n## License of the weights", "#license-of-the-weights"),
        ("MIT", "## Licence {: #terms }", "#terms"),
        ("MIT", "```\n## License\n```", ""),
        ("MIT", "## Use it", ""),
        ("", "## Licence", ""),
    ],
)
def test_a_licence_leads_to_its_address_or_to_the_section_about_it(licence, body, address):
    assert licence_address(licence, body) == address


def test_a_cited_claim_names_its_source_and_shows_no_measured_value(site):
    (site / "cited.yml").write_text(
        "Sources:\n- {Title: A paper, URL: 'https://example.org', Retrieved: '2026-01-01', Dataset: ImageNet,\n"
        "   Metrics: [Top 1 Accuracy], Values: {tiny: ['70.1']}}\n"
    )
    config = site / "mkdocs.yml"
    config.write_text(config.read_text().replace("    zoo:", "    cited: cited.yml\n    zoo:"))
    results = (
        "  Results:\n  - Task: Image Classification\n    Dataset: ImageNet\n    Metrics: {Top 1 Accuracy: 70.1%}\n"
    )
    html = html_of(page_of(site, CARD.replace("-->", f"{results}-->")))
    heads = re.findall(r"<th>([^<]*)</th>", html.split('class="cp-claims"')[1].split("</thead>")[0])
    assert heads == ["Status", "Claim", "Stated", "Measured", "Source", "Tolerance"]
    row = next(row for row in re.findall(r"<tr class.*?</tr>", html, re.DOTALL) if "<summary>Top 1" in row)
    assert row.startswith('<tr class="cp-cited">')
    cells = re.findall(r"<td>((?:(?!</td>).)*)</td>", row)
    assert cells[2:5] == ["70.1%", "", "70.1%<small>A paper</small>"]


def test_disputed_claims_are_shown_at_the_top_with_each_source(site):
    sources = "".join(
        f"- {{Title: {title}, URL: 'https://example.org', Retrieved: '2026-01-01', Dataset: ImageNet,"
        f" Metrics: [Top 1 Accuracy], Values: {{tiny: ['{value}']}}}}\n"
        for title, value in (("A paper", "70.1"), ("A table", "71.4"))
    )
    (site / "cited.yml").write_text(f"Sources:\n{sources}")
    config = site / "mkdocs.yml"
    config.write_text(config.read_text().replace("    zoo:", "    cited: cited.yml\n    zoo:"))
    results = (
        "  Results:\n  - Task: Image Classification\n    Dataset: ImageNet\n    Metrics: {Top 1 Accuracy: 70.1%}\n"
    )
    html = html_of(page_of(site, CARD.replace("-->", f"{results}-->")))
    box = html.split('class="admonition warning"')[1].split("</div>")[0]
    assert "is disputed" in box
    assert "A paper has 70.1; A table has 71.4" in box
    assert 'href="#tiny-top-1-accuracy"' in box


def test_a_data_set_has_the_name_that_readers_know():
    assert [dataset_name(name) for name in ("FashionMNIST", "ImageNet")] == ["Fashion-MNIST", "ImageNet"]
