"""Letters as they are printed: the text of a campaign for so many addressees, with what goes on their envelopes and to the post.

What is printed is Chinese: it is what the office sends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from outreach.clock import OFFICE_ZONE
from outreach.database.tables import MessageText, PledgeVersion
from outreach.rendering import documents, fonts, layouts, markup, qr, templates
from outreach.rendering.characters import visible
from outreach.rendering.layouts import Layout
from outreach.settings import Settings

LABELS, ENVELOPES, HANDOVER = "letter/labels", "letter/envelopes", "letter/handover"
SIZES = ("16pt", "15pt", "14pt", "13pt", "12pt", "11pt", "10.5pt")
"""Of the text of a letter: the largest at which it is one page."""


@dataclass(frozen=True, slots=True)
class LetterText:
    """A letter as a campaign froze it: its text and layout, the campaign's merge fields, and the pledge whose sheet goes with it."""

    source: str = field(repr=False)
    file: str
    layout: Layout = field(repr=False)
    fields: Mapping[str, Any]
    red_head: str | bool
    enclosures: tuple[str, ...]
    pledge: PledgeVersion | None

    @property
    def form(self) -> bool:
        """Whether the sheets for signing are printed behind it."""
        return self.pledge is not None


@dataclass(frozen=True, slots=True)
class Paper:
    """One letter: its signing code, to whom it goes, and its merge fields; `address_of_link` stands in its QR code.

    `forms` are the sheets for signing behind it: of each enterprise its id, name and town, and the address in the sheet's QR code.
    """

    code: str
    enterprise: str
    person: str
    town: str
    address_of_link: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    forms: Sequence[tuple[int, str, str, str]] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """Letters in one PDF/A-2b, and how many pages each of them has, its forms among them."""

    content: bytes
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Addressee:
    """What stands on an envelope or a label: the place in the batch, the signing code by which a returned letter is known, the address."""

    place: int
    code: str
    enterprise: str
    person: str
    town: str
    address: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """What a hand-over sheet says of a batch; `enclosures` are (item, count), `files` (name, pages or None, SHA-256 or "")."""

    number: int
    campaign: str
    title: str
    town: str
    letters: int
    pages: int
    made_at: datetime
    made_by: str
    enclosures: Sequence[tuple[str, int]] = ()
    files: Sequence[tuple[str, int | None, str]] = ()


def text_of(row: MessageText, fields: Mapping[str, Any], *, pledge: PledgeVersion | None = None) -> LetterText:
    """Return the letter that a campaign froze; `fields` are the campaign's (office, place, hotline, account, date, deadline).

    `pledge` is the campaign's: a letter with `form = true` bears its sheets. Raises what is wrong with the text.
    """
    template = templates.parse(row.name, row.source)
    layout = layouts.thawed(template.layout, row.layout or {})
    return LetterText(row.source, template.file, layout, fields, template.red_head, template.enclosures, pledge if template.form else None)


def chunk(text: LetterText, papers: Sequence[Paper], *, settings: Settings, now: datetime) -> Made:
    """Set letters in one PDF, one after the other, each on a page of its own. Raises GlyphMissing, LayoutBroken, TemplateInvalid."""
    data = _common(text, settings) | {"size": SIZES[2], "letters": [_letter(text, paper) for paper in papers]}
    content = layouts.compile(text.layout, data, settings=settings, now=now, tags=False)
    return Made(content, tuple(1 + len(paper.forms) for paper in papers))


def missing(text: LetterText, papers: Sequence[Paper], *, settings: Settings) -> dict[int, str]:
    """Return which letters hold a character that no font has, by their place in `papers`, with those characters."""
    shelf, common = fonts.shelf(settings.home), "".join(value for value in text.fields.values() if isinstance(value, str))
    found = {place: fonts.missing(common + _said(paper), shelf) for place, paper in enumerate(papers)}
    return {place: " ".join(characters) for place, characters in found.items() if characters}


def labels(rows: Sequence[Addressee], *, settings: Settings, now: datetime) -> bytes:
    """Return the address labels of a batch, in its order, 3 × 8 to a page of A4."""
    return documents.pdf(LABELS, _sender(settings) | {"rows": [_addressee(row) for row in rows]}, settings=settings, now=now)


def envelopes(rows: Sequence[Addressee], *, settings: Settings, now: datetime) -> bytes:
    """Return the envelopes of a batch, in its order, one a page."""
    return documents.pdf(ENVELOPES, _sender(settings) | {"rows": [_addressee(row) for row in rows]}, settings=settings, now=now)


def handover(batch: HandOver, *, settings: Settings, now: datetime) -> bytes:
    """Return the sheet with which a batch is handed to the print house and to the post."""
    made = batch.made_at.astimezone(OFFICE_ZONE)
    data = _sender(settings) | {
        "number": batch.number,
        "campaign": visible(batch.campaign),
        "title": visible(batch.title),
        "town": visible(batch.town),
        "letters": batch.letters,
        "pages": batch.pages,
        "made": f"{made.year}年{made.month}月{made.day}日 {made:%H:%M}",
        "by": visible(batch.made_by),
        "enclosures": [{"item": visible(item), "count": count} for item, count in batch.enclosures],
        "files": [{"name": visible(name), "pages": pages, "digest": digest} for name, pages, digest in batch.files],
    }
    return documents.pdf(HANDOVER, data, settings=settings, now=now)


def _common(text: LetterText, settings: Settings) -> dict[str, Any]:
    office = str(text.fields.get("office", settings.office_name))
    head = office if text.red_head is True else text.red_head or ""
    return {
        "title": _title(text.source, text.file),
        "office": office,
        "hotline": str(text.fields.get("hotline", settings.hotline)),
        "account": str(text.fields.get("account", settings.wechat_name)),
        "red_head": head,
        "enclosures": list(text.enclosures),
    }


def _letter(text: LetterText, paper: Paper) -> dict[str, Any]:
    fields = {"contact": paper.person or "负责人", "town": paper.town, "enterprise": paper.enterprise, "link": paper.address_of_link, "code": paper.code}
    document = markup.parse(text.source, {**fields, **text.fields, **paper.fields}, file=text.file)
    return {"code": paper.code, "qr": qr.svg(paper.address_of_link), "blocks": markup.to_data(document)}


def _said(paper: Paper) -> str:
    values = [value for value in paper.fields.values() if isinstance(value, str)]
    names = [name for value in paper.fields.values() if isinstance(value, list) for name in value]
    return visible("".join([paper.enterprise, paper.person, paper.town, *values, *names, *(name + town for _id, name, town, _link in paper.forms)]))


def _sender(settings: Settings) -> dict[str, Any]:
    return {"office": settings.office_name, "hotline": settings.hotline}


def _addressee(row: Addressee) -> dict[str, Any]:
    texts = {key: visible(getattr(row, key)) for key in ("code", "enterprise", "person", "town", "address")}
    return texts | {"place": row.place}


@lru_cache(maxsize=16)
def _title(source: str, file: str) -> str:
    return templates.parse(file.removesuffix(".md"), source).title
