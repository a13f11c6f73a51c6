"""Paths in settings that no file can have are bad input at their place."""

from __future__ import annotations

from pathlib import Path

import pytest
from sites import CONFIG, cardproof, write_site

from cardproof.core.errors import InputError
from cardproof.core.field_names import canonical_dataset
from cardproof.core.settings import load_settings


@pytest.mark.parametrize("value", ['"a\\0b"', "~nobody-has-this-name/x"])
@pytest.mark.parametrize("key", ["templates", "out", "evidence", "cited", "names", "speed", "weights", "catalog"])
def test_a_path_that_cannot_be_one_is_refused_at_its_place(tmp_path, key, value):
    config = tmp_path / "mkdocs.yml"
    for text in (f"{key}: {value}", f"data: {{ImageNet: {value}}}"):
        config.write_text(f"{CONFIG}    {text}\n")
        with pytest.raises(InputError, match=r"mkdocs.yml:6:\d+: .*(null character|home of no user)"):
            load_settings(config)


@pytest.mark.parametrize("option", ["--weights", "--names", "--data"])
def test_so_is_one_of_the_command_line(tmp_path, monkeypatch, option):
    monkeypatch.chdir(write_site(tmp_path))
    value = "~nobody-has-this-name/x"
    done = cardproof("audit", "templates", option, f"ImageNet={value}" if option == "--data" else value)
    assert done.returncode == 2
    assert "home of no user" in done.stderr


def test_images_of_ones_own_prove_no_claim_about_a_published_data_set(tmp_path, monkeypatch):
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"{CONFIG}    data: {{ImageNet: 'folder:{tmp_path}'}}\n")
    with pytest.raises(InputError, match=r"mkdocs.yml:6:\d+: images of your own are not a published split"):
        load_settings(config)
    monkeypatch.chdir(write_site(tmp_path / "site"))
    for command in (("audit", "templates"), ("render",)):
        done = cardproof(*command, "--data", f"ImageNet=folder:{tmp_path}")
        assert done.returncode == 2
        assert "images of your own are not a published split" in done.stderr
    assert canonical_dataset(f"folder:{tmp_path}") is None  # what a card that claims a result on them would name


@pytest.mark.attack(
    "card", "the file of cited results, names or speeds is a link to a file outside", "bad input; not read"
)
@pytest.mark.parametrize("key", ["cited", "names", "speed"])
def test_a_file_that_a_link_leads_out_is_refused_unless_it_is_named_itself(tmp_path, key):
    (tmp_path / "outside.yml").write_text("secret")
    site = tmp_path / "site"
    site.mkdir()
    (site / "file.yml").symlink_to("../outside.yml")
    config = site / "mkdocs.yml"
    config.write_text(f"{CONFIG}    {key}: file.yml\n")
    with pytest.raises(InputError, match=rf"mkdocs.yml:6:\d+: {key} is not read: a link leads out"):
        load_settings(config)
    config.write_text(f"{CONFIG}    {key}: ../outside.yml\n")
    assert getattr(load_settings(config), key).name == "outside.yml"


def test_a_configuration_inherits_the_settings_of_another(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base/mkdocs.yml").write_text(
        "site_name: Base\ndocs_dir: pages\nplugins:\n  - cardproof:\n      zoo: timm\n      evidence: proofs\n"
    )
    (tmp_path / "mkdocs.yml").write_text("INHERIT: base/mkdocs.yml\nsite_name: Own\n")
    found = load_settings(tmp_path / "mkdocs.yml")
    assert (found.zoo, found.path(found.evidence)) == ("timm", tmp_path / "proofs")
    assert (found.site.name, found.site.docs) == ("Own", Path("pages"))


def test_own_plugins_replace_inherited_ones_as_in_mkdocs(tmp_path):
    (tmp_path / "base.yml").write_text("plugins:\n  - cardproof:\n      zoo: timm\n")
    (tmp_path / "mkdocs.yml").write_text("INHERIT: base.yml\nplugins:\n  - cardproof:\n      flops: operations\n")
    found = load_settings(tmp_path / "mkdocs.yml")
    assert (found.zoo, found.flops) == (None, "operations")


@pytest.mark.parametrize("parent", ["missing.yml", "mkdocs.yml"])
def test_a_missing_parent_is_an_error_and_a_circle_ends(tmp_path, parent):
    (tmp_path / "mkdocs.yml").write_text(f"INHERIT: {parent}\nsite_name: Own\n")
    if parent == "missing.yml":
        with pytest.raises(InputError, match=r"missing\.yml"):
            load_settings(tmp_path / "mkdocs.yml")
    else:
        assert load_settings(tmp_path / "mkdocs.yml").site.name == "Own"


@pytest.mark.parametrize("text", ["", "---\n", "# nothing yet\n", "~\n"])
def test_a_configuration_that_says_nothing_has_the_defaults_as_in_mkdocs(tmp_path, text):
    config = tmp_path / "mkdocs.yml"
    config.write_text(text)
    assert load_settings(config).zoo is None
