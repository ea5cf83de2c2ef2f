"""One-time codes (验证码): six digits by text to the registered phone, bound to recipient and text, good for five minutes and five tries."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.pledge_tables import OneTimeCode
from outreach.errors import BadInput, Refused
from outreach.links import guessing
from outreach.links.resolving import Visitor
from outreach.outbox import standalone
from outreach.outbox.standalone import Standalone
from outreach.pledges import sealing
from outreach.pledges.evidence import Entry
from outreach.settings import Settings

GOOD_FOR = timedelta(minutes=5)
COUNTS_FOR = timedelta(minutes=30)
"""How long after a right code one may take to sign."""
TRIES = 5
TEMPLATE = "sms/one-time-code"


class NoPhone(Refused):
    """No mobile is registered for this enterprise, so no one-time code can be sent; please sign on paper, or ring the office."""


class CodeWrong(BadInput):
    """This one-time code is not right, or not any more. It has six digits and is good for five minutes; ask for a new one if need be."""


def send(session: Session, visitor: Visitor, *, address: str, settings: Settings, now: datetime) -> None:
    """Queue a code to the visitor's registered phone; earlier ones are void. Raises NoPhone and TooManyTries.

    Only an HMAC of the code is kept. The text's own fields hold a nonce, of which the office's key makes the digits when it is sent.
    """
    if not visitor.phone:
        raise NoPhone(what="code")
    guessing.spend(session, guessing.for_one_time_code(settings.office_key, visitor.phone, address), now=now)
    nonce = tokens.serial()
    row = OneTimeCode(
        recipient_id=visitor.recipient_id,
        version_id=visitor.version.id,
        nonce=nonce,
        code_hmac=_hmac(settings.office_key, visitor, tokens.one_time_code(settings.office_key, nonce)),
        sent_at=now,
    )
    session.add(row)
    session.flush()
    message = Standalone(purpose=f"one-time-code:{row.id}", to=visitor.phone, fields={"nonce": nonce}, due_at=now)
    if not standalone.queue(session, TEMPLATE, [message], settings=settings):
        raise NoPhone(what="code")
    sealing.append(session, [_entry("code_sent", visitor, now)])


def check(session: Session, visitor: Visitor, code: str, *, settings: Settings, now: datetime) -> None:
    """Take a code; raise CodeWrong for a wrong, late, spent or foreign one. The caller must commit also then: the try is counted."""
    latest = select(OneTimeCode.id).where(*_of(visitor)).order_by(OneTimeCode.id.desc()).limit(1).scalar_subquery()
    tried = (
        update(OneTimeCode)
        .where(OneTimeCode.id == latest, OneTimeCode.tries < TRIES, OneTimeCode.sent_at > now - GOOD_FOR)
        .values(tries=OneTimeCode.tries + 1)
        .returning(OneTimeCode.id, OneTimeCode.code_hmac)
    )
    row = session.execute(tried).one_or_none()
    if row is None or not tokens.same(row.code_hmac, _hmac(settings.office_key, visitor, "".join(code.split()))):
        raise CodeWrong(what="code")
    session.execute(update(OneTimeCode).where(OneTimeCode.id == row.id).values(passed_at=now))
    sealing.append(session, [_entry("code_passed", visitor, now)])


def passed(session: Session, visitor: Visitor, *, now: datetime) -> bool:
    """Whether this visitor gave a right code for this text a short while ago."""
    recent = select(OneTimeCode.id).where(*_of(visitor), OneTimeCode.passed_at > now - COUNTS_FOR)
    return session.scalar(recent.limit(1)) is not None


def sent_lately(session: Session, visitor: Visitor, *, now: datetime) -> bool:
    """Whether a code is on its way that would still be good."""
    return session.scalar(select(OneTimeCode.id).where(*_of(visitor), OneTimeCode.sent_at > now - GOOD_FOR).limit(1)) is not None


def _of(visitor: Visitor) -> tuple[ColumnElement[bool], ...]:
    return OneTimeCode.recipient_id == visitor.recipient_id, OneTimeCode.version_id == visitor.version.id


def _hmac(key: str, visitor: Visitor, code: str) -> str:
    return tokens.keyed(key, "one-time-code-of", visitor.recipient_id, visitor.version.digest, code).hex()


def _entry(act: str, visitor: Visitor, now: datetime) -> Entry:
    facts = {"pledge": visitor.version.pledge, "version": visitor.version.digest}
    return Entry(act=act, at=now, enterprise_id=None, recipient_id=visitor.recipient_id, signature_id=None, facts=facts)
