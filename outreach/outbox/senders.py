"""The senders of the office: their settings written into their rows, where the valve stands."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from outreach.database import tables
from outreach.errors import NotFound
from outreach.outbox import limits
from outreach.settings import Sender, Settings


def store(session: Session, settings: Settings) -> dict[str, int]:
    """Write the senders of the settings into their rows, and return their ids by name. Limits in use go on where they stand."""
    known = {row.name: row.id for row in session.execute(select(tables.Sender.name, tables.Sender.id))}
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
            row = tables.Sender(name=sender.name, **values)
            session.add(row)
            session.flush()
            known[sender.name] = row.id
    return known


def ids(session: Session, settings: Settings) -> dict[int, Sender]:
    """Return the settings of each sender by the id of its row."""
    by_name = {sender.name: sender for sender in settings.sender}
    rows = session.execute(select(tables.Sender.id, tables.Sender.name).order_by(tables.Sender.id))
    return {row.id: by_name[row.name] for row in rows if row.name in by_name}


def serving(senders: Sequence[Sender], phone: str) -> Sender | None:
    """Return the sender whose prefix fits a phone best: the longest wins."""
    fitting = [(len(prefix), -place, sender) for place, sender in enumerate(senders) for prefix in sender.prefixes if phone.startswith(prefix)]
    return max(fitting, key=lambda fit: fit[:2])[2] if fitting else None


def resume(session: Session, name: str) -> None:
    """Let a halted sender go on: its trouble was mended."""
    found = session.execute(
        update(tables.Sender)
        .where(tables.Sender.name == name)
        .values(paused_at=None, paused_reason=None, uncertain_run=0, breaker_until=None)
        .returning(tables.Sender.id)
    ).first()
    if found is None:
        raise NotFound(what="sender", name=name)
