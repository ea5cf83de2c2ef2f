"""What `outreach check` looks at: database, templates, papers, accounts, senders, servers; each with its cure."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import NamedTuple

from sqlalchemy import func, select

from outreach import i18n
from outreach.channels import directory, loopback
from outreach.channels.wechat import codes
from outreach.channels.wechat.hooks import PATH
from outreach.cli.base import Office
from outreach.cli.processes import HEALTH_OF_SANDBOX, HEALTH_OF_WEB
from outreach.clock import OFFICE_ZONE
from outreach.database import schema, tables
from outreach.errors import OutreachError
from outreach.i18n import gettext as _
from outreach.rendering import checks as rules
from outreach.rendering import templates
from outreach.settings import Sender
from outreach.staff import accounts
from outreach.worker import alive as workers

NOT_FILED = ("not_filed", "wechat_not_filed")
SEAL_DAYS = 30
"""Days before its end from which a certificate is to be renewed."""


class Check(NamedTuple):
    """One thing that was looked at: ok, warn or fail; what was seen; what to do."""

    name: str
    state: str
    detail: str
    cure: str = ""


def checks(office: Office) -> list[Check]:
    """Look at everything; one thing that fails does not hide the next, and a fault that shows in several places is said once."""
    found: list[Check] = []
    parts: tuple[tuple[str, Callable[[Office], Iterator[Check]]], ...] = (
        (_("settings"), _settings),
        (_("database"), _database),
        (_("staff"), _staff),
        (_("templates"), _templates),
        (_("papers"), _papers),
        (_("senders"), _senders),
        (_("servers"), _servers),
        (_("WeChat account"), _wechat),
    )
    for name, part in parts:
        try:
            found += part(office)
        except OutreachError as error:
            fault = i18n.say(error)
            if fault not in {known.detail for known in found}:
                found.append(Check(name, "fail", fault))
    return found


def _settings(office: Office) -> Iterator[Check]:
    chosen = office.settings
    mode = _("rehearsal: nothing is really sent") if chosen.rehearsal else _("production")
    file = chosen.home / "outreach.toml"
    if file.exists():
        yield Check(_("settings"), "ok", f"{file} ({mode})")
    else:
        yield Check(_("settings"), "warn", _("there is no {file}; defaults and environment hold ({mode})").format(file=file, mode=mode), "outreach init")
    directory.require_mode(chosen)
    if not chosen.rehearsal and not chosen.office_key:
        yield Check(_("settings"), "fail", _("there is no office_key"), "outreach init")
    if not chosen.rehearsal and chosen.public_url.startswith("http://127."):
        yield Check(
            _("settings"), "fail", _("public_url is this machine; no provider can send receipts to it"), _("set public_url to the office's https address")
        )


def _database(office: Office) -> Iterator[Check]:
    opened = office.database
    with opened.read() as session:
        enterprises = session.execute(select(func.count()).select_from(tables.Enterprise)).scalar_one()
        contacts = session.execute(select(func.count()).select_from(tables.Contact)).scalar_one()
    where = "PostgreSQL" if opened.is_postgresql else "SQLite"
    yield Check(
        _("database"),
        "ok",
        _("{where}, revision {revision}; enterprises {enterprises:,}, contacts {contacts:,}").format(
            where=where, revision=schema.HEAD, enterprises=enterprises, contacts=contacts
        ),
    )


def _staff(office: Office) -> Iterator[Check]:
    with office.database.read() as session:
        known = accounts.listing(session)
    if len(known) < 2:
        yield Check(
            _("staff"),
            "warn",
            _("{count} accounts; a plan needs a second one to approve it").format(count=len(known)),
            "outreach staff add ACCOUNT --role approver",
        )
    else:
        yield Check(_("staff"), "ok", _("{count} accounts").format(count=len(known)))


def _templates(office: Office) -> Iterator[Check]:
    chosen = office.settings
    links = all(sender.links == "allowed" for sender in chosen.sender)
    names = [stored.name for stored in templates.names(chosen.template_folders)]
    good = 0
    for name in names:
        problems = rules.problems(
            templates.load(name, chosen.template_folders),
            signature=chosen.sms_signature,
            links_allowed=links,
            production=not chosen.rehearsal,
            samples=[],
            campaign=False,
        )
        for problem in problems:
            refuses = problem.refuses and problem.id not in NOT_FILED  # one that no campaign uses need not be filed; the plan holds to it
            yield Check(_("template {name}").format(name=name), "fail" if refuses else "warn", rules.words(problem))
        good += not problems
    yield Check(_("templates"), "ok", _("{good} of {all} without a remark").format(good=good, all=len(names)))


def _papers(office: Office) -> Iterator[Check]:
    """Look at what papers need: type for them, and the seal, where the office has one."""
    from outreach.pledges import seals  # half a second that only this check needs
    from outreach.rendering import fonts

    chosen = office.settings
    shelf = fonts.shelf(chosen.home)
    known = _("{body} for the body, {title} for titles; {count:,} characters")
    yield Check(_("fonts"), "ok", known.format(body=shelf.families["body"][0], title=shelf.families["title"][0], count=len(shelf.characters)))
    seal = seals.configured(chosen)
    if seal is None:
        yield Check(_("seal"), "ok", _("none: PDFs of signed pledges are handed out plain"))
        return
    left = (seal.until - office.now()).days
    name = _("{subject}, until {day}").format(subject=seal.subject, day=f"{seal.until.astimezone(OFFICE_ZONE):%Y-%m-%d}")
    if left < SEAL_DAYS:
        yield Check(_("seal"), "fail" if left < 0 else "warn", name, _("put a new certificate in its place, and leave the old one beneath it in the file"))
    elif seal.self_made and not chosen.rehearsal:
        yield Check(_("seal"), "warn", name, _("nobody but this office vouches for it: set seal_certificate and seal_key of a licensed authority"))
    else:
        yield Check(_("seal"), "ok", name)


def _senders(office: Office) -> Iterator[Check]:
    with office.database.read() as session:
        halted = session.execute(
            select(tables.Sender.name, tables.Sender.provider, tables.Sender.paused_reason).where(tables.Sender.paused_at.is_not(None))
        ).all()
    for row in halted:
        yield Check(
            _("sender {name}").format(name=row.name),
            "fail",
            _("halted: {reason}").format(reason=_halted(row.provider, row.paused_reason or "")),
            _("mend the account, then: outreach campaign resume NAME"),
        )
    for sender in office.settings.sender:
        cure = _cure(office, sender)
        yield Check(
            _("sender {name}").format(name=sender.name),
            "fail" if cure else "ok",
            f"{sender.channel}/{sender.provider} {' '.join(sender.prefixes)}".strip(),
            cure,
        )


def _wechat(office: Office) -> Iterator[Check]:
    """Ask the account for a token, as every message does, and say what its console must be told."""
    chosen = office.settings
    if not any(sender.channel == "wechat" for sender in chosen.sender):
        return
    hook = chosen.public_url.rstrip("/") + PATH
    if chosen.rehearsal:
        yield Check(_("WeChat account"), "ok", _("the sandbox’s; callbacks come to {url}").format(url=hook))
        return
    with directory.open_account(chosen) as account:
        account.require_token()
    yield Check(_("WeChat account"), "ok", _("it gives a token; callbacks come to {url}").format(url=hook))
    if not chosen.wechat_aes_key:
        cure = _("choose the safe mode in the account’s console, and set wechat_aes_key to its EncodingAESKey")
        yield Check(_("WeChat callbacks"), "warn", _("they are not encrypted"), cure)


def _halted(provider: str, reason: str) -> str:
    """Say why a sender was halted: the provider's code, and of WeChat's what it means."""
    code = reason.removeprefix("account ")
    return f"{reason}: {codes.meaning(int(code))}" if provider == "wechat" and code.isdigit() else reason


def _cure(office: Office, sender: Sender) -> str:
    """Return what a sender still needs; nothing where it needs nothing."""
    chosen = office.settings
    if sender.provider == "aliyun" and find_spec("alibabacloud_dysmsapi20170525") is None:
        return _("its SDK is not installed: pip install 'outreach[aliyun]'")
    if sender.provider == "aliyun" and not chosen.aliyun_hook_word:
        return _("set aliyun_hook_word: a secret word in the address that it reports to")
    if sender.provider == "wechat" and not chosen.wechat_token:
        return _("set wechat_token: the word that you gave the account for its callbacks")
    if sender.provider == "twilio" and not (chosen.rehearsal or sender.from_ or sender.messaging_service):
        return _("set from or messaging_service of this sender")
    return ""


def _servers(office: Office) -> Iterator[Check]:
    chosen = office.settings
    wanted = [(_("web"), chosen.public_url, HEALTH_OF_WEB, "outreach serve")]
    if chosen.rehearsal:
        wanted.append((_("sandbox"), chosen.sandbox_url, HEALTH_OF_SANDBOX, "outreach sandbox"))
    for name, url, path, cure in wanted:
        if loopback.answers(url, path):
            yield Check(name, "ok", url)
        elif chosen.rehearsal:
            yield Check(name, "ok", _("{url} does not answer yet; launch starts it").format(url=url))
        else:
            yield Check(name, "fail", _("{url} does not answer").format(url=url), cure)
    with office.database.read() as session:
        alive = workers.lives(session, now=office.now())
    yield Check(_("worker"), "ok", _("lives") if alive else _("none lives; launch works by itself"))
