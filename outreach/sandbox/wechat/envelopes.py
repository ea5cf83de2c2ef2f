"""The XML of callbacks and of answers to them, and its encryption, as the provider's specification says.

Safe mode (doc/service/guide/dev/push/encryption): AES-256-CBC with the key base64(EncodingAESKey + "="), the key's first 16 bytes as
vector, padding to 32 bytes; the plain text is 16 random bytes, the length in four bytes, the XML, the app id.
"""

import base64
import hashlib
import hmac
import os
import struct
from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from outreach.sandbox.wechat.scenario import Mode

BLOCK = 32
LONGEST = 1024 * 1024

Tree = Mapping[str, "str | int | Tree | list[Tree]"]


class Unreadable(ValueError):
    """The office's answer is no message to a person."""


def compose(tree: Tree) -> str:
    """Return `tree` as the provider writes it: text in CDATA, numbers bare."""
    return f"<xml>{_inside(tree)}</xml>"


def _inside(tree: Tree) -> str:
    return "".join([_element(name, value) for name, value in tree.items()])


def _element(name: str, value: "str | int | Tree | list[Tree]") -> str:
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    if isinstance(value, str):
        text = value.replace("]]>", "]]]]><![CDATA[>")
        return f"<{name}><![CDATA[{text}]]></{name}>"
    if isinstance(value, list):
        return "".join([f"<{name}>{_inside(one)}</{name}>" for one in value])
    return f"<{name}>{_inside(value)}</{name}>"


def parse(text: bytes) -> dict[str, str]:
    """Return the elements of an answer; raises Unreadable. What declares a document type is not read: it may declare anything."""
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text or len(text) > LONGEST:
        raise Unreadable("no plain XML")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as cause:
        raise Unreadable("no XML") from cause
    return {element.tag: (element.text or "").strip("\r\n") for element in root}


def signature(parts: Iterable[str]) -> str:
    """Return the signature over `parts`: SHA-1 of them sorted and joined."""
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


class Envelopes:
    """Encrypts to and decrypts from the office."""

    def __init__(self, token: str, aes_key: str, app_id: str) -> None:
        self._token = token
        self._aes_key = aes_key
        self._app_id = app_id.encode()

    def seal(self, text: str) -> str:
        """Return `text` encrypted, in base64."""
        body = text.encode()
        plain = os.urandom(16) + struct.pack(">I", len(body)) + body + self._app_id
        pad = BLOCK - len(plain) % BLOCK
        encryptor = self._cipher().encryptor()
        return base64.b64encode(encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()).decode()

    def open(self, sealed: str) -> bytes:
        """Return the XML in `sealed`; raises Unreadable."""
        try:
            decryptor = self._cipher().decryptor()
            plain = decryptor.update(base64.b64decode(sealed, validate=True)) + decryptor.finalize()
        except ValueError as cause:
            raise Unreadable("not encrypted as agreed") from cause
        pad = plain[-1] if plain else 0
        if not 1 <= pad <= BLOCK or len(plain) < 20 + pad:
            raise Unreadable("not encrypted with this key")
        end = 20 + struct.unpack(">I", plain[16:20])[0]
        if plain[end : len(plain) - pad] != self._app_id:
            raise Unreadable("encrypted for another account")
        return plain[20:end]

    def sign(self, timestamp: str, nonce: str, *sealed: str) -> str:
        """Return the signature of a callback, or of what is sealed in it."""
        return signature((self._token, timestamp, nonce, *sealed))

    def answer(self, text: bytes, mode: Mode) -> dict[str, str]:
        """Return the elements of the office's answer, sealed in safe mode, either way where the callback came both ways. Raises Unreadable."""
        found = parse(text)
        if mode == "plain" or (mode == "compat" and "Encrypt" not in found):
            return found
        try:
            encrypt, given, timestamp, nonce = found["Encrypt"], found["MsgSignature"], found["TimeStamp"], found["Nonce"]
        except KeyError as cause:
            raise Unreadable(f"the answer lacks {cause.args[0]}") from cause
        if not hmac.compare_digest(given.encode(), self.sign(timestamp, nonce, encrypt).encode()):
            raise Unreadable("the answer is badly signed")
        return parse(self.open(encrypt))

    def _cipher(self) -> Cipher[modes.CBC]:
        key = base64.b64decode(self._aes_key + "=")
        return Cipher(algorithms.AES(key), modes.CBC(key[:16]))
