"""Read what comes back on paper: photographs, scanned PDFs, folders and zip files of them, one page in memory at a time.

The content decides, not the file's ending. What is kept of a page is a new JPEG of its pixels, turned upright: no place, time or maker of
the camera, no thumbnail and nothing that hung behind the picture comes along.
"""

import hashlib
import io
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import pypdfium2
from PIL import Image, UnidentifiedImageError

from outreach.errors import NotFound
from outreach.i18n import gettext as _

MEGABYTE = 2**20
MOST_BYTES = 64 * MEGABYTE
"""Of a picture, and of any file in a zip; a PDF that lies on the disk is read page by page and may be longer."""
MOST_PDF_BYTES = 2048 * MEGABYTE
MOST_PIXELS = 80_000_000
"""An A3 sheet at 600 dpi has 70 million; a telephone's picture 12 to 50."""
MOST_PAGES = 5000
MOST_ZIP_BYTES = 4096 * MEGABYTE
"""Of all files in a zip, unpacked."""
PDF_DPI = 200
POINTS = 72
"""Of an inch, which a PDF measures in (ISO 32000-1, 8.3.2.3)."""
SIDE = 5200
"""The longer side in pixels up to which a page is looked at: an A4 sheet at 440 dpi."""
KEPT_SIDE = 2600
"""The longer side of what is kept: an A4 sheet at 220 dpi, at which a signature and the print of a seal are plain."""
KEPT_QUALITY = 85
KEPT_KIND = "image/jpeg"
HEAD = 32
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
HEIF = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
"""Brands of HEIF in the `ftyp` box (ISO/IEC 23008-12); what iPhones take unless told otherwise."""
LITTER = ("thumbs.db", "desktop.ini", "__macosx")
FAULTS = (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError, AttributeError, struct.error, zlib.error)
"""What Pillow raises for a picture that is not whole (pillow.readthedocs.io, "Writing your own image plugin"; found by cutting and bending files)."""
TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
"""How a picture becomes upright, by its EXIF orientation (CIPA DC-008, tag 0x0112)."""
ORIENTATION = 0x0112
Source: TypeAlias = "Path | bytes"


class ScanMissing(NotFound):
    """There is no file or folder {file}."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a pile: its picture, upright, grey or in colours; or why there is none, as an id that `say` puts into words."""

    file: str
    number: int
    """Of the page in its file, from 1."""
    picture: Image.Image | None
    fault: str = ""
    scanned: bool = True
    """False for a page of a PDF that holds no picture at all: it came from a program, and nobody can have signed it by hand."""

    @property
    def name(self) -> str:
        """The file's name, with the page where it is not the first."""
        return f"{self.file} #{self.number}" if self.number > 1 else self.file


@dataclass(frozen=True, slots=True)
class Kept:
    """A page as it is stored: `digest` is the SHA-256 of `content`."""

    name: str
    content: bytes
    digest: str
    kind: str = KEPT_KIND


def pages(paths: Sequence[Path]) -> Iterator[Page]:
    """Yield the pages of files, folders and zip files in the order of their names; whatever cannot be read is a page with its fault.

    The picture of a page is closed when the next one is asked for. Raises ScanMissing before anything is read.
    """
    for path in paths:
        if not path.exists():
            raise ScanMissing(what="file", name=path, file=path)
    for path in paths:
        for file in _files(path):
            label = str(file.relative_to(path)) if file != path else file.name
            yield from _closing(_pages_of_file(file, label))


def count(paths: Sequence[Path]) -> int:
    """Return how many files there are, as far as can be told without opening them."""
    return sum(1 for path in paths for _file in _files(path))


def kept(page: Page) -> Kept:
    """Return what is stored of a page."""
    assert page.picture is not None
    small = _within(page.picture, KEPT_SIDE)
    small.info.clear()  # no profile, no comment, no resolution
    written = io.BytesIO()
    small.save(written, "JPEG", quality=KEPT_QUALITY, optimize=True)
    content = written.getvalue()
    return Kept(page.name[-200:], content, hashlib.sha256(content).hexdigest())


def reopened(stored: Kept) -> Page:
    """Return the page that was stored; of an erased one there is no picture."""
    return next(_pages_of_content(stored.content, stored.content[:HEAD], stored.name))


def _within(picture: Image.Image, side: int) -> Image.Image:
    """Return a picture whose longer side is no more than `side`: a new one, or itself."""
    share = side / max(picture.size)
    if share >= 1:
        return picture
    wide, high = (max(1, round(length * share)) for length in picture.size)
    return picture.resize((wide, high), Image.Resampling.BICUBIC, reducing_gap=1.5)


def _closing(found: Iterator[Page]) -> Iterator[Page]:
    for page in found:
        yield page
        if page.picture is not None:
            page.picture.close()


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not _is_litter(name))
        yield from (Path(folder) / name for name in sorted(names) if not _is_litter(name))


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _pages_of_file(path: Path, label: str) -> Iterator[Page]:
    try:
        if not path.is_file():
            yield Page(label, 1, None, "no_picture")
            return
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(HEAD)
        if head.startswith(b"PK\x03\x04"):
            yield from _pages_of_zip(path, label)
        elif size > (MOST_PDF_BYTES if _is_pdf(head) else MOST_BYTES):
            yield Page(label, 1, None, "too_long")
        else:
            yield from _pages_of_content(path, head, label)
    except OSError:
        yield Page(label, 1, None, "no_access")


def _is_pdf(head: bytes) -> bool:
    return b"%PDF-" in head


def _pages_of_content(source: Source, head: bytes, label: str) -> Iterator[Page]:
    if not head:
        return iter([Page(label, 1, None, "empty")])
    if _is_pdf(head):
        return _pages_of_pdf(source, label)
    if head[4:8] == b"ftyp" and head[8:12] in HEIF:
        return iter([Page(label, 1, None, "heic")])
    return _pages_of_picture(source, label)


def _pages_of_zip(path: Path, label: str) -> Iterator[Page]:
    try:
        packed = _zip(path)
    except (zipfile.BadZipFile, ValueError):
        yield Page(label, 1, None, "broken")
        return
    with packed:
        members = sorted((one for one in packed.infolist() if not one.is_dir() and not _packed_litter(one)), key=lambda one: one.filename)
        if len(members) > MOST_PAGES or sum(one.file_size for one in members) > MOST_ZIP_BYTES:
            yield Page(label, 1, None, "too_long")
            return
        for member in members:
            name = f"{label}/{member.filename}"
            content = _unpacked(packed, member)
            if isinstance(content, str):
                yield Page(name, 1, None, content)
            elif content.startswith(b"PK\x03\x04"):
                yield Page(name, 1, None, "nested")
            else:
                yield from _pages_of_content(content, content[:HEAD], name)


def _zip(path: Path) -> zipfile.ZipFile:
    """Open a zip whose names are in GB18030 unless it says otherwise, as Chinese Windows packs them."""
    try:
        return zipfile.ZipFile(path, metadata_encoding="gb18030")
    except UnicodeDecodeError:
        return zipfile.ZipFile(path)


def _packed_litter(member: zipfile.ZipInfo) -> bool:
    return any(_is_litter(part) for part in member.filename.split("/"))


def _unpacked(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | str:
    """Return the content of a packed file or why it cannot be had; its own word on its length is not trusted."""
    if member.flag_bits & 1:
        return "locked"
    try:
        with packed.open(member) as stream:
            content = stream.read(MOST_BYTES + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, *FAULTS):
        return "broken"
    return "too_long" if len(content) > MOST_BYTES else content


def _pages_of_picture(source: Source, label: str) -> Iterator[Page]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow: about metadata that nobody reads, and pictures beyond its bound, which is not ours
        try:
            with closing(_stream(source)) as stream, Image.open(stream, formats=FORMATS) as opened:
                for number in range(1, _frames(opened) + 1):
                    yield _frame(opened, label, number)
        except UnidentifiedImageError:
            yield Page(label, 1, None, "no_picture")
        except Image.DecompressionBombError:
            yield Page(label, 1, None, "too_many_pixels")
        except FAULTS:
            yield Page(label, 1, None, "broken")


def _stream(source: Source) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _frames(opened: Image.Image) -> int:
    """Return how many pages there are: only of a TIFF are further frames pages; elsewhere they are thumbnails and films."""
    return min(getattr(opened, "n_frames", 1), MOST_PAGES) if opened.format == "TIFF" else 1


def _frame(opened: Image.Image, label: str, number: int) -> Page:
    try:
        if number > 1:
            opened.seek(number - 1)
        if opened.width * opened.height > MOST_PIXELS:
            return Page(label, number, None, "too_many_pixels")
        opened.draft(None, (SIDE // 2, SIDE // 2))  # a JPEG may be decoded at a half or a quarter of its size; nothing else is touched
        opened.load()
        return Page(label, number, _within(_upright(_plain(opened), opened), SIDE))
    except FAULTS:
        return Page(label, number, None, "broken")


def _plain(opened: Image.Image) -> Image.Image:
    """Return a picture in grey or in three colours, on white where it can be seen through."""
    if opened.mode.startswith("I"):
        return opened.convert("I").point(lambda value: value * (1 / 256)).convert("L")  # sixteen bits, as scanners write them
    if opened.mode in ("1", "L", "F"):
        return opened.convert("L")
    if opened.has_transparency_data:
        seen = opened.convert("RGBA")
        white = Image.new("RGB", seen.size, "white")
        white.paste(seen, mask=seen.getchannel("A"))
        return white
    return opened.convert("RGB")


def _upright(picture: Image.Image, opened: Image.Image) -> Image.Image:
    try:
        turn = TURNS.get(opened.getexif().get(ORIENTATION, 1), ())
    except FAULTS:
        turn = ()  # metadata that cannot be read say nothing
    for step in turn:
        picture = picture.transpose(step)
    return picture


def _pages_of_pdf(source: Source, label: str) -> Iterator[Page]:
    try:
        document = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        yield Page(label, 1, None, "locked" if "password" in str(error).lower() else "broken")
        return
    with closing(document):
        if not 0 < len(document) <= MOST_PAGES:
            yield Page(label, 1, None, "too_long" if len(document) else "broken")
            return
        for number in range(1, len(document) + 1):
            yield _rendered(document, label, number)


def _rendered(document: Any, label: str, number: int) -> Page:
    """Draw a page as its scanner saw it, at 200 dpi, a very large one at fewer."""
    try:
        with closing(document[number - 1]) as page:
            longer = max(page.get_size())
            scale = min(PDF_DPI / POINTS, SIDE / longer)
            with closing(page.render(scale=scale, rev_byteorder=True)) as bitmap:
                return Page(label, number, bitmap.to_pil().convert("RGB"), scanned=_has_picture(page))
    except (pypdfium2.PdfiumError, *FAULTS):
        return Page(label, number, None, "broken")


def _has_picture(page: Any) -> bool:
    return any(True for _picture in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]))


def say(fault: str) -> str:
    """Return the words for why a page has no picture, with what to do."""
    return {
        "heic": _("it is a HEIC picture; set the telephone to JPEG (iPhone: Settings, Camera, Formats, Most Compatible) or save it as JPEG"),
        "no_picture": _("it is no JPEG, PNG, WebP, TIFF or PDF"),
        "too_many_pixels": _("it has more than {count} million pixels; scan at 300 dpi").format(count=MOST_PIXELS // 1_000_000),
        "too_long": _("it is too large; scan at 300 dpi, and not more than {count} pages at once").format(count=MOST_PAGES),
        "broken": _("the file is not whole; scan or copy it again"),
        "locked": _("it is locked with a password; save it without one"),
        "nested": _("it is a zip file in a zip file; unpack it first"),
        "empty": _("the file is empty"),
        "no_access": _("the file cannot be opened"),
    }.get(fault, fault)
