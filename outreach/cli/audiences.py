"""`outreach audience`: try an expression before a campaign is planned with it, and keep good ones under a name."""

import click
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.audiences import conditions, segments, selection
from outreach.audiences.tree import Tree
from outreach.cli.base import Office, acting, group, option, pass_office
from outreach.cli.output import answer, limited, note, show
from outreach.contacts import directory
from outreach.i18n import gettext as _
from outreach.reports import words
from outreach.reports.tables import Column, Table

expression_argument = click.argument("expression", nargs=-1, required=True, metavar="EXPR")
"""An expression may come in several words: a shell takes the quotation marks off, and people forget them."""


@group("audience")
def audience() -> None:
    """Who is meant: count and look at what an expression selects, and save it as a segment."""


@audience.command("count")
@expression_argument
@pass_office
def count(office: Office, expression: tuple[str, ...]) -> None:
    """Count whom an expression selects, and by which channel they can be written to."""
    with office.database.read() as session:
        tree = _read(session, expression)
        figures = selection.count(session, tree)
    line = _("Enterprises {enterprises:,}, contacts {contacts:,}").format(**figures)
    said = {"letter": _("Enterprises that can be written to by {channel}: {count:,}")}
    channels = [
        said.get(name, _("Contacts that can be written to by {channel}: {count:,}")).format(channel=words.channel(name), count=reached)
        for name, reached in figures["by_channel"].items()
    ]
    answer(office, figures, [line, *channels], next_step="outreach audience preview EXPR")


@audience.command("preview")
@expression_argument
@option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Rows of a page.")
@option("--after", metavar="CURSOR", help="The page after this cursor.")
@option("--unmask", is_flag=True, help="Show phones in full; needs a sign-in and goes into the audit log.")
@pass_office
def preview(office: Office, expression: tuple[str, ...], limit: int, after: str | None, unmask: bool) -> None:
    """Show the enterprises and contacts that an expression selects."""
    if unmask:
        office.sign_in("operator")
        with office.database.write() as session:
            office.record(session, "audience.preview", " ".join(expression), unmask=True)
    town = limited(office)
    with office.database.read() as session:
        tree = _read(session, expression)
        page = directory.listing(session, where=conditions.condition(tree), town=town, limit=limit, after=after)
    columns = [
        Column("enterprise_id", _("Enterprise no.")),
        Column("name", _("Enterprise")),
        Column("town", _("Town")),
        Column("id", _("Contact no.")),
        Column("contact", _("Contact person")),
        Column("role", _("Position")),
        Column("phone", _("Phone")),
    ]
    rows = [
        {**{column.id: row[column.id] for column in columns}, "phone": row["phone"] if unmask or not row["phone"] else tokens.mask(row["phone"])}
        for row in page.rows
    ]
    next_step = "outreach audience preview EXPR --after " + page.next if page.next else "outreach audience save NAME EXPR"
    show(office, Table("audience", columns, rows, next=page.next, total=page.total), next_step=next_step)


@audience.command("save")
@click.argument("name", metavar="NAME")
@expression_argument
@acting
def save(office: Office, name: str, expression: tuple[str, ...]) -> None:
    """Save an expression as a segment; other expressions and campaign files name it as segment:NAME."""
    with office.database.write() as session:
        saved = segments.save(session, name, " ".join(expression), actor=office.actor, now=office.now())
        tree = _read(session, (f"segment:{name}",))
        figures = selection.count(session, tree)
        office.record(session, "audience.save", name, expression=saved.expression)
    document = {"name": saved.name, "expression": saved.expression, **figures}
    line = _("{name} = {expression}: enterprises {enterprises:,}, contacts {contacts:,}").format(**document)
    answer(office, document, [line], next_step=f"outreach audience preview segment:{name}")


@audience.command("list")
@pass_office
def list_(office: Office) -> None:
    """List the segments."""
    with office.database.read() as session:
        saved = segments.listing(session)
    columns = [Column("name", _("Segment")), Column("expression", _("Audience")), Column("saved_by", _("Saved by")), Column("saved_at", _("Saved at"))]
    rows = [{column.id: getattr(segment, column.id) for column in columns} for segment in saved]
    show(office, Table("segments", columns, rows), next_step="outreach audience count segment:NAME")


def _read(session: Session, expression: tuple[str, ...]) -> Tree:
    """Return what an expression says, and name on stderr what in it is likely a slip."""
    tree = segments.audience(session, " ".join(expression))
    for warning in selection.warnings(session, tree):
        note(_("Note: {warning}").format(warning=warning))
    return tree
