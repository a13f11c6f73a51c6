"""The wall between a page's process and the runner: nothing passes but known messages with exact fields and types."""

from __future__ import annotations

import json

import pytest

from cardproof.snippets.run import messages

ENDED = {"kind": "BlockEnded", "error": None, "traceback": "", "error_line": 1, "warnings": ["a"]}


def taken(body: bytes) -> list[messages.Message]:
    return messages.Frames("nonce").feed(len(body).to_bytes(messages.HEADER, "big") + body)


def sent(message: object, nonce: object = "nonce", **more: object) -> list[messages.Message]:
    return taken(json.dumps({"nonce": nonce, "message": message, **more}).encode())


@pytest.mark.parametrize(
    "message",
    [
        messages.BlockStarted(3),
        messages.StreamSwitched(),
        messages.StatementEnded("1", None),
        messages.BlockEnded("KeyError: '\ud800'", "a\nb", None, ("one", "two")),
        messages.PageFinished(10**25),
    ],
)
def test_a_message_arrives_as_it_was_sent_in_whatever_pieces(message):
    frames, data = messages.Frames("nonce"), messages.message_frame(message, "nonce")
    assert [one for byte in data for one in frames.feed(bytes([byte]))] == [message]


def test_the_messages_that_the_cases_below_spoil_are_right():
    assert sent(ENDED) == [messages.BlockEnded(None, "", 1, ("a",))]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Code"},
        {"kind": "_Message"},
        {"kind": 1},
        {"kind": "\ud800"},
        {"error": 1},
        {"error": ["text"]},
        {"traceback": None},
        {"error_line": True},
        {"error_line": 1.0},
        {"error_line": "1"},
        {"error_line": float("nan")},
        {"warnings": "a"},
        {"warnings": [1]},
        {"warnings": {"a": 1}},
        {"warnings": None},
        {"more": 1},
        {"\ud800": 1},
    ],
)
def test_a_message_with_another_kind_field_or_type_is_refused(change):
    with pytest.raises(messages.BrokenChannelError, match="not a message"):
        sent({**ENDED, **change})


@pytest.mark.parametrize("name", ENDED)
def test_a_message_that_lacks_a_field_is_refused(name):
    with pytest.raises(messages.BrokenChannelError, match="not a message"):
        sent({key: value for key, value in ENDED.items() if key != name})


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"1", b"null", b"\xff", b"[" * 100_000, b"{}", b'{"kind": "StreamSwitched", "nonce": "nonce"}'],
)
def test_bytes_that_are_not_an_envelope_are_refused(body):
    with pytest.raises(messages.BrokenChannelError, match="not a message"):
        taken(body)


def test_a_message_of_another_page_or_of_nobody_is_refused():
    with pytest.raises(messages.BrokenChannelError, match="not this page's"):
        sent(ENDED, "another")
    for nonce in (None, 1, ["nonce"]):
        with pytest.raises(messages.BrokenChannelError):
            sent(ENDED, nonce)
    with pytest.raises(messages.BrokenChannelError):
        sent(ENDED, more=1)


def test_a_message_that_is_too_large_is_refused_before_it_has_arrived():
    with pytest.raises(messages.BrokenChannelError, match="bytes"):
        messages.Frames("nonce").feed((2**26 + 1).to_bytes(messages.HEADER, "big"))
