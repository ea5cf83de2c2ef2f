"""`outreach pledges`: the texts that are signed, who signed them, and the proof of it."""

from pathlib import Path

import click

from outreach.cli import pledge_directory, pledge_documents, pledge_evidence, pledge_paper
from outreach.cli.base import Office, acting, group, option, pass_office
from outreach.cli.files import OUT, deliver_list
from outreach.cli.output import answer, command, note
from outreach.clock import OFFICE_ZONE, wire
from outreach.database.tables import PledgeVersion
from outreach.errors import NotFound
from outreach.i18n import gettext as _
from outreach.links import resolving
from outreach.pledges import corrections as said
from outreach.pledges import signing, versions
from outreach.reports import corrections as lists
from outreach.reports.tables import Table


class NoRecipient(NotFound):
    """No recipient has the code {name}; it stands in the text or letter, and in: outreach pledges list"""


@group("pledges")
def pledges() -> None:
    """The texts that are signed, who signed them, and the proof of it."""


@pledges.command("text")
@click.argument("name", required=False)
@option("--version", "number", type=click.IntRange(1), metavar="N", help="This version; without it, as the files stand now.")
@pass_office
def text(office: Office, name: str | None, number: int | None) -> None:
    """Show a pledge's text and its versions; without a NAME, the pledges there are."""
    if name is None:
        offered = versions.offered(office.settings)
        answer(office, {"pledges": offered}, offered, next_step="outreach pledges text NAME")
        return
    with office.database.read() as session:
        known = versions.all_of(session, name)
        if number is not None:
            shown = versions.numbered(session, name, number)
        else:
            digest, shown = versions.read(name, settings=office.settings, now=office.now())
            shown.number = next((version.number for version in known if version.digest == digest), 0)
    lines = [f"{shown.title}  {_state(shown)}", "", shown.source, ""]
    lines += [_("Version {number}: {digest}… of {day}").format(number=one.number, digest=one.digest[:12], day=_day(one)) for one in known]
    document = _document(shown) | {"source": shown.source, "letter": shown.letter, "privacy": shown.privacy, "versions": [_document(one) for one in known]}
    answer(office, document, lines, next_step="" if known else 'goal = { pledge = "' + name + '" }')


def _state(version: PledgeVersion) -> str:
    return _("version {number}").format(number=version.number) if version.number else _("not planned with so far")


def _day(version: PledgeVersion) -> str:
    return f"{version.made_at.astimezone(OFFICE_ZONE):%Y-%m-%d}"


def _document(version: PledgeVersion) -> dict[str, object]:
    return {
        "pledge": version.pledge,
        "version": version.number or None,
        "title": version.title,
        "digest": version.digest,
        "renews": version.renews or None,
        "one_time_code": version.one_time_code,
        "made_at": wire(version.made_at),
    }


@pledges.command("withdraw")
@click.argument("serial")
@option("--reason", required=True, metavar="TEXT", help="Why, as the enterprise says; it is kept.")
@acting
def withdraw(office: Office, serial: str, reason: str) -> None:
    """End a signature by the enterprise's own wish; it stays in the books, with its reason."""
    with office.database.write() as session:
        ended = signing.withdraw(session, serial, reason=reason, by=office.actor, now=office.now())
        office.record(session, "pledges.withdraw", serial, enterprise=ended.enterprise_id)
        document = {"serial": ended.serial, "enterprise": ended.enterprise, "state": ended.state, "withdrawn_at": wire(ended.ended_at)}
    answer(office, document, [_("{serial} of {enterprise} is withdrawn.").format(serial=serial, enterprise=document["enterprise"])])


@pledges.command("revoke")
@click.argument("codes", metavar="CODE…", nargs=-1, required=True)
@acting
def revoke(office: Office, codes: tuple[str, ...]) -> None:
    """Make every personal link of these recipients invalid; their codes lead to new ones."""
    with office.database.write() as session:
        count = resolving.revoke(session, codes)
        if not count:
            raise NoRecipient(what="recipient", name=" ".join(codes))
        office.record(session, "pledges.revoke", "", recipients=count)
    answer(office, {"revoked": count, "asked": len(codes)}, [_("Links revoked: {count} of {asked}.").format(count=count, asked=len(codes))])


@pledges.command("corrections")
@option("--done", "done", type=click.IntRange(1), metavar="NO", help="Strike this one off: it was put right.")
@option("--all", "all_of", is_flag=True, help="Those that were put right too.")
@option("--town", default="", metavar="T", help="Only this town.")
@option("--unmask", is_flag=True, help="Show phones in full; needs a sign-in and goes into the audit log.")
@option("--limit", type=click.IntRange(1), help="Rows of a page.")
@option("--after", type=click.IntRange(0), metavar="CURSOR", help="The page after this one.")
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def corrections(office: Office, done: int | None, all_of: bool, town: str, unmask: bool, limit: int | None, after: int | None, out: Path | None) -> None:
    """What people said of our list: not the principal, closed down, another number."""
    if done is not None:
        office.sign_in_if_asked("operator")
        with office.database.write() as session:
            said.done(session, done, by=office.actor, now=office.now())
            office.record(session, "pledges.correction_done", str(done))
        answer(office, {"done": done}, [_("Correction {number} is off the list.").format(number=done)], next_step="outreach pledges corrections")
        return
    if unmask:
        office.sign_in("operator")
        with office.database.write() as session:
            office.record(session, "pledges.corrections", town, unmask=True)
    town = office.own_town() or town
    with office.database.read() as session:
        if not lists.listing(session, all_of=all_of, town=town, limit=1).rows:
            note(_("Nobody has corrected anything."))
        deliver_list(
            office,
            lambda limit, after: lists.listing(session, all_of=all_of, town=town, unmask=unmask, limit=limit, after=after),
            lambda after: lists.rows(session, all_of=all_of, town=town, unmask=unmask, after=after),
            limit=limit,
            after=after,
            out=out,
            again=command("outreach pledges corrections", town=town or None) + (" --all" if all_of else ""),
            narrow=_in_words,
        )


def _in_words(table: Table) -> Table:
    known = lists.kinds()
    rows = [{**row, "kind": known[row["kind"]]} for row in table.rows]
    return Table(table.report, table.columns, rows, total=table.total, next=table.next)


pledge_directory.add_to(pledges)
pledge_documents.add_to(pledges)
pledge_evidence.add_to(pledges)
pledge_paper.add_to(pledges)
