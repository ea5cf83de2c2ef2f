"""The channel wechat against the sandbox, which minds the provider's rules: messages, copies, tokens of several processes, callbacks of each mode."""

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from gateway import Gateway

from outreach import settings
from outreach.channels import directory
from outreach.channels.base import Accepted, BadSignature, Deferred, Incoming, Message, Outcome, Receipt, Rejected, Reply, Review, Uncertain
from outreach.channels.wechat.hooks import WeChatHooks
from outreach.settings import Settings

TEMPLATE = "T" * 43
PEOPLE = [f"oPerson{number:021d}" for number in range(40)]


class Door:
    """What hears the sandbox: our own reader of callbacks, in a thread. Person by person it answers his last word backwards."""

    def __init__(self) -> None:
        self.heard: list[Incoming] = []
        self.refused = 0
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                self._say(200, (door.hooks.challenge(url=door.url + self.path) or "").encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    items = door.hooks.read_callback(url=door.url + self.path, body=body, headers=dict(self.headers))
                except BadSignature:
                    door.refused += 1
                    self._say(403, b"")
                    return
                door.heard += items
                words = next((item.body for item in items if isinstance(item, Reply)), "")
                self._say(200, door.hooks.acknowledge(items, words[::-1] or None).body)

            def _say(self, status: int, body: bytes) -> None:
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.hooks: WeChatHooks

    @property
    def receipts(self) -> list[Receipt]:
        return [item for item in self.heard if isinstance(item, Receipt)]

    @property
    def replies(self) -> list[Reply]:
        return [item for item in self.heard if isinstance(item, Reply)]


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    made = Door()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, door: Door) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway") / "ledger.jsonl", wechat_url=door.url + "/hooks/wechat") as gateway:
        yield gateway


@pytest.fixture
def gateway(running: Gateway, door: Door) -> Gateway:
    """The gateway with nothing in it but people who follow."""
    running.settled()
    running.reset()
    running._json("POST", "/_sandbox/wechat", {"follow": PEOPLE})
    door.heard.clear()
    door.refused = 0
    return running


@pytest.fixture
def office(gateway: Gateway, door: Door, tmp_path: Path) -> Settings:
    made = settings.load(tmp_path, sandbox_url=gateway.url, request_timeout="700ms", lease="4s")
    door.hooks = WeChatHooks(made)
    return made


def invitation(delivery: int, to: str) -> Message:
    return Message(delivery, 1, to, "", TEMPLATE, {"thing1": "签订", "character_string5": "7K3M9P"}, "https://office.example/p/x")


def deliver(office: Settings, messages: list[Message], *, may_refresh: bool = False) -> dict[str, Outcome]:
    """Send a slice, and return the outcome for each person."""
    found: dict[str, Outcome] = {}

    async def run() -> None:
        sender = next(sender for sender in office.sender if sender.provider == "wechat")
        channel = directory.open_channel(office, sender, may_refresh=lambda: may_refresh)
        try:
            until = asyncio.get_running_loop().time() + 5
            await channel.send(messages, until=until, answered=lambda message, outcome: found.__setitem__(message.to, outcome))
        finally:
            await channel.close()

    asyncio.run(run())
    return found


def invite(office: Settings, people: list[str], **more: Any) -> dict[str, Outcome]:
    return deliver(office, [invitation(number, openid) for number, openid in enumerate(people)], **more)


def test_who_is_written_to_gets_it_and_the_event_finds_its_message(gateway: Gateway, door: Door, office: Settings) -> None:
    outcomes = invite(office, PEOPLE)
    gateway.settled()
    ledger = gateway.ledger()
    assert {(line["to"], line["reference"], line["attempt"]) for line in ledger} == {
        (openid, outcome.reference, f"{number}.1") for number, (openid, outcome) in enumerate(sorted(outcomes.items())) if isinstance(outcome, Accepted)
    }
    assert len(ledger) == len(PEOPLE)
    assert "签订" in ledger[0]["body"]
    assert {(receipt.reference, receipt.status, receipt.to) for receipt in door.receipts} == {(line["reference"], "delivered", line["to"]) for line in ledger}


FAULTS: dict[str, Outcome] = {
    "throttle": Deferred(timedelta(seconds=10), strained=True),
    "error_json": Uncertain("busy"),
    "unfollowed": Rejected("address", "43004"),
    "blocked": Rejected("opted_out", "43019"),
    "quota": Deferred(timedelta(minutes=1), day_over=True),
    "review": Review(""),
}


def test_each_fault_of_the_sandbox_has_its_outcome(gateway: Gateway, office: Settings) -> None:
    names = [*FAULTS, "error_html", "drop_after_accept", "hang_after_accept", "truncate", "token_expired"]
    gateway.faults(rules=[{"to": openid, "fault": name, "times": 1} for openid, name in zip(PEOPLE, names, strict=False)])
    found = invite(office, PEOPLE[: len(names)])
    outcomes = {name: found[openid] for openid, name in zip(PEOPLE, names, strict=False)}
    assert {name: outcomes[name] for name in FAULTS} == FAULTS
    assert all(isinstance(outcomes[name], Uncertain) for name in ("error_html", "drop_after_accept", "hang_after_accept", "truncate"))
    assert isinstance(outcomes["token_expired"], Accepted)


@pytest.mark.parametrize("answered", ["same", "zero"])
def test_an_uncertain_message_is_repeated_under_its_attempt_and_nobody_gets_it_twice(gateway: Gateway, door: Door, office: Settings, answered: str) -> None:
    doubtful = ["drop_after_accept", "hang_after_accept", "truncate", "error_json", "error_html"]
    rules = [{"to": openid, "fault": name, "times": 1} for openid, name in zip(PEOPLE, doubtful, strict=False)]
    gateway.faults(rules=rules, wechat={"duplicate_msgid": answered})
    people = PEOPLE[: len(doubtful)]
    assert all(isinstance(outcome, Uncertain) for outcome in invite(office, people).values())
    assert all(isinstance(outcome, Accepted) for outcome in invite(office, people).values())
    gateway.settled()
    assert Counter(line["to"] for line in gateway.ledger()) == dict.fromkeys(people, 1)
    assert Counter((receipt.to, receipt.status) for receipt in door.receipts) == {(openid, "delivered"): 1 for openid in people}


def test_a_message_that_did_not_pass_the_review_is_found_when_the_office_asks(gateway: Gateway, office: Settings, now: datetime) -> None:
    gateway.faults(rules=[{"to": PEOPLE[0], "fault": "review_blocked"}, {"to": PEOPLE[1], "fault": "review"}], wechat={"review_s": 0.1})
    assert set(invite(office, PEOPLE[:3]).values()) >= {Review("")}
    gateway.settled()

    async def verdicts() -> list[list[Any]]:
        channel = directory.open_channel(office, next(sender for sender in office.sender if sender.provider == "wechat"))
        try:
            asked = [channel.look_up(invitation(number, openid), since=now) for number, openid in enumerate(PEOPLE[:3])]
            return list(await asyncio.gather(*asked))
        finally:
            await channel.close()

    blocked, passed, accepted = asyncio.run(verdicts())
    assert [found.kind for found in blocked] == ["temporary"]
    assert passed == accepted == []


# tokens


def fetches(gateway: Gateway) -> dict[str, int]:
    shown = gateway._json("GET", "/_sandbox/wechat")
    return {key: shown[key] for key in ("stable", "forced_refreshes", "classic")}


def test_a_token_that_ends_in_mid_run_costs_one_more(gateway: Gateway, office: Settings) -> None:
    invite(office, PEOPLE[:1])
    before = fetches(gateway)
    gateway.faults(wechat={"token_jump": True})
    assert all(isinstance(outcome, Accepted) for outcome in invite(office, PEOPLE).values())
    assert fetches(gateway) == before | {"stable": before["stable"] + 1}


def test_a_token_that_the_platform_gives_but_does_not_take_is_forced_once(gateway: Gateway, office: Settings) -> None:
    invite(office, PEOPLE[:1])
    gateway.faults(wechat={"token_stuck": True})
    assert set(invite(office, PEOPLE[:5]).values()) <= {Rejected("account", "40001"), Rejected("account", "42001")}
    assert all(isinstance(outcome, Accepted) for outcome in invite(office, PEOPLE, may_refresh=True).values())
    assert fetches(gateway)["forced_refreshes"] == 1
    assert Counter(line["to"] for line in gateway.ledger()) == dict.fromkeys(PEOPLE, 1)


WORKER = """
import asyncio, sys
from outreach import settings
from outreach.channels import directory
from outreach.channels.base import Accepted, Message

async def run(office, number):
    sender = next(sender for sender in office.sender if sender.provider == "wechat")
    channel = directory.open_channel(office, sender)
    outcomes = []
    for slice in range(10):
        people = [f"oPerson{person:021d}" for person in range(40)]
        messages = [Message(number * 1000 + slice * 40 + k, 1, to, "", "T" * 43, {"thing1": "x"}, "") for k, to in enumerate(people)]
        await channel.send(messages, until=asyncio.get_running_loop().time() + 9, answered=lambda message, outcome: outcomes.append(outcome))
        if not slice:
            print("begun", flush=True)
            sys.stdin.readline()
    await channel.close()
    assert all(isinstance(outcome, Accepted) for outcome in outcomes) and len(outcomes) == 400, outcomes

asyncio.run(run(settings.load(sys.argv[1], sandbox_url=sys.argv[2]), int(sys.argv[3])))
"""


@pytest.mark.long
def test_three_processes_whose_token_ends_in_mid_run_ask_for_six(gateway: Gateway, tmp_path: Path) -> None:
    before = fetches(gateway)
    command = [sys.executable, "-c", WORKER, str(tmp_path), gateway.url]
    workers = [subprocess.Popen([*command, number], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for number in "123"]
    for worker in workers:
        assert worker.stdout and worker.stdout.readline() == "begun\n"
    gateway.faults(wechat={"token_jump": True})
    for worker in workers:
        worker.communicate("\n", timeout=60)
        assert worker.returncode == 0
    assert fetches(gateway) == before | {"stable": before["stable"] + 6}
    assert Counter(line["attempt"] for line in gateway.ledger()).most_common(1)[0][1] == 1
    assert len(gateway.ledger()) == 1200


# callbacks


@pytest.mark.parametrize("mode", ["plain", "safe", "compat"])
def test_the_office_is_found_heard_and_answered_in_each_mode(gateway: Gateway, door: Door, office: Settings, mode: str) -> None:
    gateway.faults(wechat={"encrypted": mode})
    assert gateway._json("POST", "/_sandbox/wechat", {"verify": None}) == {"verified": True}
    person = "oNewcomer" + "5" * 19
    gateway.reply(channel="wechat", openid=person, event="subscribe", scene="k3Jx")
    gateway.settled()
    gateway.reply(channel="wechat", openid=person, event="text", body="7K3M9P")
    gateway.settled()
    gateway.reply(channel="wechat", openid=person, event="unsubscribe")
    gateway.settled()
    assert [(reply.act, reply.scene, reply.body, reply.sender) for reply in door.replies] == [
        ("follow", "k3Jx", "", person),
        ("text", "", "7K3M9P", person),
        ("leave", "", "", person),
    ]
    assert [(line["reference"], line["to"], line["body"]) for line in gateway.ledger()] == [(f"passive-{door.replies[1].reference}", person, "P9M3K7")]


def test_a_repetition_is_known_again_and_a_forgery_turned_away(gateway: Gateway, door: Door, office: Settings) -> None:
    gateway.reply(channel="wechat", openid=PEOPLE[0], event="text", body="hello", repeat=2)
    gateway.settled()
    assert len(door.replies) == 3
    assert all(reply == door.replies[0] for reply in door.replies)
    gateway.reply(channel="wechat", openid=PEOPLE[0], event="text", body="forged", forged=True)
    gateway.until(lambda health: health["callbacks"]["forged"] == 1)
    assert door.refused == 1
    assert gateway.health()["callbacks"]["forged_accepted"] == 0


@pytest.mark.parametrize("fault", ["undelivered", "receipt_twice", "receipt_reordered"])
def test_what_became_of_a_message_is_told_whatever_the_weather(gateway: Gateway, door: Door, office: Settings, fault: str) -> None:
    gateway.faults(mix={fault: 1.0}, wechat={"event_msgid": "zero"})
    invite(office, PEOPLE[:6])
    gateway.settled()
    told = {receipt.to: receipt for receipt in door.receipts}
    assert sorted(told) == PEOPLE[:6]
    if fault == "undelivered":
        assert {(receipt.status, receipt.kind) for receipt in told.values()} <= {("undelivered", "opted_out"), ("failed", "temporary")}
    else:
        assert {receipt.status for receipt in told.values()} == {"delivered"}
    assert all(receipt.reference.startswith(f"{receipt.to}:") for receipt in door.receipts)
