"""The list of visits: whom to see and why, what was tried before, and what came of it; and the same as a workbook to type results into."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import IO, Any

from sqlalchemy.orm import Session

from outreach import i18n, tokens
from outreach.clock import OFFICE_ZONE, wire
from outreach.database.tables import OPEN
from outreach.i18n import gettext as _
from outreach.reports import words
from outreach.reports.tables import Column, Table
from outreach.reports.workbook import Sheet, write_book
from outreach.visits import tasks
from outreach.visits.tasks import Task, Try, Which
from outreach.visits.workbook import HEADINGS, HIDDEN, RESULTS, TOWN

LISTED = (
    "id",
    "campaign",
    "step",
    "code",
    "enterprise",
    "others",
    "credit_code",
    "town",
    "village",
    "address",
    "contact",
    "phone",
    "condition",
    "state",
    "reason",
    "visitor",
    "issued_at",
    "due_at",
    "tried",
)
ROOM = ("code", "enterprise", "town", "village", "contact", "phone", "state", "visitor", "tried")
"""What a terminal has room for."""
SHEET_HEADINGS: Mapping[str, str] = {"town": TOWN, "code": "签署码", **HEADINGS}
SHEET = "走访"


def listing(session: Session, which: Which, *, limit: int, after: int | None, unmask: bool = False, in_words: bool = False) -> Table:
    """Return a page of the visits, by town and village; `total` counts them all, `next` is the cursor of the page after this one."""
    found = list(tasks.tasks(session, which, limit=limit + 1, after=after)) if limit else []
    listed = [_row(task, unmask, in_words) for task in found[:limit]]
    return Table("visits", columns(), listed, total=tasks.total(session, which), next=found[limit - 1].id if len(found) > limit else None)


def rows(session: Session, which: Which, *, after: int | None = None, unmask: bool = False, in_words: bool = False) -> Iterator[dict[str, Any]]:
    """Yield all visits as rows, some hundreds at a time."""
    for task in tasks.tasks(session, which, after=after):
        yield _row(task, unmask, in_words)


def columns() -> list[Column]:
    """Return the columns of the list."""
    headings = {
        "id": _("visit no."),
        "code": _("code"),
        "address": _("postal address"),
        "condition": _("to be visited if"),
        "visitor": _("visitor"),
        "issued_at": _("on the list since"),
        "due_at": _("due since"),
        "tried": _("tried before"),
    }
    return [Column(key, words.heading(headings.get(key) or words.field(key))) for key in LISTED]


def _row(task: Task, unmask: bool, in_words: bool) -> dict[str, Any]:
    """Return a visit as a row: with ids, or in words for people."""
    first, *others = [place for place in task.places if not place.settled] or task.places[:1]
    row = {
        "id": task.id,
        "campaign": task.campaign,
        "step": task.step,
        "code": task.code,
        "enterprise": first.name,
        "others": [place.name for place in others],
        "credit_code": first.credit_code,
        "town": first.town,
        "village": first.village,
        "address": first.address,
        "contact": task.contact,
        "phone": _phone(task, unmask),
        "condition": task.condition,
        "state": task.state,
        "reason": task.reason,
        "visitor": task.visitor,
        "issued_at": task.issued_at,
        "due_at": task.due_at,
        "tried": [{"channel": one.channel, "state": one.state, "reason": one.reason, "at": wire(one.at)} for one in task.tried],
    }
    if not in_words:
        return row
    state, why = words.delivery_state(task.state, tasks.CHANNEL), words.reason(task.reason, tasks.CHANNEL) if task.reason else ""
    spoken = {"state": state, "reason": why, "condition": words.condition(task.condition), "others": "、".join(place.name for place in others)}
    return row | spoken | {"tried": tried(task)}


def _phone(task: Task, unmask: bool) -> str:
    return task.phone if unmask or not task.phone else tokens.mask(task.phone)


def tried(task: Task) -> str:
    """Say what was tried before, one after the other."""
    return "；".join(_attempt(one) for one in task.tried)


def _attempt(one: Try) -> str:
    if one.channel == tasks.CHANNEL:
        state = words.visit_result(one.state)
    else:
        state = words.delivery_state(one.state, one.channel)
        if one.reason and one.state in ("failed", "undelivered", "skipped", "unknown"):
            state += _(" ({parts})").format(parts=words.reason(one.reason, one.channel))
    return _("{channel} {day} {state}").format(channel=words.channel(one.channel), day=_day(one.at), state=state)


def _day(moment: datetime) -> str:
    return moment.astimezone(OFFICE_ZONE).strftime("%Y-%m-%d")


def write_sheet(session: Session, which: Which, stream: IO[bytes], *, unmask: bool = False) -> int:
    """Write the open visits as a workbook into which the results can be typed, a row an enterprise; return how many visits."""
    with i18n.speaking("zh"):
        wanted = list(tasks.tasks(session, which))
        listed = [row for task in wanted for row in _places(task, unmask)]
        table = Table(SHEET, [Column(key, heading) for key, heading in SHEET_HEADINGS.items()], listed)
        write_book([Sheet(table, name=SHEET, hidden=HIDDEN, choices={"result": list(RESULTS.values())})], stream)
    return len(wanted)


def _places(task: Task, unmask: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for each enterprise that is to be asked at a visit."""
    for place in [place for place in task.places if not place.settled] or task.places[:1]:
        yield {
            "id": place.id,
            "visit": task.id,
            "town": place.town,
            "code": task.code,
            "enterprise": place.name,
            "credit_code": place.credit_code,
            "village": place.village,
            "address": place.address,
            "contact": task.contact,
            "phone": _phone(task, unmask),
            "reached": tried(task),
            "opened": _("opened {day}").format(day=_day(task.opened_at)) if task.opened_at else _("not opened"),
            "note": words.condition(task.condition),
            "visitor": task.visitor if task.state in OPEN else "",
        }
