"""Answer by hand what somebody wrote: a customer-service message in WeChat while its window is open, or a filed text to the phone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database import tables
from outreach.database.tables import Delivery
from outreach.database.wechat_tables import Follower
from outreach.errors import BadInput, NotFound, Refused
from outreach.links.conversation import CHANNEL
from outreach.outbox import standalone
from outreach.rendering import templates
from outreach.settings import Settings

PLAIN = "wechat/answer"
"""The template around what staff write in their own words."""
LONGEST = 500


class ReplyUnknown(NotFound):
    """There is no reply {id}; `outreach replies list` shows those there are."""


class AnsweredBefore(Refused):
    """Reply {id} was answered by {by}; whoever wrote must write again before there is another answer."""


class WindowOver(Refused):
    """Reply {id}: WeChat lets an answer through for {hours} hours after somebody last wrote; that is over. Ring the enterprise."""


class HasLeft(Refused):
    """Reply {id}: whoever wrote it has left the account; WeChat lets no answer through. Ring the enterprise."""


class NoText(BadInput):
    """An answer has 1 to {longest} characters."""


class NotForAnswers(BadInput):
    """{template} cannot answer a reply of the channel {channel}; choose a template of that channel, in WeChat one without an id of its own."""


class WordsNotFiled(Refused):
    """A text to a phone goes out only from a filed template: give --template sms/NAME instead of --text."""


class NobodySends(Refused):
    """No sender serves the channel {channel}; `outreach check` says what is missing."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that is queued."""

    reply: int
    delivery: int
    to: str
    body: str


IN_VAIN = ("failed", "undelivered", "skipped")
"""States in which an answer never came."""


def purpose_of(reply_id: int) -> str:
    """Return the purpose of the answer to a reply."""
    return f"answer:{reply_id}"


def _require_unanswered(session: Session, reply: tables.Reply) -> None:
    """Refuse a second answer, unless the first never came: then that one makes room."""
    earlier = session.scalars(select(Delivery).where(Delivery.purpose == purpose_of(reply.id))).one_or_none()
    if reply.answered_at is not None and (earlier is None or earlier.state not in IN_VAIN):
        raise AnsweredBefore(id=reply.id, by=reply.answered_by)
    if earlier is not None:
        earlier.purpose = f"{earlier.purpose}:in-vain:{earlier.id}"
        session.flush()


def answer(session: Session, reply_id: int, *, template: str | None = None, text: str | None = None, settings: Settings, by: str, now: datetime) -> Answered:
    """Queue the answer to a reply, once (again only where it never came): from a template, or in words of one's own. `by` is who answers.

    Raises ReplyUnknown, AnsweredBefore, NotForAnswers, NoText, WordsNotFiled, HasLeft, WindowOver, NobodySends.
    """
    reply = session.scalars(select(tables.Reply).where(tables.Reply.id == reply_id).with_for_update()).one_or_none()
    if reply is None:
        raise ReplyUnknown(what="reply", name=str(reply_id), id=reply_id)
    _require_unanswered(session, reply)
    name = _template(reply, template, text, settings)
    if reply.channel == CHANNEL:
        _require_window(session, reply, settings, now=now)
    fields = {**_office(settings), "answer": (text or "").strip()}
    purpose = purpose_of(reply_id)
    message = standalone.Standalone(purpose=purpose, to=reply.sender, fields=fields, due_at=now)
    body = templates.render(templates.load(name, settings.template_folders), fields)
    if not standalone.queue(session, name, [message], settings=settings, channel=reply.channel):
        raise NobodySends(channel=reply.channel)
    reply.answered_by, reply.answered_at = by, now
    delivery = session.execute(select(Delivery.id).where(Delivery.purpose == purpose)).scalar_one()
    return Answered(reply_id, delivery, tokens.mask(reply.sender), body)


def _template(reply: tables.Reply, template: str | None, text: str | None, settings: Settings) -> str:
    """Return the template to answer with, one that this channel may carry to somebody who wrote."""
    if template is None:
        if not text or not text.strip() or len(text.strip()) > LONGEST:
            raise NoText(longest=LONGEST)
        if reply.channel != CHANNEL:
            raise WordsNotFiled()
        return PLAIN
    found = templates.load(template, settings.template_folders)
    if found.channel != reply.channel or templates.via(found) not in ("", "service"):
        raise NotForAnswers(template=template, channel=reply.channel)
    return template


def _require_window(session: Session, reply: tables.Reply, settings: Settings, *, now: datetime) -> None:
    person = session.execute(select(Follower.follows, Follower.spoke_at).where(Follower.openid == reply.sender)).one_or_none()
    if person is None or not person.follows:
        raise HasLeft(id=reply.id)
    if person.spoke_at is None or now - person.spoke_at >= settings.wechat_window:
        raise WindowOver(id=reply.id, hours=int(settings.wechat_window.total_seconds() // 3600))


def _office(settings: Settings) -> dict[str, Any]:
    return {"office": settings.office_name, "place": settings.office_place, "hotline": settings.hotline, "account": settings.wechat_name}
