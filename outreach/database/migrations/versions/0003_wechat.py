"""followers of the WeChat account."""

import sqlalchemy as sa
from alembic import op

from outreach.database.types import Id, Json, Moment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "follower",
        sa.Column("id", Id, nullable=False),
        sa.Column("openid", sa.String(), nullable=False),
        sa.Column("follows", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("followed_at", Moment(), nullable=True),
        sa.Column("left_at", Moment(), nullable=True),
        sa.Column("spoke_at", Moment(), nullable=True),
        sa.Column("moved_at", Moment(), nullable=True),
        sa.Column("chose_at", Moment(), nullable=True),
        sa.Column("asked_code", sa.String(), nullable=True),
        sa.Column("asked_way", sa.String(), nullable=True),
        sa.Column("asked_at", Moment(), nullable=True),
        sa.Column("subscriptions", Json(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("follower_pkey")),
        sa.UniqueConstraint("openid", name=op.f("follower_openid_key")),
    )
    op.create_table(
        "binding",
        sa.Column("id", Id, nullable=False),
        sa.Column("openid", sa.String(), nullable=False),
        sa.Column("contact_id", Id, nullable=False),
        sa.Column("phone", sa.String(), server_default="", nullable=False),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("bound_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("ended_reason", sa.String(), nullable=True),
        sa.CheckConstraint("way in ('conversation', 'scene', 'oauth')", name=op.f("binding_way_check")),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name=op.f("binding_contact_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("binding_pkey")),
    )
    current = sa.text("ended_at is null")
    op.create_index("one_binding_a_contact", "binding", ["contact_id"], unique=True, postgresql_where=current, sqlite_where=current)
    op.create_index("binding_openid_idx", "binding", ["openid"])
    op.create_table(
        "scene",
        sa.Column("id", Id, nullable=False),
        sa.Column("scene", sa.String(), nullable=False),
        sa.Column("recipient_id", Id, nullable=True),
        sa.Column("label", sa.String(), server_default="", nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("made_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipient.id"], name=op.f("scene_recipient_id_fkey"), ondelete="cascade"),
        sa.PrimaryKeyConstraint("id", name=op.f("scene_pkey")),
        sa.UniqueConstraint("scene", name=op.f("scene_scene_key")),
    )
    _announcements()
    _further_columns()


def _announcements() -> None:
    states = "'planned', 'approved', 'sending', 'unknown', 'submitted', 'sent', 'failed'"
    op.create_table(
        "announcement",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("state", sa.String(), server_default="planned", nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("tag", Id, nullable=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("planned_by", sa.String(), nullable=False),
        sa.Column("planned_at", Moment(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=True),
        sa.Column("approved_at", Moment(), nullable=True),
        sa.Column("sent_by", sa.String(), nullable=True),
        sa.Column("sent_at", Moment(), nullable=True),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("total", Id, nullable=True),
        sa.Column("filtered", Id, nullable=True),
        sa.Column("sent", Id, nullable=True),
        sa.Column("errors", Id, nullable=True),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.CheckConstraint(f"state in ({states})", name=op.f("announcement_state_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("announcement_pkey")),
        sa.UniqueConstraint("name", name=op.f("announcement_name_key")),
    )
    op.create_index("announcement_reference_key", "announcement", ["reference"], unique=True)
    op.create_table(
        "mass_result",
        sa.Column("id", Id, nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("total", Id, nullable=False),
        sa.Column("filtered", Id, nullable=False),
        sa.Column("sent", Id, nullable=False),
        sa.Column("errors", Id, nullable=False),
        sa.Column("received_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("mass_result_pkey")),
        sa.UniqueConstraint("reference", name=op.f("mass_result_reference_key")),
    )


def _further_columns() -> None:
    op.add_column("sender", sa.Column("quota_until", Moment(), nullable=True))
    op.add_column("sender", sa.Column("refreshes", Id, server_default="0", nullable=False))
    op.add_column("sender", sa.Column("refreshed_at", Moment(), nullable=True))
    op.add_column("reply", sa.Column("act", sa.String(), server_default="text", nullable=False))
    op.add_column("reply", sa.Column("answer", sa.String(), nullable=True))
    op.add_column("reply", sa.Column("answered_by", sa.String(), nullable=True))
    op.add_column("reply", sa.Column("answered_at", Moment(), nullable=True))
    unreferenced = sa.text("state = 'accepted' and reference is null")
    op.create_index("delivery_unreferenced", "delivery", ["address_id"], postgresql_where=unreferenced, sqlite_where=unreferenced)
    asked_about = sa.text("state in ('unknown', 'review')")
    op.drop_index("delivery_unknown", "delivery")
    op.create_index("delivery_unknown", "delivery", ["due_at"], postgresql_where=asked_about, sqlite_where=asked_about)
