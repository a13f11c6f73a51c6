"""The catalog: what other programs read is right, whole, escaped, current, and made again only where it has to be."""

from __future__ import annotations

import csv
import io
import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from msgspec.structs import replace
from report_runs import claim_rows
from sites import CARD, MULTIPLY_ADDS, ONE_JOB, OTHER, PARAMETERS, write_site

from cardproof.build import audit, render
from cardproof.core.paths import show_path
from cardproof.core.settings import load_settings
from cardproof.render.catalog.model_files import CardFiles, model_schema
from res2next import list_models

RESULTS = """  Results:
  - Task: Image Classification
    Dataset: Digits
    Metrics:
      Top 1 Accuracy: 97.5%
-->
"""


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A site with a catalog, rendered once."""
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path)
    configure(folder)
    build(folder)
    return folder


def configure(site: Path, more: str = "") -> None:
    config = site / "mkdocs.yml"
    text = config.read_text() if "catalog" not in config.read_text() else config.read_text().split("    catalog")[0]
    config.write_text(f"{text}    catalog: docs/catalog\n{more}")


def build(site: Path, **options):
    return render(load_settings(site / "mkdocs.yml"), ONE_JOB, **options)


def card(site: Path, text: str, name: str = "tiny") -> None:
    (site / f"templates/models/{name}.md").write_text(text)


def record(site: Path, name: str = "tiny"):
    return json.loads((site / f"docs/catalog/models/{name}/model.json").read_text())


def listed(site: Path):
    return json.loads((site / "docs/catalog/models.json").read_text())["models"]


def rows(site: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((site / "docs/catalog/models.csv").read_text())))


def changed(run) -> dict[str, str]:
    return {show_path(change.path): change.status for change in run.changes if change.differs}


def catalog(site: Path) -> set[str]:
    folder = site / "docs/catalog"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


LISTS = {"models.json", "models.csv", "model-index.yml", "model.schema.json"}


def test_a_render_writes_a_record_badges_and_lists(site):
    names = {"model.json", "badge.svg", "flops.svg", "parameters.svg", "image-size.svg"}
    assert catalog(site) == LISTS | {f"models/tiny/{name}" for name in names}
    assert (site / "docs/llms.txt").is_file()


def test_a_site_that_does_not_ask_for_a_catalog_has_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path)
    build(folder)
    assert sorted(path.name for path in (folder / "docs").iterdir()) == ["assets", "evidence", "models"]


def test_a_record_says_what_was_counted_and_where_to_read_on(site):
    found = record(site)
    assert found["quantities"][0] == {
        "key": "multiply-adds",
        "label": "Multiply-adds",
        "value": MULTIPLY_ADDS,
        "text": "55.38 k",
        "better": "less",
        "verdict": "confirmed",
        "stated": "",
    }
    assert {claim["field"]: claim["found"] for claim in found["claims"]}["Parameters"] == PARAMETERS
    assert (found["page"], found["evidence"]) == ("models/tiny/#tiny", "evidence/tiny.json")
    assert (found["families"], found["verdicts"], found["card"]) == (
        ["Tiny"],
        {"confirmed": 3},
        "templates/models/tiny.md",
    )
    assert (site / "docs" / found["evidence"]).is_file()
    assert all((site / "docs" / claim["badge"]).is_file() for claim in found["claims"])
    lines = (site / "templates/models/tiny.md").read_text().splitlines()
    assert all(claim["stated"] in lines[claim["line"] - 1] for claim in found["claims"])


def test_anchors_of_a_record_are_on_the_page(site):
    page = (site / "docs/models/tiny.md").read_text()
    assert all(f'id="{claim["anchor"]}"' in page for claim in record(site)["claims"])


def test_the_lists_say_the_same_as_the_records(site):
    card(site, OTHER, "other")
    build(site)
    assert [entry["name"] for entry in listed(site)] == ["tiny", "tiny_16"]
    assert [row["multiply-adds"] for row in rows(site)] == [str(MULTIPLY_ADDS), str(16 * 16 * 16 * 27 + 160)]
    for entry, row in zip(listed(site), rows(site), strict=True):
        found = json.loads((site / "docs" / entry["record"]).read_text())
        assert {q["key"]: q["value"] for q in found["quantities"]} == {
            key: quantity["value"] for key, quantity in entry["quantities"].items()
        }
        assert row["parameters"] == str(entry["quantities"]["parameters"]["value"])
        assert (row["claims"], row["confirmed"]) == ("3", str(found["verdicts"]["confirmed"]))


def test_a_refuted_number_is_the_measured_one_and_keeps_what_the_card_says(site):
    card(site, CARD.replace("FLOPs: 55376", "FLOPs: 110752"))
    build(site)
    quantity = listed(site)[0]["quantities"]["multiply-adds"]
    assert (quantity["value"], quantity["verdict"], quantity["stated"]) == (MULTIPLY_ADDS, "refuted", "110752")
    (claim,) = [claim for claim in record(site)["claims"] if claim["verdict"] == "refuted"]
    assert "twice" in claim["explanation"].lower()
    badge = ET.parse(site / "docs/catalog/models/tiny/flops.svg").getroot()
    assert badge.attrib["aria-label"] == "FLOPs: 55,376 · refuted"
    label = ET.parse(site / "docs/catalog/models/tiny/badge.svg").getroot().attrib["aria-label"]
    assert label == "tiny: 1 refuted · 2 of 3 claims confirmed"


def test_the_model_index_of_the_site_holds_by_its_own_audit(site):
    card(site, CARD.replace("FLOPs: 55376", "FLOPs: 110752"))
    card(site, OTHER.replace("Parameters: 634", "Parameters: 635"), "other")
    assert build(site).exit == 1
    index = site / "docs/catalog/model-index.yml"
    run = audit([index], load_settings(site / "mkdocs.yml"), ONE_JOB)
    claims = claim_rows(run)
    assert {claim["model"] for claim in claims} == {"tiny", "tiny_16"}
    assert (run.exit, {claim["verdict"] for claim in claims}) == (0, {"confirmed"})
    assert yaml.safe_load(index.read_text())["Collections"] == [{"Name": "Tiny"}]


def test_results_licence_and_tasks_are_listed(site):
    text = CARD.replace("- Name: Tiny\n", "- Name: Tiny\n  License: MIT\n", 1).replace("-->\n", RESULTS)
    card(site, text)
    build(site)
    (entry,) = listed(site)
    assert (entry["licence"], entry["tasks"], entry["datasets"]) == ("MIT", ["Image Classification"], ["Digits"])
    assert entry["quantities"]["top-1-accuracy-on-digits"]["value"] == 97.5
    assert entry["quantities"]["top-1-accuracy-on-digits"]["better"] == "more"


def test_a_second_render_writes_nothing_and_makes_nothing(site, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in (site / "docs").rglob("*")}
    import cardproof.render.catalog.files as module

    monkeypatch.setattr(module, "site_files", lambda *_: pytest.fail("the lists were made although nothing changed"))
    run = build(site)
    assert (run.remembered, changed(run)) == (1, {})
    assert {path: path.stat().st_mtime_ns for path in (site / "docs").rglob("*")} == before
    assert run.files == len([path for path in before if path.is_file()])


@pytest.mark.parametrize(
    "name",
    [
        "catalog/models.json",
        "catalog/models.csv",
        "catalog/models/tiny/model.json",
        "catalog/models/tiny/flops.svg",
        "catalog/models/tiny/badge.svg",
        "llms.txt",
    ],
)
def test_a_file_that_is_gone_is_written_again(site, name):
    path = site / "docs" / name
    text = path.read_text()
    path.unlink()
    assert changed(build(site)) == {f"docs/{name}": "new"}
    assert path.read_text() == text


@pytest.mark.parametrize(
    "name", ["catalog/models.json", "catalog/models.csv", "catalog/model-index.yml", "catalog/models/tiny/model.json",
             "catalog/models/tiny/flops.svg", "catalog/model.schema.json", "llms.txt"],
)  # fmt: skip
def test_an_edited_file_fails_no_check_and_is_mended_by_a_render_that_remembers_nothing(site, name, monkeypatch):
    path = site / "docs" / name
    text = path.read_text()
    path.write_text(text + "\n")
    run = build(site, check=True)
    assert (run.exit, changed(run)) == (0, {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(site / "cache"))
    assert changed(build(site)) == {f"docs/{name}": "changed"}
    assert path.read_text() == text


def test_check_passes_on_a_clone_which_has_pages_and_evidence_only(site):
    for name in ("catalog", "assets"):
        shutil.rmtree(site / "docs" / name)
    (site / "docs/llms.txt").unlink()
    assert build(site, check=True).exit == 0
    page, record = site / "docs/models/tiny.md", site / "docs/evidence/tiny.json"
    for path in (page, record):
        path.unlink()
        run = build(site, check=True)
        assert run.exit == 1
        assert show_path(path) in changed(run)


def test_check_passes_on_a_fresh_site(site):
    assert build(site, check=True).exit == 0


def test_an_edit_of_the_text_around_changes_no_data(site):
    card(site, CARD.replace("A network of one", "A small network of one").replace("# Tiny", "# Tiny"))
    assert set(changed(build(site))) == {"docs/models/tiny.md"}


def test_a_claim_that_is_gone_takes_its_badge_along_and_other_files_stay(site):
    mine = site / "docs/catalog/models/tiny/drawing.svg"
    mine.write_text("<svg/>")
    card(site, CARD.replace("    Image Size: '32'\n", ""))
    assert changed(build(site))["docs/catalog/models/tiny/image-size.svg"] == "removed"
    assert mine.is_file()


def test_badges_of_a_card_are_counted_in_one_pass_however_many_models_it_has():
    class Badges(dict):
        passes = 0

        def __iter__(self):
            self.passes += 1
            return super().__iter__()

    folders = [Path(f"models/m{number}") for number in range(9)]
    badges = Badges({folder / name: "" for folder in folders[1:] for name in ("badge.svg", "flops.svg")})
    found = CardFiles({folder / "model.json": "" for folder in folders}, badges).folders()
    assert found == {folders[0]: 0, **dict.fromkeys(folders[1:], 2)}
    assert badges.passes == 1


def test_a_model_that_is_gone_takes_its_folder_along(site):
    card(site, OTHER, "other")
    build(site)
    (site / "templates/models/other.md").unlink()
    build(site)
    assert [path.name for path in (site / "docs/catalog/models").iterdir()] == ["tiny"]
    assert [entry["name"] for entry in listed(site)] == ["tiny"]
    assert "tiny_16" not in (site / "docs/llms.txt").read_text()


@pytest.mark.parametrize("name", ["docs/llms.txt", "docs/catalog/models.csv", "docs/catalog/models/tiny/model.json"])
def test_a_file_that_was_never_made_here_is_not_written_over(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path)
    configure(folder)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine\n")
    for _ in range(2):
        run = build(folder)
        assert (run.exit, [finding.check for finding in run.findings]) == (1, ["hand-edit"])
    assert path.read_text() == "mine\n"
    assert not (folder / "docs/models").exists()


@pytest.mark.parametrize(("setting", "left"), [("models", {"badge.svg", "model.json"}), ("none", {"model.json"})])
def test_badges_may_be_left_out(site, setting, left):
    configure(site, f"    badges: {setting}\n")
    build(site)
    assert {path.name for path in (site / "docs/catalog/models/tiny").iterdir()} == left
    assert {claim["badge"] for claim in record(site)["claims"]} == {None}
    assert build(site, check=True).exit == 0


def test_one_card_alone_leaves_the_lists_as_they_are(site):
    card(site, OTHER, "other")
    run = build(site, only=("other",))
    assert "docs/catalog/models/tiny_16/model.json" in changed(run)
    assert [entry["name"] for entry in listed(site)] == ["tiny"]
    build(site)
    assert [entry["name"] for entry in listed(site)] == ["tiny", "tiny_16"]


def test_addresses_are_full_in_llms_txt_where_the_site_has_one(site):
    assert "](models/tiny/#tiny)" in (site / "docs/llms.txt").read_text()
    (site / "mkdocs.yml").write_text("site_url: https://example.org/cards/\n" + (site / "mkdocs.yml").read_text())
    build(site)
    text = (site / "docs/llms.txt").read_text()
    assert "](https://example.org/cards/models/tiny/#tiny)" in text
    assert "](https://example.org/cards/catalog/models/tiny/model.json)" in text


def test_pages_outside_of_the_site_keep_their_data_with_them(site):
    from cardproof.commands.cli import cardproof

    before = {path: path.read_bytes() for path in (site / "docs").rglob("*") if path.is_file()}
    cardproof.main(["render", "--out", str(site / "elsewhere"), "-q", "-j", "1"], standalone_mode=False)
    assert (site / "elsewhere/catalog/models.json").is_file()
    assert (site / "elsewhere/llms.txt").is_file()
    assert {path: path.read_bytes() for path in (site / "docs").rglob("*") if path.is_file()} == before


EVIL = "=<script>alert('1')</script>\"&[x](javascript:y)`{{7*7}}"


def test_hostile_names_and_values_are_text_in_every_file(site):
    quoted = EVIL.replace("'", "''")
    text = CARD.replace("- Name: tiny\n", f"- Name: '{quoted}'\n").replace(
        "In Collection: Tiny", f"In Collection: '{quoted}'"
    )
    text = text.replace("- Name: Tiny\n", f"- Name: '{quoted}'\n  License: '{quoted}'\n", 1)
    card(site, text.replace("Image Size: '32'", f"Note: '{quoted}'"))
    build(site)
    (entry,) = listed(site)
    assert (entry["name"], entry["families"], entry["licence"]) == (EVIL, [EVIL], EVIL)
    assert all(part not in entry["page"] + entry["record"] for part in "<>\"' ")
    (folder,) = (site / "docs/catalog/models").iterdir()
    found = json.loads((folder / "model.json").read_text())
    assert found["name"] == EVIL
    assert entry["record"] == f"catalog/models/{folder.name}/model.json"
    (row,) = rows(site)
    assert (row["model"], row["licence"]) == (f"'{EVIL}", f"'{EVIL}")
    assert yaml.safe_load((site / "docs/catalog/model-index.yml").read_text())["Models"][0]["Name"] == EVIL
    for path in folder.glob("*.svg"):
        root = ET.parse(path).getroot()
        assert {child.tag.rpartition("}")[2] for child in root.iter()} <= {
            "svg",
            "title",
            "clipPath",
            "rect",
            "g",
            "text",
        }
    llms = (site / "docs/llms.txt").read_text()
    assert "\n- [=\\<script\\>alert('1')\\</script\\>\"&\\[x\\](javascript:y)\\`{{7*7}}](" in llms


def test_the_schema_is_one_and_is_published(own_site):
    Draft202012Validator.check_schema(model_schema())
    assert json.loads((own_site / "docs/catalog/model.schema.json").read_text()) == model_schema()


@pytest.mark.parametrize("name", list_models())
def test_every_published_record_is_as_the_schema_says_and_has_no_field_beyond_it(own_site, name):
    found = record(own_site, name)
    Draft202012Validator(model_schema()).validate(found)
    assert found.keys() == model_schema()["properties"].keys()


@pytest.mark.parametrize(
    ("field", "value"), [("name", 1), ("verdicts", []), ("claims", [{"field": "x"}]), ("run", "now")]
)
def test_a_record_with_a_wrong_value_is_not_as_the_schema_says(site, field, value):
    assert not Draft202012Validator(model_schema()).is_valid({**record(site), field: value})


def test_there_is_a_record_of_every_published_model(own_site):
    records = (own_site / "docs/catalog/models").glob("*/model.json")
    assert sorted(path.parent.name for path in records) == sorted(list_models())


def test_the_published_record_of_res2next50_has_the_counts_of_the_paper_s_network(own_site):
    found = record(own_site, "res2next50")
    values = {quantity["key"]: quantity["value"] for quantity in found["quantities"]}
    assert (values["parameters"], values["multiply-adds"]) == (24_671_464, 4_172_677_120)
    (published,) = found["published"]
    assert (published["stated"], published["verdict"]) == ("5396798208", "refuted")


def test_settings_that_mean_nothing_are_bad_input(site):
    from cardproof.core.errors import InputError

    configure(site, "    badges: all\n")
    with pytest.raises(InputError, match="badges is 'claims', 'models' or 'none'"):
        load_settings(site / "mkdocs.yml")


def test_a_changed_setting_of_the_site_is_in_the_lists(site):
    (site / "mkdocs.yml").write_text((site / "mkdocs.yml").read_text().replace("site_name: Tiny", "site_name: Tinier"))
    build(site)
    assert json.loads((site / "docs/catalog/models.json").read_text())["site"] == "Tinier"
    assert (site / "docs/llms.txt").read_text().startswith("# Tinier\n")


def test_a_catalog_in_another_folder_leaves_no_old_lists_unchecked(site):
    settings = replace(load_settings(site / "mkdocs.yml"), catalog=Path("docs/other"))
    render(settings, ONE_JOB)
    assert {path.name for path in (site / "docs/other").iterdir()} == LISTS | {"models"}
