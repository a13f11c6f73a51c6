"""The functions of the site's own scripts that need no page: addresses, numbers, filters, downloads, names of files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cardproof.evidence.records import file_name

ASSETS = Path(__file__).parents[2] / "tools/cardproof/render/assets"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(not NODE, reason="node is absent; the browser's tests run the same scripts on the site")

COLUMNS = [
    {"key": "name", "number": False, "shown": True},
    {"key": "families", "number": False, "shown": True},
    {"key": "multiply-adds", "number": True, "better": "less", "shown": True},
    {"key": "parameters", "number": True, "better": "less", "shown": False},
    {"key": "top-1", "number": True, "better": "more", "shown": True},
]
NONE = {"confirmed": 0, "cited": 0, "disputed": 0, "refuted": 0, "unchecked": 0}


def model(name: str, cost: float, result: float | None = None, family: str = "A", **verdicts: int):
    numbers = {"multiply-adds": cost} | ({} if result is None else {"top-1": result})
    texts = {"families": [family], "tasks": [], "datasets": [], "licence": []}
    search = f"{name} {family}".lower()
    return {
        "name": name,
        "link": f"x/{name}",
        "numbers": numbers,
        "texts": texts,
        "verdicts": NONE | verdicts,
        "search": search,
    }


MODELS = [model("a", 3e9, 78.0), model("b10", 1e9, 70.0, "B", refuted=2), model("b9", 4e9, 77.0, "B"), model("c", 2e9)]


def js(script: str, expression: str, **values):
    """Return what an expression over a script's functions gives, as JSON."""
    lines = [f"require({str(ASSETS / f'{script}.js')!r});"]
    lines += [f"const {name} = {json.dumps(value)};" for name, value in values.items()]
    lines += [f"const all = globalThis.cardproof; process.stdout.write(JSON.stringify({expression}) ?? 'null');"]
    done = subprocess.run([str(NODE), "-e", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def parse(query: str):
    return js("compare", "all.compare.parseState(query, columns)", query=query, columns=COLUMNS)


def write(state) -> str:
    return js("compare", "all.compare.formatState(state, columns)", state=state, columns=COLUMNS)


def names(**changes) -> list[str]:
    state = parse("") | changes
    return js("compare", "all.compare.select(models, state).map((m) => m.name)", models=MODELS, state=state)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "name=26w&family=A+%26+B&verdict=refuted&sort=-top-1",
        "min-multiply-adds=1G&max-top-1=80%25",
        "x=parameters&y=multiply-adds&log=xy",
        "cols=name,parameters",
        "model=a&model=b,c",
        "name=%3Cscript%3E",
    ],
)
def test_an_address_stands_for_one_state_and_back(query):
    assert write(parse(query)) == query


@pytest.mark.parametrize(
    "query", ["sort=none", "x=name", "min-none=3", "min-top-1=abc", "log=q", "min-__proto__=1", "other=1"]
)
def test_what_an_address_cannot_mean_is_left_out(query):
    assert write(parse(query)) == ""
    assert js("compare", "({}).polluted === undefined && Object.keys(all.compare).length > 5") is True


def test_a_plot_starts_with_the_first_result_against_multiply_adds():
    state = parse("")
    assert (state["x"], state["y"]) == ("multiply-adds", "top-1")


@pytest.mark.parametrize(
    ("text", "value"),
    [("3G", 3e9), ("25 M", 25e6), ("78.2%", 78.2), ("1,5k", 1500), ("-2", -2), ("", None), ("G", None), ("1e9", None)],
)
def test_numbers_of_ranges_may_have_prefixes(text, value):
    assert js("compare", "all.compare.parseNumber(text)", text=text) == value


def test_filters_and_ranges_choose_models():
    assert names(family="B") == ["b10", "b9"]
    assert names(verdict="refuted") == ["b10"]
    assert names(max={"multiply-adds": "3G"}) == ["a", "b10", "c"]
    assert names(min={"top-1": "77%"}) == ["a", "b9"]  # a model without the number is in no range of it
    assert names(name="b 1") == ["b10"]
    assert names(models=["c", "a", "none"]) == ["a", "c"]


def test_models_are_sorted_by_number_and_name_and_those_without_a_value_come_last():
    assert names(sort="top-1") == ["b10", "b9", "a", "c"]
    assert names(sort="-top-1") == ["a", "b9", "b10", "c"]
    assert names(sort="name") == ["a", "b9", "b10", "c"]
    assert names(sort="-verdicts") == ["b10", "a", "b9", "c"]


def test_the_pareto_front_has_the_models_that_no_other_beats_on_both():
    expression = "all.compare.paretoFront(models, x, y).map((m) => m.name)"
    cost, result = COLUMNS[2], COLUMNS[4]
    found = js("compare", expression, models=[m for m in MODELS if "top-1" in m["numbers"]], x=cost, y=result)
    assert found == ["b10", "a"]


def test_downloads_have_what_is_shown_and_no_formula():
    columns = [COLUMNS[0], COLUMNS[2]]
    evil = [model('=1+1,"x"', 5), model("a", 2.5)]
    text = js("compare", "all.compare.toCsv(models, columns)", models=evil, columns=columns)
    assert text == 'name,multiply-adds\n"\'=1+1,""x""",5\na,2.5\n'
    found = json.loads(js("compare", "all.compare.toJson(models, columns)", models=evil, columns=columns))
    assert found[0] == {"name": '=1+1,"x"', "multiply-adds": 5, "page": 'x/=1+1,"x"'}


@pytest.mark.parametrize(("low", "high"), [(3.2, 8.7), (77, 81.5), (0, 1e10), (0.001, 0.0042), (5, 5.0001)])
def test_marks_of_an_axis_are_round_and_within_it(low, high):
    marks = js("compare", "all.compare.ticks(low, high, false)", low=low, high=high)
    assert 3 <= len(marks) <= 8
    assert all(low <= mark <= high for mark in marks)
    assert js("compare", "all.compare.ticks(1e6, 1e10, true)") == [1e6, 1e7, 1e8, 1e9, 1e10]


@pytest.mark.parametrize("name", ["res2next50", "a.b-c_d", "x" * 100, "x" * 101, ".hidden", "a b", "../up", "<b>", "é"])
def test_the_viewer_finds_the_file_that_a_record_has(name):
    found = js("evidence", "all.evidence.recordFile(name)", name=name)
    assert found == (f"{name}.json" if file_name(name) == f"{name}.json" else None)


def test_a_way_of_counting_is_described_in_words():
    way = {
        "field": "flops", "stated": 8, "value": 8, "exact": True, "input": [224, 285], "factor": "2", "classes": None,
        "counted": ["batch norm"], "left_out": ["classifier"], "note": "",
    }  # fmt: skip
    said = js("evidence", "all.evidence.wayOf(way)", way=way)
    assert (
        said == "exactly 8: 2 times the multiply-adds of a 224x285 input with batch norm counted and without classifier"
    )


def test_a_missing_address_suggests_models_of_like_names():
    models = [{"name": name} for name in ("res2next50", "res2net50_26w_4s", "dla60_res2net")]
    found = js("not-found", "all.notFound.suggest('/models/res2next-50/', models).map((m) => m.name)", models=models)
    assert found[0] == "res2next50"
    assert js("not-found", "all.notFound.suggest('/zzz/', models)", models=models) == []
