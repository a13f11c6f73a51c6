"""Formats of other tools: what is exported is valid by their own readers and schemas, and reads back the same."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from report_runs import claim_rows
from sites import ONE_JOB, TINY, cardproof

from cardproof.build import audit
from cardproof.core.errors import InputError
from cardproof.core.settings import Settings
from cardproof.core.types import Judgement, Number, Place
from cardproof.read import read_cards
from cardproof.read.cited_results import CitedSource
from cardproof.read.models import make_claim
from cardproof.render.views.paper_and_licence import Paper, cff, is_citable
from cardproof.report.export.formats import chosen_models, export, model_index
from cardproof.report.export.hub import hub_header, readme

CARD = """# Tiny

<!--
Type: model-index
Collections:
- Name: Tiny
  License: mit
  Metadata:
    Tasks: [Image Classification]
    Training Data: [ToySet]
  Paper:
    Title: 'Tiny: a net'
    URL: https://arxiv.org/abs/2001.00001
    Authors: ['Doe, Jane', 'Roe, Max']
    Year: 2020
Models:
- Name: tiny
  In Collection: Tiny
  Metadata:
    FLOPs: 55.38K
    Parameters: 323
    Image Size: '32'
    Momentum: 0.90
    Odd: '0x1F'
    Flag: yes
  Results:
  - Task: Image Classification
    Dataset: ToySet
    Metrics:
      Top 1 Accuracy: 61.20%
      Top 5 Accuracy: '90.10'
- Name: tiny_16
  In Collection: Tiny
  Metadata: {Parameters: 634}
-->
"""
CITED = """Sources:
- Title: a table
  URL: https://example.org/table
  Retrieved: '2026-11-25'
  Dataset: ToySet
  Metrics: [Top 1 Accuracy]
  Values: {tiny: ['61.20']}
"""
TEXT = st.text(
    st.characters(
        blacklist_categories=("Cs", "Cc"),
        blacklist_characters="\ufeff\u2028\u2029\ufffe\uffff",
        whitelist_characters="\n\t",
    ),
    min_size=1,
).filter(str.strip)


@pytest.fixture
def settings(write):
    write("zoo.py", TINY)
    write("card.md", CARD)
    write("cited.yml", CITED)
    return Settings(zoo="zoo.py:Zoo", cited=Path("cited.yml"))


def exported(kind: str, settings: Settings, *verdicts: str, models: tuple[str, ...] = ()) -> dict[str, str]:
    reading = chosen_models(read_cards([Path("card.md")]), models)
    run = audit((), settings, ONE_JOB, reading=reading)
    return export(kind, run.audit, settings, ("confirmed", "cited", *verdicts))


def of_claims(rows):
    keys = ("model", "field", "stated", "dataset", "task", "metric", "verdict", "found", "unit", "allowed", "reason")
    return [tuple(row[key] for key in keys) for row in rows]


def test_a_model_index_reads_back_to_the_same_claims_with_the_same_judgement(settings, write):
    (text,) = exported("model-index", settings).values()
    path = write("model-index.yml", text)
    before = audit([Path("card.md")], settings, ONE_JOB)
    after = audit([path], settings, ONE_JOB)
    assert of_claims(claim_rows(after)) == of_claims(claim_rows(before))
    assert len(claim_rows(before)) > 10
    assert {f.check for f in after.findings} == {f.check for f in before.findings if f.check != "yaml-1.1"}
    again = model_index(read_cards([path]))
    assert again == text


VALUE = st.one_of(
    TEXT,
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.sampled_from(
        ["yes", "1e5", "0x1F", "010", "12:30", "~", "null", "1_000", "78.20%", "-->", "- a", "#", "1.", ".5"]
    ),
)


@given(st.lists(TEXT, min_size=1, max_size=3, unique=True), st.dictionaries(TEXT, VALUE, max_size=5))
def test_a_model_index_keeps_every_character_of_odd_names_and_values(names, fields):
    fields = {key: value for key, value in fields.items() if key.lower() not in ("models",)}
    keys = [key.lower() for key in fields]
    fields = {key: value for key, value in fields.items() if keys.count(key.lower()) == 1}
    index = {"Models": [{"Name": name, "Metadata": fields} for name in names]}
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "first.yml"), Path(folder, "second.yml")
        first.write_text(yaml.safe_dump(index, allow_unicode=True), encoding="utf-8")
        reading = read_cards([first])
        second.write_text(model_index(reading), encoding="utf-8")
        again = read_cards([second])

    def told(reading):
        return sorted((c.model, c.field, c.stated, repr(c.value)) for c in reading.claims)

    assert told(again) == told(reading)
    assert sorted(model.name for model in again.models) == sorted(model.name for model in reading.models)


def test_numbers_of_a_card_keep_their_digits_in_a_model_index(settings):
    (text,) = exported("model-index", settings).values()
    assert "Momentum: 0.90\n" in text
    assert "Top 1 Accuracy: 61.20%\n" in text
    assert "Top 5 Accuracy: '90.10'\n" in text
    assert "Odd: '0x1F'\n" in text


def test_a_readme_for_the_hub_reads_back_through_its_own_library(settings):
    hub = pytest.importorskip("huggingface_hub")
    (text,) = exported("hub", settings, models=("tiny",)).values()
    card = hub.ModelCard(text)
    assert card.data.license == "mit"
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.model_name == "tiny"
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_name, result.metric_value) == ("accuracy", "Top 1 Accuracy", 61.2)
    assert (result.task_type, result.dataset_type, result.dataset_name) == ("image-classification", "toyset", "ToySet")
    assert (result.source_name, result.source_url) == ("a table", "https://example.org/table")
    assert "null" not in text
    assert "verified" not in text


def test_results_that_do_not_hold_are_written_only_where_they_are_asked_for(settings):
    (text,) = exported("hub", settings, "unchecked", models=("tiny",)).values()
    header = yaml.safe_load(text.split("---\n")[1])
    metrics = [metric for result in header["model-index"][0]["results"] for metric in result["metrics"]]
    assert [(metric["name"], metric["value"]) for metric in metrics] == [
        ("Top 1 Accuracy", 61.2),
        ("Top 5 Accuracy", 90.1),
    ]


def test_a_readme_for_the_hub_reads_back_with_our_own_reader_without_a_fault(settings, write):
    (text,) = exported("hub", settings, models=("tiny",)).values()
    path = write("out/README.md", text)
    run = audit([path], settings, ONE_JOB)
    assert not run.findings
    (claim,) = claim_rows(run)
    assert (claim["model"], claim["field"], claim["dataset"], claim["verdict"]) == (
        "tiny",
        "Top 1 Accuracy",
        "ToySet",
        "cited",
    )


def test_a_card_without_results_has_no_model_index(settings):
    (text,) = exported("hub", settings, models=("tiny_16",)).values()
    assert "model-index" not in yaml.safe_load(text.split("---\n")[1])


@given(TEXT, TEXT, TEXT, TEXT, st.sampled_from(["78.24%", "0.5", "1e400", "good", "12 dB", "-3"]), TEXT, TEXT)
def test_odd_names_read_back_through_the_library_of_the_hub(name, field, dataset, task, stated, licence, title):
    hub = pytest.importorskip("huggingface_hub")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "card.yml")
        index = {"Models": [{"Name": name, "License": licence, "Paper": {"Title": title, "URL": "x"}}]}
        path.write_text(yaml.safe_dump(index, allow_unicode=True), encoding="utf-8")
        (model,) = read_cards([path]).models
    place = Place("card.yml", 1, 1)
    metric = make_claim(name, field, stated, place, dataset=dataset, task=task, metric=True)
    judgements = [Judgement(claim, "confirmed", 1.0) for claim in (metric, make_claim(name, field, stated, place))]
    values = {(name, field): (Number(1, 1), "1")}
    source = CitedSource(title, "https://example.org", "2026-11-25", dataset, values)
    card = hub.ModelCard(readme(model, judgements, hub_header(model, judgements, "timm", (source,))))
    (result,) = card.data.eval_results
    assert card.data.model_name == model.name
    assert (result.dataset_name, result.task_name, result.metric_name) == (dataset, task, field)
    assert None not in (result.metric_value, result.metric_type, result.dataset_type, result.task_type)
    assert result.verified is None
    assert card.data.license


def test_a_licence_that_the_hub_does_not_know_is_named_as_another(settings, write):
    write("card.md", CARD.replace("License: mit", "License: https://example.org/LICENSE"))
    (text,) = exported("hub", settings, models=("tiny",)).values()
    header = yaml.safe_load(text.split("---\n")[1])
    assert (header["license"], header["license_link"]) == ("other", "https://example.org/LICENSE")


def test_each_claim_of_the_json_is_as_the_audit_has_it(settings):
    (text,) = exported("json", settings).values()
    document = json.loads(text)
    assert document["schema"] == "cardproof-export/1"
    claims = claim_rows(audit([Path("card.md")], settings, ONE_JOB))
    found = [{**claim, "model": model["name"]} for model in document["models"] for claim in model["claims"]]
    assert of_claims(found) == of_claims(claims)
    assert document["models"][0]["paper"]["title"] == "Tiny: a net"


def _validate(text: str) -> dict:
    """Validate by the schema of CFF 1.2.0 that check-jsonschema carries, without a request."""
    schemas = pytest.importorskip("check_jsonschema.builtin_schemas", reason="it has the schema of CFF")
    from jsonschema import Draft7Validator

    folder = Path(schemas.__file__).parent / "vendor"
    schema = json.loads((folder / "citation-file-format.json").read_text(encoding="utf-8"))
    data = yaml.safe_load(text)
    Draft7Validator(schema).validate(data)
    return data


def test_a_citation_file_is_valid_and_has_the_papers_of_the_cards(settings, write):
    second = CARD.replace("'Tiny: a net'", "Second").replace("2001.00001", "2001.00002").replace("tiny", "other")
    write("second.md", second)
    reading = read_cards([Path("card.md"), Path("second.md")])
    run = audit((), Settings(), reading=reading)
    data = _validate(export("cff", run.audit, Settings(), ())["CITATION.cff"])
    assert data["preferred-citation"]["title"] == "Tiny: a net"
    assert data["authors"] == [
        {"family-names": "Doe", "given-names": "Jane"},
        {"family-names": "Roe", "given-names": "Max"},
    ]
    assert data["preferred-citation"]["year"] == 2020
    assert [reference["title"] for reference in data["references"]] == ["Second"]


@given(
    TEXT.map(str.strip),
    st.lists(TEXT | st.just("Doe, Jane") | st.just(","), max_size=4).map(tuple),
    st.sampled_from(["2020", "in press", "", "99999999999", "２０２０"]),
    st.sampled_from(["10.1109/TPAMI.2019.2938758", "https://doi.org/10.1/x", "doi:10.1234/a<b>", "no", ""]),
    st.sampled_from(["https://arxiv.org/abs/1", "arxiv.org", "ftp://a b", ""]),
    TEXT | st.just(""),
)
def test_every_paper_that_can_be_cited_makes_a_valid_file(title, authors, year, doi, url, journal):
    paper = Paper(title, url, authors, year, journal, doi)
    assume(is_citable(paper))
    data = _validate(cff(paper, [paper]))
    assert data["title"] == title
    assert data["preferred-citation"]["authors"] == data["authors"]


def test_a_doi_that_is_written_as_an_address_is_one(settings):
    paper = Paper("T", "", ("Doe, Jane",), "2020", "", "https://doi.org/10.1109/TPAMI.2019.2938758")
    assert yaml.safe_load(cff(paper))["preferred-citation"]["doi"] == "10.1109/TPAMI.2019.2938758"


def test_what_cannot_be_exported_says_why(settings, write):
    with pytest.raises(InputError, match="no card has a model 'tinny'; did you mean tiny"):
        exported("json", settings, models=("tinny",))
    write("card.md", "# No model\n")
    with pytest.raises(InputError, match="no model is in these cards"):
        exported("json", settings)
    write("card.md", "<!--\nType: model-index\nModels:\n- Name: a\n  Paper: {Title: T}\n-->\n")
    with pytest.raises(InputError, match="title and authors"):
        exported("cff", settings)


@pytest.mark.slow
def test_the_command_writes_a_folder_of_readmes_and_one_file_of_others(settings):
    def command(*arguments):
        return cardproof("export", "card.md", "--zoo", "zoo.py:Zoo", *arguments)

    done = command("--format", "hub")
    assert done.returncode == 2
    assert "2 READMEs are made: name a folder with --out, or one model with --model" in done.stderr
    done = command("--format", "hub", "--out", "hub")
    assert done.returncode == 1  # the card states one parameter too many
    names = sorted(path.as_posix() for path in Path("hub").rglob("*.md"))
    assert names == ["hub/tiny/README.md", "hub/tiny_16/README.md"]
    done = command("--format", "hub", "--model", "tiny_16")
    assert done.returncode == 0
    assert done.stdout.startswith("---\n")
    command("--format", "cff", "--out", "CITATION.cff")
    assert Path("CITATION.cff").read_text().startswith("cff-version: 1.2.0\n")
