"""Read the results that were typed into a list of visits: of each row which enterprise it means, and whether it is known already.

Each slice of rows is one transaction, as with a contact list: what is committed stays, and the same file again changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.campaigns import visiting
from outreach.campaigns.visiting import Brought, Outcome
from outreach.contacts import cleaning, reading
from outreach.contacts.entries import Refusal
from outreach.contacts.rejects import RejectsFile, beside
from outreach.database.engine import Database
from outreach.database.tables import Enterprise
from outreach.settings import Settings
from outreach.visits import workbook
from outreach.visits.workbook import REASONS, Layout, Row

SLICE = 500
"""Rows a transaction: some tenths of a second."""
Transaction = Callable[[], AbstractContextManager[Session]]


@dataclass
class ImportResult:
    """What became of a list's rows: read = recorded + already + unchanged + rejected. `unchanged`: nothing was typed into the row."""

    file: str
    read: int = 0
    recorded: int = 0
    already: int = 0
    unchanged: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    """The recorded ones by what they brought."""
    pending: int = 0
    """Papers that wait for their scan."""
    phones: int = 0
    """Numbers that were new."""
    rejects: str | None = None
    dry_run: bool = False

    @property
    def rejected(self) -> int:
        """Rows that were refused, each for one reason."""
        return self.reasons.total()

    def figures(self) -> dict[str, int]:
        """Return the counts of rows, and of what followed."""
        return {name: getattr(self, name) for name in ("read", "recorded", "already", "unchanged", "rejected", "pending", "phones")}

    def document(self) -> dict[str, Any]:
        """Return the result as JSON shows it."""
        reasons = {reason: self.reasons[reason] for reason in REASONS if self.reasons[reason]}
        results = {result: self.results[result] for result in workbook.RESULTS if self.results[result]}
        return {"file": self.file, **self.figures(), "results": results, "reasons": reasons, "rejects": self.rejects, "dry_run": self.dry_run}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a list is to be read: whose results, for a row that names nobody; on which day, for one that names none; of which town's enterprises.

    `limit` is the town beyond which whoever asks may not go.
    """

    visitor: str = ""
    day: datetime | None = None
    town: str = ""
    limit: str = ""


def import_file(
    database: Database,
    path: Path,
    *,
    settings: Settings,
    asked: Asked,
    by: str,
    now: datetime,
    sheet: str | None = None,
    rejects: Path | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Import a list with results, and return what became of its rows. A bad row never stops the file; it goes to the list of refused rows.

    `progress` is told after each transaction how many rows were read. Raises the errors of `reading`, `workbook` and `rejects`, each
    before anything is written.
    """
    with ExitStack() as stack:
        source = stack.enter_context(reading.opened(path, sheet=sheet, max_cells=settings.max_cells))
        layout, rows = workbook.read(source, file=path, now=now)
        refused = None if dry_run and rejects is None else RejectsFile(rejects or beside(path), path, words=workbook.explain)
        if refused is not None:
            stack.callback(refused.discard)
        result = ImportResult(str(path), dry_run=dry_run)
        transaction = stack.enter_context(_rehearsal(database)) if dry_run else database.write
        while some := list(islice(rows, SLICE)):
            with transaction() as session:
                outcomes = _bring_in(session, [row for row in some if isinstance(row, Row)], layout, asked, settings=settings, by=by, now=now)
            told = sorted([*(row for row in some if isinstance(row, Refusal)), *(one for one in outcomes if isinstance(one, Refusal))])
            _count(result, some, [one for one in outcomes if isinstance(one, Outcome)], told)
            if refused is not None:
                refused.write(told)
            if progress is not None:
                progress(result.read)
        kept = refused.keep() if refused is not None else None
        result.rejects = str(kept) if kept else None
    return result


@contextmanager
def _rehearsal(database: Database) -> Iterator[Transaction]:
    """Give transactions inside one that is rolled back at the end."""
    with database.write() as session:

        @contextmanager
        def inner() -> Iterator[Session]:
            with session.begin_nested():
                yield session

        yield inner
        session.rollback()


def _count(result: ImportResult, rows: Sequence[Any], outcomes: Iterable[Outcome], refused: Sequence[Refusal]) -> None:
    result.read += len(rows)
    result.unchanged += sum(row is None for row in rows)
    result.reasons.update(refusal.reason for refusal in refused)
    for one in outcomes:
        result.already += one.state == "already"
        if one.state == "recorded":
            result.recorded += 1
            result.results[one.result] += 1
            result.pending += one.signature == "pending"
            result.phones += one.phone


def _bring_in(session: Session, rows: Sequence[Row], layout: Layout, asked: Asked, *, settings: Settings, by: str, now: datetime) -> list[Outcome | Refusal]:
    """Record the rows whose enterprise is found, and return what became of each."""
    known = _Directory(session, rows)
    found: list[tuple[Row, int]] = []
    refused: list[Outcome | Refusal] = []
    for row in rows:
        try:
            found.append((row, known.meant(row, asked)))
        except workbook.Faulty as fault:
            refused.append(Refusal(row.line, layout.heading(fault.column), fault.value, fault.reason))
    outcomes = visiting.record(session, [_brought(row, key, asked, now) for row, key in found], settings=settings, by=by, now=now)
    for (row, _key), one in zip(found, outcomes, strict=True):
        rejected = Refusal(row.line, layout.heading("result"), workbook.RESULTS[row.result], one.reason)
        refused.append(rejected if one.state == "rejected" else one)
    return refused


def _brought(row: Row, enterprise: int, asked: Asked, now: datetime) -> Brought:
    day = row.day or asked.day
    return Brought(
        enterprise_id=enterprise,
        result=row.result,
        at=day or now,
        day=day is not None,
        visitor=row.visitor or asked.visitor,
        visit=row.visit,
        phone=row.phone,
        remark=row.remark,
    )


class _Directory:
    """The enterprises that some rows can mean."""

    def __init__(self, session: Session, rows: Sequence[Row]) -> None:
        columns = select(Enterprise.id, Enterprise.name, Enterprise.town, Enterprise.credit_code)
        self.by_id = _by(session, columns.where(Enterprise.id.in_({row.id for row in rows if row.id})), "id")
        self.by_code = _by(session, columns.where(Enterprise.credit_code.in_({row.credit_code for row in rows if row.credit_code})), "credit_code")
        self.by_name = _by(session, columns.where(Enterprise.name.in_({row.enterprise for row in rows if row.enterprise})), "name")

    def meant(self, row: Row, asked: Asked) -> int:
        """Return the enterprise that a row means: by our number, else by credit code, else by name and town. Raises Faulty."""
        found = self._by_number(row) or self._by_code(row) or self._by_name(row, asked)
        if asked.limit and found.town != asked.limit:
            raise workbook.Faulty("enterprise", row.enterprise, "other_town")
        return int(found.id)

    def _by_number(self, row: Row) -> Any:
        """Return the enterprise of our number; where name and code are another's, rows were moved against each other."""
        one = next(iter(self.by_id.get(row.id, ())), None)
        if one is None:
            return None
        same_code = bool(row.credit_code) and row.credit_code == one.credit_code
        if same_code or cleaning.name(one.name) == row.enterprise or not (row.enterprise or row.credit_code):
            return one
        raise workbook.Faulty("enterprise", row.enterprise or row.credit_code, "mismatch")

    def _by_code(self, row: Row) -> Any:
        return next(iter(self.by_code.get(row.credit_code, ())), None) if row.credit_code else None

    def _by_name(self, row: Row, asked: Asked) -> Any:
        town = row.town or asked.town or asked.limit
        named = [one for one in self.by_name.get(row.enterprise, ()) if not (row.credit_code and one.credit_code)]
        fitting = [one for one in named if not town or one.town == town] or [one for one in named if not one.town]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise workbook.Faulty("enterprise", row.enterprise, "conflict")
        column = "enterprise" if row.enterprise else "credit_code"
        raise workbook.Faulty(column, row.enterprise or row.credit_code, "other_town" if named and asked.limit else "enterprise_unknown")


def _by(session: Session, query: Any, key: str) -> Mapping[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for row in session.execute(query):
        found.setdefault(getattr(row, key), []).append(row)
    return found
