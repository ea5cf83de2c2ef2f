"""A workbook for each town: the enterprises that have not signed, to be visited, and beside them those that have, refused, or said our list is wrong.

The first three sheets sum to the town's enterprises. The workbooks are in Chinese whatever the language, as towns get them, and so that
the results typed into them are known again: `HEADINGS` and `RESULTS` are what `visits import` reads, the enterprise and its visit by
their numbers in the hidden columns.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import IO, Any, Unpack

from sqlalchemy import ColumnElement, Executable, Row, Select, Subquery, func, select
from sqlalchemy.orm import Session, aliased

from outreach import i18n, tokens
from outreach.campaigns import directory, statement
from outreach.clock import OFFICE_ZONE
from outreach.database.pledge_tables import Correction, Refusal, Signature
from outreach.database.tables import OPEN, Campaign, Contact, Delivery, Enterprise, Recipient, RecipientEnterprise
from outreach.i18n import gettext as _
from outreach.reports import corrections, signatures, statements, words
from outreach.reports.signatures import Which
from outreach.reports.tables import Column, Table
from outreach.reports.workbook import Sheet, shown, write_book
from outreach.visits import tasks
from outreach.visits.tasks import Standing
from outreach.visits.workbook import HEADINGS as HEADINGS
from outreach.visits.workbook import HIDDEN
from outreach.visits.workbook import RESULTS as RESULTS

SIGNED = {"enterprise": "企业名称", "credit_code": "统一社会信用代码", "serial": "编号", "way": "签署方式", "signed_at": "签署时间", "contact": "联系人"}
REFUSED = {"enterprise": "企业名称", "credit_code": "统一社会信用代码", "column": "情况", "way": "方式", "time": "时间", "why": "原因"}
WRONG = {"enterprise": "企业名称", "credit_code": "统一社会信用代码", "said": "情况", "detail": "内容", "said_at": "时间", "done": "已处理"}
NOT_SIGNED_SHEET, SIGNED_SHEET, REFUSED_SHEET, WRONG_SHEET = "未签署", "已签署", "拒绝和撤回", "信息有误"
NO_TOWN = "未注明镇街"
STATEMENT = "宣传任务对账表.xlsx"
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]')
"""What no name of a file may hold on Windows (learn.microsoft.com, "Naming Files, Paths, and Namespaces"), and characters nobody sees."""
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
NAME_LIMIT = 60


@dataclass(frozen=True, slots=True)
class Town:
    """What a town's workbook is made of: a row an enterprise, how each was reached, what was said of our list, and who is to visit it."""

    name: str
    rows: Sequence[Row[Any]]
    reached: Mapping[int, Sequence[Row[Any]]]
    said: Mapping[int, Sequence[Row[Any]]]
    visits: Mapping[int, Standing]

    def figures(self) -> dict[str, int]:
        """Return how many enterprises each sheet holds; the first three sum to `enterprises`."""
        held = [row.column for row in self.rows]
        signed, refused = held.count("signed"), held.count("declined") + held.count("withdrawn")
        wrong = sum(len(self.said.get(row.id, ())) for row in self.rows)
        return {"enterprises": len(held), "not_signed": len(held) - signed - refused, "signed": signed, "refused": refused, "corrections": wrong}


def towns(session: Session, **which: Unpack[Which]) -> Iterator[Town]:
    """Yield the towns by name, those without a name last. Raises CampaignNotFound, PledgeUnknown and AudienceError."""
    stands, chosen = signatures.chosen(session, which)
    asked = _campaigns(session, which)
    reached, said = _reached(session, stands, asked), _said(session, asked)
    query = _enterprises(stands).where(*chosen).order_by(Enterprise.town == "", Enterprise.town, Enterprise.id)
    rows = session.execute(query).all()
    visits = tasks.all_standing(session, asked)
    for name, of_town in groupby(rows, key=lambda row: row.town):
        yield Town(name, list(of_town), reached, said, visits)


def _campaigns(session: Session, which: Which) -> ColumnElement[bool]:
    name = which.get("campaign")
    return Campaign.id == directory.named(session, name).id if name else Campaign.mode == which.get("mode", "production")


def _enterprises(stands: Subquery) -> Select[Any]:
    signature, paper = aliased(Signature), aliased(Signature)
    return (
        select(
            Enterprise.id,
            Enterprise.name.label("enterprise"),
            Enterprise.town,
            Enterprise.credit_code,
            Enterprise.village,
            Enterprise.address,
            Enterprise.closed_at,
            stands.c.column,
            stands.c.way,
            stands.c["at"].label("time"),
            stands.c.opened_at,
            signature.serial,
            signature.signed_at,
            func.coalesce(Refusal.reason, signature.ended_reason).label("why"),
            paper.serial.label("pending"),
            Contact.name.label("contact"),
            Contact.phone,
        )
        .select_from(stands)
        .join(Enterprise, Enterprise.id == stands.c.enterprise_id)
        .outerjoin(signature, signature.id == stands.c.signature_id)
        .outerjoin(Refusal, Refusal.id == stands.c.refusal_id)
        .outerjoin(paper, paper.id == stands.c.pending_id)
        .outerjoin(Contact, Contact.id == signatures.first_contact())
    )


def _reached(session: Session, stands: Subquery, asked: ColumnElement[bool]) -> dict[int, list[Row[Any]]]:
    """Return the last delivery on each channel of the enterprises that have not signed."""
    moment = func.coalesce(Delivery.final_at, Delivery.claimed_at, Delivery.due_at).label("at")
    place = func.row_number().over(partition_by=[RecipientEnterprise.enterprise_id, Delivery.channel], order_by=Delivery.id.desc()).label("place")
    tried = (
        select(RecipientEnterprise.enterprise_id, Delivery.id, Delivery.channel, Delivery.state, Delivery.reason, moment, place)
        .join(Delivery, Delivery.recipient_id == RecipientEnterprise.recipient_id)
        .join(Campaign, Campaign.id == RecipientEnterprise.campaign_id)
        .where(asked)
        .subquery()
    )
    last = select(tried).join(stands, stands.c.enterprise_id == tried.c.enterprise_id).where(tried.c.place == 1, stands.c.column != "signed")
    return _by_enterprise(session, last.order_by(tried.c.enterprise_id, tried.c.id))


def _said(session: Session, asked: ColumnElement[bool]) -> dict[int, list[Row[Any]]]:
    """Return what people said of our list."""
    query = (
        select(RecipientEnterprise.enterprise_id, Correction.kind, Correction.detail, Correction.said_at, Correction.done_at)
        .join(Recipient, Recipient.id == Correction.recipient_id)
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .join(RecipientEnterprise, RecipientEnterprise.recipient_id == Recipient.id)
        .where(asked)
    )
    return _by_enterprise(session, query.order_by(RecipientEnterprise.enterprise_id, Correction.id))


def _by_enterprise(session: Session, query: Executable) -> dict[int, list[Row[Any]]]:
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in session.execute(query):
        found[row.enterprise_id].append(row)
    return found


def write(town: Town, stream: IO[bytes], *, unmask: bool = False) -> None:
    """Write a town's workbook; phones are masked unless `unmask`."""
    with i18n.speaking("zh"):
        write_book(_sheets(town, unmask), stream)


def _sheets(town: Town, unmask: bool) -> list[Sheet]:
    def those(*columns: str) -> list[Row[Any]]:
        return [row for row in town.rows if row.column in columns]

    refused = [row._asdict() | {"why": _typed(row.why or "", unmask)} for row in those("declined", "withdrawn")]
    wrong = [_wrong(row, said, unmask) for row in town.rows for said in town.said.get(row.id, ())]
    return [
        _sheet(
            NOT_SIGNED_SHEET,
            HEADINGS,
            [_to_visit(row, town, unmask) for row in those("opened", "not_opened", "not_reached")],
            hidden=HIDDEN,
            choices={"result": list(RESULTS.values())},
        ),
        _sheet(SIGNED_SHEET, SIGNED, [row._asdict() for row in those("signed")]),
        _sheet(REFUSED_SHEET, REFUSED, refused),
        _sheet(WRONG_SHEET, WRONG, wrong),
    ]


def _sheet(name: str, headings: Mapping[str, str], rows: Sequence[Mapping[str, Any]], **more: Any) -> Sheet:
    table = Table(name, [Column(key, heading) for key, heading in headings.items()], list(words.in_words(rows)))
    return Sheet(table, name=name, **more)


def _to_visit(row: Row[Any], town: Town, unmask: bool) -> dict[str, Any]:
    phone, kinds = row.phone or "", corrections.kinds()
    said = [_with_detail(kinds[one.kind], one.detail, unmask) for one in town.said.get(row.id, ())]
    pending = [_("paper {serial}: scan missing").format(serial=row.pending)] if row.pending else []
    closed = [words.exclusion("closed")] if row.closed_at else []
    visit = town.visits.get(row.id)
    return row._asdict() | {
        "visit": visit.id if visit else None,
        "visitor": visit.visitor if visit and visit.state in OPEN else "",
        "phone": phone if unmask or not phone else tokens.mask(phone),
        "reached": "；".join(map(_delivery, town.reached.get(row.id, ()))),
        "opened": _("opened {day}").format(day=_day(row.opened_at)) if row.opened_at else _("not opened"),
        "note": "；".join([*closed, *pending, *said]),
    }


def _delivery(row: Row[Any]) -> str:
    state = words.delivery_state(row.state, row.channel)
    if row.reason and row.state in ("failed", "undelivered", "skipped", "unknown"):
        state += _(" ({parts})").format(parts=words.reason(row.reason, row.channel))
    return _("{channel} {day} {state}").format(channel=words.channel(row.channel), day=_day(row.at), state=state)


def _wrong(row: Row[Any], said: Row[Any], unmask: bool) -> dict[str, Any]:
    detail = _typed(said.detail, unmask)
    return row._asdict() | {"said": corrections.kinds()[said.kind], "detail": detail, "said_at": said.said_at, "done": said.done_at is not None}


def _with_detail(word: str, detail: str, unmask: bool) -> str:
    return word + (_(" ({parts})").format(parts=_typed(detail, unmask)) if detail else "")


def _typed(text: str, unmask: bool) -> str:
    """Return what a person typed; a new phone in it is as personal as the old one."""
    return text if unmask else tokens.mask_within(text)


def _day(moment: datetime) -> str:
    return moment.astimezone(OFFICE_ZONE).strftime("%Y-%m-%d")


def write_statement(session: Session, campaign: str, stream: IO[bytes], *, now: datetime) -> None:
    """Write a campaign's statement as a workbook: its steps, its enterprises, and the list of them."""
    with i18n.speaking("zh"):
        document = statement.statement(session, campaign, now=now)
        steps, enterprises = statements.steps_table(document), statements.enterprises_table(document)
        listed = statements.enterprises_listing(session, campaign, limit=0)
        sheets = (
            Sheet(steps, name="步骤", rows=words.in_words(steps.rows)),
            Sheet(enterprises, name="企业", rows=words.in_words(enterprises.rows)),
            Sheet(listed, name="企业名单", rows=words.in_words(statements.enterprises(session, campaign))),
        )
        write_book(sheets, stream)


def file_name(town: str, taken: set[str]) -> str:
    """Return a name for a town's workbook that is none of those taken, and that files may have on Windows too; it is taken from now on."""
    name = FORBIDDEN.sub("_", shown(town))[:NAME_LIMIT].strip(" .\u3000") or NO_TOWN
    name = f"_{name}" if RESERVED.fullmatch(name) else name
    number, found = 1, f"{name}.xlsx"
    while found.casefold() in taken:
        number += 1
        found = f"{name} ({number}).xlsx"
    taken.add(found.casefold())
    return found
