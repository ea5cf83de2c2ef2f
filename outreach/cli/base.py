"""What every command shares: the office it works on, its options, its language, and how it answers."""

import getpass
import os
import sys
from collections.abc import Callable
from datetime import datetime
from functools import cached_property, partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from outreach import clock, i18n, settings
from outreach.database import schema
from outreach.database.engine import Database
from outreach.errors import NotSignedIn, Refused
from outreach.i18n import gettext as _
from outreach.settings import Settings
from outreach.staff import accounts, audit, roles
from outreach.staff.accounts import Account

FORMATS = ("table", "json", "csv", "xlsx")
COMMON = "outreach.common"


class OtherTown(Refused):
    """Account {account} belongs to {own} and sees {own} only."""

    status = 403


class Office:
    """The office that a command works on: settings, database and account, each opened when first asked for."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}

    @property
    def format(self) -> str:
        """How to answer: table, json, csv or xlsx."""
        return self.options.get("format") or "table"

    @cached_property
    def settings(self) -> Settings:
        """The office's settings; the language is set with them unless --lang chose it."""
        loaded = settings.load(self.options.get("home"), lang=self.options.get("lang"))
        i18n.use(loaded.lang)
        return loaded

    @cached_property
    def database(self) -> Database:
        """The office's database, with the tables of this release."""
        opened = Database(self.settings.database_url)
        schema.require_current(opened)
        return opened

    def close(self) -> None:
        """Let go of the database, if it was opened."""
        if "database" in self.__dict__:
            self.database.close()

    def now(self) -> datetime:
        """The moment of this act."""
        return clock.now()

    @property
    def actor(self) -> str:
        """Whom the audit log names: the account that signed in, else the login of this machine."""
        return self._account.account if self._account else f"os:{_login()}"

    _account: Account | None = None

    def sign_in(self, role: str) -> Account:
        """Return the account that signs in with its password and has at least `role`; ask at the terminal if nothing was given."""
        if self._account is None:
            name, file = settings.staff_from_environment()
            name, file = self.options.get("as") or name, self.options.get("password_file") or file
            name, password = _credentials(name, file)
            with self.database.write() as session:
                self._account = accounts.sign_in(session, account=name, password=password)
        roles.require(self._account, role)
        return self._account

    def own_town(self) -> str:
        """Return the town to which whoever signs in is limited; nothing where nobody does, or the account is of the whole office."""
        return self.sign_in("viewer").town if self._asked_to_sign_in() else ""

    def sign_in_if_asked(self, role: str) -> None:
        """Sign in where an account was given, so that the act is logged as its own; else it is logged as the login of this machine."""
        if self._asked_to_sign_in():
            self.sign_in(role)

    def _asked_to_sign_in(self) -> bool:
        return self._account is not None or bool(self.options.get("as")) or all(settings.staff_from_environment())

    def require_town(self, town: str) -> None:
        """Raise OtherTown where whoever signs in belongs to another town; `town` is empty for what is about all of them."""
        if (own := self.own_town()) not in ("", town):
            raise OtherTown(account=self.actor, own=own)

    def record(self, session: Any, act: str, subject: str = "", **detail: Any) -> None:
        """Write an act of this command into the audit log, in the same transaction."""
        audit.record(session, actor=self.actor, act=act, subject=subject, detail=detail, now=self.now())


def _login() -> str:
    """Return the login of this process; in a container its number may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def read_password(file: Path) -> str:
    """Return the password in a secret file, without its line end."""
    try:
        return file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise NotSignedIn() from error


def _credentials(name: str | None, file: Path | None) -> tuple[str, str]:
    if name and file:
        return name, read_password(file)
    if not sys.stdin.isatty():
        raise NotSignedIn()
    name = name or click.prompt(_("Account"), err=True)
    return name, read_password(file) if file else click.prompt(_("Password"), hide_input=True, err=True)


class Option(click.Option):
    """An option whose help is a message id, translated when it is shown."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None or not self.help:
            return record
        return record[0], record[1].replace(self.help, _(self.help))


option = partial(click.option, cls=Option)


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    office = ctx.find_root().ensure_object(Office)
    if value is not None and param.name is not None:
        office.options[param.name] = value
        if param.name == "lang":
            i18n.use(value)


def _common_options() -> list[click.Parameter]:
    keep: dict[str, Any] = {"expose_value": False, "callback": _keep, "default": None}
    return [
        Option(["--lang"], type=click.Choice(["zh", "en"]), is_eager=True, help="Language of what people read.", **keep),
        Option(["--home"], metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="The office's folder.", **keep),
        Option(["--format"], type=click.Choice(FORMATS), help="How to answer.", **keep),
        Option(["--as"], metavar="ACCOUNT", help="Sign in as this staff account.", **keep),
        Option(["--password-file"], metavar="FILE", type=click.Path(path_type=Path), help="File that holds the password.", **keep),
    ]


class _Translated(click.Command):
    """A command whose help is a message id."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        untranslated, self.help = self.help, translated_help(self)
        try:
            super().format_help_text(ctx, formatter)
        finally:
            self.help = untranslated

    def get_short_help_str(self, limit: int = 45) -> str:
        return translated_help(self).split("\n")[0][: limit * 2]


class Command(_Translated):
    """A command with the common options after its verb."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_common_options())


class Group(_Translated, click.Group):
    """A group of commands; the common options may stand before it too."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_common_options())


def translated_help(command: click.Command) -> str:
    """Return the help of a command in the chosen language; its docstring on one line is the message id."""
    return _(help_id(command))


def help_id(command: click.Command) -> str:
    """Return the message id of a command's help."""
    return " ".join((command.help or "").split())


F = TypeVar("F", bound=Callable[..., Any])
pass_office = click.make_pass_decorator(Office)


def acting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the office to a command that changes something, once whoever it was asked to act as has signed in and may do that."""

    @pass_office
    @wraps(command)
    def act(office: Office, /, *args: Any, **kwargs: Any) -> Any:
        office.sign_in_if_asked("operator")
        return command(office, *args, **kwargs)

    return act


def group(name: str) -> Callable[[Callable[..., Any]], Group]:
    """Make a command group: `@group("contacts")` above an empty function with a docstring."""
    return click.group(name, cls=Group)
