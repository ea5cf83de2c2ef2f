"""Read `application/x-www-form-urlencoded` text, fast: a Chinese body is three hundred escapes in a handful of runs."""

import re
from binascii import unhexlify

_RUN = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")


def fields(text: bytes) -> list[tuple[str, str]]:
    """Return the names and values in `text` in order, repeats kept and blank values too; what is no escape stays as it is.

    The standard library's parse_qsl gives the same pairs but takes an escape at a time, which would be half of the gateway's work.
    """
    pairs = []
    for pair in text.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            pairs.append((decode(name), decode(value)))
    return pairs


def decode(value: bytes) -> str:
    """Return `value` without its escapes; bytes that are not UTF-8 become U+FFFD."""
    if b"+" in value:
        value = value.replace(b"+", b" ")
    if b"%" in value:
        value = _RUN.sub(_unescape, value)
    return value.decode("utf-8", "replace")


def _unescape(run: re.Match[bytes]) -> bytes:
    return unhexlify(run[0].replace(b"%", b""))
