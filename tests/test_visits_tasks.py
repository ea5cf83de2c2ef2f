"""Who goes where: each visit is on one list at most, in the order of the round, with what was tried before, and only while it is needed."""

import itertools
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from outreach import clock
from outreach.database.engine import Database
from outreach.database.paper_tables import VisitTask
from outreach.database.tables import Campaign, Delivery
from outreach.visits import lists, tasks
from outreach.visits.lists import GivenToAnother, VisitorWrong

from drive import Office, office  # isort: skip
from rounds import SEEN, TEXTED, bring, brought, enterprise, issue, listed, live, recall, which  # isort: skip


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    return office(database, tmp_path / "home")


def lists_of(desk: Office) -> dict[int, str]:
    with desk.database.read() as session:
        return dict(session.execute(select(VisitTask.delivery_id, VisitTask.visitor)).all())


def test_visits_are_listed_by_village_and_paging_shows_each_once(desk: Office) -> None:
    ids = desk.enterprises(7)
    for key, village in zip(ids, ["丙村", "甲村", "乙村", "甲村", "", "丙村", "乙村"], strict=True):
        live(desk, key, village=village)
    desk.asking(steps=SEEN)
    whole = listed(desk)
    assert [task.places[0].village for task in whole] == sorted(task.places[0].village for task in whole)
    after, seen = None, []
    with desk.database.read() as session:
        while page := list(tasks.tasks(session, which(desk), limit=2, after=after)):
            seen += [task.id for task in page]
            after = seen[-1]
        assert tasks.total(session, which(desk)) == 7
    assert seen == [task.id for task in whole]
    assert len(set(seen)) == 7
    assert {task.places[0].village for task in listed(desk, village="甲村")} == {"甲村"}


def test_a_visit_says_why_it_is_made_and_what_was_tried_before(desk: Office) -> None:
    [reached, not_reached] = desk.enterprises(2)
    desk.asking(steps=TEXTED)
    desk.send_all()
    for key, state, reason in ((reached, "delivered", None), (not_reached, "undelivered", "address")):
        desk.write(update(Delivery).where(Delivery.id == desk.deliveries()[key - 1].id).values(state=state, reason=reason, final_at=clock.now()))
    desk.advance()
    first, second = sorted(listed(desk), key=lambda task: task.recipient_id)
    assert (first.condition, first.state, first.contact, first.phone) == ("unsigned", "queued", "王1", "+8613800000001")
    assert [(one.channel, one.state, one.reason) for one in first.tried] == [("sms", "delivered", "")]
    assert [(one.channel, one.state, one.reason) for one in second.tried] == [("sms", "undelivered", "address")]
    bring(desk, brought(not_reached, "again"))
    [_again, tried] = [one for task in listed(desk) if task.id == second.id for one in task.tried][::-1]
    assert {one.state for task in listed(desk) if task.id == second.id for one in task.tried} == {"undelivered", "again"}
    assert tried.channel == "sms"


def test_a_list_takes_what_is_due_once_in_the_order_of_the_round(desk: Office) -> None:
    for key, village in zip(desk.enterprises(5), "乙甲乙甲甲", strict=True):
        live(desk, key, village=village)
    desk.asking(steps=SEEN)
    order = [task.id for task in listed(desk)]
    assert list(issue(desk, limit=3).given) == sorted(order[:3])
    assert issue(desk, "李网格", limit=3).given == order[3:]
    assert not issue(desk).given
    assert [task.visitor for task in listed(desk)] == ["王村干"] * 3 + ["李网格"] * 2
    assert [row.state for row in desk.deliveries()] == ["accepted"] * 5
    assert [task.id for task in listed(desk, visitor="李网格")] == order[3:]


def test_what_another_has_is_taken_over_only_when_asked(desk: Office) -> None:
    desk.enterprises(3)
    desk.asking(steps=SEEN)
    issue(desk)
    assert issue(desk, "李网格").held == 3
    with pytest.raises(GivenToAnother) as refused:
        issue(desk, "李网格", codes=[desk.recipients()[0].code])
    assert refused.value.data["visitor"] == "王村干"
    assert len(issue(desk, "李网格", again=True, limit=1).taken_over) == 1
    assert sorted(lists_of(desk).values()) == ["李网格", "王村干", "王村干"]
    assert len(issue(desk, "李网格", again=True, codes=[one.code for one in desk.recipients()]).taken_over) == 2
    assert set(lists_of(desk).values()) == {"李网格"}


def test_who_needs_no_visit_any_more_is_on_no_list_and_the_reason_is_told(desk: Office) -> None:
    signed, closed, left = desk.enterprises(3)
    desk.asking(steps=SEEN)
    desk.settle_enterprise(signed)
    live(desk, closed, closed_at=clock.now())
    issued = issue(desk)
    assert (len(issued.given), dict(issued.skipped)) == (1, {"goal_reached": 1, "stopped": 1})
    [task] = listed(desk, stand="open")
    assert [place.id for place in task.places] == [left]


@pytest.mark.parametrize("state", ["paused", "cancelled"])
def test_nothing_of_a_campaign_that_rests_is_put_on_a_list(desk: Office, state: str) -> None:
    desk.enterprises()
    desk.asking(steps=SEEN)
    desk.write(update(Campaign).values(state=state))
    assert not issue(desk).given


def test_what_is_not_due_yet_is_put_on_no_list(desk: Office) -> None:
    desk.enterprises()
    desk.asking(steps=[{"channel": "visit", "after": "2h"}])
    assert not issue(desk).given
    desk.elapse(timedelta(hours=3))
    assert len(issue(desk).given) == 1


def test_a_visit_that_is_taken_back_is_due_as_before(desk: Office) -> None:
    desk.enterprises(2)
    desk.asking(steps=SEEN)
    issue(desk)
    bring(desk, brought(1, "met"))
    assert len(recall(desk, visitor="王村干")) == 1
    assert sorted(desk.states()) == ["delivered", "queued"]
    assert list(lists_of(desk)) == [desk.deliveries()[0].id]
    assert len(issue(desk, "李网格").given) == 1


def test_who_speaks_for_several_is_visited_once(desk: Office) -> None:
    first, second = desk.enterprises(2, phones=["+8613800000009"] * 2)
    desk.asking(steps=SEEN)
    [task] = listed(desk)
    assert [place.id for place in task.places] == [first, second]
    desk.settle_enterprise(first)
    [task] = listed(desk)
    assert [(place.id, place.settled) for place in task.places] == [(second, False), (first, True)]


def test_an_enterprise_without_contacts_is_visited_too(desk: Office) -> None:
    [key] = desk.enterprises(1, contacts=0)
    desk.asking(steps=SEEN)
    [task] = listed(desk)
    assert (task.contact, task.phone, [place.id for place in task.places]) == ("", "", [key])
    assert len(issue(desk).given) == 1
    assert enterprise(desk, key).settled_at is None


def test_two_who_take_visits_at_once_never_get_the_same(desk: Office) -> None:
    desk.enterprises(40)
    desk.asking(steps=SEEN)
    together, taken = threading.Barrier(2), []

    def take(visitor: str) -> None:
        together.wait()
        for _round in range(6):
            taken.append(list(issue(desk, visitor, limit=5).given))

    threads = [threading.Thread(target=take, args=(name,)) for name in ("王村干", "李网格")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    given = list(itertools.chain(*taken))
    assert len(given) == len(set(given)) == 40
    assert set(lists_of(desk)) == set(given)


@pytest.mark.parametrize("typed", ["", "　", pytest.param("长" * 61, id="too long")])
def test_a_visitor_has_a_name(typed: str) -> None:
    with pytest.raises(VisitorWrong):
        lists.visitor_name(typed)
    assert lists.visitor_name(" 张　三 ") == "张三"
