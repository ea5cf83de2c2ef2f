"""The texts of a pledge in versions: read from its file, frozen with letter and privacy notice, named by their digest."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.tables import PledgeVersion
from outreach.errors import NotFound
from outreach.rendering import templates
from outreach.settings import Settings

ADDITIONS = ("letter/open-letter", "pledge/privacy")
"""The letter and the privacy notice of a pledge whose head names no other."""


class PledgeUnknown(NotFound):
    """There is no pledge {name}; its text belongs into templates/pledge/{name}.md"""


class VersionUnknown(NotFound):
    """The pledge {name} has no version {number}."""


def freeze(session: Session, name: str, *, settings: Settings, now: datetime) -> PledgeVersion:
    """Read a pledge's texts as they stand and return the version that they are; a text that changed becomes the next one.

    Raises PledgeUnknown, and TemplateInvalid with file and line.
    """
    digest, row = read(name, settings=settings, now=now)
    found = session.scalars(select(PledgeVersion).where(PledgeVersion.digest == digest)).one_or_none()
    if found is not None:
        return found
    last = session.scalar(select(func.max(PledgeVersion.number)).where(PledgeVersion.pledge == name))
    row.number = (last or 0) + 1
    session.add(row)
    session.flush()
    return row


def read(name: str, *, settings: Settings, now: datetime) -> tuple[str, PledgeVersion]:
    """Return the digest of a pledge's texts as their files stand now, and the version that they would become."""
    folders = settings.template_folders
    try:
        pledge = templates.load(f"pledge/{name}", folders)
    except templates.TemplateNotFound as error:
        raise PledgeUnknown(what="pledge", name=name) from error
    letter, privacy = (templates.load(given or usual, folders) for given, usual in zip((pledge.letter, pledge.privacy), ADDITIONS, strict=True))
    fields = {"office": settings.office_name, "place": settings.office_place, "hotline": settings.hotline, "account": settings.wechat_name}
    texts = {"title": pledge.title, "source": pledge.text, "letter": letter.text, "privacy": privacy.text}
    rules = {"renews": pledge.renews, "one_time_code": pledge.one_time_code}
    digest = tokens.digest({"pledge": name, "fields": fields, **texts, **rules})
    return digest, PledgeVersion(pledge=name, number=0, digest=digest, fields=fields, made_at=now, **texts, **rules)


def offered(settings: Settings) -> list[str]:
    """Return the pledges whose texts are there, the last name first: of no-arrears-2025 and -2026 the new one."""
    stems = [stored.name.removeprefix("pledge/") for stored in templates.names(settings.template_folders) if stored.name.startswith("pledge/")]
    notices = {addition.removeprefix("pledge/") for addition in ADDITIONS}
    return sorted((stem for stem in stems if stem not in notices and not stem.endswith(".en")), reverse=True)


def all_of(session: Session, name: str) -> Sequence[PledgeVersion]:
    """Return the versions of a pledge that were ever planned with, the newest first."""
    return session.scalars(select(PledgeVersion).where(PledgeVersion.pledge == name).order_by(PledgeVersion.number.desc())).all()


def numbered(session: Session, name: str, number: int | None) -> PledgeVersion:
    """Return one version of a pledge, the newest without a number. Raises PledgeUnknown and VersionUnknown."""
    versions = all_of(session, name)
    if not versions:
        raise PledgeUnknown(what="pledge", name=name)
    found = next((version for version in versions if number in (None, version.number)), None)
    if found is None:
        raise VersionUnknown(what="version", name=name, number=number)
    return found
