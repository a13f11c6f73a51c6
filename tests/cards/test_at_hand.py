"""Files beside a card: a card is untrusted, and names only what lies below its own folder."""

from __future__ import annotations

import pytest

from cardproof.at_hand import look_at_hand
from cardproof.read import read_cards
from cardproof.settings import Settings

INDEX = "<!--\nType: model-index\nModels:\n- Name: net\n  Weights: {weights}\n  Code: {code}\n-->\n"
OUTSIDE = ["../secret.{}", "/etc/passwd", "link.{}", "a/../../secret.{}", "//etc/passwd", "\\0.{}"]


def at_hand(write, weights="x.bin", code="y.py", include="z.md"):
    text = INDEX.format(weights=weights, code=code) + f"{{% include '{include}' %}}\n"
    return look_at_hand(read_cards([write("site/card.md", text)]), Settings())


@pytest.mark.parametrize("way", OUTSIDE)
def test_nothing_outside_of_the_cards_folder_is_opened(write, tmp_path, way):
    for suffix in ("bin", "py", "md"):
        write(f"secret.{suffix}", "def secret(): pass\n")
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / f"link.{suffix}").symlink_to(tmp_path / f"secret.{suffix}")
    found = at_hand(write, way.format("bin"), way.format("py"), way.format("md"))
    assert (found.weights, found.code, found.includes) == ({}, {}, {})


def test_what_lies_below_the_folder_is_found_by_the_end_of_its_address(write):
    write("site/nets/net.py", "@decorated\nclass Net:\n    pass\n\n\ndef net():\n    return Net()\n")
    write("site/w/x.bin", "bytes")
    write("site/part.md", "text")
    found = at_hand(write, "w/x.bin", "https://example.org/a/b/blob/main/src/nets/net.py#L1", "part.md")
    (weights,), (code,) = found.weights.values(), found.code.values()
    assert (weights.name, weights.size) == ("site/w/x.bin", 5)
    assert (code.name, code.line, code.inside, code.defines) == ("site/nets/net.py", 1, "Net", ("Net", "net"))
    assert [source.name for source in found.includes["site/card.md"]] == ["site/part.md"]


def test_a_source_that_does_not_parse_is_no_code(write):
    for text in ("def net(:", "(" * 100_000, "-" * 100_000 + "1", "\0"):
        write("site/y.py", text)
        assert at_hand(write).code == {}
