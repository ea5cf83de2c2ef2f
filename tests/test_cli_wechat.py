"""`outreach wechat` at the command line against the account of the sandbox: QR codes, posters, followers, the provider's list."""

import csv
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from gateway import Gateway
from PIL import Image
from signers import NAME, PHONE, Signers
from sqlalchemy import insert, update

from outreach import cli, settings
from outreach.channels import directory
from outreach.database.engine import Database
from outreach.database.tables import Campaign
from outreach.database.wechat_tables import Binding, Follower
from outreach.outbox import senders
from outreach.staff import accounts, audit

from conftest import NOON  # isort: skip

GOOD = "correct horse battery"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway") / "ledger.jsonl", wechat_url="http://127.0.0.1:9/hooks/wechat") as made:
        yield made


@pytest.fixture
def gateway(running: Gateway) -> Gateway:
    running.reset()
    return running


@pytest.fixture
def desk(tmp_path: Path, gateway: Gateway, new_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Signers]:
    """An office with a launched campaign and three recipients, and the account of the sandbox."""
    with closing(Database(new_sqlite())) as database:
        office = Signers(database).found()
        office.write(update(Campaign).values(name="drive", mode="rehearsal", launched_at=NOON))
        with database.write() as session:
            for account, role, town in (("boss", "administrator", ""), ("li", "operator", ""), ("qiao", "operator", "桥头镇")):
                accounts.add(session, account=account, role=role, town=town, password=GOOD, now=NOON)
        (tmp_path / "word").write_text(GOOD)
        values = {"HOME": tmp_path, "DATABASE_URL": database.url, "LANG": "en", "SANDBOX_URL": gateway.url, "STAFF_PASSWORD_FILE": tmp_path / "word"}
        for key, value in values.items():
            monkeypatch.setenv(f"OUTREACH_{key}", str(value))
        yield office


@pytest.fixture
def run(desk: Signers, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command and return its document."""

    def answer(*arguments: str) -> Any:
        assert cli.run([*arguments, "--format", "json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return answer


def asked(gateway: Gateway) -> int:
    """How often the account was asked for a QR code."""
    return int(gateway.wechat()["calls"].get("qrcode/create", 0))


def read_qr(path: Path) -> str:
    """What a phone reads in a picture."""
    found = zxingcpp.read_barcode(Image.open(path))
    assert found is not None
    return found.text


def test_a_campaigns_codes_are_pictures_that_lead_to_the_account_and_are_asked_for_once(
    desk: Signers, gateway: Gateway, run: Callable[..., Any], tmp_path: Path
) -> None:
    answer = run("wechat", "qr", "--campaign", "drive", "--out", str(tmp_path / "qr"), "--png", "--as", "li")
    assert {key: answer[key] for key in ("pictures", "asked", "kept")} == {"pictures": 3, "asked": 3, "kept": 0}
    urls = {row.url for row in desk.rows("select url from scene")}
    read = {read_qr(tmp_path / "qr" / f"{code}.png") for code in desk.codes}
    assert read == urls
    assert len(urls) == 3
    again = run("wechat", "qr", "--campaign", "drive", "--out", str(tmp_path / "again"))
    assert (again["asked"], again["kept"]) == (0, 3)
    assert asked(gateway) == 3
    assert {path.name for path in (tmp_path / "again").iterdir()} == {"list.csv", *(f"{code}.svg" for code in desk.codes)}
    with (tmp_path / "again" / "list.csv").open(encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["Signing code"], row["Enterprise"]) for row in rows} == {(code, f"第{number}鞋业有限公司") for number, code in enumerate(desk.codes)}
    with desk.database.read() as session:
        assert ("li", "wechat.qr", "drive") in [(entry.actor, entry.act, entry.subject) for entry in audit.listing(session)]


def test_a_refusal_in_the_middle_keeps_what_came_and_the_next_run_asks_for_the_rest(
    desk: Signers, gateway: Gateway, run: Callable[..., Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gateway.faults(wechat={"errors": [{"api": "qrcode/create", "errcode": 45009, "times": 1}]})
    command = ["wechat", "qr", *desk.codes, "--out", str(tmp_path / "qr")]
    assert cli.run(command) == 1
    assert "45009" in capsys.readouterr().err
    kept = [row.url for row in desk.rows("select url from scene where url != ''")]
    assert len(kept) == 2
    answer = run(*command)
    assert (answer["asked"], answer["kept"]) == (1, 2)
    assert set(kept) < {row.url for row in desk.rows("select url from scene")}


def test_ctrl_c_while_codes_are_asked_for_keeps_those_that_come(desk: Signers, gateway: Gateway, run: Callable[..., Any], tmp_path: Path) -> None:
    gateway.faults(latency_ms=300)

    def press() -> None:
        while not asked(gateway):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    command = ["wechat", "qr", *desk.codes, "--out", str(tmp_path / "qr")]
    assert cli.run(command) == 130
    gateway.faults()
    answer = run(*command)
    assert (answer["asked"], answer["kept"], asked(gateway)) == (0, 3, 3)


def test_who_scans_his_code_is_known_by_its_scene(desk: Signers, gateway: Gateway, run: Callable[..., Any], tmp_path: Path) -> None:
    run("wechat", "qr", desk.codes[0], "--out", str(tmp_path / "qr"))
    row = desk.rows("select scene, url, recipient_id from scene")[0]
    assert gateway.act("o-one-who-scans-it-now-here", "subscribe", qr=row.url)
    with directory.open_account(settings.load()) as account:
        assert account.person("o-one-who-scans-it-now-here").scene == row.scene
    assert row.recipient_id == desk.recipients[0]


def test_a_poster_is_drawn_again_from_what_was_kept(desk: Signers, gateway: Gateway, run: Callable[..., Any], tmp_path: Path) -> None:
    first = run("wechat", "poster", "逍林镇政务大厅", "--out", str(tmp_path / "poster.png"))
    again = run("wechat", "poster", "逍林镇政务大厅", "--out", str(tmp_path / "again.png"))
    assert (first["asked"], again["asked"]) == (True, False)
    pictures = [(tmp_path / name).read_bytes() for name in ("poster.png", "again.png")]
    assert pictures[0] == pictures[1]
    assert read_qr(tmp_path / "poster.png") == desk.rows("select url from scene")[0].url
    assert [row.label for row in desk.rows("select label from scene where expires_at is null")] == ["逍林镇政务大厅"]


def test_a_token_that_is_refused_for_good_is_renewed_by_force_and_counted_in_the_senders_row(
    desk: Signers, gateway: Gateway, run: Callable[..., Any], tmp_path: Path
) -> None:
    with desk.database.write() as session:
        senders.store(session, settings.load())
    gateway.faults(wechat={"token_stuck": True})
    assert run("wechat", "poster", "here", "--out", str(tmp_path / "poster.svg"))["asked"]
    assert gateway.wechat()["forced_refreshes"] == 1
    assert [row.refreshes for row in desk.rows("select refreshes from sender where provider = 'wechat'")] == [1]


def test_the_accounts_own_list_is_brought_in_page_by_page(desk: Signers, gateway: Gateway, run: Callable[..., Any]) -> None:
    gateway.faults(wechat={"page": 2})
    here = [f"oRf1x5Gd_{number:019}" for number in range(5)]
    gateway.wechat(follow=here)
    desk.write(insert(Follower).values(openid="oRf1x5Gd_of-one-who-left-us", follows=True))
    desk.write(insert(Binding).values(openid="oRf1x5Gd_of-one-who-left-us", contact_id=desk.contacts[0], phone=PHONE, way="scene", bound_at=NOON))
    assert run("wechat", "sync") == {"listed": 5, "came": 5, "left": 1, "unbound": 1}
    assert run("wechat", "sync") == {"listed": 5, "came": 0, "left": 0, "unbound": 0}
    listed = run("wechat", "followers", "--state", "unbound")
    assert listed["total"] == 5
    assert not set(here) & {row["openid"] for row in listed["rows"]}
    whole = run("wechat", "followers", "--state", "unbound", "--unmask", "--as", "boss")
    assert set(here) == {row["openid"] for row in whole["rows"]}


def test_a_sync_that_breaks_off_takes_nobody_away(desk: Signers, gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    desk.write(insert(Follower).values(openid="oRf1x5Gd_of-one-who-is-there", follows=True))
    gateway.faults(wechat={"errors": [{"api": "user/get", "errcode": "html", "times": None}]})
    assert cli.run(["wechat", "sync"]) == 1
    assert "WeChat" in capsys.readouterr().err
    assert [bool(row.follows) for row in desk.rows("select follows from follower")] == [True]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["qr", "--out", "qr"], 2, "--campaign"),
        (["qr", "AAAAAA", "--out", "qr"], 1, "AAAAAA"),
        (["qr", "--campaign", "nowhere", "--out", "qr"], 1, "nowhere"),
        (["qr", "AAAAAA", "--limit", "3", "--out", "qr"], 2, "--campaign"),
        (["poster", "here", "--out", "poster.gif"], 2, ".svg"),
        (["poster", " ", "--out", "poster.svg"], 1, "label"),
        (["followers", "--as", "qiao"], 1, "桥头镇"),
    ],
)
def test_the_commands_refuse_what_they_must(
    desk: Signers, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["wechat", *arguments]) == code
    assert said in capsys.readouterr().err
    assert desk.rows("select 1 from scene where url != ''") == []
    assert not list(tmp_path.glob("poster.*"))


def test_the_account_of_a_rehearsal_is_never_the_real_one(desk: Signers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTREACH_WECHAT_BASE_URL", "https://api.weixin.qq.com")
    assert cli.run(["wechat", "sync"]) == 1
    assert "wechat_base_url" in capsys.readouterr().err


def test_reach_at_the_command_line_agrees_with_its_lists(desk: Signers, run: Callable[..., Any]) -> None:
    desk.write(insert(Follower).values(openid="o1", follows=True))
    desk.write(insert(Binding).values(openid="o1", contact_id=desk.contacts[0], phone=PHONE, way="scene", bound_at=NOON))
    report = run("report", "reach")
    assert report["report"] == "reach"
    assert report["by"] == ["town"]
    assert report["totals"] == {"enterprises": 3, "wechat": 1, "sms": 3, "letter": 0, "none": 0}
    for figure, way in (("enterprises", []), *((way, ["--channel", way]) for way in ("wechat", "sms", "letter", "none"))):
        listed = run("report", "reach", "--rows", *way)
        assert listed["total"] == len(listed["rows"]) == report["totals"][figure]
    bound = run("report", "reach", "--rows", "--channel", "wechat")["rows"][0]
    assert (bound["contact"], bound["first"], bound["sms"]) == (NAME, "wechat", True)
    assert PHONE[3:] not in json.dumps(bound)
