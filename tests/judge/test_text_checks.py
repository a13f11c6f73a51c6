"""Checks of what a card says beside its numbers: each finds its fault, and is silent about what is right."""

from __future__ import annotations

import time

import pytest

from cardproof.build import audit
from cardproof.core.measurements import Counts, Environment, Evidence, Head
from cardproof.core.settings import Settings
from cardproof.judge.checks import Context, file_size
from cardproof.judge.checks.links import address_fault, closed_since
from cardproof.judge.checks.weights import promised_digest
from cardproof.judge.verdicts import judge_claim
from cardproof.read import read_cards
from cardproof.read.bibtex import address_of, entries_of, plain_value

INDEX = """
<!--
Type: model-index
Collections:
- Name: Nets
  Paper:
    Title: 'Nets: deep and wide'
    URL: https://arxiv.org/abs/1904.01169
Models:
- Name: net_a
  In Collection: Nets
  Metadata:
    Parameters: 1000
  Weights: https://example.org/w/net_a-1a2b3c4d.pth
- Name: net_b
  In Collection: Nets
  Metadata:
    Parameters: 2000
  Weights: https://example.org/w/net_b-1a2b3c4d.pth
-->
"""


@pytest.fixture
def found(write):
    """Return a function that audits a card and returns check, severity and line of each finding."""

    def _found(text: str, name: str = "card.md"):
        result = audit([write(name, text)], Settings())
        return [(f.check, f.severity, f.place.line) for f in result.findings]

    return _found


def test_a_card_without_a_fault_has_no_finding(found):
    citation = (
        "```BibTeX\n@misc{a,\n title={Nets: Deep and Wide},\n eprint={1904.01169},\n archivePrefix={arXiv}\n}\n```\n"
    )
    assert found("# Nets\n\nSee https://example.org/a_(b), `TODO` and $$x$$.\n\n" + citation + INDEX) == []


@pytest.mark.parametrize(
    ("address", "check"),
    [
        ("https://example.org/a", None),
        ("https://example.org", None),
        ("http://localhost:8000/a", None),
        ("https://web.archive.org/web/2020/https://example.org/a", None),
        ("https://example.org/a?next=//b", None),
        ("https://{host}/a", None),
        ("https://bücher.example/a", None),
        ("https:/example.org/a", "link-syntax"),
        ("https:///example.org/a", "link-syntax"),
        ("https://https://example.org", "link-syntax"),
        ("https://example.org:port/a", "link-syntax"),
        ("https://example.org//a", "doubled-slash"),
        ("https://arxiv.org/abs/1904.01169v3", None),
        ("https://arxiv.org/pdf/1904.01169.pdf", None),
        ("https://arxiv.org/abs/cs.CV/0601001", None),
        ("https://arxiv.org/list/cs.CV/recent", None),
        ("https://arxiv.org/abs/1904.169", "link-syntax"),
        ("http://dx.doi.org/10.1109/TPAMI.2019.2938758", None),
        ("https://doi.org/10.1000.10/123", None),
        ("https://doi.org/TPAMI.2019.2938758", "link-syntax"),
    ],
)
def test_addresses_that_are_none(address, check):
    trouble = address_fault(address)
    assert (trouble[0] if trouble else None) == check


def test_a_host_is_closed_with_all_below_it_and_no_other():
    assert closed_since("https://portal.paperswithcode.com/x")
    assert closed_since("http://PapersWithCode.com")
    assert not closed_since("https://notpaperswithcode.com/x")
    assert not closed_since("https://example.org/paperswithcode.com")


def test_a_broken_entry_takes_no_other_with_it():
    text = "@article{a,\n@misc{b,\n title={B {Net}},\n eprint={1610.02357},\n archivePrefix={arXiv}\n}\n"
    broken, good = entries_of(text)
    assert broken.error
    assert (plain_value(good.fields["title"]), address_of(good)) == ("B Net", "https://arxiv.org/abs/1610.02357")


def test_abbreviations_are_known_to_the_entries_after_them():
    (entry,) = entries_of('@string{nips = "Advances"}\n@inproceedings{a,\n booktitle = nips,\n title={A}\n}\n')
    assert entry.fields["booktitle"] == "Advances"


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("year={202}", 3),
        ("month={2020}", 3),
        ("month={Smarch}", 3),
        ("doi={11.1/x}", 3),
        ("eprint={19.1}, archivePrefix={arXiv}", 3),
    ],
)
def test_fields_that_bibtex_or_a_registry_would_refuse(found, field, line):
    assert ("citation-syntax", "warning", line) in found(
        f"@misc{{a,\n title={{Nets: deep and wide}},\n {field}\n}}\n{INDEX}"
    )


@pytest.mark.parametrize(
    "field", ["year={2018-2024}", "year={2018/2019}", "month={18--24 Jul}", "month=jul", "month={7}"]
)
def test_fields_that_publishers_write_so(found, field):
    assert found(f"@misc{{a,\n title={{Nets: deep and wide}},\n {field}\n}}\n{INDEX}") == []


def test_names_that_are_separated_by_commas(write):
    card = write("card.md", "@misc{a,\n title={Nets},\n author={Ann Lee, Bo Li, Cy Ng, Di Wu, Ed Xu}\n}\n")
    (finding,) = audit([card], Settings()).findings
    assert finding.check == "citation-syntax"
    assert "separated by commas instead of 'and': 'Ann Lee" in finding.message


def test_a_dash_that_is_not_ascii_has_a_fix(write):
    card = write("card.md", f"@misc{{a,\n title={{Nets: deep and wide}},\n pages={{652–662}}\n}}\n{INDEX}")
    (finding,) = audit([card], Settings()).findings
    assert (finding.check, finding.fix.text, finding.fix.safe) == ("page-range", "--", False)


def test_a_citation_with_another_arxiv_number_than_the_paper(found):
    text = (
        "@misc{a,\n title={Nets: deep and wide},\n eprint={1904.01168},\n url={https://arxiv.org/abs/1904.01168}\n}\n"
    )
    assert [check for check, _, _ in found(text + INDEX)] == ["citation-paper"]


CONDCONV = "Conditionally Parameterized Convolutions for Efficient Inference"
V2 = "Inverted Residuals and Linear Bottlenecks"


@pytest.mark.parametrize(
    ("cited", "number", "title", "url"),
    [
        ("Soft Conditional Computation", "1904.04971", f"CondConv: {CONDCONV}", "https://example.org/condconv"),
        (f"{V2}: Mobile Networks", "1", f"MobileNetV2: {V2}", "https://example.org/v2"),
        ("A first title of it", "2101.00001", "Its last title, unlike the first", "https://arxiv.org/abs/2101.00001v3"),
    ],
)
def test_two_titles_of_one_paper_are_a_note(found, cited, number, title, url):
    text = f"@misc{{a,\n title={{{cited}}},\n volume={{abs/{number}}}\n}}\n"
    index = INDEX.replace("'Nets: deep and wide'", f"'{title}'").replace("https://arxiv.org/abs/1904.01169", url)
    assert found(text + index) == [("citation-paper", "note", 2)]


LINKED = """[{title}]({url})

```bibtex
@misc{{a,
 title={{Deep {{R}}esidual Learning for Image Recognition}},
 eprint={{1512.03385}}, archivePrefix={{arXiv}}
}}
```
"""


@pytest.mark.parametrize(
    ("title", "url", "count"),
    [
        ("**Deep Residual Learning** for Image Recognition", "https://arxiv.org/abs/1608.06993", 1),
        ("Deep Residual Learning for Image Recognition", "https://arxiv.org/pdf/1512.03385v1.pdf", 0),
        ("Deep Residual Learning for Image Recognition", "https://doi.org/10.1109/CVPR.2016.90", 0),
        ("Densely Connected Convolutional Networks", "https://arxiv.org/abs/1608.06993", 0),
    ],
)
def test_a_link_under_the_title_of_a_citation_leads_to_its_paper(found, title, url, count):
    assert found(LINKED.format(title=title, url=url)) == count * [("citation-paper", "warning", 1)]


@pytest.mark.parametrize(
    ("pages", "right"),
    [
        ("{652662}", "652--662"),
        ('"10241035"', "1024--1035"),
        ("{1234}", None),  # may be one page
        ("{652--662}", None),
        ("{662652}", None),
        ("{103502}", None),  # the number of an article
        ("{652052}", None),
        ("{105131}", None),  # the number of an article of Elsevier
        ("{652661}, doi={10.1103/PhysRevD.98.652661}", None),
    ],
)
def test_a_range_of_pages_whose_dash_was_lost(write, pages, right):
    card = write("card.md", f"@misc{{a,\n title={{Nets: deep and wide}},\n pages={pages}\n}}\n{INDEX}")
    findings = audit([card], Settings()).findings
    assert [(f.check, f.severity, f.place.line, f.fix.text) for f in findings] == (
        [("page-range", "warning", 3, right)] if right else []
    )
    for finding in findings:
        assert card.read_text().splitlines()[2][finding.fix.column - 1 : finding.fix.end_column - 1] == pages[1:-1]


def test_a_link_to_another_models_weights(found):
    assert ("weights-name", "warning", 19) in found(INDEX.replace("w/net_b", "w/net_a-v2"))
    assert found(INDEX.replace("w/net_b", "w/net_a")) == [("weights-name", "error", 19)]


def test_a_model_is_not_blamed_for_another_that_links_its_weights(found):
    """The misnamed link stands first; the model whose weights it names is right."""
    assert found(INDEX.replace("w/net_a", "w/net_b")) == [("weights-name", "error", 14)]


def test_two_networks_with_one_file_whose_name_tells_nothing(found):
    text = INDEX.replace("w/net_a", "w/model").replace("w/net_b", "w/model")
    assert found(text) == [("shared-weights", "error", 19)]


def test_text_that_stands_for_text_and_formulas_left_open(found):
    text = "# Nets\n\n[More Information Needed]\n\n$$ x\n\n\\begin{align} y\n\n```\nTODO: $$\n```\n"
    assert found(text + INDEX) == [
        ("placeholder", "warning", 3),
        ("formula", "warning", 5),
        ("formula", "warning", 7),
    ]


def test_a_value_that_stands_for_one(found):
    assert found(INDEX.replace("Parameters: 2000", "Parameters: TBD")) == [("placeholder", "warning", 18)]


def test_a_fraction_beside_a_percentage(found):
    metrics = "      Top 1 Accuracy: 61.2%\n      Top 5 Accuracy: 0.934\n"
    results = f"  Results:\n  - Task: T\n    Dataset: D\n    Metrics:\n{metrics}"
    assert ("mixed-units", "warning", 25) in found(INDEX.replace("-->", results + "-->"))


COLUMN = "# Nets\n\n| Model | Params (M) | Top-1 |\n|---|---|---|\n"


def column(*values: str, head: str = "Top-1") -> str:
    rows = "".join(f"| net{number} | 1.5 | {value} |\n" for number, value in enumerate(values))
    return COLUMN.replace("Top-1", head) + rows


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (column("69.9", "0.699", "71.2"), 6),
        (column("69.9%", "71.2%", "0.699"), 7),
        (column("93.1", "92.4", "0.934", head="Top-5"), 7),
    ],
)
def test_the_only_fraction_of_a_column_of_percentages_is_a_warning(found, text, line):
    assert ("mixed-units", "warning", line) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        column("0.699", "71.2"),
        column("0.699", "0.712", "71.2"),
        column("0.699", "0.712", "0.731"),
        column("0.1", "69.9", "71.2"),
        column("0.9", "1.1", "1.2"),
        column("0.9", "22.1", "23.2", head="Top-1 error"),
        column("0.699", "69.9", "71.2", head="mAP"),
        column("1", "69.9", "71.2"),
    ],
)
def test_what_may_be_a_percentage_or_is_no_accuracy_is_not_called_a_fraction(found, text):
    assert "mixed-units" not in {check for check, _, _ in found(text)}


@pytest.mark.parametrize(
    ("top1", "top5", "line"), [("0.699", "89.1", 24), ("69.9", "0.891", 25), ("61.2%", "0.934", 25)]
)
def test_a_fraction_beside_the_other_accuracy_of_its_result_is_one_warning(found, top1, top5, line):
    metrics = f"      Top 1 Accuracy: {top1}\n      Top 5 Accuracy: {top5}\n"
    results = f"  Results:\n  - Task: T\n    Dataset: D\n    Metrics:\n{metrics}"
    mixed = [one for one in found(INDEX.replace("-->", results + "-->")) if one[0] == "mixed-units"]
    assert mixed == [("mixed-units", "warning", line)]


def test_a_year_that_the_paper_has_not(found):
    text = "@misc{a,\n title={Nets: deep and wide},\n year={2020}\n}\n" + INDEX
    assert found(text.replace("    URL:", "    Year: 2021\n    URL:")) == [("citation-paper", "warning", 3)]


def test_a_date_in_a_name_of_weights_is_no_digest():
    assert promised_digest("net-20220829.pth") is None
    assert promised_digest("net_20220829-c2cf66ba.pth") == "c2cf66ba"
    assert promised_digest("net.pth") is None


def test_a_collection_in_another_case_has_a_fix(write):
    card = write("card.md", INDEX.replace("In Collection: Nets", "In Collection: nets", 1))
    (finding,) = audit([card], Settings()).findings
    assert (finding.check, finding.fix.text) == ("collection", "Nets")


def network(output: tuple[int, ...], classes: int) -> Counts:
    return Counts((3, 224, 224), output, 10, 0, 10, 40, 10, 1, Head(8, classes, True), {}, "net:Net")


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        (network((1, 1000), 1000), "confirmed"),
        (network((1, 768), 768), "unchecked"),  # features
        (network((1, 1000, 7, 7), 1000), "unchecked"),
    ],
)
def test_a_classifier_is_confirmed_by_the_classes_of_its_data_set(write, counts, verdict):
    index = INDEX.replace("Parameters: 1000", "Tasks: Image Classification\n    Training Data: ImageNet", 1)
    reading = read_cards([write("card.md", index)])
    model, claims = reading.cards[0].models[0], reading.cards[0].claims_of[0]
    where = Environment("2026-11-25T05:00:00Z", 1.0, "cpu", "3.11", "2.14", "z 1", "x86_64")
    evidence = Evidence("net_a", "z", "net_a", "key", counts, (), None, None, where)
    context = Context(model, claims, Settings(), evidence)
    judgements = {claim.field: judge_claim(claim, context) for claim in claims}
    assert judgements["Tasks"].verdict == verdict


def test_weights_whose_authors_forbid_commercial_use_under_a_permissive_licence(found):
    linked = INDEX.replace("example.org/w/net_b", "dl.fbaipublicfiles.com/semiweaksupervision/net_b")
    assert found(linked) == []
    licensed = linked.replace("- Name: net_b\n", "- Name: net_b\n  License: Apache-2.0\n")
    assert found(licensed) == [("licence", "warning", 20)]
    assert found("---\nlicense: cc-by-nc-4.0\n---\n" + linked) == []
    assert found("---\nlicense: mit\n---\n" + linked) == [("licence", "warning", 22)]


HOSTILE = {
    "blank lines in a comment": "<!--\n" + "\n" * 10**6 + "-->",
    "entries that are never closed": "@misc{a,\n" * 110_000,
    "braces": "@misc{a, title={" + "{" * 500_000,
    "addresses": "http://" * 140_000,
    "slashes": "https://a/" + "/" * 10**6,
    "dots": "https://" + "a." * 500_000,
    "brackets": "https://a/" + "(" * 10**6,
    "backticks": "`a" * 500_000,
    "dollars": "$$" * 500_000,
    "licences": "only for academic " * 60_000,
    "numbers": "```python\n" + "(" * 500_000 + "1," * 250_000,
    "includes": "{% include '" * 80_000,
    "fences": "---\n" * 250_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_made_to_be_slow_is_read_in_seconds(write, name):
    card = write("README.md", "---\nlicense: mit\n---\n" + HOSTILE[name] + INDEX)
    started = time.process_time()
    audit([card], Settings())
    assert time.process_time() - started < 20


def test_addresses_in_code_may_be_made_up(found):
    text = "# Net\n\nAsk `http://host:port/a`, or http:// alone.\n\n```\ncurl https://https://a//b\n```\n"
    assert found(text) == []
    assert found("`a` http://host:port/a `b`\n") == [("link-syntax", "warning", 1)]


@pytest.mark.parametrize(
    ("known_as", "verdict"),
    [("net_a", "refuted"), ("net_a.tag", "refuted"), ("a.tag", "refuted"), ("other_net", "unchecked")],
)
def test_a_rename_that_leads_to_another_network_refutes_and_confirms_nothing(write, known_as, verdict):
    index = INDEX.replace("Parameters: 1000", "Parameters: 1000\n    Layers: 1\n    File Size: 9999999", 1)
    reading = read_cards([write("card.md", index)])
    model, claims = reading.cards[0].models[0], reading.cards[0].claims_of[0]
    where = Environment("2026-11-25T05:00:00Z", 1.0, "cpu", "3.11", "2.14", "z 1", "x86_64")
    evidence = Evidence("net_a", "z", known_as, "key", network((1, 10), 10), (), None, None, where)
    context = Context(model, claims, Settings(), evidence)
    verdicts = {claim.field: judge_claim(claim, context).verdict for claim in claims}
    assert verdicts["Parameters"] == verdict
    assert verdicts["Layers"] == ("unchecked" if verdict == "unchecked" else "confirmed")
    sizes = list(file_size.check_model(context))
    assert bool(sizes) == (verdict == "refuted")
