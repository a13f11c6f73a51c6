"""Model pages lose their empty lines, and nothing that a browser shows."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from sites import ONE_JOB, write_site

from cardproof.render.output.text import minify

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
