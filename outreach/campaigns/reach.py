"""By what somebody can be reached now: the phone that a text goes to, the openid of a WeChat message, the postal address of a letter."""

from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, and_, exists, func, insert, literal, select
from sqlalchemy.orm import Session

from outreach.contacts import postal
from outreach.database.tables import Address, Contact, Enterprise, Recipient, RecipientContact, RecipientEnterprise
from outreach.database.wechat_tables import Binding
from outreach.outbox.bound import bound, refused_elsewhere
from outreach.outbox.states import CARRIED


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


def recipients_by_letter(session: Session, campaign_id: int) -> int:
    """Return how many recipients of a campaign have an enterprise with an address from which no letter came back."""
    spoken = RecipientEnterprise
    mine = (
        select(func.count(spoken.recipient_id.distinct()))
        .join(Recipient, Recipient.id == spoken.recipient_id)
        .join(Enterprise, Enterprise.id == spoken.enterprise_id)
        .where(spoken.campaign_id == campaign_id, Recipient.exclusion.is_(None), postal.usable())
    )
    return session.scalar(mine) or 0


def make_addresses(session: Session, channel: str) -> None:
    """Give every known phone, openid or postal address its row: suppression, cap and flight are facts of the address. A visit needs none."""
    if channel == "wechat":
        known = select(literal(channel), Binding.openid).join(Contact, bound()).distinct()
        value: Any = Binding.openid
    elif channel == postal.CHANNEL:
        known = select(literal(channel), postal.value()).where(Enterprise.address != "").distinct()
        value = postal.value()
    elif channel in CARRIED:
        return
    else:
        known = select(literal(channel), Contact.phone).where(Contact.phone != "", Contact.erased_at.is_(None)).distinct()
        value = Contact.phone
    missing = known.where(~select(Address.id).where(Address.channel == channel, Address.value == value).exists())
    session.execute(insert(Address).from_select(["channel", "value"], missing, include_defaults=False))
