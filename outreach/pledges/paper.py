"""Record a pledge that was signed on paper: with its scan it counts; without, it waits (待补件) until the scan is added."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from outreach.clock import OFFICE_ZONE
from outreach.database import bulk
from outreach.database.pledge_tables import CURRENT, Scan, Signature
from outreach.database.tables import Enterprise, PledgeVersion
from outreach.errors import BadInput, NotFound, Refused
from outreach.pledges import routing, sealing, signing
from outreach.pledges.evidence import Entry
from outreach.pledges.routing import Route
from outreach.pledges.scans import Kept
from outreach.pledges.sheet_codes import Marked
from outreach.pledges.signing import SignatureEnded, SignatureUnknown, SignRequest
from outreach.settings import Settings


class SheetEach(BadInput):
    """A sheet is signed for one enterprise, and {code} speaks for several: {enterprises}. Say for which with --enterprise ID"""


class ScanTaken(Refused):
    """The scan {name} is that of signature {serial} already; each enterprise signs a sheet of its own."""


class ScanOfAnother(Refused):
    """The sheet on the scan {name} is that of {enterprise} (code {code}), or of another text; nothing was recorded."""


class ScanUnknown(NotFound):
    """There is no scan {number}; those that wait for a person: outreach pledges scans --open"""


class NotOnPaper(Refused):
    """Signature {serial} was not made on paper; there is no scan to add."""


class SignedBeforeText(BadInput):
    """On {day} the text of this pledge was not there yet: it is of {made}. Give the day on which the sheet was signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What stands on a sheet, and who records it; `at` is the moment of signing, `now` that of recording."""

    signer: str
    capacity: str
    relation: str = ""
    honour: bool = False
    review: bool = False
    at: datetime
    now: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a paper for one enterprise: recorded, pending, completed, or already there, for a `reason`."""

    enterprise_id: int
    enterprise: str
    serial: str
    signature_id: int
    result: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """The signature that an enterprise has now, and the number of the version that it is of."""

    id: int
    serial: str
    state: str
    method: str
    number: int


def record(session: Session, route: Route, enterprises: Sequence[int], paper: Paper, scans: Sequence[Kept] = ()) -> list[Recorded]:
    """Record a paper for each of these enterprises; the scans are pages of one sheet, which is one enterprise's.

    An enterprise that has signed keeps its signature; one whose paper waits for its scan is completed by it. Raises SheetEach, ScanTaken
    and SignedBeforeText.
    """
    if scans and len(enterprises) > 1:
        raise SheetEach(what="scan", code=route.code, enterprises=", ".join(f"{key} {route.enterprises[key]}" for key in enterprises))
    require_text(route.version, paper.at)
    bulk.lock_rows(session, Enterprise, [*enterprises, *route.enterprises])
    before = standing(session, enterprises, route.version)
    verdicts = {key: verdict(before.get(key), route.version) for key in enterprises}
    fresh = [key for key in enterprises if verdicts[key][0] == "recorded"]
    made = {signed.enterprise_id: signed for of_request in signing.sign(session, _requests(route, fresh, paper, scans)) for signed in of_request}
    results = []
    for key in enterprises:
        serial, signature = (made[key].serial, made[key].signature_id) if key in made else (before[key].serial, before[key].id)
        result, reason = verdicts[key]
        if scans and result in ("recorded", "completed"):
            _attach(session, key, route.recipient_id, signature, serial, scans, paper.by, paper.now)
        elif result == "recorded":
            result = "pending"
        elif result == "completed":
            result, reason = "already", "pending"
        results.append(Recorded(key, route.enterprises[key], serial, signature, result, reason))
    return results


def complete(session: Session, serial: str, scans: Sequence[Kept], *, by: str, now: datetime) -> Recorded:
    """Add the scan to a paper that waited for it: from now on it counts.

    Raises SignatureUnknown, NotOnPaper, SignatureEnded and ScanTaken.
    """
    key = session.scalar(select(Signature.enterprise_id).where(Signature.serial == serial))
    if key is None:
        raise SignatureUnknown(what="signature", name=serial, serial=serial)
    bulk.lock_rows(session, Enterprise, [key])
    table = Signature
    columns = (table.id, table.state, table.method, table.enterprise, table.enterprise_id, table.recipient_id)
    row = session.execute(select(*columns).where(table.serial == serial)).one()
    if row.method != "paper":
        raise NotOnPaper(what="signature", serial=serial)
    if row.state not in CURRENT:
        raise SignatureEnded(what=serial, serial=serial, state=row.state)
    if row.state == "signed":
        return Recorded(key, row.enterprise, serial, row.id, "already", "scanned_before")
    _attach(session, key, row.recipient_id, row.id, serial, scans, by, now)
    return Recorded(key, row.enterprise, serial, row.id, "completed")


def reviewed(session: Session, serials: Sequence[str], *, town: str = "") -> list[str]:
    """Take signatures off the list of those that a person has to look at, and return which were on it; `town` limits whose they may be."""
    of_town = Signature.enterprise_id.in_(select(Enterprise.id).where(Enterprise.town == town)) if town else true()
    known = set(session.scalars(select(Signature.serial).where(Signature.serial.in_(serials), of_town)))
    if missing := [serial for serial in serials if serial not in known]:
        raise SignatureUnknown(what="signature", name=missing[0], serial=missing[0])
    looked_at = update(Signature).where(Signature.serial.in_(serials), Signature.review.is_(True)).values(review=False).returning(Signature.serial)
    return sorted(session.scalars(looked_at))


def standing(session: Session, enterprises: Sequence[int], version: PledgeVersion) -> dict[int, Standing]:
    """Return the current signature of each enterprise under this pledge, or one of this version that a renewal has superseded."""
    columns = (Signature.id, Signature.enterprise_id, Signature.serial, Signature.state, Signature.method, PledgeVersion.number)
    renewed = and_(Signature.state == "superseded", PledgeVersion.number >= version.number)
    statement = (
        select(*columns)
        .join(PledgeVersion, PledgeVersion.id == Signature.version_id)
        .where(Signature.enterprise_id.in_(enterprises), Signature.pledge == version.pledge)
        .where(or_(Signature.state.in_(CURRENT), renewed))
        .order_by(case((Signature.state.in_(CURRENT), 1), else_=0), Signature.id)  # what is current comes last, and stays
    )
    return {row.enterprise_id: Standing(row.id, row.serial, row.state, row.method, row.number) for row in session.execute(statement)}


def verdict(stands: Standing | None, version: PledgeVersion) -> tuple[str, str]:
    """Say what a sheet with its scan comes to beside the signature that stands, and why; one of an older text gives way to it."""
    if stands is None or stands.number < version.number:
        return "recorded", ""
    if stands.state == "superseded":
        return "already", "renewed"
    if stands.state == "pending":
        return "completed", ""
    return "already", "scanned_before" if stands.method == "paper" else "signed_online"


def all_wait(session: Session, enterprises: Sequence[int], version: PledgeVersion) -> bool:
    """Whether each of these enterprises has a paper on record, so that a scan says nothing new of who signed."""
    stands = standing(session, enterprises, version)
    return all(verdict(stands.get(key), version)[0] != "recorded" for key in enterprises)


def require_text(version: PledgeVersion, at: datetime) -> None:
    """Refuse a day of signing on which the text was not there. Raises SignedBeforeText."""
    day, made = (moment.astimezone(OFFICE_ZONE).date() for moment in (at, version.made_at))
    if day < made:
        raise SignedBeforeText(what="date", day=day, made=made)


def require_own(session: Session, marks: Sequence[Marked], route: Route, enterprises: Sequence[int], name: str, *, settings: Settings) -> None:
    """Refuse a scan whose codes all say that it is another's sheet, or one of another text. Raises ScanOfAnother."""
    others = []
    for marked in marks:
        found = routing.by_claim(session, marked.claimed, settings=settings)
        if isinstance(found, str):
            continue
        named = [marked.enterprise_id] if marked.enterprise_id in found.enterprises else list(found.enterprises)
        if set(named) & set(enterprises) and found.version.id == route.version.id:
            return
        others.append((found, named))
    if others:
        found, named = others[0]
        raise ScanOfAnother(what="scan", name=name, enterprise=", ".join(found.enterprises[key] for key in named if key), code=found.code)


def stored(session: Session, number: int) -> Kept:
    """Return a stored scan. Raises ScanUnknown."""
    row = session.execute(select(Scan.name, Scan.content, Scan.digest, Scan.kind).where(Scan.id == number)).one_or_none()
    if row is None:
        raise ScanUnknown(what="scan", name=number, number=number)
    return Kept(row.name, row.content, row.digest, row.kind)


def read_in_by(session: Session, number: int) -> str | None:
    """Return the staff account that read a scan in, none where there is no such scan."""
    return session.scalar(select(Scan.recorded_by).where(Scan.id == number))


def store(session: Session, scan: Kept, *, signature: int | None, reason: str, by: str, now: datetime) -> tuple[int, int | None]:
    """Store a scan once by its digest and give it to a signature, unless it is another's; return its id and whose it is."""
    insert: Any = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"digest": scan.digest, "name": scan.name, "kind": scan.kind, "content": scan.content, "reason": reason, "recorded_by": by, "recorded_at": now}
    session.execute(insert(Scan).values(**values).on_conflict_do_nothing(index_elements=[Scan.digest]))
    if signature is not None:
        session.execute(update(Scan).where(Scan.digest == scan.digest, Scan.signature_id.is_(None)).values(signature_id=signature, reason=""))
    row = session.execute(select(Scan.id, Scan.signature_id).where(Scan.digest == scan.digest)).one()
    return row.id, row.signature_id


def discard(session: Session, number: int) -> str:
    """Throw a scan away that belongs to no signature, and return its digest. Raises ScanUnknown and ScanTaken."""
    row = session.execute(
        select(Scan.digest, Scan.name, Signature.serial).outerjoin(Signature, Signature.id == Scan.signature_id).where(Scan.id == number)
    ).one_or_none()
    if row is None:
        raise ScanUnknown(what="scan", name=number, number=number)
    if row.serial:
        raise ScanTaken(what="scan", name=row.name, serial=row.serial)
    session.delete(session.get_one(Scan, number))
    return str(row.digest)


def _requests(route: Route, enterprises: Sequence[int], paper: Paper, scans: Sequence[Kept]) -> list[SignRequest]:
    if not enterprises:
        return []
    return [
        SignRequest(
            enterprise_ids=enterprises,
            version_id=route.version.id,
            way="paper",
            method="paper",
            signer=paper.signer,
            capacity=paper.capacity,
            relation=paper.relation,
            honour=paper.honour,
            review=paper.review,
            at=paper.at,
            recipient_id=route.recipient_id,
            campaign_id=route.campaign_id,
            contact_id=route.contact_id,
            state="signed" if scans else "pending",
            recorded_by=paper.by,
        )
    ]


def _attach(session: Session, enterprise: int, recipient: int | None, signature: int, serial: str, scans: Sequence[Kept], by: str, now: datetime) -> None:
    """Give a signature its scans and let it count from now on: a day of signing that lies back stops no message before it was known."""
    for scan in scans:
        _number, owner = store(session, scan, signature=signature, reason="", by=by, now=now)
        if owner != signature:
            other = session.scalar(select(Signature.serial).where(Signature.id == owner))
            raise ScanTaken(what="scan", name=scan.name, serial=other)
    session.execute(update(Signature).where(Signature.id == signature, Signature.state == "pending").values(state="signed"))
    session.execute(update(Enterprise).where(Enterprise.id == enterprise).values(settled_at=now, outcome="signed"))
    sealing.append(
        session,
        [
            Entry(
                act="scan_added",
                at=now,
                enterprise_id=enterprise,
                recipient_id=recipient,
                signature_id=signature,
                facts={"serial": serial, "scan": scan.digest, "by": by},
            )
            for scan in scans
        ],
    )
