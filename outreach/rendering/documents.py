"""Printed papers: a layout in Typst and data that stays data, set to PDF.

Layouts lie beside the texts (`templates/pledge/signed.typ`); the office's own go before ours. What changes from paper to paper comes
in as JSON, so a name can be nothing but a name. The same layout, data, fonts and moment give the same bytes.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import pypdfium2
import typst

from outreach.errors import Misconfigured, NotFound
from outreach.rendering import fonts
from outreach.rendering.fonts import GlyphMissing, Shelf
from outreach.settings import Settings

STANDARD: Literal["a-2b"] = "a-2b"
"""PDF/A-2b: readable as long as the paper would be; a seal may be put on it, and a character without a glyph is an error."""


class LayoutMissing(NotFound):
    """There is no layout {name}; it belongs into templates/{name}.typ"""


class LayoutBroken(Misconfigured):
    """The layout {file} cannot be set: {detail}"""


def pdf(layout: str, data: Mapping[str, Any], *, settings: Settings, now: datetime) -> bytes:
    """Set `data` with the layout called `layout` (such as `pledge/signed`) and return the PDF, dated `now` to the second.

    The layout reads the data as `json(bytes(sys.inputs.data))`, with `fonts` added: the families for title, body and strong.
    Raises LayoutMissing, LayoutBroken and GlyphMissing.
    """
    file, root = _layout(layout, settings.template_folders)
    shelf = fonts.shelf(settings.home)
    inputs = {"data": json.dumps({**data, "fonts": shelf.families}, ensure_ascii=False)}
    try:
        with _SETTING:
            made = _compiler(root, shelf).compile(file, format="pdf", sys_inputs=inputs, pdf_standards=[STANDARD], timestamp=int(now.timestamp()))
    except typst.TypstError as error:
        raise _fault(error, file, shelf) from error
    assert isinstance(made, bytes)
    return made


def pages(content: bytes) -> int:
    """Return how many pages a PDF has."""
    with _SETTING, closing(pypdfium2.PdfDocument(content)) as document:
        return len(document)


def joined(parts: Sequence[bytes], *, now: datetime) -> bytes:
    """Put PDFs together, page after page, for printing, dated `now`; the whole is not PDF/A any more."""
    stream = BytesIO()
    with _SETTING, closing(pypdfium2.PdfDocument.new()) as whole:
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


_SETTING = Lock()
"""A compiler, and PDFium, are for one paper at a time; threads of the web take turns."""


def _layout(name: str, folders: Sequence[Path]) -> tuple[Path, Path]:
    """Return the file of a layout and the folder that it may read from."""
    for folder in folders:
        path = folder / f"{name}.typ"
        if path.is_file():
            return path.resolve(), folder.resolve()
    raise LayoutMissing(what="layout", name=name)


@lru_cache(maxsize=4)
def _compiler(root: Path, shelf: Shelf) -> typst.Compiler:
    """Return the compiler for one folder of layouts: fonts are read once a process, not once a paper."""
    return typst.Compiler(root=root, font_paths=shelf.typst)


def _fault(error: typst.TypstError, file: Path, shelf: Shelf) -> LayoutBroken | GlyphMissing:
    lost = re.search(r'the text `"(.+?)"` could not be displayed', error.message)
    if lost:
        return GlyphMissing(name=file.name, characters=lost[1], folder=shelf.folder)
    return LayoutBroken(file=file, detail=" ".join(error.diagnostic.split())[:300])
