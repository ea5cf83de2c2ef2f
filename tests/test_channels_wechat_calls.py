"""What is asked of the account apart from messages: each answer is read or called what it is, and nothing is done twice on a guess."""

import http.client
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from gateway import Gateway
from wechatpy.oauth import WeChatOAuth
from weixin import CUT, DROP, SECRET, Weixin

from outreach import settings
from outreach.channels import directory
from outreach.channels.wechat.calls import Account, CodeUsedUp, Person, Reader, Ticket, authorize_url
from outreach.channels.wechat.trouble import CallRefused, CallUnknown, CallUnsent
from outreach.settings import Settings

QR = "qrcode/create"
ALL = "message/mass/sendall"


@pytest.fixture
def weixin() -> Iterator[Weixin]:
    with Weixin() as opened:
        yield opened


@pytest.fixture
def office(weixin: Weixin, tmp_path: Path) -> Settings:
    return weixin.office(tmp_path)


@pytest.fixture
def account(office: Settings) -> Iterator[Account]:
    with directory.open_account(office) as opened:
        yield opened


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway") / "ledger.jsonl") as running:
        yield running


@pytest.fixture
def real(gateway: Gateway, tmp_path: Path) -> Iterator[Account]:
    """The account at the sandbox, which minds the provider's rules."""
    gateway.reset()
    with directory.open_account(settings.load(tmp_path, sandbox_url=gateway.url)) as opened:
        yield opened


# QR codes


def test_a_temporary_code_names_its_scene_and_its_time(weixin: Weixin, account: Account) -> None:
    weixin.says(QR, {"ticket": "gQ1", "expire_seconds": 2592000, "url": "http://weixin.qq.com/q/1"})
    assert account.ticket("k3Jx") == Ticket("gQ1", "http://weixin.qq.com/q/1", timedelta(days=30))
    scene = {"action_info": {"scene": {"scene_str": "k3Jx"}}}
    assert weixin.calls(QR)[0].data == scene | {"action_name": "QR_STR_SCENE", "expire_seconds": 2592000}


def test_a_permanent_code_has_no_end(weixin: Weixin, account: Account) -> None:
    weixin.says(QR, {"ticket": "gQ2", "url": "http://weixin.qq.com/q/2"})
    assert account.ticket("poster", lasts=None) == Ticket("gQ2", "http://weixin.qq.com/q/2", None)
    assert weixin.calls(QR)[0].data == {"action_info": {"scene": {"scene_str": "poster"}}, "action_name": "QR_LIMIT_STR_SCENE"}


def test_no_code_lasts_longer_than_the_provider_allows(weixin: Weixin, account: Account) -> None:
    weixin.says(QR, {"ticket": "gQ", "expire_seconds": 1, "url": "http://weixin.qq.com/q/3"})
    assert account.ticket("k", lasts=timedelta(days=400)).lasts == timedelta(seconds=1)
    assert weixin.calls(QR)[0].data["expire_seconds"] == 2592000


def test_the_sandbox_makes_both_kinds(real: Account) -> None:
    brief, lasting = real.ticket("k3Jx", lasts=timedelta(hours=1)), real.ticket("poster", lasts=None)
    assert brief.url != lasting.url and brief.lasts == timedelta(hours=1) and lasting.lasts is None
    with pytest.raises(CallRefused) as caught:
        real.ticket("x" * 65)
    assert caught.value.code == 40053


# people


def test_followers_come_in_pages_and_each_once(gateway: Gateway, real: Account) -> None:
    people = [f"oPerson{number:021d}" for number in range(25)]
    gateway._json("POST", "/_sandbox/wechat", {"follow": people})
    gateway.faults(wechat={"page": 10})
    pages = list(real.followers())
    assert [len(page) for page in pages] == [10, 10, 5]
    assert sorted(openid for page in pages for openid in page) == sorted(people)


def test_an_account_that_nobody_follows_has_no_page(real: Account) -> None:
    assert list(real.followers()) == []


@pytest.mark.parametrize("page", [{}, {"data": None}, {"data": {"openid": []}}, {"data": {"openid": [5, None]}}, {"data": []}])
def test_a_page_of_nothing_is_the_last(weixin: Weixin, account: Account, page: dict[str, Any]) -> None:
    weixin.says("user/get", {"data": {"openid": ["o1"]}, "next_openid": "o1"}, {"next_openid": "o2", **page})
    assert list(account.followers()) == [["o1"]]
    assert [asked.query.get("next_openid") for asked in weixin.calls("user/get")] == [None, "o1"]


def test_a_list_that_leads_back_to_itself_ends(weixin: Weixin, account: Account) -> None:
    weixin.says("user/get", *[{"data": {"openid": ["o1"]}, "next_openid": "o1"}] * 5)
    assert list(account.followers()) == [["o1"], ["o1"]]


def test_a_person_is_shown_by_whether_he_follows(gateway: Gateway, real: Account) -> None:
    openid = "oPerson" + "7" * 21
    assert real.person(openid) == Person(openid, False)
    gateway._json("POST", "/_sandbox/wechat", {"follow": [openid]})
    found = real.person(openid)
    assert found.follows and found.followed_at is not None
    assert abs(found.followed_at.timestamp() - time.time()) < 60


@pytest.mark.parametrize("said", [{"subscribe_time": "x"}, {"subscribe_time": 1e400}, {"subscribe_time": -5}, {"subscribe_time": 10**30}, {"qr_scene_str": 5}])
def test_what_is_odd_about_a_person_is_left_out(weixin: Weixin, account: Account, said: dict[str, Any]) -> None:
    weixin.says("user/info", {"subscribe": 1, "openid": "o1", **said})
    assert account.person("o1") == Person("o1", True)


# whose phone


def come_back(gateway: Gateway, office: Settings, **more: str) -> str:
    """Go where a phone's WeChat is sent, and return the code with which it comes back."""
    asked = authorize_url(office, redirect="https://office.example/p/x/wechat?a=1&b=%2B2", state="s/1+2")
    parts = urlsplit(asked.removesuffix("#wechat_redirect"))
    query = parts.query + "".join(f"&{key}={value}" for key, value in more.items())
    location = gateway_location(gateway, f"{parts.path}?{query}")
    found = parse_qs(urlsplit(location).query)
    assert (found["state"], found["a"], found["b"]) == (["s/1+2"], ["1"], ["+2"])
    return found["code"][0]


def gateway_location(gateway: Gateway, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 302, answer.read()
        return answer.getheader("Location") or ""
    finally:
        connection.close()


def test_where_a_phone_is_sent_is_what_the_sdk_would_write(tmp_path: Path) -> None:
    office = settings.load(tmp_path, mode="production", wechat_app_id="wx1", wechat_secret="x")
    redirect = "https://office.example/p/x/wechat?a=1"
    assert authorize_url(office, redirect=redirect, state="s") == WeChatOAuth("wx1", "x", redirect, "snsapi_base", "s").authorize_url


def test_a_code_tells_whose_phone_it_is_once(gateway: Gateway, real: Account, tmp_path: Path) -> None:
    office = settings.load(tmp_path, sandbox_url=gateway.url, wechat_oauth_url=gateway.url)
    openid = "oReader" + "3" * 21
    code = come_back(gateway, office, openid=openid)
    assert real.reader(code) == Reader(openid, virtual=False)
    for wrong in (code, "never-given", ""):
        with pytest.raises(CodeUsedUp):
            real.reader(wrong)


def test_who_only_looks_at_the_page_is_told_apart(gateway: Gateway, real: Account, tmp_path: Path) -> None:
    office = settings.load(tmp_path, sandbox_url=gateway.url, wechat_oauth_url=gateway.url)
    assert real.reader(come_back(gateway, office, openid="oLooker" + "4" * 21, snapshot="1")).virtual


def test_the_exchange_takes_the_secret_and_no_token(weixin: Weixin, account: Account) -> None:
    weixin.says("sns/oauth2/access_token", {"access_token": "theirs", "openid": "o9", "expires_in": 7200})
    assert account.reader("c1") == Reader("o9", False)
    (asked,) = weixin.asked
    assert asked.query == {"appid": "wx0123456789abcdef", "secret": SECRET, "code": "c1", "grant_type": "authorization_code"}


# mass messages


def test_a_text_goes_to_all_or_to_a_tag_under_a_name_of_ours(weixin: Weixin, account: Account) -> None:
    weixin.says(ALL, {"errcode": 0, "msg_id": 2**34, "msg_data_id": 5}, {"errcode": 0, "msg_id": 6})
    assert account.announce("工资不拖欠", name="a-1") == str(2**34)
    assert account.announce("工资不拖欠", name="a-2", tag=100) == "6"
    text = {"msgtype": "text", "text": {"content": "工资不拖欠"}}
    assert [asked.data for asked in weixin.calls(ALL)] == [
        text | {"filter": {"is_to_all": True}, "clientmsgid": "a-1"},
        text | {"filter": {"is_to_all": False, "tag_id": 100}, "clientmsgid": "a-2"},
    ]


def test_a_second_call_under_the_same_name_sends_nothing_and_tells_the_first(gateway: Gateway, real: Account) -> None:
    gateway._json("POST", "/_sandbox/wechat", {"follow": ["oMass1" + "1" * 22], "tags": {"7": ["oMass1" + "1" * 22]}})
    first = real.announce("公告", name="announcement-1", tag=7)
    assert real.announce("公告", name="announcement-1", tag=7) == first
    assert len([line for line in gateway.ledger() if line["reference"] == first]) == len(gateway.ledger()) == 1
    gateway.settled()
    assert real.announcement(first) == "SEND_SUCCESS"
    with pytest.raises(CallRefused):
        real.announcement("1")


@pytest.mark.parametrize(
    "said",
    [
        {"errcode": -1, "errmsg": "busy"},
        {"errcode": 45066, "errmsg": "too soon"},
        {"errcode": 45065, "errmsg": "exists, but which"},
        {"errcode": 0},
        {"errcode": 0, "msg_id": 0},
        {},
        DROP,
        CUT,
        (502, b"<html>"),
    ],
)
def test_a_mass_message_that_may_have_gone_out_is_called_unknown(weixin: Weixin, account: Account, said: Any) -> None:
    weixin.says(ALL, said)
    with pytest.raises(CallUnknown):
        account.announce("公告", name="a")
    assert len(weixin.calls(ALL)) == 1


@pytest.mark.parametrize("said", [{"errcode": -1, "errmsg": "busy"}, DROP, (500, b"")])
def test_without_a_token_nothing_went_out(weixin: Weixin, account: Account, said: Any) -> None:
    weixin.says("stable_token", said)
    with pytest.raises(CallUnsent):
        account.announce("公告", name="a")
    assert not weixin.calls(ALL)


@pytest.mark.parametrize("code", [45028, 48001, 48003, 45009, 40164, 47003])
def test_a_refusal_says_why_in_the_offices_words(weixin: Weixin, account: Account, code: int) -> None:
    weixin.says(ALL, {"errcode": code, "errmsg": "no rid: 1"})
    with pytest.raises(CallRefused, match=str(code)) as caught:
        account.announce("公告", name="a")
    assert caught.value.code == code
    assert "rid" not in str(caught.value) and "list of return codes" not in str(caught.value)


# what a review did not let pass


def test_the_list_of_blocked_messages_is_read_to_its_end(weixin: Weixin, account: Account) -> None:
    rows = [{"id": number, "openid": f"o{number}", "send_timestamp": 1768449600} for number in range(1, 151)]
    weixin.says("wxa/sec/queryblocktmplmsg", {"errcode": 0, "msginfo": rows[:100]}, {"errcode": 0, "msginfo": rows[100:]})
    found = account.blocked("TPL")
    assert [row.openid for row in found] == [f"o{number}" for number in range(1, 151)]
    assert {row.sent_at for row in found} == {datetime(2026, 1, 15, 4, tzinfo=UTC)}
    assert [asked.data["largest_id"] for asked in weixin.calls("wxa/sec/queryblocktmplmsg")] == [0, 100]


def test_a_list_that_does_not_move_on_ends(weixin: Weixin, account: Account) -> None:
    rows = [{"id": 5, "openid": "o5", "send_timestamp": 1768449600}] * 100
    weixin.says("wxa/sec/queryblocktmplmsg", *[{"errcode": 0, "msginfo": rows}] * 5)
    assert len(account.blocked("TPL")) == 200


def test_one_entry_may_stand_without_a_list(weixin: Weixin, account: Account) -> None:
    weixin.says("wxa/sec/queryblocktmplmsg", {"errcode": 0, "msginfo": {"id": 1, "openid": "o1", "send_timestamp": 1768449600}})
    assert [row.openid for row in account.blocked("TPL")] == ["o1"]
