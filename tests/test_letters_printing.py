"""Print runs: batches by town, set a chunk at a time; nobody twice, nobody forgotten, and none who has answered meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from drive import Office, phone
from letters import (
    LETTER,
    addressed,
    batch_rows,
    chunk_rows,
    codes,
    finish,
    keep,
    letter_rows,
    make,
    plain_letter,  # noqa: F401
    print_all,
    printed_codes,
    states,
    take,
    whole,
)
from sqlalchemy import update

from outreach import clock
from outreach.campaigns import launching
from outreach.database.paper_tables import PrintChunk
from outreach.database.tables import Campaign, Enterprise, Recipient
from outreach.letters import batches, printing
from outreach.worker.duty import Duty
from outreach.worker.press import Press

pytestmark = pytest.mark.usefixtures("plain_letter")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of two letters, so that a few letters are several chunks."""
    monkeypatch.setattr(batches, "CHUNK", 2)


def test_a_batch_is_of_one_town_and_no_larger_than_the_print_house_wants(desk: Office) -> None:
    addressed(desk, 5)
    addressed(desk, 2, town="观海卫镇")
    desk.asking(steps=[LETTER], audience="全部")
    made = make(desk, per_batch=2)
    assert (made.due, made.letters, made.apart, made.left) == (7, 7, 0, 0)
    rows = letter_rows(desk)
    sizes = {row.id: (row.town, sum(one.batch_id == row.id for one in rows)) for row in batch_rows(desk)}
    assert sorted(sizes.values()) == [("桥头镇", 1), ("桥头镇", 2), ("桥头镇", 2), ("观海卫镇", 2)]
    assert make(desk).due == 0, "what is in a batch is in no other"


def test_a_limit_leaves_the_rest_for_the_next_run(desk: Office) -> None:
    addressed(desk, 5)
    desk.asking(steps=[LETTER])
    assert (first := make(desk, limit=2)).letters == 2 and first.left == 3
    assert make(desk).letters == 3
    assert len(letter_rows(desk)) == 5


def test_what_is_set_is_accepted_has_its_pages_and_every_code_once(desk: Office, small_chunks: None) -> None:
    addressed(desk, 5)
    desk.asking(steps=[LETTER])
    made = print_all(desk)
    assert states(desk) == [("accepted", None)] * 5
    assert [row.state for row in batch_rows(desk)] == ["rendered"]
    assert sorted(row.number for row in chunk_rows(desk)) == [1, 2, 3]
    printed = whole(desk, made.batches[0])
    assert printed.same
    assert sorted(printed_codes(printed.content, codes(desk))) == sorted(codes(desk))
    assert all(row.pages == 1 for row in letter_rows(desk))


def test_who_has_signed_is_not_printed_and_the_statement_says_why(desk: Office, small_chunks: None) -> None:
    ids = addressed(desk, 6)
    desk.asking(steps=[LETTER])
    desk.settle_enterprise(ids[0])
    made = make(desk)
    assert (made.due, made.letters, dict(made.skipped)) == (6, 5, {"goal_reached": 1})
    desk.settle_enterprise(ids[1])
    first = take(desk)
    assert first is not None and len(first.letters) == 1, "the chunk is judged again when it is taken"
    second = take(desk)
    desk.settle_enterprise(ids[3])
    assert second is not None and len(second.letters) == 2 and not keep(desk, second), "and again when it is recorded"
    assert keep(desk, first)
    while chunk := take(desk):
        assert keep(desk, chunk)
    assert finish(desk)
    letters = letter_rows(desk)
    assert [row.enterprise_id for row in letters] == [ids[2], ids[4], ids[5]]
    assert [row.place for row in letters] == [1, 2, 3], "without a gap"
    assert sorted(states(desk)) == sorted([("skipped", "goal_reached")] * 3 + [("accepted", None)] * 3)
    printed = printed_codes(whole(desk, made.batches[0]).content, codes(desk))
    assert sorted(printed) == sorted(row.code for row in desk.recipients() if row.id not in {1, 2, 4})


def test_a_batch_that_nobody_is_left_of_is_discarded(desk: Office) -> None:
    ids = addressed(desk, 2)
    desk.asking(steps=[LETTER])
    make(desk)
    for key in ids:
        desk.settle_enterprise(key)
    assert take(desk) is None
    finish(desk)
    assert [row.state for row in batch_rows(desk)] == ["discarded"]
    assert not letter_rows(desk) and not chunk_rows(desk)


def test_a_lease_that_ran_out_is_taken_over_and_the_late_one_is_not_kept(desk: Office) -> None:
    addressed(desk, 2)
    desk.asking(steps=[LETTER])
    make(desk)
    late = take(desk)
    assert late is not None and take(desk) is None, "one chunk, one setter"
    desk.elapse(timedelta(minutes=5))
    other = take(desk)
    assert other is not None
    assert not keep(desk, late)
    assert keep(desk, other)
    assert not keep(desk, other), "nor twice"
    assert states(desk) == [("accepted", None)] * 2


def test_whoever_comes_late_and_was_not_missed_is_kept(desk: Office) -> None:
    addressed(desk, 1)
    desk.asking(steps=[LETTER])
    make(desk)
    with desk.database.write() as session:
        late = printing.claim(session, settings=desk.settings, lease=timedelta(seconds=-1), now=clock.now())
    assert late is not None and keep(desk, late)


def test_a_campaign_that_rests_prints_nothing_further_and_a_cancelled_one_never(desk: Office, small_chunks: None) -> None:
    addressed(desk, 4)
    desk.asking(steps=[LETTER])
    make(desk)
    first = take(desk)
    assert first is not None
    with desk.database.write() as session:
        launching.pause(session, "drive")
    assert take(desk) is None
    assert not keep(desk, first), "what was taken before the pause is set again after it"
    assert states(desk) == [("queued", None)] * 4
    with desk.database.write() as session:
        launching.resume(session, "drive")
    first = take(desk)
    assert first is not None and keep(desk, first)
    with desk.database.write() as session:
        launching.cancel(session, "drive", now=clock.now())
    assert take(desk) is None
    finish(desk)
    assert [row.state for row in batch_rows(desk)] == ["rendered"]
    assert sorted(states(desk)) == [("accepted", None)] * 2 + [("skipped", "cancelled")] * 2
    assert len(letter_rows(desk)) == 2


def test_the_same_chunk_set_again_is_the_same_bytes(desk: Office, small_chunks: None) -> None:
    addressed(desk, 3)
    desk.asking(steps=[LETTER])
    made = print_all(desk)
    before = whole(desk, made.batches[0])
    desk.write(update(PrintChunk).values(content=None))
    after = whole(desk, made.batches[0])
    assert (after.content, after.same) == (before.content, True)


def test_what_is_not_the_same_any_more_says_so(desk: Office) -> None:
    addressed(desk, 1)
    desk.asking(steps=[LETTER])
    made = print_all(desk)
    desk.write(update(PrintChunk).values(content=None))
    desk.write(update(Recipient).values(generation=2))
    assert not whole(desk, made.batches[0]).same


def test_a_name_that_no_font_has_stays_queued_and_is_named_and_the_others_are_printed(desk: Office) -> None:
    ids = addressed(desk, 3)
    desk.write(update(Enterprise).where(Enterprise.id == ids[1]).values(name="示例\U0001f9a2厂"))
    desk.asking(steps=[LETTER])
    with desk.database.read() as session:
        looked = batches.inspect(session, "drive", settings=desk.settings, now=clock.now())
    (key,) = looked.apart
    assert (looked.apart[key].enterprise, looked.apart[key].characters) == ("示例\U0001f9a2厂", "\U0001f9a2 (U+1F9A2)")
    made = print_all(desk, apart=looked.apart)
    assert (made.due, made.letters, made.apart) == (3, 2, 1)
    assert sorted(states(desk)) == [("accepted", None)] * 2 + [("queued", None)]


def test_one_letter_that_cannot_be_set_stops_no_other(desk: Office) -> None:
    ids = addressed(desk, 3)
    desk.write(update(Enterprise).where(Enterprise.id == ids[1]).values(name="示例\U0001f9a2厂"))
    desk.asking(steps=[LETTER])
    made = print_all(desk)
    assert made.letters == 3, "nobody looked before"
    assert sorted(states(desk)) == [("accepted", None)] * 2 + [("queued", None)]
    assert [row.place for row in letter_rows(desk)] == [1, 2]
    assert make(desk).due == 1


def test_one_person_of_several_enterprises_gets_one_letter_to_the_first_that_is_still_asked(desk: Office) -> None:
    first, second = addressed(desk, 2, phones=[phone(7)] * 2)
    desk.asking(steps=[LETTER])
    desk.write(update(Enterprise).where(Enterprise.id == second).values(town="观海卫镇", address="新路2号"))
    desk.settle_enterprise(first)
    made = print_all(desk)
    (letter,) = letter_rows(desk)
    assert (letter.enterprise_id, letter.address, batch_rows(desk)[0].town) == (second, "新路2号", "观海卫镇"), "the address and town of now"
    assert len(printed_codes(whole(desk, made.batches[0]).content, codes(desk))) == 1


def test_batches_of_a_campaign_in_another_mode_are_nobodys(desk: Office) -> None:
    addressed(desk, 1)
    campaign = desk.asking(steps=[LETTER])
    make(desk)
    desk.write(update(Campaign).where(Campaign.id == campaign).values(mode="production"))
    assert take(desk) is None
    with pytest.raises(batches.CampaignUnknown):
        make(desk)


def test_two_who_print_at_once_put_each_letter_into_one_batch_and_set_each_chunk_once(desk: Office, small_chunks: None) -> None:
    addressed(desk, 12)
    desk.asking(steps=[LETTER])
    presses = [Press(desk.database, desk.settings) for _ in range(3)]

    def work(press: Press) -> int:
        made = make(desk, per_batch=5).letters
        while press.set_next():
            pass
        return made

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(work, presses)) == 12
    while presses[0].set_next():
        pass
    assert states(desk) == [("accepted", None)] * 12
    assert {row.state for row in batch_rows(desk)} == {"rendered"}
    printed = [code for row in batch_rows(desk) for code in printed_codes(whole(desk, row.id).content, codes(desk))]
    assert sorted(printed) == sorted(codes(desk))


def test_a_worker_sets_what_waits_when_the_bell_rings(desk: Office, small_chunks: None) -> None:
    addressed(desk, 4)
    desk.asking(steps=[LETTER])
    make(desk)
    duty = Duty(desk.settings)
    assert [duty.render() for _ring in range(3)] == [True, True, False]
    duty.close()
    assert [row.state for row in batch_rows(desk)] == ["rendered"]
    assert states(desk) == [("accepted", None)] * 4
