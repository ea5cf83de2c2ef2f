"""Who can be reached by what adds up, whatever it is grouped by, and behind each figure stands a list of as many."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from outreach.campaigns.directory import CampaignNotFound
from outreach.contacts import postal
from outreach.database import bulk
from outreach.database.engine import Database
from outreach.database.tables import Address, Contact, Enterprise
from outreach.database.wechat_tables import Binding, Follower
from outreach.errors import UsageError
from outreach.reports import reach

from conftest import NOON  # isort: skip
from crowd import crowd, write  # isort: skip

MOMENTS = {"created_at": NOON, "updated_at": NOON}
ENDED = {"ended_at": NOON, "ended_reason": "unsubscribed"}
PREFIXES = ("+86",)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An office in which every way of being reached, and of not being reached, comes with every other."""
    make: Callable[[], str] = request.getfixturevalue(f"new_{request.param}")
    database = Database(make())
    with database.write() as session:
        write(session, crowd(20))
        _write_people(session)
    yield database
    database.close()


def _write_people(session: Any) -> None:
    chance = Random(11)
    first = 1000
    enterprises, contacts, addresses, followers, bindings = [], [], {}, [], []
    for number in range(first, first + 260):
        closed = NOON if chance.random() < 0.1 else None
        address = chance.choice(["", "示例路1号"])
        enterprises.append(
            {"id": number, "name": f"示例厂{number}", "town": chance.choice(["逍林镇", "桥头镇", ""]), "address": address, "closed_at": closed} | MOMENTS
        )
        if address and chance.random() < 0.2:
            addresses["letter", postal.written(address, f"示例厂{number}")] = NOON
        for rank in range(chance.randrange(4)):
            key = number * 10 + rank
            phone = chance.choice(["", f"+86139{key:08}", f"+86137{number % 40:08}", f"+1415{key:07}"])
            erased = NOON if chance.random() < 0.1 else None
            contacts.append({"id": key, "enterprise_id": number, "name": f"李{key}", "phone": phone, "rank": rank, "erased_at": erased} | MOMENTS)
            if phone:
                addresses["sms", phone] = NOON if chance.random() < 0.2 else None
            openid = chance.choice([f"o{key}", f"o{number % 30}"])
            if chance.random() < 0.7:
                confirmed = phone if chance.random() < 0.8 else "+8613000000000"
                ended = ENDED if chance.random() < 0.2 else dict.fromkeys(ENDED)
                bindings.append({"openid": openid, "contact_id": key, "phone": confirmed, "way": "conversation", "bound_at": NOON} | ended)
                addresses["wechat", openid] = NOON if chance.random() < 0.2 else None
                followers.append(openid)
    follow = [{"openid": openid, "follows": chance.random() < 0.8} for openid in dict.fromkeys(followers)]
    said = [{"suppressed_reason": "opted_out", "suppressed_source": "staff"}, {"suppressed_reason": "address", "suppressed_source": "43004"}]
    written = [
        {"id": key, "channel": channel, "value": value, "suppressed_at": at} | (said[key % 2] if at else dict.fromkeys(said[0]))
        for key, ((channel, value), at) in enumerate(addresses.items(), 10_000)
    ]
    for table, rows in ((Enterprise, enterprises), (Contact, contacts), (Address, written), (Follower, follow), (Binding, bindings)):
        bulk.insert_rows(session, table, rows)


def _facts(session: Any) -> dict[int, tuple[str, frozenset[str]]]:
    """Say with plain SQL and a loop by what each enterprise can be reached."""
    refused = {tuple(row) for row in session.execute(text("select channel, value from address where suppressed_at is not null"))}
    said_no = {tuple(row) for row in session.execute(text("select channel, value from address where suppressed_source = 'staff'"))}
    following = set(session.scalars(text("select openid from follower where follows")))
    held: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for row in session.execute(text("select contact_id, openid, phone from binding where ended_at is null")):
        held[row.contact_id].append((row.openid, row.phone))
    ways: dict[int, set[str]] = defaultdict(set)
    for row in session.execute(text("select id, enterprise_id, phone from contact where erased_at is null")):
        mine = {openid for openid, phone in held[row.id] if phone == row.phone}
        no_in_wechat = any(("wechat", openid) in said_no for openid in mine)
        if row.phone.startswith("+86") and ("sms", row.phone) not in refused and not no_in_wechat:
            ways[row.enterprise_id].add("sms")
        for openid in mine:
            if openid in following and ("wechat", openid) not in refused and ("sms", row.phone) not in said_no:
                ways[row.enterprise_id].add("wechat")
    found = {}
    for row in session.execute(text("select id, name, town, address, closed_at from enterprise")):
        came_back = ("letter", f"{row.address}\n{row.name}") in refused
        reached = ways[row.id] | ({"letter"} if row.address and not came_back else set())
        found[row.id] = (row.town, frozenset() if row.closed_at else frozenset(reached))
    return found


def _first(reached: frozenset[str]) -> str:
    return next((channel for channel in reach.CHANNELS if channel in reached), "none")


@pytest.mark.parametrize("by", [(), ("town",), ("first",), ("town", "first")])
def test_the_figures_are_those_of_plain_sql_and_sum_to_the_totals(office: Database, by: Sequence[str]) -> None:
    with office.read() as session:
        table = reach.reach(session, by=by, prefixes=PREFIXES)
        facts = _facts(session)
    plain: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(reach.FIGURES, 0))
    for town, reached in facts.values():
        own = {"town": town, "first": _first(reached)}
        figures = plain[tuple(own[key] for key in by)]
        for figure in ("enterprises", *(reached or ("none",))):
            figures[figure] += 1
    assert {tuple(row[key] for key in by): {figure: row[figure] for figure in reach.FIGURES} for row in table.rows} == dict(plain)
    assert table.totals == {figure: sum(row[figure] for row in table.rows) for figure in reach.FIGURES}
    assert all(table.totals.values())
    assert len({reached for _town, reached in facts.values()}) == 8, "each mixture of channels should come"


@pytest.mark.parametrize("way", [None, *reach.WAYS])
def test_behind_each_figure_stand_just_as_many_and_pages_lose_nobody(office: Database, way: str | None) -> None:
    with office.read() as session:
        figure = reach.reach(session, by=(), prefixes=PREFIXES).totals[way or "enterprises"]
        everybody = list(reach.rows(session, way=way, prefixes=PREFIXES))
        page = reach.listing(session, way=way, prefixes=PREFIXES, limit=31)
        paged = [*page.rows]
        while page.next is not None:
            page = reach.listing(session, way=way, prefixes=PREFIXES, limit=31, after=int(page.next))
            paged += page.rows
        facts = _facts(session)
    assert len(everybody) == page.total == figure > 0
    assert paged == everybody
    for row in everybody:
        reached = {channel for channel in reach.CHANNELS if row[channel]}
        assert reached == facts[row["id"]][1]
        assert row["first"] == _first(frozenset(reached))
        assert way is None or way in (reached or {"none"})


def test_grouped_by_the_first_channel_each_enterprise_stands_once_and_each_group_has_its_list(office: Database) -> None:
    with office.read() as session:
        table = reach.reach(session, by=("first",), prefixes=PREFIXES)
        assert {row["first"] for row in table.rows} == set(reach.WAYS)
        for row in table.rows:
            listed = list(reach.rows(session, first=row["first"], prefixes=PREFIXES))
            assert len(listed) == row["enterprises"]
            assert {one["first"] for one in listed} == {row["first"]}


def test_the_contact_that_a_list_names_is_the_one_who_is_reached_and_phones_are_masked(office: Database) -> None:
    with office.read() as session:
        rows = list(reach.rows(session, way="wechat", prefixes=PREFIXES))
        whole = list(reach.rows(session, way="sms", prefixes=PREFIXES, unmask=True))
        bound = set(session.scalars(text("select c.name from contact c join binding b on b.contact_id = c.id where b.ended_at is null")))
    assert {row["contact"] for row in rows} <= bound
    assert all(row["bound_at"] == NOON for row in rows)
    assert all("****" in row["phone"] for row in rows if row["phone"])
    assert any(row["phone"].startswith("+86137") for row in whole)


def test_a_campaign_a_town_and_an_audience_narrow_figures_and_list_alike(office: Database) -> None:
    with office.read() as session:
        everybody = reach.reach(session, by=()).totals["enterprises"]
        for which in ({"campaign": "惠民-2026"}, {"town": "逍林镇"}, {"where": "镇街 = 桥头镇"}, {"where": 'phone = ""'}):
            table = reach.reach(session, by=(), **which)
            assert 0 < table.totals["enterprises"] == len(list(reach.rows(session, **which))) < everybody  # type: ignore[arg-type]
        with pytest.raises(CampaignNotFound):
            reach.reach(session, campaign="nowhere")
        with pytest.raises(UsageError):
            reach.reach(session, by=("colour",))


def test_a_phone_that_changed_since_it_was_confirmed_is_reached_by_text_alone(database: Database) -> None:
    with database.write() as session:
        bulk.insert_rows(session, Enterprise, [{"id": 1, "name": "示例厂", **MOMENTS}])
        bulk.insert_rows(session, Contact, [{"id": 1, "enterprise_id": 1, "name": "李", "phone": "+8613800000001", **MOMENTS}])
        bulk.insert_rows(session, Follower, [{"openid": "o1", "follows": True}])
        bulk.insert_rows(session, Binding, [{"openid": "o1", "contact_id": 1, "phone": "+8613800000001", "way": "oauth", "bound_at": NOON - timedelta(1)}])
        assert reach.reach(session).totals["wechat"] == 1
        session.execute(text("update contact set phone = '+8613800000002'"))
        assert reach.reach(session).totals == {"enterprises": 1, "wechat": 0, "sms": 1, "letter": 0, "none": 0}
