"""``cardproof init``: in an empty folder, two commands give a built site whose claims all hold."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sites import MULTIPLY_ADDS, ONE_JOB, PARAMETERS, TINY, cardproof, mkdocs

from cardproof.build import audit
from cardproof.commands.scaffold.families import index_text
from cardproof.commands.scaffold.site import COMMON_FILES, IGNORE
from cardproof.core.settings import Settings
from cardproof.core.source import Source
from cardproof.core.types import Place
from cardproof.measure.list_models import list_in_worker
from cardproof.read import read_cards
from cardproof.read.markdown import find_index_comments
from cardproof.zoos.published import ModelList, Published

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


def assert_is_a_site(models: int) -> None:
    """Build the site, render again: no warning, nothing measured, nothing refuted; Git is told of no derived file."""
    built = mkdocs("build", "--strict")
    assert built.returncode == 0
    assert "WARNING" not in built.stderr
    assert Path("site/models/compare/index.html").is_file()
    again = json.loads(cardproof("render", "--json").stdout)["summary"]
    assert (again["models"], again["measured"], again["changed"], again["exit"]) == (models, 0, 0, 0)
    assert again["refuted"] == again["disputed"] == again["errors"] == 0
    assert again["confirmed"] > 8 * models
    assert cardproof("render", "--check", "--quiet").returncode == 0
    subprocess.run(["git", "init", "--quiet"], check=True)
    listed = ["git", "ls-files", "--others", "--exclude-standard", "docs", "site"]
    kept = {Path(name) for name in subprocess.check_output(listed, text=True).splitlines()}
    assert {path.parts[1] for path in kept} <= {"models", "evidence", "data", "index.md", "evidence.md"}
    assert Path("docs/models/compare.md") in kept


@pytest.mark.slow
def test_two_commands_make_a_site_of_torchvision(empty):
    done, report = init("--zoo", "torchvision", "resnet18", "squeezenet*")
    assert done.returncode == 0, done.stderr
    assert [block["status"] for block in report["blocks"]] == ["pass", "not-run"] * 2
    assert {claim["verdict"] for claim in report["claims"] if claim["metric"]} == {"cited"}
    found = {(claim["model"], claim["field"]): claim["stated"] for claim in report["claims"]}
    assert found["resnet18", "Parameters"] == "11689512"  # as its metadata says
    assert found["squeezenet1_1", "Top 1 Accuracy"] == "58.178%"
    assert [Path(page["page"]).stem for page in report["pages"] if page["models"]] == ["resnet", "squeezenet"]
    assert not [finding for finding in report["findings"] if finding["severity"] != "note"]
    assert "Downloading" not in Path("docs/models/resnet.md").read_text()  # what a skipped block said on its way
    assert_is_a_site(3)


@pytest.mark.slow
def test_two_commands_make_a_site_of_timm_which_publishes_no_results(empty):
    pytest.importorskip("timm")
    done, report = init("--zoo", "timm", "resnet18*", "vit_tiny_patch16_224")
    assert done.returncode == 0, done.stderr
    assert not any(claim["metric"] for claim in report["claims"])
    assert not Path("docs/data").exists()
    card = read_cards([Path("templates/models/vision-transformer.md")]).models[0]
    assert card.text("License") == "apache-2.0"
    assert card.metadata.get("Training Data").plain() == ["ImageNet-21k", "ImageNet-1k"]  # augreg_in21k_ft_in1k
    assert_is_a_site(3)


@pytest.mark.slow
def test_a_zoo_of_the_users_own_needs_nothing_but_build(empty):
    Path("zoo.py").write_text(TINY)
    done, report = init("--zoo", "zoo.py:Zoo", "tiny", "tiny_16")
    assert done.returncode == 0, done.stderr
    found = {(claim["model"], claim["field"]): claim["stated"] for claim in report["claims"]}
    assert found["tiny", "Parameters"] == str(PARAMETERS)
    assert found["tiny", "FLOPs"] == str(MULTIPLY_ADDS)
    assert sorted(report["created"]) == sorted([*COMMON_FILES, IGNORE, "templates/models/zoo-py-zoo.md"])
    assert [block["status"] for block in report["blocks"]] == ["pass"]
    assert_is_a_site(2)


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


def test_a_site_name_with_marks_of_yaml_and_jinja_is_a_text(empty):
    Path("zoo.py").write_text(TINY)
    name = 'A: "b" {{ c }} # <d> %ZOO%'
    done, _ = init("--zoo", "zoo.py:Zoo", "tiny", "--no-snippets", "--site-name", name)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(Path("mkdocs.yml").read_text())["site_name"] == name
    assert mkdocs("build", "--strict").returncode == 0
    article = Path("site/index.html").read_text().partition("<article")[2].partition("</article>")[0]
    assert "<d>" not in article
    assert "&lt;d&gt; %ZOO%" in article.replace("&#60;", "&lt;").replace("&#62;", "&gt;").replace("&#37;", "%")


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


def test_what_init_wrote_is_judged_alike_by_an_audit(empty):
    Path("zoo.py").write_text(TINY)
    assert init("--zoo", "zoo.py:Zoo", "tiny", "--no-snippets")[0].returncode == 0
    run = audit([Path("templates/models")], Settings(zoo="zoo.py:Zoo"), ONE_JOB)
    assert run.exit == 0
    assert not run.findings
