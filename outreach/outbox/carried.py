"""Letters and visits as deliveries: what is due, why one may not go any more, and what people say became of it.

No worker sends them. A print run or a list takes what is due; the same facts stop them that stop a text: the goal reached, the person who
said that it is not for him, the campaign cancelled; and for a letter an address from which one came back.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, literal, null, or_, select
from sqlalchemy.orm import Session, aliased

from outreach.contacts import postal
from outreach.database import bulk
from outreach.database.pledge_tables import CURRENT, Signature
from outreach.database.tables import FINAL, Campaign, CampaignStep, Delivery, Enterprise, PledgeVersion, Recipient, RecipientEnterprise
from outreach.outbox import states
from outreach.outbox.states import CARRIED

GOING = ("canary", "running")
"""States of a campaign in which its letters are printed and its visits made."""


def refusal(channel: str) -> ColumnElement[Any]:
    """Return why a delivery on paper may not go (a skip reason), null where it may; over Delivery, Recipient, Campaign and CampaignStep."""
    asks_the_unsigned = and_(CampaignStep.condition == "unsigned", Campaign.pledge_version_id.is_not(None))
    reasons: list[tuple[ColumnElement[bool], Any]] = [
        (~_some_enterprise(_unsettled()), literal("goal_reached")),
        (and_(asks_the_unsigned, ~_some_enterprise(_unsettled(), ~_signed())), literal("goal_reached")),
        (Recipient.stopped_at.is_not(None), literal("stopped")),
        (~_some_enterprise(Enterprise.closed_at.is_(None)), literal("stopped")),
    ]
    if channel == postal.CHANNEL:
        reasons += [
            (~_some_enterprise(Enterprise.address != ""), literal("no_address")),
            (~_some_enterprise(postal.usable()), literal("suppressed")),
        ]
    return case(*reasons, else_=null())


def due(channel: str, *, mode: str, now: datetime) -> Select[Any]:
    """Select what is queued and due on a channel of campaigns that are going, with `refusal`: why one may not go, null where it may."""
    columns: list[Any] = [Delivery.id, Delivery.campaign_id, Delivery.step, Delivery.occurrence, Delivery.recipient_id, Delivery.text_id, Delivery.due_at]
    rows = _joined(select(*columns, refusal(channel).label("refusal")))
    return rows.where(Delivery.channel == channel, Delivery.state == "queued", Delivery.due_at <= now, Campaign.state.in_(GOING), Campaign.mode == mode)


def skip_refused(session: Session, *, now: datetime) -> int:
    """Skip the letters and visits that may not go any more, and return how many: what is not in a batch yet, and every visit not made."""
    count = 0
    for channel in CARRIED:
        open_ = Delivery.state.in_(("queued", "accepted") if channel == "visit" else ("queued",))
        why = refusal(channel)
        rows = _joined(select(Delivery.id, why.label("refusal"))).where(Delivery.channel == channel, open_, why.is_not(None))
        count += skip(session, {row.id: row.refusal for row in session.execute(rows)}, now=now)
    return count


def skip(session: Session, reasons: Mapping[int, str], *, now: datetime) -> int:
    """Skip queued letters, and visits that nobody made, each for its reason; return how many it were."""
    changes = [{"id": key, "reason": reason, "final_at": now} for key, reason in sorted(reasons.items())]
    open_ = "(d.state = 'queued' or (d.state = 'accepted' and d.channel = 'visit'))"
    bulk.lock_rows(session, Delivery, list(reasons))
    bulk.update_rows(session, Delivery, changes, keys=["id"], sets=["reason", "final_at"], where=open_, extra="state = 'skipped'")
    return len(changes)


def accept(session: Session, ids: Collection[int], *, now: datetime) -> set[int]:
    """Take what is queued into a batch or a list; return which were still queued. Waits for whoever else takes them."""
    return _moved(session, ids, "accepted", {"attempt": 1, "claimed_at": now})


def put_back(session: Session, ids: Collection[int], *, now: datetime) -> set[int]:
    """Put back what was not carried: it is due again; return which were."""
    return _moved(session, ids, "queued", {"claimed_at": None, "due_at": now})


def arrive(session: Session, news: Mapping[int, str], *, at: datetime, reasons: Mapping[int, str] | None = None) -> set[int]:
    """Say what became of letters or visits: {delivery: delivered | undelivered}, with why not; return those for whom that was news.

    `at` is when it happened, as people say. The moment at which one became final stays: a letter that comes back later does not
    move the steps that count from its posting.
    """
    rows = _locked(session, news)
    changes = [
        {"id": row.id, "state": news[row.id], "reason": (reasons or {}).get(row.id), "final_at": row.final_at if row.state in FINAL and row.attempt else at}
        for row in rows
        if states.after_carried(row.state, news[row.id]) != row.state
    ]
    bulk.update_rows(session, Delivery, changes, keys=["id"], sets=["state", "reason", "final_at"], extra="attempt = 1")
    return {change["id"] for change in changes}


def _moved(session: Session, ids: Collection[int], news: str, values: Mapping[str, Any]) -> set[int]:
    moved = [row.id for row in _locked(session, ids) if states.after_carried(row.state, news) != row.state]
    changes = [{"id": key, "state": news, **values} for key in moved]
    bulk.update_rows(session, Delivery, changes, keys=["id"], sets=["state", *values])
    return set(moved)


def _locked(session: Session, ids: Iterable[int]) -> list[Any]:
    """Lock deliveries by id, and return how they stand."""
    wanted = sorted(set(ids))
    rows: list[Any] = []
    for start in range(0, len(wanted), 5000):
        some = select(Delivery.id, Delivery.state, Delivery.attempt, Delivery.final_at).where(Delivery.id.in_(wanted[start : start + 5000]))
        rows += session.execute(some.order_by(Delivery.id).with_for_update(key_share=True)).all()
    return rows


def _joined(rows: Select[Any]) -> Select[Any]:
    return (
        rows.select_from(Delivery)
        .join(Recipient, Recipient.id == Delivery.recipient_id)
        .join(Campaign, Campaign.id == Delivery.campaign_id)
        .join(CampaignStep, and_(CampaignStep.campaign_id == Delivery.campaign_id, CampaignStep.number == Delivery.step))
    )


def _some_enterprise(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return that an enterprise of the recipient's fulfils these."""
    spoken = aliased(RecipientEnterprise)
    return exists().where(spoken.recipient_id == Recipient.id, Enterprise.id == spoken.enterprise_id, *conditions).correlate(Recipient, Campaign)


def _unsettled() -> ColumnElement[bool]:
    return or_(Enterprise.settled_at.is_(None), Enterprise.settled_at <= Campaign.approved_at)


def _signed() -> ColumnElement[bool]:
    pledge = select(PledgeVersion.pledge).where(PledgeVersion.id == Campaign.pledge_version_id).correlate(Campaign).scalar_subquery()
    return exists().where(Signature.enterprise_id == Enterprise.id, Signature.pledge == pledge, Signature.state.in_(CURRENT)).correlate(Enterprise, Campaign)
