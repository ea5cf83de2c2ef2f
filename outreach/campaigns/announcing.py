"""Announce something to the followers of the office's account: planned, approved by a second account, sent at most once.

A mass message can not be taken back, and each follower gets four a month at most. So `sending` is committed before the provider is
called, and the call bears an id of ours: within a day the provider takes a second call of the same id for the first one and tells its
msg_id (45065). Nothing is ever sent again on a guess: after that day only the provider's event, or a person, says what became of it.
Source: developers.weixin.qq.com/doc/service/guide/product/message/Batch_Sends.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.campaigns import announcements, drafts
from outreach.campaigns.approving import ApprovalVoid, OtherMode, WrongCode
from outreach.campaigns.definition import NAME
from outreach.channels.base import MassReport
from outreach.channels.wechat import codes
from outreach.channels.wechat.calls import Account
from outreach.channels.wechat.trouble import CallRefused, CallUnknown, CallUnsent
from outreach.clock import OFFICE_ZONE
from outreach.database import bulk
from outreach.database.wechat_tables import Announcement, Follower, MassResult
from outreach.errors import BadInput, Refused
from outreach.i18n import gettext as _
from outreach.outbox import hours
from outreach.rendering import checks, templates
from outreach.rendering.fields import FIELDS
from outreach.rendering.templates import MessageTemplate, TemplateNotFound
from outreach.settings import Settings

FOR_ALL = frozenset({"office", "place", "hotline", "account", "date"})
"""The fields that are the same for every reader."""
KNOWN_FOR = timedelta(hours=23)
"""For a day the provider knows our id again; an hour less, for clocks and queues."""
A_MONTH = 4
"""Mass messages that a follower gets in a calendar month."""
UNDER_WAY = ("sending", "unknown")
SENT = ("submitted", "sent")
Sort = Literal["submitted", "refused", "unsent", "unknown", "sent", "failed", "under_way"]
DONE: Mapping[str, Sort] = {"SEND_SUCCESS": "sent", "DELETE": "sent", "SEND_FAIL": "failed"}
"""What the provider's answer to a question means: deleted is what had been sent. While it says SENDING there is nothing to record."""


class NameOdd(BadInput):
    """{name} cannot be the name of an announcement; it takes 1 to 64 letters, digits, - _ and ."""


class NotAnnounceable(Refused):
    """{file} is no text for an announcement; it takes a text of the folder wechat without a template id."""


class Personal(Refused):
    """{file} reads {field}, and an announcement says the same to everybody; take it out."""


class TextRefused(Refused):
    """{reason}"""


class AlreadyAnnounced(Refused):
    """Announcement {name} is {state} and can not be planned again; give the new one another name."""


class OwnAnnouncement(Refused):
    """{account} planned this announcement and cannot approve it; another account must."""


class NotApproved(Refused):
    """Announcement {name} is not approved yet; another account must run: outreach announcements approve {name} --code {code}"""


class NotToBeSent(Refused):
    """Announcement {name} is {state}; it is sent once at most. See: outreach announcements show {name}"""


class NothingToSettle(Refused):
    """Announcement {name} is {state}; there is nothing to settle."""


class UnderWay(Refused):
    """Announcement {name} is being sent at this moment; ask again in a minute."""


class TooLate(Refused):
    """Nobody is written to at this hour; announcement {name} may go out from {opens} on."""


class NobodyKnows(Refused):
    """Nobody knows whether announcement {name} went out, and the provider has forgotten our id. See what its console lists as sent,
    then: outreach announcements settle {name} --verdict sent|failed
    """


@dataclass(frozen=True, slots=True)
class Call:
    """What the provider is to be asked: to send a text (under `id`, ours), or how a message stands that has its `reference`.

    `first` is false for a repetition of what may have been sent: then a refusal says nothing of the first call.
    """

    name: str
    id: str
    body: str
    tag: int | None
    reference: str | None = None
    first: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: submitted (with its reference), refused for its text, surely not sent, unknown; of a question sent, failed, under_way."""

    sort: Sort
    status: str = ""
    reference: str | None = None
    trouble: CallRefused | CallUnsent | CallUnknown | None = None


def plan(session: Session, name: str, template: str, *, tag: int | None = None, settings: Settings, planned_by: str, now: datetime) -> Announcement:
    """Write an announcement down for somebody else to approve; an earlier plan of that name, and its approval, are void.

    Raises what is wrong with the text, NameOdd, and AlreadyAnnounced for what may have been sent.
    """
    if not NAME.fullmatch(name):
        raise NameOdd(name=repr(name[:80]))
    found = templates.load(template, settings.template_folders)
    body = _body(found, settings, now=now)
    earlier = session.execute(select(Announcement).where(Announcement.name == name).with_for_update()).scalar_one_or_none()
    if earlier is not None:
        if earlier.state not in ("planned", "approved", "failed") or earlier.sent:
            raise AlreadyAnnounced(name=name, state=_state(earlier))
        session.delete(earlier)
        session.flush()
    digest = tokens.digest([name, settings.mode, settings.wechat_app_id, found.name, found.digest, body, tag, tokens.serial()])
    planned = Announcement(
        name=name, mode=settings.mode, state="planned", template=found.name, body=body, tag=tag, digest=digest, planned_by=planned_by, planned_at=now
    )
    session.add(planned)
    session.flush()
    return planned


def warnings(session: Session, announcement: Announcement, *, now: datetime) -> list[str]:
    """Return what somebody who plans or approves it ought to know."""
    said = []
    local = now.astimezone(OFFICE_ZONE)
    month = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = session.scalar(
        select(func.count())
        .select_from(Announcement)
        .where(Announcement.sent_at >= month)
        .where(Announcement.state.in_((*UNDER_WAY, *SENT)))
        .where(Announcement.mode == announcement.mode)
        .where(Announcement.id != announcement.id)
    )
    if before and before >= A_MONTH:
        said.append(_("a follower gets {most} mass messages a month at most, and this month has seen {count} already").format(most=A_MONTH, count=before))
    if not session.scalar(select(Follower.id).where(Follower.follows).limit(1)):
        said.append(_("nobody is known to follow the account"))
    return said


def approve(session: Session, name: str, *, code: str, account: str, settings: Settings, now: datetime) -> Announcement:
    """Approve the text that `code` stands for. Raises AlreadyAnnounced, OwnAnnouncement, WrongCode, OtherMode and ApprovalVoid."""
    found = announcements.named(session, name, lock=True)
    if found.state not in ("planned", "approved"):
        raise NotToBeSent(name=name, state=_state(found))
    if account == found.planned_by:
        raise OwnAnnouncement(account=account)
    if code.strip().upper().replace("-", "") != tokens.approval_code(found.digest).replace("-", ""):
        raise WrongCode(code=code)
    _require_unchanged(found, settings)
    found.state, found.approved_by, found.approved_at = "approved", account, now
    return found


def begin(session: Session, name: str, *, by: str, settings: Settings, now: datetime) -> Call:
    """Take an approved announcement to send it; commit before the call.

    Raises NotApproved, NotToBeSent, TooLate in quiet hours, OtherMode and ApprovalVoid.
    """
    found = announcements.named(session, name, lock=True)
    if found.state == "planned":
        raise NotApproved(name=name, code=tokens.approval_code(found.digest))
    if found.state != "approved":
        raise NotToBeSent(name=name, state=_state(found))
    _require_unchanged(found, settings)
    _require_hours(found, settings, now=now)
    found.state, found.sent_by, found.sent_at, found.status = "sending", by, now, None
    return _call(found)


def begin_settling(session: Session, name: str, *, settings: Settings, now: datetime) -> Call:
    """Return what the provider is to be asked about an announcement of which we do not know how it ended; commit before the call.

    Raises NothingToSettle, UnderWay while somebody may still be at it, NobodyKnows once the provider has forgotten our id, and TooLate.
    """
    found = announcements.named(session, name, lock=True)
    if found.state not in (*UNDER_WAY, "submitted") or found.sent_at is None:
        raise NothingToSettle(name=name, state=_state(found))
    if found.mode != settings.mode:
        raise OtherMode(name=name, planned=found.mode, mode=settings.mode)
    if found.state == "sending" and now < found.sent_at + settings.lease:
        raise UnderWay(name=name)
    if found.reference is None and now >= found.sent_at + KNOWN_FOR:
        raise NobodyKnows(name=name)
    if found.reference is None:
        _require_hours(found, settings, now=now)  # if the first call was never received, this one sends
    return _call(found, first=False)


def carry(account: Account, call: Call) -> Outcome:
    """Ask the provider, with no transaction open, and say what came of it."""
    try:
        if call.reference is not None:
            said = account.announcement(call.reference)
            return Outcome(DONE.get(said, "under_way"), said)
        return Outcome("submitted", reference=account.announce(call.body, name=call.id, tag=call.tag))
    except CallRefused as error:
        sort: Sort = "refused" if codes.kind(error.code) == "content" else "unsent"
        return Outcome(sort if call.first else "unknown", str(error.code), trouble=error)
    except (CallUnsent, CallUnknown) as error:
        sort = "unsent" if isinstance(error, CallUnsent) and call.first else "unknown"
        return Outcome(sort, str(error.data["reason"]), trouble=error)


def record(session: Session, call: Call, outcome: Outcome, *, now: datetime) -> Announcement:
    """Write down what came of a call, and return the announcement. What is known already is never taken back by what is not."""
    found = announcements.named(session, call.name, lock=True)
    if client_id(found) != call.id:
        return found
    if outcome.sort == "submitted" and found.state not in SENT:
        found.state, found.reference, found.status, found.ended_at = "submitted", outcome.reference, None, None
        _apply_results(session, [found], now=now)
    elif outcome.sort in ("sent", "failed") and found.state == "submitted":
        found.state, found.status, found.ended_at = outcome.sort, outcome.status, now
    elif found.state in UNDER_WAY and outcome.sort in ("refused", "unsent", "unknown"):
        found.state = {"refused": "failed", "unsent": "approved", "unknown": "unknown"}[outcome.sort]
        found.status = outcome.status
        found.ended_at = now if found.state == "failed" else None
    return found


def decide(session: Session, name: str, *, verdict: Literal["sent", "failed"], by: str, settings: Settings, now: datetime) -> Announcement:
    """Write down what a person saw in the provider's console. Raises NothingToSettle and UnderWay."""
    found = announcements.named(session, name, lock=True)
    if found.state not in (*UNDER_WAY, "submitted") or found.sent_at is None:
        raise NothingToSettle(name=name, state=_state(found))
    if found.state == "sending" and now < found.sent_at + settings.lease:
        raise UnderWay(name=name)
    found.state, found.status, found.ended_at = verdict, f"{verdict}: {by}", now
    return found


def store_reports(session: Session, reports: Iterable[MassReport], *, now: datetime) -> None:
    """Keep what the provider says of mass messages, in any order and number of copies, and settle those of ours.

    One whose answer was lost has no reference yet; its result is kept and found when the reference is learned.
    """
    rows = [
        {
            "reference": report.reference,
            "status": report.status,
            "total": report.total,
            "filtered": report.filtered,
            "sent": report.sent,
            "errors": report.errors,
            "received_at": now,
        }
        for report in reports
    ]
    bulk.insert_rows(session, MassResult, rows, ignore_conflicts=True)
    if rows:
        mine = select(Announcement).where(Announcement.reference.in_({row["reference"] for row in rows})).order_by(Announcement.id)
        _apply_results(session, session.scalars(mine.with_for_update()).all(), now=now)


def client_id(announcement: Announcement) -> str:
    """Return our id of it, at most 64 bytes: never the same for another text, plan or database."""
    return f"announcement-{announcement.id}-{announcement.digest[:16]}"


def _call(found: Announcement, *, first: bool = True) -> Call:
    return Call(found.name, client_id(found), found.body, found.tag, found.reference, first)


def _apply_results(session: Session, found: Sequence[Announcement], *, now: datetime) -> None:
    """Give announcements the provider's totals; what was learned by asking is completed, what somebody decided is put right."""
    results = session.scalars(select(MassResult).where(MassResult.reference.in_({item.reference for item in found if item.reference})))
    by_reference = {result.reference: result for result in results}
    for item in found:
        result = by_reference.get(item.reference or "")
        if result is not None and item.total is None:
            item.state = "sent" if _succeeded(result.status) else "failed"
            item.status, item.ended_at = result.status, item.ended_at or now
            item.total, item.filtered, item.sent, item.errors = result.total, result.filtered, result.sent, result.errors


def _succeeded(status: str) -> bool:
    """Whether the provider sent it; it writes both `send success` and `sendsuccess`."""
    return "".join(status.lower().split()) == "sendsuccess"


def _body(template: MessageTemplate, settings: Settings, *, now: datetime) -> str:
    """Write the text that everybody reads, checked as any other."""
    if templates.via(template) != "service":
        raise NotAnnounceable(file=template.file)
    fields = {key: value for key, value in drafts.shared_fields(None, settings, now=now).items() if key in FOR_ALL}
    for name in sorted(templates.fields_used(template)):
        if name.partition(".")[0] in FIELDS and name not in FOR_ALL:
            raise Personal(file=template.file, field=FIELDS.get(name, name))
    found = checks.problems(template, signature=settings.sms_signature, links_allowed=True, production=not settings.rehearsal, samples=[fields])
    for problem in found:
        if problem.refuses:
            raise TextRefused(reason=checks.words(problem))
    return templates.render(template, fields)


def _require_unchanged(found: Announcement, settings: Settings) -> None:
    """Refuse what was planned in the other mode, and a text whose file says something else by now."""
    if found.mode != settings.mode:
        raise OtherMode(name=found.name, planned=found.mode, mode=settings.mode)
    try:
        template = templates.load(found.template, settings.template_folders)
    except TemplateNotFound:
        return
    if _body(template, settings, now=found.planned_at) != found.body:
        raise ApprovalVoid(what=template.file)


def _require_hours(found: Announcement, settings: Settings, *, now: datetime) -> None:
    opens = hours.campaign_opens_at(settings, {}, now)
    if opens > now:
        raise TooLate(name=found.name, opens=f"{opens.astimezone(OFFICE_ZONE):%Y-%m-%d %H:%M}")


def _state(found: Announcement) -> str:
    return states().get(found.state, found.state)


def states() -> dict[str, str]:
    """Return the words for each state."""
    return {
        "planned": _("planned"),
        "approved": _("approved"),
        "sending": _("being sent"),
        "unknown": _("perhaps sent; nobody knows yet"),
        "submitted": _("with the provider"),
        "sent": _("sent"),
        "failed": _("failed"),
    }
