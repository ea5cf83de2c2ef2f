"""The frozen texts: a body is a pure function of a frozen text and frozen fields, so it is made again rather than stored."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database import bulk
from outreach.database.tables import MessageText, RecipientContact
from outreach.rendering import templates
from outreach.rendering.segments import sms_text
from outreach.rendering.templates import MessageTemplate

SOMEBODY = "负责人"
"""How a contact without a name is addressed."""
Write = Callable[[Mapping[str, Any]], str]
_writers: dict[str, Write] = {}
_secretive: set[str] = set()
"""The digests of texts that hold a personal link or a one-time code."""


def freeze(session: Session, template: MessageTemplate, *, signature: str) -> int:
    """Keep a template's text with its signature, once though others keep it at this moment, and return the id of its row."""
    digest = tokens.digest({"name": template.name, "text": template.text, "signature": signature})
    wanted = select(MessageText.id).where(MessageText.digest == digest)
    found = session.scalar(wanted)
    if found is not None:
        return int(found)
    row = {"digest": digest, "name": template.name, "source": template.text, "signature": signature}
    bulk.insert_rows(session, MessageText, [row], ignore_conflicts=True)
    return session.execute(wanted).scalar_one()


@dataclass(frozen=True, slots=True)
class Secrets:
    """What makes the fields that are stored nowhere: a recipient's personal link, and the digits of a one-time code."""

    office_key: str
    public_url: str

    def added(self, fields: dict[str, Any], *, recipient: int | None, generation: int | None) -> dict[str, Any]:
        """Return the fields with those that belong to this recipient, or to the nonce of a one-time code."""
        if "nonce" in fields:
            return fields | {"one_time_code": tokens.one_time_code(self.office_key, fields["nonce"])}
        if recipient is None or generation is None:
            return fields
        return fields | {"link": tokens.link_url(self.public_url, tokens.link_token(self.office_key, recipient, generation, "link"))}


def reads_secrets(session: Session, digest: str) -> bool:
    """Whether a frozen text holds a field that only `Secrets` can fill."""
    _writer(session, digest)
    return digest in _secretive


def body(session: Session, digest: str, fields: Mapping[str, Any]) -> str:
    """Write the whole message of a frozen text, signature first; each text is compiled once a process."""
    return _writer(session, digest)(fields)


def _writer(session: Session, digest: str) -> Write:
    if digest not in _writers:
        row = session.execute(select(MessageText).where(MessageText.digest == digest)).scalar_one()
        template = templates.parse(row.name, row.source)
        if {"link", "one_time_code"} & templates.fields_used(template):
            _secretive.add(digest)
        _writers[digest] = signed(template, row.signature)
    return _writers[digest]


def names_of_alternates(session: Session, rows: Iterable[Any]) -> dict[int, str]:
    """Return whom a delivery addresses, where that is not the recipient's first contact; rows have `id`, `recipient_id` and `rank`."""
    wanted = {(row.recipient_id, row.rank): row.id for row in rows if row.rank}
    if not wanted:
        return {}
    person = RecipientContact
    people = select(person.recipient_id, person.rank, person.name).where(person.recipient_id.in_({recipient for recipient, _rank in wanted}), person.rank > 0)
    return {wanted[row.recipient_id, row.rank]: row.name or SOMEBODY for row in session.execute(people) if (row.recipient_id, row.rank) in wanted}


def signed(template: MessageTemplate, signature: str) -> Write:
    """Return what writes messages of a template with 【signature】 in front."""
    write = templates.renderer(template)
    return lambda fields: sms_text(signature, write(fields))
