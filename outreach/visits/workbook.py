"""The list that a visitor takes along and types the results into: its headings, its words, and how it is read back.

Its headings are Chinese whatever the language, as towns get them. The workbooks of the towns (`report towns --split`) have the same.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock_time
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from outreach.clock import OFFICE_ZONE
from outreach.contacts import cleaning, reading
from outreach.contacts.cleaning import Unclean
from outreach.contacts.entries import SUMS, Refusal
from outreach.contacts.mapping import HEADER_ROWS, heading
from outreach.errors import BadInput
from outreach.i18n import gettext as _
from outreach.visits.results import LONGEST_REMARK

HEADINGS: Mapping[str, str] = MappingProxyType(
    {
        "id": "企业编号",
        "visit": "走访编号",
        "enterprise": "企业名称",
        "credit_code": "统一社会信用代码",
        "village": "村社区",
        "address": "地址",
        "contact": "联系人",
        "phone": "手机",
        "reached": "送达情况",
        "opened": "是否打开",
        "note": "备注",
        "visitor": "走访人",
        "visited_on": "走访日期",
        "result": "结果",
        "new_phone": "新手机",
        "remark": "走访说明",
    }
)
"""The sheet of those who have not signed; from `visitor` on the columns are to be filled in."""
HIDDEN = ("id", "visit")
"""By which a row is known again, whatever somebody does to its name."""
TOWN = "镇街"
"""A column that a list of several towns has besides."""
RESULTS: Mapping[str, str] = MappingProxyType(
    {
        "met": "已见面",
        "paper": "已签纸质件",
        "will_sign": "愿意签订",
        "new_phone": "换了号码",
        "closed": "已停业",
        "refused": "拒绝签订",
        "not_found": "未找到",
        "again": "改日再访",
    }
)
"""What a visit may result in, and the words to choose from."""
ASKED = ("result", "new_phone", "remark")
"""What whoever visits types in; a row with none of it says nothing. The visitor and the day alone are a plan."""
REASONS = (
    "result",
    "result_missing",
    "phone",
    "phone_scientific",
    "phone_missing",
    "day",
    "credit_code",
    "enterprise_missing",
    "enterprise_unknown",
    "conflict",
    "mismatch",
    "other_town",
    "not_asked",
    "before_text",
    "too_long",
    "value",
)
LONGEST = {"visitor": 60, "remark": LONGEST_REMARK}
EPOCH = datetime(1899, 12, 30, tzinfo=OFFICE_ZONE)
"""Day 0 of a spreadsheet; a day whose cell was turned into a number counts from here (ECMA-376 part 1, 18.17.4.1)."""


class NoResultsList(BadInput):
    """No row among the first of {file} has the headings of a list of visits: {expected}. Export it anew with `outreach report towns --split` or `outreach visits sheet`."""  # noqa: E501


class Row(NamedTuple):
    """A row with something typed into it: which enterprise it means, and what the visit brought. `day` is empty where none is given."""

    line: int
    id: int | None
    visit: int | None
    enterprise: str
    credit_code: str
    town: str
    visitor: str
    day: datetime | None
    result: str
    phone: str
    remark: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each column stands, and in which line its headings."""

    line: int
    places: Mapping[str, int]
    headings: Sequence[str]

    def heading(self, column: str) -> str:
        """Return what is written over a column."""
        place = self.places.get(column)
        return HEADINGS.get(column, TOWN) if place is None else self.headings[place]


class Faulty(Exception):
    """A cell is to blame for the whole row."""

    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(column, value, reason)
        self.column, self.value, self.reason = column, value, reason


def read(source: reading.Source, *, file: Path, now: datetime) -> tuple[Layout, Iterator[Row | Refusal | None]]:
    """Return the layout of a list, and its rows one by one: None for one into which nothing was typed. Raises NoResultsList."""
    top = list(islice(source.rows, HEADER_ROWS))
    layout = _layout(top, file)
    beneath = ((line, cells) for line, cells in chain(top, source.rows) if line > layout.line)
    rows = (_Reader(layout, now).read(line, cells) for line, cells in beneath if not _is_nothing(cells, layout))
    return layout, rows


def _layout(top: Sequence[reading.Row], file: Path) -> Layout:
    known = {heading(word): key for key, word in (*HEADINGS.items(), ("town", TOWN))}
    for line, cells in top:
        places: dict[str, int] = {}
        for place, cell in enumerate(cells):
            if key := known.get(heading(cell)):
                places.setdefault(key, place)
        if "result" in places and places.keys() & {"id", "enterprise", "credit_code"}:
            return Layout(line, places, cells)
    raise NoResultsList(file=file, expected="、".join(HEADINGS[key] for key in ("enterprise", "credit_code", "result")))


def _is_nothing(cells: Sequence[str], layout: Layout) -> bool:
    """Whether a row is none: blank, a sum at the foot, or the headings once more."""
    said = [plain for cell in cells if (plain := cleaning.name(cell))]
    place = layout.places["result"]
    return not said or said[0] in SUMS or (place < len(cells) and heading(cells[place]) == heading(layout.headings[place]))


class _Reader:
    """Turns the rows beneath the headings into what they say."""

    def __init__(self, layout: Layout, now: datetime) -> None:
        self.layout, self.now = layout, now

    def read(self, line: int, cells: Sequence[str]) -> Row | Refusal | None:
        said = {column: cells[place] if place < len(cells) else "" for column, place in self.layout.places.items()}
        if not any(cleaning.known(said.get(column, "")) for column in ASKED):
            return None
        try:
            return self._row(line, said)
        except Faulty as fault:
            return Refusal(line, self.layout.heading(fault.column), fault.value, fault.reason)

    def _row(self, line: int, said: Mapping[str, str]) -> Row:
        for column, cell in said.items():
            if "\ufffd" in cell and column in (*ASKED, "visitor", "visited_on"):
                raise Faulty(column, cell, "value")
            if len(cell) > LONGEST.get(column, 400) and len(cleaning.text(cell)) > LONGEST.get(column, 400):
                raise Faulty(column, cell, "too_long")
        phone = _cleaned("new_phone", said, cleaning.phone)
        row = Row(
            line=line,
            id=_number("id", said),
            visit=_number("visit", said),
            enterprise=cleaning.name(said.get("enterprise", "")),
            credit_code=_cleaned("credit_code", said, cleaning.credit_code),
            town=cleaning.name(said.get("town", "")),
            visitor=cleaning.name(said.get("visitor", "")),
            day=day(said.get("visited_on", ""), now=self.now),
            result=_result(said, phone),
            phone=phone,
            remark=cleaning.known(said.get("remark", "")),
        )
        if not (row.id or row.enterprise or row.credit_code):
            raise Faulty("enterprise", said.get("enterprise", ""), "enterprise_missing")
        return row


def _result(said: Mapping[str, str], phone: str) -> str:
    """Return what a visit brought; where only a new phone was typed in, it was that."""
    written = said.get("result", "")
    result = result_of(written)
    if result is None:
        if cleaning.known(written):
            raise Faulty("result", written, "result")
        if not phone:
            raise Faulty("result", said.get("remark", ""), "result_missing")
        return "new_phone"
    if result == "new_phone" and not phone:
        raise Faulty("new_phone", said.get("new_phone", ""), "phone_missing")
    return result


def result_of(word: str) -> str | None:
    """Return the result that a word means, in Chinese or as its id; None for any other."""
    plain = heading(cleaning.known(word))
    return next((id for id, known in RESULTS.items() if plain in (id.replace("_", ""), heading(known))), None)


def day(written: str, *, now: datetime) -> datetime | None:
    """Return noon of a day as people write it: 2026-01-15, 2026/1/15, 2026.1.15, 2026年1月15日, 1月15日; None for an empty cell.

    A day to come, or one that is none, is refused. Raises Faulty.
    """
    plain = cleaning.known(unicodedata.normalize("NFKC", written))
    if not plain:
        return None
    try:
        found = _day(plain, now.astimezone(OFFICE_ZONE))
    except (ValueError, OverflowError) as error:
        raise Faulty("visited_on", written, "day") from error
    if found.date() > now.astimezone(OFFICE_ZONE).date() or found.year < 2000:
        raise Faulty("visited_on", written, "day")
    return min(datetime.combine(found.date(), clock_time(12), OFFICE_ZONE), now)


_DATE = re.compile(r"(?:(\d{4})\s*[-/.年]\s*)?(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*[日号]?(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?")


def _day(plain: str, today: datetime) -> datetime:
    if re.fullmatch(r"\d{5}", plain):
        return EPOCH + timedelta(days=int(plain))
    if re.fullmatch(r"\d{8}", plain):
        return datetime(int(plain[:4]), int(plain[4:6]), int(plain[6:]), tzinfo=OFFICE_ZONE)
    found = _DATE.fullmatch(plain)
    if found is None:
        raise ValueError(plain)
    year, month, number = found[1], int(found[2]), int(found[3])
    if year:
        return datetime(int(year), month, number, tzinfo=OFFICE_ZONE)
    this_year = datetime(today.year, month, number, tzinfo=OFFICE_ZONE)
    return this_year if this_year.date() <= today.date() else this_year.replace(year=today.year - 1)


def _number(column: str, said: Mapping[str, str]) -> int | None:
    """Return a number that we wrote into a hidden column; what is none was not ours."""
    plain = cleaning.known(said.get(column, ""))
    return int(plain) if re.fullmatch(r"[0-9]{1,15}", plain) else None


def _cleaned(column: str, said: Mapping[str, str], clean: Callable[[str], str]) -> str:
    cell = said.get(column, "")
    try:
        return clean(cell)
    except Unclean as unclean:
        raise Faulty(column, cell, unclean.reason) from unclean


def explain(reason: str) -> str:
    """Return a reason in words, with what to do about it."""
    return {
        "result": _("not one of the results: {known}").format(known="、".join(RESULTS.values())),
        "result_missing": _("a remark without a result; choose one: {known}").format(known="、".join(RESULTS.values())),
        "phone": _("not a mobile number; write one mobile a cell, 11 digits"),
        "phone_scientific": _("Excel rounded the number and its last digits are lost; format the column as text and type the number again"),
        "phone_missing": _("the result says that the number changed, and no new one is there; type it in"),
        "day": _("not a day, or one that is still to come; write it as 2026-01-15"),
        "credit_code": _("not a unified social credit code: 18 characters without I, O, S, V, Z, the last one a check character; copy it from the licence"),
        "enterprise_missing": _("it is not said which enterprise; fill in name or credit code"),
        "enterprise_unknown": _("there is no such enterprise in the contacts; compare name, town and credit code"),
        "conflict": _("more than one enterprise fits; give the credit code"),
        "mismatch": _("the name is not that of the enterprise whose number stands in the hidden column: rows were moved; export the list anew"),
        "other_town": _("an enterprise of another town; leave it to that town"),
        "not_asked": _(
            "no launched campaign asks this enterprise for a pledge; record the sheet with: outreach pledges record-paper --enterprise ID --pledge NAME"
        ),
        "before_text": _("on that day the text of the pledge was not there yet; correct the day"),
        "too_long": _("longer than the field holds; shorten it"),
        "value": _("characters are damaged; correct it"),
    }[reason]


def brief(reason: str) -> str:
    """Return a reason in a word or two, for the line that sums an import up."""
    return {
        "result": _("unknown result"),
        "result_missing": _("result missing"),
        "phone": _("phone"),
        "phone_scientific": _("phone rounded by Excel"),
        "phone_missing": _("new phone missing"),
        "day": _("day"),
        "credit_code": _("credit code"),
        "enterprise_missing": _("enterprise missing"),
        "enterprise_unknown": _("enterprise unknown"),
        "conflict": _("contradiction"),
        "mismatch": _("rows moved"),
        "other_town": _("other town"),
        "not_asked": _("not asked for a pledge"),
        "before_text": _("before the pledge"),
        "too_long": _("too long"),
        "value": _("unknown word"),
    }[reason]
