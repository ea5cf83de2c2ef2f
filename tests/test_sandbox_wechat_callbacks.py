"""What people do reaches the office as from the provider, wechatpy's parser and crypto witness it; and the office's answer reaches people."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto

from outreach.sandbox.wechat.envelopes import Envelopes, Unreadable, compose, parse

from gateway import Gateway  # isort: skip
from wechat_office import AES_KEY, APP_ID, TEMPLATE, TOKEN, Door, client, until  # isort: skip


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with Door() as door:
        yield door


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, door: Door) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("sandbox") / "ledger.jsonl", wechat_url=door.url) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Gateway, door: Door) -> Gateway:
    running.settled()  # what is under way still would reach the door of the next test
    running.reset()
    door.clear()
    return running


def shown(gateway: Gateway) -> list[tuple[str, str, str]]:
    return [(line["to"], line["reference"], line["body"]) for line in gateway.ledger()]


# what people do


def test_a_text_arrives_with_its_own_id(gateway: Gateway, door: Door) -> None:
    reference = gateway.act("o1", body="７k3m9p ]]> <b>&amp;</b>\n退订")
    gateway.settled()
    (heard,) = door.heard
    assert (heard.message.type, heard.message.content, heard.message.source) == ("text", "７k3m9p ]]> <b>&amp;</b>\n退订", "o1")
    assert str(heard.message.id) == reference and heard.message.id > 2**53 and heard.query["openid"] == "o1"
    assert abs(int(heard.message._data["CreateTime"]) - time.time()) < 5


def test_who_follows_scans_and_leaves_is_told_apart(gateway: Gateway, door: Door) -> None:
    for event, scene in (("subscribe", ""), ("scan", "c_1"), ("unsubscribe", ""), ("subscribe", "c_2"), ("unsubscribe", ""), ("SCAN", "c_3")):
        gateway.act("o1", event, scene=scene)
        gateway.settled()
    found = [(heard.message.event, getattr(heard.message, "scene_id", None)) for heard in door.heard]
    assert found == [
        ("subscribe", None), ("scan", "c_1"), ("unsubscribe", None), ("subscribe_scan", "c_2"), ("unsubscribe", None), ("subscribe_scan", "c_3"),
    ]  # fmt: skip
    moments = [int(heard.message._data["CreateTime"]) for heard in door.heard]
    assert moments == sorted(set(moments)), "an event is known by its person and second, so each has its own"
    assert gateway.wechat()["followers"] == 1


def test_an_event_may_be_lost_repeated_forged_late_or_for_another_address(gateway: Gateway, door: Door) -> None:
    gateway.act("o1", "subscribe", lost=True)
    assert gateway.wechat()["followers"] == 1 and gateway.settled()["callbacks"]["sent"] == 0
    reference = gateway.act("o1", body="x", repeat=2)
    gateway.act("o2", "subscribe", created=1_600_000_000)
    gateway.settled()
    texts = [heard for heard in door.heard if heard.kind == "text"]
    assert [str(heard.message.id) for heard in texts] == [reference] * 3 and len({heard.body for heard in texts}) == 1
    assert [heard.message._data["CreateTime"] for heard in door.heard if heard.kind == "subscribe"] == ["1600000000"]
    gateway.act("o3", body="x", forged=True)
    until(lambda: len(door.heard) == 5)
    assert door.heard[-1].message is None
    health = gateway.settled()["callbacks"]
    assert (health["forged"], health["forged_accepted"]) == (1, 1)
    gateway.act("o4", body="x", url=door.url + "?tenant=7")
    gateway.settled()
    assert door.heard[-1].query["tenant"] == "7" and door.heard[-1].message


@pytest.mark.parametrize(
    "posted",
    [
        {},
        {"openid": ""},
        {"openid": "张"},
        {"openid": "o1", "event": "dance"},
        {"openid": "o1"},
        {"openid": "o1", "event": "SCAN"},
        {"openid": "o1", "event": "SCAN", "qr": "never made"},
        {"openid": "o1", "body": "x", "repeat": 99},
        {"openid": "o1", "body": "x", "url": "ftp://x"},
        {"openid": "o1", "body": "x", "encrypted": "rot13"},
        {"openid": "o1", "body": "x", "created": -1},
        {"openid": "o1", "body": "x", "bodi": "x"},
        {"openid": "o1", "event": "subscribe_msg_popup_event", "choices": {"T": "perhaps"}},
    ],
)
def test_what_a_person_cannot_do_is_refused_in_one_line(gateway: Gateway, posted: dict[str, Any]) -> None:
    status, body = gateway.request("POST", "/_sandbox/reply", json.dumps({"channel": "wechat", **posted}).encode())
    assert status == 400 and json.loads(body)["error"]["message"].count("\n") == 0
    assert gateway.health()["callbacks"] == {"sent": 0, "failed": 0, "pending": 0, "forged": 0, "forged_accepted": 0}


def test_the_office_is_asked_whether_the_address_is_its_own(gateway: Gateway, door: Door) -> None:
    assert gateway.wechat(verify=None) == {"verified": True}
    door.answers.append(200)
    assert gateway.wechat(verify=door.url) == {"verified": False}


def test_callbacks_that_follow_each_other_share_a_connection(gateway: Gateway, door: Door) -> None:
    before = len(door.connections)
    for number in range(5):
        gateway.act("o1", body=str(number))
        gateway.settled()
    assert len(door.connections) - before <= 1


# five seconds, three tries


def test_an_event_that_is_not_taken_is_tried_three_times_in_all(gateway: Gateway, door: Door) -> None:
    door.answers += [500, 403, 500]
    gateway.act("o1", body="x")
    health = gateway.settled()["callbacks"]
    assert len(door.heard) == 3 and len({(heard.body, heard.query["nonce"]) for heard in door.heard}) == 1
    assert (health["sent"], health["failed"]) == (0, 1)
    door.answers += [500]
    gateway.act("o1", body="y")
    assert gateway.settled()["callbacks"]["sent"] == 1 and len(door.heard) == 5


def test_an_answer_after_the_deadline_is_not_heard(gateway: Gateway, door: Door) -> None:
    gateway.faults(wechat={"deadline_s": 0.3})
    door.answers += [0.6, "您好"]
    reference = gateway.act("o1", body="x")
    gateway.settled()
    assert len(door.heard) == 2 and [heard.message.id for heard in door.heard] == [int(reference)] * 2
    assert shown(gateway) == [("o1", f"passive-{reference}", "您好")]
    assert door.heard[1].at - door.heard[0].at >= 0.3


def test_the_deadline_is_five_seconds_unless_told_otherwise(gateway: Gateway, door: Door) -> None:
    door.answers.append(3.0)
    gateway.act("o1", body="x")
    assert gateway.settled()["callbacks"]["sent"] == 1 and len(door.heard) == 1


# the office's answer to a person


@pytest.mark.parametrize("encrypted", [False, True, "compat"])
def test_a_person_reads_the_answer_once(gateway: Gateway, door: Door, encrypted: bool | str) -> None:
    door.answers += ["请再发送您登记手机号的后四位。", "请再发送您登记手机号的后四位。"]
    reference = gateway.act("o1", body="7K3M9P", repeat=1, encrypted=encrypted)
    gateway.settled()
    assert [heard.sealed for heard in door.heard] == [bool(encrypted)] * 2
    assert [line["attempt"] for line in gateway.ledger()] == [None]
    assert shown(gateway) == [("o1", f"passive-{reference}", "请再发送您登记手机号的后四位。")]
    assert gateway.wechat()["answers"] == {"text": 1, "again": 1}


def test_a_follower_reads_the_greeting(gateway: Gateway, door: Door) -> None:
    door.answers.append("您好")
    reference = gateway.act("o1", "subscribe")
    gateway.settled()
    assert re.fullmatch(r"o1:\d+:subscribe", reference)
    assert shown(gateway) == [("o1", f"passive-{reference}", "您好")]


def test_another_answer_to_the_same_words_is_noticed(gateway: Gateway, door: Door) -> None:
    door.answers += ["甲", "乙"]
    gateway.act("o1", body="x", repeat=1)
    gateway.settled()
    assert gateway.wechat()["answers"] == {"text": 1, "other": 1} and len(gateway.ledger()) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"ok",
        b"<xml>",
        b"<!DOCTYPE x><xml></xml>",
        b"<xml><ToUserName>o1</ToUserName></xml>",
        b"<xml><ToUserName>o2</ToUserName><FromUserName>gh_sandbox00000</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>x</Content></xml>",
        b"<xml><ToUserName>o1</ToUserName><FromUserName>gh_sandbox00000</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>%s</Content></xml>"
        % (b"x" * 2049),
    ],
)
def test_an_answer_that_is_no_message_to_the_person_is_shown_to_nobody(gateway: Gateway, door: Door, answer: bytes) -> None:
    door.answers.append(answer)
    gateway.act("o1", body="x")
    gateway.settled()
    assert gateway.ledger() == []
    found = gateway.wechat()
    assert found["answers"] == {"broken": 1} and found["broken"]


@pytest.mark.parametrize("answer", [b"", b"success", b" success\n"])
def test_no_answer_is_no_message(gateway: Gateway, door: Door, answer: bytes) -> None:
    door.answers.append(answer)
    gateway.act("o1", body="x")
    gateway.settled()
    assert gateway.ledger() == [] and gateway.wechat()["answers"] == {"none": 1}


def test_in_safe_mode_a_plain_answer_is_broken(gateway: Gateway, door: Door) -> None:
    door.answers.append(
        b"<xml><ToUserName>o1</ToUserName><FromUserName>gh_sandbox00000</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>x</Content></xml>"
    )
    gateway.faults(wechat={"encrypted": True})
    gateway.act("o1", body="x")
    gateway.settled()
    assert gateway.ledger() == [] and "Encrypt" in gateway.wechat()["broken"]


# encryption


def test_in_safe_mode_every_event_is_sealed_and_nothing_can_be_read_outside(gateway: Gateway, door: Door) -> None:
    gateway.faults(wechat={"encrypted": True})
    gateway.act("o1", "subscribe")
    gateway.settled()
    client(gateway).send("o1")
    gateway.act("o1", body="7K3M9P")
    gateway.settled()
    assert sorted(door.kinds()) == ["TEMPLATESENDJOBFINISH", "subscribe", "text"]
    assert all(heard.sealed and b"<Encrypt>" in heard.body and b"FromUserName" not in heard.body for heard in door.heard)


def test_compatible_mode_carries_both(gateway: Gateway, door: Door) -> None:
    gateway.act("o1", body="7K3M9P", encrypted="compat")
    gateway.settled()
    (heard,) = door.heard
    assert heard.message.content == "7K3M9P"
    assert parse_message(heard.body).content == "7K3M9P"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=200))
@settings(max_examples=50)
def test_wechatpys_crypto_opens_what_the_sandbox_seals_and_the_other_way_round(text: str) -> None:
    envelopes, theirs = Envelopes(TOKEN, AES_KEY, APP_ID), WeChatCrypto(TOKEN, AES_KEY, APP_ID)
    xml = compose({"Content": text})
    sealed = envelopes.seal(xml)
    outside = compose({"Encrypt": sealed})
    opened = theirs.decrypt_message(outside, envelopes.sign("1", "2", sealed), "1", "2")
    assert (opened.decode() if isinstance(opened, bytes) else opened) == xml
    assert envelopes.open(parse(theirs.encrypt_message(xml, "2", "1").encode())["Encrypt"]).decode() == xml


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=50)
def test_a_changed_answer_is_not_read(place: int, change: int) -> None:
    envelopes = Envelopes(TOKEN, AES_KEY, APP_ID)
    answer = bytearray(WeChatCrypto(TOKEN, AES_KEY, APP_ID).encrypt_message("<xml><Content>x</Content></xml>", "n", "1").encode())
    start = answer.index(b"<Encrypt><![CDATA[") + len(b"<Encrypt><![CDATA[")
    where = start + place % (answer.index(b"]]>", start) - start)
    answer[where] = ord("A") if answer[where] != ord("A") else ord("B")
    with pytest.raises(Unreadable):
        envelopes.answer(bytes(answer), "safe")


@given(st.dictionaries(st.from_regex(r"[A-Z][a-z]{1,8}", fullmatch=True), st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])), max_size=5))
@settings(max_examples=50)
def test_text_in_xml_reads_back_as_it_was(tree: dict[str, str]) -> None:
    assert parse(compose(tree).encode()) == tree


# what became of messages


def test_a_test_of_templates_leaves_nothing_pending(gateway: Gateway, door: Door) -> None:
    gateway.wechat(follow=["o1"])
    office = client(gateway)
    for number in range(20):
        office.send("o1", template=TEMPLATE, client_msg_id=f"1.{number}")
    health = gateway.settled()["callbacks"]
    assert (health["sent"], health["failed"]) == (20, 0)
    assert sorted(str(heard.message.id) for heard in door.heard) == sorted(line["reference"] for line in gateway.ledger())
