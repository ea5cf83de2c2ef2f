"""How much may go: over any window never more than the burst and the rate allow, and the slowest sender can still send the longest text."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from outreach.clock import OFFICE_ZONE
from outreach.outbox import limits
from outreach.outbox.limits import LONGEST, SECOND, Valve

BEGIN = datetime(2026, 1, 15, 4, 0, tzinfo=UTC)
rates = st.floats(min_value=0.001, max_value=5000, allow_nan=False)
asks = st.lists(st.tuples(st.integers(0, 20 * SECOND), st.integers(1, 300)), min_size=1, max_size=30)
"""Pauses in microseconds, and how many segments are wanted after each."""


def granted(valve: Valve, wanted: list[tuple[int, int]]) -> list[tuple[datetime, int]]:
    """Return when how many segments went, taking as many as there is room for each time."""
    now, given_out = BEGIN, []
    for pause, segments in wanted:
        now += timedelta(microseconds=pause)
        room = valve.room(now)
        assert room is not None
        if going := min(room, segments):
            valve = valve.take(going, now)
            given_out.append((now, going))
    return given_out


@given(rates, asks)
def test_no_window_holds_more_than_burst_and_rate(rate: float, wanted: list[tuple[int, int]]) -> None:
    step = limits.step_us(rate)
    burst = limits.burst_us(step)
    gone = granted(Valve(step, burst), wanted)
    for first in range(len(gone)):
        for last in range(first, len(gone)):
            window = (gone[last][0] - gone[first][0]) // timedelta(microseconds=1)
            assert sum(segments for _at, segments in gone[first : last + 1]) * step <= burst + window


@given(rates)
def test_a_patient_sender_gets_its_whole_rate(rate: float) -> None:
    """The law above would hold for a valve that never opens."""
    step = limits.step_us(rate)
    valve, now, gone = Valve(step, limits.burst_us(step)), BEGIN, 0
    for _ in range(50):
        now += timedelta(microseconds=step)
        room = valve.room(now) or 0
        valve, gone = valve.take(min(room, 1), now), gone + min(room, 1)
    assert gone == 50


@given(rates, st.integers(0, 50))
def test_the_slowest_sender_can_still_send_the_longest_text(rate: float, taken: int) -> None:
    step = limits.step_us(rate)
    burst = limits.burst_us(step)
    assert burst >= SECOND
    valve = Valve(step, burst)
    room = valve.room(BEGIN) or 0
    assert room >= LONGEST
    exhausted = valve.take(min(room, taken), BEGIN)
    assert (exhausted.room(BEGIN + timedelta(microseconds=burst)) or 0) >= LONGEST


@given(rates, st.integers(0, 5000))
def test_after_the_wait_there_is_room(rate: float, taken: int) -> None:
    step = limits.step_us(rate)
    valve = Valve(step, limits.burst_us(step))
    valve = valve.take(min(taken, valve.room(BEGIN) or 0), BEGIN)
    later = BEGIN + valve.wait(BEGIN)
    assert (valve.room(later) or 0) >= 1
    assert valve.wait(later) == timedelta(0)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC)), st.integers(1, 100), st.integers(0, 100))
def test_the_daily_quota_begins_anew_at_midnight_in_shanghai(now: datetime, quota: int, taken: int) -> None:
    valve = Valve(0, SECOND, day_limit=quota).take(taken, now)
    assert valve.room(now) == max(0, quota - taken)
    midnight = (now.astimezone(OFFICE_ZONE) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert valve.room(midnight - timedelta(microseconds=1)) == max(0, quota - taken)
    assert valve.room(midnight) == quota


@given(st.lists(st.integers(0, 9), max_size=20))
def test_a_day_never_holds_more_than_its_quota(wanted: list[int]) -> None:
    valve, gone = Valve(0, SECOND, day_limit=25), 0
    for segments in wanted:
        going = min(segments, valve.room(BEGIN) or 0)
        valve, gone = valve.take(going, BEGIN), gone + going
    assert gone == min(25, sum(wanted))


def test_without_a_limit_there_is_room_for_all() -> None:
    valve = Valve(0, SECOND).take(1_000_000, BEGIN)
    assert valve.room(BEGIN) is None
    assert valve.wait(BEGIN) == timedelta(0)


def test_a_full_quota_is_asked_about_once_a_minute() -> None:
    assert Valve(0, SECOND, day_limit=5).take(5, BEGIN).wait(BEGIN) == timedelta(minutes=1)
