"""The personal link and code: nobody makes one but the office, nobody guesses one in time, and what is not valid looks alike."""

import string
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from outreach import clock, tokens
from outreach.database.pledge_tables import Attempts
from outreach.database.tables import Campaign, Contact, Enterprise, Recipient
from outreach.links import guessing, personal, resolving
from outreach.links.guessing import TooManyTries
from outreach.links.resolving import CodeMistyped, CodeUnknown, LinkUnknown

from drive import Office  # isort: skip

KEY = "ab" * 32
HERE = "192.0.2.7"


def type_in(desk: Office, code: str, digits: str, *, address: str = HERE) -> str:
    """What the page at / does; a try counts also where it was wrong."""
    with desk.database.write() as session:
        try:
            return resolving.by_code(session, code, digits, address=address, settings=desk.settings, now=clock.now())
        except (CodeUnknown, TooManyTries) as error:
            session.commit()
            raise error


@given(recipient=st.integers(0, 2**40 - 1), generation=st.integers(1, 50), way=st.sampled_from(tokens.LINK_WAYS))
def test_a_link_says_its_recipient_and_way_and_holds_for_its_generation_only(recipient: int, generation: int, way: str) -> None:
    token = personal.make(KEY, recipient, generation, way)
    claimed = personal.read(token)
    assert claimed is not None
    assert len(token) == tokens.LINK_LENGTH
    assert (claimed.recipient_id, claimed.way) == (recipient, way)
    assert claimed.holds(KEY, generation)
    assert not claimed.holds(KEY, generation + 1)
    assert not claimed.holds("cd" * 32, generation)


@given(place=st.integers(0, tokens.LINK_LENGTH - 1), character=st.sampled_from(string.ascii_letters + string.digits + "-_"))
def test_a_link_with_one_character_changed_holds_no_more(place: int, character: str) -> None:
    token = personal.make(KEY, 17, 1, "link")
    changed = token[:place] + character + token[place + 1 :]
    claimed = personal.read(changed)
    assert changed == token or claimed is None or not claimed.holds(KEY, 1)


@given(st.text(max_size=80))
def test_what_is_no_link_is_none(token: str) -> None:
    personal.read(token)
    assert personal.read(token + "é") is None


@given(st.integers(0))
def test_every_personal_code_has_a_letter_and_finds_one_wrong_character(_seed: int) -> None:
    code = tokens.personal_code()
    assert tokens.is_personal_code(code)
    assert not code.isdigit()
    for place in range(6):
        for character in tokens.ALPHABET:
            if character != code[place]:
                assert not tokens.is_personal_code(code[:place] + character + code[place + 1 :])


def test_a_link_leads_to_its_recipient_and_reading_it_changes_nothing(desk: Office) -> None:
    mine = desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    before = [tuple(row) for row in desk.rows(Recipient)]
    visitor = desk.visitor(recipient.id)
    assert [item.id for item in visitor.enterprises] == mine
    assert visitor.fields["code"] == recipient.code
    assert visitor.way == "link"
    assert [tuple(row) for row in desk.rows(Recipient)] == before


def test_unknown_expired_revoked_and_unlaunched_links_look_alike(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    desk.asking("short", link_days=1, town="桥头镇")
    first, second = desk.recipients()
    token = desk.link(first.id)
    messages = set()

    def refused(token: str, *, later: timedelta = timedelta(0)) -> None:
        with pytest.raises(LinkUnknown) as caught, desk.database.read() as session:
            resolving.resolve(session, token, settings=desk.settings, now=clock.now() + later)
        messages.add(str(caught.value))

    refused("x" * 30)
    refused("")
    refused(personal.make(desk.settings.office_key, 999_999, 1, "link"))
    refused(personal.make("11" * 32, first.id, 1, "link"))
    refused(desk.link(second.id), later=timedelta(days=1, minutes=1))
    assert desk.visitor(first.id, now=clock.now() + timedelta(days=59))
    refused(token, later=timedelta(days=60, minutes=1))
    with desk.database.write() as session:
        assert resolving.revoke(session, [first.code.lower()]) == 1
    refused(token)
    assert personal.read(type_in(desk, first.code, "0001")).holds(desk.settings.office_key, 2)  # type: ignore[union-attr]
    desk.write(update(Campaign).values(launched_at=None))
    refused(desk.link(second.id))
    desk.write(update(Campaign).values(launched_at=clock.now(), mode="production"))
    refused(desk.link(second.id))
    assert len(messages) == 1


def test_a_code_is_read_however_a_hand_wrote_it(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    code = recipient.code
    wide = "".join(chr(ord(c) + 0xFEE0) for c in code)
    for typed in (code, code.lower(), f" {code[:3]} {code[3:]}\n", f"{code[:3]}-{code[3:]}", wide):
        claimed = personal.read(type_in(desk, typed, " 0001 "))
        assert claimed is not None
        assert (claimed.recipient_id, claimed.way) == (recipient.id, "code")


def test_a_code_that_cannot_be_one_is_said_to_be_mistyped_and_costs_nothing(desk: Office) -> None:
    for typed in ("", "ABC", "482913", "7K3M9PX", "张三李四王五", "0OIL1U"):
        with pytest.raises(CodeMistyped):
            type_in(desk, typed, "0001")
    assert desk.database and not _counters(desk)


def test_a_wrong_code_and_wrong_digits_are_answered_alike(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    other = next(code for code in iter(tokens.personal_code, "") if code != recipient.code)
    said = set()
    for code, digits in ((recipient.code, "0002"), (recipient.code, ""), (other, "0001")):
        with pytest.raises(CodeUnknown) as caught:
            type_in(desk, code, digits)
        said.add(str(caught.value))
    assert len(said) == 1


def test_an_enterprise_without_a_phone_is_known_by_its_credit_code_and_marked(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    desk.write(update(Enterprise).values(credit_code="91330282MA2AB1234X"))
    with pytest.raises(CodeUnknown):
        type_in(desk, recipient.code, "B1234X")
    desk.write(update(Contact).values(phone=""))
    claimed = personal.read(type_in(desk, recipient.code, "b1234x"))
    assert claimed is not None
    assert claimed.way == "credit"
    assert desk.visitor(recipient.id, way="credit").checks == ["credit_code_last6"]


def test_a_thousand_guesses_find_nothing_and_end_after_twenty(desk: Office) -> None:
    desk.enterprises(50)
    desk.asking()
    codes = [row.code for row in desk.recipients()]
    looked = refused = 0
    for guess in range(1000):
        try:
            type_in(desk, codes[guess % 50], f"{9000 + guess % 1000:04d}")
        except CodeUnknown:
            looked += 1
        except TooManyTries:
            refused += 1
    assert (looked, refused) == (20, 980)
    with pytest.raises(TooManyTries):
        type_in(desk, codes[0], "0001")  # the right digits, from where too much was guessed
    assert type_in(desk, codes[0], "0001", address="198.51.100.9"), "from elsewhere its owner comes in"


def test_one_code_bears_five_wrong_tries_an_hour_from_wherever(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    for guess in range(5):
        with pytest.raises(CodeUnknown):
            type_in(desk, recipient.code, f"{guess + 9000}", address=f"192.0.2.{guess}")
    for digits in ("9999", "0001"):
        with pytest.raises(TooManyTries):
            type_in(desk, recipient.code, digits, address="192.0.2.200")
    desk.write(update(Attempts).values(began_at=clock.now() - timedelta(hours=1, seconds=1)))
    assert type_in(desk, recipient.code, "0001")


def test_the_whole_office_bears_so_many_wrong_tries(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    now = clock.now()
    with desk.database.write() as session:
        session.add(Attempts(key="office:code", began_at=now, used=2000))
    with pytest.raises(TooManyTries):
        type_in(desk, recipient.code, "0002")


def test_right_tries_cost_nothing(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    for _time in range(30):
        type_in(desk, recipient.code, "0001")
    assert set(_counters(desk).values()) == {0}


def test_no_counter_holds_what_was_typed(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    type_in(desk, recipient.code, "0001")
    assert not any(recipient.code in key or HERE in key for key in _counters(desk))


def test_a_bound_begins_anew_after_its_window(desk: Office) -> None:
    bounds = [guessing.Bound("x", 2, timedelta(hours=1))]
    begun = clock.now()
    for minutes, allowed in ((0, True), (10, True), (20, False), (59, False), (60, True), (61, True), (62, False)):
        with desk.database.write() as session:
            try:
                guessing.spend(session, bounds, now=begun + timedelta(minutes=minutes))
                found = True
            except TooManyTries:
                session.commit()
                found = False
        assert found is allowed, minutes


def _counters(desk: Office) -> dict[str, int]:
    with desk.database.read() as session:
        return {row.key: row.used for row in session.query(Attempts)}
