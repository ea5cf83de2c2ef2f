"""`outreach report`: the figures of campaigns, and the enterprises behind each figure."""

import shlex
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from outreach.campaigns import statement
from outreach.cli import report_choice as choice
from outreach.cli import report_reach, report_signatures, report_towns
from outreach.cli.base import Office, group, option, pass_office
from outreach.cli.files import OUT, deliver, deliver_list
from outreach.cli.output import note
from outreach.i18n import gettext as _
from outreach.reports import deliveries as messages
from outreach.reports import statements
from outreach.reports.deliveries import Which

ALWAYS_SHOWN = ("included", "delivered", "failed", "skipped")
ONLY_IN_FILES = ("campaign", "channel", "others", "credit_code", "attempt", "reference")


@group("report")
def report() -> None:
    """The figures of campaigns, and the enterprises behind each figure."""


@report.command("deliveries")
@choice.campaign_option
@option("--by", metavar="F,F", help="Group by these: campaign, step, channel, town, industry, scale, department, state, reason, error, sender, day.")
@choice.rows_option
@option("--state", type=click.Choice(messages.SHOWABLE), help="Only what stands so.")
@option("--step", type=click.IntRange(1), help="Only this step.")
@option("--error", metavar="CODE", help="Only this error code of the provider.")
@choice.town_option
@choice.where_option
@choice.from_option
@choice.to_option
@choice.unmask_option
@choice.limit_option
@choice.after_option
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def deliveries(office: Office, /, out: Path | None, by: str | None, as_list: bool, unmask: bool, limit: int | None, after: int | None, **chosen: Any) -> None:
    """What became of the messages, by whatever you group them."""
    fields = messages.grouping(choice.names(by))
    which = _which(office, **chosen)
    if unmask:
        choice.unmask(office, "deliveries", which, by=list(fields))
    choice.require_rows(as_list, limit=limit, after=after)
    with office.database.read() as session:
        choice.require_town(session, which.get("town"))
        choice.say_mode(office, session, which.get("campaign"))
        if as_list:
            deliver_list(
                office,
                lambda limit, after: messages.listing(session, by=fields, limit=limit, after=after, unmask=unmask, **which),
                lambda after: messages.rows(session, by=fields, after=after, unmask=unmask, **which),
                limit=limit,
                after=after,
                out=out,
                again=choice.again("deliveries", chosen, by=by, limit=limit) + (" --rows --unmask" if unmask else " --rows"),
                narrow=partial(choice.narrow_list, keep=fields, only_in_files=ONLY_IN_FILES),
            )
            return
        table = messages.deliveries(session, by=fields or messages.DEFAULT_BY, **which)
    if not table.rows:
        note(_("Nothing was sent so far."))
    people = office.format == "table" and out is None
    deliver(
        office,
        choice.narrow(table, always=ALWAYS_SHOWN) if people else table,
        out=out,
        next_step=choice.again("deliveries", chosen) + " --rows" if table.rows else "outreach campaign list",
    )


@report.command("statement")
@option("--campaign", metavar="NAME", required=True, help="The campaign.")
@option("--enterprises", "of_enterprises", is_flag=True, help="The figures of enterprises instead of those of the steps.")
@option("--rows", "as_list", is_flag=True, help="List the enterprises, each with its column of the statement.")
@choice.limit_option
@choice.after_option
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def statement_(office: Office, campaign: str, of_enterprises: bool, as_list: bool, limit: int | None, after: int | None, out: Path | None) -> None:
    """The table of a campaign that adds up: step by step, and over its enterprises."""
    choice.require_rows(as_list, limit=limit, after=after)
    office.require_town("")
    again = f"outreach report statement --campaign {shlex.quote(campaign)} --rows"
    with office.database.read() as session:
        choice.say_mode(office, session, campaign)
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
        deliver(office, choice.narrow(steps, always=ALWAYS_SHOWN), title=_("Messages, step by step"))
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
    """Return which deliveries the options mean."""
    start, end = choice.days(first_day, last_day)
    return {
        "campaign": campaign,
        "mode": office.settings.mode,
        "town": choice.town(office, town),
        "start": start,
        "end": end,
        "where": where,
        "state": state,
        "step": step,
        "error": error,
    }


report_signatures.add_to(report)
report_towns.add_to(report)
report_reach.add_to(report)
