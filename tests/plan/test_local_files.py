"""Local files: a card is untrusted, and names only what lies below its own folder."""

from __future__ import annotations

import pytest

from cardproof.core.settings import Settings
from cardproof.plan.local_files import find_local_files
from cardproof.read import read_cards

INDEX = "<!--\nType: model-index\nModels:\n- Name: net\n  Weights: {weights}\n  Code: {code}\n-->\n"
OUTSIDE = ["../secret.{}", "/etc/passwd", "link.{}", "a/../../secret.{}", "//etc/passwd", "\\0.{}"]


def local_files(write, weights="x.bin", code="y.py", include="z.md"):
    text = INDEX.format(weights=weights, code=code) + f"{{% include '{include}' %}}\n"
    return find_local_files(read_cards([write("site/card.md", text)]), Settings())["site/card.md"]


@pytest.mark.parametrize("way", OUTSIDE)
def test_nothing_outside_of_the_cards_folder_is_opened(write, tmp_path, way):
    for suffix in ("bin", "py", "md"):
        write(f"secret.{suffix}", "def secret(): pass\n")
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / f"link.{suffix}").symlink_to(tmp_path / f"secret.{suffix}")
    found = local_files(write, way.format("bin"), way.format("py"), way.format("md"))
    assert (found.weights, found.code, found.includes) == ({}, {}, ())


def test_what_lies_below_the_folder_is_found_by_the_end_of_its_address(write):
    write("site/nets/net.py", "@decorated\nclass Net:\n    pass\n\n\ndef net():\n    return Net()\n")
    write("site/w/x.bin", "bytes")
    write("site/part.md", "text")
    found = local_files(write, "w/x.bin", "https://example.org/a/b/blob/main/src/nets/net.py#L1", "part.md")
    (weights,), (code,) = found.weights.values(), found.code.values()
    assert (weights.name, weights.size) == ("site/w/x.bin", 5)
    assert (code.name, code.line, code.inside, code.defines) == ("site/nets/net.py", 1, "Net", ("Net", "net"))
    assert [source.name for source in found.includes] == ["site/part.md"]


def test_a_source_that_does_not_parse_is_no_code(write):
    for text in ("def net(:", "(" * 100_000, "-" * 100_000 + "1", "\0"):
        write("site/y.py", text)
        assert local_files(write).code == {}


CODE = "def other():\n    pass\n\n\nclass Net:\n    pass\n"


@pytest.mark.parametrize(
    ("link", "line"),
    [
        ("https://github.com/us/nets/blob/main/src/net.py#L5", 5),
        ("https://github.com/us/nets/blob/HEAD/src/net.py", None),
        ("src/net.py#L1", 1),
    ],
)
def test_code_of_the_repository_is_found_from_a_card_in_another_folder(write, tmp_path, link, line):
    (tmp_path / ".git").mkdir()
    write("src/net.py", CODE)
    (code,) = local_files(write, code=link).code.values()
    assert (code.name, code.line, code.inside) == ("src/net.py", line, {5: "Net", None: None, 1: "other"}[line])


@pytest.mark.parametrize(
    "link",
    [
        "https://github.com/us/nets/blob/v1.0/src/net.py#L5",  # a version: its lines were others
        "https://github.com/us/nets/blob/0123abc/src/net.py#L5",
        "https://github.com/us/nets/blob/main/nets/src/net.py#L5",  # another path
        "https://github.com/us/nets/blob/main/net.py#L5",
        "../src/net.py",
    ],
)
def test_a_link_to_a_version_or_another_path_is_not_the_repositorys_file(write, tmp_path, link):
    (tmp_path / ".git").mkdir()
    write("src/net.py", CODE)
    assert local_files(write, code=link).code == {}


def test_without_a_working_tree_nothing_above_the_card_is_opened(write):
    write("src/net.py", CODE)
    assert local_files(write, code="https://github.com/us/nets/blob/main/src/net.py#L5").code == {}


def test_a_link_of_the_working_tree_that_leads_out_of_it_is_not_followed(write, tmp_path):
    write("secret.py", CODE)
    (tmp_path / "tree" / ".git").mkdir(parents=True)
    (tmp_path / "tree" / "net.py").symlink_to(tmp_path / "secret.py")
    text = INDEX.format(weights="x", code="https://github.com/us/nets/blob/main/net.py")
    (found,) = find_local_files(read_cards([write("tree/cards/card.md", text)]), Settings()).values()
    assert found.code == {}
