"""Every table of the office, from enterprises to receipts, with the constraints that hold whoever writes.

States and reasons are words, so that a recount in plain SQL reads like the statement. Moments are UTC (`Moment`).
Row factors: 50 on `address` keeps its updates in place on PostgreSQL (97 % instead of 41 % HOT, measured).
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, MetaData, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from outreach.database.types import Id, Json, Moment

FINAL = ("delivered", "undelivered", "silent", "failed", "skipped")
"""States of a delivery that nothing but a receipt of higher rank can change."""
HOLDING = ("sending", "unknown", "review")
"""States in which a delivery keeps its address to itself."""
OPEN = ("queued", *HOLDING, "accepted")
DELIVERY_STATES = (*OPEN, *FINAL)
CAMPAIGN_STATES = ("planned", "approved", "canary", "running", "paused", "finished", "cancelled")
MODES = ("rehearsal", "production")
ROLES = ("viewer", "operator", "approver", "administrator")


def among(column: str, values: tuple[str, ...]) -> str:
    """Return the SQL condition that a column holds one of some words."""
    return f"{column} in ({', '.join(repr(value) for value in values)})"


class Base(DeclarativeBase):
    """The mother of all tables: named constraints, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(column_0_N_label)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )
    type_annotation_map: ClassVar[dict[Any, TypeEngine[Any] | type[TypeEngine[Any]]]] = {datetime: Moment(), int: Id, dict[str, Any]: Json(), list[str]: Json()}


class Enterprise(Base):
    """An employer (企业). `settled_at` is the one fact that stops all writing about a goal: signed, declined or withdrawn."""

    __tablename__ = "enterprise"
    __table_args__ = (
        Index("enterprise_credit_code_key", "credit_code", unique=True),
        Index("enterprise_name_town_key", "name", "town", unique=True, postgresql_where=text("credit_code is null"), sqlite_where=text("credit_code is null")),
        Index("enterprise_name_idx", "name", "town"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    credit_code: Mapped[str | None]
    name: Mapped[str]
    town: Mapped[str] = mapped_column(default="", server_default="")
    village: Mapped[str] = mapped_column(default="", server_default="")
    department: Mapped[str] = mapped_column(default="", server_default="")
    industry: Mapped[str] = mapped_column(default="", server_default="")
    scale: Mapped[str] = mapped_column(default="", server_default="")
    above_scale: Mapped[bool | None]
    address: Mapped[str] = mapped_column(default="", server_default="")
    settled_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    """signed, declined or withdrawn, once settled."""
    opened_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Contact(Base):
    """A person at an enterprise (联系人). `revision` rises with each change of name or phone; a plan holds the one it saw."""

    __tablename__ = "contact"
    __table_args__ = (
        Index("contact_enterprise_id_idx", "enterprise_id"),
        Index("contact_phone_idx", "phone"),
        UniqueConstraint("enterprise_id", "name", "phone"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"))
    name: Mapped[str] = mapped_column(default="", server_default="")
    role: Mapped[str] = mapped_column(default="", server_default="")
    phone: Mapped[str] = mapped_column(default="", server_default="")
    """E.164; empty where none is known."""
    wechat: Mapped[str] = mapped_column(default="", server_default="")
    rank: Mapped[int] = mapped_column(default=0, server_default="0")
    note: Mapped[str] = mapped_column(default="", server_default="")
    revision: Mapped[int] = mapped_column(default=1, server_default="1")
    erased_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Address(Base):
    """A number or openid on a channel: suppression, weekly cap and "one in flight" are facts of the address, not of a contact."""

    __tablename__ = "address"
    __table_args__ = (UniqueConstraint("channel", "value"), {"postgresql_with": {"fillfactor": 50}})

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    value: Mapped[str]
    suppressed_at: Mapped[datetime | None]
    suppressed_reason: Mapped[str | None]
    suppressed_source: Mapped[str | None]
    holder: Mapped[int | None]
    """The delivery in flight to this address."""
    cap_used: Mapped[int] = mapped_column(default=0, server_default="0")
    cap_from: Mapped[datetime | None]


class StaffAccount(Base):
    """A member of staff who signs in (工作人员)."""

    __tablename__ = "staff_account"
    __table_args__ = (CheckConstraint(among("role", ROLES), name="role"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    town: Mapped[str] = mapped_column(default="", server_default="")
    phone: Mapped[str] = mapped_column(default="", server_default="")
    password_hash: Mapped[str]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class AuditEntry(Base):
    """An act of staff: who, when, what, on what. Append-only."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    act: Mapped[str]
    subject: Mapped[str] = mapped_column(default="", server_default="")
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class Segment(Base):
    """A saved audience (保存的发送范围)."""

    __tablename__ = "segment"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    expression: Mapped[str]
    saved_by: Mapped[str]
    saved_at: Mapped[datetime]


class Sender(Base):
    """Who messages go out as, and its valve: rate (GCRA), daily quota, circuit breaker and pause all live in this one row."""

    __tablename__ = "sender"
    __table_args__ = (
        UniqueConstraint("name", "mode"),
        CheckConstraint(among("mode", MODES), name="mode"),
        {"postgresql_with": {"fillfactor": 10}},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    mode: Mapped[str] = mapped_column(default="rehearsal", server_default="rehearsal")
    """A sender of the rehearsal is another one than that of production, so what was rehearsed can never be sent for real."""
    channel: Mapped[str]
    provider: Mapped[str]
    config: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    step_us: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Microseconds a segment; 0 is no limit."""
    burst_us: Mapped[int] = mapped_column(BigInteger, default=1_000_000, server_default="1000000")
    tat: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """The theoretical arrival time of the next segment, in microseconds since 1970."""
    day: Mapped[str] = mapped_column(default="", server_default="")
    """The provider's day in Asia/Shanghai that `day_used` counts, such as 2026-01-15."""
    day_used: Mapped[int] = mapped_column(default=0, server_default="0")
    day_limit: Mapped[int] = mapped_column(default=0, server_default="0")
    uncertain_run: Mapped[int] = mapped_column(default=0, server_default="0")
    """Uncertain answers in a row; enough of them open the breaker."""
    breaker_until: Mapped[datetime | None]
    quota_until: Mapped[datetime | None]
    """The provider said that its day's quota is used up: nothing is claimed before."""
    refreshes: Mapped[int] = mapped_column(default=0, server_default="0")
    """Forced refreshes of the provider's token on the day `refreshed_at` falls in."""
    refreshed_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    paused_reason: Mapped[str | None]


class MessageText(Base):
    """A template's text frozen by its digest, with the signature that the plan resolved (模板原文)."""

    __tablename__ = "message_text"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    source: Mapped[str]
    signature: Mapped[str]
    layout: Mapped[dict[str, Any] | None] = mapped_column(Json())
    """Of a text on paper: the files of its layout, by their path below `templates`, in base64."""


class PledgeVersion(Base):
    """One version of a pledge (承诺书版本): pledge, letter and privacy notice as they are shown and signed, frozen by their digest."""

    __tablename__ = "pledge_version"
    __table_args__ = (UniqueConstraint("pledge", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    pledge: Mapped[str]
    """The name of its file: no-arrears-2026 for templates/pledge/no-arrears-2026.md."""
    number: Mapped[int]
    title: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    """Over all that follows."""
    source: Mapped[str]
    """The pledge's text with its fields still in it; so are the two below."""
    letter: Mapped[str]
    privacy: Mapped[str]
    fields: Mapped[dict[str, Any]]
    """Merge fields that are the same for all: office, place, hotline, account."""
    renews: Mapped[str] = mapped_column(default="", server_default="")
    """The pledge of the year before, whose signatures this one supersedes."""
    one_time_code: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """Whether a code by text to the registered phone is asked for before signing."""
    made_at: Mapped[datetime]


class Campaign(Base):
    """A campaign (宣传任务): an audience, a goal and steps, as planned, approved and launched."""

    __tablename__ = "campaign"
    __table_args__ = (CheckConstraint(among("state", CAMPAIGN_STATES), name="state"), {"postgresql_with": {"fillfactor": 10}})

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    state: Mapped[str] = mapped_column(default="planned")
    reason: Mapped[str | None]
    """Why it stands paused: staff, first, canary, account, content …"""
    mode: Mapped[str]
    definition: Mapped[dict[str, Any]]
    path: Mapped[str | None]
    """The campaign file, to be digested again at launch."""
    fields: Mapped[dict[str, Any]]
    """Merge fields that are the same for all: office, hotline, deadline …"""
    pledge_version_id: Mapped[int | None] = mapped_column(ForeignKey("pledge_version.id"))
    """The goal: the version of the pledge that its enterprises are asked to sign."""
    inputs: Mapped[dict[str, Any]]
    """Digests of what the plan was made from: definition, templates, settings."""
    summary: Mapped[dict[str, Any]]
    """The plan's figures and samples, as `plan --format json` shows them."""
    digest: Mapped[str]
    planned_by: Mapped[str]
    planned_at: Mapped[datetime]
    approved_by: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    launched_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    claim_limit: Mapped[int | None]
    """How many deliveries may be claimed in all: the canary's size, or --first N; none is no limit."""
    served: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Segments claimed, for the fair turn between campaigns of one sender."""
    tat: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """As the sender's, for `pace.per_hour`."""


class CampaignStep(Base):
    """One step of a campaign (步骤) with its frozen text."""

    __tablename__ = "campaign_step"
    __table_args__ = (UniqueConstraint("campaign_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="cascade"))
    number: Mapped[int]
    channel: Mapped[str]
    template: Mapped[str]
    condition: Mapped[str]
    after_seconds: Mapped[int] = mapped_column(default=0, server_default="0")
    every_seconds: Mapped[int | None]
    """How often the step comes again; none is once."""
    until: Mapped[datetime | None]
    """The end of its recurrence."""
    text_id: Mapped[int] = mapped_column(ForeignKey("message_text.id"))
    sender: Mapped[str | None]
    """The sender that the file names; else the longest prefix decides."""


class Recipient(Base):
    """One person frozen into one campaign (发送对象), included or excluded with a reason; holds the personal code."""

    __tablename__ = "recipient"
    __table_args__ = (
        Index("recipient_campaign_id_idx", "campaign_id"),
        Index("recipient_code_key", "code", unique=True),
        CheckConstraint("(code is null) = (exclusion is not null)", name="included"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="cascade"))
    exclusion: Mapped[str | None]
    code: Mapped[str | None]
    town: Mapped[str] = mapped_column(default="", server_default="")
    fields: Mapped[dict[str, Any]]
    """Merge fields of this person: enterprise, enterprises, enterprise_count, contact, town, code."""
    segments: Mapped[int] = mapped_column(default=0, server_default="0")
    """Of the first step's body."""
    generation: Mapped[int] = mapped_column(default=1, server_default="1")
    """Of the personal link: raised, it makes every earlier link unknown."""
    opened_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    """When this person said that the letter is not for him: nothing more is written to this recipient."""


class RecipientEnterprise(Base):
    """An enterprise that a recipient speaks for; each enterprise stands once in a campaign."""

    __tablename__ = "recipient_enterprise"
    __table_args__ = (UniqueConstraint("campaign_id", "enterprise_id"), Index("recipient_enterprise_recipient_id_idx", "recipient_id"))

    recipient_id: Mapped[int] = mapped_column(ForeignKey("recipient.id", ondelete="cascade"), primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="cascade"))


class RecipientContact(Base):
    """A contact through whom a recipient can be reached: rank 0 first, then the alternates, as the plan saw them."""

    __tablename__ = "recipient_contact"

    recipient_id: Mapped[int] = mapped_column(ForeignKey("recipient.id", ondelete="cascade"), primary_key=True)
    rank: Mapped[int] = mapped_column(primary_key=True)
    contact_id: Mapped[int] = mapped_column(ForeignKey("contact.id"))
    revision: Mapped[int]
    name: Mapped[str]
    phone: Mapped[str]
    sender: Mapped[str | None]
    """The sender that serves this phone."""


class Delivery(Base):
    """One recipient at one step (发送记录): one message, at most once. Rows without a campaign carry their own purpose."""

    __tablename__ = "delivery"
    __table_args__ = (
        CheckConstraint(among("state", DELIVERY_STATES), name="state"),
        CheckConstraint("(recipient_id is null) = (purpose is not null)", name="owner"),
        UniqueConstraint("recipient_id", "step", "occurrence", "rank"),
        Index("delivery_due", "campaign_id", "sender_id", "due_at", "id", postgresql_where=text("state = 'queued'"), sqlite_where=text("state = 'queued'")),
        Index("delivery_lease", "lease_until", postgresql_where=text("state = 'sending'"), sqlite_where=text("state = 'sending'")),
        Index(
            "delivery_unknown",
            "due_at",
            postgresql_where=text("state in ('unknown', 'review')"),
            sqlite_where=text("state in ('unknown', 'review')"),
        ),
        Index("delivery_accepted", "claimed_at", postgresql_where=text("state = 'accepted'"), sqlite_where=text("state = 'accepted'")),
        Index(
            "one_in_flight",
            "address_id",
            unique=True,
            postgresql_where=text(among("state", HOLDING) + " and purpose is null"),
            sqlite_where=text(among("state", HOLDING) + " and purpose is null"),
        ),
        Index(
            "one_open_a_recipient",
            "recipient_id",
            unique=True,
            postgresql_where=text(among("state", OPEN)),
            sqlite_where=text(among("state", OPEN)),
        ),
        Index("delivery_reference_key", "reference", unique=True),
        Index(
            "delivery_unreferenced",
            "address_id",
            postgresql_where=text("state = 'accepted' and reference is null"),
            sqlite_where=text("state = 'accepted' and reference is null"),
        ),
        Index("delivery_campaign_id_idx", "campaign_id", "step"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaign.id"))
    recipient_id: Mapped[int | None] = mapped_column(ForeignKey("recipient.id"))
    purpose: Mapped[str | None] = mapped_column(unique=True)
    """What a message outside a campaign is for, such as test:7 — never twice."""
    step: Mapped[int] = mapped_column(default=1, server_default="1")
    occurrence: Mapped[int] = mapped_column(default=1, server_default="1")
    rank: Mapped[int] = mapped_column(default=0, server_default="0")
    channel: Mapped[str]
    sender_id: Mapped[int | None] = mapped_column(ForeignKey("sender.id"))
    address_id: Mapped[int | None] = mapped_column(ForeignKey("address.id"))
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contact.id"))
    contact_revision: Mapped[int | None]
    text_id: Mapped[int] = mapped_column(ForeignKey("message_text.id"))
    fields: Mapped[dict[str, Any] | None] = mapped_column(Json())
    """Merge fields of a message outside a campaign."""
    state: Mapped[str]
    reason: Mapped[str | None]
    """Why it was skipped, or the kind of refusal."""
    error_code: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(default=0, server_default="0")
    segments: Mapped[int]
    due_at: Mapped[datetime]
    """When it may be claimed; of an unknown one, when the provider is to be asked next."""
    claimed_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    reference: Mapped[str | None]
    """The provider's id of the message."""
    generation: Mapped[int | None]
    """Of the personal link that its body held, if any."""
    doubled: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    final_at: Mapped[datetime | None]


class Receipt(Base):
    """What a provider sent back about a message, stored before it was answered; kept even if nobody knows the message yet."""

    __tablename__ = "receipt"
    __table_args__ = (
        Index("receipt_reference_idx", "reference"),
        Index("receipt_unmatched", "received_at", postgresql_where=text("delivery_id is null"), sqlite_where=text("delivery_id is null")),
        Index("receipt_delivery_id_idx", "delivery_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str]
    delivery_id: Mapped[int | None]
    attempt: Mapped[int | None]
    reference: Mapped[str]
    status: Mapped[str]
    error_code: Mapped[str | None]
    received_at: Mapped[datetime]


class Reply(Base):
    """What a person sent back (回复), and what was done about it."""

    __tablename__ = "reply"
    __table_args__ = (UniqueConstraint("channel", "reference"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    reference: Mapped[str]
    sender: Mapped[str]
    """The person's address."""
    body: Mapped[str]
    act: Mapped[str] = mapped_column(default="text", server_default="text")
    """What the person did: text, follow, leave, scan, subscription."""
    meaning: Mapped[str | None]
    """What it was taken for: opt_out, opt_in, code, digits … ; none is for a person to read."""
    answer: Mapped[str | None]
    """What it was answered with at once."""
    answered_by: Mapped[str | None]
    """Who of the staff answered it later."""
    answered_at: Mapped[datetime | None]
    received_at: Mapped[datetime]


class WorkerProcess(Base):
    """A worker that lives: each writes its row at every tick, so that `launch` knows whether somebody will send."""

    __tablename__ = "worker_process"

    name: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
