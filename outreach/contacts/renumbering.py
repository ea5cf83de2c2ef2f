"""A new number that somebody brought: it goes to the enterprise's first contact, whose messages then go there and no longer to the old one."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.database import bulk
from outreach.database.tables import Contact


def renumber(session: Session, news: Mapping[int, str], *, first: Collection[int] = (), now: datetime) -> set[int]:
    """Give enterprises a new phone (E.164) each, and return those for which it was news.

    It goes to a contact among `first`, else to the first of the enterprise; one without contacts gets a contact without a name. Where
    any of its contacts has that phone already, nothing changes. The caller holds `storing.lock`, so that no import adds the same one.
    """
    people = _people(session, news)
    changed, added = [], []
    for enterprise, phone in sorted(news.items()):
        mine = people.get(enterprise, [])
        if any(row.phone == phone for row in mine):
            continue
        if not mine:
            added.append({"enterprise_id": enterprise, "name": "", "phone": phone, "rank": 0, "created_at": now, "updated_at": now})
            continue
        row = next((row for row in mine if row.id in first), mine[0])
        changed.append({"id": row.id, "enterprise_id": enterprise, "phone": phone, "revision": row.revision + 1, "updated_at": now})
    bulk.update_rows(session, Contact, changed, keys=["id"], sets=["phone", "revision", "updated_at"])
    bulk.insert_rows(session, Contact, added)
    return {int(row["enterprise_id"]) for row in (*changed, *added)}


def _people(session: Session, enterprises: Collection[int]) -> dict[int, list[Any]]:
    columns = (Contact.id, Contact.enterprise_id, Contact.phone, Contact.revision)
    query = select(*columns).where(Contact.enterprise_id.in_(enterprises), Contact.erased_at.is_(None)).order_by(Contact.rank, Contact.id)
    found: dict[int, list[Any]] = {}
    for row in session.execute(query):
        found.setdefault(row.enterprise_id, []).append(row)
    return found
