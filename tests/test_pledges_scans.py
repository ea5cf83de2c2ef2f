"""What comes back on paper is read whatever it is called and however it lies; what is kept says nothing but what is on the page."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import piles
import pypdfium2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer

from outreach import tokens
from outreach.pledges import scans, sheet_codes
from outreach.pledges.scans import Page, ScanMissing

TEXT = f"https://rl.example.gov.cn/p/{tokens.link_token('0' * 64, 317, 1, 'paper')}"
ORIENTATION, GPS = 0x0112, 0x8825


def faults(path: Path) -> list[str]:
    return [page.fault for page in scans.pages([path])]


def only(path: Path) -> tuple[Page, Image.Image]:
    """Return the one page of a file, with a copy of its picture, as that is closed with the page."""
    [(page, picture)] = [(page, page.picture.copy()) for page in scans.pages([path]) if page.picture is not None]
    return page, picture


def png_head(width: int, height: int) -> bytes:
    """Write a PNG that claims a size and holds next to nothing: a bomb."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 5000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("way", range(len(piles.WAYS)))
def test_a_code_is_found_however_its_sheet_lies_and_is_lit(way: int) -> None:
    assert sheet_codes.find(piles.WAYS[way](piles.sheet(TEXT))) == [TEXT]


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "SCAN"])
def test_the_content_says_what_a_file_is_not_its_ending(tmp_path: Path, ending: str) -> None:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        path = tmp_path / f"sheet.{ending}"
        piles.sheet(TEXT).save(path, kind)
        _page, picture = only(path)
        assert sheet_codes.find(picture) == [TEXT], kind


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_pictures_of_every_kind_of_scanner_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "sheet.tif"
    page = piles.sheet(TEXT)
    if mode == "I;16":
        page.convert("L").convert("I").point(lambda value: value * 256).convert("I;16").save(path, "TIFF")
    else:
        page.convert(mode).save(path, "TIFF")
    _page, picture = only(path)
    assert picture.mode in ("L", "RGB")
    assert sheet_codes.find(picture) == [TEXT]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright_as_its_camera_says(tmp_path: Path, orientation: int) -> None:
    upright = Image.new("RGB", (60, 90), "white")
    upright.paste((200, 0, 0), (0, 0, 30, 30))
    turns = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what undoes the camera's turn, as Pillow numbers its transposes
    lying = upright if orientation == 1 else upright.transpose(Image.Transpose(turns[orientation]))  # type: ignore[arg-type]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    lying.save(tmp_path / "photo.jpg", "JPEG", exif=exif, quality=95)
    _page, picture = only(tmp_path / "photo.jpg")
    assert picture.size == (60, 90)
    red, _green, blue = picture.getpixel((10, 10))  # type: ignore[misc]
    assert (red > 150, blue < 80) == (True, True)
    assert min(picture.getpixel((45, 75))) > 240  # type: ignore[type-var, arg-type]


def test_place_time_camera_and_thumbnail_do_not_come_along(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0132], exif[0x9286] = "Huawei P60", "2026:01:15 09:00:00", "taken at home"
    exif.get_ifd(GPS)[2] = (30.0, 15.0, 0.0)
    piles.sheet(TEXT).save(tmp_path / "photo.jpg", "JPEG", exif=exif, comment=b"somebody", dpi=(300, 300), icc_profile=b"profile of this telephone")
    with (tmp_path / "photo.jpg").open("ab") as behind:
        behind.write(b"a film that hangs behind the picture")
    raw = (tmp_path / "photo.jpg").read_bytes()
    assert b"Huawei" in raw and Image.open(io.BytesIO(raw)).getexif().get_ifd(GPS), "the test itself must have something to lose"
    [kept] = [scans.kept(page) for page in scans.pages([tmp_path / "photo.jpg"])]
    for trace in (b"Huawei", b"Exif", b"2026:01", b"taken", b"somebody", b"profile", b"a film"):
        assert trace not in kept.content
    with Image.open(io.BytesIO(kept.content)) as again:
        assert not again.getexif()
        assert set(again.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_the_same_file_is_kept_as_the_same_bytes_in_colours_and_not_larger_than_needed(tmp_path: Path) -> None:
    piles.sheet(TEXT, ink=1).resize((3100, 4385)).save(tmp_path / "large.jpg", "JPEG", quality=60)
    first, second = ([scans.kept(page) for page in scans.pages([tmp_path / "large.jpg"])] for _time in range(2))
    assert first == second
    with Image.open(io.BytesIO(first[0].content)) as again:
        assert max(again.size) == scans.KEPT_SIDE
        assert again.mode == "RGB", "the print of a seal is red"


CANNOT = {
    "svg called jpg": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "no_picture"),
    "a web page": (b"<!doctype html><title>x</title>", "no_picture"),
    "a gif": (b"GIF89a" + bytes(40), "no_picture"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"),
    "nothing": (b"", "empty"),
    "half a jpeg": (b"\xff\xd8\xff\xe0" + bytes(60), "no_picture"),
    "pdf in name": (b"%PDF-1.7\nnothing more", "broken"),
    "200 megapixels": (png_head(20_000, 10_000), "too_many_pixels"),
    "85 megapixels": (png_head(8500, 10_000), "too_many_pixels"),
    "a gigapixel": (png_head(40_000, 40_000), "too_many_pixels"),
    "a png that ends early": (png_head(800, 600), "broken"),
    "a zip that is none": (b"PK\x03\x04" + bytes(40), "broken"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_is_no_picture_is_said_to_be_none_with_what_to_do(tmp_path: Path, case: str) -> None:
    content, fault = CANNOT[case]
    (tmp_path / "scan.jpg").write_bytes(content)
    assert faults(tmp_path / "scan.jpg") == [fault]
    assert scans.say(fault) != fault


@examples(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "PDF"]),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
)
def test_no_file_however_cut_and_bent_ends_the_reading_of_a_pile(tmp_path: Path, kind: str, cut: float, changes: list[tuple[float, int]]) -> None:
    drawn = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(drawn, kind)
    content = bytearray(drawn.getvalue())
    for place, value in changes:
        content[int(place * len(content))] = value
    (tmp_path / "scan.jpg").write_bytes(content[: int(cut * len(content)) or 1])
    for page in scans.pages([tmp_path / "scan.jpg"]):
        assert (page.picture is None) == bool(page.fault)


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    texts = [f"{TEXT}#{number}" for number in range(1, 5)]
    path = piles.pdf([piles.turned(piles.sheet(text), 180) for text in texts], tmp_path / "scan.pdf")
    assert [(page.number, sheet_codes.find(page.picture)) for page in scans.pages([path]) if page.picture] == [(n, [text]) for n, text in enumerate(texts, 1)]
    assert [page.name for page in scans.pages([path])] == ["scan.pdf", "scan.pdf #2", "scan.pdf #3", "scan.pdf #4"]


def test_a_locked_pdf_is_named_as_locked(tmp_path: Path) -> None:
    drawn = io.BytesIO()
    piles.blank().save(drawn, "PDF")
    locked = copy_into_new_writer(PdfFileReader(drawn, strict=False))
    locked.encrypt("office", "1234")
    with (tmp_path / "scan.pdf").open("wb") as stream:
        locked.write(stream)
    assert faults(tmp_path / "scan.pdf") == ["locked"]


def test_a_pdf_with_a_page_as_large_as_a_field_is_drawn_small(tmp_path: Path) -> None:
    document = pypdfium2.PdfDocument.new()
    document.new_page(14_400, 14_400).close()
    document.save(tmp_path / "field.pdf")
    document.close()
    _page, picture = only(tmp_path / "field.pdf")
    assert max(picture.size) <= scans.SIDE


def test_the_pages_of_a_tiff_are_pages_and_the_frames_of_a_telephones_picture_are_not(tmp_path: Path) -> None:
    frames = [piles.sheet(f"{TEXT}#{number}") for number in (1, 2, 3)]
    frames[0].save(tmp_path / "fax.tif", save_all=True, append_images=frames[1:], compression="tiff_lzw")
    frames[0].save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert [page.number for page in scans.pages([tmp_path / "fax.tif"])] == [1, 2, 3]
    assert [page.number for page in scans.pages([tmp_path / "photo.jpg"])] == [1]


def test_folders_and_zip_files_are_read_in_order_without_their_litter(tmp_path: Path) -> None:
    folder = tmp_path / "pile" / "逍林镇"
    folder.mkdir(parents=True)
    for name in ("2.jpg", "1.jpg", ".hidden.jpg", "Thumbs.db"):
        piles.jpeg(piles.sheet(TEXT), folder / name)
    with zipfile.ZipFile(tmp_path / "pile" / "微信.zip", "w") as packed:
        packed.write(folder / "1.jpg", "照片/1.jpg")
        packed.write(folder / "2.jpg", "__MACOSX/._1.jpg")
        packed.writestr("inner.zip", b"PK\x03\x04" + bytes(30))
        packed.writestr("note.txt", "nothing")
    read = [(page.file, page.fault) for page in scans.pages([tmp_path / "pile"])]
    assert read == [
        ("微信.zip/inner.zip", "nested"),
        ("微信.zip/note.txt", "no_picture"),
        ("微信.zip/照片/1.jpg", ""),
        ("逍林镇/1.jpg", ""),
        ("逍林镇/2.jpg", ""),
    ]


def test_names_in_a_zip_of_chinese_windows_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "qq.zip", "w") as packed:
        packed.writestr("ABCDEFGH.txt", "nothing")
    raw = (tmp_path / "qq.zip").read_bytes().replace(b"ABCDEFGH.txt", "扫描照片.txt".encode("gb18030"))
    (tmp_path / "qq.zip").write_bytes(raw)
    assert [page.file for page in scans.pages([tmp_path / "qq.zip"])] == ["qq.zip/扫描照片.txt"]


def test_a_zip_that_unpacks_to_more_than_a_scan_can_be_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed, packed.open("scan.jpg", "w") as stream:
        for _megabyte in range(66):
            stream.write(bytes(2**20))
    tracemalloc.start()
    assert faults(tmp_path / "bomb.zip") == ["too_long"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 160 * 2**20


def test_a_pile_that_is_not_there_is_said_before_anything_is_read(tmp_path: Path) -> None:
    path = piles.jpeg(piles.sheet(TEXT), tmp_path / "1.jpg")
    with pytest.raises(ScanMissing):
        next(scans.pages([path, tmp_path / "missing"]))


def test_one_page_is_in_memory_at_a_time(tmp_path: Path) -> None:
    path = piles.pdf([piles.sheet(TEXT)] * 3, tmp_path / "scan.pdf")
    seen = []
    for page in scans.pages([path]):
        for before in seen:
            with pytest.raises(ValueError, match="closed"):
                before.getpixel((0, 0))
        assert page.picture is not None
        seen.append(page.picture)
    assert len(seen) == 3


def test_only_the_address_of_a_sheet_is_one_and_it_may_say_for_which_enterprise() -> None:
    token = tokens.link_token("0" * 64, 317, 1, "paper")
    plain, named = sheet_codes.mark(f"http://old.host/p/{token}"), sheet_codes.mark(f"https://new.host/x/p/{token}#38006")
    assert plain is not None and named is not None
    assert (plain.claimed.recipient_id, plain.enterprise_id, named.enterprise_id) == (317, None, 38006)
    for other in (
        f"/p/{token}x",
        f"/p/{token[:-1]}",
        f"https://host/v/{token}",
        f"https://host/p/{token}?next=1",
        f"https://host/p/{token}#",
        "https://qr.alipay.com/1",
        "",
    ):
        assert sheet_codes.mark(other) is None
