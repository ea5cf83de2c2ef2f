"""A print run without the command line: batches made, chunks taken and set, as a worker does it, each step by itself."""

import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from drive import LEASE, Office
from sqlalchemy import select, update

from outreach import clock
from outreach.database.paper_tables import Letter, PrintBatch, PrintChunk
from outreach.database.tables import Enterprise
from outreach.letters import batches, directory, output, posting, printing, returns
from outreach.letters.batches import Made
from outreach.letters.printing import Chunk

LETTER = {"channel": "letter", "template": "letter/open-letter"}
SHIPPED = Path(__file__).parent.parent / "templates" / "letter" / "open-letter.md"


def write_plain(home: Path) -> None:
    """Let an office's own letter be the shipped one alone: one page, with nothing behind it and nothing else in the envelope."""
    own = home / "templates" / "letter" / "open-letter.md"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text('+++\ntitle = "公开信"\n+++\n' + SHIPPED.read_text("utf-8").split("+++\n", 2)[2], "utf-8")


@pytest.fixture
def plain_letter(desk: Office) -> None:
    """The office's own letter is one page."""
    write_plain(desk.settings.home)


def addressed(desk: Office, count: int = 1, *, town: str = "桥头镇", **keys: Any) -> list[int]:
    """Found enterprises with a postal address each."""
    ids = desk.enterprises(count, town=town, **keys)
    for key in ids:
        desk.write(update(Enterprise).where(Enterprise.id == key).values(address=f"示例路{key}号"))
    return ids


def make(desk: Office, name: str = "drive", **keys: Any) -> Made:
    """Put what is due into batches."""
    with desk.database.write() as session:
        return batches.make(session, name, settings=desk.settings, by="alice", now=clock.now(), **keys)


def take(desk: Office, *, lease: timedelta = LEASE) -> Chunk | None:
    """Take a chunk."""
    with desk.database.write() as session:
        return printing.claim(session, settings=desk.settings, lease=lease, now=clock.now())


def keep(desk: Office, chunk: Chunk) -> bool:
    """Set a chunk and record it; return whether it was kept."""
    printed = printing.set_letters(chunk, settings=desk.settings)
    with desk.database.write() as session:
        return printing.record(session, chunk, printed, settings=desk.settings, now=clock.now())


def finish(desk: Office) -> list[int]:
    """Look which batches are printed to the end."""
    with desk.database.write() as session:
        return printing.finish(session, settings=desk.settings)


def print_all(desk: Office, name: str = "drive", **keys: Any) -> Made:
    """Make batches and set them to the end."""
    made = make(desk, name, **keys)
    while chunk := take(desk):
        assert keep(desk, chunk)
    finish(desk)
    return made


def post(desk: Office, *numbers: int, codes: Sequence[str] = (), excepted: Sequence[str] = (), **keys: Any) -> posting.Posted:
    now = clock.now()
    with desk.database.write() as session:
        found = {"batches": numbers, "codes": codes, "excepted": excepted, "on": now, "settings": desk.settings, "by": "alice", "now": now}
        return posting.post(session, **(found | keys))


def discard(desk: Office, number: int) -> posting.Discarded:
    with desk.database.write() as session:
        return posting.discard(session, number, settings=desk.settings, by="alice", now=clock.now())


def come_back(desk: Office, *codes: str, reason: str = "moved", undo: bool = False) -> returns.Returned:
    with desk.database.write() as session:
        rows = list(directory.require(session, codes, settings=desk.settings).values())
        if undo:
            return returns.undo(session, rows, now=clock.now())
        return returns.take_back(session, rows, reason=reason, now=clock.now())


def whole(desk: Office, number: int) -> output.Whole:
    """Return the letters of a batch in one PDF."""
    with desk.database.read() as session:
        found = output.batch(session, number, settings=desk.settings)
    return output.whole(found, settings=desk.settings)


def states(desk: Office) -> list[tuple[str, str | None]]:
    """Return how the letters stand."""
    return [(row.state, row.reason) for row in desk.deliveries() if row.channel == "letter"]


def batch_rows(desk: Office) -> list[Any]:
    return desk.rows(PrintBatch)


def chunk_rows(desk: Office) -> list[Any]:
    return desk.rows(PrintChunk)


def letter_rows(desk: Office) -> list[Any]:
    with desk.database.read() as session:
        return list(session.execute(select(Letter.__table__).order_by(Letter.batch_id, Letter.place)))


def codes(desk: Office) -> list[str]:
    """Return the codes of the recipients, in order."""
    return [row.code for row in desk.recipients()]


def words(content: bytes) -> str:
    """Return what stands in a PDF, by a reader that is not ours."""
    with NamedTemporaryFile(suffix=".pdf") as file:
        Path(file.name).write_bytes(content)
        return subprocess.run(["pdftotext", "-layout", file.name, "-"], capture_output=True, check=True, text=True).stdout


def printed_codes(content: bytes, known: Sequence[str]) -> list[str]:
    """Return which of the known codes stand in a PDF, page by page."""
    return [code for page in words(content).split("\f") for code in known if code in page]
