"""A step that comes again: how often at most, what is refused when it is planned, and what the plan says of it."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from outreach import clock, settings
from outreach.campaigns import definition, planning, recurrence
from outreach.campaigns.definition import Definition
from outreach.cli.wording import funnel_lines, plan_lines, statement_lines
from outreach.database.engine import Database
from outreach.errors import OutreachError
from outreach.i18n import say, use

from drive import SHORT, office  # isort: skip

NEW_YEAR = datetime(2026, 1, 1, tzinfo=clock.OFFICE_ZONE)
DAY = timedelta(days=1)


def drive(*steps: dict[str, Any], **keys: Any) -> Definition:
    values = {"name": "drive", "title": "t", "audience": "全部", "step": [{"channel": "sms", "template": SHORT, **step} for step in steps], **keys}
    return definition.parse(values, path="drive.toml")


@pytest.mark.parametrize(
    ("keys", "most"),
    [
        ({"until": "2026-01-15"}, 3),  # 1, 8 and 15 January: the last day counts until its end
        ({"until": "2026-01-14"}, 2),
        ({"until": "2026-01-15T09:00:00+08:00"}, 3),
        ({"after": "1d", "until": "2026-01-15"}, 2),
        ({"until": "2026-01-01T00:00:01+08:00"}, 1),
        ({"until": "2025-12-31"}, 0),
    ],
)
def test_a_step_comes_as_often_as_fits_until_its_last_day(keys: dict[str, Any], most: int) -> None:
    for planned in (drive({"every": "7d", **keys}), drive({}, {"every": "7d", **keys})):
        assert recurrence.most(planned, len(planned.steps), now=NEW_YEAR) == most


def test_without_a_last_day_of_its_own_it_comes_again_until_the_deadline_and_not_before_the_start() -> None:
    assert recurrence.most(drive({"every": "7d"}, deadline="2026-01-15"), 1, now=NEW_YEAR) == 3
    assert recurrence.most(drive({"every": "7d"}, deadline="2026-01-15", start="2026-01-10"), 1, now=NEW_YEAR) == 1
    assert recurrence.most(drive({}, {"after": "3d"}), 2, now=NEW_YEAR) == 1


@pytest.mark.parametrize(
    ("planned", "said"),
    [
        (drive({"every": "7d", "until": "2026-02-01"}, {}), "Step 1 comes again (every), so what follows it would never be due"),
        (drive({}, {"every": "7d"}), "Step 2 comes again and again; give it an end such as until = 2026-12-31"),
        (drive({"until": "2026-02-01"}), "Step 1 says until when but not how often"),
        (drive({"every": "0s", "until": "2026-02-01"}), "Step 1 would come again every 0s; it must be 1s at least"),
        (
            drive({}, {"every": "7d", "after": "3d", "until": "2026-01-03"}),
            r"Step 2 would be due on 2026-01-04 00:00 at the earliest, when it is over already (2026-01-04 00:00)",
        ),
    ],
)
def test_a_step_that_would_come_again_for_ever_never_too_often_or_before_others_is_refused(tmp_path: Path, planned: Definition, said: str) -> None:
    with pytest.raises(OutreachError) as caught:
        recurrence.require_sound(planned, settings.load(tmp_path), now=NEW_YEAR)
    use("en")
    assert say(caught.value).startswith(said)


def test_in_production_nothing_comes_again_within_the_hour(tmp_path: Path) -> None:
    planned = drive({"every": "59m", "until": "2026-02-01"})
    recurrence.require_sound(planned, settings.load(tmp_path), now=NEW_YEAR)
    with pytest.raises(recurrence.TooOften):
        recurrence.require_sound(planned, settings.load(tmp_path).model_copy(update={"mode": "production"}), now=NEW_YEAR)


def test_a_plan_says_when_it_starts_how_often_a_step_comes_and_what_all_of_it_costs(database: Database, tmp_path: Path) -> None:
    desk = office(database, tmp_path)
    desk.enterprises(2)
    now = clock.now()
    planned = drive({}, {"every": "7d", "after": "7d", "until": (now + 30 * DAY).isoformat()}, start=(now + 2 * DAY).isoformat())
    with database.write() as session:
        summary = planning.plan(session, planned, settings=desk.settings, path=None, planned_by="alice", now=now).summary
    once, again = summary["steps"]
    assert summary["start"] == clock.wire(now + 2 * DAY)
    assert (once["every"], once["until"], once["occurrences"]) == (None, None, 1)
    assert (again["every"], again["until"], again["occurrences"], again["messages"]) == ("604800s", clock.wire(now + 30 * DAY), 3, 2)
    assert (again["segments"], again["cost"]) == (6, "0.30")
    use("en")
    lines = plan_lines(summary)
    assert [line for line in lines if line.startswith("Starts ")] != []
    assert [line for line in lines if line.startswith("    again every 7 d until ") and line.endswith("at most 3 times, in segments and cost")] != []


def test_a_condition_that_is_not_there_yet_is_refused(database: Database, tmp_path: Path) -> None:
    desk = office(database, tmp_path)
    desk.enterprises(1)
    with database.write() as session, pytest.raises(planning.ConditionNotBuilt, match="attended"):
        planned = drive({}, {"channel": "letter", "template": "letter/open-letter", "when": "attended"})
        planning.plan(session, planned, settings=desk.settings, path=None, planned_by="alice", now=clock.now())


def test_occurrences_are_told_apart_and_the_columns_stand_in_chinese_too() -> None:
    row = {"included": 1234, "sent": 1200, "delivered": 1100, "opened": 7, "signed": 5}
    rows = [{"step": 1, "occurrence": 1, **row}, {"step": 2, "occurrence": 1, **row}, {"step": 2, "occurrence": 3, **row}]
    use("zh")
    heading, *lines = funnel_lines(rows)
    assert [heading.split(), lines[2].split()] == [
        ["步骤", "纳入", "→", "已发", "→", "送达", "→", "已打开", "→", "已签署"],
        ["2（第", "3", "次）", "1,234", "1,200", "1,100", "7", "5"],
    ]
    assert len({cell_len(line) for line in (heading, *lines)}) == 1
    state = dict.fromkeys(("delivered", "silent", "failed", "undelivered", "unknown", "review", "doubled"), 0)
    step = {"channel": "sms", "included": 0, **state, "waiting": {"queued": 0, "sending": 0, "accepted": 0}, "skipped": {}, "adds_up": True}
    columns = dict.fromkeys(("selected", "signed", "declined", "withdrawn", "reached", "waiting", "unknown", "not_reached"), 0)
    document = {"steps": [{**step, "step": 2, "occurrence": 2}], "enterprises": {**columns, "excluded": {}, "adds_up": True}}
    assert statement_lines(document)[0].startswith("步骤 2（第 2 次） 短信")
