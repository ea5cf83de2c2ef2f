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


def recipients_by(session: Session, campaign_id: int, channel: str) -> dict[str, int]:
    """Return how many included recipients of a campaign a channel can reach now (`reached`), and of letters how many came back before."""
    included = (
        select(func.count(Recipient.id.distinct()))
        .select_from(Recipient)
        .outerjoin(RecipientContact, RecipientContact.recipient_id == Recipient.id)
        .outerjoin(Contact, Contact.id == RecipientContact.contact_id)
        .where(Recipient.campaign_id == campaign_id, Recipient.exclusion.is_(None))
    )

    def those(*conditions: ColumnElement[bool]) -> int:
        return session.scalar(included.where(*conditions)) or 0

    if channel == postal.CHANNEL:
        reached = those(_some_enterprise(postal.usable()))
        return {"reached": reached, "suppressed": those(_some_enterprise(Enterprise.address != "")) - reached}
    if channel in CARRIED:
        return {"reached": those()}
    return {"reached": those(by_wechat() if channel == "wechat" else RecipientContact.sender.is_not(None))}


def _some_enterprise(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    spoken = RecipientEnterprise
    return exists().where(spoken.recipient_id == Recipient.id, Enterprise.id == spoken.enterprise_id, condition).correlate(Recipient)


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
