"""The ledger is the witness: whatever was accepted is in it once and in order, and no kill takes it away."""

import contextlib
import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import pytest
import requests
from twilio.base.exceptions import TwilioRestException

from outreach.sandbox import server

from gateway import FROM, Gateway, Receiver  # isort: skip

TO = "+8613800138000"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "ledger.jsonl") as gateway:
        yield gateway


def test_the_ledger_shows_each_accepted_message_in_order(gateway: Gateway) -> None:
    client = gateway.client()
    sids = [
        client.messages.create(to=TO, from_=FROM, body="您好", status_callback="http://127.0.0.1:9/s?b=1&a=17.2#rc=0").sid,
        client.messages.create(to="+8613800138001", from_=FROM, body='"\\\n\u2028\x85 x').sid,
    ]
    first, second = gateway.ledger()
    assert list(first) == ["channel", "reference", "to", "body", "attempt", "at", "outcome"]
    assert first | {"at": ""} == {
        "channel": "sms", "reference": sids[0], "to": TO, "body": "您好", "attempt": "17.2", "at": "", "outcome": "delivered",
    }  # fmt: skip
    assert abs(time.time() - time.mktime(time.strptime(first["at"] + "+0000", "%Y-%m-%dT%H:%M:%SZ%z")) + time.timezone) < 5
    assert (second["reference"], second["body"], second["attempt"]) == (sids[1], '"\\\n\u2028\x85 x', None)


def test_each_line_is_one_line_for_every_reader(gateway: Gateway) -> None:
    gateway.client().messages.create(to=TO, from_=FROM, body="a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh\ni")
    _, text = gateway.request("GET", "/_sandbox/ledger")
    assert len(text.decode().splitlines()) == len(gateway.path.read_text().splitlines()) == 1


def test_a_killed_gateway_remembers_every_message_that_it_answered(gateway: Gateway) -> None:
    answered: list[str] = []

    def send(thread: int) -> None:
        client = gateway.client()
        with contextlib.suppress(requests.RequestException, IndexError):
            for number in range(10_000):
                answered.append(str(client.messages.create(to=f"+86138{thread:02d}{number:06d}", from_=FROM, body=f"{thread}-{number}").sid))

    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    gateway.until(lambda health: health["accepted"] >= 200)
    gateway.kill()
    for thread in threads:
        thread.join()
    gateway.start()
    entries = gateway.ledger()
    references = [entry["reference"] for entry in entries]
    assert len(set(references)) == len(references) == gateway.health()["accepted"]
    assert set(answered) <= set(references) and len(references) <= len(answered) + 4
    client = gateway.client()
    assert {message.sid for message in client.messages.stream(page_size=100)} == set(references)
    shown = client.messages(references[0]).fetch()
    assert (shown.body, shown.to, shown.from_, shown.status) == (entries[0]["body"], entries[0]["to"], FROM, "delivered")
    after = client.messages.create(to=TO, from_=FROM, body="after")
    assert after.sid not in references
    assert [message.sid for message in client.messages.list(to=TO)] == [after.sid]
    assert gateway.ledger()[:-1] == entries


def test_a_restart_shows_what_became_of_each_message(gateway: Gateway) -> None:
    outcomes = {"+8613800138001": "undelivered", "+8613800138002": "receipt_lost", "+8613800138003": None}
    gateway.faults(rules=[{"to": to, "fault": fault} for to, fault in outcomes.items()])
    for to in outcomes:
        gateway.client().messages.create(to=to, from_=FROM, body="x")
    before = gateway.ledger()
    assert gateway.stop() == 0
    gateway.start()
    assert gateway.ledger() == before
    shown = {message.to: (message.status, message.error_code is None) for message in gateway.client().messages.list()}
    assert shown == {"+8613800138001": ("undelivered", False), "+8613800138002": ("sent", True), "+8613800138003": ("delivered", True)}


def test_a_line_torn_by_a_kill_is_forgotten_for_it_was_never_answered(gateway: Gateway) -> None:
    sid = gateway.client().messages.create(to=TO, from_=FROM, body="x").sid
    gateway.kill()
    with gateway.path.open("ab") as file:
        file.write(b'{"channel":"sms","reference":"SM')
    gateway.start()
    assert [entry["reference"] for entry in gateway.ledger()] == [sid]
    gateway.client().messages.create(to=TO, from_=FROM, body="y")
    assert [entry["body"] for entry in gateway.ledger()] == ["x", "y"]


def test_two_gateways_never_share_a_ledger(gateway: Gateway) -> None:
    command = [sys.executable, "-m", "outreach.sandbox", "--port", "0", "--ledger", str(gateway.path)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 1
    assert second.stderr.startswith("error: ") and second.stderr.count("\n") == 1


def test_a_taken_port_is_said_in_one_line(gateway: Gateway, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "outreach.sandbox", "--port", str(gateway.port), "--ledger", str(tmp_path / "other.jsonl")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 1
    assert second.stderr.startswith("error: ") and second.stderr.count("\n") == 1


def test_reset_empties_everything(gateway: Gateway) -> None:
    client = gateway.client()
    with Receiver() as receiver:
        gateway.faults(mix={"receipt_late": 1.0}, late_ms=300)
        old = client.messages.create(to=TO, from_=FROM, body="x", status_callback=receiver.url).sid
        gateway.reply(from_=TO, to=FROM, body="STOP", url=receiver.url)
        gateway.reset()
        assert gateway.ledger() == [] and gateway.path.read_bytes() == b""
        health = gateway.health()
        assert health["accepted"] == health["opted_out"] == health["callbacks"]["sent"] == health["callbacks"]["pending"] == 0
        assert health["faults"] == {} and json.loads(gateway.request("GET", "/_sandbox/faults")[1])["mix"] == {}
        assert client.messages.list() == []
        with pytest.raises(TwilioRestException):
            client.messages(old).fetch()
        assert client.messages.create(to=TO, from_=FROM, body="y").sid != old
        time.sleep(0.4)
        assert [call for call in receiver.calls if "MessageStatus" in call.form] == []
    gateway.kill()
    gateway.start()
    assert [entry["body"] for entry in gateway.ledger()] == ["y"]


def test_a_large_ledger_streams_while_it_grows(gateway: Gateway) -> None:
    client = gateway.client()
    for number in range(900):
        client.messages.create(to=TO, from_=FROM, body=f"{number:04d}" + "您" * 400)
    with requests.Session() as session, session.get(gateway.url + "/_sandbox/ledger", stream=True, timeout=10) as answer:
        lines = answer.iter_lines()
        bodies = [json.loads(next(lines))["body"][:4] for _ in range(10)]
        client.messages.create(to=TO, from_=FROM, body="later")
        bodies += [json.loads(line)["body"][:4] for line in lines]
    assert bodies == [f"{number:04d}" for number in range(900)]
    assert len(gateway.ledger()) == 901


def test_a_full_disk_delays_the_answer_and_shows_nothing_until_it_is_written(gateway: Gateway) -> None:
    client = gateway.client()
    first = client.messages.create(to=TO, from_=FROM, body="x").sid
    unlimited = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (gateway.path.stat().st_size + 10, unlimited[1]))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.messages.create, to=TO, from_=FROM, body="y")
        time.sleep(0.3)
        assert not answer.done()
        other = gateway.client()
        assert [message.sid for message in other.messages.list(to=TO)] == [first]
        assert [entry["body"] for entry in gateway.ledger()] == ["x"]
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, unlimited)
        assert other.messages(str(answer.result(10).sid)).fetch().body == "y"
    assert [entry["body"] for entry in gateway.ledger()] == ["x", "y"]


def test_a_gateway_in_a_thread_stops_when_told(tmp_path: Path) -> None:
    ports: Queue[int] = Queue()
    stop = threading.Event()
    given = {"ledger": tmp_path / "ledger.jsonl", "ready": ports.put, "stop": stop}
    thread = threading.Thread(target=server.serve, args=("127.0.0.1", 0), kwargs=given)
    thread.start()
    try:
        assert requests.get(f"http://127.0.0.1:{ports.get(timeout=10)}/_sandbox/health", timeout=10).json()["ok"]
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_stopped_gateway_leaves_cleanly_with_clients_connected(gateway: Gateway) -> None:
    with requests.Session() as session:
        session.get(gateway.url + "/_sandbox/health", timeout=10)
        started = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - started < 3
