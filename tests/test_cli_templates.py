"""The office's texts at the command line: listed, checked, and shown as they will read on a phone."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from outreach import cli
from outreach.cli.templates import of_contact
from outreach.contacts.directory import ContactMissing
from outreach.database.engine import Database
from outreach.database.tables import Contact, Enterprise

HEAD = '+++\ntitle = "邀请"\nchannel = "sms"\nkind = "通知"\nfiled = "F1"\n+++\n'
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an office whose own texts stand in tmp_path."""
    (tmp_path / "templates" / "sms").mkdir(parents=True)
    monkeypatch.setenv("OUTREACH_LANG", "en")

    def command(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["--home", str(tmp_path), "templates", *arguments])
        return code, *capsys.readouterr()

    return command


def own(home: Path, name: str, text: str) -> None:
    (home / "templates" / "sms" / f"{name}.txt").write_text(text)


def test_the_texts_that_ship_are_listed_and_may_be_sent_in_a_rehearsal(run: Run) -> None:
    code, out, _err = run("list", "--format", "json")
    rows = {row["name"]: row for row in json.loads(out)["rows"]}
    assert code == 0 and rows["sms/pledge-invitation"]["source"] == "shipped"
    code, out, _err = run("check", "--format", "json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 0 and set(checks) == set(rows)
    assert {check["state"] for name, check in checks.items() if name.startswith("sms/")} == {"warn"}
    assert {check["state"] for name, check in checks.items() if name.startswith(("letter/", "pledge/"))} == {"ok"}
    assert {problem["id"] for check in checks.values() for problem in check["problems"]} == {"not_filed", "wechat_not_filed"}


def test_the_offices_own_text_goes_before_the_one_that_ships(run: Run, tmp_path: Path) -> None:
    own(tmp_path, "pledge-invitation", HEAD + "请签订。")
    _code, out, _err = run("list", "--format", "json")
    row = next(row for row in json.loads(out)["rows"] if row["name"] == "sms/pledge-invitation")
    assert (row["source"], row["filed"]) == ("own", "F1")
    assert "【示例人社】请签订。" in run("preview", "sms/pledge-invitation")[1]


def test_a_text_without_an_approval_number_is_refused_in_production(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTREACH_MODE", "production")
    code, out, _err = run("check", "sms/pledge-invitation")
    assert code == 1
    assert "✗ sms/pledge-invitation" in out and "line 3: the provider's approval number is missing" in out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HEAD + "{{ 企业名 }}请签订。", "there is no field 企业名; the nearest is 企业名称"),
        (HEAD + "【示例】请签订。", "【】 may not stand in the text"),
        (HEAD + "请打开 http://example.com/p 签订。", "the sender's rules forbid links"),
        (HEAD + "请打开{{ 专属链接 }}签订。", "the sender's rules forbid links"),
        (HEAD + "请签订。" * 200, "8 are allowed"),
        ("请签订。", "a template begins with a line +++"),
    ],
)
def test_a_text_that_may_not_be_sent_is_refused_with_its_cure_in_one_line(run: Run, tmp_path: Path, text: str, complaint: str) -> None:
    own(tmp_path, "bad", text)
    code, out, err = run("check", "sms/bad")
    assert (code, err) == (1, "")
    assert complaint in out
    assert all(line.startswith(("✗", "    ")) for line in out.splitlines())
    assert run("check", "--format", "json")[0] == 1
    assert run("list")[0] == 0


def test_a_text_may_read_registers_and_do_without_a_deadline(run: Run, tmp_path: Path) -> None:
    own(tmp_path, "risk", HEAD + "{{ 企业名称 }}列入{{ register.risk.tier }}，{{ 截止日 }}前请签订。")
    assert run("check", "sms/risk")[0] == 0
    assert "列入示例，1月15日前" in run("preview", "sms/risk")[1]


def test_a_preview_shows_text_length_and_price(run: Run) -> None:
    code, out, err = run("preview", "sms/pledge-invitation")
    assert code == 0
    assert out.startswith("【示例人社】张建国您好：诚邀示例市逍林镇示例鞋业有限公司签订")
    assert "114 characters in UCS-2, 2 segments, 0.10 CNY a message" in out
    assert "approval number" in err
    document = json.loads(run("preview", "sms/pledge-invitation", "--format", "json")[1])
    assert {key: document[key] for key in ("units", "segments", "encoding", "cost")} == {"units": 114, "segments": 2, "encoding": "UCS-2", "cost": "0.10"}


def test_a_preview_of_a_template_message_shows_what_followers_see_and_what_is_filled_in(run: Run) -> None:
    code, out, err = run("preview", "wechat/pledge-invitation")
    assert code == 0 and "rehearsal-pledge-invitation is no template of WeChat's" in err
    assert out.startswith("待办事项：签订《不欠薪倡议书》\n单位名称：示例鞋业有限公司\n办理状态：待签订\n")
    assert "  thing2: 示例鞋业有限公司 (8 of 20 characters)" in out and "a tap opens http://127.0.0.1:8000/p/xxx" in out
    document = json.loads(run("preview", "wechat/pledge-invitation", "--format", "json")[1])
    assert (document["via"], document["id"], document["data"]["character_string5"]) == ("template", "rehearsal-pledge-invitation", "7K3M9P")


def test_where_a_gateway_writes_texts_itself_they_are_checked_and_shown_as_they_are_filed(run: Run, tmp_path: Path) -> None:
    assert "filed with the gateway" not in run("preview", "sms/pledge-invitation-filed")[1]
    (tmp_path / "outreach.toml").write_text('[[sender]]\nname = "aliyun"\nprovider = "aliyun"\n')
    assert run("check", "sms/pledge-invitation-filed")[0] == 0
    code, out, _err = run("check", "sms/pledge-reminder")
    assert code == 1 and "line 7: a filed text may hold {{ field }}" in out
    out = run("preview", "sms/pledge-invitation-filed")[1]
    assert "To be filed with the gateway: ${contact}您好：诚邀${enterprise}签订" in out


def three_enterprises_of_two_people(database: Database, now: datetime) -> None:
    stamps: dict[str, Any] = {"created_at": now, "updated_at": now}
    with database.write() as session:
        for id, name in enumerate(("甲厂", "乙厂", "丙厂"), 1):
            session.execute(insert(Enterprise).values(id=id, name=name, town="桥头镇", **stamps))
        for id, phone in ((1, "+8613800138000"), (2, "+8613800138000"), (3, "")):
            session.execute(insert(Contact).values(id=id, enterprise_id=id, name="李四", phone=phone, **stamps))


def test_a_contact_speaks_for_all_the_enterprises_of_his_phone(database: Database, now: datetime) -> None:
    three_enterprises_of_two_people(database, now)
    with database.read() as session:
        fields, phone = of_contact(session, 2)
        assert (fields["enterprises"], fields["enterprise_count"], phone) == (["乙厂", "甲厂"], 2, "+8613800138000")
        assert of_contact(session, 3)[0]["enterprises"] == ["丙厂"]
        with pytest.raises(ContactMissing):
            of_contact(session, 9)


def test_a_preview_can_be_written_for_a_contact(run: Run, new_sqlite: Callable[[], str], now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(new_sqlite())
    monkeypatch.setenv("OUTREACH_DATABASE_URL", database.url)
    three_enterprises_of_two_people(database, now)
    database.close()
    assert "李四您好：诚邀示例市桥头镇乙厂等2家企业签订" in run("preview", "sms/pledge-invitation", "--contact", "2")[1]
    code, _out, err = run("preview", "sms/pledge-invitation", "--contact", "9")
    assert code == 1 and err.startswith("error: There is no contact 9")


def test_a_name_that_is_not_there_is_answered_with_the_nearest(run: Run) -> None:
    code, _out, err = run("preview", "sms/pledge-invitaton")
    assert (code, err) == (1, "error: There is no template sms/pledge-invitaton; the nearest is sms/pledge-invitation.\n")
    assert run("check", "../etc/passwd")[0] == 1
