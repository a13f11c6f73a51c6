"""The footer of a site: next page, licence, repository, edit and report links, version; each only if it is set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sites import mkdocs

from cardproof.render.output.text import add_stamp

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
