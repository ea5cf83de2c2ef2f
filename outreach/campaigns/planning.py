"""Plan a campaign: freeze its recipients, texts and settings, measure and price it, and give it the digest that is approved."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from outreach.campaigns import digests, drafts, figures, freezing, proofs, recurrence
from outreach.campaigns.definition import Definition
from outreach.campaigns.drafts import Draft
from outreach.database import bulk
from outreach.database.tables import Address, Campaign, CampaignStep, Contact, Enterprise, Recipient, RecipientContact, RecipientEnterprise
from outreach.errors import BadInput, Refused
from outreach.outbox import senders, texts
from outreach.outbox.states import CARRIED
from outreach.pledges import versions
from outreach.rendering import checks, layouts, templates
from outreach.settings import Settings

CONDITIONS = ("always", "unreached", "unopened", "unsigned")
SOMEONE = {"enterprise": "示例企业", "enterprises": ["示例企业"], "enterprise_count": 1, "contact": "张三", "town": "示例镇", "code": "7K3M9P"}
"""A recipient with nothing remarkable about it."""


class AlreadyLaunched(Refused):
    """Campaign {name} was launched already and can not be planned again; give the file another name."""


class ConditionNotBuilt(Refused):
    """Step {step}: {what} is not there yet; take it out for now."""


class GoalNotBuilt(Refused):
    """The goal {what} is not there yet; a campaign can ask for a pledge: goal = {{ pledge = "no-arrears-2026" }}"""


class SenderUnknown(BadInput):
    """Step {step}: there is no sender {sender} for the channel {channel} in the settings."""


def plan(
    session: Session,
    definition: Definition,
    *,
    settings: Settings,
    path: Path | None,
    planned_by: str,
    now: datetime,
    progress: Callable[[int], None] = lambda _count: None,
) -> Campaign:
    """Plan a campaign anew and return it, with its figures in `summary`. An earlier plan of that name, and its approval, are void.

    Raises what is wrong with the file, the audience or a template, before anything is kept.
    """
    drafts.require_in_time(definition)
    recurrence.require_sound(definition, settings, now=now)
    draft = _draft(definition, settings, now=now)
    senders.store(session, settings)
    _forget_earlier_plan(session, definition.name)
    _require_sendable(
        draft, [{**draft.fields, **SOMEONE, "link": draft.example_link}]
    )  # what is the template's own fault is said before any enterprise is blamed
    campaign = _store_campaign(session, draft, path=path, planned_by=planned_by, now=now)
    _store_goal(session, campaign, draft, now=now)
    unprintable = freezing.store_recipients(session, campaign, draft, progress)
    bulk.take_stock(session, Enterprise, Contact, Address, Recipient, RecipientContact, RecipientEnterprise)
    samples = figures.samples_of(session, campaign, link=draft.example_link, by_name="wechat" in draft.channels)
    _require_sendable(draft, samples)
    for number in (number for number, layout in enumerate(draft.layouts, 1) if layout):
        proofs.require_settable(session, campaign, number=number, samples=samples, settings=settings, now=now)
    campaign.digest = digests.digest(session, campaign)
    summary = figures.summary(session, campaign, draft, samples)
    warnings = [*drafts.late(definition, now=now), *drafts.waiting_for_a_font(unprintable, settings), *drafts.formless(draft)]
    campaign.summary = {**summary, "warnings": [*warnings, *summary["warnings"]]}
    session.flush()
    return campaign


def _draft(definition: Definition, settings: Settings, *, now: datetime) -> Draft:
    for number, step in enumerate(definition.steps, 1):
        if step.when not in CONDITIONS:
            raise ConditionNotBuilt(step=number, what=f"when = {step.when}")
    goal = definition.goal
    if goal and (goal.event or goal.form):
        raise GoalNotBuilt(what="event" if goal.event else "form")
    found = [templates.load(step.text, settings.template_folders) for step in definition.steps]
    printed = [layouts.load(template.layout, settings.template_folders) if template.layout else None for template in found]
    draft = Draft(definition, settings, found, drafts.shared_fields(definition, settings, now=now), printed)
    for number, step in enumerate(definition.steps, 1):
        if not draft.pool(step) if step.channel not in CARRIED else step.sender:
            raise SenderUnknown(step=number, sender=step.sender or definition.sender or "-", channel=step.channel)
    return draft


def _forget_earlier_plan(session: Session, name: str) -> None:
    earlier = session.execute(select(Campaign).where(Campaign.name == name).with_for_update()).scalar_one_or_none()
    if earlier is None:
        return
    if earlier.launched_at is not None:
        raise AlreadyLaunched(name=name)
    for table in (RecipientContact, RecipientEnterprise):
        session.execute(delete(table).where(table.recipient_id.in_(select(Recipient.id).where(Recipient.campaign_id == earlier.id))))
    for child in (Recipient, CampaignStep):
        session.execute(delete(child).where(child.campaign_id == earlier.id))
    session.delete(earlier)
    session.flush()


def _store_campaign(session: Session, draft: Draft, *, path: Path | None, planned_by: str, now: datetime) -> Campaign:
    definition = draft.definition
    campaign = Campaign(
        name=definition.name,
        title=definition.title,
        state="planned",
        mode=draft.settings.mode,
        definition=definition.document(),
        path=str(path.resolve()) if path else None,
        fields=dict(draft.fields),
        inputs=digests.inputs(draft),
        summary={},
        digest="",
        planned_by=planned_by,
        planned_at=now,
    )
    session.add(campaign)
    session.flush()
    for number, step in enumerate(definition.steps):
        session.add(
            CampaignStep(
                campaign_id=campaign.id,
                number=number + 1,
                channel=step.channel,
                template=step.text,
                condition=step.when,
                after_seconds=int(step.after.total_seconds()),
                every_seconds=int(step.every.total_seconds()) if step.every else None,
                until=recurrence.until(definition, step),
                text_id=texts.freeze(session, draft.templates[number], signature=draft.signature(number), layout=draft.layouts[number]),
                sender=draft.sender_of(step),
            )
        )
    session.flush()
    return campaign


def _store_goal(session: Session, campaign: Campaign, draft: Draft, *, now: datetime) -> None:
    """Freeze the texts that will be asked to be signed, so that they are part of what is approved."""
    pledge = draft.definition.goal.pledge if draft.definition.goal else None
    if pledge is None:
        return
    version = versions.freeze(session, pledge, settings=draft.settings, now=now)
    campaign.pledge_version_id = version.id
    campaign.inputs = {**campaign.inputs, "pledge": version.digest}
    session.flush()


def _require_sendable(draft: Draft, samples: Sequence[Mapping[str, Any]]) -> None:
    for number in range(len(draft.templates)):
        for problem in draft.problems(number, samples):
            if problem.refuses:
                raise freezing.TemplateRefused(step=number + 1, reason=checks.words(problem))
