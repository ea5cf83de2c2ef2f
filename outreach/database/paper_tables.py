"""The tables of what people carry: print batches of letters, and the visits to enterprises with what they brought."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from outreach.database.tables import Base, among

BATCH_STATES = ("rendering", "rendered", "posted", "discarded")
RETURN_REASONS = ("unknown", "moved", "refused", "address", "other")
"""Why the post brought a letter back: addressee unknown, moved away, not taken in, address incomplete, anything else."""
VISIT_RESULTS = ("met", "paper", "will_sign", "new_phone", "closed", "refused", "not_found", "again")
"""What a visit may bring. `again`: nobody was there, and the visit stays open."""


class PrintBatch(Base):
    """Letters of one town that are printed and posted together (印制批次); its number is what people call it by."""

    __tablename__ = "print_batch"
    __table_args__ = (CheckConstraint(among("state", BATCH_STATES), name="state"), Index("print_batch_campaign_id_idx", "campaign_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    step: Mapped[int]
    occurrence: Mapped[int]
    town: Mapped[str] = mapped_column(default="", server_default="")
    state: Mapped[str] = mapped_column(default="rendering", server_default="rendering")
    text_id: Mapped[int] = mapped_column(ForeignKey("message_text.id"))
    enclosures: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    """What lies in each envelope beside the letter, such as 《宣传册》: as many of each as letters are posted."""
    made_at: Mapped[datetime]
    """Also the date inside the PDF: the same batch gives the same bytes."""
    made_by: Mapped[str]
    posted_on: Mapped[datetime | None]
    """The day on which the letters were handed to the post, as staff say."""
    posted_at: Mapped[datetime | None]
    posted_by: Mapped[str | None]


class PrintChunk(Base):
    """A part of a batch that is set in one go (分段): who sets it holds its lease; what was set is kept here until it is posted."""

    __tablename__ = "print_chunk"
    __table_args__ = (
        UniqueConstraint("batch_id", "number"),
        Index("print_chunk_waiting", "id", postgresql_where=text("digest is null"), sqlite_where=text("digest is null")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("print_batch.id", ondelete="cascade"))
    number: Mapped[int]
    lease_until: Mapped[datetime | None]
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The PDF; emptied once posted, for it can be made again."""
    digest: Mapped[str | None]
    """SHA-256 of the PDF; none while it waits to be set."""
    pages: Mapped[int] = mapped_column(default=0, server_default="0")
    rendered_at: Mapped[datetime | None]


class Letter(Base):
    """One letter in a print batch (信件): what stands on its envelope, and where its pages are. One a delivery."""

    __tablename__ = "letter"
    __table_args__ = (Index("letter_batch_id_idx", "batch_id", "chunk", "place"),)

    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"), primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("print_batch.id"))
    chunk: Mapped[int]
    place: Mapped[int]
    """Its place in the batch, from 1."""
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"))
    """The addressee: of several enterprises of one principal, the first that has an address."""
    enterprise: Mapped[str]
    person: Mapped[str]
    address: Mapped[str]
    pages: Mapped[int] = mapped_column(default=0, server_default="0")
    reprints: Mapped[int] = mapped_column(default=0, server_default="0")
    posted_at: Mapped[datetime | None]
    returned_at: Mapped[datetime | None]
    returned_reason: Mapped[str | None]


class VisitTask(Base):
    """A visit that was given to somebody (走访任务): who goes, and when it was put on his list. One a delivery."""

    __tablename__ = "visit_task"
    __table_args__ = (Index("visit_task_visitor_idx", "visitor"),)

    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"), primary_key=True)
    visitor: Mapped[str]
    issued_at: Mapped[datetime]
    issued_by: Mapped[str]


class VisitResult(Base):
    """What a visit to an enterprise brought (走访结果). Append-only; a list that is typed in twice counts once."""

    __tablename__ = "visit_result"
    __table_args__ = (
        CheckConstraint(among("result", VISIT_RESULTS), name="result"),
        UniqueConstraint("fingerprint"),
        Index("visit_result_enterprise_id_idx", "enterprise_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"))
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("delivery.id"))
    result: Mapped[str]
    visitor: Mapped[str] = mapped_column(default="", server_default="")
    visited_on: Mapped[datetime]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """What came of it: the number of a signature, a remark; never a phone."""
    fingerprint: Mapped[str]
    """Over campaign, enterprise, result, visitor and day: the same visit typed in again is the same."""
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]
