"""The proof of a letter: one page, or two, of a plan as they will be printed, to be looked at before anybody approves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.campaigns import trial
from outreach.database.tables import Campaign, CampaignStep, MessageText, PledgeVersion
from outreach.errors import BadInput, OutreachError
from outreach.letters import documents
from outreach.letters.documents import LetterText, Paper
from outreach.settings import Settings


class NotOnPaper(BadInput):
    """Step {step} of {name} goes out by {channel}, not on paper; give --to a phone."""


@dataclass(frozen=True)
class Proof:
    """A letter as it will be printed, for the first recipient: his name and code, and a link that leads nowhere."""

    text: LetterText
    paper: Paper

    def pdf(self, *, settings: Settings, now: datetime) -> bytes:
        """Return it set; no transaction need be open. Raises GlyphMissing and LayoutBroken."""
        return documents.chunk(self.text, [self.paper], settings=settings, now=now).content


def require_settable(session: Session, campaign: Campaign, *, number: int, samples: Sequence[Mapping[str, Any]], settings: Settings, now: datetime) -> None:
    """Set a step's letter for some samples, and raise what is wrong where none of them can be: then it is the text, or its layout."""
    _campaign, found = trial.step_of(session, campaign.name, number)
    faults: list[OutreachError] = []
    for sample in samples:
        try:
            _proof(session, campaign, found, sample).pdf(settings=settings, now=now)
        except OutreachError as error:
            faults.append(error)
        else:
            return
    if faults:
        raise faults[0]


def proof(session: Session, name: str, *, step: int, settings: Settings) -> Proof:
    """Return the proof of a step that is a letter. Raises StepMissing and NotOnPaper."""
    campaign, found = trial.step_of(session, name, step)
    if found.channel != "letter":
        raise NotOnPaper(name=name, step=step, channel=found.channel)
    return _proof(session, campaign, found, trial.first_fields(session, campaign, settings))


def _proof(session: Session, campaign: Campaign, found: CampaignStep, fields: Mapping[str, Any]) -> Proof:
    frozen = session.execute(select(MessageText).where(MessageText.id == found.text_id)).scalar_one()
    pledge = session.get(PledgeVersion, campaign.pledge_version_id) if campaign.pledge_version_id else None
    text = documents.text_of(frozen, campaign.fields, pledge=pledge)
    forms = [(0, fields["enterprise"], fields["town"], fields["link"])] if text.form else []
    return Proof(text, Paper(fields["code"], fields["enterprise"], fields["contact"], fields["town"], fields["link"], fields, forms))
