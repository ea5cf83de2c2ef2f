"""Ids, codes, digests and HMACs: the only source of randomness."""

import base64
import hashlib
import hmac
import json
import re
import secrets
from typing import Any

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Thirty characters that nobody mistakes for one another on paper or on the phone: no 0 O, 1 I L, U."""

WEIGHTS = (1, 7, 11, 13, 17)
"""Of the characters of a personal code, for its check character."""

LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ"
NUMBER = re.compile(r"\+?\d(?:[\s-]?\d){6,}")


def digest(value: Any) -> str:
    """Return the SHA-256 of `value` written as canonical JSON, as 64 hex digits."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def approval_code(digest_hex: str) -> str:
    """Return the eight digits that a person reads out: `7F3A-91C2` for a digest that begins with 7f3a91c2."""
    return f"{digest_hex[:4]}-{digest_hex[4:8]}".upper()


def check_character(body: str) -> str:
    """Return the check character of a personal code.

    Weights without a common factor with the alphabet's 30 find every single wrong character, and most that were swapped.
    """
    return ALPHABET[sum(weight * ALPHABET.index(character) for weight, character in zip(WEIGHTS, body, strict=False)) % len(ALPHABET)]


def personal_code() -> str:
    """Make a personal code: five random characters and a check character, never without a letter among them.

    A code of digits alone would look like a one-time code (验证码), which people are told never to pass on.
    """
    while True:
        body = "".join(secrets.choice(ALPHABET) for _ in range(5))
        if any(character in LETTERS for character in body):
            return body + check_character(body)


def is_personal_code(typed: str) -> bool:
    """Whether this can be a personal code: its characters, its check character, a letter among them."""
    body = typed[:-1]
    return len(typed) == 6 and set(typed) <= set(ALPHABET) and any(c in LETTERS for c in body) and check_character(body) == typed[-1]


def office_key() -> str:
    """Make the office's key for HMACs: 256 bits as hex."""
    return secrets.token_hex(32)


def serial() -> str:
    """Make an id that never comes twice: 96 bits as hex."""
    return secrets.token_hex(12)


def salt() -> str:
    """Make the salt of a commitment: 128 bits as hex."""
    return secrets.token_hex(16)


def mask_within(text: str) -> str:
    """Hide the middle of every number of seven digits or more in what a person typed, also where blanks or dashes part it."""
    return NUMBER.sub(lambda found: mask(re.sub(r"[\s-]", "", found[0])), text)


def mask(value: str) -> str:
    """Hide the middle of a phone, openid or code: `138****8000`. What is too short to hide in part is hidden whole."""
    local = value.removeprefix("+86")
    return f"{local[:3]}****{local[-4:]}" if len(local) >= 9 else "****"


def keyed(key: str, purpose: str, *parts: object) -> bytes:
    """Return the HMAC-SHA256 of `parts` under the office's key; `purpose` keeps what is made for one use from serving another."""
    text = "\x1f".join([purpose, *map(str, parts)])
    return hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256).digest()


def one_time_code(key: str, nonce: str) -> str:
    """Return the six digits that belong to a nonce: made again whenever they are needed, so that they are stored nowhere."""
    return f"{int.from_bytes(keyed(key, 'one-time-code', nonce)[:8], 'big') % 1_000_000:06d}"


def same(one: str | bytes, other: str | bytes) -> bool:
    """Compare two secrets in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode() if isinstance(one, str) else one, other.encode() if isinstance(other, str) else other)


LINK_WAYS = ("link", "code", "paper", "event", "wechat", "credit")
"""Through what a personal link came to its reader, part of what its HMAC protects. `credit`: the credit code was typed; to be reviewed."""
LINK_NUMBER, LINK_MAC = 5, 16
"""Bytes of the recipient's number (as many for each, so that links are of one length) and of the HMAC (128 bits)."""
LINK_LENGTH = 30


def link_mac(key: str, recipient_id: int, generation: int, way: str) -> bytes:
    """Return what proves a personal link."""
    return keyed(key, "link", recipient_id, generation, way)[:LINK_MAC]


def link_token(key: str, recipient_id: int, generation: int, way: str) -> str:
    """Return the token of a recipient's personal link: thirty characters that can stand in any address."""
    raw = bytes([LINK_WAYS.index(way)]) + recipient_id.to_bytes(LINK_NUMBER, "big") + link_mac(key, recipient_id, generation, way)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def link_url(public_url: str, token: str) -> str:
    """Return the address that goes into a text, a letter or a QR code."""
    return f"{public_url.rstrip('/')}/p/{token}"
