"""An openid belongs to whom it was confirmed for: one a contact, made once, ended when he leaves, changes his phone or is replaced."""

from typing import Any

import pytest
from sqlalchemy import func, select, update

from outreach import clock
from outreach.database.engine import Database
from outreach.database.tables import Contact
from outreach.database.wechat_tables import Binding, Follower
from outreach.links import bindings
from outreach.outbox.bound import bound

from drive import Office  # isort: skip

ANNA, BEN = "oAnna_0000000000000000000001", "oBen_00000000000000000000002"


def bind(desk: Office, openid: str, *contacts: int, way: str = "conversation") -> int:
    with desk.database.write() as session:
        return bindings.bind(session, openid, contacts, way=way, now=clock.now())


def unbind(desk: Office, openid: str) -> int:
    with desk.database.write() as session:
        return bindings.unbind(session, openid, reason="unsubscribed", now=clock.now())


def contacts(desk: Office) -> list[int]:
    return [row.id for row in desk.rows(Contact)]


def standing(desk: Office) -> list[tuple[str, int]]:
    return [(row.openid, row.contact_id) for row in desk.rows(Binding) if row.ended_at is None]


def reachable(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Binding).join(Contact, bound())) or 0


def confirmed(desk: Office, recipient: int, digits: str) -> list[int]:
    with desk.database.read() as session:
        return bindings.confirmed(session, recipient, digits)


def test_binding_twice_changes_nothing(desk: Office) -> None:
    desk.enterprises(2)
    first, second = contacts(desk)
    assert bind(desk, ANNA, first, second) == 2
    assert bind(desk, ANNA, second, first, way="oauth") == 0
    assert standing(desk) == [(ANNA, first), (ANNA, second)]


def test_a_contact_has_one_openid_and_the_later_one_holds(desk: Office) -> None:
    desk.enterprises()
    [contact] = contacts(desk)
    bind(desk, ANNA, contact)
    assert bind(desk, BEN, contact) == 1
    assert standing(desk) == [(BEN, contact)]
    assert [row.ended_reason for row in desk.rows(Binding)] == ["rebound", None]


def test_who_leaves_is_bound_no_more_until_he_shows_again_who_he_is(desk: Office) -> None:
    desk.enterprises(2)
    mine, other = contacts(desk)
    bind(desk, ANNA, mine)
    bind(desk, BEN, other)
    assert (unbind(desk, ANNA), unbind(desk, ANNA)) == (1, 0)
    assert standing(desk) == [(BEN, other)]
    bind(desk, ANNA, mine)
    assert len(standing(desk)) == 2


def test_a_binding_holds_for_the_phone_that_was_confirmed_and_while_he_follows(desk: Office) -> None:
    desk.enterprises()
    [contact] = contacts(desk)
    bind(desk, ANNA, contact)
    assert reachable(desk.database) == 0
    with desk.database.write() as session:
        session.add(Follower(openid=ANNA, follows=True))
    assert reachable(desk.database) == 1
    desk.write(update(Contact).values(phone="+8613900000009"))
    assert reachable(desk.database) == 0
    assert bind(desk, ANNA, contact) == 1, "the new phone is confirmed anew"
    assert reachable(desk.database) == 1


def test_nobody_is_bound_to_whom_was_erased(desk: Office) -> None:
    desk.enterprises()
    desk.write(update(Contact).values(erased_at=clock.now()))
    assert bind(desk, ANNA, *contacts(desk)) == 0


@pytest.mark.parametrize(("digits", "expected"), [("0001", [0]), ("1001", [1]), ("0002", []), ("001", []), ("", []), ("%", []), ("____", [])])
def test_digits_confirm_the_contacts_of_the_recipients_own_enterprises(desk: Office, digits: str, expected: list[Any]) -> None:
    desk.enterprises(contacts=2)
    desk.asking()
    desk.enterprises()
    [recipient] = desk.recipients()
    known = contacts(desk)
    assert confirmed(desk, recipient.id, digits) == [known[place] for place in expected]


def test_one_person_of_several_enterprises_is_bound_for_all_and_a_neighbour_whose_number_ends_alike_is_not(desk: Office) -> None:
    shared = "+8613800001234"
    desk.enterprises(2, phones=[shared, shared], contacts=2)
    desk.asking(one_per="address")
    people = desk.rows(Contact)
    [recipient] = desk.recipients()
    desk.write(update(Contact).where(Contact.id == people[1].id).values(phone="+8613911111234"))
    assert confirmed(desk, recipient.id, "1234") == [row.id for row in people if row.phone == shared]
