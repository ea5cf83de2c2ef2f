"""The figures of a plan: enterprises, principals and messages as three counts, exclusions, segments, cost, and samples to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Text, cast, func, select
from sqlalchemy.orm import Session

from outreach import clock, tokens
from outreach.campaigns import reach, recurrence
from outreach.campaigns.drafts import Draft
from outreach.database.tables import Campaign, Enterprise, Recipient, RecipientContact, RecipientEnterprise
from outreach.errors import Refused
from outreach.i18n import gettext as _
from outreach.outbox import texts
from outreach.rendering import checks, segments, templates


class NobodyReachable(Refused):
    """Nobody of this audience can be reached ({excluded}); nothing to plan."""


def samples_of(session: Session, campaign: Campaign, *, link: str, by_name: bool = False) -> list[dict[str, Any]]:
    """Return merge fields to look at: the first recipient's, those of the longest text and of the longest values.

    `by_name` adds those of the longest names of an enterprise and of a person: a WeChat template counts each of its fields.
    """
    included = select(Recipient.fields).where(Recipient.campaign_id == campaign.id, Recipient.exclusion.is_(None)).limit(1)
    orders: list[Any] = [Recipient.id, Recipient.segments.desc(), func.length(cast(Recipient.fields, Text)).desc()]
    if by_name:
        spoken, person = RecipientEnterprise, RecipientContact
        names = select(func.max(func.length(Enterprise.name))).join(spoken, spoken.enterprise_id == Enterprise.id).where(spoken.recipient_id == Recipient.id)
        people = select(func.max(func.length(person.name))).where(person.recipient_id == Recipient.id)
        orders += [longest.correlate(Recipient).scalar_subquery().desc() for longest in (names, people)]
    found: list[dict[str, Any]] = []
    for order in orders:
        fields = session.scalar(included.order_by(order, Recipient.id))
        if fields is not None and fields not in found:
            found.append(fields)
    return [{**campaign.fields, **fields, "link": link} for fields in found]


def summary(session: Session, campaign: Campaign, draft: Draft, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the plan's figures in the shape of `campaign plan --format json`."""
    reasons = select(Recipient.exclusion, func.count(), func.coalesce(func.sum(Recipient.segments), 0)).where(Recipient.campaign_id == campaign.id)
    rows = session.execute(reasons.group_by(Recipient.exclusion)).all()
    excluded = {reason: count for reason, count, _segments in rows if reason is not None}
    recipients = sum(count for reason, count, _segments in rows if reason is None)
    if not recipients:
        raise NobodyReachable(excluded=", ".join(f"{reason} {count}" for reason, count in sorted(excluded.items())))
    selected = session.scalar(select(func.count()).select_from(RecipientEnterprise).where(RecipientEnterprise.campaign_id == campaign.id)) or 0
    segments = int(sum(total for reason, _count, total in rows if reason is None))
    counts = _Counts(recipients, segments, {channel: reach.recipients_by(session, campaign.id, channel) for channel in draft.channels})
    return {
        "campaign": campaign.name,
        "mode": campaign.mode,
        "code": tokens.approval_code(campaign.digest),
        "digest": campaign.digest,
        "planned_by": campaign.planned_by,
        "planned_at": clock.wire(campaign.planned_at),
        "enterprises": {"selected": selected, "excluded": sum(excluded.values()), "merged": selected - recipients - sum(excluded.values())},
        "recipients": recipients,
        "excluded": dict(sorted(excluded.items())),
        "start": clock.wire(draft.definition.start),
        "steps": [_step_summary(draft, number, counts, samples, now=campaign.planned_at) for number in range(len(draft.templates))],
        "warnings": _warnings(draft, samples),
    }


@dataclass(frozen=True, slots=True)
class _Counts:
    """How many recipients there are, the segments of the first text to their phones, and how many of them each channel can reach now."""

    recipients: int
    segments: int
    by: Mapping[str, Mapping[str, int]]
    """By channel: `reached`, and why the others are not."""


def _step_summary(draft: Draft, number: int, counts: _Counts, samples: Sequence[Mapping[str, Any]], *, now: datetime) -> dict[str, Any]:
    """Return one step's figures: exact for the first, upper bounds for the later ones.

    `messages` are those of one occurrence; `segments` and `cost` are of all the `occurrences` that there can be.
    """
    step = draft.definition.steps[number]
    write = texts.signed(draft.templates[number], draft.signature(number))
    bodies = list(dict.fromkeys(write(sample) for sample in samples))
    occurrences = recurrence.most(draft.definition, number + 1, now=now)
    messages, left = _reached(step.channel, counts, first=number == 0)
    if number == draft.text_step:
        total = occurrences * counts.segments
    else:
        total = occurrences * messages * (max(segments.segments(body) for body in bodies) if step.channel == "sms" else 1)
    price = draft.settings.letter_price if step.channel == "letter" else max((sender.price for sender in draft.pool(step)), default=Decimal(0))
    return {
        "step": number + 1,
        "channel": step.channel,
        "template": step.text,
        "when": step.when,
        "after": f"{int(step.after.total_seconds())}s",
        "every": f"{int(step.every.total_seconds())}s" if step.every else None,
        "until": clock.wire(recurrence.until(draft.definition, step)),
        "occurrences": occurrences,
        "messages": messages,
        "skipped": left,
        "segments": total,
        "cost": str((price * total).quantize(Decimal("0.01"))),
        "samples": bodies,
    }


def _reached(channel: str, counts: _Counts, *, first: bool) -> tuple[int, dict[str, int]]:
    """Return how many messages a step is, and why others get none. In WeChat more may follow until a later step: that is an upper bound."""
    if channel == "wechat" and not first:
        return counts.recipients, {}
    reached, *others = counts.by[channel].items()
    left = {reason: count for reason, count in others if count}
    return reached[1], left | ({"no_address": rest} if (rest := counts.recipients - reached[1] - sum(left.values())) else {})


def _warnings(draft: Draft, samples: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [problem for number in range(len(draft.templates)) for problem in draft.problems(number, samples) if not problem.refuses]
    service = [_in_window(number) for number, template in enumerate(draft.templates, 1) if templates.via(template) == "service"]
    return list(dict.fromkeys([*map(checks.words, found), *service]))


def _in_window(number: int) -> str:
    return _("step {number}: a customer-service message reaches only who wrote to the account in the last two days; give the template an id").format(
        number=number
    )
