"""Snippets in a render: run once, shown with a strip, recalled while nothing changed, failing at the source's line."""

from __future__ import annotations

import json
import re

import pytest
from sites import CARD, ONE_JOB, write_site

from cardproof.build import render
from cardproof.core.settings import SnippetSettings, load_settings

PAGE = """## Use it

<!-- snippet: setup
hidden = 3
-->

```python
value = hidden + 1
print(value)
```

=== "Tab"

    ```python
    print(value * 2)  # prints: 8
    secret = 1  # snippet: hide
    ```

```python { .skip data-reason="downloads 3 GB" }
raise SystemExit
```
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path)
    (folder / "templates/code_snippets.md").write_text(PAGE)
    extensions = "markdown_extensions:\n- pymdownx.superfences\n- pymdownx.tabbed: {alternate_style: true}\n"
    (folder / "mkdocs.yml").write_text((folder / "mkdocs.yml").read_text() + extensions)
    return folder


def run(site, **options):
    from msgspec.structs import replace

    settings = load_settings(site / "mkdocs.yml")
    return render(replace(settings, snippets=SnippetSettings(preload=(), **options)), ONE_JOB)


def page(site) -> str:
    return (site / "docs/models/tiny.md").read_text()


def test_a_strip_under_each_block_says_what_ran_and_the_output_is_shown(site):
    result = run(site)
    assert result.exit == 0
    assert result.snippets_ran == 1
    text = page(site)
    assert text.count('<p class="cp-strip cp-pass"><strong>Ran as shown</strong>') == 2
    assert "<strong>Skipped</strong> · downloads 3 GB" in text
    assert '```text title="Output"\n4\n```' in text
    assert '    <p class="cp-strip cp-pass">' in text
    assert "Snippets" in text and "2 pass, 1 skip" in text


def test_what_is_hidden_runs_and_is_not_shown(site):
    run(site)
    shown = page(site).split("## Source of this page")[0]
    assert "hidden = 3" not in shown
    assert "secret" not in shown
    assert "snippet: setup" not in shown


def test_a_second_render_runs_nothing_and_writes_nothing(site):
    run(site)
    before = page(site)
    result = run(site)
    assert (result.snippets_ran, result.snippets_recalled) == (0, 1)
    assert not any(change.differs for change in result.changes)
    assert page(site) == before


def test_a_block_runs_again_when_its_text_or_the_network_changes(site):
    run(site)
    include = site / "templates/code_snippets.md"
    include.write_text(PAGE.replace("hidden + 1", "hidden + 1 + 0"))
    assert run(site).snippets_ran == 1
    zoo = site / "zoo.py"
    zoo.write_text(zoo.read_text() + "\n# another digest\n")
    assert run(site).snippets_ran == 1


def test_an_edit_of_the_text_around_blocks_moves_them_and_runs_nothing(site):
    run(site)
    include = site / "templates/code_snippets.md"
    include.write_text("Read this first.\n\n" + PAGE)
    result = run(site)
    assert (result.snippets_ran, result.snippets_recalled) == (0, 1)
    blocks = json.loads(next((site / "docs/evidence/snippets").glob("*.json")).read_text())["runs"][0]["blocks"]
    lines = include.read_text().splitlines()
    assert [lines[block["line"] - 1].strip() for block in blocks] == [
        "hidden = 3",
        "value = hidden + 1",
        "print(value * 2)  # prints: 8",
        "raise SystemExit",
    ]
    moved, rendered = page(site), site / "docs/models/tiny.md"
    for path in (site / "docs/evidence/snippets").glob("*.json"):
        path.unlink()
    rendered.unlink()
    assert run(site).snippets_ran == 1
    assert _without_seconds(page(site)) == _without_seconds(moved)


def _without_seconds(text: str) -> str:
    return re.sub(r"\d+\.\d s|\d{4}-\d\d-\d\d|\w{16} (?=\w{16} -->)", "", text)  # the stamp has a digest of them


def test_blocks_that_fail_run_again_when_they_move_since_messages_name_lines(site):
    include = site / "templates/code_snippets.md"
    include.write_text(PAGE.replace("# prints: 8", "# prints: 9"))
    run(site)
    include.write_text("\n\n" + include.read_text())
    result = run(site)
    assert result.snippets_ran == 1
    (finding,) = [f for f in result.findings if f.severity == "error"]
    assert str(finding.place) == "templates/code_snippets.md:17:1"


def test_a_block_that_is_put_before_another_runs_again(site):
    run(site)
    include = site / "templates/code_snippets.md"
    include.write_text("```python\nhidden = 4\n```\n\n" + PAGE)
    assert run(site).snippets_ran == 1


def test_a_block_that_fails_is_an_error_at_the_line_of_the_include(site):
    (site / "templates/code_snippets.md").write_text(PAGE.replace("value = hidden + 1", "value = hiden + 1"))
    result = run(site)
    assert result.exit == 1
    errors = [(str(f.place), f.message) for f in result.findings if f.severity == "error"]
    assert errors[0] == (
        "templates/code_snippets.md:8:1",
        "NameError: name 'hiden' is not defined (for tiny)",
    )
    assert "<strong>Failed</strong>" in page(site)


def test_a_stated_output_that_differs_is_an_error_at_its_line(site):
    (site / "templates/code_snippets.md").write_text(PAGE.replace("# prints: 8", "# prints: 9"))
    (finding,) = [f for f in run(site).findings if f.severity == "error"]
    assert str(finding.place) == "templates/code_snippets.md:15:1"
    assert 'expected "9", got "8"' in finding.message


def test_a_record_of_snippets_edited_by_hand_is_noticed_and_run_again(site):
    run(site)
    (record,) = (site / "docs/evidence/snippets").glob("*.json")
    record.write_text(record.read_text().replace('"output": "4\\n"', '"output": "5\\n"'))
    result = run(site)
    assert result.snippets_ran == 1
    assert [f.check for f in result.findings] == ["evidence"]
    assert json.loads(record.read_text())["runs"][0]["blocks"][1]["output"] == "4\n"


def test_a_record_goes_with_its_card(site):
    other = site / "templates/models/other.md"
    other.write_text(CARD.replace("Name: tiny\n", "Name: tiny_16\n").replace("322", "634").replace("55376", "110752"))
    run(site)
    assert len(list((site / "docs/evidence/snippets").glob("*.json"))) == 2
    other.unlink()
    run(site)
    assert len(list((site / "docs/evidence/snippets").glob("*.json"))) == 1


def test_snippets_that_are_not_run_are_reported(site):
    result = run(site, run=False)
    assert result.snippets_ran == 0
    assert "Snippets not run" in page(site)
    assert "cp-strip" not in page(site)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("snippets: yes", "snippets is a mapping"),
        ("snippets: {run: maybe}", "run is true or false"),
        ("snippets: {weights: none}", "weights is strict or random"),
        ("snippets: {devices: tpu}", "devices are cpu and cuda"),
        ("snippets: {speed: 3}", "has no setting 'speed'"),
    ],
)
def test_settings_of_snippets_that_mean_nothing_are_bad_input(site, text, words):
    from cardproof.core.errors import InputError

    (site / "mkdocs.yml").write_text(f"plugins:\n- cardproof:\n    {text}\n")
    with pytest.raises(InputError, match=words):
        load_settings(site / "mkdocs.yml")


def test_without_a_gpu_nothing_runs_on_it_and_the_page_says_so(site, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    result = run(site, devices=("cuda",))
    assert (result.exit, result.snippets_ran) == (0, 0)
    assert not list((site / "docs/evidence").glob("snippets/*.json"))
    assert "<strong>Not run</strong> · no GPU is visible here" in page(site)


def test_a_run_on_another_device_is_kept_while_it_is_valid(site, monkeypatch):
    """A record as a machine with a GPU leaves it: the same run under the key of that device."""
    from msgspec.structs import replace

    from cardproof.snippets.results import dump_runs, load_runs

    keys = {}
    from cardproof.snippets import run_pages as page_runs

    original = page_runs.key_of
    monkeypatch.setattr(
        page_runs, "key_of", lambda page, device, policy: keys.setdefault(device, original(page, device, policy))
    )
    run(site)
    (record,) = (site / "docs/evidence/snippets").glob("*.json")
    (cpu,) = load_runs(record)
    record.write_text(dump_runs([cpu, replace(cpu, device="cuda", key=keys["cuda"], measured="2026-01-02T03:04:05Z")]))
    result = run(site)
    assert (result.snippets_ran, result.snippets_recalled) == (0, 2)
    assert page(site).count("cuda · 2026-01-02") == 3
    assert len(load_runs(record)) == 2


def test_a_rendered_page_is_run_and_rewritten_in_its_template_and_include(site):
    from cardproof.core.paths import show_path
    from cardproof.render.page_sources import run_pages
    from cardproof.snippets.run_pages import policy_of

    run(site)
    include = site / "templates/code_snippets.md"
    include.write_text(PAGE.replace("# prints: 8", "# prints: 9"))
    policy = policy_of(load_settings(site / "mkdocs.yml"))
    page_path = site / "docs/models/tiny.md"
    failed = run_pages([page_path], policy)
    assert [str(f.place) for f in failed.findings if f.severity == "error"] == ["templates/code_snippets.md:15:1"]
    result = run_pages([page_path], policy, rewrite=True)
    assert (result.exit, [show_path(path) for path in result.updated]) == (0, ["templates/code_snippets.md"])
    assert include.read_text() == PAGE


def test_the_message_of_a_strip_is_shown_as_it_is_at_the_margin_and_in_a_tab():
    from html import unescape

    from markdown import markdown

    from cardproof.render.views.snippets import insert_results
    from cardproof.snippets.find.blocks import EXTENSION_CONFIGS, EXTENSIONS
    from cardproof.snippets.results import BlockResult, PageRun

    message = "needs weights: timm/resnet18.a1_in1k, *or* `x` <b> [a](b) {: .c } \\_"
    lines = ["```python", "x", "```", "", '=== "Tab"', "", "    ```python", "    x", "    ```"]
    blocks = tuple(
        BlockResult("a.md", end - 1, end, 0, False, "not-run", message, None, None, None, 0.0, "", False, (), ())
        for end in (3, 9)
    )
    page_run = PageRun("a.md", None, "cpu", "", False, "", (), blocks, ())
    text = insert_results("\n".join(lines), [page_run])
    html = markdown(text, extensions=[*EXTENSIONS], extension_configs=EXTENSION_CONFIGS)
    strips = re.findall(r'<p class="cp-strip[^>]*>(.*?)</p>', html, re.DOTALL)
    shown = [unescape(re.sub(r"</?strong>", "", strip)) for strip in strips]
    assert len(shown) == 2
    assert all(f" · {message} · cpu" in strip for strip in shown)
