"""Clean what people typed into a list: names, phones, credit codes. Pure, and cleaning twice changes nothing.

A value that cannot be what its column says raises Unclean with one of the reasons that the list of refused rows explains.
"""

import re
import unicodedata
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType

REGION = "CN"
MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
TEXTABLE_ABROAD = (*MOBILE, PhoneNumberType.PERSONAL_NUMBER)
"""Outside China a number plan may not tell mobiles apart, and personal numbers can be texted."""

NOTHING = frozenset({"无", "暂无", "没有", "不详", "未知", "空", "/", "\\", "-", "--", "—", "——", ".", "*", "n/a", "na", "null", "none", "nan", "#n/a"})
"""What people write where they know nothing."""
LONGEST_NOTHING = max(map(len, NOTHING))

TRUTH = {"yes": True, "是": True, "no": False, "否": False}

_HAN = "\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BETWEEN_HAN = re.compile(f"(?<=[{_HAN}]) (?=[{_HAN}])")
_QUOTED_FORMULA = re.compile(r'="([^"]*)"')
_PLAIN_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_SCIENTIFIC = re.compile(r"\+?[0-9](\.[0-9]+)?E\+?[0-9]{1,2}", re.IGNORECASE)
_DIALLABLE = re.compile(r"\(?\+?[0-9 ()./-]+")
_CODE_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CODE_SHAPE = re.compile(f"[1-9ANY][{_CODE_CHARACTERS}][0-9]{{6}}[{_CODE_CHARACTERS}]{{10}}")
_CODE_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_CODE_WEIGHED = [{character: value * weight for value, character in enumerate(_CODE_CHARACTERS)} for weight in _CODE_WEIGHTS]


class Unclean(ValueError):
    """A value that is refused; `reason` is the id under which it is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def text(value: str) -> str:
    """Return a value as it is kept: full-width letters narrowed (NFKC), no control, format or bidi characters, single blanks inside.

    Rare characters of names, also those of private use, are kept. A right-to-left override (U+202E) in a name turned the rest of a
    printed line around, so none of them gets in.
    """
    if value.isascii() and value.isprintable():
        return value if value.isalnum() else " ".join(value.split())
    if not value.isprintable():
        value = "".join(_printable(character) for character in value)
    return " ".join(unicodedata.normalize("NFKC", value).split())


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Zs", "Zl", "Zp") or character in "\t\n\r\v\f":
        return " "
    return "" if category in ("Cc", "Cf", "Cs") else character


def name(value: str) -> str:
    """Return a name: as `known`, and without the blanks that spread Chinese names over a column (张　三 is 张三)."""
    plain = known(value)
    return _BETWEEN_HAN.sub("", plain) if " " in plain else plain


def known(value: str) -> str:
    """Return a cell as text without spreadsheet quoting (`'138…`, `="138…"`), and nothing where it says 无, / or N/A."""
    if value.isalnum() and unicodedata.is_normalized("NFKC", value):
        return value if len(value) > LONGEST_NOTHING or value.lower() not in NOTHING else ""
    plain = text(value)
    while (inner := _unwrapped(plain)) != plain:
        plain = inner
    return "" if plain.lower() in NOTHING else plain


def _unwrapped(plain: str) -> str:
    if plain[:1] == "'":
        return plain[1:].lstrip()
    if plain[:2] == '="' and (quoted := _QUOTED_FORMULA.fullmatch(plain)):
        return quoted[1].strip()
    return plain


def phone(value: str) -> str:
    """Return a mobile in E.164, region CN unless it begins with + or 00; nothing for an empty cell.

    Raises Unclean("phone_scientific") for what Excel rounded to 1.38E+10, Unclean("phone") for landlines and all else.
    """
    if _PLAIN_MOBILE.fullmatch(value) and _is_mobile_prefix(value[:5]):
        return "+86" + value
    return _phone(value)


@lru_cache(maxsize=8192)
def _is_mobile_prefix(prefix: str) -> bool:
    """Whether a Chinese number of eleven digits that begins so is a mobile: the numbering plan tells them apart by five digits."""
    number = phonenumbers.PhoneNumber(country_code=86, national_number=int(prefix + "000000"))
    return phonenumbers.number_type(number) in MOBILE


@lru_cache(maxsize=8192)
def _phone(value: str) -> str:
    plain = known(value).translate(_DASHES)
    if not plain:
        return ""
    if _SCIENTIFIC.fullmatch(plain.replace(" ", "")):
        raise Unclean("phone_scientific")
    plain = re.sub(r"(?<=[0-9]{7})\.0+$", "", plain)
    if not _DIALLABLE.fullmatch(plain):
        raise Unclean("phone")
    try:
        number = phonenumbers.parse(plain, REGION)
    except phonenumbers.NumberParseException as error:
        raise Unclean("phone") from error
    allowed = MOBILE if number.country_code == 86 else TEXTABLE_ABROAD
    if phonenumbers.number_type(number) not in allowed:
        raise Unclean("phone")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


_DASHES = {ord(dash): "-" for dash in "‐‑‒–—―−－﹣⁃ー"}


def credit_code(value: str) -> str:
    """Return a unified social credit code, upper-case and whole; nothing for an empty cell. Raises Unclean("credit_code").

    GB 32100-2015: 18 characters without I O S V Z, the last one a check character modulo 31. The registering authority may be a letter
    (A armed forces, N agriculture: 股份经济合作社 begin N2, Y others), which python-stdnum 2.2 refuses.
    """
    code = value
    if not _CODE_SHAPE.fullmatch(code):
        code = known(value).upper().translate(_DASHES).replace(" ", "").replace("-", "")
        if not code:
            return ""
    if not _CODE_SHAPE.fullmatch(code) or code[17] != check_character(code):
        raise Unclean("credit_code")
    return code


def check_character(code: str) -> str:
    """Return the check character that belongs to the first 17 characters of a credit code."""
    return _CODE_CHARACTERS[-(_beginning(code[:10]) + sum(map(dict.__getitem__, _CODE_WEIGHED[10:], code[10:]))) % 31]


@lru_cache(maxsize=8192)
def _beginning(characters: str) -> int:
    """Return the weighed sum of the first ten characters: authority, kind and district, which few lists have many of."""
    return sum(map(dict.__getitem__, _CODE_WEIGHED, characters))


def yes_no(value: str) -> bool | None:
    """Return the truth of yes, no, 是 or 否; nothing for nothing. A mapping brings other words to these. Else Unclean("value")."""
    if not value:
        return None
    try:
        return TRUTH[value]
    except KeyError as error:
        raise Unclean("value") from error


def whole_number(value: str) -> int | None:
    """Return a rank: a whole number from 0, nothing for an empty cell. Raises Unclean("value")."""
    plain = known(value)
    if not plain:
        return None
    if not re.fullmatch(r"[0-9]{1,4}", plain):
        raise Unclean("value")
    return int(plain)
