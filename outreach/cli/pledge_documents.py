"""`outreach pledges form | pdf | certificate`: the papers of a pledge, and the certificate that seals them.

What sets and seals is imported by the verb that needs it: it would double the start of every other.
"""

from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from outreach.cli.base import Group, Office, acting, option, pass_office
from outreach.cli.files import OUT, whole_file
from outreach.cli.output import answer, command, require_document
from outreach.clock import OFFICE_ZONE, wire
from outreach.database.tables import Enterprise
from outreach.i18n import gettext as _


def add_to(group: Group) -> None:
    """Add the verbs to the group `pledges`."""
    for verb in (form, pdf, certificate):
        group.add_command(verb)


@click.command("form", cls=Group.command_class)
@click.argument("codes", metavar="[CODE]…", nargs=-1)
@option("--campaign", "campaign", metavar="NAME", help="All of this campaign who have not answered, by town.")
@option("--town", "towns", multiple=True, metavar="T", help="Only this town; may be repeated. Without codes and --campaign: all there who were asked.")
@option("--village", "villages", multiple=True, metavar="V", help="Only this village or community; may be repeated.")
@option("--audience", metavar="EXPR", help="Only whom this audience expression selects.")
@option("--event", default="", metavar="TITLE", help="The event at which they are laid out: stands on each sheet.")
@option(
    "--blank",
    type=click.IntRange(1, 5000),
    metavar="N",
    help="So many for whoever walks in, to be filled in by hand; behind those of codes or --campaign.",
)
@option("--pledge", default="", metavar="NAME", help="The pledge on --blank sheets, where it is not that of the newest campaign.")
@option("--out", type=OUT, required=True, metavar="FILE", help="The PDF to write.")
@pass_office
def form(office: Office, /, **asked: Any) -> None:
    """Print the sheets for signing by hand, one page an enterprise, each with its own QR code; and blank ones for an event."""
    from outreach.cli import pledge_forms

    require_document(office)
    pledge_forms.print_forms(office, **asked)


@click.command("pdf", cls=Group.command_class)
@click.argument("serial")
@option("--out", type=OUT, metavar="FILE", help="The PDF to write; without it, SERIAL.pdf here.")
@pass_office
def pdf(office: Office, serial: str, out: Path | None) -> None:
    """Write the PDF of a signed pledge: the same file every time, sealed where the office has a seal."""
    from outreach.pledges import copies

    require_document(office)
    with office.database.read() as session:
        material = copies.material(session, serial)
        office.require_town(session.scalar(select(Enterprise.town).where(Enterprise.id == material.signature.enterprise_id)) or "")
    copy = copies.made(material, settings=office.settings, now=office.now())
    with office.database.write() as session:
        copy = copies.keep(session, copy)
    path = out or Path(copy.name)
    with whole_file(path) as stream:
        stream.write(copy.content)
    sealed = _("It bears the office's seal.") if copy.sealed else _("It bears no seal: the office has no certificate.")
    document = {"serial": serial, "file": str(path), "sha256": copy.digest, "sealed": copy.sealed, "made_at": wire(copy.made_at)}
    lines = [_("The signed pledge {serial} is in {path}.").format(serial=serial, path=path), sealed, f"SHA-256 {copy.digest}"]
    answer(office, document, lines, next_step="" if copy.sealed else "outreach pledges certificate")


@click.command("certificate", cls=Group.command_class)
@acting
def certificate(office: Office) -> None:
    """Make a certificate of the office's own to seal PDFs with, and say what it is worth."""
    from outreach.pledges import seals

    require_document(office)
    settings = office.settings
    if settings.seal_key or settings.seal_certificate != seals.CERTIFICATE:
        raise seals.SealThere(what="seal", file=settings.home / settings.seal_certificate)
    with office.database.write() as session:
        file = seals.make_certificate(settings.home, settings.office_name, now=office.now())
        office.record(session, "pledges.certificate", str(file))
    made = seals.described(file)
    lines = [
        _("Made: {file}, and its key {key}, which nobody else may read. Keep both in your backup.").format(file=file, key=settings.home / seals.KEY),
        _("It is called {name} and holds until {day}.").format(name=made.subject, day=f"{made.until.astimezone(OFFICE_ZONE):%Y-%m-%d}"),
        _("PDFs of signed pledges that nobody has fetched yet will be sealed with it: any change to such a file is found."),
        _("Nobody but this office vouches for it, so readers such as Acrobat or WPS say that the signer is unknown."),
        _("It is for demonstrations and for use within the office. For the public, set seal_certificate and seal_key of a licensed authority."),
    ]
    document = {"certificate": str(file), "key": str(settings.home / seals.KEY), "subject": made.subject, "until": wire(made.until), "self_made": True}
    answer(office, document, lines, next_step=command("outreach pledges pdf", "2026-000001"))
