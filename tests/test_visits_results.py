"""What a visit brings counts once, in whatever order it is typed in, and what follows from it follows at once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import piles as drawn
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from outreach import clock
from outreach.campaigns import visiting
from outreach.campaigns.visiting import Brought, Sheet
from outreach.database.engine import Database
from outreach.database.paper_tables import VISIT_RESULTS, VisitResult
from outreach.database.pledge_tables import Refusal, Signature
from outreach.database.tables import Campaign, Contact, Delivery, Enterprise, PledgeVersion, Recipient
from outreach.outbox import carried
from outreach.pledges import audit, scans
from outreach.pledges.scans import Page
from outreach.visits import results

from drive import PLEDGE, REMINDER, SHORT, Office, office  # isort: skip
from rounds import SEEN, TEXTED, bring, brought, enterprise, issue, live, visit_of  # isort: skip


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    return office(database, tmp_path / "home")


def results_of(desk: Office) -> list[Any]:
    return desk.rows(VisitResult)


def scan() -> scans.Kept:
    return scans.kept(Page("scan.jpg", 1, drawn.sheet("no code of ours")))


OUTCOMES = {
    "met": ("delivered", None),
    "paper": ("delivered", None),
    "will_sign": ("delivered", None),
    "new_phone": ("delivered", None),
    "refused": ("delivered", None),
    "closed": ("undelivered", "closed"),
    "not_found": ("undelivered", "not_found"),
    "again": ("accepted", None),
}


@pytest.mark.parametrize("result", VISIT_RESULTS)
def test_each_result_says_whether_the_visit_was_made(desk: Office, result: str) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=SEEN)
    issue(desk)
    at = clock.now() - timedelta(minutes=5)
    [outcome] = bring(desk, brought(key, result, at=at, phone="+8613900000001" if result == "new_phone" else ""))
    delivery = desk.delivery(1)
    assert outcome.state == "recorded"
    assert (delivery.state, delivery.reason) == OUTCOMES[result]
    assert delivery.final_at == (None if result == "again" else at)
    assert {*results.MADE, *results.IN_VAIN, "again"} == set(VISIT_RESULTS) == set(OUTCOMES)


def test_the_same_visit_typed_in_again_is_the_same_and_another_day_is_another(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=SEEN)
    day = clock.now() - timedelta(days=2)
    assert [one.state for one in bring(desk, brought(key, "again", at=day), brought(key, "again", at=day))] == ["recorded", "already"]
    assert bring(desk, brought(key, "again", at=day + timedelta(days=1)))[0].state == "recorded"
    assert bring(desk, brought(key, "again", at=day, visitor="李网格"))[0].state == "recorded"
    assert [row.result for row in results_of(desk)] == ["again"] * 3
    assert desk.states() == ["queued"]


def test_what_was_typed_in_stays_as_it_was(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=SEEN)
    at = datetime(2026, 1, 15, 4, tzinfo=UTC)
    bring(desk, brought(key, "met", at=at, remark="门卫说下午在", phone="+8613900000001"))
    [row] = results_of(desk)
    assert (row.visitor, row.visited_on, row.recorded_by, row.delivery_id) == ("王村干", at, "alice", 1)
    assert row.detail == {"remark": "门卫说下午在", "phone": "changed"}
    assert "13900000001" not in str(row)


def test_a_paper_without_its_scan_waits_and_with_it_counts_and_stops_all_else(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=[*TEXTED, {"channel": "sms", "template": REMINDER, "when": "unsigned"}])
    desk.suppress("+8613800000001")
    desk.take(0)
    desk.advance()
    [outcome] = bring(desk, brought(key, "paper"))
    [row] = desk.rows(Signature)
    assert (outcome.signature, outcome.serial) == ("pending", row.serial)
    assert (row.state, row.way, row.signer, row.review, row.contact_id) == ("pending", "paper", "王1", True, 1)
    assert (enterprise(desk, key).settled_at, visit_of(desk, key).state) == (None, "delivered")
    [again] = bring(desk, brought(key, "paper", sheet=Sheet(signer="李四", capacity="principal", scans=[scan()])))
    assert (again.state, again.signature, again.serial) == ("already", "completed", row.serial)
    assert enterprise(desk, key).outcome == "signed"
    assert [row.detail for row in results_of(desk)] == [{"serial": row.serial}]
    desk.advance()
    assert [one.channel for one in desk.deliveries()] == ["sms", "visit"]


def test_a_paper_with_its_scan_counts_at_once_under_the_name_that_stands_on_it(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=SEEN)
    sheet = Sheet(signer="李四", capacity="agent", relation="财务", scans=[scan()])
    [outcome] = bring(desk, brought(key, "paper", sheet=sheet))
    [row] = desk.rows(Signature)
    assert (outcome.signature, row.state, row.signer, row.capacity, row.relation, row.review) == ("recorded", "signed", "李四", "agent", "财务", False)
    assert enterprise(desk, key).settled_at is not None
    with desk.database.read() as session:
        assert audit.audit(session).ok


def test_many_papers_at_once_are_recorded_each_for_its_enterprise(desk: Office) -> None:
    ids = desk.enterprises(12)
    desk.asking(steps=SEEN)
    online, before = ids[0], ids[1]
    desk.sign(desk.signing(1))
    bring(desk, brought(before, "paper"))
    outcomes = bring(desk, *[brought(key, "paper", visitor="李网格") for key in ids])
    assert [one.signature for one in outcomes] == ["already", "already"] + ["pending"] * 10
    rows = {row.enterprise_id: row for row in desk.rows(Signature)}
    assert {one.enterprise_id: one.serial for one in outcomes} == {key: row.serial for key, row in rows.items()}
    assert (rows[online].state, {row.state for key, row in rows.items() if key != online}) == ("signed", {"pending"})
    assert {row.recipient_id for row in rows.values()} == {one.id for one in desk.recipients()}


def test_a_paper_for_which_no_campaign_asked_is_not_recorded(desk: Office) -> None:
    [key] = desk.enterprises()
    [outcome] = bring(desk, brought(key, "paper"))
    assert (outcome.state, outcome.reason, results_of(desk), desk.rows(Signature)) == ("rejected", "not_asked", [], [])


def test_no_paper_was_signed_before_its_text_was_there(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=SEEN)
    [outcome] = bring(desk, brought(key, "paper", at=clock.now() - timedelta(days=3)))
    assert (outcome.state, outcome.reason, results_of(desk)) == ("rejected", "before_text", [])


def test_a_no_at_the_door_settles_from_now_on_whatever_the_day_of_the_visit(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=[*SEEN, {"channel": "sms", "template": SHORT, "when": "unsigned"}])
    bring(desk, brought(key, "refused", at=clock.now() - timedelta(days=1), remark="不愿意"))
    [refusal] = desk.rows(Refusal)
    assert (refusal.way, refusal.reason, refusal.recipient_id) == ("staff", "不愿意", 1)
    assert enterprise(desk, key).outcome == "declined"
    assert enterprise(desk, key).settled_at > desk.campaign().approved_at
    desk.advance()
    assert desk.states() == ["delivered"]
    assert desk.statement()["enterprises"]["declined"] == 1


def test_a_no_where_nothing_is_to_be_signed_stops_this_campaign(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.launch(steps=[*SEEN, {"channel": "sms", "template": SHORT}])
    bring(desk, brought(key, "refused"))
    desk.advance()
    assert (desk.states(), desk.rows(Refusal)) == (["delivered"], [])
    assert desk.recipients()[0].stopped_at is not None


def test_a_no_of_one_who_has_signed_changes_nothing(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=SEEN)
    desk.sign(desk.signing(1))
    bring(desk, brought(key, "refused"))
    assert (enterprise(desk, key).outcome, desk.rows(Refusal)) == ("signed", [])


def test_a_new_number_goes_to_the_first_contact_and_the_old_one_is_written_to_no_more(desk: Office) -> None:
    first, second, empty = *desk.enterprises(2, contacts=2), *desk.enterprises(1, contacts=0)
    desk.asking(steps=SEEN)
    changes = bring(
        desk,
        brought(first, "new_phone", phone="+8613900000001"),
        brought(second, "met", phone="+8613800001002"),
        brought(empty, "will_sign", phone="+8613900000003"),
    )
    assert [one.phone for one in changes] == [True, False, True]
    people = {(row.enterprise_id, row.rank): (row.name, row.phone, row.revision) for row in desk.rows(Contact)}
    assert people[first, 0] == ("王1", "+8613900000001", 2)
    assert people[first, 1] == ("王1", "+8613800001001", 1)
    assert people[second, 0][1:] == ("+8613800000002", 1), "the number is another contact's already"
    assert people[empty, 0] == ("", "+8613900000003", 1)


def test_a_text_that_waits_does_not_go_to_the_old_number(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking()
    bring(desk, brought(key, "new_phone", phone="+8613900000001"))
    desk.take(0)
    assert [(row.state, row.reason) for row in desk.deliveries()] == [("skipped", "address_changed")]


def test_a_closed_enterprise_is_written_to_no_more_until_somebody_is_met_there_later(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=[{"channel": "sms", "template": SHORT}, *SEEN])
    day = clock.now() - timedelta(days=2)
    bring(desk, brought(key, "closed", at=day))
    assert enterprise(desk, key).closed_at == day
    desk.take(0)
    assert [(row.channel, row.state, row.reason) for row in desk.deliveries()] == [("sms", "skipped", "stopped")]
    bring(desk, brought(key, "met", at=day - timedelta(hours=1)))
    assert enterprise(desk, key).closed_at == day
    bring(desk, brought(key, "met", at=day + timedelta(days=1)))
    assert enterprise(desk, key).closed_at is None
    bring(desk, brought(key, "closed", at=day - timedelta(days=1)))
    assert enterprise(desk, key).closed_at is None, "that is older than the meeting"


def test_who_speaks_for_another_enterprise_too_is_still_written_to(desk: Office) -> None:
    first, second = desk.enterprises(2, phones=["+8613800000009"] * 2)
    desk.asking(steps=SEEN)
    bring(desk, brought(first, "closed"))
    assert (visit_of(desk, first).state, desk.recipients()[0].stopped_at) == ("queued", None)
    bring(desk, brought(second, "not_found"))
    assert (visit_of(desk, first).state, visit_of(desk, first).reason) == ("undelivered", "not_found")
    bring(desk, brought(second, "met", at=clock.now(), visit=visit_of(desk, first).id))
    assert (visit_of(desk, first).state, visit_of(desk, first).reason) == ("delivered", None)


def test_what_nobody_had_sent_for_is_kept_without_a_visit(desk: Office) -> None:
    [key] = desk.enterprises()
    [outcome] = bring(desk, brought(key, "met"))
    assert (outcome.state, results_of(desk)[0].delivery_id) == ("recorded", None)


def test_a_result_with_the_number_of_its_visit_answers_that_one_and_one_without_only_an_open_one(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=SEEN)
    bring(desk, brought(key, "met"))
    bring(desk, brought(key, "not_found", visitor="李网格"))
    assert [row.delivery_id for row in results_of(desk)] == [1, None]
    assert desk.states() == ["delivered"]
    bring(desk, brought(key, "not_found", visitor="张", visit=1), brought(key, "not_found", visitor="赵", visit=99))
    assert [row.delivery_id for row in results_of(desk)] == [1, None, 1, None]


def test_a_visit_that_was_skipped_but_made_is_what_it_became(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=SEEN)
    live(desk, key, settled_at=clock.now() + timedelta(seconds=1), outcome="signed")
    with desk.database.write() as session:
        assert carried.skip_refused(session, now=clock.now()) == 1
    bring(desk, brought(key, "met", visit=1))
    assert desk.states() == ["delivered"]


def test_a_visit_answered_counts_in_the_statement(desk: Office) -> None:
    ids = desk.enterprises(5)
    desk.asking(steps=SEEN)
    issue(desk, limit=4)
    bring(desk, brought(ids[0], "met"), brought(ids[1], "not_found"), brought(ids[2], "again"))
    [step] = desk.statement()["steps"]
    assert (step["included"], step["delivered"], step["undelivered"], step["adds_up"]) == (5, 1, 1, True)
    assert step["waiting"] == {"queued": 1, "sending": 0, "accepted": 2}


def test_where_one_thing_fails_nothing_is_kept(desk: Office) -> None:
    first, second = desk.enterprises(2)
    desk.asking(steps=SEEN)
    taken = scan()
    bring(desk, brought(first, "paper", sheet=Sheet(signer="李四", capacity="principal", scans=[taken])))
    with pytest.raises(visiting.paper.ScanTaken):
        bring(desk, brought(second, "paper", phone="+8613900000001", sheet=Sheet(signer="李四", capacity="principal", scans=[taken])))
    assert [row.enterprise_id for row in results_of(desk)] == [first]
    assert {row.phone for row in desk.rows(Contact)} == {"+8613800000001", "+8613800000002"}


@pytest.fixture(scope="module")
def quick(new_sqlite: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    opened = Database(new_sqlite())
    made = office(opened, tmp_path_factory.mktemp("home"))
    made.enterprises(2)
    made.asking(steps=SEEN)
    yield made
    opened.close()


def forget(desk: Office) -> None:
    """Let no visit have been made."""
    desk.write(delete(VisitResult))
    desk.write(update(Delivery).values(state="queued", reason=None, attempt=0, final_at=None))
    desk.write(update(Enterprise).values(closed_at=None))
    desk.write(update(Recipient).values(stopped_at=None))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["met", "will_sign", "not_found", "again", "closed"]), min_size=1, max_size=4).flatmap(
        lambda said: st.tuples(st.just(said), st.permutations(range(len(said))))
    )
)
def test_results_in_any_order_end_alike(quick: Office, said: tuple[list[str], list[int]]) -> None:
    results, order = said
    forget(quick)
    began = clock.now() - timedelta(days=20)
    for key, places in ((1, range(len(results))), (2, order)):
        for place in places:
            bring(quick, Brought(enterprise_id=key, result=results[place], at=began + timedelta(days=place), visitor="王村干", visit=key))
    left, right = quick.deliveries()
    assert (left.state, left.reason) == (right.state, right.reason)
    assert (enterprise(quick, 1).closed_at, enterprise(quick, 1).settled_at) == (enterprise(quick, 2).closed_at, enterprise(quick, 2).settled_at)


def test_the_pledge_asked_for_is_that_of_the_visits_campaign(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking("first", steps=SEEN)
    visit = visit_of(desk, key).id
    desk.launch("second", goal={"pledge": PLEDGE})
    bring(desk, brought(key, "paper", visit=visit))
    with desk.database.read() as session:
        campaign = session.scalar(select(Campaign.name).join(Signature, Signature.campaign_id == Campaign.id))
        assert session.scalar(select(PledgeVersion.pledge)) == PLEDGE
    assert campaign == "first"


def test_an_erased_contact_signs_nothing(desk: Office) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=SEEN)
    desk.write(update(Contact).values(name="", phone="", erased_at=clock.now()))
    bring(desk, brought(key, "paper"))
    [row] = desk.rows(Signature)
    assert (row.signer, row.contact_id) == ("", None)
    assert desk.rows(Recipient)[0].stopped_at is None
    assert desk.rows(Enterprise)[0].settled_at is None
