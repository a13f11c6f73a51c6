"""Links that are asked over the network: against a server on loopback, which the guard lets pass by name only."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import cardproof

from cardproof.build import audit
from cardproof.core.cache import Cache, Entry, cache_path
from cardproof.core.settings import Settings
from cardproof.judge.online import Answer, check_links, request
from cardproof.judge.online.request import ask, is_public
from cardproof.judge.online.store import KIND, STATES, fresh_answers, keep_answers
from cardproof.read import read_cards

LOOPBACK = frozenset({"127.0.0.1"})


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        self.server.seen.append((self.command, self.path))
        name = self.path.strip("/").partition("?")[0]
        if name.startswith("to-"):
            self.send_response(302)
            self.send_header("Location", self.server.targets[name])
        elif name == "no-head":
            self.send_response(405 if self.command == "HEAD" else 200)
        elif name == "slow":
            time.sleep(3)
            self.send_response(200)
        else:
            self.send_response(int(name) if name.isdigit() else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.seen, found.targets = [], {}
    found.url = f"http://127.0.0.1:{found.server_address[1]}"
    thread = threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.mark.parametrize(
    ("path", "state", "methods"),
    [
        ("there", "reachable", ["HEAD"]),
        ("no-head", "reachable", ["HEAD", "GET"]),
        ("404", "gone", ["HEAD", "GET"]),
        ("410", "gone", ["HEAD", "GET"]),
        ("403", "refused", ["HEAD", "GET"]),
        ("429", "refused", ["HEAD"]),
        ("500", "unreachable", ["HEAD", "GET"]),
        ("503", "unreachable", ["HEAD", "GET"]),
    ],
)
def test_the_answer_decides_and_get_follows_a_head_that_failed(server, path, state, methods):
    answer = ask(f"{server.url}/{path}", LOOPBACK)
    assert (answer.state, [method for method, _ in server.seen]) == (state, methods)


def test_a_private_address_is_not_asked(server):
    answer = ask(f"{server.url}/there")
    assert (answer.state, server.seen) == ("private", [])
    assert "127.0.0.1" in answer.reason


@pytest.mark.parametrize("target", ["http://[::1]/", "http://10.0.0.1/", "http://169.254.169.254/latest", "http://0/"])
def test_a_redirect_to_a_private_address_is_not_followed(server, target):
    server.targets["to-private"] = target
    answer = ask(f"{server.url}/to-private", LOOPBACK)
    assert answer.state == "private"
    assert [path for _, path in server.seen] == ["/to-private"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/", "gopher://127.0.0.1/"])
def test_a_redirect_to_another_scheme_is_not_followed(server, target):
    server.targets["to-other"] = target
    assert ask(f"{server.url}/to-other", LOOPBACK).state == "unreachable"
    assert len(server.seen) == 1


def test_redirects_are_followed_a_few_times(server):
    server.targets |= {"to-next": "/there", "to-itself": "/to-itself"}
    assert ask(f"{server.url}/to-next", LOOPBACK).state == "reachable"
    server.seen.clear()
    answer = ask(f"{server.url}/to-itself", LOOPBACK)
    assert (answer.state, answer.reason) == ("unreachable", "more than 5 redirects")
    assert len(server.seen) == 6


def test_a_name_and_password_are_never_sent(server):
    assert ask(server.url.replace("http://", "http://user:secret@"), LOOPBACK).state == "not-run"
    assert server.seen == []


def test_a_server_that_trickles_is_cut_off(monkeypatch):
    monkeypatch.setattr(request, "ANSWER", 0.5)
    listener = socket.create_server(("127.0.0.1", 0))

    def trickle():
        connection, _ = listener.accept()
        with connection:
            try:
                while True:
                    connection.sendall(b"H")
                    time.sleep(0.05)
            except OSError:
                pass

    threading.Thread(target=trickle, daemon=True).start()
    started = time.monotonic()
    answer = ask(f"http://127.0.0.1:{listener.getsockname()[1]}/", LOOPBACK)
    assert answer.state == "unreachable"
    assert time.monotonic() - started < 5
    listener.close()


def test_a_port_where_nobody_listens_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert ask(f"http://127.0.0.1:{port}/", LOOPBACK).state == "unreachable"


def test_https_without_a_certificate_is_unreachable(server):
    assert ask(server.url.replace("http://", "https://"), LOOPBACK).state == "unreachable"


PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "::ffff:10.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_in_whatever_they_are_wrapped(address):
    assert not is_public(address)


@given(st.text(max_size=60))
def test_no_text_raises(text):
    def no_names(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    before = socket.getaddrinfo
    socket.getaddrinfo = no_names
    try:
        assert ask(f"http://{text}").state in STATES
        assert ask(text).state in STATES
    finally:
        socket.getaddrinfo = before


def card(write, *urls: str) -> Path:
    return write("card.md", "# Links\n\n" + "\n".join(f"- [x]({url})" for url in urls) + "\n")


def links_of(path: Path, **options):
    return check_links(read_cards([path]), LOOPBACK, pause=0, **options)


def test_dead_links_are_reported_where_they_stand(write, server):
    path = card(write, f"{server.url}/there", f"{server.url}/404#part", f"{server.url}/500", f"{server.url}/403")
    links = links_of(path)
    assert [(f.place.line, f.place.column, f.check, f.severity) for f in links.findings] == [
        (4, 7, "dead-link", "error"),
        (5, 7, "unreachable-link", "warning"),
    ]
    assert {state: number for state, number in links.counts.items() if number} == {
        "reachable": 1,
        "gone": 1,
        "unreachable": 1,
        "refused": 1,
    }
    assert datetime.now(UTC).strftime("%Y-%m-%d") in links.findings[0].message


def test_an_address_is_asked_once_a_run_and_then_remembered(write, server):
    path = card(write, f"{server.url}/there", f"{server.url}/there#a", f"{server.url}/500")
    links_of(path)
    assert [path for _, path in server.seen] == ["/there", "/500", "/500"]
    server.seen.clear()
    again = links_of(path)
    assert [path for _, path in server.seen] == ["/500", "/500"]  # trouble is not remembered
    assert (again.recalled, again.counts["reachable"]) == (1, 1)


def test_answers_grow_old():
    at = datetime.now(UTC)
    told = [
        Answer("http://a", "reachable", 200, "OK", (at - timedelta(days=6)).isoformat()),
        Answer("http://b", "gone", 404, "", (at - timedelta(hours=20)).isoformat()),
        Answer("http://c", "unreachable", 500, "", at.isoformat()),
    ]
    keep_answers(told)
    wanted = {answer.url for answer in told}
    assert set(fresh_answers(wanted)) == {"http://a", "http://b"}
    assert set(fresh_answers(wanted, at + timedelta(days=1, hours=1))) == set()
    assert set(fresh_answers(wanted, at + timedelta(hours=10))) == {"http://a"}


@pytest.mark.parametrize("value", [None, [], {"url": 3}, {"url": "x", "state": "gone", "asked": "then"}])
def test_an_answer_that_is_none_is_asked_again(value):
    with closing(Cache(cache_path())) as cache:
        cache.put(KIND, [Entry("x", {}, value)])
    assert fresh_answers(["x"]) == {}


def test_without_a_cache_folder_every_address_is_asked(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    keep_answers([Answer("http://a", "reachable", 200, "OK", datetime.now(UTC).isoformat())])
    assert fresh_answers(["http://a"]) == {}


def test_one_host_is_asked_one_address_after_the_other(write):
    running, most = set(), []

    def slowly(url, _):
        running.add(url)
        most.append(len(running))
        time.sleep(0.05)
        running.discard(url)
        return Answer(url, "reachable", 200, "OK", "2026-11-25T00:00:00Z")

    links_of(card(write, *(f"http://example.org/{n}" for n in range(4))), asking=slowly)
    assert max(most) == 1
    most.clear()
    links_of(card(write, *(f"http://host{n}.example.org/x" for n in range(4))), asking=slowly)
    assert max(most) > 1


def test_of_one_host_only_so_many_are_asked(write):
    def at_once(url, _):
        return Answer(url, "reachable", 200, "OK", "2026-11-25T00:00:00Z")

    links = links_of(card(write, *(f"http://example.org/{n}" for n in range(210))), asking=at_once)
    assert (links.counts["reachable"], links.counts["not-run"]) == (200, 10)


def test_without_a_network_nothing_is_said_of_any_link(write):
    def nothing(url, _):
        return Answer(url, "unreachable", None, "Temporary failure in name resolution", "2026-11-25T00:00:00Z", True)

    path = card(write, "http://example.org/a", "https://example.com/b")
    links = links_of(path, asking=nothing)
    assert (links.findings, links.counts) == ((), {"not-run": 2})
    assert links.text() == "links not run: no network (Temporary failure in name resolution)"
    assert fresh_answers(["http://example.org/a"]) == {}
    run = audit([path], Settings(), online=lambda _: links)
    assert run.exit == 0


def test_code_templates_and_closed_sites_are_not_asked(write):
    asked = []

    def note(url, _):
        asked.append(url)
        return Answer(url, "reachable", 200, "OK", "2026-11-25T00:00:00Z")

    text = (
        "`http://example.org/code` http://example.org/{{ name }} https://paperswithcode.com/x ftp://example.org/f\n"
        "```\nhttp://example.org/fenced\n```\nhttp://example.org/asked.\n"
    )
    links_of(write("card.md", text), asking=note)
    assert asked == ["http://example.org/asked"]


def test_the_command_asks_only_with_the_flag(write, server):
    path = card(write, f"{server.url}/404")
    command = ("audit", path.name)
    quiet = cardproof(*command, "--json")
    assert json.loads(quiet.stdout)["summary"]["links"] == "not run"
    assert server.seen == []
    refused = cardproof(*command, "--online")
    assert (refused.returncode, server.seen) == (0, [])
    assert "[private-link]" in refused.stdout
    assert "links asked on" in refused.stdout
    asked = cardproof(*command, "--online", "--private-host", "127.0.0.1", "--json")
    assert asked.returncode == 1
    assert [finding["check"] for finding in json.loads(asked.stdout)["findings"]] == ["dead-link"]
    assert json.loads(asked.stdout)["summary"]["links"]["gone"] == 1
    alone = cardproof(*command, "--private-host", "a")
    assert alone.returncode == 2
