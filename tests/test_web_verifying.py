"""What anybody may see of a pledge by its number, and the check of a file, over plain HTTP."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from served import SIGNING, Answer, Served
from sqlalchemy import select, text
from visitors import Guest

from outreach import clock
from outreach.database.engine import Database
from outreach.database.pledge_tables import Signature
from outreach.pledges import sealing
from outreach.web import verifying

BOUNDARY = "----line"
PDF = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


@pytest.fixture
def web(tmp_path: Path, new_sqlite: Callable[[], str]) -> Iterator[Served]:
    with Served(tmp_path, new_sqlite()) as served:
        yield served


@pytest.fixture
def web_of_either(tmp_path: Path, database: Database) -> Iterator[Served]:
    with Served(tmp_path, database.url) as served:
        yield served


def signed(web: Served, name: str = "示例鞋业有限公司") -> tuple[Guest, str]:
    guest = web.hall.guest(name)
    assert web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[0]}).status == 303
    with web.database.read() as session:
        return guest, session.scalars(select(Signature.serial).order_by(Signature.id.desc())).first() or ""


def upload(web: Served, serial: str, content: bytes, *, name: str = "file") -> Answer:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="a.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
    body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    return web.post(f"/v/{serial}", body, **{"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})


def test_a_number_shows_what_is_proved_and_what_is_not_and_nobodys_name(web_of_either: Served) -> None:
    web = web_of_either
    _guest, serial = signed(web)
    page = web.get(f"/v/{serial}")
    assert page.status == 200
    assert "这份承诺书已签订，有效。" in page.words and "示例鞋业有限公司" in page.words
    assert "即将封入存证链" in page.words
    assert "不能证明" in page.words and "未核验身份证件" in page.words
    assert "张建国" not in page.text and "8000" not in page.text
    with web.database.write() as session:
        sealing.close_block(session, now=clock.now())
    assert "存证链第1区块" in web.get(f"/v/{serial}").words


def test_a_number_that_nobody_has_is_a_page_too(web_of_either: Served) -> None:
    web = web_of_either
    for serial in ("2026-999999", "x", "%27%20or%201=1", "%00", "%ED%A0%80", "2026-" + "9" * 500):
        answer = web.get(f"/v/{serial}")
        assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "没有这个编号" in answer.words


def test_a_withdrawn_pledge_says_so(web: Served) -> None:
    guest, serial = signed(web)
    web.post(f"{guest.page}/withdraw", {"serial": serial, "reason": "误签，原因只给机关看"})
    page = web.get(f"/v/{serial}")
    assert "这份承诺书已撤回。" in page.words and "误签" not in page.text


def test_a_row_that_was_altered_is_found_out(web: Served) -> None:
    _guest, serial = signed(web)
    with web.database.write() as session:
        session.execute(text("update signature set enterprise = '别的公司'"))
    page = web.get(f"/v/{serial}")
    assert "记录与存证不一致" in page.words and "已签订，有效" not in page.words


def test_a_download_is_the_same_each_time_and_is_recognised(web: Served) -> None:
    guest, serial = signed(web)
    one, two = (web.get(f"{guest.page}/pdf/{serial}") for _time in range(2))
    assert one.status == 200 and one.headers["content-type"] == "application/pdf"
    assert one.body == two.body and one.body.startswith(b"%PDF-")
    assert f'filename="{serial}.pdf"' in one.headers["content-disposition"]
    assert one.headers["cache-control"] == "no-store" and one.headers["referrer-policy"] == "no-referrer"
    assert "此文件真实" in upload(web, serial, one.body).words


def test_a_pdf_is_handed_out_to_those_who_speak_for_the_enterprise_only(web: Served) -> None:
    _guest, serial = signed(web)
    other = web.hall.guest()
    assert web.get(f"{other.page}/pdf/{serial}").status == 404
    assert web.get(f"/p/unknown/pdf/{serial}").status == 404
    assert web.get(f"{other.page}/pdf/2026-999999").status == 404


def test_a_file_that_was_changed_is_foreign_or_belongs_elsewhere_is_told_apart(web: Served) -> None:
    guest, serial = signed(web)
    _other, another = signed(web, "另一家有限公司")
    content = web.get(f"{guest.page}/pdf/{serial}").body
    middle = len(content) // 2
    altered = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    assert "此文件真实" not in upload(web, serial, altered).words
    assert "此文件不是本机关出具的" in upload(web, serial, PDF).words
    assert f"它属于另一编号：{serial}" in upload(web, another, content).words
    for rubbish in (b"%PDF-", b"\x00" * 1000, b"<html>", content[:-200]):
        assert "此文件真实" not in upload(web, serial, rubbish).words


def test_what_is_no_upload_is_refused_with_a_page(web: Served) -> None:
    _guest, serial = signed(web)
    for answer in (upload(web, serial, b""), upload(web, serial, PDF, name="other")):
        assert answer.status == 422 and "请选择文件" in answer.words
    assert web.post(f"/v/{serial}", {"file": "a"}).status == 422
    assert web.post(f"/v/{serial}", b"rubbish", **{"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}).status == 422
    assert web.post(f"/v/{serial}", b"rubbish", **{"Content-Type": "multipart/form-data"}).status == 422
    assert upload(web, serial, b"%PDF-" + b"0" * (verifying.LARGEST + 1)).status == 413


def test_the_honour_roll_shows_those_who_agreed_by_town_and_no_person(web_of_either: Served) -> None:
    web = web_of_either
    names = {"甲有限公司": "逍林镇", "乙<b>有限公司": "周巷镇", "丙有限公司": "", "没有同意的公司": "逍林镇"}
    for name, town in names.items():
        guest = web.hall.guest(name, town=town)
        agreed = {} if "没有" in name else {"honour": "1"}
        web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[0]} | agreed)
    page = web.get("/honour-roll")
    assert page.status == 200
    assert all(name in page.words for name in ("甲有限公司", "乙<b>有限公司", "丙有限公司"))
    assert "没有同意" not in page.text and "张建国" not in page.text
    only = web.get("/honour-roll?town=%E5%91%A8%E5%B7%B7%E9%95%87")
    assert "乙<b>有限公司" in only.words and "甲有限公司" not in only.words
    for odd in ("town=%00", "after=x", "after=99999999999999999999", "town=" + "a" * 1000, "town=%ED%A0%80", "lang=xx"):
        assert web.get(f"/honour-roll?{odd}").status == 200
