"""Script in addresses and in data files: what the site's scripts read becomes text, never elements."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from cardproof.render.output.files import ASSETS
from shots import served

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAYLOADS = [
    "<img src=x onerror=evil()>",
    '"><script>evil()</script><svg onload=evil()>',
    "javascript:evil()",
    "</option></select><iframe srcdoc='<script>parent.evil()</script>'>",
    "__proto__",
    "constructor",
]
WATCH = "window.evil = () => { window.ran = true; }; window.alert = window.evil;"
LIVE = """() => [
  window.ran,
  document.querySelectorAll("[onerror], [onload], [onclick], iframe, img[src='x']").length,
  [...document.querySelectorAll("a")].filter((link) => /^(javascript|data|vbscript):/.test(link.href)).length,
]"""
ADDRESSES = [
    "models/compare/?name={0}&family={0}&task={0}&data={0}&licence={0}&verdict={0}&sort={0}&x={0}&y={0}&cols={0}",
    "models/compare/?model={0}&min-{0}={0}&max-parameters={0}&{0}={0}#{0}",
    "models/compare/#compare={0}",
    "models/res2next/#{0}",
    "models/res2next/?q={0}&h={0}#evidence-{0}",
    "evidence/?model={0}",
    "guide/#{0}",
]


def is_quiet(page) -> bool:
    return page.evaluate(LIVE) == [None, 0, 0]


@pytest.mark.attack("card", "a link to the site whose query or fragment holds script", "the scripts show it as text")
def test_nothing_in_an_address_becomes_an_element(reader):
    reader.context.add_init_script(WATCH)
    for address in ADDRESSES:
        for payload in PAYLOADS[:2]:
            page = reader.open(address.format(quote(payload, safe="")))
            page.wait_for_load_state("networkidle")
            assert is_quiet(page), (address, payload)


def test_a_fragment_that_is_not_a_text_breaks_nothing(reader):
    page = reader.open("models/res2next/#%")
    page.evaluate("location.hash = '#%E0%A4%A'")
    assert page.locator(".cp-tools button").count() > 1


def hostile(value):
    """Return data with a payload in place of each text that is not a number or a digest."""
    if isinstance(value, dict):
        return {key: hostile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return PAYLOADS[0] if isinstance(value, str) else value


@pytest.fixture
def data_site(tmp_path):
    """Return a site whose data files hold payloads, with the pages that read them."""
    for script in ("compare.js", "evidence.js", "not-found.js"):
        shutil.copy(ASSETS / script, tmp_path)
    record = hostile(json.loads((ROOT / "docs/evidence/res2next_tiny.json").read_text()))
    for evaluation in record["evaluations"]:
        evaluation["confusion"] = ["1 2"] * len(evaluation["confusion"])
    (tmp_path / "m.json").write_text(json.dumps(record))
    models = [
        {
            "name": payload,
            "page": quote(payload),
            "evidence": f"evidence/{quote(payload)}",
            "families": [payload],
            "tasks": [payload],
            "datasets": [payload],
            "licence": payload,
            "verdicts": {payload: 1, "refuted": 1},
            "quantities": {
                key: {"value": number, "text": payload, "verdict": payload, "stated": payload, "better": "less"}
                for key in ("a", "b", "constructor")
            },
        }
        for number, payload in enumerate(PAYLOADS)
    ]
    (tmp_path / "models.json").write_text(json.dumps({"models": models}))
    heads = "".join(
        f"<th data-key={key} {more}>{key}</th>"
        for key, more in (
            ("name", "data-shown"),
            ("families", "data-shown"),
            ("a", "data-shown data-number data-better=less"),
            ("b", "data-shown data-number"),
            ("constructor", "data-number"),
            ("datasets", ""),
            ("tasks", ""),
            ("licence", ""),
            ("verdicts", ""),
        )
    )
    table = f"<table class=cp-list><thead><tr>{heads}</tr></thead><tbody></tbody></table>"
    compare = f"<div class=cp-compare data-total=9 data-models=models.json data-root=./>{table}</div>"
    viewer = "<div class=cp-viewer data-models=models.json data-records=./ data-root=./></div>"
    missing = "<ul class=cp-not-found data-models=models.json data-root=index.html></ul>"
    pages = {"compare": compare, "evidence": viewer, "not-found": missing}
    for script, body in pages.items():
        head = "<!doctype html><meta charset=utf-8><link rel=icon href=data:,>"
        text = f"{head}<title>x</title><body>{body}<script src={script}.js></script>"
        (tmp_path / f"{script}.html").write_text(text)
    with served(tmp_path) as address:
        yield address


@pytest.mark.attack("record", "evidence and models.json with script in every text", "the scripts show it as text")
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("compare.html", "td, th"),
        ("evidence.html", "option"),
        ("evidence.html?model=m", "td"),
        ("not-found.html#constructor", "a"),
    ],
)
def test_nothing_in_a_data_file_becomes_an_element(reader_of, data_site, path, shown):
    reader = reader_of(data_site)
    reader.context.add_init_script(WATCH)
    page = reader.open(path)
    page.locator(shown).first.wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    assert page.locator(shown).count() >= 1
    if "not-found" not in path:
        assert PAYLOADS[0] in page.locator("body").inner_text() or page.locator("option").count() > 1
    assert is_quiet(page)
