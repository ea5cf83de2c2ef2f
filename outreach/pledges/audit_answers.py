"""Hold refusals and corrections against their evidence: none may be gone, and none slipped in."""

from collections import Counter
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from outreach.database.pledge_tables import Correction, Evidence, Refusal
from outreach.pledges.faults import Report


def audit(session: Session, report: Report) -> None:
    """Count refusals by enterprise and recipient, and corrections by recipient, against the evidence of them."""
    _compare(session, report, "declined", select(Refusal.enterprise_id, Refusal.recipient_id), (Evidence.enterprise_id, Evidence.recipient_id))
    _compare(session, report, "corrected", select(Correction.recipient_id), (Evidence.recipient_id,))


def _compare(session: Session, report: Report, act: str, kept: Select[*tuple[Any, ...]], key: tuple[Any, ...]) -> None:
    stands = Counter(tuple(row) for row in session.execute(kept))
    told = Counter(tuple(row) for row in session.execute(select(*key).where(Evidence.act == act)))
    for what, difference in (("answer_missing", told - stands), ("answer_unproved", stands - told)):
        for place in sorted(difference, key=str):
            report.add(what, f"{act} {' '.join('-' if part is None else str(part) for part in place)}")
