"""Write a campaign file for staff to read, change and keep: with comments, and only with steps that can be run."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
import tomlkit

from outreach.audiences.errors import AudienceError
from outreach.audiences.language import parse
from outreach.campaigns import definition
from outreach.cli.base import Office
from outreach.errors import Refused
from outreach.i18n import gettext as _
from outreach.i18n import say
from outreach.pledges import versions

STEPS = (
    {"channel": "sms", "template": "sms/pledge-invitation"},
    {"channel": "sms", "template": "sms/pledge-reminder", "when": "unsigned", "after": "3d"},
    {"channel": "letter", "template": "letter/open-letter", "when": "unsigned", "after": "7d"},
    {"channel": "visit", "when": "unsigned", "after": "14d"},
)


class FileThere(Refused):
    """{path} is there already; give another name, or --out FILE."""


class NameWrong(Refused):
    """{name} is no name for a campaign: it takes 1 to 64 letters, digits, - _ and ."""


class NoTerminal(Refused):
    """There is no terminal to ask at; say it all: outreach campaign new {name} --audience EXPR --deadline 2026-12-31 --yes"""


def write_new(office: Office, name: str, *, audience: str | None, deadline: datetime | None, out: Path | None, ask: bool) -> Path:
    """Write a campaign file into the office's folder and return its path; ask at the terminal for what is not given.

    Raises an AudienceError for an audience that cannot be read.
    """
    if not definition.NAME.fullmatch(name):
        raise NameWrong(name=name)
    path = out or office.settings.home / f"{name}.toml"
    if path.exists():
        raise FileThere(path=path)
    if ask and not sys.stdin.isatty():
        raise NoTerminal(name=name)
    if audience is not None:
        parse(audience)
    else:
        audience = click.prompt(_("Audience"), default="全部", err=True, value_proc=_audience) if ask else "全部"
    if deadline is None and ask:
        deadline = click.prompt(_("Last day to sign (such as 2026-01-15; empty: none)"), default="", err=True, value_proc=_date)
    path.write_text(_document(name, audience, deadline, versions.offered(office.settings)), "utf-8")
    return path


def _audience(text: str) -> str:
    """Return what was typed if it can be read; else the question is asked again, with the place where reading ended."""
    try:
        parse(text)
    except AudienceError as error:
        raise click.BadParameter(say(error)) from error
    return text


def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise click.BadParameter(_("write the date as 2026-01-15")) from error


def _document(name: str, audience: str, deadline: datetime | None, pledges: Sequence[str]) -> str:
    document = tomlkit.document()
    document.add("name", tomlkit.item(name))
    document.add("title", tomlkit.item(f"{name} “无欠薪”宣传"))
    document.add("audience", _commented(audience, _("who is written to; try it: outreach audience preview EXPR")))
    document.add("one_per", _commented("address", _("one text for a person of several enterprises; or enterprise")))
    if deadline is not None:
        document.add("deadline", _commented(deadline.date(), _("the last day to sign")))
    if pledges:
        goal = tomlkit.inline_table()
        goal.append("pledge", pledges[0])
        document.add("goal", _commented(goal, _("what is to be signed; its text: templates/pledge")))
    steps = tomlkit.aot()
    for step in STEPS:
        if step.get("template") == "sms/pledge-reminder" and deadline is None:
            continue  # the reminder names the day
        table = tomlkit.table()
        for key, value in step.items():
            table.add(key, value)
        steps.append(table)
    document.add("step", steps)
    return tomlkit.dumps(document)


def _commented(value: object, comment: str) -> tomlkit.items.Item:
    item = tomlkit.item(value)
    item.comment(comment)
    return item
