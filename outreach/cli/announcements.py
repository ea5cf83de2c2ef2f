"""`outreach announcements`: one text for all who follow the office's account, sent once, with the provider's own figures."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import click

from outreach.campaigns import announcements as announced
from outreach.campaigns import announcing
from outreach.channels import directory as channels
from outreach.cli import processes
from outreach.cli.base import Office, acting, group, option, pass_office
from outreach.cli.output import answer, note, require_document, show
from outreach.cli.wording import local_time
from outreach.database.wechat_tables import Announcement
from outreach.errors import UsageError
from outreach.i18n import gettext as _
from outreach.reports import words
from outreach.reports.tables import Column, Table

VERDICTS = ("sent", "failed")


class Unconfirmed(UsageError):
    """A mass message cannot be taken back. There is nobody to ask here: add --yes to send announcement {name}."""


@group("announcements")
def announcements() -> None:
    """One text for all followers of the office's account: plan it, approve it, send it once."""


@announcements.command("plan")
@click.argument("name")
@option("--template", required=True, metavar="NAME", help="The text, such as wechat/announcement.")
@option("--tag", type=click.IntRange(0), metavar="N", help="Only followers with this tag of the account.")
@pass_office
def plan(office: Office, name: str, template: str, tag: int | None) -> None:
    """Write the text down for somebody else to approve. Nothing is sent."""
    require_document(office)
    account = office.sign_in("operator")
    with office.database.write() as session:
        now = office.now()
        found = announcing.plan(session, name, template, tag=tag, settings=office.settings, planned_by=account.account, now=now)
        office.record(session, "announcement.plan", name, digest=found.digest)
        document = announced.document(found) | {"warnings": announcing.warnings(session, found, now=now)}
    lines = [*_lines(document), _("Approval code: {code}. Nothing has been sent.").format(**document)]
    answer(office, document, lines, next_step=f"outreach announcements approve {name} --code {document['code']}")


@announcements.command("approve")
@click.argument("name")
@option("--code", required=True, help="The approval code that the plan shows.")
@pass_office
def approve(office: Office, name: str, code: str) -> None:
    """Approve a text that somebody else planned."""
    require_document(office)
    account = office.sign_in("approver")
    with office.database.write() as session:
        found = announcing.approve(session, name, code=code, account=account.account, settings=office.settings, now=office.now())
        office.record(session, "announcement.approve", name, digest=found.digest)
        document = announced.document(found)
    line = _("Approved by {account} (planned by {planner}). Any change from now on voids it.").format(account=account.account, planner=found.planned_by)
    answer(office, document, [line], next_step=f"outreach announcements send {name} --yes")


@announcements.command("send")
@click.argument("name")
@option("--yes", is_flag=True, help="Ask nothing.")
@acting
def send(office: Office, name: str, yes: bool) -> None:
    """Send an approved announcement, once at most."""
    require_document(office)
    with office.database.read() as session:
        found = announced.named(session, name)
    if not yes:
        _confirm(found)
    _ask(office, name, first=True)


@announcements.command("settle")
@click.argument("name")
@option("--verdict", type=click.Choice(VERDICTS), help="What the provider's console shows; without it the provider is asked.")
@acting
def settle(office: Office, name: str, verdict: Literal["sent", "failed"] | None) -> None:
    """Find out what became of an announcement whose answer was lost; nothing is sent twice by it."""
    require_document(office)
    if verdict is None:
        _ask(office, name, first=False)
        return
    account = office.sign_in("operator")
    with office.database.write() as session:
        found = announcing.decide(session, name, verdict=verdict, by=account.account, settings=office.settings, now=office.now())
        office.record(session, "announcement.settle", name, verdict=verdict)
        document = announced.document(found)
    answer(office, document, _lines(document))


@announcements.command("list")
@pass_office
def list_(office: Office) -> None:
    """List the announcements, newest first, with the provider's figures."""
    with office.database.read() as session:
        rows = announced.listing(session)
    columns = [
        Column("announcement", _("Announcement")),
        Column("state", _("State")),
        Column("planned_by", _("Planned by")),
        Column("approved_by", _("Approved by")),
        Column("sent_at", _("Sent at")),
        Column("total", _("For")),
        Column("sent", _("Arrived")),
        Column("errors", _("Failed")),
    ]
    if office.format != "json":
        rows = [row | {"state": _state(row), "sent_at": local_time(row["sent_at"]) if row["sent_at"] else ""} for row in rows]
    show(office, Table("announcements", columns, rows), next_step="outreach announcements show NAME")


@announcements.command("show")
@click.argument("name")
@pass_office
def show_(office: Office, name: str) -> None:
    """Show an announcement: its text, who answers for it, and what became of it."""
    require_document(office)
    with office.database.read() as session:
        document = announced.document(announced.named(session, name))
    answer(office, document, _lines(document), next_step=_next_step(document))


def _confirm(found: Announcement) -> None:
    if not sys.stdin.isatty():
        raise Unconfirmed(name=found.name)
    note(found.body)
    click.confirm(_("Send this to all followers now? It cannot be taken back."), abort=True, err=True)


def _ask(office: Office, name: str, *, first: bool) -> None:
    """Call the provider between two transactions, and answer with what came of it; leave with 1 where that is not good."""
    settings = office.settings
    if settings.rehearsal:
        processes.ensure_rehearsal(settings)
    with channels.open_account(settings) as account:
        with office.database.write() as session:
            if first:
                call = announcing.begin(session, name, by=office.actor, settings=settings, now=office.now())
            else:
                call = announcing.begin_settling(session, name, settings=settings, now=office.now())
            office.record(session, "announcement.send" if first else "announcement.settle", name, id=call.id)
        outcome = announcing.carry(account, call)
    with office.database.write() as session:
        document = announced.document(announcing.record(session, call, outcome, now=office.now()))
    answer(office, document, _lines(document), next_step=_next_step(document))
    if outcome.trouble is not None and document["state"] not in announcing.SENT:
        raise outcome.trouble


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    for line in document["text"].splitlines():
        yield f"    {line}"
    whom = _("all followers") if document["tag"] is None else _("followers with the tag {tag}").format(tag=document["tag"])
    yield _("Announcement {announcement} ({mode}) to {whom}: {state}").format(
        announcement=document["announcement"], mode=words.mode(document["mode"]), whom=whom, state=_state(document)
    )
    for key, label in (("planned", _("Planned")), ("approved", _("Approved")), ("sent", _("Sent"))):
        if document[f"{key}_at"]:
            yield _("{label} by {account} at {moment}").format(label=label, account=document[f"{key}_by"], moment=local_time(document[f"{key}_at"]))
    if document["total"] is not None:
        yield _("By the provider's figures for {total:,}: withheld {withheld:,}, arrived {sent:,}, failed {errors:,}").format(
            **document, withheld=document["total"] - document["filtered"]
        )
    elif document["status"]:
        yield _("The provider's last word: {status}").format(status=document["status"])
    yield from (_("Note: {warning}").format(warning=warning) for warning in document.get("warnings", ()))


def _state(document: Mapping[str, Any]) -> str:
    return announcing.states()[document["state"]]


def _next_step(document: Mapping[str, Any]) -> str:
    name = document["announcement"]
    return {
        "planned": f"outreach announcements approve {name} --code {document['code']}",
        "approved": f"outreach announcements send {name} --yes",
        "sending": f"outreach announcements settle {name}",
        "unknown": f"outreach announcements settle {name}",
        "submitted": f"outreach announcements show {name}",
    }.get(document["state"], "outreach announcements list")
