"""The tables of the office's WeChat account: who follows it, which openid is whose, scenes of QR codes, and announcements to all."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from outreach.database.tables import Base, among

BINDING_WAYS = ("conversation", "scene", "oauth")
"""How somebody showed whose openid it is: by typing his code, by scanning his QR code, or in the pledge page."""
ANNOUNCEMENT_STATES = ("planned", "approved", "sending", "unknown", "submitted", "sent", "failed")


class Follower(Base):
    """Somebody who met the office's account (粉丝): whether he follows it, and where the conversation with him stands."""

    __tablename__ = "follower"

    id: Mapped[int] = mapped_column(primary_key=True)
    openid: Mapped[str] = mapped_column(unique=True)
    follows: Mapped[bool] = mapped_column(default=False, server_default=false())
    followed_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]
    spoke_at: Mapped[datetime | None]
    """When he last wrote, which opens the window for customer-service messages."""
    moved_at: Mapped[datetime | None]
    """The provider's time of the newest event: an older one that comes late changes nothing."""
    chose_at: Mapped[datetime | None]
    """The provider's time of his newest "no more" or "again": an older one that comes late changes nothing."""
    asked_code: Mapped[str | None]
    """The code that he sent, while his four digits are awaited."""
    asked_way: Mapped[str | None]
    """conversation, or scene where the code came by scanning."""
    asked_at: Mapped[datetime | None]
    subscriptions: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """Subscription notices by template id: accept or reject."""


class Binding(Base):
    """An openid that belongs to a contact (绑定). It holds while it is not ended and the contact's phone is still the one confirmed."""

    __tablename__ = "binding"
    __table_args__ = (
        CheckConstraint(among("way", BINDING_WAYS), name="way"),
        Index("one_binding_a_contact", "contact_id", unique=True, postgresql_where=text("ended_at is null"), sqlite_where=text("ended_at is null")),
        Index("binding_openid_idx", "openid"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    openid: Mapped[str]
    contact_id: Mapped[int] = mapped_column(ForeignKey("contact.id"))
    phone: Mapped[str] = mapped_column(default="", server_default="")
    """The contact's phone when he confirmed it by its last four digits."""
    way: Mapped[str]
    bound_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None]
    """unsubscribed, rebound, erased."""


class Scene(Base):
    """What a QR code of the account stands for (场景): a recipient's own, or a poster's. The provider's ticket is asked for once."""

    __tablename__ = "scene"

    id: Mapped[int] = mapped_column(primary_key=True)
    scene: Mapped[str] = mapped_column(unique=True)
    """What the provider sends back when it is scanned: a random word, never a phone."""
    recipient_id: Mapped[int | None] = mapped_column(ForeignKey("recipient.id", ondelete="cascade"))
    label: Mapped[str] = mapped_column(default="", server_default="")
    """Of a poster: where it hangs."""
    url: Mapped[str]
    """What the QR code holds."""
    expires_at: Mapped[datetime | None]
    made_at: Mapped[datetime]


class Announcement(Base):
    """A mass message to the followers (群发): one text for all, approved by a second account, with the provider's own totals."""

    __tablename__ = "announcement"
    __table_args__ = (CheckConstraint(among("state", ANNOUNCEMENT_STATES), name="state"), Index("announcement_reference_key", "reference", unique=True))

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    mode: Mapped[str]
    state: Mapped[str] = mapped_column(default="planned", server_default="planned")
    template: Mapped[str]
    body: Mapped[str]
    tag: Mapped[int | None]
    """The provider's tag of followers; none is all."""
    digest: Mapped[str]
    planned_by: Mapped[str]
    planned_at: Mapped[datetime]
    approved_by: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    sent_by: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    reference: Mapped[str | None]
    """The provider's msg_id."""
    status: Mapped[str | None]
    """The provider's last word, such as `send success` or `err(10001)`; of a refusal its code."""
    total: Mapped[int | None]
    filtered: Mapped[int | None]
    sent: Mapped[int | None]
    errors: Mapped[int | None]
    ended_at: Mapped[datetime | None]


class MassResult(Base):
    """What became of a mass message, as the provider told it under its own id; kept also where nobody knows yet which one that is."""

    __tablename__ = "mass_result"

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str]
    total: Mapped[int]
    filtered: Mapped[int]
    sent: Mapped[int]
    errors: Mapped[int]
    received_at: Mapped[datetime]
