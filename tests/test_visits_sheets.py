"""The sheet for the visitor: everybody on it once, by village, in the words that were frozen, with a code that leads to the right page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import papers
import pytest
from sqlalchemy import update

from outreach import clock, i18n
from outreach.database.engine import Database
from outreach.database.tables import Campaign, Delivery
from outreach.links import personal
from outreach.rendering import documents
from outreach.reports import visits as report
from outreach.visits import sheets
from outreach.visits.sheets import NobodyToVisit
from outreach.visits.workbook import RESULTS

from conftest import NOON  # isort: skip
from drive import SHORT, Office, office  # isort: skip
from rounds import SEEN, TEXTED, issue, listed, live  # isort: skip

HOSTILE = ('#panic("x") 鞋业', "【】[]*_$\\ 公司", "𠮷㴪喆龑𰻝厂", "B" * 120, "长名" * 60)


@pytest.fixture
def desk(new_sqlite: Any, tmp_path: Path) -> Iterator[Office]:
    opened = Database(new_sqlite())
    yield office(opened, tmp_path / "home")
    opened.close()


def printed(desk: Office, *, unmask: bool = False, at_once: int = sheets.AT_ONCE, **chosen: Any) -> bytes:
    wanted = listed(desk, stand="open", **chosen)
    with desk.database.read() as session:
        made = sheets.rounds(session, wanted)
    with i18n.speaking("zh"):
        return sheets.pdf(made, tried=report.tried, settings=desk.settings, now=NOON, unmask=unmask, at_once=at_once)


def test_everything_that_a_visitor_needs_stands_on_the_sheet(desk: Office) -> None:
    one, two = desk.enterprises(2)
    live(desk, one, village="甲村", address="工业大道1号", credit_code="91330282MA2AF1234N")
    live(desk, two, village="乙村")
    desk.asking(steps=TEXTED)
    desk.send_all()
    desk.write(update(Delivery).values(state="undelivered", reason="address", final_at=NOON))
    desk.advance()
    issue(desk, "王村干")
    content = printed(desk, visitor="王村干")
    said = papers.words(content)
    for words in (
        "走访单",
        "王村干",
        "桥头镇",
        "甲村",
        "乙村",
        "第1鞋业有限公司",
        "工业大道1号",
        "91330282MA2AF1234N",
        "王1",
        "138****0001",
        *RESULTS.values(),
    ):
        assert words in said.replace(" ", ""), words
    assert "短信2026-01-15未送达（号码无效）" in said.replace(" ", "")
    assert "自愿签订，不收取任何费用" in said
    assert "+8613800000001" not in said
    assert "13800000001" in papers.words(printed(desk, unmask=True))
    assert said.index("甲村") != said.index("乙村")
    assert set(papers.codes(content, dpi=150)) == {personal.url(desk.settings.public_url, desk.link(row.id)) for row in desk.recipients()}


def test_hostile_names_print_as_themselves_and_stay_on_the_page(desk: Office) -> None:
    for key, name in zip(desk.enterprises(len(HOSTILE)), HOSTILE, strict=True):
        live(desk, key, name=name, address=name, village=name[:9])
    desk.asking(steps=SEEN)
    content = printed(desk)
    said = papers.words(content).replace("\x02", "").replace(" ", "")
    for name in HOSTILE:
        assert said.count(name.replace(" ", "")) >= 2, name
    for page in papers.pictures(content, dpi=40):
        edge = page.convert("L").crop((page.width - 8, 0, page.width, page.height))
        assert edge.getextrema() == (255, 255)


def test_a_character_that_no_font_has_stops_nobodys_round(desk: Office) -> None:
    [key] = desk.enterprises()
    live(desk, key, name="甲\U0010fffd乙")
    desk.asking(steps=SEEN)
    assert "甲〓乙" in papers.words(printed(desk))


def test_the_same_round_at_the_same_moment_is_the_same_file(desk: Office) -> None:
    desk.enterprises(3)
    desk.asking(steps=SEEN)
    assert printed(desk) == printed(desk)


def test_what_to_say_is_what_was_approved(desk: Office) -> None:
    own = desk.settings.home / "templates" / "visit" / "talking-points.md"
    own.parent.mkdir(parents=True)
    own.write_text('+++\ntitle = "提纲"\n+++\n请问{{ 企业名称 }}的{{ 负责人 }}在吗？我们是{{ 机关全称 }}。\n', "utf-8")
    desk.enterprises(2)
    desk.asking(steps=SEEN)
    own.write_text('+++\ntitle = "别的"\n+++\n别的话。\n', "utf-8")
    said = papers.words(printed(desk))
    assert "请问贵企业的负责人在吗？我们是示例市人力资源和社会保障局。" in said
    assert "别的话" not in said


def test_each_visitor_and_town_begins_a_new_page_with_what_to_say(desk: Office) -> None:
    ids = desk.enterprises(6)
    for key in ids[3:]:
        live(desk, key, village="乙村")
    desk.asking(steps=SEEN)
    issue(desk, "王村干", village="乙村")
    content = printed(desk)
    assert documents.pages(content) == 2
    assert papers.words(content).count("走访提纲") == 2
    assert papers.words(content).count("第 1 页") == 2


def test_many_visits_are_set_in_parts_and_numbered_through(desk: Office) -> None:
    desk.enterprises(20)
    desk.asking(steps=SEEN)
    whole = papers.words(printed(desk))
    parts = papers.words(printed(desk, at_once=6))
    assert parts.count("走访提纲") == whole.count("走访提纲") == 1
    for number in range(1, 21):
        assert parts.count(f"第{number}鞋业有限公司") + parts.count(f"第 {number} 鞋业有限公司") == 1
    assert (parts.count("共 20 户"), parts.count("户（第")) == (4, 4)


def test_who_has_signed_for_one_enterprise_is_asked_for_the_others_only(desk: Office) -> None:
    first, _second = desk.enterprises(2, phones=["+8613800000009"] * 2)
    desk.asking(steps=SEEN)
    desk.settle_enterprise(first)
    said = papers.words(printed(desk)).replace(" ", "")
    assert ("第1鞋业有限公司" in said, "第2鞋业有限公司" in said) == (False, True)


def test_without_a_pledge_no_link_is_printed_that_leads_nowhere(desk: Office) -> None:
    desk.enterprises()
    desk.launch(steps=[{"channel": "visit"}, {"channel": "sms", "template": SHORT}])
    assert papers.codes(printed(desk), dpi=150) == []


def test_a_round_with_nobody_on_it_is_none(desk: Office) -> None:
    with pytest.raises(NobodyToVisit):
        printed(desk)
    assert clock.now() > NOON
    assert desk.rows(Campaign) == []
