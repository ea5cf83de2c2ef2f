"""Binding in the pledge page: only the browser that set out, only with the last four digits, each code once, and never a preview's openid."""

import http.client
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from gateway import Gateway
from served import Answer, Served
from sqlalchemy import select, text
from visitors import Guest

from outreach.database.wechat_tables import Binding, Follower

PHONE = {"User-Agent": "Mozilla/5.0 (Linux; Android 8.0) MicroMessenger/7.0.1"}
OPENID = "oRf1x5GdWX9kLm2nPq7sTu8vYzA0"
STRANGER = "oRf1x5GdWX9kLm2nPq7sTu8vYzA1"
DIGITS = "8000"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway") / "ledger.jsonl", wechat_url="http://127.0.0.1:9/hooks/wechat") as made:
        yield made


@pytest.fixture
def gateway(running: Gateway) -> Gateway:
    running.reset()
    return running


@pytest.fixture
def web(tmp_path: Path, database_url: str, gateway: Gateway) -> Iterator[Served]:
    with Served(tmp_path, database_url, sandbox_url=gateway.url, wechat_oauth=True, request_timeout="1s") as served:
        yield served


@dataclass
class Phone:
    """A phone with WeChat on it: it keeps the cookie of the page, and WeChat knows whose it is."""

    web: Served
    gateway: Gateway
    guest: Guest
    openid: str = OPENID
    cookie: str = ""

    @property
    def path(self) -> str:
        return f"{self.guest.page}/wechat"

    def set_out(self) -> str:
        """Tap the button; return where WeChat is asked to say whose phone it is."""
        answer = self.web.get(self.path, **PHONE)
        assert answer.status == 303
        self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer.location

    def come_back(self, *, preview: bool = False) -> str:
        """Let WeChat send the browser back; return the address that it then asks for."""
        asked = urlsplit(self.set_out())
        status, headers = self._follow(f"{asked.path}?{asked.query}&openid={self.openid}{'&snapshot=1' if preview else ''}")
        assert status == 302
        back = urlsplit(headers["location"])
        assert f"{back.scheme}://{back.netloc}" == self.web.url
        return f"{back.path}?{back.query}"

    def _follow(self, path: str) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        headers = {key.lower(): value for key, value in answer.getheaders()}
        connection.close()
        return answer.status, headers

    def open(self, address: str) -> Answer:
        return self.web.get(address, Cookie=self.cookie, **PHONE)

    def send(self, page: Answer, digits: str) -> Answer:
        """Type the digits into the form of a page."""
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
        return self.web.post(self.path, hidden | {"digits": digits}, Cookie=self.cookie, **PHONE)

    def bind(self, digits: str = DIGITS) -> Answer:
        return self.send(self.open(self.come_back()), digits)


@pytest.fixture
def phone(web: Served, gateway: Gateway) -> Phone:
    return Phone(web, gateway, web.hall.guest("示例鞋业有限公司", "示例针织有限公司"))


def bindings(web: Served) -> list[Any]:
    with web.database.read() as session:
        return list(session.execute(select(Binding.openid, Binding.contact_id, Binding.way, Binding.ended_at).order_by(Binding.id)))


def follows(web: Served) -> dict[str, bool]:
    with web.database.read() as session:
        return {row.openid: row.follows for row in session.scalars(select(Follower))}


def exchanges(gateway: Gateway) -> int:
    """How many codes of OAuth were used."""
    return int(gateway.wechat()["calls"].get("sns/oauth2/access_token", 0))


def test_the_digits_bind_every_contact_with_that_phone_and_say_whether_to_follow(phone: Phone, web: Served, gateway: Gateway) -> None:
    gateway.wechat(follow=[OPENID])
    answer = phone.bind()
    assert (answer.status, answer.location) == (303, f"{phone.guest.page}?done=bound#done")
    assert [(row.openid, row.contact_id, row.way, row.ended_at) for row in bindings(web)] == [(OPENID, 1, "oauth", None), (OPENID, 2, "oauth", None)]
    assert follows(web) == {OPENID: True}
    assert "已绑定" in phone.open(f"{phone.guest.page}?done=bound").text
    assert "/wechat" not in phone.open(phone.guest.page).text, "who is bound is not asked again"


def test_one_who_does_not_follow_is_bound_and_told_to_follow(phone: Phone, web: Served) -> None:
    assert phone.bind().location == f"{phone.guest.page}?done=follow#done"
    assert follows(web) == {OPENID: False}
    assert len(bindings(web)) == 2
    assert web.settings.wechat_name in phone.open(f"{phone.guest.page}?done=follow").words


def test_looking_changes_nothing_and_uses_no_code(phone: Phone, web: Served, gateway: Gateway) -> None:
    address = phone.come_back()
    for _again in range(3):
        page = phone.open(address)
        assert page.status == 200
        assert "示例鞋业有限公司" in page.text
        assert DIGITS not in page.words, "whoever was passed the link would know what to type"
    assert bindings(web) == []
    assert exchanges(gateway) == 0
    assert phone.send(page, DIGITS).status == 303


def test_wrong_digits_keep_the_code_for_another_try_and_are_bounded_as_on_the_page_of_codes(phone: Phone, web: Served, gateway: Gateway) -> None:
    page = phone.open(phone.come_back())
    for digits in ("8001", "", "+8613800138000", "８００１", "00"):
        answer = phone.send(page, digits)
        assert answer.status == 422
        assert 'id="fault-digits"' in answer.text
    assert exchanges(gateway) == 0
    answer = phone.send(page, DIGITS)
    assert answer.status == 429
    assert answer.headers["retry-after"] == "3600"
    by_code = web.post("/", {"code": phone.guest.code, "digits": DIGITS})
    assert by_code.status == 429, "the tries on one enterprise are one count, whatever the way in"
    assert bindings(web) == []


def test_full_width_digits_are_read_and_right_ones_are_not_counted(phone: Phone, web: Served) -> None:
    for _again in range(7):
        assert phone.bind("８０ ００").status == 303
    assert len([row for row in bindings(web) if row.ended_at is None]) == 2


def test_a_code_that_somebody_else_brought_along_binds_nobody(phone: Phone, web: Served, gateway: Gateway) -> None:
    """A stranger with a forwarded link sends the owner an address that holds the stranger's own code."""
    stranger = Phone(web, gateway, phone.guest, openid=STRANGER)
    trap = stranger.come_back()
    for cookie in ("", "wechat=0", "wechat=" + "0" * 24):
        phone.cookie = cookie
        assert phone.open(trap).status == 422
    phone.set_out()
    assert phone.open(trap).status == 422
    hidden = {name: values[0] for name, values in parse_qs(urlsplit(trap).query).items()}
    assert web.post(phone.path, hidden | {"digits": DIGITS}, Cookie=phone.cookie, **PHONE).status == 422
    assert bindings(web) == []
    assert exchanges(gateway) == 0


def test_the_state_of_one_link_is_none_of_another(phone: Phone, web: Served, gateway: Gateway) -> None:
    other = Phone(web, gateway, web.hall.guest(phone="+8613800139999"))
    address = phone.come_back()
    other.cookie = phone.cookie
    assert other.open(address.replace(phone.guest.page, other.guest.page)).status == 422


def test_a_code_used_before_is_refused_kindly(phone: Phone, web: Served) -> None:
    page = phone.open(phone.come_back())
    assert phone.send(page, DIGITS).status == 303
    again = phone.send(page, DIGITS)
    assert again.status == 409
    assert phone.guest.page in again.text
    assert len(bindings(web)) == 2


def test_the_openid_of_a_preview_is_bound_to_nobody(phone: Phone, web: Served) -> None:
    answer = phone.send(phone.open(phone.come_back(preview=True)), DIGITS)
    assert answer.status == 409
    assert "完整服务" in answer.words
    assert bindings(web) == []
    assert follows(web) == {}


@pytest.mark.parametrize("trouble", ["hang", "html", 40013])
def test_a_provider_that_does_not_answer_is_told_as_such_and_binds_nobody(phone: Phone, web: Served, gateway: Gateway, trouble: int | str) -> None:
    page = phone.open(phone.come_back())
    gateway.faults(wechat={"errors": [{"api": "sns/oauth2/access_token", "errcode": trouble, "times": None}]})
    answer = phone.send(page, DIGITS)
    assert answer.status in (409, 503)
    assert "secret" not in answer.text
    assert "sandbox" not in answer.text
    assert bindings(web) == []


def test_who_wants_no_more_messages_gets_none_in_wechat_either(phone: Phone, web: Served) -> None:
    phone.bind()
    assert web.post(f"/o/{phone.guest.token()}").status == 200
    with web.database.read() as session:
        rows = session.execute(text("select channel, value from address where suppressed_at is not null and suppressed_source = 'page'"))
        refused = {(row.channel, row.value) for row in rows}
    assert refused == {("sms", "+8613800138000"), ("wechat", OPENID)}


def test_a_new_phone_takes_the_place_of_the_old_one(phone: Phone, web: Served, gateway: Gateway) -> None:
    phone.bind()
    newer = Phone(web, gateway, phone.guest, openid=STRANGER)
    assert newer.bind().status == 303
    held = [(row.openid, row.contact_id) for row in bindings(web) if row.ended_at is None]
    assert held == [(STRANGER, 1), (STRANGER, 2)]


@pytest.mark.parametrize("address", ["?code=x", "?code=x&state=", "?code=<b>&state=" + "0" * 32, "?code=" + "x" * 300 + "&state=" + "0" * 32])
def test_what_wechat_never_sends_is_refused(phone: Phone, address: str) -> None:
    phone.set_out()
    assert phone.open(phone.path + quote(address, safe="?&=")).status == 422


def test_the_way_out_names_no_phone_and_comes_back_to_this_page_alone(phone: Phone, web: Served) -> None:
    asked = {name: values[0] for name, values in parse_qs(urlsplit(phone.set_out()).query).items()}
    assert asked["redirect_uri"] == f"{web.url}{phone.path}"
    assert (asked["scope"], asked["response_type"], asked["appid"]) == ("snsapi_base", "code", web.settings.wechat_app_id)
    assert re.fullmatch("[0-9a-f]{32}", asked["state"])
    assert phone.set_out() != phone.set_out(), "each time another state"


def test_the_cookie_is_of_this_page_alone_and_no_script_reads_it(phone: Phone, web: Served) -> None:
    said = web.get(phone.path, **PHONE).headers["set-cookie"]
    assert "HttpOnly" in said
    assert f"Path={phone.path}" in said
    assert "SameSite=lax" in said


def test_it_is_offered_to_wechats_browser_only_and_only_where_a_phone_can_confirm_it(phone: Phone, web: Served) -> None:
    assert f'href="{phone.path}"' in web.get(phone.guest.page, **PHONE).text
    assert phone.path not in web.get(phone.guest.page).text
    without = web.hall.guest(phone="")
    assert "/wechat" not in web.get(without.page, **PHONE).text
    assert web.get(f"{without.page}/wechat", **PHONE).status == 404
    english = web.get(f"{phone.guest.page}?lang=en", **PHONE).text
    assert f'href="{phone.path}?lang=en"' in english


def test_an_unknown_link_leads_nowhere(phone: Phone, web: Served) -> None:
    with web.database.write() as session:
        session.execute(text("update recipient set generation = generation + 1"))
    assert web.get(phone.path, **PHONE).status == 404


def test_an_office_whose_account_may_not_has_no_such_page(tmp_path: Path, new_sqlite: Callable[[], str], gateway: Gateway) -> None:
    with Served(tmp_path, new_sqlite(), sandbox_url=gateway.url) as web:
        guest = web.hall.guest()
        assert "/wechat" not in web.get(guest.page, **PHONE).text
        assert web.get(f"{guest.page}/wechat", **PHONE).location == guest.page
        assert web.post(f"{guest.page}/wechat", {"digits": DIGITS}).status in (404, 405)


def test_the_pages_weigh_less_than_thirty_kilobytes_and_load_nothing(phone: Phone) -> None:
    page = phone.open(phone.come_back())
    assert len(page.body) < 30_000
    assert len(phone.open(phone.guest.page).body) < 30_000
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r'(src|href)="https?:', page.text)
