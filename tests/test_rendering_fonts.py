"""The type of papers: the office's own fonts first, and a character that no font has is named before anything is set."""

import shutil
from pathlib import Path

import pylopdf_fonts_zh_cn
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import ImageFont

from outreach.rendering import fonts
from outreach.rendering.fonts import FontUnreadable, GlyphMissing

SERIF, SANS = pylopdf_fonts_zh_cn.serif_path(), pylopdf_fonts_zh_cn.sans_path()


def test_the_fonts_that_come_with_the_set_up_have_every_character_of_gb2312() -> None:
    gb2312 = [bytes([row, cell]).decode("gb2312") for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF) if (row, cell) < (0xD7, 0xFA) or row > 0xD7]
    assert len(gb2312) == 6763
    assert fonts.missing("".join(gb2312) + "㴪喆龑，。“”《》（）·0aA", fonts.shelf(Path("nowhere"))) == []


def test_rare_characters_of_names_are_had_and_drawn_as_themselves() -> None:
    shelf = fonts.shelf(Path("nowhere"))
    assert fonts.missing("𠮷㴪喆龑𰻝㛃䶮𫖯𬱟𫍽𥔲", shelf) == []
    assert shelf.characters == frozenset().union(*map(fonts.coverage, fonts.OURS))
    assert all(families[-1] == fonts.RARE for families in shelf.families.values()), "only where no other font has the character"
    assert not fonts.coverage(fonts.OURS[-1]) & fonts.coverage(SERIF)
    assert "SIL OPEN FONT LICENSE" in (fonts.OURS[-1].parent / "OFL.txt").read_text("utf-8")


def test_a_character_that_no_font_has_is_named_with_the_enterprise_and_the_place_for_a_font() -> None:
    shelf = fonts.shelf(Path("nowhere"))
    assert fonts.missing("吉𪛖\ue000\u3000 \n\u200b吉𪛖", shelf) == ["𪛖", "\ue000"]
    with pytest.raises(GlyphMissing, match=r"𪛖野食品厂 holds 𪛖 \(U\+2A6D6\).*nowhere/fonts"):
        fonts.require(["𪛖野食品厂"], shelf, name="𪛖野食品厂")


@examples(max_examples=100, deadline=None)
@given(st.characters(min_codepoint=0x21, exclude_categories=["Cs", "Cc", "Cf", "Zs", "Zl", "Zp", "Mn"]))
def test_a_font_has_a_character_if_it_draws_another_picture_than_its_box(character: str) -> None:
    drawn = _font().getmask(character).getbbox(), bytes(_font().getmask(character))
    if ord(character) in fonts.coverage(SERIF):
        assert drawn != BOX or character in "□☐"
    else:
        assert drawn == BOX


def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(SERIF, 24, layout_engine=ImageFont.Layout.BASIC)


BOX = _font().getmask("\U0010fffd").getbbox(), bytes(_font().getmask("\U0010fffd"))


def test_the_offices_own_fonts_go_first_and_one_that_is_added_later_is_seen(tmp_path: Path) -> None:
    before = fonts.shelf(tmp_path)
    assert before.families["body"][0] == "Noto Serif SC"
    (tmp_path / "fonts").mkdir()
    shutil.copy(_renamed(SANS, tmp_path, b"Noto Sans SC", b"FangSong2312"), tmp_path / "fonts" / "own.otf")
    after = fonts.shelf(tmp_path)
    assert after.families["body"][0] == "FangSong2312"
    assert after.families["title"][:2] == ["Noto Serif SC", "Noto Sans SC"]


def _renamed(font: Path, folder: Path, old: bytes, new: bytes) -> Path:
    """Give a copy of a font another family name of the same length."""
    content = font.read_bytes()
    for encoding in ("ascii", "utf-16-be"):
        content = content.replace(old.decode().encode(encoding), new.decode().encode(encoding))
    (folder / "renamed.otf").write_bytes(content)
    return folder / "renamed.otf"


@pytest.mark.parametrize("content", [b"", b"no font", SERIF.read_bytes()[:1000], b"\x00\x01\x00\x00\xff\xff" + bytes(50)])
def test_a_file_that_is_no_font_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "仿宋.ttf").write_bytes(content)
    with pytest.raises(FontUnreadable, match=r"仿宋\.ttf"):
        fonts.shelf(tmp_path)
