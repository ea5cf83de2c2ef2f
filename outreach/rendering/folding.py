"""A booklet laid out on sheets: two pages a side, in the order in which a folded and stapled pile of them is read.

Of eight pages the first sheet bears 8 and 1 in front, 2 and 7 behind; the second 6 and 3, 4 and 5. Each is printed on both sides,
turned over the short edge.
"""

from contextlib import closing
from ctypes import c_float
from datetime import datetime
from io import BytesIO

import pypdfium2
import pypdfium2.raw as pdfium

from outreach.rendering import documents

SHEET = 4


def order(pages: int) -> list[int]:
    """Return the pages (from 0) in the order of the sides they stand on, two a side; `pages` is a multiple of four."""
    if pages % SHEET:
        raise ValueError(pages)
    first, last, sides = 0, pages - 1, list[int]()
    while first < last:
        sides += [last, first, first + 1, last - 1]
        first, last = first + 2, last - 2
    return sides


def folded(content: bytes, *, now: datetime) -> bytes:
    """Put the pages of a booklet two on a side of paper twice their width, dated `now`; the whole is not PDF/A any more."""
    stream = BytesIO()
    with closing(pypdfium2.PdfDocument(content)) as booklet, closing(pypdfium2.PdfDocument.new()) as ordered:
        width, height = booklet[0].get_size()
        ordered.import_pages(booklet, order(len(booklet)))
        sides = pdfium.FPDF_ImportNPagesToOne(ordered, c_float(2 * width), c_float(height), 2, 1)
        with closing(pypdfium2.PdfDocument(sides)) as sheets:
            sheets.save(stream)
    return documents.joined([stream.getvalue()], now=now)
