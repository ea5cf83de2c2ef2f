"""Each enterprise stands in one column, whatever its history; figures add up however they are grouped, and behind each is a list of as many."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from outreach.campaigns import statement
from outreach.campaigns.directory import CampaignNotFound
from outreach.database.engine import Database
from outreach.database.pledge_tables import WAYS
from outreach.database.types import Moment
from outreach.pledges.signing import SignRequest, sign
from outreach.reports import signatures, standing, towns
from outreach.reports.standing import COLUMNS, PledgeUnknown

from answers import NEW, OLD, pledge_versions, write_answers  # isort: skip
from conftest import NOON  # isort: skip
from crowd import CAMPAIGNS, TOWNS, crowd, write  # isort: skip

SIGNED = {"signed", "refused, then signed", "withdrawn, then signed again", "renewed", "a paper without scan, then signed"}
STANDS = {
    NEW: {
        "signed": SIGNED | {"a paper of last year that never got its scan, then signed"},
        "declined": {"refused", "withdrawn, then refused", "signed last year, refused this year", "refused, then a paper without scan"},
        "withdrawn": {"withdrawn", "refused, signed, withdrawn", "renewed, then withdrawn", "withdrawn, then a paper without scan"},
    },
    OLD: {
        "signed": {"renewed", "renewed, then withdrawn", "signed last year", "signed last year, refused this year"},
        "declined": set(),
        "withdrawn": set(),
    },
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An office with some hundreds of enterprises of every history, of either kind, in which no test leaves anything."""
    make: Callable[[], str] = request.getfixturevalue(f"new_{request.param}")
    database = Database(make())
    with database.write() as session:
        write(session, crowd(180))
        histories.update(write_answers(session))
    yield database
    database.close()


histories: dict[int, str] = {}
"""The history of each enterprise, the same in both offices."""

PLAIN = """
select e.id, e.town, e.industry, e.scale, c.name as campaign, c.mode, r.opened_at,
       (select count(*) from delivery d where d.recipient_id = r.id and d.state = 'delivered') as delivered
from enterprise e
join recipient_enterprise y on y.enterprise_id = e.id
join recipient r on r.id = y.recipient_id
join campaign c on c.id = r.campaign_id
"""


def recount(session: Session, pledge: str, *, campaign: str | None = None, mode: str = "production") -> dict[int, tuple[str, dict[str, Any]]]:
    """Say in plain SQL and a loop where each enterprise stands with a pledge."""
    found = {}
    for row in session.execute(text(PLAIN)).mappings():
        mine = row["campaign"] == campaign if campaign else row["mode"] == mode
        if campaign and not mine:
            continue
        answer = next((column for column, names in STANDS[pledge].items() if histories[row["id"]] in names), None) if mine else None
        reached = ("opened" if row["opened_at"] else "not_opened" if row["delivered"] else "not_reached") if mine else "not_reached"
        found[row["id"]] = (answer or reached, dict(row))
    return found


@pytest.mark.parametrize("pledge", [NEW, OLD])
@pytest.mark.parametrize(("campaign", "mode"), [(None, "production"), (None, "rehearsal"), ("惠民-2026", "production"), ("trial", "rehearsal")])
@pytest.mark.parametrize("by", [("town",), ("industry", "scale")])
def test_rows_are_what_plain_sql_counts_and_sum_to_the_totals(office: Database, pledge: str, campaign: str | None, mode: str, by: Sequence[str]) -> None:
    with office.read() as session:
        table = signatures.signatures(session, by=by, campaign=campaign, pledge=pledge, mode=mode)
        plain: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
        for column, row in recount(session, pledge, campaign=campaign, mode=mode).values():
            plain[tuple(row[key] for key in by)][column] += 1
    for row in table.rows:
        assert row["enterprises"] == sum(row[column] for column in COLUMNS)
    assert {tuple(row[key] for key in by): {column: row[column] for column in COLUMNS if row[column]} for row in table.rows} == {
        values: dict(figures) for values, figures in plain.items()
    }
    assert table.totals == {figure: sum(row[figure] for row in table.rows) for figure in signatures.FIGURES}
    assert (table.totals["signed"] > 0) and (pledge == OLD or all(table.totals[column] for column in COLUMNS))


def test_no_history_counts_an_enterprise_twice(office: Database) -> None:
    with office.read() as session:
        for pledge in (None, NEW, OLD):
            stands = standing.standings(session, pledge=pledge)
            ids = [row.enterprise_id for row in session.execute(stands.select())]
            assert sorted(ids) == sorted(histories)
        signed = session.execute(text("select count(*) from signature s join campaign c on c.id = s.campaign_id where c.mode = 'production'")).scalar_one()
        assert signatures.signatures(session, pledge=NEW).totals["signed"] < signed


def test_the_figures_by_plain_sql_alone(office: Database) -> None:
    """What needs no history: signed is who holds a signature that counts, pending who holds one that does not."""
    held = (
        "select count(distinct s.enterprise_id) from signature s join campaign c on c.id = s.campaign_id"
        " where c.mode = 'production' and s.pledge = '{}' and s.state = '{}'"
    )
    with office.read() as session:
        totals = signatures.signatures(session, by=("way",), pledge=NEW).totals
        assert totals["signed"] == session.scalar(text(held.format(NEW, "signed")))
        assert totals["pending"] == session.scalar(text(held.format(NEW, "pending"))) > 0
        assert totals["enterprises"] == session.scalar(text("select count(*) from enterprise"))


@pytest.mark.parametrize("campaign", [name for name, _mode in CAMPAIGNS])
def test_the_figures_of_a_campaign_are_those_of_its_statement(office: Database, campaign: str) -> None:
    with office.read() as session:
        document = statement.statement(session, campaign, now=NOON)["enterprises"]
        totals = signatures.signatures(session, campaign=campaign).totals
    assert totals["enterprises"] == document["selected"]
    assert {column: totals[column] for column in standing.ANSWERS} == {column: document[column] for column in standing.ANSWERS}


@pytest.mark.parametrize("column", [None, *signatures.SHOWABLE])
def test_behind_each_figure_stand_just_as_many_and_pages_lose_nobody(office: Database, column: str | None) -> None:
    with office.read() as session:
        figures = signatures.signatures(session, by=(), pledge=NEW).totals
        everybody = list(signatures.rows(session, column=column, pledge=NEW))
        page = signatures.listing(session, column=column, pledge=NEW, limit=31)
        paged = [*page.rows]
        while page.next is not None:
            page = signatures.listing(session, column=column, pledge=NEW, limit=31, after=int(page.next))
            paged += page.rows
    assert len(everybody) == page.total == figures[column or "enterprises"] > 0
    assert paged == everybody
    if column == "pending":
        assert all(row["pending"] and row["column"] != "signed" for row in everybody)
    elif column:
        assert {row["column"] for row in everybody} == {column}


def test_a_paper_without_its_scan_is_no_signature_and_stands_beside_the_sum_under_its_own_way(office: Database) -> None:
    with office.read() as session:
        by_way = {row["way"]: row for row in signatures.signatures(session, by=("way",), pledge=NEW).rows}
        listed = list(signatures.rows(session, column="pending", pledge=NEW))
    assert sum(row["pending"] for row in by_way.values()) == by_way["paper"]["pending"] == len(listed)
    assert {row["column"] for row in listed} == {"opened", "declined", "withdrawn"}
    assert set(by_way) == {*WAYS, None}
    assert by_way[None]["signed"] == by_way[None]["declined"] == by_way[None]["withdrawn"] == 0
    assert all(by_way[way]["opened"] == by_way[way]["not_reached"] == 0 for way in WAYS)


def test_a_signature_of_the_rehearsal_is_in_no_figure_of_production(office: Database) -> None:
    with office.read() as session:
        own = {mode: {row["id"] for row in signatures.rows(session, column="signed", pledge=NEW, mode=mode)} for mode in ("production", "rehearsal")}
        modes = dict(session.execute(text("select y.enterprise_id, c.mode from recipient_enterprise y join campaign c on c.id = y.campaign_id")).all())
        assert not own["production"] & own["rehearsal"]
        assert all(modes[key] == mode for mode, keys in own.items() for key in keys)
        assert signatures.signatures(session, campaign="trial").totals["signed"] == len(own["rehearsal"])


def test_each_choice_narrows_figures_and_list_alike(office: Database) -> None:
    with office.read() as session:
        for row in signatures.signatures(session, by=("town", "scale"), pledge=NEW).rows:
            which: Any = {"pledge": NEW, "where": f'规模 = "{row["scale"]}" and 镇街 = "{row["town"]}"'}
            assert signatures.total(session, **which) == row["enterprises"]
            assert signatures.total(session, column="signed", **which) == row["signed"]
        assert signatures.total(session, town="逍林镇") == sum(row["enterprises"] for row in signatures.signatures(session).rows if row["town"] == "逍林镇")
        for wrong, error in (({"campaign": "none"}, CampaignNotFound), ({"pledge": "none"}, PledgeUnknown)):
            with pytest.raises(error):
                signatures.signatures(session, **wrong)  # type: ignore[arg-type]


def test_a_day_is_the_offices_day_of_the_answer_and_the_end_is_out(office: Database) -> None:
    with office.read() as session:
        by_day = {row["day"]: row for row in signatures.signatures(session, by=("day",), pledge=NEW).rows}
        assert by_day[None]["signed"] == by_day[None]["opened"] == 0
        for day in filter(None, by_day):
            start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=8)
            inside = signatures.signatures(session, by=(), pledge=NEW, start=start, end=start + timedelta(days=1)).totals
            assert {column: inside[column] for column in COLUMNS} == {column: by_day[day][column] for column in COLUMNS}


def test_a_listed_enterprise_shows_serial_and_way_and_hides_the_phone(office: Database) -> None:
    with office.read() as session:
        masked = list(signatures.rows(session, by=("industry",), column="signed", pledge=NEW))
        whole = list(signatures.rows(session, by=("industry",), column="signed", pledge=NEW, unmask=True))
        assert set(masked[0]) == {"id", *(column.id for column in signatures.columns(("industry",)))}
    assert len({row["serial"] for row in masked}) == len(masked)
    assert {row["way"] for row in masked} <= set(WAYS)
    for row, plain in zip(masked, whole, strict=True):
        assert row["phone"] == (f"138****{plain['phone'][-4:]}" if plain["phone"] else "")
        assert row["signed_at"] == row["time"]
    assert any(row["phone"] for row in masked)


def test_the_first_town_is_the_one_of_which_most_has_signed_and_equals_share_a_rank(office: Database) -> None:
    with office.read() as session:
        table = towns.league(session, pledge=NEW)
        figures = {row["town"]: row for row in signatures.signatures(session, pledge=NEW).rows}
        nothing = towns.league(session, pledge=OLD, campaign="trial", column="declined")
    assert {row["town"] for row in table.rows} == set(TOWNS)
    assert [row["rank"] for row in table.rows] == [1, 2, None]
    shares = [row["signed"] / row["enterprises"] for row in table.rows if row["town"]]
    assert shares == sorted(shares, reverse=True)
    for row in [*table.rows, table.totals]:
        assert row["signed"] == sum(row[way] for way in WAYS)
        assert abs(float(row["share"]) - 100 * row["signed"] / row["enterprises"]) <= 0.05
    assert {row["town"]: (row["enterprises"], row["signed"], row["pending"]) for row in table.rows} == {
        town: (row["enterprises"], row["signed"], row["pending"]) for town, row in figures.items()
    }
    assert (nothing.rows, nothing.totals["enterprises"]) == ([], 0)


def test_towns_of_one_share_have_one_rank_and_the_next_is_counted_past_them(database: Database) -> None:
    signed = {"甲镇": (1, 2), "乙镇": (2, 4), "丙镇": (0, 1), "": (3, 3)}
    insert = text("insert into enterprise (id, name, town, created_at, updated_at) values (:id, :name, :town, :at, :at)").bindparams(
        bindparam("at", type_=Moment())
    )
    with database.write() as session:
        key = 0
        pledge_versions(session)
        for town, (count, of) in signed.items():
            for number in range(of):
                key += 1
                session.execute(insert, {"id": key, "name": f"企业{key}", "town": town, "at": NOON})
                if number < count:
                    sign(session, [SignRequest(enterprise_ids=[key], version_id=1, way="link", method="typed", signer="张", capacity="principal", at=NOON)])
        table = towns.league(session)
    assert [(row["rank"], row["town"], str(row["share"])) for row in table.rows] == [
        (1, "乙镇", "50.0"),
        (1, "甲镇", "50.0"),
        (3, "丙镇", "0.0"),
        (None, "", "100.0"),
    ]
    assert str(table.totals["share"]) == "60.0"
