"""Diagrams of blocks: drawn from what the zoo says, with title and description."""

from __future__ import annotations

import re

from cardproof.render.views.diagram import WIDTH, diagram_view
from cardproof.zoos.metadata import Box, Diagram, Panel, diagram_of

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
    assert texts == {"in": WIDTH / 2, "a": WIDTH / 4, "+": 3 * WIDTH / 4, "b": 3 * WIDTH / 4, "out": WIDTH / 2}
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
