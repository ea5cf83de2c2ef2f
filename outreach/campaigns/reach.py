"""By what a contact can be reached now: the phone that a text goes to, the openid that a WeChat message goes to."""

from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, and_, exists, func, insert, literal, select
from sqlalchemy.orm import Session

from outreach.database.tables import Address, Contact, Recipient, RecipientContact
from outreach.database.wechat_tables import Binding
from outreach.outbox.bound import bound, refused_elsewhere


def openid() -> ScalarSelect[str]:
    """Return the openid that is bound to `Contact`, as the address of a message; null where there is none."""
    return select(Binding.openid).where(bound()).correlate(Contact).scalar_subquery()


def by_wechat() -> ColumnElement[bool]:
    """Return that `Contact` is bound to an openid that may be written to."""
    refused = exists().where(Address.channel == "wechat", Address.value == Binding.openid, Address.suppressed_at.is_not(None)).correlate(Binding)
    return and_(exists().where(bound(), ~refused).correlate(Contact), ~refused_elsewhere("wechat"))


def recipients_by_wechat(session: Session, campaign_id: int) -> int:
    """Return how many recipients of a campaign have a contact whom WeChat can reach now."""
    mine = (
        select(func.count(RecipientContact.recipient_id.distinct()))
        .join(Recipient, Recipient.id == RecipientContact.recipient_id)
        .join(Contact, Contact.id == RecipientContact.contact_id)
        .where(Recipient.campaign_id == campaign_id, by_wechat())
    )
    return session.scalar(mine) or 0


def make_addresses(session: Session, channel: str) -> None:
    """Give every known phone, or openid, its address row: suppression, cap and flight are facts of the address."""
    if channel == "wechat":
        known = select(literal(channel), Binding.openid).join(Contact, bound()).distinct()
        value: Any = Binding.openid
    else:
        known = select(literal(channel), Contact.phone).where(Contact.phone != "", Contact.erased_at.is_(None)).distinct()
        value = Contact.phone
    missing = known.where(~select(Address.id).where(Address.channel == channel, Address.value == value).exists())
    session.execute(insert(Address).from_select(["channel", "value"], missing, include_defaults=False))
