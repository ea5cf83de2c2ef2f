"""`outreach wechat qr` and `poster`: QR codes of the office's account, a recipient's own for his letter, or one for a poster."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track

from outreach.channels.wechat.calls import Account
from outreach.cli.base import Group, Office, acting, option
from outreach.cli.files import FileUnwritable, whole_file
from outreach.cli.interrupts import between_steps
from outreach.cli.output import answer, require_document
from outreach.cli.wechat_account import open_account
from outreach.errors import OutreachError, UsageError
from outreach.i18n import gettext as _
from outreach.links import scenes
from outreach.links.scenes import Personal, Poster
from outreach.rendering import qr
from outreach.reports import words, workbook
from outreach.reports.tables import Column, Table

AT_ONCE = 4
"""Calls in flight: the account's client keeps as many connections."""
CHUNK = 100
"""QR codes asked for between two commits: what a crash costs of the day's quota."""
DRAWN = {".svg": lambda text: qr.svg(text).encode(), ".png": qr.png}
LIST = "list.csv"


class CodesOfNobody(UsageError):
    """Name signing codes, or a campaign with --campaign NAME."""


class LimitAlone(UsageError):
    """--limit belongs to --campaign."""


class PictureUnknown(UsageError):
    """The picture {path} should end in .svg or .png."""


def add_to(group: Group) -> None:
    """Add the verbs to the group `wechat`."""
    group.add_command(qr_)
    group.add_command(poster)


@click.command("qr", cls=Group.command_class)
@click.argument("codes", metavar="[CODE]…", nargs=-1)
@option("--campaign", metavar="NAME", help="All of this launched campaign who have not answered.")
@option("--limit", type=click.IntRange(1), help="With --campaign: so many of them, in the order of towns.")
@option("--town", default="", metavar="TOWN", help="Only this town.")
@option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR", help="The folder for the pictures and their list.")
@option("--png", is_flag=True, help="Pictures as .png instead of .svg.")
@acting
def qr_(office: Office, codes: tuple[str, ...], campaign: str | None, limit: int | None, town: str, out: Path, png: bool) -> None:
    """QR codes for letters: who scans his own is known to the account, and need only type the last digits of his phone.

    Each is good for thirty days; one with less than half of that left is asked for anew. What was asked for is kept: the same command
    goes on where it stopped.
    """
    require_document(office)
    if bool(codes) is bool(campaign):
        raise CodesOfNobody(what="code")
    if limit and not campaign:
        raise LimitAlone(what="limit")
    now = office.now()
    town = office.own_town() or town
    with office.database.write() as session:
        if campaign:
            found = scenes.of_campaign(session, campaign, settings=office.settings, town=town, limit=limit, now=now)
        else:
            found = scenes.of_codes(session, codes, settings=office.settings, town=town, now=now)
    _make_folder(out)
    suffix = ".png" if png else ".svg"
    asked = 0
    drawn: list[Personal] = []
    with open_account(office) as account, between_steps() as step:
        for chunk in _with_bar(found):
            step()
            fresh = _ask(office, account, [one for one in chunk if one.lacks(now)])
            asked += len(fresh)
            ready = [fresh.get(one.scene_id, one) for one in chunk]
            for one in ready:
                _write(out / f"{one.code}{suffix}", DRAWN[suffix](one.url))
            drawn += ready
    with whole_file(out / LIST) as stream:
        workbook.write_csv(_list(drawn, suffix), stream)
    with office.database.write() as session:
        office.record(session, "wechat.qr", campaign or "", pictures=len(drawn), asked=asked)
    document = {"folder": str(out), "pictures": len(drawn), "asked": asked, "kept": len(drawn) - asked, "list": str(out / LIST)}
    lines = [_("QR codes: {pictures:,} in {folder}, of them asked for now {asked:,}, known before {kept:,}. The list: {list}").format(**document)]
    answer(office, document, lines, next_step=_("open {path}").format(path=out))


@click.command("poster", cls=Group.command_class)
@click.argument("label")
@option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE", help="The picture to write: .svg or .png.")
@acting
def poster(office: Office, label: str, out: Path) -> None:
    """A QR code for a poster: who scans it meets the account, and LABEL tells where it hangs. It is good for ever."""
    require_document(office)
    draw = DRAWN.get(out.suffix.lower())
    if draw is None:
        raise PictureUnknown(path=out)
    found, asked = poster_of(office, label)
    _write(out, draw(found.url))
    document = {"label": label, "scene": found.scene, "file": str(out), "asked": asked}
    answer(office, document, [_("The QR code of the poster {label} is in {file}.").format(**document)])


def poster_of(office: Office, label: str) -> tuple[Poster, bool]:
    """Return the QR code of a poster, and whether the account was asked for it now. Raises NoLabel and what stops the account."""
    with office.database.write() as session:
        found = scenes.poster(session, label, now=office.now())
    if found.url:
        return found, False
    with open_account(office) as account:
        found = replace(found, url=account.ticket(found.scene, lasts=None).url)
    with office.database.write() as session:
        scenes.keep(session, [(found.scene_id, found.url, None)])
        office.record(session, "wechat.poster", label)
    return found, True


def _ask(office: Office, account: Account, lacking: Sequence[Personal]) -> dict[int, Personal]:
    """Ask for QR codes, keep what came, and only then say what went wrong with the others; return them by their scene's row."""
    at, fresh, trouble = office.now(), {}, None
    with ThreadPoolExecutor(AT_ONCE) as pool:
        calls = [(one, pool.submit(account.ticket, one.scene, lasts=scenes.LASTS)) for one in lacking]
    for one, call in calls:
        try:
            ticket = call.result()
        except OutreachError as error:
            trouble = trouble or error
        else:
            fresh[one.scene_id] = replace(one, url=ticket.url, expires_at=at + (ticket.lasts or timedelta(0)))
    if fresh:
        with office.database.write() as session:
            scenes.keep(session, [(one.scene_id, one.url, one.expires_at) for one in fresh.values()])
    if trouble is not None:
        raise trouble
    return fresh


def _with_bar(found: Sequence[Personal]) -> Iterable[Sequence[Personal]]:
    """Give them chunk by chunk, and show on stderr how far it is, where that is a terminal."""
    chunks = list(_chunks(found))
    return track(chunks, _("QR codes"), console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty() or len(chunks) < 2)


def _chunks(found: Sequence[Personal]) -> Iterator[Sequence[Personal]]:
    return (found[start : start + CHUNK] for start in range(0, len(found), CHUNK))


def _list(drawn: Sequence[Personal], suffix: str) -> Table:
    """Return which picture is whose, and until when it is good."""
    headings = {"code": _("signing code"), "enterprise": _("enterprise"), "town": _("town"), "file": _("file"), "until": _("good until")}
    rows = [_row(one, suffix) for one in drawn]
    return Table("qr", [Column(key, words.heading(heading)) for key, heading in headings.items()], rows)


def _row(one: Personal, suffix: str) -> dict[str, str | datetime | None]:
    return {"code": one.code, "enterprise": one.enterprise, "town": one.town, "file": f"{one.code}{suffix}", "until": one.expires_at}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileUnwritable(path=folder, why=error.strerror or error) from error


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as stream:
        stream.write(content)
