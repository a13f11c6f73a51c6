"""Reports of one run in several formats; no option writes over an input, under whatever name."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sites import CARD, cardproof, refusal, write_site

from cardproof.report.formats import FORMATS

HUB = """---
license: mit
model-index:
- name: tiny
  results:
  - task: {type: image-classification}
    dataset: {type: digits, name: Digits}
    metrics:
    - {type: accuracy, name: Top 1 Accuracy, value: TOP1}
    - {type: accuracy, name: Top 5 Accuracy, value: 97.0}
---
# Tiny
"""
MKDOCS = """site_name: A site of somebody else
markdown_extensions:
  - pymdownx.emoji:
      emoji_index: !!python/name:material.extensions.emoji.twemoji
plugins: [search]
"""


@pytest.fixture
def site(site):
    (site / "templates/models/tiny.md").write_text(CARD.replace("FLOPs: 55376", "FLOPs: 55377"))
    return site


def test_one_run_writes_all_formats_and_prints_another(site):
    writes = [f"--write={name}=out/new/report.{name}" for name in FORMATS[1:]]
    done = cardproof("audit", "templates", "--zoo", "zoo.py:Zoo", "--format", "github", *writes)
    assert done.returncode == 1
    assert done.stderr == ""
    texts = {name: (site / f"out/new/report.{name}").read_text(encoding="utf-8") for name in FORMATS[1:]}
    assert done.stdout == texts["github"]
    assert json.loads(texts["json"])["summary"]["refuted"] == 1
    (run,) = json.loads(texts["sarif"])["runs"]
    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [("flops", "error")]
    assert ElementTree.fromstring(texts["junit"]).get("failures") == "1"
    assert "<code>55377</code>" in texts["markdown"]
    assert sorted(path.name for path in (site / "out/new").iterdir()) == sorted(f"report.{name}" for name in texts)


def test_what_is_left_after_a_fix_is_reported(site):
    done = cardproof("audit", "templates", "--zoo", "zoo.py:Zoo", "--fix", "--format", "sarif")
    assert done.returncode == 0
    assert json.loads(done.stdout)["runs"][0]["results"] == []


def test_json_is_a_format(site):
    ours, same = (json.loads(cardproof("audit", "templates", *way).stdout) for way in (["--json"], ["--format=json"]))
    for name in ("seconds", "measured", "recalled"):  # the second audit measures nothing
        ours["summary"].pop(name)
        same["summary"].pop(name)
    assert ours == same


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "xml"], "xml"),
        (["--write", "sarif"], "FORMAT=FILE"),
        (["--write", "sarif="], "FORMAT=FILE"),
        (["--write", "text=a.txt"], "FORMAT=FILE"),
        (["--write", "sarif=a", "--write", "junit=./a"], "one file"),
        (["--json", "--format", "sarif"], "--format sarif"),
        (["--dry-run", "--format", "sarif"], "--dry-run"),
        (["--dry-run", "--write", "sarif=a"], "--dry-run"),
        (["--write", "sarif=zoo.py/a"], "zoo.py"),
        (["--write", "sarif=templates"], "templates"),
        (["--write", "sarif=-"], "--format selects what is printed"),
    ],
)
def test_an_outlet_that_cannot_be_is_bad_usage(site, arguments, words):
    assert words in refusal("audit", "templates", *arguments)
    assert not (site / "a").exists()
    assert "55377" in (site / "templates/models/tiny.md").read_text()


def test_a_pipe_is_written_into_as_it_is(site):
    pipe = site / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        done = cardproof("audit", "templates", "--write", "junit=pipe", "--quiet")
        assert done.returncode == 1, done.stderr
        out, _ = reader.communicate(timeout=20)
    assert ElementTree.fromstring(out).tag == "testsuites"
    assert pipe.is_fifo()


def test_a_file_name_that_is_no_text_breaks_no_report(write):
    write("card.md", HUB.replace("TOP1", "98.1"))
    name = os.fsdecode(b"card \xff.md")
    Path("card.md").rename(name)
    writes = [f"--write={name}=report.{name}" for name in FORMATS[1:]]
    done = cardproof("audit", name, "--format", "json", *writes)
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["findings"][0]["file"] == name
    assert (
        json.loads(Path("report.json").read_text(encoding="utf-8"))["findings"] == json.loads(done.stdout)["findings"]
    )
    assert "card%20%FF.md" in Path("report.sarif").read_text(encoding="utf-8")
    assert ElementTree.parse("report.junit").getroot().get("failures") == "1"
    assert "\\udcff" in Path("report.github").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_stale_page_is_an_error_in_every_report_of_a_check(site):
    card = site / "templates/models/tiny.md"
    card.write_text(CARD)
    assert cardproof("render").returncode == 0
    card.write_text(CARD.replace("A network", "The network"))
    done = cardproof("render", "--check", "--write", "sarif=s.json", "--write", "junit=j.xml", "--format", "markdown")
    assert done.returncode == 1
    results = json.loads((site / "s.json").read_text())["runs"][0]["results"]
    places = {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in results}
    assert {one["ruleId"] for one in results} == {"stale-page"}
    assert "docs/models/tiny.md" in places
    assert int(ElementTree.parse(site / "j.xml").getroot().get("failures")) == len(results)
    assert "docs/models/tiny.md" in done.stdout


@pytest.mark.parametrize(
    ("readme", "status", "words"),
    [
        ("# A program\n\nNo model here.\n", 0, "0 claims of 0 models on 1 card"),
        (HUB.replace("TOP1", "91.2"), 0, "no network was built: name a zoo with --zoo"),
        (HUB.replace("TOP1", "98.1"), 1, "README.md:9:53: error [impossible-result]"),
        ("---\nlicense: [mit\n---\n# Broken\n", 1, "error [yaml-syntax]"),
        (None, 2, ""),
    ],
)
@pytest.mark.parametrize("config", ["", MKDOCS])
def test_a_readme_of_any_repository_is_audited_without_configuration(write, readme, status, words, config):
    if config:
        write("mkdocs.yml", config)
    if readme is not None:
        write("README.md", readme)
    done = cardproof("audit", "README.md")
    assert done.returncode == status, done.stdout + done.stderr
    assert words in done.stdout
    assert "Traceback" not in done.stderr
    assert (status == 2) == ("no such file" in done.stderr)
    assert {path.name for path in Path().iterdir()} <= {"mkdocs.yml", "README.md"}


WRONG = CARD.replace("Parameters: 322", "Parameters: 323")


@pytest.fixture
def linked_site(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = write_site(tmp_path, WRONG)
    card = folder / "templates/models/tiny.md"
    (folder / "link.md").symlink_to(card)
    os.link(card, folder / "hard.md")
    return folder


AUDIT = ("audit", "templates/models/tiny.md")


@pytest.mark.attack(
    "card", "a report, baseline or export with the name of a card, also by links and ..", "refused; the card stays"
)
@pytest.mark.parametrize(
    "name", ["templates/models/tiny.md", "templates/../templates/models/tiny.md", "link.md", "hard.md"]
)
@pytest.mark.parametrize(
    "command",
    [
        (*AUDIT, "--report", "{}"),
        (*AUDIT, "--write", "json={}"),
        (*AUDIT, "--baseline", "{}", "--update-baseline"),
        ("render", "--no-snippets", "--write", "json={}"),
        ("render", "--no-snippets", "--baseline", "{}", "--update-baseline"),
        ("export", "templates/models/tiny.md", "--format", "json", "--out", "{}"),
        ("speed", "--out", "{}"),
    ],
)
def test_a_card_is_never_an_output(linked_site, command, name):
    done = cardproof(*(word.format(name) for word in command))
    assert done.returncode == 2
    assert "is a card of this run, or another input" in done.stderr
    assert (linked_site / "templates/models/tiny.md").read_text() == WRONG
    assert Path("hard.md").samefile("templates/models/tiny.md")


@pytest.mark.parametrize("name", ["mkdocs.yml", "zoo.py", "templates/code_snippets.md", "cited.yml"])
def test_no_other_input_is_an_output_either(linked_site, name):
    Path("cited.yml").write_text("Sources: []\n")
    Path("mkdocs.yml").write_text(Path("mkdocs.yml").read_text() + "    cited: cited.yml\n")
    before = Path(name).read_text()
    for command in (AUDIT, ("render", "--no-snippets")):
        done = cardproof(*command, "--write", f"json={name}")
        assert (done.returncode, Path(name).read_text()) == (2, before)


def test_two_outputs_are_not_one_file(linked_site):
    done = cardproof(*AUDIT, "--report", "out.json", "--write", "json=./out.json")
    assert done.returncode == 2
    assert "--write and --report name the same file" in done.stderr
    assert not Path("out.json").exists()


def test_a_baseline_that_is_read_is_not_written(linked_site):
    assert cardproof(*AUDIT, "--baseline", "known.json", "--update-baseline").returncode == 0
    assert cardproof(*AUDIT, "--baseline", "known.json", "--write", "json=known.json").returncode == 2
    assert '"format": "cardproof-baseline/1"' in Path("known.json").read_text()


def test_a_report_and_a_baseline_are_written_again(linked_site):
    words = ("--report", "out.json", "--write", "junit=out.xml", "--baseline", "known.json", "--update-baseline")
    assert [cardproof(*AUDIT, *words).returncode for _ in range(2)] == [0, 0]


def test_an_export_does_not_replace_the_readme_that_it_was_made_of(linked_site):
    Path("hub/tiny").mkdir(parents=True)
    Path("hub/tiny/README.md").write_text(WRONG)
    done = cardproof("export", "hub", "--format", "hub", "--out", "hub/tiny/README.md")
    assert done.returncode == 2
    assert Path("hub/tiny/README.md").read_text() == WRONG


@pytest.mark.attack("card", "--fix of a card that is a link to a file outside", "refused; the file stays as it is")
def test_a_fix_is_not_written_through_a_link_out_of_the_working_directory(linked_site, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "card.md"
    outside.write_text(WRONG)
    Path("away.md").symlink_to(outside)
    done = cardproof("audit", "away.md", "templates/models", "--fix")
    assert done.returncode == 2
    assert "away.md: a link leads out of ." in done.stderr
    assert outside.read_text() == WRONG
    assert "Parameters: 322" in Path("templates/models/tiny.md").read_text()


def test_a_fix_is_written_through_a_link_inside(linked_site):
    assert cardproof("audit", "link.md", "--fix").returncode == 0
    assert "Parameters: 322" in Path("templates/models/tiny.md").read_text()
    assert Path("link.md").is_symlink()


@pytest.mark.attack(
    "snippet", "snippets --update of a page that is a link to a file outside", "refused; the file stays as it is"
)
def test_an_update_is_not_written_through_a_link_out_of_the_working_directory(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = "```python\nprint(1)  # prints: 2\n```\n"
    outside = tmp_path_factory.mktemp("outside") / "page.md"
    outside.write_text(page)
    Path("page.md").symlink_to(outside)
    done = cardproof("snippets", "page.md", "--update")
    assert done.returncode == 2
    assert "not updated: page.md: a link leads out of ." in done.stdout
    assert outside.read_text() == page


@pytest.mark.attack(
    "card", "cardproof edit of a pipe, or of a link to a file outside", "refused; nothing hangs or is written"
)
def test_edit_writes_regular_files_inside_only(linked_site, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "card.md"
    outside.write_text("---\nlicense: mit\n---\n")
    Path("away.md").symlink_to(outside)
    os.mkfifo("pipe.md")
    assert cardproof("edit", "away.md", "license=apache-2.0").returncode == 2
    assert cardproof("edit", "pipe.md", "license=apache-2.0").returncode == 2
    assert "mit" in outside.read_text()
