"""Owners follow the office's account, send their code and sign; the office writes to them in WeChat, and to all others by text: as strangers do it."""

import itertools
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from office import CONTENT, Stranger, until
from test_pledge import GOAL, Phone, texts

FOLLOWERS = 12
TOKEN_LIFE = 3
"""Seconds, for the drive in which tokens end."""
STEPS = """
[[step]]
channel = "wechat"
template = "wechat/pledge-invitation"

[[step]]
channel = "sms"
template = "sms/pledge-invitation"
when = "unreached"

[[step]]
channel = "wechat"
template = "wechat/pledge-reminder"
when = "unsigned"
after = "1s"

[[step]]
channel = "sms"
template = "sms/pledge-reminder"
when = "unreached"
"""


class Account:
    """What people do in WeChat, and what they see there: through the gateway's own doors."""

    def __init__(self, office: Stranger) -> None:
        self.office = office

    def does(self, openid: str, event: str, body: str = "", **more: Any) -> None:
        document = {"channel": "wechat", "openid": openid, "event": event, "body": body, **more}
        self.office.http("/_sandbox/reply", port=self.office.gateway, document=document)

    def said_to(self, openid: str) -> list[str]:
        """The office's own answers to a person, in order."""
        return [line["body"] for line in self.office.ledger() if line["to"] == openid and line["attempt"] is None]

    def says(self, openid: str, body: str, **more: Any) -> str:
        """Write to the office, and return its answer."""
        before = len(self.said_to(openid))
        self.does(openid, "text", body, **more)
        until(lambda: len(self.said_to(openid)) > before, seconds=30)
        return self.said_to(openid)[-1]

    def follows_and_binds(self, openid: str, code: str, phone: str) -> str:
        """Follow, send the code and the four digits; return the last answer."""
        self.does(openid, "subscribe")
        until(lambda: self.said_to(openid), seconds=30)
        self.says(openid, code)
        return self.says(openid, phone[-4:])

    def counts(self) -> Any:
        return json.loads(self.office.http("/_sandbox/wechat", port=self.office.gateway))

    def sent(self) -> list[dict[str, Any]]:
        """The messages of campaigns in WeChat."""
        return [line for line in self.office.ledger() if line["channel"] == "wechat" and line["attempt"]]


@pytest.fixture
def office(tmp_path, database_url: str):
    with Stranger(tmp_path / "office", None if database_url.startswith("sqlite") else database_url) as office:
        office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"), "--rejects", str(office.home / "rejects.csv"))
        yield office


def first_drive(office: Stranger) -> tuple[Account, list[tuple[str, str, str]]]:
    """Text everybody; the first owners follow the account and send their code. Return them as (openid, phone, code)."""
    office.approved("first", goal=GOAL)
    office.serve()
    office.json("campaign", "launch", "first")
    account = Account(office)
    people = [(f"oOwner{place:022d}", number, code) for place, (number, code) in enumerate(list(texts(office).items())[:FOLLOWERS])]
    for openid, number, code in people:
        answer = account.follows_and_binds(openid, code, number)
        assert f"http://127.0.0.1:{office.web}/p/" in answer, answer
    return account, people


def over_channels(office: Stranger, name: str) -> Any:
    """Plan and approve a drive that tries WeChat first."""
    path = office.campaign(name, goal=GOAL)
    path.write_text(path.read_text("utf-8").split("[[step]]")[0] + STEPS, "utf-8")
    plan = office.json("campaign", "plan", str(path), signed="alice")
    office.ok("campaign", "approve", name, "--code", plan["code"], signed="bob")
    return plan


def once_and_never_two_channels(office: Stranger, campaign: str) -> None:
    """By the gateway's ledger and plain SQL: a delivery went out once at most, and nobody had two messages on their way."""
    lines = [line for line in office.ledger() if line["attempt"]]
    assert max(Counter(line["attempt"].split(".")[0] for line in lines).values()) == 1
    rows = office.sql(
        "select d.id, d.recipient_id, d.step, d.occurrence, d.channel, d.claimed_at, d.final_at, d.doubled from delivery d "
        f"join campaign c on c.id = d.campaign_id where c.name = '{campaign}' and d.claimed_at is not null order by d.recipient_id, d.claimed_at"
    )
    assert not any(row[7] for row in rows)
    assert max(Counter(row[1:4] for row in rows).values()) == 1
    for earlier, later in itertools.pairwise(rows):
        assert earlier[1] != later[1] or earlier[6] <= later[5], "a second message of one recipient began before the first was final"


def test_owners_follow_type_their_code_and_sign_and_the_next_drive_reaches_them_in_wechat(office: Stranger) -> None:
    account, people = first_drive(office)
    (openid, number, code), (other, *_rest) = people[:2]
    assert account.said_to(openid)[0] != account.said_to(openid)[1], "the greeting, then the question for the four digits"
    link = re.search(r"/p/[\w-]+", account.said_to(openid)[-1])[0]
    assert phone_signs(office, link)
    assert office.sql("select count(*) from signature where way = 'wechat'") == [(1,)]
    assert "4" in account.says(other, "请问什么时候截止") or account.said_to(other)
    replies = office.json("replies", "list")["rows"]
    assert any("截止" in row["body"] for row in replies)

    plan = over_channels(office, "second")
    first = plan["steps"][0]
    assert first["messages"] == FOLLOWERS
    assert first["messages"] + sum(first["skipped"].values()) == plan["recipients"]
    office.json("campaign", "launch", "second")
    office.json("campaign", "launch", "second")
    invited = [line for line in account.sent() if "待签订" in line["body"]]
    assert {line["to"] for line in invited} <= {openid for openid, _number, _code in people}
    assert openid not in {line["to"] for line in account.sent() if "仍待" in line["body"]}, "who has signed is reminded by nobody"
    once_and_never_two_channels(office, "second")
    statement = office.json("campaign", "statement", "second")
    assert statement["enterprises"]["adds_up"]
    assert all(step["adds_up"] for step in statement["steps"])
    assert [step["channel"] for step in statement["steps"][:2]] == ["wechat", "sms"]
    reach = office.json("report", "reach")
    assert reach["totals"]["wechat"] >= FOLLOWERS - 1
    assert (number, code) != ("", "")


def phone_signs(office: Stranger, link: str) -> bool:
    phone = Phone(office)
    assert phone.get(link)[0] == 200
    return re.search(r"\d{4}-\d{6}", phone.sign(link)[2]) is not None


@pytest.mark.long
def test_a_stop_word_in_wechat_stops_and_leaving_undoes_the_binding(office: Stranger) -> None:
    account, people = first_drive(office)
    (stopped, number, _code), (left, *_rest) = people[:2]
    account.says(stopped, "退订")
    account.does(left, "unsubscribe")
    until(lambda: office.sql(f"select ended_reason from binding where openid = '{left}'") == [("unsubscribed",)], seconds=30)
    over_channels(office, "second")
    office.json("campaign", "launch", "second")
    written = {line["to"] for line in office.ledger() if line["attempt"] and line["at"] > "" and line["to"] in (stopped, left)}
    assert not written
    assert len([line for line in office.ledger() if line["to"] == number]) == 1, "who said no in WeChat gets no text either"


@pytest.mark.long
@pytest.mark.chaos
@pytest.mark.timeout(500)
def test_faults_a_token_that_ends_and_kill_9_of_three_workers_send_nothing_twice(tmp_path: Path, new_postgresql: Callable[[], str], redis_url: str) -> None:
    with Stranger(tmp_path / "office", new_postgresql(), {"broker_url": redis_url, "alternates": "0"}) as office:
        office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"), "--rejects", str(office.home / "rejects.csv"))
        account, people = first_drive(office)
        over_channels(office, "second")
        mix = {"drop_after_accept": 0.15, "hang_after_accept": 0.05, "error_json": 0.1, "throttle": 0.1, "review": 0.1, "receipt_twice": 0.1}
        office.faults(seed=7, mix=mix, wechat={"token_life_s": TOKEN_LIFE, "review_s": 1}, latency_ms=50)
        before, begun = account.counts(), time.monotonic()
        workers = [office.worker() for _ in range(3)]
        office.json("campaign", "launch", "second", "--detach")
        for round_ in range(4):
            time.sleep(1.5)
            if round_ == 1:
                office.faults(seed=8, mix=mix, wechat={"token_jump": True})
            office.kill_group(workers[round_ % 3])
            workers[round_ % 3] = office.worker()
        office.faults(seed=9, mix={})
        lives = (time.monotonic() - begun) / (TOKEN_LIFE / 2)  # a token that short is kept for half its life
        until(lambda: office.sql("select state from campaign where name = 'second'") == [("finished",)], seconds=240)
        once_and_never_two_channels(office, "second")
        after = account.counts()
        assert after["classic"] == 0
        processes = 3 * 2
        assert 0 < after["stable"] - before["stable"] <= processes * (lives + 4), "each process asks when its token has ended, and no more"
        statement = office.json("campaign", "statement", "second")
        assert all(step["adds_up"] and not step["doubled"] for step in statement["steps"])
        assert {openid for openid, _number, _code in people} >= {line["to"] for line in account.sent()}
        kept_in_redis = b"".join(values_in(redis_url))
        for _openid, number, code in people:
            assert number.encode() not in kept_in_redis
            assert code.encode() not in kept_in_redis


def values_in(redis_url: str) -> Iterator[bytes]:
    """Everything that Redis holds, whatever it is: the bell, and nothing else."""
    client = redis.Redis.from_url(redis_url)
    for key in client.scan_iter():
        yield bytes(key)
        yield bytes(client.dump(key) or b"")


@pytest.mark.long
def test_no_secret_and_no_whole_phone_or_openid_stands_in_any_log(office: Stranger, tmp_path) -> None:
    office.approved("first", goal=GOAL)
    office.environment["OUTREACH_WECHAT_SECRET"] = "a-secret-of-the-account"
    logs = {}
    for command, port, path in (("sandbox", office.gateway, "/_sandbox/health"), ("serve", office.web, "/healthz"), ("worker", None, None)):
        logs[command] = (tmp_path / f"{command}.log").open("w+")
        office.children.append(office.start(command, stdout=logs[command], stderr=logs[command], start_new_session=True))
        if port:
            until(lambda port=port, path=path: office._answers(port, path), seconds=60)
    office.json("campaign", "launch", "first", "--wait")
    account = Account(office)
    number, code = next(iter(texts(office).items()))
    openid = "oSecretive" + "0" * 18
    account.follows_and_binds(openid, code, number)
    over_channels(office, "second")
    office.faults(seed=1, mix={"error_html": 0.5, "drop_after_accept": 0.3})
    office.json("campaign", "launch", "second", "--wait")
    for child in office.children:
        child.send_signal(signal.SIGTERM)
    for child in office.children:
        child.wait(20)
    for command in ("serve", "worker"):
        logs[command].seek(0)
        log = logs[command].read()
        for secret in ("a-secret-of-the-account", openid, number, number.removeprefix("+86"), code):
            assert secret not in log, (command, log[max(0, log.find(secret) - 200) :][:400])
    for log in logs.values():
        log.close()
