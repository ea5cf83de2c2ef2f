"""The personal link of a recipient: an HMAC over recipient, way and generation; made again whenever it is needed, stored nowhere."""

import base64
import binascii
from dataclasses import dataclass

from outreach import tokens

WAYS = ("link", "code", "paper", "event", "wechat", "credit")
"""Through what a link came to its reader, part of what the HMAC protects. `credit`: somebody typed the credit code; to be reviewed."""
NUMBER, MAC = 5, 16
"""Bytes of the recipient's number (as many for each, so that links are of one length) and of the HMAC (128 bits)."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a token says of itself, before anybody has proved it."""

    recipient_id: int
    way: str
    mac: bytes

    def holds(self, key: str, generation: int) -> bool:
        """Whether the office made this token for this generation."""
        return tokens.same(self.mac, _mac(key, self.recipient_id, generation, self.way))


def make(key: str, recipient_id: int, generation: int, way: str) -> str:
    """Return the token that stands behind /p/: thirty characters that can stand in any address."""
    number = recipient_id.to_bytes(NUMBER, "big")
    raw = bytes([WAYS.index(way)]) + number + _mac(key, recipient_id, generation, way)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def url(public_url: str, token: str) -> str:
    """Return the address that goes into a text, a letter or a QR code."""
    return f"{public_url.rstrip('/')}/p/{token}"


def read(token: str) -> Claimed | None:
    """Take a token apart; None where it is none."""
    if not token.isascii() or len(token) > 64:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != 1 + NUMBER + MAC or raw[0] >= len(WAYS) or base64.urlsafe_b64encode(raw).decode().rstrip("=") != token:
        return None
    return Claimed(int.from_bytes(raw[1 : 1 + NUMBER], "big"), WAYS[raw[0]], raw[1 + NUMBER :])


def _mac(key: str, recipient_id: int, generation: int, way: str) -> bytes:
    return tokens.keyed(key, "link", recipient_id, generation, way)[:MAC]
