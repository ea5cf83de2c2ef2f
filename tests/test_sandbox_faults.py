"""The sandbox misbehaves as it is told, in each of the ways in which a real gateway does, and the same way for any order of arrival."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException

from outreach.sandbox.faults import AFTER_ACCEPTANCE, FAULTS, REFUSALS, Faults

from gateway import FROM, Gateway, Receiver  # isort: skip

TO = "+8613800138000"


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


def create(gateway: Gateway, receiver: Receiver | None = None, *, to: str = TO, body: str = "您好") -> Any:
    return gateway.client().messages.create(to=to, from_=FROM, body=body, **({"status_callback": receiver.url + "/s?a=1.1"} if receiver else {}))


def only(gateway: Gateway, fault: str, **more: Any) -> None:
    gateway.faults(rules=[{"to": TO, "fault": fault}], **more)


# before acceptance


@pytest.mark.parametrize(("fault", "status", "code"), [("throttle", 429, 20429), ("error_json", 500, 20500), ("error_html", 502, 502)])
def test_a_refused_message_is_not_kept(gateway: Gateway, receiver: Receiver, fault: str, status: int, code: int) -> None:
    only(gateway, fault)
    for _ in range(2):
        with pytest.raises(TwilioRestException) as refusal:
            create(gateway, receiver)
        assert (refusal.value.status, refusal.value.code) == (status, code)
    assert gateway.ledger() == []
    assert gateway.settled()["faults"] == {fault: 2}
    assert receiver.calls == []


def test_a_rule_with_times_ends_and_the_next_rule_of_the_number_follows(gateway: Gateway) -> None:
    gateway.faults(rules=[{"to": TO, "fault": "throttle", "times": 2}, {"to": TO, "fault": "undelivered"}])
    for _ in range(2):
        with pytest.raises(TwilioRestException):
            create(gateway)
    create(gateway)
    create(gateway, to="+8613800138001")
    assert [entry["outcome"] for entry in gateway.ledger()] == ["undelivered", "delivered"]


def test_a_rule_may_spare_a_number_of_the_mix(gateway: Gateway) -> None:
    gateway.faults(mix={"throttle": 1.0}, rules=[{"to": TO, "fault": None}])
    create(gateway)
    with pytest.raises(TwilioRestException):
        create(gateway, to="+8613800138001")


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_message_refused_by_the_mix_gets_through_when_tried_again(gateway: Gateway, fault: str) -> None:
    gateway.faults(mix={fault: 1.0})
    for body in ("a", "b"):
        with pytest.raises(TwilioRestException):
            create(gateway, body=body)
        create(gateway, body=body)
        create(gateway, body=body)
    assert Counter(entry["body"] for entry in gateway.ledger()) == {"a": 2, "b": 2}


# after acceptance


def test_a_dropped_answer_leaves_a_message_that_is_reported_and_listed(gateway: Gateway, receiver: Receiver) -> None:
    only(gateway, "drop_after_accept")
    with pytest.raises(requests.ConnectionError):
        create(gateway, receiver)
    gateway.settled()
    (entry,) = gateway.ledger()
    assert (entry["outcome"], entry["attempt"]) == ("delivered", "1.1")
    assert receiver.statuses() == ["sent", "delivered"]
    assert [message.sid for message in gateway.client().messages.list(to=TO)] == [entry["reference"]]


def test_a_hung_answer_never_comes_and_the_message_is_reported(gateway: Gateway, receiver: Receiver) -> None:
    only(gateway, "hang_after_accept")
    client = gateway.client()
    client.http_client.timeout = 0.4
    with pytest.raises(requests.ReadTimeout):
        client.messages.create(to=TO, from_=FROM, body="x", status_callback=receiver.url)
    gateway.until(lambda health: health["accepted"] == 1)
    gateway.settled()
    assert [entry["outcome"] for entry in gateway.ledger()] == ["delivered"]
    assert receiver.statuses() == ["sent", "delivered"]
    create(gateway, to="+8613800138001")


def test_a_truncated_answer_is_cut_as_http_for_some_and_as_json_for_others(gateway: Gateway) -> None:
    only(gateway, "truncate")
    seen = Counter[str]()
    for number in range(12):
        try:
            create(gateway, body=str(number))
        except requests.exceptions.ChunkedEncodingError:
            seen["http"] += 1
        except json.JSONDecodeError:
            seen["json"] += 1
    assert seen.total() == 12 and len(seen) == 2
    assert len(gateway.ledger()) == 12


# receipts


def test_a_late_receipt_comes_after_its_delay(gateway: Gateway, receiver: Receiver) -> None:
    only(gateway, "receipt_late", late_ms=800)
    started = time.monotonic()
    message = create(gateway, receiver)
    assert time.monotonic() - started < 0.8 and receiver.calls == []
    assert message.fetch().status == "queued"
    assert gateway.health()["callbacks"]["pending"] == 2
    gateway.settled()
    assert time.monotonic() - started >= 0.8
    assert receiver.statuses() == ["sent", "delivered"]


def test_a_doubled_receipt_carries_the_same_token(gateway: Gateway, receiver: Receiver) -> None:
    only(gateway, "receipt_twice")
    create(gateway, receiver)
    gateway.settled()
    assert receiver.statuses() == ["sent", "sent", "delivered", "delivered"]
    first, second, third, fourth = (call.event for call in receiver.calls)
    assert first == second != third == fourth


def test_reordered_receipts_say_delivered_before_sent(gateway: Gateway, receiver: Receiver) -> None:
    only(gateway, "receipt_reordered")
    message = create(gateway, receiver)
    gateway.settled()
    assert receiver.statuses() == ["delivered", "sent"]
    assert message.fetch().status == "delivered"


def test_a_lost_receipt_leaves_a_silent_message(gateway: Gateway, receiver: Receiver) -> None:
    only(gateway, "receipt_lost")
    message = create(gateway, receiver)
    assert gateway.settled()["callbacks"]["sent"] == 0
    assert receiver.calls == []
    assert [entry["outcome"] for entry in gateway.ledger()] == ["silent"]
    assert message.fetch().status == "sent"


def test_a_forged_receipt_claims_a_failure_beside_the_true_ones(gateway: Gateway, receiver: Receiver) -> None:
    only(gateway, "receipt_forged")
    claims = set()
    receiver.answers = [403] + [204] * 99
    for number in range(8):
        create(gateway, receiver, body=str(number))
        gateway.settled()
        forged, sent, delivered = receiver.calls
        assert [forged.genuine, sent.genuine, delivered.genuine] == [False, True, True]
        assert [sent.status, delivered.status] == ["sent", "delivered"]
        assert forged.form["ErrorCode"] == "30008"
        claims.add(forged.status)
        receiver.calls.clear()
    assert claims == {"failed", "undelivered"}
    counts = gateway.health()["callbacks"]
    assert (counts["sent"], counts["forged"], counts["forged_accepted"]) == (16, 8, 7)


def test_a_refused_forgery_is_not_repeated(gateway: Gateway, receiver: Receiver) -> None:
    only(gateway, "receipt_forged")
    receiver.answers = [403]
    gateway.client().messages.create(to=TO, from_=FROM, body="x", status_callback=receiver.url + "#rc=5&rp=all")
    gateway.settled()
    assert [call.genuine for call in receiver.calls] == [False, True, True]


def test_an_early_receipt_is_there_before_the_answer(gateway: Gateway, receiver: Receiver) -> None:
    only(gateway, "receipt_early")
    message = create(gateway, receiver)
    assert receiver.statuses() == ["sent", "delivered"]
    assert message.status == "queued" and message.sid == receiver.calls[0].form["MessageSid"]


def test_an_early_receipt_without_a_host_holds_the_answer_only_for_a_while(gateway: Gateway) -> None:
    only(gateway, "receipt_early")
    started = time.monotonic()
    gateway.client().messages.create(to=TO, from_=FROM, body="x", status_callback="http://127.0.0.1:9/#rc=5&rp=all")
    assert time.monotonic() - started < 4


def test_an_undelivered_message_says_why(gateway: Gateway, receiver: Receiver) -> None:
    only(gateway, "undelivered")
    codes = Counter[str]()
    for number in range(12):
        message = create(gateway, receiver, body=str(number))
        gateway.settled()
        sent, undelivered = receiver.calls
        assert "ErrorCode" not in sent.form and undelivered.status == "undelivered" and undelivered.genuine
        codes[undelivered.form["ErrorCode"]] += 1
        shown = message.fetch()
        assert (shown.status, str(shown.error_code), bool(shown.error_message)) == ("undelivered", undelivered.form["ErrorCode"], True)
        receiver.calls.clear()
    assert codes.keys() == {"30003", "30005"}
    assert {entry["outcome"] for entry in gateway.ledger()} == {"undelivered"}


def test_latency_holds_every_answer(gateway: Gateway) -> None:
    gateway.faults(latency_ms=250)
    started = time.monotonic()
    create(gateway)
    assert time.monotonic() - started >= 0.25
    with ThreadPoolExecutor(8) as pool:
        started = time.monotonic()
        list(pool.map(lambda number: create(gateway, body=str(number)), range(8)))
    assert time.monotonic() - started < 8 * 0.25


# the configuration


def test_the_mix_falls_alike_in_any_order_and_after_its_seed(gateway: Gateway) -> None:
    mix = {"undelivered": 0.3, "receipt_lost": 0.2}
    numbers = [f"+861380013{number:04d}" for number in range(200)]

    def outcomes(seed: int, order: list[str]) -> dict[str, str]:
        gateway.reset()
        gateway.faults(seed=seed, mix=mix)
        clients = threading.local()

        def send(to: str) -> None:
            if not hasattr(clients, "own"):
                clients.own = gateway.client()
            clients.own.messages.create(to=to, from_=FROM, body="您好")

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(send, order))
        return {entry["to"]: entry["outcome"] for entry in gateway.ledger()}

    first = outcomes(7, numbers)
    assert first == outcomes(7, numbers[::-1])
    assert first != outcomes(8, numbers)
    shares = Counter(first.values())
    assert 30 <= shares["undelivered"] <= 90 and 15 <= shares["silent"] <= 65


def test_shares_that_add_up_to_one_leave_nothing_out() -> None:
    faults = Faults(1)
    share = 1 / len(FAULTS)
    faults.configure(json.dumps({"mix": dict.fromkeys(FAULTS, share)}).encode())
    drawn = Counter(faults.draw(TO, str(number)) for number in range(4000))
    assert drawn.keys() == set(FAULTS)
    assert all(0.5 * share < times / 4000 < 1.5 * share for times in drawn.values())


def test_a_new_configuration_replaces_the_whole_of_the_old_one(gateway: Gateway) -> None:
    gateway.faults(seed=9, mix={"throttle": 0.5}, rules=[{"to": TO, "fault": "truncate"}], latency_ms=5, list_lag_ms=6, late_ms=7, times=2)
    shown = gateway.faults(mix={"truncate": 0.25})
    assert shown == {"seed": 1, "mix": {"truncate": 0.25}, "times": 1, "rules": [], "latency_ms": 0.0, "list_lag_ms": 0.0, "late_ms": 3000.0}
    assert json.loads(gateway.request("GET", "/_sandbox/faults")[1]) == shown


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[]",
        b'{"mix":{"thunder":0.1}}',
        b'{"mix":{"throttle":0.6,"truncate":0.5}}',
        b'{"mix":{"throttle":-0.1}}',
        b'{"mix":{"throttle":"0.1"}}',
        b'{"mix":["throttle"]}',
        b'{"mix":{"throttle":NaN}}',
        b'{"rules":[{"to":"+1","fault":"thunder"}]}',
        b'{"rules":[{"fault":"throttle"}]}',
        b'{"rules":[{"to":"+1","fault":"throttle","times":-1}]}',
        b'{"rules":{"+1":"throttle"}}',
        b'{"seed":"x"}',
        b'{"latency_ms":-1}',
        b'{"list_lag_ms":true}',
        b'{"delay":1}',
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line_and_changes_nothing(gateway: Gateway, wrong: bytes) -> None:
    before = gateway.faults(mix={"receipt_lost": 0.5})
    status, body = gateway.request("POST", "/_sandbox/faults", wrong)
    assert status == 400
    assert json.loads(body)["error"]["message"] and b"\n" not in body
    assert json.loads(gateway.request("GET", "/_sandbox/faults")[1]) == before


def test_every_fault_of_the_design_has_its_place() -> None:
    assert set(FAULTS) == {
        "throttle", "error_json", "error_html", "drop_after_accept", "hang_after_accept", "truncate", "receipt_late", "receipt_twice",
        "receipt_reordered", "receipt_lost", "receipt_forged", "receipt_early", "undelivered",
    }  # fmt: skip
    assert set(REFUSALS).isdisjoint(AFTER_ACCEPTANCE)
