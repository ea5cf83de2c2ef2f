"""The figures of deliveries add up however they are grouped, and behind each stands a list of just as many."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from outreach.campaigns import statement
from outreach.campaigns.directory import CampaignNotFound
from outreach.database import bulk, tables
from outreach.database.engine import Database
from outreach.database.tables import (
    FINAL,
    OPEN,
    Address,
    Campaign,
    CampaignStep,
    Contact,
    Delivery,
    Enterprise,
    MessageText,
    Recipient,
    RecipientContact,
    RecipientEnterprise,
    Sender,
)
from outreach.reports import deliveries as messages
from outreach.reports import statements

from conftest import NOON  # isort: skip

TOWNS = ("逍林镇", "桥头镇", "")
CAMPAIGNS = (("惠民-2026", "production"), ("second", "production"), ("trial", "rehearsal"))
REASONS: dict[str, Sequence[str | None]] = {
    "skipped": ("suppressed", "no_address", "cancelled"),
    "failed": ("address", "temporary", "content"),
    "undelivered": ("temporary", None),
    "unknown": ("lease_over", "http 503"),
}
CODES: dict[str, Sequence[str | None]] = {"failed": ("21211", "21614"), "undelivered": ("30005", "30008", None), "queued": (None, None, "20003")}


@dataclass(frozen=True)
class Tried:
    """One delivery: how it stands, which of the reasons and codes for that it has, and when it left."""

    state: str
    pick: int = 0
    doubled: bool = False
    hours: int = 0


@dataclass(frozen=True)
class Person:
    """A recipient: its campaign and town by number, for how many enterprises it speaks, and its deliveries by step and rank."""

    campaign: int
    town: int
    enterprises: int
    steps: Sequence[Sequence[Tried]]


def write(session: Session, people: Sequence[Person]) -> None:
    """Write a small office: its campaigns, these recipients with enterprises and contacts, and their deliveries."""
    kept: dict[type[Any], list[dict[str, Any]]] = defaultdict(list)
    moments = {"created_at": NOON, "updated_at": NOON}
    kept[MessageText].append({"id": 1, "digest": "d", "name": "sms/pledge-invitation", "source": "…", "signature": "示例人社"})
    kept[Sender] += [{"id": key, "name": name, "channel": "sms", "provider": "twilio"} for key, name in ((1, "sms"), (2, "other"))]
    plan = {"title": "t", "definition": {}, "fields": {}, "inputs": {}, "summary": {}, "digest": "", "planned_by": "alice", "planned_at": NOON}
    for key, (name, mode) in enumerate(CAMPAIGNS, 1):
        kept[Campaign].append({"id": key, "name": name, "state": "running", "mode": mode, **plan})
        step = {"campaign_id": key, "channel": "sms", "template": "t", "condition": "always", "after_seconds": 0, "text_id": 1, "sender": None}
        kept[CampaignStep] += [step | {"number": number} for number in (1, 2)]
    for key, person in enumerate(people, 1):
        own = [len(kept[Enterprise]) + place for place in range(1, person.enterprises + 1)]
        for number in own:
            kept[Enterprise].append(
                {
                    "id": number,
                    "credit_code": f"code{number}" if number % 3 else None,
                    "name": f"示例企业{number}",
                    "town": TOWNS[person.town],
                    "industry": ("制造", "建筑", "")[number % 3],
                    "scale": ("规上", "规下")[number % 2],
                    "department": ("经信", "住建")[number % 2],
                    **moments,
                }
            )
        names = [f"示例企业{number}" for number in own]
        fields = {"enterprise": names[0], "enterprises": names, "code": "SECRET"}
        kept[Recipient].append(
            {"id": key, "campaign_id": person.campaign + 1, "exclusion": None, "code": f"c{key}", "town": TOWNS[person.town], "fields": fields}
        )
        kept[RecipientEnterprise] += [{"recipient_id": key, "enterprise_id": number, "campaign_id": person.campaign + 1} for number in own]
        for rank in range(max((len(tried) for tried in person.steps), default=0)):
            contact = len(kept[Contact]) + 1
            phone = f"+86138{contact:08}"
            kept[Contact].append({"id": contact, "enterprise_id": own[0], "name": f"张{contact}", "phone": phone, "rank": rank, **moments})
            kept[Address].append({"id": contact, "channel": "sms", "value": phone})
            kept[RecipientContact].append({"recipient_id": key, "rank": rank, "contact_id": contact, "revision": 1, "name": f"张{contact}", "phone": phone})
        first = len(kept[Contact]) - max((len(tried) for tried in person.steps), default=0) + 1
        for step_number, tried in enumerate(person.steps, 1):
            kept[Delivery] += [_delivery(len(kept[Delivery]) + rank + 1, key, person, step_number, rank, one, first) for rank, one in enumerate(tried)]
    for table, rows in kept.items():
        bulk.insert_rows(session, table, rows)


def _delivery(key: int, recipient: int, person: Person, step: int, rank: int, tried: Tried, first_contact: int) -> dict[str, Any]:
    reasons, codes = REASONS.get(tried.state, (None,)), CODES.get(tried.state, (None,))
    at = NOON + timedelta(hours=tried.hours)
    left = tried.state not in ("queued", "skipped")
    lost = tried.state == "skipped" and reasons[tried.pick % len(reasons)] == "no_address"
    return {
        "id": key,
        "campaign_id": person.campaign + 1,
        "recipient_id": recipient,
        "purpose": None,
        "step": step,
        "occurrence": 1,
        "rank": rank,
        "channel": "sms",
        "sender_id": None if lost else 1 + tried.pick % 2,
        "address_id": None if lost else first_contact + rank,
        "contact_id": first_contact + rank,
        "contact_revision": 1,
        "text_id": 1,
        "state": tried.state,
        "reason": reasons[tried.pick % len(reasons)],
        "error_code": codes[tried.pick % len(codes)],
        "attempt": int(left),
        "segments": 1,
        "due_at": NOON if left else at,
        "claimed_at": at if left else None,
        "final_at": at + timedelta(minutes=1) if tried.state in FINAL else None,
        "reference": f"SM{key}" if left else None,
        "doubled": tried.doubled and left,
    }


def _tried(states: Sequence[str]) -> st.SearchStrategy[Tried]:
    return st.builds(Tried, st.sampled_from(states), st.integers(0, 5), st.sampled_from([False, False, False, True]), st.integers(0, 40))


@st.composite
def persons(draw: st.DrawFn) -> Person:
    """Any recipient that the tables allow: at most its last delivery is open."""
    steps = [draw(st.lists(_tried(FINAL), min_size=1, max_size=3)) for _step in range(draw(st.integers(0, 2)))]
    if steps and draw(st.booleans()):
        steps[-1] = [*steps[-1][:-1], draw(_tried(OPEN))]
    return Person(draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(st.integers(1, 3)), steps)


def crowd(size: int, seed: int = 7) -> list[Person]:
    """The same few hundred recipients each time, in all states."""
    chance = Random(seed)

    def tried(states: Sequence[str]) -> Tried:
        return Tried(chance.choice(states), chance.randrange(6), chance.random() < 0.1, chance.randrange(40))

    people = []
    for _one in range(size):
        steps = [[tried(FINAL) for _rank in range(chance.randint(1, 3))] for _step in range(chance.randint(1, 2))]
        if chance.random() < 0.4:
            steps[-1][-1] = tried(OPEN)
        people.append(Person(chance.randrange(3), chance.randrange(3), chance.randint(1, 3), steps))
    return people


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
       case when d.rank = (select max(x.rank) from delivery x where x.recipient_id = d.recipient_id and x.step = d.step) then 1 else 0 end as last
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


@given(people=st.lists(persons(), max_size=6), mode=st.sampled_from(["production", "rehearsal"]), size=st.integers(1, 4))
@ROLLED_BACK
def test_behind_each_figure_stand_just_as_many_and_pages_lose_nobody(database: Database, people: list[Person], mode: str, size: int) -> None:
    with undone(database) as session:
        write(session, people)
        figures = messages.deliveries(session, mode=mode, by=()).totals
        for state in (None, *messages.SHOWABLE):
            everybody = list(messages.rows(session, mode=mode, state=state))
            count = sum(figures[part] for part in messages.WAITING) if state == "waiting" else figures[state or "included"]
            assert len(everybody) == messages.total(session, mode=mode, state=state) == count
            paged: list[Any] = []
            page = messages.listing(session, mode=mode, state=state, limit=size)
            paged += page.rows
            while page.next is not None:
                assert len(page.rows) == size
                page = messages.listing(session, mode=mode, state=state, limit=size, after=int(page.next))
                paged += page.rows
            assert paged == everybody
            assert page.total == count


@pytest.fixture
def office(database: Database) -> Database:
    """An office with three hundred recipients, and one whose contact was erased."""
    with database.write() as session:
        write(session, crowd(300))
        session.execute(text("update contact set erased_at = updated_at where id = 1"))
    return database


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
        erased = list(messages.rows(session, mode=CAMPAIGNS[crowd(1)[0].campaign][1]))[0]
    assert set(masked[0]) == {"id", *(column.id for column in messages.columns(("industry", "day")))}
    several = [row for row in masked if row["others"]]
    assert several
    assert len(several[0]["others"].split("、")) in (1, 2)
    for row, plain in zip(masked, whole, strict=True):
        assert {**row, "phone": ""} == {**plain, "phone": ""}
        assert row["phone"] == (f"138****{plain['phone'][-4:]}" if plain["phone"] else "")
    assert not any("SECRET" in str(row) for row in whole)
    assert all(row["phone"].startswith("+86138") or row["reason"] == "no_address" or not row["contact"] for row in whole)
    assert erased["id"] == 1 or erased["contact"]


def test_an_erased_contact_is_not_named(office: Database) -> None:
    with office.write() as session:
        session.execute(text("update contact set erased_at = updated_at"))
    with office.read() as session:
        rows = list(messages.rows(session, unmask=True))
    assert {(row["contact"], row["phone"]) for row in rows} == {("", "")}
    assert all(row["enterprise"] for row in rows)
