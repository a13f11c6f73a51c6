"""The wall between a page's process and the runner: nothing passes but known messages with exact fields and types."""

from __future__ import annotations

import json

import pytest

from cardproof.snippets.run import protocol

RAN = {"kind": "Ran", "value": None, "error": None, "traceback": "", "line": 1}


def taken(body: bytes) -> protocol.Reply:
    reply: protocol.Reply = protocol.decoded(body, protocol.Reply)
    return reply


def sent(message: object) -> protocol.Reply:
    return taken(json.dumps(message).encode())


def noted(note: object, nonce: object = "nonce", **more: object) -> list[protocol.Note]:
    return protocol.Frames("nonce").feed(protocol.frame({"nonce": nonce, "note": note, **more}))


@pytest.mark.parametrize("note", [protocol.StreamSwitched(), protocol.PictureShown("a", "b")])
def test_a_note_arrives_as_it_was_sent_in_whatever_pieces(note):
    frames, data = protocol.Frames("nonce"), protocol.note_frame(note, "nonce")
    assert [one for byte in data for one in frames.feed(bytes([byte]))] == [note]


@pytest.mark.parametrize(
    "reply", [protocol.Began(), protocol.Ran("1"), protocol.Ended(("a", "b")), protocol.Finished(3)]
)
def test_a_reply_arrives_as_it_was_sent(reply):
    assert taken(protocol.encoded(reply)) == reply


def test_text_that_utf_8_cannot_encode_is_escaped():
    assert taken(protocol.encoded(protocol.Ran(error="KeyError: '\ud800'"))) == protocol.Ran(
        error="KeyError: '\\ud800'"
    )


def test_the_messages_that_the_cases_below_spoil_are_right():
    assert sent(RAN) == protocol.Ran(line=1)


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
        {"line": True},
        {"line": 1.5},
        {"line": "1"},
        {"line": float("nan")},
        {"value": {"a": 1}},
        {"more": 1},
        {"\ud800": 1},
    ],
)
def test_a_message_with_another_kind_field_or_type_is_refused(change):
    with pytest.raises(protocol.BrokenChannelError, match="not a message"):
        sent({**RAN, **change})


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"1", b"null", b"\xff", b"[" * 100_000, b"{}", b'{"kind": "StreamSwitched"}'],
)
def test_bytes_that_are_not_an_envelope_are_refused(body):
    with pytest.raises(protocol.BrokenChannelError, match="not a message"):
        taken(body)


def test_a_note_of_another_page_or_of_nobody_is_refused():
    note = {"kind": "StreamSwitched"}
    assert noted(note) == [protocol.StreamSwitched()]
    with pytest.raises(protocol.BrokenChannelError, match="not this page's"):
        noted(note, "another")
    for nonce in (None, 1, ["nonce"]):
        with pytest.raises(protocol.BrokenChannelError):
            noted(note, nonce)
    with pytest.raises(protocol.BrokenChannelError):
        noted(note, more=1)


def test_a_message_that_is_too_large_is_refused_before_it_has_arrived():
    with pytest.raises(protocol.BrokenChannelError, match="bytes"):
        protocol.Frames("nonce").feed((protocol.LARGEST + 1).to_bytes(protocol.HEADER, "big"))
