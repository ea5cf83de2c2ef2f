"""Whether a callback is WeChat's, and what stands in its envelope: plain, or encrypted with the account's own key.

The SDK reads and writes the envelope; its comparisons of signatures tell by their time where they differ, and its random bytes can be
guessed, so those are ours. Source: developers.weixin.qq.com, "Message encryption and decryption" (公众平台消息加解密说明).
"""

import hashlib
import struct
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit
from xml.parsers.expat import ExpatError

import xmltodict
from wechatpy.crypto import PrpCrypto, WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException

from outreach import clock, tokens
from outreach.channels.base import BadSignature, MalformedCallback
from outreach.errors import Misconfigured
from outreach.reasons import Reason
from outreach.settings import Settings

AES_KEY_LENGTH = 43
FRESH = timedelta(hours=1)
MOST_FIELDS = 40


class NoAesKey(Reason):
    """an EncodingAESKey has {length} letters and digits"""


class _Cipher(PrpCrypto):  # type: ignore[misc]
    """The SDK's cipher, with random bytes that nobody can guess: the vector is fixed by the key, so they alone make two answers differ."""

    def get_random_string(self) -> str:
        return tokens.salt()[:16]


class Envelopes:
    """The account's word and key, by which it knows its own."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.wechat_token
        self._app_id = settings.wechat_app_id
        self._crypto = crypto(settings)

    def prove(self, query: Mapping[str, str]) -> None:
        """Hold the signature in the address against the account's word. Without a word nobody can be known. Raises BadSignature."""
        said = query.get("signature", "")
        if not self._token or not said or not tokens.same(said, self._signature(query)) or not _of_late(query):
            raise BadSignature()

    def open(self, query: Mapping[str, str], body: bytes) -> tuple[bytes, bool]:
        """Return the message, and whether its answer must be encrypted too. What is encrypted counts even where clear text stands beside it.

        Raises BadSignature and MalformedCallback.
        """
        sealed, alone = _sealed(body)
        if not sealed and not query.get("msg_signature"):
            self.prove(query)
            return body, False
        if not sealed or self._crypto is None:
            raise MalformedCallback(what="Encrypt" if self._crypto else "wechat_aes_key")
        said = query.get("msg_signature", "")
        if not self._token or not said or not tokens.same(said, self._signature(query, sealed)) or not _of_late(query):
            raise BadSignature()
        return self._decrypted(sealed), alone

    def seal(self, xml: str, *, at: int) -> str:
        """Return an answer in its envelope."""
        if self._crypto is None:
            raise Misconfigured(key="wechat_aes_key", why=NoAesKey(length=AES_KEY_LENGTH))
        return str(self._crypto._encrypt_message(xml, tokens.salt()[:16], str(at), _Cipher))

    def _decrypted(self, sealed: str) -> bytes:
        assert self._crypto is not None
        try:
            return str(_Cipher(self._crypto.key).decrypt(sealed, self._app_id)).encode()
        except InvalidAppIdException:
            raise BadSignature() from None
        except (ValueError, IndexError, struct.error):
            raise MalformedCallback(what="Encrypt") from None

    def _signature(self, query: Mapping[str, str], *more: str) -> str:
        parts = [self._token, query.get("timestamp", ""), query.get("nonce", ""), *more]
        return hashlib.sha1("".join(sorted(parts)).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _of_late(query: Mapping[str, str]) -> bool:
    """Whether a callback was signed within the last hour (or the next, for a clock that is wrong).

    A plain one's signature covers the time only, not the message: whoever saw one address could else write to it for ever.
    """
    said = query.get("timestamp", "")
    return said.isascii() and said.isdigit() and len(said) <= 12 and abs(clock.now().timestamp() - int(said)) <= FRESH.total_seconds()


def crypto(settings: Settings) -> WeChatCrypto | None:
    """Return the account's cipher, none where it has no key. Raises Misconfigured for what cannot be one."""
    key = settings.wechat_aes_key
    if not key:
        return None
    try:
        if len(key) != AES_KEY_LENGTH or not key.isascii() or not key.isalnum():
            raise ValueError
        return WeChatCrypto(settings.wechat_token, key, settings.wechat_app_id)
    except (ValueError, AssertionError):
        raise Misconfigured(key="wechat_aes_key", why=NoAesKey(length=AES_KEY_LENGTH)) from None


def query_of(url: str) -> dict[str, str]:
    """Return the parameters of an address, the first of a name that comes twice. Raises MalformedCallback."""
    try:
        pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise MalformedCallback(what="a query that can be read") from None
    return dict(reversed(pairs))


def parsed(body: bytes) -> dict[str, object]:
    """Return the fields of a message's XML; entities and other documents are refused by the parser. Raises MalformedCallback."""
    try:
        root = xmltodict.parse(body)
    except (ExpatError, ValueError, AttributeError, TypeError):
        raise MalformedCallback(what="XML that can be read") from None
    found = root.get("xml") if isinstance(root, dict) else None
    if not isinstance(found, dict):
        raise MalformedCallback(what="<xml>")
    return found


def _sealed(body: bytes) -> tuple[str, bool]:
    """Return what stands encrypted in a body, nothing where it is plain; and whether the clear text is absent, as in the safe mode."""
    if b"<Encrypt" not in body:
        return "", False
    fields = parsed(body)
    said = fields.get("Encrypt")
    return (said if isinstance(said, str) else ""), "MsgType" not in fields
