"""The hooks for pre-commit, run by pre-commit itself at real commits.

pre-commit clones this project, builds it and installs it into an environment of its own, as for every user; only what
it depends on, torch above all, comes from the environment of these tests, so that nothing is downloaded.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from sites import CARD, TINY

ROOT = Path(__file__).parents[2]
FALSE = CARD.replace("Parameters: 322", "Parameters: 323  # as written")
OF_THE_PROJECT = (".pre-commit-hooks.yaml", "LICENSE", "README.md", "pyproject.toml", "res2next", "tools/cardproof")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "hook", yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()), ids=lambda hook: hook["id"]
)
def test_a_hook_looks_at_the_files_that_an_audit_of_a_folder_looks_for(hook):
    names = ["README.md", "README.MD", "docs/a.mdx", "model-index.yml", "a/model-index.yaml"]
    others = ["mkdocs.yml", ".github/workflows/ci.yml", "my-model-index.yml", "a.md.txt", "amd"]
    assert [name for name in names + others if re.search(hook["files"], name)] == names


class Repository:
    """A Git repository of a test, and an environment in which nothing of the machine's own configuration counts."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        folder.mkdir(parents=True, exist_ok=True)
        self.run("git", "init", "--quiet", "--initial-branch=main")

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def commit(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        self.run("git", "add", "--all")
        return self.run("git", "commit", "--message", "cards", check=check)

    @property
    def commits(self) -> int:
        return int(self.run("git", "rev-list", "--all", "--count").stdout)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "PIP_", "PRE_COMMIT", "PYTHON", "VIRTUAL_ENV"))
    }
    return {
        **inherited,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PRE_COMMIT_HOME": str(home / "pre-commit"),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        # dependencies, and what builds the package, are found here; only the project itself is installed
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.fixture(scope="module")
def hooks(tmp_path_factory, environment):
    """Return a repository with this project as it is on disk, committed, and its revision."""
    repository = Repository(tmp_path_factory.mktemp("hooks") / "cardproof", environment)
    for name in OF_THE_PROJECT:
        source, target = ROOT / name, repository.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    repository.commit()
    return repository.folder, repository.run("git", "rev-parse", "HEAD").stdout.strip()


@pytest.fixture
def repository(tmp_path, environment, hooks):
    """Return a function that makes a repository with one of the hooks installed."""

    def make(hook: str, **options: str) -> Repository:
        made = Repository(tmp_path / "cards", environment)
        folder, revision = hooks
        used = {"id": hook, "args": ["--zoo", "zoo.py:Zoo"], **options}
        config = {"repos": [{"repo": str(folder), "rev": revision, "hooks": [used]}]}
        (made.folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
        (made.folder / "zoo.py").write_text(TINY)
        made.run(sys.executable, "-m", "pre_commit", "install")
        return made

    return make


def test_a_false_card_is_not_committed_and_a_true_one_is(repository):
    made = repository("cardproof-audit")
    card = made.folder / "model.md"
    card.write_text(FALSE)
    done = made.commit(check=False)
    assert done.returncode == 1
    assert (
        "model.md:16:17: error [parameters] [*] Parameters of tiny: card says 323, network has 322 (−0.3 %)"
        in done.stdout + done.stderr
    )
    assert made.commits == 0
    assert card.read_text() == FALSE

    card.write_text(CARD)
    done = made.commit()
    assert "audit model cards" in done.stdout + done.stderr
    assert made.commits == 1


def test_a_false_card_is_mended_and_committed_once_somebody_saw_it(repository):
    made = repository("cardproof-fix")
    card = made.folder / "model.md"
    card.write_text(FALSE)
    done = made.commit(check=False)
    assert done.returncode == 1
    assert "files were modified by this hook" in done.stdout + done.stderr
    assert card.read_text() == FALSE.replace("323", "322")
    made.commit()
    assert made.commits == 1
    assert made.run("git", "show", "HEAD:model.md").stdout == FALSE.replace("323", "322")


def test_an_installed_cardproof_is_used_where_the_configuration_says_so(repository, environment, tmp_path):
    made = repository("cardproof-audit", language="system")
    program = tmp_path / "bin" / "cardproof"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "called with $*"\nexit 1\n')
    program.chmod(0o755)
    made.environment = {**environment, "PATH": f"{program.parent}{os.pathsep}{environment['PATH']}"}
    (made.folder / "model.md").write_text(FALSE)
    assert "called with audit --zoo zoo.py:Zoo model.md" in made.commit(check=False).stderr
    assert made.commits == 0


def test_what_is_no_card_is_not_audited(repository):
    made = repository("cardproof-audit")
    (made.folder / "workflow.yml").write_text("on: [push\n")
    done = made.commit()
    assert "Skipped" in done.stdout + done.stderr
    assert made.commits == 1
