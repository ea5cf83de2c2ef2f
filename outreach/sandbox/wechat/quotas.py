"""Calls a day and a minute: the day ends at midnight in Shanghai."""

import time
from collections import Counter

from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.world import World

SHANGHAI = 8 * 3600
CLEARED_A_MONTH = 10


def day(at: float) -> int:
    """Return the day in Shanghai on which a moment falls, counted from the epoch."""
    return int((at + SHANGHAI) // 86400)


def month(at: float) -> int:
    """Return the month in Shanghai in which a moment falls, counted from the year 0."""
    there = time.gmtime(at + SHANGHAI)
    return there.tm_year * 12 + there.tm_mon


class Quotas:
    """How often each api was called."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._day = self._minute = 0
        self._today: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._cleared = 0

    def take(self, api: str) -> None:
        """Count one call; raises Declined where the day's or the minute's are used up."""
        self._turn()
        daily, a_minute = self._world.scenario.daily(api), self._world.scenario.a_minute(api)
        if daily is not None and self._today[api] >= daily:
            raise Declined(45009)
        if a_minute is not None and self._now[api] >= a_minute:
            raise Declined(45011)
        self._today[api] += 1
        self._now[api] += 1

    def fill_again(self) -> None:
        """Answer clear_quota: ten times a month."""
        if self._cleared >= CLEARED_A_MONTH:
            raise Declined(48006)
        self._cleared += 1
        self._today.clear()

    def shown(self) -> dict[str, int]:
        """Return today's calls by api."""
        self._turn()
        return dict(sorted(self._today.items()))

    def clear(self) -> None:
        """Forget all calls."""
        self._today.clear()
        self._now.clear()
        self._cleared = 0

    def _turn(self) -> None:
        now = self._world.now()
        today, minute = day(now), int(now // 60)
        if today != self._day:
            self._day = today
            self._today.clear()
        if minute != self._minute:
            self._minute = minute
            self._now.clear()
