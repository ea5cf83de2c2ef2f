"""The PDF of a signature is made once, is the same file ever after, and is known again when somebody brings it."""

import threading
from pathlib import Path

import pytest
from papers import words

from outreach import clock
from outreach.database.engine import Database
from outreach.database.pledge_tables import SealedPdf, Signature
from outreach.pledges import copies, erasing, seals, signing
from outreach.pledges.copies import Copy
from outreach.pledges.documents import NotCounted
from outreach.pledges.signing import SignatureUnknown

from drive import Office, office, phone  # isort: skip


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    """An office with a seal of its own, and two signatures."""
    seals.make_certificate(tmp_path, "示例局", now=clock.now())
    desk = office(database, tmp_path)
    desk.enterprises(2, phones=[phone(7)] * 2)
    desk.asking()
    desk.sign(desk.signing(desk.recipients()[0].id))
    return desk


def serials(desk: Office) -> list[str]:
    return [row.serial for row in desk.rows(Signature)]


def fetched(desk: Office, serial: str) -> Copy:
    """Fetch a PDF as a doorway does: read, make, keep."""
    with desk.database.read() as session:
        material = copies.material(session, serial)
    copy = copies.made(material, settings=desk.settings, now=clock.now())
    with desk.database.write() as session:
        return copies.keep(session, copy)


def verdict(desk: Office, content: bytes) -> tuple[str, str | None]:
    with desk.database.read() as session:
        found = copies.check(session, content, settings=desk.settings)
    assert found.good is (found.kind in ("same", "sealed"))
    return found.kind, found.serial


def test_each_download_is_the_same_file_sealed_once(desk: Office) -> None:
    serial, other = serials(desk)
    first = fetched(desk, serial)
    assert first.sealed and first.name == f"{serial}.pdf"
    assert fetched(desk, serial) == first
    assert fetched(desk, other).content != first.content
    assert sorted(row.digest for row in _kept(desk)) == sorted(fetched(desk, one).digest for one in (serial, other))
    assert serial in words(first.content) and "王建国" in words(first.content)


def _kept(desk: Office) -> list[SealedPdf]:
    with desk.database.read() as session:
        return list(session.query(SealedPdf))


def test_of_many_who_ask_at_once_all_get_the_file_of_the_first(desk: Office) -> None:
    [serial, _other] = serials(desk)
    got: list[Copy] = []
    threads = [threading.Thread(target=lambda: got.append(fetched(desk, serial))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({copy.digest for copy in got}) == 1 and len(got) == 6
    assert len(_kept(desk)) == 1


def test_a_file_that_we_issued_is_known_and_any_other_is_told_from_it(desk: Office, tmp_path: Path) -> None:
    serial, other = serials(desk)
    content = fetched(desk, serial).content
    assert verdict(desk, content) == ("same", serial)
    altered = content[:3000] + bytes([content[3000] ^ 1]) + content[3001:]
    assert verdict(desk, altered) == ("altered", serial)
    assert verdict(desk, content + b"\n") == ("altered", serial)
    assert verdict(desk, b"%PDF-1.7 something else") == ("foreign", None)
    with desk.database.read() as session:
        unsealed = copies.documents.signed_pdf(*_facts(copies.material(session, other)), settings=desk.settings)
    assert verdict(desk, unsealed) == ("altered", other), "nobody but us says that this is what we issued"


def _facts(material: copies.Material) -> tuple[Signature, copies.PledgeVersion]:
    return material.signature, material.version


def test_an_office_without_a_seal_hands_out_plain_files_and_knows_them_by_their_digest(database: Database, tmp_path: Path) -> None:
    desk = office(database, tmp_path)
    desk.enterprises()
    desk.asking()
    desk.sign(desk.signing(desk.recipients()[0].id))
    [serial] = serials(desk)
    copy = fetched(desk, serial)
    assert not copy.sealed and "未加盖电子签章" in words(copy.content)
    assert verdict(desk, copy.content) == ("same", serial)
    assert verdict(desk, copy.content.replace(b"PDF-1.7", b"PDF-1.6")) == ("altered", serial)
    seals.make_certificate(tmp_path, "示例局", now=clock.now())
    assert fetched(desk, serial) == copy, "what was handed out stays what it was"


def test_when_the_signer_is_erased_the_file_goes_and_the_next_one_says_so(desk: Office) -> None:
    serial, _other = serials(desk)
    before = fetched(desk, serial)
    [contact] = {row.contact_id for row in desk.rows(Signature)}
    with desk.database.write() as session:
        erasing.erase(session, contact, by="alice", now=clock.now())
    after = fetched(desk, serial)
    assert "王建国" in words(before.content) and "王建国" not in words(after.content)
    assert "已依法删除" in words(after.content)
    assert verdict(desk, before.content) == ("sealed", serial), "who kept the old file can still show that it is ours"


def test_the_worker_finds_what_nobody_has_asked_for_yet(desk: Office) -> None:
    first, second = serials(desk)
    fetched(desk, first)
    with desk.database.read() as session:
        assert [material.signature.serial for material in copies.waiting(session, limit=10)] == [second]
    with desk.database.write() as session:
        signing.withdraw(session, second, reason="改主意", by="alice", now=clock.now())
    with desk.database.read() as session:
        assert copies.waiting(session, limit=10) == []
    assert "撤回" in words(fetched(desk, second).content)


def test_a_serial_that_is_none_and_a_paper_without_its_scan_have_no_file(desk: Office) -> None:
    with desk.database.read() as session, pytest.raises(SignatureUnknown):
        copies.material(session, "2026-999999")
    desk.enterprises(town="观海卫镇", phones=[phone(8)])
    desk.asking("second", town="观海卫镇")
    recipient = next(row for row in desk.recipients() if row.id not in {row.recipient_id for row in desk.rows(Signature)})
    desk.sign(desk.signing(recipient.id, way="paper", method="paper", state="pending"))
    with pytest.raises(NotCounted):
        fetched(desk, serials(desk)[-1])
