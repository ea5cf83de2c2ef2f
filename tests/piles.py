"""Sheets as they come back: signed by hand, photographed or scanned, upside down, dim, twice."""

import io
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import segno
from PIL import Image, ImageChops, ImageDraw

PAGE = (620, 877)
"""An A4 page at 75 dpi: as small as a code can still be read, so that tests are quick."""
_marks = itertools.count(1)


def code(text: str, *, scale: int = 4) -> Image.Image:
    drawn = io.BytesIO()
    segno.make(text, error="m", micro=False).save(drawn, kind="png", scale=scale, border=4)
    return Image.open(drawn).convert("RGB")


def sheet(*texts: str, ink: int | None = None) -> Image.Image:
    """Draw a sheet with these codes on it; each drawing bears a signature of its own, unless `ink` says which."""
    page = Image.new("RGB", PAGE, "white")
    pen = ImageDraw.Draw(page)
    for line in range(60, 460, 24):
        pen.line((60, line, 560, line), fill=(60, 60, 60), width=5)
    mark = next(_marks) if ink is None else ink
    pen.line([(80 + 7 * step, 640 + (mark * (step + 3)) % 90) for step in range(30)], fill=(20, 20, 120), width=3)
    pen.ellipse((90, 690, 250, 850), outline=(200, 30, 30), width=5)
    for place, text in enumerate(texts):
        drawn = code(text)
        page.paste(drawn, (PAGE[0] - drawn.width - 10, PAGE[1] - drawn.height - 10 - place * drawn.height))
    return page


def blank() -> Image.Image:
    return Image.new("RGB", PAGE, (251, 251, 250))


def turned(page: Image.Image, angle: float) -> Image.Image:
    return page.rotate(angle, expand=True, fillcolor=(120, 120, 120))


def dim(page: Image.Image) -> Image.Image:
    """Photograph a page in a corner with little light, that falls from one side."""
    light = Image.linear_gradient("L").resize(page.size).point(lambda value: 60 + value // 3)
    return ImageChops.multiply(page, Image.merge("RGB", (light, light, light)))


def skewed(page: Image.Image) -> Image.Image:
    """Photograph a page from the side."""
    wide, high = page.size
    corners = (-0.1 * wide, -0.05 * high, -0.05 * wide, 1.1 * high, 1.1 * wide, 1.02 * high, 1.06 * wide, -0.1 * high)
    return page.transform(page.size, Image.Transform.QUAD, corners, fillcolor=(90, 90, 90), resample=Image.Resampling.BICUBIC)


def as_is(page: Image.Image) -> Image.Image:
    return page


WAYS: Sequence[Callable[[Image.Image], Image.Image]] = (
    as_is,
    lambda page: turned(page, 180),
    lambda page: turned(page, 90),
    dim,
    skewed,
    lambda page: dim(turned(page, 7)),
)
"""How sheets lie and are lit."""


def jpeg(page: Image.Image, path: Path) -> Path:
    page.save(path, "JPEG", quality=80)
    return path


def folder(pages: Sequence[Image.Image], path: Path) -> Path:
    """Photograph pages into a folder."""
    path.mkdir()
    for place, page in enumerate(pages):
        jpeg(page, path / f"IMG_{place:04}.jpg")
    return path


def pdf(pages: Sequence[Image.Image], path: Path) -> Path:
    """Scan pages into one PDF, as a copying machine does."""
    pages[0].save(path, "PDF", save_all=True, append_images=list(pages[1:]), resolution=75)
    return path
