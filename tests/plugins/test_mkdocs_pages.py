"""Pages that mkdocs builds: their footer, their picture for shared links, and no empty lines."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mkdocs.commands.build import build
from mkdocs.config import load_config
from PIL import Image
from sites import ONE_JOB, mkdocs, write_site

from cardproof.build import render
from cardproof.core.settings import load_settings
from cardproof.render.output.social import BAR, MARGIN, SIZE, read_verdicts, social_card
from cardproof.render.output.text import add_stamp, minify

THEME = Path(__file__).parents[2] / "templates" / "theme"
CONFIG = f"""site_name: Small
theme:
  name: material
  custom_dir: {THEME}
  font: false
  features: [navigation.footer]
plugins:
- cardproof:
    render: false
"""
SET = """copyright: Licence MIT
repo_url: https://git.example/us/small
edit_uri: edit/main/docs/
extra:
  report_url: https://git.example/us/small/new?title={page}
  release: small 1.2
"""
PAGES = {
    "index.md": "# Small\n",
    "guide/use.md": "# Use\n",
    "models/tiny.md": add_stamp("# Tiny\n", "templates/models/tiny.md"),
    "reference/flops.md": add_stamp("# FLOPs\n", "the code of cardproof"),
}


def footers(folder: Path, settings: str) -> dict[str, dict[str, str]]:
    """Build a site; return the links of each page's footer, and its other words under an empty text."""
    for name, text in PAGES.items():
        path = folder / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "mkdocs.yml").write_text(CONFIG + settings)
    done = mkdocs("build", "--strict", "--quiet", "--config-file", str(folder / "mkdocs.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for name in PAGES:
        address = name.removesuffix("index.md") if name.endswith("index.md") else name.removesuffix(".md") + "/"
        page = (folder / "site" / address / "index.html").read_text()
        links = page[page.index('class="md-copyright') :].split("</ul>")[0]
        words = re.findall(r"<li[^>]*>([^<]+)</li>", links)
        named = {text: address for address, text in re.findall(r'<a href="([^"]*)"[^>]*>([^<]*)</a>', links)}
        found[name] = {**named, "": ", ".join(words), "next": str(page.count("md-footer__link--next"))}
    return found


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    return footers(tmp_path_factory.mktemp("complete"), SET)


def test_every_page_has_licence_version_and_repository(complete):
    for footer in complete.values():
        assert footer[""] == "Licence MIT, small 1.2"
        assert footer["Repository"] == "https://git.example/us/small"


def test_the_edit_link_of_a_model_page_names_the_template_of_its_card(complete):
    edit = {name: footer.get("Edit this page") for name, footer in complete.items()}
    assert edit == {
        "index.md": "https://git.example/us/small/edit/main/docs/index.md",
        "guide/use.md": "https://git.example/us/small/edit/main/docs/guide/use.md",
        "models/tiny.md": "https://git.example/us/small/edit/main/templates/models/tiny.md",
        "reference/flops.md": None,
    }


def test_a_report_of_a_mistake_says_which_page_it_is_about(complete):
    assert complete["models/tiny.md"]["Report a mistake"] == "https://git.example/us/small/new?title=models/tiny/"


def test_a_reader_goes_on_to_the_next_page(complete):
    assert [footer["next"] for footer in complete.values()] == ["1", "1", "1", "0"]


def test_a_footer_has_no_link_that_is_not_set(tmp_path):
    (first, *others) = footers(tmp_path, "").values()
    assert all(footer.keys() == {"", "next"} for footer in (first, *others))
    assert re.fullmatch(r"cardproof \d[\w.]*", first[""])


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


KEPT = ("pre", "textarea", "script", "style")


class Shown(HTMLParser):
    """What a page says: its tags with their attributes, and its text with blanks as a browser shows them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[object] = []
        self.inside = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))
        self.inside += tag in KEPT

    def handle_endtag(self, tag):
        self.found.append(tag)
        self.inside -= tag in KEPT

    def handle_data(self, data):
        self.found.append(data if self.inside else re.sub(r"[ \t\n\r\f]+", " ", data))


BITS = st.sampled_from(["\n", "  ", "\n\n  \n", "a", "é ", "\t\n", "<b>", "</b>", "<p class='x'>", "</p>", "&amp;\n"])
TAGS = st.sampled_from(
    ['<p class="x">', '<p class="x y" id="a">', "<i data-x='a b=\"c\"'>", '<br class="x"/>', '<a href="#x" title="">']
)
WHOLE = st.builds(
    lambda tag, parts: f"<{tag} id=x>{''.join(parts)}</{tag}>",
    st.sampled_from([*KEPT, "PRE"]),
    st.lists(st.sampled_from(["\n", "  x\n\n  y", "1 &lt; 2", "\t"])),
)


@given(st.lists(st.one_of(BITS, TAGS, WHOLE)).map("".join))
def test_a_squeezed_page_shows_the_same(html):
    squeezed = minify(html)
    assert Shown(squeezed).found == Shown(html).found
    assert len(squeezed) <= len(html)
    assert minify(squeezed) == squeezed


def test_a_value_of_one_word_loses_its_quotes_where_nothing_can_be_taken_for_it():
    html = '<p class="x" id="a b"><br class="x"/><a href="a/b" title="">"c"</a><script>x = "<p class=\\"x\\">"</script>'
    assert minify(html) == html.replace('<p class="x" id', "<p class=x id")
    assert minify('<pre><span class="k">a="b"</span></pre>') == '<pre><span class=k>a="b"</span></pre>'


def test_code_keeps_its_lines_and_templates_lose_theirs():
    html = "<ul>\n\n    \n  <li>\n    one\n\n</ul>\n<pre><code>a\n\n    b\n</code></pre>\n\n\n<p>\n  c"
    assert minify(html) == "<ul>\n<li>\none\n</ul>\n<pre><code>a\n\n    b\n</code></pre>\n<p>\nc"


def test_parts_of_a_table_stand_side_by_side_and_text_in_it_does_not_move():
    html = "<table>\n<tr>\n<td> <b>a</b>\n<i>b</i></td>\n<th>x\ny</th>\n</tr>\n</table>"
    assert minify(html) == "<table><tr><td> <b>a</b>\n<i>b</i></td><th>x\ny</th></tr>\n</table>"


def test_a_page_that_is_broken_is_read_once():
    assert minify("<pre" * 100_000 + "\n\n") == "<pre" * 100_000 + "\n\n"
    assert minify('<a b="' * 100_000) == '<a b="' * 100_000


def test_only_generated_pages_are_squeezed(tmp_path, monkeypatch):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    from cardproof.build import render
    from cardproof.core.settings import load_settings

    monkeypatch.chdir(tmp_path)
    site = write_site(tmp_path)
    render(load_settings(site / "mkdocs.yml"), ONE_JOB)
    (site / "docs/index.md").write_text("# Home\n")
    with (site / "mkdocs.yml").open("a") as config:
        config.write("    reference: docs/reference\n")
    (site / "docs/reference").mkdir()
    (site / "docs/reference/index.md").write_text("# Reference\n")
    build(load_config(str(site / "mkdocs.yml")))
    for name in ("models/tiny", "reference"):
        page = (site / "site" / name / "index.html").read_text()
        assert not re.search(r"\n\s*\n", re.sub(r"(?s)<(pre|script|style)\b.*?</\1>", "x", page))
    assert re.search(r"\n\s*\n", (site / "site/index.html").read_text())
