"""`outreach staff`: who may sign in, as what, and for which town."""

import sys
from pathlib import Path
from typing import Any

import click

from outreach import clock, tokens
from outreach.cli.base import Command, Office, group, option, pass_office, read_password
from outreach.cli.output import answer, note, show
from outreach.contacts import cleaning
from outreach.contacts.directory import PhoneWrong
from outreach.database.tables import ROLES
from outreach.errors import BadInput, NotSignedIn, Refused
from outreach.i18n import gettext as _
from outreach.reports.tables import Column, Table
from outreach.staff import accounts, roles


class NewPasswordMissing(Refused):
    """There is nobody to ask for the password of account {account}: write it into a file and give --password-file FILE after the verb."""

    status = 401


class PasswordFileUnreadable(BadInput):
    """The password file {file} cannot be read as text."""


class Setting(Command):
    """A command that sets a password: after its verb `--password-file` is the file of the new one.

    Whoever signs in says so before the group, or in OUTREACH_STAFF and OUTREACH_STAFF_PASSWORD_FILE.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [param for param in self.params if param.name != "password_file"]


new_password = option(
    "--password-file",
    "new_password_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File that holds the new password of this account. Your own file goes before the group: outreach --as YOU --password-file FILE staff …",
)


@group("staff")
def staff() -> None:
    """The accounts of the staff: the first is an administrator, who makes the others."""


@staff.command("add", cls=Setting)
@click.argument("account")
@option("--role", type=click.Choice(ROLES), required=True, help="What the account may do: read, plan, approve, or everything.")
@option("--town", default="", metavar="TOWN", help="The town whose staff it is; without it, the whole office.")
@option("--phone", default="", metavar="PHONE", help="Mobile of its owner.")
@new_password
@pass_office
def add(office: Office, account: str, role: str, town: str, phone: str, new_password_file: Path | None) -> None:
    """Make an account: the first needs no sign-in, every other one an administrator's."""
    with office.database.read() as session:
        first = accounts.first(session)
    if not first:
        office.sign_in(roles.ADMINISTER)
    elif role != roles.ADMINISTER:
        note(_("The first account is an administrator, whatever role was asked for."))
        role = roles.ADMINISTER
    number, password = _mobile(phone), _new_password(account, new_password_file)
    with office.database.write() as session:
        if first and not accounts.first(session):
            raise NotSignedIn()
        made = accounts.add(session, account=account, role=role, password=password, town=town, phone=number, now=office.now())
        office.record(session, "staff.add", made.account, role=made.role, town=made.town)
    line = _("Account {account} is there, as {role}.").format(account=made.account, role=roles.label(made.role))
    next_step = "outreach staff add ACCOUNT --role operator" if first else "outreach staff list"
    answer(office, {"account": made.account, "role": made.role, "town": made.town, "phone": _masked(made.phone)}, [line], next_step=next_step)


@staff.command("list")
@pass_office
def list_(office: Office) -> None:
    """List the accounts, the disabled ones too."""
    office.sign_in(roles.ADMINISTER)
    with office.database.read() as session:
        known = accounts.listing(session)
    columns = (
        Column("account", _("Account")),
        Column("role", _("Role")),
        Column("town", _("Town")),
        Column("phone", _("Phone")),
        Column("disabled_at", _("Disabled at")),
    )
    word = str if office.format == "json" else roles.label
    rows = [{"account": one.account, "role": word(one.role), "town": one.town, "phone": _masked(one.phone), "disabled_at": one.disabled_at} for one in known]
    show(office, Table("staff", columns, rows), next_step="outreach staff add ACCOUNT --role operator")


@staff.command("password", cls=Setting)
@click.argument("account")
@new_password
@pass_office
def password(office: Office, account: str, new_password_file: Path | None) -> None:
    """Change a password: your own, or as an administrator anybody's."""
    if office.sign_in("viewer").account != account.strip():
        office.sign_in(roles.ADMINISTER)
    with office.database.read() as session:
        name = accounts.find(session, account).account
    fresh = _new_password(name, new_password_file)
    with office.database.write() as session:
        accounts.set_password(session, account=name, password=fresh)
        office.record(session, "staff.password", name)
    answer(office, {"account": name}, [_("The password of account {account} is changed.").format(account=name)])


@staff.command("disable")
@click.argument("account")
@pass_office
def disable(office: Office, account: str) -> None:
    """Close an account for good; what it did stays on record."""
    office.sign_in(roles.ADMINISTER)
    with office.database.write() as session:
        accounts.disable(session, account=account, now=office.now())
        closed = accounts.find(session, account)
        office.record(session, "staff.disable", closed.account)
    line = _("Account {account} is disabled.").format(account=closed.account)
    answer(office, {"account": closed.account, "disabled_at": clock.wire(closed.disabled_at)}, [line], next_step="outreach staff list")


def _new_password(account: str, file: Path | None) -> str:
    """Return the password that an account shall have: out of its file, else asked for twice."""
    if file is not None:
        try:
            return read_password(file)
        except NotSignedIn as error:
            raise PasswordFileUnreadable(file=file) from error
    if not sys.stdin.isatty():
        raise NewPasswordMissing(account=account)
    asked: str = click.prompt(_("New password of {account}").format(account=account), hide_input=True, confirmation_prompt=True, err=True)
    return asked


def _mobile(phone: str) -> str:
    try:
        return cleaning.phone(phone)
    except cleaning.Unclean as error:
        raise PhoneWrong(value=phone) from error


def _masked(phone: str) -> str:
    return tokens.mask(phone) if phone else ""
