"""Evidence on both databases: written by whoever acts, closed into blocks by one closer at a time, and never changed again."""

import threading
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from signers import AT, Signers
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from outreach.database.engine import Database
from outreach.database.pledge_tables import EvidencePersonal
from outreach.pledges import evidence, sealing
from outreach.pledges.evidence import Entry, Header
from outreach.settings import Settings
from outreach.worker.duty import Duty


@pytest.fixture
def office(database: Database) -> Signers:
    return Signers(database)


def entries(count: int, **changes: Any) -> list[Entry]:
    known: dict[str, Any] = {"act": "opened", "enterprise_id": None, "recipient_id": None, "signature_id": None}
    return [Entry(**known | {"at": AT + timedelta(seconds=number), "facts": {"number": number}} | changes) for number in range(count)]


def append(office: Signers, count: int, **changes: Any) -> None:
    with office.database.write() as session:
        sealing.append(session, entries(count, **changes))


def test_what_is_appended_stands_with_its_leaf_and_what_is_personal_stands_elsewhere(office: Signers) -> None:
    append(office, 2, personal={"signer": "王小明", "ink": [[[1, 2.5, 3]]], "note": None}, contact_id=9)
    append(office, 1)
    rows = office.rows("select id, body, leaf, block_id, position from evidence order by id")
    assert [(row.id, row.block_id, row.position) for row in rows] == [(1, None, None), (2, None, None), (3, None, None)]
    assert all(row.leaf == evidence.leaf(row.body) for row in rows)
    assert not any("王小明" in row.body for row in rows)
    with office.database.read() as session:
        personal = session.query(EvidencePersonal).order_by(EvidencePersonal.evidence_id).all()
    assert [(row.evidence_id, row.contact_id) for row in personal] == [(1, 9), (2, 9)]
    assert personal[0].salt != personal[1].salt
    assert all(len(row.salt) == 32 for row in personal)
    for row, kept in zip(rows, personal, strict=False):
        assert evidence.told(row.body)["commitment"] == evidence.commitment(kept.salt, kept.content)


def test_nothing_to_append_writes_nothing_and_an_empty_evidence_has_no_block(office: Signers) -> None:
    append(office, 0)
    assert office.close() is None
    assert office.rows("select 1 from evidence union all select 1 from evidence_block") == []


def test_blocks_follow_each_other_and_each_is_chained_to_the_one_before(office: Signers) -> None:
    for count in (3, 1, 5):
        append(office, count)
        assert office.close() is not None
        assert office.close() is None
    blocks = office.blocks()
    assert [(block.id, block.size) for block in blocks] == [(1, 3), (2, 1), (3, 5)]
    assert [block.previous for block in blocks] == [evidence.GENESIS, blocks[0].digest, blocks[1].digest]
    for block in blocks:
        rows = office.rows(f"select leaf, position from evidence where block_id = {block.id} order by id")
        assert [row.position for row in rows] == list(range(block.size))
        header = Header(number=block.id, previous=block.previous, root=block.root, size=block.size, closed_at=block.closed_at)
        assert block.root == evidence.merkle_root(row.leaf for row in rows)
        assert block.digest == header.digest


def test_a_block_takes_so_many_rows_and_leaves_the_others_to_the_next(office: Signers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BLOCK", 10)
    append(office, 25)
    assert [office.close() for _ in range(4)] == [1, 2, 3, None]
    assert [block.size for block in office.blocks()] == [10, 10, 5]
    assert office.audit().ok


@pytest.mark.parametrize(
    "change",
    [
        "delete from evidence where id = 1",
        "update evidence set body = '{}' where id = 1",
        "update evidence set leaf = '00' where id = 2",
        "update evidence set act = 'erased' where id = 2",
        "update evidence set signature_id = 5 where id = 2",
        "update evidence set enterprise_id = 5 where id = 1",
        "update evidence set recipient_id = 5 where id = 1",
        "update evidence set id = 99 where id = 2",
        "update evidence set block_id = null, position = null where id = 1",
        "update evidence set position = 7 where id = 1",
    ],
)
def test_the_database_refuses_to_change_or_lose_a_row(office: Signers, change: str) -> None:
    append(office, 1)
    office.close()
    append(office, 1)
    before = office.rows("select * from evidence order by id")
    with pytest.raises(DBAPIError, match="append-only"):
        office.write(change)
    assert office.rows("select * from evidence order by id") == before


def test_what_is_not_committed_stays_open_for_a_later_block(office: Signers) -> None:
    if not office.database.is_postgresql:
        append(office, 2)
        assert office.close() == 1  # SQLite has one writer: nothing can be under way beside a closer
        return
    with office.database.write() as slow:
        sealing.append(slow, entries(2))
        append(office, 3)
        assert office.close() == 1
    assert office.close() == 2
    assert [block.size for block in office.blocks()] == [3, 2]
    assert [row.id for row in office.rows("select id from evidence where block_id = 1 order by position")] == [3, 4, 5]
    assert office.audit().ok


def test_what_is_rolled_back_leaves_no_evidence_and_no_gap(office: Signers) -> None:
    append(office, 1)
    with pytest.raises(RuntimeError), office.database.write() as session:
        sealing.append(session, entries(2))
        assert sealing.close_block(session, now=AT) == 1
        raise RuntimeError
    append(office, 1)
    assert office.close() == 1
    assert [block.size for block in office.blocks()] == [2]
    assert office.audit().ok


def test_many_closers_at_once_close_every_row_once_and_leave_no_gap(office: Signers) -> None:
    """Four write while four close; each on a connection of its own."""
    over, faults = threading.Event(), []

    def work(act: Any) -> None:
        try:
            with closing(Database(office.database.url)) as mine:
                act(Signers(mine))
        except Exception as error:  # noqa: BLE001
            faults.append(error)

    def write(mine: Signers) -> None:
        for _ in range(12):
            append(mine, 3, personal={"signer": "王小明"})

    def close(mine: Signers) -> None:
        while not over.is_set():
            mine.close()

    closers = [threading.Thread(target=work, args=(close,)) for _ in range(4)]
    writers = [threading.Thread(target=work, args=(write,)) for _ in range(4)]
    for thread in (*closers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in closers:
        thread.join()
    while office.close():
        pass
    assert faults == []
    assert sum(block.size for block in office.blocks()) == 144
    report = office.audit()
    assert (report.ok, report.checked, report.open) == (True, 144, 0)


def test_a_worker_closes_blocks_once_a_minute_and_once_more_when_it_ends(office: Signers) -> None:
    settings = Settings(database_url=office.database.url, office_key="00" * 32)
    worker = Duty(settings)
    append(office, 2)
    worker.tick()
    assert [block.size for block in office.blocks()] == [2]
    append(office, 1)
    worker.tick()
    assert len(office.blocks()) == 1  # its minute is not over
    worker.close()
    assert [block.size for block in office.blocks()] == [2, 1]
    assert office.audit().ok
    with office.database.read() as session:
        assert session.scalar(text("select count(*) from worker_process")) == 0
