"""`outreach pledges form | pdf | certificate`: the papers of a pledge, and the certificate that seals them.

What sets and seals is imported by the verb that needs it: it would double the start of every other.
"""

from pathlib import Path

import click
from sqlalchemy import select

from outreach.cli.base import Group, Office, acting, option, pass_office
from outreach.cli.files import OUT, whole_file
from outreach.cli.output import answer, command, note, require_document
from outreach.clock import OFFICE_ZONE, wire
from outreach.database.tables import Enterprise
from outreach.errors import UsageError
from outreach.i18n import gettext as _

MANY = 500
"""Sheets that take longer than a second or two to set."""


class FormsOfNothing(UsageError):
    """Name the codes whose sheets are to be printed, or --campaign NAME for all who have not signed; not both."""


def add_to(group: Group) -> None:
    """Add the verbs to the group `pledges`."""
    for verb in (form, pdf, certificate):
        group.add_command(verb)


@click.command("form", cls=Group.command_class)
@click.argument("codes", metavar="[CODE]…", nargs=-1)
@option("--campaign", "campaign", metavar="NAME", help="All of this campaign who have not signed, by town.")
@option("--town", default="", metavar="T", help="Only this town.")
@option("--out", type=OUT, required=True, metavar="FILE", help="The PDF to write.")
@pass_office
def form(office: Office, codes: tuple[str, ...], campaign: str | None, town: str, out: Path) -> None:
    """Print the sheets for signing by hand, one page an enterprise, each with its own QR code."""
    from outreach.pledges import sheets

    require_document(office)
    if bool(codes) is bool(campaign):
        raise FormsOfNothing(what="")
    town = office.own_town() or town
    with office.database.read() as session:
        if campaign:
            batches = sheets.of_campaign(session, campaign, settings=office.settings, town=town)
        else:
            batches = sheets.of_codes(session, codes, settings=office.settings, town=town)
    count = sum(len(batch.sheets) for batch in batches)
    if count > MANY:
        note(_("Setting {count} sheets …").format(count=count))
    content = sheets.pdf(batches, settings=office.settings, now=office.now())
    with whole_file(out) as stream:
        stream.write(content)
    lines = [_("Sheets to sign by hand: {count}, in {path}.").format(count=count, path=out)]
    answer(office, {"sheets": count, "file": str(out), "bytes": len(content)}, lines, next_step="outreach pledges record-paper --help")


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
