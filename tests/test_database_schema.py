"""The tables are what the migrations make, on both databases, and the law of moments holds."""

from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from outreach.database import bulk, schema, upgrading
from outreach.database.engine import Database, DatabaseUrlWrong, database_now
from outreach.database.tables import AuditEntry, Base, Enterprise


def test_migrations_lead_to_exactly_the_tables_of_the_models(database: Database) -> None:
    with database.write() as session:
        context = MigrationContext.configure(session.connection())
        assert compare_metadata(context, Base.metadata) == []


def test_the_release_knows_its_newest_revision() -> None:
    assert upgrading.newest() == schema.HEAD


def test_an_empty_database_is_refused_with_the_cure(tmp_path) -> None:
    with pytest.raises(schema.SchemaMissing, match="outreach init"):
        schema.require_current(Database(f"sqlite:///{tmp_path}/new.db"))


def test_an_unknown_kind_of_database_is_refused() -> None:
    with pytest.raises(DatabaseUrlWrong, match="mysql"):
        Database("mysql://localhost/x")


def test_a_moment_comes_back_as_it_went_in_and_a_naive_one_is_refused(database: Database, now: datetime) -> None:
    moment = now.replace(microsecond=123456)
    with database.write() as session:
        session.add(AuditEntry(at=moment, actor="alice", act="test", detail={"字": "值"}))
    with database.read() as session:
        row = session.execute(select(AuditEntry.at, AuditEntry.detail)).one()
    assert row.at == moment
    assert row.at.tzinfo is UTC
    assert row.detail == {"字": "值"}
    with pytest.raises(StatementError), database.write() as session:
        session.add(AuditEntry(at=moment.replace(tzinfo=None), actor="alice", act="test"))


def test_the_clock_of_the_database_is_ours(database: Database) -> None:
    with database.read() as session:
        assert abs((database_now(session) - datetime.now(UTC)).total_seconds()) < 5


def test_bulk_statements_change_just_the_rows_that_are_named(database: Database, now: datetime) -> None:
    with database.write() as session:
        rows = [{"id": number, "name": f"企业{number}", "town": "逍林镇", "created_at": now, "updated_at": now} for number in range(1, 6)]
        bulk.insert_rows(session, Enterprise, rows)
        bulk.insert_rows(session, Enterprise, rows[:1], ignore_conflicts=True)
        changes = [{"id": 2, "town": "桥头镇", "settled_at": now}, {"id": 4, "town": "桥头镇", "settled_at": None}]
        bulk.update_rows(session, Enterprise, changes, keys=["id"], sets=["town", "settled_at"], where="d.name <> '企业4'", extra="village = '东村'")
    with database.read() as session:
        rows_now = session.execute(select(Enterprise.id, Enterprise.town, Enterprise.village, Enterprise.settled_at).order_by(Enterprise.id)).all()
    assert [row.town for row in rows_now] == ["逍林镇", "桥头镇", "逍林镇", "逍林镇", "逍林镇"]
    assert (rows_now[1].village, rows_now[1].settled_at) == ("东村", now)
