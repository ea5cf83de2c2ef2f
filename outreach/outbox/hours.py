"""When people may be written to: never in quiet hours, and where a campaign says so only in office hours of workdays, in Shanghai.

Workdays come from the `holidays` package, with the make-up workdays of 调休. The State Council announces a year in the November before
it; for years that the package does not know yet workdays are Monday to Friday but for the statutory days, without make-up days.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

import holidays

from outreach.clock import OFFICE_ZONE
from outreach.errors import Misconfigured
from outreach.reasons import Reason
from outreach.settings import Settings

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
LOOK_AHEAD = 60
"""Days within which a workday must come; the longest holiday takes eight."""


class NoTimeLeft(Reason):
    """with {hours} it leaves no time to send"""


class NoWindow(Reason):
    """{window} is no window such as 21:00-08:00"""


def opens_at(moment: datetime, *, quiet: str, hours: str | None, days: str) -> datetime:
    """Return the earliest moment from `moment` on when sending is allowed, in UTC.

    `quiet` is a window such as 21:00-08:00 in which nobody is written to, `hours` one outside of which nobody is, `days` is workdays or
    all. Raises Misconfigured for a window that is none, and where the two leave no minute.
    """
    local = moment.astimezone(OFFICE_ZONE)
    for ahead in range(LOOK_AHEAD):
        day = local.date() + timedelta(days=ahead)
        if days == "workdays" and not is_workday(day):
            continue
        for begin, end in _open_parts(quiet, hours):
            opens, closes = _at(day, begin), _at(day, end)
            if local < closes:
                return moment if opens <= local else opens.astimezone(moment.tzinfo)
    raise Misconfigured(key="quiet_hours", why=NoTimeLeft(hours=hours))


def campaign_opens_at(settings: Settings, pace: Mapping[str, Any], now: datetime) -> datetime:
    """Return when a campaign of this pace may send, `now` if it may already; a rehearsal ignores all hours unless told otherwise."""
    if settings.ignore_hours:
        return now
    return opens_at(now, quiet=settings.quiet_hours, hours=pace.get("hours"), days=pace.get("days") or "all")


@lru_cache(maxsize=1024)
def is_workday(day: date) -> bool:
    """Whether offices work on a day in China."""
    return bool(_china(day.year).is_working_day(day))


@lru_cache(maxsize=8)
def _china(year: int) -> holidays.HolidayBase:
    return holidays.country_holidays("CN", years=year)


@lru_cache(maxsize=64)
def _open_parts(quiet: str, hours: str | None) -> tuple[tuple[int, int], ...]:
    """Return the minutes of a day when sending is allowed, as half-open parts in order."""
    allowed = [_inside(minute, hours, "pace.hours", default=True) and not _inside(minute, quiet, "quiet_hours", default=False) for minute in range(1440)]
    edges = [minute for minute in range(1440) if allowed[minute] and (minute == 0 or not allowed[minute - 1])]
    return tuple((begin, next((minute for minute in range(begin, 1440) if not allowed[minute]), 1440)) for begin in edges)


def _inside(minute: int, window: str | None, key: str, *, default: bool) -> bool:
    if not window:
        return default
    match = _WINDOW.fullmatch(window)
    if match is None:
        raise Misconfigured(key=key, why=NoWindow(window=window))
    begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    return begin <= minute < end if begin <= end else minute >= begin or minute < end


def _at(day: date, minute: int) -> datetime:
    start = datetime.combine(day, time(), OFFICE_ZONE)
    return start + timedelta(minutes=minute)
