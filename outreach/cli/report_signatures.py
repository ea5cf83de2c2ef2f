"""`outreach report signatures`: who has signed, by whatever the figures are grouped."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from outreach.cli import report_choice as choice
from outreach.cli.base import Command, Group, Office, option, pass_office
from outreach.cli.files import OUT, deliver, deliver_list
from outreach.cli.output import note
from outreach.i18n import gettext as _
from outreach.reports import signatures as figures
from outreach.reports.signatures import Which

ALWAYS_SHOWN = ("enterprises", "signed", "declined", "opened", "not_opened", "not_reached")
ONLY_IN_FILES = ("credit_code", "signed_at", "opened_at")


@click.command("signatures", cls=Command)
@option("--campaign", metavar="NAME", help="Of the enterprises of this campaign, and its pledge; without it, of all enterprises.")
@option("--pledge", metavar="PLEDGE", help="Answers to this pledge; without it, to that of the campaign, else to any.")
@option("--by", metavar="F,F", help="Group by these: town, village, industry, scale, above_scale, department, way, day.")
@choice.rows_option
@option("--state", type=click.Choice(figures.SHOWABLE), help="Only who stands so.")
@choice.town_option
@choice.where_option
@option("--from", "first_day", type=choice.DAY, metavar="DAY", help="Only who answered or opened from this day on, such as 2026-01-15.")
@choice.to_option
@choice.unmask_option
@choice.limit_option
@choice.after_option
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def signatures(office: Office, /, out: Path | None, by: str | None, as_list: bool, unmask: bool, limit: int | None, after: int | None, **chosen: Any) -> None:
    """Who has signed, declined, opened or not, by whatever you group the enterprises."""
    fields = figures.grouping(choice.names(by))
    which = _which(office, **chosen)
    choice.require_rows(as_list, limit=limit, after=after)
    if unmask:
        choice.unmask(office, "signatures", which, by=list(fields))
    with office.database.read() as session:
        choice.require_town(session, which.get("town"))
        choice.say_mode(office, session, which.get("campaign"))
        if as_list:
            deliver_list(
                office,
                lambda limit, after: figures.listing(session, by=fields, limit=limit, after=after, unmask=unmask, **which),
                lambda after: figures.rows(session, by=fields, after=after, unmask=unmask, **which),
                limit=limit,
                after=after,
                out=out,
                again=choice.again("signatures", chosen, by=by, limit=limit) + (" --rows --unmask" if unmask else " --rows"),
                narrow=partial(choice.narrow_list, keep=fields, only_in_files=ONLY_IN_FILES),
            )
            return
        table = figures.signatures(session, by=fields or figures.DEFAULT_BY, **which)
    if not table.rows:
        note(_("There are no such enterprises."))
    people = office.format == "table" and out is None
    shown = choice.narrow(table, always=ALWAYS_SHOWN) if people else table
    deliver(office, shown, out=out, next_step=choice.again("signatures", chosen) + " --rows" if table.rows else "outreach contacts import FILE")


def _which(
    office: Office,
    *,
    campaign: str | None,
    pledge: str | None,
    state: str | None,
    town: str | None,
    where: str | None,
    first_day: datetime | None,
    last_day: datetime | None,
) -> Which:
    """Return which enterprises and answers the options mean."""
    start, end = choice.days(first_day, last_day)
    return {
        "campaign": campaign,
        "pledge": pledge,
        "mode": office.settings.mode,
        "town": choice.town(office, town),
        "start": start,
        "end": end,
        "where": where,
        "column": state,
    }


def add_to(group: Group) -> None:
    """Put the command into its group."""
    group.add_command(signatures)
