"""What is filled into a paper: a file of TOML or JSON with a field a line, and pairs such as 建设单位=某某公司."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from outreach import reasons
from outreach.errors import BadInput, UsageError
from outreach.rendering.characters import visible
from outreach.rendering.paper_texts import Paper

LARGEST = 1_000_000
"""Bytes of a file of values."""


class PairWrong(UsageError):
    """{pair} is no field and value; write it as --set FIELD=VALUE."""


class ValuesUnreadable(BadInput):
    """The file {file} cannot be read: {why}"""


class ValuesOfNoKind(BadInput):
    """The file {file} should be TOML or JSON, and its name end in .toml or .json."""


class ValuesNoTable(BadInput):
    """The file {file} should say FIELD = "value", a field a line."""


class ValueOfNoKind(BadInput):
    """The file {file}: the field {field} should be a text, a number, a date or a list of these."""


def read(path: Path) -> dict[str, list[str]]:
    """Return the lines of every field in a file. Raises ValuesUnreadable, ValuesOfNoKind, ValuesNoTable and ValueOfNoKind."""
    if path.suffix.lower() not in (".toml", ".json"):
        raise ValuesOfNoKind(file=path)
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST).decode("utf-8-sig")
        found = tomllib.loads(text, parse_float=str) if path.suffix.lower() == ".toml" else json.loads(text, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise ValuesUnreadable(file=path, why=reasons.AtPlace(line=error.lineno, column=error.colno, why=reasons.OddCharacter())) from error
    except (OSError, ValueError) as error:
        raise ValuesUnreadable(file=path, why=reasons.of_file(error)) from error
    except RecursionError as error:
        raise ValuesNoTable(file=path) from error
    if not isinstance(found, dict):
        raise ValuesNoTable(file=path)
    return {field: [_line(one, file=path, field=field) for one in (value if isinstance(value, list) else [value])] for field, value in found.items()}


def pairs(given: Iterable[str]) -> dict[str, list[str]]:
    """Return the lines of every field that pairs name; a field that is named again has a further line. Raises PairWrong."""
    found: dict[str, list[str]] = {}
    for pair in given:
        field, sign, value = pair.partition("=")
        if not sign or not field.strip():
            raise PairWrong(pair=visible(pair)[:80])
        found.setdefault(field.strip(), []).append(value)
    return found


def over(paper: Paper, first: Mapping[str, list[str]], rest: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return values of which `first` go before `rest`, whichever name of a field each uses."""
    names = paper.names()
    taken = {names.get(word, word) for word in first}
    return {**{word: lines for word, lines in rest.items() if names.get(word, word) not in taken}, **first}


def _line(value: Any, *, file: Path, field: str) -> str:
    if isinstance(value, datetime):
        return f"{_day(value)} {value:%H:%M}"
    if isinstance(value, date):
        return _day(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueOfNoKind(file=file, field=visible(field)[:80])
    return str(value)


def _day(value: date) -> str:
    return f"{value.year}年{value.month}月{value.day}日"
