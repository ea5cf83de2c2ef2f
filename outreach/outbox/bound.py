"""Whether an openid belongs to a contact now: bound, by the phone that still is the contact's, and following the account."""

from sqlalchemy import ColumnElement, and_, exists

from outreach.database.tables import Contact
from outreach.database.wechat_tables import Binding, Follower


def bound() -> ColumnElement[bool]:
    """Return the condition over `Binding` and `Contact` under which a message may go to this openid in the contact's name.

    A phone that changed since makes the binding void: it was the last digits of the old one that were confirmed.
    """
    follows = exists().where(Follower.openid == Binding.openid, Follower.follows.is_(True)).correlate(Binding)
    return and_(Binding.contact_id == Contact.id, Binding.ended_at.is_(None), Binding.phone == Contact.phone, Contact.erased_at.is_(None), follows)
