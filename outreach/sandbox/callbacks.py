"""Webhooks out: post a form to the address that was asked for, and try again as that address says; the maker of the message never waits."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

from outreach.sandbox.lines import Host, Outcome

FIRST_RETRY = 0.2
"""Seconds; doubled for each further one, so that five retries span six seconds."""


@dataclass(frozen=True, slots=True)
class Override:
    """How to post, from the address's fragment (Twilio's "connection overrides"): `#rc=5&rp=all&ct=2000&rt=5000`."""

    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})
    connect_timeout: float = 5.0
    read_timeout: float = 15.0

    def retry(self, outcome: Outcome) -> bool:
        """Say whether the policy asks for another try after `outcome`."""
        kind = outcome if isinstance(outcome, str) else f"{outcome // 100}xx"
        return "all" in self.policy or kind in self.policy


@lru_cache(maxsize=256)
def override(fragment: str) -> Override:
    """Read the fragment of a webhook's address; what is not understood keeps its default, as with Twilio."""
    asked = dict(parse_qsl(fragment))
    return Override(
        retries=_bounded(asked.get("rc"), 1, 0, 5),
        policy=frozenset(asked.get("rp", "ct").split(",")),
        connect_timeout=_bounded(asked.get("ct"), 5000, 100, 10_000) / 1000,
        read_timeout=_bounded(asked.get("rt"), 15_000, 100, 15_000) / 1000,
    )


def _bounded(text: str | None, default: int, lowest: int, highest: int) -> int:
    return min(max(int(text), lowest), highest) if text and text.isascii() and text.isdigit() else default


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a webhook goes, without its query."""

    name: str
    host: str
    port: int
    secure: bool
    path: str


@dataclass(slots=True)
class Address:
    """A webhook's address, taken apart; `url` is what is called and signed: with the query, without the fragment."""

    url: str
    query: str
    origin: Origin
    override: Override

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Take `text` apart; raises ValueError if it is no absolute http or https address with a host."""
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError(text)
        url, _, fragment = text.partition("#")
        place, mark, query = url.partition("?")
        found = origin(place)
        if not place.endswith(found.path):
            url = place + found.path + mark + query  # the root is called as `/`
        return cls(url, query, found, override(fragment))


@lru_cache(maxsize=256)
def origin(place: str) -> Origin:
    """Take an address without query and fragment apart; all messages of a campaign share it."""
    parts = urlsplit(place)
    if parts.scheme not in ("http", "https") or not parts.hostname or "_" in parts.hostname or "@" in parts.netloc:
        raise ValueError(place)
    parts.hostname.encode("idna")  # raises a ValueError of its own for what can be no host's name
    secure = parts.scheme == "https"
    port = parts.port if parts.port is not None else (443 if secure else 80)
    return Origin(parts.netloc, parts.hostname, port, secure, parts.path or "/")


class Callbacks:
    """Posts webhooks and counts how they ended; keeps no more than memory holds."""

    def __init__(self) -> None:
        self.sent = self.failed = self.pending = 0
        self._hosts: dict[tuple[str, int, bool], Host] = {}
        self.epoch = 0

    def post(self, address: Address, headers: str, body: bytes, then: Callable[[Outcome], None], *, forged: bool = False) -> None:
        """Post `body` and, when it is answered or given up, call `then`; the caller has raised `pending` before.

        What is forged is tried once and not counted.
        """
        Webhook(self, address, headers, body, then, forged=forged).go()

    def host(self, origin: Origin) -> Host:
        """Return the lines to the host of `origin`."""
        key = (origin.host, origin.port, origin.secure)
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = Host(origin.host, origin.port, secure=origin.secure)
        return host

    def clear(self) -> None:
        """Forget what is on its way and the counts; an answer that still comes is not counted."""
        self.epoch += 1
        self.sent = self.failed = self.pending = 0
        for host in self._hosts.values():
            host.clear()

    def close(self) -> None:
        """Close every connection."""
        self.clear()
        for host in self._hosts.values():
            host.close()


class Webhook:
    """One webhook, from the first try to its end."""

    __slots__ = ("_address", "_callbacks", "_epoch", "_forged", "_then", "_tries", "connect_timeout", "payload", "read_timeout")

    def __init__(self, callbacks: Callbacks, address: Address, headers: str, body: bytes, then: Callable[[Outcome], None], *, forged: bool) -> None:
        self._callbacks = callbacks
        self._address = address
        self._then = then
        self._forged = forged
        self._epoch = callbacks.epoch
        self._tries = 0
        self.connect_timeout = address.override.connect_timeout
        self.read_timeout = address.override.read_timeout
        target = f"{address.origin.path}?{address.query}" if address.query else address.origin.path
        head = f"POST {target} HTTP/1.1\r\nHost: {address.origin.name}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self.payload = head.encode() + body

    def go(self) -> None:
        """Hand it to a line, unless everything was forgotten meanwhile."""
        if self._epoch == self._callbacks.epoch:
            self._callbacks.host(self._address.origin).submit(self)

    def heard(self, chunk: bytes) -> None:
        """What the office says beside its status is nothing to Twilio."""

    def ended(self, outcome: Outcome) -> None:
        """Take the outcome of one try: the end, or another try after a while."""
        callbacks = self._callbacks
        if self._epoch != callbacks.epoch:
            return
        good = isinstance(outcome, int) and 200 <= outcome < 300
        asked = self._address.override
        if not good and not self._forged and self._tries < asked.retries and asked.retry(outcome):
            asyncio.get_running_loop().call_later(FIRST_RETRY * 2**self._tries, self.go)
            self._tries += 1
            return
        callbacks.pending -= 1
        if not self._forged:
            callbacks.sent += good
            callbacks.failed += not good
        self._then(outcome)
