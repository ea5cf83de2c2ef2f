"""Printed papers: a layout found by name and data that stays data, set to PDF; and PDFs put together for printing.

What changes from paper to paper comes in as JSON, so a name can be nothing but a name. The same layout, data, fonts and moment give
the same bytes.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from threading import Lock
from typing import Any

import pypdfium2

from outreach.rendering import layouts
from outreach.rendering.layouts import LayoutBroken as LayoutBroken
from outreach.rendering.layouts import LayoutMissing as LayoutMissing
from outreach.settings import Settings


def pdf(layout: str, data: Mapping[str, Any], *, settings: Settings, now: datetime) -> bytes:
    """Set `data` with the layout called `layout` (such as `pledge/signed`) and return the PDF, dated `now` to the second.

    See `layouts.compile`. Raises LayoutMissing, LayoutBroken and GlyphMissing.
    """
    return layouts.compile(layouts.load(layout, settings.template_folders), data, settings=settings, now=now)


def pages(content: bytes) -> int:
    """Return how many pages a PDF has."""
    with _READING, closing(pypdfium2.PdfDocument(content)) as document:
        return len(document)


def joined(parts: Sequence[bytes], *, now: datetime) -> bytes:
    """Put PDFs together, page after page, for printing, dated `now`; the whole is not PDF/A any more."""
    stream = BytesIO()
    with _READING, closing(pypdfium2.PdfDocument.new()) as whole:
        for part in parts:
            with closing(pypdfium2.PdfDocument(part)) as document:
                whole.import_pages(document)
        whole.save(stream)
    return _dated(stream.getvalue(), now)


def _dated(content: bytes, now: datetime) -> bytes:
    """Put a fixed date and number in the places of those that PDFium draws from clock and chance; no byte moves."""
    moment = now.astimezone(UTC).strftime("%Y%m%d%H%M%S+00'00'").encode()
    content = re.sub(rb"(?<=/CreationDate\(D:)\d{14}[+-]\d\d'\d\d'(?=\))", moment, content, count=1)
    number = re.compile(rb"(?<=/ID\[<)[0-9A-F]{32}(><)[0-9A-F]{32}(?=>\])")
    drawn = hashlib.sha256(number.sub(b"", content)).hexdigest()[:32].upper().encode()
    return number.sub(drawn + rb"\g<1>" + drawn, content)


_READING = Lock()
"""PDFium is for one paper at a time; threads of the web take turns."""
