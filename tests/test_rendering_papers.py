"""Papers to hand out and hang up: every item that the law asks for is printed, values stay values, pages keep to their number."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from papers import codes
from papers import words as read

from outreach.errors import OutreachError
from outreach.i18n import say
from outreach.rendering import folding, paper_texts, papers
from outreach.rendering.fonts import GlyphMissing
from outreach.rendering.papers import (
    Made,
    PaperTooLong,
    QrMissing,
    QrNeedless,
    QrPersonal,
    QrWrong,
    SizeUnknown,
    ValuesMissing,
    ValueTooLong,
    ValueTwice,
    ValueUnknown,
)
from outreach.settings import Settings

ADDRESS = "https://weixin.qq.com/q/02abcdEFGHijklMNOP"
BOARD: Mapping[str, Sequence[str]] = {
    "工程名称": ["示例市文化中心工程"],
    "建设单位": ["示例市城市建设投资有限公司"],
    "施工总承包单位": ["示例建设集团有限公司"],
    "所在项目部": ["文化中心项目部，项目经理李某某"],
    "分包单位": ["示例劳务有限公司（木工）", "示例装饰有限公司（外立面）"],
    "行业工程建设主管部门": ["示例市住房和城乡建设局"],
    "劳资专管员": ["孙某某 0574-00000006"],
    "当地最低工资标准": ["每月2490元"],
    "工资支付日期": ["每月15日"],
    "主管部门投诉举报电话": ["0574-00000007"],
    "劳动争议调解仲裁申请渠道": ["示例市劳动人事争议仲裁院"],
    "法律援助申请渠道": ["示例市法律援助中心"],
}
EVENT: Mapping[str, Sequence[str]] = {"event": ["“无欠薪”集中宣传日"], "time": ["1月18日上午9:00"], "venue": ["逍林镇文化广场"]}
SAMPLES: Mapping[str, Mapping[str, Sequence[str]]] = {"rights-board": BOARD, "event-poster": EVENT, "drive-poster": {}, "booklet": {}, "answer-sheet": {}}
HEAD = '+++\ntitle = "试印"\n{keys}+++\n'


def settings(home: Path) -> Settings:
    return Settings(home=home)


def made(home: Path, name: str, values: Mapping[str, Sequence[str]], now: datetime, **keys: Any) -> Made:
    office = settings(home)
    return papers.make(paper_texts.load(name, office.template_folders), values, settings=office, now=now, **keys)


def own(home: Path, name: str, text: str, ending: str = "md") -> None:
    """Lay a text, or a layout, into the office's own folder."""
    folder = home / "templates" / "paper"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.{ending}").write_text(text, "utf-8")


def sizes(content: bytes) -> list[tuple[int, int]]:
    """Return width and height of each page in millimetres."""
    with closing(pypdfium2.PdfDocument(content)) as document:
        return [tuple(round(side / 72 * 25.4) for side in document[page].get_size()) for page in range(len(document))]  # type: ignore[misc]


def words(content: bytes) -> str:
    """Return what a paper says without blanks: those between Chinese and Latin letters are the layout's."""
    return read(content).replace(" ", "").replace("\u3000", "")


def sides(content: bytes) -> list[str]:
    with closing(pypdfium2.PdfDocument(content)) as document:
        return [document[page].get_textpage().get_text_bounded() for page in range(len(document))]


def test_the_papers_that_ship_are_those_that_the_drive_hands_out(tmp_path: Path) -> None:
    assert paper_texts.listed(settings(tmp_path).template_folders) == sorted(SAMPLES)


@pytest.mark.parametrize(("name", "size"), [(name, size) for name in sorted(SAMPLES) for size in ("a5", "a4", "a3", "a2")])
def test_each_paper_is_set_in_each_of_its_sizes_and_keeps_to_its_pages(tmp_path: Path, now: datetime, name: str, size: str) -> None:
    paper = paper_texts.load(name, settings(tmp_path).template_folders)
    address = "" if paper.head.qr == "none" else ADDRESS
    if size not in paper.head.size:
        with pytest.raises(SizeUnknown, match=size):
            made(tmp_path, name, SAMPLES[name], now, address=address, size=size)
        return
    done = made(tmp_path, name, SAMPLES[name], now, address=address, size=size)
    millimetres = {"a5": (148, 210), "a4": (210, 297), "a3": (297, 420), "a2": (420, 594)}[size]
    assert sizes(done.content) == [millimetres] * done.pages
    assert done.pages == (8 if paper.head.fold else 1)
    assert codes(done.content, dpi=70) == ([address] if address else [])


def test_the_same_paper_is_the_same_bytes_also_when_it_is_folded(tmp_path: Path, now: datetime) -> None:
    for printed in (False, True):
        first, again = (made(tmp_path, "booklet", {}, now, address=ADDRESS, printed=printed).content for _turn in range(2))
        assert first == again
        assert first != made(tmp_path, "booklet", {}, now.replace(year=2027), address=ADDRESS, printed=printed).content


def test_a_board_bears_every_item_that_article_34_asks_for(tmp_path: Path, now: datetime) -> None:
    text = words(made(tmp_path, "rights-board", BOARD, now).content)
    for label, lines in BOARD.items():
        assert label == "工程名称" or label in text
        assert all(line.replace(" ", "") in text for line in lines)
    assert "劳动保障监察投诉举报电话" in text and "12333" in text
    assert "公共法律服务热线" in text and "12348" in text


def test_what_a_board_lacks_is_named_all_at_once(tmp_path: Path, now: datetime) -> None:
    with pytest.raises(ValuesMissing) as raised:
        made(tmp_path, "rights-board", {**BOARD, "建设单位": [" "], "分包单位": [], "公共法律服务热线": [""]}, now)
    assert raised.value.data["fields"] == "建设单位、分包单位、公共法律服务热线"


HOSTILE = ['#panic("x")', '#read("/etc/passwd")', "【】[]*_$`~@<>\\", "**星** # 井 ---", "{{7*7}}{% if %}<b>&amp;", "\\u{41}//x", "𠮷㴪喆龑"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_prints_as_itself(tmp_path: Path, now: datetime, value: str) -> None:
    plain = value.replace(" ", "")
    board = made(tmp_path, "rights-board", {**BOARD, "工程名称": [value], "建设单位": [value], "机关全称": [value]}, now)
    assert words(board.content).count(plain) == 2 and board.pages == 1
    poster = made(tmp_path, "event-poster", {name: [value] for name in EVENT}, now, address=ADDRESS)
    assert words(poster.content).count(plain) == 3 and poster.pages == 1
    sheet = made(tmp_path, "answer-sheet", {"短信原文": [value], "内部联系": [value], "地名": [value]}, now)
    assert words(sheet.content).count(plain) == 2 and sheet.pages == 1
    booklet = made(tmp_path, "booklet", {"咨询地点": [value], "公众号": [value]}, now)
    assert words(booklet.content).count(plain) == 2


@pytest.mark.parametrize("value", ["某" * 200, "A" * 200])
def test_a_long_value_makes_the_type_smaller_and_stays_on_the_page(tmp_path: Path, now: datetime, value: str) -> None:
    for done in (
        made(tmp_path, "rights-board", {**BOARD, "建设单位": [value], "法律援助申请渠道": [value]}, now),
        made(tmp_path, "event-poster", {**EVENT, "event": [value], "venue": [value]}, now, address=ADDRESS),
    ):
        with closing(pypdfium2.PdfDocument(done.content)) as document:
            page = document[0].get_textpage()
            width, height = document[0].get_size()
            boxes = [page.get_charbox(index) for index in range(page.count_chars()) if page.get_text_range(index, 1) in value]
        assert done.pages == 1 and len(boxes) >= 400
        assert all(left > 0 and right < width and bottom > 0 and top < height for left, bottom, right, top in boxes)


def test_what_nobody_sees_is_taken_out_of_a_value_and_a_line_end_begins_a_line(tmp_path: Path, now: datetime) -> None:
    office = settings(tmp_path)
    paper = paper_texts.load("rights-board", office.template_folders)
    filled = papers.filled(paper, {**BOARD, "分包单位": ["甲队\n\n乙队", " ", "丙队"]}, settings=office, now=now)
    assert filled["subcontractors"] == ["甲队", "乙队", "丙队"]
    assert "某甲乙公司" in words(made(tmp_path, "rights-board", {**BOARD, "建设单位": ["某甲\u202e\u0000乙公司"]}, now).content)


def test_a_text_that_no_size_fits_on_its_page_is_refused(tmp_path: Path, now: datetime) -> None:
    own(tmp_path, "leaf", HEAD.format(keys='layout = "paper/answer-sheet"\npages = 1\n') + "写满一页。\n" * 300)
    with pytest.raises(PaperTooLong, match=r"leaf\.md"):
        made(tmp_path, "leaf", {}, now)


@pytest.mark.parametrize(("height", "scale"), [(40, "1.5"), (60, "1.25"), (75, "1"), (100, "0.75"), (125, "0.6")])
def test_a_paper_of_one_page_is_set_in_the_largest_type_that_keeps_to_it(tmp_path: Path, now: datetime, height: int, scale: str) -> None:
    own(tmp_path, "leaf", HEAD.format(keys="pages = 1\n"))
    two = f"#for n in (1, 2) {{ block(spacing: 0pt, breakable: false, height: {height}pt * data.scale, [#n：#data.scale]) }}"
    own(tmp_path, "leaf", f'#import "parts.typ": *\n#set page(width: 100pt, height: 150pt, margin: 0pt)\n#set text(font: body-font)\n{two}', ending="typ")
    assert words(made(tmp_path, "leaf", {}, now).content) == f"1：{scale}2：{scale}"


def test_a_character_that_no_font_has_is_named(tmp_path: Path, now: datetime) -> None:
    with pytest.raises(GlyphMissing, match=r"U\+1F600"):
        made(tmp_path, "rights-board", {**BOARD, "建设单位": ["某公司\U0001f600"]}, now)


@pytest.mark.parametrize("chapters", [1, 2, 3, 5, 6])
def test_a_booklet_is_filled_up_to_whole_sheets_before_its_back_cover(tmp_path: Path, now: datetime, chapters: int) -> None:
    text = "".join(f"# 第{number}章\n正文。\n" for number in range(1, chapters + 1))
    own(tmp_path, "booklet", HEAD.format(keys='slogan = "封底口号"\nsize = ["a5"]\nfold = true\n') + text)
    done = made(tmp_path, "booklet", {}, now)
    pages = sides(done.content)
    assert len(pages) == done.pages == done.sheets * 4 == -(-(chapters + 2) // 4) * 4
    assert [page for page, text in enumerate(pages) if "备忘" in text] == [*range(chapters + 1, len(pages) - 1)]
    assert "封底口号" in pages[-1] and "试印" in pages[0]


@given(st.integers(1, 40).map(lambda sheets: 4 * sheets))
def test_a_pile_of_sheets_is_read_from_the_first_page_to_the_last(pages: int) -> None:
    laid = folding.order(pages)
    sheets = [laid[start : start + 4] for start in range(0, pages, 4)]
    right_hand = [page for front_left, front_right, back_left, back_right in sheets for page in (front_right, back_left)]
    left_hand = [page for front_left, front_right, back_left, back_right in reversed(sheets) for page in (back_right, front_left)]
    assert right_hand + left_hand == list(range(pages))


def test_a_booklet_for_print_has_its_covers_on_the_outer_side_of_the_first_sheet(tmp_path: Path, now: datetime) -> None:
    plain, laid = (made(tmp_path, "booklet", {}, now, address=ADDRESS, printed=printed) for printed in (False, True))
    assert (laid.pages, laid.sheets) == (plain.pages, plain.sheets) == (8, 2)
    assert sizes(laid.content) == [(296, 210)] * 4
    pages, spread = sides(plain.content), sides(laid.content)
    pairs = [(7, 0), (1, 6), (5, 2), (3, 4)]
    assert [sorted(side.split()) for side in spread] == [sorted((pages[left] + "\n" + pages[right]).split()) for left, right in pairs]
    assert codes(laid.content) == [ADDRESS]


LAW = {
    "《中华人民共和国劳动法》第五十条": "工资应当以货币形式按月支付给劳动者本人。不得克扣或者无故拖欠劳动者的工资。",
    "《中华人民共和国劳动合同法》第三十条": "用人单位拖欠或者未足额支付劳动报酬的，劳动者可以依法向当地人民法院申请支付令，人民法院应当依法发出支付令。",
    "国务院令第724号，2020年5月1日起施行": "农民工有按时足额获得工资的权利。任何单位和个人不得拖欠农民工工资。",
}


@pytest.mark.parametrize(("source", "article"), LAW.items())
def test_the_booklet_gives_the_law_in_its_own_words(tmp_path: Path, now: datetime, source: str, article: str) -> None:
    text = words(made(tmp_path, "booklet", {}, now).content)
    assert source in text and article in text


def test_the_answer_sheet_shows_the_message_as_it_reads_before_names_are_filled_in(tmp_path: Path, now: datetime) -> None:
    text = words(made(tmp_path, "answer-sheet", {}, now).content)
    assert "【示例人社】〔负责人〕您好：诚邀示例市〔镇街〕〔企业名称〕签订" in text and "发送签署码〔签署码〕" in text
    (tmp_path / "templates" / "sms").mkdir(parents=True)
    wording = '+++\ntitle = "邀请"\nchannel = "sms"\nkind = "通知"\n+++\n{{ 负责人 }}：换了说法，{% if 企业数 > 1 %}多家{% endif %}{{ 企业列表|join("、") }}。'
    (tmp_path / "templates" / "sms" / "pledge-invitation.txt").write_text(wording, "utf-8")
    assert "【示例人社】〔负责人〕：换了说法，〔企业名称〕。" in words(made(tmp_path, "answer-sheet", {}, now).content)


def test_the_offices_own_text_and_layout_go_before_ours_one_by_one(tmp_path: Path, now: datetime) -> None:
    own(tmp_path, "drive-poster", '+++\ntitle = "本局口号"\nlayout = "paper/poster"\nsize = ["a4"]\nqr = "optional"\n+++\n# 要点\n- 一条\n')
    assert "本局口号" in words(made(tmp_path, "drive-poster", {}, now).content)
    own(tmp_path, "poster", '#import "parts.typ": *\n#show: sheet\n#words("换了版式" + data.title)', ending="typ")
    assert "换了版式本局口号" in words(made(tmp_path, "drive-poster", {}, now).content)


def test_a_field_of_the_office_may_be_given_another_value_for_one_paper(tmp_path: Path, now: datetime) -> None:
    text = words(made(tmp_path, "drive-poster", {"hotline": ["0574-00000000"], "地名": ["逍林镇"]}, now, address=ADDRESS).content)
    assert "0574-00000000" in text and "逍林镇无欠薪" in text and "示例市无欠薪" not in text


@pytest.mark.parametrize(
    ("values", "error", "told"),
    [
        ({"建设单拉": ["x"]}, ValueUnknown, "建设单位"),
        ({"建设单位": ["x"], "developer": ["y"]}, ValueTwice, "developer"),
        ({"建设单位": ["x" * 2001]}, ValueTooLong, "2000"),
        ({"签署码": ["x"]}, ValueUnknown, "签署码"),
    ],
)
def test_a_value_that_fits_no_field_is_refused(tmp_path: Path, now: datetime, values: dict[str, list[str]], error: type[OutreachError], told: str) -> None:
    with pytest.raises(error, match=told):
        made(tmp_path, "rights-board", {**BOARD, **values}, now)


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("逍林镇", QrWrong),
        ("javascript:alert(1)", QrWrong),
        ("https://", QrWrong),
        ("https://[x", QrWrong),
        ("https://a.cn/b c", QrWrong),
        ("https://a.cn/\u202ex", QrWrong),
        ("https://a.cn/" + "x" * 300, QrWrong),
        ("http://127.0.0.1:8000/p/AbCdEf", QrPersonal),
        ("http://127.0.0.1:8000/o/AbCdEf", QrPersonal),
    ],
)
def test_what_may_stand_in_no_public_qr_code_is_refused(tmp_path: Path, now: datetime, address: str, error: type[OutreachError]) -> None:
    with pytest.raises(error):
        made(tmp_path, "drive-poster", {}, now, address=address)


def test_a_poster_needs_a_qr_code_and_an_answer_sheet_has_no_place_for_one(tmp_path: Path, now: datetime) -> None:
    with pytest.raises(QrMissing):
        made(tmp_path, "drive-poster", {}, now)
    with pytest.raises(QrNeedless):
        made(tmp_path, "answer-sheet", {}, now, address=ADDRESS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("没有题头", r"wrong\.md, line 1"),
        ('+++\nsize = ["a4"]\n+++\n正文', r"title is wrong: it is missing"),
        ('+++\ntitle = "x"\nsizes = ["a4"]\n+++\n', r"sizes is wrong: .*nearest is size"),
        ('+++\ntitle = "x"\nsize = ["b4"]\n+++\n', r"size\.1 is wrong: it must be one of a5, a4"),
        ('+++\ntitle = "x"\npages = "一"\n+++\n', r"pages is wrong: it must be a whole number"),
        ('+++\ntitle = "x"\n[[field]]\nname = "a"\n+++\n', r"field\.1\.label is wrong: it is missing"),
        ('+++\ntitle = "x"\n[[field]]\nname = "a"\nlabel = "两 个"\n+++\n', r"field\.1\.label is wrong: 两 个 is no single word"),
        ('+++\ntitle = "x"\n[[field]]\nname = "a"\nlabel = "甲"\n[[field]]\nname = "b"\nlabel = "甲"\n+++\n', r"field\.2 is wrong: 甲 stands there twice"),
        ('+++\ntitle = "x"\n[[field]]\nname = "a"\nlabel = "甲"\nrequire = true\n+++\n', r"field\.1\.require is wrong: .*nearest is required"),
        ('+++\ntitle = "x\n+++\n', r"\+\+\+ is wrong"),
        ('+++\ntitle = "x"\n+++\n{{ 企业名称 }}您好', r"there is no field 企业名称"),
        ('+++\ntitle = "x"\n[[field]]\nname = "until"\nlabel = "截止日"\n+++\n{{ 截至日 }}', r"there is no field 截至日"),
        ('+++\ntitle = "{{ 地明 }}"\n+++\n', r"there is no field 地明; the nearest is 地名"),
        ('+++\ntitle = "x"\n+++\n第一行\n{{ 地名', r"line 5"),
    ],
)
def test_a_text_that_cannot_be_understood_is_refused_in_one_line_that_names_the_place(tmp_path: Path, text: str, told: str) -> None:
    own(tmp_path, "wrong", text)
    with pytest.raises(OutreachError) as raised:
        paper_texts.load("wrong", settings(tmp_path).template_folders)
    assert raised.match(told) and "\n" not in say(raised.value) and "wrong.md" in say(raised.value)


def test_a_field_of_a_papers_own_may_bear_the_name_of_a_letters_field(tmp_path: Path, now: datetime) -> None:
    head = HEAD.format(keys='layout = "paper/answer-sheet"\n[[field]]\nname = "until"\nlabel = "截止日"\n')
    own(tmp_path, "notice", head + "# 通知\n## 办到哪天？\n{{ 截止日 }}为止。")
    assert "1月15日为止。" in words(made(tmp_path, "notice", {"截止日": ["1月15日"]}, now).content)


@pytest.mark.parametrize("name", ["../outreach", "paper/../x", "booklets", "", "a\nb"])
def test_a_name_that_is_no_paper_leads_nowhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(paper_texts.PaperMissing, match="booklet"):
        paper_texts.load(name, settings(tmp_path).template_folders)
