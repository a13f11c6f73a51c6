"""Exports that others load: from all given metafiles and from cards of the Hub, value for value."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import yaml
from conftest import SHARED
from hypothesis import given
from hypothesis import strategies as st
from sites import cardproof

from cardproof.build import audit
from cardproof.core.settings import Settings
from cardproof.read import read_cards
from cardproof.report.export.formats import export

METAFILES = sorted((SHARED / "corpora" / "mmpretrain-metafiles").glob("*.yml"))
CASE = SHARED / "cases" / "tables" / "30-hub-export-keeps-the-card" / "README.md"
ANY = ("confirmed", "cited", "unchecked", "disputed")

CARD = """
---
language: [en, "no"]
license: Apache 2.0
license_link: https://example.org/LICENSE
tags: [vision, null]
base_model: org/base
base_model_relation: finetune
datasets: [beans]
inference: false
widget:
- {src: a.jpg, example_title: A}
model-index:
- name: net
  results:
  - task: {type: image-classification}
    dataset: {name: Beans, type: beans, args: {split: x, size: 3}}
    metrics:
    - {type: accuracy, value: 0.90, verified: true, verifyToken: abc, args: {top: 1}, config: c}
    - {type: f1, value: "20.0 ± 1.2"}
    - {type: loss, value: 1.0e-5, name: Loss}
  - task: {type: image-classification, name: IC}
    dataset: {name: Beans 2, type: beans, split: test, config: d, revision: abc}
    metrics: [{type: accuracy, value: 90, name: Acc}]
    source: {url: https://example.org}
---
# Net
"""


def of_hub(path: Path, *verdicts: str) -> str:
    run = audit([path], Settings())
    (text,) = export("hub", run.audit, Settings(), verdicts or ("confirmed", "cited")).values()
    return text


@pytest.mark.skipif(not CASE.exists(), reason="../shared is absent")
def test_30_a_card_of_the_hub_keeps_all_that_its_header_says():
    hub = pytest.importorskip("huggingface_hub")
    before, after = hub.ModelCard(CASE.read_text()).data, hub.ModelCard(of_hub(CASE)).data
    assert after.to_dict() == before.to_dict()
    (result,) = after.eval_results
    assert (after.license, result.metric_type, result.metric_name, result.metric_value) == (
        "gpl-2.0",
        "accuracy",
        "Test Accuracy",
        0.9,
    )
    assert (result.dataset_config, result.dataset_split, result.dataset_revision) == (
        "default",
        "test",
        "5503434ddd753f426f4b38109466949a1217c2bb",
    )
    assert (result.source_name, result.source_url) == ("Some leaderboard", "https://example.org/board")


def test_a_card_with_every_part_reads_back_equal_but_for_what_the_hub_refuses(write):
    hub = pytest.importorskip("huggingface_hub")
    path = write("README.md", CARD)
    before, after = hub.ModelCard(CARD).data.to_dict(), hub.ModelCard(of_hub(path)).data.to_dict()
    assert (before.pop("license"), after.pop("license")) == ("Apache 2.0", "apache-2.0")
    assert (before.pop("tags"), after.pop("tags")) == (["vision", None], ["vision"])
    assert after == before
    assert "value: 0.90\n" in of_hub(path)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("license: BSD 3-Clause", {"license": "bsd-3-clause"}),
        ("license: Our Own", {"license": "other", "license_name": "our-own"}),
        ("license: Our Own\nlicense_name: own-1", {"license": "other", "license_name": "own-1"}),
        ("license: other\nlicense_name: own-1", {"license": "other", "license_name": "own-1"}),
        ("license: [mit, apache-2.0]", {"license": ["mit", "apache-2.0"]}),
    ],
)
def test_a_licence_becomes_its_identifier_and_another_keeps_its_name(write, stated, expected):
    text = of_hub(
        write("README.md", CARD.replace("license: Apache 2.0\nlicense_link: https://example.org/LICENSE", stated))
    )
    header = yaml.safe_load(text.split("---\n")[1])
    assert {key: header[key] for key in header if key.startswith("license")} == expected


def test_what_the_hub_refuses_is_completed_or_left_out(write):
    hub = pytest.importorskip("huggingface_hub")
    text = CARD.replace("{url: https://example.org}", "{name: A board}").replace("name: Beans, ", "")
    text = text.replace("value: 90, ", "")
    (result, *others) = hub.ModelCard(of_hub(write("README.md", text))).data.eval_results
    assert (result.dataset_name, len(others)) == ("beans", 2)


@pytest.mark.skipif(not METAFILES, reason="../shared is absent")
def test_all_metafiles_keep_every_value_as_one_model_index(write):
    """What model-index loads: each value is what PyYAML reads, and one collection is plain text."""
    assert len(METAFILES) == 63
    for path in METAFILES:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        run = audit([path], Settings())
        (text,) = export("model-index", run.audit, Settings(), ()).values()
        found = {model["Name"]: model for model in yaml.safe_load(text)["Models"]}
        collections = {one["Name"]: one for one in given.get("Collections") or []}
        assert sorted(found) == sorted(model["Name"] for model in given["Models"]), path.name
        for model in given["Models"]:
            exported = found[model["Name"]]
            for key, value in model.items():
                if key == "Results" and isinstance(value, list):
                    assert exported[key][-len(value) :] == value
                elif key == "Metadata":
                    assert {name: exported[key].get(name) for name in value if not isinstance(value[name], list)} == {
                        name: one for name, one in value.items() if not isinstance(one, list)
                    }
                elif value is not None:
                    assert exported[key] == value
            for key, value in (collections.get(model.get("In Collection")) or {}).items():
                if key not in ("Name", "Metadata", "Results") and key not in model:
                    assert exported[key] == value
        again = read_cards([write("model-index.yml", text)])
        claims = [(c.model, c.field, c.stated, c.dataset) for c in run.audit.reading.claims]
        assert sorted(map(repr, claims)) == sorted(
            repr((c.model, c.field, c.stated, c.dataset)) for c in again.claims
        ), path.name


@pytest.mark.skipif(not METAFILES, reason="../shared is absent")
def test_all_metafiles_are_loaded_by_the_library_of_the_hub_with_the_same_results():
    hub = pytest.importorskip("huggingface_hub")
    run = audit(METAFILES, Settings())
    texts = export("hub", run.audit, Settings(), ANY)
    stated: dict[str, list[tuple[str, str, float]]] = {}
    for claim in run.audit.reading.claims:
        if claim.metric and claim.dataset:
            stated.setdefault(claim.model, []).append((claim.dataset, claim.field, float(claim.number.value)))
    loaded = {}
    for text in texts.values():
        data = hub.ModelCard(text).data
        if data.eval_results:
            found = [(one.dataset_name, one.metric_name, one.metric_value) for one in data.eval_results]
            loaded[data.model_name] = sorted(found)
    assert loaded == {name: sorted(results) for name, results in stated.items()}


ODD = st.sampled_from([None, "", 0.9, "90%", 1, True, "a b", [], [None], {}, float("inf"), "no", "1e5"])


def some(*keys: str):
    return st.dictionaries(st.sampled_from(keys), ODD, max_size=len(keys))


RESULT = st.fixed_dictionaries(
    {"task": some("type", "name") | ODD, "metrics": st.lists(some("type", "value", "name"), max_size=3) | ODD},
    optional={"dataset": some("type", "name", "split") | ODD, "source": some("name", "url") | ODD},
)
MODEL = st.fixed_dictionaries(
    {"name": st.sampled_from(["net", "no", "a/b"])}, optional={"results": st.lists(RESULT, max_size=2) | ODD}
)
HEADER = st.fixed_dictionaries(
    {"license": ODD, "tags": ODD, "base_model": ODD, "model-index": st.lists(MODEL, min_size=1, max_size=2)}
)


@given(HEADER)
def test_whatever_a_header_holds_its_exports_are_loaded(header):
    hub = pytest.importorskip("huggingface_hub")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "README.md")
        path.write_text(f"---\n{yaml.safe_dump(header)}---\n# T\n", encoding="utf-8")
        run = audit([path], Settings())
    for text in export("hub", run.audit, Settings(), (*ANY, "refuted")).values():
        assert None not in hub.ModelCard(text).data.to_dict().values()
    for text in export("model-index", run.audit, Settings(), ()).values():
        assert yaml.safe_load(text)["Models"]


def test_results_that_stand_in_a_table_are_in_the_model_index(write):
    path = write(
        "README.md", "# T\n\n| Model | Params (M) | ImageNet top-1 |\n| - | - | - |\n| resnet18 | 11.69 | 69.76 |\n"
    )
    run = audit([path], Settings())
    (text,) = export("model-index", run.audit, Settings(), ()).values()
    again = read_cards([write("out/model-index.yml", text)])
    assert [(c.field, c.stated, c.dataset) for c in again.claims] == [
        (c.field, c.stated, c.dataset) for c in run.audit.reading.claims
    ]


def test_a_folder_gets_one_readme_as_well_and_findings_never_stand_in_the_output(write):
    write("a/README.md", CARD)
    write("a/broken.md", "---\nx: y: z\n---\n")
    done = cardproof("export", "a", "--format", "hub", "--out", "hub")
    assert Path("hub/net/README.md").is_file()
    done = cardproof("export", "a", "--format", "json")
    assert json.loads(done.stdout)["models"][0]["name"] == "net"
    assert "yaml-syntax" in done.stderr
    cardproof("export", "a", "--format", "hub", "--out", "one.md")
    assert Path("one.md").read_text() == Path("hub/net/README.md").read_text()


def test_json_has_no_infinity_and_keeps_its_text(write):
    write(
        "card.md",
        "---\na: .inf\n---\n<!--\nType: model-index\nModels:\n- Name: a\n  Metadata: {FLOPs: .inf, X: .nan}\n-->\n",
    )

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    report = json.loads(cardproof("audit", "card.md", "--json").stdout, parse_constant=refuse)
    assert [(claim["stated"], claim["found"]) for claim in report["claims"]] == [(".inf", None), (".nan", None)]
    assert report["headers"][0]["fields"] == {"a": ".inf"}
    assert report["models"][0]["metadata"] == {"FLOPs": ".inf", "X": ".nan"}
