"""The sandbox speaks Aliyun's protocol: the provider's own SDK, as it is, cannot tell the difference."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from alibabacloud_dysmsapi20170525 import models
from alibabacloud_dysmsapi20170525.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.core import DaraCore
from darabonba.request import DaraRequest
from desk import Desk
from gateway import Gateway

from outreach.sandbox.aliyun import asked
from outreach.sandbox.aliyun.asked import Declined, Filed

TO = "13800138000"
FILED = "${name}您好：请发送签署码${code}。"
BODY = "【示例人社】王建国您好：请发送签署码7K3M9P。"
ALGORITHM = "ACS3-HMAC-SHA256"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Desk]]:
    folder = tmp_path_factory.mktemp("aliyun")
    with Desk(folder) as desk, Gateway(folder / "ledger.jsonl", office=desk.url) as running:
        yield running, desk
    for session in DaraCore._sessions.values():
        session.close()


@pytest.fixture
def gateway(pair: tuple[Gateway, Desk]) -> Gateway:
    running, desk = pair
    running.reset()
    running.aliyun(templates={"SMS_1": FILED})
    desk.items.clear()
    desk.lists.clear()
    desk.refusals.clear()
    desk.answers.clear()
    return running


@pytest.fixture
def desk(pair: tuple[Gateway, Desk], gateway: Gateway) -> Desk:
    return pair[1]


def sdk(gateway: Gateway, *, key: str = "sandbox", secret: str = "sandbox") -> Client:
    return Client(Config(access_key_id=key, access_key_secret=secret, endpoint=f"127.0.0.1:{gateway.port}", protocol="HTTP"))


def send(gateway: Gateway, *, to: str = TO, out_id: str = "7.1", code: str = "SMS_1", name: str = "王建国", sign: str = "示例人社", **own: Any) -> Any:
    values = json.dumps({"name": name, "code": "7K3M9P"})
    request = models.SendSmsRequest(phone_numbers=to, sign_name=sign, template_code=code, template_param=values, out_id=out_id)
    return sdk(gateway, **own).send_sms(request).body


def batch(gateway: Gateway, numbers: list[str], *, signs: list[str] | None = None, values: list[Any] | None = None) -> Any:
    request = models.SendBatchSmsRequest(
        phone_number_json=json.dumps(numbers),
        sign_name_json=json.dumps(signs or ["示例人社"] * len(numbers)),
        template_param_json=json.dumps(values if values is not None else [{"name": f"王{place}", "code": "A"} for place, _ in enumerate(numbers)]),
        template_code="SMS_1",
        out_id=f"7.1x{len(numbers)}",
    )
    return sdk(gateway).send_batch_sms(request).body


def details(gateway: Gateway, *, to: str = TO, page: int = 1, size: int = 50, day: str = "", biz_id: str | None = None) -> Any:
    day = day or (datetime.now(UTC) + timedelta(hours=8)).strftime("%Y%m%d")
    request = models.QuerySendDetailsRequest(phone_number=to, send_date=day, page_size=size, current_page=page, biz_id=biz_id)
    return sdk(gateway).query_send_details(request).body


def rows(answer: Any) -> list[Any]:
    return list(answer.sms_send_detail_dtos.sms_send_detail_dto)


# what is sent


def test_one_text_is_accepted_by_the_sdk_as_it_is_and_reads_as_the_person_reads_it(gateway: Gateway, desk: Desk) -> None:
    answer = send(gateway)
    assert (answer.code, answer.message) == ("OK", "OK")
    assert answer.biz_id
    assert len(answer.request_id) == 36
    (entry,) = gateway.ledger()
    assert entry.keys() == {"channel", "reference", "to", "body", "attempt", "at", "outcome"}
    assert (entry["channel"], entry["to"], entry["body"], entry["attempt"], entry["outcome"]) == ("sms", "+86" + TO, BODY, "7.1", "delivered")
    gateway.settled()
    assert [receipt.status for receipt in desk.receipts] == ["delivered"]


def test_a_batch_gives_each_number_its_own_values_and_is_reported_in_one_list(gateway: Gateway, desk: Desk) -> None:
    numbers = [f"138000000{place:02}" for place in range(100)]
    assert batch(gateway, numbers).code == "OK"
    assert [(entry["to"], entry["body"]) for entry in gateway.ledger()] == [
        (f"+86{number}", f"【示例人社】王{place}您好：请发送签署码A。") for place, number in enumerate(numbers)
    ]
    gateway.settled()
    assert desk.lists == [100]


def test_a_text_that_nobody_filed_here_shows_its_code_and_its_values_unless_some_are_filed(gateway: Gateway) -> None:
    assert send(gateway, code="SMS_2").code == "isv.SMS_TEMPLATE_ILLEGAL"
    gateway.aliyun(templates={})
    assert send(gateway, code="SMS_2").code == "OK"
    assert gateway.ledger()[0]["body"] == '【示例人社】SMS_2 {"code": "7K3M9P", "name": "王建国"}'


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to": "057488888888"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"to": "12000138000"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"sign": ""}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"sign": "长" * 17}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"name": "长" * 36}, "isv.PARAM_LENGTH_LIMIT"),
        ({"name": "见https://office.example"}, "isv.PARAM_NOT_SUPPORT_URL"),
        ({"out_id": "7" * 256}, "isv.INVALID_PARAMETERS"),
    ],
)
def test_what_the_provider_would_not_take_is_answered_200_with_its_code_and_not_stored(gateway: Gateway, changes: dict[str, str], code: str) -> None:
    assert send(gateway, **changes).code == code
    assert gateway.ledger() == []
    assert gateway.aliyun()["refused"] == {code: 1}


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"PhoneNumberJson": "["}, "isv.INVALID_JSON_PARAM"),
        ({"PhoneNumberJson": "[]"}, "isv.INVALID_JSON_PARAM"),
        ({"SignNameJson": '["示例人社","示例人社"]'}, "isv.INVALID_PARAMETERS"),
        ({"TemplateParamJson": '["x"]'}, "isv.INVALID_JSON_PARAM"),
        ({"TemplateParamJson": '[{"code":1}]'}, "isv.INVALID_JSON_PARAM"),
        ({"TemplateParamJson": '[{"code":"1"}]'}, "isv.TEMPLATE_MISSING_PARAMETERS"),
        ({"PhoneNumberJson": json.dumps([TO] * 101)}, "isv.MOBILE_COUNT_OVER_LIMIT"),
        ({"PhoneNumberJson": "[13800138000]"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"TemplateCode": ""}, "MissingTemplateCode"),
    ],
)
def test_a_batch_that_does_not_fit_together_is_refused(form: dict[str, str], code: str) -> None:
    good = {
        "PhoneNumberJson": f'["{TO}"]',
        "SignNameJson": '["示例人社"]',
        "TemplateParamJson": '[{"name":"王","code":"1"}]',
        "TemplateCode": "SMS_1",
    }
    filed = Filed(templates={"SMS_1": FILED})
    assert len(asked.read("SendBatchSms", good, filed).texts) == 1
    with pytest.raises(Declined) as declined:
        asked.read("SendBatchSms", good | form, filed)
    assert declined.value.code == code


def test_a_number_gets_no_more_of_one_text_a_day_than_its_limit_and_the_account_no_more_than_its_own(gateway: Gateway) -> None:
    gateway.aliyun(templates={"SMS_1": FILED}, per_number=1, daily=2)
    assert send(gateway).code == "OK"
    again = send(gateway)
    assert (again.code, again.message) == ("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:1")
    assert send(gateway, to="13800138001").code == "OK"
    assert send(gateway, to="13800138002").code == "isv.DAY_LIMIT_CONTROL"


def test_one_number_can_bring_a_code_upon_its_batch(gateway: Gateway) -> None:
    gateway.aliyun(codes={"+86" + TO: "isv.BUSINESS_LIMIT_CONTROL"}, messages={"isv.BUSINESS_LIMIT_CONTROL": "触发小时级流控Permits:5"})
    answer = batch(gateway, ["13800138001", TO])
    assert (answer.code, answer.message) == ("isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5")


@pytest.mark.parametrize("told", [{"templates": 7}, {"unknown": 1}, {"daily": "many"}])
def test_what_this_side_cannot_be_told_is_refused_in_words(gateway: Gateway, told: dict[str, Any]) -> None:
    status, body = gateway.request("POST", "/_sandbox/aliyun", json.dumps(told).encode())
    assert status == 400
    assert json.loads(body)["error"]["id"] == "bad_request"


# who may


@pytest.mark.parametrize(("key", "secret", "code"), [("somebody", "sandbox", "InvalidAccessKeyId.NotFound"), ("sandbox", "wrong", "SignatureDoesNotMatch")])
def test_whoever_has_not_the_key_is_told_so_by_the_sdk(gateway: Gateway, key: str, secret: str, code: str) -> None:
    with pytest.raises(ClientException) as refusal:
        send(gateway, key=key, secret=secret)
    assert refusal.value.code == code
    assert gateway.ledger() == []


def signed(gateway: Gateway, *, action: str = "SendSms", body: str = "", query: dict[str, str] | None = None, **changes: str) -> dict[str, str]:
    """Return the headers of a request signed by the SDK; `changes` (x_acs_date=…) are signed too."""
    request = DaraRequest()
    digest = Utils.hash(body.encode(), ALGORITHM).hex()
    request.method, request.pathname, request.query = "POST", "/", query or {}
    request.headers = {
        "host": f"127.0.0.1:{gateway.port}",
        "x-acs-action": action,
        "x-acs-version": "2017-05-25",
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-acs-signature-nonce": os.urandom(8).hex(),
        "x-acs-content-sha256": digest,
        "content-type": "application/x-www-form-urlencoded",
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    return request.headers | {"Authorization": Utils.get_authorization(request, ALGORITHM, digest, "sandbox", "sandbox")}


def code_of(answer: tuple[int, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[1])["Code"]


FORM = {"PhoneNumbers": TO, "SignName": "示例 人社", "TemplateCode": "SMS_1", "TemplateParam": '{"name":"a~b*c+d","code":"1"}'}


def test_a_signature_covers_query_and_body_and_counts_once(gateway: Gateway) -> None:
    query = {key: FORM[key] for key in ("PhoneNumbers", "TemplateCode")}
    body = urlencode({key: FORM[key] for key in ("SignName", "TemplateParam")})
    target = "/?" + urlencode(query)
    headers = signed(gateway, query=query, body=body)
    assert code_of(gateway.request("POST", target, body.encode(), headers)) == (200, "OK")
    assert code_of(gateway.request("POST", target, body.encode(), headers)) == (400, "SignatureNonceUsed")
    for path, sent in ((target, body.replace("code", "kode")), (target.replace(TO, "13800138001"), body)):
        assert code_of(gateway.request("POST", path, sent.encode(), signed(gateway, query=query, body=body))) == (400, "SignatureDoesNotMatch")
    assert len(gateway.ledger()) == 1


def test_the_way_in_which_the_query_is_written_does_not_matter_to_its_signature(gateway: Gateway) -> None:
    plain = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in reversed(FORM.items()))
    assert code_of(gateway.request("POST", f"/?{plain}", b"", signed(gateway, query=FORM))) == (200, "OK")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"x_acs_date": "2026-01-15T00:00:00Z"}, (400, "InvalidTimeStamp.Expired")),
        ({"x_acs_date": "yesterday"}, (400, "InvalidTimeStamp.Format")),
        ({"x_acs_version": "2018-01-01"}, (404, "InvalidVersion")),
        ({"x_acs_action": "SendLetter"}, (404, "InvalidAction.NotFound")),
    ],
)
def test_an_old_request_and_an_unknown_one_are_refused(gateway: Gateway, changes: dict[str, str], code: tuple[int, str]) -> None:
    assert code_of(gateway.request("POST", "/", b"", signed(gateway, **changes))) == code


def test_a_request_without_a_proof_or_with_half_of_one_is_refused(gateway: Gateway) -> None:
    headers = signed(gateway)
    proof = headers.pop("Authorization")
    assert code_of(gateway.request("POST", "/", b"", headers)) == (400, "MissingAuthorization")
    for broken in ("nonsense", proof.replace("x-acs-date;", ""), proof[:-1]):
        assert code_of(gateway.request("POST", "/", b"", headers | {"Authorization": broken}))[1] == "IncompleteSignature"


# what the list shows


def test_the_list_shows_a_number_its_texts_of_a_day_newest_first_in_pages(gateway: Gateway) -> None:
    for place in range(3):
        send(gateway, out_id=f"{place}.1")
    gateway.settled()
    answer = details(gateway)
    assert (answer.code, answer.total_count) == ("OK", "3")
    assert [(row.out_id, row.content, row.template_code, row.phone_num, row.send_status, row.err_code) for row in rows(answer)] == [
        (f"{place}.1", BODY, "SMS_1", TO, 3, "DELIVERED") for place in (2, 1, 0)
    ]
    assert [row.out_id for row in rows(details(gateway, page=2, size=2))] == ["0.1"]
    assert rows(details(gateway, day="20260101")) == rows(details(gateway, to="13800138001")) == rows(details(gateway, page=3, size=2)) == []


def test_the_list_can_be_asked_for_one_request_and_lags_when_it_is_told_to(gateway: Gateway) -> None:
    first = send(gateway)
    send(gateway)
    assert len(rows(details(gateway, biz_id=first.biz_id))) == 1
    gateway.faults(list_lag_ms=60_000)
    assert rows(details(gateway)) == []


@pytest.mark.parametrize("changes", [{"size": 51}, {"size": 0}, {"page": 0}, {"day": "2026-01-15"}, {"to": ""}])
def test_a_list_that_is_asked_for_wrongly_says_so(gateway: Gateway, changes: dict[str, Any]) -> None:
    assert details(gateway, **changes).code == "isv.INVALID_PARAMETERS"


def test_a_text_that_nobody_reported_waits_for_its_receipt_for_ever(gateway: Gateway) -> None:
    gateway.faults(rules=[{"to": "+86" + TO, "fault": "receipt_lost"}])
    send(gateway)
    gateway.settled()
    assert [(row.send_status, row.err_code) for row in rows(details(gateway))] == [(1, None)]
    assert gateway.ledger()[0]["outcome"] == "silent"


# faults


def rule(gateway: Gateway, fault: str, **more: Any) -> None:
    gateway.faults(rules=[{"to": "+86" + TO, "fault": fault}], **more)


def test_throttling_and_errors_store_nothing(gateway: Gateway) -> None:
    rule(gateway, "throttle")
    with pytest.raises(ClientException) as refusal:
        send(gateway)
    assert (refusal.value.code, refusal.value.status_code) == ("Throttling.User", 400)
    rule(gateway, "error_json")
    assert send(gateway).code == "isp.SYSTEM_ERROR"
    rule(gateway, "error_html")
    with pytest.raises(Exception, match=r"503|JSON|Expecting"):
        send(gateway)
    assert gateway.ledger() == []


@pytest.mark.parametrize("fault", ["drop_after_accept", "truncate"])
def test_an_answer_that_is_lost_leaves_the_text_sent_and_reported(gateway: Gateway, desk: Desk, fault: str) -> None:
    rule(gateway, fault)
    with pytest.raises(Exception, match=r".") as lost:
        send(gateway)
    assert not isinstance(lost.value, ClientException)
    gateway.settled()
    assert len(gateway.ledger()) == len(set(desk.receipts)) == 1


def test_a_receipt_comes_twice_or_late_or_before_the_answer_as_it_is_told(gateway: Gateway, desk: Desk) -> None:
    rule(gateway, "receipt_twice")
    send(gateway)
    gateway.settled()
    assert desk.lists == [1, 1]
    assert len(set(desk.receipts)) == 1
    rule(gateway, "receipt_late", late_ms=300)
    send(gateway)
    assert gateway.health()["callbacks"]["pending"] == 1
    gateway.settled()
    assert len(desk.receipts) == 3
    rule(gateway, "receipt_early")
    send(gateway)
    assert len(desk.receipts) == 4


def test_a_failure_is_told_with_a_networks_code_and_shown_in_the_list(gateway: Gateway, desk: Desk) -> None:
    rule(gateway, "undelivered")
    send(gateway)
    gateway.settled()
    (receipt,) = {receipt for receipt in desk.receipts if receipt.status == "undelivered"}  # a busy machine may be told twice
    assert receipt.error_code in ("UNDELIV", "MK:0001")
    assert [(row.send_status, row.err_code) for row in rows(details(gateway))] == [(2, receipt.error_code)]


def test_a_forged_receipt_comes_to_a_wrong_word_and_is_refused(gateway: Gateway, desk: Desk) -> None:
    rule(gateway, "receipt_forged")
    send(gateway)
    health = gateway.settled()
    assert (health["callbacks"]["forged"], health["callbacks"]["forged_accepted"]) == (1, 0)
    assert desk.refusals == [403]
    assert [receipt.status for receipt in desk.receipts] == ["delivered"]


@pytest.mark.parametrize("answer", [(500, b""), (200, b""), (200, b'{"code":1,"msg":"later"}'), (204, b"")])
def test_a_push_comes_again_until_it_is_answered_with_code_0(gateway: Gateway, desk: Desk, answer: tuple[int, bytes]) -> None:
    desk.answers += [answer, answer]
    send(gateway)
    health = gateway.settled()
    assert (health["callbacks"]["sent"], health["callbacks"]["failed"]) == (1, 0)
    assert desk.lists == [1]
    assert desk.answers == []


# people


def test_what_a_person_sends_back_is_pushed_to_the_office(gateway: Gateway, desk: Desk) -> None:
    names = [gateway.reply(provider="aliyun", from_="+86" + TO, to="1069000001", body=said)["reference"] for said in ("TD", "恢复")]
    gateway.settled()
    assert [(reply.reference, reply.sender, reply.account) for reply in desk.replies] == [(f"aliyun-{name}", "+86" + TO, "1069000001") for name in names]
    assert [(reply.stops, reply.restarts) for reply in desk.replies] == [(True, False), (False, True)]
    assert all(abs((reply.at or datetime.min.replace(tzinfo=UTC)) - datetime.now(UTC)) < timedelta(minutes=1) for reply in desk.replies)


# its life


def test_after_a_kill_the_list_shows_what_the_ledger_holds_and_twilios_list_shows_none_of_it(gateway: Gateway) -> None:
    send(gateway)
    gateway.settled()
    gateway.kill()
    gateway.start()
    assert [(row.out_id, row.content, row.send_status) for row in rows(details(gateway))] == [("7.1", BODY, 3)]
    assert gateway.client().messages.list() == []
    assert len(gateway.ledger()) == 1


def test_a_reset_leaves_nothing(gateway: Gateway) -> None:
    send(gateway)
    gateway.reset()
    assert rows(details(gateway)) == []
    assert gateway.aliyun() == {"calls": {"QuerySendDetails": 1}, "batches": {}, "refused": {}, "today": 0}
    assert send(gateway, code="SMS_77").code == "OK"
