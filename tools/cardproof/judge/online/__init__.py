"""Online: whether the addresses of cards lead anywhere. The one part that uses the network, and only when asked to."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct, convert, field, to_builtins

from cardproof.core.cache import Entry, open_cache
from cardproof.core.clock import now
from cardproof.core.secrets import masked, secret_of
from cardproof.core.types import Finding, Place
from cardproof.judge.checks.links import address_fault, addresses, closed_since
from cardproof.judge.online.request import STATES, Answer, ask

if TYPE_CHECKING:
    from cardproof.plan.options import Progress
    from cardproof.read import Reading

AT_ONCE = 8
"""Hosts that are asked at the same time; of each, one address after the other."""
PAUSE = 0.2
"""Seconds between two requests to one host."""
MOST = 5_000
"""Addresses that are asked in a run."""
MOST_OF_A_HOST = 200
"""Addresses of one host that are asked in a run; a site with more links than this has a sitemap to be asked."""
MOST_SILENT = 3
"""Addresses of one host, one after the other, that get no answer; its others are not asked then."""
BUDGET = 300.0
"""Seconds for all addresses of a run."""

PATIENCE = 1.0
"""Seconds after that time within which answers on their way still count."""

KIND = "answers of servers"
LASTS = {"reachable": timedelta(days=7), "refused": timedelta(days=7), "gone": timedelta(days=1)}
"""How long an answer is used; addresses with other answers are asked again every time."""


class Links(Struct, frozen=True):
    """The results of checking the addresses of some cards."""

    counts: dict[str, int] = field(default_factory=dict)
    """State -> how many addresses: ``reachable``, ``gone``, ``unreachable``, ``refused``, ``private``, ``not-run``."""
    recalled: int = 0
    """Of these, answers of an earlier run."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Why addresses were not asked -> how many: nothing is known of them."""
    date: str = ""
    """Day of this run, in UTC."""
    missing: str = ""
    """Why nothing was asked: there is no network."""
    findings: tuple[Finding, ...] = ()

    def text(self) -> str:
        """Return the results in one line."""
        if self.missing:
            return f"links not run: {self.missing}"
        states = ", ".join(f"{number} {state}" for state, number in self.counts.items() if number)
        recalled = f", {self.recalled} of them recalled" if self.recalled else ""
        left_out = "".join(f"; {number} not asked: {why}" for why, number in self.left_out.items())
        return f"links asked on {self.date}: {states or 'none'}{recalled}{left_out}"


def check_links(
    reading: Reading,
    private_hosts: frozenset[str] = frozenset(),
    asking: Callable[[str, frozenset[str]], Answer] | None = None,
    pause: float = PAUSE,
    budget: float = BUDGET,
    progress: Progress | None = None,
) -> Links:
    """Ask all addresses of the cards that were read, and report those that lead nowhere.

    ``private_hosts`` are asked although their addresses are private. Answers of an earlier run are used while they are
    fresh. If no address can be reached, the network is down, and nothing is reported. After ``budget`` seconds the
    remaining addresses are not asked: hosts alternate, so that slow ones do not use up the time of others.
    """
    places = _places_of_addresses(reading)
    known = fresh_answers(places)
    asked = [url for url in places if url not in known]
    until = time.monotonic() + budget
    asking = asking or partial(ask, until=until)
    fresh = _AddressQueue(asked[:MOST], lambda url: asking(url, private_hosts), pause, until).run(progress)
    spent = f"the {budget:g} seconds for all links were spent, see --online-budget"
    fresh |= {url: _not_asked(url, spent) for url in asked[:MOST] if url not in fresh}
    fresh |= {url: _not_asked(url, f"more than {MOST:,} addresses") for url in asked[MOST:]}
    given = [answer for answer in fresh.values() if answer.state not in ("private", "not-run")]
    if given and not known and all(answer.no_network for answer in given):
        return Links({"not-run": len(places)}, date=now()[:10], missing=f"no network ({given[0].reason})")
    keep_answers(given)
    answers = {**known, **fresh}
    counts = Counter(answer.state for answer in answers.values())
    found = [finding for url, answer in answers.items() for finding in _findings(answer, places[url])]
    left_out = Counter(answer.reason for answer in answers.values() if answer.state == "not-run")
    return Links({state: counts[state] for state in STATES}, len(known), dict(left_out), now()[:10], "", tuple(found))


def fresh_answers(wanted: Iterable[str], at: datetime | None = None) -> dict[str, Answer]:
    """Return the answers of some addresses that are fresh enough to be used."""
    cache = open_cache()
    if cache is None:
        return {}
    found = {}
    with closing(cache):
        for entry in filter(None, (cache.entry(KIND, url) for url in wanted)):
            with suppress(ValueError, TypeError):  # another version may have written it
                answer = convert(entry.value, Answer)
                age = (at or datetime.now(UTC)) - datetime.fromisoformat(answer.asked)
                if timedelta(0) <= age < LASTS.get(answer.state, timedelta(0)):
                    found[answer.url] = answer
    return found


def keep_answers(answers: Iterable[Answer]) -> None:
    """Keep the answers that may be used again, of addresses that hold no credentials."""
    if cache := open_cache():
        with closing(cache):
            kept = (one for one in answers if one.state in LASTS and masked(one.url) == one.url)
            cache.put((KIND, [Entry(one.url, {}, to_builtins(one)) for one in kept]))


def _places_of_addresses(reading: Reading) -> dict[str, list[Place]]:
    """Return the addresses that readers can follow, without their fragments, with the places where they stand."""
    places: dict[str, list[Place]] = {}
    for card in reading.cards:
        for address, start, is_code in addresses(card.source.text):
            template = "{" in address or "}" in address or "$" in address
            if is_code or template or not address.lower().startswith(("http://", "https://")):
                continue
            if secret_of(address):
                continue  # it is reported as such, and sent nowhere
            if address_fault(address) is None and closed_since(address) is None and _host(address):
                place = card.source.place(start, start + len(address))
                places.setdefault(address.partition("#")[0], []).append(place)
    return places


class _AddressQueue:
    """Asks addresses: several hosts at once, but the addresses of each host one after another."""

    def __init__(self, urls: Iterable[str], ask: Callable[[str], Answer], pause: float, until: float) -> None:
        self._ask, self._pause, self._until = ask, pause, until
        self._answers: dict[str, Answer] = {}
        self._hosts: dict[str, deque[str]] = {}
        self._silent: Counter[str] = Counter()
        """How many addresses of a host got no answer, since the last that got one."""
        for url in urls:
            self._hosts.setdefault(_host(url), deque()).append(url)
        for of_host in self._hosts.values():
            self._drop_addresses(of_host, MOST_OF_A_HOST, f"more than {MOST_OF_A_HOST} addresses of one host")
        self._turns = deque((0.0, host) for host in self._hosts)
        """When each host may be asked again, the earliest first; hosts that are being asked are not in it."""
        self._lock = threading.Lock()

    def run(self, progress: Progress | None) -> dict[str, Answer]:
        """Return the answers that came in time. A name server that hangs is not waited for."""
        total = sum(map(len, self._hosts.values()))
        number = min(AT_ONCE, len(self._turns))
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and time.monotonic() < self._until + PATIENCE:
                thread.join(0.1)
                if progress:
                    progress(min(len(self._answers), total), total, "links")
        with self._lock:
            return dict(self._answers)

    def _work(self) -> None:
        while time.monotonic() < self._until:
            with self._lock:
                if not self._turns:
                    return
                ready, host = self._turns.popleft()
            time.sleep(max(0.0, min(ready, self._until) - time.monotonic()))
            if time.monotonic() >= self._until:
                return
            url = self._hosts[host].popleft()
            answer = self._ask(url)
            if answer.state == "unreachable" and time.monotonic() >= self._until:
                return  # it was cut off: nothing is known of it
            with self._lock:
                self._answers[url] = answer
                self._silent[host] = self._silent[host] + 1 if answer.no_network else 0
                if self._silent[host] >= MOST_SILENT:
                    self._drop_addresses(self._hosts[host], 0, f"{MOST_SILENT} addresses of its host had no answer")
                if self._hosts[host]:
                    self._turns.append((time.monotonic() + self._pause, host))

    def _drop_addresses(self, urls: deque[str], most: int, why: str) -> None:
        while len(urls) > most:
            url = urls.pop()
            self._answers[url] = _not_asked(url, why)


def _not_asked(url: str, why: str) -> Answer:
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
