"""The picture of a page for shared links: drawn where the site has an address, and named there by it."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mkdocs.commands.build import build
from mkdocs.config import load_config
from PIL import Image
from sites import ONE_JOB, write_site

from cardproof.build import render
from cardproof.core.settings import load_settings
from cardproof.render.output.social import BAR, MARGIN, SIZE, read_verdicts, social_card

THEME = Path(__file__).parents[2] / "templates/theme"


def picture(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    assert (image.format, image.size) == ("PNG", SIZE)
    return image.convert("RGB")


def test_the_bar_is_divided_as_the_verdicts_are():
    image = picture(social_card("Zoo", "Tiny", "A network.", {"confirmed": 3, "refuted": 1}))
    row = [image.getpixel((x, SIZE[1] - 130 + BAR // 2)) for x in range(SIZE[0])]
    colours = [colour for x, colour in enumerate(row) if colour != row[0]]
    first, last = colours[0], colours[-1]
    assert first[1] > first[0]  # green
    assert last[0] > last[1]  # red
    assert colours.count(first) / colours.count(last) == pytest.approx(3, rel=0.02)
    assert len(colours) == pytest.approx(SIZE[0] - 2 * MARGIN, abs=2)


@settings(max_examples=15)
@given(st.text(max_size=300), st.text(max_size=900), st.dictionaries(st.sampled_from(["cited"]), st.integers(1, 9)))
def test_any_words_can_be_drawn_and_nothing_leaves_the_margin(title, description, verdicts):
    image = picture(social_card(title, title, description, verdicts))
    paper = (255, 255, 255)
    assert {image.getpixel((SIZE[0] - MARGIN // 4, y)) for y in range(SIZE[1])} == {paper}


def test_a_page_without_a_panel_has_no_verdicts():
    assert read_verdicts("# A page") == {}


def test_a_site_with_an_address_has_a_picture_of_each_model_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    site = write_site(tmp_path)
    render(load_settings(site / "mkdocs.yml"), ONE_JOB)
    (site / "docs/index.md").write_text("# Home\n")
    text = (site / "docs/models/tiny.md").read_text()
    assert read_verdicts(text) == {"confirmed": 3}
    theme = {"name": "material", "custom_dir": str(THEME), "font": False}
    for urls, picture_path in ((True, "models/tiny/index.png"), (False, "models/tiny.png")):
        config = load_config(
            str(site / "mkdocs.yml"), site_url="https://zoo.example/cards/", theme=theme, use_directory_urls=urls
        )
        build(config)
        page = (site / "site" / picture_path).with_suffix(".html").read_text()
        assert (
            re.search(r'property="?og:image"? content="?([^">\s]+)', page)[1]
            == f"https://zoo.example/cards/{picture_path}"
        )
        picture((site / "site" / picture_path).read_bytes())
    assert "og:image" not in (site / "site/index.html").read_text()


def test_without_an_address_none_is_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    site = write_site(tmp_path)
    render(load_settings(site / "mkdocs.yml"), ONE_JOB)
    build(load_config(str(site / "mkdocs.yml")))
    assert not list((site / "site/models").rglob("*.png"))
