"""The personal link of a recipient: an HMAC over recipient, way and generation; made again whenever it is needed, stored nowhere."""

import base64
import binascii
from dataclasses import dataclass

from outreach import tokens

make = tokens.link_token
url = tokens.link_url


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a token says of itself, before anybody has proved it."""

    recipient_id: int
    way: str
    mac: bytes

    def holds(self, key: str, generation: int) -> bool:
        """Whether the office made this token for this generation."""
        return tokens.same(self.mac, tokens.link_mac(key, self.recipient_id, generation, self.way))


def read(token: str) -> Claimed | None:
    """Take a token apart; None where it is none."""
    if not token.isascii() or len(token) != tokens.LINK_LENGTH:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    end = 1 + tokens.LINK_NUMBER
    if len(raw) != end + tokens.LINK_MAC or raw[0] >= len(tokens.LINK_WAYS) or base64.urlsafe_b64encode(raw).decode().rstrip("=") != token:
        return None
    return Claimed(int.from_bytes(raw[1:end], "big"), tokens.LINK_WAYS[raw[0]], raw[end:])
