"""Letters and visits on the ladder: for enterprises without a phone too, one a recipient, and stopped by what stops a text."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import papers
import pytest
from drive import PLEDGE, REMINDER, SHORT, Office, phone, recount
from sqlalchemy import delete, select, update

from outreach import clock
from outreach.campaigns import launching, planning, proofs, trial
from outreach.channels.base import Accepted, Receipt
from outreach.database.paper_tables import Letter, PrintBatch
from outreach.database.tables import Address, Campaign, Contact, Delivery, Enterprise, Recipient
from outreach.outbox import carried
from outreach.rendering import layouts

LETTER = {"channel": "letter", "template": "letter/open-letter"}
VISIT = {"channel": "visit"}
TEXT = {"channel": "sms", "template": SHORT}


def addressed(desk: Office, ids: Sequence[int]) -> None:
    """Give enterprises postal addresses."""
    for key in ids:
        desk.write(update(Enterprise).where(Enterprise.id == key).values(address=f"示例路{key}号"))


def without_contacts(desk: Office, ids: Sequence[int]) -> None:
    desk.write(delete(Contact).where(Contact.enterprise_id.in_(ids)))


def carry(desk: Office, news: str, *, channel: str = "letter") -> None:
    """Take what is due on a channel, and say what became of it."""
    now = clock.now()
    with desk.database.write() as session:
        rows = session.execute(carried.due(channel, mode=desk.settings.mode, now=now)).all()
        carried.skip(session, {row.id: row.refusal for row in rows if row.refusal}, now=now)
        taken = carried.accept(session, [row.id for row in rows if not row.refusal], now=now)
        carried.arrive(session, dict.fromkeys(taken, news), at=now)


def standing(desk: Office, channel: str) -> list[tuple[str, str | None]]:
    return [(row.state, row.reason) for row in desk.deliveries() if row.channel == channel]


def adds_up(desk: Office) -> dict[str, Any]:
    """Return the statement, held against a recount in plain SQL."""
    found = desk.statement()
    assert {key: value for key, value in found.items() if key != "at"} == recount(desk, "drive")
    return found


def test_an_enterprise_without_a_phone_is_written_to_by_letter_and_counts_as_not_reached_by_text(desk: Office) -> None:
    ids = desk.enterprises(4)
    addressed(desk, ids[1:])
    without_contacts(desk, ids[2:])
    desk.write(update(Enterprise).where(Enterprise.id == ids[3]).values(address=""))
    desk.asking(steps=[TEXT, LETTER | {"when": "unreached"}])
    planned = desk.campaign().summary
    assert planned["enterprises"] == {"selected": 4, "excluded": 1, "merged": 0}
    assert planned["excluded"] == {"no_contact": 1}
    assert [(step["messages"], step["skipped"]) for step in planned["steps"]] == [(2, {"no_address": 1}), (2, {"no_address": 1})]
    for claimed in desk.take(2):
        desk.record((claimed, Accepted(f"SM{claimed.message.attempt_id}")))
        desk.hear(Receipt("twilio", f"SM{claimed.message.attempt_id}", "undelivered", claimed.message.delivery, 1))
    desk.advance()
    assert sorted(standing(desk, "letter"), key=str) == [("queued", None), ("queued", None), ("skipped", "no_address")]
    carry(desk, "delivered")
    found = adds_up(desk)
    assert found["steps"][0]["skipped"] == {"no_address": 1}
    assert (found["steps"][1]["included"], found["steps"][1]["delivered"], found["steps"][1]["skipped"]) == (3, 2, {"no_address": 1})
    assert (found["enterprises"]["reached"], found["enterprises"]["not_reached"], found["enterprises"]["excluded"]) == (2, 1, {"no_contact": 1})


def test_a_campaign_may_begin_with_letters_and_waits_for_nobody(desk: Office) -> None:
    addressed(desk, desk.enterprises(120))
    desk.asking(steps=[LETTER])
    campaign = desk.campaign()
    assert (campaign.state, campaign.claim_limit) == ("running", None)
    assert standing(desk, "letter") == [("queued", None)] * 120
    assert desk.claim().claimed == ()
    carry(desk, "delivered")
    desk.advance()
    assert (desk.campaign().state, adds_up(desk)["enterprises"]["reached"]) == ("finished", 120)


def test_letters_that_wait_for_the_printer_are_no_part_of_the_canary(desk: Office) -> None:
    addressed(desk, desk.enterprises(60))
    desk.asking(steps=[TEXT, LETTER | {"when": "unsigned"}])
    first = [*desk.take(), *desk.take()]
    assert (len(first), desk.campaign().state) == (50, "canary")
    for claimed in first:
        desk.record((claimed, Accepted(f"SM{claimed.message.attempt_id}")))
        desk.hear(Receipt("twilio", f"SM{claimed.message.attempt_id}", "delivered", claimed.message.delivery, 1))
    desk.advance()
    carry(desk, "undelivered")
    desk.advance()
    assert desk.campaign().state == "running"
    assert len(desk.send_all()) == 10


def test_who_signs_before_the_letter_is_printed_or_the_visit_made_is_skipped_and_who_signs_after_it_is_not(desk: Office) -> None:
    ids = desk.enterprises(3)
    addressed(desk, ids)
    desk.asking(steps=[LETTER, VISIT | {"when": "unsigned"}])
    desk.settle_enterprise(ids[0])
    desk.advance()
    assert standing(desk, "letter") == [("skipped", "goal_reached"), ("queued", None), ("queued", None)]
    carry(desk, "delivered")
    desk.advance()
    assert standing(desk, "visit") == [("queued", None)] * 2
    with desk.database.write() as session:
        carried.accept(session, [row.id for row in desk.deliveries() if row.channel == "visit"], now=clock.now())
    desk.settle_enterprise(ids[1])
    desk.advance()
    assert standing(desk, "letter")[1:] == [("delivered", None)] * 2
    assert standing(desk, "visit") == [("skipped", "goal_reached"), ("accepted", None)]
    adds_up(desk)


@pytest.mark.parametrize("spoiled", ["stopped", "closed"])
def test_nobody_is_visited_who_said_that_it_is_not_for_him_or_who_closed(desk: Office, spoiled: str) -> None:
    ids = desk.enterprises(2)
    desk.asking(steps=[VISIT])
    if spoiled == "closed":
        desk.write(update(Enterprise).where(Enterprise.id == ids[0]).values(closed_at=clock.now()))
    else:
        desk.write(update(Recipient).where(Recipient.id == desk.recipients()[0].id).values(stopped_at=clock.now()))
    desk.advance()
    assert standing(desk, "visit") == [("skipped", "stopped"), ("queued", None)]


def test_a_letter_goes_where_the_enterprise_is_when_it_is_written_and_not_where_one_came_back_from(desk: Office) -> None:
    ids = desk.enterprises(3)
    addressed(desk, ids)
    desk.asking(steps=[TEXT, LETTER])
    desk.write(update(Enterprise).where(Enterprise.id == ids[0]).values(address="新地址1号"))
    marked = select(Address.id).where(Address.channel == "letter", Address.value.like("示例路%")).order_by(Address.id)
    assert len(desk.send_all()) == 3
    desk.write(update(Delivery).values(state="delivered", final_at=clock.now()))
    desk.advance()
    with desk.database.read() as session:
        values = session.scalars(select(Address.value).join(Delivery, Delivery.address_id == Address.id).where(Delivery.channel == "letter")).all()
        keys = session.scalars(marked).all()
    assert sorted(value.split("\n")[0] for value in values) == sorted(["新地址1号", f"示例路{ids[1]}号", f"示例路{ids[2]}号"])
    desk.write(update(Address).where(Address.id == keys[-1]).values(suppressed_at=clock.now(), suppressed_reason="address", suppressed_source="returned"))
    carry(desk, "delivered")
    assert sorted(standing(desk, "letter"), key=str) == [("delivered", None), ("delivered", None), ("skipped", "suppressed")]
    adds_up(desk)


def test_a_person_of_several_enterprises_gets_one_letter_to_the_first_that_has_an_address(desk: Office) -> None:
    ids = desk.enterprises(3, phones=[phone(7)] * 3)
    addressed(desk, ids[1:])
    desk.asking(steps=[LETTER])
    [delivery] = [row for row in desk.deliveries() if row.channel == "letter"]
    with desk.database.read() as session:
        value = session.scalar(select(Address.value).where(Address.id == delivery.address_id))
    assert value.startswith(f"示例路{ids[1]}号\n")
    desk.settle_enterprise(ids[1])
    desk.advance()
    assert standing(desk, "letter") == [("queued", None)]


def test_a_letter_that_comes_back_opens_its_campaign_again_for_who_was_not_reached(desk: Office) -> None:
    addressed(desk, desk.enterprises(2))
    desk.asking(steps=[LETTER, VISIT | {"when": "unreached", "after": "1d"}])
    carry(desk, "delivered")
    desk.advance()
    assert desk.campaign().state == "finished"
    [first, _second] = desk.deliveries()
    batch = {"campaign_id": first.campaign_id, "step": 1, "occurrence": 1, "text_id": first.text_id, "made_at": clock.now(), "made_by": "alice"}
    with desk.database.write() as session:
        session.add(made := PrintBatch(**batch))
        session.flush()
        known = {"batch_id": made.id, "chunk": 1, "place": 1, "enterprise_id": 1, "enterprise": "", "person": "", "address": ""}
        session.add(Letter(delivery_id=first.id, returned_at=clock.now(), **known))
        carried.arrive(session, {first.id: "undelivered"}, at=clock.now(), reasons={first.id: "moved"})
    desk.advance()
    assert desk.campaign().state == "running"
    assert desk.delivery(first.id).final_at == first.final_at
    desk.elapse(timedelta(days=2))
    desk.advance()
    assert standing(desk, "visit") == [("queued", None)]
    carry(desk, "delivered", channel="visit")
    desk.advance()
    assert (desk.campaign().state, adds_up(desk)["enterprises"]["reached"]) == ("finished", 2)


def test_cancelling_skips_the_letters_that_are_in_no_batch(desk: Office) -> None:
    addressed(desk, desk.enterprises(2))
    desk.asking(steps=[LETTER])
    with desk.database.write() as session:
        launching.cancel(session, "drive", now=clock.now())
    assert standing(desk, "letter") == [("skipped", "cancelled")] * 2


def test_a_step_that_people_carry_takes_no_sender(desk: Office) -> None:
    desk.enterprises(1)
    with pytest.raises(planning.SenderUnknown, match="letter"):
        desk.asking(steps=[LETTER | {"sender": "sms"}])


def test_letters_have_a_price_and_texts_their_own(desk: Office) -> None:
    addressed(desk, desk.enterprises(3))
    desk.settings = desk.settings.model_copy(update={"letter_price": Decimal("1.80")})
    desk.asking(steps=[LETTER, TEXT | {"template": REMINDER, "when": "unsigned"}], deadline="2030-01-01")
    steps = desk.campaign().summary["steps"]
    assert (steps[0]["channel"], steps[0]["messages"], steps[0]["cost"]) == ("letter", 3, "5.40")
    assert desk.campaign().definition["goal"]["pledge"] == PLEDGE


def test_the_proof_of_a_letter_is_what_the_first_recipient_gets_with_a_link_that_leads_nowhere(desk: Office) -> None:
    addressed(desk, desk.enterprises(2))
    desk.asking(steps=[TEXT, LETTER | {"when": "unsigned"}, VISIT | {"when": "unsigned"}])
    with desk.database.read() as session:
        proof = proofs.proof(session, "drive", step=2, settings=desk.settings)
        for step, refused in ((1, proofs.NotOnPaper), (3, proofs.NotOnPaper), (4, trial.StepMissing)):
            with pytest.raises(refused):
                proofs.proof(session, "drive", step=step, settings=desk.settings)
        for step, refused in ((2, trial.OnPaper), (3, trial.NothingToSend)):
            with pytest.raises(refused):
                trial.queue(session, "drive", to=phone(1), step=step, settings=desk.settings, now=clock.now())
    content = proof.pdf(settings=desk.settings, now=clock.now())
    text = papers.words(content).replace(" ", "")  # a reader of PDFs takes the gap beside a figure for a blank
    first = desk.recipients()[0]
    assert first.fields["enterprise"] in text
    assert first.code in text
    assert all(code.endswith("x" * 20) for code in papers.codes(content))


def test_who_was_spared_because_he_had_signed_is_not_called_unreached(desk: Office) -> None:
    ids = desk.enterprises(2)
    addressed(desk, ids)
    desk.asking("before")
    desk.sign(desk.signing(desk.recipients()[0].id))
    desk.asking(steps=[LETTER | {"when": "unsigned"}, VISIT | {"when": "unreached"}])
    assert sorted(standing(desk, "letter"), key=str) == [("queued", None), ("skipped", "goal_reached")]
    carry(desk, "undelivered")
    desk.advance()
    desk.advance()
    assert standing(desk, "visit") == [("queued", None)]


@pytest.mark.parametrize("layout", ['#read("/etc/passwd")', '#import "../../secrets/office_key": *', "#let x = ", '#panic("no")'])
def test_a_layout_that_cannot_be_set_is_refused_at_plan_and_nothing_is_kept(desk: Office, layout: str) -> None:
    addressed(desk, desk.enterprises(1))
    own = desk.settings.home / "templates" / "letter" / "letter.typ"
    own.parent.mkdir(parents=True)
    own.write_text(layout, "utf-8")
    with pytest.raises(layouts.LayoutBroken, match=r"letter/letter\.typ"):
        desk.asking(steps=[LETTER])
    assert desk.rows(Campaign) == []
