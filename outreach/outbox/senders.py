"""The senders of the office: their settings written into their rows, where the valve stands."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, exists, select, update
from sqlalchemy.orm import Session

from outreach.database import tables
from outreach.database.engine import database_now
from outreach.database.wechat_tables import Binding, Follower
from outreach.outbox import bound, limits, receipts
from outreach.settings import Sender, Settings


def store(session: Session, settings: Settings) -> dict[str, int]:
    """Write the senders of the settings into their rows of this mode, and return their ids by name. Limits in use go on where they stand."""
    known = {row.name: row.id for row in session.execute(_of_mode(settings))}
    if not settings.rehearsal:
        forget_rehearsal(session)
    for sender in settings.sender:
        step = limits.step_us(sender.per_second)
        values = {
            "channel": sender.channel,
            "provider": sender.provider,
            "config": sender.model_dump(mode="json", by_alias=True),
            "step_us": step,
            "burst_us": limits.burst_us(step),
            "day_limit": sender.daily,
        }
        if sender.name in known:
            session.execute(update(tables.Sender).where(tables.Sender.id == known[sender.name]).values(values))
        else:
            row = tables.Sender(name=sender.name, mode=settings.mode, **values)
            session.add(row)
            session.flush()
            known[sender.name] = row.id
            if sender.channel == "wechat" and not settings.rehearsal:
                forget_rehearsed_followers(session, now=database_now(session))
    return known


def ids(session: Session, settings: Settings) -> dict[int, Sender]:
    """Return the settings of each sender by the id of its row."""
    by_name = {sender.name: sender for sender in settings.sender}
    return {row.id: by_name[row.name] for row in session.execute(_of_mode(settings)) if row.name in by_name}


def _of_mode(settings: Settings) -> Select[int, str]:
    return select(tables.Sender.id, tables.Sender.name).where(tables.Sender.mode == settings.mode).order_by(tables.Sender.id)


def forget_rehearsal(session: Session) -> None:
    """Lift what only the sandbox said of an address: a provider's code, where no sender of production ever wrote to it."""
    address, delivery, sender = tables.Address, tables.Delivery, tables.Sender
    coded = address.suppressed_reason.in_(receipts.SUPPRESSING) & address.suppressed_source.not_in(bound.BY_PEOPLE)
    earnest = exists().where(delivery.address_id == address.id, sender.id == delivery.sender_id, sender.mode == "production", delivery.attempt > 0)
    lifted = {"suppressed_at": None, "suppressed_reason": None, "suppressed_source": None}
    session.execute(update(address).where(coded, ~earnest).values(lifted))


def forget_rehearsed_followers(session: Session, *, now: datetime) -> None:
    """Let go of all followers when the real account is there for the first time: until now only the sandbox had any."""
    session.execute(update(Binding).where(Binding.ended_at.is_(None)).values(ended_at=now, ended_reason="rehearsal"))
    session.execute(update(Follower).values(follows=False, left_at=now, asked_code=None, asked_at=None, spoke_at=None))


def serving(senders: Sequence[Sender], address: str) -> Sender | None:
    """Return the sender whose prefix fits an address best: the longest wins. An openid has no prefix: the first account serves it."""
    fitting = [
        (len(prefix), -place, sender)
        for place, sender in enumerate(senders)
        for prefix in (("",) if sender.channel == "wechat" else sender.prefixes)
        if address.startswith(prefix)
    ]
    return max(fitting, key=lambda fit: fit[:2])[2] if fitting else None


def resume(session: Session, ids: Collection[int]) -> None:
    """Let halted senders go on: their trouble was mended, or the provider was asked to begin the day's count anew."""
    mended = update(tables.Sender).where(tables.Sender.id.in_(ids))
    session.execute(mended.values(paused_at=None, paused_reason=None, uncertain_run=0, breaker_until=None, quota_until=None))
