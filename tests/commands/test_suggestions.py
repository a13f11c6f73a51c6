"""What is written wrongly is answered with what was probably meant, on one line, with exit status 2."""

from __future__ import annotations

import pytest
from sites import CARD, TINY, cardproof, refusal

from cardproof.zoos.metadata import as_published

AUDIT = ("audit", "templates/models")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("audit", "templates/models/tyni.md"), "no such file or folder; did you mean tiny.md?"),
        (("audit", "https://example.org/x"), "https://example.org/x: addresses are not read: download the file first"),
        (("snippets", "templates/models/tyni.md"), "no such file; did you mean tiny.md?"),
        (("edit", "templates/models/tyni.md", "license=mit"), "no such file; did you mean tiny.md?"),
        (("render", "--only", "tyny"), "no card template is named tyny; did you mean tiny?"),
        (("speed", "--out", "s.json", "--only", "tyny"), "no card defines the model tyny; did you mean tiny?"),
        ((*AUDIT, "--force", "tyny"), "did you mean tiny?"),
        ((*AUDIT, "--tolerance", "Floops=1%"), "'Floops' is not a field with a tolerance; did you mean flops?"),
        ((*AUDIT, "--tolerance", "License=1%"), "such fields are parameters, flops,"),
        ((*AUDIT, "--data", "ImageNt=."), "did you mean ImageNet or ImageNet-ReaL?"),
        ((*AUDIT, "--zoo", "tim"), "zoo 'tim' is not known; did you mean timm?"),
        ((*AUDIT, "--zoo", "zoo"), "zoo 'zoo' is not known; did you mean zoo.py:Zoo?"),
        ((*AUDIT, "--zoo", "zoo.py"), "zoo 'zoo.py' is not known; did you mean zoo.py:Zoo?"),
        ((*AUDIT, "--zoo", "zoo.py:Zo"), "zoo.py has no 'Zo'; did you mean Zoo?"),
        ((*AUDIT, "--zoo", "nets.zoo:Zoo"), "did you mean nets/zoo.py:Zoo?"),
        ((*AUDIT, "--zoo", "nothing"), "a zoo is one of res2next, timm,"),
        (("explain", "flop"), "no check is called 'flop'; did you mean flops?"),
        (("explain", "xyzzy"), "'cardproof explain' lists them"),
        (("rendr",), "Did you mean 'render'?"),
        (("render", "--only-card", "tiny"), "'--only'"),
    ],
)
def test_a_wrong_word_is_answered_with_the_nearest_one(site, command, words):
    (site / "nets").mkdir()
    (site / "nets" / "zoo.py").write_text(TINY)
    assert words in refusal(*command)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("tolerances: {Floops: 1%}", "'Floops' is not a field with a tolerance; did you mean flops?"),
        ("toleranzes: {FLOPs: 1%}", "cardproof has no setting 'toleranzes'; did you mean tolerances?"),
        ("data: {ImageNt: x}", "did you mean ImageNet or ImageNet-ReaL?"),
    ],
)
def test_a_wrong_setting_is_answered_with_the_nearest_one(site, setting, words):
    (site / "mkdocs.yml").write_text(f"plugins:\n- cardproof:\n    {setting}\n")
    said = refusal(*AUDIT)
    assert said.startswith("error: mkdocs.yml:3:")
    assert words in said


def test_a_module_of_this_folder_is_a_zoo_as_its_file_is(write):
    write("mynet.py", TINY.replace("class Zoo:", "class Zoo:\n    name = 'mine'\n"))
    write("README.md", "| Model | Params (K) |\n| --- | --- |\n| tiny | 0.322 |\n")
    done = cardproof("audit", "README.md", "--zoo", "mynet:Zoo")
    assert done.returncode == 0, done.stderr
    assert "1 confirmed" in done.stdout


@pytest.mark.parametrize(("spelling", "field"), [("params", "Parameters"), ("number-of-parameters", "Parameters")])
def test_a_tolerance_holds_for_all_spellings_of_its_field(site, spelling, field):
    (site / "templates/models/tiny.md").write_text(CARD.replace("Parameters: 322", f"{field}: 323"))
    assert cardproof(*AUDIT, "--tolerance", f"{spelling}=1%").returncode == 0
    assert cardproof(*AUDIT, "--tolerance", "top-1=1%").returncode == 1


def test_a_name_that_a_callable_does_not_have_is_answered_from_its_source(write):
    write("mynet.py", "def create(name):\n    return {'mynet_s': 1, 'mynet_m': 2}[name]\n")
    write("README.md", "| Model | Params |\n| --- | --- |\n| mynet-s | 9.9K |\n")
    done = cardproof("audit", "README.md", "--zoo", "mynet.py:create")
    assert "warning [unknown-model]" in done.stdout
    assert "KeyError: 'mynet-s'; did you mean mynet_s?" in done.stdout
    assert "1 not measured" in done.stdout


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("| Model | Size |\n| --- | --- |\n| mynet-s | 9.9K |\n", "README.md:1:3 is not read: no column states"),
        ("| Method | Params |\n| --- | --- |\n| mynet-s | 9.9K |\n", "README.md:1:3 is not read: no column names"),
        ("# Nothing\n", "no claim was found in 1 file; a table is read if it has a column 'Model' and one such as"),
    ],
)
def test_a_zoo_without_any_claim_to_check_says_what_was_looked_at(write, table, words):
    write("zoo.py", TINY)
    write("README.md", table)
    done = cardproof("audit", "README.md", "--zoo", "zoo.py:Zoo")
    assert done.returncode == 0
    assert words in done.stdout
    assert "a table is read if" not in cardproof("audit", "README.md").stdout.partition("0 claims")[2]


def test_a_model_without_a_source_has_no_line(write):
    assert str(as_published("dinat", None).place) == "dinat"


def test_a_render_without_a_site_says_what_to_do(write):
    write("notes.txt", "")
    done = cardproof("render")
    assert done.returncode == 2
    assert "there is no mkdocs.yml here" in done.stderr
    assert all(word in done.stderr for word in ("-f mkdocs.yml", "cardproof init", "cardproof audit"))


def test_an_ignore_of_an_unknown_check_names_the_nearest(site):
    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("322", "323  # cardproof: ignore[parameter] rounded"))
    assert "no check is called parameter; did you mean parameters?" in cardproof(*AUDIT).stdout


def test_an_ignore_that_nothing_needs_is_to_be_removed(site):
    card = site / "templates/models/tiny.md"
    card.write_text(CARD.replace("322", "322  # cardproof: ignore[parameters] rounded"))
    done = cardproof(*AUDIT)
    assert "unused ignore: parameters finds nothing on line 16\n    remove it\n" in done.stdout


@pytest.mark.parametrize("zoo", ["timm", "transformers"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(write, monkeypatch, zoo):
    write("README.md", "| Model | Params |\n| --- | --- |\n| resnet18 | 11.69M |\n")
    monkeypatch.setattr("cardproof.plan.recall.network_digests", missing_package)
    done = cardproof("audit", "README.md", "--zoo", zoo)
    assert done.returncode == 2
    assert f"pip install 'cardproof[{zoo}]'" in done.stderr


def missing_package(zoo: str, names: object) -> dict[str, str]:
    raise ModuleNotFoundError(zoo)


def test_a_collection_that_is_not_defined_is_answered_with_the_nearest(write):
    write(
        "metafile.yml",
        "Collections:\n- Name: ResNet\nModels:\n- Name: net\n  In Collection: ResNett\n  Metadata: {Parameters: 1}\n",
    )
    assert "did you mean ResNet?" in cardproof("audit", "metafile.yml").stdout
