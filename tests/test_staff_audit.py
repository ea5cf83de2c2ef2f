"""The audit log keeps every act, newest first."""

from datetime import datetime, timedelta

import pytest

from outreach.database.engine import Database
from outreach.staff import audit


def test_acts_are_listed_newest_first_and_page_by_page(database: Database, now: datetime) -> None:
    with database.write() as session:
        for number in range(5):
            act = "campaign.plan" if number % 2 else "campaign.approve"
            audit.record(session, actor="os:王", act=act, subject=f"任务{number}", detail={"号": number}, now=now + timedelta(seconds=number))
    with database.read() as session:
        first = audit.listing(session, limit=2)
        rest = audit.listing(session, before=first[-1].id)
        assert [entry.detail for entry in (*first, *rest)] == [{"号": number} for number in (4, 3, 2, 1, 0)]
        assert [entry.subject for entry in audit.listing(session, act="campaign.plan")] == ["任务3", "任务1"]
        only = audit.listing(session, subject="任务2")
    assert [(entry.at, entry.actor, entry.act) for entry in only] == [(now + timedelta(seconds=2), "os:王", "campaign.approve")]


def test_an_act_that_was_undone_leaves_no_entry(database: Database, now: datetime) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as session:
        audit.record(session, actor="alice", act="campaign.launch", now=now)
        raise ZeroDivisionError
    with database.read() as session:
        assert audit.listing(session) == []
