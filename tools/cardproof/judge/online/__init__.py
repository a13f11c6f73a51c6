"""Online: link checks, the only part that uses the network, and only if it is asked to."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct, field

from cardproof.core.build_time import now
from cardproof.core.types import Finding, Place
from cardproof.judge.checks.links import addresses, closed_since, wrong
from cardproof.judge.online.request import STATES, Answer, ask
from cardproof.judge.online.store import load_answers, store_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from cardproof.read import Reading

__all__ = ["Answer", "Links", "check_links"]

CONCURRENT_HOSTS = 8
"""Hosts that are asked at the same time; the addresses of one host are asked in sequence."""
PAUSE = 0.2
"""Seconds between two requests to one host."""
MOST_ADDRESSES = 5_000
"""Addresses that a run asks."""
MOST_PER_HOST = 200
"""Addresses of one host that a run asks; a site with more links than this has a sitemap."""


class Links(Struct, frozen=True):
    """The result of a link check."""

    counts: dict[str, int] = field(default_factory=dict)
    """State -> number of addresses: ``reachable``, ``gone``, ``unreachable``, ``refused``, ``private``, ``not-run``."""
    recalled: int = 0
    """Addresses whose answers are of an earlier run."""
    date: str = ""
    """Day of this run, in UTC."""
    missing: str = ""
    """Why nothing was asked: no network."""
    findings: tuple[Finding, ...] = ()

    def text(self) -> str:
        """Return the result in one line."""
        if self.missing:
            return f"links not run: {self.missing}"
        states = ", ".join(f"{number} {state}" for state, number in self.counts.items() if number)
        recalled = f", {self.recalled} of them recalled" if self.recalled else ""
        return f"links asked on {self.date}: {states or 'none'}{recalled}"


def check_links(
    reading: Reading,
    cache: Path,
    private_hosts: frozenset[str] = frozenset(),
    request: Callable[[str, frozenset[str]], Answer] = ask,
    pause: float = PAUSE,
) -> Links:
    """Ask all addresses of the cards that were read, and report the dead ones.

    ``private_hosts`` are asked although their addresses are private. Answers of an earlier run are used while they are
    fresh. If no address can be reached there is no network, and no address is reported.
    """
    places = _places(reading)
    cached = load_answers(cache, places)
    asked = [url for url in places if url not in cached]
    fresh = _ask_hosts(asked[:MOST_ADDRESSES], private_hosts, request, pause)
    fresh |= {url: _skipped(url, f"more than {MOST_ADDRESSES:,} addresses") for url in asked[MOST_ADDRESSES:]}
    missing = ""
    if fresh and not cached and all(answer.no_network for answer in fresh.values() if answer.state != "private"):
        missing = next((answer.reason for answer in fresh.values() if answer.no_network), "")
    if missing:
        return Links({"not-run": len(places)}, date=now()[:10], missing=f"no network ({missing})")
    store_answers(cache, [answer for answer in fresh.values() if answer.state not in ("private", "not-run")])
    answers = {**cached, **fresh}
    counts = Counter(answer.state for answer in answers.values())
    found = [finding for url, answer in answers.items() for finding in _findings(answer, places[url])]
    return Links({state: counts[state] for state in STATES}, len(cached), now()[:10], "", tuple(found))


def _places(reading: Reading) -> dict[str, list[Place]]:
    """Return the addresses that readers can follow, without fragments, and their places in the cards."""
    places: dict[str, list[Place]] = {}
    for card in reading.cards:
        for address, start, is_code in addresses(card.source.text):
            template = "{" in address or "}" in address or "$" in address
            if is_code or template or not address.lower().startswith(("http://", "https://")):
                continue
            if wrong(address) is None and closed_since(address) is None and _host(address):
                place = card.source.place(start, start + len(address))
                places.setdefault(address.partition("#")[0], []).append(place)
    return places


def _ask_hosts(
    urls: Iterable[str],
    private_hosts: frozenset[str],
    request: Callable[[str, frozenset[str]], Answer],
    pause: float,
) -> dict[str, Answer]:
    """Ask several hosts at once, each host one address after the other."""
    hosts: dict[str, list[str]] = {}
    for url in urls:
        hosts.setdefault(_host(url), []).append(url)

    def ask_host(host_urls: list[str]) -> list[Answer]:
        answers = []
        for number, url in enumerate(host_urls):
            if number >= MOST_PER_HOST:
                answers.append(_skipped(url, f"more than {MOST_PER_HOST} addresses of one host"))
                continue
            if number:
                time.sleep(pause)
            answers.append(request(url, private_hosts))
        return answers

    with ThreadPoolExecutor(CONCURRENT_HOSTS) as pool:
        return {answer.url: answer for answers in pool.map(ask_host, hosts.values()) for answer in answers}


def _skipped(url: str, reason: str) -> Answer:
    return Answer(url, "not-run", None, reason, now())


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _findings(answer: Answer, places: list[Place]) -> Iterator[Finding]:
    asked = f"asked on {answer.asked[:10]}"
    for place in places:
        if answer.state == "gone":
            message = f"'{answer.url}' leads nowhere: {answer.reason} ({asked})"
            yield Finding(place, "dead-link", "error", message, "look up where it moved, or link an archived copy")
        elif answer.state == "unreachable":
            message = f"'{answer.url}' cannot be reached: {answer.reason} ({asked})"
            yield Finding(place, "unreachable-link", "warning", message, "it may be down for a while: ask again")
        elif answer.state == "private":
            message = f"'{answer.url}' was not asked: {answer.reason}"
            hint = "readers elsewhere cannot follow it; --private-host HOST asks it all the same"
            yield Finding(place, "private-link", "warning", message, hint)
