"""Local files that cards name: only those of the card's repository are opened; what is surely missing is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardproof.build import audit
from cardproof.core.settings import Settings
from cardproof.plan.local_files import find_local_files, licences_in
from cardproof.read import read_cards

INDEX = """Collections:
- Name: Nets
  README: {readme}
Models:
- Name: net_a
  In Collection: Nets
  Config: {config}
- Name: net_b
  In Collection: Nets
  Config:
  - configs/net/net_b.py
"""


@pytest.fixture
def found(write):
    """Return a function that audits an index in a folder of mmpretrain's layout, and returns places and hints."""

    def _found(readme="configs/net/README.md", config="configs/net/net_a.py", file="configs/net/metafile.yml"):
        index = write(file, INDEX.format(readme=readme, config=config))
        findings = audit([index], Settings()).findings
        return [(f.place.line, f.severity, f.hint) for f in findings if f.check == "missing-file"]

    return _found


@pytest.fixture
def repository(write):
    for name in ("README.md", "configs/net/README.md", "configs/net/net_a.py", "configs/net/net_b.py"):
        write(name, "text\n")


def test_paths_may_begin_at_any_folder_of_the_repository(found, repository):
    assert found() == []
    assert found("README.md", "net_a.py#L3") == []
    assert found("../../README.md", "net/net_a.py") == []


def test_a_file_that_is_missing_from_its_folder_is_reported_once_with_the_nearest_name(found, repository):
    assert found(config="configs/net/net_aa.py") == [(7, "error", "did you mean net_a.py?")]
    assert found(readme="configs/net/GUIDE.rst") == [(3, "error", None)]
    assert found(config="net_bb.py") == [(7, "error", "did you mean net_b.py?")]


@pytest.mark.parametrize(
    "name",
    [
        "elsewhere/net_z.py",
        "unlike.cfg",
        "https://example.org/net.py",
        "configs/*/z.py",
        "/configs/net/z.py",
        "a\\\\b.py",
    ],
)
def test_what_may_lie_elsewhere_is_not_missing(found, repository, name):
    assert found(config=name) == []


def test_an_index_alone_in_its_folder_was_moved(found):
    assert found() == []


def test_nothing_above_the_repository_is_looked_at(found, repository, tmp_path):
    (tmp_path / "configs" / ".git").mkdir()
    assert found("README.md", "../../READMEE.md") == []


def test_no_metafile_of_a_corpus_without_its_files_is_blamed(shared):
    run = audit([shared / "corpora" / "mmpretrain-metafiles"], Settings())
    assert [finding for finding in run.findings if finding.check == "missing-file"] == []


MIT = (
    "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\nof this software and"
    ' associated documentation files (the "Software"), to deal in the Software\n'
)
BSD = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that"
APACHE = "                              Apache License\n                        Version 2.0, January 2004\n"
NC = "Attribution-NonCommercial 4.0 International\n\nCreative Commons Corporation\n"


@pytest.mark.parametrize(
    ("text", "licences"),
    [
        (MIT, ("mit",)),
        (BSD, ("bsd-2-clause",)),
        (BSD + " ... may be used to endorse or promote products derived from", ("bsd-3-clause",)),
        (APACHE, ("apache-2.0",)),
        ("## GNU GENERAL PUBLIC LICENSE\n\nVersion 3, 29 June 2007", ("gpl-3.0",)),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n  Version 2.1, February 1999", ("lgpl-2.1",)),
        ("GNU AFFERO GENERAL PUBLIC LICENSE\n Version 3, 19 November 2007", ("agpl-3.0",)),
        (NC, ("cc-by-nc-4.0",)),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International", ("cc-by-nc-sa-4.0",)),
        ("Attribution-NoDerivatives 4.0 International", ("cc-by-nd-4.0",)),
        ("Creative Commons Attribution 4.0 International Public License", ("cc-by-4.0",)),
        (APACHE + MIT, ("apache-2.0", "mit")),
        ("All rights reserved. Licensed as MIT or Apache.", ()),
    ],
)
def test_licences_are_recognised_by_their_text(text, licences):
    assert licences_in(text) == licences


@given(st.text(max_size=500))
def test_any_text_is_looked_through(text):
    assert isinstance(licences_in(text), tuple)


@pytest.mark.parametrize(
    ("stated", "text", "found"),
    [
        ("mit", MIT, []),
        ("bsd", BSD, []),
        ("[mit, apache-2.0]", APACHE, []),
        ("mit", APACHE, [("licence", "warning", 2)]),
        ("apache-2.0", NC, [("licence", "warning", 2)]),
        ("cc-by-nc-4.0", MIT, []),  # the weights may be stricter than the code
        ("other", APACHE, []),
        ("mit", APACHE + BSD, []),
        ("mit", "our own words", []),
    ],
)
def test_a_licence_file_beside_the_card_is_compared_with_its_header(write, stated, text, found):
    write("LICENSE", text)
    card = write("README.md", f"---\nlicense: {stated}\n---\n# Net\n")
    assert [(f.check, f.severity, f.place.line) for f in audit([card], Settings()).findings] == found


@pytest.mark.parametrize(("text", "count"), [(APACHE, 0), (NC, 1)])
def test_the_licence_of_the_repository_counts_only_if_it_forbids_what_the_card_allows(write, tmp_path, text, count):
    (tmp_path / ".git").mkdir()
    write("LICENSE", text)
    card = write("cards/net.md", "---\nlicense: mit\n---\n# Net\n")
    assert len(audit([card], Settings()).findings) == count


NAMED = "<!--\nType: model-index\nModels:\n- Name: net\n  Weights: {weights}\n  Code: {code}\n-->\n"
OUTSIDE = ["../secret.{}", "/etc/passwd", "link.{}", "a/../../secret.{}", "//etc/passwd", "\\0.{}"]


def local_files(write, weights="x.bin", code="y.py", include="z.md"):
    text = NAMED.format(weights=weights, code=code) + f"{{% include '{include}' %}}\n"
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
    text = NAMED.format(weights="x", code="https://github.com/us/nets/blob/main/net.py")
    (found,) = find_local_files(read_cards([write("tree/cards/card.md", text)]), Settings()).values()
    assert found.code == {}
