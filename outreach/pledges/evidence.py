"""What the evidence is made of, as pure functions: bodies, commitments, Merkle trees and the chain of blocks.

A row's body is canonical JSON without anything personal; what is personal stands elsewhere, and in the body only a salted commitment to
it, so that a person can be erased and every digest still verifies. Leaves and nodes are hashed as in RFC 6962 section 2.1 (Certificate
Transparency): a leaf over a zero byte, a node over a one byte, so that no node can be passed off as a leaf.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from outreach.errors import BadInput

ACTS = ("opened", "code_sent", "code_passed", "signed", "declined", "withdrawn", "superseded", "corrected", "paper", "scan_added", "erased")
GENESIS = "0" * 64
"""What stands as the digest before the first block."""
EXACT = 2**53
"""Beyond this a number is not the same in every program that reads JSON (RFC 8259 section 6)."""


class EvidenceUnwritable(BadInput):
    """A fact of evidence cannot be written as JSON that reads the same everywhere: {what}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. `facts` hold nothing personal; `personal` can be taken away later, `contact_id` says whose it is."""

    act: str
    at: datetime
    enterprise_id: int | None
    recipient_id: int | None
    signature_id: int | None
    facts: Mapping[str, Any]
    personal: Mapping[str, Any] | None = None
    contact_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a block's digest covers. `number` counts from 1, `previous` is the digest of the block before."""

    number: int
    previous: str
    root: str
    size: int
    closed_at: datetime

    @property
    def digest(self) -> str:
        """The SHA-256 of the header as canonical JSON."""
        fields = {"number": self.number, "previous": self.previous, "root": self.root, "size": self.size, "closed_at": stamp(self.closed_at)}
        return hashlib.sha256(canonical(fields).encode()).hexdigest()


def stamp(moment: datetime) -> str:
    """Write a moment in UTC to the microsecond, such as `2026-01-15T09:00:00.000000Z`. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"a moment without a time zone: {moment!r}")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def unstamp(written: str) -> datetime:
    """Read a moment that `stamp` wrote. Raises ValueError."""
    return datetime.strptime(written, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def canonical(value: Any) -> str:
    """Write a value as JSON in one way only: sorted keys, no blanks, characters as themselves, whole numbers without a point.

    The last because PostgreSQL keeps JSON numbers as decimals: 2.0 may come back as 2. Raises EvidenceUnwritable.
    """
    try:
        text = json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise EvidenceUnwritable(what=str(error)) from error
    return text


def _plain(value: Any) -> Any:
    """Return a value as JSON has it. Points of ink come by the thousand: what they are made of is looked at first."""
    kind = type(value)
    if kind is int:
        if -EXACT < value < EXACT:
            return value
        raise ValueError("a number that is too great")
    if kind is float:
        return _plain(int(value)) if value.is_integer() else value
    if kind is list or kind is tuple:
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a key that is no text")
        return {key: _plain(item) for key, item in value.items()}
    return value


def body(entry: Entry, salt: str | None) -> str:
    """Return the body of a row: all of the entry, but of what is personal only the commitment."""
    committed = None if entry.personal is None else commitment(salt or "", entry.personal)
    return canonical(
        {
            "act": entry.act,
            "at": stamp(entry.at),
            "enterprise_id": entry.enterprise_id,
            "recipient_id": entry.recipient_id,
            "signature_id": entry.signature_id,
            "facts": entry.facts,
            "commitment": committed,
        }
    )


@lru_cache(maxsize=64)
def told(text: str) -> Mapping[str, Any]:
    """Read a body again, to look at; of one that cannot be read, nothing is told. Whoever audits asks several times in a row."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def facts(text: str) -> Mapping[str, Any]:
    """Return the facts of a body."""
    found = told(text).get("facts")
    return found if isinstance(found, dict) else {}


def erased_rows(text: str) -> frozenset[int]:
    """Return the rows of evidence whose personal data a body says were erased; none, unless it is the body of an erasure."""
    rows = facts(text).get("rows") if told(text).get("act") == "erased" else None
    return frozenset(row for row in rows if isinstance(row, int)) if isinstance(rows, list) else frozenset()


def commitment(salt: str, personal: Mapping[str, Any]) -> str:
    """Bind to personal data without telling anything of it: SHA-256 over a secret salt (hex, 128 bits) and the canonical JSON."""
    return hashlib.sha256(bytes.fromhex(salt) + canonical(personal).encode()).hexdigest()


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, such as that of the strokes of a drawn signature."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def leaf(text: str) -> str:
    """Return the leaf digest of a body."""
    return hashlib.sha256(b"\x00" + text.encode()).hexdigest()


def node(left: str, right: str) -> str:
    """Return the digest of an inner node."""
    return hashlib.sha256(b"\x01" + bytes.fromhex(left) + bytes.fromhex(right)).hexdigest()


def merkle_root(leaves: Iterable[str]) -> str:
    """Return the root over leaves in their order (RFC 6962 section 2.1); over none, the digest of nothing."""
    peaks: list[tuple[int, str]] = []  # full subtrees from the left, each with its height
    for found in leaves:
        height, top = 0, found
        while peaks and peaks[-1][0] == height:
            height, top = height + 1, node(peaks.pop()[1], top)
        peaks.append((height, top))
    if not peaks:
        return hashlib.sha256().hexdigest()
    root = peaks.pop()[1]
    while peaks:
        root = node(peaks.pop()[1], root)
    return root


def proof(leaves: Sequence[str], position: int) -> list[str]:
    """Return the audit path of a leaf, from its sibling up (RFC 6962 section 2.1.1)."""
    if len(leaves) <= 1:
        return []
    cut = _split(len(leaves))
    if position < cut:
        return [*proof(leaves[:cut], position), merkle_root(leaves[cut:])]
    return [*proof(leaves[cut:], position - cut), merkle_root(leaves[:cut])]


def proved_root(found: str, position: int, size: int, path: Sequence[str]) -> str | None:
    """Return the root that an audit path leads to, none where it has the wrong length (RFC 9162 section 2.1.3.2)."""
    if not 0 <= position < size:
        return None
    here, last, top = position, size - 1, found
    for sibling in path:
        if last == 0:
            return None
        if here & 1 or here == last:
            top = node(sibling, top)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            top = node(top, sibling)
        here, last = here >> 1, last >> 1
    return top if last == 0 else None


def _split(size: int) -> int:
    """Return the greatest power of two that is smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


VERSIONED = ("pledge", "fields", "title", "source", "letter", "privacy", "renews", "one_time_code")


def version_digest(version: Mapping[str, Any]) -> str:
    """Return the digest that names a version of a pledge, over its texts and rules as they are kept."""
    return digest({name: version[name] for name in VERSIONED})
