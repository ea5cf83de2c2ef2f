"""The frozen texts: a body is a pure function of a frozen text and frozen fields, so it is made again rather than stored."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.tables import MessageText, RecipientContact
from outreach.rendering import templates
from outreach.rendering.segments import sms_text
from outreach.rendering.templates import MessageTemplate

SOMEBODY = "负责人"
"""How a contact without a name is addressed."""
Write = Callable[[Mapping[str, Any]], str]
_writers: dict[str, Write] = {}


def freeze(session: Session, template: MessageTemplate, *, signature: str) -> int:
    """Keep a template's text with its signature, once, and return the id of its row."""
    digest = tokens.digest({"name": template.name, "text": template.text, "signature": signature})
    found = session.scalar(select(MessageText.id).where(MessageText.digest == digest))
    if found is not None:
        return int(found)
    row = MessageText(digest=digest, name=template.name, source=template.text, signature=signature)
    session.add(row)
    session.flush()
    return row.id


def body(session: Session, digest: str, fields: Mapping[str, Any]) -> str:
    """Write the whole message of a frozen text, signature first; each text is compiled once a process."""
    if digest not in _writers:
        row = session.execute(select(MessageText).where(MessageText.digest == digest)).scalar_one()
        _writers[digest] = signed(templates.parse(row.name, row.source), row.signature)
    return _writers[digest](fields)


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
