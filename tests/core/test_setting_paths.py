"""Paths in settings that no file can have are bad input at their place."""

from __future__ import annotations

import pytest
from sites import CONFIG, cardproof, write_site

from cardproof.core.errors import InputError
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
