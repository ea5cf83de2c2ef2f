"""Say whether a database has the tables of this release. Every command asks, so this asks in plain SQL, without Alembic."""

from sqlalchemy import inspect, text

from outreach.database.engine import Database
from outreach.errors import Refused

HEAD = "0004"
"""The newest revision; a test holds it against the folder of migrations."""


class SchemaOld(Refused):
    """The database has the tables of another release; run: outreach upgrade"""


class SchemaMissing(Refused):
    """There is no outreach database here ({where}); run: outreach init"""


def revision(database: Database) -> str | None:
    """Return the revision that the database stands at, none for an empty one."""
    with database.read() as session:
        if not inspect(session.connection()).has_table("alembic_version"):
            return None
        found: str | None = session.scalar(text("select version_num from alembic_version"))
        return found


def require_current(database: Database) -> None:
    """Refuse to work on a database without tables or with those of another release."""
    stands = revision(database)
    if stands is None:
        raise SchemaMissing(where=database.engine.url.render_as_string())
    if stands != HEAD:
        raise SchemaOld()
