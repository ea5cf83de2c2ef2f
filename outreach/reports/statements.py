"""A campaign's statement as tables: one over its steps, one over its enterprises, and the list of enterprises behind that one."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from outreach.campaigns import directory, statement
from outreach.database.tables import Enterprise
from outreach.reports import words
from outreach.reports.deliveries import FIGURES, SLICE
from outreach.reports.tables import Column, Table

STEP = ("step", "occurrence", "channel")
ENTERPRISE_COLUMNS = (*statement.OUTCOMES, "reached", "waiting", "unknown", "not_reached")
LISTED = ("enterprise", "town", "credit_code", "column", "reason")


def steps_table(document: Mapping[str, Any]) -> Table:
    """Return the statement over the steps, a row each: what was not sent in all, then by reason. `document` is `statement.statement`'s."""
    rows = [_step_row(step) for step in document["steps"]]
    reasons = sorted({key for row in rows for key in row if key.startswith("skipped_")})
    everywhere = words.of_one(row["channel"] for row in rows)
    figures = [*FIGURES[: FIGURES.index("doubled")], *reasons, "doubled"]
    on = {reason: words.of_one(row["channel"] for row in rows if row.get(reason)) for reason in reasons}
    rows = [dict.fromkeys(reasons, 0) | row for row in rows]
    totals = {figure: sum(row[figure] for row in rows) for figure in figures}
    columns = [Column(key, words.heading(words.field(key))) for key in STEP]
    columns += [Column(key, _figure(key, on.get(key, everywhere))) for key in (*figures, "adds_up")]
    return Table("statement", columns, rows, by=STEP, totals=totals)


def _step_row(step: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in step.items() if key not in ("waiting", "skipped")}
    skipped = {f"skipped_{reason}": count for reason, count in step["skipped"].items()}
    return {**plain, **step["waiting"], "skipped": sum(step["skipped"].values()), **skipped}


def _figure(key: str, channel: str) -> str:
    if key.startswith("skipped_"):
        return f"{words.heading(words.column('skipped', channel))}: {words.skip_reason(key.removeprefix('skipped_'), channel)}"
    return words.heading(words.column(key, channel))


def enterprises_table(document: Mapping[str, Any]) -> Table:
    """Return the statement over the enterprises selected: a row for each column of it, for each reason where they were left out."""
    found = document["enterprises"]
    rows = [{"column": key, "reason": None, "enterprises": found[key]} for key in ENTERPRISE_COLUMNS]
    rows += [{"column": "excluded", "reason": reason, "enterprises": count} for reason, count in sorted(found["excluded"].items())]
    columns = [*_columns("column", "reason"), Column("enterprises", words.heading(words.field("enterprises")))]
    return Table("statement", columns, rows, by=("column", "reason"), totals={"enterprises": found["selected"]})


def enterprises_listing(session: Session, campaign: str, *, limit: int = 50, after: int | None = None) -> Table:
    """Return a page of the enterprises selected, each with the column of the statement that it stands in."""
    page = list(enterprises(session, campaign, limit=limit + 1, after=after))
    more = len(page) > limit
    everybody = statement.enterprise_rows(directory.named(session, campaign).id).subquery()
    total = session.scalar(select(func.count()).select_from(everybody))
    return Table("statement", _columns(*LISTED), page[:limit], total=total, next=page[limit - 1]["id"] if more and limit else None)


def enterprises(session: Session, campaign: str, *, limit: int | None = None, after: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the enterprises selected, row by row in the same memory; `id` is the enterprise's."""
    stands = statement.enterprise_rows(directory.named(session, campaign).id).subquery()
    query: Select[Any] = (
        select(
            Enterprise.id,
            Enterprise.name.label("enterprise"),
            Enterprise.town,
            Enterprise.credit_code,
            stands.c.column,
            stands.c.exclusion.label("reason"),
        )
        .join(stands, stands.c.enterprise_id == Enterprise.id)
        .order_by(Enterprise.id)
    )
    if after is not None:
        query = query.where(Enterprise.id > after)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query, execution_options={"yield_per": SLICE}):
        yield row._asdict() | {"reason": row.reason if row.column == "excluded" else None}


def _columns(*keys: str) -> list[Column]:
    return [Column(key, words.heading(words.field(key))) for key in keys]
