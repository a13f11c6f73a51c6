"""Checks that one address exists: HEAD, then GET; follows redirects itself, and never asks a private address."""

from __future__ import annotations

import http.client
import ipaddress
import math
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Literal, get_args
from urllib.parse import quote, urljoin, urlsplit

from msgspec import Struct

from cardproof import __version__
from cardproof.core.clock import now
from cardproof.core.secrets import masked

CONNECT = 5.0
"""Seconds for a connection."""
ANSWER = 10.0
"""Seconds for an answer; one that trickles in longer is cut off."""
ADDRESS = 30.0
"""Seconds for one address, with all its redirects."""
MOST_REDIRECTS = 5

GONE = frozenset({404, 410})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
REFUSED = frozenset({401, 402, 403, 407, 429, 451, 999})
"""A server that answers so may have the page, and shows it to people only."""

_IN_PATH = "/%:@!$&'()*+,;=~"
_AGENT = f"cardproof/{__version__} (link check)"


State = Literal["reachable", "gone", "unreachable", "refused", "private", "not-run"]
STATES: tuple[State, ...] = get_args(State)


class Answer(Struct, frozen=True):
    """The result of asking one address."""

    url: str
    state: State
    status: int | None
    """Of the last answer; None if there was none."""
    reason: str
    asked: str
    """Time in UTC, ISO 8601."""
    no_network: bool = False
    """It failed in a way that everything fails in without a network."""


class _NoAnswerError(Exception):
    """An address that must not be asked, or whose host does not answer."""

    def __init__(self, reason: str, state: State = "unreachable", no_network: bool = False) -> None:
        super().__init__(reason)
        self.state, self.no_network = state, no_network


NETWORKS = [
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
]
"""What no server of the open network has: IANA's registries of special-purpose addresses (RFC 6890 and later), of which
``is_global`` of Python knows what its version knew."""
_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The only part of IPv6 that is given out: not site-local addresses, nor segments, nor local translation."""
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: an IPv4 address in its last 32 bits."""


def ask(url: str, private_hosts: frozenset[str] = frozenset(), until: float = math.inf) -> Answer:
    """Ask one address of http or https. Raises nothing: an error becomes the answer's state and reason.

    ``until`` is a time of the monotonic clock at which it has to be done.
    """
    try:
        status, reason = _follow_redirects(url, private_hosts, min(until, time.monotonic() + ADDRESS))
    except _NoAnswerError as trouble:
        return Answer(url, trouble.state, None, str(trouble), now(), trouble.no_network)
    state: State = "reachable" if status < 400 else "unreachable"
    if status in (*GONE, *REFUSED):
        state = "gone" if status in GONE else "refused"
    return Answer(url, state, status, f"{status} {reason}".strip(), now())


def is_public(address: str) -> bool:
    """Return whether an IP address is public, also if it is embedded in an IPv6 address."""
    if "%" in address:
        return False  # a zone: it is meant for one link of this machine
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found not in _UNICAST:
            return False
    return found.is_global and not any(found in network for network in NETWORKS)


def _follow_redirects(url: str, private_hosts: frozenset[str], until: float) -> tuple[int, str]:
    at = url
    for _ in range(MOST_REDIRECTS + 1):
        status, reason, location = _make_request("HEAD", at, private_hosts, until)
        if status >= 400 and status != 429:
            status, reason, location = _make_request("GET", at, private_hosts, until)  # some servers know no HEAD
        if status not in REDIRECTS or not location:
            return status, reason
        at = urljoin(at, location)
    raise _NoAnswerError(f"more than {MOST_REDIRECTS} redirects")


def _make_request(method: str, url: str, private_hosts: frozenset[str], until: float) -> tuple[int, str, str | None]:
    """Make one request and return status, reason and the address that it redirects to; no body is read."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as trouble:
        raise _NoAnswerError(f"'{masked(url)[:200]}' is not an address: {trouble}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise _NoAnswerError(f"it leads to '{masked(url)[:200]}', which is neither http nor https")
    if parts.username or parts.password:
        raise _NoAnswerError("it holds a user name or password", "not-run")
    port = port or (443 if parts.scheme == "https" else 80)
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
        connection = _connection(parts.scheme, host, port, _resolve(host, port, private_hosts), until)
    except (OSError, UnicodeError) as trouble:
        raise _no_answer_because(trouble) from None
    path = quote(parts.path or "/", safe=_IN_PATH)
    path += f"?{quote(parts.query, safe=_IN_PATH + '?')}" if parts.query else ""
    watch = threading.Timer(min(ANSWER, max(0.0, until - time.monotonic())), _shut_down, [connection.sock])
    watch.daemon = True
    watch.start()
    try:
        if isinstance(connection.sock, ssl.SSLSocket):
            connection.sock.do_handshake()
        connection.request(method, path, headers={"User-Agent": _AGENT, "Accept": "*/*", "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.reason[:100], answer.getheader("Location")
    except (OSError, http.client.HTTPException, ValueError) as trouble:
        raise _no_answer_because(trouble) from None
    finally:
        watch.cancel()
        connection.close()


def _resolve(host: str, port: int, private_hosts: frozenset[str]) -> list[str]:
    """Return the addresses of a host. Raises _NoAnswerError if one of them is private: it is asked only by name."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if host.lower() not in private_hosts and (private := next((one for one in found if not is_public(one)), None)):
        raise _NoAnswerError(f"{host} has the private address {private}", "private")
    return found


def _connection(scheme: str, host: str, port: int, addresses: list[str], until: float) -> http.client.HTTPConnection:
    """Connect to one of the addresses that were checked: the name is not resolved again. Raises OSError."""
    until = min(until, time.monotonic() + CONNECT)
    trouble: OSError = TimeoutError("timed out")
    for address in addresses[:4]:
        if time.monotonic() >= until:
            break
        try:
            sock = socket.create_connection((address, port), timeout=max(0.1, until - time.monotonic()))
        except OSError as why:
            trouble = why
            continue
        sock.settimeout(ANSWER)
        if scheme == "https":
            context = ssl.create_default_context()
            sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER)
        connection.default_port = 443 if scheme == "https" else 80
        connection.sock = sock
        return connection
    raise trouble


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # it may be closed already
        sock.shutdown(socket.SHUT_RDWR)


def _no_answer_because(trouble: Exception) -> _NoAnswerError:
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return _NoAnswerError(f"its certificate is not valid: {trouble.verify_message}")
    if isinstance(trouble, TimeoutError):
        return _NoAnswerError("no answer in time", no_network=True)
    if isinstance(trouble, OSError) and (trouble.strerror or isinstance(trouble, socket.gaierror)):
        return _NoAnswerError(trouble.strerror or str(trouble), no_network=True)
    return _NoAnswerError(f"{type(trouble).__name__}: {trouble}"[:200])
