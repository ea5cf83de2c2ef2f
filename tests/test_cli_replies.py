"""What people write is shown with what it was taken for, and staff answer it: once, while WeChat lets them, and from the office's templates."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from gateway import Gateway
from served import Served
from sqlalchemy import select, update

from outreach import cli, clock
from outreach.database import bulk, tables
from outreach.database.tables import AuditEntry, Reply
from outreach.database.wechat_tables import Binding, Follower

ANNA, BEN = "oAnna_0000000000000000000001", "oBen_00000000000000000000002"


class Desk:
    """The office at work: its web, the gateway, and a terminal."""

    def __init__(self, web: Served, gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
        self.web, self.gateway, self._capsys = web, gateway, capsys

    def hears(self, openid: str, event: str = "text", **more: Any) -> str:
        """Let somebody do something in WeChat, and return what he is answered."""
        reference = self.gateway.act(openid, event, url=f"{self.web.url}/hooks/wechat", **more)
        self.gateway.settled()
        told = {line["reference"]: line["body"] for line in self.gateway.ledger() if line["channel"] == "wechat"}
        return str(told[f"passive-{reference}"])

    def run(self, *arguments: str) -> Any:
        assert cli.run([*arguments, "--format", "json"]) == 0, self._capsys.readouterr().err
        return json.loads(self._capsys.readouterr().out)

    def answers(self, number: int, *arguments: str) -> Any:
        """Answer a reply, in a process of its own, as it sends beside a worker."""
        command = [sys.executable, "-m", "outreach", "replies", "answer", str(number), *arguments, "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str) -> str:
        assert cli.run(list(arguments)) == 1
        return self._capsys.readouterr().err.strip().splitlines()[-1]

    def open(self) -> list[tuple[int, str]]:
        return [(row["id"], row["body"]) for row in self.run("replies", "list", "--open")["rows"]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway") / "ledger.jsonl") as made:
        yield made


@pytest.fixture
def desk(
    tmp_path: Path, running: Gateway, new_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    running.reset()
    url = new_sqlite()
    with Served(tmp_path, url, sandbox_url=running.url) as web:
        values = {"HOME": tmp_path, "DATABASE_URL": url, "LANG": "en", "SANDBOX_URL": running.url, "PUBLIC_URL": web.url}
        for key, value in values.items():
            monkeypatch.setenv(f"OUTREACH_{key}", str(value))
        yield Desk(web, running, capsys)


def test_an_owner_finds_his_way_in_and_a_question_is_answered_by_a_person(desk: Desk) -> None:
    guest = desk.web.hall.guest(contact="张建国", phone="+8613800138000")
    assert "6位签署码" in desk.hears(ANNA, "subscribe")
    assert "后四位" in desk.hears(ANNA, body=guest.code)
    link = re.search(rf"{desk.web.url}(/p/\S+)", desk.hears(ANNA, body="8000"))
    assert link
    assert "您的留言已收到" in desk.hears(ANNA, body="我13800138000不是负责人了，怎么办？")
    [(number, body)] = desk.open()
    assert body == "我138****8000不是负责人了，怎么办？"
    answer = desk.answers(number, "--text", "请在页面上点“我不是负责人”。")
    assert (answer["to"], answer["state"]) == ("oAn****0001", "accepted")
    [line] = [line for line in desk.gateway.ledger() if not line["reference"].startswith("passive-")]
    assert line["to"] == ANNA
    assert line["body"].startswith("请在页面上点“我不是负责人”。\n——")
    assert desk.open() == []
    rows = desk.run("replies", "list")["rows"]
    assert [(row["deed"], row["meaning"]) for row in rows] == [("text", None), ("text", "digits"), ("text", "code"), ("follow", "follow")]
    assert rows[0]["answered_by"].startswith("os:")
    assert rows[1]["enterprise"] == rows[0]["enterprise"] != ""
    assert rows[1]["answer"].endswith("请勿转发。")
    assert link[1] not in json.dumps(rows), "a link that opens somebody's pledge is shown to nobody else"


def test_an_answer_goes_out_once_and_is_in_the_audit_log(desk: Desk) -> None:
    desk.hears(ANNA, "subscribe")
    desk.hears(ANNA, body="在吗")
    [(number, _body)] = desk.open()
    desk.answers(number, "--template", "wechat/received")
    assert "was answered by os:" in desk.refused("replies", "answer", str(number), "--text", "又及")
    assert len([line for line in desk.gateway.ledger() if not line["reference"].startswith("passive-")]) == 1
    with desk.web.database.read() as session:
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.act == "replies.answer"))
        assert entry.subject == str(number)


def test_an_answer_that_never_came_is_open_again_and_may_be_given_once_more(desk: Desk) -> None:
    desk.hears(ANNA, "subscribe")
    desk.hears(ANNA, body="在吗")
    [(number, _body)] = desk.open()
    desk.answers(number, "--template", "wechat/received")
    assert not desk.open()
    with desk.web.database.write() as session:
        session.execute(update(tables.Delivery).values(state="failed", final_at=clock.now()))
    assert [key for key, _body in desk.open()] == [number]
    desk.answers(number, "--template", "wechat/received")
    assert not desk.open()


@pytest.mark.parametrize(
    ("change", "arguments", "said"),
    [
        (update(Follower).values(spoke_at=clock.now() - timedelta(hours=49)), ("--text", "好"), "for 48 hours after somebody last wrote"),
        (update(Follower).values(follows=False), ("--text", "好"), "has left the account"),
        (None, ("--text", " "), "1 to 500 characters"),
        (None, ("--text", "好" * 501), "1 to 500 characters"),
        (None, ("--template", "wechat/pledge-invitation"), "cannot answer a reply of the channel wechat"),
        (None, ("--template", "sms/pledge-reminder"), "cannot answer a reply of the channel wechat"),
        (None, ("--template", "wechat/your-link"), "has no value"),
        (None, ("--template", "wechat/nothing"), "There is no template"),
        (update(Reply).values(channel="sms", sender="+8613800138000"), ("--text", "好"), "only from a filed template"),
        (update(Reply).values(id=2), ("--text", "好"), "There is no reply 1"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_what_to_do_and_nothing_is_queued(desk: Desk, change: Any, arguments: tuple[str, ...], said: str) -> None:
    with desk.web.database.write() as session:
        bulk.insert_rows(session, Follower, [{"openid": ANNA, "follows": True, "spoke_at": clock.now()}])
        kept = {"channel": "wechat", "reference": "1", "sender": ANNA, "body": "在吗", "received_at": clock.now()}
        bulk.insert_rows(session, Reply, [kept])
        if change is not None:
            session.execute(change)
    assert said in desk.refused("replies", "answer", "1", *arguments)
    with desk.web.database.read() as session:
        assert session.scalars(select(tables.Delivery)).all() == []


def test_either_a_template_or_words(desk: Desk) -> None:
    assert cli.run(["replies", "answer", "1"]) == 2
    assert cli.run(["replies", "answer", "1", "--text", "a", "--template", "wechat/received"]) == 2


def test_who_wrote_is_named_by_whom_the_openid_is_bound_to(desk: Desk) -> None:
    first, second = desk.web.hall.guest("甲厂", phone="+8613800000001"), desk.web.hall.guest("乙厂", phone="+8613800000002")
    assert first.code != second.code
    with desk.web.database.write() as session:
        contacts = session.scalars(select(tables.Contact).order_by(tables.Contact.id)).all()
        session.add(Binding(openid=BEN, contact_id=contacts[1].id, phone=contacts[1].phone, way="oauth", bound_at=clock.now()))
    desk.hears(BEN, "subscribe")
    desk.hears(BEN, body="收到")
    desk.hears(ANNA, "subscribe")
    assert [row["enterprise"] for row in desk.run("replies", "list")["rows"]] == ["", "乙厂", "乙厂"]
