"""``--dry-run`` and ``--force``: what would be measured and why, and what is measured again when asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from sites import CARD, ONE_JOB, OTHER

from cardproof.build import dry_run_of_render, render
from cardproof.commands.cli import cardproof
from cardproof.core.errors import InputError
from cardproof.core.settings import load_settings
from cardproof.plan.dry_run import dry_run, json_of_dry_run, text_of_dry_run
from cardproof.plan.options import parse_force
from cardproof.read import read_cards


@pytest.fixture
def site(site):
    (site / "templates/models/other.md").write_text(OTHER)
    return site


@pytest.fixture
def rendered(site):
    build(site)
    return site


def settings(site):
    return load_settings(site / "mkdocs.yml")


def build(site, *, force=(), **options):
    return render(settings(site), replace(ONE_JOB, force=parse_force(force)), **options)


def plan(site, **options) -> dict[str, str]:
    return {task.model: task.why for task in dry_run_of_render(settings(site), **options).tasks}


def test_without_records_everything_is_new_and_the_cost_is_a_stated_default(site):
    forecast = dry_run_of_render(settings(site))
    assert [(task.model, task.measure, task.why) for task in forecast.tasks] == [
        ("tiny", "counts", "new"),
        ("tiny_16", "counts", "new"),
    ]
    assert {task.basis for task in forecast.tasks} == {"no measurement yet"}
    assert "2 of them never measured here before" in text_of_dry_run(forecast)


def test_a_dry_run_writes_nothing_and_imports_no_torch(site):
    code = "import sys; sys.modules.update(torch=None, mkdocs=None); from cardproof.commands.cli import main; main()"
    before = sorted(path.name for path in site.rglob("*"))
    command = [sys.executable, "-c", code, "render", "--dry-run", "--json"]
    done = subprocess.run(command, cwd=site, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, report["summary"]["to_measure"], report["summary"]["exit"]) == (0, 2, 0)
    assert sorted(path.name for path in site.rglob("*")) == before


def test_what_is_on_record_is_recalled(rendered):
    forecast = dry_run_of_render(settings(rendered))
    assert [kept.model for kept in forecast.recalled] == ["tiny", "tiny_16"]
    assert not forecast.tasks


def test_what_is_stale_says_what_changed_and_costs_what_it_did(rendered):
    zoo = rendered / "zoo.py"
    zoo.write_text(zoo.read_text().replace("stride=2", "stride=1"))
    forecast = dry_run_of_render(settings(rendered))
    assert {task.why for task in forecast.tasks} == {"stale: the network changed"}
    assert {task.basis for task in forecast.tasks} == {"its last measurement"}
    assert forecast.seconds > 0


def test_a_new_model_costs_the_median_of_the_others(rendered):
    (rendered / "templates/models/more.md").write_text(CARD.replace("Name: tiny\n", "Name: tiny_24\n"))
    (task,) = dry_run_of_render(settings(rendered)).tasks
    assert (task.model, task.why, task.basis) == ("tiny_24", "new", "median of the others")


def test_only_the_chosen_card_is_in_the_plan(site):
    assert plan(site, only=("other",)) == {"tiny_16": "new"}


def test_an_audit_has_a_plan_too_and_recalls_nothing(rendered):
    reading = read_cards([rendered / "templates"])
    forecast = dry_run(reading, settings(rendered), None, {card.file for card in reading.cards}, ())
    assert (len(forecast.tasks), len(forecast.recalled)) == (2, 0)


def test_the_object_has_plan_recalled_impossible_and_summary(rendered):
    data = json.loads(json_of_dry_run(dry_run_of_render(settings(rendered), force=("tiny",))))
    assert list(data) == ["plan", "recalled", "impossible", "summary"]
    assert [(task["model"], task["why"]) for task in data["plan"]] == [("tiny", "forced")]
    assert [kept["model"] for kept in data["recalled"]] == ["tiny_16"]


@pytest.mark.parametrize(
    ("words", "models"),
    [
        (("flops",), {"tiny", "tiny_16"}),
        (("Parameters",), {"tiny", "tiny_16"}),
        (("all",), {"tiny", "tiny_16"}),
        (("tiny_16",), {"tiny_16"}),
        (("results",), set()),
        (("results", "tiny"), {"tiny"}),
    ],
)
def test_force_names_fields_and_models(rendered, words, models):
    assert plan(rendered, force=words).keys() == models


def test_a_forced_model_is_measured_again_and_no_other(rendered):
    run = build(rendered, force=("tiny",))
    assert (run.measured, run.recalled, run.exit) == (1, 1, 0)


@pytest.mark.parametrize("check", [True, False])
def test_what_is_measured_again_and_is_equal_is_not_stale_and_keeps_its_time(rendered, check):
    run = build(rendered, force=("all",), check=check)
    assert (run.measured > 0, run.exit, [change.path for change in run.changes if change.differs]) == (True, 0, [])


@pytest.mark.parametrize(
    ("word", "hint"), [("flop", "did you mean flops"), ("tinny", "did you mean tiny"), ("xyz", "write flops")]
)
def test_force_of_an_unknown_word_is_bad_input_with_what_is_near(site, word, hint):
    for command in ("render", "audit templates"):
        done = CliRunner().invoke(cardproof, [*command.split(), "--force", word])
        assert isinstance(done.exception, InputError)
        assert hint in str(done.exception)


def test_a_model_may_be_forced_while_another_card_alone_is_rendered(rendered):
    assert build(rendered, only=("other",), force=("tiny",)).measured == 0


def test_a_word_that_is_no_field_is_a_model_in_its_own_spelling():
    assert parse_force(["FLOPs", "Tiny"]).words == {"flops", "Tiny"}


def test_an_engine_that_nobody_knows_is_bad_input_even_where_nothing_has_to_be_measured(rendered):
    done = CliRunner().invoke(cardproof, ["render", "--engine", "dask"])
    assert "engine 'dask' is not known" in str(done.exception)
