"""Look signatures up: page by page, or one by its serial or by the code of the letter, with all that happened to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from outreach import tokens
from outreach.database.pledge_tables import Correction, Evidence, Refusal, Scan, Signature
from outreach.database.tables import Campaign, Contact, Enterprise, PledgeVersion, Recipient, RecipientContact, RecipientEnterprise
from outreach.errors import NotFound
from outreach.links import resolving
from outreach.pledges import answers

SLICE = 1000
LISTED = (
    "serial",
    "enterprise",
    "town",
    "credit_code",
    "pledge",
    "version",
    "state",
    "way",
    "method",
    "signer",
    "capacity",
    "honour",
    "review",
    "signed_at",
    "ended_at",
    "contact",
    "phone",
)
"""What a row of the list says; the list has an `id` too."""
TYPED = ("reason", "ended_reason")
"""What people typed freely: numbers in it are masked."""


class PledgeMissing(NotFound):
    """There is neither a signature nor a code {key}; `outreach pledges list` shows the serial numbers."""


class Which(TypedDict, total=False):
    """Which signatures: of the enterprises that a campaign selected, to its pledge, else all of one `mode`; ended ones too.

    `enterprises` selects ids, as an audience does; `review` asks for those that a person has to look at.
    """

    campaign: str | None
    mode: str
    pledge: str | None
    town: str | None
    state: str | None
    way: str | None
    review: bool
    enterprises: Select[int] | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some signatures in the order in which they were given; `next` is the cursor of the page after this one."""

    rows: Sequence[Mapping[str, Any]]
    total: int
    next: int | None


def listing(session: Session, *, limit: int = 50, after: int | None = None, **which: Unpack[Which]) -> Page:
    """Return a page of signatures."""
    page = list(rows(session, limit=limit + 1, after=after, **which))
    total = session.scalar(select(func.count()).select_from(_query().where(*_conditions(which)).subquery())) or 0
    return Page(page[:limit], total, page[limit - 1]["id"] if len(page) > limit and limit else None)


def rows(session: Session, *, limit: int | None = None, after: int | None = None, **which: Unpack[Which]) -> Iterator[dict[str, Any]]:
    """Yield signatures, row by row in the same memory; phones are masked, and of an erased contact nothing is told."""
    query = _query().where(*_conditions(which)).order_by(Signature.id)
    if after is not None:
        query = query.where(Signature.id > after)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query, execution_options={"yield_per": SLICE}):
        yield row._asdict() | {"contact": row.contact or "", "phone": _masked(row.phone)}


def _query() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Signature.id,
            Signature.serial,
            Signature.enterprise,
            Enterprise.town,
            Enterprise.credit_code,
            Signature.pledge,
            PledgeVersion.number.label("version"),
            Signature.state,
            Signature.way,
            Signature.method,
            Signature.signer,
            Signature.capacity,
            Signature.honour,
            Signature.review,
            Signature.signed_at,
            Signature.ended_at,
            Contact.name.label("contact"),
            Contact.phone,
        )
        .join(Enterprise, Enterprise.id == Signature.enterprise_id)
        .join(PledgeVersion, PledgeVersion.id == Signature.version_id)
        .outerjoin(Contact, (Contact.id == Signature.contact_id) & Contact.erased_at.is_(None))
    )


def _conditions(which: Which) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if name := which.get("campaign"):
        named = select(Campaign.id).where(Campaign.name == name).scalar_subquery()
        goal = select(PledgeVersion.pledge).join(Campaign, Campaign.pledge_version_id == PledgeVersion.id).where(Campaign.name == name)
        found += answers.of(Signature, goal.scalar_subquery(), select(Campaign.mode).where(Campaign.name == name).scalar_subquery())
        found.append(Signature.enterprise_id.in_(select(RecipientEnterprise.enterprise_id).where(RecipientEnterprise.campaign_id == named)))
    else:
        found += answers.of(Signature, None, which.get("mode", "production"))
    if (enterprises := which.get("enterprises")) is not None:
        found.append(Signature.enterprise_id.in_(enterprises))
    if which.get("review"):
        found.append(Signature.review.is_(True))
    columns = {"pledge": Signature.pledge, "town": Enterprise.town, "state": Signature.state, "way": Signature.way}
    return found + [column == which.get(key) for key, column in columns.items() if which.get(key)]


def show(session: Session, key: str) -> dict[str, Any]:
    """Return what is known under a serial or a personal code: who was asked, and for each enterprise all that happened, in order.

    `{"campaign", "contact", "phone" (masked), "opened_at", "stopped_at", "enterprises": [{"id", "enterprise", "credit_code", "town",
    "signatures": […], "refusals": […]}], "corrections": […], "history": [{"at", "act", "enterprise", "serial", "block"}]}`; a history
    holds the evidence's acts, `block` None where it is not closed yet. Raises PledgeMissing.
    """
    typed = resolving.tidy(key)
    recipient = session.scalar(select(Recipient.id).where(Recipient.code == typed))
    if recipient is not None:
        spoken = select(RecipientEnterprise.enterprise_id).where(RecipientEnterprise.recipient_id == recipient)
        return _shown(session, recipient, list(session.scalars(spoken.order_by(RecipientEnterprise.enterprise_id))))
    signature = session.execute(select(Signature.enterprise_id, Signature.recipient_id).where(Signature.serial == key.strip())).one_or_none()
    if signature is None:
        raise PledgeMissing(what="pledge", name=key, key=key)
    return _shown(session, signature.recipient_id, [signature.enterprise_id])


def _shown(session: Session, recipient: int | None, enterprises: Sequence[int]) -> dict[str, Any]:
    known = select(Enterprise.id, Enterprise.name.label("enterprise"), Enterprise.credit_code, Enterprise.town).where(Enterprise.id.in_(enterprises))
    signatures, refusals = _signatures(session, enterprises), _refusals(session, enterprises)
    return {
        **_asked(session, recipient),
        "enterprises": [
            row._asdict() | {"signatures": signatures.get(row.id, []), "refusals": refusals.get(row.id, [])}
            for row in session.execute(known.order_by(Enterprise.id))
        ],
        "corrections": _corrections(session, recipient),
        "history": _history(session, recipient, enterprises),
    }


def _asked(session: Session, recipient: int | None) -> dict[str, Any]:
    """Return who was asked; of a signature that came in without a recipient nobody is known."""
    query = (
        select(Campaign.name.label("campaign"), Recipient.opened_at, Recipient.stopped_at, Contact.name.label("contact"), Contact.phone)
        .select_from(Recipient)
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .outerjoin(RecipientContact, (RecipientContact.recipient_id == Recipient.id) & (RecipientContact.rank == 0))
        .outerjoin(Contact, (Contact.id == RecipientContact.contact_id) & Contact.erased_at.is_(None))
        .where(Recipient.id == recipient)
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return {"campaign": None, "opened_at": None, "stopped_at": None, "contact": "", "phone": ""}
    return row._asdict() | {"contact": row.contact or "", "phone": _masked(row.phone)}


def _signatures(session: Session, enterprises: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    newer = aliased(Signature)
    query: Select[*tuple[Any, ...]] = (
        select(
            Signature.enterprise_id,
            Signature.serial,
            Signature.enterprise,
            Signature.pledge,
            PledgeVersion.number.label("version"),
            PledgeVersion.digest,
            Signature.state,
            Signature.way,
            Signature.method,
            Signature.signer,
            Signature.capacity,
            Signature.relation,
            Signature.checks,
            Signature.honour,
            Signature.review,
            exists().where(Scan.signature_id == Signature.id).label("scan"),
            Signature.signed_at,
            Signature.recorded_by,
            Signature.ended_at,
            Signature.ended_reason,
            newer.serial.label("superseded_by"),
        )
        .join(PledgeVersion, PledgeVersion.id == Signature.version_id)
        .outerjoin(newer, newer.id == Signature.superseded_by)
        .where(Signature.enterprise_id.in_(enterprises))
        .order_by(Signature.id)
    )
    return _by_enterprise(session, query)


def _refusals(session: Session, enterprises: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    query = select(Refusal.enterprise_id, Refusal.pledge, Refusal.way, Refusal.reason, Refusal.declined_at).where(Refusal.enterprise_id.in_(enterprises))
    return _by_enterprise(session, query.order_by(Refusal.id))


def _by_enterprise(session: Session, query: Select[*tuple[Any, ...]]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in session.execute(query):
        shown = {key: tokens.mask_within(value) if key in TYPED and value else value for key, value in row._asdict().items() if key != "enterprise_id"}
        found.setdefault(row.enterprise_id, []).append(shown)
    return found


def _corrections(session: Session, recipient: int | None) -> list[dict[str, Any]]:
    query = select(Correction.id, Correction.kind, Correction.detail, Correction.way, Correction.said_at, Correction.done_at, Correction.done_by)
    said = session.execute(query.where(Correction.recipient_id == recipient).order_by(Correction.id))
    return [row._asdict() | {"detail": tokens.mask_within(row.detail)} for row in said]


def _history(session: Session, recipient: int | None, enterprises: Sequence[int]) -> list[dict[str, Any]]:
    """Return the acts of the evidence: those about the enterprises, and those of the recipient that are about none."""
    query = (
        select(Evidence.at, Evidence.act, Enterprise.name.label("enterprise"), Signature.serial, Evidence.block_id.label("block"))
        .select_from(Evidence)
        .outerjoin(Enterprise, Enterprise.id == Evidence.enterprise_id)
        .outerjoin(Signature, Signature.id == Evidence.signature_id)
        .where(or_(Evidence.enterprise_id.in_(enterprises), (Evidence.recipient_id == recipient) & Evidence.enterprise_id.is_(None)))
    )
    return [row._asdict() for row in session.execute(query.order_by(Evidence.at, Evidence.id))]


def _masked(phone: str | None) -> str:
    return tokens.mask(phone) if phone else ""
