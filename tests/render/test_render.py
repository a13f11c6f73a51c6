"""Rendering a site: what is written, what is left alone, and what stops it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html import unescape
from typing import Any

import pytest
from report_runs import claim_rows
from sites import CARD, MULTIPLY_ADDS, ONE_JOB, PARAMETERS, write_site

from cardproof.build import render
from cardproof.core.errors import InputError
from cardproof.core.json import TamperedError
from cardproof.core.settings import load_settings
from cardproof.evidence.records import load_record
from cardproof.render.output.files import ERROR_PAGE_SCRIPTS, SCRIPTS, STYLES


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_site(tmp_path)


def run(site, **options):
    return render(load_settings(site / "mkdocs.yml"), ONE_JOB, **options)


def snapshot(folder):
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def claims(result) -> list[dict[str, Any]]:
    return claim_rows(result)


def statuses(result) -> dict[str, str]:
    return {change.path.name: change.status for change in result.changes}


def test_a_render_writes_a_page_and_evidence_with_the_counts_of_the_network(site):
    result = run(site)
    assert result.exit == 0
    assert statuses(result) == {
        "tiny.md": "new",
        "tiny.json": "new",
        **dict.fromkeys((*STYLES, *SCRIPTS, *ERROR_PAGE_SCRIPTS), "new"),
    }
    evidence = load_record(site / "docs/evidence/tiny.json")
    assert (evidence.counts.parameters, evidence.counts.multiply_adds) == (PARAMETERS, MULTIPLY_ADDS)
    page = (site / "docs/models/tiny.md").read_text()
    assert "name = 'tiny'" in page
    assert "55,376" in page
    assert "[Evidence file](../evidence/tiny.json)" in page
    assert "<!--\nType: model-index" not in page.split("## Source of this page")[0]


def test_a_second_render_measures_nothing_and_touches_no_file(site):
    run(site)
    before = snapshot(site)
    result = run(site)
    assert (result.measured, result.recalled, result.exit) == (0, 1, 0)
    assert (result.remembered, result.changes) == (1, [])
    assert result.files == 2 + len((*STYLES, *SCRIPTS, *ERROR_PAGE_SCRIPTS))
    assert snapshot(site) == before


def test_a_refuted_claim_is_on_the_page_with_both_values_and_the_exit_status_is_one(site):
    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("FLOPs: 55376", "FLOPs: 110752"))
    result = run(site)
    assert result.exit == 1
    assert [(str(f.place), f.check) for f in result.findings] == [("templates/models/tiny.md:15:12", "flops")]
    page = (site / "docs/models/tiny.md").read_text()
    assert '!!! failure "FLOPs of tiny does not hold"' in page
    assert "**110,752**; measured: **55,376**" in page
    assert "twice the multiply-adds" in page.lower()


def test_check_writes_nothing_and_passes_on_a_fresh_site(site):
    run(site)
    before = snapshot(site)
    assert run(site, check=True).exit == 0
    assert snapshot(site) == before


def test_check_fails_on_a_site_that_was_never_rendered_and_writes_nothing(site):
    before = snapshot(site)
    assert run(site, check=True).exit == 1
    assert snapshot(site) == before


def test_check_calls_a_page_stale_after_its_template_changed(site):
    run(site)
    card = site / "templates/models/tiny.md"
    card.write_text(card.read_text().replace("one convolution", "a single convolution"))
    result = run(site, check=True)
    assert (result.exit, statuses(result)["tiny.md"]) == (1, "changed")
    diff = next(change for change in result.changes if change.differs).diff("tiny.md")
    assert "-A network of one convolution.\n+A network of a single convolution.\n" in diff


def test_check_names_a_page_that_was_edited_by_hand(site):
    run(site)
    page = site / "docs/models/tiny.md"
    page.write_text(page.read_text().replace("55,376", "55,377"))
    result = run(site, check=True)
    assert (result.exit, statuses(result)["tiny.md"]) == (1, "edited")
    assert [(str(f.place), f.check) for f in result.findings] == [("docs/models/tiny.md:1:1", "hand-edit")]


def test_an_edited_page_is_rendered_anew_and_named(site):
    run(site)
    page = site / "docs/models/tiny.md"
    original = page.read_text()
    page.write_text(original + "more\n")
    result = run(site)
    assert page.read_text() == original
    assert result.exit == 0


def test_a_record_edited_by_hand_is_noticed_and_measured_again(site):
    run(site)
    record = site / "docs/evidence/tiny.json"
    record.write_text(record.read_text().replace('"parameters": 322', '"parameters": 323'))
    with pytest.raises(TamperedError):
        load_record(record)
    result = run(site)
    assert result.measured == 1
    assert [f.check for f in result.findings] == ["evidence"]
    assert load_record(record).counts.parameters == PARAMETERS


def test_evidence_is_stale_when_the_network_changes(site):
    run(site)
    zoo = site / "zoo.py"
    zoo.write_text(zoo.read_text().replace("stride=2", "stride=1"))
    result = run(site)
    assert result.measured == 1
    assert result.exit == 1
    (claim,) = [claim for claim in claims(result) if claim["verdict"] == "refuted"]
    assert (claim["field"], claim["found"]) == ("FLOPs", 32 * 32 * 8 * 27 + 80)


def test_pages_and_evidence_whose_template_is_gone_are_removed_and_hand_written_pages_stay(site):
    run(site)
    other = site / "templates/models/other.md"
    other.write_text(CARD.replace("Name: tiny\n", "Name: tiny_16\n").replace("322", "634").replace("55376", "110752"))
    run(site)
    hand = site / "docs/models/hand.md"
    hand.write_text("# By hand\n")
    other.unlink()
    result = run(site)
    assert statuses(result)["other.md"] == statuses(result)["tiny_16.json"] == "removed"
    assert sorted(p.name for p in (site / "docs").rglob("*.*") if p.parent.name != "assets") == [
        "hand.md",
        "tiny.json",
        "tiny.md",
    ]


def test_only_renders_one_card_and_removes_nothing(site):
    other = site / "templates/models/other.md"
    other.write_text(CARD.replace("Name: tiny\n", "Name: tiny_16\n").replace("322", "634").replace("55376", "110672"))
    run(site)
    other.unlink()
    assert not any(change.differs for change in run(site, only=("tiny",)).changes)
    assert (site / "docs/models/other.md").is_file()


def test_only_with_an_unknown_name_is_bad_input_that_lists_the_known_ones(site):
    with pytest.raises(InputError, match="there is tiny"):
        run(site, only=("tyni",))


def test_broken_yaml_leaves_the_old_site_whole_and_exits_with_two(site):
    run(site)
    before = snapshot(site / "docs")
    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("Name: Tiny", "Name: Tiny: net"))
    result = run(site)
    assert result.exit == 2
    assert [str(f.place) for f in result.findings] == ["templates/models/tiny.md:10:13"]
    assert snapshot(site / "docs") == before


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("{{ nothing }}", 3, "'nothing' is undefined"),
        ("{{ }}", 3, "syntax"),
        ("{% include 'none.md' %}", 3, "'none.md' is not found"),
        ("{{ 1 / 0 }}", 3, "division by zero"),
        ("{{ model_table.__globals__ }}", 3, "unsafe"),
        ("{{ model_name.nothing }}", 3, "nothing"),
        ("{% for x in range(999999999) %}{% endfor %}", 3, "range"),
    ],
)
def test_what_a_template_cannot_do_is_an_error_at_its_line_and_no_page_is_written(site, text, line, words):
    (site / "templates/models/tiny.md").write_text(CARD.replace("A network of one convolution.", text))
    result = run(site)
    assert result.exit == 1
    (finding,) = result.findings
    assert (finding.place.file, finding.place.line, finding.check) == ("templates/models/tiny.md", line, "template")
    assert words in finding.message
    assert [path.name for path in (site / "docs").iterdir()] == ["evidence"]  # what was measured is kept


def test_errors_of_all_templates_are_reported_together(site):
    models = site / "templates/models"
    (models / "a.md").write_text("{{ one }}\n\n{{ two }}\n")
    (models / "b.md").write_text("{{ three }}\n")
    places = [(f.place.file, f.place.line) for f in run(site).findings]
    assert places == [("templates/models/a.md", 1), ("templates/models/a.md", 3), ("templates/models/b.md", 1)]


def test_values_of_cards_are_text_on_the_page_whatever_they_hold(site):
    evil = "<script>alert(1)</script> | **b** `c` [l](javascript:x) ![i](y) &amp; {: .k }"
    card = CARD.replace("Image Size: '32'", f"Image Size: '32'\n    Note: '{evil}'\n    '<img src=x>': 1")
    (site / "templates/models/tiny.md").write_text(card)
    run(site)
    page = (site / "docs/models/tiny.md").read_text().split("## Source of this page")[0]
    assert "<script>" not in page
    assert "<img" not in page
    html = _html(page)
    assert "<script" not in html
    assert "javascript:x" not in [part.split('"')[0] for part in html.split('href="')[1:]]
    assert evil in unescape(html)


def test_the_source_block_holds_code_fences_of_the_index_itself(site):
    note = "    Note: |\n      ```python\n      x\n      ```\n      ````"
    card = CARD.replace("Image Size: '32'", f"Image Size: '32'\n{note}")
    (site / "templates/models/tiny.md").write_text(card)
    run(site)
    source = (site / "docs/models/tiny.md").read_text().split("## Source of this page")[1]
    assert "    `````text\n" in source


def test_a_template_without_an_index_becomes_a_plain_page_that_may_hold_tables(site):
    (site / "templates/models/index.md").write_text("# All\n\n{{ model_table('Tiny', columns=['Parameters']) }}\n")
    run(site)
    lines = (site / "docs/models/index.md").read_text().splitlines()
    assert lines[2] == "| Model | Parameters |"
    mark = '<i class="cp-mark cp-confirmed">confirmed</i>'
    assert lines[4] == f"| [<code>tiny</code>](tiny.md#tiny) | 322 {mark} |"


def test_a_table_of_an_unknown_collection_is_an_error(site):
    (site / "templates/models/index.md").write_text("# All\n\n{{ model_table('tiny') }}\n")
    (finding,) = run(site).findings
    assert "no model is in collection 'tiny' (did you mean 'Tiny'?)" in finding.message


def test_a_site_may_replace_a_block_of_the_layout(site):
    layout = '{% extends "cardproof/page.md" %}{% block source %}Made by {{ page.template }}{% endblock %}'
    (site / "templates/page.md").write_text(layout)
    run(site)
    page = (site / "docs/models/tiny.md").read_text()
    assert "Made by templates/models/tiny.md" in page
    assert "Source of this page" not in page


def test_a_header_of_the_card_is_the_header_of_the_page(site):
    (site / "templates/models/tiny.md").write_text("---\ntitle: 'My: title'\nhide: [toc]\n---\n" + CARD)
    run(site)
    assert (site / "docs/models/tiny.md").read_text().startswith("---\ntitle: 'My: title'\nhide: [toc]\n---\n")


def test_a_value_published_elsewhere_is_explained_and_not_counted(site):
    card = CARD.replace(
        "  Metadata:\n",
        "  Published Elsewhere:\n  - {Field: FLOPs, Value: 69200, Source: An old table}\n  Metadata:\n",
    )
    (site / "templates/models/tiny.md").write_text(card)
    result = run(site)
    assert result.exit == 0
    assert len(claims(result)) == 3
    page = (site / "docs/models/tiny.md").read_text()
    assert "An old table states **69,200**; the network has **55,376**." in page
    assert "32x40" in page


def test_an_unknown_model_is_an_error_and_its_claims_are_unchecked(site):
    (site / "templates/models/tiny.md").write_text(CARD.replace("Name: tiny\n", "Name: tinny\n"))
    result = run(site)
    assert result.exit == 1
    assert [(f.check, f.place.line) for f in result.findings] == [("unknown-model", 12)]
    assert {claim["verdict"] for claim in claims(result)} == {"unchecked"}
    assert all("no model tinny" in claim["reason"] for claim in claims(result))


def test_a_model_that_two_cards_define_is_one_error_that_names_both(site):
    (site / "templates/models/again.md").write_text(CARD)
    duplicates = [f for f in run(site).findings if f.check == "duplicate-model"]
    assert [str(f.place) for f in duplicates] == ["templates/models/tiny.md:12:9"]
    assert "templates/models/again.md:12:9" in duplicates[0].message


def test_the_bytes_do_not_depend_on_hash_seed_locale_or_time_zone(site):
    run(site)
    before = snapshot(site / "docs")
    for seed, zone, language in (("1", "Asia/Tokyo", "C"), ("2", "America/Lima", "de_DE.UTF-8")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": language}
        command = [sys.executable, "-m", "cardproof", "render", "--check", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["summary"]["changed"] == 0
    assert snapshot(site / "docs") == before


def test_a_render_that_is_stopped_while_it_writes_leaves_no_temporary_file(site, monkeypatch):
    from pathlib import Path

    run(site)
    before = snapshot(site / "docs")
    card = site / "templates/models/tiny.md"
    card.write_text(card.read_text().replace("one convolution", "a single convolution"))
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(site)
    assert snapshot(site / "docs") == before


def _html(text: str) -> str:
    from markdown import markdown

    extensions = ["admonition", "attr_list", "md_in_html", "tables", "pymdownx.details", "pymdownx.superfences"]
    return markdown(text, extensions=extensions)
