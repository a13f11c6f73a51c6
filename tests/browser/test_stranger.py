"""A stranger's first five minutes on a site of published cards, which are wrong as published."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest
from sites import cardproof, mkdocs

from shots import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

CARDS = ("densenet", "mobilenet-v3", "regnetx", "res2next")
CONFIG = """site_name: Published cards
theme: {name: material, font: false, features: [content.code.copy]}
plugins:
- search
- cardproof: {zoo: timm, catalog: docs/catalog, snippets: {run: true, preload: [torch]}}
markdown_extensions:
- admonition
- attr_list
- md_in_html
- tables
- pymdownx.details
- pymdownx.superfences
- pymdownx.tabbed: {alternate_style: true}
"""
SNIPPET = """## Use it

```python
import timm

model = timm.create_model("{{ model_name }}", pretrained=False).eval()
print(type(model).__name__)
```
"""
ROWS = """rows => {
  const heads = [...document.querySelectorAll("table.cp-list th[data-key]")].map((head) => head.dataset.key);
  const number = (row, key) => Number(row.cells[heads.indexOf(key)].dataset.value);
  return rows.map((row) => [
    row.cells[0].textContent,
    number(row, "multiply-adds"),
    number(row, "top-1-accuracy-on-imagenet"),
  ]);
}"""
COMPARE = "# Compare\n\n{{ compare_table() }}\n"


@pytest.fixture(scope="module")
def zoo(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site of published cards, proved and built."""
    pytest.importorskip("timm")
    folder = tmp_path_factory.mktemp("zoo")
    models = folder / "templates" / "models"
    models.mkdir(parents=True)
    for name in CARDS:
        shutil.copy(shared / "corpora" / "timm-model-templates" / f"{name}.md", models)
    (folder / "templates" / "code_snippets.md").write_text(SNIPPET)
    (models / "compare.md").write_text(COMPARE)
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text("# Cards\n\n[Compare all models](models/compare.md)\n")
    (folder / "mkdocs.yml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert cardproof("render", "--quiet").returncode == 1  # claims of published cards are refuted
        built = mkdocs("build", "--strict")
    assert built.returncode == 0, built.stderr
    with served(folder / "site") as address:
        yield address


def test_five_minutes(reader_of, zoo):
    reader = reader_of(zoo)
    page = reader.open("")
    page.get_by_role("link", name="Compare all models").first.click()

    # the most accurate model under 3 G multiply-adds
    page.locator("summary", has_text="Ranges").click()
    page.locator("input[name='max-multiply-adds']").fill("3 G")
    page.locator("th[data-key='top-1-accuracy-on-imagenet'] button").click()
    page.wait_for_function("location.search.includes('max-multiply-adds') && location.search.includes('sort')")
    rows = page.locator("table.cp-list tbody tr")
    found = rows.evaluate_all(ROWS)
    assert len(found) > 5
    assert all(count <= 3e9 for _, count, _ in found)
    assert found[0][2] == max(top for _, _, top in found)
    best = found[0][0].strip()
    rows.first.locator("a").first.click()
    page.wait_for_url(re.compile(re.escape(f"#{best}")))

    # copy its loading snippet
    block = page.locator(".highlight", has_text="create_model").first
    block.hover()
    block.locator(".md-code__button, .md-clipboard").first.click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.includes('create_model'))")

    # why one of its claims is refuted
    page.goto(f"{page.url.partition('#')[0]}#{best}-flops")
    claim = page.locator(f"[id='{best}-flops']")
    claim.wait_for(state="visible")
    row = page.locator(".cp-claims tr:has(+ .cp-more)")
    assert row.locator("td b").first.text_content() == "Refuted"
    assert "non-square" in claim.text_content()
    assert page.locator(".cp-more dl").first.is_visible()

    # download its evidence
    link = page.locator(f"a[href$='{best}.json']").first
    record = json.loads(page.request.get(link.evaluate("a => a.href")).body())
    assert record["model"] == best
    assert record["counts"]["multiply_adds"] == found[0][1]

    # cite it: the author's own entry, which the page does not repeat
    entry = page.locator(".highlight", has_text="@").last
    entry.hover()
    entry.locator(".md-code__button, .md-clipboard").first.click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.includes('@'))")
