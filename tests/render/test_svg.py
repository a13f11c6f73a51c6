"""Plots and diagrams: where marks and boxes are drawn, which models are compared, and what is read out."""

from __future__ import annotations

import math
import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert

from cardproof.core.measurements import Curve
from cardproof.core.types import Verdict
from cardproof.judge.card_report import ModelRow, Score
from cardproof.render.views.comparison import LEAST_MODELS, MOST_OTHERS, ModelsBySize
from cardproof.render.views.comparison_view import comparison_view
from cardproof.render.views.svg import (
    BOTTOM,
    DIAGRAM_WIDTH,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Mark,
    PlotText,
    axis,
    curves,
    diagram_view,
    pareto_front,
    place_labels,
    scatter,
)
from cardproof.render.views.training import curve_view
from cardproof.zoos import curve_of
from cardproof.zoos.metadata import Box, Diagram, Panel, diagram_of
from res2next.recipes import changed, load_recipe
from res2next.training_log import LogError, LogHeader, read_training_curve, start_log

WORDS = PlotText("p", "A & B", "<d>", "x", ("y",))


def mark(x: float, y: float, name: str = "m", *, own: bool = True, verdict: Verdict = "confirmed") -> Mark:
    return Mark(x, y, name, f"{name} says", f"row-{name}", own, verdict)


def circles(svg: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'translate\(([\d.]+) ([\d.]+)\)"><title>', svg)]


def test_marks_stand_where_their_numbers_are_on_the_axes():
    svg = scatter([mark(2, 70, "a"), mark(4, 80, "b"), mark(6, 75, "c")], WORDS)
    (ax, ay), (bx, by), (cx, cy) = circles(svg)
    assert bx - ax == pytest.approx(cx - bx, abs=1)  # 2, 4, 6 are equally far apart
    assert ay - cy == pytest.approx(cy - by, abs=1)  # 75 is half way from 70 to 80
    assert LEFT < ax < bx < cx < WIDTH - RIGHT
    assert TOP < by < cy < ay < HEIGHT - BOTTOM  # more accuracy is higher


def test_ticks_are_drawn_where_marks_of_their_value_would_be():
    svg = scatter([mark(2, 70), mark(6, 80)], WORDS)
    (x, _), _ = circles(svg)
    ticks = {
        label: float(at) for at, label in re.findall(rf'<text x="([\d.]+)" y="{HEIGHT - BOTTOM + 18}">(\d+)<', svg)
    }
    assert ticks["2"] == x


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.1, 0.35], ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]),
        ([4, 8.4], ["4", "5", "6", "7", "8"]),
        ([100, 2000], ["0", "500", "1000", "1500", "2000"]),
    ],
)
def test_ticks_are_round_numbers_with_as_many_decimals_as_they_need(values, texts):
    found = axis(values, 0, 100)
    assert [found.text(tick) for tick in found.ticks()] == texts


@pytest.mark.parametrize("values", [[5.0], [0.0], [-3.0, -3.0], [1e12, 1e12 + 1], [1e-9]])
def test_an_axis_of_equal_or_extreme_values_shows_them(values):
    found = axis(values, 0, 100)
    assert all(0 <= found.at(value) <= 100 for value in values)
    assert len(found.ticks()) <= 8


def test_the_front_has_the_models_that_no_other_beats():
    assert pareto_front([(2, 70), (3, 69), (3, 75), (4, 75), (5, 80), (2, 65)]) == [(2, 70), (3, 75), (5, 80)]


def test_the_shape_of_a_mark_says_how_its_accuracy_was_checked():
    verdicts = ("confirmed", "refuted", "cited", "disputed", "unchecked")
    svg = scatter([mark(n, n, verdict, verdict=verdict) for n, verdict in enumerate(verdicts)], WORDS)
    shapes = re.findall(r'class="cp-mark cp-own cp-(\w+)" href="#row-(\w+)".*?<(circle|path)', svg)
    assert shapes == [
        ("measured", "confirmed", "circle"),
        ("measured", "refuted", "circle"),
        ("cited", "cited", "circle"),
        ("disputed", "disputed", "path"),
        ("unchecked", "unchecked", "path"),
    ]


def test_labels_cover_neither_marks_nor_one_another():
    centres = [(200.0 + 9 * n, 150.0 + 3 * n) for n in range(6)]
    places = place_labels(centres, ["network_name"] * 6)
    assert places[0] == (190.0, 154.0, "end")
    boxes = []
    for place in places:
        if place:
            x, y, anchor = place
            width = 12 * 7.6
            left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
            boxes.append((left, y - 10, left + width, y + 3))
    assert 1 <= len(boxes) < 6  # there is no room for all
    for n, one in enumerate(boxes):
        assert not any(one[0] < b[0] < one[2] and one[1] < b[1] < one[3] for b in boxes[n + 1 :])
        assert not any(one[0] < x < one[2] and one[1] < y < one[3] for x, y in centres)


def test_texts_of_a_plot_are_escaped():
    evil = "</title></svg><script>alert(1)</script>\"'&"
    svg = scatter([mark(1, 1, evil), mark(2, 2)], PlotText("p", evil, evil, evil, (evil,)))
    assert "<script" not in svg
    assert svg.count("</svg>") == 1
    assert unescape(svg).count(evil) >= 5


def test_title_and_description_belong_to_the_plot():
    svg = curves([[(1, 2.0), (2, 1.0)]], WORDS)
    assert 'aria-labelledby="p-t" aria-describedby="p-d"' in svg
    assert '<title id="p-t">A &amp; B</title><desc id="p-d">&lt;d&gt;</desc>' in svg


def test_a_curve_goes_through_its_numbers():
    svg = curves([[(1, 4.0), (2, 2.0), (3, 1.0)]], WORDS)
    (path,) = re.findall(r'class="cp-line" d="M([^"]*)"', svg)
    points = [tuple(map(float, point.split())) for point in path.split("L")]
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0], abs=1)
    assert points[1][1] - points[0][1] == pytest.approx(2 * (points[2][1] - points[1][1]), abs=2)
    assert points[0][1] < points[1][1]  # the loss falls


def points_of(line: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split() for point in line.split("L"))]


def test_lines_over_the_same_x_are_drawn_one_above_the_other_each_on_an_axis_of_its_own():
    losses, shares = [(1, 4.0), (2, 2.0), (3, 1.0)], [(2, 80.0), (3, 90.0)]
    svg = curves([losses, shares], PlotText("p", "t", "d", "Epoch", ("Loss", "Accuracy")))
    upper, lower = map(points_of, re.findall(r'class="cp-line" d="M([^"]*)"', svg))
    assert [x for x, _ in upper[1:]] == [x for x, _ in lower]
    assert max(y for _, y in upper) < min(y for _, y in lower)
    assert lower[1][1] < lower[0][1]  # more accuracy is higher
    ticks = {text: int(y) for y, text in re.findall(r'class="cp-y" x="62" y="(\d+)">([\d.]+)<', svg)}
    assert ticks["80"] == lower[0][1] + 4
    assert ticks["90"] == lower[1][1] + 4
    labels = dict(reversed(found) for found in re.findall(r"translate\(13 (\d+)\) rotate\(-90\)\">(\w+)<", svg))
    assert int(labels["Loss"]) < int(labels["Accuracy"])


def test_a_long_line_is_drawn_with_some_hundred_points_the_last_included():
    line = [(epoch, 1 / epoch) for epoch in range(1, 1001)]
    (path,) = re.findall(r'class="cp-line" d="M([^"]*)"', curves([line], WORDS))
    assert 200 <= len(points_of(path)) <= 300
    (end,) = re.findall(r'class="cp-line" d="M([^"]*)"', curves([[line[0], line[-1]]], WORDS))
    assert points_of(path)[-1][0] == points_of(end)[-1][0]


LOG = """\
epoch,step,learning_rate,train_loss,images_per_second,held_out_correct,held_out_loss,seconds
1,450,0.1,4.0,128,2500,1.5,450
2,900,0.05,2.0,64,4600,0.4,1800
3,1350,0,1.0,32,4500,0.5,5400
"""


def log_of_three_epochs(tmp_path: Path, held_out: int) -> Path:
    path = tmp_path / "log.csv"
    recipe = changed(load_recipe("res2next_small_fashion_mnist"), ["epochs=3", "hardware=two cores"])
    start_log(path, LogHeader(recipe, "FashionMNIST", "sha256:0", 57_600, held_out, "cpu", 1, {}))
    rows = LOG if held_out else re.sub(r"(?m)(\d),[\d.]+,[\d.]+,\d+$", r"\1,,,", LOG)
    path.write_text(path.read_text() + rows.partition("\n")[2])
    return path


def test_the_course_of_a_training_is_that_of_its_log(tmp_path):
    course = read_training_curve(log_of_three_epochs(tmp_path, 5000))
    assert course.losses == ((1, 4.0), (2, 2.0), (3, 1.0))
    assert course.accuracies == ((1, 0.5), (2, 0.92), (3, 0.9))
    assert course.seconds == 5400
    view = curve_view("m", convert(course, Curve, from_attributes=True))
    assert view
    assert view.summary == (
        "Training took 1.5 hours on two cores. Accuracy on 5,000 training images that "
        "were held out: 90.00 % after epoch 3, the last; 92.00 % after epoch 2, the best."
    )
    loss, accuracy = map(points_of, re.findall(r'class="cp-line" d="M([^"]*)"', view.svg))
    assert loss[1][1] - loss[0][1] == pytest.approx(2 * (loss[2][1] - loss[1][1]), abs=2)
    assert accuracy[0][1] - accuracy[1][1] == pytest.approx(21 * (accuracy[2][1] - accuracy[1][1]), abs=21)
    assert "from 4.000 after epoch 1 to 1.000 after epoch 3. The held-out accuracy goes from 50.00 %" in view.svg


def test_without_held_out_images_a_curve_is_that_of_the_loss_alone(tmp_path):
    course = read_training_curve(log_of_three_epochs(tmp_path, 0))
    assert (course.accuracies, course.held_out) == ((), 0)
    view = curve_view("m", convert(course, Curve, from_attributes=True))
    assert view
    assert view.svg.count("cp-line") == 1
    assert "held" not in view.svg + view.summary


def test_a_log_without_an_epoch_or_with_damaged_numbers_is_an_error(tmp_path):
    path = log_of_three_epochs(tmp_path, 5000)
    whole = path.read_text()
    for text in (whole.partition("\n1,450")[0] + "\n", whole.replace("4600", "many"), whole.replace("5400", "long")):
        path.write_text(text)
        with pytest.raises(LogError, match="is not a log"):
            read_training_curve(path)


def test_a_curve_of_the_page_has_the_epochs_of_the_log():
    page = (Path(__file__).parents[2] / "docs/models/res2next-small.md").read_text()
    curve = curve_of("res2next", "res2next_small")
    assert curve
    view = curve_view("res2next_small", curve)
    assert view
    assert view.svg in page
    assert len(points_of(re.findall(r'class="cp-line" d="M([^"]*)"', view.svg)[0])) == len(curve.losses)


def row(
    name: str, macs: int, accuracy: float, page: str = "a.md", verdict: str = "cited", dataset: str = "ImageNet"
) -> ModelRow:
    return ModelRow(name, name, Path(page), (), {}, macs // 100, macs, scores=(Score(dataset, accuracy, verdict),))


def test_a_page_compares_its_models_with_the_nearest_of_other_pages_on_the_same_data():
    own = [row("own", 10**9, 70)]
    others = [row(f"m{n}", 10**9 + 10**7 * n, 60 + n / 10, "b.md") for n in range(1, 30)]
    strange = row("strange", 10**9, 99, "b.md", dataset="Digits")
    found = ModelsBySize([*own, *reversed(others), strange]).of(own)
    assert [one.name for one in found.others] == [f"m{n}" for n in range(1, MOST_OTHERS + 1)]
    assert found.own == tuple(own)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(41, 10**6), max_size=40, unique=True),
)
def test_the_nearest_are_those_of_a_look_at_all(mine, others):
    own = [row(f"own{macs}", 1000 * macs, 1) for macs in mine]
    rest = [row(f"m{macs}", 100 * macs, 1, "b.md") for macs in others if macs % 10]
    found = ModelsBySize([*rest, *own]).of(own)
    apart = {one.name: min(abs(math.log(one.multiply_adds / two.multiply_adds)) for two in own) for one in rest}
    nearest = sorted(rest, key=lambda one: (apart[one.name], one.name))[:MOST_OTHERS]
    if len(own) + len(nearest) < LEAST_MODELS:
        assert found is None
    else:
        assert [apart[one.name] for one in found.others] == [apart[one.name] for one in nearest]


@pytest.mark.parametrize("rows", [[], [row("a", 1000, 1)], [row("a", 1000, 1), row("b", 1000, 2, "b.md")]])
def test_too_few_models_are_no_comparison(rows):
    assert ModelsBySize(rows).of(rows[:1]) is None


def test_a_comparison_says_which_accuracies_were_measured_and_links_marks_to_rows():
    rows = [row("a", 10**9, 70, verdict="confirmed"), row("b", 2 * 10**9, 71, "b.md"), row("c", 3 * 10**9, 72, "b.md")]
    view = comparison_view(ModelsBySize(rows).of(rows[:1]), Path("a.md"))
    assert (view.measured, [one.name for one in view.rows]) == (1, ["c", "b", "a"])
    assert view.legend == (("●", "measured here"), ("○", "agrees with a published source"))
    assert [one.link for one in view.rows] == ["b.md#c", "b.md#b", "#a"]
    anchors = {one.anchor for one in view.rows}
    for svg in (view.by_multiply_adds, view.by_parameters):
        assert set(re.findall(r'href="#([^"]*)"', svg)) == anchors
    assert "a: 70.00% (confirmed) with 1.00 G multiply-adds" in view.by_multiply_adds
    assert "a: 70.00% (confirmed) with 10.00 M parameters" in view.by_parameters


EVIL = "</text></svg><script>alert(1)</script>"
BOXES = (
    Box("in", y=0, width=2),
    Box("a", y=1),
    Box("+", y=1, x=1, kind="sum"),
    Box("b", y=2, x=1),
    Box("out", y=3, width=2, kind="text"),
)
PANEL = Panel("One", "Said aloud", 2, BOXES, ((0, 1), (1, 2), (2, 3)))


def svg_of(panel: Panel) -> str:
    view = diagram_view(Diagram("Caption", (panel,)))
    assert view
    ((title, svg),) = view.panels
    assert title == panel.title
    return svg


def test_a_panel_has_a_title_and_a_description():
    svg = svg_of(PANEL)
    assert '<title id="block-1-t">One</title><desc id="block-1-d">Said aloud</desc>' in svg
    assert 'role="img" aria-labelledby="block-1-t" aria-describedby="block-1-d"' in svg


def test_boxes_stand_in_their_columns_and_texts_have_no_frame():
    svg = svg_of(PANEL)
    texts = {text: int(x) for x, text in re.findall(r'<text x="(\d+)" y="\d+">([^<]*)<', svg)}
    assert texts == {
        "in": DIAGRAM_WIDTH / 2,
        "a": DIAGRAM_WIDTH / 4,
        "+": 3 * DIAGRAM_WIDTH / 4,
        "b": 3 * DIAGRAM_WIDTH / 4,
        "out": DIAGRAM_WIDTH / 2,
    }
    assert (svg.count("<rect"), svg.count("<circle")) == (3, 1)


def test_an_arrow_goes_down_within_both_boxes_or_from_side_to_side():
    down, across, to_next = re.findall(r'<path d="(M\d+ \d+[VH][^"]*)"', svg_of(PANEL))
    assert down == "M85 31V51"
    assert across.startswith("M166 64H")
    assert to_next == "M255 73V97"


def test_texts_of_a_diagram_are_escaped():
    svg = svg_of(Panel(EVIL, EVIL, 1, (Box(EVIL, y=0),), ()))
    assert "<script" not in svg
    assert svg.count("</svg>") == 1


def test_only_a_built_in_zoo_that_knows_the_model_has_a_diagram():
    assert diagram_of("res2next", "res2next50")
    assert diagram_of("res2next", "resnet50") is None
    assert diagram_of("timm", "res2next50") is None
    assert diagram_of("zoo.py:Zoo", "tiny") is None
    assert diagram_of(None, "tiny") is None
