"""The wheel: the same bytes wherever it is built, whole, and enough for a site in an environment of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.metadata import Metadata
from packaging.utils import canonicalize_name

import sbom

ROOT = Path(__file__).parents[2]
PACKAGES = ("res2next", "tools/cardproof")
PROJECT = (*PACKAGES, "LICENSE", "README.md", "pyproject.toml", "docs/licences.md")

pytestmark = pytest.mark.slow


def build(folder: Path, umask: int, **environment: str) -> Path:
    """Build the wheel from a copy of the project in a folder, in other circumstances."""
    for name in PROJECT:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile
            )
        else:
            shutil.copyfile(ROOT / name, target)
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
        os.utime(path, (umask * 10_000_000, umask * 10_000_000))
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(command, cwd=folder, env={**os.environ, **environment}, umask=umask, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"), 0o022)


def test_the_wheel_is_the_same_bytes_in_another_folder_umask_time_zone_and_locale(wheel, tmp_path):
    epoch = {name: value for name, value in os.environ.items() if name == "SOURCE_DATE_EPOCH"}
    other = build(tmp_path / "an other ïn", 0o077, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7", **epoch)
    assert other.name == wheel.name
    assert other.read_bytes() == wheel.read_bytes()


def test_source_date_epoch_dates_the_files(tmp_path):
    dated = build(tmp_path, 0o022, SOURCE_DATE_EPOCH="1700000000")
    assert {entry.date_time[:3] for entry in ZipFile(dated).infolist()} == {(2023, 11, 14)}


def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(wheel):
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    wanted = {
        path.relative_to(ROOT).as_posix().removeprefix("tools/") for path in files if "__pycache__" not in path.parts
    }
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == wanted
    notices = {name.partition("/licenses/")[2] for name in ZipFile(wheel).namelist()} - {""}
    assert notices == {"LICENSE", "docs/licences.md"}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Return the Python of an environment that has what ``pip install`` of the wheel gives, without extras."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-compile",
    ]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-compile", str(wheel)], check=True, env=clean())
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    purelib = Path(subprocess.check_output([python, "-c", code], text=True).strip())
    for name in required((purelib / f"{wheel.stem.rsplit('-', 3)[0]}.dist-info" / "METADATA").read_text()):
        link_distribution(name, purelib)
    return python


def required(text: str) -> set[str]:
    """Return the names of all packages that metadata require without an extra, directly or not."""
    found: set[str] = set()
    waiting = [text]
    while waiting:
        needs = Metadata.from_email(waiting.pop(), validate=False).requires_dist or []
        names = {
            canonicalize_name(need.name) for need in needs if not need.marker or need.marker.evaluate({"extra": ""})
        }
        waiting += [distribution(name).read_text("METADATA") or "" for name in names - found]
        found |= names
    return found


def link_distribution(name: str, purelib: Path) -> None:
    """Link the files of a package of this environment into another one."""
    found = distribution(name)
    lines = (found.read_text("RECORD") or "").splitlines()
    for top in {line.partition(",")[0].partition("/")[0] for line in lines} - {"..", "__pycache__"}:
        if not (purelib / top).exists():
            (purelib / top).symlink_to(Path(found.locate_file(top)))


def clean(**more: str) -> dict[str, str]:
    names = ("PYTHON", "PIP_", "VIRTUAL_ENV", "COVERAGE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return {**kept, "NO_MKDOCS_2_WARNING": "1", **more}


@dataclass
class Runner:
    """Runs the installed Python in a folder of its own."""

    python: Path
    folder: Path

    def __call__(self, *command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        environment = clean(XDG_CACHE_HOME=str(self.folder / "cache"))
        done = subprocess.run(
            [self.python, *command], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done


@pytest.fixture
def run(installed, tmp_path) -> Runner:
    return Runner(installed, tmp_path)


def test_what_is_installed_is_the_wheel_and_what_it_requires_only(run, installed):
    code = "import cardproof, res2next, sys; print(cardproof.__file__, res2next.__file__, *sys.path, sep='\\n')"
    module, package, *paths = run("-c", code).stdout.splitlines()
    assert Path(module).is_relative_to(installed.parents[1])
    assert Path(package).is_relative_to(installed.parents[1])
    assert not {str(ROOT), str(ROOT / "tools"), sysconfig.get_path("purelib")} & set(paths)
    code = "import importlib.util as u; print(*(name for name in ('sklearn', 'scipy', 'pytest') if u.find_spec(name)))"
    assert run("-c", code).stdout == "\n"


def test_a_new_site_is_made_rendered_and_built(run, tmp_path):
    names = ("res2next_tiny", "res2next_small", "res2next50")
    run("-m", "cardproof", "init", "--zoo", "res2next", *names, "--limit", "2", "--quiet")
    report = json.loads(run("-m", "cardproof", "render", "--json").stdout)
    assert report["summary"]["refuted"] == report["summary"]["measured"] == 0
    assert (report["summary"]["models"], report["summary"]["pass"]) == (2, 1)
    assert report["summary"]["confirmed"] > 0
    run("-m", "mkdocs", "build", "--strict", "--quiet")
    page = (tmp_path / "site/models/model/index.html").read_text(encoding="utf-8")
    assert "res2next_tiny" in page
    assert (tmp_path / "site/assets/compare.js").is_file()


def test_the_example_of_the_page_on_installing_finds_the_false_number(run):
    page = (ROOT / "docs" / "guide" / "install.md").read_text(encoding="utf-8")
    files = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', page, re.MULTILINE | re.DOTALL)
    (command,) = re.findall(r"^\$ cardproof (audit .+)$", page, re.MULTILINE)
    assert [name for name, _ in files] == ["mynet.py", "README.md"]
    for name, text in files:
        (run.folder / name).write_text(text, encoding="utf-8")
    printed = run("-m", "cardproof", *command.split(), "--json", status=1).stdout
    (claim,) = json.loads(printed)["claims"]
    assert (claim["line"], claim["stated"], claim["found"], claim["verdict"]) == (3, "9.9K", 1792, "refuted")


def test_the_bill_of_materials_is_valid_whole_and_the_same_each_time(tmp_path):
    pytest.importorskip("jsonschema")
    command = [sys.executable, ROOT / "tools" / "sbom.py", tmp_path]
    wheel, bill = subprocess.check_output(command, text=True, cwd=tmp_path).splitlines()
    text = Path(bill).read_text(encoding="utf-8")
    assert sbom.bill_of(Path(wheel)) == text  # by a process with other hashes
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    data = json.loads(text)
    whole = data["metadata"]["component"]
    assert whole["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(Path(wheel).read_bytes()).hexdigest()}]
    carried = {one["name"].rpartition("/")[2]: one["licenses"] for one in whole["components"]}
    assert carried["chelsea.jpg"] == [{"expression": "CC0-1.0"}]
    assert len([name for name in carried if name.endswith(".safetensors")]) == 2
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    direct = [package for package in data["components"] if package.get("properties")]
    assert len(direct) == len(needed)
    assert [package["name"] for package in direct if not package.get("licenses")] == []
