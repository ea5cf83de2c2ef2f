"""`outreach replies`: what people answered, and answers to them."""

from dataclasses import replace
from pathlib import Path

import click

from outreach.cli import following, processes
from outreach.cli.base import Office, acting, group, option, pass_office
from outreach.cli.files import OUT, deliver_list
from outreach.cli.output import answer, note, require_document
from outreach.errors import UsageError
from outreach.i18n import gettext as _
from outreach.links import answering
from outreach.reports import replies as answers
from outreach.reports import words
from outreach.reports.tables import Table

SENT = (*following.FINAL, "accepted")
"""States with which an answer's sending is over: of a customer-service message nothing more is reported."""


@group("replies")
def replies() -> None:
    """What people answered, and answers to them."""


@replies.command("list")
@option("--open", "waiting", is_flag=True, help="Only those that a person must read and nobody has answered.")
@option("--limit", type=click.IntRange(1), help="Rows of a page.")
@option("--after", type=click.IntRange(0), metavar="CURSOR", help="The page after this one.")
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def list_(office: Office, waiting: bool, limit: int | None, after: int | None, out: Path | None) -> None:
    """List the replies, newest first, what each was taken for and how it was answered."""
    with office.database.read() as session:
        if not answers.total(session, waiting=waiting):
            note(_("Nobody waits for an answer.") if waiting else _("Nobody has answered so far."))
        deliver_list(
            office,
            lambda limit, after: answers.listing(session, limit=limit, after=after, waiting=waiting),
            lambda after: answers.rows(session, after=after, waiting=waiting),
            limit=limit,
            after=after,
            out=out,
            again="outreach replies list --open" if waiting else "outreach replies list",
            narrow=_narrow,
        )


def _narrow(table: Table) -> Table:
    return replace(table, columns=[column for column in table.columns if column.id in answers.ROOM])


@replies.command("answer")
@click.argument("reply", metavar="ID", type=click.IntRange(1))
@option("--template", metavar="T", help="Answer with this template, such as wechat/received.")
@option("--text", metavar="WORDS", help="Answer in these words; in WeChat only.")
@acting
def answer_(office: Office, reply: int, template: str | None, text: str | None) -> None:
    """Answer somebody who wrote: in WeChat within its window, by text from a filed template."""
    require_document(office)
    if (template is None) == (text is None):
        raise UsageError(what=_("Give either --template or --text."))
    with office.database.write() as session:
        queued = answering.answer(session, reply, template=template, text=text, settings=office.settings, by=office.actor, now=office.now())
        office.record(session, "replies.answer", str(reply), template=template or answering.PLAIN)
    if office.settings.rehearsal:
        processes.ensure_rehearsal(office.settings)
    outcome = following.follow_delivery(office, queued.delivery, until_state=SENT)
    line = _("Answer to {to}: {state}.").format(to=queued.to, state=words.delivery_state(outcome["state"]))
    document = {"reply": reply, "to": queued.to, "body": queued.body, **outcome}
    answer(office, document, [queued.body, line], next_step="outreach replies list --open")
