"""Why a value or a file of TOML cannot be used, in words of ours: what pydantic and tomllib find, said so that it can be translated."""

import re
from collections.abc import Mapping
from typing import Any

from outreach.errors import OutreachError


class Reason(OutreachError, ValueError):
    """it cannot be understood ({detail})"""


class Missing(Reason):
    """it is missing"""


class NoWholeNumber(Reason):
    """it must be a whole number"""


class NoNumber(Reason):
    """it must be a number"""


class NoTruth(Reason):
    """it must be true or false"""


class NoText(Reason):
    """it must be text in quotation marks"""


class NoTable(Reason):
    """it must be a table"""


class NoList(Reason):
    """it must be a list"""


class NoneOf(Reason):
    """it must be one of {expected}"""


class TooSmall(Reason):
    """it must be at least {ge}"""


class TooLarge(Reason):
    """it must be at most {le}"""


class TooShort(Reason):
    """it must have at least {min_length} characters"""


class TooLong(Reason):
    """it may have at most {max_length} characters"""


class TooFew(Reason):
    """it must have at least {min_length} entries"""


class TooMany(Reason):
    """it may have at most {max_length} entries"""


class NoHours(Reason):
    """it must be hours such as 08:00-20:00"""


class AtPlace(Reason):
    """line {line}, column {column}: {why}"""


class AtEnd(Reason):
    """at the end of the file: {why}"""


class NotUtf8(Reason):
    """byte {byte} is not UTF-8; save the file as UTF-8"""


class NoEquals(Reason):
    """a key must be followed by ="""


class NoValue(Reason):
    """this is no value; text stands in quotation marks"""


class NoKey(Reason):
    """no key can begin here; one of Chinese characters stands in quotation marks"""


class NoLineEnd(Reason):
    """the line should end here"""


class NotClosed(Reason):
    """a closing quotation mark is missing"""


class NoBracket(Reason):
    """a closing bracket is missing"""


class Twice(Reason):
    """this is there already"""


class Backslash(Reason):
    """a backslash in quotation marks must be written twice"""


class OddCharacter(Reason):
    """this character may not stand here"""


class NoSuchDate(Reason):
    """there is no such date"""


OF_VALUES: Mapping[str, type[Reason]] = {
    "missing": Missing,
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float", "int_parsing_size"), NoWholeNumber),
    **dict.fromkeys(("float_parsing", "float_type", "decimal_parsing", "decimal_type", "finite_number"), NoNumber),
    **dict.fromkeys(("bool_parsing", "bool_type"), NoTruth),
    **dict.fromkeys(("string_type", "path_type"), NoText),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), NoTable),
    **dict.fromkeys(("tuple_type", "list_type"), NoList),
    "literal_error": NoneOf,
    "greater_than_equal": TooSmall,
    "less_than_equal": TooLarge,
    "string_too_short": TooShort,
    "string_too_long": TooLong,
    "too_short": TooFew,
    "too_long": TooMany,
    "string_pattern_mismatch": NoHours,
}
"""By pydantic's types of errors (docs.pydantic.dev, "Validation Errors"); the only pattern that our files have is that of hours."""

OF_TOML: tuple[tuple[str, type[Reason]], ...] = (
    ("Expected '=' after a key", NoEquals),
    ("Invalid value", NoValue),
    ("Invalid statement|Invalid initial character", NoKey),
    ("Expected newline", NoLineEnd),
    (r"Unterminated string|(Illegal|Found invalid) character '\\[nr]|Expected [\"']+$", NotClosed),
    ("Expected '?]|Unclosed", NoBracket),
    ("Cannot |Duplicate", Twice),
    ("Unescaped|Invalid hex|Escaped character", Backslash),
    ("Illegal character|Found invalid character", OddCharacter),
    ("Invalid date", NoSuchDate),
)
"""By the beginnings of tomllib's messages, which have no types."""


def of_value(found: Mapping[str, Any]) -> Reason:
    """Say one of pydantic's `errors()` in our words; what a rule of ours raised says itself."""
    context = found.get("ctx", {})
    raised = context.get("error")
    if isinstance(raised, Reason):
        return raised
    if found["type"] in OF_VALUES:
        words = {key: re.sub(r"'([^']*)'", r"\1", value).replace(" or ", ", ") if key == "expected" else value for key, value in context.items()}
        return OF_VALUES[found["type"]](**words)
    return Reason(detail=found["msg"].removeprefix("Value error, "))


def of_file(error: ValueError | OSError) -> Reason | str:
    """Say why a file could not be read as TOML; for what the system says, in its words, which the catalogue knows."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, UnicodeDecodeError):
        return NotUtf8(byte=error.start + 1)
    text = " ".join(str(error).split())
    message = text.partition(" (at ")[0] if text.endswith(")") else text
    why = next((reason() for beginning, reason in OF_TOML if re.match(beginning, message)), Reason(detail=message))
    place = re.search(r"\(at line (\d+), column (\d+)\)$", text)
    if place is None:
        return AtEnd(why=why) if text.endswith("(at end of document)") else why
    return AtPlace(line=place[1], column=place[2], why=why)
