"""What a plan is made from: the definition, the settings, the templates and the merge fields that all recipients share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from outreach import tokens
from outreach.campaigns import definition as files
from outreach.campaigns.definition import Definition, Step
from outreach.channels import directory
from outreach.clock import OFFICE_ZONE
from outreach.errors import BadInput
from outreach.i18n import gettext as _
from outreach.outbox.states import CARRIED
from outreach.rendering import checks
from outreach.rendering.checks import Problem
from outreach.rendering.layouts import Layout
from outreach.rendering.templates import MessageTemplate
from outreach.settings import Sender, Settings

NAMED = 20
"""Names in a warning; the rest is a number."""


class StartTooLate(BadInput):
    """The campaign starts on {start}, after its deadline {deadline}: nobody could sign in time; mend one of them in the file."""


@dataclass(frozen=True)
class Draft:
    """What a plan is made from."""

    definition: Definition
    settings: Settings
    templates: Sequence[MessageTemplate]
    fields: Mapping[str, Any]
    layouts: Sequence[Layout | None] = ()
    """The layout of each step that is printed."""

    def pool(self, step: Step) -> list[Sender]:
        """The senders that may serve a step."""
        wanted = self.sender_named(step)
        return [sender for sender in self.settings.sender if sender.channel == step.channel and wanted in (None, sender.name)]

    def sender_named(self, step: Step) -> str | None:
        """The sender that the file names for a step; what is said for the whole campaign holds for the steps of that sender's channel."""
        whole = self.definition.sender
        elsewhere = any(sender.name == whole and sender.channel != step.channel for sender in self.settings.sender)
        return step.sender or (None if elsewhere else whole)

    def sender_of(self, step: Step) -> str | None:
        """The sender that is frozen with a step; none where the longest prefix decides, and where people carry it."""
        if step.channel in CARRIED:
            return None
        return self.pool(step)[0].name if step.channel == "wechat" else self.sender_named(step)

    @property
    def text_step(self) -> int | None:
        """The place of the first step that goes to phones, by which texts are measured; None where none does."""
        return next((place for place, step in enumerate(self.definition.steps) if step.channel == "sms"), None)

    @property
    def channels(self) -> frozenset[str]:
        """The channels by which this campaign can reach anybody."""
        return frozenset(step.channel for step in self.definition.steps)

    @property
    def example_link(self) -> str:
        """A link as long as everybody's own, to measure with; it leads nowhere."""
        return tokens.link_url(self.settings.public_url, "x" * tokens.LINK_LENGTH)

    def signature(self, number: int) -> str:
        """The signature of a step's text: its template's own, else the office's."""
        return self.templates[number].signature or self.settings.sms_signature

    def links_allowed(self, number: int) -> bool:
        """Whether every sender that may serve a step allows links."""
        return all(sender.links == "allowed" for sender in self.pool(self.definition.steps[number]))

    def problems(self, number: int, samples: Sequence[Mapping[str, Any]]) -> list[Problem]:
        """All that is wrong with a step's template on these samples, and with any provider's way of writing it that may serve the step."""
        providers = {sender.provider for sender in self.pool(self.definition.steps[number])}
        filed = checks.plain_fields_only(self.templates[number], samples=samples) if providers & directory.FILLS_TEMPLATES else []
        return filed + checks.problems(
            self.templates[number],
            signature=self.settings.sms_signature,
            links_allowed=self.links_allowed(number),
            production=not self.settings.rehearsal,
            samples=samples,
        )


def require_in_time(definition: Definition) -> None:
    """Raise StartTooLate where the first message would go out when it is too late to sign."""
    start, deadline = definition.start, definition.deadline
    if start is not None and deadline is not None and start >= end(deadline):
        raise StartTooLate(start=files.chinese_date(start, year=True), deadline=files.chinese_date(deadline, year=True))


def late(definition: Definition, *, now: datetime) -> list[str]:
    """Return a warning where the deadline, which the texts may name, is past."""
    deadline = definition.deadline
    if deadline is None or now < end(deadline):
        return []
    return [_("the deadline {deadline} is past").format(deadline=files.chinese_date(deadline, year=True))]


def waiting_for_a_font(unprintable: Sequence[tuple[str, str]], settings: Settings) -> list[str]:
    """Return a warning that names the enterprises whose letters wait until a font is there that has all their characters."""
    if not unprintable:
        return []
    names = "；".join(f"{name} {characters}" for name, characters in unprintable[:NAMED])
    text = _("{count} names hold characters that no font here has; their letters wait until one is laid into {folder}: {names}")
    return [text.format(count=len(unprintable), folder=settings.home / "fonts", names=names + ("…" if len(unprintable) > NAMED else ""))]


def formless(draft: Draft) -> list[str]:
    """Return a warning where a letter is to bring a sheet to sign, and the campaign asks for no pledge."""
    asks = draft.definition.goal is not None and draft.definition.goal.pledge is not None
    wanting = [template.name for template in draft.templates if template.form and not asks]
    return [_("{template} brings a sheet to sign, and the campaign has no pledge as its goal; no sheet is printed").format(template=name) for name in wanting]


def end(deadline: datetime) -> datetime:
    """Return the moment when a deadline is over; one that is a day lasts until its end."""
    is_a_day = deadline.astimezone(OFFICE_ZONE).time() == time()
    return deadline + timedelta(days=1) if is_a_day else deadline


def shared_fields(definition: Definition | None, settings: Settings, *, now: datetime) -> dict[str, Any]:
    """Return the merge fields that are the same for every recipient."""
    deadline = definition.deadline if definition else None
    return {
        "office": settings.office_name,
        "place": settings.office_place,
        "hotline": settings.hotline,
        "account": settings.wechat_name,
        "date": files.chinese_date(now, year=True),
        "deadline": files.chinese_date(deadline, year=False) if deadline else None,
        "deadline_time": _in_full(deadline) if deadline else None,
    }


def _in_full(deadline: datetime) -> str:
    """Write a deadline with its year, as forms want it; one that is a day has no hour."""
    local = deadline.astimezone(OFFICE_ZONE)
    return files.chinese_date(deadline, year=True) + ("" if local.time() == time() else f" {local:%H:%M}")
