"""What an approval binds: the digest of all that a plan froze, and of all that it was made from."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.campaigns.drafts import Draft
from outreach.database.tables import Campaign, CampaignStep, MessageText, Recipient, RecipientContact, RecipientEnterprise
from outreach.settings import Settings

SLICE = 5000


def digest(session: Session, campaign: Campaign) -> str:
    """Return the digest of the plan as it stands in the database: definition, texts, settings, fields, and every recipient."""
    frozen = select(CampaignStep.number, MessageText.digest).join(MessageText, MessageText.id == CampaignStep.text_id)
    steps = session.execute(frozen.where(CampaignStep.campaign_id == campaign.id).order_by(CampaignStep.number))
    everyone = hashlib.sha256()
    for line in _frozen_rows(session, campaign.id):
        everyone.update(line)
    return tokens.digest([campaign.definition, campaign.mode, campaign.fields, campaign.inputs, [list(step) for step in steps], everyone.hexdigest()])


def _frozen_rows(session: Session, campaign_id: int) -> Iterator[bytes]:
    mine = select(Recipient.id).where(Recipient.campaign_id == campaign_id).scalar_subquery()
    person, spoken = RecipientContact, RecipientEnterprise
    queries = [
        select(Recipient.id, Recipient.exclusion, Recipient.code, Recipient.town, Recipient.segments, Recipient.fields)
        .where(Recipient.campaign_id == campaign_id)
        .order_by(Recipient.id),
        select(spoken.recipient_id, spoken.enterprise_id).where(spoken.campaign_id == campaign_id).order_by(spoken.recipient_id, spoken.enterprise_id),
        select(person.recipient_id, person.rank, person.contact_id, person.revision, person.name, person.phone, person.sender)
        .where(person.recipient_id.in_(mine))
        .order_by(person.recipient_id, person.rank),
    ]
    for query in queries:
        for row in session.execute(query, execution_options={"yield_per": SLICE}):
            yield json.dumps(list(row), ensure_ascii=False, sort_keys=True).encode()


def inputs(draft: Draft) -> dict[str, Any]:
    """Return the digests of all that a plan is made from, to be compared again at launch."""
    templates = {template.name: template.digest for template in draft.templates}
    layouts = {layout.name: layout.digests for layout in draft.layouts if layout}
    return {"definition": draft.definition.digest, "templates": templates, "layouts": layouts, "settings": of_settings(draft.settings)}


def of_settings(settings: Settings) -> str:
    """Return the digest of the settings that a reader of a message could notice; how fast it is sent is not among them."""
    office = settings.model_dump(mode="json", include={"mode", "office_name", "office_place", "sms_signature", "hotline", "wechat_name", "public_url"})
    pools = [sender.model_dump(mode="json", exclude={"per_second", "in_flight", "daily"}) for sender in settings.sender]
    return tokens.digest([office, pools])
