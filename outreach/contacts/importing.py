"""Import a list: read it, clean it, and bring it into the directory a few thousand rows at a time.

Each slice of rows is one transaction. What is committed stays when somebody presses Ctrl-C or a cable breaks; the same command then goes
on, for rows that stand already change nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from outreach.contacts import mapping as mappings
from outreach.contacts import reading, workbooks
from outreach.contacts.cleaning import Unclean
from outreach.contacts.entries import REASONS, Entry, Refusal, RowReader
from outreach.contacts.merging import Slice
from outreach.contacts.rejects import RejectsFile, beside
from outreach.contacts.storing import Claimed, load, lock, store
from outreach.database.bulk import take_stock
from outreach.database.engine import Database
from outreach.database.tables import Contact, Enterprise
from outreach.errors import Unavailable

SLICE = 5000
"""Rows a transaction: about a quarter of a second, so that on SQLite nobody who sends waits long."""
TRIES = 3

Transaction = Callable[[], AbstractContextManager[Session]]
"""Opens a transaction that commits at its end."""


class DirectoryBusy(Unavailable):
    """Another program keeps writing the same enterprises. What was imported so far stands; run the same command again"""


class SheetWithoutHeadings(mappings.HeadingsUnknown):
    """The sheet of {file} that was read has no headings of a contact list. Its other sheets: {sheets}. Name the right one with --sheet S"""


class Progress(Protocol):
    """Told after each slice how many rows were read, and the share of the file that this is."""

    def __call__(self, rows: int, share: float) -> None: ...


@dataclass
class ImportResult:
    """What an import did, counted by rows of the list: read = added + updated + unchanged + rejected."""

    file: str
    mapping: str = ""
    read: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    rejects: str | None = None
    dry_run: bool = False
    other_sheets: Sequence[str] = ()
    """The sheets of a workbook that were not read."""

    @property
    def rejected(self) -> int:
        """Rows that were refused, each for one reason."""
        return self.reasons.total()

    def document(self) -> dict[str, Any]:
        """Return the result as JSON shows it."""
        reasons = {reason: self.reasons[reason] for reason in REASONS if self.reasons[reason]}
        figures = {name: getattr(self, name) for name in ("file", "mapping", "read", "added", "updated", "unchanged", "rejected")}
        return {**figures, "reasons": reasons, "rejects": self.rejects, "dry_run": self.dry_run}


def import_file(
    database: Database,
    path: Path,
    *,
    folders: Sequence[Path],
    now: datetime,
    mapping: str | None = None,
    sheet: str | None = None,
    rejects: Path | None = None,
    dry_run: bool = False,
    max_cells: int = workbooks.MAX_CELLS,
    progress: Progress | None = None,
) -> ImportResult:
    """Import a contact list, and return what became of its rows. A bad row never stops the file; it goes to the list of refused rows.

    With `dry_run` all of it happens in one transaction that is rolled back, so the figures are the same; that holds the write lock of an
    SQLite file for as long, and the list of refused rows is written only where `rejects` says so.

    Raises the errors of `reading`, `mapping` and `rejects`, each before anything is written.
    """
    with ExitStack() as stack:
        source = stack.enter_context(reading.opened(path, sheet=sheet, max_cells=max_cells))
        top = list(islice(source.rows, mappings.HEADER_ROWS))
        layout = _layout(top, source, folders=folders, name=mapping, file=path)
        refused = None if dry_run and rejects is None else RejectsFile(rejects or beside(path), path)
        if refused is not None:
            stack.callback(refused.discard)
        result = ImportResult(file=str(path), mapping=layout.mapping.name, dry_run=dry_run)
        work = _Import(RowReader(layout), result, refused, now)
        transaction = stack.enter_context(_rehearsal(database)) if dry_run else database.write
        for rows in _slices(chain(top, source.rows)):
            work.bring_in(rows, transaction)
            if progress is not None:
                progress(result.read, source.share())
        if result.added >= SLICE and not dry_run:
            with database.write() as session:
                take_stock(session, Enterprise, Contact)
        result.other_sheets = source.other_sheets
        kept = refused.keep() if refused is not None else None
        result.rejects = str(kept) if kept else None
    return result


def _layout(top: Sequence[reading.Row], source: reading.Source, *, folders: Sequence[Path], name: str | None, file: Path) -> mappings.Layout:
    """Find the heading row; where a workbook begins with a sheet of another kind, say which others it has."""
    try:
        return mappings.choose(top, folders=folders, name=name, file=file)
    except mappings.HeadingsUnknown as error:
        if not source.other_sheets:
            raise
        raise SheetWithoutHeadings(file=file, sheets="、".join(source.other_sheets)) from error


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


def _slices(rows: Iterator[reading.Row]) -> Iterator[list[reading.Row]]:
    while batch := list(islice(rows, SLICE)):
        yield batch


class _Import:
    """One list on its way in: what its rows have claimed so far, and what became of them."""

    def __init__(self, reader: RowReader, result: ImportResult, refused: RejectsFile | None, now: datetime) -> None:
        self.reader = reader
        self.result = result
        self.refused = refused
        self.now = now
        self.claims = Claimed()

    def bring_in(self, rows: Sequence[reading.Row], transaction: Transaction) -> None:
        """Bring some rows in, in one transaction, and count them once it is committed."""
        first = self.reader.layout.line
        outcomes = [outcome for line, cells in rows if line > first and (outcome := self.reader.read(line, cells)) is not None]
        entries = [outcome for outcome in outcomes if isinstance(outcome, Entry)]
        refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
        counts, conflicts = self._merge(entries, transaction)
        refusals = sorted(refusals + conflicts, key=lambda refusal: refusal.line)
        if self.refused is not None:
            self.refused.write(refusals)
        self.result.read += len(outcomes)
        self.result.added += counts["added"]
        self.result.updated += counts["updated"]
        self.result.unchanged += counts["unchanged"]
        self.result.reasons.update(refusal.reason for refusal in refusals)

    def _merge(self, entries: Sequence[Entry], transaction: Transaction) -> tuple[Counter[str], list[Refusal]]:
        """Decide on each entry and write what changed; where somebody else wrote the same enterprise meanwhile, look again."""
        for _attempt in range(TRIES):
            try:
                with transaction() as session:
                    lock(session)
                    part = load(session, entries, self.claims)
                    counts, conflicts = self._apply(part, entries)
                    store(session, part, now=self.now)
            except IntegrityError:
                continue
            self.claims.keep(part)
            return counts, conflicts
        raise DirectoryBusy()

    def _apply(self, part: Slice, entries: Sequence[Entry]) -> tuple[Counter[str], list[Refusal]]:
        counts: Counter[str] = Counter()
        conflicts = []
        for entry in entries:
            try:
                counts[part.apply(entry)] += 1
            except Unclean as unclean:
                value = entry.credit_code or entry.name
                column = self.reader.heading("credit_code" if entry.credit_code else "name")
                conflicts.append(Refusal(entry.line, column, value, unclean.reason))
        return counts, conflicts
