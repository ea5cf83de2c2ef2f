"""`outreach contacts erase`: take a person out of everything, when he asks for it."""

import sys

import click
from sqlalchemy import select

from outreach.cli.base import Group, Office, option, pass_office
from outreach.cli.output import answer, require_document
from outreach.contacts import erasing
from outreach.contacts.erasing import Erased
from outreach.database.tables import Enterprise
from outreach.errors import UsageError
from outreach.i18n import gettext as _
from outreach.pledges import erasing as pledges
from outreach.pledges.erasing import Emptied

ROLE = "operator"


class Unconfirmed(UsageError):
    """What is erased cannot be brought back. There is nobody to ask here: add --yes to erase contact {id}."""


def add_to(group: Group) -> None:
    """Add the verb to the group `contacts`."""
    group.add_command(erase)


@click.command("erase", cls=Group.command_class)
@option("--contact", type=int, required=True, metavar="ID", help="The contact to erase; `outreach contacts list` shows the numbers.")
@option("--yes", is_flag=True, help="Ask nothing.")
@pass_office
def erase(office: Office, contact: int, yes: bool) -> None:
    """Erase a person: name, numbers, signature and ink go; what was signed stays counted, and its evidence stays verifiable."""
    require_document(office)
    office.sign_in(ROLE)
    with office.database.read() as session:
        enterprise = erasing.enterprise_of(session, contact)
        office.require_town(session.scalar(select(Enterprise.town).where(Enterprise.id == enterprise)) or "")
    if not yes:
        _confirm(contact)
    with office.database.write() as session:
        now = office.now()
        emptied = pledges.erase(session, contact, by=office.actor, now=now)
        done = erasing.erase(session, contact, now=now)
        office.record(session, "contacts.erase", str(contact), changed=done.changed, signatures=list(emptied.signatures), kept=done.kept)
    answer(office, _document(done, emptied), _lines(done, emptied), next_step="outreach pledges audit")


def _confirm(contact: int) -> None:
    if not sys.stdin.isatty():
        raise Unconfirmed(id=contact)
    question = _("Erase contact {id}? This cannot be undone.").format(id=contact)
    click.confirm(question, abort=True, err=True)


def _document(done: Erased, emptied: Emptied) -> dict[str, object]:
    return {
        "contact": done.contact,
        "changed": done.changed,
        "signatures": list(emptied.signatures),
        "evidence_rows": emptied.rows,
        "scans": emptied.scans,
        "suppressed_addresses_kept": done.kept,
        "same_phone": list(done.others),
        "printed_batches": list(done.printed),
    }


def _lines(done: Erased, emptied: Emptied) -> list[str]:
    lines = [_("Contact {id} is erased.") if done.changed else _("Contact {id} was erased before.")]
    if emptied.signatures:
        lines.append(_("Signatures that stand without the signer: {serials}").format(serials=_(", ").join(emptied.signatures)))
    if done.kept:
        lines.append(_("The number stays on the list of those that are not written to, and nowhere else."))
    if done.others:
        lines.append(_("The same number stands with other contacts, which are not erased: {ids}").format(ids=_(", ").join(map(str, done.others))))
    if done.printed:
        batches = _(", ").join(map(str, done.printed))
        lines.append(_("A letter with the name is printed and not posted, in batch {batches}: take it out, and print it again.").format(batches=batches))
    if done.changed:
        lines.append(_("Take the person off your lists too: a list that still names him would bring him back."))
    return [line.format(id=done.contact) if "{id}" in line else line for line in lines]
