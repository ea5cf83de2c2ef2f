"""Announcements at the command line, against the gateway: two accounts, one message, the provider's figures."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gateway import Gateway
from served import Served

from outreach import cli, clock
from outreach.staff import accounts

PASSWORD = "correct horse battery"


@dataclass
class Desk:
    """An office with its web and a gateway; alice plans, bob approves."""

    served: Served
    gateway: Gateway
    capsys: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""

    def run(self, *arguments: str, account: str = "") -> int:
        signed = ["--as", account, "--password-file", str(self.home / "password")] if account else []
        code = cli.run(["--home", str(self.home), *arguments, *signed])
        said = self.capsys.readouterr()
        self.out, self.err = said.out, said.err
        return code

    @property
    def home(self) -> Path:
        return self.served.settings.home

    def json(self, *arguments: str, account: str = "") -> Any:
        code = self.run("announcements", *arguments, "--format", "json", account=account)
        assert code == 0, self.err
        return json.loads(self.out)

    def approved(self, name: str = "news", *options: str) -> str:
        plan = self.json("plan", name, "--template", "wechat/announcement", *options, account="alice")
        self.json("approve", name, "--code", plan["code"], account="bob")
        return name

    def until(self, condition: Callable[[], bool]) -> None:
        over = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < over, "it did not come true in time"
            time.sleep(0.05)

    def state(self, name: str = "news") -> Any:
        return self.json("show", name)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, new_sqlite: Callable[[], str]) -> Iterator[tuple[Served, Gateway]]:
    home = tmp_path_factory.mktemp("office")
    (home / "password").write_text(PASSWORD + "\n")
    with Gateway(home / "ledger.jsonl") as gateway, Served(home, new_sqlite(), sandbox_url=gateway.url) as served:
        gateway.stop()
        gateway._wechat_url = f"{served.url}/hooks/wechat"
        gateway.start()
        with served.database.write() as session:
            for account, role in (("alice", "administrator"), ("bob", "approver")):
                accounts.add(session, account=account, role=role, password=PASSWORD, now=clock.now())
        yield served, gateway


@pytest.fixture
def desk(place: tuple[Served, Gateway], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    served, gateway = place
    gateway.reset()
    for key, value in {
        "database_url": served.settings.database_url,
        "public_url": served.url,
        "sandbox_url": gateway.url,
        "lang": "en",
        "request_timeout": "2s",
        "lease": "4s",
    }.items():
        monkeypatch.setenv(f"OUTREACH_{key.upper()}", value)
    desk = Desk(served, gateway, capsys)
    with served.database.write() as session:
        session.connection().exec_driver_sql("delete from announcement")
        session.connection().exec_driver_sql("delete from mass_result")
    gateway.wechat(follow=[f"o{number:027d}" for number in range(20)], tags={"7": ["o" + "0" * 27]})
    return desk


def test_one_plans_another_approves_and_it_is_sent_once_with_the_providers_figures(desk: Desk) -> None:
    assert desk.run("announcements", "plan", "news", "--template", "wechat/announcement", account="alice") == 0
    assert "Nothing has been sent" in desk.out and "工资不拖欠，维权要理性" in desk.out and "nobody is known to follow" in desk.out
    code = desk.json("show", "news")["code"]
    assert desk.run("announcements", "approve", "news", "--code", code, account="alice") == 1
    assert "another account must" in desk.err
    assert desk.run("announcements", "send", "news", "--yes") == 1 and f"--code {code}" in desk.err
    assert desk.run("announcements", "approve", "news", "--code", code, account="bob") == 0
    assert desk.run("announcements", "send", "news") == 2 and "add --yes" in desk.err
    assert desk.run("announcements", "send", "news", "--yes") == 0, desk.err
    desk.until(lambda: desk.state()["state"] == "sent")
    found = desk.state()
    assert [found[key] for key in ("total", "filtered", "sent", "errors")] == [20, 20, 20, 0]
    assert found["status"] == "send success"
    assert desk.run("announcements", "send", "news", "--yes") == 1 and "once at most" in desk.err
    lines = desk.gateway.ledger()
    assert [(line["to"], line["body"], line["reference"]) for line in lines] == [("@all", found["text"], found["reference"])]
    assert desk.run("announcements", "show", "news") == 0
    assert "for 20: withheld 0, arrived 20, failed 0" in desk.out
    assert desk.json("list")["rows"][0]["announcement"] == "news"
    assert desk.run("announcements", "list") == 0 and "news" in desk.out


@pytest.mark.parametrize("fault", ["drop_after_accept", "truncate", "error_html"])
def test_a_lost_answer_is_asked_for_and_nothing_goes_out_twice(fault: str, desk: Desk) -> None:
    desk.approved()
    desk.gateway.faults(rules=[{"to": "@all", "fault": fault, "times": 1}])
    assert desk.run("announcements", "send", "news", "--yes") == 1
    assert "nobody knows" in desk.err
    assert desk.state()["state"] == "unknown"
    assert desk.run("announcements", "send", "news", "--yes") == 1
    assert desk.run("announcements", "settle", "news") == 0, desk.err
    desk.until(lambda: desk.state()["state"] == "sent")
    assert desk.state()["sent"] == 20
    assert len(desk.gateway.ledger()) == 1


def test_a_refusal_for_the_quota_leaves_the_approval_and_one_for_the_text_ends_it(desk: Desk) -> None:
    desk.approved()
    desk.gateway.faults(wechat={"errors": [{"api": "message/mass/sendall", "errcode": 45028}]})
    assert desk.run("announcements", "send", "news", "--yes") == 1 and "no mass message is left" in desk.err
    assert desk.state()["state"] == "approved"
    desk.gateway.faults(wechat={"errors": [{"api": "message/mass/sendall", "errcode": 45002}]})
    assert desk.run("announcements", "send", "news", "--yes") == 1
    assert (desk.state()["state"], desk.state()["status"]) == ("failed", "45002")
    assert desk.gateway.ledger() == []


def test_where_the_event_is_lost_the_provider_is_asked(desk: Desk) -> None:
    desk.approved("news", "--tag", "7")
    desk.gateway.faults(rules=[{"to": "@tag:7", "fault": "receipt_lost"}])
    assert desk.run("announcements", "send", "news", "--yes") == 0
    desk.gateway.settled()
    assert desk.state()["state"] == "submitted"
    assert desk.run("announcements", "settle", "news") == 0
    assert "The provider's last word: SEND_SUCCESS" in desk.out and "followers with the tag 7" in desk.out
    assert desk.run("announcements", "settle", "news") == 1 and "nothing to settle" in desk.err


def test_a_person_may_decide_and_signs_for_it(desk: Desk) -> None:
    desk.approved()
    desk.gateway.faults(rules=[{"to": "@all", "fault": "drop_after_accept"}])
    desk.run("announcements", "send", "news", "--yes")
    assert desk.run("announcements", "settle", "news", "--verdict", "sent") == 1
    assert desk.json("settle", "news", "--verdict", "sent", account="alice")["status"] == "sent: alice"


def test_two_who_send_at_one_moment_send_once(desk: Desk) -> None:
    desk.approved()
    codes = []
    threads = [threading.Thread(target=lambda: codes.append(cli.run(["--home", str(desk.home), "announcements", "send", "news", "--yes"]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(codes) == [0, 1, 1, 1]
    assert len(desk.gateway.ledger()) == 1
