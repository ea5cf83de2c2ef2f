"""The sandbox speaks WeChat's protocol: wechatpy's client cannot tell the difference, and the provider's rules hold."""

import contextlib
import http.client
import json
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wechatpy.exceptions import APILimitedException, WeChatClientException

from outreach.rendering import wechat_values
from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.fields import canonical

from gateway import Gateway  # isort: skip
from wechat_office import APP_ID, SECRET, TEMPLATE, Client, Door, client  # isort: skip

ASKED = {"grant_type": "client_credential", "appid": APP_ID, "secret": SECRET}
DAY = 86400


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
    gateway.wechat(follow=["o1", "o2", "o3"])
    return client(gateway)


def code(call: Any, *args: Any, **more: Any) -> int:
    with pytest.raises(WeChatClientException) as refused:
        call(*args, **more)
    return int(refused.value.errcode)


def stable(gateway: Gateway, **more: Any) -> dict[str, Any]:
    return gateway._json("POST", "/cgi-bin/stable_token", {**ASKED, **more})


# tokens


def test_the_stable_token_is_the_same_until_it_ends(gateway: Gateway) -> None:
    first = stable(gateway)
    assert stable(gateway)["access_token"] == first["access_token"] and first["expires_in"] <= 7200 and len(first["access_token"]) > 136
    before = gateway.wechat()["token_fetches"]
    gateway.faults(wechat={"clock_s": 7200 - 290})
    renewed = stable(gateway)
    assert renewed["access_token"] != first["access_token"]
    for token in (first, renewed):
        assert "errcode" not in gateway._json("GET", f"/cgi-bin/user/get?access_token={token['access_token']}")
    assert gateway.wechat()["token_fetches"] == before + 1


def test_each_classic_token_ends_the_one_before_five_minutes_later_and_not_the_stable_one(gateway: Gateway) -> None:
    fixed = stable(gateway)["access_token"]
    first, second = (gateway._json("GET", f"/cgi-bin/token?{urlencode(ASKED)}")["access_token"] for _ in range(2))

    def answer(token: str) -> Any:
        return gateway._json("GET", f"/cgi-bin/user/get?access_token={token}").get("errcode")

    assert first != second and answer(first) is answer(second) is answer(fixed) is None
    gateway.faults(wechat={"clock_s": 301})
    assert (answer(first), answer(second), answer(fixed)) == (42001, None, None)


def test_a_token_may_end_long_before_its_time(gateway: Gateway, office: Client) -> None:
    gateway.faults(wechat={"token_jump": True})
    assert code(office.send, "o1") == 42001
    old = office.token
    assert office.renew() != old
    assert office.send("o1")["errcode"] == 0


def test_a_stuck_token_is_mended_by_a_forced_refresh_only(gateway: Gateway, office: Client) -> None:
    gateway.faults(wechat={"token_stuck": True})
    assert code(office.send, "o1") == 40001
    office.renew()
    assert code(office.send, "o1") == 40001
    old = office.token
    assert office.renew(force_refresh=True) != old
    assert office.send("o1")["errcode"] == 0
    assert gateway.wechat()["forced_refreshes"] == 1


def test_forced_refreshes_are_thirty_seconds_apart_and_twenty_a_day(gateway: Gateway) -> None:
    first = stable(gateway, force_refresh=True)["access_token"]
    assert stable(gateway, force_refresh=True)["errcode"] == 45011
    for turn in range(1, 20):
        gateway.faults(wechat={"clock_s": 31 * turn})
        assert "access_token" in stable(gateway, force_refresh=True)
    gateway.faults(wechat={"clock_s": 31 * 20})
    assert stable(gateway, force_refresh=True)["errcode"] == 45009
    assert gateway._json("GET", f"/cgi-bin/user/get?access_token={first}")["errcode"] == 40001


@pytest.mark.parametrize(
    ("change", "errcode"),
    [({"appid": "wx1"}, 40013), ({"secret": "x"}, 40125), ({"grant_type": "x"}, 40002), ({"appid": ""}, 41002), ({"secret": ""}, 41004)],
)
def test_a_token_is_given_to_the_account_alone(gateway: Gateway, change: dict[str, str], errcode: int) -> None:
    found = stable(gateway, **change)
    assert found["errcode"] == errcode and " rid: " in found["errmsg"]
    assert gateway._json("GET", f"/cgi-bin/token?{urlencode(ASKED | change)}")["errcode"] == errcode


@pytest.mark.parametrize(("query", "errcode"), [("", 41001), ("?access_token=abc", 40014)])
def test_a_call_without_a_good_token_is_refused(gateway: Gateway, query: str, errcode: int) -> None:
    assert gateway._json("POST", f"/cgi-bin/message/template/send{query}", {})["errcode"] == errcode


# template messages


def test_a_template_message_has_an_id_beyond_32_bits_and_a_line_in_the_ledger(gateway: Gateway, door: Door, office: Client) -> None:
    data = {"time2": {"value": "2026年1月5日 09:00"}, "thing1": {"value": "示例“公司”"}}
    answer = office.send("o1", client_msg_id="17.2", data=data, url="https://x.test/p/1")
    assert answer == {"errcode": 0, "errmsg": "ok", "msgid": answer["msgid"]} and answer["msgid"] > 2**53
    gateway.settled()
    (line,) = gateway.ledger()
    assert list(line) == ["channel", "reference", "to", "body", "attempt", "at", "outcome"]
    assert line | {"at": ""} == {
        "channel": "wechat",
        "reference": str(answer["msgid"]),
        "to": "o1",
        "body": '{"thing1":{"value":"示例“公司”"},"time2":{"value":"2026年1月5日 09:00"}}',
        "attempt": "17.2",
        "at": "",
        "outcome": "delivered",
    }
    (heard,) = door.heard
    assert (heard.message.event, heard.message.id, heard.message.status) == ("templatesendjobfinish", answer["msgid"], "success")
    assert (heard.message.source, heard.message.target) == ("o1", "gh_sandbox00000")
    (shown,) = gateway._json("GET", "/_sandbox/wechat?openid=o1")["messages"]
    assert (shown["link"], shown["api"], shown["reference"]) == ("https://x.test/p/1", "template", line["reference"])


def test_wechatpys_own_send_template_is_understood(gateway: Gateway, office: Client) -> None:
    answer = office.message.send_template("o2", TEMPLATE, {"thing1": {"value": "x"}}, url="https://x.test/")
    assert [line["reference"] for line in gateway.ledger()] == [str(answer["msgid"])]


def test_only_who_follows_gets_a_template_message(gateway: Gateway, office: Client) -> None:
    assert code(office.send, "o9") == 43004
    gateway.act("o1", "unsubscribe")
    assert code(office.send, "o1") == 43004
    assert code(office.send, "no one") == 40003
    assert gateway.ledger() == []


@pytest.mark.parametrize(
    ("posted", "errcode"),
    [
        (b"", 44002),
        (b"{", 47001),
        (b"[]", 47001),
        (b'{"touser": "o1"}', 40037),
        (b'{"touser": "o1", "template_id": "' + b"T" * 43 + b'"}', 47003),
        (b'{"touser": 5, "template_id": "T"}', 40003),
    ],
)
def test_what_cannot_be_read_is_refused(gateway: Gateway, office: Client, posted: bytes, errcode: int) -> None:
    _, body = gateway.request("POST", f"/cgi-bin/message/template/send?access_token={office.token}", posted)
    assert json.loads(body)["errcode"] == errcode


def test_a_filed_template_wants_its_fields_and_no_other_is_known(gateway: Gateway, office: Client) -> None:
    gateway.faults(wechat={"templates": {TEMPLATE: ["thing1", "time2"]}})
    with pytest.raises(WeChatClientException, match=r"data\.time2\.value is empty"):
        office.send("o1")
    assert code(office.send, "o1", template="other") == 40037
    assert office.send("o1", data={"thing1": {"value": "x"}, "time2": {"value": "09:00"}})["errcode"] == 0


GOOD = [
    ("thing1", "二" * 20),
    ("character_string2", "7K3M9P"),
    ("time3", "2026年1月5日"),
    ("time3", "15:01"),
    ("time3", "2019年10月1日 15:01~16:00"),
    ("date4", "2019年10月1日"),
    ("amount5", "¥100.50"),
    ("phone_number6", "0574-12333"),
    ("name7", "张建国"),
    ("phrase8", "待签订"),
    ("number9", "12"),
    ("const10", "企业"),
    ("character_string2", "7K-3M（9P）"),
    ("date4", "2018-01"),
    ("date4", "1月5日"),
    ("time3", "01-01 9:05:07"),
]
BAD = [
    ("thing1", "二" * 21),
    ("character_string2", "签署码"),
    ("character_string2", "A" * 33),
    ("time3", "明天"),
    ("date4", "15:01"),
    ("amount5", "十元"),
    ("phone_number6", "1" * 18),
    ("name7", "二" * 11),
    ("phrase8", "待签订的事情"),
    ("phrase8", "abc"),
    ("number9", "第一"),
    ("thing1", " "),
    ("thing1", "一行\n又一行"),
    ("time3", "2026年1月5日至6日"),
    ("number9", "٣"),
]


@pytest.mark.parametrize(("key", "value"), GOOD)
def test_a_value_that_fits_its_type_is_taken(key: str, value: str) -> None:
    assert json.loads(canonical({key: {"value": value}}, None)) == {key: {"value": value}}


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_value_that_does_not_fit_its_type_is_refused_by_name(key: str, value: str) -> None:
    with pytest.raises(Declined) as refused:
        canonical({key: {"value": value}}, None)
    assert refused.value.code == 47003 and f"data.{key}.value" in refused.value.about


PLAIN = "0123456789ABZabz年月日示例市某某有限公司一二，。：（）“”·:~-/.+,!#()[]{}<>%&@¥￥$€元 é🙂𠀀"


@st.composite
def values(draw: st.DrawFn) -> tuple[str, str]:
    """A key and a value of the form that the office's own check asks of it."""
    kind = draw(st.sampled_from(sorted(wechat_values.KINDS)))
    return f"{kind}1", draw(st.from_regex(wechat_values.KINDS[kind].form, fullmatch=True, alphabet=PLAIN))


@given(values())
@settings(max_examples=100)
def test_what_the_office_finds_good_the_provider_takes(found: tuple[str, str]) -> None:
    key, value = found
    if wechat_values.fault(key, value) is None and value.strip():
        canonical({key: {"value": value}}, None)


@given(st.dictionaries(st.sampled_from(["thing1", "const2", "x3"]), st.text(PLAIN, min_size=1, max_size=9), min_size=1))
@settings(max_examples=60)
def test_the_body_in_the_ledger_is_the_data_whatever_its_order(values: dict[str, str]) -> None:
    data = {key: {"value": f"x{value}"} for key, value in values.items()}
    text = canonical(data, None)
    assert json.loads(text) == data and text == canonical(dict(reversed(list(data.items()))), None)


# the ten minutes


@pytest.mark.parametrize("how", ["same", "zero"])
def test_a_copy_within_ten_minutes_is_answered_and_not_sent(gateway: Gateway, door: Door, office: Client, how: str) -> None:
    gateway.faults(wechat={"duplicate_msgid": how})
    first = office.send("o1", client_msg_id="1.1")["msgid"]
    assert office.send("o1", client_msg_id="1.1")["msgid"] == (first if how == "same" else 0)
    office.send("o2", client_msg_id="1.1")
    office.send("o1", client_msg_id="1.2")
    gateway.settled()
    assert [(line["to"], line["attempt"]) for line in gateway.ledger()] == [("o1", "1.1"), ("o2", "1.1"), ("o1", "1.2")]
    assert len(door.heard) == 3


def test_a_copy_after_ten_minutes_is_sent_again(gateway: Gateway, office: Client) -> None:
    office.send("o1", client_msg_id="1.1")
    gateway.faults(wechat={"clock_s": 599})
    office.send("o1", client_msg_id="1.1")
    assert len(gateway.ledger()) == 1
    gateway.faults(wechat={"clock_s": 601})
    office.send("o1", client_msg_id="1.1")
    assert len(gateway.ledger()) == 2


def test_those_who_send_one_message_at_the_same_moment_send_it_once(gateway: Gateway, office: Client) -> None:
    body = json.dumps({"touser": "o1", "template_id": TEMPLATE, "data": {"thing1": {"value": "x"}}, "client_msg_id": "1.1"}).encode()

    def send(_: int) -> int:
        _, answer = gateway.request("POST", f"/cgi-bin/message/template/send?access_token={office.token}", body)
        return int(json.loads(answer)["msgid"])

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(send, range(24)))
    assert [line["reference"] for line in gateway.ledger()] == [str(*answers)]


def test_messages_without_an_id_of_their_own_are_each_sent(gateway: Gateway, office: Client) -> None:
    for _ in range(2):
        office.send("o1")
    assert [line["attempt"] for line in gateway.ledger()] == [None, None]


# review


def test_a_message_under_review_is_delivered_later_without_another_call(gateway: Gateway, door: Door, office: Client) -> None:
    gateway.faults(rules=[{"to": "o1", "fault": "review"}], wechat={"review_s": 0.8})
    with pytest.raises(WeChatClientException) as refused:
        office.send("o1", client_msg_id="1.1")
    assert refused.value.errcode == 40252
    assert door.heard == [] and gateway.health()["callbacks"]["pending"] == 1
    assert code(office.send, "o1", client_msg_id="1.1") == 40252
    gateway.settled()
    (line,) = gateway.ledger()
    (heard,) = door.heard
    assert (line["outcome"], line["reference"], heard.message.status) == ("delivered", str(heard.message.id), "success")


def test_a_blocked_message_is_listed_after_its_review_and_nobody_gets_it(gateway: Gateway, door: Door, office: Client) -> None:
    gateway.faults(rules=[{"to": "o1", "fault": "review_blocked"}], wechat={"review_s": 0.2, "review_msgid": True})
    _, answer = gateway.request(
        "POST",
        f"/cgi-bin/message/template/send?access_token={office.token}",
        json.dumps({"touser": "o1", "template_id": TEMPLATE, "data": {"thing1": {"value": "x"}}}).encode(),
    )
    assert json.loads(answer)["errcode"] == 40252 and json.loads(answer)["msgid"] > 2**32

    def listed(largest: int = 0) -> list[dict[str, Any]]:
        url = f"{gateway.url}/wxa/sec/queryblocktmplmsg"
        found = office.post(url, data={"tmpl_msg_id": TEMPLATE, "largest_id": largest, "limit": 100})
        rows: list[dict[str, Any]] = found["msginfo"]
        return rows

    assert listed() == []
    time.sleep(0.25)
    (row,) = listed()
    assert (row["openid"], row["tmpl_msg_id"], row["content"], listed(row["id"])) == ("o1", TEMPLATE, "x", [])
    assert [line["outcome"] for line in gateway.ledger()] == ["failed"] and door.heard == []
    assert gateway._json("GET", "/_sandbox/wechat?openid=o1")["messages"] == []


# quotas


def test_the_days_quota_ends_at_midnight_in_shanghai(gateway: Gateway, office: Client) -> None:
    gateway.faults(wechat={"quota_day": 2})
    for _ in range(2):
        office.send("o1")
    with pytest.raises(APILimitedException) as refused:
        office.send("o1")
    assert refused.value.errcode == 45009
    left = DAY - (time.time() + 8 * 3600) % DAY
    gateway.faults(wechat={"quota_day": 2, "clock_s": left + 1, "token_life_s": 2 * DAY})
    office.renew()
    assert office.send("o1")["errcode"] == 0
    assert gateway.wechat()["today"]["message/template/send"] == 1


def test_a_minutes_quota_is_full_again_in_the_next(gateway: Gateway, office: Client) -> None:
    gateway.faults(wechat={"per_minute": {"message/template/send": 1}})
    office.send("o1")
    assert code(office.send, "o1") == 45011
    gateway.faults(wechat={"per_minute": {"message/template/send": 1}, "clock_s": 60})
    assert office.send("o1")["errcode"] == 0


def test_the_quota_can_be_cleared_ten_times_a_month(gateway: Gateway, office: Client) -> None:
    gateway.faults(wechat={"quota_day": 1})
    for _ in range(10):
        office.send("o1")
        assert code(office.send, "o1") == 45009
        office.post("clear_quota", data={"appid": APP_ID})
    assert code(office.post, "clear_quota", data={"appid": APP_ID}) == 48006


def test_any_answer_can_be_laid_down_for_the_next_calls(gateway: Gateway, office: Client) -> None:
    gateway.faults(wechat={"errors": [{"api": "stable_token", "errcode": 40164, "times": 2}, {"api": "user/get", "errcode": "html"}]})
    assert [stable(gateway).get("errcode") for _ in range(3)] == [40164, 40164, None]
    assert gateway.request("GET", f"/cgi-bin/user/get?access_token={office.token}")[0] == 502
    assert gateway.request("GET", f"/cgi-bin/user/get?access_token={office.token}")[0] == 200


# notices and answers


def test_a_notice_goes_once_to_who_agreed_and_he_need_not_follow(gateway: Gateway, door: Door, office: Client) -> None:
    data = {"thing1": {"value": "x"}}

    def send() -> Any:
        return office.message.send_subscribe_message("o9", TEMPLATE, data)

    assert code(send) == 43101
    gateway.act("o9", "subscribe_msg_popup_event", choices={TEMPLATE: "accept", "other": "reject"})
    gateway.settled()
    assert send() == {"errcode": 0, "errmsg": "ok"}
    assert code(send) == 43101
    gateway.settled()
    assert door.kinds() == ["subscribe_msg_popup_event", "subscribe_msg_sent_event"]
    asked, sent = (heard.message._data for heard in door.heard)
    assert [row["SubscribeStatusString"] for row in asked["SubscribeMsgPopupEvent"]["List"]] == ["accept", "reject"]
    (line,) = gateway.ledger()
    assert dict(sent["SubscribeMsgSentEvent"]["List"]) == {
        "TemplateId": TEMPLATE,
        "MsgID": line["reference"],
        "ErrorCode": "0",
        "ErrorStatus": "success",
    }


def test_a_long_term_consent_allows_any_number_until_it_is_taken_back(gateway: Gateway, office: Client) -> None:
    gateway.faults(wechat={"long_term": True})
    gateway.act("o1", "subscribe_msg_popup_event", choices={TEMPLATE: "accept"})
    for _ in range(3):
        office.message.send_subscribe_message("o1", TEMPLATE, {"thing1": {"value": "x"}})
    gateway.act("o1", "subscribe_msg_change_event", choices={TEMPLATE: "reject"})
    assert code(office.message.send_subscribe_message, "o1", TEMPLATE, {"thing1": {"value": "x"}}) == 43101


def test_an_answer_needs_an_open_window(gateway: Gateway, office: Client) -> None:
    assert code(office.message.send_text, "o1", "您好") == 45015
    gateway.act("o1", body="在吗")
    office.message.send_text("o1", "您好")
    assert [(line["to"], line["body"], line["attempt"]) for line in gateway.ledger()] == [("o1", "您好", None)]
    gateway.faults(wechat={"clock_s": 48 * 3600 + 1, "token_life_s": 4 * DAY})
    office.renew()
    assert code(office.message.send_text, "o1", "您好") == 45015


@pytest.mark.parametrize(("event", "body", "most"), [("text", "x", 20), ("SCAN", "", 3)])
def test_a_window_holds_so_many_answers(gateway: Gateway, office: Client, event: str, body: str, most: int) -> None:
    gateway.act("o1", event, body=body, scene="s")
    for _ in range(most):
        office.message.send_text("o1", "您好")
    assert code(office.message.send_text, "o1", "您好") == 45047


# mass messages


def mass(office: Client, to: Any, body: str = "公告", **more: Any) -> Any:
    posted = {"touser": to} if isinstance(to, list) else {"filter": {"is_to_all": to is None, **({} if to is None else {"tag_id": to})}}
    return office.post(f"message/mass/send{'' if isinstance(to, list) else 'all'}", data={**posted, "msgtype": "text", "text": {"content": body}, **more})


def totals(door: Door) -> tuple[Any, ...]:
    message = max((heard.message for heard in door.heard), key=lambda message: message.id)  # events of two connections overtake each other
    return (message.status, message.total_count, message.filter_count, message.sent_count, message.error_count)


def test_a_mass_message_is_reported_in_totals(gateway: Gateway, door: Door, office: Client) -> None:
    gateway.wechat(block=["o3"])
    answer = mass(office, ["o1", "o2", "o3", "o9"], clientmsgid="a1")
    assert office.message.get_mass(answer["msg_id"])["msg_status"] == "SENDING"
    gateway.settled()
    assert office.message.get_mass(answer["msg_id"])["msg_status"] == "SEND_SUCCESS"
    assert door.kinds() == ["MASSSENDJOBFINISH"] and door.heard[0].message.id == answer["msg_id"]
    assert totals(door) == ("send success", 3, 3, 2, 1)
    (line,) = gateway.ledger()
    assert (line["reference"], line["attempt"], line["body"]) == (str(answer["msg_id"]), "a1", "公告") and line["to"].startswith("@list:4:")


def test_a_mass_message_goes_once_for_each_clientmsgid_of_a_day(gateway: Gateway, office: Client) -> None:
    first = mass(office, None, clientmsgid="a1")["msg_id"]
    _, body = gateway.request(
        "POST",
        f"/cgi-bin/message/mass/sendall?access_token={office.token}",
        json.dumps({"filter": {"is_to_all": True}, "msgtype": "text", "text": {"content": "x"}, "clientmsgid": "a1"}).encode(),
    )
    assert (json.loads(body)["errcode"], json.loads(body)["msg_id"]) == (45065, first)
    assert code(mass, office, ["o1", "o2"], clientmsgid="a1") == 45065
    mass(office, ["o1", "o2"])
    assert code(mass, office, ["o1", "o2"]) == 45065
    assert len(gateway.ledger()) == 2


def test_to_all_is_once_a_day_and_four_times_a_month(gateway: Gateway, office: Client) -> None:
    mass(office, None, "1")
    assert code(mass, office, None, "2") == 45028
    assert mass(office, 5, "2")["msg_id"]


def test_each_person_gets_four_mass_messages_a_month(gateway: Gateway, door: Door, office: Client) -> None:
    gateway.wechat(tags={"7": ["o1", "o2"]})
    gateway.faults(wechat={"mass_s": 0.0})
    for number in range(4):
        mass(office, 7, str(number))
    mass(office, ["o1", "o2", "o3"], "5")
    gateway.settled()
    assert totals(door)[1:] == (3, 1, 1, 0)


@pytest.mark.parametrize("to", [["o1"], [f"o{number}" for number in range(10_001)]])
def test_a_list_holds_two_to_ten_thousand(office: Client, to: list[str]) -> None:
    assert code(mass, office, to) == 40032


# people, QR codes, whose phone it is


def test_followers_are_listed_in_pages(gateway: Gateway, office: Client) -> None:
    gateway.wechat(follow=[f"p{number:03d}" for number in range(100)], leave=["o2"])
    gateway.faults(wechat={"page": 30})
    assert list(office.user.iter_followers()) == ["o1", "o3", *(f"p{number:03d}" for number in range(100))]
    last = office.get("user/get", params={"next_openid": "p099"})
    assert last == {"total": 102, "count": 0, "next_openid": ""}


def test_a_person_is_shown_with_the_scene_by_which_he_came(gateway: Gateway, office: Client) -> None:
    gateway.act("o8", "SCAN", scene="c_abc")
    person = office.user.get("o8")
    assert (person["subscribe"], person["qr_scene_str"], person["nickname"]) == (1, "c_abc", "")
    assert abs(person["subscribe_time"] - time.time()) < 5
    assert [row["subscribe"] for row in office.user.get_batch(["o8", "o9"])] == [1, 0]
    assert "subscribe_time" not in office.user.get("o9")


def test_who_scans_the_code_that_was_made_comes_with_its_scene_until_it_ends(gateway: Gateway, door: Door, office: Client) -> None:
    made = office.qrcode.create({"expire_seconds": 600, "action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "c_abc"}}})
    assert made["expire_seconds"] == 600 and made["url"].startswith("http://weixin.qq.com/q/")
    for openid, key in (("o1", "ticket"), ("o9", "url")):
        gateway.act(openid, "SCAN", qr=made[key])
    gateway.settled()
    assert sorted((heard.message.event, heard.message.scene_id) for heard in door.heard) == [("scan", "c_abc"), ("subscribe_scan", "c_abc")]
    gateway.faults(wechat={"clock_s": 601})
    assert gateway.request("POST", "/_sandbox/reply", json.dumps({"channel": "wechat", "openid": "o1", "event": "SCAN", "qr": made["url"]}).encode())[0] == 400


@pytest.mark.parametrize(
    "wrong", [{"follow": ["o7"], "leave": "o1"}, {"follow": ["o7"], "blok": []}, {"follow": ["o7", "a b"]}, {"follow": ["o7"], "tags": {"x": []}}]
)
def test_a_wish_that_is_half_wrong_is_not_done_by_half(gateway: Gateway, office: Client, wrong: dict[str, Any]) -> None:
    status, body = gateway.request("POST", "/_sandbox/wechat", json.dumps(wrong).encode())
    assert status == 400 and json.loads(body)["error"]["id"] == "bad_request"
    assert gateway.wechat()["followers"] == 3


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def authorized(gateway: Gateway, cookie: str = "", **more: str) -> tuple[dict[str, str], str]:
    """Go where a page sends the browser, and return the query with which it comes back, and its cookie."""
    asked = {"appid": APP_ID, "redirect_uri": "http://127.0.0.1:8000/p/1/wechat?x=1", "response_type": "code", "scope": "snsapi_base", "state": "s t"}
    request = urllib.request.Request(f"{gateway.url}/connect/oauth2/authorize?{urlencode(asked | more, quote_via=quote)}", headers={"Cookie": cookie})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect())
    with pytest.raises(urllib.error.HTTPError) as answer:
        opener.open(request, timeout=10)
    with answer.value as found:
        assert found.code == 302
        return dict(parse_qsl(urlsplit(found.headers["Location"]).query)), found.headers["Set-Cookie"]


def whose(gateway: Gateway, code: str) -> dict[str, Any]:
    return gateway._json("GET", f"/sns/oauth2/access_token?{urlencode({'appid': APP_ID, 'secret': SECRET, 'code': code, 'grant_type': 'authorization_code'})}")


def test_a_browser_comes_back_with_a_code_that_is_good_once(gateway: Gateway) -> None:
    back, cookie = authorized(gateway, openid="o1")
    assert (back["x"], back["state"]) == ("1", "s t") and cookie.startswith("openid=o1;")
    found = whose(gateway, back["code"])
    assert found["openid"] == "o1" and "is_snapshotuser" not in found
    assert whose(gateway, back["code"])["errcode"] == 40163
    assert whose(gateway, "never")["errcode"] == 40029
    again, _ = authorized(gateway, cookie="openid=o1; snapshot=1")
    assert (lambda found: (found["openid"], found["is_snapshotuser"]))(whose(gateway, again["code"])) == ("o1", 1)


def test_a_code_ends_after_five_minutes(gateway: Gateway) -> None:
    back, _ = authorized(gateway, openid="o1")
    gateway.faults(wechat={"clock_s": 301})
    assert whose(gateway, back["code"])["errcode"] == 42003


@pytest.mark.parametrize(
    "more", [{"appid": "x"}, {"scope": "all"}, {"redirect_uri": "javascript:1"}, {"redirect_uri": "http://a/\r\nX: 1"}, {"openid": "a\r\nX: 1"}]
)
def test_a_browser_is_sent_nowhere_else(gateway: Gateway, more: dict[str, str]) -> None:
    asked = {"appid": APP_ID, "redirect_uri": "http://127.0.0.1:8000/", "response_type": "code", "scope": "snsapi_base"} | more
    assert gateway.request("GET", f"/connect/oauth2/authorize?{urlencode(asked)}")[0] == 400


# anything at all

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from(["", "x", "0", "二" * 30, "\r\n", "\ud800", "²", " "]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(["value", "content", "scene"]), inside, max_size=3),
    max_leaves=5,
)
TEXT = {"msgtype": "text", "text": {"content": "x"}}
GOOD_CALLS: dict[str, dict[str, Any]] = {
    "message/template/send": {"touser": "o1", "template_id": TEMPLATE, "data": {"thing1": {"value": "x"}}, "url": "https://x.test/", "client_msg_id": "1.1"},
    "message/subscribe/bizsend": {"touser": "o1", "template_id": TEMPLATE, "data": {"thing1": {"value": "x"}}, "page": "https://x.test/"},
    "message/custom/send": {"touser": "o1", **TEXT},
    "message/mass/send": {"touser": ["o1", "o2"], **TEXT, "clientmsgid": "a1"},
    "message/mass/sendall": {"filter": {"is_to_all": False, "tag_id": 2}, **TEXT, "clientmsgid": "a1"},
    "message/mass/get": {"msg_id": "5"},
    "message/mass/delete": {"msg_id": 5},
    "user/info/batchget": {"user_list": [{"openid": "o1"}]},
    "qrcode/create": {"expire_seconds": 60, "action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "c_1"}}},
    "clear_quota": {"appid": APP_ID},
    "stable_token": {**ASKED, "force_refresh": False},
    "../wxa/sec/queryblocktmplmsg": {"tmpl_msg_id": TEMPLATE, "largest_id": 0, "limit": 100},
    "none/such": {},
}


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the way to each part of a JSON value."""
    yield way
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*way, key))


@st.composite
def spoilt_calls(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good call with one or two parts of its body replaced by anything."""
    return _spoilt(draw, GOOD_CALLS)


def _spoilt(draw: st.DrawFn, good: dict[str, dict[str, Any]]) -> tuple[str, bytes]:
    api = draw(st.sampled_from(sorted(good)))
    body = json.loads(json.dumps(good[api]))
    for _ in range(draw(st.integers(1, 2))):
        way = draw(st.sampled_from(list(places(body))))
        junk = draw(JUNK)
        if not way:
            body = junk
            continue
        inside = body
        for key in way[:-1]:
            inside = inside[key]
        inside[way[-1]] = junk
    return api, json.dumps(body).encode()


@given(spoilt_calls())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_posted_is_answered_as_the_provider_answers(gateway: Gateway, call: tuple[str, bytes]) -> None:
    api, posted = call
    gateway.faults(wechat={"quota_day": dict.fromkeys(GOOD_CALLS, 10**6), "per_minute": dict.fromkeys(GOOD_CALLS, 10**6), "mass_s": 0.0})
    gateway.wechat(follow=["o1", "o2"])
    path = f"/{api.removeprefix('../')}" if api.startswith("../") else f"/cgi-bin/{api}"
    status, answer = gateway.request("POST", f"{path}?access_token={stable(gateway)['access_token']}", posted)
    assert status == 200, answer
    assert isinstance(json.loads(answer), dict)


OWN_DOORS: dict[str, dict[str, Any]] = {
    "reply": {"channel": "wechat", "openid": "o1", "event": "text", "body": "x", "repeat": 0, "encrypted": False, "created": 5, "lost": True},
    "wechat": {"follow": ["o1"], "leave": ["o2"], "block": ["o3"], "tags": {"2": ["o1"]}},
    "faults": {"mix": {"review": 0.1}, "wechat": {"mix": {"quota": 0.5}, "clock_s": 1, "errors": [{"api": "x", "errcode": 5}], "templates": {"T": ["thing1"]}}},
}


@st.composite
def spoilt_wishes(draw: st.DrawFn) -> tuple[str, bytes]:
    """The same of what the sandbox itself is told."""
    return _spoilt(draw, OWN_DOORS)


@given(spoilt_wishes())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_sandbox_is_told_it_does_or_refuses(gateway: Gateway, wish: tuple[str, bytes]) -> None:
    door, posted = wish
    status, answer = gateway.request("POST", f"/_sandbox/{door}", posted)
    assert status in (200, 202, 400), answer


# a restart


def test_a_killed_gateway_knows_its_people_its_messages_and_its_copies(tmp_path: Path) -> None:
    with Gateway(tmp_path / "ledger.jsonl", wechat_url="http://127.0.0.1:9/") as gateway:
        gateway.wechat(follow=["o1", "o2", "o5"], leave=["o2"])
        gateway.faults(rules=[{"to": "o5", "fault": "review_blocked"}])
        office = client(gateway)
        assert code(office.send, "o5", client_msg_id="5.1") == 40252
        office.send("o1", client_msg_id="1.1")
        job = mass(office, ["o1", "o2"], clientmsgid="a1")["msg_id"]
        gateway.kill()
        gateway.start()
        assert code(office.send, "o1", client_msg_id="1.1") == 40014
        office.renew()
        office.send("o1", client_msg_id="1.1")
        later = office.send("o1", client_msg_id="1.2")["msgid"]
        assert code(office.send, "o5", client_msg_id="5.1") == 40252
        blocked = office.post(f"{gateway.url}/wxa/sec/queryblocktmplmsg", data={"tmpl_msg_id": TEMPLATE, "largest_id": 0, "limit": 100})
        assert [row["openid"] for row in blocked["msginfo"]] == ["o5"]
        assert code(mass, office, ["o1", "o2"], clientmsgid="a1") == 45065
        assert office.message.get_mass(job)["msg_status"] == "SEND_SUCCESS"
        assert code(office.send, "o2") == 43004
        assert [line["attempt"] for line in gateway.ledger()] == ["5.1", "1.1", "a1", "1.2"]
        assert str(later) not in [line["reference"] for line in gateway.ledger()[:3]]
        with (tmp_path / "ledger.jsonl.people").open("a") as file:
            file.write('{"openid": "o3", "fol')  # a kill in the middle of a line
        for _ in range(2):
            gateway.kill()
            gateway.start()
            assert gateway.wechat(follow=["o4"])["followers"] == 3
        gateway.reset()
        gateway.kill()
        gateway.start()
        assert gateway.wechat()["followers"] == 0 and gateway.ledger() == []


def test_a_killed_gateway_remembers_every_message_that_it_answered_and_takes_no_copy(tmp_path: Path) -> None:
    people = [f"o{number}" for number in range(3000)]
    with Gateway(tmp_path / "ledger.jsonl", wechat_url="http://127.0.0.1:9/") as gateway:
        gateway.wechat(follow=people)
        token = stable(gateway)["access_token"]
        answered: dict[str, str] = {}

        def send(share: int) -> None:
            line = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(line):
                for openid in people[share::4]:
                    line.request("POST", f"/cgi-bin/message/template/send?access_token={token}", message(openid))
                    answered[openid] = str(json.loads(line.getresponse().read())["msgid"])

        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(send, share) for share in range(4)]
            gateway.until(lambda health: health["accepted"] >= 200)
            gateway.kill()
        assert all(one.exception() is None for one in done)
        gateway.start()
        first = {line["to"]: line["reference"] for line in gateway.ledger()}
        assert answered.items() <= first.items() and len(first) <= len(answered) + 4
        token = stable(gateway)["access_token"]
        for openid in [*first][-20:]:
            gateway.request("POST", f"/cgi-bin/message/template/send?access_token={token}", message(openid))
        assert len(gateway.ledger()) == len(first)


def message(openid: str) -> bytes:
    return json.dumps({"touser": openid, "template_id": TEMPLATE, "data": {"thing1": {"value": "x"}}, "client_msg_id": f"{openid}.1"}).encode()
