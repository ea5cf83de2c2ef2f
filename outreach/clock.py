"""The time: the only place that reads it. Doorways ask once and pass `now` down as a value."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

OFFICE_ZONE = ZoneInfo("Asia/Shanghai")
"""The wall clock of every office in China; there is no daylight saving."""


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def wire(moment: datetime | None) -> str | None:
    """Write a moment as JSON shows it: `2026-01-15T09:00:00Z`, to the second, always UTC."""
    if moment is None:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
