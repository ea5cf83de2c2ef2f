"""A paper counts with its scan and once; a pile finds its enterprises by itself, and what no machine can tell waits for a person."""

import hashlib
import io
import itertools
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import piles as drawn
import pytest
from PIL import Image
from sqlalchemy import select, update

from outreach import clock
from outreach.database.engine import Database
from outreach.database.pledge_tables import Evidence, Scan, Signature
from outreach.database.tables import Campaign, Enterprise, PledgeVersion, Recipient
from outreach.links import personal
from outreach.pledges import audit, evidence, paper, piles, routing, scans, sheet_codes, sheets, signing
from outreach.pledges.paper import NotOnPaper, Paper, Recorded, ScanOfAnother, ScanTaken, SheetEach, SignedBeforeText
from outreach.pledges.piles import Line, Summary
from outreach.pledges.scans import Kept, Page
from outreach.pledges.signing import SignatureEnded, SignatureUnknown

from drive import PLEDGE, Office, office, phone  # isort: skip

numbers = itertools.count(1)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    return office(database, tmp_path / "home")


def address(desk: Office, recipient: int, *, enterprise: int | None = None, way: str = "paper", generation: int = 1) -> str:
    """Return what the QR code on a sheet holds."""
    token = desk.link(recipient, way=way, generation=generation)
    return personal.url(desk.settings.public_url, token) + (f"#{enterprise}" if enterprise else "")


def scan(*texts: str) -> Kept:
    """Return a scan as it is stored, each another one."""
    return scans.kept(Page(f"scan{next(numbers)}.jpg", 1, drawn.sheet(*texts)))


def a_paper(**keys: Any) -> Paper:
    now = clock.now()
    values: Mapping[str, Any] = {"signer": "王建国", "capacity": "legal_representative", "at": now, "now": now, "by": "alice"}
    return Paper(**{**values, **keys})


def record(desk: Office, recipient: Any, *pages: Kept, enterprise: int | None = None, **keys: Any) -> list[Recorded]:
    with desk.database.write() as session:
        route = routing.by_code(session, recipient.code, settings=desk.settings)
        return paper.record(session, route, routing.chosen(route, enterprise), a_paper(**keys), pages)


def complete(desk: Office, serial: str, page: Kept) -> Recorded:
    with desk.database.write() as session:
        return paper.complete(session, serial, [page], by="bob", now=clock.now())


def read(desk: Office, *paths: Path, **keys: Any) -> Summary:
    return piles.summed(piles.read(desk.database, paths, settings=desk.settings, by="alice", now=clock.now(), **keys))


def told(desk: Office, act: str) -> list[Mapping[str, Any]]:
    return [evidence.told(row.body)["facts"] for row in desk.rows(Evidence) if row.act == act]


def everything(desk: Office) -> list[Any]:
    return [desk.rows(table) for table in (Signature, Scan, Evidence, Enterprise)]


def sound(desk: Office) -> bool:
    with desk.database.read() as session:
        report = audit.audit(session)
    assert report.ok, report.faults
    return True


# one sheet


def test_a_paper_with_its_scan_counts_and_its_evidence_names_scan_and_account(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    page = scan()
    [done] = record(desk, recipient, page, honour=True)
    [row], [known], [held] = desk.rows(Signature), desk.rows(Enterprise), desk.rows(Scan)
    assert (done.result, done.serial, row.state, row.way, row.method) == ("recorded", row.serial, "signed", "paper", "paper")
    assert (row.signer, row.recorded_by, row.review, row.honour, row.recipient_id) == ("王建国", "alice", False, True, recipient.id)
    assert (known.outcome, held.signature_id, held.content) == ("signed", row.id, page.content)
    assert told(desk, "scan_added") == [{"serial": row.serial, "scan": page.digest, "by": "alice"}]
    assert told(desk, "signed")[0]["recorded_by"] == "alice"
    assert desk.rows(Recipient)[0].opened_at is None, "a sheet on the table opens no page"
    assert sound(desk)


def test_a_paper_without_its_scan_waits_and_the_scan_completes_it(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    [waits] = record(desk, recipient)
    assert (waits.result, desk.rows(Signature)[0].state, desk.rows(Enterprise)[0].settled_at) == ("pending", "pending", None)
    [again] = record(desk, recipient)
    assert (again.result, again.reason, again.serial) == ("already", "pending", waits.serial)
    page = scan()
    done = complete(desk, waits.serial, page)
    [row] = desk.rows(Signature)
    assert (done.result, row.state, row.serial, row.recorded_by) == ("completed", "signed", waits.serial, "alice")
    assert desk.rows(Enterprise)[0].outcome == "signed"
    assert told(desk, "scan_added") == [{"serial": waits.serial, "scan": page.digest, "by": "bob"}]
    before = everything(desk)
    assert complete(desk, waits.serial, scan()).result == "already"
    assert everything(desk) == before
    assert sound(desk)


def test_a_scan_for_the_code_of_a_paper_that_waits_completes_it_too(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    [waits] = record(desk, recipient)
    [done] = record(desk, recipient, scan(), signer="")
    assert (done.result, done.serial) == ("completed", waits.serial)
    assert [(row.state, row.signer) for row in desk.rows(Signature)] == [("signed", "王建国")]


def test_who_signed_online_stays_signed_online(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    [[online]] = desk.sign(desk.signing(recipient.id))
    [done] = record(desk, recipient, scan())
    assert (done.result, done.reason, done.serial) == ("already", "signed_online", online.serial)
    assert desk.rows(Scan) == []
    with pytest.raises(NotOnPaper):
        complete(desk, online.serial, scan())


def test_a_day_that_lies_back_is_kept_and_stops_messages_from_now_on(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    desk.elapse(timedelta(days=3))
    desk.write(update(PledgeVersion).values(made_at=clock.now() - timedelta(days=3)))
    [recipient] = desk.recipients()
    signed_at = clock.now() - timedelta(days=2)
    record(desk, recipient, scan(), at=signed_at)
    [row], [known], [campaign] = desk.rows(Signature), desk.rows(Enterprise), desk.rows(Campaign)
    assert row.signed_at == signed_at
    assert known.settled_at > campaign.approved_at, "messages stop for what was settled after the approval"
    assert known.settled_at > signed_at
    with pytest.raises(SignedBeforeText):
        record(desk, recipient, scan(), at=clock.now() - timedelta(days=5))


def test_of_several_enterprises_each_signs_a_sheet_of_its_own(desk: Office) -> None:
    mine = desk.enterprises(3, phones=[phone(7)] * 3)
    desk.asking()
    [recipient] = desk.recipients()
    page = scan()
    with pytest.raises(SheetEach):
        record(desk, recipient, page)
    [one] = record(desk, recipient, page, enterprise=mine[1])
    assert (one.enterprise_id, one.result) == (mine[1], "recorded")
    with pytest.raises(ScanTaken):
        record(desk, recipient, page, enterprise=mine[2])
    assert [done.result for done in record(desk, recipient)] == ["pending", "already", "pending"]
    with pytest.raises(routing.NotSpokenFor):
        record(desk, recipient, page, enterprise=999)
    assert sound(desk)


def test_a_scan_of_another_enterprises_sheet_is_refused(desk: Office) -> None:
    desk.enterprises(2)
    desk.asking()
    one, two = desk.recipients()

    def require(recipient: Any, *texts: str) -> None:
        with desk.database.read() as session:
            route = routing.by_code(session, recipient.code, settings=desk.settings)
            paper.require_own(session, sheet_codes.marks(texts), route, list(route.enterprises), "scan.jpg", settings=desk.settings)

    require(one, address(desk, one.id))
    require(one, "https://qr.alipay.com/1")
    require(one, address(desk, two.id), address(desk, one.id))
    with pytest.raises(ScanOfAnother):
        require(one, address(desk, two.id))


def test_last_years_sheet_of_who_has_renewed_since_signs_nothing_anew(desk: Office, tmp_path: Path) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    [[old]] = desk.sign(desk.signing(recipient.id))
    desk.write(update(Signature).values(state="superseded", ended_at=clock.now()))
    summary = read(desk, drawn.jpeg(drawn.sheet(address(desk, recipient.id)), tmp_path / "1.jpg"))
    assert [(line.result, line.reason, line.serial) for line in summary.lines] == [("already", "renewed", old.serial)]
    assert [(done.result, done.reason) for done in record(desk, recipient)] == [("already", "renewed")]
    assert len(desk.rows(Signature)) == 1


def test_an_enterprise_that_came_by_itself_is_recorded_by_its_number_and_pledge(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [walk_in] = desk.enterprises(town="别处镇")
    with desk.database.write() as session:
        with pytest.raises(routing.NotAsked):
            routing.by_enterprise(session, walk_in, settings=desk.settings)
        with pytest.raises(routing.EnterpriseUnknown):
            routing.by_enterprise(session, 999, settings=desk.settings)
        route = routing.by_enterprise(session, walk_in, pledge=PLEDGE, settings=desk.settings)
        [done] = paper.record(session, route, [walk_in], a_paper(), [scan()])
    assert (done.result, route.recipient_id, route.town) == ("recorded", None, "别处镇")
    assert sound(desk)


def test_what_is_not_there_or_has_ended_is_named(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    with pytest.raises(SignatureUnknown):
        complete(desk, "1999-000001", scan())
    with pytest.raises(routing.CodeUnknown), desk.database.read() as session:
        routing.by_code(session, "AAAAAA", settings=desk.settings)
    [waits] = record(desk, recipient)
    with desk.database.write() as session:
        signing.withdraw(session, waits.serial, reason="签错", by="alice", now=clock.now())
    with pytest.raises(SignatureEnded):
        complete(desk, waits.serial, scan())


# a pile


def results(summary: Summary) -> list[tuple[str, str]]:
    return [(line.result, line.reason) for line in summary.lines]


def test_each_sheet_goes_to_its_enterprise_for_a_person_to_look_at(desk: Office, tmp_path: Path) -> None:
    desk.enterprises(3)
    desk.asking()
    folder = tmp_path / "pile"
    folder.mkdir()
    recipients = desk.recipients()
    for place, recipient in enumerate(recipients):
        drawn.jpeg(drawn.WAYS[place](drawn.sheet(address(desk, recipient.id))), folder / f"{place}.jpg")
    summary = read(desk, folder)
    assert summary.figures() == {"read": 3, "recorded": 3, "completed": 0, "already": 0, "unreadable": 0, "foreign": 0}
    rows = desk.rows(Signature)
    assert [row.recipient_id for row in rows] == [recipient.id for recipient in recipients]
    assert {(row.state, row.way, row.review, row.recorded_by) for row in rows} == {("signed", "paper", True, "alice")}
    assert [row.signer for row in rows] == [recipient.fields["contact"] for recipient in recipients], "the frozen contact, until a person looks"
    assert [line.serial for line in summary.lines] == [row.serial for row in rows]
    assert sound(desk)


def test_the_same_pile_again_changes_nothing(desk: Office, tmp_path: Path) -> None:
    desk.enterprises(2)
    desk.asking()
    one, two = desk.recipients()
    pages = [drawn.sheet(address(desk, one.id)), drawn.blank(), drawn.sheet("https://qr.alipay.com/1"), drawn.sheet(address(desk, two.id))]
    pile = drawn.folder(pages, tmp_path / "pile")
    assert read(desk, pile).figures() == {"read": 4, "recorded": 2, "completed": 0, "already": 0, "unreadable": 1, "foreign": 1}
    before = everything(desk)
    again = read(desk, pile)
    assert again.figures() == {"read": 4, "recorded": 0, "completed": 0, "already": 2, "unreadable": 1, "foreign": 1}
    assert everything(desk) == before


def test_a_pile_that_is_broken_off_keeps_what_was_read_and_goes_on(desk: Office, tmp_path: Path) -> None:
    desk.enterprises(4)
    desk.asking()
    pile = drawn.pdf([drawn.sheet(address(desk, recipient.id)) for recipient in desk.recipients()], tmp_path / "pile.pdf")
    lines = piles.read(desk.database, [pile], settings=desk.settings, by="alice", now=clock.now())
    assert [next(lines).result, next(lines).result] == ["recorded", "recorded"]
    lines.close()  # type: ignore[attr-defined]
    assert len(desk.rows(Signature)) == len(desk.rows(Scan)) == 2
    assert [line.result for line in read(desk, pile).lines] == ["already", "already", "recorded", "recorded"]


def test_nobody_is_counted_twice_and_why_is_said(desk: Office, tmp_path: Path) -> None:
    desk.enterprises(3)
    desk.asking()
    twice, online, waiting = desk.recipients()
    desk.sign(desk.signing(online.id))
    [waits] = record(desk, waiting)
    first = drawn.sheet(address(desk, twice.id))
    pile = tmp_path / "pile"
    pile.mkdir()
    drawn.jpeg(first, pile / "1.jpg")
    drawn.jpeg(first, pile / "2 the same file.jpg")
    drawn.jpeg(drawn.turned(first, 180), pile / "3 the same sheet.jpg")
    drawn.jpeg(drawn.sheet(address(desk, online.id)), pile / "4 online.jpg")
    drawn.jpeg(drawn.sheet(address(desk, waiting.id)), pile / "5 waiting.jpg")
    expected = [("recorded", ""), ("already", "same_scan"), ("already", "scanned_before"), ("already", "signed_online"), ("completed", "")]
    rehearsed = read(desk, pile, dry_run=True)
    assert results(rehearsed) == expected
    assert [row.state for row in desk.rows(Signature)] == ["signed", "pending"]
    assert desk.rows(Scan) == [], "a dry run writes nothing"
    summary = read(desk, pile)
    assert results(summary) == expected
    assert (summary.lines[4].serial, len(desk.rows(Signature)), len(desk.rows(Scan))) == (waits.serial, 3, 2)
    assert [row.state for row in desk.rows(Signature)] == ["signed"] * 3
    assert sound(desk)


def test_two_who_read_the_same_pile_at_once_count_it_once(desk: Office, tmp_path: Path) -> None:
    desk.enterprises(4)
    desk.asking()
    pages = [drawn.sheet(address(desk, recipient.id)) for recipient in desk.recipients()]
    pile = drawn.folder([*pages, drawn.sheet("nothing")], tmp_path / "pile")
    summaries: list[Summary] = []
    threads = [threading.Thread(target=lambda: summaries.append(read(desk, pile))) for _reader in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(summaries) == 2, "nobody may fail"
    assert sum(summary.counts["recorded"] for summary in summaries) == 4
    assert (len(desk.rows(Signature)), len(desk.rows(Scan))) == (4, 5)
    assert sound(desk)


def test_an_old_or_revoked_sheet_still_counts_and_one_of_another_office_does_not(desk: Office, tmp_path: Path) -> None:
    desk.enterprises(4)
    desk.asking()
    old, ahead, letter, other = desk.recipients()
    texts = [address(desk, old.id, generation=2), address(desk, ahead.id, generation=2), address(desk, letter.id, way="link")]
    texts.append(f"{desk.settings.public_url}/p/{personal.make('1' * 64, other.id, 1, 'paper')}")
    texts.append(f"{desk.settings.public_url}/p/{personal.make(desk.settings.office_key, 99_999, 1, 'paper')}")
    desk.write(update(Recipient).where(Recipient.id == old.id).values(generation=4))
    desk.write(update(Campaign).values(launched_at=clock.now() - timedelta(days=400)))
    summary = read(desk, drawn.folder([drawn.sheet(text) for text in texts], tmp_path / "pile"))
    foreign = ("foreign", "other_office")
    assert results(summary) == [("recorded", ""), foreign, ("unreadable", "no_sheet"), foreign, foreign]
    assert [row.recipient_id for row in desk.rows(Signature)] == [old.id]


def test_the_code_says_for_which_of_several_enterprises_a_sheet_was_printed(desk: Office, tmp_path: Path) -> None:
    mine = desk.enterprises(3, phones=[phone(7)] * 3)
    [foreign] = desk.enterprises(1)
    desk.asking()
    recipient = next(row for row in desk.recipients() if len(desk.visitor(row.id).enterprises) == 3)
    texts = [address(desk, recipient.id, enterprise=key) for key in (mine[2], mine[0], foreign)] + [address(desk, recipient.id)]
    summary = read(desk, drawn.folder([drawn.sheet(text) for text in texts], tmp_path / "pile"))
    assert results(summary) == [("recorded", ""), ("recorded", ""), ("unreadable", "not_spoken_for"), ("unreadable", "several_enterprises")]
    assert [row.enterprise_id for row in desk.rows(Signature)] == [mine[2], mine[0]]


def test_what_no_machine_can_tell_waits_for_a_person_who_says_whose_it_is(desk: Office, tmp_path: Path) -> None:
    desk.enterprises(3)
    desk.asking()
    one, two, _third = desk.recipients()
    torn = drawn.sheet(address(desk, one.id))
    torn.paste((255, 255, 255), (480, 700, 620, 877))
    both = drawn.sheet(address(desk, one.id), address(desk, two.id))
    summary = read(desk, drawn.folder([torn, both], tmp_path / "pile"))
    assert results(summary) == [("unreadable", "no_code"), ("unreadable", "two_sheets")]
    assert [(row.reason, row.signature_id, row.recorded_by) for row in desk.rows(Scan)] == [("no_code", None, "alice"), ("two_sheets", None, "alice")]
    with desk.database.read() as session:
        page = paper.stored(session, summary.lines[0].scan_id or 0)
    [done] = record(desk, one, page, signer="李四")
    [assigned, _open] = desk.rows(Scan)
    assert (assigned.signature_id, assigned.reason) == (done.signature_id, "")
    assert read(desk, tmp_path / "pile").lines[0] == Line("IMG_0000.jpg", 1, "already", "same_scan", serial=done.serial)
    with desk.database.write() as session:
        paper.discard(session, summary.lines[1].scan_id or 0)
        with pytest.raises(ScanTaken):
            paper.discard(session, assigned.id)
        with pytest.raises(paper.ScanUnknown):
            paper.stored(session, 999)
    assert len(desk.rows(Scan)) == 1
    assert sound(desk)


def test_a_sheet_of_who_has_withdrawn_waits_for_a_person(desk: Office, tmp_path: Path) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    pile = drawn.jpeg(drawn.sheet(address(desk, recipient.id)), tmp_path / "1.jpg")
    [[signed]] = desk.sign(desk.signing(recipient.id))
    with desk.database.write() as session:
        signing.withdraw(session, signed.serial, reason="签错单位", by="alice", now=clock.now())
    summary = read(desk, pile)
    assert results(summary) == [("unreadable", "withdrawn")]
    with desk.database.read() as session:
        page = paper.stored(session, summary.lines[0].scan_id or 0)
    assert record(desk, recipient, page)[0].result == "recorded"


def test_a_pile_is_held_to_the_town_the_mode_and_the_day(desk: Office, tmp_path: Path) -> None:
    desk.enterprises(1)
    campaign = desk.asking()
    [recipient] = desk.recipients()
    pile = drawn.jpeg(drawn.sheet(address(desk, recipient.id)), tmp_path / "1.jpg")
    assert results(read(desk, pile, town="别处镇")) == [("unreadable", "other_town")]
    assert results(read(desk, pile, at=clock.now() - timedelta(days=2))) == [("unreadable", "too_early")]
    desk.write(update(Campaign).values(mode="production"))
    assert results(read(desk, pile)) == [("foreign", "other_mode")]
    desk.write(update(Campaign).values(mode="rehearsal", launched_at=None))
    assert results(read(desk, pile)) == [("unreadable", "not_launched")]
    desk.write(update(Campaign).where(Campaign.id == campaign).values(launched_at=clock.now()))
    assert results(read(desk, pile, town="桥头镇")) == [("recorded", "")]
    [row] = desk.rows(Scan)
    assert (row.reason, row.signature_id) == ("", desk.rows(Signature)[0].id), "a scan that waited is found again by its digest"


def test_files_that_are_none_are_counted_and_do_not_stop_the_pile(desk: Office, tmp_path: Path) -> None:
    desk.enterprises()
    desk.asking()
    pile = tmp_path / "pile"
    pile.mkdir()
    (pile / "1.jpg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (pile / "2.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    drawn.jpeg(drawn.sheet(address(desk, desk.recipients()[0].id)), pile / "3.jpg")
    assert results(read(desk, pile)) == [("unreadable", "no_picture"), ("unreadable", "heic"), ("recorded", "")]
    assert all(piles.say(reason) != reason for reason in ("no_picture", "heic"))


def test_place_and_camera_of_a_photograph_are_not_in_the_database(desk: Office, tmp_path: Path) -> None:
    desk.enterprises()
    desk.asking()
    exif = Image.Exif()
    exif[0x010F] = "Huawei P60"
    exif.get_ifd(0x8825)[2] = (30.0, 15.0, 0.0)
    drawn.sheet(address(desk, desk.recipients()[0].id)).save(tmp_path / "1.jpg", "JPEG", exif=exif)
    assert read(desk, tmp_path / "1.jpg").counts["recorded"] == 1
    [row] = desk.rows(Scan)
    assert b"Huawei" not in row.content and b"Exif" not in row.content
    assert not Image.open(io.BytesIO(row.content)).getexif()
    assert (row.kind, row.digest) == ("image/jpeg", hashlib.sha256(row.content).hexdigest())


def test_the_printed_sheet_comes_back_to_its_enterprise(desk: Office, tmp_path: Path) -> None:
    desk.enterprises(2, phones=[phone(7)] * 2)
    desk.asking()
    with desk.database.read() as session:
        batches = sheets.of_campaign(session, "drive", settings=desk.settings)
        content = sheets.pdf(batches, settings=desk.settings, now=clock.now())
    (tmp_path / "printed.pdf").write_bytes(content)
    assert results(read(desk, tmp_path / "printed.pdf")) == [("unreadable", "not_scanned")] * 2, "what was only printed has nobody signed"
    assert desk.rows(Scan) == []
    scanned = [drawn.turned(drawn.dim(page.picture.resize((827, 1170))), 180) for page in scans.pages([tmp_path / "printed.pdf"]) if page.picture]
    summary = read(desk, drawn.pdf(scanned, tmp_path / "scanned.pdf"))
    assert summary.counts["recorded"] == 2
    with desk.database.read() as session:
        names = list(session.scalars(select(Enterprise.name)))
    assert sorted(line.enterprise for line in summary.lines) == sorted(names) == sorted(sheet.enterprise for batch in batches for sheet in batch.sheets)


@pytest.mark.long
@pytest.mark.parametrize("form", ["photographs", "one scanned pdf"])
def test_a_pile_of_fifty_sheets_some_upside_down_some_dim_some_twice(desk: Office, tmp_path: Path, form: str) -> None:
    desk.enterprises(44)
    desk.asking()
    recipients = desk.recipients()
    clean = [drawn.sheet(address(desk, recipient.id)) for recipient in recipients]
    pages = [drawn.WAYS[place % len(drawn.WAYS)](page) for place, page in enumerate(clean)]
    pages += [drawn.turned(clean[3], 180), drawn.skewed(clean[8]), drawn.dim(clean[10]), pages[0]]
    pages += [drawn.blank(), drawn.sheet("https://qr.alipay.com/1")]
    desk.sign(desk.signing(recipients[20].id))
    assert len(pages) == 50
    pile = drawn.folder(pages, tmp_path / "pile") if form == "photographs" else drawn.pdf(pages, tmp_path / "pile.pdf")
    figures = {"read": 50, "recorded": 43, "completed": 0, "already": 5, "unreadable": 1, "foreign": 1}
    summary = read(desk, pile)
    assert summary.figures() == figures
    assert sum(summary.figures().values()) == 2 * figures["read"], "it adds up"
    assert sorted(row.recipient_id for row in desk.rows(Signature)) == [recipient.id for recipient in recipients]
    before = everything(desk)
    assert read(desk, pile).counts == {"already": 48, "unreadable": 1, "foreign": 1}
    assert everything(desk) == before
    assert sound(desk)
