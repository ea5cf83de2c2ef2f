"""`outreach pledges list` and `show`: the signatures, and all that happened to one."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from outreach.audiences import conditions, segments
from outreach.cli import report_choice as choice
from outreach.cli.base import Command, Group, Office, option, pass_office
from outreach.cli.files import OUT, deliver_list
from outreach.cli.output import answer, cell, command
from outreach.database.pledge_tables import SIGNATURE_STATES, WAYS
from outreach.i18n import gettext as _
from outreach.pledges import directory
from outreach.reports import corrections, words
from outreach.reports.tables import Column, Table, plain

ONLY_IN_FILES = ("credit_code", "pledge", "version", "method", "signer", "capacity", "review", "ended_at")
"""Columns of the list for which a terminal has no room."""


@click.command("list", cls=Command)
@option("--campaign", metavar="NAME", help="Of the enterprises of this campaign, to its pledge; without it, all.")
@option("--pledge", metavar="PLEDGE", help="Of this pledge only.")
@choice.town_option
@option("--state", type=click.Choice(SIGNATURE_STATES), help="Only what stands so.")
@option("--way", type=click.Choice(WAYS), help="Only what came in this way.")
@option("--review", is_flag=True, help="Only what a person has to look at.")
@choice.where_option
@choice.limit_option
@choice.after_option
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def list_(office: Office, /, where: str | None, review: bool, limit: int | None, after: int | None, out: Path | None, **chosen: str | None) -> None:
    """List the signatures, those that ended too."""
    town = choice.town(office, chosen["town"])
    with office.database.read() as session:
        choice.require_town(session, town)
        choice.say_mode(office, session, chosen["campaign"])
        which: dict[str, Any] = {**chosen, "town": town, "mode": office.settings.mode, "review": review, "enterprises": _enterprises(session, where)}
        deliver_list(
            office,
            lambda limit, after: _page(directory.listing(session, limit=limit, after=after, **which)),
            lambda after: directory.rows(session, after=after, **which),
            limit=limit,
            after=after,
            out=out,
            again=command("outreach pledges list", **chosen, where=where, limit=limit) + (" --review" if review else ""),
            narrow=partial(choice.narrow_list, keep=("serial",), only_in_files=ONLY_IN_FILES),
        )


def _enterprises(session: Session, where: str | None) -> Any:
    return conditions.selected_enterprise_ids(segments.audience(session, where)) if where else None


def _page(page: directory.Page) -> Table:
    columns = [Column(key, words.heading(words.field(key))) for key in directory.LISTED]
    return Table("pledges", columns, page.rows, total=page.total, next=page.next)


@click.command("show", cls=Command)
@click.argument("key", metavar="CODE|SERIAL")
@pass_office
def show(office: Office, key: str) -> None:
    """Show who was asked under a code, or who signed under a serial number, and all that happened."""
    with office.database.read() as session:
        found = directory.show(session, key)
    for enterprise in found["enterprises"]:
        office.require_town(enterprise["town"])
    serials = [signature["serial"] for enterprise in found["enterprises"] for signature in enterprise["signatures"]]
    answer(office, _document(found), list(_lines(found)), next_step=f"outreach pledges pdf {serials[-1]}" if serials else "")


def _document(value: Any) -> Any:
    """Return what JSON shows, at any depth."""
    if isinstance(value, Mapping):
        return {key: _document(part) if isinstance(part, Mapping | list) else plain({key: part})[key] for key, part in value.items()}
    return [_document(part) for part in value] if isinstance(value, list) else value


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    if found["campaign"]:
        yield _("Asked in campaign {campaign}: {contact} {phone}").format(**found).rstrip()
    for enterprise in found["enterprises"]:
        yield " ".join(filter(None, (enterprise["enterprise"], enterprise["credit_code"], enterprise["town"])))
        yield from (f"    {_signature(signature)}" for signature in words.in_words(enterprise["signatures"]))
        yield from (f"    {_refusal(refusal)}" for refusal in enterprise["refusals"])
        if not enterprise["signatures"] and not enterprise["refusals"]:
            yield "    " + _("no answer so far")
    for said in found["corrections"]:
        yield _("{time} says: {what} {detail}").format(time=cell(said["said_at"]), what=corrections.kinds()[said["kind"]], detail=said["detail"]).rstrip()
    if found["history"]:
        yield _("What happened:")
    for one in words.in_words(found["history"]):
        yield "    " + " ".join(filter(None, (cell(one["at"]), one["act"], one["serial"], one["enterprise"] if len(found["enterprises"]) > 1 else "")))


def _signature(row: Mapping[str, Any]) -> str:
    signer = " ".join(filter(None, (row["signer"], row["capacity"], row["relation"])))
    line = _("{serial} {state}: {pledge} version {version}, {way}, {method}, {who}, {time}").format(**row, who=signer, time=cell(row["signed_at"]))
    if row["ended_at"]:
        line += _("; ended {time} {why}").format(time=cell(row["ended_at"]), why=row["ended_reason"] or row["superseded_by"] or "").rstrip()
    return line + (_("; to be reviewed") if row["review"] else "")


def _refusal(row: Mapping[str, Any]) -> str:
    return (
        _("declined {pledge}, {way}, {time} {why}")
        .format(pledge=row["pledge"], way=words.way(row["way"]), time=cell(row["declined_at"]), why=row["reason"])
        .rstrip()
    )


def add_to(group: Group) -> None:
    """Put the commands into their group."""
    group.add_command(list_)
    group.add_command(show)
