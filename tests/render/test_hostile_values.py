"""Script in pages: 35 payloads in every field of a card and in names of files, as readers get them from MkDocs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sites import ONE_JOB, mkdocs

from cardproof.build import render
from cardproof.core.settings import load_settings
from cardproof.render.output.text import is_expanded

PAYLOADS = [
    "<script>evil()</script>",
    "</script><script>evil()</script>",
    "<img src=x onerror=evil()>",
    '"><img src=x onerror=evil()>',
    "'><svg onload=evil()>",
    "<svg/onload=evil()>",
    "</svg><svg onload=evil()></svg>",
    "</code></td></table><script>evil()</script>",
    "</title><script>evil()</script>",
    "</textarea><script>evil()</script>",
    "--><script>evil()</script><!--",
    "--!><img src=x onerror=evil()>",
    "<iframe src='javascript:evil()'></iframe>",
    "<iframe srcdoc='<script>evil()</script>'>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv=refresh content='0;url=javascript:evil()'>",
    "<form action=javascript:evil()><button>evil</button></form>",
    "<object data='javascript:evil()'></object>",
    "<a href='java\tscript:evil()'>evil</a>",
    "<math href='javascript:evil()'>evil</math>",
    "[evil](javascript:evil())",
    "[evil](data:text/html;base64,ZXZpbA==)",
    "![evil](vbscript:evil)",
    "[evil]: javascript:evil() 'evil'",
    "<javascript:evil()>",
    "evil](javascript:evil()) [x",
    "evil {: onclick=evil() style=evil #evil .evil }",
    "{: onmouseover='evil()' }",
    "`evil` ``` evil ~~~",
    "# evil",
    '--8<-- "evil-secret.txt"',
    "{{ evil }} {% evil %} {# evil #}",
    "| evil | **evil** _evil_ ~~evil~~ ^^evil^^ :smile: |",
    "&lt;script&gt;evil()&lt;/script&gt; &#60;img src=x onerror=evil()&#62;",
    "=cmd|' /C evil'!A0 \" onfocus=evil() autofocus x=\"",
]
SECRET = "the text of a file that no page includes"

NAMES = [
    "x](javascript:evil()) [y",
    'a" onmouseover="evil() b',
    "a' onfocus='evil()",
    "{: onclick=evil() }",
    "javascript:evil()",
    "data:text,evil",
    "{{ evil }}",
    "{% raw %}",
    "`evil`",
    "evil # x",
    "evil ? x",
    "a & b &lt;img src=x onerror=evil()&gt;",
    "-- --!- evil",
    "| evil |",
    "=evil",
    "evil __x__ *y*",
    "%3Cscript%3Eevil()%3C%2Fscript%3E",
]
REFUSED = ["<img src=x onerror=evil()>", "<svg onload=evil()>", "evil\n\n# evil", "evil\x1b[31m", "evil\u202e"]

ZOO = '''
"""A zoo of one small network for every name; a second one fails with the name in its message."""

from torch import nn

class Zoo:
    def build(self, name):
        if name.startswith("fails "):
            raise LookupError(f"no model {name}")
        return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                             nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))

    def preprocessing(self, name):
        return {"image_size": 32, "crop_pct": 0.875, "interpolation": "bilinear", "mean": (0.5,) * 3}

    def recipe(self, name):
        name = name.removeprefix("fails ")
        return {"name": name, "source": name, "lr": name, "batch_size": name, "techniques": (name,)}
'''
CONFIG = """site_name: Tiny
theme: {name: material, font: false}
extra: {generator: false}
plugins:
- search
- cardproof:
    zoo: zoo.py:Zoo
    render: false
    catalog: docs/catalog
    cited: cited.yml
    snippets: {run: true}
markdown_extensions:
- admonition
- attr_list
- md_in_html
- tables
- toc: {permalink: true}
- pymdownx.details
- pymdownx.highlight
- pymdownx.snippets: {base_path: [.]}
- pymdownx.superfences
- pymdownx.tabbed: {alternate_style: true}
"""
HEAD = """First.

{{ models[0].name | md }} has {{ model_name | code }} and <b title="{{ model_name | html }}">bold</b>.

"""
COLLECTION = """- Name: {value}
  Metadata: {{Training Data: {value}, Training Techniques: [{value}], {value}: {value}}}
  Paper: {{Title: {value}, URL: {value}, Authors: [{value}, "A, B"], Year: {value}, Journal: {value}, DOI: {value}}}
"""
MODELS = """- Name: {value}
  In Collection: {value}
  README: {value}
  Code: {{URL: {value}}}
  Weights: {value}
  License: {value}
  Config: {value}
  {value}: {value}
  Published Elsewhere:
  - {{Field: FLOPs, Value: 69200, Source: {value}}}
  - {{Field: {value}, Value: {value}, Source: {value}}}
  Metadata:
    FLOPs: 110752
    Parameters: 322
    Image Size: {value}
    Crop Pct: {value}
    Interpolation: {value}
    Batch Size: {value}
    LR: {value}
    Tasks: [{value}]
    Training Data: [{value}]
    Training Techniques: [{value}, AutoAugment]
    Architecture: [{value}, Convolution]
    ID: {value}
    File Size: {value}
    {value}: {value}
    Hidden: {value}  # cardproof: ignore[no-such-check] reason
  Results:
  - Task: {value}
    Dataset: {value}
    Metrics: {{Top 1 Accuracy: {value}, {value}: {value}}}
  - Task: Image Classification
    Dataset: ImageNet
    Metrics: {{Top 1 Accuracy: 7{number}.1%, Top 5 Accuracy: 9{number}.0}}
- Name: {failing}
  In Collection: {value}
  Metadata: {{FLOPs: {value}, Parameters: {value}}}
"""
SNIPPET = """
1. In a list:

    ```python
    print(bytes.fromhex("{payload}").decode())
    print("\\r```\\r<img src=x onerror=evil()>\\r\\x02``\\x02`\\x02<img src=x onerror=evil()>")
    ```

```python
raise ValueError(bytes.fromhex("{payload}").decode())
```
"""
CARDS = 5


def quoted(text: str) -> str:
    """Return a text in quotes, for YAML in an HTML comment."""
    return json.dumps(text).replace("-->", "-\\u002d>")


def card_of(values: list[str]) -> str:
    """Return a card of two models for each value, which is in all their fields; the second of them cannot be built."""
    collections = "".join(COLLECTION.format(value=quoted(value)) for value in values)
    found = (
        MODELS.format(value=quoted(value), failing=quoted(f"fails {value}"), number=number % 9)
        for number, value in enumerate(values)
    )
    return f"{HEAD}<!--\nType: model-index\nCollections:\n{collections}Models:\n{''.join(found)}-->\n"


def write_site(folder: Path) -> Path:
    models = folder / "templates/models"
    models.mkdir(parents=True)
    (folder / "zoo.py").write_text(ZOO)
    (folder / "mkdocs.yml").write_text(CONFIG)
    (folder / "evil-secret.txt").write_text(SECRET)
    (folder / "docs").mkdir()
    (folder / "docs/index.md").write_text("# Tiny\n")
    cited = {
        "Title": PAYLOADS[3],
        "URL": PAYLOADS[20],
        "Retrieved": "2026-11-25",
        "Dataset": "ImageNet",
        "Metrics": ["Top 1 Accuracy", "Top 5 Accuracy"],
        "Values": {payload: ["71.1", "91.0"] for payload in PAYLOADS},
    }
    (folder / "cited.yml").write_text(json.dumps({"Sources": [cited]}))
    for number in range(CARDS):
        payloads = PAYLOADS[number::CARDS]
        (models / f"{number}.md").write_text(card_of(payloads))
        snippets = "".join(SNIPPET.format(payload=payload.encode().hex()) for payload in payloads)
        (models / f"snippet-{number}.md").write_text(f"# Snippets\n{snippets}")
    hidden = "".join(f"  {quoted(payload)}: {quoted(payload)}\n" for payload in PAYLOADS if not is_expanded(payload))
    (models / "index-shown.md").write_text(f"<!--\nType: model-index\nModels:\n- Name: shown\n{hidden}-->\n")
    for number, name in enumerate(NAMES):
        deep = models / name if number % 2 else models
        deep.mkdir(exist_ok=True)
        (deep / f"{name}.md").write_text(card_of([f"n{number}"]))
    (models / "lists.md").write_text(
        "# Lists\n\n{{ model_table() }}\n\n{{ compare_table() }}\n\n{{ family_cards() }}\n\n"
        "{{ audit_report('audit.json') }}\n"
    )
    (folder / "audit.json").write_text(json.dumps(audit()))
    return folder


def audit() -> dict:
    text = " ".join(PAYLOADS)
    examples = [
        {"model": p, "field": p, "file": p, "line": 1, "stated": p, "found": p, "explanation": p} for p in PAYLOADS
    ]
    return {
        "schema": "cardproof-audit/1",
        **dict.fromkeys(("command", "zoo", "torch", "cardproof", "date"), text),
        **dict.fromkeys(("cards", "models", "measured", "explained", "unchecked_fields"), 1),
        "verdicts": {"confirmed": 1, "refuted": 2},
        "fields": [[payload, {"confirmed": 1, payload: 2}] for payload in PAYLOADS],
        "kinds": [{"name": example["model"], "claims": 1, "example": example} for example in examples],
        "worst": [[example, 2.0] for example in examples],
        "reasons": [[payload, 1] for payload in PAYLOADS],
        "notes": [[payload, 1] for payload in PAYLOADS],
    }


class Live(HTMLParser):
    """Collects what of a page would run, load, move or restyle something for a payload."""

    LINKS = ("href", "src", "action", "formaction", "data", "xlink:href", "poster", "srcset", "background", "cite")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._script = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._script = tag == "script"
        where = f"<{tag} {attrs}>"
        text = " ".join(value or "" for _, value in attrs)
        if tag in ("iframe", "base", "form", "object", "embed", "math", "textarea") and "evil" in text + tag:
            self.found.append(where)
        if tag == "meta" and any(name == "http-equiv" for name, _ in attrs) and "evil" in text:
            self.found.append(where)
        for name, value in attrs:
            address = re.sub(r"[\x00-\x20]", "", value or "").lower()
            if (name.startswith("on") or name in ("style", "srcdoc", "autofocus", "class")) and "evil" in address:
                self.found.append(where)
            if "evil" in name:
                self.found.append(where)
            if name in self.LINKS and re.match(r"(javascript|data|vbscript|https?://evil)\b", address):
                self.found += [where] if not address.startswith("data:image/svg+xml;utf8,") else []

    def handle_data(self, data):
        if self._script and "evil" in data and self.tags[-1][1].get("type") != "application/ld+json":
            self.found.append(data)

    def handle_endtag(self, tag):
        self._script = False


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Return a site with payloads everywhere, rendered and built."""
    folder = write_site(tmp_path_factory.mktemp("hostile"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        result = render(load_settings(folder / "mkdocs.yml"), ONE_JOB)
        number = len(list((folder / "docs/models").rglob("*.md")))
        wrong = [finding for finding in result.findings if finding.check == "template" or finding.fatal]
        assert number == 2 * CARDS + len(NAMES) + 2, wrong or {finding.check for finding in result.findings}
        done = mkdocs("build")
        assert done.returncode == 0, done.stderr
    return folder


def pages(built: Path) -> dict[str, Live]:
    return {path.as_posix(): Live(path.read_text()) for path in (built / "site").rglob("*.html")}


@pytest.mark.slow
@pytest.mark.attack(
    "card", "35 payloads of script, markup and Markdown in every field, file name and audit", "text on the built page"
)
def test_nothing_that_a_card_states_is_live_on_a_page(built):
    found = pages(built)
    assert len(found) > 2 * CARDS + len(NAMES)
    assert {path: live.found for path, live in found.items() if live.found} == {}


@pytest.mark.attack("template", "a file whose name ends a link or begins an attribute", "the link leads to the page")
def test_links_to_files_with_any_name_lead_to_their_pages(built):
    from urllib.parse import unquote, urlsplit

    page = built / "site/models/lists/index.html"
    for tag, attributes in Live(page.read_text()).tags:
        href = urlsplit(attributes.get("href", ""))
        if tag == "a" and not href.scheme and href.path:
            assert (page.parent / unquote(href.path)).exists(), attributes


def test_payloads_are_shown_as_they_were_written(built):
    class Text(HTMLParser):
        text = ""

        def handle_data(self, data):
            self.text += data

    for number, payload in enumerate(PAYLOADS):
        shown = Text()
        shown.feed((built / f"site/models/{number % CARDS}/index.html").read_text())
        text = " ".join(shown.text.split())
        assert text.count(" ".join(payload.split())) > 10, payload


def test_no_file_is_included_and_nothing_is_left_for_other_plugins_to_expand(built):
    for path in (built / "site").rglob("*.html"):
        assert SECRET not in path.read_text()
    for path in (built / "docs/models").glob("[0-9is]*.md"):
        text = path.read_text()
        assert not re.search(r"\{\{ ?evil|\{% ?evil|\{# ?evil #|-8<-", text), path


def test_the_data_files_hold_payloads_as_data(built):
    import csv

    import yaml

    catalog = built / "docs/catalog"
    models = json.loads((catalog / "models.json").read_text())["models"]
    assert {entry["name"] for entry in models} >= set(PAYLOADS)
    with (catalog / "models.csv").open(newline="") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t")) or re.match(r"-\D", cell)]
    yaml.safe_load((catalog / "model-index.yml").read_text())
    for path in catalog.rglob("*.svg"):
        assert Live(path.read_text()).found == []
    for line in (built / "docs/llms.txt").read_text().splitlines():
        assert not re.search(r"(?<!\\)<\w|(?<!\\)\]\((?!http|models|catalog|\.)", line), line
    for path in (built / "site").rglob("*.html"):
        for text in re.findall(r'<script type="?application/ld\+json"?>(.*?)</script>', path.read_text(), re.DOTALL):
            json.loads(text)


def test_titles_and_descriptions_hold_in_the_search_index(built):
    index = json.loads((built / "site/search/search_index.json").read_text())
    for entry in index["docs"]:
        assert Live(entry["title"] + entry["text"]).found == [], entry


@pytest.mark.attack("template", "a file whose name is markup, or has control characters", "refused, with the name")
@pytest.mark.parametrize("name", REFUSED)
def test_a_page_whose_name_themes_would_show_as_html_is_refused(site, name):
    (site / f"templates/models/{name}.md").write_text("x\n")
    (finding,) = render(load_settings(site / "mkdocs.yml"), ONE_JOB).findings
    assert "the name of a page cannot have" in finding.message
    assert not (site / "docs/models").exists()


@pytest.mark.parametrize("title", ["Net 😀", 'The "d" net', "A < B", "<b onclick=x>Net</b>", "Nets: 1, 2 # 3", "漢字"])
def test_any_heading_is_a_title_that_themes_can_show(site, title):
    from mkdocs.utils.meta import get_data

    card = site / "templates/models/tiny.md"
    card.write_text(card.read_text().replace("# Tiny", f"# {title}").replace("A network", f"A {title} network"))
    assert render(load_settings(site / "mkdocs.yml"), ONE_JOB).exit == 0
    _, data = get_data((site / "docs/models/tiny.md").read_text())
    data["title"].encode()
    assert not set("<>") & set(data["title"])
    assert not set('<>"') & set(data["description"])
    assert "et" in data["title"] or title in data["title"].replace("‹", "<")
