"""Confirm what was signed: one text to the registered phone for each act of signing, so that who did not sign it himself hears of it.

A person who signs for several enterprises at once gets one text. Paper and staff are not confirmed, nor who said that he wants no texts.
Nothing is written at night; what was withdrawn by the morning is not confirmed any more.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Text, and_, cast, exists, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from outreach.database.pledge_tables import Signature
from outreach.database.tables import Address, Campaign, Contact, Delivery
from outreach.outbox import hours, standalone
from outreach.outbox.claim import PATIENT
from outreach.outbox.standalone import Standalone
from outreach.settings import Settings

TEMPLATE = "sms/pledge-confirmation"
SINCE = timedelta(days=1)
"""What was signed earlier is not confirmed any more: after a long outage the text would only puzzle."""
AT_ONCE = 500
UNCONFIRMED = ("paper", "staff")
"""Ways in whose signer stood before us."""


def confirm(session: Session, *, settings: Settings, now: datetime) -> int:
    """Queue the confirmations that are due, at most AT_ONCE enterprises' a time, and return how many texts that makes."""
    if hours.campaign_opens_at(settings, {}, now) > now:
        return 0
    rows = session.execute(_unconfirmed(settings.mode, now=now)).all()
    shared = {"office": settings.office_name, "place": settings.office_place, "hotline": settings.hotline, "account": settings.wechat_name}
    acts = [(act, list(signatures)) for act, signatures in groupby(rows, key=lambda row: int(row.act))]
    whole = acts[:-1] if len(rows) == AT_ONCE and len(acts) > 1 else acts
    return standalone.queue(session, TEMPLATE, [_message(act, signatures, shared, now=now) for act, signatures in whole], settings=settings)


def _message(act: int, signatures: Sequence[Row[int, str, str, str]], shared: dict[str, Any], *, now: datetime) -> Standalone:
    first = signatures[0]
    fields = {
        **shared,
        "enterprise": first.enterprise,
        "enterprises": [row.enterprise for row in signatures],
        "enterprise_count": len(signatures),
        "serial": first.serial,
    }
    return Standalone(purpose=f"{PATIENT}{act}", to=first.phone, fields=fields, due_at=now)


def _unconfirmed(mode: str, *, now: datetime) -> Select[int, str, str, str]:
    """Return the signatures to be confirmed, act by act. An act goes by the number of its first signature, whatever became of that one."""
    purpose = literal(PATIENT, Text()) + cast(_act(), Text())
    wanted = [
        Signature.state == "signed",
        Signature.way.not_in(UNCONFIRMED),
        Signature.signed_at > now - SINCE,
        Contact.phone != "",
        Contact.erased_at.is_(None),
        Address.suppressed_at.is_(None),
        or_(Campaign.id.is_(None), Campaign.mode == mode),
        ~exists().where(Delivery.purpose == purpose).correlate(Signature),
    ]
    return (
        select(_act().label("act"), Signature.enterprise, Signature.serial, Contact.phone)
        .join(Contact, Contact.id == Signature.contact_id)
        .outerjoin(Address, and_(Address.channel == "sms", Address.value == Contact.phone))
        .outerjoin(Campaign, Campaign.id == Signature.campaign_id)
        .where(*wanted)
        .order_by("act", Signature.id)
        .limit(AT_ONCE)
    )


def _act() -> ColumnElement[int]:
    """Return the first signature that was made through the same recipient at the same moment; the signature itself where nobody's link was used."""
    other = aliased(Signature)
    same = (other.recipient_id == Signature.recipient_id, other.signed_at == Signature.signed_at)
    first = select(func.min(other.id)).where(*same).correlate(Signature).scalar_subquery()
    return func.coalesce(first, Signature.id)
