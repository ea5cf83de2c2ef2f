"""Sign, decline, withdraw, open: each in groups, set-based, with its evidence and the fact that stops all writing, in one transaction.

Lock order: enterprises by id, then everything else. Whoever comes second, in the same group or from another process, finds the
first signature and gets it back.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from outreach import clock, tokens
from outreach.database import bulk
from outreach.database.pledge_tables import CURRENT, Refusal, SerialCounter, Signature
from outreach.database.tables import Enterprise, PledgeVersion, Recipient, RecipientEnterprise
from outreach.errors import NotFound, Refused
from outreach.pledges import evidence, sealing
from outreach.pledges.evidence import Entry


class SignatureUnknown(NotFound):
    """There is no signature {serial}."""


class SignatureEnded(Refused):
    """Signature {serial} has ended already, withdrawn or superseded; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRequest:
    """One act of signing, for one or several enterprises; `way` and `checks` say how the signer was known."""

    enterprise_ids: Sequence[int]
    version_id: int
    way: str
    method: str
    signer: str
    capacity: str
    relation: str = ""
    ink: Any | None = None
    honour: bool = False
    checks: Sequence[str] = ()
    review: bool = False
    at: datetime
    recipient_id: int | None = None
    campaign_id: int | None = None
    contact_id: int | None = None
    state: str = "signed"
    recorded_by: str = ""
    ip: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """What came of a request for one enterprise: its signature, `fresh` where this request made it."""

    enterprise_id: int
    signature_id: int
    serial: str
    fresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineRequest:
    """A "no" to a version, for one or several enterprises."""

    enterprise_ids: Sequence[int]
    version_id: int
    way: str
    reason: str
    at: datetime
    recipient_id: int | None = None
    campaign_id: int | None = None
    contact_id: int | None = None
    ip: str = ""
    user_agent: str = ""


@dataclass(slots=True)
class _Books:
    """What a group of acts finds and leaves: current signatures by enterprise and pledge, and the rows to be written."""

    versions: Mapping[int, PledgeVersion]
    names: Mapping[int, str]
    current: dict[tuple[int, str], dict[str, Any]]
    fresh: list[tuple[SignRequest, dict[str, Any]]] = field(default_factory=list)
    ended: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    """What ended, and the signature that took its place."""


def sign(session: Session, requests: Sequence[SignRequest]) -> list[list[Signed]]:
    """Sign each request's enterprises, and return their signatures request by request.

    An enterprise that has signed this version or a later one gets its first signature back. An older version, and the pledge
    that this one renews, are superseded. A paper without its scan (`state` pending) gives way to a signature that counts.
    """
    books = _open_books(session, requests)
    found = [[_signature_for(books, request, enterprise) for enterprise in dict.fromkeys(request.enterprise_ids)] for request in requests]
    _give_numbers(session, [row for _request, row in books.fresh])
    _end_superseded(session, books)
    bulk.insert_rows(session, Signature, [{key: row[key] for key in row if key != "number"} for _request, row in books.fresh])
    _settle(session, [row for _request, row in books.fresh if row["state"] == "signed"], outcome="signed")
    sealing.append(session, [*_evidence(books)])
    _count_as_opened(session, requests)
    return [[Signed(row["enterprise_id"], row["id"], row["serial"], fresh) for row, fresh in of_request] for of_request in found]


def _open_books(session: Session, requests: Sequence[SignRequest | DeclineRequest]) -> _Books:
    enterprises = sorted({key for request in requests for key in request.enterprise_ids})
    recipients = {request.recipient_id for request in requests if request.recipient_id is not None}
    spoken = session.scalars(select(RecipientEnterprise.enterprise_id).where(RecipientEnterprise.recipient_id.in_(recipients)))
    bulk.lock_rows(session, Enterprise, [*enterprises, *spoken])  # all that will be written below, at once: no two groups wait in a circle
    wanted = {request.version_id for request in requests}
    versions = {row.id: row for row in session.scalars(select(PledgeVersion).where(PledgeVersion.id.in_(wanted)))}
    names = {row.id: row.name for row in session.execute(select(Enterprise.id, Enterprise.name).where(Enterprise.id.in_(enterprises)))}
    columns = (Signature.id, Signature.enterprise_id, Signature.pledge, Signature.serial, Signature.state, PledgeVersion.number)
    statement = (
        select(*columns)
        .join(PledgeVersion, PledgeVersion.id == Signature.version_id)
        .where(Signature.enterprise_id.in_(enterprises), Signature.state.in_(CURRENT))
    )
    current = {(row.enterprise_id, row.pledge): dict(row._mapping) for row in session.execute(statement)}
    return _Books(versions, names, current)


def _signature_for(books: _Books, request: SignRequest, enterprise: int) -> tuple[dict[str, Any], bool]:
    """Return the enterprise's signature and whether this request makes it."""
    version = books.versions[request.version_id]
    stands = books.current.get((enterprise, version.pledge))
    if stands and stands["number"] >= version.number and (stands["state"] == "signed" or request.state == "pending"):
        return stands, False
    row = _new_row(request, enterprise, books.names[enterprise], version)
    for pledge in {version.pledge, version.renews} - {""}:
        if older := books.current.pop((enterprise, pledge), None):
            books.ended.append((older, row))
    books.current[enterprise, version.pledge] = row
    books.fresh.append((request, row))
    return row, True


def _new_row(request: SignRequest, enterprise: int, name: str, version: PledgeVersion) -> dict[str, Any]:
    return {
        "id": 0,
        "serial": "",
        "enterprise_id": enterprise,
        "enterprise": name,
        "pledge": version.pledge,
        "version_id": version.id,
        "number": version.number,
        "campaign_id": request.campaign_id,
        "recipient_id": request.recipient_id,
        "contact_id": request.contact_id,
        "state": request.state,
        "way": request.way,
        "method": request.method,
        "signer": request.signer,
        "capacity": request.capacity,
        "relation": request.relation,
        "ink": request.ink,
        "checks": list(request.checks),
        "honour": request.honour,
        "review": request.review,
        "signed_at": request.at,
        "recorded_by": request.recorded_by,
        "ended_at": None,
        "ended_reason": None,
        "superseded_by": None,
    }


def _give_numbers(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Give ids and serials, such as 2026-000317, by the office's year; the counter's row is held only until the commit."""
    for row, key in zip(rows, bulk.new_ids(session, Signature, len(rows)) if rows else [], strict=True):
        row["id"] = key
    for year in sorted({_year(row) for row in rows}):
        of_year = [row for row in rows if _year(row) == year]
        bulk.insert_rows(session, SerialCounter, [{"year": year, "used": 0}], ignore_conflicts=True)
        taken = update(SerialCounter).where(SerialCounter.year == year).values(used=SerialCounter.used + len(of_year)).returning(SerialCounter.used)
        last = session.execute(taken).scalar_one()
        for place, row in enumerate(of_year):
            row["serial"] = f"{year}-{last - len(of_year) + 1 + place:06d}"


def _year(row: Mapping[str, Any]) -> int:
    signed_at: datetime = row["signed_at"]
    return signed_at.astimezone(clock.OFFICE_ZONE).year


def _end_superseded(session: Session, books: _Books) -> None:
    rows = []
    for older, newer in books.ended:
        end = {"state": "superseded", "ended_at": newer["signed_at"], "ended_reason": None, "superseded_by": newer["id"]}
        if "signer" in older:
            older |= end  # made and superseded within this group
        else:
            rows.append({"id": older["id"], **end})
    bulk.update_rows(session, Signature, rows, keys=["id"], sets=["state", "ended_at", "ended_reason", "superseded_by"])


def _settle(session: Session, rows: Iterable[Mapping[str, Any]], *, outcome: str) -> None:
    """Set the one fact that claims, ladder, print runs and visits read."""
    latest = {row["enterprise_id"]: {"id": row["enterprise_id"], "settled_at": row["signed_at"], "outcome": outcome} for row in rows}
    bulk.update_rows(session, Enterprise, list(latest.values()), keys=["id"], sets=["settled_at", "outcome"])


def _evidence(books: _Books) -> Iterator[Entry]:
    for request, row in books.fresh:
        version = books.versions[request.version_id]
        yield Entry(
            act="signed",
            at=request.at,
            enterprise_id=row["enterprise_id"],
            recipient_id=request.recipient_id,
            signature_id=row["id"],
            contact_id=request.contact_id,
            facts={
                "serial": row["serial"],
                "enterprise": row["enterprise"],
                **_texts(version),
                "way": request.way,
                "method": request.method,
                "state": request.state,
                "checks": list(request.checks),
                "honour": request.honour,
                "ink": evidence.digest(request.ink) if request.ink else None,
                "review": request.review,
                "recorded_by": request.recorded_by,
            },
            personal={
                "signer": request.signer,
                "capacity": request.capacity,
                "relation": request.relation,
                "ink": request.ink,
                "ip": request.ip,
                "user_agent": request.user_agent,
            },
        )
    for older, newer in books.ended:
        facts = {"serial": older["serial"], "superseded_by": newer["serial"]}
        yield Entry(act="superseded", at=newer["signed_at"], enterprise_id=newer["enterprise_id"], recipient_id=None, signature_id=older["id"], facts=facts)


def _texts(version: PledgeVersion) -> dict[str, Any]:
    """Return what names the texts that were on the page: the version's digest, and those of its letter and privacy notice."""
    return {"pledge": version.pledge, "version": version.digest, "letter": tokens.digest(version.letter), "privacy": tokens.digest(version.privacy)}


def decline(session: Session, requests: Sequence[DeclineRequest]) -> None:
    """Write down each enterprise's "no", once a recipient; an enterprise that has signed must withdraw instead, and is left alone."""
    books = _open_books(session, requests)
    pledges = {version.pledge for version in books.versions.values()}
    known = select(Refusal.enterprise_id, Refusal.pledge, Refusal.recipient_id).where(Refusal.enterprise_id.in_(books.names), Refusal.pledge.in_(pledges))
    said = {tuple(row) for row in session.execute(known)}
    rows, entries = [], []
    for request in requests:
        version = books.versions[request.version_id]
        for enterprise in dict.fromkeys(request.enterprise_ids):
            key = (enterprise, version.pledge, request.recipient_id)
            if (enterprise, version.pledge) in books.current or key in said:
                continue
            said.add(key)
            rows.append(
                {
                    "enterprise_id": enterprise,
                    "pledge": version.pledge,
                    "version_id": version.id,
                    "campaign_id": request.campaign_id,
                    "recipient_id": request.recipient_id,
                    "way": request.way,
                    "reason": request.reason,
                    "declined_at": request.at,
                }
            )
            entries.append(
                Entry(
                    act="declined",
                    at=request.at,
                    enterprise_id=enterprise,
                    recipient_id=request.recipient_id,
                    signature_id=None,
                    contact_id=request.contact_id,
                    facts={**_texts(version), "way": request.way},
                    personal={"reason": request.reason, "ip": request.ip, "user_agent": request.user_agent},
                )
            )
    bulk.insert_rows(session, Refusal, rows)
    _settle(session, [row | {"signed_at": row["declined_at"]} for row in rows], outcome="declined")
    sealing.append(session, entries)
    _count_as_opened(session, requests)


def withdraw(session: Session, serial: str, *, reason: str, by: str, now: datetime) -> Signature:
    """End a signature by the enterprise's own wish, and return it; the row stays. Raises SignatureUnknown and SignatureEnded.

    `by` is the staff account, or `signer` where it was withdrawn on the page.
    """
    key = session.scalar(select(Signature.enterprise_id).where(Signature.serial == serial))
    if key is None:
        raise SignatureUnknown(what="signature", name=serial, serial=serial)
    bulk.lock_rows(session, Enterprise, [key])
    signature = session.execute(select(Signature).where(Signature.serial == serial)).scalar_one()
    if signature.state not in CURRENT:
        raise SignatureEnded(what=serial, serial=serial, state=signature.state)
    signature.state, signature.ended_at, signature.ended_reason = "withdrawn", now, reason
    session.execute(update(Enterprise).where(Enterprise.id == key).values(settled_at=now, outcome="withdrawn"))
    entry = Entry(
        act="withdrawn",
        at=now,
        enterprise_id=key,
        recipient_id=signature.recipient_id,
        signature_id=signature.id,
        contact_id=signature.contact_id,
        facts={"serial": serial, "by": by},
        personal={"reason": reason},
    )
    session.flush()
    sealing.append(session, [entry])
    return signature


def opened(session: Session, recipients: Sequence[int], *, now: datetime | None) -> None:
    """Write down the first opening of each recipient's page, and of the enterprises spoken for; later ones change nothing."""
    fresh = _open(session, recipients, now=now)
    sealing.append(session, [Entry(act="opened", at=now, enterprise_id=None, recipient_id=key, signature_id=None, facts={}) for key in fresh if now])


def _open(session: Session, recipients: Sequence[int], *, now: datetime | None) -> list[int]:
    """Mark recipients and their enterprises as having opened, and return those recipients who had not before."""
    fresh = list(session.scalars(select(Recipient.id).where(Recipient.id.in_(set(recipients)), Recipient.opened_at.is_(None)).order_by(Recipient.id)))
    if not fresh or now is None:
        return []
    spoken = select(RecipientEnterprise.enterprise_id).where(RecipientEnterprise.recipient_id.in_(fresh))
    enterprises = list(session.scalars(select(Enterprise.id).where(Enterprise.id.in_(spoken), Enterprise.opened_at.is_(None))))
    bulk.lock_rows(session, Enterprise, enterprises)
    session.execute(update(Enterprise).where(Enterprise.id.in_(enterprises), Enterprise.opened_at.is_(None)).values(opened_at=now))
    first = update(Recipient).where(Recipient.id.in_(fresh), Recipient.opened_at.is_(None)).values(opened_at=now).returning(Recipient.id)
    return list(session.scalars(first))


def _count_as_opened(session: Session, requests: Sequence[SignRequest | DeclineRequest]) -> None:
    """Who acts has opened, whether or not the page's own sign came through; the act itself is the evidence."""
    recipients = [request.recipient_id for request in requests if request.recipient_id is not None and request.way not in ("paper", "staff")]
    if recipients:
        _open(session, recipients, now=max(request.at for request in requests))
