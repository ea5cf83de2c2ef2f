"""`outreach pledges audit`, `verify` and `export-evidence`: is the evidence what it was, and how to prove it to others."""

import os
from contextlib import suppress
from pathlib import Path

import click
from sqlalchemy import make_url, select

from outreach.cli.base import Group, Office, option, pass_office
from outreach.cli.files import FileUnwritable
from outreach.cli.output import answer, hint, note, require_document
from outreach.database.pledge_tables import Signature
from outreach.database.tables import Enterprise, Recipient, RecipientEnterprise
from outreach.errors import BadInput
from outreach.i18n import gettext as _
from outreach.links import resolving
from outreach.pledges import audit as auditing
from outreach.pledges import bundle, faults, sealing, verifying
from outreach.pledges.faults import Report

SHOWN = 50
"""Faults that a terminal shows; JSON has them all."""
published_option = option("--digest", default="", metavar="HEX", help="The digest of a block as it was published: it must be in the chain.")


class FileUnreadable(BadInput):
    """The file {path} cannot be read: {why}."""


def add_to(group: Group) -> None:
    """Add the verbs to the group `pledges`."""
    for command in (audit, verify, export_evidence):
        group.add_command(command)


@click.command("audit", cls=Group.command_class)
@published_option
@pass_office
def audit(office: Office, digest: str) -> None:
    """Recompute the whole evidence, and hold signatures, texts, scans and personal data against it. Exit code 1 with a fault."""
    require_document(office)
    with office.database.read() as session:
        report = auditing.audit(session, published=digest)
    _answer(office, report)


@click.command("verify", cls=Group.command_class)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@published_option
@pass_office
def verify(office: Office, file: Path, digest: str) -> None:
    """Check a bundle of evidence, or the PDF of a signed pledge, on any machine. Exit code 1 with a fault."""
    require_document(office)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise FileUnreadable(path=file, why=error.strerror or error) from error
    _answer(office, _verify_pdf(office, content) if content.startswith(b"%PDF-") else verifying.verify_content(content, published=digest))


def _verify_pdf(office: Office, content: bytes) -> Report:
    """Say whether a PDF is what this office issued: by its seal, and where the office's database is at hand by the copy kept there."""
    from outreach.pledges import copies, seals  # here, for what reads PDFs takes half a second to load

    report = Report(checked=1)
    seal = seals.look(content, settings=office.settings)
    where = seal.serial or "PDF"
    good = False
    if _has_database(office):
        with office.database.read() as session:
            good = copies.check(session, content, settings=office.settings).good
    if not good:
        if not seal.sealed:
            report.add("seal_missing", where)
        elif not seal.intact:
            report.add("seal_broken", where)
        elif not seal.ours:
            report.add("seal_unknown", where)
    return report


def _has_database(office: Office) -> bool:
    """Whether there is a database to ask; an empty SQLite file would spring up by asking."""
    url = make_url(office.settings.database_url)
    return not url.drivername.startswith("sqlite") or bool(url.database and Path(url.database).is_file())


def _answer(office: Office, report: Report) -> None:
    answer(office, report.document(), _lines(report))
    click.get_current_context().exit(0 if report.ok else 1)


def _lines(report: Report) -> list[str]:
    lines = [_("Examined: {count:,}. No fault was found.").format(count=report.checked)]
    if not report.ok:
        lines = [_("Examined: {count:,}. Faults: {faults:,}.").format(count=report.checked, faults=len(report.faults))]
        lines += [_("{where}: {what}").format(where=fault.where, what=faults.say(fault.what)) for fault in report.faults[:SHOWN]]
        if len(report.faults) > SHOWN:
            lines.append(_("And more; all of them: --format json"))
    if report.newest:
        number, digest = report.newest
        lines.append(_("Newest block {number}: {digest}").format(number=number, digest=digest))
        lines.append(_("Compare it with what the office published: a chain forged as a whole agrees with itself."))
    if report.open:
        lines.append(_("Rows that no block holds yet: {count:,}").format(count=report.open))
    return lines


@click.command("export-evidence", cls=Group.command_class)
@click.argument("named", metavar="CODE|SERIAL")
@option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The file to write; without it, one named after the serial or code.")
@pass_office
def export_evidence(office: Office, named: str, out: Path | None) -> None:
    """Write the evidence of a signature into a file that `pledges verify` checks on any machine. It holds personal data."""
    require_document(office)
    _require_own_town(office, named)
    with office.database.write() as session:
        while sealing.close_block(session, now=office.now()) is not None:
            pass
    with office.database.read() as session:
        content = bundle.export(session, named)
    report = verifying.verify_content(content)
    path = out or Path(f"{named.strip()}-存证.zip")
    with office.database.write() as session:
        office.record(session, "pledges.export_evidence", named.strip(), rows=report.checked)
    _write(path, content)
    number, digest = report.newest or (None, None)
    document = {"file": str(path), "rows": report.checked, "ok": report.ok, "newest_block": {"number": number, "digest": digest}}
    answer(office, document, [_("Written: {path} (rows: {count})").format(path=path, count=report.checked)])
    note(_("It holds names, network addresses and handwriting: hand it only to those who may have them."))
    hint(f"outreach pledges verify {path}" if report.ok else "outreach pledges audit")
    click.get_current_context().exit(0 if report.ok else 1)


def _require_own_town(office: Office, named: str) -> None:
    """Refuse whoever belongs to another town than the enterprises of this evidence."""
    of_serial = select(Enterprise.town).join(Signature, Signature.enterprise_id == Enterprise.id).where(Signature.serial == named.strip())
    of_code = (
        select(Enterprise.town)
        .join(RecipientEnterprise, RecipientEnterprise.enterprise_id == Enterprise.id)
        .join(Recipient, Recipient.id == RecipientEnterprise.recipient_id)
        .where(Recipient.code == resolving.tidy(named))
    )
    with office.database.read() as session:
        towns = {*session.scalars(of_serial), *session.scalars(of_code)}
    for town in sorted(towns):
        office.require_town(town)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise FileUnwritable(path=path, why=error.strerror or error) from error
    finally:
        with suppress(OSError):
            part.unlink()
