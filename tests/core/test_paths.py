"""Names of files are judged by their text first, then by where links lead; searches have an end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cardproof.core.paths import PathError, files_below, follow_links, is_regular, named_files, resolve_inside, walk


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("cards/a/x.yml", "cards/b/x.yml", "cards/b/c/x.yml", "cards/top.yml", "outside.yml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path / "cards"


def names(pattern: str, root: Path, left: int = 1000) -> list[str]:
    found = named_files(pattern, root, root, iter(range(left)))
    return [path.relative_to(root).as_posix() for path in found]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("top.yml", ["top.yml"]),
        ("a/../top.yml", ["a/../top.yml"]),
        ("*/x.yml", ["a/x.yml", "b/x.yml"]),
        ("**/x.yml", ["a/x.yml", "b/c/x.yml", "b/x.yml"]),
        ("**/*.yml", ["a/x.yml", "b/c/x.yml", "b/x.yml", "top.yml"]),
        ("b/**", ["b/c/x.yml", "b/x.yml"]),
        ("**/**/x.yml", ["a/x.yml", "b/c/x.yml", "b/x.yml"]),
        ("[ab]/x.y?l", ["a/x.yml", "b/x.yml"]),
        ("missing/*.yml", []),
        ("b", []),
        ("n" * 300, []),
    ],
)
def test_paths_and_wildcards_name_regular_files(root, pattern, expected):
    assert names(pattern, root) == expected


@pytest.mark.attack(
    "card", "Import: ../../**/*, an absolute path, or '..' after a wildcard", "refused by its text; no folder is read"
)
@pytest.mark.parametrize(
    "pattern", ["../../**/*", "../outside.yml", "/**", "/etc/passwd", "*/../../outside.yml", "a/../.."]
)
def test_a_name_that_leads_out_is_refused_before_a_folder_is_read(root, monkeypatch, pattern):
    def fail(*_):
        raise AssertionError("the disk was read")

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(PathError, match=r"leads out of|after a wildcard"):
        names(pattern, root)


@pytest.mark.parametrize("pattern", ["a\0b", "*/" * 200, "**/\0"])
def test_what_cannot_be_a_name_is_refused(root, pattern):
    with pytest.raises(PathError, match="cannot be the name"):
        names(pattern, root)


@pytest.mark.attack("card", "an Import with ** in a folder of very many files", "the search ends after 100,000 entries")
def test_a_search_ends(root):
    with pytest.raises(PathError, match="search of more than"):
        names("**/*.yml", root, left=4)


@pytest.mark.attack("card", "links in a circle below an Import with **", "no link is followed in such a search")
def test_links_in_a_circle_are_not_followed(root):
    (root / "b/loop").symlink_to(root)
    (root / "b/itself").symlink_to("itself")
    assert names("**/x.yml", root) == ["a/x.yml", "b/c/x.yml", "b/x.yml"]
    assert resolve_inside(root / "b/itself", root) is None
    assert not is_regular(root / "b/itself/x")


@pytest.mark.parametrize("resolve", [Path.resolve, lambda path: Path(os.path.realpath(path))])
def test_links_in_a_circle_are_an_error_in_every_version_of_python(root, monkeypatch, resolve):
    monkeypatch.setattr(Path, "resolve", resolve)
    (root / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="circle"):
        follow_links(root / "circle")
    (root / "link").symlink_to("a/x.yml")
    assert follow_links(root / "link") == root / "a/x.yml"


def test_a_wildcard_below_a_folder_that_a_link_leads_out_is_refused(root):
    (root / "away").symlink_to(root.parent)
    with pytest.raises(PathError, match="leads out"):
        names("away/*.yml", root)


def test_folders_of_any_depth_are_searched(root):
    place = os.open(root, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    try:
        assert sum(1 for _ in walk(root)) > 1200
    finally:
        subprocess.run(["rm", "-r", root / "d"], check=True)  # Python's own way is recursive


def test_a_folder_that_cannot_be_read_is_reported(root, monkeypatch):
    scandir = os.scandir

    def deny(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    errors: list[OSError] = []
    found = files_below(root, (".yml",), on_error=errors.append)
    assert [path.name for path in found] == ["top.yml", "x.yml"]
    assert [Path(error.filename).name for error in errors] == ["b"]
