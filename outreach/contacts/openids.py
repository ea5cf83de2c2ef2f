"""What the office's WeChat account knows of a contact, and how it is forgotten when he is erased."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Text, cast, delete, exists, func, literal, select, update
from sqlalchemy.orm import Session, aliased

from outreach.database.tables import Contact, Delivery, Receipt, RecipientContact, Reply
from outreach.database.types import Moment
from outreach.database.wechat_tables import Binding, Follower, Scene


def hold(session: Session, contact: int) -> None:
    """Lock the followers whom a contact is bound to: in the conversation too, people are locked before contacts."""
    mine = select(Binding.openid).where(Binding.contact_id == contact)
    session.execute(select(Follower.id).where(Follower.openid.in_(mine)).order_by(Follower.id).with_for_update())


def own(session: Session, contact: int) -> set[str]:
    """Return the openids that are or were bound to a contact, but for those that are bound to somebody else now."""
    other = aliased(Binding)
    elsewhere = exists().where(other.openid == Binding.openid, other.contact_id != contact, other.ended_at.is_(None))
    return set(session.scalars(select(Binding.openid).where(Binding.contact_id == contact, ~elsewhere).distinct()))


def forget(session: Session, contact: int, openids: Collection[str], *, now: datetime) -> None:
    """End a contact's bindings and empty them; take out the followers with these openids, what they wrote, and the QR codes of nobody else.

    That he was bound, by which way and when, stays: it is counted and names nobody.
    """
    gone = f"erased:{contact}"
    ended = {"ended_at": func.coalesce(Binding.ended_at, literal(now, Moment())), "ended_reason": func.coalesce(Binding.ended_reason, "erased")}
    session.execute(update(Binding).where(Binding.contact_id == contact).values(openid=gone, phone="", **ended))
    session.execute(update(Binding).where(Binding.openid.in_(openids)).values(openid=gone))
    session.execute(delete(Follower).where(Follower.openid.in_(openids)))
    for openid in openids:
        for table in (Reply, Receipt, Delivery):  # an event without a number of its own is named by openid and second
            named = table.reference.startswith(f"{openid}:", autoescape=True)
            session.execute(update(table).where(named).values(reference=literal("erased:") + cast(table.id, Text())))
        session.execute(update(Reply).where(Reply.channel == "wechat", Reply.sender == openid).values(sender=gone, body="", answer=None))
    _drop_scenes(session, contact)


def _drop_scenes(session: Session, contact: int) -> None:
    """Drop the QR codes of recipients for whom nobody but this contact could be reached."""
    mine = select(RecipientContact.recipient_id).where(RecipientContact.contact_id == contact)
    others = (
        select(RecipientContact.recipient_id)
        .join(Contact, Contact.id == RecipientContact.contact_id)
        .where(Contact.id != contact, Contact.erased_at.is_(None), RecipientContact.recipient_id == Scene.recipient_id)
        .correlate(Scene)
    )
    session.execute(delete(Scene).where(Scene.recipient_id.in_(mine), ~others.exists()).execution_options(synchronize_session=False))
