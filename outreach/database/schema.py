"""Bring a database to the newest tables, and say whether it is there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from outreach.database.engine import Database
from outreach.errors import Refused


class SchemaOld(Refused):
    """The database has the tables of an older release; run: outreach upgrade"""


class SchemaMissing(Refused):
    """There is no outreach database here ({where}); run: outreach init"""


def upgrade(database: Database) -> None:
    """Run all revisions that are missing, in one transaction."""
    with database.write() as session:
        config = _config()
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "head")


def revision(database: Database) -> str | None:
    """Return the revision that the database stands at, none for an empty one."""
    with database.read() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def head() -> str | None:
    """Return the newest revision that this release knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def require_current(database: Database) -> None:
    """Refuse to work on a database without tables or with old ones."""
    stands = revision(database)
    if stands is None:
        raise SchemaMissing(where=database.engine.url.render_as_string())
    if stands != head():
        raise SchemaOld()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
