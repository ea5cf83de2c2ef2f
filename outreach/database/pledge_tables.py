"""The tables of signing: signatures and refusals, one-time codes, what people corrected, and the evidence of it all."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from outreach.database.tables import Base, among
from outreach.database.types import Json

SIGNATURE_STATES = ("signed", "pending", "withdrawn", "superseded")
"""`pending` (待补件) is a paper without its scan: kept, and not counted."""
CURRENT = ("signed", "pending")
WAYS = ("link", "code", "wechat", "event", "paper", "staff")
"""How a signature came in."""
METHODS = ("typed", "drawn", "paper")
CAPACITIES = ("legal_representative", "principal", "agent")
"""法定代表人, 负责人, 受托人 (who says in what relation he stands)."""
CORRECTIONS = ("not_principal", "closed", "new_number")
"""我不是负责人, 企业已停业, 换了号码."""


class Signature(Base):
    """An enterprise's signing of one version (签署). What is personal in it can be erased; the evidence still verifies."""

    __tablename__ = "signature"
    __table_args__ = (
        CheckConstraint(among("state", SIGNATURE_STATES), name="state"),
        CheckConstraint(among("way", WAYS), name="way"),
        Index(
            "one_current_signature",
            "enterprise_id",
            "pledge",
            unique=True,
            postgresql_where=text(among("state", CURRENT)),
            sqlite_where=text(among("state", CURRENT)),
        ),
        Index("signature_recipient_id_idx", "recipient_id"),
        Index("signature_version_id_idx", "version_id"),
        Index("signature_signed_at_idx", "signed_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    serial: Mapped[str] = mapped_column(unique=True)
    """编号, such as 2026-000317."""
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"))
    enterprise: Mapped[str]
    """The name as signed."""
    pledge: Mapped[str]
    version_id: Mapped[int] = mapped_column(ForeignKey("pledge_version.id"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaign.id"))
    recipient_id: Mapped[int | None] = mapped_column(ForeignKey("recipient.id"))
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contact.id"))
    state: Mapped[str]
    way: Mapped[str]
    method: Mapped[str]
    signer: Mapped[str]
    """Personal, like `relation` and `ink`: emptied when the person is erased."""
    capacity: Mapped[str]
    relation: Mapped[str] = mapped_column(default="", server_default="")
    ink: Mapped[Any | None] = mapped_column(Json())
    """The drawn signature as strokes: [[[x, y, milliseconds], …], …] on a field of 1000 × 400, none where it was typed."""
    checks: Mapped[Any] = mapped_column(Json(), default=list, server_default="[]")
    """Which checks were made: phone_last4, credit_code_last6, one_time_code, wechat_bound; empty for a personal link alone."""
    honour: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """Whether the enterprise agreed to be shown on the honour roll."""
    review: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """To be looked at by a person: the way in was the credit code."""
    signed_at: Mapped[datetime]
    recorded_by: Mapped[str] = mapped_column(default="", server_default="")
    """The staff account that recorded a paper."""
    ended_at: Mapped[datetime | None]
    """When it was withdrawn or superseded, and why, and by which signature."""
    ended_reason: Mapped[str | None]
    superseded_by: Mapped[int | None]


class Refusal(Base):
    """An enterprise's "no" to a pledge (拒绝), with its reason; a later signature may follow it."""

    __tablename__ = "refusal"
    __table_args__ = (Index("refusal_enterprise_id_idx", "enterprise_id", "pledge"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"))
    pledge: Mapped[str]
    version_id: Mapped[int] = mapped_column(ForeignKey("pledge_version.id"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaign.id"))
    recipient_id: Mapped[int | None] = mapped_column(ForeignKey("recipient.id"))
    way: Mapped[str]
    reason: Mapped[str] = mapped_column(default="", server_default="")
    declined_at: Mapped[datetime]


class Correction(Base):
    """What somebody said of our list (信息有误): not the principal, closed down, another number. For staff to put right."""

    __tablename__ = "correction"
    __table_args__ = (CheckConstraint(among("kind", CORRECTIONS), name="kind"), Index("correction_recipient_id_idx", "recipient_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient_id: Mapped[int] = mapped_column(ForeignKey("recipient.id"))
    kind: Mapped[str]
    detail: Mapped[str] = mapped_column(default="", server_default="")
    way: Mapped[str]
    said_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    done_by: Mapped[str | None]


class OneTimeCode(Base):
    """A code sent by text to the registered phone (验证码), bound to recipient and text; of the code itself only an HMAC is kept."""

    __tablename__ = "one_time_code"
    __table_args__ = (Index("one_time_code_recipient_id_idx", "recipient_id", "sent_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient_id: Mapped[int] = mapped_column(ForeignKey("recipient.id"))
    version_id: Mapped[int] = mapped_column(ForeignKey("pledge_version.id"))
    nonce: Mapped[str]
    code_hmac: Mapped[str]
    sent_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    passed_at: Mapped[datetime | None]


class Attempts(Base):
    """How often something was tried in the present window: per code, per network address, for the whole office (尝试次数)."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(primary_key=True)
    """What is counted, such as code:<digest>; digests only."""
    began_at: Mapped[datetime]
    used: Mapped[int]


class SerialCounter(Base):
    """The last serial number given in a year (编号)."""

    __tablename__ = "serial_counter"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    used: Mapped[int]


class Scan(Base):
    """A scanned sheet (扫描件), stored once by its digest."""

    __tablename__ = "scan"
    __table_args__ = (Index("scan_signature_id_idx", "signature_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    """Of the file, and the page in it."""
    kind: Mapped[str]
    """image/jpeg, image/png or application/pdf, by content."""
    content: Mapped[bytes]
    signature_id: Mapped[int | None] = mapped_column(ForeignKey("signature.id"))
    """None: nobody could tell whose it is; on the list for a person."""
    reason: Mapped[str] = mapped_column(default="", server_default="")
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]


class SealedPdf(Base):
    """The PDF of a signed pledge as it was first handed out (承诺书 PDF), so that each download is the same file."""

    __tablename__ = "sealed_pdf"

    signature_id: Mapped[int] = mapped_column(ForeignKey("signature.id"), primary_key=True)
    content: Mapped[bytes]
    digest: Mapped[str] = mapped_column(unique=True)
    made_at: Mapped[datetime]
    sealed: Mapped[bool]
    """Whether it bears the office's seal; without a certificate it is plain."""


class EvidenceBlock(Base):
    """A closed block of the evidence: a Merkle root over its rows, chained to the block before."""

    __tablename__ = "evidence_block"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """1, 2, 3 … without a gap."""
    previous: Mapped[str]
    """The digest of the block before; 64 zeros for the first."""
    root: Mapped[str]
    size: Mapped[int]
    closed_at: Mapped[datetime]
    digest: Mapped[str] = mapped_column(unique=True)


class Evidence(Base):
    """One thing that happened to a signature (存证). Append-only: triggers refuse any change but its place in a block."""

    __tablename__ = "evidence"
    __table_args__ = (
        Index("evidence_open", "id", postgresql_where=text("block_id is null"), sqlite_where=text("block_id is null")),
        Index("evidence_block_id_idx", "block_id", "position"),
        Index("evidence_signature_id_idx", "signature_id"),
        Index("evidence_recipient_id_idx", "recipient_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    act: Mapped[str]
    at: Mapped[datetime]
    enterprise_id: Mapped[int | None]
    recipient_id: Mapped[int | None]
    signature_id: Mapped[int | None]
    body: Mapped[str]
    """Canonical JSON: act, at, facts without anything personal, and the commitment to what is personal."""
    leaf: Mapped[str]
    """SHA-256 over a zero byte and the body, as in RFC 6962."""
    block_id: Mapped[int | None] = mapped_column(ForeignKey("evidence_block.id"))
    position: Mapped[int | None]


class EvidencePersonal(Base):
    """What is personal in a row of evidence, with the salt of its commitment; the only part that an erasure takes away."""

    __tablename__ = "evidence_personal"

    evidence_id: Mapped[int] = mapped_column(ForeignKey("evidence.id"), primary_key=True)
    contact_id: Mapped[int | None]
    salt: Mapped[str]
    content: Mapped[dict[str, Any]]
