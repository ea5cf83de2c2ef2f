"""The access token of the account: one a process, fetched by one thread at a time, and fetched again only when it is the one that failed.

WeChat's `stable_token` gives the same token to all who ask while it is good, so processes need not know of each other: each asks once.
Source: developers.weixin.qq.com/doc/service/api/base/api_getstableaccesstoken. A token lives at most two hours; the platform renews it
five minutes before its end, and both are good meanwhile. A forced renewal voids the old one at once: at most 20 a day, 30 s apart.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from outreach.channels.wechat.trouble import Trouble

OVERLAP = 300.0
"""Seconds for which the old token is still good."""
DOUBT = 60.0
"""Seconds after which a refusal counts as a new one: the provider refuses good tokens now and then."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and until when (by this machine's steady clock) it need not be asked for again. It shows itself to nobody."""

    value: str = field(repr=False)
    until: float
    doubted_until: float = 0.0

    @property
    def fresh(self) -> bool:
        """Whether it may be used without asking."""
        return time.monotonic() < self.until

    @property
    def doubted(self) -> bool:
        """Whether it was given again, a moment ago, after it had been refused."""
        return time.monotonic() < self.doubted_until

    def in_doubt(self) -> "Token":
        """Return it as one that was refused and given again all the same."""
        return replace(self, doubted_until=time.monotonic() + DOUBT)

    def __reduce__(self) -> str:
        raise TypeError("an access token is not to be stored")


def granted(value: str, lasts: float) -> Token:
    """Return a token that was just given for `lasts` seconds; one that lives shorter than the overlap is kept for half its life."""
    return Token(value, time.monotonic() + max(lasts - OVERLAP, lasts / 2))


class Shelf:
    """Where a process keeps the token of one account. `fetch` asks the provider, and gives a token or why there is none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._failure: Trouble | None = None
        self._asked = 0

    def get(self, fetch: Callable[[], Token | Trouble]) -> Token | Trouble:
        """Return the token, asking for one where there is none or its time is over."""
        held = self._token
        return held if held is not None and held.fresh else self.instead_of(held, fetch)

    def instead_of(self, failed: Token | None, fetch: Callable[[], Token | Trouble]) -> Token | Trouble:
        """Return a token other than the one that failed: what somebody else fetched meanwhile, else what is fetched now.

        Those who waited while somebody asked in vain are told the same; else a provider that is down would be asked once a thread.
        """
        asked = self._asked
        with self._lock:
            if self._token is not None and self._token is not failed and self._token.fresh:
                return self._token
            if self._asked != asked and self._failure is not None:
                return self._failure
            answer = fetch()
            self._asked += 1
            self._token, self._failure = (answer, None) if isinstance(answer, Token) else (None, answer)
            return answer


_shelves: dict[tuple[int, str, str], Shelf] = {}


def shelf(base_url: str, app_id: str) -> Shelf:
    """Return this process's shelf for an account. The process is part of the key, because a lock does not survive a fork."""
    return _shelves.setdefault((os.getpid(), base_url, app_id), Shelf())
