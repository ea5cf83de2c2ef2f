"""Texts through the gateway at home: batches, each answer's meaning, what a lost answer costs, what its pushes say, and that nothing leaks."""

import asyncio
import json
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from drive import office as open_office
from gateway import Gateway
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from served import Served
from sqlalchemy import select, update

from outreach import clock
from outreach.channels import aliyun, directory
from outreach.channels.aliyun import answer_of, batches, kind_of_receipt, out_id, reference
from outreach.channels.base import (
    Accepted,
    BadSignature,
    Deferred,
    Found,
    MalformedCallback,
    Message,
    Outcome,
    ProviderUnavailable,
    Receipt,
    Rejected,
    Uncertain,
)
from outreach.database.engine import Database
from outreach.database.tables import Campaign
from outreach.database.tables import Receipt as ReceiptRow
from outreach.errors import Misconfigured
from outreach.outbox import sending
from outreach.outbox.sending import Outbox
from outreach.settings import Settings, load

TEMPLATE = "SMS_2026"
FILED = "${name}您好：请发送签署码${code}。"
KEY = "0" * 64


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Desk]]:
    folder = tmp_path_factory.mktemp("aliyun")
    with Desk(folder) as desk, Gateway(folder / "ledger.jsonl", office=desk.url) as running:
        yield running, desk


@pytest.fixture
def gateway(pair: tuple[Gateway, Desk]) -> Gateway:
    running, desk = pair
    running.reset()
    running.aliyun(templates={TEMPLATE: FILED})
    desk.items.clear()
    desk.lists.clear()
    desk.refusals.clear()
    desk.answers.clear()
    return running


@pytest.fixture
def desk(pair: tuple[Gateway, Desk], gateway: Gateway) -> Desk:
    return pair[1]


@pytest.fixture
def settings(gateway: Gateway, desk: Desk) -> Settings:
    return desk.settings(gateway.url)


def phone(number: int) -> str:
    return f"+86138{number:08d}"


def invitation(number: int, **changes: Any) -> Message:
    fields = {"template": TEMPLATE, "variables": {"name": f"王{number}", "code": "7K3M9P"}}
    return Message(number, 1, phone(number), f"【示例人社】王{number}您好：请发送签署码7K3M9P。", **(fields | changes))


def invitations(count: int) -> list[Message]:
    return [invitation(number) for number in range(1, count + 1)]


def deliver(settings: Settings, messages: list[Message], *, seconds: float = 8) -> list[Outcome]:
    """Send a slice, and return the outcomes in the order of the messages."""
    found: dict[int, Outcome] = {}

    async def run() -> None:
        channel = directory.open_channel(settings, settings.sender[0])
        try:
            until = asyncio.get_running_loop().time() + seconds
            await channel.send(messages, until=until, answered=lambda message, outcome: found.__setitem__(message.delivery, outcome))
        finally:
            await channel.close()

    asyncio.run(run())
    assert len(found) == len(messages)
    return [found[message.delivery] for message in messages]


def look_up(settings: Settings, message: Message, since: datetime | None = None) -> list[Found]:
    async def run() -> list[Found]:
        channel = directory.open_channel(settings, settings.sender[0])
        try:
            return await channel.look_up(message, since=since or datetime.now(UTC))
        finally:
            await channel.close()

    return asyncio.run(run())


# out


def test_a_slice_goes_in_batches_of_a_hundred_and_each_receipt_bears_the_reference_of_its_answer(gateway: Gateway, desk: Desk, settings: Settings) -> None:
    messages = invitations(250)
    outcomes = deliver(settings, messages)
    references = {message.to: outcome.reference for message, outcome in zip(messages, outcomes, strict=True) if isinstance(outcome, Accepted)}
    gateway.settled()
    assert gateway.aliyun()["batches"] == {"50": 1, "100": 2}
    assert len(set(references.values())) == 250
    assert {receipt.to: receipt.reference for receipt in desk.receipts} == references
    assert [entry["body"] for entry in gateway.ledger()] == [message.body for message in messages]


def test_a_message_alone_in_its_request_is_named_by_its_attempt_also_in_the_receipt(gateway: Gateway, desk: Desk, settings: Settings) -> None:
    (outcome,) = deliver(settings, [replace(invitation(41), attempt=3)])
    gateway.settled()
    (receipt,) = desk.receipts
    assert isinstance(outcome, Accepted)
    assert receipt == Receipt("aliyun", outcome.reference, "delivered", 41, 3, to=phone(41))
    assert [entry["attempt"] for entry in gateway.ledger()] == ["41.3"]


def test_a_text_that_was_never_filed_is_refused_here_but_for_a_rehearsal(gateway: Gateway, settings: Settings, tmp_path: Path) -> None:
    account = {"aliyun_access_key_id": "LTAI", "aliyun_access_key_secret": "secret", "office_key": KEY}
    office = load(tmp_path, mode="production", sender=[{"provider": "aliyun"}], **account)
    assert deliver(office, [invitation(1, template="")]) == [Rejected("content", "no template")]
    gateway.aliyun(templates={})
    unfiled, before = invitation(1, template=""), datetime.now(UTC)
    assert isinstance(deliver(settings, [unfiled])[0], Accepted)
    assert len(look_up(settings, unfiled, before)) == 1


def test_what_would_begin_too_late_is_given_back_unsent(gateway: Gateway, settings: Settings) -> None:
    assert deliver(settings, invitations(3), seconds=-1) == [Deferred(timedelta(0))] * 3
    assert gateway.ledger() == []


def test_an_opened_channel_goes_straight_to_its_address_whatever_proxies_the_environment_names(
    gateway: Gateway, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert isinstance(deliver(settings, invitations(1))[0], Accepted)


# refused


def test_one_bad_number_among_a_hundred_is_found_and_nobody_else_pays_for_it(gateway: Gateway, settings: Settings) -> None:
    messages = invitations(100)
    messages[36] = replace(messages[36], to="+8612000000037")
    outcomes = deliver(settings, messages)
    assert outcomes[36] == Rejected("address", "isv.MOBILE_NUMBER_ILLEGAL")
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 99
    sent = [entry["to"] for entry in gateway.ledger()]
    assert len(sent) == len(set(sent)) == 99
    assert gateway.aliyun()["calls"]["SendBatchSms"] <= 15


def test_values_that_one_person_brings_refuse_him_and_not_the_text(gateway: Gateway, settings: Settings) -> None:
    messages = invitations(8)
    messages[5] = replace(messages[5], variables={"name": "长" * 36, "code": "A"})
    outcomes = deliver(settings, messages)
    assert outcomes[5] == Rejected("temporary", "isv.PARAM_LENGTH_LIMIT")
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 7


def test_values_that_everybody_brings_refuse_the_text(gateway: Gateway, settings: Settings) -> None:
    gateway.aliyun(templates={TEMPLATE: FILED + "${other}"})
    assert deliver(settings, invitations(4)) == [Rejected("content", "isv.TEMPLATE_MISSING_PARAMETERS")] * 4


def test_an_account_without_money_is_told_in_one_request_and_nothing_was_sent(gateway: Gateway, settings: Settings) -> None:
    gateway.aliyun(templates={TEMPLATE: FILED}, codes={"*": "isv.OUT_OF_SERVICE"})
    assert deliver(settings, invitations(100)) == [Rejected("account", "isv.OUT_OF_SERVICE")] * 100
    assert gateway.aliyun()["calls"] == {"SendBatchSms": 1}
    assert gateway.ledger() == []


def test_a_wrong_secret_halts_the_account_and_is_in_no_outcome(gateway: Gateway, desk: Desk) -> None:
    outcomes = deliver(desk.settings(gateway.url, aliyun_access_key_secret="a-wrong-secret"), invitations(2))
    assert outcomes == [Rejected("account", "SignatureDoesNotMatch")] * 2


def test_the_days_texts_that_are_used_up_wait_for_midnight(gateway: Gateway, settings: Settings) -> None:
    gateway.aliyun(templates={TEMPLATE: FILED}, daily=3)
    assert all(isinstance(outcome, Accepted) for outcome in deliver(settings, invitations(3)))
    (outcome,) = deliver(settings, [invitation(4)])
    assert isinstance(outcome, Deferred)
    assert outcome.day_over
    assert not outcome.strained


ANSWERS: list[tuple[int, str, str, Outcome]] = [
    (200, "OK", "OK", Accepted("")),
    (200, "", "", Uncertain("unreadable")),
    (302, "", "", Uncertain("http 302")),
    (503, "", "", Uncertain("http 503")),
    (500, "InternalError", "", Uncertain("http 500")),
    (400, "Throttling.User", "", Deferred(timedelta(seconds=1), strained=True)),
    (503, "Throttling", "", Deferred(timedelta(seconds=1), strained=True)),
    (200, "isp.SYSTEM_ERROR", "系统错误", Uncertain("isp.SYSTEM_ERROR")),
    (200, "isp.RAM_PERMISSION_DENY", "", Rejected("account", "isp.RAM_PERMISSION_DENY")),
    (200, "isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1", Deferred(timedelta(minutes=1))),
    (200, "isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5", Deferred(timedelta(hours=1))),
    (200, "isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10", Rejected("temporary", "isv.BUSINESS_LIMIT_CONTROL")),
    (200, "isv.SMS_SIGNATURE_ILLEGAL", "", Rejected("content", "isv.SMS_SIGNATURE_ILLEGAL")),
    (404, "InvalidAccessKeyId.NotFound", "", Rejected("account", "InvalidAccessKeyId.NotFound")),
    (403, "Something.New", "", Rejected("account", "Something.New")),
    (200, "isv.SOMETHING_NEW", "", Rejected("temporary", "isv.SOMETHING_NEW")),
]


@pytest.mark.parametrize(("status", "code", "words", "meant"), ANSWERS)
def test_each_answer_means_what_the_table_says(status: int, code: str, words: str, meant: Outcome) -> None:
    assert answer_of(status, code, words).outcome == meant


# uncertain


@pytest.mark.parametrize("fault", ["drop_after_accept", "truncate"])
def test_a_lost_answer_leaves_a_batch_uncertain_and_list_and_receipts_agree_on_each(gateway: Gateway, desk: Desk, settings: Settings, fault: str) -> None:
    gateway.faults(rules=[{"to": phone(2), "fault": fault}])
    messages, before = invitations(3), datetime.now(UTC)
    outcomes = deliver(settings, messages)
    assert all(isinstance(outcome, Uncertain) for outcome in outcomes)
    gateway.settled()
    told = {receipt.to: receipt.reference for receipt in desk.receipts}
    assert {message.to: look_up(settings, message, before) for message in messages} == {
        message.to: [Found(told[message.to], "delivered")] for message in messages
    }


def test_an_answer_that_never_comes_is_uncertain_in_time(gateway: Gateway, desk: Desk) -> None:
    gateway.faults(rules=[{"to": phone(1), "fault": "hang_after_accept"}])
    (outcome,) = deliver(desk.settings(gateway.url, request_timeout="300ms"), [invitation(1)])
    assert isinstance(outcome, Uncertain)


@pytest.mark.parametrize("fault", ["error_json", "error_html"])
def test_what_the_provider_never_had_is_uncertain_and_not_in_its_list(gateway: Gateway, settings: Settings, fault: str) -> None:
    gateway.faults(rules=[{"to": phone(1), "fault": fault, "times": 1}])
    (outcome,) = deliver(settings, [invitation(1)])
    assert isinstance(outcome, Uncertain)
    assert look_up(settings, invitation(1)) == []


def test_throttling_and_a_refused_connection_surely_sent_nothing(gateway: Gateway, desk: Desk, settings: Settings) -> None:
    gateway.faults(rules=[{"to": phone(1), "fault": "throttle"}])
    nobody = desk.settings("http://127.0.0.1:9")
    for outcome in [*deliver(settings, invitations(2)), *deliver(nobody, invitations(1))]:
        assert isinstance(outcome, Deferred)
        assert outcome.strained
    assert gateway.ledger() == []


def test_the_list_shows_only_this_text_to_this_number_since_then(gateway: Gateway, settings: Settings) -> None:
    gateway.aliyun(templates={TEMPLATE: FILED, "SMS_1": "x${name}"}, per_number=1000)
    deliver(settings, [invitation(1, template="SMS_1"), invitation(2)])
    deliver(settings, [replace(invitation(1), attempt=number) for number in (1,)])
    found = look_up(settings, invitation(1))
    assert [item.reference for item in found] == [reference(KEY, "1.1", phone(1))]
    assert look_up(settings, invitation(1), datetime.now(UTC) + timedelta(minutes=2)) == []


def test_all_pages_of_the_list_are_read_and_a_list_that_cannot_be_asked_is_no_empty_one(gateway: Gateway, desk: Desk, settings: Settings) -> None:
    gateway.aliyun(templates={TEMPLATE: FILED}, per_number=1000)
    before = datetime.now(UTC)
    # so many deliveries to one number: each its own request, for no batch holds a number twice
    messages = [replace(invitation(1), delivery=number) for number in range(1, 54)]
    deliver(settings, messages)
    assert len(look_up(settings, messages[0], before)) == 53
    with pytest.raises(ProviderUnavailable):
        look_up(desk.settings("http://127.0.0.1:9"), messages[0])
    with pytest.raises(ProviderUnavailable):
        look_up(desk.settings(gateway.url, aliyun_access_key_secret="wrong"), messages[0])


HOSTILE = [
    b"",
    b"[]",
    b'"OK"',
    b'{"Code": 7}',
    b'{"Code": ["OK"]}',
    b'{"Code": "OK"}',
    b'{"Code": "OK", "TotalCount": "1"}',
    b'{"Code": "OK", "TotalCount": "1", "SmsSendDetailDTOs": {}}',
    b'{"Code": "OK", "TotalCount": "x", "SmsSendDetailDTOs": {"SmsSendDetailDTO": []}}',
    b'{"Code": "OK", "TotalCount": "1", "SmsSendDetailDTOs": {"SmsSendDetailDTO": []}}',
    b'{"Code": "OK", "TotalCount": "1", "SmsSendDetailDTOs": {"SmsSendDetailDTO": [7]}}',
    b'{"Code": "OK", "TotalCount": "1", "SmsSendDetailDTOs": []}',
]


@pytest.mark.parametrize("document", HOSTILE)
def test_a_list_that_is_not_whole_is_no_proof_that_a_message_was_never_there(gateway: Gateway, desk: Desk, document: bytes) -> None:
    desk.answers += [(200, document)] * 25
    with pytest.raises(ProviderUnavailable):
        look_up(desk.settings(desk.url), invitation(1))


@pytest.mark.parametrize("document", HOSTILE[:5])
def test_an_answer_that_nobody_can_read_leaves_the_batch_uncertain(gateway: Gateway, desk: Desk, document: bytes) -> None:
    desk.answers.append((200, document))
    assert deliver(desk.settings(desk.url), invitations(2)) == [Uncertain("unreadable")] * 2


# batches


messages_of = st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["SMS_1", "SMS_2", ""])), max_size=300)


@given(messages_of)
@budget(max_examples=60)
def test_batches_hold_each_filed_message_once_of_one_text_and_no_number_twice(drawn: list[tuple[int, str]]) -> None:
    messages = [Message(delivery, 1, phone(number), "", template=code) for delivery, (number, code) in enumerate(drawn, 1)]
    made = list(batches(messages))
    assert sorted(item.delivery for batch in made for item in batch) == [item.delivery for item in messages if item.template]
    for batch in made:
        assert 1 <= len(batch) <= 100
        assert len({item.template for item in batch}) == 1
        assert len({item.to for item in batch}) == len(batch)
    names = [(out_id(batch), item.to) for batch in made for item in batch]
    assert len({reference(KEY, name, to) for name, to in names}) == len(names)


def test_a_reference_holds_no_number_in_the_clear() -> None:
    assert "13800000041" not in reference(KEY, "41.1x7", phone(41))


# in


def read(desk: Desk, leaf: str, document: Any, *, word: str = "sandbox") -> list[Any]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return list(desk.hooks.read_callback(url=f"https://office.example/hooks/aliyun/{word}/{leaf}", body=body, headers={}))


REPORT = {"phone_number": "13800000041", "success": False, "err_code": "MK:0001", "out_id": "41.1x2", "biz_id": "1^0", "send_time": "2026-01-15 12:00:00"}


def test_a_wrong_word_in_the_address_is_no_callback_of_theirs(desk: Desk) -> None:
    for word in ("wrong", "", "沙盒", "sandbox "):
        with pytest.raises(BadSignature):
            read(desk, "report", [REPORT], word=word)


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"7", b"[7]", b"\xff", b"[" * 100_000, [{"out_id": "1.1"}], [{**REPORT, "success": None}]])
def test_what_is_no_list_of_receipts_is_refused_in_words(desk: Desk, body: Any) -> None:
    with pytest.raises(MalformedCallback):
        read(desk, "report", body)


def test_a_receipt_of_many_is_known_by_reference_and_number(desk: Desk) -> None:
    (receipt,) = read(desk, "report", [REPORT])
    assert receipt == Receipt("aliyun", reference(KEY, "41.1x2", phone(41)), "undelivered", None, None, "MK:0001", "temporary", phone(41))


def test_receipts_of_messages_that_were_not_ours_are_left_out(desk: Desk) -> None:
    foreign = [{**REPORT, "out_id": name} for name in ("", None, "order-77", "1.2.3", "7.1x", " 7.1")]
    assert read(desk, "report", [*foreign, {**REPORT, "out_id": "7.1"}])[0].delivery == 7
    assert read(desk, "report", foreign) == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("MK:0001", "temporary"),
        ("UNDELIV", "temporary"),
        ("W-BLACK", "opted_out"),
        ("isv.MOBILE_NUMBER_ILLEGAL", "address"),
        ("isv.SMS_SIGN_ILLEGAL", "content"),
        ("isv.PARAM_LENGTH_LIMIT", "temporary"),
        ("isv.BLACK_KEY_CONTROL_LIMIT", "temporary"),
        (None, None),
    ],
)
def test_each_code_of_a_receipt_means_what_the_table_says(code: str | None, kind: str | None) -> None:
    assert kind_of_receipt(code) == kind


@pytest.mark.parametrize("number", ["13800000041", "8613800000041", "+8613800000041", "008613800000041", 13800000041])
def test_a_number_is_the_same_in_whichever_of_its_ways_it_comes(desk: Desk, number: Any) -> None:
    assert read(desk, "report", [{**REPORT, "phone_number": number}])[0].to == phone(41)


@pytest.mark.parametrize(
    ("said", "stops", "restarts"), [("R", True, False), ("TD", True, False), ("退订", True, False), ("恢复", False, True), ("几点？", False, False)]
)
def test_a_reply_comes_with_what_it_means_its_port_and_its_time(desk: Desk, said: str, stops: bool, restarts: bool) -> None:
    push = {"phone_number": "13800000041", "content": said, "send_time": "2026-01-15 12:00:00", "dest_code": "1069", "sequence_id": 1234567890123}
    (reply,) = read(desk, "reply", [push])
    assert (reply.sender, reply.body, reply.stops, reply.restarts, reply.account) == (phone(41), said, stops, restarts, "1069")
    assert reply.at == datetime(2026, 1, 15, 4, 0, tzinfo=UTC)
    assert reply.reference == "aliyun-1234567890123"
    assert read(desk, "reply", [{**push, "sequence_id": 1234567890123.0}])[0].reference == reply.reference


VALUES = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda kept: st.lists(kept, max_size=2), max_leaves=3)
KEYS = ("phone_number", "success", "out_id", "err_code", "content", "send_time", "dest_code", "sequence_id")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)), st.sampled_from(["report", "reply"]), st.booleans())
@budget(max_examples=300)
def test_whatever_a_push_holds_is_read_into_what_any_database_takes_or_refused_in_words(item: dict[str, Any], leaf: str, good: bool) -> None:
    reader = aliyun.AliyunHooks(load(aliyun_hook_word="w"))
    body = json.dumps([{**item, **({"phone_number": "13800000041", "out_id": "7.1x3", "success": False} if good else {})}]).encode()
    try:
        found = reader.read_callback(url=f"https://office.example/hooks/aliyun/w/{leaf}", body=body, headers={})
    except MalformedCallback:
        assert not good
        return
    for text in (value for one in found for value in (getattr(one, name) for name in one.__slots__) if isinstance(value, str)):
        assert "\0" not in text
        text.encode()


def test_a_reply_without_a_number_of_its_own_has_the_same_name_each_time(desk: Desk) -> None:
    push = {"phone_number": "13800000041", "content": "在", "send_time": "2026-01-15 12:00:00"}
    names = {read(desk, "reply", [push])[0].reference for _time in range(2)} | {read(desk, "reply", [{**push, "content": "好"}])[0].reference}
    assert len(names) == 2


def test_what_is_kept_is_answered_with_code_0(desk: Desk) -> None:
    said = desk.hooks.acknowledge([])
    assert (said.status, json.loads(said.body)) == (200, {"code": 0, "msg": "成功"})


# the house


def test_the_sdk_is_loaded_only_when_a_sender_of_it_is_opened() -> None:
    ask = "import sys, outreach.channels.directory; print([name for name in sys.modules if name.startswith(('alibabacloud', 'darabonba', 'Tea'))])"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_without_the_extra_the_office_is_told_what_to_install(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, aliyun.SDK[0], None)

    async def opening() -> None:
        directory.open_channel(settings, settings.sender[0])

    with pytest.raises(Misconfigured, match=r"pip install 'outreach\[aliyun\]'"):
        asyncio.run(opening())


def test_no_log_and_no_outcome_holds_a_secret_a_number_or_a_text(
    gateway: Gateway, settings: Settings, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBUG", "sdk")
    caplog.set_level(logging.DEBUG)
    faults = ["throttle", "error_json", "error_html", "drop_after_accept", "truncate"]
    gateway.faults(rules=[{"to": phone(number), "fault": fault} for number, fault in enumerate(faults, 1)])
    outcomes = [deliver(settings, [invitation(number)]) for number in range(1, 7)]
    said = caplog.text + "".join(capfd.readouterr()) + repr(outcomes)
    for secret in ("13800000", "7K3M9P", "您好", "Signature=", "Credential="):
        assert secret not in said


# the whole way


def filed_template(home: Path) -> None:
    folder = home / "templates" / "sms"
    folder.mkdir(parents=True)
    head = f'title = "邀请"\nfiled = "{TEMPLATE}"\nchannel = "sms"\nkind = "通知"'
    (folder / "call.txt").write_text(f"+++\n{head}\n+++\n{{{{ 负责人 }}}}您好：请发送签署码{{{{ 签署码 }}}}。\n", "utf-8")


@pytest.mark.parametrize("fault", [None, "drop_after_accept", "receipt_early"])
def test_a_campaign_goes_out_by_this_gateway_and_comes_home_also_where_the_answer_was_lost(new_sqlite: Any, tmp_path: Path, fault: str | None) -> None:
    filed_template(tmp_path)
    url = new_sqlite()
    sender = [{"provider": "aliyun", "per_second": 0}]
    with Served(tmp_path, url, sender=sender) as web, Gateway(tmp_path / "own.jsonl", office=web.url) as gateway:
        gateway.aliyun(templates={TEMPLATE: "${contact}您好：请发送签署码${code}。"})
        database = Database(url)
        desk = open_office(database, tmp_path, sender=sender, sandbox_url=gateway.url, public_url=web.url)
        desk.enterprises(4)
        desk.launch(steps=[{"channel": "sms", "template": "sms/call"}])
        rules = [{"to": phone(2), "fault": "undelivered"}, *([{"to": phone(1), "fault": fault}] if fault else [])]
        gateway.faults(rules=rules)
        asyncio.run(sending.drain(Outbox(database, desk.settings)))
        gateway.settled()
        assert [row.state for row in desk.deliveries()] == ["delivered", "undelivered", "delivered", "delivered"]
        assert gateway.aliyun()["batches"] == {"4": 1}
        assert {entry["body"].partition("您好")[0] for entry in gateway.ledger()} == {f"【示例人社】王{number}" for number in range(1, 5)}
        gateway.reply(provider="aliyun", from_=phone(3), to="10690001", body="TD")
        gateway.settled()
        assert desk.address(phone(3)).suppressed_reason == "opted_out"
        database.close()


def test_a_lost_answer_whose_receipts_are_lost_too_is_found_in_the_list_and_not_sent_again(new_sqlite: Any, tmp_path: Path) -> None:
    filed_template(tmp_path)
    with Gateway(tmp_path / "own.jsonl", office="http://127.0.0.1:9") as gateway:
        database = Database(new_sqlite())
        desk = open_office(database, tmp_path, sender=[{"provider": "aliyun", "per_second": 0}], sandbox_url=gateway.url)
        desk.enterprises(3)
        desk.launch(steps=[{"channel": "sms", "template": "sms/call"}])
        gateway.faults(rules=[{"to": phone(1), "fault": "drop_after_accept"}])
        outbox = Outbox(database, desk.settings)
        asyncio.run(sending.drain(outbox))
        assert desk.states() == ["unknown"] * 3
        desk.elapse(timedelta(seconds=10))
        asyncio.run(sending.settle_unknown(outbox, now=clock.now))
        assert desk.states() == ["accepted"] * 3
        assert len({row.reference for row in desk.deliveries()}) == 3
        asyncio.run(sending.drain(outbox))
        assert len(gateway.ledger()) == 3
        database.close()


def test_each_number_goes_by_the_sender_whose_prefix_fits_it(new_sqlite: Any, tmp_path: Path) -> None:
    filed_template(tmp_path)
    home, abroad = {"name": "home", "provider": "aliyun", "prefixes": ["+86"]}, {"name": "abroad", "provider": "twilio", "prefixes": ["+852"]}
    with Gateway(tmp_path / "own.jsonl", office="http://127.0.0.1:9") as gateway:
        database = Database(new_sqlite())
        desk = open_office(database, tmp_path, sender=[home, abroad], sandbox_url=gateway.url)
        desk.enterprises(2, phones=[phone(1), "+85251234567"])
        desk.launch(steps=[{"channel": "sms", "template": "sms/call"}])
        asyncio.run(sending.drain(Outbox(database, desk.settings)))
        assert {entry["to"]: entry["reference"][:2] == "SM" for entry in gateway.ledger()} == {phone(1): False, "+85251234567": True}
        database.close()


def test_three_workers_and_every_fault_send_each_number_its_text_once(new_sqlite: Any, tmp_path: Path) -> None:
    filed_template(tmp_path)
    url = new_sqlite()
    sender = [{"provider": "aliyun", "per_second": 0}]
    shares = ("throttle", "error_json", "error_html", "drop_after_accept", "truncate", "receipt_twice", "receipt_early", "receipt_forged", "receipt_reordered")
    with Served(tmp_path, url, sender=sender) as web, Gateway(tmp_path / "own.jsonl", office=web.url) as gateway:
        database = Database(url)
        desk = open_office(database, tmp_path, sender=sender, sandbox_url=gateway.url, public_url=web.url)
        desk.enterprises(150)
        desk.launch(steps=[{"channel": "sms", "template": "sms/call"}])
        desk.write(update(Campaign).where(Campaign.name == "drive").values(state="running", claim_limit=None))  # the canary is over
        gateway.faults(mix=dict.fromkeys(shares, 0.01) | {"undelivered": 0.1})
        outbox = Outbox(database, desk.settings)
        for _tick in range(40):
            asyncio.run(three_workers(outbox))
            gateway.settled()
            desk.elapse(timedelta(seconds=31))
            asyncio.run(sending.settle_unknown(outbox, now=clock.now))
            if set(desk.states()) <= {"delivered", "undelivered"}:
                break
        assert set(desk.states()) == {"delivered", "undelivered"}
        sent = [entry["to"] for entry in gateway.ledger()]
        assert len(sent) == len(set(sent)) == 150
        outcomes = Counter(entry["outcome"] for entry in gateway.ledger())
        assert Counter(desk.states()) == outcomes
        assert not any(row.doubled for row in desk.deliveries())
        assert gateway.health()["callbacks"]["forged_accepted"] == 0
        database.close()


async def three_workers(outbox: Outbox) -> None:
    await asyncio.gather(*(sending.drain(outbox) for _worker in range(3)))


def test_the_webs_door_takes_pushes_with_the_word_and_nothing_else(new_sqlite: Any, tmp_path: Path) -> None:
    with Served(tmp_path, new_sqlite(), aliyun_hook_word="a-long-word") as web:

        def push(path: str, body: bytes, method: str = "POST") -> int:
            return web.ask(method, path, body, {"Content-Type": "application/json"}).status

        good = json.dumps([REPORT]).encode()
        answer = web.ask("POST", "/hooks/aliyun/a-long-word/report", good, {"Content-Type": "application/json"})
        assert (answer.status, json.loads(answer.body)) == (200, {"code": 0, "msg": "成功"})
        assert push("/hooks/aliyun/a-long-word/report", b"[]") == 200
        assert push("/hooks/aliyun/another-word/report", good) == 403
        assert push("/hooks/aliyun/a-long-word/report", b"{}") == 400
        assert push("/hooks/aliyun/a-long-word/other", good) == 404
        assert push("/hooks/aliyun/a-long-word/report", b"", "GET") == 405
        assert push("/hooks/aliyun/a-long-word/report", b"[" + b" " * 70_000 + b"]") == 413
        with web.database.read() as session:
            (kept,) = session.execute(select(ReceiptRow.provider, ReceiptRow.status, ReceiptRow.error_code)).all()
        assert tuple(kept) == ("aliyun", "undelivered", "MK:0001")


def test_without_a_word_nobody_is_believed(new_sqlite: Any, tmp_path: Path) -> None:
    office = load(tmp_path, mode="production", aliyun_hook_word="", office_key=KEY, twilio_auth_token="t")
    assert not any(isinstance(hooks, aliyun.AliyunHooks) for hooks in directory.open_hooks(office))
    with pytest.raises(BadSignature):
        aliyun.AliyunHooks(office).read_callback(url="https://office.example/hooks/aliyun//report", body=b"[]", headers={})
