"""What the reports share at the command line: the options that choose, whole phones for whom may see them, and towns that are there."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.audiences.fields import nearest
from outreach.campaigns import directory
from outreach.cli.base import Office, option
from outreach.cli.output import limited, note
from outreach.clock import OFFICE_ZONE
from outreach.contacts import cleaning
from outreach.database.tables import Enterprise, Recipient
from outreach.errors import NotFound, UsageError
from outreach.i18n import gettext as _
from outreach.reports.tables import Table
from outreach.staff import roles

TOWNS_NAMED = 12
"""How many towns are named to somebody who meant one of them."""
DAY = click.DateTime(["%Y-%m-%d"])


class TownUnknown(NotFound):
    """There is no town {town} in the contacts. There are: {known}"""


class DaysReversed(UsageError):
    """--from {first} is later than --to {last}."""


class RowsMissing(UsageError):
    """{option} belongs to a list: add --rows."""


campaign_option = option("--campaign", metavar="NAME", help="Of this campaign only; without it, of all in the mode of the settings.")
rows_option = option("--rows", "as_list", is_flag=True, help="List the enterprises that the figures count.")
town_option = option("--town", metavar="TOWN", help="Only this town.")
where_option = option("--where", metavar="EXPR", help="Only these enterprises: an audience expression.")
from_option = option("--from", "first_day", type=DAY, metavar="DAY", help="From this day on, such as 2026-01-15.")
to_option = option("--to", "last_day", type=DAY, metavar="DAY", help="Up to and with this day.")
unmask_option = option("--unmask", is_flag=True, help="Show phones whole; this is written into the audit log.")
limit_option = option("--limit", type=click.IntRange(1), help="Rows of a page.")
after_option = option("--after", type=click.IntRange(0), metavar="CURSOR", help="The page after this one.")


def names(typed: str | None) -> list[str]:
    """Return the names of a list that people type with commas of either script."""
    return (typed or "").replace("，", ",").replace("、", ",").split(",")


def town(office: Office, typed: str | None) -> str | None:
    """Return the town that was asked for, as the import wrote it; else the one to which whoever signs in is limited. Raises OtherTown."""
    asked = (cleaning.name(typed) or typed.strip()) if typed else ""
    if asked:
        office.require_town(asked)
        return asked
    return limited(office) or None


def days(first_day: datetime | None, last_day: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Return the moments between which two days lie, by the office's clock; the last day is in. Raises DaysReversed."""
    if first_day and last_day and first_day > last_day:
        raise DaysReversed(first=first_day.date(), last=last_day.date())
    start = first_day.replace(tzinfo=OFFICE_ZONE) if first_day else None
    return start, last_day.replace(tzinfo=OFFICE_ZONE) + timedelta(days=1) if last_day else None


def unmask(office: Office, report: str, which: Mapping[str, Any], **more: Any) -> None:
    """Sign in who wants to see phones whole, and write down what was looked at, before anything is shown."""
    office.sign_in(roles.UNMASK)
    detail = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in which.items() if value}
    with office.database.write() as session:
        office.record(session, "report.unmask", which.get("campaign") or "", report=report, **more, **detail)


def require_rows(as_list: bool, **options: int | None) -> None:
    """Refuse options of a list where figures are asked for."""
    for name, value in options.items():
        if value is not None and not as_list:
            raise RowsMissing(option=f"--{name}")


def require_town(session: Session, town: str | None) -> None:
    """Refuse a town that nobody is in: a figure of nothing would look like an answer."""
    if town is None:
        return
    known = set(session.scalars(select(Enterprise.town).distinct())) | set(session.scalars(select(Recipient.town).distinct()))
    if town not in known:
        like = nearest(town, sorted(known - {""}))
        others = sorted(known - {"", like})[:TOWNS_NAMED]
        raise TownUnknown(town=town, known="、".join([like, *others] if like else others) or _("none"))


def say_mode(office: Office, session: Session, campaign: str | None) -> None:
    """Say that figures are of a rehearsal, where they are."""
    mode = directory.named(session, campaign).mode if campaign else office.settings.mode
    if mode == "rehearsal":
        note(_("These figures are of a rehearsal: nothing was really sent."))


def again(report: str, chosen: Mapping[str, Any], **more: Any) -> str:
    """Return the command with the same choice, for the next step."""
    words = [f"outreach report {report}"]
    for name, value in {**chosen, **more}.items():
        if value is not None:
            shown = value.strftime("%Y-%m-%d") if isinstance(value, datetime) else shlex.quote(str(value))
            words.append(f"--{ {'first_day': 'from', 'last_day': 'to'}.get(name, name) } {shown}")
    return " ".join(words)


def narrow(table: Table, *, always: Sequence[str]) -> Table:
    """Leave out the figures that are nothing everywhere: the terminal has little room, and the sum stays the same."""
    shown = [column for column in table.columns if column.id in always or table.totals.get(column.id) != 0]
    return replace(table, columns=shown)


def narrow_list(table: Table, *, keep: Sequence[str], only_in_files: Sequence[str]) -> Table:
    """Leave out what only files have room for, and the columns in which nothing stands."""
    filled = {column.id for column in table.columns if any(row.get(column.id) not in (None, "") for row in table.rows)}
    shown = [column for column in table.columns if column.id in keep or (column.id in filled and column.id not in only_in_files)]
    return replace(table, columns=shown or table.columns)
