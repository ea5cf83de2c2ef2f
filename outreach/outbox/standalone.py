"""Messages outside a campaign: one-time codes, confirmations, tests. Each has a purpose of its own, so that none goes out twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.database import bulk
from outreach.database.tables import Address, Delivery, MessageText
from outreach.outbox import senders, texts
from outreach.rendering import segments, templates
from outreach.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Standalone:
    """One message to one address. `purpose` is what it is for, such as confirmation:17; `fields` fill the template."""

    purpose: str
    to: str
    fields: Mapping[str, Any]
    due_at: datetime


def queue(session: Session, template: str, messages: Sequence[Standalone], *, settings: Settings, channel: str = "sms") -> int:
    """Queue messages of one template, and return how many: those whose purpose is known already, or whom no sender serves, are left out."""
    pool = [sender for sender in settings.sender if sender.channel == channel]
    served = {message.purpose: (message, sender) for message in messages if (sender := senders.serving(pool, message.to))}
    known = set(session.scalars(select(Delivery.purpose).where(Delivery.purpose.in_(served))))
    fresh = [(message, sender) for purpose, (message, sender) in served.items() if purpose not in known]
    if not fresh:
        return 0
    text_id, digest = _freeze(session, template, settings)
    sender_ids = senders.store(session, settings)
    addresses = address_ids(session, channel, [message.to for message, _sender in fresh])
    secrets = texts.Secrets(settings.office_key, settings.public_url)

    def measured(message: Standalone) -> int:
        said = texts.body(session, digest, secrets.added(dict(message.fields), recipient=None, generation=None))
        return segments.segments(said) if channel == "sms" else 1

    rows = [
        {
            "purpose": message.purpose,
            "channel": channel,
            "sender_id": sender_ids[sender.name],
            "address_id": addresses[message.to],
            "text_id": text_id,
            "fields": dict(message.fields),
            "state": "queued",
            "segments": measured(message),
            "due_at": message.due_at,
        }
        for message, sender in fresh
    ]
    bulk.insert_rows(session, Delivery, rows, ignore_conflicts=True)
    return len(rows)


def address_ids(session: Session, channel: str, values: Sequence[str]) -> dict[str, int]:
    """Return the id of each address on a channel, made where it is new."""
    bulk.insert_rows(session, Address, [{"channel": channel, "value": value} for value in sorted(set(values))], ignore_conflicts=True)
    rows = session.execute(select(Address.value, Address.id).where(Address.channel == channel, Address.value.in_(set(values))))
    return {row.value: row.id for row in rows}


def _freeze(session: Session, template: str, settings: Settings) -> tuple[int, str]:
    found = templates.load(template, settings.template_folders)
    text_id = texts.freeze(session, found, signature=found.signature or settings.sms_signature)
    return text_id, session.execute(select(MessageText.digest).where(MessageText.id == text_id)).scalar_one()
