"""Bring a database to the newest tables, by the revisions in `migrations`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from outreach.database.engine import Database


def upgrade(database: Database) -> None:
    """Run all revisions that are missing, in one transaction."""
    with database.write() as session:
        config = _config()
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "head")


def newest() -> str | None:
    """Return the newest revision in `migrations`."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
