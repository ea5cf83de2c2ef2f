"""Letters as they are printed: the text of a campaign for so many addressees, with what goes on their envelopes and to the post.

What is printed is Chinese: it is what the office sends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from outreach.clock import OFFICE_ZONE
from outreach.database.tables import MessageText, PledgeVersion
from outreach.rendering import documents, fonts, layouts, markup, qr, sheets, templates
from outreach.rendering.characters import visible
from outreach.rendering.layouts import Layout
from outreach.settings import Settings

LABELS, ENVELOPES, HANDOVER = "letter/labels", "letter/envelopes", "letter/handover"
SIZES = (16, 15, 14, 13, 12, 11, 10.5)
"""Of the text of a letter, in points: the largest at which it is one page."""
FLOWING = 14
"""The size of a text that is longer than a page even with an ordinary name."""
FORM_SIZES = (16, 14.5, 13, 11.5, 10.5)
"""Of the text of a sheet for signing, likewise."""


@dataclass(frozen=True, slots=True)
class LetterText:
    """A letter as a campaign froze it: its text and layout, the campaign's merge fields, and the pledge whose sheet goes with it."""

    title: str
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
    return LetterText(template.title, row.source, template.file, layout, fields, template.red_head, template.enclosures, pledge if template.form else None)


def chunk(text: LetterText, papers: Sequence[Paper], *, settings: Settings, now: datetime) -> Made:
    """Set letters in one PDF/A-2b, one after the other, each on a page of its own.

    All are set at the largest of `SIZES` at which a letter with an ordinary name is one page; one that says more is made smaller by
    itself, and flows over to further pages, which are numbered, where no size is small enough.

    Raises GlyphMissing, LayoutBroken, and what is wrong with the text.
    """
    size, form_size = _fitting(text, settings)
    data = _common(text, settings) | {"size": size, "form_size": form_size, "sizes": [smaller for smaller in SIZES if smaller <= size]}
    ordinary = _length(_ordinary(text))
    letters = [_letter(text, paper) for paper in papers]
    for letter in letters:
        letter["fit"] = _length(letter) > ordinary

    def made(some: Sequence[Mapping[str, Any]]) -> bytes:
        return layouts.compile(text.layout, data | {"letters": some}, settings=settings, now=now, tags=False)

    content = made(letters)
    pages = [1 + len(paper.forms) for paper in papers]
    if documents.pages(content) != sum(pages):
        for place, letter in enumerate(letters):
            letter["fit"] = True
            pages[place] = documents.pages(made([letter]))
            letter["flows"] = pages[place] > 1 + len(papers[place].forms)
        content = made(letters)
    return Made(content, tuple(pages))


def missing(text: LetterText, papers: Sequence[Paper], *, settings: Settings) -> dict[int, str]:
    """Return which letters hold a character that no font has, by their place in `papers`, with those characters."""
    shelf, common = fonts.shelf(settings.home), "".join(value for value in text.fields.values() if isinstance(value, str))
    found = {place: fonts.missing(common + _said(paper), shelf) for place, paper in enumerate(papers)}
    return {place: " ".join(characters) for place, characters in found.items() if characters}


def labels(rows: Sequence[Addressee], *, settings: Settings, now: datetime) -> bytes:
    """Return the address labels of a batch, in its order, 3 × 8 to a page of A4."""
    return documents.pdf(LABELS, _sender(settings) | {"rows": [_addressee(row, settings) for row in rows]}, settings=settings, now=now)


def envelopes(rows: Sequence[Addressee], *, settings: Settings, now: datetime) -> bytes:
    """Return the envelopes of a batch, in its order, one a page."""
    return documents.pdf(ENVELOPES, _sender(settings) | {"rows": [_addressee(row, settings) for row in rows]}, settings=settings, now=now)


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
    office, hotline = str(text.fields.get("office", settings.office_name)), str(text.fields.get("hotline", settings.hotline))
    data = {
        "title": text.title,
        "office": visible(office),
        "hotline": visible(hotline),
        "account": visible(str(text.fields.get("account", settings.wechat_name))),
        "red_head": visible(office if text.red_head is True else text.red_head or ""),
        "enclosed": f"随信附：{'、'.join(map(visible, text.enclosures))}。" if text.enclosures else "",
    }
    return data if text.pledge is None else data | {"said": sheets.said(text.pledge.title, hotline=hotline)}


def _letter(text: LetterText, paper: Paper) -> dict[str, Any]:
    fields = {"contact": paper.person or "负责人", "town": paper.town, "enterprise": paper.enterprise}
    fields |= {**text.fields, **paper.fields, "link": paper.address_of_link, "code": paper.code}
    document = markup.parse(text.source, fields, file=text.file)
    letter = {"code": paper.code, "qr": qr.svg(paper.address_of_link), "blocks": markup.to_data(document), "fit": False, "flows": False}
    return letter | {"forms": [_form(text.pledge, fields, form) for form in paper.forms] if text.pledge else []}


def _form(pledge: PledgeVersion, fields: Mapping[str, Any], form: tuple[int, str, str, str]) -> dict[str, Any]:
    _id, enterprise, town, link = form
    own = {**fields, **pledge.fields, "enterprise": enterprise, "enterprises": [enterprise], "enterprise_count": 1, "town": town}
    document = markup.parse(pledge.source, own, file=f"pledge/{pledge.pledge}.md")
    return {"enterprise": visible(enterprise), "town": visible(town), "code": fields["code"], "qr": qr.svg(link), "blocks": markup.to_data(document)}


def _ordinary(text: LetterText) -> dict[str, Any]:
    """Return a letter with names as long as most are at most: what it says, every other may say at the same size."""
    name, town = "示" * 26, "示" * 6
    fields = {"enterprise": name, "enterprises": [name], "enterprise_count": 1, "contact": "示" * 6, "town": town}
    forms = [(0, name, town, "http://127.0.0.1:8000/p/#0")] if text.pledge else []
    return _letter(text, Paper("7K3M9P", name, "示" * 6, town, "http://127.0.0.1:8000/p/" + "示" * 30, fields, forms))


def _fitting(text: LetterText, settings: Settings) -> tuple[float, float]:
    """Return the largest sizes at which an ordinary letter, and the sheet behind it, are one page each; once a process for each text."""
    key = (text.source, text.layout.digest, repr(sorted(text.fields.items(), key=str)), text.pledge and text.pledge.digest, fonts.shelf(settings.home))
    if key not in _sizes:
        ordinary, data = _ordinary(text), _common(text, settings)

        def pages(letter: Mapping[str, Any], size: float, form_size: float) -> int:
            sized = data | {"size": size, "form_size": form_size, "letters": [letter]}
            return documents.pages(layouts.compile(text.layout, sized, settings=settings, now=_ANY))

        size = next((size for size in SIZES if pages(ordinary | {"forms": []}, size, 10) == 1), FLOWING)
        both = pages(ordinary | {"forms": []}, size, 10) + len(ordinary["forms"])
        _sizes[key] = size, next((form for form in FORM_SIZES if pages(ordinary, size, form) == both), FORM_SIZES[-1])
    return _sizes[key]


_sizes: dict[Any, tuple[float, float]] = {}
_ANY = datetime(2026, 1, 1, tzinfo=UTC)
"""The date of a letter that is thrown away."""


def _length(letter: Mapping[str, Any]) -> int:
    lines = [line for block in letter["blocks"] for line in (block["lines"] if "lines" in block else [block["line"]] if "line" in block else [])]
    return sum(len(run["text"]) for line in lines for run in line)


def _said(paper: Paper) -> str:
    values = [value for value in paper.fields.values() if isinstance(value, str)]
    names = [name for value in paper.fields.values() if isinstance(value, list) for name in value]
    return visible("".join([paper.enterprise, paper.person, paper.town, *values, *names, *(name + town for _id, name, town, _link in paper.forms)]))


def _sender(settings: Settings) -> dict[str, Any]:
    return {"office": settings.office_name, "hotline": settings.hotline}


def _addressee(row: Addressee, settings: Settings) -> dict[str, Any]:
    texts = {key: visible(getattr(row, key)) for key in ("code", "enterprise", "person", "town")}
    return texts | {"place": row.place, "address": visible(whole_address(row.address, town=row.town, place=settings.office_place))}


def whole_address(address: str, *, town: str, place: str) -> str:
    """Return an address with its town and city in front, where it says neither: lists of a town hold the street alone."""
    if place and place in address:
        return address
    if town and town not in address:
        address = town + address
    return place + address
