"""The documentation is complete and true: every setting, check, command and exit status, and every snippet runs."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace
from test_rooms import ROOMS

from cardproof.commands.cli import cardproof
from cardproof.core.settings import SETTINGS, load_settings
from cardproof.judge.checks import all_checks
from cardproof.render.generated_reference import EXIT_STATUSES, reference_pages
from cardproof.snippets.results import load_runs
from cardproof.snippets.run_pages import Page, policy_of, runs_of_pages
from res2next import list_models

ROOT = Path(__file__).parents[1]


@cache
def reference() -> dict[str, str]:
    return {path.as_posix(): text for path, text in reference_pages(Path(), cardproof).items()}


def text(name: str) -> str:
    return reference()[name]


def test_a_render_writes_the_reference_and_the_navigation_has_all_of_it(own_site):
    folder = own_site / "docs" / "reference"
    written = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.md")}
    assert written == reference()
    assert set(re.findall(r"reference/(\S+\.md)", (ROOT / "mkdocs.yml").read_text())) == set(reference())


def test_git_ignores_what_a_render_makes_and_nothing_else_in_docs(own_site, tmp_path):
    def listed(folder: Path) -> list[str]:
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "docs"]
        return sorted(subprocess.check_output(command, cwd=folder, text=True).splitlines())

    if not (ROOT / ".git").exists():
        pytest.skip("not a Git checkout")
    shutil.copytree(own_site / "docs", tmp_path / "docs")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert listed(tmp_path) == listed(ROOT)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_documented(setting):
    assert f"| `{setting}` |" in text("settings.md")


def test_every_check_has_a_page_that_says_what_it_does_and_why():
    for check in all_checks():
        page = text(f"checks/{check.name}.md")
        assert "## What it does" in page
        assert "## Why" in page
        assert f"checks/{check.name}.md" in text("index.md")


def test_every_word_of_a_finding_in_the_code_is_on_the_page_of_a_check():
    source = "\n".join(path.read_text() for path in (ROOT / "tools" / "cardproof").rglob("*.py"))
    used = set(re.findall(r"Finding\(\s*[^\"]*?,\s*\"([a-z0-9.-]+)\",\s*\"(?:error|warning|note)\"", source))
    documented = {word for check in all_checks() for word in (check.name, *check.findings)}
    assert used
    assert used <= documented


def test_every_command_and_option_is_documented():
    sections = dict(re.findall(r"^#+ cardproof (\S+)$(.*?)(?=^#|\Z)", text("commands.md"), re.MULTILINE | re.DOTALL))
    assert sections.keys() == cardproof.commands.keys()
    for name, command in cardproof.commands.items():
        for option in command.params:
            assert all(word in sections[name] for word in option.opts if word.startswith("-")), (name, option.name)


def test_every_exit_status_is_documented():
    assert all(f"| {status} |" in text("exit-statuses.md") for status, _ in EXIT_STATUSES)


DOOR = (ROOT / "docs" / "guide" / "how-it-is-built.md").read_text(encoding="utf-8")


def first_paragraph(module: Path) -> str:
    said = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return " ".join(said.split("\n\n")[0].split())


def test_the_door_has_the_rooms_in_their_order_and_in_their_own_words():
    folder = ROOT / "tools" / "cardproof"
    names = [f"{room}/" if (folder / room).is_dir() else f"{room}.py" for (room,) in ROOMS]
    said = [first_paragraph(folder / name / "__init__.py" if name.endswith("/") else folder / name) for name in names]
    rows = [f"| `{name}` | {text} |" for name, text in zip(names, said, strict=True)]
    assert re.findall(r"^\| `[a-z.]+/?` \|.*", DOOR, re.MULTILINE) == rows


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./-]+(?:/|\.py|\.md|\.yml))`", DOOR))))
def test_every_path_that_the_door_names_is_there(path):
    assert any((folder / path).exists() for folder in (ROOT, ROOT / "tools", ROOT / "tools" / "cardproof"))


def test_the_configuration_of_the_site_is_valid():
    assert load_settings(ROOT / "mkdocs.yml").zoo == "res2next"


def test_every_dependency_has_its_reason():
    source = (ROOT / "pyproject.toml").read_text()
    names = tomllib.loads(source)["project"]["dependencies"]
    for name in names:
        assert re.search(rf'"{re.escape(name)}",\s+# \w+', source), name


def test_every_snippet_ran_for_every_model_and_printed_what_it_says():
    stored = [run for path in (ROOT / "docs" / "evidence" / "snippets").iterdir() for run in load_runs(path)]
    runs = [run for run in stored if run.device == "cpu"]
    assert sorted(run.model or "" for run in runs) == sorted(list_models())
    blocks = [block for run in runs for block in run.blocks]
    assert {(block.status, block.warnings) for block in blocks} == {("pass", ())}
    assert all(block.stated or block.output for block in blocks)


@pytest.mark.slow
def test_the_snippets_of_a_page_as_it_was_rendered_run_and_print_what_they_say():
    file = "docs/models/res2next.md"
    page = Page(file, (ROOT / file).read_text(encoding="utf-8"), ROOT)
    settings = load_settings(ROOT / "mkdocs.yml")
    (run,) = runs_of_pages([page], replace(policy_of(settings), devices=("cpu",)))
    assert [(block.status, block.message, block.warnings) for block in run.blocks] == 8 * [("pass", "", ())]
    assert not run.findings


def test_no_committed_text_names_a_machine_or_a_registry_host():
    hosts = re.compile(
        r"files\.python"
        + r"hosted|pypi\.o"
        + r"rg|registry\.npm"
        + r"js|(?<![\w}.])/(?:ro"
        + r"ot|wo"
        + r"rk|ho"
        + r"me)/"
    )
    suffixes = {".py", ".md", ".yml", ".toml", ".json", ".css", ""}
    folders = ("tools", "res2next", "docs", "templates", "tests", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]  # which a worktree has
    named = [
        path.relative_to(ROOT).as_posix()
        for path in files
        if path.suffix in suffixes
        and "__pycache__" not in path.parts
        and hosts.search(path.read_text("utf-8", "replace"))
    ]
    assert not named


def test_the_documented_attacks_are_those_of_the_tests():
    done = subprocess.run([sys.executable, ROOT / "tools" / "attacks.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
