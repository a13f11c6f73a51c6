"""The shared cases about reading, counts, preprocessing, rendering and snippets, each by its EXPECT.txt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sites import ONE_JOB, copy_case, settings_of

from cardproof.build import audit, render
from cardproof.core.settings import SnippetSettings, parse_tolerance
from cardproof.read import read_cards
from cardproof.report.terminal import json_of


@pytest.fixture
def case(shared, tmp_path, monkeypatch):
    """Return a function that copies a case and makes its folder the working directory."""

    def _case(name: str) -> Path:
        folder = copy_case(shared, name, tmp_path)
        monkeypatch.chdir(folder)
        return folder

    return _case


def run(folder: Path, **options):
    return audit([folder / "card.md"], settings_of(folder, **options), ONE_JOB)


def claims(result) -> dict[str, dict]:
    return {claim["field"]: claim for claim in json.loads(json_of(result))["claims"]}


def findings(result, severity: str = "error") -> list[tuple[str, int]]:
    return [(f.place.file, f.place.line) for f in result.findings if f.severity == severity]


def test_01_swapped_counts_are_two_findings_joined_by_one_hint_and_a_fix_of_both(case):
    result = run(case("01"))
    assert result.exit == 1
    assert findings(result) == [("card.md", 18), ("card.md", 19)]
    found = claims(result)
    assert (found["FLOPs"]["stated"], found["FLOPs"]["found"]) == ("322", 55376)
    assert (found["Parameters"]["stated"], found["Parameters"]["found"]) == ("55376", 322)
    assert all("swapped" in found[field]["explanation"] for field in ("FLOPs", "Parameters"))
    fixes = [(f.fix.line, f.fix.text) for f in result.findings if f.fix]
    assert fixes == [(18, "55376"), (19, "322")]


@pytest.mark.parametrize(
    ("name", "field", "line", "stated", "found", "words"),
    [
        ("02", "FLOPs", 18, "221264", 55376, ["64x64"]),
        ("04", "FLOPs", 18, "69200", 55376, ["32x40"]),
        ("05", "Parameters", 19, "952", 322, ["80"]),
        ("07", "Parameters", 19, "339", 322, ["17", "buffer"]),
        ("08", "Parameters", 19, "321", 322, []),
    ],
)
def test_a_wrong_count_is_refuted_at_its_line_and_explained_exactly(case, name, field, line, stated, found, words):
    result = run(case(name))
    assert result.exit == 1
    assert findings(result) == [("card.md", line)]
    claim = claims(result)[field]
    assert (claim["verdict"], claim["stated"], claim["found"]) == ("refuted", stated, found)
    assert claim["explained"]
    assert all(word in claim["explanation"] for word in words), claim["explanation"]
    assert [f.fix.text for f in result.findings if f.fix] == [str(found)]
    others = {"FLOPs", "Parameters"} - {field}
    assert {claims(result)[other]["verdict"] for other in others} == {"confirmed"}


def test_08_with_a_looser_tolerance_one_below_is_still_a_warning(case):
    result = run(case("08"), tolerances={"parameters": parse_tolerance("2 digits")})
    assert result.exit == 0
    assert claims(result)["Parameters"]["verdict"] == "confirmed"
    assert claims(result)["Parameters"]["allowed"] == "equal at 2 digits"
    assert findings(result, "warning") == [("card.md", 19)]
    assert "int(x * 1e6)" in next(f.hint for f in result.findings if f.severity == "warning")


def test_22_crop_and_interpolation_differ_from_the_configuration(case):
    result = run(case("22"))
    assert findings(result) == [("card.md", 22), ("card.md", 24)]
    found = claims(result)
    assert (found["Crop Pct"]["stated"], found["Crop Pct"]["found"]) == ("0.875", 0.95)
    assert (found["Interpolation"]["stated"], found["Interpolation"]["found"]) == ("bilinear", "bicubic")
    assert found["Image Size"]["verdict"] == "confirmed"


def test_22_a_quoted_number_equals_a_number(case):
    folder = case("22")
    network = folder / "toynet.py"
    network.write_text(network.read_text().replace("crop_pct=0.95", "crop_pct=0.875"))
    assert claims(run(folder))["Crop Pct"]["verdict"] == "confirmed"


def test_26_a_syntax_error_is_reported_at_the_cards_line_and_no_page_is_made(case):
    folder = case("26")
    result = run(folder)
    assert result.exit == 1
    assert [str(f.place) for f in result.findings] == ["card.md:12:20"]
    assert "quoted" in result.findings[0].hint
    built = render(settings_of(folder), ONE_JOB)
    assert built.exit == 2
    assert not (folder / "out").exists()


def test_28_exponents_without_a_dot_are_numbers_with_a_warning_and_a_fix(case):
    result = run(case("28"))
    assert findings(result, "warning") == [("card.md", 25), ("card.md", 26)]
    metadata = json.loads(json_of(result))["models"][0]["metadata"]
    assert (metadata["Weight Decay"], metadata["LR"]) == (0.00001, 0.1)
    assert [f.fix.text for f in result.findings if f.fix] == ["1.0e-5", "1.0e-1"]


def test_29_yaml_1_1_booleans_are_kept_as_text_with_a_warning(case):
    reading = read_cards([case("29") / "card.md"])
    assert [model.name for model in reading.models] == ["no"]
    assert [(f.severity, f.place.line, f.fix.text) for f in reading.findings] == [
        ("warning", 15, "'no'"),
        ("warning", 17, "'no'"),
    ]


def test_35_a_byte_order_mark_changes_nothing_but_is_reported(case):
    folder = case("35")
    reading = read_cards([folder / "card.md", folder / "README.md"])
    assert [model.name for model in reading.models] == ["toynet_8"]
    assert reading.cards[1].header.plain() == {"license": "mit"}
    assert [(f.check, f.severity, f.place.file) for f in reading.findings] == [
        ("byte-order-mark", "warning", "README.md"),
        ("byte-order-mark", "warning", "card.md"),
    ]


def test_38_template_markers_in_code_are_undefined_names_at_the_include(case):
    result = render(settings_of(case("38")), ONE_JOB)
    assert result.exit == 1
    undefined = [f for f in result.findings if f.check == "template"]
    assert [(f.place.file, f.place.line) for f in undefined] == [("code_snippets.md", 2), ("code_snippets.md", 3)]
    assert "'github'" in undefined[0].message
    assert all("raw" in f.hint for f in undefined)
    assert not Path("out").exists()


def test_40_a_block_inside_a_fence_is_an_example(case):
    folder = case("40")
    result = audit([folder / "howto.md"], settings_of(folder), ONE_JOB)
    assert (result.exit, [card.models for card in result.cards], result.findings) == (0, [()], [])


def test_41_a_header_without_an_index_does_not_hide_the_comment(case):
    reading = read_cards([case("41") / "card.md"])
    assert [model.name for model in reading.models] == ["toynet_8"]
    assert not reading.findings


def test_43_models_keyed_by_name_differ_from_a_model_without_a_name(case):
    result = run(case("43"))
    assert result.exit == 1
    assert findings(result) == [("card.md", 6)]
    assert "Models must be a list (or one model)" in result.findings[0].message
    assert "- Name: toynet_8" in result.findings[0].hint


def test_44_an_import_given_as_text_is_a_list_of_one(case):
    reading = read_cards([case("44") / "model-index.yml"])
    assert [model.name for model in reading.models] == ["toynet_8"]
    assert not reading.findings


def test_46_several_collections_are_merged_key_by_key(case):
    reading = read_cards([case("46") / "card.md"])
    assert reading.models[0].metadata.plain() == {"Env": {"os": "linux", "gpu": "none"}, "Training Data": "ToySet"}
    assert not reading.findings


def test_56_a_table_with_a_column_that_no_model_has_is_an_error(case):
    result = render(settings_of(case("56")), ONE_JOB)
    assert result.exit == 1
    assert [(f.place.file, f.place.line) for f in result.findings if f.severity == "error"] == [("index.md", 3)]
    message = result.findings[-1].message
    assert "'Top 2 Accuracy'" in message
    assert "did you mean 'Top 1 Accuracy'" in message


def test_58_a_control_character_is_named_with_its_place(case):
    result = run(case("58"))
    assert result.exit == 1
    assert [str(f.place) for f in result.findings] == ["card.md:12:16"]
    assert "U+0007" in result.findings[0].message
    assert "\x07" not in json_of(result)


# the shared cases of cards whose snippets run, each by its EXPECT.txt, through a whole render


@pytest.fixture
def built(shared, tmp_path, monkeypatch):
    """Return a function that renders a case with its snippets and returns the machine output."""

    def _built(name: str, **options):
        folder = copy_case(shared, name, tmp_path)
        monkeypatch.chdir(folder)
        settings = settings_of(folder, snippets=SnippetSettings(**options))
        return json.loads(json_of(render(settings, ONE_JOB)))

    return _built


def failures(report) -> list[tuple[str, int, str]]:
    return [(f["file"], f["line"], f["message"]) for f in report["findings"] if f["check"] == "snippets"]


@pytest.mark.slow
def test_47_names_that_are_not_defined_fail_the_build_at_the_lines_of_the_include(built):
    report = built("47")
    assert report["summary"]["exit"] == 1
    found = failures(report)
    assert [(file, line) for file, line, _ in found] == [("code_snippets.md", 3), ("code_snippets.md", 7)]
    assert "NameError: name 'true' is not defined" in found[0][2]
    assert "NameError: name 'normalize' is not defined" in found[1][2]
    hints = [f["hint"] for f in report["findings"] if f["check"] == "snippets"]
    assert "write True" in hints[0]
    assert "code_snippets.md" in hints[1]


@pytest.mark.slow
def test_49_an_output_marked_as_an_illustration_is_compared_by_kind(built):
    report = built("49")
    assert (report["summary"]["exit"], report["summary"]["pass"]) == (0, 1)
    assert {finding["severity"] for finding in report["findings"]} <= {"note"}


@pytest.mark.slow
def test_50_a_declared_placeholder_has_a_value_for_the_run_and_stays_on_the_page(built):
    report = built("50", placeholders={"NUM_FINETUNE_CLASSES": 7})
    assert report["summary"]["exit"] == 0
    from pathlib import Path

    assert "NUM_FINETUNE_CLASSES" in Path("out/card.md").read_text()


@pytest.mark.slow
def test_50_without_a_declaration_the_hint_says_to_declare_it(built):
    report = built("50")
    assert report["summary"]["exit"] == 1
    (hint,) = [f["hint"] for f in report["findings"] if f["check"] == "snippets"]
    assert "declare it as a placeholder" in hint


@pytest.mark.slow
def test_59_a_page_is_run_for_its_first_model_and_coverage_says_so(built):
    report = built("59")
    assert [(block["model"], block["output"]) for block in report["blocks"]] == [("toynet_8", "322\n")]
    assert (report["summary"]["exercised"], report["summary"]["models"]) == (1, 2)


@pytest.mark.slow
def test_59_all_models_are_run_when_asked(built):
    report = built("59", models="all")
    outputs = [(block["model"], block["output"]) for block in report["blocks"]]
    assert outputs == [("toynet_8", "322\n"), ("toynet_16", "634\n")]
    assert report["summary"]["exercised"] == 2
