"""Find the QR code on a page, however it lies, and read whose sheet it says it is."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import zxingcpp
from PIL import Image, ImageChops, ImageFilter, ImageOps, ImageStat

from outreach.links import personal
from outreach.links.personal import Claimed

SIDE = 1800
"""The longer side at which most sheets are read: a code of three centimetres has six pixels a module."""
BLANK = 2.5
"""The spread of grey (standard deviation of 256 steps) beneath which nothing stands on a page."""
LOOK = (200, 200)
ADDRESS = re.compile(r"/p/([A-Za-z0-9_-]{30})(?:#(\d{1,12}))?$")
"""The address on a sheet: the token of the recipient's link and, behind #, the enterprise for which this sheet was printed."""


@dataclass(frozen=True, slots=True)
class Marked:
    """What a sheet says of itself, before anybody has proved it: whose link, and for which of his enterprises."""

    claimed: Claimed
    enterprise_id: int | None


def mark(text: str) -> Marked | None:
    """Read the address of a sheet; None where a code holds anything else. The host may have changed since it was printed."""
    found = ADDRESS.search(text)
    claimed = personal.read(found[1]) if found else None
    return Marked(claimed, int(found[2]) if found[2] else None) if found and claimed else None


def find(picture: Image.Image, wanted: Callable[[str], object] = mark) -> list[str]:
    """Return the texts of the QR codes on a page, each once; try harder until one is `wanted`, or nothing is left to try."""
    grey = picture.convert("L")
    found: dict[str, None] = {}
    for view, binarizer in _views(grey):
        read = zxingcpp.read_barcodes(view, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode), binarizer=binarizer)
        found |= dict.fromkeys(code.text for code in read)
        if any(wanted(text) for text in found):
            break
    return list(found)


def is_blank(picture: Image.Image) -> bool:
    """Whether nothing stands on a page, such as the back of a sheet."""
    return bool(ImageStat.Stat(picture.convert("L").resize(LOOK, Image.Resampling.BOX)).stddev[0] < BLANK)


def _views(grey: Image.Image) -> Iterator[tuple[Image.Image, zxingcpp.Binarizer]]:
    """Yield the page as it may be read, the usual first; turned codes and light on dark are the reader's own doing."""
    local, overall = zxingcpp.Binarizer.LocalAverage, zxingcpp.Binarizer.GlobalHistogram
    fitted = _fitted(grey, SIDE)
    yield fitted, local
    if grey.size != fitted.size:
        yield grey, local
    clear = ImageOps.autocontrast(_evened(fitted), cutoff=1)
    yield clear, overall
    yield clear.filter(ImageFilter.MedianFilter(3)), local
    yield clear.filter(ImageFilter.UnsharpMask(radius=4, percent=400, threshold=0)), overall
    yield clear.filter(ImageFilter.GaussianBlur(1.6)), local
    if max(fitted.size) < SIDE:
        yield clear.resize((fitted.width * 2, fitted.height * 2), Image.Resampling.BICUBIC), local
    yield _fitted(clear, SIDE // 2).filter(ImageFilter.SHARPEN), local


def _fitted(grey: Image.Image, side: int) -> Image.Image:
    if max(grey.size) <= side:
        return grey
    small = grey.copy()
    small.thumbnail((side, side), Image.Resampling.BOX)
    return small


def _evened(grey: Image.Image) -> Image.Image:
    """Take uneven light out of a photograph: what is darker than its surroundings stays dark."""

    around = grey.filter(ImageFilter.BoxBlur(max(grey.size) // 30))
    return ImageChops.subtract(grey, around, scale=1, offset=200)


def marks(texts: Sequence[str]) -> list[Marked]:
    """Return the sheets that the codes of a page name, each once."""
    return list(dict.fromkeys(found for text in texts if (found := mark(text))))
