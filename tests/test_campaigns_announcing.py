"""Announcements to the followers: approved by a second account, sent at most once, settled by what the provider says."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from outreach import settings as office_settings
from outreach import tokens
from outreach.campaigns import announcements, announcing
from outreach.campaigns.announcing import Call, Outcome
from outreach.campaigns.approving import ApprovalVoid, OtherMode, WrongCode
from outreach.channels.base import MassReport
from outreach.channels.wechat.calls import Account
from outreach.database.engine import Database
from outreach.database.wechat_tables import Announcement, Follower
from outreach.errors import OutreachError
from outreach.settings import Settings

NOW = datetime(2026, 1, 15, 4, 0, tzinfo=UTC)
TEXT = '+++\ntitle = "公告"\nchannel = "wechat"\n+++\n{{ 机关全称 }}：工资不拖欠，维权要理性。\n{{ 日期 }}\n'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write(tmp_path, TEXT)
    return office_settings.load(tmp_path)


def write(home: Path, text: str) -> None:
    path = home / "templates" / "wechat" / "news.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def planned(database: Database, settings: Settings, name: str = "news", **values: Any) -> Announcement:
    with database.write() as session:
        return announcing.plan(session, name, "wechat/news", settings=settings, planned_by="alice", now=NOW, **values)


def approved(database: Database, settings: Settings, name: str = "news", **values: Any) -> str:
    code = tokens.approval_code(planned(database, settings, name, **values).digest)
    with database.write() as session:
        announcing.approve(session, name, code=code, account="bob", settings=settings, now=NOW)
    return name


def begun(database: Database, settings: Settings, now: datetime = NOW) -> Call:
    with database.write() as session:
        return announcing.begin(session, "news", by="alice", settings=settings, now=now)


def recorded(database: Database, call: Call, outcome: Outcome, now: datetime = NOW) -> dict[str, Any]:
    with database.write() as session:
        return announcements.document(announcing.record(session, call, outcome, now=now))


def shown(database: Database, name: str = "news") -> dict[str, Any]:
    with database.read() as session:
        return announcements.document(announcements.named(session, name))


def report(reference: str = "34182", status: str = "send success", total: int = 100, **values: int) -> MassReport:
    figures = {"filtered": 90, "sent": 88, "errors": 2} | values
    return MassReport("wechat", reference, status, total, **figures)


def store(database: Database, *reports: MassReport) -> None:
    with database.write() as session:
        announcing.store_reports(session, reports, now=NOW)


def test_the_text_is_written_once_at_the_plan(database: Database, settings: Settings) -> None:
    found = planned(database, settings, tag=7)
    assert (found.state, found.mode, found.tag) == ("planned", "rehearsal", 7)
    assert found.body == "示例市人力资源和社会保障局：工资不拖欠，维权要理性。\n2026年1月15日"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (TEXT + "{{ 企业名称 }}", announcing.Personal),
        (TEXT + "{{ 签署码 }}", announcing.Personal),
        (TEXT + "{{ register.risk.tier }}", announcing.Personal),
        (TEXT + "{{ 公众 }}", announcing.TextRefused),
        (TEXT + "长" * 700, announcing.TextRefused),
        (TEXT.replace('"wechat"\n', '"wechat"\nwechat = { id = "x", thing1 = "日期" }\n'), announcing.NotAnnounceable),
    ],
)
def test_what_is_not_the_same_for_all_or_cannot_be_sent_is_refused(text: str, error: type[OutreachError], new_sqlite: Any, settings: Settings) -> None:
    write(settings.home, text)
    with pytest.raises(error):
        planned(Database(new_sqlite()), settings)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "../x"])
def test_a_name_is_plain(name: str, new_sqlite: Any, settings: Settings) -> None:
    with pytest.raises(announcing.NameOdd):
        planned(Database(new_sqlite()), settings, name)


def test_nobody_approves_his_own_or_what_he_has_not_seen(database: Database, settings: Settings) -> None:
    code = tokens.approval_code(planned(database, settings).digest)
    for account, typed, error in (("alice", code, announcing.OwnAnnouncement), ("bob", "0000-0000", WrongCode)):
        with pytest.raises(error), database.write() as session:
            announcing.approve(session, "news", code=typed, account=account, settings=settings, now=NOW)
    with pytest.raises(announcing.NotApproved, match=code), database.write() as session:
        announcing.begin(session, "news", by="alice", settings=settings, now=NOW)
    with database.write() as session:
        assert announcing.approve(session, "news", code=code.lower(), account="bob", settings=settings, now=NOW).approved_by == "bob"


def test_a_change_voids_the_approval(database: Database, settings: Settings) -> None:
    approved(database, settings)
    write(settings.home, TEXT + "改")
    with pytest.raises(ApprovalVoid), database.write() as session:
        announcing.begin(session, "news", by="alice", settings=settings, now=NOW)
    write(settings.home, TEXT)
    production = settings.model_copy(update={"mode": "production"})
    with pytest.raises(OtherMode), database.write() as session:
        announcing.begin(session, "news", by="alice", settings=production, now=NOW)
    planned(database, settings)
    with pytest.raises(announcing.NotApproved), database.write() as session:
        announcing.begin(session, "news", by="alice", settings=settings, now=NOW)


def test_an_announcement_is_begun_once(database: Database, settings: Settings) -> None:
    approved(database, settings)
    call = begun(database, settings)
    assert call.first and call.reference is None and len(call.id.encode()) <= 64
    with pytest.raises(announcing.NotToBeSent), database.write() as session:
        announcing.begin(session, "news", by="bob", settings=settings, now=NOW)
    with pytest.raises(announcing.AlreadyAnnounced):
        planned(database, settings)
    with pytest.raises(announcing.UnderWay), database.write() as session:
        announcing.begin_settling(session, "news", settings=settings, now=NOW + timedelta(seconds=1))


def test_our_id_is_never_that_of_another_plan(database: Database, settings: Settings) -> None:
    first = announcing.client_id(planned(database, settings))
    with database.write() as session:
        again = announcing.plan(session, "news", "wechat/news", settings=settings, planned_by="alice", now=NOW)
        assert announcing.client_id(again) != first


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome("submitted", reference="34182"), "submitted"),
        (Outcome("refused", "45002"), "failed"),
        (Outcome("unsent", "45011"), "approved"),
        (Outcome("unknown", "ReadTimeout"), "unknown"),
    ],
)
def test_the_answer_decides_where_it_stands(outcome: Outcome, state: str, database: Database, settings: Settings) -> None:
    approved(database, settings)
    document = recorded(database, begun(database, settings), outcome)
    assert (document["state"], document["reference"], document["status"]) == (state, outcome.reference, outcome.status or None)


def test_what_was_surely_not_sent_may_be_sent_again_and_what_was_refused_planned_again(database: Database, settings: Settings) -> None:
    approved(database, settings)
    first = begun(database, settings)
    recorded(database, first, Outcome("unsent", "45009"))
    assert begun(database, settings).id == first.id
    recorded(database, first, Outcome("refused", "45002"))
    assert planned(database, settings).state == "planned"
    assert recorded(database, first, Outcome("submitted", reference="1"))["state"] == "planned", "the answer to another plan changes nothing"


def test_a_lost_answer_is_asked_for_under_the_same_id_within_a_day_only(database: Database, settings: Settings) -> None:
    approved(database, settings)
    call = begun(database, settings)
    recorded(database, call, Outcome("unknown", "ReadTimeout"))
    with database.write() as session:
        again = announcing.begin_settling(session, "news", settings=settings, now=NOW + timedelta(hours=22))
    assert again == replace(call, first=False)
    with pytest.raises(announcing.NobodyKnows), database.write() as session:
        announcing.begin_settling(session, "news", settings=settings, now=NOW + timedelta(hours=23))
    assert recorded(database, again, Outcome("unknown", "45028"))["state"] == "unknown", "a repetition refused says nothing of the first call"
    assert recorded(database, again, Outcome("submitted", reference="34182"))["state"] == "submitted"


def test_after_a_crash_while_sending_it_is_asked_for_too(database: Database, settings: Settings) -> None:
    approved(database, settings)
    call = begun(database, settings)
    with database.write() as session:
        assert announcing.begin_settling(session, "news", settings=settings, now=NOW + settings.lease) == replace(call, first=False)


def test_nobody_is_written_to_at_night(database: Database, settings: Settings) -> None:
    strict = settings.model_copy(update={"ignore_hours": False})
    approved(database, settings)
    night, morning = NOW + timedelta(hours=10), NOW + timedelta(hours=20)
    with pytest.raises(announcing.TooLate, match="from 2026-01-16 08:00 on"), database.write() as session:
        announcing.begin(session, "news", by="alice", settings=strict, now=night)
    call = begun(database, strict, now=morning)
    recorded(database, call, Outcome("unknown", "ReadTimeout"))
    with pytest.raises(announcing.TooLate), database.write() as session:
        announcing.begin_settling(session, "news", settings=strict, now=night + timedelta(days=1))
    recorded(database, call, Outcome("submitted", reference="34182"))
    with database.write() as session:
        assert announcing.begin_settling(session, "news", settings=strict, now=night + timedelta(days=1)).reference, "a question may be asked at any hour"


def test_a_person_decides_what_the_provider_has_forgotten(database: Database, settings: Settings) -> None:
    approved(database, settings)
    with pytest.raises(announcing.NothingToSettle), database.write() as session:
        announcing.decide(session, "news", verdict="sent", by="alice", settings=settings, now=NOW)
    recorded(database, begun(database, settings), Outcome("unknown", "ReadTimeout"))
    with database.write() as session:
        announcing.decide(session, "news", verdict="sent", by="alice", settings=settings, now=NOW + timedelta(days=2))
    assert (shown(database)["state"], shown(database)["status"]) == ("sent", "sent: alice")
    with pytest.raises(announcing.AlreadyAnnounced):
        planned(database, settings)


@pytest.mark.parametrize(
    ("status", "state"), [("send success", "sent"), ("sendsuccess", "sent"), ("send fail", "failed"), ("err(10001)", "failed"), ("err(20013)", "failed")]
)
def test_the_providers_totals_are_kept(status: str, state: str, database: Database, settings: Settings) -> None:
    approved(database, settings)
    recorded(database, begun(database, settings), Outcome("submitted", reference="34182"))
    store(database, report(status=status), report(reference="999"), report(status=status))
    document = shown(database)
    assert [document[key] for key in ("state", "status", "total", "filtered", "sent", "errors")] == [state, status, 100, 90, 88, 2]
    store(database, report(status="send fail", total=1))
    assert shown(database) == document, "the first word stands"


def test_totals_that_come_before_the_answer_are_found_when_it_comes(database: Database, settings: Settings) -> None:
    approved(database, settings)
    call = begun(database, settings)
    store(database, report())
    assert shown(database)["state"] == "sending", "it may be somebody else's message"
    assert recorded(database, call, Outcome("submitted", reference="34182"))["total"] == 100
    assert shown(database)["state"] == "sent"


def test_what_was_learned_by_asking_is_completed_by_the_event(database: Database, settings: Settings) -> None:
    approved(database, settings)
    recorded(database, begun(database, settings), Outcome("submitted", reference="34182"))
    with database.write() as session:
        asking = announcing.begin_settling(session, "news", settings=settings, now=NOW)
    assert asking.reference == "34182"
    assert recorded(database, asking, Outcome("under_way", "SENDING"))["state"] == "submitted"
    assert recorded(database, asking, Outcome("sent", "SEND_SUCCESS"))["state"] == "sent"
    store(database, report())
    assert (shown(database)["state"], shown(database)["sent"]) == ("sent", 88)


STEPS: dict[str, Callable[[Database, Call], Any]] = {
    "late answer": lambda database, call: recorded(database, call, Outcome("submitted", reference="34182")),
    "repetition lost": lambda database, call: recorded(database, replace(call, first=False), Outcome("unknown", "x")),
    "repetition answered": lambda database, call: recorded(database, replace(call, first=False), Outcome("submitted", reference="34182")),
    "event": lambda database, call: store(database, report()),
    "event of another": lambda database, call: store(database, report(reference="7", status="send fail")),
}


@effort(max_examples=25, deadline=None)
@given(st.permutations(list(STEPS)))
def test_answers_and_events_in_any_order_end_alike(new_sqlite: Callable[[], str], settings_of: Settings, order: list[str]) -> None:
    database = Database(new_sqlite())
    approved(database, settings_of)
    call = begun(database, settings_of)
    for step in order:
        STEPS[step](database, call)
    document = shown(database)
    database.close()
    assert (document["state"], document["reference"], document["sent"]) == ("sent", "34182", 88)


@pytest.fixture(scope="module")
def settings_of(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("announcing")
    write(home, TEXT)
    return office_settings.load(home)


def test_a_fifth_message_of_the_month_and_an_account_without_followers_are_warned_of(database: Database, settings: Settings) -> None:
    for number in range(4):
        approved(database, settings, f"n{number}")
        with database.write() as session:
            announcing.begin(session, f"n{number}", by="alice", settings=settings, now=NOW)
    found = planned(database, settings)
    with database.write() as session:
        assert len(announcing.warnings(session, found, now=NOW)) == 2
        session.add(Follower(openid="o1", follows=True))
        session.flush()
        assert len(announcing.warnings(session, found, now=NOW)) == 1
        assert announcing.warnings(session, found, now=NOW + timedelta(days=20)) == [], "a new month has begun"


class Gateway(BaseHTTPRequestHandler):
    """Answers each call with the next of `server.answers`: a document, a status, or nothing at all."""

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("stable_token"):
            self._answer({"access_token": "T", "expires_in": 7200})
            return
        self.server.asked.append((self.path.partition("?")[0], document))  # type: ignore[attr-defined]
        self._answer(self.server.answers.pop(0))  # type: ignore[attr-defined]

    def _answer(self, answer: Any) -> None:
        if answer is None:
            self.close_connection = True
            return
        body = json.dumps(answer).encode() if isinstance(answer, dict) else b"<html>"
        self.send_response(200 if isinstance(answer, dict) else answer)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.answers, server.asked = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


CALL = Call("news", "announcement-1-abc", "公告", None)


@pytest.mark.parametrize(
    ("call", "answer", "sort", "reference"),
    [
        (CALL, {"errcode": 0, "errmsg": "ok", "msg_id": 9007199254740993}, "submitted", "9007199254740993"),
        (CALL, {"errcode": 45065, "errmsg": "clientmsgid exist", "msg_id": 34182}, "submitted", "34182"),
        (CALL, {"errcode": 45066, "errmsg": "retry too fast"}, "unknown", None),
        (CALL, {"errcode": 45002, "errmsg": "too long"}, "refused", None),
        (CALL, {"errcode": 45028, "errmsg": "no quota"}, "unsent", None),
        (CALL, {"errcode": 40164, "errmsg": "ip"}, "unsent", None),
        (CALL, {"errcode": 45009, "errmsg": "quota"}, "unsent", None),
        (CALL, {"errcode": -1, "errmsg": "busy"}, "unknown", None),
        (CALL, {"errcode": 0, "errmsg": "ok"}, "unknown", None),
        (CALL, 502, "unknown", None),
        (CALL, None, "unknown", None),
        (replace(CALL, first=False), {"errcode": 45028, "errmsg": "no quota"}, "unknown", None),
        (replace(CALL, first=False), {"errcode": 45002, "errmsg": "too long"}, "unknown", None),
        (replace(CALL, reference="34182"), {"errcode": 0, "msg_id": "34182", "msg_status": "SEND_SUCCESS"}, "sent", None),
        (replace(CALL, reference="34182"), {"errcode": 0, "msg_id": "34182", "msg_status": "SENDING"}, "under_way", None),
        (replace(CALL, reference="34182"), {"errcode": 0, "msg_id": "34182", "msg_status": "SEND_FAIL"}, "failed", None),
        (replace(CALL, reference="34182"), {"errcode": 0, "msg_id": "34182", "msg_status": "DELETE"}, "sent", None),
    ],
)
def test_each_answer_of_the_provider_means_one_thing(call: Call, answer: Any, sort: str, reference: str | None, gateway: Any, settings: Settings) -> None:
    gateway.asked.clear()
    gateway.answers[:] = [answer]
    there = settings.model_copy(update={"wechat_base_url": f"http://127.0.0.1:{gateway.server_port}"})
    with Account(there) as account:
        outcome = announcing.carry(account, call)
    assert (outcome.sort, outcome.reference) == (sort, reference)
    assert (outcome.trouble is None) == (sort in ("submitted", "sent", "failed", "under_way"))
    (path, document) = gateway.asked[0]
    assert len(gateway.asked) == 1, "a mass message is asked for once"
    if call.reference is None:
        assert path == "/cgi-bin/message/mass/sendall"
        assert document == {"filter": {"is_to_all": True}, "msgtype": "text", "text": {"content": "公告"}, "clientmsgid": call.id}
    else:
        assert (path, document) == ("/cgi-bin/message/mass/get", {"msg_id": "34182"})
