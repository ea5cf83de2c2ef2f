"""The conversation: a code and four digits lead to the link, whatever else is said is answered, and nothing is done twice or too late."""

import itertools
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, event, select, update

from outreach import clock, tokens
from outreach.channels.base import Reply
from outreach.contacts import directory as contacts
from outreach.database.engine import Database
from outreach.database.pledge_tables import Attempts
from outreach.database.tables import Address, Campaign, Contact, Enterprise
from outreach.database.tables import Reply as KeptReply
from outreach.database.wechat_tables import Binding, Follower, Scene
from outreach.links import answers, conversation, personal, resolving
from outreach.links.understanding import Said, understand

from drive import Office, office  # isort: skip

ANNA, BEN = "oAnna_0000000000000000000001", "oBen_00000000000000000000002"
GREETING, ASK, WRONG, TOO_MANY = "您好，这里是", "请再发送您登记手机号的后四位", "不符，请核对", "错误次数过多"
STOPPED, RESTARTED, RECEIVED, MISTYPED = "已为您退订", "已为您恢复", "您的留言已收到", "这不是我们的签署码"
LINK = re.compile(r"https?://\S+/p/(\S+)")
_numbers = itertools.count(2**33)


@pytest.fixture
def asked(desk: Office) -> Any:
    """The recipient of a campaign that asks for the pledge: the phone ends in 0001."""
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    return recipient


class Phone:
    """Somebody's WeChat, held to the office's ear."""

    def __init__(self, desk: Office, openid: str = ANNA) -> None:
        self.desk, self.openid = desk, openid

    def does(self, act: Any, body: str = "", *, at: datetime | None = None, now: datetime | None = None, **more: Any) -> str | None:
        reply = said(self.openid, act, body, at=at or now or clock.now(), **more)
        return hear(self.desk, reply, now=now)[reply.reference]

    def says(self, body: str, **more: Any) -> str:
        return str(self.does("text", body, stops=body == "退订", restarts=body == "恢复", **more))

    def follows(self, scene: str = "", **more: Any) -> str:
        return str(self.does("follow", scene=scene, **more))

    def leaves(self, **more: Any) -> str | None:
        return self.does("leave", **more)

    @property
    def known(self) -> Any:
        [row] = [row for row in self.desk.rows(Follower) if row.openid == self.openid]
        return row

    @property
    def bound_to(self) -> list[int]:
        return [row.contact_id for row in self.desk.rows(Binding) if row.openid == self.openid and row.ended_at is None]


def said(openid: str, act: Any, body: str = "", *, at: datetime | None = None, **more: Any) -> Reply:
    return Reply("wechat", str(next(_numbers)), openid, body, act=act, account="gh_office", at=at, **more)


def hear(desk: Office, *replies: Reply, now: datetime | None = None) -> dict[str, str | None]:
    with desk.database.write() as session:
        return conversation.hear(session, replies, settings=desk.settings, now=now or clock.now())


def link_in(answer: str | None) -> str:
    found = LINK.search(answer or "")
    assert found, answer
    return found[1]


def visitor(desk: Office, answer: str | None) -> resolving.Visitor:
    with desk.database.read() as session:
        return resolving.resolve(session, link_in(answer), settings=desk.settings, now=clock.now())


def meanings(desk: Office) -> list[str | None]:
    return [row.meaning for row in desk.rows(KeptReply)]


def suppressed(desk: Office) -> dict[str, str]:
    return {row.value: row.suppressed_source for row in desk.rows(Address) if row.suppressed_at is not None}


def test_following_code_and_digits_lead_to_the_link_and_bind(desk: Office, asked: Any) -> None:
    anna = Phone(desk)
    assert anna.follows().startswith(GREETING)
    assert anna.says(asked.code).startswith(ASK)
    answer = anna.says("0001")
    assert answer.startswith("第1鞋业有限公司《不欠薪倡议书》")
    guest = visitor(desk, answer)
    assert (guest.recipient_id, guest.way) == (asked.id, "wechat")
    [binding] = desk.rows(Binding)
    assert (binding.openid, binding.way, binding.phone) == (ANNA, "conversation", "+8613800000001")
    assert meanings(desk) == ["follow", "code", "digits"]
    assert anna.known.asked_code is None


def test_once_bound_the_code_alone_gives_the_link_until_the_phone_changes_or_he_leaves(desk: Office, asked: Any) -> None:
    anna, ben = Phone(desk), Phone(desk, BEN)
    anna.follows()
    anna.says(f"{asked.code} 0001")
    assert link_in(anna.says(asked.code))
    assert ben.says(asked.code).startswith(ASK), "he is another"
    desk.write(update(Contact).values(phone="+8613900009999"))
    assert anna.says(asked.code).startswith(ASK)
    assert link_in(anna.says("9999"))
    anna.leaves()
    assert anna.bound_to == []
    assert not anna.known.follows
    anna.follows()
    assert anna.says(asked.code).startswith(ASK)


def test_code_and_digits_in_one_message_are_enough_however_they_are_typed(desk: Office, asked: Any) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) for c in asked.code.lower())
    assert link_in(Phone(desk).says(f" {wide[:3]} {wide[3:]}，０００１\n"))
    assert meanings(desk) == ["code_digits"]


def test_a_code_that_nobody_has_is_answered_like_one_that_somebody_has(desk: Office, asked: Any) -> None:
    other = next(code for code in iter(tokens.personal_code, "") if code != asked.code)
    anna, ben = Phone(desk), Phone(desk, BEN)
    assert anna.says(other) == ben.says(asked.code)
    assert anna.says("0001") == ben.says("0002")
    assert desk.rows(Binding) == []


def test_guessing_is_bounded_as_on_the_page_and_counts_the_person_not_the_message(desk: Office, asked: Any) -> None:
    anna, ben = Phone(desk), Phone(desk, BEN)
    anna.says(asked.code)
    for guess in range(5):
        assert WRONG in anna.says(f"9{guess:03d}")
    assert anna.says("0001").startswith(TOO_MANY), "the right ones too"
    assert ben.says(f"{asked.code} 0001").startswith(TOO_MANY), "the code bears no more, from wherever"
    desk.write(update(Attempts).values(began_at=clock.now() - timedelta(hours=2)))
    assert link_in(anna.says("0001"))


def test_one_person_has_twenty_wrong_tries_over_all_codes(desk: Office, asked: Any) -> None:
    anna = Phone(desk)
    told = [anna.says(f"{tokens.personal_code()} 1234") for _try in range(22)]
    assert [WRONG in answer for answer in told] == [True] * 20 + [False] * 2
    assert link_in(Phone(desk, BEN).says(f"{asked.code} 0001"))


def test_a_code_waits_half_an_hour_for_its_digits(desk: Office, asked: Any) -> None:
    anna, now = Phone(desk), clock.now()
    anna.says(asked.code, now=now)
    assert anna.says("0001", now=now + timedelta(minutes=31)).startswith(GREETING)
    anna.says(asked.code, now=now + timedelta(minutes=32))
    assert link_in(anna.says("0001", now=now + timedelta(minutes=61)))


def test_a_message_that_comes_again_gets_the_same_answer_and_changes_nothing(desk: Office, asked: Any) -> None:
    anna = Phone(desk)
    anna.says(asked.code)
    right, wrong = said(ANNA, "text", "0001"), said(BEN, "text", f"{asked.code} 9999")
    first = hear(desk, right, right, wrong)
    before = [desk.rows(table) for table in (KeptReply, Follower, Binding, Address)]
    with desk.database.read() as session:
        tries = session.execute(select(Attempts.key, Attempts.used).order_by(Attempts.key)).all()
    assert hear(desk, wrong, right) == first
    assert [desk.rows(table) for table in (KeptReply, Follower, Binding, Address)] == before
    with desk.database.read() as session:
        assert session.execute(select(Attempts.key, Attempts.used).order_by(Attempts.key)).all() == tries
    assert link_in(first[right.reference])


def test_no_stored_answer_holds_a_link_that_opens_anything(desk: Office, asked: Any) -> None:
    token = link_in(Phone(desk).says(f"{asked.code} 0001"))
    [reply] = desk.rows(KeptReply)
    assert token not in reply.answer
    assert personal.read(link_in(reply.answer).split()[0]) is None
    assert f"/p/[{asked.id} wechat]" in reply.answer
    assert str(asked.id) not in answers.shown(reply.answer).rpartition("/p/")[2].splitlines()[0]


@pytest.mark.parametrize(
    ("body", "answer", "meaning"),
    [("7K3M9", MISTYPED, "mistyped"), ("482913", MISTYPED, "mistyped"), ("谢谢你们", RECEIVED, None), ("[图片]", RECEIVED, None), ("1234", GREETING, "digits")],
)
def test_whatever_else_is_said_is_answered_and_what_a_person_must_read_is_left_open(desk: Office, body: str, answer: str, meaning: str | None) -> None:
    assert Phone(desk).says(body).startswith(answer)
    assert meanings(desk) == [meaning]


def test_who_says_stop_is_written_to_no_more_by_openid_nor_phone_and_start_lifts_what_he_set(desk: Office, asked: Any) -> None:
    anna = Phone(desk)
    anna.says(f"{asked.code} 0001")
    desk.enterprises()
    assert anna.says("退订").startswith(STOPPED)
    assert suppressed(desk) == {ANNA: "reply", "+8613800000001": "reply"}
    assert anna.says("恢复").startswith(RESTARTED)
    assert suppressed(desk) == {}
    assert meanings(desk)[1:] == ["opt_out", "opt_in"]


def test_start_lifts_nothing_that_staff_set_and_a_person_is_asked(desk: Office) -> None:
    anna = Phone(desk)
    anna.says("退订")
    desk.write(update(Address).values(suppressed_source="staff"))
    assert anna.says("恢复").startswith(RECEIVED)
    assert suppressed(desk) == {ANNA: "staff"}
    assert meanings(desk) == ["opt_out", None]


def test_start_lifts_also_what_he_refused_on_the_page_of_his_link(desk: Office, asked: Any) -> None:
    anna = Phone(desk)
    anna.says(f"{asked.code} 0001")
    with desk.database.write() as session:
        for channel, value in contacts.addresses_of(session, contact=desk.rows(Contact)[0].id):
            contacts.opt_out(session, channel=channel, value=value, source="page", now=clock.now())
    assert suppressed(desk) == {ANNA: "page", "+8613800000001": "page"}
    assert anna.says("恢复").startswith(RESTARTED)
    assert suppressed(desk) == {}


def test_the_last_word_of_one_group_counts(desk: Office) -> None:
    now = clock.now()
    stop = said(ANNA, "text", "退订", stops=True, at=now - timedelta(seconds=5))
    start = said(ANNA, "text", "恢复", restarts=True, at=now - timedelta(seconds=2))
    hear(desk, start, stop)
    assert suppressed(desk) == {}


def test_a_word_holds_for_whom_he_is_bound_to_when_he_says_it_though_he_leaves_in_the_same_group(desk: Office, asked: Any) -> None:
    Phone(desk).says(f"{asked.code} 0001")
    now = clock.now()
    hear(desk, said(ANNA, "text", "退订", stops=True, at=now - timedelta(seconds=1)), said(ANNA, "leave", at=now), now=now)
    assert suppressed(desk) == {ANNA: "reply", "+8613800000001": "reply"}


def test_who_says_stop_stays_left_alone_though_the_provider_had_refused_him_before(desk: Office) -> None:
    with desk.database.write() as session:
        session.add(Address(channel="wechat", value=ANNA, suppressed_at=clock.now(), suppressed_reason="address", suppressed_source="43004"))
    anna = Phone(desk)
    anna.says("退订")
    anna.leaves()
    anna.follows()
    assert suppressed(desk) == {ANNA: "reply"}


def test_following_anew_lifts_what_the_provider_said_of_who_was_gone_but_no_refusal(desk: Office) -> None:
    for openid, reason, source in ((ANNA, "address", "43004"), (BEN, "opted_out", "staff")):
        with desk.database.write() as session:
            session.add(Address(channel="wechat", value=openid, suppressed_at=clock.now(), suppressed_reason=reason, suppressed_source=source))
        Phone(desk, openid).follows()
    assert suppressed(desk) == {BEN: "staff"}


def test_what_was_written_before_leaving_and_comes_after_opens_nothing_but_a_refusal_is_obeyed(desk: Office, asked: Any) -> None:
    anna, now = Phone(desk), clock.now()
    anna.follows(at=now - timedelta(minutes=5))
    anna.leaves(at=now - timedelta(minutes=2))
    assert anna.does("text", f"{asked.code} 0001", at=now - timedelta(minutes=3)) is None
    assert not anna.bound_to
    anna.says("退订", at=now - timedelta(minutes=3))
    assert ANNA in suppressed(desk)


def test_what_was_written_before_leaving_opens_nothing_even_if_he_follows_again(desk: Office, asked: Any) -> None:
    anna, now = Phone(desk), clock.now()
    anna.follows(at=now - timedelta(minutes=5))
    anna.leaves(at=now - timedelta(minutes=3))
    anna.follows(at=now - timedelta(minutes=2))
    assert anna.does("text", f"{asked.code} 0001", at=now - timedelta(minutes=4)) is None
    assert not anna.bound_to


def test_the_newest_word_of_refusal_holds_in_whatever_order_they_come(desk: Office, asked: Any) -> None:
    anna, now = Phone(desk), clock.now()
    anna.follows(at=now - timedelta(minutes=5))
    anna.says("退订", at=now - timedelta(minutes=1))
    anna.says("恢复", at=now - timedelta(minutes=2))
    assert ANNA in suppressed(desk)
    anna.says("恢复", at=now)
    anna.says("退订", at=now - timedelta(seconds=30))
    assert ANNA not in suppressed(desk)


def test_an_older_event_that_comes_late_changes_nothing(desk: Office, asked: Any) -> None:
    anna, now = Phone(desk), clock.now()
    anna.follows(at=now - timedelta(minutes=5))
    anna.says(f"{asked.code} 0001", at=now - timedelta(minutes=4))
    assert anna.leaves(at=now - timedelta(minutes=9)) is None
    assert anna.known.follows
    assert anna.bound_to
    anna.leaves(at=now - timedelta(minutes=1))
    assert anna.does("follow", at=now - timedelta(minutes=3)) is None
    assert not anna.known.follows
    assert meanings(desk) == ["follow", "code_digits", "late", "leave", "late"]


def test_who_writes_follows_even_if_nobody_told_us_that_he_came(desk: Office) -> None:
    anna, now = Phone(desk), clock.now()
    anna.leaves(at=now - timedelta(minutes=5))
    anna.says("在吗", at=now - timedelta(minutes=6))
    assert not anna.known.follows, "written before he left"
    anna.says("在吗", at=now - timedelta(minutes=1))
    assert anna.known.follows
    assert anna.known.spoke_at == now - timedelta(minutes=1)


def personal_scene(desk: Office, recipient: int) -> str:
    with desk.database.write() as session:
        session.add(Scene(scene="k3Jq", recipient_id=recipient, url="http://weixin.qq.com/q/1", made_at=clock.now()))
        session.add(Scene(scene="poster1", label="镇政府", url="http://weixin.qq.com/q/2", made_at=clock.now()))
    return "k3Jq"


def test_who_comes_by_a_personal_qr_code_is_asked_for_his_digits_at_once(desk: Office, asked: Any) -> None:
    scene, anna, ben = personal_scene(desk, asked.id), Phone(desk), Phone(desk, BEN)
    assert anna.follows(scene).startswith(ASK)
    assert link_in(anna.says("0001"))
    assert [row.way for row in desk.rows(Binding)] == ["scene"]
    assert link_in(anna.does("scan", scene=scene)), "bound already"
    assert str(ben.does("scan", scene=scene)).startswith(ASK)
    assert WRONG in ben.says("0002"), "the letter was passed on"
    assert ben.follows("poster1").startswith(GREETING)


def test_an_enterprise_without_a_phone_is_known_by_its_credit_code_and_binds_nobody(desk: Office, asked: Any) -> None:
    desk.write(update(Enterprise).values(credit_code="91330282MA2AB1234X"))
    desk.write(update(Contact).values(phone=""))
    anna = Phone(desk)
    for typed in ("b1234x", "91330282MA2AB1234X"):
        anna.says(asked.code)
        assert visitor(desk, anna.says(typed)).way == "credit"
    assert desk.rows(Binding) == []


def test_a_code_whose_campaign_is_over_leads_nowhere(desk: Office, asked: Any) -> None:
    anna = Phone(desk)
    anna.says(f"{asked.code} 0001")
    desk.write(update(Campaign).values(launched_at=clock.now() - timedelta(days=61)))
    assert anna.says(asked.code).startswith(ASK)
    assert WRONG in anna.says("0001")


def test_one_person_of_several_enterprises_reads_how_many(desk: Office) -> None:
    shared = "+8613800001234"
    desk.enterprises(2, phones=[shared, shared])
    desk.asking(one_per="address")
    [recipient] = desk.recipients()
    anna = Phone(desk)
    assert anna.says(f"{recipient.code} 1234").startswith("第1鞋业有限公司等2家企业《不欠薪倡议书》")
    assert len(anna.bound_to) == 2


def test_subscription_notices_taken_and_refused_are_remembered(desk: Office) -> None:
    anna = Phone(desk)
    assert anna.does("subscription", choices={"T1": "accept", "T2": "reject"}) is None
    anna.does("subscription", choices={"T1": "reject"})
    assert anna.known.subscriptions == {"T1": "reject", "T2": "reject"}


def test_a_broken_text_of_the_office_loses_no_message(desk: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = desk.settings.home / "templates" / "wechat"
    own.mkdir(parents=True)
    (own / "received.txt").write_text('+++\ntitle = "x"\nchannel = "wechat"\n+++\n{{ 没有 }}', encoding="utf-8")
    assert Phone(desk).does("text", "你好") is None
    assert meanings(desk) == [None]
    assert "wechat/received" in caplog.text


def test_a_group_of_many_people_takes_few_statements_and_each_gets_his_own_answer(desk: Office) -> None:
    desk.enterprises(60)
    desk.asking()
    codes = [row.code for row in desk.recipients()]
    replies = [said(f"oPerson{number:04d}", "text", code) for number, code in enumerate(codes)]
    with desk.database.write() as session:
        counted: list[str] = []
        event.listen(session.get_bind(), "before_cursor_execute", lambda *seen: counted.append(seen[2]))
        told = conversation.hear(session, replies, settings=desk.settings, now=clock.now())
    assert len(counted) < 25, counted
    assert all(str(answer).startswith(ASK) for answer in told.values())
    digits = [said(f"oPerson{number:04d}", "text", f"{number + 1:04d}") for number in range(60)]
    links = hear(desk, *digits)
    names = [visitor(desk, links[reply.reference]).enterprises[0].name for reply in digits]
    assert names == [f"第{number + 1}鞋业有限公司" for number in range(60)]
    assert len(desk.rows(Binding)) == 60


# laws

DEEDS = st.tuples(
    st.sampled_from([ANNA, BEN]),
    st.sampled_from(["follow", "leave", "scan", "code", "digits", "wrong", "both", "other", "nonsense", "stop", "start"]),
)


def replies_of(deeds: Sequence[tuple[str, str]], code: str, *, begun: datetime) -> list[Reply]:
    """Return what these people did, a second apart."""
    words = {"code": code, "digits": "0001", "wrong": "0009", "both": f"{code}0001", "other": "7K3M9P"[::-1], "nonsense": "?", "stop": "退订", "start": "恢复"}
    return [
        said(
            openid,
            "text" if deed in words else deed,
            words.get(deed, ""),
            at=begun + timedelta(seconds=place),
            scene="k3Jq" if deed == "scan" else "",
            stops=deed == "stop",
            restarts=deed == "start",
        )
        for place, (openid, deed) in enumerate(deeds)
    ]


@pytest.fixture(scope="module")
def quiet(new_sqlite: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office on SQLite with one recipient and his QR code, for many examples in a row."""
    database = Database(new_sqlite())
    made = office(database, tmp_path_factory.mktemp("office"))
    made.enterprises()
    made.asking()
    personal_scene(made, made.recipients()[0].id)
    yield made
    database.close()


def everything(desk: Office, groups: Iterable[Sequence[Reply]], *, now: datetime) -> tuple[Any, ...]:
    """Hear these groups one after another from nothing, and return all that came of it."""
    with desk.database.write() as session:
        for table in (KeptReply, Follower, Binding, Attempts):
            session.execute(delete(table))
        session.execute(update(Address).values(suppressed_at=None, suppressed_reason=None, suppressed_source=None))
    told: dict[str, str | None] = {}
    for group in groups:
        told |= hear(desk, *group, now=now)
    follows = {row.openid: (row.follows, row.asked_code, row.spoke_at) for row in desk.rows(Follower)}
    bound = {row.openid for row in desk.rows(Binding) if row.ended_at is None}
    return told, follows, bound, suppressed(desk), {row.reference: row.meaning for row in desk.rows(KeptReply)}


@given(st.lists(DEEDS, min_size=1, max_size=9), st.lists(st.booleans(), min_size=9, max_size=9), st.data())
@hypothesis.settings(max_examples=50, deadline=None)
def test_how_messages_fall_into_groups_or_come_twice_changes_no_answer(
    quiet: Office, deeds: list[tuple[str, str]], cuts: list[bool], data: st.DataObject
) -> None:
    now = clock.now()
    replies = replies_of(deeds, quiet.recipients()[0].code, begun=now - timedelta(minutes=1))
    groups: list[list[Reply]] = [[]]
    for reply, cut in zip(replies, cuts, strict=False):
        groups[-1].append(reply)
        if cut:
            again = data.draw(st.lists(st.sampled_from(replies[: replies.index(reply) + 1]), max_size=2))
            groups += [again, []]
    assert everything(quiet, [groups[0], *groups[1:]], now=now) == everything(quiet, [[reply] for reply in replies], now=now)


@given(st.lists(st.sampled_from(["follow", "leave"]), min_size=1, max_size=6), st.randoms(use_true_random=False))
@hypothesis.settings(max_examples=20, deadline=None)
def test_whether_he_follows_is_what_he_did_last_in_whatever_order_it_comes(quiet: Office, deeds: list[str], shuffled: random.Random) -> None:
    now = clock.now()
    replies = replies_of([(ANNA, deed) for deed in deeds], "", begun=now - timedelta(minutes=1))
    shuffled.shuffle(replies)
    _told, follows, *_rest = everything(quiet, [[reply] for reply in replies], now=now)
    assert follows[ANNA][0] == (deeds[-1] == "follow")


# what a message means, by itself


@pytest.mark.parametrize(
    ("body", "awaited", "expected"),
    [
        ("", False, Said("words")),
        ("0001", False, Said("digits", digits="0001")),
        ("9133028", True, Said("mistyped")),
        ("91330282MA2AB1234X", True, Said("digits", digits="B1234X")),
        ("你好，请问怎么签？", True, Said("words")),
        ("我有0001和0002两个号", True, Said("words")),
        ("13800138000", True, Said("digits", digits="8000")),
        ("13800138000", False, Said("words")),
        ("٠٠٠١", True, Said("words")),
    ],
)
def test_a_message_means_what_its_words_say(body: str, awaited: bool, expected: Said) -> None:
    assert understand(body, awaited=awaited) == expected


@pytest.mark.parametrize("form", ["{code} 0001", "{code}0001", "0001 {code}", "{code}，0001", "我的签署码是{code}，手机尾号0001", "{code} 13800000001"])
def test_code_and_digits_are_told_apart(form: str) -> None:
    code = tokens.personal_code()
    assert understand(form.format(code=code), awaited=False) == Said("code_digits", code, "0001")


@pytest.mark.parametrize("digits", ["0001", " 00 01。", "０００１", "13800000001", "+86 138 0000 0001", "尾号0001"])
def test_digits_are_read_however_they_come(digits: str) -> None:
    assert understand(digits, awaited=True) == Said("digits", digits="0001")


@given(st.text(max_size=100), st.booleans())
def test_every_message_means_something_and_gives_no_code_that_is_none(body: str, awaited: bool) -> None:
    read = understand(body, awaited=awaited)
    assert (read.meaning in ("code", "code_digits")) == bool(read.code)
    assert not read.code or tokens.is_personal_code(read.code)
    assert re.fullmatch(r"[0-9]{4}|[0-9A-Z]{6}|", read.digits)


@given(st.sampled_from(["{code}", " {code}。", "{code} ", "签署码：{code}", "{code}谢谢"]), st.booleans(), st.integers(0))
def test_a_code_is_found_among_other_words(form: str, awaited: bool, _seed: int) -> None:
    code = tokens.personal_code()
    assert understand(form.format(code=code), awaited=awaited) == Said("code", code)
