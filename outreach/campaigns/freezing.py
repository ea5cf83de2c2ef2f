"""Freeze the recipients of a plan: each with its code, its merge fields, the enterprises spoken for and the contacts in order."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.campaigns import reach, selection
from outreach.campaigns.drafts import Draft
from outreach.campaigns.selection import Chosen
from outreach.database import bulk
from outreach.database.tables import Campaign, Recipient, RecipientContact, RecipientEnterprise
from outreach.errors import Refused
from outreach.outbox import texts
from outreach.rendering import characters, checks, fonts, segments, templates, wechat_checks
from outreach.rendering.fonts import Shelf

CHUNK = 2000
SOMEBODY = "负责人"
"""How a contact without a name is addressed."""


class TemplateRefused(Refused):
    """Step {step}: {reason}"""


class NobodyChosen(Refused):
    """The audience selects nobody. Try it first: outreach audience preview '{audience}'"""


class BodyRefused(Refused):
    """Enterprise {enterprise}: its text would hold {fault}, which may not be sent; mend the name in the contacts and plan again."""


def store_recipients(session: Session, campaign: Campaign, draft: Draft, progress: Callable[[int], None]) -> list[tuple[str, str]]:
    """Freeze the recipients of a plan, and tell `progress` how many so far. Raises NobodyChosen, BodyRefused and TemplateRefused.

    Returns the enterprises whose letter no font here can set, each with the characters that are missing.
    """
    steps = draft.definition.steps
    alternates = draft.definition.alternates if draft.definition.alternates is not None else draft.settings.alternates
    for channel in sorted(draft.channels):
        reach.make_addresses(session, channel)
    place = draft.text_step
    everyone = selection.chosen(
        session,
        draft.definition.audience,
        channels=draft.channels,
        pool=[] if place is None else draft.pool(steps[place]),
        alternates=alternates,
        per_address=draft.definition.one_per == "address",
    )
    write = None if place is None else texts.signed(draft.templates[place], draft.signature(place))
    shelf = fonts.shelf(draft.settings.home) if any(draft.layouts) else None
    unprintable: list[tuple[str, str]] = []
    count = 0
    while chunk := list(islice(everyone, CHUNK)):
        rows = _store_chunk(session, campaign, draft, chunk, write)
        unprintable += _unprintable(rows, shelf) if shelf else []
        count += len(chunk)
        progress(count)
    if not count:
        raise NobodyChosen(audience=draft.definition.audience)
    return unprintable


def _store_chunk(session: Session, campaign: Campaign, draft: Draft, chunk: Sequence[Chosen], write: texts.Write | None) -> list[dict[str, Any]]:
    ids = bulk.new_ids(session, Recipient, len(chunk))
    codes = iter(_new_codes(session, sum(item.exclusion is None for item in chunk)))
    recipients = [_recipient_row(key, campaign, item, None if item.exclusion else next(codes), draft, write) for key, item in zip(ids, chunk, strict=True)]
    bulk.insert_rows(session, Recipient, recipients)
    spoken_for = [(key, enterprise) for key, item in zip(ids, chunk, strict=True) for enterprise, _name in item.enterprises]
    bulk.insert_rows(
        session,
        RecipientEnterprise,
        [{"recipient_id": key, "enterprise_id": enterprise, "campaign_id": campaign.id} for key, enterprise in spoken_for],
    )
    people = [
        {
            "recipient_id": key,
            "rank": rank,
            "contact_id": person.contact_id,
            "revision": person.revision,
            "name": person.name,
            "phone": person.phone,
            "sender": person.sender,
        }
        for key, item in zip(ids, chunk, strict=True)
        if item.exclusion is None
        for rank, person in enumerate(item.people)
    ]
    bulk.insert_rows(session, RecipientContact, people)
    return recipients


def _unprintable(rows: Sequence[Mapping[str, Any]], shelf: Shelf) -> list[tuple[str, str]]:
    """Return who is written to under a name that cannot be set whole; a look at all of them together comes first, for most are fine."""
    written = {row["id"]: "".join([*row["fields"]["enterprises"], row["fields"]["contact"], row["fields"]["town"]]) for row in rows if row["code"]}
    if not fonts.missing("".join(written.values()), shelf):
        return []
    found = ((row["fields"]["enterprise"], fonts.missing(written[row["id"]], shelf)) for row in rows if row["code"])
    return [(name, fonts.named(absent)) for name, absent in found if absent]


def _recipient_row(key: int, campaign: Campaign, item: Chosen, code: str | None, draft: Draft, write: texts.Write | None) -> dict[str, Any]:
    names = [name for _key, name in item.enterprises]
    fields: dict[str, Any] = {"enterprise": names[0], "enterprises": names, "enterprise_count": len(names), "town": item.town}
    measured = 0
    if code is not None:
        fields |= {"contact": (item.people[0].name if item.people else item.principal) or SOMEBODY, "code": code}
        measured = 1 if write is None else _measured(write, fields, draft) if any(person.sender for person in item.people) else 0
        _require_fitting(draft, fields)
    return {"id": key, "campaign_id": campaign.id, "exclusion": item.exclusion, "code": code, "town": item.town, "fields": fields, "segments": measured}


def _measured(write: texts.Write, fields: Mapping[str, Any], draft: Draft) -> int:
    """Write the first text to a phone and return its segments. Raises BodyRefused for what a name may not bring into it."""
    place = draft.text_step
    assert place is not None
    body = write({**draft.fields, **fields, "link": draft.example_link})
    for fault in characters.faults(body[body.index("】") + 1 :], links_allowed=draft.links_allowed(place)):
        raise BodyRefused(enterprise=fields["enterprise"], fault=fault)
    measured = segments.segments(body)
    if measured > checks.MOST_SEGMENTS:
        raise BodyRefused(enterprise=fields["enterprise"], fault=f"{measured} segments")
    return measured


def _new_codes(session: Session, how_many: int) -> list[str]:
    """Make personal codes that no recipient of any campaign holds."""
    codes: set[str] = set()
    while len(codes) < how_many:
        fresh = {tokens.personal_code() for _ in range(how_many - len(codes))} - codes
        codes |= fresh - set(session.scalars(select(Recipient.code).where(Recipient.code.in_(fresh))))
    return list(codes)


def _require_fitting(draft: Draft, fields: Mapping[str, Any]) -> None:
    """Hold the values of every WeChat message against what its fields take. Raises TemplateRefused for the first that does not fit."""
    for number, (step, template) in enumerate(zip(draft.definition.steps, draft.templates, strict=True), 1):
        if step.channel != "wechat":
            continue
        data = templates.wechat_data(template, {**draft.fields, **fields, "link": draft.example_link})
        for problem in wechat_checks.in_data(template, data):
            if problem.refuses:
                raise TemplateRefused(step=number, reason=checks.words(problem))
