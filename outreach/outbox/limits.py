"""How much may go now: the rate (GCRA), the daily quotas and the breaker of a sender, arithmetic over its row.

GCRA keeps one number, the theoretical arrival time of the next segment: exact at any concurrency, and nothing to reset.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.clock import OFFICE_ZONE
from outreach.database.tables import Sender
from outreach.database.types import microseconds

SECOND = 1_000_000
LONGEST = 8
"""Segments of the longest text that a template may make: even the slowest sender must be able to send one."""
BREAKS_AFTER = 10
"""Uncertain or strained answers in a row that open the breaker."""
REFRESHES_A_DAY, BETWEEN_REFRESHES = 20, timedelta(seconds=30)
"""How often WeChat lets an office force a new token (doc/service/api/base/api_getstableaccesstoken)."""


@dataclass(frozen=True, slots=True)
class Valve:
    """A sender's (or campaign's) limits as they stand: microseconds a segment (0: none), the arrival time, the day and its use."""

    step_us: int
    burst_us: int
    tat: int = 0
    day: str = ""
    day_used: int = 0
    day_limit: int = 0

    def room(self, now: datetime) -> int | None:
        """Return how many segments may go now; None is no limit."""
        rooms = [room for room in (self._rate_room(now), self._day_room(now)) if room is not None]
        return min(rooms) if rooms else None

    def wait(self, now: datetime) -> timedelta:
        """Return how long until about a twentieth of a second's worth of segments (at least one) may go."""
        if self._day_room(now) == 0:
            return timedelta(minutes=1)
        if not self.step_us:
            return timedelta(0)
        worth = self.step_us * max(1, SECOND // self.step_us // 20)
        stamp = microseconds(now)
        return timedelta(microseconds=max(0, max(self.tat, stamp) + worth - self.burst_us - stamp))

    def take(self, segments: int, now: datetime) -> "Valve":
        """Return the limits after so many segments have gone."""
        stamp, today = microseconds(now), provider_day(now)
        used = self.day_used if self.day == today else 0
        tat = max(self.tat, stamp) + self.step_us * segments if self.step_us else self.tat
        return replace(self, tat=tat, day=today, day_used=used + segments)

    def _rate_room(self, now: datetime) -> int | None:
        if not self.step_us:
            return None
        stamp = microseconds(now)
        return max(0, (stamp + self.burst_us - max(self.tat, stamp)) // self.step_us)

    def _day_room(self, now: datetime) -> int | None:
        if not self.day_limit:
            return None
        return max(0, self.day_limit - (self.day_used if self.day == provider_day(now) else 0))


def step_us(per_second: float) -> int:
    """Return microseconds a segment at a rate; 0 for no limit."""
    return round(SECOND / per_second) if per_second > 0 else 0


def burst_us(step: int) -> int:
    """Return the burst of a rate: one second's worth, and room for the longest text."""
    return max(SECOND, LONGEST * step)


def provider_day(now: datetime) -> str:
    """Return the day by which providers of China count quotas: midnight to midnight in Shanghai."""
    return now.astimezone(OFFICE_ZONE).date().isoformat()


def next_day(now: datetime) -> datetime:
    """Return when the provider's next day begins, and its quotas with it."""
    local = now.astimezone(OFFICE_ZONE)
    return (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def shut(sender: Sender, now: datetime) -> bool:
    """Whether nothing goes through a sender now: its breaker is open, or its day's quota is used up."""
    return any(until is not None and until > now for until in (sender.breaker_until, sender.quota_until))


def allow_refresh(session: Session, sender_id: int, *, now: datetime) -> bool:
    """Count one forced refresh of the provider's token in the sender's row; whether it is allowed."""
    sender = session.execute(select(Sender).where(Sender.id == sender_id).with_for_update(key_share=True)).scalar_one()
    last = sender.refreshed_at
    today = sender.refreshes if last and provider_day(last) == provider_day(now) else 0
    if today >= REFRESHES_A_DAY or (last and last > now - BETWEEN_REFRESHES):
        return False
    sender.refreshes, sender.refreshed_at = today + 1, now
    return True
