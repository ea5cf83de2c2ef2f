"""A text to oneself: one message of a plan, to look at on a real phone; it counts in no statement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.campaigns import directory
from outreach.contacts import cleaning
from outreach.database.tables import Campaign, CampaignStep, Contact, Delivery, MessageText, Recipient
from outreach.database.wechat_tables import Binding, Follower
from outreach.errors import BadInput, NotFound, Refused
from outreach.outbox import senders, standalone, texts
from outreach.outbox.bound import bound
from outreach.rendering import segments
from outreach.settings import Settings


class StepMissing(NotFound):
    """Campaign {name} has no step {step}."""


class NoPhone(BadInput):
    """{value} is no mobile number to send to; give --to 13800138000, or a phone to the account with: outreach staff add"""


class NoFollower(BadInput):
    """{value} is bound to no follower of the account; follow it, send it a code and the four digits, and try again."""


class OnPaper(BadInput):
    """Step {step} of {name} is a letter: say where its proof is written, such as --to proof.pdf"""


class NothingToSend(Refused):
    """Step {step} of {name} is a visit; there is nothing to send. What the visitor says: outreach templates preview {template}"""


@dataclass(frozen=True)
class Trial:
    """A test message that is queued."""

    delivery: int
    document: dict[str, Any]


def queue(session: Session, name: str, *, to: str, step: int, settings: Settings, now: datetime) -> Trial:
    """Queue one test message with the first included recipient's merge fields. Raises StepMissing and NoPhone."""
    campaign, found = step_of(session, name, step)
    if found.channel == "visit":
        raise NothingToSend(name=name, step=step, template=found.template)
    if found.channel == "letter":
        raise OnPaper(name=name, step=step)
    address = _openid(session, to) if found.channel == "wechat" else _phone(to)
    sender = senders.serving([item for item in settings.sender if item.channel == found.channel], address)
    if sender is None:
        raise NoPhone(value=tokens.mask(address))
    fields = first_fields(session, campaign, settings)
    digest = session.execute(select(MessageText.digest).where(MessageText.id == found.text_id)).scalar_one()
    body = texts.body(session, digest, fields)
    measured = segments.measure(body)
    parts = 1 if found.channel == "wechat" else measured.segments
    delivery = Delivery(
        purpose=f"test:{tokens.serial()}",
        step=step,
        channel=found.channel,
        sender_id=senders.store(session, settings)[sender.name],
        address_id=standalone.address_ids(session, found.channel, [address])[address],
        text_id=found.text_id,
        fields=fields,
        state="queued",
        segments=parts,
        due_at=now,
    )
    session.add(delivery)
    session.flush()
    return Trial(delivery.id, {"to": tokens.mask(address), "channel": found.channel, "body": body, "units": measured.units, "segments": parts})


def step_of(session: Session, name: str, number: int) -> tuple[Campaign, CampaignStep]:
    """Return a campaign and one of its steps. Raises StepMissing."""
    campaign = directory.named(session, name)
    wanted = select(CampaignStep).where(CampaignStep.campaign_id == campaign.id, CampaignStep.number == number)
    found = session.execute(wanted).scalar_one_or_none()
    if found is None:
        raise StepMissing(name=name, step=number)
    return campaign, found


def first_fields(session: Session, campaign: Campaign, settings: Settings) -> dict[str, Any]:
    """Return the merge fields of a campaign's first recipient, with a link that leads nowhere."""
    first = select(Recipient.fields).where(Recipient.campaign_id == campaign.id, Recipient.exclusion.is_(None)).order_by(Recipient.id).limit(1)
    link = tokens.link_url(settings.public_url, "x" * tokens.LINK_LENGTH)
    return {**campaign.fields, **(session.scalar(first) or {}), "link": link}


def _openid(session: Session, value: str) -> str:
    """Return the openid of a follower: given as such, or bound to a contact with this phone. Raises NoFollower."""
    if session.scalar(select(Follower.id).where(Follower.openid == value)):
        return value
    try:
        phone = cleaning.phone(value)
    except cleaning.Unclean as error:
        raise NoFollower(value=tokens.mask(value)) from error
    found = session.scalar(select(Binding.openid).join(Contact, bound()).where(Contact.phone == phone).limit(1))
    if found is None:
        raise NoFollower(value=tokens.mask(phone))
    return found


def _phone(value: str) -> str:
    try:
        return cleaning.phone(value)
    except cleaning.Unclean as error:
        raise NoPhone(value=value or "-") from error


def outcome(session: Session, delivery: int) -> dict[str, Any]:
    """Return what became of a test message: its state and error code."""
    row = session.execute(select(Delivery.state, Delivery.error_code).where(Delivery.id == delivery)).one()
    return {"state": row.state, "error": row.error_code}
