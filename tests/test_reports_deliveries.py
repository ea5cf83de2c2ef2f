"""The figures of deliveries add up however they are grouped, and behind each stands a list of just as many."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from outreach.campaigns import statement
from outreach.campaigns.directory import CampaignNotFound
from outreach.database import tables
from outreach.database.engine import Database
from outreach.database.tables import FINAL, OPEN
from outreach.reports import deliveries as messages
from outreach.reports import statements

from conftest import NOON  # isort: skip
from crowd import CAMPAIGNS, TOWNS, Person, Tried, crowd, write  # isort: skip


def _tried(states: Sequence[str]) -> st.SearchStrategy[Tried]:
    return st.builds(Tried, st.sampled_from(states), st.integers(0, 5), st.sampled_from([False, False, False, True]), st.integers(0, 40))


@st.composite
def persons(draw: st.DrawFn) -> Person:
    """Any recipient that the tables allow: at most its last delivery is open."""
    steps = [draw(st.lists(_tried(FINAL), min_size=1, max_size=3)) for _step in range(draw(st.integers(0, 2)))]
    if steps and draw(st.booleans()):
        steps[-1] = [*steps[-1][:-1], draw(_tried(OPEN))]
    return Person(draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(st.integers(1, 3)), steps)


@contextmanager
def undone(database: Database) -> Iterator[Session]:
    """A transaction that leaves nothing behind."""
    with Session(database.engine) as session:
        session.connection()
        yield session
        session.rollback()


PLAIN = """
select c.name as campaign, c.mode, d.step, d.channel, r.town, e.industry, e.scale, e.department, d.state, d.reason, d.error_code as error,
       case when d.state in ('failed', 'undelivered') then d.reason end as kind, s.name as sender, d.doubled, d.claimed_at, d.final_at, d.due_at,
       case when d.rank = (
           select x.rank from delivery x where x.recipient_id = d.recipient_id and x.step = d.step
           order by case when x.state = 'skipped' and x.reason = 'no_address' then 1 else 0 end, x.rank desc limit 1) then 1 else 0 end as last
from delivery d
join campaign c on c.id = d.campaign_id
join recipient r on r.id = d.recipient_id
join enterprise e on e.id = (select min(y.enterprise_id) from recipient_enterprise y where y.recipient_id = r.id)
left join sender s on s.id = d.sender_id
"""


def recount(session: Session, by: Sequence[str], mode: str) -> dict[tuple[Any, ...], Counter[str]]:
    """Count in plain SQL and a loop what the report should say, for each group."""
    found: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    keys = [key for field in by for key in ({"error": ["error", "kind"]}.get(field, [field]))]
    for row in session.execute(text(PLAIN)).mappings():
        if row["mode"] != mode or not (row["last"] or row["doubled"]):
            continue
        moment = next(value for value in (row["claimed_at"], row["final_at"], row["due_at"]) if value is not None)
        moment = moment if isinstance(moment, datetime) else datetime.fromtimestamp(moment / 1e6, UTC)
        own = {**row, "day": (moment.astimezone(UTC) + timedelta(hours=8)).date()}
        figures = found[tuple(own[key] for key in keys)]
        figures["doubled"] += bool(row["doubled"])
        if row["last"]:
            figures["included"] += 1
            figures[row["state"]] += 1
    return found


BYS = st.lists(st.sampled_from(sorted(messages.BY)), max_size=3, unique=True)
ROLLED_BACK = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(people=st.lists(persons(), max_size=8), by=BYS, mode=st.sampled_from(["production", "rehearsal"]))
@ROLLED_BACK
def test_rows_add_up_and_sum_to_the_totals_whatever_they_are_grouped_by(database: Database, people: list[Person], by: list[str], mode: str) -> None:
    with undone(database) as session:
        write(session, people)
        table = messages.deliveries(session, by=by, mode=mode)
        plain = recount(session, by, mode)
    groups = [column.id for column in table.columns if column.id not in messages.FIGURES]
    for row in table.rows:
        assert row["included"] == sum(row[part] for part in messages.PARTS)
    assert {tuple(row[key] for key in groups): {figure: row[figure] for figure in messages.FIGURES if row[figure]} for row in table.rows} == {
        values: dict(+figures) for values, figures in plain.items()
    }
    assert table.totals == {figure: sum(row[figure] for row in table.rows) for figure in messages.FIGURES}


@given(people=st.lists(persons(), max_size=8), campaign=st.sampled_from([name for name, _mode in CAMPAIGNS]))
@ROLLED_BACK
def test_the_figures_of_a_campaign_are_those_of_its_statement(database: Database, people: list[Person], campaign: str) -> None:
    with undone(database) as session:
        write(session, people)
        table = messages.deliveries(session, campaign=campaign, by=("step",))
        document = statement.statement(session, campaign, now=NOON)
        steps = statements.steps_table(document)
        listed = list(statements.enterprises(session, campaign))
        spoken = statements.enterprises_table(document)
    shared = ("step", *messages.FIGURES)
    assert [{key: row[key] for key in shared} for row in steps.rows] == [{key: row[key] for key in shared} for row in table.rows]
    for row in steps.rows:
        assert row["adds_up"]
        assert row["skipped"] == sum(value for key, value in row.items() if key.startswith("skipped_"))
    counted = Counter(row["column"] for row in listed)
    assert {row["column"]: row["enterprises"] for row in spoken.rows if row["enterprises"]} == dict(counted)
    assert spoken.totals == {"enterprises": len(listed)}


@given(people=st.lists(persons(), max_size=6), state=st.sampled_from([None, *messages.SHOWABLE]), size=st.integers(1, 4))
@ROLLED_BACK
def test_behind_each_figure_stand_just_as_many_and_pages_lose_nobody(database: Database, people: list[Person], state: str | None, size: int) -> None:
    with undone(database) as session:
        write(session, people)
        figures = messages.deliveries(session, by=()).totals
        everybody = list(messages.rows(session, state=state))
        page = messages.listing(session, state=state, limit=size)
        paged = [*page.rows]
        while page.next is not None:
            assert len(page.rows) == size
            page = messages.listing(session, state=state, limit=size, after=int(page.next))
            paged += page.rows
    count = sum(figures[part] for part in messages.WAITING) if state == "waiting" else figures[state or "included"]
    assert len(everybody) == page.total == count
    assert paged == everybody
    if state not in (None, "waiting", "doubled"):
        assert {row["state"] for row in everybody} <= {state}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An office with three hundred recipients, of either kind, in which no test leaves anything."""
    make: Callable[[], str] = request.getfixturevalue(f"new_{request.param}")
    database = Database(make())
    with database.write() as session:
        write(session, crowd(300))
    yield database
    database.close()


def test_each_choice_narrows_figures_and_list_alike(office: Database) -> None:
    with office.read() as session:
        everything = messages.deliveries(session, by=("town", "state", "error", "step"))
        for row in everything.rows[::7]:
            which: Any = {"state": row["state"], "step": row["step"], "where": f'镇街 = "{row["town"]}"'}
            if row["error"]:
                which["error"] = row["error"]
            alike = [
                other for other in everything.rows if all(other[key] == row[key] for key in ("state", "step", "town", *(["error"] if row["error"] else [])))
            ]
            assert messages.total(session, **which) == sum(other["included"] for other in alike)
        assert messages.deliveries(session, town="逍林镇", by=("town",)).rows == [
            row for row in messages.deliveries(session, by=("town",)).rows if row["town"] == "逍林镇"
        ]
        with pytest.raises(CampaignNotFound):
            messages.deliveries(session, campaign="none")


def test_a_day_is_the_offices_day_and_the_end_is_out(office: Database) -> None:
    with office.read() as session:
        by_day = {row["day"]: row["included"] for row in messages.deliveries(session, by=("day",)).rows}
        assert set(by_day) == {date(2026, 1, 15), date(2026, 1, 16), date(2026, 1, 17)}
        for day, count in by_day.items():
            start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=8)
            assert messages.total(session, start=start, end=start + timedelta(days=1)) == count > 0
            moments = [row["time"] for row in messages.rows(session, start=start, end=start + timedelta(days=1))]
            assert start <= min(moments) <= max(moments) < start + timedelta(days=1)


def test_rehearsal_and_production_are_never_in_one_figure(office: Database) -> None:
    with office.read() as session:
        names = {mode: {row["campaign"] for row in messages.deliveries(session, mode=mode).rows} for mode in ("production", "rehearsal")}
        assert names == {"production": {"惠民-2026", "second"}, "rehearsal": {"trial"}}
        assert messages.deliveries(session, campaign="trial").totals == messages.deliveries(session, mode="rehearsal").totals
        assert messages.deliveries(session).totals == messages.deliveries(session, mode="production").totals


def test_groups_come_in_order_the_same_on_both_databases(office: Database) -> None:
    with office.read() as session:
        by_state = [row["state"] for row in messages.deliveries(session, by=("state",)).rows]
        by_town = [row["town"] for row in messages.deliveries(session, by=("town",)).rows]
    assert by_state == list(tables.DELIVERY_STATES)
    assert by_town == [*sorted(filter(None, TOWNS)), ""]


def test_a_listed_recipient_shows_whom_it_speaks_for_and_hides_the_phone(office: Database) -> None:
    with office.read() as session:
        masked = list(messages.rows(session, by=("industry", "day")))
        whole = list(messages.rows(session, by=("industry", "day"), unmask=True))
    assert set(masked[0]) == {"id", *(column.id for column in messages.columns(("industry", "day")))}
    several = [row for row in masked if row["others"]]
    assert several
    assert len(several[0]["others"].split("、")) in (1, 2)
    for row, plain in zip(masked, whole, strict=True):
        assert {**row, "phone": ""} == {**plain, "phone": ""}
        assert row["phone"] == (f"138****{plain['phone'][-4:]}" if plain["phone"] else "")
    assert not any("SECRET" in str(row) for row in whole)
    assert all(row["phone"].startswith("+86138") or row["reason"] == "no_address" for row in whole)


def test_an_erased_contact_is_not_named(office: Database) -> None:
    with undone(office) as session:
        session.execute(text("update contact set erased_at = updated_at"))
        rows = list(messages.rows(session, unmask=True))
    assert {(row["contact"], row["phone"]) for row in rows} == {("", "")}
    assert all(row["enterprise"] for row in rows)
