"""What each enterprise answered to a pledge: signed, declined or withdrawn.

The last act decides, but a signature that holds goes before all. One that was superseded by the next year's still signed its own pledge.
A paper without its scan (待补件) is no answer yet. Answers given in a rehearsal are never in a figure of production, nor the other way
about; what came in outside of any campaign is of either mode.
"""

from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Subquery, Text, cast, exists, func, literal, null, or_, select, union_all

from outreach.database.pledge_tables import Refusal, Scan, Signature
from outreach.database.tables import Campaign
from outreach.database.types import Id

ANSWERS = ("signed", "declined", "withdrawn")
Word: TypeAlias = str | ColumnElement[Any]
"""A word, or what gives one in SQL."""


def answers(pledge: Word | None, mode: Word) -> Subquery:
    """Return every act that is an answer to a pledge (None: to any), numbered by enterprise: `place` 1 is the one that decides.

    Columns: enterprise_id, act, rank (0: it holds), at, way, signature_id, refusal_id, place.
    """
    none = cast(null(), Id)
    was_counted = or_(Signature.method != "paper", exists().where(Scan.signature_id == Signature.id))
    signature = (Signature.way, Signature.id.label("signature_id"), none.label("refusal_id"))
    holding = select(*_act(Signature, "signed", rank=0, at=Signature.signed_at), *signature).where(Signature.state == "signed")
    superseded = select(*_act(Signature, "signed", rank=1, at=Signature.signed_at), *signature).where(Signature.state == "superseded", was_counted)
    withdrawn = select(*_act(Signature, "withdrawn", rank=1, at=Signature.ended_at), *signature).where(Signature.state == "withdrawn")
    declined = select(*_act(Refusal, "declined", rank=1, at=Refusal.declined_at), Refusal.way, none, Refusal.id)
    signatures = [query.where(*of(Signature, pledge, mode)) for query in (holding, superseded, withdrawn)]
    acts = union_all(*signatures, declined.where(*of(Refusal, pledge, mode))).subquery()
    order = (acts.c.rank, acts.c["at"].desc(), acts.c.act, acts.c.signature_id.desc(), acts.c.refusal_id.desc())
    place = func.row_number().over(partition_by=acts.c.enterprise_id, order_by=order).label("place")
    return select(acts, place).subquery()


def _act(table: type[Signature] | type[Refusal], act: str, *, rank: int, at: Any) -> list[ColumnElement[Any]]:
    return [table.enterprise_id.label("enterprise_id"), literal(act, Text()).label("act"), literal(rank).label("rank"), at.label("at")]


def of(table: type[Signature] | type[Refusal], pledge: Word | None, mode: Word) -> list[ColumnElement[bool]]:
    """Return the conditions of a mode and, if one is asked for, of a pledge."""
    in_mode = or_(table.campaign_id.is_(None), table.campaign_id.in_(select(Campaign.id).where(Campaign.mode == mode)))
    return [in_mode, *([table.pledge == pledge] if pledge is not None else [])]
