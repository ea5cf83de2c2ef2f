"""The sheet that a visitor takes along: what to say, and by village whom to see, where, what was tried before, and boxes for the result."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.clock import OFFICE_ZONE
from outreach.database.tables import Campaign, MessageText
from outreach.errors import Refused
from outreach.links import personal
from outreach.rendering import documents, fonts, markup, qr
from outreach.rendering.characters import visible
from outreach.settings import Settings
from outreach.visits.tasks import Task
from outreach.visits.workbook import RESULTS

LAYOUT = "visit/sheet"
AT_ONCE = 100
"""Visits that are set in one go: a list of 1,000 takes 230 MB in parts of 100, 320 MB in parts of 250 (measured)."""
ABSENT = "〓"
"""What printers set where they have no type for a character: a visitor finds the enterprise by the rest of its name."""
SPOKEN: Mapping[str, Any] = {
    "enterprise": "贵企业",
    "enterprises": ["贵企业"],
    "enterprise_count": 1,
    "contact": "负责人",
    "code": "（见本单）",
    "link": "（见本单二维码）",
}
"""What stands in a text for many enterprises where a text for one names it."""


class NobodyToVisit(Refused):
    """There is nobody to visit: no open visit fits. Put visits on somebody's list: outreach visits issue --visitor NAME"""


@dataclass(frozen=True, slots=True)
class Round:
    """A visitor's round in a town, for one campaign: what he says, and whom he sees."""

    visitor: str
    town: str
    title: str
    text_id: int
    source: str
    fields: Mapping[str, Any]
    stops: Sequence[Task]


def rounds(session: Session, wanted: Iterable[Task]) -> list[Round]:
    """Put visits together by visitor, town and campaign, in the order of the list. Raises NobodyToVisit."""
    ordered = sorted(wanted, key=_round)
    if not ordered:
        raise NobodyToVisit(what="visit")
    texts = {row.id: row.source for row in session.execute(select(MessageText.id, MessageText.source))} if ordered else {}
    fields = {row.name: row.fields for row in session.execute(select(Campaign.name, Campaign.fields).where(Campaign.name.in_({t.campaign for t in ordered})))}
    found = []
    for (visitor, town, campaign, text_id), stops in groupby(ordered, key=_round):
        mine = list(stops)
        found.append(Round(visitor, town, mine[0].title, text_id, texts[text_id], fields[campaign], mine))
    return found


def _round(task: Task) -> tuple[str, str, str, int]:
    return task.visitor, task.places[0].town, task.campaign, task.text_id


def pdf(made: Sequence[Round], *, tried: Callable[[Task], str], settings: Settings, now: datetime, unmask: bool = False, at_once: int = AT_ONCE) -> bytes:
    """Return the sheets as one PDF, a new page for each round; the same visits at the same moment give the same bytes.

    `tried` says in words what was tried before. A character that no font has is printed as 〓. Raises what is wrong with the text.
    """
    shelf = fonts.shelf(settings.home)
    parts: list[bytes] = []
    for some in _portions(made, at_once):
        data = {
            "office": settings.office_name,
            "hotline": settings.hotline,
            "day": _day(now),
            "results": list(RESULTS.values()),
            "rounds": [_sheet(one, stops, settings=settings, tried=tried, unmask=unmask) for one, stops in some],
        }
        parts.append(documents.pdf(LAYOUT, _printable(data, shelf), settings=settings, now=now))
    return parts[0] if len(parts) == 1 else documents.joined(parts, now=now)


def _portions(made: Sequence[Round], at_once: int) -> list[list[tuple[Round, list[tuple[int, Task]]]]]:
    """Cut rounds into what is set in one go, the stops numbered through each round."""
    portions: list[list[tuple[Round, list[tuple[int, Task]]]]] = [[]]
    room = at_once
    for one in made:
        numbered = list(enumerate(one.stops, 1))
        for start in range(0, len(numbered), at_once):
            piece = numbered[start : start + at_once]
            if len(piece) > room and portions[-1]:
                portions.append([])
                room = at_once
            portions[-1].append((one, piece))
            room -= len(piece)
    return portions


def _sheet(one: Round, stops: Sequence[tuple[int, Task]], *, settings: Settings, tried: Callable[[Task], str], unmask: bool) -> dict[str, Any]:
    own = {"office": settings.office_name, "place": settings.office_place, "hotline": settings.hotline, "account": settings.wechat_name}
    points = markup.parse(one.source, {**own, **one.fields, **SPOKEN, "town": one.town}, file="visit/talking-points")
    first, last = stops[0][0], stops[-1][0]
    return {
        "visitor": visible(one.visitor),
        "town": visible(one.town),
        "title": visible(one.title),
        "points": {"title": points.title, "blocks": markup.to_data(points)} if first == 1 else None,
        "villages": [
            {"name": visible(village), "stops": [_stop(task, number, settings=settings, tried=tried, unmask=unmask) for number, task in some]}
            for village, some in groupby(stops, key=lambda item: item[1].places[0].village)
        ],
        "count": len(one.stops),
        "part": "" if len(stops) == len(one.stops) else f"第 {first}—{last} 户",
    }


def _stop(task: Task, number: int, *, settings: Settings, tried: Callable[[Task], str], unmask: bool) -> dict[str, Any]:
    seen = [place for place in task.places if not place.settled] or task.places[:1]
    token = personal.make(settings.office_key, task.recipient_id, task.generation, "link")
    return {
        "number": number,
        "places": [{"name": visible(place.name), "credit_code": place.credit_code, "address": visible(place.address)} for place in seen],
        "contact": visible(task.contact),
        "phone": task.phone.removeprefix("+86") if unmask else tokens.mask(task.phone) if task.phone else "",
        "tried": tried(task),
        "code": task.code,
        "qr": qr.svg(personal.url(settings.public_url, token)) if task.asks else None,
    }


def _printable(data: Any, shelf: fonts.Shelf) -> Any:
    """Put a mark in the place of every character that no font has; pictures are no text."""
    match data:
        case str() if not data.startswith("<svg "):
            absent = set(fonts.missing(data, shelf))
            return "".join(ABSENT if character in absent else character for character in data) if absent else data
        case dict():
            return {key: _printable(value, shelf) for key, value in data.items()}
        case list():
            return [_printable(value, shelf) for value in data]
    return data


def _day(moment: datetime) -> str:
    local = moment.astimezone(OFFICE_ZONE)
    return f"{local.year}年{local.month}月{local.day}日"
