"""What became of the crowd's letters: enterprises that opened, signed, declined, withdrew, signed again, or said our list is wrong."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count, cycle
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from outreach.database import bulk
from outreach.database.pledge_tables import CORRECTIONS, WAYS, Correction, Refusal, Scan, Signature
from outreach.database.tables import Enterprise, PledgeVersion, Recipient

from conftest import NOON  # isort: skip

OLD, NEW = "no-arrears-2025", "no-arrears-2026"
VERSIONS = {OLD: 1, NEW: 2}
HISTORIES: Mapping[str, Sequence[tuple[str, str]]] = {
    "silence": (),
    "opened": (("opened", ""),),
    "signed": (("opened", ""), ("signed", NEW)),
    "refused": (("opened", ""), ("declined", NEW)),
    "refused, then signed": (("declined", NEW), ("signed", NEW)),
    "withdrawn": (("signed", NEW), ("withdrawn", NEW)),
    "refused, signed, withdrawn": (("declined", NEW), ("signed", NEW), ("withdrawn", NEW)),
    "withdrawn, then refused": (("signed", NEW), ("withdrawn", NEW), ("declined", NEW)),
    "withdrawn, then signed again": (("signed", NEW), ("withdrawn", NEW), ("signed", NEW)),
    "renewed": (("signed", OLD), ("superseded", OLD), ("signed", NEW)),
    "renewed, then withdrawn": (("signed", OLD), ("superseded", OLD), ("signed", NEW), ("withdrawn", NEW)),
    "signed last year": (("signed", OLD),),
    "signed last year, refused this year": (("signed", OLD), ("declined", NEW)),
    "paper without scan": (("opened", ""), ("pending", NEW)),
    "refused, then a paper without scan": (("declined", NEW), ("pending", NEW)),
    "withdrawn, then a paper without scan": (("signed", NEW), ("withdrawn", NEW), ("pending", NEW)),
    "a paper without scan, then signed": (("pending", NEW), ("superseded", NEW), ("signed", NEW)),
    "a paper of last year that never got its scan, then signed": (("pending", OLD), ("superseded", OLD), ("signed", NEW)),
}
"""What enterprises did, act by act: an act and its pledge."""


def write_answers(session: Session) -> dict[int, str]:
    """Write down answers of every enterprise of the crowd, each history in turn; return which one each has."""
    pledge_versions(session)
    session.execute(text("update campaign set pledge_version_id = :key"), {"key": VERSIONS[NEW]})
    spoken = text("select e.enterprise_id, e.recipient_id, e.campaign_id from recipient_enterprise e order by e.enterprise_id")
    kept: dict[type[Any], list[dict[str, Any]]] = defaultdict(list)
    opened, outcomes, found = {}, {}, {}
    unscanned = set()
    ways, serials = cycle(WAYS), count(1)
    for (enterprise, recipient, campaign), (name, acts) in zip(session.execute(spoken), cycle(HISTORIES.items()), strict=False):
        found[enterprise] = name
        own: list[dict[str, Any]] = []
        for hour, (act, pledge) in enumerate(acts):
            at = NOON + timedelta(hours=hour + enterprise % 40)
            who = {"enterprise_id": enterprise, "pledge": pledge, "version_id": VERSIONS.get(pledge), "campaign_id": campaign, "recipient_id": recipient}
            if act == "opened":
                opened[recipient] = at
            elif act == "declined":
                kept[Refusal].append({**who, "way": next(ways), "reason": f"已有承诺 {enterprise}，详询13911112222", "declined_at": at})
            elif act in ("signed", "pending"):
                own.append(_signature(who, act, "paper" if act == "pending" else next(ways), at, next(serials)))
                unscanned |= {own[-1]["id"]} if act == "pending" else set()
            else:
                last = next(row for row in reversed(own) if row["pledge"] == pledge)
                last |= {"state": act, "ended_at": at, "ended_reason": "情况有变" if act == "withdrawn" else None}
            if act in ("signed", "declined", "withdrawn"):
                outcomes[enterprise] = (act, at)
        kept[Signature] += own
        if enterprise % 7 == 0:
            kind = CORRECTIONS[enterprise % 3]
            detail = "改为 139 1111 2222" if kind == "new_number" else ""
            kept[Correction].append({"recipient_id": recipient, "kind": kind, "detail": detail, "way": "link", "said_at": NOON})
    for table in (Signature, Refusal):
        bulk.insert_rows(session, table, kept[table])
    bulk.insert_rows(session, Correction, kept[Correction], ignore_conflicts=True)
    session.add_all(_scan(row["id"]) for row in kept[Signature] if row["method"] == "paper" and row["id"] not in unscanned)
    session.flush()
    bulk.update_rows(session, Recipient, [{"id": key, "opened_at": at} for key, at in opened.items()], keys=["id"], sets=["opened_at"])
    settled = [{"id": key, "outcome": outcome, "settled_at": at} for key, (outcome, at) in outcomes.items()]
    bulk.update_rows(session, Enterprise, settled, keys=["id"], sets=["outcome", "settled_at"])
    return found


def pledge_versions(session: Session) -> None:
    """Write a version of last year's pledge, 1, and of this year's, 2, which renews it."""
    texts = {"number": 1, "title": "不欠薪倡议书", "source": "…", "letter": "…", "privacy": "…", "fields": {}, "made_at": NOON}
    rows = [{"id": key, "pledge": name, "digest": name, "renews": OLD if name == NEW else "", **texts} for name, key in VERSIONS.items()]
    bulk.insert_rows(session, PledgeVersion, rows)


def _signature(who: Mapping[str, Any], state: str, way: str, at: datetime, serial: int) -> dict[str, Any]:
    return {
        **who,
        "id": serial,
        "serial": f"2026-{serial:06d}",
        "enterprise": f"示例企业{who['enterprise_id']}",
        "contact_id": None,
        "state": state,
        "way": way,
        "method": "paper" if way == "paper" else "typed",
        "signer": "张三",
        "capacity": "principal",
        "honour": serial % 2 == 0,
        "signed_at": at,
        "ended_at": None,
        "ended_reason": None,
    }


def _scan(key: int) -> Scan:
    """The scan of a paper that counts, or counted."""
    return Scan(digest=f"d{key}", name="扫描", kind="image/png", content=b"x", signature_id=key, recorded_by="alice", recorded_at=NOON)
