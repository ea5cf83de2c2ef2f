"""Papers that a visitor may take along: made in the request, his own alone, and nothing is changed by fetching them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pypdfium2
import pytest
from papers import codes, words
from served import SIGNING, Answer, Served
from sqlalchemy import insert, text, update
from visitors import Guest

from outreach.database.engine import Database
from outreach.database.tables import CampaignStep, Enterprise, MessageText, Recipient
from outreach.rendering import layouts
from outreach.web import papers


@pytest.fixture
def web(tmp_path: Path, new_sqlite: Callable[[], str]) -> Iterator[Served]:
    with Served(tmp_path, new_sqlite()) as served:
        yield served


@pytest.fixture
def web_of_either(tmp_path: Path, database: Database) -> Iterator[Served]:
    with Served(tmp_path, database.url) as served:
        yield served


def pages(answer: Answer) -> int:
    with closing(pypdfium2.PdfDocument(answer.body)) as document:
        return len(document)


def said(answer: Answer) -> str:
    return words(answer.body).replace(" ", "")


def link(web: Served, guest: Guest, way: str = "link") -> str:
    return f"{web.url}/p/{guest.token(way)}"


def post_letters(web: Served, source: str) -> None:
    """Give the campaign a step by letter, with a text of its own."""
    with web.database.write() as session:
        layout = layouts.load("letter/letter", web.settings.template_folders).frozen()
        known = {"digest": "d", "name": "letter/own", "source": source, "signature": "", "layout": layout}
        number = session.execute(insert(MessageText).values(known).returning(MessageText.id)).scalar_one()
        step = {"campaign_id": web.hall.campaign_id, "number": 1, "channel": "letter", "template": "letter/own", "condition": "always", "text_id": number}
        session.execute(insert(CampaignStep).values(step))


@pytest.mark.parametrize("way", ["link", "code", "wechat"])
def test_the_letter_is_the_visitors_own_with_code_and_link(web_of_either: Served, way: str) -> None:
    web, guest = web_of_either, web_of_either.hall.guest("示例鞋业有限公司", contact="张建国")
    answer = web.get(f"/p/{guest.token(way)}/letter.pdf")
    assert (answer.status, answer.headers["content-type"], answer.headers["cache-control"]) == (200, "application/pdf", "no-store")
    assert answer.headers["content-disposition"] == "attachment; filename=\"letter.pdf\"; filename*=UTF-8''%E5%85%AC%E5%BC%80%E4%BF%A1.pdf"
    assert codes(answer.body) == [link(web, guest)], "whatever way he came, the letter leads back as the posted one does"
    for part in ("示例鞋业有限公司张建国：", "“示例市无欠薪”行动", guest.code, web.settings.office_name):
        assert part in said(answer), part
    assert answer.body == web.get(f"/p/{guest.token(way)}/letter.pdf").body


def test_where_letters_are_posted_it_is_the_text_that_is_posted(web: Served) -> None:
    guest = web.hall.guest("示例鞋业有限公司")
    post_letters(web, '+++\ntitle = "另一封信"\n+++\n{{ 企业名称 }}：\n请看{{ 签署码 }}。\n')
    shown = said(web.get(f"{guest.page}/letter.pdf"))
    assert "另一封信" in shown and f"请看{guest.code}。" in shown and "诚邀贵企业" not in shown


def test_the_form_has_a_page_for_each_enterprise_that_has_not_signed(web_of_either: Served) -> None:
    web, guest = web_of_either, web_of_either.hall.guest("甲有限公司", "乙有限公司", "丙有限公司")
    web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[1]})
    answer = web.get(f"{guest.page}/form.pdf")
    assert (answer.status, pages(answer)) == (200, 2)
    assert codes(answer.body) == [f"{link(web, guest, 'paper')}#{guest.enterprise_ids[place]}" for place in (2, 0)], "by name"
    assert "乙有限公司" not in said(answer)
    web.post(f"{guest.page}/sign", SIGNING | {"all": "1"})
    nobody = web.get(f"{guest.page}/form.pdf")
    assert nobody.status == 409 and "text/html" in nobody.headers["content-type"]


def test_both_are_offered_on_the_page_and_the_form_only_while_there_is_something_to_sign(web: Served) -> None:
    guest = web.hall.guest()
    assert [f"{guest.page}/{name}.pdf" in web.get(guest.page).text for name in ("letter", "form")] == [True, True]
    web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[0]})
    assert [f"{guest.page}/{name}.pdf" in web.get(guest.page).text for name in ("letter", "form")] == [True, False]
    assert "/letter.pdf?lang=en" in web.get(f"{guest.page}?lang=en").text


@pytest.mark.parametrize("name", ["letter", "form"])
def test_nobody_gets_a_paper_by_a_link_that_is_none_or_no_more(web: Served, name: str) -> None:
    guest = web.hall.guest()
    assert web.get(f"/p/unknown/{name}.pdf").status == 404
    assert web.get(f"/p/{guest.token()[:-1]}x/{name}.pdf").status == 404
    with web.database.write() as session:
        session.execute(update(Recipient).values(generation=2))
    assert web.get(f"{guest.page}/{name}.pdf").status == 404


def test_fetching_papers_changes_nothing(web_of_either: Served) -> None:
    web, guest = web_of_either, web_of_either.hall.guest()
    before = _everything(web)
    for _time in range(2):
        assert {web.get(f"{guest.page}/{name}.pdf").status for name in ("letter", "form")} == {200}
        assert web.get(f"{guest.page}/letter.pdf", method="HEAD").status == 200
    assert _everything(web) == before


def _everything(web: Served) -> list[str]:
    with web.database.read() as session:
        tables = ("recipient", "enterprise", "campaign", "delivery", "evidence", "audit_entry", "address", "attempts", "sealed_pdf")
        return [str(session.execute(text(f"select * from {table} order by 1")).all()) for table in tables]


@pytest.mark.parametrize("name", ['#panic("x")', "【】[]*_$ {{7*7}}", "示" * 200, "A" * 200, "<script>alert(1)</script>"])
def test_whatever_an_enterprise_is_called_its_papers_say_it(web: Served, name: str) -> None:
    guest = web.hall.guest(name)
    for paper in ("letter", "form"):
        answer = web.get(f"{guest.page}/{paper}.pdf")
        assert answer.status == 200
        assert name.replace(" ", "") in said(answer)


def test_a_name_that_cannot_be_printed_is_a_page_that_says_whom_to_ask(web: Served) -> None:
    guest = web.hall.guest("𪛖野食品厂")
    for paper in ("letter", "form"):
        answer = web.get(f"{guest.page}/{paper}.pdf")
        assert answer.status == 409
        assert "请向本机关索取" in answer.words and web.settings.hotline in answer.words and "fonts" not in answer.words


def test_who_speaks_for_very_many_is_asked_to_come_to_the_office(web: Served) -> None:
    guest = web.hall.guest(*(f"示例{number}厂" for number in range(papers.SHEETS + 1)))
    answer = web.get(f"{guest.page}/form.pdf")
    assert answer.status == 409 and str(papers.SHEETS + 1) in answer.words
    with web.database.write() as session:
        session.execute(update(Enterprise).where(Enterprise.id == guest.enterprise_ids[0]).values(closed_at=web.hall.now))
    assert pages(web.get(f"{guest.page}/form.pdf")) == papers.SHEETS


def test_when_too_many_ask_at_once_the_others_are_told_to_come_again_and_pages_stay(web: Served) -> None:
    guest = web.hall.guest(*(f"示例{number}厂" for number in range(papers.SHEETS)))
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(web.get(f"{guest.page}/form.pdf").status)

    threads = [threading.Thread(target=ask) for _one in range(papers.WAITING + 6)]
    for thread in threads:
        thread.start()
    assert web.get(guest.page).status == 200
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= papers.WAITING + 1
    assert web.get(f"{guest.page}/form.pdf").status == 200, "and there is room again"
