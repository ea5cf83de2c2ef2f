"""The WeChat side misbehaves as it is told, in the ways in which the provider does, and the same way for any order of arrival."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from wechatpy.exceptions import WeChatClientException

from outreach.sandbox.faults import AT_WECHAT, FAULTS, KNOWN, Faults

from gateway import Gateway  # isort: skip
from wechat_office import TEMPLATE, Client, Door, client, until  # isort: skip


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


@pytest.fixture
def office(gateway: Gateway) -> Client:
    gateway.wechat(follow=["o1", "o2"])
    return client(gateway)


def only(gateway: Gateway, fault: str, **more: Any) -> None:
    gateway.faults(rules=[{"to": "o1", "fault": fault}], **more)


def statuses(door: Door) -> list[str]:
    return [heard.message.status for heard in door.heard if heard.message]


# before acceptance


@pytest.mark.parametrize(
    ("fault", "errcode"),
    [("throttle", 45011), ("error_json", -1), ("error_html", None), ("unfollowed", 43004), ("blocked", 43019), ("quota", 45009), ("token_expired", 42001)],
)
def test_a_refused_message_is_not_kept(gateway: Gateway, door: Door, office: Client, fault: str, errcode: int | None) -> None:
    only(gateway, fault)
    with pytest.raises(WeChatClientException) as refused:
        office.send("o1", client_msg_id="1.1")
    assert refused.value.errcode == errcode
    assert gateway.ledger() == [] and gateway.settled()["faults"] == {fault: 1} and door.heard == []
    if fault != "token_expired":
        assert office.send("o2")["errcode"] == 0


def test_an_expired_token_is_expired_for_everyone_until_it_is_fetched_anew(gateway: Gateway, office: Client) -> None:
    gateway.faults(rules=[{"to": "o1", "fault": "token_expired", "times": 1}])
    for openid in ("o1", "o2", "o1"):
        with pytest.raises(WeChatClientException):
            office.send(openid)
    office.renew()
    assert office.send("o1")["errcode"] == 0


@pytest.mark.parametrize("fault", ["throttle", "error_json", "error_html", "quota"])
def test_a_message_refused_by_the_mix_gets_through_when_tried_again(gateway: Gateway, office: Client, fault: str) -> None:
    gateway.faults(mix={fault: 1.0})
    with pytest.raises(WeChatClientException):
        office.send("o1", client_msg_id="1.1")
    assert office.send("o1", client_msg_id="1.1")["errcode"] == 0
    assert len(gateway.ledger()) == 1


# after acceptance


@pytest.mark.parametrize("fault", ["drop_after_accept", "truncate", "hang_after_accept"])
def test_a_spoilt_answer_leaves_one_message_and_its_copy_is_answered_well(gateway: Gateway, door: Door, office: Client, fault: str) -> None:
    gateway.faults(mix={fault: 1.0})
    office.timeout = 0.4
    try:
        spoilt: Any = office.send("o1", client_msg_id="1.1")
    except requests.RequestException:
        spoilt = None
    assert not isinstance(spoilt, dict)
    again = office.send("o1", client_msg_id="1.1")
    gateway.settled()
    (line,) = gateway.ledger()
    assert line["reference"] == str(again["msgid"]) and statuses(door) == ["success"]


def test_a_rule_spoils_copies_too(gateway: Gateway, office: Client) -> None:
    only(gateway, "drop_after_accept")
    for _ in range(3):
        with pytest.raises(requests.ConnectionError):
            office.send("o1", client_msg_id="1.1")
    assert len(gateway.ledger()) == 1


def test_a_truncated_answer_is_cut_as_http_for_some_and_as_json_for_others(gateway: Gateway, office: Client) -> None:
    only(gateway, "truncate")
    seen = Counter[str]()
    for number in range(12):
        try:
            answer = office.send("o1", data={"thing1": {"value": str(number)}})
            seen["json"] += not isinstance(answer, dict)
        except requests.exceptions.ChunkedEncodingError:
            seen["http"] += 1
    assert seen.total() == 12 and len(seen) == 2 and len(gateway.ledger()) == 12


def test_latency_is_waited_before_every_answer(gateway: Gateway, office: Client) -> None:
    gateway.faults(latency_ms=200)
    started = time.monotonic()
    office.send("o1")
    assert 0.2 <= time.monotonic() - started < 2


# receipts


def test_an_undelivered_message_says_either_of_two_things(gateway: Gateway, door: Door, office: Client) -> None:
    only(gateway, "undelivered")
    for number in range(16):
        office.send("o1", data={"thing1": {"value": str(number)}})
    gateway.settled()
    assert set(statuses(door)) == {"failed:user block", "failed: system failed"}
    assert {line["outcome"] for line in gateway.ledger()} == {"undelivered"}


def test_who_blocks_the_account_does_not_get_it(gateway: Gateway, door: Door, office: Client) -> None:
    gateway.wechat(block=["o1"])
    office.send("o1")
    gateway.settled()
    assert [line["outcome"] for line in gateway.ledger()] == ["undelivered"] and statuses(door)[0].startswith("failed")


def test_a_late_receipt_comes_after_its_delay(gateway: Gateway, door: Door, office: Client) -> None:
    only(gateway, "receipt_late", late_ms=400)
    started = time.monotonic()
    office.send("o1")
    gateway.settled()
    assert door.heard[0].at - started >= 0.4


def test_a_reordered_receipt_is_overtaken_by_that_of_a_later_message(gateway: Gateway, door: Door, office: Client) -> None:
    only(gateway, "receipt_reordered")
    first, second = office.send("o1")["msgid"], office.send("o2")["msgid"]
    gateway.settled()
    assert [heard.message.id for heard in door.heard] == [second, first]


def test_a_receipt_may_come_twice_or_never(gateway: Gateway, door: Door, office: Client) -> None:
    gateway.faults(rules=[{"to": "o1", "fault": "receipt_twice"}, {"to": "o2", "fault": "receipt_lost"}])
    twice = office.send("o1")["msgid"]
    office.send("o2")
    gateway.settled()
    assert [heard.message.id for heard in door.heard] == [twice, twice]
    assert [line["outcome"] for line in gateway.ledger()] == ["delivered", "silent"]


def test_a_forged_receipt_is_badly_signed_beside_the_true_one(gateway: Gateway, door: Door, office: Client) -> None:
    only(gateway, "receipt_forged")
    office.send("o1")
    until(lambda: len(door.heard) == 2)
    gateway.settled()
    assert statuses(door) == ["success"]
    (forged,) = [heard for heard in door.heard if heard.message is None]
    assert b"failed" in forged.body and gateway.health()["callbacks"]["forged"] == 1


def test_an_early_receipt_precedes_the_answer(gateway: Gateway, door: Door, office: Client) -> None:
    only(gateway, "receipt_early")
    msgid = office.send("o1")["msgid"]
    assert [heard.message.id for heard in door.heard] == [msgid]


def test_the_event_may_bear_no_id(gateway: Gateway, door: Door, office: Client) -> None:
    gateway.faults(wechat={"event_msgid": "zero"})
    office.send("o1", client_msg_id="1.1")
    gateway.settled()
    assert [(heard.message.id, heard.message.source) for heard in door.heard] == [(0, "o1")]


@pytest.mark.parametrize(("fault", "reports"), [("receipt_lost", []), ("undelivered", ["send fail"]), ("receipt_twice", ["send success"] * 2)])
def test_a_mass_message_meets_faults_too(gateway: Gateway, door: Door, office: Client, fault: str, reports: list[str]) -> None:
    gateway.faults(rules=[{"to": "@all", "fault": fault}], wechat={"mass_s": 0.0})
    office.post("message/mass/sendall", data={"filter": {"is_to_all": True}, "msgtype": "text", "text": {"content": "x"}})
    gateway.settled()
    assert statuses(door) == reports


def test_a_mass_message_whose_answer_is_lost_was_sent(gateway: Gateway, office: Client) -> None:
    gateway.faults(rules=[{"to": "@all", "fault": "drop_after_accept"}])
    posted = {"filter": {"is_to_all": True}, "msgtype": "text", "text": {"content": "x"}, "clientmsgid": "a1"}
    with pytest.raises(requests.ConnectionError):
        office.post("message/mass/sendall", data=posted)
    with pytest.raises(WeChatClientException) as refused:
        office.post("message/mass/sendall", data=posted)
    assert refused.value.errcode == 45065 and len(gateway.ledger()) == 1


@pytest.mark.parametrize("how", ["drop_after_accept", "error_json"])
def test_an_answer_to_a_person_meets_faults_too(gateway: Gateway, office: Client, how: str) -> None:
    gateway.act("o1", body="x")
    only(gateway, how)
    with pytest.raises((requests.ConnectionError, WeChatClientException)):
        office.message.send_text("o1", "您好")
    assert len(gateway.ledger()) == (1 if how == "drop_after_accept" else 0)


# the configuration


def test_what_only_wechat_does_passes_elsewhere() -> None:
    faults = Faults(1)
    faults.configure(json.dumps({"mix": {"review": 1.0}, "rules": [{"to": "x", "fault": "blocked"}]}).encode())
    assert {faults.draw(f"+861380013800{number}", "b") for number in range(9)} == {None} and faults.draw("x", "b") is None
    assert faults.draw("o1", "b", channel="wechat") == "review" and faults.draw("x", "b", channel="wechat") == "blocked"


def test_a_mix_of_its_own_replaces_the_common_one() -> None:
    faults = Faults(1)
    faults.configure(json.dumps({"mix": {"throttle": 1.0}, "wechat": {"mix": {"undelivered": 1.0}}}).encode())
    assert (faults.draw("+8613800138000", "b"), faults.draw("o1", "b", channel="wechat")) == ("throttle", "undelivered")
    faults.configure(json.dumps({"mix": {"throttle": 1.0}, "wechat": {"mix": {}}}).encode())
    assert faults.draw("o1", "b", channel="wechat") is None


def test_what_is_told_is_shown_in_the_shape_in_which_it_was_told(gateway: Gateway) -> None:
    told = {
        "encrypted": "safe", "quota_day": {"user/get": 1}, "templates": {TEMPLATE: ["thing1"]}, "mix": {"review": 0.5},
        "errors": [{"api": "x", "errcode": 1, "times": None}], "token_life_s": 60.0,
    }  # fmt: skip
    assert gateway.faults(wechat=told)["wechat"] == told
    assert "wechat" not in gateway.faults()


@pytest.mark.parametrize(
    "told",
    [
        [],
        {"tokens": 1},
        {"quota_day": {"x": -1}},
        {"quota_day": "many"},
        {"encrypted": "rot13"},
        {"duplicate_msgid": "both"},
        {"errors": [{"api": "x"}]},
        {"errors": [{"api": "x", "errcode": "maybe"}]},
        {"token_life_s": True},
        {"tries": 1.5},
        {"token_jump": 1},
        {"templates": {"T": "thing1"}},
        {"mix": {"flood": 1.0}},
        {"mix": {"review": 2.0}},
    ],
)
def test_what_cannot_be_understood_changes_nothing(gateway: Gateway, told: Any) -> None:
    gateway.faults(mix={"truncate": 0.5})
    status, body = gateway.request("POST", "/_sandbox/faults", json.dumps({"wechat": told}).encode())
    assert status == 400 and json.loads(body)["error"]["id"] == "bad_request"
    assert json.loads(gateway.request("GET", "/_sandbox/faults")[1])["mix"] == {"truncate": 0.5}


def test_every_fault_befalls_the_same_messages_in_any_order(gateway: Gateway, office: Client) -> None:
    people = [f"p{number}" for number in range(300)]
    gateway.wechat(follow=people)

    def outcomes(order: list[str]) -> dict[str, str]:
        gateway.faults(seed=5, wechat={"mix": {"undelivered": 0.3, "receipt_lost": 0.3, "review_blocked": 0.2}})
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, order))
        gateway.settled()
        found = {line["to"]: line["outcome"] for line in gateway.ledger()}
        gateway.reset()
        gateway.wechat(follow=people)
        return found

    def send(openid: str) -> None:
        body = json.dumps({"touser": openid, "template_id": TEMPLATE, "data": {"thing1": {"value": "x"}}}).encode()
        gateway.request("POST", f"/cgi-bin/message/template/send?access_token={office.token}", body)

    first, second = outcomes(people), outcomes(people[::-1])
    assert first == second and set(first.values()) == {"delivered", "undelivered", "silent", "failed"}


def test_the_names_of_the_faults_are_those_of_the_texts_and_six_more() -> None:
    assert KNOWN == FAULTS + AT_WECHAT
    assert AT_WECHAT == ("review", "review_blocked", "unfollowed", "blocked", "token_expired", "quota")
