"""What a plan says of its days: a deadline lasts until its end, and nothing starts after it."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from outreach import clock
from outreach.campaigns import definition, planning
from outreach.campaigns.drafts import StartTooLate
from outreach.database.engine import Database

from drive import SHORT, Office, office  # isort: skip


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    made = office(database, tmp_path)
    made.enterprises(2)
    return made


def plan(desk: Office, *, now: datetime, **keys: Any) -> list[str]:
    """Plan a campaign and return its warnings that are not about its template."""
    values = {"name": "drive", "title": "年度无欠薪宣传", "audience": "全部", "step": [{"channel": "sms", "template": SHORT}], **keys}
    with desk.database.write() as session:
        planned = planning.plan(session, definition.parse(values, path="drive.toml"), settings=desk.settings, path=None, planned_by="alice", now=now)
        warnings: list[str] = planned.summary["warnings"]
    return [warning for warning in warnings if SHORT not in warning]


def noon(day: int) -> datetime:
    return datetime(2026, 1, day, 12, tzinfo=clock.OFFICE_ZONE)


def test_a_plan_warns_of_a_deadline_that_is_past_and_a_day_is_not_past_before_its_end(desk: Office) -> None:
    day, moment = "2026-01-15", "2026-01-15T09:00:00+08:00"
    assert plan(desk, now=noon(15), deadline=day) == plan(desk, now=noon(14), deadline=moment) == plan(desk, now=noon(16)) == []
    late = plan(desk, now=noon(16), deadline=day)
    assert [warning for warning in late if "2026年1月15日" in warning] == late != []
    assert plan(desk, now=noon(15), deadline=moment) == late


def test_a_campaign_that_starts_after_its_deadline_is_refused(desk: Office) -> None:
    assert plan(desk, now=noon(1), start="2026-01-15T18:00:00+08:00", deadline="2026-01-15") == []
    for start in (noon(16), noon(15) + timedelta(hours=12)):
        with pytest.raises(StartTooLate, match=r"2026年1月16日, after its deadline 2026年1月15日"):
            plan(desk, now=noon(1), start=start, deadline="2026-01-15")
