"""Check a bundle of evidence on any machine, without a database: leaves, proofs, the chain, commitments, signatures and texts."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError

from pydantic import TypeAdapter, ValidationError

from outreach.pledges import audit, audit_signatures, evidence
from outreach.pledges import bundle_parts as parts
from outreach.pledges.bundle_parts import About, BlockPart, RowPart, SignaturePart, VersionPart
from outreach.pledges.evidence import GENESIS, Header
from outreach.pledges.faults import Report
from outreach.rendering import ink

LARGEST = 256 * 1024 * 1024
"""Bytes of all files of a bundle, unpacked: a bundle may be made to fill a disk or a memory."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Bundle:
    """A bundle as it was read."""

    files: Mapping[str, bytes]
    about: About
    rows: Sequence[RowPart]
    signatures: Sequence[SignaturePart]
    blocks: Sequence[BlockPart]


class _Unreadable(Exception):
    """A file of the bundle is not there, or not what it should be: (what, where)."""


def verify(path: Path, *, published: str = "") -> Report:
    """Check the bundle at `path`; `published` is the digest of a block as the office made it known, which must be in its chain.

    Whatever the file holds, this returns: what cannot be read is a fault. Without a published digest a chain that was forged as a
    whole cannot be told from the true one.
    """
    try:
        return verify_content(path.read_bytes(), published=published)
    except OSError:
        return _unreadable("file_unreadable", path.name)


def verify_content(content: bytes, *, published: str = "") -> Report:
    """Check a bundle as bytes, as `verify` does."""
    try:
        bundle = _read(content)
    except _Unreadable as error:
        return _unreadable(*error.args)
    report = Report()
    heads = _check_blocks(bundle, report)
    if published and published.strip().lower() not in {head.digest for head in bundle.blocks}:
        report.add("chain_foreign", published.strip())
    _check_rows(bundle, heads, report)
    _check_signatures(bundle, report)
    _check_texts(bundle, report)
    _check_scans(bundle, report)
    return report


def _unreadable(what: str, where: str) -> Report:
    report = Report()
    report.add(what, where)
    return report


def _read(content: bytes) -> _Bundle:
    files = _unpacked(content)
    about = _parsed(files, parts.ABOUT, TypeAdapter(About))
    if about.format != parts.FORMAT:
        raise _Unreadable("file_unreadable", parts.ABOUT)
    lines = _file(files, parts.BLOCKS).splitlines()
    blocks = [_parsed({parts.BLOCKS: line}, parts.BLOCKS, TypeAdapter(BlockPart)) for line in lines]
    rows = _parsed(files, parts.ROWS, TypeAdapter(list[RowPart]))
    if not rows:
        raise _Unreadable("file_unreadable", parts.ROWS)
    return _Bundle(files, about, rows, _parsed(files, parts.SIGNATURES, TypeAdapter(list[SignaturePart])), blocks)


def _unpacked(content: bytes) -> dict[str, bytes]:
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            found = archive.infolist()
            if sum(info.file_size for info in found) > LARGEST or len({info.filename for info in found}) != len(found):
                raise _Unreadable("file_unreadable", "zip")
            return {info.filename: archive.read(info) for info in found}
    except (BadZipFile, ZlibError, ValueError, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise _Unreadable("file_unreadable", "zip") from error


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise _Unreadable("file_missing", name)
    return files[name]


def _parsed(files: Mapping[str, bytes], name: str, kind: TypeAdapter[T]) -> T:
    try:
        return kind.validate_json(_file(files, name), strict=True)
    except (ValidationError, RecursionError) as error:
        raise _Unreadable("file_unreadable", name) from error


def _check_blocks(bundle: _Bundle, report: Report) -> dict[int, BlockPart]:
    """Go along the chain to its newest block; return the blocks that are what they say."""
    good: dict[int, BlockPart] = {}
    before: BlockPart | None = None
    for block in bundle.blocks:
        where = f"block {block.number}"
        if before is not None and block.number != before.number + 1:
            report.add("block_missing", f"block {before.number + 1}")
        elif block.previous != (before.digest if before else GENESIS) and (before or block.number == 1):
            report.add("chain_broken", where)
        if _head_digest(block) != block.digest:
            report.add("block_altered", where)
        good[block.number] = before = block
    report.newest = (before.number, before.digest) if before else None
    if (report.newest or (None, None)) != (bundle.about.newest_block, bundle.about.newest_digest):
        report.add("block_missing", f"block {bundle.about.newest_block}")
    return good


def _head_digest(block: BlockPart) -> str | None:
    try:
        closed_at = evidence.unstamp(block.closed_at)
        return Header(number=block.number, previous=block.previous, root=block.root, size=block.size, closed_at=closed_at).digest
    except (ValueError, evidence.EvidenceUnwritable):
        return None


def _check_rows(bundle: _Bundle, heads: Mapping[int, BlockPart], report: Report) -> None:
    erased = {number for row in bundle.rows for number in evidence.erased_rows(row.body)}
    for row in bundle.rows:
        where = f"evidence {row.id}"
        report.checked += 1
        if _leaf(row.body) != row.leaf:
            report.add("row_altered", where)
        if row.block is None:
            report.open += 1
            report.add("row_open", where)
        elif not _is_proved(row, heads.get(row.block)):
            report.add("proof_wrong", where)
        fault = audit.personal_fault(evidence.told(row.body).get("commitment"), row.salt, row.personal, erased=row.id in erased)
        if fault:
            report.add(fault, where)


def _leaf(body: str) -> str | None:
    try:
        return evidence.leaf(body)
    except UnicodeEncodeError:
        return None


def _is_proved(row: RowPart, head: BlockPart | None) -> bool:
    if head is None or row.position is None:
        return False
    try:
        return evidence.proved_root(row.leaf, row.position, head.size, row.proof) == head.root
    except ValueError:
        return False


def _check_signatures(bundle: _Bundle, report: Report) -> None:
    """Hold each signature against its rows, as an audit of the database does; and the drawn one against its files."""
    rows = {number: [row for row in bundle.rows if evidence.told(row.body).get("signature_id") == number] for number in _signature_ids(bundle)}
    known = {signature.id for signature in bundle.signatures}
    for number in sorted(rows.keys() - known):
        report.add("signature_missing", f"signature {number}")
    for signature in bundle.signatures:
        where = f"signature {signature.serial}"
        try:
            beside = [_beside(signature, row) for row in rows.get(signature.id, [])]
            faults = list(audit_signatures.faults_of(beside))
        except (ValueError, TypeError, AttributeError, evidence.EvidenceUnwritable):
            faults = [("signature_altered", "")]
        for what, column in faults:
            report.add(what, f"{where} {column}".rstrip())
        if signature.ink and not _ink_is_drawn(bundle.files, signature):
            report.add("ink_altered", where)


def _signature_ids(bundle: _Bundle) -> set[int]:
    return {number for row in bundle.rows if isinstance(number := evidence.told(row.body).get("signature_id"), int)}


def _beside(signature: SignaturePart, row: RowPart) -> SimpleNamespace:
    moments = {"signed_at": evidence.unstamp(signature.signed_at), "ended_at": evidence.unstamp(signature.ended_at) if signature.ended_at else None}
    return SimpleNamespace(**signature.model_dump() | moments, act=evidence.told(row.body).get("act"), body=row.body, content=row.personal)


def _ink_is_drawn(files: Mapping[str, bytes], signature: SignaturePart) -> bool:
    try:
        written, drawn = evidence.canonical(signature.ink), ink.svg(signature.ink)
    except (ValueError, TypeError, LookupError, AttributeError, evidence.EvidenceUnwritable):
        return False
    name = f"ink/{signature.serial}"
    return files.get(f"{name}.json") == written.encode() and files.get(f"{name}.svg") == drawn.encode()


def _check_texts(bundle: _Bundle, report: Report) -> None:
    """Hold the texts against the digests that the rows name."""
    for digest in sorted({str(named) for row in bundle.rows if (named := evidence.facts(row.body).get("version"))}):
        folder = f"texts/{digest}"
        try:
            version = _parsed(bundle.files, f"{folder}/version.json", TypeAdapter(VersionPart))
        except _Unreadable as error:
            report.add(*error.args)
            continue
        if evidence.version_digest(version.model_dump()) != digest:
            report.add("text_altered", f"{folder}/version.json")
        for name, field in parts.TEXTS.items():
            if bundle.files.get(f"{folder}/{name}") != getattr(version, field).encode():
                report.add("text_altered", f"{folder}/{name}")


def _check_scans(bundle: _Bundle, report: Report) -> None:
    """Hold scanned sheets against the digests that rows name, and against their own names."""
    for name, content in bundle.files.items():
        if name.startswith("scans/") and hashlib.sha256(content).hexdigest() != Path(name).stem:
            report.add("scan_altered", name)
    held = {Path(name).stem for name in bundle.files if name.startswith("scans/")}
    erased = {evidence.told(row.body).get("signature_id") for row in bundle.rows if evidence.told(row.body).get("act") == "erased"}
    for row in bundle.rows:
        told = evidence.facts(row.body).get("scan")
        if told is not None and told not in held and evidence.told(row.body).get("signature_id") not in erased:
            report.add("scan_missing", f"evidence {row.id}")
