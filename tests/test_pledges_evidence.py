"""Evidence as it is written: one way of writing, commitments that hide and bind, and trees in which any change shows."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.pledges import evidence
from outreach.pledges.evidence import Entry, EvidenceUnwritable, Header

AT = datetime(2026, 1, 15, 4, 0, tzinfo=UTC)
SALT = "00" * 16
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | words | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e6, 1e6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(words, values, max_size=4)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


def leaves(count: int) -> list[str]:
    return [evidence.leaf(str(number)) for number in range(count)]


def root_by_the_book(items: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, as it is written there."""
    if len(items) == 0:
        return hashlib.sha256(b"").digest()
    if len(items) == 1:
        return hashlib.sha256(b"\x00" + items[0]).digest()
    cut = 1
    while cut * 2 < len(items):
        cut *= 2
    return hashlib.sha256(b"\x01" + root_by_the_book(items[:cut]) + root_by_the_book(items[cut:])).digest()


def entry(facts: Any = None, personal: Any = None) -> Entry:
    return Entry(act="signed", at=AT, enterprise_id=1, recipient_id=None, signature_id=7, facts=facts or {}, personal=personal)


def flipped(text: str, place: int) -> str:
    """Change one character of a digest."""
    old = text[place % len(text)]
    return text[: place % len(text)] + ("0" if old != "0" else "1") + text[place % len(text) + 1 :]


@pytest.mark.parametrize("count", range(41))
def test_a_root_is_that_of_rfc_6962(count: int) -> None:
    items = [str(number).encode() for number in range(count)]
    assert evidence.merkle_root(leaves(count)) == root_by_the_book(items).hex()


def test_the_published_vectors_of_certificate_transparency_hold() -> None:
    # Of the Go reference implementation of RFC 6962 (transparency-dev/merkle): the empty tree, and the leaf of no bytes.
    assert evidence.merkle_root([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert evidence.leaf("") == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@pytest.mark.parametrize("count", range(1, 41))
def test_every_leaf_of_every_size_is_proved_and_only_at_its_place(count: int) -> None:
    row = leaves(count)
    root = evidence.merkle_root(row)
    for position, found in enumerate(row):
        path = evidence.proof(row, position)
        assert len(path) <= (count - 1).bit_length()
        assert evidence.proved_root(found, position, count, path) == root
        assert evidence.proved_root(evidence.leaf("another"), position, count, path) != root
        for elsewhere in set(range(count)) - {position}:
            assert evidence.proved_root(found, elsewhere, count, path) != root
        assert evidence.proved_root(found, position, count, [*path, root]) is None
        assert not path or evidence.proved_root(found, position, count, path[:-1]) is None


@given(count=st.integers(2, 40), data=st.data())
@settings(max_examples=60)
def test_a_changed_digest_in_a_proof_is_found(count: int, data: st.DataObject) -> None:
    row = leaves(count)
    position = data.draw(st.integers(0, count - 1))
    path = evidence.proof(row, position)
    at = data.draw(st.integers(0, len(path) - 1))
    path[at] = flipped(path[at], data.draw(st.integers(0, 63)))
    assert evidence.proved_root(row[position], position, count, path) != evidence.merkle_root(row)


@given(facts=documents, personal=documents, data=st.data())
@settings(max_examples=80)
def test_one_changed_byte_of_a_body_changes_its_leaf_and_root(facts: Any, personal: Any, data: st.DataObject) -> None:
    text = evidence.body(entry(facts, personal), SALT)
    raw = bytearray(text.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    altered = hashlib.sha256(b"\x00" + raw).hexdigest()
    assert altered != evidence.leaf(text)
    assert evidence.merkle_root([*leaves(3), altered]) != evidence.merkle_root([*leaves(3), evidence.leaf(text)])


@given(number=st.integers(1, 10**6), previous=digests, root=digests, size=st.integers(1, 5000), place=st.integers(0, 63), later=st.integers(1, 10**9))
@settings(max_examples=60)
def test_a_change_anywhere_in_a_head_changes_the_digest_of_the_block(number: int, previous: str, root: str, size: int, place: int, later: int) -> None:
    header = Header(number=number, previous=previous, root=root, size=size, closed_at=AT)
    changes: list[dict[str, Any]] = [
        {"number": number + 1},
        {"previous": flipped(previous, place)},
        {"root": flipped(root, place)},
        {"size": size + 1},
        {"closed_at": AT + timedelta(microseconds=later)},
    ]
    assert len({header.digest, *(replace(header, **change).digest for change in changes)}) == 6


@given(documents, documents)
@settings(max_examples=80)
def test_a_commitment_binds_to_its_data_and_tells_nothing_without_the_salt(one: Any, other: Any) -> None:
    assert (evidence.commitment(SALT, one) == evidence.commitment(SALT, other)) is (evidence.canonical(one) == evidence.canonical(other))
    assert evidence.commitment("01" * 16, one) != evidence.commitment(SALT, one)


@given(documents)
@settings(max_examples=80)
def test_what_is_written_canonically_reads_back_and_is_written_the_same(document: Any) -> None:
    text = evidence.canonical(document)
    assert json.loads(text) == document
    assert evidence.canonical(json.loads(text)) == text
    assert evidence.canonical(dict(reversed(document.items()))) == text


def test_a_number_is_written_in_one_way_whatever_a_database_makes_of_it() -> None:
    assert evidence.canonical([2.0, -0.0, 2.5, 1e3, True]) == "[2,0,2.5,1000,true]"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, 1e300, {1: 2}, object(), "\ud800", b"x"])
def test_what_does_not_read_the_same_everywhere_is_refused(value: Any) -> None:
    with pytest.raises(EvidenceUnwritable):
        evidence.canonical({"fact": [value]})


def test_a_moment_is_written_in_utc_whatever_zone_it_came_in_and_a_naive_one_is_refused() -> None:
    assert evidence.stamp(AT.astimezone(timezone(timedelta(hours=8)))) == evidence.stamp(AT) == "2026-01-15T04:00:00.000000Z"
    assert evidence.unstamp(evidence.stamp(AT)) == AT
    with pytest.raises(ValueError, match="time zone"):
        evidence.stamp(datetime(2026, 1, 15))


def test_a_body_holds_nothing_personal() -> None:
    text = evidence.body(entry({"serial": "2026-000001"}, {"signer": "王小明", "ip": "203.0.113.9"}), SALT)
    assert "王小明" not in text
    assert "203.0.113.9" not in text
    assert evidence.told(text)["commitment"] == evidence.commitment(SALT, {"ip": "203.0.113.9", "signer": "王小明"})
    assert evidence.told(evidence.body(entry(), None))["commitment"] is None
    assert evidence.told("{") == evidence.told("[]") == {}
