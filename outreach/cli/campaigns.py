"""`outreach campaign …`: from a file to a statement that adds up."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from outreach.campaigns import approving, definition, directory, launching, planning, status, trial
from outreach.campaigns import statement as statements
from outreach.cli import following, processes
from outreach.cli.base import Office, acting, group, option, pass_office
from outreach.cli.campaign_file import write_new
from outreach.cli.files import whole_file
from outreach.cli.output import answer, hint, note, require_document, show
from outreach.cli.wording import local_time, next_step_of, plan_lines, statement_lines, status_lines, trial_lines
from outreach.errors import BadInput, NotFound, Refused
from outreach.i18n import gettext as _
from outreach.outbox import settle as settling
from outreach.reports import words
from outreach.reports.tables import Column, Table
from outreach.worker import alive as workers

VERDICTS = ("accepted", "again", "failed")


class NoWorkerLives(Refused):
    """No worker lives, so nobody would send; start one with `outreach worker`, or leave --detach out."""


class DeliveryNotUnknown(NotFound):
    """Delivery {delivery} is not among the unknown ones of this campaign."""


class VerdictMissing(BadInput):
    """Give --delivery and --verdict together."""


@group("campaign")
def campaign() -> None:
    """Plan, approve and launch campaigns, and see how they stand."""


@campaign.command("new")
@click.argument("name")
@option("--audience", help="Audience expression.")
@option("--deadline", type=click.DateTime(["%Y-%m-%d"]), help="Last day to sign, such as 2026-01-15.")
@option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@option("--yes", is_flag=True, help="Ask nothing.")
@pass_office
def new(office: Office, name: str, audience: str | None, deadline: datetime | None, out: Path | None, yes: bool) -> None:
    """Ask a few things and write a campaign file."""
    require_document(office)
    written = write_new(office, name, audience=audience, deadline=deadline, out=out, ask=not yes)
    document = {"campaign": name, "path": str(written)}
    answer(office, document, [_("Written: {path}").format(path=written)], next_step=f"outreach campaign plan {written}")


@campaign.command("plan")
@click.argument("file", type=click.Path(path_type=Path))
@pass_office
def plan(office: Office, file: Path) -> None:
    """Choose the recipients, freeze and measure the texts. Nothing is sent."""
    require_document(office)
    found = definition.read(file)
    account = office.sign_in("operator")
    with following.bar(_("Recipients")) as progress, office.database.write() as session:
        planned = planning.plan(session, found, settings=office.settings, path=file, planned_by=account.account, now=office.now(), progress=progress)
        office.record(session, "campaign.plan", planned.name, digest=planned.digest)
        summary = planned.summary
    next_step = f"outreach campaign approve {planned.name} --code {summary['code']}"
    answer(office, summary, plan_lines(summary), next_step=next_step)


@campaign.command("approve")
@click.argument("name")
@option("--code", required=True, help="The approval code that the plan shows.")
@pass_office
def approve(office: Office, name: str, code: str) -> None:
    """Approve a plan that somebody else made."""
    require_document(office)
    account = office.sign_in("approver")
    with office.database.write() as session:
        approved = approving.approve(session, name, code=code, account=account.account, settings=office.settings, now=office.now())
        office.record(session, "campaign.approve", name, digest=approved.digest)
        document = status.status(session, name, now=office.now())
    line = _("Approved by {account} (planned by {planner}). Any change from now on voids it.").format(account=account.account, planner=approved.planned_by)
    answer(office, document, [line], next_step=f"outreach campaign launch {name}")


@campaign.command("launch")
@click.argument("name")
@option("--first", type=click.IntRange(1), help="Send so many, then pause.")
@option("--detach", is_flag=True, help="Return at once; a worker sends.")
@option("--wait", is_flag=True, help="Stay and show progress though a worker sends.")
@acting
def launch(office: Office, name: str, first: int | None, detach: bool, wait: bool) -> None:
    """Send an approved campaign; the same command goes on where it stopped."""
    require_document(office)
    with office.database.read() as session:
        directory.named(session, name)
        alive = workers.lives(session, now=office.now())
    if detach and not alive:
        raise NoWorkerLives()
    with office.database.write() as session:
        launched = launching.launch(session, name, settings=office.settings, first=first, now=office.now())
        office.record(session, "campaign.launch", name, first=first)
    if office.settings.rehearsal and launched.state in ("canary", "running"):
        processes.ensure_rehearsal(office.settings)
    if not alive or wait:
        following.follow(office, name, works=not alive)
    _answer_statement(office, name)
    _require_no_fault(office, name)


class PausedItself(Refused):
    """Campaign {name} paused: {reason}. Look at `outreach report deliveries --campaign {name} --by error`, then: outreach campaign resume {name}"""


def _require_no_fault(office: Office, name: str) -> None:
    """Leave with 1 where the campaign paused itself: somebody must look."""
    with office.database.read() as session:
        found = directory.named(session, name)
    if found.state == "paused" and found.reason in ("canary", "content", "account"):
        raise PausedItself(name=name, reason=words.pause_reason(found.reason))


def _answer_statement(office: Office, name: str) -> None:
    with office.database.read() as session:
        document = statements.statement(session, name, now=office.now())
        state = directory.named(session, name).state
    steps = {
        "paused": f"outreach campaign launch {name}",
        "finished": f"outreach report deliveries --campaign {name} --by town",
    }
    answer(office, document, statement_lines(document), next_step=steps.get(state, f"outreach campaign status {name}"))


@campaign.command("test")
@click.argument("name")
@option(
    "--to",
    "address",
    required=True,
    help="Phone, or `me` for that of the account that signs in. In WeChat: the phone of who is bound, or an openid. Of a letter: FILE.pdf.",
)
@option("--step", type=click.IntRange(1), default=1, show_default=True, help="Whose message.")
@acting
def test(office: Office, name: str, address: str, step: int) -> None:
    """Send yourself one message of a plan; it counts in no statement."""
    require_document(office)
    if address.lower().endswith(".pdf"):
        _write_proof(office, name, Path(address), step)
        return
    if address in ("me", "本人"):
        address = office.sign_in("operator").phone
    with office.database.write() as session:
        message = trial.queue(session, name, to=address, step=step, settings=office.settings, now=office.now())
        office.record(session, "campaign.test", name, step=step)
    if office.settings.rehearsal:
        processes.ensure_rehearsal(office.settings)
    outcome = following.follow_delivery(office, message.delivery)
    answer(office, {"campaign": name, **message.document, **outcome}, trial_lines(message.document, outcome), next_step=f"outreach campaign status {name}")


def _write_proof(office: Office, name: str, path: Path, step: int) -> None:
    """Write a letter of a plan as it will be printed, to be looked at."""
    from outreach.campaigns import proofs  # what sets paper doubles the start of every other verb

    with office.database.read() as session:
        proof = proofs.proof(session, name, step=step, settings=office.settings)
    content = proof.pdf(settings=office.settings, now=office.now())
    with whole_file(path) as stream:
        stream.write(content)
    line = _("A proof of the letter to {enterprise} is in {path}.").format(enterprise=proof.paper.enterprise, path=path)
    answer(office, {"campaign": name, "step": step, "file": str(path), "bytes": len(content)}, [line], next_step=f"outreach campaign status {name}")


@campaign.command("status")
@click.argument("name")
@pass_office
def show_status(office: Office, name: str) -> None:
    """How a campaign stands."""
    with office.database.read() as session:
        document = status.status(session, name, now=office.now())
    answer(office, document, status_lines(document), next_step=next_step_of(document))


@campaign.command("watch")
@click.argument("name")
@pass_office
def watch(office: Office, name: str) -> None:
    """Watch a campaign until it rests; Ctrl-C stops only the watching."""
    with office.database.read() as session:
        directory.named(session, name)
    following.follow(office, name, works=False)
    _answer_statement(office, name)


@campaign.command("statement")
@click.argument("name")
@pass_office
def statement(office: Office, name: str) -> None:
    """The table of a campaign that adds up."""
    _answer_statement(office, name)


@campaign.command("pause")
@click.argument("name")
@acting
def pause(office: Office, name: str) -> None:
    """Stop sending; what was already claimed may still leave, and is counted."""
    require_document(office)
    with office.database.write() as session:
        counts = launching.pause(session, name)
        office.record(session, "campaign.pause", name)
    line = _("Paused. {claimed} were already claimed and may still leave; {queued} wait.").format(**counts)
    answer(office, {"campaign": name, "state": "paused", **counts}, [line, *_on_the_way(name, counts)], next_step=f"outreach campaign resume {name}")


def _on_the_way(name: str, counts: Mapping[str, int]) -> list[str]:
    """Say what people have in hand: it stops only if somebody takes it back."""
    if not counts["on_the_way"]:
        return []
    said = _("{count} letters are printed, or visits on lists; to take back: outreach letters discard BATCH, outreach visits recall --campaign {name}")
    return [said.format(count=counts["on_the_way"], name=name)]


@campaign.command("resume")
@click.argument("name")
@acting
def resume(office: Office, name: str) -> None:
    """Let a paused campaign go on."""
    require_document(office)
    with office.database.write() as session:
        found = launching.resume(session, name)
        office.record(session, "campaign.resume", name)
        alive = workers.lives(session, now=office.now())
    next_step = f"outreach campaign watch {name}" if alive else f"outreach campaign launch {name}"
    answer(office, {"campaign": name, "state": found.state}, [_("Campaign {name} goes on.").format(name=name)], next_step=next_step)


@campaign.command("cancel")
@click.argument("name")
@acting
def cancel(office: Office, name: str) -> None:
    """End a campaign for good; what waits is not sent."""
    require_document(office)
    with office.database.write() as session:
        counts = launching.cancel(session, name, now=office.now())
        office.record(session, "campaign.cancel", name)
    line = _("Cancelled. {queued} are not sent; {claimed} were already claimed and may still leave.").format(**counts)
    answer(office, {"campaign": name, "state": "cancelled", **counts}, [line, *_on_the_way(name, counts)], next_step=f"outreach campaign statement {name}")


@campaign.command("settle")
@click.argument("name")
@option("--delivery", type=int, help="The delivery to settle.")
@option("--verdict", type=click.Choice(VERDICTS), help="What is true of it.")
@pass_office
def settle(office: Office, name: str, delivery: int | None, verdict: str | None) -> None:
    """List the deliveries that nobody knows of, or settle one by hand."""
    if (delivery is None) != (verdict is None):
        raise VerdictMissing()
    office.sign_in("operator")
    with office.database.write() as session:
        if delivery is not None and verdict is not None:
            if delivery not in {row["delivery"] for row in status.unknown(session, name)}:
                raise DeliveryNotUnknown(delivery=delivery)
            settling.decide(session, delivery=delivery, verdict=verdict, now=office.now())
            office.record(session, "campaign.settle", name, delivery=delivery, verdict=verdict)
        rows = status.unknown(session, name)
    labels = [("delivery", _("Delivery")), ("enterprise", _("Enterprise")), ("phone", _("Phone")), ("since", _("Since")), ("reason", _("Reason"))]
    table = Table(report="unknown", columns=[Column(*label) for label in labels], rows=rows, total=len(rows))
    show(office, table, title=_("Nobody knows of these yet"))
    hint(f"outreach campaign settle {name} --delivery ID --verdict accepted|again|failed" if rows else f"outreach campaign statement {name}")


def _local(row: Mapping[str, Any]) -> dict[str, str]:
    return {key: local_time(row[key]) for key in ("planned_at", "launched_at")}


@campaign.command("list")
@pass_office
def list_(office: Office) -> None:
    """All campaigns, newest first."""
    with office.database.read() as session:
        rows: list[dict[str, Any]] = directory.listing(session)
    labels = [
        ("name", _("Campaign")),
        ("title", _("Title")),
        ("state", _("State")),
        ("mode", _("Mode")),
        ("planned_at", _("Planned")),
        ("launched_at", _("Launched")),
    ]
    if office.format == "table":
        rows = [{**row, "state": words.campaign_state(row["state"]), "mode": words.mode(row["mode"]), **_local(row)} for row in rows]
    show(office, Table(report="campaigns", columns=[Column(*label) for label in labels], rows=rows, total=len(rows)))
    if not rows:
        note(_("There is no campaign yet."))
        hint("outreach campaign new NAME")
