"""Requests one address: HEAD, then GET; follows redirects itself, and never connects to a private address."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from typing import Literal
from urllib.parse import quote, urljoin, urlsplit

from msgspec import Struct

from cardproof import __version__
from cardproof.core.build_time import now

State = Literal["reachable", "gone", "unreachable", "refused", "private", "not-run"]
STATES: tuple[State, ...] = ("reachable", "gone", "unreachable", "refused", "private", "not-run")

CONNECT = 5.0
"""Seconds for a connection."""
ANSWER = 10.0
"""Seconds for an answer; a slower one is cut off."""
MOST_REDIRECTS = 5

GONE = frozenset({404, 410})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
REFUSED = frozenset({401, 402, 403, 407, 429, 451, 999})
"""Statuses of servers that may have the page, but show it to people only."""

_AGENT = f"cardproof/{__version__} (link check)"


class Answer(Struct, frozen=True):
    """The result of requesting one address."""

    url: str
    state: State
    status: int | None
    """Of the last answer; None if there was none."""
    reason: str
    asked: str
    """Time in UTC, ISO 8601."""
    no_network: bool = False
    """Whether it failed as every request does without a network."""


class _SkippedError(Exception):
    """An address that must not be asked."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state = state


class _UnreachableError(Exception):
    """An address whose host does not answer."""

    def __init__(self, reason: str, no_network: bool = False) -> None:
        super().__init__(reason)
        self.no_network = no_network


def ask(url: str, private_hosts: frozenset[str] = frozenset()) -> Answer:
    """Request one address of http or https. Raises nothing: errors become the answer's state and reason."""
    try:
        status, reason = _follow(url, private_hosts)
    except _SkippedError as trouble:
        return Answer(url, trouble.state, None, str(trouble), now())
    except _UnreachableError as trouble:
        return Answer(url, "unreachable", None, str(trouble), now(), trouble.no_network)
    text = f"{status} {reason}".strip()
    if status in GONE:
        return Answer(url, "gone", status, text, now())
    if status in REFUSED:
        return Answer(url, "refused", status, text, now())
    return Answer(url, "reachable" if status < 400 else "unreachable", status, text, now())


def is_public(address: str) -> bool:
    """Return whether an IP address is a public one, also if an IPv6 address embeds it."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in ipaddress.IPv6Network("64:ff9b::/96"):  # RFC 6052: an IPv4 address in its last 32 bits
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def _follow(url: str, private_hosts: frozenset[str]) -> tuple[int, str]:
    """Return status and reason at the end of an address's redirects."""
    address = url
    for _ in range(MOST_REDIRECTS + 1):
        status, reason, location = _request("HEAD", address, private_hosts)
        if status >= 400 and status != 429:
            status, reason, location = _request("GET", address, private_hosts)  # some servers do not support HEAD
        if status not in REDIRECTS or not location:
            return status, reason
        address = urljoin(address, location)
    raise _UnreachableError(f"more than {MOST_REDIRECTS} redirects")


def _request(method: str, url: str, private_hosts: frozenset[str]) -> tuple[int, str, str | None]:
    """Make one request and return status, reason and the address that it redirects to; no body is read."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as trouble:
        raise _UnreachableError(f"'{url}' is not an address: {trouble}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise _UnreachableError(f"it leads to '{url[:200]}', which is neither http nor https")
    if parts.username or parts.password:
        raise _SkippedError("not-run", "it holds a user name or password")
    port = port or (443 if parts.scheme == "https" else 80)
    try:
        name = _ascii_name(host)
        connection = _connection(parts.scheme, name, port, _resolve(name, port, private_hosts))
    except (OSError, UnicodeError) as trouble:
        raise _unreachable(trouble) from None
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{_query(parts.query)}" if parts.query else "")
    timer = threading.Timer(ANSWER, _shut_down, [connection.sock])
    timer.daemon = True
    timer.start()
    try:
        if isinstance(connection.sock, ssl.SSLSocket):
            connection.sock.do_handshake()
        connection.request(method, path, headers={"User-Agent": _AGENT, "Accept": "*/*", "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.reason[:100], answer.getheader("Location")
    except (OSError, http.client.HTTPException, ValueError) as trouble:
        raise _unreachable(trouble) from None
    finally:
        timer.cancel()
        connection.close()


def _ascii_name(host: str) -> str:
    """Return a host's name in ASCII. Raises UnicodeError if it has none."""
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _query(text: str) -> str:
    return quote(text, safe="/%:@!$&'()*+,;=~?")


def _resolve(host: str, port: int, private_hosts: frozenset[str]) -> list[str]:
    """Return the addresses of a host. Raises _SkippedError for a private one, unless the host may be private."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    private = [address for address in found if not is_public(address)]
    if private and host.lower() not in private_hosts:
        raise _SkippedError("private", f"{host} has the private address {private[0]}")
    return found


def _connection(scheme: str, host: str, port: int, addresses: list[str]) -> http.client.HTTPConnection:
    """Connect to one of the resolved addresses; the name is not resolved again. Raises OSError."""
    deadline = time.monotonic() + CONNECT
    trouble: OSError = TimeoutError("timed out")
    for address in addresses[:4]:
        try:
            sock = socket.create_connection((address, port), timeout=max(0.1, deadline - time.monotonic()))
        except OSError as error:
            trouble = error
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
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # already closed


def _unreachable(trouble: Exception) -> _UnreachableError:
    """Return an error that states in plain words why a host does not answer."""
    if isinstance(trouble, socket.gaierror):
        return _UnreachableError(str(trouble.strerror or trouble), no_network=True)
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return _UnreachableError(f"its certificate is not valid: {trouble.verify_message}")
    if isinstance(trouble, TimeoutError):
        return _UnreachableError("no answer in time", no_network=True)
    if isinstance(trouble, OSError) and trouble.strerror:
        return _UnreachableError(trouble.strerror, no_network=True)
    return _UnreachableError(f"{type(trouble).__name__}: {trouble}"[:200])
