"""The GitHub Action: valid by its published schema, and its scripts run as a runner runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator
from sites import CARD, TINY

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
FALSE = CARD.replace("Parameters: 322", "Parameters: 323")

STUB = """#!/bin/sh
# Stands in for cardproof: writes down its arguments and the reports that it is asked for, and ends as it is told.
printf '%s\\0' "$@" > "$RUNNER_TEMP/arguments"
for argument; do
    case "$argument" in
        markdown=*) echo summary > "${argument#*=}" ;;
        json=*) echo '{"summary": {"refuted": 0, "errors": 0, "warnings": WARNINGS, "claims": 3}}' > "${argument#*=}" ;;
    esac
done
exit STATUS
"""

pytestmark = pytest.mark.slow


@dataclass
class Ran:
    """What one step of the action did."""

    status: int
    log: str
    outputs: dict[str, str]
    summary: str


class Runner:
    """Runs scripts of the action's steps: in bash as GitHub calls it, with the variables and files that it gives."""

    def __init__(self, workspace: Path, temp: Path, programs: Path) -> None:
        self.workspace = workspace
        self.temp = temp
        self.programs = programs
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
        self.environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"

    def stand_in(self, status: int = 0, warnings: int = 0) -> None:
        """Put a program in the place of ``cardproof`` that records its arguments, and says this of the cards."""
        stub = STUB.replace("STATUS", str(status)).replace("WARNINGS", str(warnings))
        (self.programs / "cardproof").write_text(stub)

    @property
    def arguments(self) -> list[str]:
        """What the stub was called with, without the reports that the step wants for itself."""
        given = (self.temp / "arguments").read_text().split("\0")[:-1]
        return [text for text in given if not text.startswith(("--write", "markdown=", "json="))]

    def run(self, name: str, **inputs: str) -> Ran:
        (step,) = [step for step in STEPS if step["name"] == name]
        given = {key: str(one["default"]) for key, one in ACTION["inputs"].items()}
        given |= {key.replace("_", "-"): value for key, value in inputs.items()}
        script, outputs, summary = (self.temp / name for name in ("script.sh", "outputs", "summary.md"))
        script.write_text(step["run"], encoding="utf-8")
        outputs.write_text("")
        summary.write_text("")
        environment = {
            **self.environment,
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
            "RUNNER_TEMP": str(self.temp),
            **{key: re.sub(r"\$\{\{ inputs\.(\S+) \}\}", lambda m: given[m[1]], v) for key, v in step["env"].items()},
        }
        command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]
        done = subprocess.run(command, cwd=self.workspace, env=environment, capture_output=True, text=True, check=False)
        lines = (line.partition("=") for line in outputs.read_text().splitlines())
        return Ran(
            done.returncode, done.stdout + done.stderr, {key: value for key, _, value in lines}, summary.read_text()
        )


@pytest.fixture
def runner(tmp_path):
    """Return a runner in a repository with a false card, where ``cardproof`` and ``python`` are on the path."""
    workspace, temp, programs = (tmp_path / name for name in ("workspace", "temp", "bin"))
    for folder in (workspace / ".git", temp, programs):
        folder.mkdir(parents=True)
    for name, command in (("python", ""), ("cardproof", " -P -m cardproof")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT / "tools"}" exec "{sys.executable}"{command} "$@"\n')
        program.chmod(0o755)
    (workspace / "zoo.py").write_text(TINY)
    (workspace / "model.md").write_text(FALSE)
    return Runner(workspace, temp, programs)


def audit(runner: Runner, **inputs: str) -> Ran:
    return runner.run("Audit model cards", **{"zoo": "zoo.py:Zoo", **inputs})


def test_the_action_is_valid_by_its_published_schema():
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "github-actions.json"
    Draft7Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(ACTION)


def test_no_input_stands_in_the_text_of_a_script():
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) == 2
    assert not any("${{" in script for script in scripts)


def test_every_input_is_used_and_every_output_is_written(runner):
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert all(f"inputs.{name}" in text for name in ACTION["inputs"])
    runner.stand_in()
    assert set(audit(runner).outputs) == set(ACTION["outputs"])


def test_other_actions_are_pinned_by_a_commit_whose_version_is_stated():
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    used = re.findall(r"^ +uses: (.+)$", text, re.MULTILINE)
    assert len(used) == 2
    assert all(re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name) for name in used)


def test_workflows_in_the_guide_have_nothing_that_an_audit_of_workflows_reports(tmp_path):
    guide = (ROOT / "docs" / "guide" / "in-ci.md").read_text(encoding="utf-8")
    workflows = [
        block for block in re.findall(r"^```yaml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL) if "jobs:" in block
    ]
    assert workflows
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    for number, text in enumerate(workflows):
        (folder / f"{number}.yml").write_text(text.replace("@COMMIT", f"@{'0' * 40}"), encoding="utf-8")
    command = [Path(sys.executable).with_name("zizmor"), "--offline", "--quiet", "--persona", "pedantic", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_refuted_claim_fails_the_step_and_is_shown_everywhere(runner):
    ran = audit(runner)
    assert ran.status == 1
    assert "::error file=model.md,line=16,col=17,endColumn=20,title=cardproof parameters::Parameters of" in ran.log
    assert ran.outputs == {
        "exit": "1",
        "refuted": "1",
        "errors": "1",
        "warnings": "0",
        "claims": "3",
        "sarif": "cardproof.sarif",
    }
    (run,) = json.loads((runner.workspace / "cardproof.sarif").read_text(encoding="utf-8"))["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["parameters"]
    assert "### Refuted claims" in ran.summary


def test_a_true_card_passes(runner):
    (runner.workspace / "model.md").write_text(CARD)
    ran = audit(runner)
    assert ran.status == 0
    assert (ran.outputs["exit"], ran.outputs["refuted"]) == ("0", "0")


@pytest.mark.parametrize(
    ("found", "warnings", "fail_on", "status"),
    [
        (1, 0, "error", 1),
        (1, 0, "never", 0),
        (0, 0, "warning", 0),
        (0, 1, "warning", 1),
        (0, 1, "error", 0),
        (1, 0, "warning", 1),
        (2, 0, "never", 2),
    ],
)
def test_what_fails_the_step_is_an_input(runner, found, warnings, fail_on, status):
    runner.stand_in(found, warnings)
    assert audit(runner, fail_on=fail_on).status == status


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"fail_on": "sometimes"}, "fail-on is error, warning or never"),
        ({"paths": "none.md", "fail_on": "never"}, "no such file"),
        ({"zoo": "nonsense", "fail_on": "never"}, "is not known"),
        ({"paths": ""}, "Missing argument"),
    ],
)
def test_bad_input_fails_the_step_whatever_it_shall_fail_on(runner, inputs, words):
    ran = audit(runner, **inputs)
    assert ran.status == 2
    assert words in ran.log
    assert "sarif" not in ran.outputs


def test_paths_are_lines_and_options_are_given_if_they_are_set(runner):
    runner.stand_in()
    assert audit(runner, paths="\na b/--fix.md\r\nother.md\n\n", baseline="known.json", sarif="s.json").status == 0
    always = ["audit", "--format", "github", "--zoo", "zoo.py:Zoo"]
    assert runner.arguments == [*always, "--baseline", "known.json", "sarif=s.json", "--", "a b/--fix.md", "other.md"]
    audit(runner, zoo="", config="a.yml", weights="w")
    more = ["--config", "a.yml", "--weights", "w"]
    assert runner.arguments == ["audit", "--format", "github", *more, "sarif=cardproof.sarif", "--", "."]


@pytest.mark.parametrize("evil", ['"; touch evil; $(touch evil) "', "'; touch evil; `touch evil` '"])
def test_an_input_is_never_a_command(runner, evil):
    runner.stand_in()
    for name in ("paths", "zoo", "config", "baseline", "weights", "sarif"):
        audit(runner, **{name: evil})
        assert runner.arguments.count(f"sarif={evil}" if name == "sarif" else evil) == 1
    assert audit(runner, fail_on=evil).status == 2
    assert not list(runner.workspace.rglob("evil"))


def test_modules_of_the_audited_repository_are_not_imported_by_the_action(runner):
    for name in ("json", "pip", "click", "cardproof"):
        (runner.workspace / f"{name}.py").write_text("open('evil', 'w')\nraise SystemExit(0)\n")
    assert audit(runner).status == 1
    assert not (runner.workspace / "evil").exists()


def test_the_action_installs_what_it_runs(runner, tmp_path):
    """Install as the action does, into an environment that finds dependencies in the one of these tests."""
    import venv

    venv.create(tmp_path / "venv", with_pip=False)
    programs = tmp_path / "venv" / "bin"
    runner.environment |= {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
    }
    installed = runner.run("Install cardproof")
    assert installed.status == 0, installed.log
    assert (programs / "cardproof").is_file()
    assert audit(runner).outputs["refuted"] == "1"
