"""What people fill in on the public pages: bounded, tidied, and a line for each field that is not right."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request

from outreach.database.pledge_tables import CAPACITIES
from outreach.errors import BadInput
from outreach.i18n import gettext as _

LARGEST = 200 * 1024
"""Bytes of a form: a drawing of 60 kB, each of its commas and brackets written as three bytes."""
LARGEST_INK = 60_000
WIDTH, HEIGHT = 1000, 400
LONGEST_DRAWING = 3_600_000
"""Milliseconds."""
SIMPLEST = 200
"""A drawing shorter than this (of a field 1000 wide) is a slip of the finger."""
FORM = "application/x-www-form-urlencoded"

Stroke = list[list[int]]


class FormTooLarge(BadInput):
    """This form is larger than {most} bytes."""

    status = 413


class FormUnreadable(BadInput):
    """This form cannot be read. Please go back and send it once more."""


@dataclass(slots=True)
class SignForm:
    """The form of signing as it was filled in; `faults` holds a line by each field that is not right."""

    enterprises: Sequence[int] = ()
    all: bool = False
    signer: str = ""
    capacity: str = ""
    relation: str = ""
    agree: bool = False
    honour: bool = False
    ink: str = ""
    strokes: list[Stroke] | None = None
    one_time_code: str = ""
    purpose: str = "sign"
    reason: str = ""
    faults: dict[str, str] = field(default_factory=dict)


Fields = Mapping[str, Sequence[str]]


async def posted(request: Request) -> Fields:
    """Read a posted form. Raises FormTooLarge and FormUnreadable."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise FormUnreadable(what=FORM)
    content = await body(request, LARGEST)
    try:
        return parse_qs(content.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=300)
    except ValueError as error:
        raise FormUnreadable(what=FORM) from error


async def body(request: Request, most: int) -> bytes:
    """Read a request's body, but no more than `most` bytes. Raises FormTooLarge."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            raise FormTooLarge(most=most)
    return bytes(content)


def text(fields: Fields, name: str, most: int = 200) -> str:
    """Return a field as one tidy line."""
    return tidied((fields.get(name) or [""])[0], most)


def tidied(written: str, most: int) -> str:
    """Return what somebody wrote as one line: no control characters, no blanks at its ends, at most so many characters."""
    value = unicodedata.normalize("NFC", written[: 4 * most])
    kept = "".join(" " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character for character in value)
    plain = "".join(character for character in kept if unicodedata.category(character) not in ("Cs", "Co", "Cn") and character not in _TURNING)
    return " ".join(plain.split())[:most]


def of_signing(fields: Fields) -> SignForm:
    """Read the form of signing, and say of each field what is not right with it."""
    form = _of_enterprises(fields)
    form.signer, form.capacity, form.relation = text(fields, "signer", 40), text(fields, "capacity", 40), text(fields, "relation", 60)
    form.agree, form.honour = bool(fields.get("agree")), bool(fields.get("honour"))
    form.one_time_code = "".join(character for character in unicodedata.normalize("NFKC", text(fields, "one_time_code", 20)) if character.isdigit())
    form.ink = (fields.get("ink") or [""])[0]
    if sum(character.isalpha() for character in form.signer) < 2:
        form.faults["signer"] = _("Please write your full name.")
    if form.capacity not in CAPACITIES:
        form.faults["capacity"] = _("Please say as what you sign.")
    if form.capacity == "agent" and not form.relation:
        form.faults["relation"] = _("Please say in what relation you stand to the enterprise, such as wage officer.")
    if form.ink:
        _read_ink(form)
    if not form.agree:
        form.faults["agree"] = _("Please tick this if you want to sign. Nobody has to.")
    return form


def of_declining(fields: Fields) -> SignForm:
    """Read the form of not signing."""
    form = _of_enterprises(fields)
    form.purpose, form.reason = "decline", text(fields, "reason")
    return form


def strokes(value: str) -> list[Stroke] | None:
    """Read a drawing: strokes of [x, y, milliseconds] on a field of 1000 × 400, in the order of time. None where it is none."""
    if len(value) > LARGEST_INK:
        return None
    try:
        drawing = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(drawing, list) or not all(isinstance(stroke, list) and stroke for stroke in drawing):
        return None
    points = [point for stroke in drawing for point in stroke]
    if not all(_is_point(point) for point in points):
        return None
    times = [point[2] for point in points]
    return drawing if times == sorted(times) else None


def length(drawing: Sequence[Stroke]) -> int:
    """Return how far the pen went, along both axes."""
    pairs = ((one, two) for stroke in drawing for one, two in pairwise(stroke))
    return sum(abs(one[0] - two[0]) + abs(one[1] - two[1]) for one, two in pairs)


def _of_enterprises(fields: Fields) -> SignForm:
    chosen = [int(value) for value in fields.get("enterprise", ()) if value.isascii() and value.isdigit() and len(value) < 19]
    return SignForm(enterprises=list(dict.fromkeys(chosen)), all=bool(fields.get("all")))


def _read_ink(form: SignForm) -> None:
    form.strokes = strokes(form.ink)
    if form.strokes is None:
        form.ink = ""
        form.faults["ink"] = _("The drawing did not arrive whole. Please draw again, or leave it out: the typed name is enough.")
    elif form.strokes and length(form.strokes) < SIMPLEST:
        form.faults["ink"] = _("This drawing is too simple. Draw your name, or clear it: the typed name is enough.")
    form.strokes = form.strokes or None


def _is_point(point: Any) -> bool:
    if not isinstance(point, list) or len(point) != 3 or not all(type(number) is int for number in point):
        return False
    x, y, at = point
    return bool(0 <= x <= WIDTH and 0 <= y <= HEIGHT and 0 <= at <= LONGEST_DRAWING)


_TURNING = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Characters that turn or hide the writing around them."""
