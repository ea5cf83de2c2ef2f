"""Papers as a reader of them sees them: their words, their pages as pictures, and the QR codes in those."""

from collections.abc import Iterator
from contextlib import closing

import pypdfium2
import zxingcpp
from PIL import Image


def words(content: bytes) -> str:
    """Return the words of a PDF without their line ends: names are broken over lines."""
    with closing(pypdfium2.PdfDocument(content)) as document:
        return "".join(document[page].get_textpage().get_text_bounded() for page in range(len(document))).replace("\r", "").replace("\n", "")


def pictures(content: bytes, *, dpi: int = 100) -> Iterator[Image.Image]:
    """Draw each page of a PDF."""
    with closing(pypdfium2.PdfDocument(content)) as document:
        for page in range(len(document)):
            yield document[page].render(scale=dpi / 72).to_pil()


def codes(content: bytes, *, dpi: int = 100) -> list[str]:
    """Read the QR codes off the pages, as a phone would."""
    return [found.text for page in pictures(content, dpi=dpi) for found in zxingcpp.read_barcodes(page, formats=zxingcpp.BarcodeFormat.QRCode)]
