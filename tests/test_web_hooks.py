"""The providers' callbacks over real HTTP: who may call, what is refused, and that a confirmed one is in the database."""

import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
import uvicorn
from sqlalchemy import text
from twilio.request_validator import RequestValidator

from outreach import settings
from outreach.database.engine import Database
from outreach.web import app, server

PUBLIC = "https://office.example"
STATUS = "/hooks/twilio/status?a=7.1"
INBOUND = "/hooks/twilio/inbound"
PHONE = "+8613800138000"
RECEIPT = {"MessageSid": "SM" + "1" * 32, "MessageStatus": "delivered", "To": PHONE, "AccountSid": "AC" + "0" * 32, "Umlaut": "ä 企业"}
REPLY = {"MessageSid": "SM" + "2" * 32, "From": PHONE, "To": "+15005550006", "Body": "退订"}
FORM = "application/x-www-form-urlencoded"


class Web:
    """The application behind uvicorn, on a port of the loopback that its public address knows nothing of."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.settings = settings.load(home, database_url=database_url, public_url=PUBLIC)
        self.database = Database(database_url)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        config = uvicorn.Config(app.create(self.settings, Database(database_url)), loop="uvloop", http="httptools", access_log=False, log_config=None)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> "Web":
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *_ended: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.database.close()

    def ask(self, method: str, path: str, body: bytes | Iterator[bytes] = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def post(self, path: str, form: dict[str, str], *, signed: str | None = None, **headers: str) -> int:
        signature = signature_of(path, form) if signed is None else signed
        return self.ask("POST", path, urlencode(form).encode(), Content_Type=FORM, X_Twilio_Signature=signature, **headers)[0]

    def count(self, what: str) -> int:
        with self.database.read() as session:
            return int(session.scalar(text(f"select count(*) from {what}")) or 0)


def signature_of(path: str, form: dict[str, str], *, token: str = "sandbox") -> str:
    signature: str = RequestValidator(token).compute_signature(PUBLIC + path, form)
    return signature


@pytest.fixture
def web(tmp_path: Path, database_url: str) -> Iterator[Web]:
    with Web(tmp_path, database_url) as running:
        yield running


@pytest.fixture
def lone_web(tmp_path: Path, new_sqlite: Callable[[], str]) -> Iterator[Web]:
    """The same on SQLite only, for rules that no database has a part in."""
    with Web(tmp_path, new_sqlite()) as running:
        yield running


def error_of(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str]:
    document = json.loads(answer[2])
    assert set(document) == {"error"}
    assert set(document["error"]) == {"id", "message"}
    assert b"\n" not in answer[2]
    return answer[0], document["error"]["id"]


def test_a_receipt_is_in_the_database_when_it_is_confirmed_be_it_unknown_or_a_repetition(web: Web) -> None:
    for times in (1, 2):
        assert web.post(STATUS, RECEIPT) == 204
        assert web.count("receipt where status = 'delivered' and delivery_id is null") == times
    assert web.post("/hooks/twilio/status", RECEIPT | {"MessageStatus": "undelivered", "ErrorCode": "30005"}) == 204
    assert web.count("receipt where status = 'undelivered' and error_code = '30005'") == 1


def test_a_reply_that_says_no_suppresses_its_sender(web: Web) -> None:
    assert [web.post(INBOUND, REPLY) for _time in range(2)] == [204, 204]
    assert web.count("reply where meaning = 'opt_out'") == 1
    assert web.count(f"address where value = '{PHONE}' and suppressed_at is not null") == 1


def test_a_flood_is_kept_to_the_last_one(web: Web) -> None:
    forms = [RECEIPT | {"MessageSid": f"SM{number:032x}"} for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda form: web.post(STATUS, form), forms)) == {204}
    assert web.count("receipt") == len(forms)


def test_whoever_cannot_sign_is_refused_and_nothing_is_kept(lone_web: Web) -> None:
    good = signature_of(STATUS, RECEIPT)
    forged = {
        "missing": lone_web.ask("POST", STATUS, urlencode(RECEIPT).encode(), Content_Type=FORM)[0],
        "empty": lone_web.post(STATUS, RECEIPT, signed=""),
        "another token": lone_web.post(STATUS, RECEIPT, signed=signature_of(STATUS, RECEIPT, token="guess")),
        "another form": lone_web.post(STATUS, RECEIPT | {"MessageStatus": "failed"}, signed=good),
        "one field more": lone_web.post(STATUS, RECEIPT | {"ErrorCode": "30005"}, signed=good),
        "another attempt": lone_web.post("/hooks/twilio/status?a=8.1", RECEIPT, signed=good),
        "another door": lone_web.post(INBOUND, RECEIPT, signed=good),
        "a letter that no signature has": lone_web.post(STATUS, RECEIPT, signed="é"),
    }
    assert set(forged.values()) == {403}, forged
    assert lone_web.count("receipt") == lone_web.count("reply") == 0
    assert lone_web.post(STATUS, RECEIPT, signed=good) == 204


@pytest.mark.parametrize("host", ["evil.example", "evil.example#", "evil.example?x=", "[", "a b"])
def test_the_signature_is_held_against_our_own_address_whatever_the_host_header_says(lone_web: Web, host: str) -> None:
    assert lone_web.post(STATUS, RECEIPT, Host=host, X_Forwarded_Host=host) == 204


@pytest.mark.parametrize(
    ("kind", "body", "name", "said"),
    [
        ("application/json", b"{}", "not_a_form", "came as application/json; a callback is a form"),
        ("", b"MessageSid=SM1", "not_a_form", "a callback is a form"),
        (FORM, b"MessageSid", "form_broken", "cannot be read"),
        (FORM, b"MessageSid=%FF%FE", "form_broken", "not UTF-8"),
        (FORM, b"\xff=1", "form_broken", "not UTF-8"),
        (FORM, b"&".join(b"a%d=1" % number for number in range(300)), "form_broken", "more than 200 fields"),
    ],
)
def test_what_is_no_form_is_refused_with_what_it_is(lone_web: Web, kind: str, body: bytes, name: str, said: str) -> None:
    answer = lone_web.ask("POST", STATUS, body, Content_Type=kind, X_Twilio_Signature="x")
    assert error_of(answer) == (400, name)
    assert said in json.loads(answer[2])["error"]["message"]


@pytest.mark.parametrize("path", [STATUS, INBOUND])
def test_a_signed_form_without_what_matters_is_refused(lone_web: Web, path: str) -> None:
    for form in ({"Other": "1"}, {"MessageSid": "SM1"}, {"MessageSid": "SM1", "MessageStatus": "flying"}):
        assert lone_web.post(path, form) == 400
    assert lone_web.count("receipt") == lone_web.count("reply") == 0


@pytest.mark.parametrize(
    ("form", "name", "said"),
    [
        ({"MessageSid": "SM1", "MessageStatus": "flying"}, "status_unknown", "MessageStatus of this callback is 'flying', which is none of: "),
        ({"MessageSid": "SM1"}, "malformed_callback", "lacks MessageStatus"),
        ({"MessageStatus": "sent"}, "malformed_callback", "lacks MessageSid"),
    ],
)
def test_a_signed_form_is_told_what_it_lacks_or_which_value_is_unknown(lone_web: Web, form: dict[str, str], name: str, said: str) -> None:
    headers = {"Content_Type": FORM, "X_Twilio_Signature": signature_of(STATUS, form)}
    answer = lone_web.ask("POST", STATUS, urlencode(form).encode(), **headers)
    assert error_of(answer) == (400, name)
    assert said in json.loads(answer[2])["error"]["message"]


def test_the_id_of_an_error_is_snake_case(lone_web: Web) -> None:
    assert error_of(lone_web.ask("POST", STATUS, urlencode(RECEIPT).encode(), Content_Type=FORM)) == (403, "bad_signature")


def test_what_is_too_large_is_refused_with_and_without_a_stated_length(lone_web: Web) -> None:
    large = b"Body=" + b"x" * 70_000
    assert error_of(lone_web.ask("POST", INBOUND, large, Content_Type=FORM)) == (413, "too_large")
    pieces = (large[place : place + 5000] for place in range(0, len(large), 5000))
    assert lone_web.ask("POST", INBOUND, pieces, Content_Type=FORM)[0] == 413


def test_only_a_post_is_a_callback(lone_web: Web) -> None:
    for path in (STATUS, INBOUND):
        assert error_of(lone_web.ask("GET", path)) == (405, "method_not_allowed")
        assert lone_web.ask("HEAD", path)[0] == 405
        assert lone_web.ask("PUT", path)[1]["allow"] == "POST"
    assert error_of(lone_web.ask("POST", "/hooks/nobody")) == (404, "not_found")


def test_a_fault_of_ours_is_one_line_and_names_nobody(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    with web.database.write() as session:
        session.execute(text("drop table reply"))
    caplog.set_level(logging.DEBUG)
    answer = web.ask("POST", INBOUND, urlencode(REPLY).encode(), Content_Type=FORM, X_Twilio_Signature=signature_of(INBOUND, REPLY))
    assert error_of(answer) == (500, "internal_error")
    said = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in said] == ["outreach.web"]
    assert PHONE not in caplog.text


def test_a_fault_of_ours_names_the_path_without_what_stands_in_it_for_a_person(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    with web.database.write() as session:
        session.execute(text("alter table signature rename to elsewhere"))
    assert web.ask("GET", "/v/2026-000317")[0] == 500
    assert "/v/…" in caplog.text
    assert "000317" not in caplog.text
    assert REPLY["MessageSid"] not in caplog.text
    assert web.post(STATUS, RECEIPT) == 204


def test_health_says_whether_the_database_answers(web: Web, tmp_path: Path) -> None:
    status, _headers, body = web.ask("GET", "/healthz")
    said = json.loads(body)
    assert (status, said) == (200, {"ok": True, "mode": "rehearsal", "database": web.database.engine.dialect.name, "office": said["office"]})
    with Web(tmp_path, "postgresql+psycopg://nobody@127.0.0.1:1/nothing") as cut_off:
        status, _headers, body = cut_off.ask("GET", "/healthz")
        another = json.loads(body)
        assert (status, another["ok"], another["database"]) == (503, False, "postgresql")
        assert another["office"] != said["office"]
        assert cut_off.post(STATUS, RECEIPT) == 503


def test_an_address_that_cannot_be_had_is_refused_with_the_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(server.PortTaken, match="is taken; stop what listens there"):
        server.serve(settings.load(tmp_path, port=taken.getsockname()[1]))
    with pytest.raises(server.AddressRefused, match=r"Nothing can be served at 192\.0\.2\.1:8000"):
        server.serve(settings.load(tmp_path, host="192.0.2.1"))


def test_the_server_ends_at_sigterm_without_a_word(tmp_path: Path, new_sqlite: Callable[[], str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"OUTREACH_HOME": str(tmp_path), "OUTREACH_DATABASE_URL": new_sqlite(), "OUTREACH_PORT": str(port)}
    command = [sys.executable, "-m", "outreach", "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None
                time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=15) == ("", "")
        assert process.returncode == 0
