"""`outreach report reach`: who can be reached by what, and who by nothing."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from outreach.cli import report_choice as choice
from outreach.cli.base import Command, Group, Office, option, pass_office
from outreach.cli.files import OUT, deliver, deliver_list
from outreach.cli.output import note
from outreach.i18n import gettext as _
from outreach.reports import reach as figures
from outreach.reports.reach import Which

ONLY_IN_FILES = ("credit_code", "bound_at")


@click.command("reach", cls=Command)
@option("--campaign", metavar="NAME", help="Of the enterprises that this campaign selected; without it, of all enterprises.")
@option("--by", metavar="F,F", help="Group by these: town, village, industry, scale, above_scale, department, first (the first channel that reaches).")
@choice.rows_option
@option("--channel", "way", type=click.Choice(figures.WAYS), help="Only who can be reached by this; none: by nothing.")
@option("--first", type=click.Choice(figures.WAYS), help="Only whom this channel reaches first.")
@choice.town_option
@choice.where_option
@choice.unmask_option
@choice.limit_option
@choice.after_option
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def reach(office: Office, /, out: Path | None, by: str | None, as_list: bool, unmask: bool, limit: int | None, after: int | None, **chosen: Any) -> None:
    """Who can be reached by WeChat, by text message and by letter, and who by nothing."""
    fields = figures.grouping(choice.names(by))
    which = _which(office, **chosen)
    choice.require_rows(as_list, limit=limit, after=after)
    if unmask:
        choice.unmask(office, "reach", which, by=list(fields))
    again = {"channel" if name == "way" else name: value for name, value in chosen.items()}
    with office.database.read() as session:
        choice.require_town(session, which.get("town"))
        if as_list:
            deliver_list(
                office,
                lambda limit, after: figures.listing(session, by=fields, limit=limit, after=after, unmask=unmask, **which),
                lambda after: figures.rows(session, by=fields, after=after, unmask=unmask, **which),
                limit=limit,
                after=after,
                out=out,
                again=choice.again("reach", again, by=by, limit=limit) + (" --rows --unmask" if unmask else " --rows"),
                narrow=partial(choice.narrow_list, keep=fields, only_in_files=ONLY_IN_FILES),
            )
            return
        table = figures.reach(session, by=fields or figures.DEFAULT_BY, **which)
    if not table.rows:
        note(_("There are no such enterprises."))
    deliver(office, table, out=out, next_step=choice.again("reach", again) + " --rows" if table.rows else "outreach contacts import FILE")


def _which(office: Office, *, campaign: str | None, town: str | None, where: str | None, **ways: str | None) -> Which:
    """Return which enterprises the options mean."""
    prefixes = [prefix for sender in office.settings.sender if sender.channel == "sms" for prefix in sender.prefixes]
    which: Which = {"campaign": campaign, "town": choice.town(office, town), "where": where, "prefixes": prefixes}
    return {**which, "way": ways["way"], "first": ways["first"]}


def add_to(group: Group) -> None:
    """Put the command into its group."""
    group.add_command(reach)
