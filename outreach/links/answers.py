"""What the office's account answers at once: texts of the office, and the one with the personal link, which is stored without it."""

import logging
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.tables import Recipient
from outreach.errors import OutreachError
from outreach.links import personal
from outreach.links.resolving import Visitor
from outreach.rendering import templates
from outreach.settings import Settings

log = logging.getLogger("outreach.links")

MOST_BYTES = 2000
"""WeChat takes 2,048 along with an acknowledgement; a link as it is sent is a little longer than as it is stored."""
_KEPT_LINK = re.compile(r"/p/\[(\d{1,15}) ([a-z]+)\]")


class Answers:
    """The office's texts of the conversation, each compiled once a group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._writers: dict[str, Callable[[Mapping[str, Any]], str] | None] = {}

    @cached_property
    def _office(self) -> dict[str, Any]:
        plain = self._settings
        return {"office": plain.office_name, "place": plain.office_place, "hotline": plain.hotline, "account": plain.wechat_name}

    def plain(self, name: str) -> str | None:
        """Write the text of this name, such as greeting; None where the office's own is broken: `outreach templates check` says so."""
        return self._written(name, self._office)

    def with_link(self, visitor: Visitor, token: str) -> str | None:
        """Write the text that gives somebody his link, as it is stored: the link says whose it is, and opens nothing."""
        claimed = personal.read(token)
        assert claimed is not None
        names = [enterprise.name for enterprise in visitor.enterprises]
        kept = f"{self._settings.public_url.rstrip('/')}/p/[{claimed.recipient_id} {claimed.way}]"
        own = {"enterprise": names[0] if names else "", "enterprises": names, "enterprise_count": len(names), "contact": visitor.contact}
        return self._written("your-link", {**visitor.fields, **self._office, **own, "town": visitor.town, "link": kept})

    def _written(self, name: str, fields: Mapping[str, Any]) -> str | None:
        try:
            if name not in self._writers:
                self._writers[name] = templates.renderer(templates.load(f"wechat/{name}", self._settings.template_folders))
            write = self._writers[name]
            return _cut(write(fields)) if write else None
        except OutreachError as error:  # what the person wrote must be kept, whatever became of the text that answers it
            log.error("wechat/%s: %s", name, type(error).__name__)
            self._writers[name] = None
            return None


def opened(session: Session, answers: Mapping[str, str | None], *, settings: Settings) -> dict[str, str | None]:
    """Return stored answers as they are sent: with the links that nothing stores, made again."""
    ids = {int(found[1]) for answer in answers.values() if answer for found in _KEPT_LINK.finditer(answer)}
    generations: dict[int, int] = {}
    if ids:
        generations = {row.id: row.generation for row in session.execute(select(Recipient.id, Recipient.generation).where(Recipient.id.in_(ids)))}

    def link(found: re.Match[str]) -> str:
        recipient, way = int(found[1]), found[2]
        if recipient not in generations or way not in tokens.LINK_WAYS:
            return found[0]
        return "/p/" + personal.make(settings.office_key, recipient, generations[recipient], way)

    return {key: _KEPT_LINK.sub(link, answer) if answer else answer for key, answer in answers.items()}


def shown(answer: str | None) -> str:
    """Return a stored answer as staff read it."""
    return _KEPT_LINK.sub("/p/…", answer or "")


def _cut(text: str) -> str:
    return text.encode()[:MOST_BYTES].decode(errors="ignore")
