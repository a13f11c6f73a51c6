"""Records and outputs that cannot be read: a finding at each, and all cards are judged."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from sites import CARD, OTHER, cardproof

FILES = ["docs/evidence/tiny.json", "docs/evidence/snippets/templates-models-tiny.json", "docs/models/tiny.md"]


@pytest.fixture
def damage(monkeypatch):
    """Return a function that makes a file unreadable; tests may run as a user who can read all files."""

    def make(path: Path, how: str) -> None:
        if how == "denied":
            opened, refused = io.open, path.absolute()

            def open_others(file, *rest, **options):
                if not isinstance(file, int) and Path(file).absolute() == refused:
                    raise PermissionError(13, "Permission denied", str(file))
                return opened(file, *rest, **options)

            monkeypatch.setattr(io, "open", open_others)
            return
        path.unlink()
        if how == "folder":
            path.mkdir()
        else:
            path.symlink_to(path.name if how == "circle" else "nowhere/x")

    return make


@pytest.mark.parametrize("how", ["denied", "folder", "circle", "dangling link"])
@pytest.mark.parametrize("file", FILES)
def test_one_that_cannot_be_read_is_one_finding_and_all_cards_are_judged(site, damage, file, how):
    config = Path("mkdocs.yml")
    config.write_text(config.read_text().replace("run: false", "run: true"))
    card = Path("templates/models/tiny.md")
    card.write_text(f"{CARD}\n```python\nprint(1)\n```\n")
    assert cardproof("render").returncode == 0
    damage(Path(file), how)
    card.write_text(f"{CARD}\nMore.\n\n```python\nprint(1)\n```\n")
    Path("templates/models/other.md").write_text(OTHER)
    for command in (("render", "--check"), ("render",)):
        done = cardproof(*command)
        assert "internal error" not in done.stdout + done.stderr
        assert "6 claims of 2 models on 2 cards: 6 confirmed" in done.stdout
        assert done.stderr == ""
    is_written = how == "dangling link"  # a link to a file that is not there yet is written through
    assert (f"{file}:1:1: error [hand-edit]" in done.stdout) is not is_written
    assert (", nothing written;" in done.stdout) is not is_written
    assert done.returncode == int(not is_written)
    assert Path("docs/models/other.md").exists() is is_written  # all or nothing


@pytest.mark.parametrize(
    ("link", "status", "words"),
    [
        ("models/loop.md", 2, "templates/models/loop.md:1:1: error [encoding] not read: this is a link to nothing"),
        ("code_snippets.md", 1, "templates/models/tiny.md:5:1: error [template] template 'code_snippets.md' is not"),
    ],
)
def test_a_template_or_include_that_is_a_link_in_a_circle_is_one_finding(site, link, status, words):
    path = Path("templates", link)
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)
    done = cardproof("render")
    assert words in done.stdout
    assert "3 claims of 1 model on 1 card: 3 confirmed" in done.stdout
    assert (done.returncode, done.stderr) == (status, "")
