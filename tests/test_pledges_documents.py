"""The papers of a pledge: what a signed one says, and the sheet that is signed by hand, whatever the enterprise is called."""

import shutil
import subprocess
from collections.abc import Mapping
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

from outreach.database.pledge_tables import Signature
from outreach.database.tables import PledgeVersion
from outreach.pledges import documents
from outreach.pledges.documents import NotCounted, Sheet, SheetTooLong
from outreach.rendering.characters import visible
from outreach.rendering.fonts import GlyphMissing
from outreach.settings import Settings

SHIPPED = Path(__file__).parent.parent / "templates"
AT = datetime(2026, 1, 15, 9, 0, 5, tzinfo=UTC)
STROKES = [[[100 + step * 6, 200 + step % 40, step * 10] for step in range(120)], [[400, 50, 1300], [420, 350, 1400]]]
HOSTILE = ['#panic("x")', "<script>alert(1)</script>", "【】[]*_$", "**x**有限公司", "示" * 200, "A" * 200, "示例（集团）·Ⅲ", "  a  b "]


def settings(home: Path = Path("nowhere")) -> Settings:
    return Settings(home=home)


def version(**keys: Any) -> PledgeVersion:
    fields = {"office": "示例市人力资源和社会保障局", "place": "示例市", "hotline": "12333", "account": "示例人社"}
    source = (SHIPPED / "pledge" / "no-arrears-2026.md").read_text("utf-8")
    values = {"pledge": "no-arrears-2026", "number": 1, "title": "不欠薪倡议书", "digest": "ab" * 32, "source": source, "fields": fields}
    return PledgeVersion(**(values | keys))


def signature(**keys: Any) -> Signature:
    values: Mapping[str, Any] = {
        "serial": "2026-000317",
        "enterprise": "示例鞋业有限公司",
        "state": "signed",
        "way": "code",
        "method": "typed",
        "signer": "张建国",
        "capacity": "legal_representative",
        "relation": "",
        "ink": None,
        "checks": [],
        "signed_at": AT,
        "ended_at": None,
    }
    return Signature(**{**values, **keys})


def sheet(enterprise: str = "示例鞋业有限公司", number: int = 1) -> Sheet:
    return Sheet(enterprise, "逍林镇", "7K3M9P", f"http://127.0.0.1:8000/p/{'aB3_-' * 6}#{number}")


def signed(**keys: Any) -> bytes:
    return documents.signed_pdf(signature(**keys), version(), settings=settings())


def test_a_signed_pledge_says_what_was_signed_by_whom_when_and_how() -> None:
    said = words(signed(checks=["phone_last4", "one_time_code"], capacity="agent", relation="财务经理"))
    for part in (
        "不欠薪倡议书",
        "我单位自愿响应“示例市无欠薪”行动，公开承诺：",
        "一、每月按约定日期足额支付工资",
        "六、畅通诉求渠道",
        "示例鞋业有限公司",
        "张建国（受托人，财务经理）",
        "签署码，填写姓名并勾选同意；核验：登记手机号后四位、短信验证码",
        "2026年1月15日17:00:05（北京时间）",
        "编号：2026-000317",
        "平台存证：记录内容、时间和核验方式，不等同于电子公章。",
        "http://127.0.0.1:8000/v/2026-000317",
        "ab" * 32,
    ):
        assert part in said.replace(" ", ""), part
    assert "具有同等法律效力" not in said


def test_its_qr_code_leads_to_where_it_is_verified() -> None:
    assert codes(signed(method="drawn", ink=STROKES)) == ["http://127.0.0.1:8000/v/2026-000317"]


def test_the_same_signature_gives_the_same_bytes_as_pdf_a_2b_on_one_page() -> None:
    content = signed(method="drawn", ink=STROKES)
    assert content == signed(method="drawn", ink=STROKES)
    assert b"pdfaid:part>2<" in content and b"pdfaid:conformance>B<" in content
    with closing(pypdfium2.PdfDocument(content)) as document:
        assert (len(document), document.get_metadata_value("Title")) == (1, "不欠薪倡议书 2026-000317")


def test_a_drawn_signature_is_seen_beside_the_name() -> None:
    [typed], [drawn] = pictures(signed(), dpi=40), pictures(signed(method="drawn", ink=STROKES), dpi=40)
    field = (235, 215, 270, 262)  # right of the words
    darkest = [page.convert("L").crop(field).getextrema()[0] for page in (typed, drawn)]
    assert darkest[1] < 120 < darkest[0]


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_an_enterprise_is_called_prints_as_itself_on_one_page(name: str) -> None:
    content = signed(enterprise=name, signer=name[:60])
    assert words(content).replace(" ", "").count(name.replace(" ", "")) >= 1
    with closing(pypdfium2.PdfDocument(content)) as document:
        assert len(document) == 1


COMMON = st.sampled_from("示例鞋业有限公司（）·#[]*_$\\\"'<>&{}%@~`^|/-—…“”《》aZ09 \u202e\u200b\n\t")


@examples(max_examples=25, deadline=None)
@given(name=st.text(COMMON, min_size=1, max_size=120), signer=st.text(COMMON, min_size=1, max_size=40))
def test_no_name_breaks_the_paper_or_turns_it_around(name: str, signer: str) -> None:
    said = words(signed(enterprise=name, signer=signer)).replace(" ", "")
    assert visible(name).replace(" ", "") in said
    assert f"{visible(signer)}（法定代表人）".replace(" ", "") in said


def test_what_other_readers_extract_are_the_right_characters(tmp_path: Path) -> None:
    (tmp_path / "signed.pdf").write_bytes(signed(enterprise="A" * 200))
    reader = shutil.which("pdftotext")
    read = (
        subprocess.run([reader, str(tmp_path / "signed.pdf"), "-"], capture_output=True, check=True).stdout.decode()
        if reader
        else words(signed(enterprise="A" * 200))
    )
    assert "A" * 200 in read.replace("\n", "").replace(" ", "")
    assert "不克扣、不无故拖欠" in read and "\u200b" not in read


def test_an_erased_signer_is_said_to_be_erased_and_nothing_of_him_is_left() -> None:
    said = words(signed(signer="", relation="", ink=None))
    assert "签署人的个人信息已依法删除" in said
    assert "张建国" not in said and "法定代表人" not in said


def test_a_signature_that_ended_says_so_and_one_without_its_scan_has_no_paper() -> None:
    assert "本签署已于2026年1月15日17:00:05（北京时间）撤回。" in words(signed(state="withdrawn", ended_at=AT)).replace(" ", "")
    with pytest.raises(NotCounted, match="2026-000317"):
        signed(state="pending", way="paper", method="paper")


def test_a_character_without_a_glyph_is_named_with_the_enterprise() -> None:
    with pytest.raises(GlyphMissing, match=r"𪛖野食品厂 holds 𪛖 \(U\+2A6D6\)"):
        signed(enterprise="𪛖野食品厂")
    with pytest.raises(GlyphMissing, match="𪛖野食品厂"):
        documents.sheets_pdf(version(), [sheet(), sheet("𪛖野食品厂")], settings=settings(), now=AT)


def test_every_sheet_is_one_page_with_its_enterprise_its_code_and_a_qr_code_of_its_own() -> None:
    names = HOSTILE[:6]
    content = documents.sheets_pdf(version(), [sheet(name, number) for number, name in enumerate(names)], settings=settings(), now=AT)
    assert codes(content) == [sheet(number=number).address for number in range(6)]
    with closing(pypdfium2.PdfDocument(content)) as document:
        pages = [document[page].get_textpage().get_text_bounded().replace("\r\n", "") for page in range(len(document))]
    assert len(pages) == 6
    for name, page in zip(names, pages, strict=True):
        for part in (
            name,
            "单位（盖章）",
            "签署人（签名）",
            "身份",
            "光荣榜",
            "个人信息处理告知书",
            "日期",
            "签署码",
            "7K3M9P",
            "不欠薪倡议书",
            "逍林镇",
            "12333",
        ):
            assert part.replace(" ", "") in page.replace(" ", ""), (part, page)


def test_a_longer_text_is_set_smaller_and_one_that_fits_no_page_is_refused() -> None:
    line = "一个更长的承诺段落，" * 12 + "\n"
    longer = version(source=line * 7)
    assert len(codes(documents.sheets_pdf(longer, [sheet()] * 2, settings=settings(), now=AT))) == 2
    with pytest.raises(SheetTooLong, match=r"no-arrears-2026\.md"):
        documents.sheets_pdf(version(source=line * 30), [sheet()], settings=settings(), now=AT)


def test_more_sheets_than_are_set_at_once_are_one_file_and_the_same_each_time() -> None:
    five = [sheet(number=number) for number in range(5)]
    content = documents.sheets_pdf(version(), five, settings=settings(), now=AT, at_once=2)
    assert codes(content) == [one.address for one in five]
    assert content == documents.sheets_pdf(version(), five, settings=settings(), now=AT, at_once=2)
