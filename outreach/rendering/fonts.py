"""The type that papers are set in: the office's own fonts first, then those that come with the set-up.

An office that has licences for 仿宋_GB2312, 方正小标宋 or 黑体 lays the files into `fonts/` in its home. The fonts of the machine are
never looked at: the same input gives the same bytes everywhere. Which characters a font has is read from its `cmap` table
(OpenType specification, "cmap — Character to Glyph Index Mapping Table"), so that a missing one is found before anything is set.
"""

import struct
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pylopdf_fonts_zh_cn
import typst

from outreach.errors import BadInput, Misconfigured

SERIF, SANS, RARE = "Noto Serif SC", "Noto Sans SC", "Rare Han Serif"
OURS = (pylopdf_fonts_zh_cn.serif_path(), pylopdf_fonts_zh_cn.sans_path(), Path(__file__).parent / "type" / "rare-han.otf")
"""The files of these three; the last has 𠮷 and its like, which the first two lack (see type/README.md)."""
OFFICIAL = {
    "body": ("FangSong_GB2312", "仿宋_GB2312", "FangSong", "仿宋", "STFangsong", "FZFangSong-Z02S", "方正仿宋_GBK", "方正仿宋简体"),
    "title": ("FZXiaoBiaoSong-B05S", "FZXiaoBiaoSong-B05", "方正小标宋简体", "方正小标宋_GBK"),
    "strong": ("SimHei", "黑体", "FZHei-B01S", "方正黑体_GBK", "方正黑体简体"),
}
"""What a government office sets its papers in (GB/T 9704—2012), as the font files call themselves."""
ENDINGS = (".ttf", ".otf", ".ttc", ".otc")


class GlyphMissing(BadInput):
    """{name} holds {characters}, which no font here has; lay a font that has it into {folder}."""


class FontUnreadable(Misconfigured):
    """The font {file} cannot be read; take it out of the folder, or save it anew as TTF or OTF."""


@dataclass(frozen=True, eq=False)
class Shelf:
    """The fonts of an office: where they lie, the families for each part of a paper, and every character that they have."""

    folder: Path
    typst: typst.Fonts
    families: dict[str, list[str]]
    characters: frozenset[int]


def shelf(home: Path) -> Shelf:
    """Return the fonts of the office whose folder is `home`, read again when a file of its `fonts/` changes. Raises FontUnreadable."""
    folder = home / "fonts"
    own = sorted(path for path in folder.glob("*") if path.suffix.lower() in ENDINGS) if folder.is_dir() else []
    return _shelf(folder, tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in own))


def missing(text: str, on: Shelf) -> list[str]:
    """Return the characters of a text that no font has, each once, as they come; blanks need no font."""
    return [character for character in dict.fromkeys(text) if ord(character) not in on.characters and not _blank(character)]


def require(texts: Iterable[str], on: Shelf, *, name: str) -> None:
    """Refuse texts that cannot be set whole, for the enterprise called `name`. Raises GlyphMissing."""
    absent = missing("".join(texts), on)
    if absent:
        raise GlyphMissing(name=name, characters=named(absent), folder=on.folder)


def named(characters: Iterable[str]) -> str:
    """Name characters that may look like nothing on a screen: each with its number in Unicode."""
    return " ".join(f"{character} (U+{ord(character):04X})" for character in characters)


def _blank(character: str) -> bool:
    return unicodedata.category(character) in ("Zs", "Cc", "Cf", "Zl", "Zp")


@lru_cache(maxsize=4)
def _shelf(folder: Path, own: tuple[tuple[Path, int, int], ...]) -> Shelf:
    files = (*(path for path, _changed, _size in own), *OURS)
    folders = [*([folder] if own else []), *dict.fromkeys(path.parent for path in OURS)]
    loaded = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)
    families = {font.path: font.family for font in loaded.fonts()}
    for path in files:
        if str(path) not in families:
            raise FontUnreadable(file=path)
    characters = frozenset[int]().union(*(coverage(path) for path in files))
    return Shelf(folder, loaded, _families(list(families.values())), characters)


def _families(present: Sequence[str]) -> dict[str, list[str]]:
    """Order the families for each part of a paper: what is official for it, the office's others for the body, then ours; what is rare last."""
    known = {family for families in OFFICIAL.values() for family in families} | {SERIF, SANS, RARE}
    others = [family for family in dict.fromkeys(present) if family not in known]
    preferred = {part: [family for family in families if family in present] for part, families in OFFICIAL.items()}
    order = {
        "body": [*preferred["body"], *others, SERIF, SANS],
        "title": [*preferred["title"], SERIF, SANS, *others],
        "strong": [*preferred["strong"], SANS, SERIF, *others],
    }
    return {part: list(dict.fromkeys([*families, *preferred["body"], *preferred["title"], *preferred["strong"], RARE])) for part, families in order.items()}


def coverage(path: Path) -> frozenset[int]:
    """Return the code points that a font file (or any font of a collection) has a glyph for. Raises FontUnreadable."""
    try:
        content = path.read_bytes()
        starts = struct.unpack_from(f">{struct.unpack_from('>I', content, 8)[0]}I", content, 12) if content[:4] == b"ttcf" else (0,)
        return frozenset(point for start in starts for point in _points(content, start))
    except (OSError, struct.error, StopIteration) as error:
        raise FontUnreadable(file=path) from error


def _points(content: bytes, start: int) -> Iterator[int]:
    """Yield the code points of one font: from its table for all of Unicode (format 12), else from that of the first plane (4)."""
    tables = range(start + 12, start + 12 + 16 * struct.unpack_from(">H", content, start + 4)[0], 16)
    cmap = next(struct.unpack_from(">I", content, place + 8)[0] for place in tables if content[place : place + 4] == b"cmap")
    records = range(cmap + 4, cmap + 4 + 8 * struct.unpack_from(">H", content, cmap + 2)[0], 8)
    subtables = [cmap + struct.unpack_from(">I", content, place + 4)[0] for place in records]
    formats = {struct.unpack_from(">H", content, place)[0]: place for place in subtables}
    if 12 in formats:
        yield from _all_planes(content, formats[12])
    elif 4 in formats:
        yield from _first_plane(content, formats[4])


def _all_planes(content: bytes, place: int) -> Iterator[int]:
    for group in range(struct.unpack_from(">I", content, place + 12)[0]):
        first, last, glyph = struct.unpack_from(">III", content, place + 16 + 12 * group)
        yield from range(first if glyph else first + 1, min(last, 0x10FFFF) + 1)


def _first_plane(content: bytes, place: int) -> Iterator[int]:
    count = struct.unpack_from(">H", content, place + 6)[0] // 2
    lasts = struct.unpack_from(f">{count}H", content, place + 14)
    firsts = struct.unpack_from(f">{count}H", content, place + 16 + 2 * count)
    for first, last in zip(firsts, lasts, strict=True):
        yield from range(first, min(last, 0xFFFE) + 1)
