"""Set up an office, name what is wrong with it, and bring its database to a new release."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import tomlkit

from outreach import i18n, settings, tokens
from outreach.cli import health
from outreach.cli.base import Command, Office, option, pass_office, read_password
from outreach.cli.output import answer, note, require_document
from outreach.database import schema, upgrading
from outreach.database.engine import Database
from outreach.errors import BadInput, OutreachError, Refused
from outreach.i18n import gettext as _
from outreach.staff import accounts


class NotGood(OutreachError):
    """{count} checks failed; each names its cure above."""


class NameWrong(BadInput):
    """{option} {value} cannot be used: a name is one line of 1 to 100 characters."""


class SignatureWrong(BadInput):
    """{option} {value} cannot be used: a signature is 2 to 16 characters on one line, without 【】 and []."""


class HotlineWrong(BadInput):
    """{option} {value} cannot be used: a hotline is digits, with - and blanks between them."""


class NobodyToAsk(Refused):
    """There is no terminal to ask at: give {options}, or --yes to take sample values for what is not given."""


class NobodyToAskForPassword(Refused):
    """Nobody can be asked for the password of account {account}: write it into a file and give --password-file FILE."""


OPTIONS = {"office_name": "--office", "office_place": "--place", "sms_signature": "--signature", "hotline": "--hotline", "wechat_name": "--wechat"}
NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,100}")
RULES: Mapping[str, tuple[re.Pattern[str], type[BadInput]]] = {
    "sms_signature": (re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029【】\[\]]{2,16}"), SignatureWrong),
    "hotline": (re.compile(r"[0-9]([0-9 -]{0,38}[0-9])?"), HotlineWrong),
}
"""What a value must look like; the others are names."""


@click.command("init", cls=Command)
@option("--office", "office_name", help="Full name of the office.")
@option("--place", help="The city or county.")
@option("--signature", help="Signature of texts, without brackets.")
@option("--hotline", help="Number to ring for questions.")
@option("--wechat", help="Name of the office's WeChat account.")
@option("--account", help="First staff account, an administrator.")
@option("--yes", is_flag=True, help="Ask nothing.")
@pass_office
def init(
    office: Office, office_name: str | None, place: str | None, signature: str | None, hotline: str | None, wechat: str | None, account: str | None, yes: bool
) -> None:
    """Ask a few things, write the settings file and make the database."""
    require_document(office)
    home = _home(office)
    path = home / "outreach.toml"
    typed = {"office_name": office_name, "office_place": place, "sms_signature": signature, "hotline": hotline, "wechat_name": wechat}
    given = {key: _sound(key, value) for key, value in typed.items() if value is not None}
    settings.load(home)  # what is wrong there is said before anything is written
    text = (_changed(path, given) if given else None) if path.exists() else _document(_asked(given, ask=not yes))
    password = _first_password(office, account, ask=not yes) if account else ""
    home.mkdir(parents=True, exist_ok=True)
    if text is not None:
        _write(path, text)
    _make_key(home)
    database = Database(office.settings.database_url)
    upgrading.upgrade(database)
    if account:
        _add_first(office, database, account, password)
    chosen = office.settings
    lines = [
        _("Saved: {office}, signature {signature}, account {account}, hotline {hotline} ({path}).").format(
            office=chosen.office_name, signature=f"【{chosen.sms_signature}】", account=chosen.wechat_name, hotline=chosen.hotline, path=path
        ),
        _("Mode: rehearsal, nothing is really sent.") if chosen.rehearsal else _("Mode: production."),
    ]
    document = {"home": str(home), "settings": str(path), "mode": chosen.mode, "office_name": chosen.office_name, "sms_signature": chosen.sms_signature}
    answer(office, document, lines, next_step="outreach check")


def _home(office: Office) -> Path:
    return settings.home_of(office.options.get("home"))


def _sound(key: str, value: str) -> str:
    """Return the value of a setting without blanks around it. Raises SignatureWrong, HotlineWrong and NameWrong."""
    rule, error = RULES.get(key, (NAME, NameWrong))
    if not rule.fullmatch(value.strip()) or "\n" in value or "\r" in value:
        raise error(option=OPTIONS[key], value=repr(value))
    return value.strip()


def _answered(key: str) -> Callable[[str], str]:
    """Return what holds an answer at the terminal against its rule; a wrong one is asked for again."""

    def held(value: str) -> str:
        try:
            return _sound(key, value)
        except BadInput as error:
            raise click.BadParameter(i18n.say(error)) from error

    return held


def _asked(given: Mapping[str, str], *, ask: bool) -> dict[str, str]:
    questions = {
        "office_name": (_("Full name of the office"), "示例市人力资源和社会保障局"),
        "office_place": (_("City or county"), "示例市"),
        "sms_signature": (_("Signature of texts, without brackets"), "示例人社"),
        "hotline": (_("Hotline"), "12333"),
        "wechat_name": (_("Name of the WeChat account"), "示例人社"),
    }
    missing = [OPTIONS[key] for key in questions if key not in given]
    if ask and missing and not sys.stdin.isatty():
        raise NobodyToAsk(options=" ".join(missing))
    chosen: dict[str, str] = {}
    for key, (question, default) in questions.items():
        chosen[key] = given.get(key) or (click.prompt(question, default=default, err=True, value_proc=_answered(key)) if ask else default)
    return chosen


def _document(chosen: dict[str, str]) -> str:
    document = tomlkit.document()
    document.add(tomlkit.comment(_("The settings of this office. Each can also be given as OUTREACH_<KEY>.")))
    document.add("mode", _commented("rehearsal", _("rehearsal: the sandbox, nothing is really sent; or production")))
    document.add("lang", _commented("zh", _("what staff read: zh or en")))
    comments = {
        "office_name": _("full name, as in letters"),
        "office_place": _("as in “无欠薪” of which place"),
        "sms_signature": _("2 to 16 characters, registered with the operators"),
        "hotline": _("whom to ring for questions"),
        "wechat_name": _("the account that people are to follow"),
    }
    for key, comment in comments.items():
        document.add(key, _commented(chosen[key], comment))
    document.add(tomlkit.nl())
    for line in (
        'database_url = "postgresql+psycopg://outreach@/outreach"',
        'broker_url = "redis://127.0.0.1:6379/0"',
        'public_url = "https://…"',
        'twilio_account_sid = "AC…"',
        "[[sender]]",
        'name = "sms"',
        'from = "+86…"',
        "per_second = 20",
    ):
        document.add(tomlkit.comment(line))
    document.add(tomlkit.comment(_("secrets stand in secrets/<key>, such as secrets/twilio_auth_token")))
    return tomlkit.dumps(document)


def _changed(path: Path, given: Mapping[str, str]) -> str:
    document = tomlkit.parse(path.read_text("utf-8"))
    for key, value in given.items():
        document[key] = value
    return tomlkit.dumps(document)


def _write(path: Path, text: str) -> None:
    """Write a file so that a full disk or a lost process leaves the old one as it was."""
    path = path.resolve()  # a link goes on pointing where it did
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, fresh)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _commented(value: str, comment: str) -> Any:
    item = tomlkit.item(value)
    item.comment(comment)
    return item


def _make_key(home: Path) -> None:
    """Make the office's key once; whoever has it can make links, so nobody else may read it."""
    folder = home / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "office_key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(tokens.office_key() + "\n", "utf-8")


def _first_password(office: Office, account: str, *, ask: bool) -> str:
    """Return the password of the first account, held against the rules. Raises NobodyToAskForPassword, AccountNameInvalid and Password…."""
    file = office.options.get("password_file") or settings.staff_from_environment()[1]
    if not file and not (ask and sys.stdin.isatty()):
        raise NobodyToAskForPassword(account=account)
    password = read_password(file) if file else click.prompt(_("Password"), hide_input=True, confirmation_prompt=True, err=True)
    accounts.require_good(account, password)
    return str(password)


def _add_first(office: Office, database: Database, account: str, password: str) -> None:
    with database.write() as session:
        if accounts.first(session):
            accounts.add(session, account=account, role="administrator", password=password, now=office.now())
            office.record(session, "staff.add", account, role="administrator")
        elif account not in {known.account for known in accounts.listing(session)}:
            note(_("This office has accounts already, so {account} was not made; an administrator does that: outreach staff add").format(account=account))


@click.command("check", cls=Command)
@pass_office
def check(office: Office) -> None:
    """Name every problem of this office, and its cure."""
    found = health.checks(office)
    failed = [item for item in found if item.state == "fail"]
    marks = {"ok": "✓", "warn": "!", "fail": "✗"}
    lines = [f"{marks[item.state]} {item.name}: {item.detail}" + (f" → {item.cure}" if item.cure else "") for item in found]
    document = {"ok": not failed, "checks": [item._asdict() for item in found]}
    answer(office, document, lines, next_step="" if failed else _("outreach contacts import FILE"))
    if failed:
        raise NotGood(count=len(failed))


@click.command("upgrade", cls=Command)
@pass_office
def upgrade(office: Office) -> None:
    """Bring the database to the tables of this release."""
    database = Database(office.settings.database_url)
    upgrading.upgrade(database)
    answer(office, {"revision": schema.HEAD}, [_("The database stands at revision {revision}.").format(revision=schema.HEAD)], next_step="outreach check")
