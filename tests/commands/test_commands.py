"""The command line: exit statuses, machine output, errors that say what to do, and completion."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import get_completion_class
from sites import CARD, cardproof, refusal

from cardproof.commands.cli import NAMES
from cardproof.commands.cli import cardproof as command_line
from cardproof.report.formats import FORMATS

SCRIPT = Path(__file__).parents[2] / "tools/render_cards.py"


def program(*arguments: str | Path):
    """Run Python in a process of its own."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_script_renders_checks_and_fails_as_the_design_says(site):
    assert program(SCRIPT).returncode == 0
    assert cardproof("render", "--check").returncode == 0

    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("Parameters: 322", "Parameters: 323"))
    done = cardproof("render", "--check")
    assert done.returncode == 1
    assert "templates/models/tiny.md:16:17: error [parameters]" in done.stdout
    assert "docs/models/tiny.md:1:1: is stale" in done.stdout

    card.write_text(CARD)
    page = site / "docs/models/tiny.md"
    page.write_text(page.read_text().replace("A network", "The network"))
    done = cardproof("render", "--check")
    assert done.returncode == 1
    assert "docs/models/tiny.md:1:1: was edited by hand" in done.stdout

    card.write_text(CARD.replace("Name: Tiny", "Name: Tiny: net"))
    done = cardproof("render", "--check")
    assert done.returncode == 2
    assert "templates/models/tiny.md:10:13: error [yaml-syntax]" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["render", "--templates", "none"], "no such folder"),
        (["render", "--only", "nothing"], "there is tiny"),
        (["render", "--nonsense"], "No such option"),
        (["audit"], "Missing argument"),
        (["audit", "none.md"], "no such file"),
        (["audit", "templates", "--zoo", "nonsense"], "zoo 'nonsense' is not known"),
        (["audit", "templates", "--zoo", "nonsense.module:zoo"], "is not known"),
        (["audit", "templates", "--zoo", "zoo.py:nothing"], "has no 'nothing'"),
        (["audit", "templates", "--tolerance", "FLOPs=loose"], "is not a tolerance"),
        (["audit", "templates", "--tolerance", "FLOPs"], "FIELD=SPEC"),
        (["audit", "templates", "--config", "none.yml"], "cannot be read"),
        (["audit", "templates", "--config", "folder"], "cannot be read"),
        (["audit", "templates", "--config", "list.yml"], "list.yml:1:1: settings are a mapping"),
        (["audit", "templates", "--config", "loop.md"], "loop.md: this link leads in a circle"),
        (["audit", "templates", "--config", "inherits.yml"], "loop.yml:1:1: cannot be read"),
        (["audit", ""], "a path is empty"),
        (["export", "templates", "--out", ""], "a path is empty"),
        (["init", "--zoo", "zoo.py:Zoo", "--out", ""], "a path is empty"),
        (["audit", "templates", "--engine", ""], "engine '' is not known"),
        (["audit", "templates", "--report", "folder"], "folder: this is a folder; --report names a file"),
        (["audit", "templates", "--write", "json=folder"], "folder: this is a folder; --write names a file"),
        (["speed", "--out", "folder"], "folder: this is a folder; --out names a file"),
        (["audit", "loop.md"], "loop.md: this link leads in a circle"),
        (["audit", "a" * 300], f"{'a' * 300}: cannot be used: File name too long"),
        (["audit", "https://host/" + "a/" * 2500], "addresses are not read"),
        (["audit", "templates", "--report", "loop.md/report.md"], "loop.md/report.md: this link leads in a circle"),
        (["snippets", "gone.md"], "gone.md: no such file\n"),
        (["snippets", "https://host//path"], "error: https://host//path: addresses are not read"),
        (["audit", "hf://owner//name"], "error: hf://owner//name: addresses are not read"),
        (["edit", "latin.md", "license=mit"], "latin.md: byte 6 is not UTF-8: save the file as UTF-8"),
    ],
)
def test_bad_input_exits_with_two_and_one_clear_sentence(site, arguments, words):
    Path("folder").mkdir()
    Path("list.yml").write_text("- a\n")
    Path("inherits.yml").write_text("INHERIT: loop.yml\n")
    Path("latin.md").write_bytes(b"# caf\xe9\n")
    for link, target in (("loop.md", "loop.md"), ("loop.yml", "loop.yml"), ("gone.md", "nowhere")):
        Path(link).symlink_to(target)
    assert words in refusal(*arguments)


def test_a_link_in_a_circle_is_one_finding_among_the_cards_of_a_folder(site):
    Path("templates/models/loop.md").symlink_to("loop.md")
    done = cardproof("audit", "templates", "--zoo", "zoo.py:Zoo")
    assert "templates/models/loop.md:1:1: warning [encoding] not read: this is a link to nothing" in done.stdout
    assert "3 confirmed" in done.stdout


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("plugins:\n- cardproof:\n    zo: res2next\n", "mkdocs.yml:3:5: cardproof has no setting 'zo'"),
        ("plugins:\n- cardproof:\n    tolerances: {FLOPs: x}\n", "mkdocs.yml:3:25: 'x' is not a tolerance"),
        ("plugins:\n- cardproof:\n    flops: both\n", "mkdocs.yml:3:12: flops is"),
        ("plugins:\n- cardproof:\n    conventions: none\n", "mkdocs.yml:3:18: conventions is"),
        ("plugins:\n- cardproof:\n    templates: [a]\n", "mkdocs.yml:3:16: templates must be one value"),
        ("plugins: [\n", "mkdocs.yml:"),
        ("plugins:\n- cardproof:\n    cited: cited.yml\n", "cited.yml:1:1: cannot be read"),
    ],
)
def test_a_setting_that_means_nothing_is_bad_input_at_its_place(site, config, words):
    (site / "mkdocs.yml").write_text(config)
    assert words in refusal("audit", "templates")


def test_json_has_the_keys_of_the_design(site):
    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("FLOPs: 55376", "FLOPs: 55377"))
    done = cardproof("audit", "templates/models", "--zoo", "zoo.py:Zoo", "--json")
    data = json.loads(done.stdout)
    assert done.returncode == data["summary"]["exit"] == 1
    claim = next(claim for claim in data["claims"] if claim["field"] == "FLOPs")
    expected = {
        "file": "templates/models/tiny.md",
        "line": 15,
        "column": 12,
        "model": "tiny",
        "stated": "55377",
        "found": 55376,
        "unit": "multiply-adds",
        "verdict": "refuted",
        "allowed": "exact",
        "reason": "",
    }
    assert {key: claim[key] for key in expected} == expected
    assert {"explanation", "method"} <= set(claim)
    (finding,) = data["findings"]
    assert finding["fix"] == {"line": 15, "column": 12, "end_column": 17, "text": "55376"}
    assert set(finding) == {"file", "line", "column", "check", "severity", "message", "hint", "fix"}
    assert data["blocks"] == []
    assert data["summary"]["snippets"] == "not run"


def test_without_a_zoo_nothing_is_confirmed_and_the_reason_says_so(site):
    (site / "mkdocs.yml").unlink()
    data = json.loads(cardproof("audit", "templates/models", "--json").stdout)
    assert {claim["verdict"] for claim in data["claims"]} == {"unchecked"}
    assert all("no zoo was named" in claim["reason"] for claim in data["claims"])


def test_nothing_is_coloured_where_there_is_no_terminal(site):
    assert "\x1b" not in cardproof("audit", "templates/models", "--zoo", "zoo.py:Zoo").stdout


def test_a_terminal_sequence_in_a_card_never_reaches_the_terminal(site):
    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("FLOPs: 55376", 'FLOPs: 55377\n    "Note\\e[31m": "\\e[31m\\a"\n    "FLOPs\\e": 1'))
    done = cardproof("audit", "templates/models", "--zoo", "zoo.py:Zoo")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_verbose_names_the_columns_of_tables_that_are_not_read(site):
    (site / "README.md").write_text("| Model | window | Params |\n|---|---|---|\n| net | 7 | 2M |\n")
    line = "README.md:1:3: columns that are not read: 'window'\n"
    assert line in cardproof("audit", "README.md", "-v").stdout
    assert "window" not in cardproof("audit", "README.md").stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_ends_with_examples_that_it_understands(name):
    command = command_line.commands[name]
    examples = re.findall(r"(?m)^  cardproof (.+)", command.epilog)
    assert examples
    for example in examples:
        called, *words = shlex.split(example)
        assert called == name
        command.make_parser(click.Context(command)).parse_args(words)  # raises for an option that it does not have


def test_quiet_prints_findings_and_keeps_the_exit_status(site):
    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("FLOPs: 55376", "FLOPs: 55377"))
    done = cardproof("audit", "templates/models", "--zoo", "zoo.py:Zoo", "--quiet")
    assert done.returncode == 1
    assert done.stdout.startswith("templates/models/tiny.md:15:12: error [flops]")
    assert "claims about" not in done.stdout


def test_a_worker_that_dies_takes_only_its_own_model_down(site):
    zoo = site / "zoo.py"
    zoo.write_text(
        zoo.read_text().replace("width = 16", "import os; os._exit(1) if name == 'tiny_16' else None; width = 16")
    )
    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("-->", "- Name: tiny_16\n  Metadata: {Parameters: 634}\n-->"))
    data = json.loads(cardproof("audit", "templates/models", "--zoo", "zoo.py:Zoo", "--json").stdout)
    verdicts = {(claim["model"], claim["field"]): claim["verdict"] for claim in data["claims"]}
    assert verdicts["tiny", "Parameters"] == "confirmed"
    assert verdicts["tiny_16", "Parameters"] == "unchecked"
    assert any("worker process died" in finding["message"] for finding in data["findings"])


def test_version_and_help_name_the_program():
    assert program("-m", "cardproof", "--version").stdout.startswith("cardproof ")
    assert "Exit status" in cardproof("render", "--help").stdout


def test_a_name_that_the_bundled_zoo_does_not_have_is_a_finding_with_the_name_that_was_meant(write):
    card = write("card.md", "<!--\nType: model-index\nModels:\n- Name: res2next5O\n  Metadata: {Parameters: 1}\n-->\n")
    done = cardproof("audit", str(card), "--zoo", "res2next")
    assert done.returncode == 1
    assert "error [unknown-model]" in done.stdout
    assert "res2next50" in done.stdout


def test_what_a_zoo_prints_does_not_reach_the_report(site):
    zoo = site / "zoo.py"
    zoo.write_text(zoo.read_text().replace("width = 16", "print('hello'); width = 16"))
    json.loads(program("-m", "cardproof", "audit", "templates/models", "--zoo", "zoo.py:Zoo", "--json").stdout)


@pytest.mark.parametrize("code", ["raise ValueError('no')", "raise SystemExit(0)", "def broken(:"])
def test_a_zoo_that_cannot_be_imported_is_bad_input(site, code):
    (site / "zoo.py").write_text(code + "\n")
    assert "cannot be imported" in refusal("audit", "templates/models", "--zoo", "zoo.py:Zoo")


def test_a_folder_without_a_card_is_bad_input(site):
    (site / "empty").mkdir()
    assert "no Markdown, YAML or CSV file" in refusal("audit", "empty")


def complete(*words: str) -> list[str]:
    """Return what may stand in place of the last word."""
    completion = get_completion_class("bash")(command_line, {}, "cardproof", "_CARDPROOF_COMPLETE")
    return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("au",), ["audit"]),
        (("audit", "--zoo", ""), ["res2next", "timm", "torchvision", "transformers"]),
        (("render", "--zoo", "to"), ["torchvision"]),
        (("export", "--zoo", "ti"), ["timm"]),
        (("explain", "closed"), ["closed-site"]),
        (("audit", "--force", ""), ["flops", "parameters", "results", "all"]),
        (("audit", "--tolerance", "FLO"), ["flops="]),
        (("audit", "--tolerance", "top-1-a"), ["top-1-acc=", "top-1-accuracy="]),
        (("audit", "--tolerance", "flops=w"), ["flops=written"]),
        (("audit", "--data", "Dig"), ["Digits="]),
        (("audit", "--format", ""), list(FORMATS)),
        (("audit", "--write", "s"), ["sarif="]),
        (("audit", "--tolerance", "nothing"), []),
    ],
)
def test_what_was_begun_is_completed(words, expected):
    assert complete(*words) == expected


def test_a_check_says_what_it_is_about():
    completion = get_completion_class("zsh")(command_line, {}, "cardproof", "_CARDPROOF_COMPLETE")
    (item,) = completion.get_completions(["explain"], "closed-site")
    assert item.help == "Links"


def test_the_program_answers_a_shell():
    environment = {"_CARDPROOF_COMPLETE": "bash_complete", "COMP_WORDS": "cardproof audit --zoo t", "COMP_CWORD": "3"}
    command = [sys.executable, "-m", "cardproof"]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["plain,timm", "plain,torchvision", "plain,transformers"]
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_program_writes_what_a_shell_sources(shell):
    environment = {**os.environ, "_CARDPROOF_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-m", "cardproof"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "_CARDPROOF_COMPLETE" in done.stdout
    assert done.returncode == 0
