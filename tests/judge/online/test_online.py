"""Links that are asked over the network: against a server on loopback, which the guard lets pass by name only."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing, suppress
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
from cardproof.judge.online import KIND, check_links, fresh_answers, keep_answers, request
from cardproof.judge.online.request import STATES, Answer, ask, is_public
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
    server.targets["to-itself"] = server.url.replace("http://", "http://user:secret@")
    answer = ask(f"{server.url}/to-itself", LOOPBACK)
    assert (answer.state, len(server.seen)) == ("not-run", 1)
    assert "secret" not in answer.reason


def test_an_address_with_credentials_is_sent_nowhere_and_not_kept(write, server):
    links = links_of(card(write, f"{server.url}/x?token=a8d7f6a8d7", f"{server.url}/badge.svg?token=a8d7f6a8d7"))
    assert [path for _, path in server.seen] == ["/badge.svg?token=a8d7f6a8d7"]  # made to be published
    assert links.counts["reachable"] == 1
    assert fresh_answers([f"{server.url}/badge.svg?token=a8d7f6a8d7"]) == {}


def answering(chunk: bytes, pause: float = 0.0) -> socket.socket:
    """Return a listener that sends a chunk to each of its clients for as long as they take it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def send(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            for _ in range(20_000):
                connection.sendall(chunk)
                time.sleep(pause)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=send, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.mark.parametrize(
    ("chunk", "pause"),
    [(b"HTTP/1.1 100 Continue\r\n\r\n", 0.001), (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, 0), (b"x" * 65536, 0)],
)
@pytest.mark.attack("server", "an answer without an end: 100 Continue, headers, bytes", "cut off, unreachable")
def test_an_answer_without_an_end_is_cut_off(monkeypatch, chunk, pause):
    monkeypatch.setattr(request, "ANSWER", 0.3)
    with answering(chunk, pause) as listener:
        started = time.monotonic()
        assert ask(f"http://127.0.0.1:{listener.getsockname()[1]}/", LOOPBACK).state == "unreachable"
        assert time.monotonic() - started < 10


def test_an_address_and_its_redirects_have_one_limit(monkeypatch, server):
    monkeypatch.setattr(request, "ADDRESS", 0.3)
    server.targets["to-slow"] = "/slow"
    started = time.monotonic()
    assert ask(f"{server.url}/to-slow", LOOPBACK).state == "unreachable"
    assert time.monotonic() - started < 2.5


@pytest.mark.attack("server", "hosts that hold on to each connection", "a limit over all; what is left is not judged")
def test_slow_hosts_use_up_no_more_than_the_budget(write):
    tarpits = [answering(b"", 0.05) for _ in range(10)]
    ports = [listener.getsockname()[1] for listener in tarpits]
    path = card(write, *(f"http://127.0.0.1:{port}/{number}" for port in ports for number in range(20)))
    started = time.monotonic()
    links = check_links(read_cards([path]), LOOPBACK, pause=0, budget=0.5)
    assert time.monotonic() - started < 5
    assert (links.counts["not-run"], links.findings) == (200, ())
    assert "200 not asked: the 0.5 seconds for all links were spent, see --online-budget" in links.text()
    for one in tarpits:
        one.close()


def test_hosts_take_turns(write):
    asked = []

    def note(url, _):
        asked.append(url)
        time.sleep(0.02)
        return Answer(url, "reachable", 200, "OK", "2026-11-25T00:00:00Z")

    many = [f"http://slow{host}.org/{n}" for host in range(8) for n in range(20)]
    links_of(card(write, *many, "http://last.org/"), asking=note)
    assert asked.index("http://last.org/") < 40


def test_of_a_host_that_never_answers_three_addresses_are_asked(write):
    def silent(url, _):
        gone = "silent.org" in url
        state = "unreachable" if gone else "reachable"
        return Answer(url, state, None, "no answer in time", "2026-11-25T00:00:00Z", no_network=gone)

    links = links_of(card(write, *(f"http://silent.org/{n}" for n in range(9)), "http://there.org/"), asking=silent)
    assert (links.counts["unreachable"], links.counts["not-run"], len(links.findings)) == (3, 6, 3)
    assert links.left_out == {"3 addresses of its host had no answer": 6}


def test_progress_is_reported_up_to_the_last_address(write):
    told = []

    def at_once(url, _):
        time.sleep(0.15)
        return Answer(url, "reachable", 200, "OK", "2026-11-25T00:00:00Z")

    links_of(card(write, "http://a.org/", "http://b.org/"), asking=at_once, progress=lambda *step: told.append(step))
    assert told[-1][:2] == (2, 2)


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


PUBLIC = [
    "8.8.8.8",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::",
    "192.31.196.1",
    "2a00::1",
]
PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "::ffff:10.0.0.1",
    # of https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry
    "0.1.2.3", "100.127.255.255", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7", "203.0.113.9", "239.1.1.1", "240.0.0.1",
    "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1",
    "3fff::1",
    "5f00::1", "fec0::1", "feb0::1", "fd12::1", "4000::1", "::8.8.8.8", "::127.0.0.1", "::ffff:0:10.0.0.1",
    # with a private address inside: 6to4, Teredo, which inverts it, and NAT64; and one for a link of this machine
    "2002:a00:1::1", "2001:0:808:808::f5ff:fffe", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "2606:4700::1%eth0",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.attack("card", "a link to a private or reserved address, in whatever notation", "not asked")
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
def test_after_an_invalid_answer_the_address_is_asked_again(value):
    with closing(Cache(cache_path())) as cache:
        cache.put((KIND, [Entry("x", {}, value)]))
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


def test_without_a_network_no_link_is_reported(write):
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
    for option in (("--private-host", "a"), ("--online-budget", "5"), ("--online", "--online-budget", "0")):
        assert cardproof(*command, *option).returncode == 2
