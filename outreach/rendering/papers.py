"""Papers that are handed out or hung up: fill a text of `templates/paper/` in, and set it to PDF.

Whatever is filled in is data: the markup is read before it arrives, and the layouts get it as JSON. The same text, values and moment
give the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from outreach.clock import OFFICE_ZONE
from outreach.errors import BadInput
from outreach.rendering import documents, folding, fonts, language, markup, qr, segments, templates
from outreach.rendering.characters import visible
from outreach.rendering.fields import FIELDS, canonical, nearest
from outreach.rendering.paper_texts import Paper
from outreach.settings import Settings

SCALES = tuple(step / 20 for step in range(30, 11, -1))
"""Of type and spacing on a paper of so many pages: the largest that fits. Beneath the last, 0.6, nobody reads it."""
MOST_PAGES = 200
LONGEST_VALUE = 2000
LONGEST_QR = 300
"""Characters of an address: a code of more modules is not read off a poster across a street."""
Values = Mapping[str, Sequence[str]]


class ValueUnknown(BadInput):
    """The paper {paper} has no field {field}; the nearest is {nearest}."""


class ValueTwice(BadInput):
    """The field {field} of the paper {paper} is given under both of its names."""


class ValueTooLong(BadInput):
    """The field {field} of the paper {paper} may hold {longest} characters; this one has {length}."""


class ValuesMissing(BadInput):
    """The paper {paper} lacks: {fields}. Give each with --set {first}=… or all in a file with --data FILE."""


class SizeUnknown(BadInput):
    """The paper {paper} is not made in {size}; choose one of {known}."""


class QrMissing(BadInput):
    """The paper {paper} needs a QR code: give the address with --qr URL, or --label PLACE for the office's account."""


class QrNeedless(BadInput):
    """The paper {paper} has no place for a QR code."""


class QrWrong(BadInput):
    """{address} can be no QR code of a paper: it must be an address that begins with https:// or http://, of at most {longest} characters."""


class QrPersonal(BadInput):
    """{address} is one enterprise's own link, and everybody reads a paper that hangs or lies about; take a public address."""


class PaperTooLong(BadInput):
    """{file}: the text with these values does not go on so many pages: {pages}; shorten it."""


@dataclass(frozen=True, slots=True)
class Made:
    """A paper that was set: the PDF, its size, its pages as read, and the sheets that it takes."""

    content: bytes
    title: str
    size: str
    pages: int
    sheets: int


def make(
    paper: Paper,
    values: Values,
    *,
    settings: Settings,
    now: datetime,
    address: str = "",
    size: str = "",
    printed: bool = False,
) -> Made:
    """Set a paper with `values` (field or label -> its lines) and the QR code of `address`.

    Where it is to be `printed`, the pages of a folded paper are put two on a side, for both sides of the sheet; any other paper is the
    same either way. Raises ValueUnknown, ValuesMissing, QrMissing, PaperTooLong, GlyphMissing and what is wrong with the text.
    """
    require_ready(paper, values, settings=settings, now=now, coded=bool(address), size=size)
    if address:
        require_public(address, settings=settings)
    data = _data(paper, filled(paper, values, settings=settings, now=now), address=address, size=size)
    fonts.require(_words(data), fonts.shelf(settings.home), name=paper.head.title)
    content = _fitted(paper, data, settings=settings, now=now)
    count = documents.pages(content)
    if not paper.head.fold:
        return Made(content, data["title"], data["size"], count, count)
    if printed:
        content = folding.folded(content, now=now)
    return Made(content, data["title"], data["size"], count, count // folding.SHEET)


def require_ready(paper: Paper, values: Values, *, settings: Settings, now: datetime, coded: bool, size: str = "") -> None:
    """Refuse what `make` would refuse before anything is set; `coded` is whether there will be a QR code.

    Raises SizeUnknown, ValuesMissing and its like, QrMissing and QrNeedless.
    """
    if size and size not in paper.head.size:
        raise SizeUnknown(paper=paper.name, size=visible(size)[:20], known=" ".join(paper.head.size))
    if coded and paper.head.qr == "none":
        raise QrNeedless(paper=paper.name)
    filled(paper, values, settings=settings, now=now)
    if not coded and paper.head.qr == "required":
        raise QrMissing(paper=paper.name)


def filled(paper: Paper, values: Values, *, settings: Settings, now: datetime) -> dict[str, list[str]]:
    """Return the lines of every field of a paper, by its name: what was given, else its default; nothing for what was not.

    Raises ValueUnknown, ValueTwice, ValueTooLong and ValuesMissing, which names all that is missing at once.
    """
    found = defaults(paper, settings=settings, now=now, given=_given(paper, values))
    if missing := [field.label for field in paper.head.field if field.required and not found[field.name]]:
        raise ValuesMissing(paper=paper.name, fields="、".join(missing), first=missing[0])
    return found


def defaults(paper: Paper, *, settings: Settings, now: datetime, given: Values = MappingProxyType({})) -> dict[str, list[str]]:
    """Return the lines of every field of a paper as they are before anybody fills it in, but for those that were given."""
    office = _office(settings, now) | {name: lines[0] for name, lines in given.items() if name in FIELDS and lines}
    found = {name: [text] for name, text in office.items()}
    for field in paper.head.field:
        found[field.name] = list(given[field.name]) if field.name in given else _default(paper, field.default, field.text_of, office, settings)
    return found


def _given(paper: Paper, values: Values) -> dict[str, list[str]]:
    """Return what was given, by the names of the fields, on lines in which nothing is invisible; empty ones are none."""
    names, given = paper.names(), dict[str, list[str]]()
    for word, lines in values.items():
        if word not in names:
            raise ValueUnknown(paper=paper.name, field=visible(word)[:80], nearest=nearest(word, names) or " ".join(names))
        if names[word] in given:
            raise ValueTwice(paper=paper.name, field=word)
        if (length := sum(map(len, lines))) > LONGEST_VALUE:
            raise ValueTooLong(paper=paper.name, field=word, longest=LONGEST_VALUE, length=length)
        given[names[word]] = [text for given_line in lines for line in given_line.splitlines() if (text := visible(line).strip())]
    return given


def _office(settings: Settings, now: datetime) -> dict[str, str]:
    day = now.astimezone(OFFICE_ZONE)
    return {
        "office": settings.office_name,
        "place": settings.office_place,
        "hotline": settings.hotline,
        "account": settings.wechat_name,
        "date": f"{day.year}年{day.month}月{day.day}日",
    }


def _default(paper: Paper, text: str, message: str, office: Mapping[str, str], settings: Settings) -> list[str]:
    words = wording(message, settings=settings) if message else _written(paper, text, office)
    return [words] if words else []


def wording(name: str, *, settings: Settings) -> str:
    """Return how a message reads before names are filled in, 〔企业名称〕 where one will stand, with its signature in front.

    It is what a hotline compares a caller's text with. Raises TemplateNotFound and what is wrong with the template.
    """
    template = templates.load(name, settings.template_folders)
    blanks: dict[str, Any] = {field: f"〔{chinese}〕" for field, chinese in FIELDS.items()}
    blanks |= {"enterprises": [blanks["enterprise"]], "enterprise_count": 1}
    blanks |= {"office": settings.office_name, "place": settings.office_place, "hotline": settings.hotline, "account": settings.wechat_name}
    body = templates.render(template, blanks)
    return segments.sms_text(template.signature or settings.sms_signature, body) if template.channel == "sms" else body


def _written(paper: Paper, text: str, fields: Mapping[str, Any]) -> str:
    """Fill in a text of the head."""
    code = language.prepare(text, name=paper.name, file=paper.file).code
    try:
        return visible(language.writer(code)(fields)).strip()
    except language.FAILURES as error:
        raise templates.failure(error, code, file=paper.file, first_line=1) from error


def _data(paper: Paper, lines: Mapping[str, list[str]], *, address: str, size: str) -> dict[str, Any]:
    """Return what the layout reads."""
    head = paper.head
    fields = {name: "、".join(parts) for name, parts in lines.items()}
    every = {**fields, **{canonical(field.label): fields[field.name] for field in head.field}}
    document = markup.parse(paper.source, every, file=paper.file, known=every.keys())
    return {
        **{key: _written(paper, text, every) for key, text in (("title", head.title), ("subtitle", head.subtitle), ("slogan", head.slogan))},
        **{name: fields[name] for name in ("office", "place", "hotline", "account", "date")},
        "blocks": markup.to_data(document),
        "values": dict(lines),
        "items": [{"name": field.name, "label": field.label, "group": field.group, "lines": lines[field.name]} for field in head.field],
        "size": size or head.size[0],
        "qr": qr.svg(address) if address else None,
        "scale": 1.0,
        "blanks": 0,
    }


def require_public(address: str, *, settings: Settings) -> None:
    """Refuse what cannot stand in the QR code of a paper that everybody reads. Raises QrWrong and QrPersonal."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise QrWrong(address=visible(address)[:80], longest=LONGEST_QR) from error
    fit = parts.scheme in ("http", "https") and parts.netloc and len(address) <= LONGEST_QR and visible(address) == address and " " not in address
    if not fit:
        raise QrWrong(address=visible(address)[:80], longest=LONGEST_QR)
    if parts.netloc == urlsplit(settings.public_url).netloc and parts.path.startswith(("/p/", "/o/")):
        raise QrPersonal(address=address)


def _words(data: Mapping[str, Any]) -> list[str]:
    """Return all that is printed, for the fonts to be looked through."""
    runs = [run["text"] for block in data["blocks"] for line in block.get("lines", [block.get("line", [])]) for run in line]
    items = [text for item in data["items"] for text in (item["label"], item["group"], *item["lines"])]
    return [*runs, *items, *(data[key] for key in ("title", "subtitle", "slogan", "office", "place", "hotline", "account", "date"))]


def _fitted(paper: Paper, data: Mapping[str, Any], *, settings: Settings, now: datetime) -> bytes:
    """Set a paper at the largest size of type at which it keeps to its pages; fill a folded one up with pages for notes."""
    scales = SCALES if paper.head.pages else (1.0,)
    fitting, low, high = b"", 0, len(scales)
    while low < high:
        middle = (low + high) // 2
        content = documents.pdf(paper.layout, {**data, "scale": scales[middle]}, settings=settings, now=now)
        if documents.pages(content) <= (paper.head.pages or MOST_PAGES):
            fitting, high = content, middle
        else:
            low = middle + 1
    if not fitting:
        raise PaperTooLong(file=paper.file, pages=paper.head.pages or MOST_PAGES)
    if paper.head.fold and (over := documents.pages(fitting) % folding.SHEET):
        return documents.pdf(paper.layout, {**data, "scale": scales[low], "blanks": folding.SHEET - over}, settings=settings, now=now)
    return fitting
