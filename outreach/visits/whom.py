"""Who was visited: from the code on the sheet, or from an enterprise, to the enterprises spoken for and the visit that was to be made."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Select, and_, case, select
from sqlalchemy.orm import Session

from outreach.database.paper_tables import VisitTask
from outreach.database.tables import OPEN, Campaign, Delivery, Enterprise, Recipient, RecipientEnterprise
from outreach.errors import BadInput, NotFound, UsageError
from outreach.links.resolving import tidy
from outreach.visits.tasks import CHANNEL


class CodesUnknown(NotFound):
    """There is no code {codes} in a launched campaign of this mode; compare it with the list."""


class EnterpriseUnknown(NotFound):
    """There is no enterprise {id}."""


class NotSpokenFor(BadInput):
    """Enterprise {id} is none of those that code {code} speaks for: {known}"""


class WhichEnterprise(UsageError):
    """{code} speaks for several enterprises: {known}. Say which one with --enterprise ID"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Who was visited: the enterprises by id and name; the visit, its campaign and whose list it is on, where it was on a list."""

    enterprises: Mapping[int, str]
    town: str
    code: str = ""
    campaign_id: int | None = None
    visit: int | None = None
    visitor: str = ""

    def require_one(self) -> None:
        """Refuse what can be said of one enterprise only. Raises WhichEnterprise."""
        if len(self.enterprises) > 1:
            raise WhichEnterprise(what=self.code, code=self.code, known=_listed(self.enterprises))


def by_code(session: Session, code: str, enterprise: int | None, *, mode: str) -> Whom:
    """Return who was visited by the code on the sheet: the one enterprise that is named, else all spoken for.

    Raises CodesUnknown and NotSpokenFor.
    """
    row = session.execute(_launched(mode).where(Recipient.code == tidy(code))).one_or_none()
    if row is None:
        raise CodesUnknown(what="code", name=code, codes=code)
    spoken = (
        select(Enterprise.id, Enterprise.name, Enterprise.town)
        .join(RecipientEnterprise, RecipientEnterprise.enterprise_id == Enterprise.id)
        .where(RecipientEnterprise.recipient_id == row.id)
        .order_by(Enterprise.id)
    )
    found = session.execute(spoken).all()
    names = {one.id: one.name for one in found}
    if enterprise is not None and enterprise not in names:
        raise NotSpokenFor(what="enterprise", id=enterprise, code=row.code, known=_listed(names))
    chosen = names if enterprise is None else {enterprise: names[enterprise]}
    whom = Whom(enterprises=chosen, town=next(one.town for one in found if one.id in chosen), code=row.code, campaign_id=row.campaign_id)
    return _with_visit(session, whom, row.id)


def by_enterprise(session: Session, enterprise: int) -> Whom:
    """Return who was visited without a code: its open visit is found when the result is recorded. Raises EnterpriseUnknown."""
    row = session.execute(select(Enterprise.name, Enterprise.town).where(Enterprise.id == enterprise)).one_or_none()
    if row is None:
        raise EnterpriseUnknown(what="enterprise", name=enterprise, id=enterprise)
    return Whom(enterprises={enterprise: row.name}, town=row.town)


def known_codes(session: Session, codes: Sequence[str], *, mode: str) -> Collection[str]:
    """Return codes as they are stored. Raises CodesUnknown."""
    wanted = list(dict.fromkeys(tidy(code) for code in codes))
    known = {row.code for row in session.execute(_launched(mode).where(Recipient.code.in_(wanted)))}
    if missing := [code for code in wanted if code not in known]:
        raise CodesUnknown(what="code", name=missing[0], codes=" ".join(missing))
    return wanted


def _launched(mode: str) -> Select[int, str | None, int]:
    launched = and_(Campaign.mode == mode, Campaign.launched_at.is_not(None))
    return select(Recipient.id, Recipient.code, Recipient.campaign_id).join(Campaign, Campaign.id == Recipient.campaign_id).where(launched)


def _with_visit(session: Session, whom: Whom, recipient: int) -> Whom:
    """Add the visit of a recipient: the open one, else the newest."""
    visits = (
        select(Delivery.id, VisitTask.visitor)
        .outerjoin(VisitTask, and_(VisitTask.delivery_id == Delivery.id, Delivery.state != "queued"))
        .where(Delivery.recipient_id == recipient, Delivery.channel == CHANNEL)
        .order_by(case((Delivery.state.in_(OPEN), 0), else_=1), Delivery.id.desc())
        .limit(1)
    )
    row = session.execute(visits).one_or_none()
    return replace(whom, visit=row.id, visitor=row.visitor or "") if row else whom


def _listed(enterprises: Mapping[int, str]) -> str:
    return ", ".join(f"{key} {name}" for key, name in enterprises.items())
