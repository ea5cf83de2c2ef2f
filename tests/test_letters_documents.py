"""Letters as they are printed: one page each, whatever the enterprise is called; labels, envelopes and the sheet for the post."""

import subprocess
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from papers import codes, pictures, words

from outreach.database.tables import MessageText, PledgeVersion
from outreach.letters import documents
from outreach.letters.documents import Addressee, HandOver, LetterText, Made, Paper
from outreach.rendering import layouts, templates
from outreach.rendering.characters import visible
from outreach.rendering.documents import pages
from outreach.rendering.layouts import LayoutBroken
from outreach.settings import Settings

SETTINGS = Settings(home=Path("nowhere"))
AT = datetime(2026, 1, 15, 9, 0, 5, tzinfo=UTC)
COMMON = {"office": "示例市人力资源和社会保障局", "place": "示例市", "hotline": "12333", "account": "示例人社", "date": "2026年1月15日"}
SHIPPED = Path(__file__).parent.parent / "templates"
HOSTILE = ['#panic("x")', '#read("/etc/passwd")', "【】[]*_$", "**x**有限公司", "{{7*7}}", "<b>&", "示" * 200, "A" * 200, "𠮷㴪喆龑𰻝食品厂", "甲\u202e乙\n丙"]


def text(head: str = "", body: str = "", pledge: PledgeVersion | None = None) -> LetterText:
    source = templates.load("letter/open-letter", SETTINGS.template_folders).text
    rest = source.split("+++\n", 2)[2]
    source = f'+++\ntitle = "“无欠薪”公开信"\n{head}\n+++\n{body or rest}'
    layout = layouts.load("letter/letter", SETTINGS.template_folders).frozen()
    return documents.text_of(MessageText(name="letter/open-letter", source=source, signature="", layout=layout), COMMON, pledge=pledge)


def paper(name: str = "示例鞋业有限公司", number: int = 0, **keys: Any) -> Paper:
    fields = {"enterprise": name, "enterprises": [name], "enterprise_count": 1, "contact": "张建国", "town": "逍林镇"}
    values = {"code": "7K3M9P", "enterprise": name, "person": "张建国", "town": "逍林镇", "address_of_link": link(number), "fields": fields}
    return Paper(**(values | keys))


def link(number: int) -> str:
    return f"http://127.0.0.1:8000/p/{number:04d}{'aB3_-' * 6}"


def chunk(papers: Sequence[Paper], of: LetterText | None = None) -> Made:
    return documents.chunk(of or text(), papers, settings=SETTINGS, now=AT)


def pledge() -> PledgeVersion:
    source = (SHIPPED / "pledge" / "no-arrears-2026.md").read_text("utf-8")
    return PledgeVersion(pledge="no-arrears-2026", number=1, title="不欠薪倡议书", digest="ab" * 32, source=source, fields=COMMON)


def plain(content: bytes) -> str:
    return words(content).replace(" ", "")


def test_a_letter_says_what_the_text_says_to_whom_and_from_whom_on_one_page() -> None:
    made = chunk([paper()])
    assert made.pages == (1,) and pages(made.content) == 1
    for part in (
        "“无欠薪”公开信",
        "示例鞋业有限公司张建国：",
        "您好！感谢贵企业",
        "三、工程建设项目落实",
        "工资不拖欠，维权要理性。",
        "示例市人力资源和社会保障局2026年1月15日",
        "签署码7K3M9P",
        "12333",
    ):
        assert part in plain(made.content), part


def test_each_letter_bears_its_own_qr_code() -> None:
    made = chunk([paper(number=number) for number in range(3)])
    assert codes(made.content) == [link(0), link(1), link(2)]


def test_the_same_letters_and_moment_give_the_same_bytes_as_pdf_a_2b() -> None:
    papers = [paper(name, number) for number, name in enumerate(HOSTILE)]
    made = chunk(papers)
    assert made == chunk(papers) and b"pdfaid:part>2<" in made.content
    assert made.content != documents.chunk(text(), papers, settings=SETTINGS, now=AT.replace(year=2027)).content


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_an_enterprise_is_called_prints_as_itself_within_one_page(name: str) -> None:
    made = chunk([paper(), paper(name, 1), paper(number=2)])
    assert made.pages == (1, 1, 1)
    assert visible(name).replace(" ", "") + "张建国：" in plain(made.content)
    for page in pictures(made.content, dpi=50):
        ink = page.convert("L").point(lambda grey: 255 * (grey < 128)).getbbox()
        assert ink[0] > 50 and ink[2] < page.width - 44, "nothing stands in the margins"


@examples(max_examples=15, deadline=None)
@given(name=st.text(st.sampled_from("示例鞋业有限公司（）·#[]*_$\\\"'<>&{}%@~`^|/-—…“”《》aZ09 \u202e\u200b\n\t"), min_size=1, max_size=150))
def test_no_name_breaks_a_letter(name: str) -> None:
    made = chunk([paper(name)])
    assert made.pages == (1,)
    assert visible(name).replace(" ", "") in plain(made.content)


def test_what_pdftotext_reads_are_the_right_characters(tmp_path: Path) -> None:
    (tmp_path / "letters.pdf").write_bytes(chunk([paper("𠮷㴪喆龑𰻝食品厂")]).content)
    read = subprocess.run(["pdftotext", str(tmp_path / "letters.pdf"), "-"], capture_output=True, check=True).stdout.decode()
    assert "𠮷㴪喆龑𰻝食品厂张建国：" in read.replace("\n", "").replace(" ", "")


def test_a_letter_that_is_too_long_flows_over_numbers_its_pages_and_leaves_the_others_as_they_are() -> None:
    long = paper("示" * 200, 1, fields={"enterprise": "示" * 1500, "enterprise_count": 1, "contact": "张建国", "town": "逍林镇"})
    made = chunk([paper(), long, paper(number=2)])
    assert made.pages == (1, 3, 1) and pages(made.content) == 5
    assert plain(made.content).count("示") > 1500
    assert [f"—{page}—" in plain(made.content) for page in (1, 2, 3, 4)] == [True, True, True, False]


def test_one_letter_alone_is_set_at_the_size_that_it_has_among_others() -> None:
    of = text(body="{{ 企业名称 }}：\n" + "按月足额发放工资。\n" * 20 + "---\n{{ 机关全称 }}")  # one that must be made smaller
    alone, among = chunk([paper()], of), chunk([paper(), paper("示" * 200, 1), paper("示" * 1500, 2)], of)
    assert (alone.pages, among.pages[:2]) == ((1,), (1, 1)) and among.pages[2] > 1
    [first], [again, *_others] = list(pictures(alone.content, dpi=40)), list(pictures(among.content, dpi=40))
    assert first.tobytes() == again.tobytes()


def test_a_red_head_says_the_offices_name_or_what_the_text_gives() -> None:
    for head, said in (("red_head = true", COMMON["office"]), ('red_head = "示例市人社局文件"', "示例市人社局文件")):
        made = chunk([paper()], text(head))
        assert plain(made.content).startswith(said)
        [page] = pictures(made.content, dpi=40)
        assert any(red > 180 and green < 60 and blue < 60 for _count, (red, green, blue) in page.convert("RGB").getcolors(1 << 24))
        assert made.pages == (1,)
    [page] = pictures(chunk([paper()]).content, dpi=40)
    assert all(abs(red - green) < 40 for _count, (red, green, _blue) in page.convert("RGB").getcolors(1 << 24))


def test_enclosures_are_named_in_the_letter() -> None:
    of = text('enclosures = ["《宣传册》", "《问答》"]')
    assert of.enclosures == ("《宣传册》", "《问答》")
    assert "随信附：《宣传册》、《问答》。" in plain(chunk([paper()], of).content)


def test_the_sheets_of_all_its_enterprises_lie_behind_a_letter_each_with_its_own_code() -> None:
    forms = [(1, "示例鞋业有限公司", "逍林镇", link(7) + "#1"), (2, '#panic("二厂")', "桥头镇", link(7) + "#2")]
    of = text("form = true", pledge=pledge())
    made = chunk([paper(forms=forms), paper(number=2)], of)
    assert of.form and made.pages == (3, 1) and pages(made.content) == 4
    assert codes(made.content) == [link(0), link(7) + "#1", link(7) + "#2", link(2)]
    assert "单位（盖章）" in plain(made.content) and '#panic("二厂")' in plain(made.content)
    assert chunk([paper(forms=forms)], text(pledge=pledge())).pages == (1,), "a letter without form = true has none"


def test_a_sheet_of_a_long_pledge_is_made_smaller_and_stays_one_page() -> None:
    long = pledge()
    long.digest = "cd" * 32
    long.source = long.source + "我单位同时承诺，遵守上述各条并接受监督。\n" * 9
    assert chunk([paper(forms=[(1, "示" * 60, "逍林镇", link(7))])], text("form = true", pledge=long)).pages == (2,)


def test_a_character_that_no_font_has_is_named_by_the_place_of_its_letter() -> None:
    papers = [paper(), paper("\U0002a6d6记"), paper(person="张\U0002a6d6")]
    assert documents.missing(text(), papers, settings=SETTINGS) == {1: "\U0002a6d6", 2: "\U0002a6d6"}
    assert documents.missing(text(), [paper("𠮷㴪喆龑𰻝")], settings=SETTINGS) == {}


def test_a_layout_that_was_not_frozen_whole_is_named() -> None:
    of = documents.text_of(MessageText(name="letter/open-letter", source=text().source, signature="", layout={}), COMMON)
    with pytest.raises(LayoutBroken, match="letter/letter"):
        chunk([paper()], of)


def rows(count: int) -> list[Addressee]:
    names, addresses = HOSTILE, ["示例市逍林镇新园村工业路12号", "示例市" + "创业大道1288弄" * 8, "B" * 120]
    return [Addressee(place, f"7K3M{place:02d}", names[place % len(names)], "张建国", "逍林镇", addresses[place % 3]) for place in range(1, count + 1)]


def test_labels_stand_24_to_a_page_and_every_one_is_whole() -> None:
    content = documents.labels(rows(49), settings=SETTINGS, now=AT)
    assert pages(content) == 3
    said = plain(content)
    for row in rows(49):
        for part in (row.enterprise, row.address, f"{row.place}{row.code}".replace("\u3000", "")):
            assert visible(part).replace(" ", "") in said.replace("\u3000", "")
    assert content == documents.labels(rows(49), settings=SETTINGS, now=AT)


def test_an_envelope_has_a_page_of_its_size_with_address_name_and_sender() -> None:
    content = documents.envelopes(rows(12), settings=SETTINGS, now=AT)
    with closing(pypdfium2.PdfDocument(content)) as document:
        assert len(document) == 12
        assert [round(side / 72 * 25.4) for side in document[0].get_size()] == [220, 110]
    assert plain(content).count(SETTINGS.office_name) == 12
    assert all(visible(row.enterprise).replace(" ", "") in plain(content) for row in rows(12))


def test_a_hand_over_sheet_counts_letters_pages_enclosures_and_files() -> None:
    batch = HandOver(3, "2026年度“无欠薪”宣传", "“无欠薪”公开信", "逍林镇", 998, 1002, AT, "李某某", [("《宣传册》", 998)], [("逍林镇-3.pdf", 1002, "ab" * 32)])
    said = plain(documents.handover(batch, settings=SETTINGS, now=AT)).replace("\u3000", "")
    for part in ("第3批", "2026年度“无欠薪”宣传", "逍林镇", "998封", "1002页", "2026年1月15日17:00", "李某某", "《宣传册》998", "ab" * 32, "交出人"):
        assert part in said, part
