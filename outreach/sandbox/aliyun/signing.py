"""Check the signature of a request, version 3 (ACS3-HMAC-SHA256), from the provider's page and not from its SDK."""

import hmac
import re
import time
from collections import deque
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

from outreach.sandbox.aliyun.asked import Declined
from outreach.sandbox.forms import fields
from outreach.sandbox.wire import Request

ALGORITHM = "ACS3-HMAC-SHA256"
SKEW = 15 * 60
"""Seconds by which the client's clock may be wrong."""

NONCES = 100_000
_PROOF = re.compile(r"ACS3-HMAC-SHA256\s+Credential=([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})", re.ASCII)
_MUST = frozenset(("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"))


class Signatures:
    """One access key, and the nonces that were used with it."""

    def __init__(self, access_key_id: str, secret: str) -> None:
        self._id = access_key_id
        self._secret = secret.encode()
        self._seen: set[str] = set()
        self._order: deque[str] = deque()

    def require(self, request: Request) -> None:
        """Refuse a request that the holder of the key did not make, or not just now, or made before. Raises Declined."""
        found = _PROOF.fullmatch(request.header(b"authorization").decode("latin-1"))
        if not found:
            raise Declined("MissingAuthorization" if not request.header(b"authorization") else "IncompleteSignature", 400)
        key, names, signature = found.groups()
        if key != self._id:
            raise Declined("InvalidAccessKeyId.NotFound", 404)
        if not _MUST.issubset(names.split(";")):
            raise Declined("IncompleteSignature", 400)
        if not hmac.compare_digest(signature, self._signature(request, names)):
            raise Declined("SignatureDoesNotMatch", 400)
        self._require_fresh(_header(request, "x-acs-date"), _header(request, "x-acs-signature-nonce"))

    def _signature(self, request: Request, names: str) -> str:
        digest = sha256(request.body).hexdigest()
        if digest != _header(request, "x-acs-content-sha256"):
            raise Declined("SignatureDoesNotMatch", 400)
        query = "&".join(f"{_escaped(name)}={_escaped(value)}" for name, value in sorted(fields(request.query)))
        headers = "".join(f"{name}:{_header(request, name)}\n" for name in names.split(";"))
        said = "\n".join([request.method.decode(), request.path.decode(), query, headers, names, digest])
        return hmac.digest(self._secret, f"{ALGORITHM}\n{sha256(said.encode()).hexdigest()}".encode(), "sha256").hex()

    def _require_fresh(self, date: str, nonce: str) -> None:
        try:
            at = datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError as cause:
            raise Declined("InvalidTimeStamp.Format", 400) from cause
        if abs(at - time.time()) > SKEW:
            raise Declined("InvalidTimeStamp.Expired", 400)
        if nonce in self._seen:
            raise Declined("SignatureNonceUsed", 400)
        self._seen.add(nonce)
        self._order.append(nonce)
        if len(self._order) > NONCES:
            self._seen.discard(self._order.popleft())


def _header(request: Request, name: str) -> str:
    return request.header(name.encode()).decode("latin-1").strip()


def _escaped(text: str) -> str:
    return quote(text, safe="~")
