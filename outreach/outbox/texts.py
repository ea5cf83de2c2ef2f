"""The frozen texts: a body is a pure function of a frozen text and frozen fields, so it is made again rather than stored."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database import bulk
from outreach.database.tables import MessageText, RecipientContact
from outreach.rendering import templates
from outreach.rendering.layouts import Layout
from outreach.rendering.segments import sms_text
from outreach.rendering.templates import MessageTemplate

SOMEBODY = "负责人"
"""How a contact without a name is addressed."""
Write = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Written:
    """A message as its channel wants it: what is read, and what a provider that writes it itself needs for that."""

    body: str
    template: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    link: str = ""
    via: str = ""


@dataclass(frozen=True, slots=True)
class _Text:
    """A frozen text, compiled; `secretive` where it holds a personal link or a one-time code."""

    template: MessageTemplate
    write: Write
    secretive: bool

    @property
    def is_wechat(self) -> bool:
        return self.template.channel == "wechat"


_texts: dict[str, _Text] = {}


def freeze(session: Session, template: MessageTemplate, *, signature: str, layout: Layout | None = None) -> int:
    """Keep a template's text with its signature, and with its layout if it goes on paper; return the id of its row.

    It is kept once, though others keep it at this moment.
    """
    kept = {"name": template.name, "text": template.text, "signature": signature} | ({"layout": layout.digest} if layout else {})
    digest = tokens.digest(kept)
    wanted = select(MessageText.id).where(MessageText.digest == digest)
    found = session.scalar(wanted)
    if found is not None:
        return int(found)
    files = layout.frozen() if layout else None
    row = {"digest": digest, "name": template.name, "source": template.text, "signature": signature, "layout": files}
    bulk.insert_rows(session, MessageText, [row], ignore_conflicts=True)
    return session.execute(wanted).scalar_one()


@dataclass(frozen=True, slots=True)
class Secrets:
    """What makes the fields that are stored nowhere: a recipient's personal link, and the digits of a one-time code."""

    office_key: str
    public_url: str

    def added(self, fields: dict[str, Any], *, recipient: int | None, generation: int | None, way: str = "link") -> dict[str, Any]:
        """Return the fields with those that belong to this recipient, or to the nonce of a one-time code."""
        if "nonce" in fields:
            return fields | {"one_time_code": tokens.one_time_code(self.office_key, fields["nonce"])}
        if recipient is None or generation is None:
            return fields
        return fields | {"link": tokens.link_url(self.public_url, tokens.link_token(self.office_key, recipient, generation, way))}


def reads_secrets(session: Session, digest: str) -> bool:
    """Whether a frozen text needs a field that only `Secrets` can fill."""
    return _text(session, digest).secretive


def with_secrets(
    session: Session, digest: str, fields: dict[str, Any], secrets: Secrets | None, *, recipient: int | None, generation: int | None
) -> dict[str, Any]:
    """Return the fields with the secret ones, where the text needs them; the link says by which channel it came."""
    text = _text(session, digest)
    if secrets is None or not text.secretive:
        return fields
    return secrets.added(fields, recipient=recipient, generation=generation, way="wechat" if text.is_wechat else "link")


def body(session: Session, digest: str, fields: Mapping[str, Any]) -> str:
    """Write the whole message of a frozen text, signature first; each text is compiled once a process."""
    return _text(session, digest).write(fields)


def written(session: Session, digest: str, fields: Mapping[str, Any], *, filed: bool = False) -> Written:
    """Write a message with what a provider needs that writes it itself: WeChat always, a gateway of filed texts where `filed`."""
    text = _text(session, digest)
    said = text.write(fields)
    if text.is_wechat:
        data, link = templates.wechat_data(text.template, fields), str(fields.get("link") or "")
        return Written(said, text.template.wechat.get("id", ""), data, link, templates.via(text.template))
    return Written(said, templates.filed_id(text.template), templates.variables(text.template, fields)) if filed else Written(said)


def _text(session: Session, digest: str) -> _Text:
    if digest not in _texts:
        row = session.execute(select(MessageText).where(MessageText.digest == digest)).scalar_one()
        template = templates.parse(row.name, row.source)
        secretive = template.channel == "wechat" or bool({"link", "one_time_code"} & templates.fields_used(template))
        _texts[digest] = _Text(template, signed(template, row.signature), secretive)
    return _texts[digest]


def names_of_alternates(session: Session, rows: Iterable[Any]) -> dict[int, str]:
    """Return whom a delivery addresses, where that is not the recipient's first contact; rows have `id`, `recipient_id` and `rank`."""
    wanted = {(row.recipient_id, row.rank): row.id for row in rows if row.rank}
    if not wanted:
        return {}
    person = RecipientContact
    people = select(person.recipient_id, person.rank, person.name).where(person.recipient_id.in_({recipient for recipient, _rank in wanted}), person.rank > 0)
    return {wanted[row.recipient_id, row.rank]: row.name or SOMEBODY for row in session.execute(people) if (row.recipient_id, row.rank) in wanted}


def signed(template: MessageTemplate, signature: str) -> Write:
    """Return what writes messages of a template; a text to a phone bears 【signature】 in front."""
    write = templates.renderer(template)
    if template.channel != "sms":
        return write
    return lambda fields: sms_text(signature, write(fields))
