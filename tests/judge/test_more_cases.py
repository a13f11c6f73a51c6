"""The shared cases about weights, results, links, citations, licences, headers and exports, each by its EXPECT.txt."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from sites import ONE_JOB, copy_case, settings_of

from cardproof.build import audit
from cardproof.commands.edit import fix_files
from cardproof.core.measurements import Counts, Environment, Evaluated, Evidence
from cardproof.core.settings import Settings, parse_tolerance
from cardproof.judge.verdicts import judge
from cardproof.measure.gather import GatheredEvidence
from cardproof.plan.recall import plan
from cardproof.read import read_cards
from cardproof.report.export.formats import mlbom
from cardproof.report.terminal import json_of

COUNTS = Counts((3, 32, 32), (1, 10), 322, 17, 55376, 1356, 2048, 2, None, {}, "toynet:ToyNet")


@pytest.fixture
def case(shared, tmp_path, monkeypatch):
    """Return a function that copies a case, makes its folder the working directory and audits it."""

    def _case(name: str, *files: str):
        folder = copy_case(shared, name, tmp_path)
        monkeypatch.chdir(folder)
        paths = [folder / file for file in files or ("card.md",)]
        return audit(paths, settings_of(folder), ONE_JOB)

    return _case


def of(result, check: str) -> list:
    return [finding for finding in result.findings if finding.check == check]


def places(findings) -> list[tuple[str, int]]:
    return [(f.place.file, f.place.line) for f in findings]


def test_10_two_models_with_the_same_bytes_are_one_finding_that_names_both_files_and_the_digest_once(case):
    (finding,) = of(case("10"), "same-weights")
    digest = hashlib.sha256(b"same bytes").hexdigest()
    assert finding.severity == "error"
    assert finding.message.count(digest) == 1
    assert "files/toynet_8.bin" in finding.message
    assert "files/toynet_16.bin" in finding.message


def test_11_a_file_that_is_not_what_its_name_promises(case):
    result = case("11")
    (finding,) = of(result, "weights-digest")
    digest = hashlib.sha256(b"hello weights").hexdigest()
    assert finding.severity == "error"
    assert "00000000" in finding.message
    assert digest in finding.message
    assert "13 bytes" in finding.message
    assert f"toynet_8-{digest[:8]}.bin" in finding.hint
    assert finding.fix is None
    assert [path.name for path in Path("files").iterdir()] == ["toynet_8-00000000.bin"]


def test_13_a_file_of_half_precision_has_the_size_that_the_card_says(case):
    result = case("13")
    sizes = [c for c in json.loads(json_of(result))["claims"] if c["field"] == "File Size"]
    assert [(claim["verdict"], claim["found"]) for claim in sizes] == [("confirmed", 678)]
    assert not result.findings


def test_14_a_closed_site_is_known_without_a_request_and_no_address_is_invented(case):
    result = case("14")
    (finding,) = of(result, "closed-site")
    assert (finding.severity, finding.place.line, finding.hint) == ("warning", 13, None)
    assert "paperswithcode.com" in finding.message


def test_14_an_address_is_suggested_where_the_cards_own_citation_of_the_paper_has_one(shared, tmp_path, monkeypatch):
    folder = copy_case(shared, "14", tmp_path)
    monkeypatch.chdir(folder)
    card = folder / "card.md"
    bibtex = (
        "@misc{a,\n title={{T}oy nets: small convnets for tests},\n eprint={1904.01169},\n archivePrefix={arXiv}\n}\n"
    )
    card.write_text(card.read_text().replace("<!--", f"```BibTeX\n{bibtex}```\n\n<!--", 1))
    (finding,) = of(audit([card], settings_of(folder)), "closed-site")
    assert "https://arxiv.org/abs/1904.01169" in finding.hint
    assert fix_files([finding]) == {}
    fix_files([finding], unsafe=True)
    assert "    URL: https://arxiv.org/abs/1904.01169\n" in card.read_text()


def test_16_a_link_to_a_file_that_does_not_define_the_network(case):
    (finding,) = of(case("16"), "code-file")
    assert (finding.severity, finding.place.line) == ("warning", 32)
    assert "othernet.py" in finding.message
    assert "toynet.py" in finding.message


def test_16_a_line_outside_of_the_class_is_reported_where_the_repository_is_local(shared, tmp_path, monkeypatch):
    folder = copy_case(shared, "16", tmp_path)
    monkeypatch.chdir(folder)
    card = folder / "card.md"
    for line, found in (("L10", 0), ("L2", 1)):
        link = f"https://example.org/blob/main/nets/toynet.py#{line}"
        card.write_text(
            (shared / "cases/cards/16-code-url-names-other-file/card.md")
            .read_text()
            .replace("https://example.org/blob/main/nets/othernet.py#L10", link)
        )
        result = audit([card], settings_of(folder), ONE_JOB)
        assert not of(result, "code-file")
        assert len(of(result, "code-line")) == found


def test_17_a_top_1_above_the_top_5_is_impossible(case):
    (finding,) = of(case("17"), "impossible-result")
    assert (finding.severity, finding.place.line) == ("error", 30)
    assert "95.20%" in finding.message
    assert "93.40%, line 31" in finding.message


@pytest.mark.parametrize("value", ["-1%", "100.01%", "250"])
def test_17_values_out_of_range_fail_the_same_rule(shared, tmp_path, monkeypatch, value):
    folder = copy_case(shared, "17", tmp_path)
    monkeypatch.chdir(folder)
    card = folder / "card.md"
    card.write_text(card.read_text().replace("93.40%", "99%").replace("95.20%", value))
    assert ("card.md", 30) in places(of(audit([card], settings_of(folder)), "impossible-result"))


def test_19_two_cards_of_one_model_that_disagree_are_one_finding_with_both_places(case, shared):
    folder = shared / "cases" / "cards" / "19-two-cards-disagree"
    first = case("19", "a.md", "b.md")
    (finding,) = of(first, "duplicate-model")
    assert finding.severity == "error"
    assert (finding.place.file, finding.place.line) == ("b.md", 13)
    assert "a.md:15" in finding.message
    assert "Top 1 Accuracy on ToySet: 61.20% there, 64.10% here" in finding.message
    assert folder.is_dir()
    assert of(audit([Path("b.md"), Path("a.md")], Settings()), "duplicate-model") == [finding]


def _judged_20(folder: Path, settings: Settings):
    facts = json.loads((folder / "evidence.json").read_text())
    reading = read_cards([folder / "card.md"])
    # no images of a toy data set can be read here: it is judged as one that has an evaluation on record
    card = reading.cards[0]
    claims = tuple(replace(c, dataset="Digits" if c.metric else c.dataset) for c in card.claims_of[0])
    reading.cards[0] = replace(card, claims_of=(claims,))
    images = facts["n"]
    correct = {top: round(facts[top] * images / 100) for top in ("top1", "top5")}
    where = Environment("2026-11-25T05:00:00Z", 1.0, "cpu", "3.11", "2.14", "toy 1", "x86_64")
    result = Evaluated(
        "Digits", "test", images, correct["top1"], correct["top5"], (0.6075, 0.6161), (0.9318, 0.9361), 0.1, 0.01, 0,
        (), (), "toynet_8-1a2b3c4d.pth", "sha256:1a2b3c4d", "sha256:1", (), where,
    )  # fmt: skip
    needs = plan(reading)
    (need,) = needs.values()
    evidence = Evidence("toynet_8", "toy", "toynet_8", "key", COUNTS, (), None, None, where, evaluations=(result,))
    verdicts = judge(reading, needs, GatheredEvidence({need: evidence}), settings, ())
    return {j.claim.field: j for j in verdicts.judgements["card.md"]}, verdicts.findings["card.md"]


def test_two_entries_of_one_model_disagree_about_counts_too(write):
    card = "Models:\n- Name: a\n  Metadata: {Parameters: 25.56M, FLOPs: 4.1G}\n"
    files = [write("a.yml", card), write("b.yml", card.replace("25.56M", "25557032").replace("4.1", "4.2"))]
    (finding,) = of(audit(files, Settings()), "duplicate-model")
    assert finding.message.endswith(", and the two disagree: FLOPs: 4.1G there, 4.2G here")


def test_an_entry_that_aliases_list_again_is_told_from_two_entries_and_reported_once(write):
    path = write("a.yml", "Models:\n- &a\n  Name: a\n  Metadata: {Parameters: 25.56M}\n- *a\n- *a\n")
    (finding,) = of(audit([path], Settings()), "duplicate-model")
    assert (finding.message, finding.hint) == (
        "an alias lists model a again, which is defined here", "remove the alias",
    )  # fmt: skip


def test_20_an_accuracy_that_is_off_in_the_last_digit(shared, tmp_path, monkeypatch):
    folder = copy_case(shared, "20", tmp_path)
    monkeypatch.chdir(folder)
    judgements, findings = _judged_20(folder, Settings())
    top1 = judgements["Top 1 Accuracy"]
    assert (top1.verdict, top1.found, top1.claim.place.line) == ("refuted", 61.18, 30)
    assert top1.difference == "−10 images (−0.02 points)"
    assert "60.75 to 61.61%" in top1.explanation  # the sampling error
    assert judgements["Top 5 Accuracy"].verdict == "confirmed"
    assert [(f.place.line, f.fix.text) for f in findings if f.severity == "error"] == [(30, "61.18%")]
    site_findings = Settings(tolerances={"top 1 accuracy": parse_tolerance("0.05")})
    top1 = _judged_20(folder, site_findings)[0]["Top 1 Accuracy"]
    assert top1.verdict == "confirmed"
    assert top1.difference == "−10 images (−0.02 points)"


def test_23_a_snippet_with_other_means_than_the_configuration_is_reported_at_the_include(case):
    found = of(case("23"), "snippet-preprocessing")
    assert [f.severity for f in found] == ["warning", "warning"]
    assert places(found) == [("code_snippets.md", 3), ("code_snippets.md", 3)]
    assert all("included by card.md" in f.message for f in found)
    assert all("(0.5, 0.5, 0.5)" in f.message for f in found)


def test_23_a_snippet_that_crops_to_another_size_is_reported_and_the_right_size_is_not(shared, tmp_path, monkeypatch):
    folder = copy_case(shared, "23", tmp_path)
    monkeypatch.chdir(folder)
    snippets = folder / "code_snippets.md"
    snippets.write_text("```python\nCenterCrop(32)\nmean=[0.5, 0.5, 0.5]\nCenterCrop(size=224)\n```\nCenterCrop(99)\n")
    found = of(audit([folder / "card.md"], settings_of(folder), ONE_JOB), "snippet-preprocessing")
    assert places(found) == [("code_snippets.md", 4)]
    assert "crops to 224 pixels" in found[0].message


def test_25_one_data_set_under_two_names(case):
    (finding,) = of(case("25"), "data-set-alias")
    assert (finding.severity, finding.place.line) == ("warning", 30)
    assert "'ImageNet' (card.md:22:" in finding.message
    assert "'ImageNet-1k'" in finding.message
    assert "ImageNet-1k" in finding.hint


def test_31_a_result_without_a_data_set_is_named_and_the_rest_is_read(case):
    result = case("31", "README.md")
    (finding,) = of(result, "hub-result")
    assert (finding.severity, finding.place.line) == ("error", 6)
    assert "result 1 has no dataset (name and type are required)" in finding.message
    report = json.loads(json_of(result))
    assert [model["name"] for model in report["models"]] == ["toynet_8"]
    assert report["headers"][0]["fields"]["license"] == "mit"
    assert [(c["field"], c["stated"]) for c in report["claims"]] == [("accuracy", "61.2")]


def test_32_a_text_stands_for_a_list_of_one(case):
    result = case("32", "README.md")
    assert result.findings == []
    fields = json.loads(json_of(result))["headers"][0]["fields"]
    assert fields == {"license": "mit", "datasets": ["toyset"], "tags": ["image-classification"]}


def test_34_a_doubled_fence_starts_the_document_as_the_hub_reads_it(case):
    result = case("34", "README.md")
    assert [(f.severity, f.check) for f in result.findings] == [("note", "hub-header")]
    assert json.loads(json_of(result))["headers"][0]["fields"] == {"license": "mit"}
    before = Path("README.md").read_bytes()
    Path("README.md").write_bytes(before.replace(b"\r\n", b"\n"))
    again = audit([Path("README.md")], Settings())
    assert json.loads(json_of(again))["headers"] == json.loads(json_of(result))["headers"]
    assert [(f.place, f.message) for f in again.findings] == [(f.place, f.message) for f in result.findings]


def test_52_a_citation_of_another_paper_and_a_month_that_is_a_year(case):
    result = case("52")
    assert places(of(result, "citation-paper")) == [("card.md", 7)]
    assert places(of(result, "citation-syntax")) == [("card.md", 10)]
    assert {f.severity for f in result.findings} == {"warning"}


def test_53_a_bill_of_materials_is_valid_by_the_published_schema(case, monkeypatch):
    case("53")
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    text = bill_of("card.md")
    assert text == bill_of("card.md")
    document = json.loads(text)
    (component,) = document["components"]
    assert component["type"] == "machine-learning-model"
    card = component["modelCard"]
    first = {"type": "Top 1 Accuracy", "value": "61.20", "slice": "ToySet"}
    assert card["quantitativeAnalysis"]["performanceMetrics"][0] == first
    assert set(card) <= {"bom-ref", "modelParameters", "quantitativeAnalysis", "considerations", "properties"}
    assert {"name": "cardproof:Parameters", "value": "322"} in card["properties"]
    assert all(set(one) == {"name", "value"} and isinstance(one["value"], str) for one in card["properties"])
    _validate(document)


def test_53_only_the_hash_of_a_local_file_is_written(case):
    case("10")
    components = json.loads(bill_of("card.md"))["components"]
    digest = hashlib.sha256(b"same bytes").hexdigest()
    assert [component["hashes"] for component in components] == [[{"alg": "SHA-256", "content": digest}]] * 2


def test_an_export_reads_each_card_and_each_file_of_weights_once(case, monkeypatch):
    case("10")
    for weights in Path().rglob("*.bin"):
        weights.touch()  # new, so that nothing remembers their digests
    opened: list[Path] = []
    before = Path.open

    def count(self: Path, *arguments, **named):
        opened.append(self)
        return before(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", count)
    bill_of("card.md")
    names = [path.name for path in opened]
    assert [names.count(name) for name in ("card.md", "toynet_8.bin", "toynet_16.bin")] == [1, 1, 1]


def bill_of(card: str) -> str:
    """Return the bill of materials of one card."""
    return mlbom(audit([Path(card)], Settings()).audit)


def _validate(document: dict) -> None:
    """Validate by the schemas that cyclonedx-python-lib carries, without a request."""
    schemas = pytest.importorskip("cyclonedx.schema", reason="cyclonedx-python-lib has the published schema")
    from jsonschema import Draft7Validator
    from referencing import Registry, Resource

    folder = Path(schemas.__file__).parent / "_res"
    names = ("bom-1.6", "spdx", "jsf-0.82")
    loaded = {name: json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text()) for name in names}
    resources = [(one["$id"], Resource.from_contents(one)) for one in loaded.values()]
    registry = Registry().with_resources(resources)
    Draft7Validator(loaded["bom-1.6"], registry=registry).validate(document)


def test_55_a_header_that_allows_what_the_text_forbids(case):
    (finding,) = case("55", "README.md").findings
    assert (finding.check, finding.severity, finding.place.line) == ("licence", "warning", 7)
    assert "CC BY-NC 4.0" in finding.message
    assert "(line 2) is mit" in finding.message


def test_55_a_missing_licence_is_reported_and_not_filled_in(write):
    card = write("README.md", "---\ntags: [a]\n---\n\n# Net\n")
    result = audit([card], Settings())
    assert [(f.check, f.severity) for f in result.findings] == [("licence", "note")]
    assert "license" not in json.loads(json_of(result))["headers"][0]["fields"]
