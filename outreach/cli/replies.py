"""`outreach replies`: what people answered."""

from pathlib import Path

import click

from outreach.cli.base import Office, group, option, pass_office
from outreach.cli.files import OUT, deliver_list
from outreach.cli.output import note
from outreach.i18n import gettext as _
from outreach.reports import replies as answers


@group("replies")
def replies() -> None:
    """What people answered."""


@replies.command("list")
@option("--limit", type=click.IntRange(1), help="Rows of a page.")
@option("--after", type=click.IntRange(0), metavar="CURSOR", help="The page after this one.")
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def list_(office: Office, limit: int | None, after: int | None, out: Path | None) -> None:
    """List the replies, newest first, and what each was taken for."""
    with office.database.read() as session:
        if not answers.total(session):
            note(_("Nobody has answered so far."))
        deliver_list(
            office,
            lambda limit, after: answers.listing(session, limit=limit, after=after),
            lambda after: answers.rows(session, after=after),
            limit=limit,
            after=after,
            out=out,
            again="outreach replies list",
        )
