"""Take in a pile of sheets: each goes to its enterprise by the code on it, is counted once, and what no machine can tell waits for a person.

A page's scan and its signature are one transaction, so a pile that was broken off goes on, and one that was read changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.database.engine import Database
from outreach.database.pledge_tables import Scan, Signature
from outreach.database.tables import PledgeVersion
from outreach.i18n import gettext as _
from outreach.pledges import paper, routing, scans, sheet_codes
from outreach.pledges.paper import Paper, SignedBeforeText
from outreach.pledges.routing import Route
from outreach.pledges.scans import Kept, Page
from outreach.settings import Settings

RESULTS = ("recorded", "completed", "already", "unreadable", "foreign")
CAPACITY = "principal"
"""Nobody has read yet in what capacity it was signed; whoever is written to is the principal, until a person looks."""
FOREIGN = ("other_office", "other_mode")


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one page. `reason` is an id that `say` puts into words; `scan_id` names what waits for a person."""

    file: str
    page: int
    result: str
    reason: str = ""
    enterprise: str = ""
    serial: str = ""
    scan_id: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the line as JSON shows it."""
        return {name: getattr(self, name) for name in ("file", "page", "result", "reason", "enterprise", "serial", "scan_id")}


@dataclass(slots=True)
class Summary:
    """What became of a pile: `read` is the sum of the results."""

    lines: list[Line] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, line: Line) -> None:
        """Count a page."""
        self.lines.append(line)
        self.counts[line.result] += 1

    def figures(self) -> dict[str, int]:
        """Return how many pages were read, and how many came to what."""
        return {"read": len(self.lines), **{result: self.counts[result] for result in RESULTS}}

    def document(self) -> dict[str, Any]:
        """Return the summary as JSON shows it."""
        return {**self.figures(), "files": [line.document() for line in self.lines]}


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose sheet a page is."""

    route: Route
    enterprise_id: int

    @property
    def name(self) -> str:
        return self.route.enterprises[self.enterprise_id]


@dataclass(frozen=True, slots=True)
class _Unowned:
    """That nobody can be told, and why; `result` is unreadable or foreign."""

    reason: str
    result: str = "unreadable"


def read(
    database: Database, paths: Sequence[Path], *, settings: Settings, by: str, now: datetime, at: datetime | None = None, town: str = "", dry_run: bool = False
) -> Iterator[Line]:
    """Read a pile and yield what became of each page, once it is committed.

    `at` is when the sheets were signed, without it `now`; `town` limits whoever reads it to the sheets of one town. With `dry_run` nothing is
    written. Raises ScanMissing before anything is read.
    """
    pile = _Pile(settings, by, now, at or now, town, dry_run)
    for page in scans.pages(paths):
        if page.picture is None or not page.scanned:
            yield Line(page.file, page.number, "unreadable", page.fault or "not_scanned")
            continue
        kept, texts = scans.kept(page), sheet_codes.find(page.picture)
        with database.read() if dry_run else database.write() as session:
            line = pile.take(session, page, kept, texts)
        yield line


@dataclass(slots=True)
class _Pile:
    settings: Settings
    by: str
    now: datetime
    at: datetime
    town: str
    dry_run: bool
    rehearsed: set[Any] = field(default_factory=set)
    """Digests and enterprises that a dry run would have recorded by now."""

    def take(self, session: Session, page: Page, kept: Kept, texts: Sequence[str]) -> Line:
        """Decide on one page and write it down."""
        if serial := _serial_of(session, kept):
            return Line(page.file, page.number, "already", "same_scan", serial=serial)
        owner = self._owner(session, page, texts)
        if isinstance(owner, _Owner):
            return self._record(session, page, kept, owner)
        scan = None if self.dry_run else paper.store(session, kept, signature=None, reason=owner.reason, by=self.by, now=self.now)[0]
        return Line(page.file, page.number, owner.result, owner.reason, scan_id=scan)

    def _owner(self, session: Session, page: Page, texts: Sequence[str]) -> _Owner | _Unowned:
        marks = sheet_codes.marks(texts)
        if not marks:
            assert page.picture is not None
            return _Unowned("foreign_code", "foreign") if texts else _Unowned("blank" if sheet_codes.is_blank(page.picture) else "no_code")
        found = [(routing.by_claim(session, marked.claimed, settings=self.settings), marked.enterprise_id) for marked in marks]
        proved = {(route.recipient_id, named): (route, named) for route, named in found if isinstance(route, Route)}
        if not proved:
            reason = next(why for why, _named in found if isinstance(why, str))
            return _Unowned(reason, "foreign" if reason in FOREIGN else "unreadable")
        if len(proved) > 1:
            return _Unowned("two_sheets")
        [(route, named)] = proved.values()
        return self._of_route(session, route, named)

    def _of_route(self, session: Session, route: Route, named: int | None) -> _Owner | _Unowned:
        if self.town not in ("", route.town):
            return _Unowned("other_town")
        if named is None and len(route.enterprises) > 1:
            return _Unowned("several_enterprises")
        key = next(iter(route.enterprises), None) if named is None else named
        if key is None or key not in route.enterprises:
            return _Unowned("not_spoken_for")
        if key not in paper.standing(session, [key], route.version) and _has_withdrawn(session, key, route):
            return _Unowned("withdrawn")
        try:
            paper.require_text(route.version, self.at)
        except SignedBeforeText:
            return _Unowned("too_early")
        return _Owner(route, key)

    def _record(self, session: Session, page: Page, kept: Kept, owner: _Owner) -> Line:
        if self.dry_run:
            return self._rehearse(session, page, kept, owner)
        sheet = Paper(signer=owner.route.contact, capacity=CAPACITY, review=True, at=self.at, now=self.now, by=self.by)
        [done] = paper.record(session, owner.route, [owner.enterprise_id], sheet, [kept])
        return Line(page.file, page.number, done.result, done.reason, done.enterprise, done.serial)

    def _rehearse(self, session: Session, page: Page, kept: Kept, owner: _Owner) -> Line:
        stands = paper.standing(session, [owner.enterprise_id], owner.route.version).get(owner.enterprise_id)
        result, reason = paper.verdict(stands, owner.route.version)
        if kept.digest in self.rehearsed:
            result, reason = "already", "same_scan"
        elif result != "already" and (owner.enterprise_id, owner.route.version.pledge) in self.rehearsed:
            result, reason = "already", "scanned_before"
        self.rehearsed |= {kept.digest, (owner.enterprise_id, owner.route.version.pledge)}
        return Line(page.file, page.number, result, reason, owner.name, stands.serial if stands and result != "recorded" else "")


def _serial_of(session: Session, kept: Kept) -> str | None:
    """Return the signature that has this very scan."""
    return session.scalar(select(Signature.serial).join(Scan, Scan.signature_id == Signature.id).where(Scan.digest == kept.digest))


def _has_withdrawn(session: Session, enterprise: int, route: Route) -> bool:
    """Whether an enterprise took back its signature under this text or a later one: its sheet may be the one that it took back."""
    query = (
        select(Signature.id)
        .join(PledgeVersion, PledgeVersion.id == Signature.version_id)
        .where(Signature.enterprise_id == enterprise, Signature.pledge == route.version.pledge, Signature.state == "withdrawn")
        .where(PledgeVersion.number >= route.version.number)
    )
    return session.scalar(query.limit(1)) is not None


def summed(lines: Iterable[Line]) -> Summary:
    """Return the summary of a pile."""
    summary = Summary()
    for line in lines:
        summary.add(line)
    return summary


def say(reason: str) -> str:
    """Return the words for why a page was not recorded, with what to do."""
    return {
        "same_scan": _("this very scan was recorded before"),
        "scanned_before": _("the enterprise's sheet was recorded before"),
        "signed_online": _("the enterprise has signed online"),
        "renewed": _("the enterprise had signed this text, and has signed a newer one since"),
        "pending": _("recorded before; it waits for its scan"),
        "not_scanned": _("it is the printed form itself, not a scan of it; if it was signed on a screen, give it with CODE --scan FILE"),
        "blank": _("nothing stands on the page"),
        "no_code": _("no QR code can be read; type the code printed beneath it"),
        "foreign_code": _("the QR code is not one of our sheets'"),
        "other_office": _("the sheet is not this office's"),
        "other_mode": _("the sheet was printed in a rehearsal, or in production while this is a rehearsal"),
        "no_sheet": _("it is a letter or a link of ours, not a sheet to be signed"),
        "not_launched": _("the campaign of this sheet is not launched"),
        "two_sheets": _("several sheets are on one picture; photograph each by itself"),
        "several_enterprises": _("its person speaks for several enterprises, and the code does not say for which"),
        "not_spoken_for": _("the enterprise of this sheet is not spoken for by its person any more"),
        "other_town": _("the sheet is another town's"),
        "withdrawn": _("the enterprise has withdrawn; look whether it signed anew since"),
        "too_early": _("the text of the pledge was not there yet on that day"),
    }.get(reason) or scans.say(reason)
