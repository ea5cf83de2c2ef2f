"""Alembic's entry: run the revisions on the connection that `outreach.database.schema` hands over."""

from typing import Any, Literal

from alembic import context

from outreach.database.paper_tables import Letter
from outreach.database.pledge_tables import Signature
from outreach.database.types import Id, Json, Moment
from outreach.database.wechat_tables import Follower


def named(kind: str, item: Any, _autogenerate: Any) -> str | Literal[False]:
    """Write our own column types by their names into a new revision."""
    if kind == "type" and isinstance(item, Moment | Json):
        return f"{type(item).__name__}()"
    return "Id" if kind == "type" and item is Id else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=next(table.metadata for table in (Signature, Follower, Letter)),  # each module brings its tables
    render_as_batch=True,
    render_item=named,
)
context.run_migrations()
