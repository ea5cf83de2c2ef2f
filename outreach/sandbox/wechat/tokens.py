"""Access tokens: the classic one, which each fetch replaces, and the stable one, which it does not."""

import secrets
from collections import Counter

from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.quotas import day
from outreach.sandbox.wechat.world import World

OVERLAP = 300.0
"""Seconds for which a classic token lives on after its successor was fetched, and before whose end a stable one is renewed."""

KEPT = 1000
"""Tokens of the past that are still told apart from ones that never were."""


class Tokens:
    """Which tokens are good now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.fetches: Counter[str] = Counter()
        self._ends: dict[str, float] = {}
        self._replaced: dict[str, None] = {}
        self._classic = self._stable = ""
        self._forced: list[float] = []
        self._stuck = False

    def classic(self) -> dict[str, object]:
        """Give a new token; the one before lives five minutes more (doc/service/api/base/api_getaccesstoken)."""
        now = self._world.now()
        self.fetches["classic"] += 1
        if self._classic in self._ends:
            self._ends[self._classic] = min(self._ends[self._classic], now + OVERLAP)
        self._classic = self._new(now)
        return self._given(self._classic, now)

    def stable(self, *, force: bool) -> dict[str, object]:
        """Give the token that is good, a new one in its last five minutes; a forced one replaces it at once (api_getstableaccesstoken)."""
        now = self._world.now()
        if force:
            self._force(now)
            self.fetches["forced"] += 1
            self._end(self._stable)
            self._stuck = False
            self._stable = self._new(now)
        else:
            self.fetches["stable"] += 1
            if self._ends.get(self._stable, 0.0) - now <= min(OVERLAP, self._world.scenario.token_life_s / 4):
                self._stable = self._new(now)
        return self._given(self._stable, now)

    def check(self, token: str) -> None:
        """Raise Declined unless `token` is good."""
        if not token:
            raise Declined(41001)
        if token in self._replaced or (self._stuck and token == self._stable):
            raise Declined(40001)
        end = self._ends.get(token)
        if end is None:
            raise Declined(40014)
        if end <= self._world.now():
            raise Declined(42001)

    def expire(self) -> None:
        """Let every token end now, long before its time."""
        for token in self._ends:
            self._ends[token] = 0.0

    def expire_one(self, token: str) -> None:
        """Let one token end now."""
        self._ends[token] = 0.0

    def stick(self, stuck: bool) -> None:
        """Refuse the stable token that goes on being given (or the first one), until a forced refresh."""
        self._stuck = stuck

    def clear(self) -> None:
        """Forget counts and limits; a token that someone holds stays good for its usual time, for a reset is no expiry."""
        latest = self._world.now() + self._world.scenario.token_life_s
        self._ends = {token: min(end, latest) for token, end in self._ends.items()}
        self.fetches.clear()
        self._forced.clear()
        self._stuck = False

    def _force(self, now: float) -> None:
        scenario = self._world.scenario
        today = [at for at in self._forced if day(at) == day(now)]
        if len(today) >= scenario.force_daily:
            raise Declined(45009)
        if self._forced and now - self._forced[-1] < scenario.force_gap_s:
            raise Declined(45011)
        self._forced = [*today, now]

    def _new(self, now: float) -> str:
        token = "sandbox_" + secrets.token_urlsafe(120)
        self._ends[token] = now + self._world.scenario.token_life_s
        while len(self._ends) > KEPT:
            del self._ends[next(iter(self._ends))]
        return token

    def _end(self, token: str) -> None:
        if self._ends.pop(token, None) is not None:
            self._replaced[token] = None
            while len(self._replaced) > KEPT:
                del self._replaced[next(iter(self._replaced))]

    def _given(self, token: str, now: float) -> dict[str, object]:
        return {"access_token": token, "expires_in": max(1, int(self._ends[token] - now))}
