"""Bounds on guessing: so many wrong tries a code, a network address and the whole office, counted before anything is looked up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database import bulk
from outreach.database.pledge_tables import Attempts
from outreach.database.types import Moment
from outreach.errors import Refused

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class TooManyTries(Refused):
    """Too many tries; please wait an hour, or ring the office."""

    status = 429


@dataclass(frozen=True, slots=True)
class Bound:
    """At most so many tries within a window. The key says what is counted; it holds digests, never what was typed."""

    key: str
    most: int
    window: timedelta


def for_code(key: str, code: str, address: str) -> list[Bound]:
    """Return what bounds the typing of a code and its digits: 5 wrong tries an hour on one code, 20 from one address, 2,000 in all.

    With 38,000 codes among 24 million and four digits, 2,000 tries an hour find one enterprise in four months.
    """
    return [
        Bound(f"address:{_hidden(key, address)}", 20, HOUR),
        Bound(f"code:{_hidden(key, code)}", 5, HOUR),
        Bound("office:code", 2000, HOUR),
    ]


def for_one_time_code(key: str, phone: str, address: str) -> list[Bound]:
    """Return what bounds the sending of one-time codes: 5 a day to one phone, 1 a minute, 20 an hour from one address."""
    return [
        Bound(f"sent-lately:{_hidden(key, phone)}", 1, timedelta(minutes=1)),
        Bound(f"sent:{_hidden(key, phone)}", 5, DAY),
        Bound(f"sent-from:{_hidden(key, address)}", 20, HOUR),
    ]


def spend(session: Session, bounds: Sequence[Bound], *, now: datetime) -> None:
    """Count one try against each bound in turn.

    Raises TooManyTries at the first that is used up, and spares those behind it: whoever guesses
    beyond his own bound locks nobody else's code.
    """
    for bound in bounds:
        if _count(session, bound, now=now) > bound.most:
            raise TooManyTries()


def hold(session: Session, bounds: Sequence[Bound], *, now: datetime) -> None:
    """Lock the counters of many tries at once and in the order of `spend`, so that two groups of tries never wait for each other in a circle."""
    keys = sorted({bound.key for bound in bounds})
    if not keys:
        return
    bulk.insert_rows(session, Attempts, [{"key": key, "began_at": now, "used": 0} for key in keys], ignore_conflicts=True)
    session.execute(select(Attempts.key).where(Attempts.key.in_(keys)).order_by(Attempts.key).with_for_update(key_share=True))


def give_back(session: Session, bounds: Sequence[Bound]) -> None:
    """Take a try back that was right: only wrong ones count."""
    keys = [bound.key for bound in bounds]
    session.execute(update(Attempts).where(Attempts.key.in_(keys), Attempts.used > 0).values(used=Attempts.used - 1))


def _count(session: Session, bound: Bound, *, now: datetime) -> int:
    """Count a try in one statement, so that a thousand at once are a thousand; the window begins with its first try."""
    insert: Any = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    over = or_(Attempts.began_at <= now - bound.window, Attempts.began_at > now)
    statement = (
        insert(Attempts)
        .values(key=bound.key, began_at=now, used=1)
        .on_conflict_do_update(
            index_elements=[Attempts.key],
            set_={"used": case((over, 1), else_=Attempts.used + 1), "began_at": case((over, literal(now, Moment())), else_=Attempts.began_at)},
        )
        .returning(Attempts.used)
    )
    return int(session.execute(statement).scalar_one())


def _hidden(key: str, value: str) -> str:
    return tokens.keyed(key, "attempts", value)[:12].hex()
