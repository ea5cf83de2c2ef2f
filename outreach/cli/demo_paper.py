"""The owner of the demo who signs on paper: he ticks, signs and stamps the printed sheet, and somebody photographs it, not quite straight."""

from pathlib import Path

import pypdfium2
from PIL import Image, ImageDraw

DPI = 150
POINTS = 72
INK, SEAL, TABLE = (25, 25, 110), (200, 30, 30), (120, 110, 100)
NAME = [
    [(0.31, 0.545), (0.33, 0.535), (0.35, 0.55)],
    [(0.335, 0.53), (0.33, 0.557)],
    [(0.37, 0.54), (0.40, 0.535), (0.39, 0.556), (0.43, 0.545), (0.46, 0.55)],
]
TICK = [(0.207, 0.585), (0.212, 0.594), (0.224, 0.578)]
STAMP = (0.40, 0.44, 0.56, 0.55)
"""All in shares of the page's width and height."""


def sign_by_hand(form: Path, photograph: Path) -> None:
    """Sign the first sheet of a printed form, and write what a telephone makes of it, upside down."""
    document = pypdfium2.PdfDocument(form)
    page = document[0].render(scale=DPI / POINTS, rev_byteorder=True).to_pil().convert("RGB")
    document.close()
    pen = ImageDraw.Draw(page)
    for stroke in (*NAME, TICK):
        pen.line([(x * page.width, y * page.height) for x, y in stroke], fill=INK, width=4, joint="curve")
    left, top, right, bottom = STAMP
    pen.ellipse((left * page.width, top * page.height, right * page.width, bottom * page.height), outline=SEAL, width=5)
    page.rotate(177, expand=True, fillcolor=TABLE, resample=Image.Resampling.BICUBIC).save(photograph, "JPEG", quality=80)
