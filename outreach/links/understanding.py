"""What somebody means who writes to the office's account: his code, his digits, both, or words for a person to read."""

import re
from dataclasses import dataclass
from typing import Literal

from outreach import tokens
from outreach.links.resolving import tidy

Meaning = Literal["code", "digits", "code_digits", "mistyped", "words"]

_WORD = re.compile(r"[0-9A-Z]+", re.ASCII)
_DIGITS = re.compile(r"\d{4}", re.ASCII)
_PHONE = re.compile(r"(?:\+?86)?(1\d{10})", re.ASCII)
_CREDIT = re.compile(r"[0-9A-Z]{12}([0-9A-Z]{6})|([0-9A-Z]{6})", re.ASCII)
_LIKE_A_CODE = re.compile(r"(?=.*\d)[0-9A-Z]{5,8}|[0-9A-Z]{6}", re.ASCII)
_NO_MARKS = str.maketrans(dict.fromkeys("。、《》【】“”‘’「」,;:!?()'\"#*<>[]", ""))
"""Marks that stand around a code, once full-width characters are made plain."""
SHORT = 60
"""Characters of a message within which a code is looked for among other words; a longer one is for a person to read."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a message means; `code` and `digits` as far as it holds them, written as the office writes them."""

    meaning: Meaning
    code: str = ""
    digits: str = ""


def understand(body: str, *, awaited: bool) -> Said:
    """Read a message; `awaited` says that the person sent a code before and was asked for his digits.

    Blanks, dashes, small letters and full-width ones do not matter, nor do words around a code ("签署码7K3M9P，尾号0001"). Digits are
    the last four of the phone, or, while they are awaited, the whole number, or the last six of a credit code, or all of that.
    """
    whole = tidy(body).translate(_NO_MARKS)
    said = _code(whole) or _within(body)
    if said is None and awaited:
        said = _digits(whole, body)
    if said is not None:
        return said
    if _DIGITS.fullmatch(whole):
        return Said("digits", digits=whole)
    return Said("mistyped" if _LIKE_A_CODE.fullmatch(whole) else "words")


def _code(whole: str) -> Said | None:
    """Read a message that is nothing but a code, or a code and digits in one."""
    if tokens.is_personal_code(whole):
        return Said("code", whole)
    for code, digits in ((whole[:6], whole[6:]), (whole[-6:], whole[:-6])):
        if tokens.is_personal_code(code) and (found := _confirming(digits)):
            return Said("code_digits", code, found)
    return None


def _within(body: str) -> Said | None:
    """Find one code, and perhaps digits, among other words."""
    words = _words(body) if len(body) <= SHORT else []
    codes = {word for word in words if tokens.is_personal_code(word)}
    if len(codes) != 1:
        return None
    code = codes.pop()
    digits = {found for word in words if word != code and (found := _confirming(word))}
    return Said("code_digits", code, digits.pop()) if len(digits) == 1 else Said("code", code)


def _digits(whole: str, body: str) -> Said | None:
    words = [whole] if _confirming(whole) else _words(body) if len(body) <= SHORT else []
    found = {digits for word in words if (digits := _confirming(word))}
    if len(found) == 1:
        return Said("digits", digits=found.pop())
    credit = _CREDIT.fullmatch(whole)
    return Said("digits", digits=credit[1] or credit[2]) if credit else None


def _confirming(word: str) -> str:
    """Return the last four digits that a word gives: four digits, or a whole phone number."""
    if _DIGITS.fullmatch(word):
        return word
    phone = _PHONE.fullmatch(word)
    return phone[1][-4:] if phone else ""


def _words(body: str) -> list[str]:
    """Return the runs of Latin letters and digits in a message, made plain."""
    return _WORD.findall("".join(chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else c for c in body).upper())
