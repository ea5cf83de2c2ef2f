"""The honour roll shows whose signature counts and agreed to be shown: each enterprise once, no person, and nobody is lost between pages."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from itertools import pairwise

import pytest
from sqlalchemy import text

from outreach.database.engine import Database
from outreach.pledges.roll import Roll, honour_roll

from answers import NEW, OLD, write_answers  # isort: skip
from crowd import TOWNS, crowd, write  # isort: skip


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An office with enterprises of every history, of either kind."""
    make: Callable[[], str] = request.getfixturevalue(f"new_{request.param}")
    with closing(Database(make())) as database:
        with database.write() as session:
            write(session, crowd(110))
            write_answers(session)
        yield database


HONOURED = """
select s.enterprise, e.town from signature s join enterprise e on e.id = s.enterprise_id left join campaign c on c.id = s.campaign_id
where s.state = 'signed' and s.honour and c.mode = '{mode}' {also}
"""


@pytest.mark.parametrize("pledge", [NEW, OLD, None])
@pytest.mark.parametrize("mode", ["production", "rehearsal"])
def test_on_the_roll_is_who_holds_a_signature_and_agreed(office: Database, pledge: str | None, mode: str) -> None:
    with office.read() as session:
        roll = honour_roll(session, pledge=pledge, mode=mode, limit=1000)
        plain = session.execute(text(HONOURED.format(mode=mode, also=f"and s.pledge = '{pledge}'" if pledge else ""))).all()
    assert Counter((row.enterprise, row.town) for row in roll.rows) == Counter(tuple(row) for row in plain)
    assert len(roll.rows) == roll.total > 0
    assert roll.towns == Counter(row.town for row in roll.rows)
    assert [*roll.towns] == [*sorted(filter(None, roll.towns)), *([""] if "" in roll.towns else [])]
    assert {row.day for row in roll.rows} <= {date(2026, 1, day) for day in (15, 16, 17)}


def test_pages_go_town_by_town_and_lose_nobody(office: Database) -> None:
    with office.read() as session:
        whole = honour_roll(session, limit=1000)
        pages = [honour_roll(session, limit=3)]
        while pages[-1].next is not None:
            pages.append(honour_roll(session, limit=3, after=pages[-1].next))
        own = {town: honour_roll(session, town=town) for town in TOWNS}
    assert [row for page in pages for row in page.rows] == list(whole.rows)
    assert all((page.total, page.towns) == (whole.total, whole.towns) for page in pages)
    assert {town: roll.total for town, roll in own.items()} == whole.towns
    assert [row for town in whole.towns for row in own[town].rows] == list(whole.rows)
    changes = sum(one.town != other.town for one, other in pairwise(whole.rows))
    assert changes == len(whole.towns) - 1


def test_who_withdraws_or_signs_again_without_agreeing_is_gone(office: Database) -> None:
    def shown(roll: Roll) -> set[str]:
        return {row.enterprise for row in roll.rows}

    with office.read() as session:
        before = honour_roll(session, limit=1000)
        name = before.rows[0].enterprise
        session.execute(text("update signature set state = 'withdrawn' where enterprise = :name and state = 'signed'"), {"name": name})
        assert shown(honour_roll(session, limit=1000)) == shown(before) - {name}
        last_year = next(iter(shown(honour_roll(session, pledge=OLD))))
        session.execute(
            text(
                "insert into signature (id, serial, enterprise_id, enterprise, pledge, version_id, state, way, method, signer, capacity, honour, signed_at)"
                " select 100000, '2027-000001', enterprise_id, enterprise, 'other', version_id, 'signed', way, method, signer, capacity, false, signed_at"
                " from signature where enterprise = :name and state = 'signed'"
            ),
            {"name": last_year},
        )
        assert last_year not in shown(honour_roll(session, limit=1000))
        assert last_year in shown(honour_roll(session, pledge=OLD, limit=1000))
        session.rollback()
