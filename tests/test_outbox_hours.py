"""When people may be written to: the laws of quiet hours and office hours, and the days on which China really works."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outreach.clock import OFFICE_ZONE
from outreach.errors import Misconfigured
from outreach.outbox import hours

MINUTES = st.integers(0, 1439)
WINDOWS = st.tuples(MINUTES, MINUTES)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2029, 12, 1), timezones=st.just(UTC))
DAYS = st.sampled_from(["workdays", "all"])


def written(window: tuple[int, int] | None) -> str:
    return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in window) if window else ""


def inside(minute: int, window: tuple[int, int]) -> bool:
    begin, end = window
    return begin <= minute < end if begin <= end else minute >= begin or minute < end


def allowed(moment: datetime, quiet: tuple[int, int] | None, office: tuple[int, int] | None, days: str) -> bool:
    """Say it a second time, without any search: may one write at this very moment?"""
    local = moment.astimezone(OFFICE_ZONE)
    minute = local.hour * 60 + local.minute
    if days == "workdays" and not hours.is_workday(local.date()):
        return False
    return not (quiet and inside(minute, quiet)) and (office is None or inside(minute, office))


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=OFFICE_ZONE).astimezone(UTC)


@given(MOMENTS, st.none() | WINDOWS, st.none() | WINDOWS, DAYS, st.lists(st.floats(0, 1), max_size=30))
@settings(max_examples=150, deadline=None)
def test_the_door_opens_at_the_first_moment_that_is_allowed_and_not_before(
    moment: datetime, quiet: tuple[int, int] | None, office: tuple[int, int] | None, days: str, shares: list[float]
) -> None:
    assume(any(not (quiet and inside(minute, quiet)) and (office is None or inside(minute, office)) for minute in range(1440)))
    opens = hours.opens_at(moment, quiet=written(quiet), hours=written(office) or None, days=days)
    assert opens >= moment
    assert opens.utcoffset() == timedelta(0)
    assert allowed(opens, quiet, office, days)
    assert hours.opens_at(opens, quiet=written(quiet), hours=written(office) or None, days=days) == opens
    before = [moment + (opens - moment) * share for share in shares] + [opens - timedelta(minutes=1), opens - timedelta(microseconds=1)]
    assert not [early for early in before if moment <= early < opens and allowed(early, quiet, office, days)]


@pytest.mark.parametrize(
    ("asked", "opens"),
    [
        ("2026-01-15T20:59:59", "2026-01-15T20:59:59"),
        ("2026-01-15T21:00:00", "2026-01-16T08:00:00"),
        ("2026-01-16T07:59:59", "2026-01-16T08:00:00"),
        ("2026-01-16T08:00:00", "2026-01-16T08:00:00"),
    ],
)
def test_nobody_is_written_to_at_night(asked: str, opens: str) -> None:
    assert hours.opens_at(shanghai(asked), quiet="21:00-08:00", hours=None, days="all") == shanghai(opens)


@pytest.mark.parametrize(
    ("asked", "opens"),
    [
        ("2026-01-15T08:30:00", "2026-01-15T09:00:00"),
        ("2026-01-15T17:30:00", "2026-01-16T09:00:00"),
        ("2026-01-16T18:00:00", "2026-01-19T09:00:00"),  # over a plain weekend
        ("2026-02-13T18:00:00", "2026-02-14T09:00:00"),  # the Saturday before the Spring Festival is a make-up workday
        ("2026-02-14T18:00:00", "2026-02-24T09:00:00"),  # and then the nine days of the festival
    ],
)
def test_office_hours_know_holidays_and_make_up_workdays(asked: str, opens: str) -> None:
    assert hours.opens_at(shanghai(asked), quiet="21:00-08:00", hours="09:00-17:30", days="workdays") == shanghai(opens)


@pytest.mark.parametrize(
    ("day", "works"),
    [
        # 国办发明电〔2024〕12号 and 〔2025〕7号, and a day off that belongs to the year after it
        ("2025-01-26", True),
        ("2025-01-28", False),
        ("2025-10-11", True),
        ("2026-01-04", True),
        ("2026-02-16", False),
        ("2026-10-10", True),
        ("2018-12-29", True),
        ("2018-12-31", False),
        # years that nobody has announced: the statutory days, else Monday to Friday
        ("2028-10-02", False),
        ("2029-03-14", True),
        ("2029-03-17", False),
    ],
)
def test_workdays_are_those_that_the_state_council_announced(day: str, works: bool) -> None:
    assert hours.is_workday(date.fromisoformat(day)) is works


def test_without_windows_every_moment_is_good(now: datetime) -> None:
    for hour in range(24):
        assert hours.opens_at(now + timedelta(hours=hour), quiet="", hours=None, days="all") == now + timedelta(hours=hour)


@pytest.mark.parametrize("window", ["9-17", "09:00", "09:00-24:00", "25:00-08:00", "09:60-10:00", "09:00—17:30", " 09:00-17:30", "９:00-17:30"])
def test_a_window_that_is_none_is_refused_with_its_key(now: datetime, window: str) -> None:
    with pytest.raises(Misconfigured, match=r"The setting quiet_hours is wrong"):
        hours.opens_at(now, quiet=window, hours=None, days="all")
    with pytest.raises(Misconfigured, match=r"The setting pace\.hours is wrong"):
        hours.opens_at(now, quiet="", hours=window, days="all")


@pytest.mark.parametrize(("quiet", "office"), [("21:00-08:00", "22:00-07:00"), ("", "09:00-09:00"), ("00:00-12:00", "08:00-12:00")])
def test_windows_that_leave_no_minute_are_refused(now: datetime, quiet: str, office: str) -> None:
    with pytest.raises(Misconfigured, match="leaves no time"):
        hours.opens_at(now, quiet=quiet, hours=office, days="all")
