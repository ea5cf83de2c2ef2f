"""Approve a plan: somebody else reads it, and says so with the code that stands for exactly that plan."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from outreach import tokens
from outreach.campaigns import definition as files
from outreach.campaigns import digests, directory
from outreach.database.tables import Campaign
from outreach.errors import NotFound, Refused
from outreach.pledges import versions
from outreach.rendering import layouts, templates
from outreach.rendering.templates import TemplateNotFound
from outreach.settings import Settings


class OwnPlan(Refused):
    """{account} planned this campaign and cannot approve it; another account must."""


class WrongCode(Refused):
    """The code {code} is not the code of this plan; look at the plan and type the code that it shows."""


class NotPlanned(Refused):
    """Campaign {name} is {state}; only a plan can be approved."""


class NotApproved(Refused):
    """Campaign {name} is not approved yet; another account must run: outreach campaign approve {name} --code {code}"""


class ApprovalVoid(Refused):
    """{what} changed after the plan was made; plan and approve it again."""


class OtherMode(Refused):
    """Campaign {name} belongs to the mode {planned} and the settings say {mode}; plan and approve it under another name."""


def approve(session: Session, name: str, *, code: str, account: str, settings: Settings, now: datetime) -> Campaign:
    """Approve the plan that `code` stands for. Raises NotPlanned, OwnPlan, WrongCode and ApprovalVoid."""
    campaign = directory.named(session, name, lock=True)
    if campaign.state not in ("planned", "approved"):
        raise NotPlanned(name=name, state=campaign.state)
    if account == campaign.planned_by:
        raise OwnPlan(account=account)
    if code.strip().upper().replace("-", "") != tokens.approval_code(campaign.digest).replace("-", ""):
        raise WrongCode(code=code)
    require_unchanged(session, campaign, settings)
    campaign.state, campaign.approved_by, campaign.approved_at = "approved", account, now
    return campaign


def require_approved(campaign: Campaign) -> None:
    """Refuse what nobody has approved."""
    if campaign.approved_at is None:
        raise NotApproved(name=campaign.name, code=tokens.approval_code(campaign.digest))


def require_mode(campaign: Campaign, settings: Settings) -> None:
    """Refuse to go on in production with what was planned as a rehearsal, and the other way round."""
    if campaign.mode != settings.mode:
        raise OtherMode(name=campaign.name, planned=campaign.mode, mode=settings.mode)


def require_unchanged(session: Session, campaign: Campaign, settings: Settings) -> None:
    """Refuse a plan whose file, templates or settings changed since, where they are present, or whose rows are not what was digested."""
    require_mode(campaign, settings)
    if campaign.path and Path(campaign.path).is_file() and files.read(Path(campaign.path)).digest != campaign.inputs["definition"]:
        raise ApprovalVoid(what=campaign.path)
    for template, digest in campaign.inputs["templates"].items():
        try:
            present = templates.load(template, settings.template_folders)
        except TemplateNotFound:
            continue  # what is sent was frozen with the plan
        if present.digest != digest:
            raise ApprovalVoid(what=template)
    for name, kept in campaign.inputs.get("layouts", {}).items():
        _require_same_layout(name, kept, settings)
    _require_same_pledge(campaign, settings)
    if digests.of_settings(settings) != campaign.inputs["settings"]:
        raise ApprovalVoid(what="outreach.toml")
    if digests.digest(session, campaign) != campaign.digest:
        raise ApprovalVoid(what="the list of recipients")


def _require_same_layout(name: str, frozen: Mapping[str, str], settings: Settings) -> None:
    try:
        present = layouts.load(name, settings.template_folders).digests
    except NotFound:
        return  # what is printed was frozen with the plan
    changed = sorted(path for path in {*present, *frozen} if present.get(path) != frozen.get(path))
    if changed:
        raise ApprovalVoid(what=changed[0])


def _require_same_pledge(campaign: Campaign, settings: Settings) -> None:
    goal = (campaign.definition.get("goal") or {}).get("pledge")
    if goal is None:
        return
    try:
        digest, _version = versions.read(goal, settings=settings, now=campaign.planned_at)
    except NotFound:
        return  # what is signed was frozen with the plan
    if digest != campaign.inputs["pledge"]:
        raise ApprovalVoid(what=f"pledge/{goal}")
