"""Which column of a list is which: mappings from headings to fields, the office's own first, and the heading row they find.

A mapping is a TOML file `contacts/mappings/NAME.toml`:

    header = ["企业名称", "手机"]        # a row that holds all of these is the heading row; else the best match of the first 20 rows
    [columns]                           # field = headings, the preferred one first
    name = ["企业名称", "单位名称"]
    phone2 = ["手机2"]                  # the second contact of a row
    [values.above_scale]                # what the list says, brought to the words of the field
    yes = ["是", "规上"]
    [values.town]                       # a Chinese key of TOML stands in quotation marks
    "逍林镇" = ["逍林", "逍林办事处"]
    [defaults]                          # field = value, where the list says nothing
    town = "逍林镇"
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outreach import reasons
from outreach.errors import BadInput, NotFound
from outreach.reasons import Reason

ENTERPRISE_FIELDS = ("name", "credit_code", "town", "village", "department", "industry", "scale", "above_scale", "address")
CONTACT_FIELDS = ("contact", "role", "phone", "wechat", "rank", "note")
MOST_CONTACTS = 9
FIELDS = (*ENTERPRISE_FIELDS, *CONTACT_FIELDS, *(f"{field}{n}" for n in range(2, MOST_CONTACTS + 1) for field in CONTACT_FIELDS))
KEYS = ("header", "columns", "values", "defaults")
HEADER_ROWS = 20
OTHER_SUBJECTS = ("events",)
"""Mappings in the same folders that read other lists than contacts; they are never chosen for one."""

_DECORATION = re.compile(r"[\s*:\"'·_]+")
_REMARK = re.compile(r"[(\[【<][^)\]】>]*[)\]】>]")


class MappingBroken(BadInput):
    """The mapping {file}, line {line}, cannot be used: {why}."""


class KeyUnknown(Reason):
    """{key} is none of {known}"""


class NotATable(Reason):
    """[{key}] must be a table"""


class NoHeadings(Reason):
    """{key} must be a list of headings in quotation marks and [ ]"""


class MappingMissing(NotFound):
    """There is no mapping called {name}. There are: {known}. Your own belong into {folder}"""


class HeadingsUnknown(BadInput):
    """No row among the first of {file} has the headings of a contact list. Headings seen: {seen}. Expected at least one of these for the enterprise's name: {expected}. Rename the heading, or write a mapping of your own into {folder}"""  # noqa: E501


@dataclass(frozen=True)
class ColumnMapping:
    """How one kind of list is read; headings and words are held as `heading` normalises them."""

    name: str
    header: frozenset[str]
    columns: Mapping[str, tuple[str, ...]]
    values: Mapping[str, Mapping[str, str]]
    defaults: Mapping[str, str]


@dataclass(frozen=True)
class Layout:
    """A mapping that found its heading row: where each field stands in the rows that follow."""

    mapping: ColumnMapping
    line: int
    places: Mapping[str, int]
    headings: Sequence[str]


def heading(value: str) -> str:
    """Return a heading for comparison: NFKC, no blanks, no case, without marks such as the * of a required column."""
    return _DECORATION.sub("", unicodedata.normalize("NFKC", value)).casefold()


def read_all(folders: Iterable[Path]) -> dict[str, ColumnMapping]:
    """Read every mapping for contact lists; where two folders hold one of the same name, the first folder's counts."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return {name: read(path) for name, path in found.items() if name not in OTHER_SUBJECTS}


def read(path: Path, *, fields: Sequence[str] = FIELDS) -> ColumnMapping:
    """Read one mapping file. Raises MappingBroken with the line to mend."""
    try:
        source = path.read_text("utf-8-sig")
        document = tomllib.loads(source)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        why = reasons.of_file(error)
        place = why.data if isinstance(why, reasons.AtPlace) else {"line": 1, "why": why}
        raise MappingBroken(file=path, **place) from error
    _refuse_unknown(path, source, document, KEYS, "")
    for table in ("columns", "defaults", "values"):
        _refuse_unknown(path, source, _table(path, source, document, table), fields, table)
    return ColumnMapping(
        name=path.stem,
        header=frozenset(heading(word) for word in _words(path, source, "header", document.get("header", []))),
        columns={field: _headings(path, source, field, words) for field, words in document.get("columns", {}).items()},
        values={field: _translations(path, source, field, table) for field, table in document.get("values", {}).items()},
        defaults={field: _default(value) for field, value in document.get("defaults", {}).items()},
    )


def choose(rows: Sequence[tuple[int, list[str]]], *, folders: Sequence[Path], name: str | None, file: Path) -> Layout:
    """Find the heading row among `rows`, by the mapping called `name`, else by the one that fits best.

    A row that holds the whole `header` of its mapping comes before any other; then the most columns found count, then the order of
    the folders. Raises MappingMissing, HeadingsUnknown and MappingBroken.
    """
    mappings = read_all(folders)
    if name is not None:
        if name not in mappings:
            raise MappingMissing(name=name, known=", ".join(mappings), folder=folders[0])
        mappings = {name: mappings[name]}
    layouts = [Layout(mapping, line, match(mapping, cells), cells) for mapping in mappings.values() for line, cells in rows]
    fitting = [layout for layout in layouts if "name" in layout.places]
    if not fitting:
        expected = dict.fromkeys(word for mapping in mappings.values() for word in mapping.columns.get("name", ()))
        raise HeadingsUnknown(file=file, seen=_seen(rows), expected="、".join(list(expected)[:12]), folder=folders[0])
    return max(fitting, key=lambda layout: (_holds_header(layout), len(layout.places)))


def match(mapping: ColumnMapping, cells: Sequence[str]) -> dict[str, int]:
    """Return where each field stands in a row of headings: as written first, then without remarks in brackets."""
    places: dict[str, int] = {}
    exact = [heading(cell) for cell in cells]
    for headings in (exact, [_REMARK.sub("", cell) for cell in exact]):
        for field, words in mapping.columns.items():
            taken = set(places.values())
            place = next((headings.index(word) for word in words if word in headings and headings.index(word) not in taken), None)
            if place is not None:
                places.setdefault(field, place)
    return places


def _holds_header(layout: Layout) -> bool:
    return bool(layout.mapping.header) and layout.mapping.header <= {heading(cell) for cell in layout.headings}


def _seen(rows: Sequence[tuple[int, list[str]]]) -> str:
    """Return the cells of the fullest row: most likely the one that was meant as headings."""
    fullest = max((cells for _line, cells in rows), key=lambda cells: sum(map(bool, cells)), default=[])
    words = [" ".join(cell.split())[:20] for cell in fullest if cell.strip()]
    return "、".join(words[:20])


def _refuse_unknown(path: Path, source: str, table: Mapping[str, Any], known: Sequence[str], section: str) -> None:
    for key in table:
        if key not in known:
            raise MappingBroken(file=path, line=_line(source, key, section), why=KeyUnknown(key=key, known=", ".join(known[:15])))


def _table(path: Path, source: str, document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise MappingBroken(file=path, line=_line(source, key, ""), why=NotATable(key=key))
    return table


def _headings(path: Path, source: str, field: str, words: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(heading(word) for word in _words(path, source, field, words)))


def _words(path: Path, source: str, key: str, words: Any) -> list[str]:
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return words
    raise MappingBroken(file=path, line=_line(source, key, ""), why=NoHeadings(key=key))


def _translations(path: Path, source: str, field: str, table: Any) -> dict[str, str]:
    if not isinstance(table, dict):
        raise MappingBroken(file=path, line=_line(source, field, "values"), why=NotATable(key=f"values.{field}"))
    pairs = {heading(word): meaning for meaning, words in table.items() for word in _words(path, source, meaning, words)}
    if field == "above_scale" and (wrong := next((meaning for meaning in table if meaning not in ("yes", "no")), None)):
        raise MappingBroken(file=path, line=_line(source, wrong, "values"), why="above_scale knows only yes and no")
    return {**{heading(meaning): meaning for meaning in table}, **pairs}


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _line(source: str, key: str, section: str) -> int:
    """Return the line on which a key or table stands: the parser does not tell."""
    lines = source.splitlines()
    start = next((n for n, line in enumerate(lines) if section and line.strip().startswith(f"[{section}")), 0)
    named = re.compile(rf'\s*(\[?[\w.]*\.)?\[?"?{re.escape(key)}"?\s*[=\].]')
    return next((n + 1 for n, line in enumerate(lines) if n >= start and named.match(line)), start + 1)
