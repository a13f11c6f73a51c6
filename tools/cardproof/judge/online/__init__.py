"""Online: whether the addresses of cards lead anywhere. The one part that uses the network, and only when asked to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct, field

from cardproof.core.clock import now
from cardproof.core.types import Finding, Place
from cardproof.judge.checks.links import addresses, closed_since, wrong
from cardproof.judge.online.store import STATES, Answer, fresh_answers, keep_answers

if TYPE_CHECKING:
    from cardproof.read import Reading

__all__ = ["Answer", "Links", "check_links"]

AT_ONCE = 8
"""Hosts that are asked at the same time; of each, one address after the other."""
PAUSE = 0.2
"""Seconds between two requests to one host."""
MOST = 5_000
"""Addresses that are asked in a run."""
MOST_OF_A_HOST = 200
"""Addresses of one host that are asked in a run; a site with more links than this has a sitemap to be asked."""


class Links(Struct, frozen=True):
    """What asking the addresses of some cards gave."""

    counts: dict[str, int] = field(default_factory=dict)
    """State -> how many addresses: ``reachable``, ``gone``, ``unreachable``, ``refused``, ``private``, ``not-run``."""
    recalled: int = 0
    """Of these, answers of an earlier run."""
    date: str = ""
    """Day of this run, in UTC."""
    missing: str = ""
    """Why nothing was asked: there is no network."""
    findings: tuple[Finding, ...] = ()

    def text(self) -> str:
        """Say in a line what came out."""
        if self.missing:
            return f"links not run: {self.missing}"
        states = ", ".join(f"{number} {state}" for state, number in self.counts.items() if number)
        recalled = f", {self.recalled} of them recalled" if self.recalled else ""
        return f"links asked on {self.date}: {states or 'none'}{recalled}"


def check_links(
    reading: Reading,
    private_hosts: frozenset[str] = frozenset(),
    asking: Callable[[str, frozenset[str]], Answer] | None = None,
    pause: float = PAUSE,
) -> Links:
    """Ask all addresses of the cards that were read, and report those that lead nowhere.

    ``private_hosts`` are asked although their addresses are private. Answers of an earlier run are used while they are
    fresh. Where nothing at all can be reached there is no network, and nothing is said of any address.
    """
    from cardproof.judge.online.request import ask  # most builds ask nothing

    places = _places(reading)
    known = fresh_answers(places)
    asked = [url for url in places if url not in known]
    fresh = _ask_all(asked[:MOST], private_hosts, asking or ask, pause)
    fresh |= {url: _left_out(url, f"more than {MOST:,} addresses") for url in asked[MOST:]}
    missing = ""
    if fresh and not known and all(answer.no_network for answer in fresh.values() if answer.state != "private"):
        missing = next((answer.reason for answer in fresh.values() if answer.no_network), "")
    if missing:
        return Links({"not-run": len(places)}, date=now()[:10], missing=f"no network ({missing})")
    keep_answers([answer for answer in fresh.values() if answer.state not in ("private", "not-run")])
    answers = {**known, **fresh}
    counts = Counter(answer.state for answer in answers.values())
    found = [finding for url, answer in answers.items() for finding in _findings(answer, places[url])]
    return Links({state: counts[state] for state in STATES}, len(known), now()[:10], "", tuple(found))


def _places(reading: Reading) -> dict[str, list[Place]]:
    """Return the addresses that readers can follow, without their fragments, with the places where they stand."""
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


def _ask_all(
    urls: Iterable[str],
    private_hosts: frozenset[str],
    asking: Callable[[str, frozenset[str]], Answer],
    pause: float,
) -> dict[str, Answer]:
    """Ask addresses: several hosts at once, each host one address after the other."""
    from concurrent.futures import ThreadPoolExecutor

    hosts: dict[str, list[str]] = {}
    for url in urls:
        hosts.setdefault(_host(url), []).append(url)

    def ask_host(of_host: list[str]) -> list[Answer]:
        answers = []
        for number, url in enumerate(of_host):
            if number >= MOST_OF_A_HOST:
                answers.append(_left_out(url, f"more than {MOST_OF_A_HOST} addresses of one host"))
                continue
            if number:
                time.sleep(pause)
            answers.append(asking(url, private_hosts))
        return answers

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {answer.url: answer for answers in pool.map(ask_host, hosts.values()) for answer in answers}


def _left_out(url: str, why: str) -> Answer:
    return Answer(url, "not-run", None, why, now())


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
