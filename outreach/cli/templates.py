"""`outreach templates`: the office's texts, what stands in the way of sending them, and how each will read on a phone."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.campaigns import drafts
from outreach.channels.directory import FILLS_TEMPLATES
from outreach.cli.base import Office, group, option, pass_office
from outreach.cli.output import answer, note, show
from outreach.contacts.directory import ContactMissing
from outreach.database.tables import Contact, Enterprise
from outreach.i18n import gettext as _
from outreach.i18n import say
from outreach.outbox import senders
from outreach.rendering import checks, segments, wechat_values
from outreach.rendering import templates as texts
from outreach.rendering.checks import REFUSE, WARN, Problem
from outreach.rendering.frontmatter import TemplateInvalid
from outreach.rendering.templates import MessageTemplate, Stored
from outreach.reports.tables import Column, Table
from outreach.settings import Sender, Settings

USUAL: Mapping[str, Any] = {
    "enterprise": "示例鞋业有限公司",
    "enterprises": ["示例鞋业有限公司"],
    "enterprise_count": 1,
    "contact": "张建国",
    "town": "逍林镇",
    "code": "7K3M9P",
    "deadline": "1月15日",
    "deadline_time": "2026年1月15日 17:00",
    "serial": "2026-000317",
    "one_time_code": "482916",
    "answer": "您单位已在签订名单中，如有更正请致电镇街劳动保障所。",
}
"""An invented recipient to look at a text with."""
UNUSUAL: Mapping[str, Any] = {
    **USUAL,
    "enterprise": "示例市逍林镇示例五金塑料制品及模具制造有限责任公司第二分公司",
    "enterprises": ["示例市逍林镇示例五金塑料制品及模具制造有限责任公司第二分公司", "示例鞋业有限公司", "示例建设集团有限公司"],
    "enterprise_count": 3,
    "contact": "负责人",
    "deadline": "12月31日",
    "deadline_time": "2026年12月31日 17:00",
}
"""One whose text is as long as texts get: a principal of several enterprises with long names."""
PHONE = "+8613800138000"
MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}


@group("templates")
def templates() -> None:
    """The office's texts: list them, check them, see how they read."""


@templates.command("list")
@pass_office
def list_(office: Office) -> None:
    """List the texts, and whether each is the office's own or came with the program."""
    words = {"own": _("own"), "shipped": _("came with the program")}
    rows = [_row(office.settings, stored) for stored in texts.names(office.settings.template_folders)]
    if office.format != "json":
        rows = [row | {"source": words[row["source"]]} for row in rows]
    columns = (
        Column("name", _("Name")),
        Column("title", _("Title")),
        Column("kind", _("Kind")),
        Column("filed", _("Approval number")),
        Column("source", _("Source")),
    )
    show(office, Table("templates", columns, rows), next_step="outreach templates check")


@templates.command("check")
@click.argument("names", metavar="[NAME]…", nargs=-1)
@pass_office
def check(office: Office, names: tuple[str, ...]) -> None:
    """Check the texts and say how to mend them; exit code 1 if one would be refused."""
    chosen = names or tuple(stored.name for stored in texts.names(office.settings.template_folders))
    found = {name: _found(office, name) for name in chosen}
    state = {name: _state(problems) for name, problems in found.items()}
    ok = "fail" not in state.values()
    document = {
        "ok": ok,
        "checks": [
            {"name": name, "state": state[name], "problems": [{"id": id, "severity": severity, "words": words} for id, severity, words in problems]}
            for name, problems in found.items()
        ],
    }
    answer(office, document, _report(found, state), next_step="outreach templates preview NAME" if ok else "")
    click.get_current_context().exit(0 if ok else 1)


@templates.command("preview")
@click.argument("name")
@option("--contact", "contact", type=int, metavar="ID", help="Write it for this contact; without it, for an invented one.")
@pass_office
def preview(office: Office, name: str, contact: int | None) -> None:
    """Show a text as it will read on the phone, its length and its price."""
    settings = office.settings
    template = texts.load(name, settings.template_folders)
    fields, phone = {**_common(office, template), **USUAL}, PHONE
    if contact is not None:
        with office.database.read() as session:
            own, phone = of_contact(session, contact)
        fields |= own
    text = texts.render(template, fields)
    document: dict[str, Any] = {"template": name, "title": template.title, "channel": template.channel, "contact": contact}
    if template.channel == "sms":
        text = segments.sms_text(template.signature or settings.sms_signature, text)
        document |= _measured(text, _sender(settings, "sms", phone))
        document |= {"filed_text": texts.filed_text(template)} if _filed_with_a_gateway(settings, template) else {}
    if template.channel == "wechat":
        document |= {"via": texts.via(template), "id": texts.filed_id(template), "data": texts.wechat_data(template, fields), "link": fields["link"]}
    answer(office, document | {"text": text}, _lines(document, text))
    for _id, _severity, words in _found(office, name):
        note(words)


def of_contact(session: Session, id: int) -> tuple[dict[str, Any], str]:
    """Return the merge fields of a contact, who speaks for every enterprise that has his phone, and that phone."""
    found = session.execute(
        select(Contact.name, Contact.phone, Contact.enterprise_id, Enterprise.name.label("enterprise"), Enterprise.town)
        .join(Enterprise, Enterprise.id == Contact.enterprise_id)
        .where(Contact.id == id)
        .where(Contact.erased_at.is_(None))
    ).first()
    if found is None:
        raise ContactMissing(id=id)
    others = (
        select(Enterprise.name)
        .where(Enterprise.id != found.enterprise_id)
        .where(Enterprise.closed_at.is_(None))
        .where(Enterprise.id.in_(select(Contact.enterprise_id).where(Contact.phone == found.phone, Contact.phone != "", Contact.erased_at.is_(None))))
        .order_by(Enterprise.id)
    )
    names = [found.enterprise, *session.scalars(others)]
    fields = {"enterprise": names[0], "enterprises": names, "enterprise_count": len(names), "contact": found.name or "负责人", "town": found.town}
    return fields, found.phone


def _row(settings: Settings, stored: Stored) -> dict[str, Any]:
    own = stored.origin.is_relative_to(settings.template_folders[0])
    row = {"name": stored.name, "title": "", "kind": "", "filed": "", "source": "own" if own else "shipped", "file": str(stored.origin)}
    try:
        template = texts.load(stored.name, settings.template_folders)
    except TemplateInvalid as error:
        return row | {"title": say(error)}
    return row | {"title": template.title, "kind": template.kind, "filed": texts.filed_id(template)}


def _found(office: Office, name: str) -> list[tuple[str, str, str]]:
    """Return what is wrong with a text: its id, whether it is refused for it, and the words for it."""
    settings = office.settings
    try:
        template = texts.load(name, settings.template_folders)
        common = _common(office, template)
        found: list[Problem] = checks.problems(
            template,
            signature=settings.sms_signature,
            links_allowed=all(sender.links == "allowed" for sender in settings.sender if sender.channel == template.channel),
            production=not settings.rehearsal,
            samples=[{**common, **USUAL}, {**common, **UNUSUAL}],
            campaign=False,
        )
        if template.channel == "sms" and any(sender.provider in FILLS_TEMPLATES for sender in settings.sender if sender.channel == "sms"):
            found += checks.plain_fields_only(template, samples=[{**common, **USUAL}, {**common, **UNUSUAL}])
    except TemplateInvalid as error:
        return [("invalid", REFUSE, say(error))]
    return [(problem.id, problem.severity, checks.words(problem)) for problem in found]


def _common(office: Office, template: MessageTemplate) -> dict[str, Any]:
    """Return the merge fields that are the office's own, and invented ones for what a text reads out of registers."""
    register: dict[str, dict[str, str]] = {}
    for path in texts.fields_used(template):
        if path.startswith("register.") and path.count(".") == 2:
            _word, name, field = path.split(".")
            register.setdefault(name, {})[field] = "示例"
    link = f"{office.settings.public_url}/p/{'x' * 22}"
    return {**drafts.shared_fields(None, office.settings, now=office.now()), "link": link, "register": register}


def _state(problems: list[tuple[str, str, str]]) -> str:
    severities = {severity for _id, severity, _words in problems}
    return "fail" if REFUSE in severities else "warn" if WARN in severities else "ok"


def _report(found: Mapping[str, list[tuple[str, str, str]]], state: Mapping[str, str]) -> Iterator[str]:
    for name, problems in found.items():
        yield f"{MARKS[state[name]]} {name}"
        yield from (f"    {words}" for _id, _severity, words in problems)


def _sender(settings: Settings, channel: str, phone: str) -> Sender:
    """Return the sender that would serve a phone; where none does, the first of the channel tells the price."""
    pool = [sender for sender in settings.sender if sender.channel == channel]
    return senders.serving(pool, phone) or next(iter(pool), Sender())


def _filed_with_a_gateway(settings: Settings, template: MessageTemplate) -> bool:
    """Whether a sender's gateway writes this text itself, and can."""
    gateway = any(sender.provider in FILLS_TEMPLATES for sender in settings.sender if sender.channel == template.channel)
    return gateway and not any(problem.refuses for problem in checks.plain_fields_only(template, samples=()))


def _measured(text: str, sender: Sender) -> dict[str, Any]:
    length = segments.measure(text)
    cost = (sender.price * length.segments).quantize(Decimal("0.01"))
    return {
        "units": length.units,
        "encoding": length.encoding,
        "segments": length.segments,
        "cost": str(cost),
        "currency": sender.currency,
        "sender": sender.name,
    }


def _lines(document: Mapping[str, Any], text: str) -> Iterator[str]:
    """Show a text as it is read, and beneath it what else there is to know of it."""
    yield text
    if "segments" in document:
        yield ""
        yield _("{units} characters in {encoding}, {segments} segments, {cost} {currency} a message by sender {sender}.").format(**document)
    if "filed_text" in document:
        yield _("To be filed with the gateway: {text}").format(text=document["filed_text"])
    if "via" in document:
        yield ""
        yield _ways()[document["via"]].format(**document)
        yield from (_value_line(key, value) for key, value in document["data"].items())


def _ways() -> dict[str, str]:
    return {
        "template": _("A template message ({id}) to followers; a tap opens {link}"),
        "subscription": _("A subscription notice ({id}) to those who asked for it; a tap opens {link}"),
        "service": _("A customer-service message, within two days of what somebody wrote."),
    }


def _value_line(key: str, value: str) -> str:
    limit = wechat_values.KINDS.get(wechat_values.kind_of(key))
    if limit is None or not limit.longest:
        return _("  {key}: {value}").format(key=key, value=value)
    return _("  {key}: {value} ({length} of {longest} characters)").format(key=key, value=value, length=len(value), longest=limit.longest)
