"""The honour roll (光荣榜): the enterprises that signed and agreed to be shown, town by town; names of enterprises only, never of persons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select, tuple_
from sqlalchemy.orm import Session

from outreach.clock import OFFICE_ZONE
from outreach.database.pledge_tables import Signature
from outreach.database.tables import Enterprise
from outreach.pledges import answers

PAGE = 200


@dataclass(frozen=True, slots=True)
class Honoured:
    """An enterprise on the roll: its name as it signed, and the day by the office's clock."""

    enterprise: str
    town: str
    day: date


@dataclass(frozen=True, slots=True)
class Roll:
    """A page of the roll. `towns` are all that are on it, each with how many enterprises, whatever town was asked for; `total` counts those asked for.

    `next` is the cursor of the page after this one.
    """

    rows: Sequence[Honoured]
    total: int
    next: int | None
    towns: Mapping[str, int]


def honour_roll(
    session: Session, *, town: str | None = None, pledge: str | None = None, mode: str = "production", after: int | None = None, limit: int = PAGE
) -> Roll:
    """Return the enterprises that agreed to be shown, by town (those without one last) and then in the order of signing.

    Shown is whose latest signature that counts (to `pledge`, else to any) agreed; one that was withdrawn, superseded or has no scan
    does not count, nor does one of a campaign of the other mode.
    """
    shown = _shown(pledge, mode)
    counted = _from(select(Enterprise.town, func.count())).where(*shown).group_by(Enterprise.town)
    towns = {row[0]: int(row[1]) for row in session.execute(counted)}
    query = _from(select(Signature.id, Signature.enterprise, Enterprise.town, Signature.signed_at)).where(*shown).order_by(*_order())
    if town is not None:
        query = query.where(Enterprise.town == town)
    if after is not None:
        last = session.execute(_from(select(*_order())).where(Signature.id == after)).one_or_none()
        query = query.where(tuple_(*_order()) > tuple_(*last)) if last else query
    page = session.execute(query.limit(limit + 1)).all()
    rows = [Honoured(row.enterprise, row.town, row.signed_at.astimezone(OFFICE_ZONE).date()) for row in page[:limit]]
    total = sum(towns.values()) if town is None else towns.get(town, 0)
    return Roll(rows, total, page[limit - 1].id if len(page) > limit else None, dict(sorted(towns.items(), key=lambda item: (item[0] == "", item[0]))))


def _shown(pledge: str | None, mode: str) -> list[ColumnElement[bool]]:
    counted = [Signature.state == "signed", *answers.of(Signature, pledge, mode)]
    latest = select(func.max(Signature.id)).where(*counted).group_by(Signature.enterprise_id)
    return [Signature.id.in_(latest), Signature.honour.is_(True)]


def _order() -> list[ColumnElement[Any]]:
    return [case((Enterprise.town == "", 1), else_=0), Enterprise.town.expression, Signature.id.expression]


def _from(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return query.select_from(Signature).join(Enterprise, Enterprise.id == Signature.enterprise_id)
