"""The sandbox speaks Twilio's protocol: the provider's own SDK cannot tell the difference."""

import inspect
import json
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest.api.v2010.account.message import MessageInstance

from outreach.sandbox.forms import fields
from outreach.sandbox.twilio.receipts import signature
from outreach.sandbox.twilio.segments import segments

from gateway import ACCOUNT_SID, AUTH_TOKEN, FROM, Gateway, Receiver  # isort: skip

TO = "+8613800138000"
SERVICE = "MG" + "a" * 32
MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
BASIC = {"Authorization": "Basic " + b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()}
KEYS = {
    "account_sid", "api_version", "body", "date_created", "date_sent", "date_updated", "direction", "error_code", "error_message", "from",
    "messaging_service_sid", "num_media", "num_segments", "price", "price_unit", "sid", "status", "subresource_uris", "to", "uri",
}  # fmt: skip
"""The properties of `api.v2010.account.message` in Twilio's OpenAPI."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("sandbox") / "ledger.jsonl") as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Gateway) -> Gateway:
    running.reset()
    return running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def post(gateway: Gateway, **form: str) -> tuple[int, dict[str, object]]:
    status, body = gateway.request("POST", MESSAGES, urlencode(form).encode(), BASIC)
    return status, json.loads(body)


def speak(gateway: Gateway, *parts: bytes) -> bytes:
    """Send raw bytes, and return all that comes until the gateway closes."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        heard = b""
        while more := connection.recv(65536):
            heard += more
        return heard


# create


def test_a_created_message_has_exactly_the_keys_of_the_provider(gateway: Gateway) -> None:
    status, document = post(gateway, To=TO, From=FROM, Body="您好")
    assert status == 201
    assert document.keys() == KEYS
    known = {name.rstrip("_") for name in vars(gateway.client().messages.create(to=TO, from_=FROM, body="您好")) if not name.startswith("_")}
    assert known == KEYS


def test_a_created_message_is_queued_with_what_was_asked(gateway: Gateway) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    message = gateway.client().messages.create(to=TO, from_=FROM, body="【示例人社】张建国：您好 100% +a&b=c\n“x”")
    assert isinstance(message, MessageInstance)
    assert (message.to, message.from_, message.body) == (TO, FROM, "【示例人社】张建国：您好 100% +a&b=c\n“x”")
    assert (message.status, message.direction, message.num_segments, message.num_media) == ("queued", "outbound-api", "1", "0")
    assert (message.date_sent, message.price, message.error_code, message.messaging_service_sid) == (None, None, None, None)
    assert message.account_sid == ACCOUNT_SID and message.sid and len(message.sid) == 34 and message.sid.startswith("SM")
    assert message.date_created and before <= message.date_created <= datetime.now(UTC)
    assert message.uri == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{message.sid}.json"


def test_a_messaging_service_has_not_chosen_its_number_yet(gateway: Gateway) -> None:
    message = gateway.client().messages.create(to=TO, messaging_service_sid=SERVICE, body="您好")
    assert (message.status, message.from_, message.num_segments, message.messaging_service_sid) == ("accepted", None, "0", SERVICE)
    shown = message.fetch()
    assert (shown.status, shown.from_, shown.num_segments) == ("delivered", FROM, "1")


def test_every_field_that_the_sdk_can_send_is_taken(gateway: Gateway) -> None:
    messages = gateway.client().messages
    asked = {
        "to": TO, "from_": FROM, "messaging_service_sid": SERVICE, "body": "您好", "status_callback": "http://127.0.0.1:9/x#rc=0",
        "application_sid": "AP" + "0" * 32, "max_price": 0.5, "provide_feedback": True, "attempt": 1, "validity_period": 36000,
        "force_delivery": False, "content_retention": "retain", "address_retention": "retain", "smart_encoded": True,
        "persistent_action": ["mailto:a@example.com"], "traffic_type": "free", "shorten_urls": False, "schedule_type": "fixed",
        "send_at": datetime.now(UTC) + timedelta(hours=1), "send_as_mms": False, "content_variables": '{"1":"x"}',
        "message_intent": "notifications", "risk_check": "enable", "fallback_from": FROM, "media_url": ["http://example.com/a.png"],
        "content_sid": "HX" + "0" * 32,
    }  # fmt: skip
    assert asked.keys() == inspect.signature(messages.create).parameters.keys()
    message = messages.create(**asked)
    assert (message.status, message.num_media) == ("scheduled", "1")
    assert message.update(status="canceled").status == "canceled"


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"From": FROM, "Body": "x"}, 400, 21604),
        ({"To": "13800138000", "From": FROM, "Body": "x"}, 400, 21211),
        ({"To": "+861380013800", "From": FROM, "Body": "x"}, 400, 21211),
        ({"To": "+8657463912345", "From": FROM, "Body": "x"}, 400, 21614),
        ({"To": TO, "Body": "x"}, 400, 21603),
        ({"To": TO, "MessagingServiceSid": "MGx", "Body": "x"}, 400, 21701),
        ({"To": TO, "From": "!", "Body": "x"}, 400, 21212),
        ({"To": TO, "From": FROM}, 400, 21619),
        ({"To": TO, "From": FROM, "Body": ""}, 400, 21602),
        ({"To": TO, "From": FROM, "Body": "啊" * 1601}, 400, 21617),
        ({"To": TO, "From": FROM, "Body": "x", "ValidityPeriod": "0"}, 400, 90007),
        ({"To": TO, "From": FROM, "Body": "x", "ValidityPeriod": "36001"}, 400, 90007),
        ({"To": TO, "From": FROM, "Body": "x", "StatusCallback": "/hooks"}, 400, 21609),
        ({"To": TO, "From": FROM, "Body": "x", "StatusCallback": "http://a_b.example/hooks"}, 400, 21609),
        ({"To": TO, "From": FROM, "Body": "x", "StatusCallback": "http://example.com:port/"}, 400, 21609),
        ({"To": TO, "From": FROM, "Body": "x", "StatusCallback": "http://example..com/"}, 400, 21609),
        ({"To": TO, "From": FROM, "Body": "x", "StatusCallback": "http://example.com/?" + "a" * 4000}, 400, 21609),
        ({"To": TO, "From": FROM, "Body": "x", "StatusCallback": "http://example.com/\r\nX: y"}, 400, 21609),
        ({"To": TO, "MessagingServiceSid": SERVICE, "Body": "x", "ScheduleType": "fixed", "SendAt": "2021-11-30T20:36:27Z"}, 400, 35114),
        ({"To": "+15005550001", "From": FROM, "Body": "x"}, 400, 21211),
        ({"To": "+15005550002", "From": FROM, "Body": "x"}, 400, 21612),
        ({"To": "+15005550003", "From": FROM, "Body": "x"}, 400, 21408),
        ({"To": "+15005550004", "From": FROM, "Body": "x"}, 400, 21610),
        ({"To": "+15005550009", "From": FROM, "Body": "x"}, 400, 21614),
        ({"To": TO, "From": "+15005550001", "Body": "x"}, 400, 21212),
        ({"To": TO, "From": "+15005550007", "Body": "x"}, 400, 21606),
        ({"To": TO, "From": "+15005550008", "Body": "x"}, 429, 21611),
    ],
)
def test_what_the_provider_refuses_is_refused_with_its_code_and_not_kept(gateway: Gateway, form: dict[str, str], status: int, code: int) -> None:
    answered, document = post(gateway, **form)
    assert (answered, document["code"], document["status"]) == (status, code, status)
    assert document.keys() == {"code", "message", "more_info", "status"}
    assert gateway.ledger() == []
    assert gateway.health()["refused"] == {str(code): 1}


def test_the_longest_body_and_every_kind_of_sender_pass(gateway: Gateway) -> None:
    for form in ({"From": FROM, "Body": "啊" * 1600}, {"From": "OUTREACH", "Body": "x"}, {"From": "12333", "Body": "x", "ValidityPeriod": "1"}):
        assert post(gateway, To=TO, **form)[0] == 201


def test_a_wrong_password_and_a_wrong_account_are_told_apart(gateway: Gateway) -> None:
    client = gateway.client()
    client.auth = (ACCOUNT_SID, "wrong")
    with pytest.raises(TwilioRestException) as refusal:
        client.messages.create(to=TO, from_=FROM, body="x")
    assert (refusal.value.status, refusal.value.code) == (401, 20003)
    status, body = gateway.request("GET", f"/2010-04-01/Accounts/AC{'1' * 32}/Messages.json", None, BASIC)
    assert (status, json.loads(body)["code"]) == (404, 20404)


def test_what_is_not_there_is_not_found(gateway: Gateway) -> None:
    with pytest.raises(TwilioRestException) as refusal:
        gateway.client().messages("SM" + "0" * 32).fetch()
    assert (refusal.value.status, refusal.value.code) == (404, 20404)
    assert gateway.request("GET", "/nowhere")[0] == 404
    assert gateway.request("GET", "/_sandbox/nowhere")[0] == 404
    assert gateway.request("PUT", MESSAGES, b"", BASIC)[0] == 405
    assert gateway.request("GET", "/_sandbox/reset")[0] == 405


# fetch, redact, delete, list


def test_a_message_is_fetched_redacted_and_deleted_while_the_ledger_keeps_it(gateway: Gateway) -> None:
    client = gateway.client()
    message = client.messages.create(to=TO, from_=FROM, body="您好")
    shown = message.fetch()
    assert (shown.body, shown.status, shown.to) == ("您好", "delivered", TO)
    assert shown.date_sent is not None and shown.price == "-0.00750"
    assert message.update(body="").body == ""
    assert message.fetch().body == ""
    assert message.delete()
    assert client.messages.list() == []
    with pytest.raises(TwilioRestException):
        message.fetch()
    assert [entry["body"] for entry in gateway.ledger()] == ["您好"]


def test_only_a_blank_body_and_a_scheduled_message_can_be_updated(gateway: Gateway) -> None:
    message = gateway.client().messages.create(to=TO, from_=FROM, body="x")
    for change in ({"body": "other"}, {"status": "canceled"}):
        with pytest.raises(TwilioRestException) as refusal:
            message.update(**change)
        assert refusal.value.status == 400


def test_the_sdk_walks_all_pages_newest_first_and_back(gateway: Gateway) -> None:
    client = gateway.client()
    sent = [client.messages.create(to=TO, from_=FROM, body=str(number)).sid for number in range(11)]
    assert [message.sid for message in client.messages.stream(page_size=3)] == sent[::-1]
    assert [message.sid for message in client.messages.list(limit=5)] == sent[:5:-1]
    first = client.messages.page(page_size=4)
    second = first.next_page()
    third = second.next_page()
    assert [message.body for message in third] == ["2", "1", "0"] and third.next_page() is None
    back = third.previous_page()
    assert [message.body for message in back] == [message.body for message in second] == ["6", "5", "4", "3"]
    assert [message.body for message in back.previous_page()] == ["10", "9", "8", "7"]
    assert back.previous_page().previous_page() is None


def test_a_page_has_exactly_the_keys_of_the_provider(gateway: Gateway) -> None:
    gateway.client().messages.create(to=TO, from_=FROM, body="x")
    status, body = gateway.request("GET", MESSAGES + "?PageSize=1", None, BASIC)
    page = json.loads(body)
    assert status == 200
    assert page.keys() == {"first_page_uri", "end", "previous_page_uri", "messages", "uri", "page_size", "start", "next_page_uri", "page"}
    assert [message.keys() for message in page["messages"]] == [KEYS]
    assert (page["page"], page["page_size"], page["start"], page["end"], page["next_page_uri"]) == (0, 1, 0, 0, None)


def test_a_page_that_new_messages_push_down_is_not_shown_twice(gateway: Gateway) -> None:
    client = gateway.client()
    sent = [client.messages.create(to=TO, from_=FROM, body=str(number)).body for number in range(4)]
    first = client.messages.page(page_size=2)
    shown = [message.body for message in first]
    client.messages.create(to=TO, from_=FROM, body="new")
    assert shown + [message.body for message in first.next_page()] == sent[::-1]


def test_the_list_is_filtered_by_both_ends(gateway: Gateway) -> None:
    client = gateway.client()
    for to, sender in ((TO, FROM), (TO, "+15005550010"), ("+8613800138001", FROM)):
        client.messages.create(to=to, from_=sender, body=to[-1] + sender[-1])
    assert [message.body for message in client.messages.list(to=TO)] == ["00", "06"]
    assert [message.body for message in client.messages.list(from_=FROM)] == ["16", "06"]
    assert [message.body for message in client.messages.list(to=TO, from_=FROM)] == ["06"]
    assert client.messages.list(to="+8613800138009") == []


def test_the_list_is_filtered_by_date_in_both_forms(gateway: Gateway) -> None:
    client = gateway.client()
    client.messages.create(to=TO, from_=FROM, body="sent")
    client.messages.create(to=TO, messaging_service_sid=SERVICE, body="scheduled", schedule_type="fixed", send_at=datetime.now(UTC) + timedelta(hours=1))
    now, day = datetime.now(UTC), timedelta(days=1)

    def bodies(query: str) -> list[str]:
        status, body = gateway.request("GET", f"{MESSAGES}?{query}", None, BASIC)
        assert status == 200, body
        return [message["body"] for message in json.loads(body)["messages"]]

    assert bodies("") == ["scheduled", "sent"]
    assert bodies(f"DateSent={now:%Y-%m-%d}") == bodies(f"DateSent>={now:%Y-%m-%d}") == bodies(f"DateSent<={now:%Y-%m-%d}") == ["sent"]
    assert bodies(f"DateSent={now - day:%Y-%m-%d}") == bodies(f"DateSent>={now + day:%Y-%m-%d}") == bodies(f"DateSent<={now - day:%Y-%m-%d}") == []
    for past in ("06%2F11%2F2019+22%3A05%3A25+MST", "2019-06-11+22%3A05%3A25.000", "Wed%2C+19+Jun+2019+22%3A04%3A00+-0000"):
        assert bodies(f"DateSent%3E={past}") == ["sent"]
        assert bodies(f"DateSent%3C={past}") == []
    assert [message.body for message in client.messages.list(date_sent=now)] == ["sent"]
    assert [message.body for message in client.messages.list(date_sent_after=now - day, date_sent_before=now + day)] == ["sent"]
    assert client.messages.list(date_sent_after=now + day) == client.messages.list(date_sent_before=now - day) == []
    assert gateway.request("GET", f"{MESSAGES}?DateSent=soon", None, BASIC)[0] == 400


def test_the_list_lags_and_fetch_does_not(gateway: Gateway) -> None:
    client = gateway.client()
    gateway.faults(list_lag_ms=60_000)
    message = client.messages.create(to=TO, from_=FROM, body="x")
    assert client.messages.list(to=TO) == []
    assert message.fetch().sid == message.sid
    gateway.faults(list_lag_ms=0)
    assert [found.sid for found in client.messages.list(to=TO)] == [message.sid]


# status callbacks and inbound texts


def test_a_message_is_reported_sent_and_then_delivered_with_a_true_signature(gateway: Gateway, receiver: Receiver) -> None:
    message = gateway.client().messages.create(to=TO, from_=FROM, body="x", status_callback=f"{receiver.url}/hooks/status?a=17.2&b=%E4%BD%A0#rc=2&rp=all")
    counts = gateway.settled()["callbacks"]
    sent, delivered = receiver.calls
    assert (counts["sent"], counts["failed"]) == (2, 0)
    assert [sent.status, delivered.status] == ["sent", "delivered"]
    assert sent.path == delivered.path == "/hooks/status?a=17.2&b=%E4%BD%A0"
    common = {
        "MessageSid": message.sid, "SmsSid": message.sid, "AccountSid": ACCOUNT_SID, "From": FROM, "To": TO, "ApiVersion": "2010-04-01",
    }  # fmt: skip
    assert sent.form == common | {"MessageStatus": "sent", "SmsStatus": "sent"}
    done = delivered.form["RawDlrDoneDate"]
    assert delivered.form == common | {"MessageStatus": "delivered", "SmsStatus": "delivered", "RawDlrDoneDate": done}
    assert abs(datetime.strptime(done, "%y%m%d%H%M").replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=2)
    assert sent.genuine and delivered.genuine
    assert sent.event != delivered.event
    assert sent.headers["User-Agent"] == "TwilioProxy/1.1"
    assert sent.headers["Content-Type"].startswith("application/x-www-form-urlencoded")


def test_a_report_through_a_messaging_service_names_it(gateway: Gateway, receiver: Receiver) -> None:
    gateway.client().messages.create(to=TO, messaging_service_sid=SERVICE, body="x", status_callback=receiver.url)
    gateway.settled()
    assert [(call.form["MessagingServiceSid"], call.form["From"]) for call in receiver.calls] == [(SERVICE, FROM)] * 2


@pytest.mark.parametrize(
    ("fragment", "answers", "tries"),
    [
        ("#rc=2&rp=all", [500, 404], 3),
        ("#rc=1&rp=all", [500, 500], 2),
        ("#rc=2&rp=5xx", [500], 2),
        ("#rc=2&rp=5xx", [404], 1),
        ("#rc=2&rp=4xx,5xx", [404, 500], 3),
        ("", [500], 1),
    ],
)
def test_a_webhook_is_tried_again_as_its_address_asks(gateway: Gateway, receiver: Receiver, fragment: str, answers: list[int], tries: int) -> None:
    receiver.answers = list(answers)
    gateway.client().messages.create(to=TO, from_=FROM, body="x", status_callback=receiver.url + "/x" + fragment)
    counts = gateway.settled()["callbacks"]
    assert receiver.statuses() == ["sent"] * tries + ["delivered"]
    assert len({call.event for call in receiver.calls[:tries]}) == 1
    assert counts["failed"] == (tries == len(answers))


def test_a_webhook_whose_host_stays_down_is_given_up(gateway: Gateway) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    message = gateway.client().messages.create(to=TO, from_=FROM, body="x", status_callback=f"http://127.0.0.1:{port}/#rc=0")
    assert gateway.settled()["callbacks"] == {"sent": 0, "failed": 2, "pending": 0, "forged": 0, "forged_accepted": 0}
    assert message.fetch().status == "delivered"


def test_a_webhook_whose_host_is_down_for_a_moment_arrives(gateway: Gateway) -> None:
    with Receiver() as earlier:
        url, port = earlier.url, earlier.port
        gateway.client().messages.create(to=TO, from_=FROM, body="x", status_callback=url)  # leaves a line open that the host then closes
        gateway.settled()
    gateway.client().messages.create(to=TO, from_=FROM, body="y", status_callback=url + "#rc=5&rp=all")
    time.sleep(0.3)
    with Receiver(port=port) as receiver:
        assert gateway.settled()["callbacks"]["failed"] == 0
        assert receiver.statuses() == ["sent", "delivered"]


def test_hundreds_of_reports_all_arrive_and_those_of_each_message_in_order(gateway: Gateway, receiver: Receiver) -> None:
    client = gateway.client()
    for number in range(300):
        client.messages.create(to=f"+861380013{number:04d}", from_=FROM, body="x", status_callback=receiver.url)
    assert gateway.settled()["callbacks"]["sent"] == 600
    by_message: dict[str, list[str]] = {}
    for call in receiver.calls:
        by_message.setdefault(call.form["MessageSid"], []).append(call.status)
    assert list(by_message.values()) == [["sent", "delivered"]] * 300


def test_a_text_from_a_person_arrives_signed(gateway: Gateway, receiver: Receiver) -> None:
    reference = gateway.reply(from_=TO, to=FROM, body="你好 &=+%", url=f"{receiver.url}/hooks/twilio/inbound")["reference"]
    gateway.settled()
    (call,) = receiver.calls
    assert call.genuine and call.path == "/hooks/twilio/inbound"
    expected = {"From": TO, "To": FROM, "Body": "你好 &=+%", "MessageSid": reference, "SmsSid": reference, "SmsMessageSid": reference}
    assert expected.items() <= call.form.items()
    assert {"SmsStatus": "received", "NumMedia": "0", "NumSegments": "1", "AccountSid": ACCOUNT_SID, "ApiVersion": "2010-04-01"}.items() <= call.form.items()
    assert gateway.ledger() == []


def test_a_text_goes_to_the_address_given_at_the_start(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> None:
    with Gateway(tmp_path_factory.mktemp("inbound") / "ledger.jsonl", inbound_url=f"{receiver.url}/inbound") as gateway:
        gateway.reply(from_=TO, to=FROM, body="您好")
        gateway.settled()
    assert [call.path for call in receiver.calls] == ["/inbound"]


@pytest.mark.parametrize("word", ["STOP", " stop ", "Unsubscribe", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"])
def test_who_opts_out_gets_no_more_until_he_opts_in(gateway: Gateway, receiver: Receiver, word: str) -> None:
    client = gateway.client()
    gateway.reply(from_=TO, to=FROM, body=word, url=receiver.url)
    with pytest.raises(TwilioRestException) as refusal:
        client.messages.create(to=TO, from_=FROM, body="x")
    assert (refusal.value.status, refusal.value.code) == (400, 21610)
    client.messages.create(to="+8613800138001", from_=FROM, body="x")
    gateway.reply(from_=TO, to=FROM, body="start", url=receiver.url)
    client.messages.create(to=TO, from_=FROM, body="x")
    assert [entry["to"] for entry in gateway.ledger()] == ["+8613800138001", TO]


@pytest.mark.parametrize(
    "message",
    [b"", b"[]", b'{"channel":"fax"}', b'{"channel":"sms","from":"+1","to":1,"body":"x"}', b'{"channel":"sms","from":"+1","to":"+2","body":"x","url":"x"}'],
)
def test_a_reply_that_cannot_be_understood_is_refused_in_one_line(gateway: Gateway, message: bytes) -> None:
    status, body = gateway.request("POST", "/_sandbox/reply", message)
    assert status == 400
    assert json.loads(body)["error"]["message"] and b"\n" not in body


# the wire


def test_requests_sent_without_waiting_are_answered_in_order(gateway: Gateway) -> None:
    form = [urlencode({"To": TO, "From": FROM, "Body": str(number)}).encode() for number in range(300)]
    head = f"POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nAuthorization: {BASIC['Authorization']}\r\n".encode()
    heard = speak(gateway, *(head + b"Content-Length: %d\r\n\r\n%b" % (len(text), text) for text in form))
    answers = [json.loads(part.partition(b"\r\n\r\n")[2])["body"] for part in heard.split(b"HTTP/1.1 201 Created")[1:]]
    assert answers == [str(number) for number in range(300)]
    assert [entry["body"] for entry in gateway.ledger()] == answers


def test_a_request_in_pieces_and_a_body_in_chunks_are_understood(gateway: Gateway) -> None:
    text = urlencode({"To": TO, "From": FROM, "Body": "您好"}).encode()
    head = f"POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nAuthorization: {BASIC['Authorization']}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    whole = head + b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (text[:5], len(text) - 5, text[5:])
    assert speak(gateway, *(whole[place : place + 7] for place in range(0, len(whole), 7))).startswith(b"HTTP/1.1 201 ")
    assert gateway.ledger()[0]["body"] == "您好"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
        (f"POST {MESSAGES} HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n".encode(), 413),
        (f"POST {MESSAGES} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + b"80000\r\n%b\r\n" % (b"x" * 0x80000) * 3, 413),
        (b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000, 431),
    ],
)
def test_what_is_no_proper_request_is_refused_and_the_gateway_lives_on(gateway: Gateway, sent: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(sent)
        assert connection.recv(65536).startswith(b"HTTP/1.1 %d " % status)
    assert gateway.health()["ok"]


def test_a_client_that_would_rather_speak_another_protocol_is_answered_in_this_one(gateway: Gateway) -> None:
    answer = speak(gateway, b"GET /_sandbox/health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_client_that_asks_before_a_long_body_is_told_to_go_on(gateway: Gateway) -> None:
    text = urlencode({"To": TO, "From": FROM, "Body": "您好"}).encode()
    head = f"POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nAuthorization: {BASIC['Authorization']}\r\nExpect: 100-continue\r\nContent-Length: {len(text)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(text)
        assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")


def test_an_old_client_gets_its_answer_and_the_end_of_the_connection(gateway: Gateway) -> None:
    gateway.client().messages.create(to=TO, from_=FROM, body="x")
    answer = speak(gateway, b"GET /_sandbox/ledger HTTP/1.0\r\n\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["body"] == "x"
    assert speak(gateway, b"GET /_sandbox/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")


# laws


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))))
@settings(max_examples=200)
def test_a_form_is_read_as_it_was_written(pairs: list[tuple[str, str]]) -> None:
    assert fields(urlencode(pairs).encode()) == parse_qsl(urlencode(pairs), keep_blank_values=True)


@given(st.text("%=+ \r\n0aAfFgG_\t中", max_size=12))
@settings(max_examples=300)
def test_what_is_no_proper_escape_is_read_as_the_standard_library_reads_it(value: str) -> None:
    assert fields(b"k=" + value.encode()) == parse_qsl(f"k={value}", keep_blank_values=True)


@given(st.dictionaries(st.text(max_size=9), st.text(st.characters(exclude_categories=["Cs"]), max_size=9)))
@settings(max_examples=100)
def test_the_signature_is_the_one_of_the_sdk(form: dict[str, str]) -> None:
    url = "https://example.com/hooks?a=1.2"
    assert signature(b"12345", url, form) == RequestValidator("12345").compute_signature(url, form)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("€" * 80, 1), ("€" * 81, 2), ("€" * 152, 2), ("€" * 153, 3),
        ("a" * 152 + "€" + "a" * 153, 3), ("您" * 70, 1), ("您" * 71, 2), ("您" * 134, 2), ("您" * 135, 3), ("😀" * 35, 1), ("😀" * 36, 2), ("😀" * 67, 3),
        ("【", 1), ("a" * 70 + "【", 2), ("`", 1), ("`" * 71, 2),
    ],
)  # fmt: skip
def test_segments_are_counted_as_the_networks_count_them(body: str, count: int) -> None:
    assert segments(body) == count
