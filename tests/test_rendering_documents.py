"""Papers set with Typst: data stays data, the layout sees nothing beyond its folder, and the same input gives the same bytes."""

import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from papers import codes, words

from outreach.rendering import documents, ink, qr
from outreach.rendering.documents import LayoutBroken, LayoutMissing
from outreach.rendering.fonts import GlyphMissing
from outreach.settings import Settings

PLAIN = '#let data = json(bytes(sys.inputs.data))\n#set text(font: data.fonts.body)\n#set document(title: "试")\n'


def settings(home: Path) -> Settings:
    return Settings(home=home)


def layout(home: Path, text: str, name: str = "letter/try") -> None:
    path = home / "templates" / f"{name}.typ"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PLAIN + text, "utf-8")


def test_the_same_data_and_moment_give_the_same_bytes_and_another_moment_does_not(tmp_path: Path, now: datetime) -> None:
    layout(tmp_path, "#data.name")
    first = documents.pdf("letter/try", {"name": "甲"}, settings=settings(tmp_path), now=now)
    assert first == documents.pdf("letter/try", {"name": "甲"}, settings=settings(tmp_path), now=now)
    assert first != documents.pdf("letter/try", {"name": "甲"}, settings=settings(tmp_path), now=now.replace(year=2027))
    assert b"pdfaid:part>2<" in first and b"pdfaid:conformance>B<" in first


@pytest.mark.parametrize("name", ['#panic("x")', '#read("/etc/passwd")', "【】[]*_$", "**x**", "<script>", "{{7*7}}", "//x", "\\u{41}", "@x <y>"])
def test_a_hostile_name_prints_as_itself(tmp_path: Path, now: datetime, name: str) -> None:
    layout(tmp_path, "#data.name")
    assert words(documents.pdf("letter/try", {"name": name}, settings=settings(tmp_path), now=now)).strip() == name


def test_the_offices_own_layout_goes_first_and_a_changed_one_is_seen(tmp_path: Path, now: datetime) -> None:
    assert (documents.LayoutMissing, True) == (LayoutMissing, bool(settings(tmp_path).template_folders[1].is_dir()))
    for text in ("本局版式", "改过的版式"):
        layout(tmp_path, text, "pledge/signed")
        assert words(documents.pdf("pledge/signed", {}, settings=settings(tmp_path), now=now)).strip() == text


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("#data.nothing", LayoutBroken, "nothing"),
        ('#read("/../../outreach.toml")', LayoutBroken, "outside|not found|access"),
        ('#import "@preview/cades:0.3.0": *', LayoutBroken, "package"),
        ("#data.name", GlyphMissing, "𪛖"),
    ],
)
def test_a_layout_that_cannot_be_set_is_named_with_the_reason(tmp_path: Path, now: datetime, text: str, error: Any, said: str) -> None:
    (tmp_path / "outreach.toml").write_text("")
    layout(tmp_path, text)
    with pytest.raises(error, match=said):
        documents.pdf("letter/try", {"name": "𪛖"}, settings=settings(tmp_path), now=now)
    with pytest.raises(LayoutMissing, match=r"templates/letter/no\.typ"):
        documents.pdf("letter/no", {}, settings=settings(tmp_path), now=now)


@pytest.mark.parametrize("length", [1, 20, 54, 120])
def test_a_qr_code_is_read_off_the_page_and_is_always_the_same_picture(tmp_path: Path, now: datetime, length: int) -> None:
    address = ("http://127.0.0.1:8000/p/" + "aB3_-" * 30)[:length]
    layout(tmp_path, '#image(bytes(data.qr), format: "svg", width: 30mm, alt: "码")')
    assert codes(documents.pdf("letter/try", {"qr": qr.svg(address)}, settings=settings(tmp_path), now=now)) == [address]
    assert qr.svg(address) == qr.svg(address)


def test_papers_put_together_have_all_pages_and_hold_neither_the_time_of_day_nor_chance(tmp_path: Path, now: datetime) -> None:
    layout(tmp_path, "#data.name")
    parts = [documents.pdf("letter/try", {"name": name}, settings=settings(tmp_path), now=now) for name in ("甲厂", "乙厂", "丙厂")]
    first = documents.joined(parts, now=now)
    time.sleep(1.1)  # what PDFium would write of its own clock changes with the second
    assert first == documents.joined(parts, now=now)
    assert (documents.pages(first), words(first).replace(" ", "")) == (3, "甲厂乙厂丙厂")


def test_a_drawn_signature_is_a_curve_within_what_was_drawn(tmp_path: Path, now: datetime) -> None:
    strokes = [[[100, 100, 0], [200, 300, 10], [300, 100, 20], [5000, -7, 30]], [[50, 60, 40]], []]
    picture = ink.svg(strokes)
    assert 'viewBox="30 -20 990 340"' in picture
    assert picture.count("M") == 2 and "Q200 300 250 200" in picture and "L1000 0" in picture
    layout(tmp_path, '#image(bytes(data.ink), format: "svg", width: 60mm, alt: "签名")')
    content = documents.pdf("letter/try", {"ink": picture}, settings=settings(tmp_path), now=now)
    with closing(pypdfium2.PdfDocument(content)) as document:
        kinds = {item.type for item in document[0].get_objects()}
    assert kinds == {pypdfium2.raw.FPDF_PAGEOBJ_FORM} or pypdfium2.raw.FPDF_PAGEOBJ_PATH in kinds
    assert b"/Subtype/Image" not in content.replace(b" ", b""), "a curve, not a picture of one"
    assert ink.svg([]) != ""
