"""A small office in its tables, with recipients and deliveries in any state that the tables allow."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

from sqlalchemy.orm import Session

from outreach.database import bulk
from outreach.database.tables import (
    FINAL,
    OPEN,
    Address,
    Campaign,
    CampaignStep,
    Contact,
    Delivery,
    Enterprise,
    MessageText,
    Recipient,
    RecipientContact,
    RecipientEnterprise,
    Sender,
)

from conftest import NOON  # isort: skip

TABLES = (
    MessageText,
    Sender,
    Campaign,
    CampaignStep,
    Enterprise,
    Recipient,
    RecipientEnterprise,
    Contact,
    Address,
    RecipientContact,
    Delivery,
)
"""In an order in which each finds what it names."""
TOWNS = ("逍林镇", "桥头镇", "")
CAMPAIGNS = (("惠民-2026", "production"), ("second", "production"), ("trial", "rehearsal"))
REASONS: dict[str, Sequence[str | None]] = {
    "skipped": ("suppressed", "no_address", "cancelled"),
    "failed": ("address", "temporary", "content"),
    "undelivered": ("temporary", None),
    "unknown": ("lease_over", "http 503"),
}
CODES: dict[str, Sequence[str | None]] = {"failed": ("21211", "21614"), "undelivered": ("30005", "30008", None), "queued": (None, None, "20003")}


@dataclass(frozen=True)
class Tried:
    """One delivery: how it stands, which of the reasons and codes for that it has, and when it left."""

    state: str
    pick: int = 0
    doubled: bool = False
    hours: int = 0


@dataclass(frozen=True)
class Person:
    """A recipient: its campaign and town by number, for how many enterprises it speaks, and its deliveries by step and rank."""

    campaign: int
    town: int
    enterprises: int
    steps: Sequence[Sequence[Tried]]


def write(session: Session, people: Sequence[Person]) -> None:
    """Write a small office: its campaigns, these recipients with enterprises and contacts, and their deliveries."""
    kept: dict[type[Any], list[dict[str, Any]]] = defaultdict(list)
    moments = {"created_at": NOON, "updated_at": NOON}
    kept[MessageText].append({"id": 1, "digest": "d", "name": "sms/pledge-invitation", "source": "…", "signature": "示例人社"})
    kept[Sender] += [{"id": key, "name": name, "channel": "sms", "provider": "twilio"} for key, name in ((1, "sms"), (2, "other"))]
    plan = {"title": "t", "definition": {}, "fields": {}, "inputs": {}, "summary": {}, "digest": "", "planned_by": "alice", "planned_at": NOON}
    for key, (name, mode) in enumerate(CAMPAIGNS, 1):
        kept[Campaign].append({"id": key, "name": name, "state": "running", "mode": mode, **plan})
        step = {"campaign_id": key, "channel": "sms", "template": "t", "condition": "always", "after_seconds": 0, "text_id": 1, "sender": None}
        kept[CampaignStep] += [step | {"number": number} for number in (1, 2)]
    for key, person in enumerate(people, 1):
        own = [len(kept[Enterprise]) + place for place in range(1, person.enterprises + 1)]
        for number in own:
            kept[Enterprise].append(
                {
                    "id": number,
                    "credit_code": f"code{number}" if number % 3 else None,
                    "name": f"示例企业{number}",
                    "town": TOWNS[person.town],
                    "industry": ("制造", "建筑", "")[number % 3],
                    "scale": ("规上", "规下")[number % 2],
                    "department": ("经信", "住建")[number % 2],
                    **moments,
                }
            )
        names = [f"示例企业{number}" for number in own]
        fields = {"enterprise": names[0], "enterprises": names, "code": "SECRET"}
        kept[Recipient].append(
            {"id": key, "campaign_id": person.campaign + 1, "exclusion": None, "code": f"c{key}", "town": TOWNS[person.town], "fields": fields}
        )
        kept[RecipientEnterprise] += [{"recipient_id": key, "enterprise_id": number, "campaign_id": person.campaign + 1} for number in own]
        for rank in range(max((len(tried) for tried in person.steps), default=0)):
            contact = len(kept[Contact]) + 1
            phone = f"+86138{contact:08}"
            kept[Contact].append({"id": contact, "enterprise_id": own[0], "name": f"张{contact}", "phone": phone, "rank": rank, **moments})
            kept[Address].append({"id": contact, "channel": "sms", "value": phone})
            kept[RecipientContact].append({"recipient_id": key, "rank": rank, "contact_id": contact, "revision": 1, "name": f"张{contact}", "phone": phone})
        first = len(kept[Contact]) - max((len(tried) for tried in person.steps), default=0) + 1
        for step_number, tried in enumerate(person.steps, 1):
            kept[Delivery] += [_delivery(len(kept[Delivery]) + rank + 1, key, person, step_number, rank, one, first) for rank, one in enumerate(tried)]
    alone = _delivery(len(kept[Delivery]) + 1, 1, Person(0, 0, 1, ()), 1, 0, Tried("delivered"), 1)
    kept[Address].append({"id": len(kept[Address]) + 1, "channel": "sms", "value": "+8613900000000"})
    alone |= {"campaign_id": None, "recipient_id": None, "contact_id": None, "purpose": "test:1", "address_id": len(kept[Address])}
    kept[Delivery].append(alone)  # a message outside campaigns counts nowhere
    for table in TABLES:
        bulk.insert_rows(session, table, kept[table])


def _delivery(key: int, recipient: int, person: Person, step: int, rank: int, tried: Tried, first_contact: int) -> dict[str, Any]:
    reasons, codes = REASONS.get(tried.state, (None,)), CODES.get(tried.state, (None,))
    at = NOON + timedelta(hours=tried.hours)
    left = tried.state not in ("queued", "skipped")
    lost = tried.state == "skipped" and reasons[tried.pick % len(reasons)] == "no_address"
    return {
        "id": key,
        "campaign_id": person.campaign + 1,
        "recipient_id": recipient,
        "purpose": None,
        "step": step,
        "occurrence": 1,
        "rank": rank,
        "channel": "sms",
        "sender_id": None if lost else 1 + tried.pick % 2,
        "address_id": None if lost else first_contact + rank,
        "contact_id": first_contact + rank,
        "contact_revision": 1,
        "text_id": 1,
        "state": tried.state,
        "reason": reasons[tried.pick % len(reasons)],
        "error_code": codes[tried.pick % len(codes)],
        "attempt": int(left),
        "segments": 1,
        "due_at": NOON if left else at,
        "claimed_at": at if left else None,
        "final_at": at + timedelta(minutes=1) if tried.state in FINAL else None,
        "reference": f"SM{key}" if left else None,
        "doubled": tried.doubled and left,
    }


def crowd(size: int, seed: int = 7) -> list[Person]:
    """The same few hundred recipients each time, in all states."""
    chance = Random(seed)

    def tried(states: Sequence[str]) -> Tried:
        return Tried(chance.choice(states), chance.randrange(6), chance.random() < 0.1, chance.randrange(40))

    people = []
    for _one in range(size):
        steps = [[tried(FINAL) for _rank in range(chance.randint(1, 3))] for _step in range(chance.randint(1, 2))]
        if chance.random() < 0.4:
            steps[-1][-1] = tried(OPEN)
        people.append(Person(chance.randrange(3), chance.randrange(3), chance.randint(1, 3), steps))
    return people
