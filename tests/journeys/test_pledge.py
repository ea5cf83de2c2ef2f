"""An owner types the code of a text and signs; staff see it counted once, everywhere: as strangers do it, over HTTP and the command line."""

import contextlib
import http.client
import re
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from office import CONTENT, Stranger, until

GOAL = '{ pledge = "no-arrears-2026" }'


class Phone:
    """A phone's browser without JavaScript: it follows redirects, and keeps nothing else."""

    def __init__(self, office: Stranger) -> None:
        self.base = f"http://127.0.0.1:{office.web}"

    def get(self, path: str) -> tuple[int, str, str]:
        return self._answer(urllib.request.Request(self.base + path))

    def post(self, path: str, **fields: Any) -> tuple[int, str, str]:
        return self._answer(urllib.request.Request(self.base + path, data=urllib.parse.urlencode(fields, doseq=True).encode()))

    def _answer(self, request: urllib.request.Request) -> tuple[int, str, str]:
        request.add_header("User-Agent", "Mozilla/5.0 (Linux; Android 8.0) MicroMessenger/7.0.1")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, urllib.parse.urlsplit(response.url).path, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, urllib.parse.urlsplit(error.url or "").path, error.read().decode()

    def enter(self, code: str, phone: str) -> str:
        """Type a code and the last four digits, and return the personal page's path."""
        status, path, page = self.post("/", code=code, digits=phone[-4:])
        assert (status, path[:3]) == (200, "/p/"), page
        return path

    def sign(self, path: str, **more: Any) -> tuple[int, str, str]:
        return self.post(f"{path}/sign", signer="王建国", capacity="legal_representative", agree="1", all="1", **more)


@pytest.fixture
def office(tmp_path: Path, database_url: str):
    with Stranger(tmp_path / "office", None if database_url.startswith("sqlite") else database_url) as office:
        office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"), "--rejects", str(office.home / "rejects.csv"))
        yield office


def texts(office: Stranger) -> dict[str, str]:
    """Return the code that each phone got, from the gateway's own ledger."""
    return {line["to"]: re.search("签署码([2-9A-Z]{6})", line["body"])[1] for line in office.ledger()}


def test_owners_open_their_texts_and_sign_and_every_figure_shows_it_once(office: Stranger) -> None:
    plan = office.approved("drive", goal=GOAL)
    office.serve()
    office.json("campaign", "launch", "drive")
    phone, codes = Phone(office), texts(office)
    first, second, third, fourth, fifth = list(codes.items())[:5]

    before = office.sql("select count(*) from enterprise where opened_at is not null")
    path = phone.enter(first[1].lower(), first[0])
    for _prefetch in range(3):
        assert phone.get(path)[0] == 200
    assert office.sql("select count(*) from enterprise where opened_at is not null") == before, "a GET changes nothing"
    assert office.sql("select count(*) from evidence") == [(0,)]

    status, _path, page = phone.sign(path)
    serial = re.search(r"\d{4}-\d{6}", page)[0]
    again = phone.sign(path)
    assert (status, again[0], re.search(r"\d{4}-\d{6}", again[2])[0]) == (200, 200, serial), "a second POST gives back the first signature"

    assert phone.sign(phone.enter(second[1], second[0]), honour="1")[0] == 200
    declined = phone.enter(third[1], third[0])
    assert phone.post(f"{declined}/decline", reason="要先问律师", all="1")[0] == 200
    corrected = phone.enter(fourth[1], fourth[0])
    assert phone.post(f"{corrected}/correct", kind="not_principal", detail="找李四")[0] == 200
    assert phone.post("/", code=fifth[1], digits="0000")[0] == 422
    assert phone.get("/p/" + "x" * 30)[0] == 404

    signed = office.sql("select count(*) from signature where state = 'signed'")[0][0]
    status_of = office.json("campaign", "status", "drive")
    funnel = status_of["funnel"][0]
    assert (funnel["included"], funnel["opened"]) == (plan["recipients"], 4)
    assert funnel["signed"] == 2
    statement = office.json("campaign", "statement", "drive")["enterprises"]
    assert statement["adds_up"]
    assert (statement["signed"], statement["declined"]) == (signed, office.sql("select count(*) from refusal")[0][0])
    report = office.json("report", "signatures", "--campaign", "drive", "--by", "town")
    assert report["totals"]["signed"] == signed
    assert office.json("pledges", "corrections")["rows"][0]["detail"] == "找李四"
    assert office.json("pledges", "audit")["ok"]
    assert re.search("龙|公司|厂|店|部", phone.get("/honour-roll")[2])


@pytest.mark.long
def test_signed_enterprises_are_not_reminded_and_a_withdrawal_stays_in_the_books(office: Stranger) -> None:
    path = office.campaign("drive", goal=GOAL)
    reminder = '[[step]]\nchannel = "sms"\ntemplate = "sms/pledge-reminder"\nwhen = "unsigned"\nafter = "2s"\n'
    path.write_text(path.read_text("utf-8") + reminder, "utf-8")
    plan = office.json("campaign", "plan", str(path), signed="alice")
    office.ok("campaign", "approve", "drive", "--code", plan["code"], signed="bob")
    office.serve()
    office.json("campaign", "launch", "drive", "--first", "20")
    phone, codes = Phone(office), texts(office)
    mine = list(codes.items())[:6]
    pages = [phone.enter(code, number) for number, code in mine]
    serials = [re.search(r"\d{4}-\d{6}", phone.sign(page)[2])[0] for page in pages[:4]]
    phone.post(f"{pages[4]}/decline", reason="", all="1")
    withdrawn = office.json("pledges", "withdraw", serials[0], "--reason", "签错单位")
    assert withdrawn["state"] == "withdrawn"
    time.sleep(2)  # the step's own `after`, for those who were written to first
    office.json("campaign", "launch", "drive")
    settled = {number for number, _code in mine[:5]}
    reminded = [line["to"] for line in office.ledger() if "待签订" in line["body"]]
    assert len(reminded) == len(set(reminded))
    assert reminded
    assert not settled & set(reminded), "signed, declined and withdrawn stop everything"
    assert mine[5][0] in reminded
    history = office.sql(f"select state, ended_reason from signature where serial = '{serials[0]}'")
    assert history == [("withdrawn", "签错单位")]
    assert office.json("pledges", "audit")["ok"]
    statement = office.json("campaign", "statement", "drive")
    assert statement["enterprises"]["adds_up"]
    assert all(step["adds_up"] for step in statement["steps"])


@pytest.mark.long
def test_a_link_in_a_text_where_the_sender_allows_it_leads_to_the_page(office: Stranger) -> None:
    folder = office.home / "templates" / "sms"
    folder.mkdir(parents=True, exist_ok=True)
    head = '+++\ntitle = "邀请"\nchannel = "sms"\nkind = "通知"\n+++\n'
    (folder / "by-link.txt").write_text(head + "{{ 负责人 }}您好：请阅读并自愿签订《不欠薪倡议书》 {{ 专属链接 }} 核实请拨{{ 咨询电话 }}。", "utf-8")
    settings = office.home / "outreach.toml"
    sender = '\n[[sender]]\nname = "sms"\nchannel = "sms"\nprovider = "twilio"\nprefixes = ["+86"]\nlinks = "allowed"\n'
    settings.write_text(settings.read_text("utf-8") + sender, "utf-8")
    path = office.campaign("drive", goal=GOAL)
    path.write_text(path.read_text("utf-8").replace("sms/pledge-invitation", "sms/by-link"), "utf-8")
    plan = office.json("campaign", "plan", str(path), signed="alice")
    office.ok("campaign", "approve", "drive", "--code", plan["code"], signed="bob")
    office.serve()
    office.faults(seed=3, mix={"drop_after_accept": 0.2})
    office.json("campaign", "launch", "drive", "--first", "30")
    ledger = office.ledger()
    links = {re.search(r"http://\S+(/p/[\w-]{30})", line["body"])[1] for line in ledger}
    assert len(links) == len(ledger) == 30, "each its own, and what was uncertain was not sent twice"
    assert not any(link.removeprefix("/p/") in str(row) for link in links for row in office.sql("select fields from recipient")), "stored nowhere"
    phone = Phone(office)
    link = sorted(links)[0]
    assert "王建国" not in phone.get(link)[2]
    assert phone.sign(link)[0] == 200
    assert office.sql("select way from signature") == [("link",)] * office.sql("select count(*) from signature")[0][0]


@pytest.mark.long
@pytest.mark.chaos
def test_a_web_server_killed_while_people_sign_loses_no_signature_it_confirmed_and_doubles_none(office: Stranger) -> None:
    office.approved("drive", goal=GOAL)
    office.serve()
    office.json("campaign", "launch", "drive")
    phone = Phone(office)
    pages = [phone.enter(code, number) for number, code in list(texts(office).items())[:120]]
    confirmed: list[str] = []

    def sign(path: str) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, _path, page = phone.sign(path)
            if status == 200:
                confirmed.extend(re.findall(r"\d{4}-\d{6}", page)[:1])

    with ThreadPoolExecutor(16) as people:
        asked = [people.submit(sign, path) for path in pages]
        until(lambda: len(confirmed) >= 15, seconds=60)
        web = office.children.pop()
        web.send_signal(signal.SIGKILL)
        web.wait()
    assert all(one.done() for one in asked)
    assert 15 <= len(confirmed) < 120, "the kill came at no moment that proves anything"
    kept = {serial for (serial,) in office.sql("select serial from signature")}
    assert set(confirmed) <= kept, "what was confirmed is there"
    office.serve_web()
    for path in pages:
        assert phone.sign(path)[0] == 200, "whoever got no answer asks again"
    assert office.sql("select enterprise_id from signature group by enterprise_id having count(*) > 1") == [], "nobody twice"
    assert office.sql("select count(distinct recipient_id) from signature") == [(120,)], "and nobody forgotten"
    assert office.json("pledges", "audit")["ok"]
