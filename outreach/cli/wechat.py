"""`outreach wechat`: the office's account: who follows it, and its QR codes for letters and posters."""

from pathlib import Path

import click

from outreach.cli import wechat_codes
from outreach.cli.base import Office, acting, group, option, pass_office
from outreach.cli.files import OUT, deliver_list
from outreach.cli.output import answer, note, require_document
from outreach.cli.wechat_account import open_account
from outreach.i18n import gettext as _
from outreach.links import followers as following
from outreach.reports import followers as people
from outreach.staff import roles


@group("wechat")
def wechat() -> None:
    """The office's WeChat account: its followers, and its QR codes for letters and posters."""


@wechat.command("followers")
@option("--state", type=click.Choice(people.STATES), help="Only who stands so: follows and is bound to a contact, or not; or follows no more.")
@option("--unmask", is_flag=True, help="Show openids and phones whole; this is written into the audit log.")
@option("--limit", type=click.IntRange(1), help="Rows of a page.")
@option("--after", type=click.IntRange(0), metavar="CURSOR", help="The page after this one.")
@option("--out", type=OUT, metavar="FILE", help="Write this file: .csv, .xlsx or .json.")
@pass_office
def followers(office: Office, state: str | None, unmask: bool, limit: int | None, after: int | None, out: Path | None) -> None:
    """Who follows the account, and whose WeChat it is as far as people have shown it."""
    office.require_town("")
    if unmask:
        office.sign_in(roles.UNMASK)
        with office.database.write() as session:
            office.record(session, "report.unmask", report="followers", state=state)
    with office.database.read() as session:
        counted = people.counts(session)
        note(_("Following: {following:,} = bound {bound:,} + not bound {unbound:,}; contacts bound: {contacts:,}; left: {left:,}").format(**counted))
        deliver_list(
            office,
            lambda limit, after: people.listing(session, state=state, limit=limit, after=after, unmask=unmask),
            lambda after: people.rows(session, state=state, after=after, unmask=unmask),
            limit=limit,
            after=after,
            out=out,
            again="outreach wechat followers" + (f" --state {state}" if state else "") + (" --unmask" if unmask else ""),
        )


@wechat.command("sync")
@option("--yes", is_flag=True, help="Ask nothing, even where many would be taken for gone.")
@acting
def sync(office: Office, yes: bool) -> None:
    """Hold our followers against the account's own list, in case events were lost: who came, and who left."""
    require_document(office)
    since = office.now()
    listed: set[str] = set()
    came = 0
    with open_account(office) as account:
        for page in account.followers():
            listed.update(page)
            with office.database.write() as session:
                came += following.found_following(session, page, since=since)
    with office.database.write() as session:
        away = following.gone(session, listed, since=since, sure=yes)
        unbound = following.left(session, away, since=since, now=office.now())
        office.record(session, "wechat.sync", listed=len(listed), came=came, left=len(away), unbound=unbound)
    document = {"listed": len(listed), "came": came, "left": len(away), "unbound": unbound}
    lines = [_("Followers on the account's list: {listed:,}; new to us {came:,}; gone {left:,}, bindings ended {unbound:,}.").format(**document)]
    answer(office, document, lines, next_step="outreach report reach")


wechat_codes.add_to(wechat)
