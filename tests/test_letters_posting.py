"""What became of printed letters: posted, put back, returned, printed again; and what the statement says of it at each moment."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from drive import Office, office, recount
from letters import (
    LETTER,
    addressed,
    batch_rows,
    chunk_rows,
    codes,
    come_back,
    discard,
    keep,
    letter_rows,
    make,
    post,
    print_all,
    printed_codes,
    states,
    take,
    whole,
    write_plain,
)
from sqlalchemy import delete, select, update

from outreach import clock
from outreach.campaigns import launching
from outreach.database.engine import Database
from outreach.database.paper_tables import Letter
from outreach.database.tables import Address, Enterprise
from outreach.letters import directory, posting, reprints, returns
from outreach.reports import letters as lists


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    """Three letters are printed in batch 1 and one is in batch 2, of another town."""
    write_plain(tmp_path)
    desk = office(database, tmp_path)
    addressed(desk, 3)
    addressed(desk, town="观海卫镇")
    desk.asking(steps=[LETTER], audience="全部")
    print_all(desk)
    return desk


def of_batch(desk: Office, number: int) -> list[str]:
    """Return the codes of a batch, in the order of printing."""
    with desk.database.read() as session:
        return [row["code"] for row in lists.letters(session, number, settings=desk.settings)]


def listed(desk: Office) -> list[dict[str, Any]]:
    """Return the list of batches, oldest first; each row adds up."""
    with desk.database.read() as session:
        rows = list(lists.batches(session, settings=desk.settings))[::-1]
    assert all(row["letters"] == row["waiting"] + row["posted"] + row["returned"] for row in rows)
    return rows


def figures(desk: Office) -> list[tuple[int, int, int, int]]:
    return [(row["letters"], row["waiting"], row["posted"], row["returned"]) for row in listed(desk)]


def adds_up(desk: Office) -> Any:
    """Return the statement's first step, held against a recount in plain SQL."""
    found = desk.statement()
    assert {key: value for key, value in found.items() if key != "at"} == recount(desk, "drive")
    return found["steps"][0]


def suppressed(desk: Office) -> list[tuple[str, str, str]]:
    with desk.database.read() as session:
        rows = session.execute(select(Address).where(Address.channel == "letter", Address.suppressed_at.is_not(None)).order_by(Address.value)).scalars()
        return [(row.value, row.suppressed_reason or "", row.suppressed_source or "") for row in rows]


def test_a_posted_batch_is_delivered_on_the_day_that_was_said_and_what_was_set_is_kept_no_longer(desk: Office) -> None:
    day = clock.now()
    done = post(desk, 1, on=day)
    assert (done.letters, list(done.batches), done.put_back, done.needless) == (3, [1], 0, 0)
    assert sorted(states(desk)) == [("accepted", None)] + [("delivered", None)] * 3
    assert {row.final_at for row in desk.deliveries() if row.state == "delivered"} == {day}
    assert [row.state for row in batch_rows(desk)] == ["posted", "rendered"]
    assert [row.content is None for row in chunk_rows(desk)] == [True, False]
    assert figures(desk) == [(3, 0, 3, 0), (1, 1, 0, 0)]
    step = adds_up(desk)
    assert (step["delivered"], step["waiting"]["accepted"]) == (3, 1)
    assert whole(desk, 1).same, "it is made again from the frozen text"


def test_what_was_taken_out_is_put_back_and_printed_in_another_batch(desk: Office) -> None:
    out = of_batch(desk, 1)[1]
    done = post(desk, 1, excepted=[out.lower()])
    assert (done.letters, done.put_back) == (2, 1)
    assert sorted(states(desk)) == [("accepted", None)] + [("delivered", None)] * 2 + [("queued", None)]
    made = print_all(desk)
    assert made.letters == 1
    assert printed_codes(whole(desk, made.batches[0]).content, codes(desk)) == [out]
    assert printed_codes(whole(desk, 1).content, codes(desk)) == [code for code in of_batch(desk, 1) if code != out]
    assert not whole(desk, 1).same, "one was taken out of what was printed"


def test_who_has_signed_since_is_to_be_pulled_out_and_then_skipped(desk: Office) -> None:
    signed = letter_rows(desk)[0]
    desk.settle_enterprise(signed.enterprise_id)
    desk.advance()
    assert listed(desk)[0]["pull_out"] == 1
    with desk.database.read() as session:
        assert [row["needless"] for row in lists.letters(session, 1, settings=desk.settings)] == ["goal_reached", None, None]
    assert post(desk, 1, excepted=[of_batch(desk, 1)[0]]).needless == 0
    desk.advance()
    assert ("skipped", "goal_reached") in states(desk)
    assert print_all(desk).due == 0
    adds_up(desk)


def test_a_signature_that_nobody_saw_is_told_when_the_batch_is_posted(desk: Office) -> None:
    desk.settle_enterprise(letter_rows(desk)[0].enterprise_id)
    assert post(desk, 1).needless == 1


def test_what_is_printed_of_a_cancelled_campaign_is_to_be_pulled_out(desk: Office) -> None:
    with desk.database.write() as session:
        launching.cancel(session, "drive", now=clock.now())
    assert [row["pull_out"] for row in listed(desk)] == [3, 1]
    discard(desk, 1)
    desk.advance()
    assert sorted(states(desk)) == [("accepted", None)] + [("skipped", "cancelled")] * 3
    adds_up(desk)


def test_single_letters_may_be_posted_and_the_last_of_a_batch_closes_it(desk: Office) -> None:
    first, second, third = of_batch(desk, 1)
    assert post(desk, codes=[first]).batches == []
    assert figures(desk)[0] == (3, 2, 1, 0)
    assert list(post(desk, codes=[second, third]).batches) == [1]
    assert batch_rows(desk)[0].state == "posted"


def test_what_cannot_be_posted_is_refused_and_nothing_is_changed(desk: Office) -> None:
    (first, *_others), (other,) = of_batch(desk, 1), of_batch(desk, 2)
    with pytest.raises(directory.BatchUnknown):
        post(desk, 1, 9)
    with pytest.raises(directory.LettersUnknown, match="2A2A2A"):
        post(desk, 1, codes=["2A2A2A"])
    with pytest.raises(posting.NotInBatch):
        post(desk, 1, excepted=[other])
    with pytest.raises(posting.BeforePrinting):
        post(desk, 1, on=clock.now() - timedelta(days=2))
    assert figures(desk) == [(3, 3, 0, 0), (1, 1, 0, 0)]
    post(desk, 1)
    with pytest.raises(posting.BatchPosted):
        post(desk, 2, 1)
    with pytest.raises(posting.LetterPosted):
        post(desk, codes=[first])
    with pytest.raises(posting.BatchPosted):
        discard(desk, 1)
    discard(desk, 2)
    with pytest.raises(posting.BatchDiscarded):
        post(desk, 2)


def test_a_batch_that_is_being_set_is_not_posted(desk: Office) -> None:
    addressed(desk, 1)
    desk.asking("other", steps=[LETTER], audience="not 已签署")
    make(desk, "other", town="观海卫镇")
    with pytest.raises(posting.BatchNotReady):
        post(desk, 3)
    with pytest.raises(posting.LetterNotReady):
        post(desk, codes=of_batch(desk, 3))


def test_a_discarded_batch_waits_to_be_printed_again_and_what_was_posted_stays_so(desk: Office) -> None:
    first = of_batch(desk, 1)[0]
    post(desk, codes=[first])
    done = discard(desk, 1)
    assert (done.put_back, done.posted) == (2, 1)
    assert batch_rows(desk)[0].state == "posted"
    assert discard(desk, 2).put_back == 1
    assert [row.state for row in batch_rows(desk)] == ["posted", "discarded"]
    assert print_all(desk).letters == 3
    assert figures(desk) == [(1, 0, 1, 0), (0, 0, 0, 0), (2, 2, 0, 0), (1, 1, 0, 0)]


def test_a_batch_that_is_discarded_while_it_is_set_keeps_nothing(desk: Office) -> None:
    discard(desk, 1)
    made = make(desk)
    chunk = take(desk)
    assert chunk is not None
    discard(desk, made.batches[0])
    assert not keep(desk, chunk)
    assert sorted(states(desk)) == [("accepted", None)] + [("queued", None)] * 3


def test_a_returned_letter_marks_the_address_and_counts_as_undelivered_with_its_reason(desk: Office) -> None:
    post(desk, 1)
    first = of_batch(desk, 1)[0]
    assert come_back(desk, first, reason="moved") == returns.Returned(1, 0)
    assert come_back(desk, first, reason="other") == returns.Returned(0, 1)
    letter = letter_rows(desk)[0]
    assert suppressed(desk) == [(f"{letter.address}\n{letter.enterprise}", "address", "returned")]
    assert sorted(states(desk), key=str) == sorted([("accepted", None), *[("delivered", None)] * 2, ("undelivered", "moved")], key=str)
    assert figures(desk)[0] == (3, 0, 2, 1)
    assert adds_up(desk)["undelivered"] == 1
    assert listed(desk)[0]["enclosures"] == [{"item": item, "count": 3} for item in batch_rows(desk)[0].enclosures]


def test_a_letter_that_was_not_posted_does_not_come_back(desk: Office) -> None:
    with pytest.raises(returns.NotPosted):
        come_back(desk, of_batch(desk, 1)[0])


def test_undoing_lifts_just_what_the_return_did(desk: Office) -> None:
    post(desk, 1)
    first, second, _third = of_batch(desk, 1)
    here, there = letter_rows(desk)[:2]
    come_back(desk, first, second)
    mark = (Address.channel == "letter", Address.value == f"{there.address}\n{there.enterprise}")
    desk.write(update(Address).where(*mark).values(suppressed_reason="opted_out", suppressed_source="staff"))
    assert come_back(desk, first, second, undo=True) == returns.Returned(2, 0)
    assert suppressed(desk) == [(f"{there.address}\n{there.enterprise}", "opted_out", "staff")]
    assert come_back(desk, first, undo=True) == returns.Returned(0, 1)
    assert figures(desk)[0] == (3, 0, 3, 0)
    assert here.returned_at is None
    adds_up(desk)


def test_the_next_letter_to_a_bad_address_is_not_printed_until_it_is_mended(desk: Office) -> None:
    post(desk, 1)
    come_back(desk, of_batch(desk, 1)[0])
    desk.asking("again", steps=[LETTER])
    made = make(desk, "again")
    assert made.due == made.letters == 2, "the plan knew it"
    key = letter_rows(desk)[0].enterprise_id
    desk.write(update(Enterprise).where(Enterprise.id == key).values(address="新路1号"))
    desk.asking("mended", steps=[LETTER], audience="地址 = 新路1号")
    assert make(desk, "mended").letters == 1


def test_a_returned_letter_goes_out_again_once_its_address_is_mended(desk: Office) -> None:
    post(desk, 1)
    first = of_batch(desk, 1)[0]
    come_back(desk, first)
    with pytest.raises(posting.AddressReturned):
        post(desk, codes=[first])
    key = letter_rows(desk)[0].enterprise_id
    desk.write(update(Enterprise).where(Enterprise.id == key).values(address="新路1号"))
    again(desk, first)
    assert post(desk, codes=[first]).letters == 1
    assert sorted(states(desk)) == [("accepted", None)] + [("delivered", None)] * 3
    come_back(desk, first)
    assert len(suppressed(desk)) == 2, "now the new address is known as bad too"
    adds_up(desk)


def again(desk: Office, *wanted: str) -> tuple[bytes, list[str]]:
    """Print letters again as the command does; return the PDF, and the codes of those that go elsewhere."""
    with desk.database.read() as session:
        found = reprints.find(session, wanted, settings=desk.settings, now=clock.now())
    content = reprints.pdf(found, settings=desk.settings)
    with desk.database.write() as session:
        reprints.count(session, found)
    return content, found.moved


def test_a_letter_printed_again_is_counted_and_goes_to_the_address_of_now(desk: Office) -> None:
    third, first = of_batch(desk, 1)[2], of_batch(desk, 1)[0]
    key = letter_rows(desk)[0].enterprise_id
    desk.write(update(Enterprise).where(Enterprise.id == key).values(address="新路1号"))
    content, moved = again(desk, third, first, third)
    assert printed_codes(content, codes(desk)) == [third, first], "in the order in which they were asked for, each once"
    assert moved == [first]
    assert [(row.address == "新路1号", row.reprints) for row in letter_rows(desk)[:3]] == [(True, 1), (False, 0), (False, 1)]
    assert again(desk, first)[1] == []


def test_what_cannot_be_printed_again_is_refused(desk: Office) -> None:
    first = of_batch(desk, 1)[0]
    with pytest.raises(directory.LettersUnknown):
        again(desk, first, "2A2A2A")
    desk.write(update(Enterprise).values(address=""))
    with pytest.raises(reprints.AddressGone):
        again(desk, first)
    desk.write(delete(Letter))
    with pytest.raises(directory.LettersUnknown):
        again(desk, first)
