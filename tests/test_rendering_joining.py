"""PDFs put together on disk: page after page in their order, and the same bytes for the same parts."""

from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO

import pypdfium2
import pytest
import typst

from outreach.rendering import joining

AT = datetime(2026, 1, 15, 9, 0, 5, tzinfo=UTC)


def part(*words: str) -> bytes:
    made = typst.compile("#pagebreak()\n".join(f"= {word}\n" for word in words).encode(), format="pdf")
    assert isinstance(made, bytes)
    return made


PARTS = [part("one"), part("two", "three"), part("four")]


def joined(parts: list[bytes], at: datetime = AT) -> tuple[int, bytes]:
    stream = BytesIO()
    return joining.join(iter(parts), stream, now=at), stream.getvalue()


def said(content: bytes) -> list[str]:
    with closing(pypdfium2.PdfDocument(content)) as document:
        return [document[page].get_textpage().get_text_bounded().strip() for page in range(len(document))]


def test_pages_follow_in_the_order_of_their_parts() -> None:
    pages, content = joined(PARTS)
    assert pages == 4
    assert said(content) == ["one", "two", "three", "four"]


def test_the_same_parts_give_the_same_bytes_dated_as_one_says() -> None:
    assert joined(PARTS) == joined(PARTS)
    _pages, content = joined(PARTS)
    assert b"/CreationDate(D:20260115090005+" in content
    assert joined(PARTS, datetime(2026, 1, 16, tzinfo=UTC))[1] != content
    assert joined([part("one"), part("two", "three"), part("five")])[1] != content


def test_what_is_no_pdf_leaves_nothing_behind() -> None:
    stream = BytesIO()
    with pytest.raises(pypdfium2.PdfiumError):
        joining.join([PARTS[0], b"nothing"], stream, now=AT)
    assert stream.getvalue() == b""
