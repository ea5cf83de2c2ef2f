"""The towns as a league table: who got how many of their enterprises to sign, and by which way."""

from collections import defaultdict
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, Unpack

from sqlalchemy.orm import Session

from outreach.database.pledge_tables import WAYS
from outreach.reports import grouping as grouped
from outreach.reports import signatures, words
from outreach.reports.signatures import Which
from outreach.reports.tables import Column, Table

FIGURES = ("enterprises", "signed", "share", *WAYS, "pending")
"""A town's columns; those of the ways sum to `signed`."""


def league(session: Session, **which: Unpack[Which]) -> Table:
    """Return a row a town, the highest share of signed enterprises first; towns of the same share have the same rank.

    `share` is a percentage to one decimal; towns are ranked by the share itself. Enterprises whose town nobody knows come last, without
    a rank, and count in the totals. Raises CampaignNotFound, PledgeUnknown and AudienceError.
    """
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(("enterprises", "signed", *WAYS, "pending"), 0))
    for row in signatures.signatures(session, by=("town", "way"), **which).rows:
        town = found[row["town"]]
        for key in ("enterprises", "signed", "pending"):
            town[key] += row[key]
        if row["signed"]:
            town[row["way"]] += row["signed"]
    ordered = sorted(found.items(), key=lambda item: (item[0] == "", -_share(item[1]), -item[1]["signed"], item[0]))
    shares = [_share(figures) for town, figures in ordered if town]
    rows = [{"rank": shares.index(_share(figures)) + 1 if town else None, "town": town, **_with_share(figures)} for town, figures in ordered]
    totals = {key: sum(row[key] for row in rows) for key in FIGURES if key != "share"}
    return Table("towns", _columns(), rows, by=("town",), totals=_with_share(totals))


def _columns() -> list[Column]:
    ways = [Column(key, words.heading(words.way(key))) for key in WAYS]
    first = [grouped.column(key) for key in ("rank", "town", "enterprises", "signed", "share")]
    return [*first, *ways, grouped.column("pending")]


def _share(figures: Mapping[str, int]) -> Fraction:
    return Fraction(figures["signed"], figures["enterprises"]) if figures["enterprises"] else Fraction(0)


def _with_share(figures: Mapping[str, int]) -> dict[str, Any]:
    share = _share(figures) * 100
    percentage = (Decimal(share.numerator) / Decimal(share.denominator)).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return {key: percentage if key == "share" else figures[key] for key in FIGURES}
