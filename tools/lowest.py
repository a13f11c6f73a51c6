"""Run tests with the lowest versions that ``pyproject.toml`` allows: ``python tools/lowest.py [TESTS]``.

The environment ``.venv-lowest`` has each direct dependency and the extra ``data`` in their lowest versions, from the
package index, and what these need. torch and torchvision, which are gigabytes and come in pairs, are those of the
environment that runs this, as are the tools of the tests: its packages are found behind those of ``.venv-lowest``.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import venv
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".venv-lowest"
AS_THEY_ARE = ("torch", "torchvision")
EXTRAS = ("data",)
TESTS = (
    *("core", "read", "report", "plan", "judge/online", "judge/test_text_checks.py", "judge/test_results.py"),
    *("commands/test_commands.py", "commands/test_output.py", "plugins/test_pytest_plugin.py"),
    *(
        "render/test_render.py",
        "render/test_paper_and_licence.py",
        "snippets/test_find_blocks.py",
        "snippets/test_find_pages.py",
    ),
    *("snippets/test_comparison.py", "res2next/test_transforms.py", "res2next/test_classify.py"),
)
"""Rooms in which each dependency is used; benchmarks, browsers and trainings are left out."""
NEWER = "tests/report/export/test_formats.py::test_a_citation_file_is_valid_and_has_the_papers_of_the_cards"
"""The tool that validates there, check-jsonschema, needs a newer click than cardproof."""


def lowest() -> list[str]:
    """Return the direct dependencies and those of some extras, pinned to their lower bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (project["optional-dependencies"][name] for name in EXTRAS)
    pins = []
    for requirement in map(Requirement, chain(project["dependencies"], *extras)):
        (bound,) = (one.version for one in requirement.specifier if one.operator == ">=")
        if requirement.name not in AS_THEY_ARE:
            pins.append(f"{requirement.name}=={bound}")
    return pins


def main() -> int:
    """Make the environment, and return the exit status of the tests."""
    venv.create(FOLDER, clear=True, with_pip=True)
    python = FOLDER / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary", ":all:"]
    subprocess.run([*pip, *lowest()], check=True)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    purelib = Path(subprocess.check_output([python, "-c", where], text=True).strip())
    (purelib / "others.pth").write_text(
        f"{ROOT}\n{ROOT / 'tools'}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8"
    )
    tests = sys.argv[1:] or [f"tests/{name}" for name in TESTS]
    options = ["-p", "no:cacheprovider", "-n", "2", "--dist", "worksteal", "--deselect", NEWER]
    return subprocess.run([python, "-m", "pytest", *options, *tests], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
