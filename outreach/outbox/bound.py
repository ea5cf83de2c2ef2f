"""Whether an openid belongs to a contact now: bound, by the phone that still is the contact's, and following the account.

And what follows from that: who said no on one of the two is written to on neither, whichever came first, the no or the binding.
"""

from sqlalchemy import ColumnElement, and_, exists
from sqlalchemy.orm import aliased

from outreach.database.tables import Address, Contact
from outreach.database.wechat_tables import Binding, Follower

BY_REPLY = "reply"
"""The source of a suppression that the person asked for by a message."""
BY_PEOPLE = ("staff", BY_REPLY, "page")
"""Sources of a suppression that people asked for; every other is a provider's code."""


def bound() -> ColumnElement[bool]:
    """Return the condition over `Binding` and `Contact` under which a message may go to this openid in the contact's name.

    A phone that changed since makes the binding void: it was the last digits of the old one that were confirmed.
    """
    follows = exists().where(Follower.openid == Binding.openid, Follower.follows.is_(True)).correlate(Binding)
    return and_(Binding.contact_id == Contact.id, Binding.ended_at.is_(None), Binding.phone == Contact.phone, Contact.erased_at.is_(None), follows)


def refused_elsewhere(channel: str) -> ColumnElement[bool]:
    """Return that `Contact` said no on the other channel: to texts where `channel` is wechat, in WeChat where it is sms.

    Only what people said counts: a number that a provider calls dead says nothing of the person.
    """
    other = aliased(Address)
    said_no = other.suppressed_source.in_(BY_PEOPLE)
    if channel == "wechat":
        return exists().where(other.channel == "sms", other.value == Contact.phone, said_no).correlate(Contact)
    mine = (Binding.contact_id == Contact.id, Binding.ended_at.is_(None), Binding.phone == Contact.phone)
    return exists().where(*mine, other.channel == "wechat", other.value == Binding.openid, said_no).correlate(Contact)
