"""``cardproof snippets``: which settings apply, what is started, what a page is given, what is said of its blocks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cardproof.commands.cli import cardproof
from cardproof.core.errors import InputError
from cardproof.core.settings import LIMITS, SnippetSettings, load_settings
from cardproof.snippets import run_pages as page_runs
from cardproof.snippets.results import PageRun
from cardproof.snippets.run import page_runner as running
from cardproof.snippets.run.page_runner import MOST_GIVEN, Job, Runner, preload_for
from cardproof.snippets.run_pages import Page, Policy, key_of, policy_of, runs_of_pages, with_timeout
from cardproof.snippets.types import Block, Limits, Options

GUIDE = Path(__file__).parents[2] / "docs" / "guide"


def python(code: str, header: str = "python") -> str:
    return f"```{header}\n{code}\n```\n\n"


def block(code: str, *, console: bool = False) -> Block:
    return Block("page.md", 1, code, Options(), console=console)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(here: Path, text: str, more: str = "") -> None:
    (here / "mkdocs.yml").write_text(f"site_name: Pages\n{more}plugins:\n- cardproof:\n    snippets: {text}\n")


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cardproof, ["snippets", *arguments], standalone_mode=False)


def blocks(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(command(*arguments, "--json").stdout)["blocks"]
    return found


# what is started


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return what each fork server imports that starts from now on."""
    found: list[tuple[str, ...]] = []

    class Noted(running.ForkServer):
        def __init__(self, environment: Any, preload: Any) -> None:
            found.append(tuple(preload))
            super().__init__(environment, ())

    monkeypatch.setattr(running, "ForkServer", Noted)
    return found


def test_a_page_without_a_block_that_runs_starts_no_process(here: Path, started: list[tuple[str, ...]]) -> None:
    (here / "page.md").write_text(
        "# Page\n\n" + python("1 / 0", "python { .skip }") + python("1 / 0", "python { .gpu }")
    )
    assert [found["status"] for found in blocks("page.md")] == ["skip", "not-run"]
    assert started == []


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is preloaded elsewhere")
def test_only_pages_that_use_torch_have_it_imported_beforehand(here: Path, started: list[tuple[str, ...]]) -> None:
    (here / "plain.md").write_text(python("import math"))
    (here / "torch.md").write_text(python("if False:\n    import torch.nn"))
    blocks("plain.md", "torch.md", "plain.md")
    assert started == [(), ("torch",)]


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is preloaded elsewhere")
def test_modules_of_the_setting_are_imported_for_all_pages(here: Path, started: list[tuple[str, ...]]) -> None:
    settings(here, "{preload: [json, torch]}")
    (here / "page.md").write_text(python("import math"))
    blocks("page.md")
    assert started == [("json", "torch")]


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is preloaded elsewhere")
def test_a_server_that_has_imported_more_serves_pages_that_need_less(started: list[tuple[str, ...]]) -> None:
    with Runner() as runner:
        for code in ("import timm", "import torch", "import math", "import torchvision"):
            runner.run(Job("page.md", (block(f"if False: {code}"),)))
    assert started == [("torch", "timm"), (), ("torch", "torchvision")]


def test_what_a_page_uses_is_read_from_its_imports() -> None:
    assert preload_for([block("import math, torch.nn as nn")]) == ("torch",)
    assert preload_for([block("x = 1"), block("def f():\n    from timm import create_model")]) == ("torch", "timm")
    assert preload_for([block("from res2next import create_model")]) == ("torch",)
    assert preload_for([block("from transformers import pipeline")]) == ("torch",)
    assert preload_for([block(">>> import torchvision\n>>> torchvision\n...", console=True)]) == (
        "torch",
        "torchvision",
    )


def test_text_comments_and_relative_imports_are_no_use_of_torch() -> None:
    codes = ["# import torch", "print('import torch')", "from .torch import x", "import numpy", "import (", "torch = 1"]
    assert preload_for([block(code) for code in codes]) == ()


def test_a_package_whose_metadata_requires_torch_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {"mine": ["torch>=2"], "optional": ["torch; extra == 'gpu'"], "other": ["torchmetrics"], "none": None}
    monkeypatch.setattr("importlib.metadata.requires", needs.__getitem__)
    assert preload_for([block("import mine")]) == ("torch",)
    assert preload_for([block("import optional, other, none")]) == ()


# where includes are looked for


@pytest.mark.parametrize("folder", [".", "elsewhere"])
def test_includes_are_found_as_the_site_finds_them(here: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "markdown_extensions:\n- pymdownx.superfences\n- pymdownx.snippets: {base_path: [snippets]}\n"
    settings(here, "{}", more)
    for name in ("docs", "snippets", "elsewhere"):
        (here / name).mkdir()
    (here / "snippets" / "code.py").write_text("print(6 * 7)\n# prints: 42\n")
    (here / "docs" / "page.md").write_text(python('--8<-- "code.py"'))
    monkeypatch.chdir(here / folder)
    (found,) = blocks(str(here / "docs" / "page.md"))
    assert (found["status"], found["output"]) == ("pass", "42\n")


def test_a_block_that_is_empty_without_its_include_is_an_error_and_no_pass(here: Path) -> None:
    (here / "page.md").write_text(python('--8<-- "gone.py"') + python(""))
    done = command("page.md", "--json")
    report = json.loads(done.stdout)
    assert report["blocks"] == []
    assert [(found["line"], found["severity"]) for found in report["findings"]] == [(2, "error")]
    assert "'gone.py' is not found" in report["findings"][0]["message"]
    assert done.return_value == 1


# settings


def test_each_page_has_the_settings_of_its_own_site(here: Path) -> None:
    for name, value in (("one", 1), ("two", 2)):
        (here / name).mkdir()
        settings(here / name, f"{{placeholders: {{NUMBER: {value}}}}}")
        (here / name / "page.md").write_text(python(f"print(NUMBER)\n# prints: {value}"))
    assert [found["status"] for found in blocks("one/page.md", "two/page.md")] == ["pass", "pass"]


def test_limits_are_settings(here: Path) -> None:
    settings(here, "{limits: {block_seconds: 1.5, memory: 1 GB, file: 2 MiB, output: 1000, processes: 3}}")
    expected = Limits(block_seconds=1.5, memory_bytes=10**9, file_bytes=2**21, output_bytes=1000, processes=3)
    assert policy_of(load_settings(here / "mkdocs.yml")).limits == expected
    assert set(LIMITS.values()) <= set(Limits.__struct_fields__)
    assert policy_of(load_settings(None)).limits is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{limits: {memory: lots}}", "memory is a size such as 500 MB or 8 GB"),
        ("{limits: {block_seconds: 0}}", "block_seconds is a number of seconds above 0"),
        ("{limits: {block_seconds: 3 GB}}", "block_seconds is a number of seconds above 0"),
        ("{limits: {processes: 1.5}}", "processes is a number of processes"),
        ("{limits: {speed: 3}}", "there is no limit 'speed'"),
        ("{limits: 3}", "limits is a mapping"),
        ("{files: [../secret.csv]}", "below the site's folder"),
        ("{files: [/etc/passwd]}", "below the site's folder"),
    ],
)
def test_a_setting_that_is_not_valid_is_an_error_at_its_place(here: Path, text: str, message: str) -> None:
    settings(here, text)
    with pytest.raises(InputError, match=r"mkdocs\.yml:4:\d+: .*" + message):
        load_settings(Path("mkdocs.yml"))


def test_every_setting_of_snippets_is_in_the_guide() -> None:
    guide = (GUIDE / "configuration.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in guide for name in SnippetSettings.__struct_fields__)
    assert all(f"          {name}: " in guide for name in LIMITS)


def test_a_block_that_takes_longer_than_the_limit_of_the_settings_or_the_command_fails(here: Path) -> None:
    settings(here, "{limits: {block_seconds: 0.3}}")
    (here / "page.md").write_text(python("import time\ntime.sleep(100)"))
    assert [(found["status"], "0.3 s" in found["message"]) for found in blocks("page.md")] == [("fail", True)]
    assert ["0.2 s" in found["message"] for found in blocks("page.md", "--timeout", "0.2")] == [True]


def test_a_longer_limit_of_blocks_lengthens_that_of_the_page() -> None:
    assert with_timeout(Policy(), 600).limits == Limits(block_seconds=600, page_seconds=3000)
    assert with_timeout(Policy(), 1).limits == Limits(block_seconds=1)


def test_a_stored_run_is_of_other_limits_no_more(here: Path) -> None:
    page = Page("page.md", python("x = 1"), here)
    assert key_of(page, "cpu", Policy(limits=Limits(block_seconds=1))) != key_of(page, "cpu", Policy())


# what a page is given, and what it leaves


def test_a_page_is_given_copies_of_the_files_that_the_settings_name(here: Path) -> None:
    settings(here, "{files: ['data/*.csv', labels.txt]}")
    for name in ("data/a.csv", "data/b.txt", "docs/labels.txt", "labels.txt"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(name)
    code = "import os\nprint(sorted(os.listdir()), os.listdir('data'))\n# prints: ['data', 'labels.txt'] ['a.csv']\n"
    code += "print(open('labels.txt').read())\n# prints: docs/labels.txt\nopen('data/a.csv', 'w').write('changed')\n"
    (here / "docs" / "page.md").write_text(python(code + "os.remove('labels.txt')"))
    assert [(found["status"], found["message"]) for found in blocks("docs/page.md")] == [("pass", "")]
    assert (here / "data" / "a.csv").read_text() == "data/a.csv"
    assert (here / "docs" / "labels.txt").exists()


@pytest.mark.attack("template", "A link among the files of a page leads out of the site", "the page fails, unread")
def test_a_file_outside_of_the_site_is_not_given(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("outside") / "secret.csv"
    secret.write_text("secret")
    settings(here, "{files: ['*.csv']}")
    (here / "link.csv").symlink_to(secret)
    (here / "page.md").write_text(python("print(open('link.csv').read())"))
    (found,) = blocks("page.md")
    assert found["status"] == "fail"
    assert "'link.csv' is a link that leads out of the site's folder" in found["message"]
    assert "secret" not in found["output"]


def test_more_than_a_page_is_given_fails_the_page(here: Path) -> None:
    settings(here, "{files: [big.bin]}")
    with (here / "big.bin").open("wb") as file:
        file.truncate(MOST_GIVEN + 1)
    (here / "page.md").write_text(python("x = 1"))
    (found,) = blocks("page.md")
    assert found["status"] == "fail"
    assert "a page is given at most" in found["message"]


def test_a_stored_run_is_of_other_files_no_more(here: Path) -> None:
    page, policy = Page("page.md", python("x = 1"), here), Policy(files=("*.csv",))
    without = key_of(page, "cpu", policy)
    (here / "a.csv").write_text("1")
    one = key_of(page, "cpu", policy)
    (here / "a.csv").write_text("2")
    assert len({without, one, key_of(page, "cpu", policy)}) == 3


def test_a_page_leaves_no_bytecode_beside_the_modules_that_it_imports(here: Path) -> None:
    (here / "helper.py").write_text("answer = 42\n")
    code = "import subprocess, sys, helper\nprint(helper.answer)\n# prints: 42\n"
    code += "print(subprocess.run([sys.executable, '-c', 'import helper']).returncode)\n# prints: 0"
    (here / "page.md").write_text(python(code))
    assert [found["status"] for found in blocks("page.md")] == ["pass"]
    assert not (here / "__pycache__").exists()


# reasons


def test_the_terminal_says_once_why_blocks_were_not_run_and_what_would_make_them_run(here: Path) -> None:
    network = python("1 / 0", "python { .network }")
    (here / "page.md").write_text(python("1 / 0", 'python { .skip data-reason="takes a day" }') + network * 7)
    done = command("page.md")
    assert done.output.splitlines()[:2] == [
        "1 skip: takes a day (page.md:2)",
        "7 not-run: it needs the network (page.md:6, page.md:10, page.md:14, page.md:18, page.md:22, and 2 more); "
        "run it with --network, or set 'network: true' under 'snippets'",
    ]
    assert done.return_value == 0
    assert command("page.md", "--quiet").output == ""


def test_hints_name_the_option_without_a_site_and_the_setting_with_one(here: Path) -> None:
    (here / "page.md").write_text(python("import socket\nsocket.create_connection(('192.0.2.1', 80))"))
    assert "run 'cardproof snippets --network'" in command("page.md").output
    assert "mkdocs" not in command("page.md").output
    settings(here, "{}")
    assert "set 'network: true' under 'snippets' of the plugin cardproof" in command("page.md").output


def test_a_reason_cannot_steer_the_terminal(here: Path) -> None:
    (here / "page.md").write_text(python("1 / 0", 'python { .skip data-reason="a\x1b[2Jb" }'))
    assert "\x1b" not in command("page.md").output


def test_blocks_are_looked_for_only_on_pages_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [Page(f"{name}.md", python("1"), Path()) for name in ("one", "two")]
    keys = [(page, device, key_of(page, device, Policy())) for page in pages for device in ("cpu", "cuda")][:3]
    stored = {key: PageRun(page.file, None, device, key, False, "", (), (), ()) for page, device, key in keys}
    looked: list[Page] = []
    monkeypatch.setattr(page_runs, "page_blocks", lambda page, _: looked.append(page) or ((), ()))
    assert len(runs_of_pages(pages, Policy(), stored)) == 3
    assert not looked
