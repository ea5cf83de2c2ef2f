"""How long a text is on the air: its signature, its encoding, and the parts it is sent and paid in.

GSM 03.38: 160 characters in one part and 153 in each of several, the characters of the extension table counting two.
Anything else (all Chinese, 【】) makes the whole text UCS-2: 70 or 67, in UTF-16 code units.
No part ends in the middle of a surrogate pair or an escaped character, so a text may need one part more than its length says.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

GSM_BASIC = frozenset("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà")
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
"""Sent as an escape and a second character, so they count two."""

GSM_7, UCS_2 = "GSM-7", "UCS-2"
GSM_ONE, GSM_PART = 160, 153
UCS_ONE, UCS_PART = 70, 67

_beyond_gsm = re.compile("[^" + re.escape("".join(sorted(GSM_BASIC | GSM_EXTENSION))) + "]").search
_escaped = re.compile("[" + re.escape("".join(sorted(GSM_EXTENSION))) + "]").findall


@dataclass(frozen=True)
class Measure:
    """The length of a text: `units` of its encoding (septets or UTF-16 code units), and the parts it is sent in."""

    units: int
    encoding: str
    segments: int


def sms_text(signature: str, body: str) -> str:
    """Return the text as the channel sends it, and as every count takes it: 【signature】 in front of the body."""
    return f"【{signature}】{body}"


def segments(text: str) -> int:
    """Return the number of parts a text is sent in; nothing is sent in none."""
    if _beyond_gsm(text) is None:
        return _gsm(text).segments
    units = len(text.encode("utf-16-le", "surrogatepass")) >> 1
    if units <= UCS_ONE:
        return 1
    if units == len(text):
        return -(-units // UCS_PART)
    return _packed((2 if character > "\uffff" else 1 for character in text), UCS_PART)


def measure(text: str) -> Measure:
    """Return the length of a text, its encoding and its parts."""
    if _beyond_gsm(text) is None:
        return _gsm(text)
    return Measure(len(text.encode("utf-16-le", "surrogatepass")) >> 1, UCS_2, segments(text))


def _gsm(text: str) -> Measure:
    escaped = len(_escaped(text))
    units = len(text) + escaped
    if units <= GSM_ONE:
        return Measure(units, GSM_7, 1 if units else 0)
    if not escaped:
        return Measure(units, GSM_7, -(-units // GSM_PART))
    return Measure(units, GSM_7, _packed((2 if character in GSM_EXTENSION else 1 for character in text), GSM_PART))


def _packed(widths: Iterable[int], room: int) -> int:
    """Count the parts when characters of these widths are put into parts of `room` units, none of them cut in two."""
    parts, used = 1, 0
    for width in widths:
        if used + width > room:
            parts, used = parts + 1, 0
        used += width
    return parts
