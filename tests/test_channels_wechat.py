"""Messages in WeChat: each goes out as the provider wants it, each of its answers does what the office's table says, nothing leaks."""

import asyncio
import gc
import logging
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from weixin import CUT, DROP, HANG, SECRET, TRICKLE, Weixin

from outreach import settings
from outreach.channels import directory
from outreach.channels.base import Accepted, Deferred, Found, Message, Outcome, ProviderUnavailable, Rejected, Review, Uncertain
from outreach.channels.wechat import codes
from outreach.channels.wechat.sending import WeChat
from outreach.channels.wechat.trouble import CallUnknown
from outreach.errors import Misconfigured
from outreach.settings import Settings

TEMPLATE = "message/template/send"
NOTICE = "message/subscribe/bizsend"
SERVICE = "message/custom/send"
OPENID = "oAbcdefghijklmnopqrstuvwxyz0"
NEW_TOKEN = "stable_token"


@pytest.fixture
def weixin() -> Iterator[Weixin]:
    with Weixin() as opened:
        yield opened


@pytest.fixture
def office(weixin: Weixin, tmp_path: Path) -> Settings:
    return weixin.office(tmp_path)


def invitation(delivery: int = 1, to: str = OPENID, **changes: Any) -> Message:
    fields: dict[str, Any] = {"template": "TPL", "variables": {"thing1": "签订", "character_string5": "7K3M9P"}, "link": "https://office.example/p/x"}
    return Message(delivery, 1, to, "", **(fields | changes))


def answer_to(text: str) -> Message:
    return Message(7, 2, OPENID, text, via="service")


def deliver(office: Settings, *messages: Message, may_refresh: Callable[[], bool] = lambda: False, seconds: float = 8) -> list[Outcome]:
    """Send a slice and return the outcomes in the order of the messages."""
    found: dict[int, Outcome] = {}

    async def run() -> None:
        channel = directory.open_channel(office, wechat_sender(office), may_refresh=may_refresh)
        try:
            until = asyncio.get_running_loop().time() + seconds
            await channel.send(messages, until=until, answered=lambda message, outcome: found.__setitem__(message.delivery, outcome))
        finally:
            await channel.close()

    asyncio.run(run())
    return [found[message.delivery] for message in messages]


def wechat_sender(office: Settings) -> settings.Sender:
    return next(sender for sender in office.sender if sender.provider == "wechat")


def test_a_template_message_bears_its_fields_its_link_and_the_attempt(weixin: Weixin, office: Settings) -> None:
    (outcome,) = deliver(office, invitation(41))
    assert isinstance(outcome, Accepted)
    assert int(outcome.reference) > 2**32
    (asked,) = weixin.calls(TEMPLATE)
    assert asked.data == {
        "touser": OPENID,
        "template_id": "TPL",
        "url": "https://office.example/p/x",
        "client_msg_id": "41.1",
        "data": {"thing1": {"value": "签订"}, "character_string5": {"value": "7K3M9P"}},
    }
    assert asked.query == {"access_token": weixin.token}


def test_a_subscription_notice_and_a_customer_service_message_go_their_own_ways(weixin: Weixin, office: Settings) -> None:
    weixin.says(NOTICE, {"errcode": 0, "errmsg": "ok"})
    weixin.says(SERVICE, {"errcode": 0, "errmsg": "ok"})
    assert deliver(office, invitation(via="subscription"), answer_to("谢谢")) == [Accepted(""), Accepted("")]
    assert weixin.calls(NOTICE)[0].data == {
        "touser": OPENID,
        "template_id": "TPL",
        "page": "https://office.example/p/x",
        "data": {"thing1": {"value": "签订"}, "character_string5": {"value": "7K3M9P"}},
    }
    assert weixin.calls(SERVICE)[0].data == {"touser": OPENID, "msgtype": "text", "text": {"content": "谢谢"}}


@pytest.mark.parametrize("said", [{}, {"msgid": 0}, {"msgid": None}, {"msgid": "x"}, {"msgid": True}, {"msgid": -3}])
def test_a_message_number_that_is_none_is_no_reference(weixin: Weixin, office: Settings, said: dict[str, Any]) -> None:
    weixin.says(TEMPLATE, {"errcode": 0, **said})
    assert deliver(office, invitation()) == [Accepted("")]


WHAT_FOLLOWS: list[tuple[int, Outcome]] = [
    (-1, Uncertain("busy")),
    (40252, Review("")),
    (45009, Deferred(timedelta(minutes=1), day_over=True)),
    (45011, Deferred(timedelta(seconds=10), strained=True)),
    (43100, Deferred(timedelta(seconds=10), strained=True)),
    (40003, Rejected("address", "40003")),
    (43004, Rejected("address", "43004")),
    (46004, Rejected("address", "46004")),
    (43019, Rejected("opted_out", "43019")),
    (48002, Rejected("opted_out", "48002")),
    (43101, Rejected("temporary", "43101")),
    (45015, Rejected("temporary", "45015")),
    (45047, Rejected("temporary", "45047")),
    (47003, Rejected("content", "47003")),
    (43116, Rejected("content", "43116")),
    (40037, Rejected("content", "40037")),
    (40036, Rejected("content", "40036")),
    (40164, Rejected("account", "40164")),
    (40013, Rejected("account", "40013")),
    (40125, Rejected("account", "40125")),
    (48001, Rejected("account", "48001")),
    (48004, Rejected("account", "48004")),
    (50002, Rejected("account", "50002")),
    (99999, Rejected("temporary", "99999")),
]


def test_each_error_code_does_what_the_table_says(weixin: Weixin, office: Settings) -> None:
    office = office.model_copy(update={"sender": (wechat_sender(office).model_copy(update={"in_flight": 1}),)})
    weixin.says(TEMPLATE, *({"errcode": code, "errmsg": f"no rid: {OPENID}"} for code, _ in WHAT_FOLLOWS))
    outcomes = deliver(office, *(invitation(number) for number in range(len(WHAT_FOLLOWS))))
    assert dict(zip((code for code, _ in WHAT_FOLLOWS), outcomes, strict=True)) == dict(WHAT_FOLLOWS)
    assert len(weixin.calls(NEW_TOKEN)) == 1


def test_a_message_under_review_is_known_by_its_number_where_one_is_given(weixin: Weixin, office: Settings) -> None:
    weixin.says(TEMPLATE, {"errcode": 40252, "errmsg": "under review", "msgid": 2**40})
    assert deliver(office, invitation()) == [Review(str(2**40))]


@pytest.mark.parametrize(
    "answer",
    [
        DROP,
        CUT,
        (500, b'{"errcode":-1}'),
        (502, b"<html>Bad Gateway</html>"),
        (408, b""),
        (302, b""),
        (200, b"<html>ok</html>"),
        (200, b""),
        (200, b"[1]"),
        (200, b"{}"),
        (200, b'{"errcode":"nothing"}'),
        (200, b'{"errcode":null}'),
        (200, b'{"base_resp":3}'),
        (200, b'{"errcode":0'),
        (200, b"[" * 20_000),
    ],
)
@pytest.mark.parametrize("via", ["template", "service"])
def test_an_answer_that_tells_nothing_leaves_the_message_unknown(weixin: Weixin, office: Settings, answer: Any, via: str) -> None:
    weixin.says(TEMPLATE, answer)
    weixin.says(SERVICE, answer)
    (outcome,) = deliver(office, invitation(via=via))
    assert isinstance(outcome, Uncertain)
    assert len(weixin.calls(TEMPLATE)) + len(weixin.calls(SERVICE)) == 1


@pytest.mark.parametrize("answer", [HANG, TRICKLE])
def test_an_answer_that_does_not_end_is_not_waited_for(weixin: Weixin, tmp_path: Path, answer: str) -> None:
    office = weixin.office(tmp_path, request_timeout="500ms", lease="2s")
    weixin.says(TEMPLATE, answer)
    (outcome,) = deliver(office, invitation(), seconds=0.5)
    assert isinstance(outcome, Uncertain)


def test_an_answer_without_end_does_not_hold_who_asked(weixin: Weixin, tmp_path: Path) -> None:
    office = weixin.office(tmp_path, request_timeout="300ms", lease="2s")
    weixin.says("user/info", TRICKLE, (200, b"[" + b" " * 5_000_000 + b"]"))
    begun = time.monotonic()
    with directory.open_account(office) as account:
        for _ in range(2):
            with pytest.raises(CallUnknown):
                account.person(OPENID)
    assert time.monotonic() - begun < 3


def test_connections_are_used_again(weixin: Weixin, office: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")
    office = office.model_copy(update={"sender": (wechat_sender(office).model_copy(update={"in_flight": 2}),)})
    deliver(office, *map(invitation, range(20)))
    assert 1 <= caplog.text.count("Starting new HTTP connection") <= 3


@pytest.mark.parametrize(("status", "outcome"), [(429, Deferred(timedelta(seconds=2), strained=True)), (403, Rejected("account", "403"))])
def test_what_was_refused_by_http_was_not_sent(weixin: Weixin, office: Settings, status: int, outcome: Outcome) -> None:
    weixin.says(TEMPLATE, (status, b"no"))
    assert deliver(office, invitation()) == [outcome]


def test_a_refused_connection_is_surely_not_sent(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        office = settings.load(tmp_path, wechat_base_url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert deliver(office, invitation()) == [Deferred(timedelta(seconds=2), strained=True)]


def test_nothing_begins_after_the_lease(weixin: Weixin, office: Settings) -> None:
    assert deliver(office, invitation(), seconds=0) == [Deferred(timedelta(0))]
    weixin.pause = 0.4
    assert deliver(office, invitation(), seconds=0.2) == [Deferred(timedelta(0))]
    assert not weixin.calls(TEMPLATE)


def test_a_sender_keeps_to_its_number_of_connections(weixin: Weixin, office: Settings) -> None:
    before = threading.active_count()
    most = 0

    async def run() -> None:
        nonlocal most
        channel = directory.open_channel(office, wechat_sender(office).model_copy(update={"in_flight": 3}))
        sending = [channel.send([invitation(n) for n in range(k, k + 10)], until=1e9, answered=lambda *_: None) for k in (0, 10)]
        await asyncio.gather(*sending)
        most = sum(thread.name.startswith("wechat") for thread in threading.enumerate())
        await channel.close()

    asyncio.run(run())
    assert len(weixin.calls(TEMPLATE)) == 20
    assert 1 <= most <= 3
    assert before >= 1


# the token


def test_one_token_serves_all_threads_and_all_channels(weixin: Weixin, office: Settings) -> None:
    weixin.pause = 0.1
    assert all(isinstance(outcome, Accepted) for outcome in deliver(office, *map(invitation, range(40))))
    assert all(isinstance(outcome, Accepted) for outcome in deliver(office, *map(invitation, range(10))))
    (asked,) = weixin.calls(NEW_TOKEN)
    assert asked.data == {"grant_type": "client_credential", "appid": office.wechat_app_id, "secret": SECRET, "force_refresh": False}
    assert asked.query == {}


def test_a_token_that_ends_in_mid_run_is_fetched_once(weixin: Weixin, office: Settings) -> None:
    deliver(office, invitation())
    weixin.expire()
    assert all(isinstance(outcome, Accepted) for outcome in deliver(office, *map(invitation, range(40))))
    assert [asked.data["force_refresh"] for asked in weixin.calls(NEW_TOKEN)] == [False, False]


@pytest.mark.parametrize("code", [40001, 40014, 42001])
def test_a_token_refused_for_a_moment_needs_no_force(weixin: Weixin, office: Settings, code: int) -> None:
    weixin.says(TEMPLATE, {"errcode": code, "errmsg": "no"})
    (outcome,) = deliver(office, invitation(), may_refresh=lambda: pytest.fail("not needed"))
    assert isinstance(outcome, Accepted)
    assert len(weixin.calls(NEW_TOKEN)) == 2


def test_a_token_that_stays_refused_is_renewed_by_force_once_for_all(weixin: Weixin, office: Settings) -> None:
    allowed: list[int] = []
    deliver(office, invitation())
    weixin.good.clear()  # as though the platform gave out what it does not take
    assert all(isinstance(outcome, Accepted) for outcome in deliver(office, *map(invitation, range(30)), may_refresh=lambda: not allowed.append(1)))
    assert [asked.data["force_refresh"] for asked in weixin.calls(NEW_TOKEN)].count(True) == len(allowed) == 1


def test_without_leave_to_force_the_account_is_halted_and_nothing_goes_round(weixin: Weixin, office: Settings) -> None:
    deliver(office, invitation())
    weixin.good.clear()
    outcomes = deliver(office, *map(invitation, range(16)))
    assert {outcome.kind for outcome in outcomes if isinstance(outcome, Rejected)} == {"account"}
    assert len(weixin.calls(NEW_TOKEN)) <= 10
    assert len(weixin.calls(TEMPLATE)) <= 1 + 3 * 16


def test_a_token_that_another_process_renews_by_force_is_waited_for(weixin: Weixin, office: Settings) -> None:
    deliver(office, invitation())
    weixin.good.clear()

    def refused() -> bool:
        threading.Timer(0.3, weixin.expire).start()  # the other one gets its leave, and a new token
        return False

    outcomes = deliver(office, *map(invitation, range(16)), may_refresh=refused)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)


def test_a_forced_token_that_is_refused_too_halts_the_account(weixin: Weixin, office: Settings) -> None:
    weixin.says(TEMPLATE, *[{"errcode": 40001, "errmsg": "no"}] * 3)
    assert deliver(office, invitation(), may_refresh=lambda: True) == [Rejected("account", "40001")]
    assert [asked.data["force_refresh"] for asked in weixin.calls(NEW_TOKEN)] == [False, False, True]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"errcode": 40013, "errmsg": "invalid appid"}, Rejected("account", "40013")),
        ({"errcode": 40125, "errmsg": "invalid secret"}, Rejected("account", "40125")),
        ({"errcode": 40164, "errmsg": "invalid ip"}, Rejected("account", "40164")),
        ({"errcode": 77777, "errmsg": "?"}, Rejected("account", "77777")),
        ({"errcode": -1, "errmsg": "busy"}, Deferred(timedelta(seconds=2), strained=True)),
        ({"errcode": 45009, "errmsg": "quota"}, Deferred(timedelta(minutes=1), day_over=True)),
        ({"errcode": 45011, "errmsg": "slower"}, Deferred(timedelta(seconds=10), strained=True)),
        ({"access_token": 5}, Deferred(timedelta(seconds=2), strained=True)),
        ({"access_token": "x", "expires_in": "soon"}, Deferred(timedelta(seconds=2), strained=True)),
        ((500, b"oh"), Deferred(timedelta(seconds=2), strained=True)),
        (DROP, Deferred(timedelta(seconds=2), strained=True)),
        (CUT, Deferred(timedelta(seconds=2), strained=True)),
    ],
)
def test_without_a_token_nothing_was_sent_whatever_the_answer(weixin: Weixin, office: Settings, answer: Any, outcome: Outcome) -> None:
    weixin.says(NEW_TOKEN, answer)
    assert deliver(office, invitation()) == [outcome]
    assert not weixin.calls(TEMPLATE)


def test_a_provider_that_gives_no_token_is_not_asked_by_every_thread(weixin: Weixin, tmp_path: Path) -> None:
    office = weixin.office(tmp_path, request_timeout="300ms", lease="5s")
    weixin.says(NEW_TOKEN, *[HANG] * 32)
    outcomes = deliver(office, *map(invitation, range(16)))
    assert set(outcomes) == {Deferred(timedelta(seconds=2), strained=True)}
    assert len(weixin.calls(NEW_TOKEN)) <= 4


def test_a_token_is_asked_for_again_before_it_ends(weixin: Weixin, office: Settings) -> None:
    weixin.life = 0
    deliver(office, invitation())
    weixin.life = 7200
    deliver(office, invitation())
    deliver(office, invitation())
    assert len(weixin.calls(NEW_TOKEN)) == 2


# repetitions and reviews


def test_only_a_template_message_may_be_repeated_and_only_within_its_ten_minutes(office: Settings) -> None:
    async def spans() -> list[timedelta]:
        channel = directory.open_channel(office, wechat_sender(office))
        found = [channel.repeats(message) for message in (invitation(), invitation(via="subscription"), answer_to("好"))]
        await channel.close()
        return found

    template, notice, service = asyncio.run(spans())
    assert timedelta(minutes=5) < template <= timedelta(minutes=10) - office.lease - office.request_timeout
    assert notice == service == timedelta(0)


def look_up(office: Settings, *messages: Message, since: datetime) -> list[list[Found]]:
    async def run() -> list[list[Found]]:
        channel = directory.open_channel(office, wechat_sender(office))
        try:
            return list(await asyncio.gather(*(channel.look_up(message, since=since) for message in messages)))
        finally:
            await channel.close()

    return asyncio.run(run())


def test_a_message_that_the_review_did_not_let_pass_is_found_and_halts_its_text(weixin: Weixin, office: Settings, now: datetime) -> None:
    rows = [{"id": n, "tmpl_msg_id": "TPL", "openid": f"o{n}", "send_timestamp": int(now.timestamp())} for n in range(1, 101)]
    old = {"id": 101, "tmpl_msg_id": "TPL", "openid": "old", "send_timestamp": int(now.timestamp()) - 3600}
    last = {"id": 102, "tmpl_msg_id": "TPL", "openid": OPENID, "send_timestamp": int(now.timestamp()) + 3}
    weixin.says("wxa/sec/queryblocktmplmsg", {"errcode": 0, "msginfo": rows}, {"errcode": 0, "msginfo": [old, last]})
    messages = [invitation(), invitation(2, "old"), invitation(3, "o7"), invitation(4, "other"), answer_to("好")]
    blocked = [Found("", "failed", "40252", "temporary")]
    assert look_up(office, *messages, since=now) == [blocked, [], blocked, [], []]
    assert [asked.data["largest_id"] for asked in weixin.calls("wxa/sec/queryblocktmplmsg")] == [0, 100]


@pytest.mark.parametrize("said", [{"msginfo": []}, {}, {"msginfo": None}, {"msginfo": {"id": "x", "openid": 3}}, {"msginfo": ["?", {"openid": OPENID}]}])
def test_a_list_that_names_nobody_is_no_verdict(weixin: Weixin, office: Settings, now: datetime, said: dict[str, Any]) -> None:
    weixin.says("wxa/sec/queryblocktmplmsg", {"errcode": 0, **said})
    assert look_up(office, invitation(), since=now) == [[]]


@pytest.mark.parametrize("said", [DROP, {"errcode": -1, "errmsg": "busy"}, {"errcode": 48001, "errmsg": "no"}])
def test_no_answer_is_no_verdict_either(weixin: Weixin, office: Settings, now: datetime, said: Any) -> None:
    weixin.says("wxa/sec/queryblocktmplmsg", said)
    with pytest.raises(ProviderUnavailable):
        look_up(office, invitation(), since=now)


# what must not get out


def test_neither_secret_nor_token_nor_openid_gets_into_a_log(weixin: Weixin, office: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    weixin.says(TEMPLATE, {"errcode": 40001, "errmsg": "no"}, (500, b"no"), DROP, (200, b"<html>"), {"errcode": 40003, "errmsg": OPENID})
    weixin.says("sns/oauth2/access_token", (500, b"no"))
    deliver(office, *map(invitation, range(6)), may_refresh=lambda: True)
    with directory.open_account(office) as account, pytest.raises(Exception, match="nobody knows"):
        account.reader("code-of-a-person")
    assert "/cgi-bin/message/template/send" in caplog.text, "the library's own log was not on"
    for hidden in (SECRET, weixin.token, "access_token=", OPENID, "7K3M9P", "code-of-a-person"):
        assert hidden not in caplog.text


def test_an_error_holds_nothing_of_the_call_not_even_by_its_context(weixin: Weixin, office: Settings) -> None:
    weixin.says("user/info", {"errcode": 40003, "errmsg": "invalid openid"}, DROP)
    with directory.open_account(office) as account:
        for _ in range(2):
            with pytest.raises(Exception, match="WeChat") as caught:
                account.person(OPENID)
            error = caught.value
            assert error.__cause__ is None and error.__context__ is None
            told = pickle.dumps((error.args, error.__dict__)) + repr(error).encode() + str(error).encode()
            for hidden in (SECRET, weixin.token, OPENID):
                assert hidden.encode() not in told


def test_what_knows_the_secret_cannot_be_stored_and_does_not_show_it(office: Settings) -> None:
    with directory.open_account(office) as account:
        client = account._client
        assert SECRET not in repr(client) and SECRET not in repr(account)
        with pytest.raises(TypeError):
            pickle.dumps(client)
    gc.collect()


def test_a_provider_sets_no_cookies_and_leads_nowhere_else(weixin: Weixin, office: Settings) -> None:
    deliver(office, invitation(1), invitation(2))
    assert all("Cookie" not in asked.headers for asked in weixin.asked)
    assert all(asked.headers["Content-Type"].startswith("application/json") for asked in weixin.asked)


# where it may go


@pytest.mark.parametrize("key", ["wechat_base_url", "wechat_oauth_url", "aliyun_base_url", "twilio_base_url"])
def test_a_rehearsal_speaks_to_no_provider(tmp_path: Path, key: str) -> None:
    office = settings.load(tmp_path, **{key: "https://api.weixin.qq.com"})
    for act in (directory.require_mode, directory.open_account):
        with pytest.raises(Misconfigured, match=key):
            act(office)


REAL = {"mode": "production", "twilio_account_sid": "AC" + "1" * 32, "twilio_auth_token": "x", "wechat_app_id": "wx1", "wechat_secret": "y"}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"wechat_base_url": "http://127.0.0.1:8099"}, "wechat_base_url"),
        ({"wechat_oauth_url": "http://localhost:8099"}, "wechat_oauth_url"),
        ({"wechat_base_url": "http://api.weixin.qq.com"}, "wechat_base_url"),
        ({"wechat_secret": ""}, "wechat_secret"),
        ({"wechat_app_id": "", "wechat_secret": ""}, None),
        ({"twilio_auth_token": ""}, "twilio_auth_token"),
    ],
)
def test_production_speaks_to_providers_only_and_needs_the_accounts_that_it_uses(tmp_path: Path, changes: dict[str, str], fault: str | None) -> None:
    office = settings.load(tmp_path, **(REAL | changes))
    if fault is None:
        directory.require_mode(office)
    else:
        with pytest.raises(Misconfigured, match=fault):
            directory.require_mode(office)


def test_every_code_of_the_table_has_a_kind_and_words() -> None:
    for code in codes.EFFECTS:
        assert codes.kind(code) in ("address", "opted_out", "content", "account", "temporary")
        assert codes.meaning(code)
    assert codes.kind(123456) == "temporary"
    assert codes.kind(codes.INVALID_TOKEN) == "account"


def test_the_channel_is_the_senders_own(office: Settings) -> None:
    async def kind() -> bool:
        channel = directory.open_channel(office, wechat_sender(office))
        try:
            return isinstance(channel, WeChat)
        finally:
            await channel.close()

    assert asyncio.run(kind())
