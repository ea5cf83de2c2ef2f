"""Where a letter goes: the postal address of an enterprise, as it stands on the envelope.

On the channel `letter` an address is the enterprise's address with its name beneath: what comes back from there says nothing of another
enterprise in the same building, and an address that is mended is another one, to which letters may go again.
"""

from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, and_, exists, func, literal, or_, select
from sqlalchemy.orm import aliased

from outreach.database.tables import Address, Enterprise, RecipientEnterprise

CHANNEL = "letter"


def value(enterprise: Any = Enterprise) -> ColumnElement[str]:
    """Return what the address row of an enterprise's letters is called."""
    joined: ColumnElement[str] = enterprise.address.concat(literal("\n")).concat(enterprise.name)
    return joined


def written(address: str, name: str) -> str:
    """Return the same in Python."""
    return f"{address}\n{name}"


def usable(enterprise: Any = Enterprise) -> ColumnElement[bool]:
    """Return that an enterprise has an address from which no letter came back, and exists still."""
    marked = aliased(Address)
    returned = exists().where(marked.channel == CHANNEL, marked.value == value(enterprise), marked.suppressed_at.is_not(None)).correlate(enterprise)
    return and_(enterprise.address != "", enterprise.closed_at.is_(None), ~returned)


def addressee(recipient: ColumnElement[int], *, approved_at: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the enterprise to whose address a recipient's letter goes: of those spoken for that have one, the first that is still asked.

    Where letters came back from all of them it is the first of these: its letter is then refused, and the reason is known. Null where
    none has an address.
    """

    def first(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
        spoken = aliased(RecipientEnterprise)
        mine = (spoken.recipient_id == recipient, Enterprise.id == spoken.enterprise_id, Enterprise.address != "")
        return select(func.min(Enterprise.id)).where(*mine, *conditions).correlate_except(Enterprise, spoken).scalar_subquery()

    unsettled = or_(Enterprise.settled_at.is_(None), Enterprise.settled_at <= approved_at)
    return func.coalesce(first(usable(), unsettled), first(usable()), first())
