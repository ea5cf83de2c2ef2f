"""what people carry: print batches of letters, visits."""

import sqlalchemy as sa
from alembic import op

from outreach.database.types import Id, Json, Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("message_text", sa.Column("layout", Json(), nullable=True))
    _letters()
    _visits()


def _letters() -> None:
    op.create_table(
        "print_batch",
        sa.Column("id", Id, nullable=False),
        sa.Column("campaign_id", Id, nullable=False),
        sa.Column("step", Id, nullable=False),
        sa.Column("occurrence", Id, nullable=False),
        sa.Column("town", sa.String(), server_default="", nullable=False),
        sa.Column("state", sa.String(), server_default="rendering", nullable=False),
        sa.Column("text_id", Id, nullable=False),
        sa.Column("enclosures", Json(), server_default="[]", nullable=False),
        sa.Column("made_at", Moment(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("posted_on", Moment(), nullable=True),
        sa.Column("posted_at", Moment(), nullable=True),
        sa.Column("posted_by", sa.String(), nullable=True),
        sa.CheckConstraint("state in ('rendering', 'rendered', 'posted', 'discarded')", name=op.f("print_batch_state_check")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("print_batch_campaign_id_fkey")),
        sa.ForeignKeyConstraint(["text_id"], ["message_text.id"], name=op.f("print_batch_text_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("print_batch_pkey")),
    )
    op.create_index("print_batch_campaign_id_idx", "print_batch", ["campaign_id"])
    op.create_table(
        "print_chunk",
        sa.Column("id", Id, nullable=False),
        sa.Column("batch_id", Id, nullable=False),
        sa.Column("number", Id, nullable=False),
        sa.Column("lease_until", Moment(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("pages", Id, server_default="0", nullable=False),
        sa.Column("rendered_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["print_batch.id"], name=op.f("print_chunk_batch_id_fkey"), ondelete="cascade"),
        sa.PrimaryKeyConstraint("id", name=op.f("print_chunk_pkey")),
        sa.UniqueConstraint("batch_id", "number", name=op.f("print_chunk_batch_id_number_key")),
    )
    waiting = sa.text("digest is null")
    op.create_index("print_chunk_waiting", "print_chunk", ["id"], postgresql_where=waiting, sqlite_where=waiting)
    op.create_table(
        "letter",
        sa.Column("delivery_id", Id, nullable=False),
        sa.Column("batch_id", Id, nullable=False),
        sa.Column("chunk", Id, nullable=False),
        sa.Column("place", Id, nullable=False),
        sa.Column("enterprise_id", Id, nullable=False),
        sa.Column("enterprise", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("pages", Id, server_default="0", nullable=False),
        sa.Column("reprints", Id, server_default="0", nullable=False),
        sa.Column("posted_at", Moment(), nullable=True),
        sa.Column("returned_at", Moment(), nullable=True),
        sa.Column("returned_reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("letter_delivery_id_fkey")),
        sa.ForeignKeyConstraint(["batch_id"], ["print_batch.id"], name=op.f("letter_batch_id_fkey")),
        sa.ForeignKeyConstraint(["enterprise_id"], ["enterprise.id"], name=op.f("letter_enterprise_id_fkey")),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("letter_pkey")),
    )
    op.create_index("letter_batch_id_idx", "letter", ["batch_id", "chunk", "place"])


def _visits() -> None:
    op.create_table(
        "visit_task",
        sa.Column("delivery_id", Id, nullable=False),
        sa.Column("visitor", sa.String(), nullable=False),
        sa.Column("issued_at", Moment(), nullable=False),
        sa.Column("issued_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("visit_task_delivery_id_fkey")),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("visit_task_pkey")),
    )
    op.create_index("visit_task_visitor_idx", "visit_task", ["visitor"])
    results = "'met', 'paper', 'will_sign', 'new_phone', 'closed', 'refused', 'not_found', 'again'"
    op.create_table(
        "visit_result",
        sa.Column("id", Id, nullable=False),
        sa.Column("enterprise_id", Id, nullable=False),
        sa.Column("delivery_id", Id, nullable=True),
        sa.Column("result", sa.String(), nullable=False),
        sa.Column("visitor", sa.String(), server_default="", nullable=False),
        sa.Column("visited_on", Moment(), nullable=False),
        sa.Column("detail", Json(), server_default="{}", nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.CheckConstraint(f"result in ({results})", name=op.f("visit_result_result_check")),
        sa.ForeignKeyConstraint(["enterprise_id"], ["enterprise.id"], name=op.f("visit_result_enterprise_id_fkey")),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("visit_result_delivery_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("visit_result_pkey")),
        sa.UniqueConstraint("fingerprint", name=op.f("visit_result_fingerprint_key")),
    )
    op.create_index("visit_result_enterprise_id_idx", "visit_result", ["enterprise_id"])
