"""``cardproof init``: in an empty folder, two commands give a built site whose claims all hold."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown import markdown
from sites import MULTIPLY_ADDS, ONE_JOB, PARAMETERS, TINY, cardproof, mkdocs
from warm import start

from cardproof.build import audit
from cardproof.commands.scaffold.families import index_text
from cardproof.commands.scaffold.site import COMMON_FILES, IGNORE
from cardproof.core.settings import Settings
from cardproof.core.source import Source
from cardproof.core.types import Place
from cardproof.measure.list_models import list_in_worker
from cardproof.read import read_cards
from cardproof.read.markdown import find_index_comments
from cardproof.render.output.files import SCRIPTS, STYLES
from cardproof.zoos.metadata import ModelList, Published

LISTED = TINY + "\n    def models(self):\n        return ['tiny', 'tiny_16', 'broken']\n"

UNWILLING = """

class Raises(Zoo):
    def models(self):
        raise RuntimeError("no list")


class Exits(Zoo):
    def models(self):
        raise SystemExit(3)
"""


def init(*arguments: str):
    done = cardproof("init", "--json", *arguments)
    return done, json.loads(done.stdout) if done.stdout else None


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class NewSite(NamedTuple):
    """A site as ``init`` left it, and its report."""

    folder: Path
    report: dict[str, Any]

    def claims(self) -> dict[tuple[str, str], str]:
        return {(claim["model"], claim["field"]): claim["stated"] for claim in self.report["claims"]}

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")


@contextmanager
def new_site(folder: Path, *arguments: str, **files: str) -> Iterator[NewSite]:
    """Make a site in a folder with these Python files, and work in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / ".cache"))
        for name, text in files.items():
            Path(f"{name}.py").write_text(text)
        done, report = init(*arguments)
        assert done.returncode == 0, done.stderr
        yield NewSite(folder, report)


@pytest.fixture(scope="module")
def of_torchvision(tmp_path_factory):
    with new_site(tmp_path_factory.mktemp("torchvision"), "--zoo", "torchvision", "resnet18", "squeezenet1_1") as site:
        yield site


@pytest.fixture(scope="module")
def of_timm(tmp_path_factory):
    pytest.importorskip("timm")
    folder = tmp_path_factory.mktemp("timm")
    with new_site(folder, "--zoo", "timm", "resnet18", "vit_tiny_patch16_224", "--no-snippets") as site:
        yield site


NAME = 'A: "b" {{ c }} # <d> %ZOO%'
"""Of a site, with marks of YAML, Jinja and HTML."""


@pytest.fixture(scope="module")
def of_own_zoo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    arguments = ["--zoo", "zoo.py:Zoo", "tiny", "tiny_16", "--no-snippets", "--site-name", NAME]
    with new_site(folder, *arguments, zoo=TINY) as site:
        yield site


def run_code(folder: Path, page: str) -> int | None:
    """Run the first block of code of a page in a process of its own; return its exit status."""
    code = page.partition("```python\n")[2].partition("```")[0]
    process = start(_run_code, str(folder), code)
    process.join(60)
    return process.exitcode


def _run_code(folder: str, code: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)
    exec(code, {})


@pytest.mark.slow
def test_two_commands_make_a_site_of_torchvision(of_torchvision, monkeypatch):
    """Build, render again: no warning, nothing measured, nothing refuted; Git is told of no derived file."""
    monkeypatch.chdir(of_torchvision.folder)
    built = mkdocs("build", "--strict")
    assert built.returncode == 0
    assert "WARNING" not in built.stderr
    assert Path("site/models/compare/index.html").is_file()
    tabs = re.findall(r'md-tabs__link">\s*([^<]*?)\s*<', Path("site/index.html").read_text())
    assert tabs == ["Home", "Models", "Compare", "Evidence"]
    again = json.loads(cardproof("render", "--json").stdout)["summary"]
    assert (again["models"], again["measured"], again["changed"], again["exit"]) == (2, 0, 0, 0)
    assert again["refuted"] == again["disputed"] == again["errors"] == 0
    assert again["confirmed"] > 8 * 2
    assert cardproof("render", "--check", "--quiet").returncode == 0
    subprocess.run(["git", "init", "--quiet"], check=True)
    listed = ["git", "ls-files", "--others", "--exclude-standard", "docs", "site"]
    kept = {Path(name) for name in subprocess.check_output(listed, text=True).splitlines()}
    assert {path.parts[1] for path in kept} <= {"models", "evidence", "data", "index.md", "evidence.md", "assets"}
    assert {path.name for path in kept if path.parts[1] == "assets"} == {"site.css"}
    assert Path("docs/models/compare.md") in kept


def test_cards_of_torchvision_state_its_metadata_and_run_its_snippets(of_torchvision):
    report, found = of_torchvision.report, of_torchvision.claims()
    assert [block["status"] for block in report["blocks"]] == ["pass", "not-run"] * 2
    assert {claim["verdict"] for claim in report["claims"] if claim["metric"]} == {"cited"}
    assert found["resnet18", "Parameters"] == "11689512"  # as its metadata says
    assert found["squeezenet1_1", "Top 1 Accuracy"] == "58.178%"
    assert [Path(page["page"]).stem for page in report["pages"] if page["models"]] == ["resnet", "squeezenet"]
    assert not [finding for finding in report["findings"] if finding["severity"] != "note"]
    assert "Downloading" not in of_torchvision.text("docs/models/resnet.md")  # what a skipped block said on its way


def test_cards_of_timm_state_no_results_which_it_does_not_publish(of_timm):
    assert not any(claim["metric"] for claim in of_timm.report["claims"])
    assert not (of_timm.folder / "docs/data").exists()
    card = read_cards([of_timm.folder / "templates/models/vision-transformer.md"]).models[0]
    assert card.text("License") == "apache-2.0"
    assert card.metadata.get("Training Data").plain() == ["ImageNet-21k", "ImageNet-1k"]  # augreg_in21k_ft_in1k
    assert run_code(of_timm.folder, of_timm.text("docs/models/resnet.md")) == 0


def test_a_zoo_of_the_users_own_needs_nothing_but_build(of_own_zoo):
    found = of_own_zoo.claims()
    assert found["tiny", "Parameters"] == str(PARAMETERS)
    assert found["tiny", "FLOPs"] == str(MULTIPLY_ADDS)
    created = [*COMMON_FILES, IGNORE, "templates/models/zoo-py-zoo.md"]
    assert sorted(of_own_zoo.report["created"]) == sorted(created)
    assert run_code(of_own_zoo.folder, of_own_zoo.text("docs/models/zoo-py-zoo.md")) == 0


def test_a_site_name_with_marks_of_yaml_and_jinja_is_a_text(of_own_zoo):
    assert yaml.safe_load(of_own_zoo.text("mkdocs.yml"))["site_name"] == NAME
    header, text = of_own_zoo.text("docs/index.md").removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(header)["title"] == NAME
    page = markdown(text, extensions=["attr_list", "tables"])
    assert "<d>" not in page
    assert "&lt;d&gt; %ZOO%" in page.replace("&#60;", "&lt;").replace("&#62;", "&gt;").replace("&#37;", "%")


# values that were copied from their own measurement


def test_the_first_page_says_what_there_is_and_what_to_edit(of_own_zoo):
    page = of_own_zoo.text("docs/index.md")
    assert re.search(r"^2 models of zoo\.py:Zoo in 1 family, measured on \d{4}-\d\d-\d\d\.", page, re.MULTILINE)
    named = re.findall(r"^\| .* \| `(\S+)` \|$", page, re.MULTILINE)
    assert all((of_own_zoo.folder / name.replace("FAMILY", "zoo-py-zoo")).is_file() for name in named)
    assert len(named) == 5


def test_the_settings_name_all_assets_for_generators_without_the_plugin(of_own_zoo):
    settings = yaml.safe_load(of_own_zoo.text("mkdocs.yml"))
    named = [*settings["extra_css"], *settings["extra_javascript"]]
    assert [name.removeprefix("assets/") for name in named] == ["site.css", *STYLES, *SCRIPTS]
    assert all((of_own_zoo.folder / "docs" / name).is_file() for name in named)


def test_values_that_init_copied_are_called_generated_until_somebody_writes_them(of_own_zoo, tmp_path, monkeypatch):
    shutil.copytree(of_own_zoo.folder, tmp_path / "site")
    monkeypatch.chdir(tmp_path / "site")
    card, page = Path("templates/models/zoo-py-zoo.md"), Path("docs/models/zoo-py-zoo.md")
    summary = of_own_zoo.report["summary"]
    assert summary["generated"] == summary["confirmed"] > 0
    words = r">(\d+) values were generated from measurements on \d{4}-\d\d-\d\d; nothing was checked against"
    assert re.search(words, page.read_text())[1] == str(summary["generated"])
    assert "generated from this measurement" in page.read_text()

    def generated() -> int:
        found: int = json.loads(cardproof("render", "--json").stdout)["summary"]["generated"]
        return found

    card.write_text(card.read_text().replace(f"Parameters: {PARAMETERS}\n", "Parameters: 0.32K\n"))
    assert generated() == summary["generated"] - 1
    card.write_text(re.sub(r"# cardproof: generated .*\n", "", card.read_text()))
    assert generated() == 0
    assert "generated" not in page.read_text()
    assert cardproof("render", "--check", "--quiet").returncode == 0


def test_no_page_of_a_new_site_shows_a_generated_value_as_confirmed(of_own_zoo):
    pages = [path for path in (of_own_zoo.folder / "docs/models").glob("*.md") if "cp-" in path.read_text()]
    assert len(pages) == 3
    for page in pages:
        assert "cp-generated" in page.read_text(), page
        assert "cp-confirmed" not in page.read_text(), page
    catalog = of_own_zoo.folder / "docs/catalog"
    models = json.loads((catalog / "models.json").read_text())["models"]
    assert all(model["verdicts"]["confirmed"] == model["generated"] for model in models)
    assert "confirmed" not in (catalog / "models/tiny/badge.svg").read_text()


def test_a_model_that_cannot_be_measured_is_named_and_has_no_card(empty):
    Path("zoo.py").write_text(LISTED)
    done, report = init("--zoo", "zoo.py:Zoo", "--no-snippets")
    assert done.returncode == 1
    assert [(f["check"], f["severity"]) for f in report["findings"]] == [("unknown-model", "error")]
    assert "broken was not measured, and has no card" in report["findings"][0]["message"]
    assert {claim["model"] for claim in report["claims"]} == {"tiny", "tiny_16"}


def test_nothing_is_written_where_a_file_is_in_the_way(empty):
    Path("zoo.py").write_text(TINY)
    Path("docs").mkdir()
    Path("docs/index.md").write_text("mine\n")
    done, _ = init("--zoo", "zoo.py:Zoo", "tiny", "--no-snippets")
    assert done.returncode == 2
    assert "files exist already: docs/index.md; --force overwrites them" in done.stderr
    assert sorted(path.as_posix() for path in Path().rglob("*") if path.is_file()) == ["docs/index.md", "zoo.py"]

    Path(IGNORE).write_text("mine\n")
    done, _ = init("--zoo", "zoo.py:Zoo", "tiny", "--no-snippets", "--force")
    assert done.returncode == 0
    assert Path("docs/index.md").read_text() != "mine\n"
    assert Path(IGNORE).read_text() == "mine\n"


def test_a_card_that_is_there_is_not_written_over(empty):
    Path("zoo.py").write_text(TINY)
    Path("templates/models").mkdir(parents=True)
    Path("templates/models/zoo-py-zoo.md").write_text("mine\n")
    done, _ = init("--zoo", "zoo.py:Zoo", "tiny", "--no-snippets")
    assert done.returncode == 2
    assert not Path("mkdocs.yml").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--zoo", "torchvision", "resnt50"], "matches 'resnt50'; did you mean resnet50 or"),
        (["--zoo", "torchvision", "ResNet*"], "did you mean resnet101 or"),
        (["--zoo", "torchvision", "xyzzy*"], "matches 'xyzzy*'"),
        (["--zoo", "nonsense"], "zoo 'nonsense' is not known"),
        (["--zoo", "zoo.py:Zoo", "t*"], "does not list its models"),
        (["--zoo", "zoo.py:Zoo"], "does not list its models: name them"),
        (["--zoo", "zoo.py:Zoo", "broken"], "none of 1 models could be measured"),
        (["--zoo", "zoo.py:Raises"], "zoo 'zoo.py:Raises' does not list its models: RuntimeError: no list"),
        (["--zoo", "zoo.py:Exits"], "zoo 'zoo.py:Exits' does not list its models: SystemExit: 3"),
        ([], "Missing option '--zoo'"),
        (["--zoo", "torchvision", "--limit", "0"], "--limit"),
    ],
)
def test_bad_input_exits_with_two_and_writes_nothing(empty, arguments, words):
    Path("zoo.py").write_text(TINY + UNWILLING)
    done, _ = init(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in empty.iterdir() if path.name != "__pycache__"] == ["zoo.py"]


def test_a_dry_run_says_which_models_there_are_and_writes_nothing(empty):
    done, report = init("--zoo", "torchvision", "resnet*", "--limit", "2", "--dry-run")
    assert done.returncode == 0
    assert report["models"] == ["resnet101", "resnet152"]
    assert not list(empty.iterdir())


def test_a_pattern_with_a_dot_is_about_weights():
    found = list_in_worker("torchvision", ("ResNet50_Weights.*", "alexnet"), False)
    assert [one.model for one in found.models] == [
        "alexnet",
        "ResNet50_Weights.IMAGENET1K_V1",
        "ResNet50_Weights.IMAGENET1K_V2",
    ]


def test_every_file_of_a_new_site_has_a_source():
    starter = Path(__file__).parents[3] / "tools/cardproof/commands/scaffold/starter"
    assert [path for path in COMMON_FILES if not (starter / path).is_file()] == ["templates/code_snippets.md"]
    assert {path.stem for path in (starter / "snippets").iterdir()} == {"timm", "torchvision", "other"}


@given(
    st.lists(
        st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufeff\u2028\u2029\ufffe\uffff"))
    )
)
def test_whatever_a_zoo_says_stays_inside_the_comment_and_reads_back(texts):
    names = [f"n{text}-->{{{{ x }}}}" for text in texts] or ["plain"]
    text = index_text({"Type": "model-index", "Models": [{"Name": name, "Metadata": {"X": name}} for name in names]})
    source = Source("card.md", Path("card.md"), f"# T\n\n<!--\n{text}-->\n\nafter -->\n")
    spans, findings = find_index_comments(source, 0)
    assert not findings
    (span,) = spans
    index = yaml.safe_load(source.text[span.yaml_start : span.yaml_end])
    assert [model["Name"] for model in index["Models"]] == names
    assert [model["Metadata"]["X"] for model in index["Models"]] == names


def test_cards_of_two_modules_never_share_a_file(empty):
    from cardproof.commands.scaffold.families import families

    class Counts:
        def __init__(self, source):
            self.source = source

    class Found:
        def __init__(self, source):
            self.counts = Counts(source)

    sources = ["a.index:Net", "b.index:Net", "a.x:Net", "b.x:Other", "torch.nn.modules.container:Sequential"]
    models = [(Published(f"m{n}", Place("f", 1, 1)), Found(source)) for n, source in enumerate(sources)]
    found = families(models, "my.zoo:Zoo")
    assert len({family.file for family in found}) == len({family.name for family in found}) == len(sources)
    assert "index" not in {family.file for family in found}


def test_a_survey_names_its_source():
    assert ModelList("torchvision", "0.29", "", ()).source == "torchvision 0.29"
    assert ModelList("zoo.py:Zoo", "", "", ()).source == "zoo.py:Zoo"


def test_what_init_wrote_is_judged_alike_by_an_audit(of_own_zoo, monkeypatch):
    monkeypatch.chdir(of_own_zoo.folder)
    run = audit([Path("templates/models")], Settings(zoo="zoo.py:Zoo"), ONE_JOB)
    assert run.exit == 0
    assert not run.findings
