"""`outreach report`: the figures of campaigns, and the enterprises behind each figure."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.audiences.fields import nearest
from outreach.campaigns import directory, statement
from outreach.cli.base import Office, group, option, pass_office
from outreach.cli.files import OUT, deliver, deliver_list
from outreach.cli.output import note
from outreach.clock import OFFICE_ZONE
from outreach.contacts import cleaning
from outreach.database.tables import Enterprise, Recipient
from outreach.errors import NotFound, Refused, UsageError
from outreach.i18n import gettext as _
from outreach.reports import deliveries as messages
from outreach.reports import statements
from outreach.reports.deliveries import Which
from outreach.reports.tables import Table
from outreach.staff import roles

ALWAYS_SHOWN = ("included", "delivered", "failed", "skipped")
ONLY_IN_FILES = ("campaign", "channel", "others", "credit_code", "attempt", "reference")
TOWNS_NAMED = 12
"""How many towns are named to somebody who meant one of them."""
DAY = click.DateTime(["%Y-%m-%d"])


class TownUnknown(NotFound):
    """There is no town {town} in the contacts. There are: {known}"""


class OtherTown(Refused):
    """Account {account} belongs to {own} and sees the phones of {own} only: add --town {own}"""

    status = 403


class DaysReversed(UsageError):
    """--from {first} is later than --to {last}."""


class RowsMissing(UsageError):
    """{option} belongs to a list: add --rows."""


@group("report")
def report() -> None:
    """The figures of campaigns, and the enterprises behind each figure."""


@report.command("deliveries")
@option("--campaign", metavar="NAME", help="Of this campaign only; without it, of all in the mode of the settings.")
@option("--by", metavar="F,F", help="Group by these: campaign, step, channel, town, industry, scale, department, state, reason, error, sender, day.")
@option("--rows", "as_list", is_flag=True, help="List the enterprises that the figures count.")
@option("--state", type=click.Choice(messages.SHOWABLE), help="Only what stands so.")
@option("--step", type=click.IntRange(1), help="Only this step.")
@option("--error", metavar="CODE", help="Only this error code of the provider.")
@option("--town", metavar="TOWN", help="Only this town.")
@option("--where", metavar="EXPR", help="Only these enterprises: an audience expression.")
@option("--from", "first_day", type=DAY, metavar="DAY", help="From this day on, such as 2026-01-15.")
@option("--to", "last_day", type=DAY, metavar="DAY", help="Up to and with this day.")
@option("--unmask", is_flag=True, help="Show phones whole; this is written into the audit log.")
@option("--limit", type=click.IntRange(1), help="Rows of a page.")
@option("--after", type=click.IntRange(0), metavar="CURSOR", help="The page after this one.")
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def deliveries(office: Office, /, out: Path | None, by: str | None, as_list: bool, unmask: bool, limit: int | None, after: int | None, **chosen: Any) -> None:
    """What became of the messages, by whatever you group them."""
    fields = messages.grouping((by or "").replace("，", ",").replace("、", ",").split(","))
    which = _which(office, **chosen)
    if unmask:
        _unmask(office, which, by=fields)
    _require_rows(as_list, limit=limit, after=after)
    with office.database.read() as session:
        _require_town(session, which.get("town"))
        _say_mode(office, session, which.get("campaign"))
        if as_list:
            deliver_list(
                office,
                lambda limit, after: messages.listing(session, by=fields, limit=limit, after=after, unmask=unmask, **which),
                lambda after: messages.rows(session, by=fields, after=after, unmask=unmask, **which),
                limit=limit,
                after=after,
                out=out,
                again=_again(chosen, by=by, limit=limit) + (" --rows --unmask" if unmask else " --rows"),
                narrow=partial(_narrow_list, keep=fields),
            )
            return
        table = messages.deliveries(session, by=fields or messages.DEFAULT_BY, **which)
    if not table.rows:
        note(_("Nothing was sent so far."))
    people = office.format == "table" and out is None
    deliver(office, _narrow(table) if people else table, out=out, next_step=_again(chosen) + " --rows" if table.rows else "outreach campaign list")


@report.command("statement")
@option("--campaign", metavar="NAME", required=True, help="The campaign.")
@option("--enterprises", "of_enterprises", is_flag=True, help="The figures of enterprises instead of those of the steps.")
@option("--rows", "as_list", is_flag=True, help="List the enterprises, each with its column of the statement.")
@option("--limit", type=click.IntRange(1), help="Rows of a page.")
@option("--after", type=click.IntRange(0), metavar="CURSOR", help="The page after this one.")
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def statement_(office: Office, campaign: str, of_enterprises: bool, as_list: bool, limit: int | None, after: int | None, out: Path | None) -> None:
    """The table of a campaign that adds up: step by step, and over its enterprises."""
    _require_rows(as_list, limit=limit, after=after)
    again = f"outreach report statement --campaign {shlex.quote(campaign)} --rows"
    with office.database.read() as session:
        _say_mode(office, session, campaign)
        if as_list:
            deliver_list(
                office,
                lambda limit, after: statements.enterprises_listing(session, campaign, limit=limit, after=after),
                lambda after: statements.enterprises(session, campaign, after=after),
                limit=limit,
                after=after,
                out=out,
                again=again,
            )
            return
        document = statement.statement(session, campaign, now=office.now())
    steps, enterprises = statements.steps_table(document), statements.enterprises_table(document)
    if office.format != "table" or out is not None:
        deliver(office, enterprises if of_enterprises else steps, out=out, next_step=again)
        return
    if not of_enterprises:
        deliver(office, _narrow(steps), title=_("Messages, step by step"))
    deliver(office, enterprises, title=_("Enterprises"), next_step=again)


def _which(
    office: Office,
    *,
    campaign: str | None,
    state: str | None,
    step: int | None,
    error: str | None,
    town: str | None,
    where: str | None,
    first_day: datetime | None,
    last_day: datetime | None,
) -> Which:
    """Return which deliveries the options mean; days are those of the office's clock, the last one is in."""
    if first_day and last_day and first_day > last_day:
        raise DaysReversed(first=first_day.date(), last=last_day.date())
    return {
        "campaign": campaign,
        "mode": office.settings.mode,
        "town": (cleaning.name(town) or town.strip() or None) if town else None,
        "start": first_day.replace(tzinfo=OFFICE_ZONE) if first_day else None,
        "end": last_day.replace(tzinfo=OFFICE_ZONE) + timedelta(days=1) if last_day else None,
        "where": where,
        "state": state,
        "step": step,
        "error": error,
    }


def _unmask(office: Office, which: Which, *, by: Sequence[str]) -> None:
    """Sign in who wants to see phones whole, and write down what was looked at, before anything is shown."""
    account = office.sign_in(roles.UNMASK)
    if account.town and which.get("town") != account.town:
        raise OtherTown(account=account.account, own=account.town)
    detail = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in which.items() if value}
    with office.database.write() as session:
        office.record(session, "report.unmask", which.get("campaign") or "", report="deliveries", by=list(by), **detail)


def _require_rows(as_list: bool, **options: int | None) -> None:
    for name, value in options.items():
        if value is not None and not as_list:
            raise RowsMissing(option=f"--{name}")


def _require_town(session: Session, town: str | None) -> None:
    """Refuse a town that nobody is in: a figure of nothing would look like an answer."""
    if town is None:
        return
    known = set(session.scalars(select(Enterprise.town).distinct())) | set(session.scalars(select(Recipient.town).distinct()))
    if town not in known:
        like = nearest(town, sorted(known - {""}))
        others = sorted(known - {"", like})[:TOWNS_NAMED]
        raise TownUnknown(town=town, known="、".join([like, *others] if like else others) or _("none"))


def _say_mode(office: Office, session: Session, campaign: str | None) -> None:
    mode = directory.named(session, campaign).mode if campaign else office.settings.mode
    if mode == "rehearsal":
        note(_("These figures are of a rehearsal: nothing was really sent."))


def _again(chosen: Mapping[str, Any], **more: Any) -> str:
    """Return the command with the same choice, for the next step."""
    words = ["outreach report deliveries"]
    for name, value in {**chosen, **more}.items():
        if value is not None:
            shown = value.strftime("%Y-%m-%d") if isinstance(value, datetime) else shlex.quote(str(value))
            words.append(f"--{ {'first_day': 'from', 'last_day': 'to'}.get(name, name) } {shown}")
    return " ".join(words)


def _narrow(table: Table) -> Table:
    """Leave out the figures that are nothing everywhere: the terminal has little room, and the sum stays the same."""
    shown = [column for column in table.columns if column.id in ALWAYS_SHOWN or table.totals.get(column.id) != 0]
    return replace(table, columns=shown)


def _narrow_list(table: Table, *, keep: Sequence[str]) -> Table:
    """Leave out what only files have room for, and the columns in which nothing stands."""
    filled = {column.id for column in table.columns if any(row.get(column.id) not in (None, "") for row in table.rows)}
    shown = [column for column in table.columns if column.id in keep or (column.id in filled and column.id not in ONLY_IN_FILES)]
    return replace(table, columns=shown or table.columns)
