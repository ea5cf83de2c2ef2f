"""WeChat calls over real HTTP: what people do is kept before it is answered, in the envelope it came in, once however often it is told."""

import hashlib
import http.client
import itertools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
import uvicorn
from sqlalchemy import text, update
from twilio.request_validator import RequestValidator
from visitors import Guest, Hall
from wechatpy.crypto import WeChatCrypto

from outreach import clock
from outreach.database.engine import Database
from outreach.database.tables import Address, Contact
from outreach.links import bindings
from outreach.settings import load
from outreach.web import app

PUBLIC = "https://office.example"
PATH = "/hooks/wechat"
ANNA = "oAnna_0000000000000000000001"
MOMENT = str(int(time.time()))
_numbers = itertools.count(2**40)


class Account:
    """The application behind uvicorn, and WeChat before it."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.settings = load(home, database_url=database_url, public_url=PUBLIC)
        self.database = Database(database_url)
        self.crypto = WeChatCrypto(self.settings.wechat_token, self.settings.wechat_aes_key, self.settings.wechat_app_id)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        config = uvicorn.Config(app.create(self.settings, Database(database_url)), loop="uvloop", http="httptools", access_log=False, log_config=None)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> "Account":
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *_ended: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.database.close()

    def ask(self, method: str, body: str = "", *, word: str | None = None, **query: str) -> tuple[int, str, bytes]:
        moment = {"timestamp": str(int(time.time())), "nonce": "839201"}
        signed = "".join(sorted([self.settings.wechat_token if word is None else word, *moment.values()]))
        asked = {"signature": hashlib.sha1(signed.encode()).hexdigest()} | moment | query
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, f"{PATH}?{urlencode(asked)}", body.encode(), {"Content-Type": "text/xml"})
            answer = connection.getresponse()
            return answer.status, answer.getheader("content-type") or "", answer.read()
        finally:
            connection.close()

    def tell(self, fields: str, *, openid: str = ANNA, at: int | None = None) -> str:
        """Tell of something that a person did, and return what he is answered; nothing where WeChat is only told `success`."""
        status, _kind, body = self.ask("POST", message(fields, openid, at))
        assert status == 200, body
        return "" if body == b"success" else str(ElementTree.fromstring(body).findtext("Content"))

    def says(self, words: str, *, openid: str = ANNA, number: int | None = None) -> str:
        return self.tell(typed(words, number or next(_numbers)), openid=openid)

    def count(self, what: str) -> int:
        with self.database.read() as session:
            return int(session.scalar(text(f"select count(*) from {what}")) or 0)

    def guest(self, **known: str) -> Guest:
        return Hall(self.settings, self.database, now=clock.now()).guest(**known)


def message(fields: str, openid: str = ANNA, at: int | None = None) -> str:
    head = f"<ToUserName><![CDATA[gh_office]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>"
    return f"<xml>{head}<CreateTime>{at or int(time.time())}</CreateTime>{fields}</xml>"


def typed(words: str, number: int) -> str:
    return f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{words}]]></Content><MsgId>{number}</MsgId>"


def event(name: str, fields: str = "") -> str:
    return f"<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{name}]]></Event>{fields}"


@pytest.fixture
def account(tmp_path: Path, database_url: str) -> Iterator[Account]:
    with Account(tmp_path, database_url) as running:
        yield running


@pytest.fixture
def lone_account(tmp_path: Path, new_sqlite: Callable[[], str]) -> Iterator[Account]:
    with Account(tmp_path, new_sqlite()) as running:
        yield running


def test_the_address_proves_to_be_the_offices(lone_account: Account) -> None:
    assert lone_account.ask("GET", echostr="48374839")[::2] == (200, b"48374839")
    assert lone_account.ask("GET", word="guess", echostr="48374839")[0] == 403
    assert lone_account.ask("PUT")[0] == 405
    assert lone_account.ask("POST", message(typed("退订", 1)), word="guess")[0] == 403
    assert lone_account.ask("POST", "<xml>")[0] == 400
    assert lone_account.count("reply") == 0


def test_an_owner_follows_types_his_code_and_digits_and_holds_his_link(account: Account) -> None:
    guest = account.guest(contact="张建国")
    assert "请发送短信或公开信中的6位签署码" in account.tell(event("subscribe"))
    assert "后四位" in account.says(guest.code.lower())
    link = re.search(rf"{PUBLIC}(/p/\S+)", account.says("8000"))
    assert link
    connection = http.client.HTTPConnection("127.0.0.1", account.port, timeout=20)
    connection.request("GET", link[1])
    answer = connection.getresponse()
    assert answer.status == 200
    answer.read()
    connection.close()
    assert account.count("binding where ended_at is null and way = 'conversation'") == 1
    assert account.tell(event("unsubscribe")) == ""
    assert account.count("binding where ended_at is null") == 0


def test_a_message_told_three_times_and_at_once_is_one_message_with_one_answer(account: Account) -> None:
    guest = account.guest()
    account.says(guest.code)
    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(lambda _time: account.says("9999", number=77), range(3)))
    assert len(set(told)) == 1
    assert account.count("reply") == 2
    assert account.count("attempts where key like 'code:%' and used = 1") == 1


def test_what_came_encrypted_is_answered_encrypted(account: Account) -> None:
    guest = account.guest()
    envelope = account.crypto.encrypt_message(message(typed(f"{guest.code} 8000", 5)), "839201", MOMENT)
    fields = ElementTree.fromstring(envelope)
    query = {"encrypt_type": "aes", "msg_signature": str(fields.findtext("MsgSignature")), "nonce": "839201", "timestamp": MOMENT}
    signed = "".join(sorted([account.settings.wechat_token, query["timestamp"], query["nonce"]]))
    status, _kind, body = account.ask("POST", envelope, **query, signature=hashlib.sha1(signed.encode()).hexdigest())
    assert status == 200
    outer = ElementTree.fromstring(body)
    opened = account.crypto.decrypt_message(body, outer.findtext("MsgSignature"), outer.findtext("TimeStamp"), outer.findtext("Nonce"))
    inner = ElementTree.fromstring(opened)
    assert f"{PUBLIC}/p/" in str(inner.findtext("Content"))
    assert (inner.findtext("ToUserName"), inner.findtext("FromUserName")) == (ANNA, "gh_office")


def test_an_unknown_event_is_answered_and_forgotten(lone_account: Account) -> None:
    assert lone_account.tell(event("LOCATION", "<Latitude>30.1</Latitude>")) == ""
    assert lone_account.count("reply") == lone_account.count("follower") == 0


def test_a_flood_of_people_is_answered_well_within_five_seconds_each(account: Account) -> None:
    hall = Hall(account.settings, account.database, now=clock.now())
    numbers = itertools.count()

    def flood() -> float:
        """Return how long the slowest of a hundred people waited for his answer."""
        people = [(hall.guest(phone=f"+861380000{number:04d}").code, number) for number in itertools.islice(numbers, 100)]

        def talk(code: str, number: int) -> float:
            began = time.monotonic()
            assert f"{PUBLIC}/p/" in account.says(f"{code} {number:04d}", openid=f"oPerson{number:04d}")
            return time.monotonic() - began

        with ThreadPoolExecutor(50) as pool:
            return max(pool.map(talk, *zip(*people, strict=True)))

    # A machine that is busy with something else for a moment is not what this asks after.
    assert any(flood() < 4 for _time in range(3))
    assert account.count("binding where ended_at is null") % 100 == 0


def test_who_says_stop_by_text_is_left_alone_in_wechat_too_and_start_undoes_it(tmp_path: Path, new_sqlite: Callable[[], str]) -> None:
    with Account(tmp_path, new_sqlite()) as account:
        guest = account.guest(phone="+8613800138000")
        with account.database.write() as session:
            [contact] = [row.id for row in session.query(Contact)]
            bindings.bind(session, ANNA, [contact], way="oauth", now=clock.now())
        assert guest.code

        def text_in(number: int, words: str) -> None:
            form = {"MessageSid": f"SM{number:032x}", "From": "+8613800138000", "To": "+15005550006", "Body": words}
            signature = RequestValidator(account.settings.twilio_auth_token).compute_signature(f"{PUBLIC}/hooks/twilio/inbound", form)
            connection = http.client.HTTPConnection("127.0.0.1", account.port, timeout=20)
            headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
            connection.request("POST", "/hooks/twilio/inbound", urlencode(form).encode(), headers)
            assert connection.getresponse().status == 204
            connection.close()

        text_in(1, "退订")
        assert account.count("address where suppressed_source = 'reply'") == 2
        text_in(2, "恢复")
        assert account.count("address where suppressed_at is not null") == 0
        text_in(1, "退订")
        assert account.count("address where suppressed_at is not null") == 0, "an old word told again"
        text_in(3, "退订")
        with account.database.write() as session:
            session.execute(update(Address).where(Address.channel == "wechat").values(suppressed_source="staff"))
        text_in(4, "恢复")
        assert account.count("address where suppressed_at is not null and channel = 'wechat'") == 1
