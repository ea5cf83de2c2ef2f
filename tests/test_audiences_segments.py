"""Saved audiences: one wording, no circles; and the commands with which staff try, look at and keep an audience."""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from outreach import cli
from outreach.audiences import errors, segments
from outreach.audiences.language import parse
from outreach.database.engine import Database
from outreach.database.tables import AuditEntry, Contact, Enterprise, Segment


def test_a_segment_is_kept_in_its_normal_wording_and_saved_again_in_place(database: Database, now: datetime) -> None:
    with database.write() as session:
        segments.save(session, "重点-1", "above_scale=yes and not(town in(逍林镇))", actor="alice", now=now)
        saved = segments.save(session, "重点-1", "规上 and 有(短信)", actor="bob", now=now + timedelta(hours=1))
    with database.read() as session:
        assert segments.listing(session) == [saved]
        assert saved == segments.Saved("重点-1", "规上 = 是 且 有(短信)", "bob", now + timedelta(hours=1))
        assert segments.audience(session, "segment:重点-1 or 已签署") == parse("(规上 and 有(短信)) or 已签署")


def test_a_segment_that_leads_back_to_itself_is_refused(database: Database, now: datetime) -> None:
    with database.write() as session:
        segments.save(session, "a", "规上", actor="alice", now=now)
        segments.save(session, "b", "segment:a and not 已签署", actor="alice", now=now)
        segments.save(session, "c", "segment:b or segment:a or segment:b", actor="alice", now=now)
        for name, expression, path in [("a", "segment:c", "a → c → b → a"), ("a", "not segment:a", "a → a"), ("b", "规上 or 范围:c", "b → c → b")]:
            with pytest.raises(errors.SegmentCircle, match=path):
                segments.save(session, name, expression, actor="alice", now=now)
        session.execute(update(Segment).where(Segment.name == "a").values(expression="segment:b"))
        with pytest.raises(errors.SegmentCircle, match="itself: b → a → b"):
            segments.audience(session, "segment:c")


def test_an_unknown_segment_is_named_with_the_nearest(database: Database, now: datetime) -> None:
    with database.write() as session:
        with pytest.raises(errors.SegmentNotFound, match="no segment 重点; known are –"):
            segments.audience(session, "segment:重点")
        segments.save(session, "重点企业", "规上", actor="alice", now=now)
        with pytest.raises(errors.SegmentNotFound, match="no segment 重点; the nearest is 重点企业"):
            segments.audience(session, "规上 or segment:重点")


@pytest.mark.parametrize("name", ["", "a b", "a" * 65, "重点!", "a/b", "a\n"])
def test_a_segment_has_a_name_that_an_expression_can_say(database: Database, now: datetime, name: str) -> None:
    with database.write() as session, pytest.raises(errors.SegmentNameWrong):
        segments.save(session, name, "规上", actor="alice", now=now)


def test_what_cannot_be_judged_is_not_saved_and_what_cannot_be_read_any_more_is_named(database: Database, now: datetime) -> None:
    with database.write() as session:
        with pytest.raises(errors.AudienceNotYet):
            segments.save(session, "a", "attended(E1)", actor="alice", now=now)
        session.execute(insert(Segment), [{"name": "old", "expression": "规下 = 是", "saved_by": "alice", "saved_at": now}])
        with pytest.raises(errors.SegmentBroken, match=r"segment old .* column 1.*save old EXPR"):
            segments.audience(session, "segment:old")


class Desk:
    """A desk with a keyboard: runs commands and keeps what they said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def run(self, *arguments: str) -> int:
        code = cli.run(["--home", str(self.folder), "audience", *arguments])
        self.out, self.err = self.capsys.readouterr()
        return code

    def json(self, *arguments: str) -> Any:
        assert self.run(*arguments, "--format", "json") == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def desk(tmp_path: Path, new_sqlite: Callable[[], str], now: datetime, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    url = new_sqlite()
    monkeypatch.setenv("OUTREACH_DATABASE_URL", url)
    monkeypatch.setenv("OUTREACH_LANG", "en")
    stamp = {"created_at": now, "updated_at": now}
    database = Database(url)
    with database.write() as session:
        session.execute(
            insert(Enterprise), [{"id": n, "name": f"企业{n}", "town": "逍林镇" if n < 3 else "桥头镇", "above_scale": n == 1, **stamp} for n in (1, 2, 3)]
        )
        session.execute(insert(Contact), [{"id": n, "enterprise_id": n % 3 + 1, "phone": f"+8613800138{n:03}", **stamp} for n in range(4)])
    database.close()
    return Desk(tmp_path, capsys)


def test_an_audience_is_counted(desk: Desk) -> None:
    assert desk.json("count", "全部") == {"enterprises": 3, "contacts": 4, "by_channel": {"sms": 4, "wechat": 0, "letter": 0}}
    assert desk.run("count", "镇街", "=", "逍林镇") == 0
    assert "Enterprises 2, contacts 3" in desk.out
    assert desk.run("count", "镇街 = 逍林") == 0
    assert "nobody has 镇街 逍林; the nearest is 逍林镇" in desk.err


def test_a_preview_masks_phones_and_goes_on_where_it_ended(desk: Desk) -> None:
    page = desk.json("preview", "全部", "--limit", "3")
    assert (page["total"], len(page["rows"])) == (4, 3)
    assert page["rows"][0]["phone"] == "138****8000"
    assert [row["name"] for row in desk.json("preview", "全部", "--after", page["next"])["rows"]] == ["企业3"]
    assert desk.run("preview", "全部", "--unmask") == 1
    assert "--password-file" in desk.err


def test_a_saved_audience_is_listed_counted_and_in_the_audit_log(desk: Desk) -> None:
    saved = desk.json("save", "大企业", "规上 and town = 逍林镇")
    assert saved["expression"] == "规上 = 是 且 镇街 = 逍林镇"
    assert desk.json("count", "segment:大企业")["enterprises"] == saved["enterprises"] == 1
    long = " or ".join(f"规模={number}" for number in range(1000, 1330))
    assert desk.json("save", "长", long)["enterprises"] == desk.json("count", "segment:长")["enterprises"] == 0
    assert desk.err.count("nobody has") == 5
    rows = [row for row in desk.json("list")["rows"] if row["name"] == "大企业"]
    assert [(row["name"], row["expression"]) for row in rows] == [("大企业", saved["expression"])]
    assert rows[0]["saved_at"].endswith("Z")
    office = Database(os.environ["OUTREACH_DATABASE_URL"])
    with office.read() as session:
        assert list(session.execute(select(AuditEntry.act, AuditEntry.subject))) == [("audience.save", "大企业"), ("audience.save", "长")]
    office.close()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("count", "tonw = 1"), 1, "error: Audience, column 1, “[tonw] = 1”: there is no field tonw; the nearest is town."),
        (("count", " "), 1, "error: An audience is needed"),
        (("count", "(" * 4000), 1, "nested more than 50 deep"),
        (("count", "segment:x"), 1, "error: There is no segment x"),
        (("save", "x", "segment:x"), 1, "error: The segment x refers to itself: x → x."),
        (("save", "x y", "规上"), 1, "not x y"),
        (("preview", "规上", "--after", "yesterday"), 1, "yesterday"),
        (("preview", "规上", "--limit", "0"), 2, "--limit"),
        (("count",), 2, "EXPR"),
        (("save", "x"), 2, "EXPR"),
    ],
)
def test_a_mistake_is_told_in_one_line(desk: Desk, arguments: tuple[str, ...], code: int, said: str) -> None:
    assert desk.run(*arguments) == code
    assert said in desk.err
    assert desk.err.count("\n") == 1
    assert desk.out == ""
