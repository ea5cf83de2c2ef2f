"""Which column of a list is which."""

from pathlib import Path

import pytest

from outreach import settings
from outreach.contacts import mapping
from outreach.contacts.mapping import HeadingsUnknown, Layout, MappingBroken, MappingMissing

SHIPPED = settings.shipped("contacts") / "mappings"
LIST = Path("名单.csv")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The office's own folder of mappings."""
    folder = tmp_path / "mappings"
    folder.mkdir()
    return folder


def layout(*rows: list[str], name: str | None = None, folders: tuple[Path, ...] = (SHIPPED,)) -> Layout:
    return mapping.choose(list(enumerate(rows, 1)), folders=folders, name=name, file=LIST)


@pytest.mark.parametrize("written", ["手机号码", " 手 机 号 码 ", "*手机号码", "手机号码：", "手机号码（必填）", "【必填】手机号码", "手机\n号码"])
def test_a_heading_is_known_whatever_blanks_marks_and_remarks_stand_about_it(written: str) -> None:
    assert layout(["企业名称", written]).places == {"name": 0, "phone": 1}


@pytest.mark.parametrize("written", ["Company Name", "COMPANYNAME", "ｃｏｍｐａｎｙ＿ｎａｍｅ", "credit_code"])
def test_english_headings_are_known_in_any_case_and_width(written: str) -> None:
    assert layout(["单位名称" if written == "credit_code" else written, "mobile"]).places["phone"] == 1


def test_all_fields_are_found_among_fifty_columns() -> None:
    headings = [f"其他{n}" for n in range(40)]
    headings[3], headings[17], headings[39] = "单位名称", "统一社会信用代码", "法定代表人"
    headings += ["联系电话", "乡镇街道", "村（社区）", "行业主管部门", "所属行业", "企业规模", "是否规上", "经营地址", "职务", "备注"]
    places = layout(headings).places
    assert (places["name"], places["credit_code"], places["contact"], places["phone"], places["town"]) == (3, 17, 39, 40, 41)
    assert set(places) == set(mapping.ENTERPRISE_FIELDS) | {"contact", "role", "phone", "note"}


def test_the_heading_row_is_found_below_title_rows() -> None:
    found = layout(["示例市企业名单"], ["单位：家", "填报人：王某"], [], ["序号", "企业名称", "手机"], ["1", "示例厂", "13800138000"])
    assert (found.line, found.places) == (4, {"name": 1, "phone": 2})


def test_of_two_rows_of_headings_the_one_that_says_more_counts() -> None:
    found = layout(["企业名称", "镇街", "负责人", "负责人"], ["企业名称", "镇街", "姓名", "手机"])
    assert found.line == 2
    assert found.places == {"name": 0, "town": 1, "contact": 2, "phone": 3}


def test_of_two_columns_for_one_field_the_preferred_heading_counts() -> None:
    assert layout(["企业名称", "联系电话", "手机号码"]).places["phone"] == 2
    assert layout(["企业名称", "法定代表人", "联系人"]).places["contact"] == 2


def test_further_contacts_have_their_own_columns() -> None:
    assert layout(["企业名称", "联系人", "手机", "联系人2", "手机2", "第三联系人", "第三联系人电话"]).places == {
        "name": 0,
        "contact": 1,
        "phone": 2,
        "contact2": 3,
        "phone2": 4,
        "contact3": 5,
        "phone3": 6,
    }


def test_the_offices_own_mapping_comes_before_one_of_the_same_name(own: Path) -> None:
    (own / "enterprises.toml").write_text('[columns]\nname = ["厂名"]\n', "utf-8")
    assert layout(["厂名"], folders=(own, SHIPPED)).places == {"name": 0}
    with pytest.raises(HeadingsUnknown):
        layout(["企业名称"], folders=(own, SHIPPED))


def test_without_a_name_the_mapping_that_fits_best_is_taken(own: Path) -> None:
    (own / "construction.toml").write_text('[columns]\nname = ["施工单位"]\nnote = ["项目名称"]\nphone = ["劳资专管员电话"]\n', "utf-8")
    assert layout(["施工单位", "项目名称", "劳资专管员电话"], folders=(own, SHIPPED)).mapping.name == "construction"
    assert layout(["企业名称", "手机"], folders=(own, SHIPPED)).mapping.name == "enterprises"


def test_a_row_that_holds_the_whole_header_is_the_heading_row_whatever_others_say(own: Path) -> None:
    (own / "wages.toml").write_text('header = ["单位", "专管员"]\n[columns]\nname = ["单位"]\ncontact = ["专管员"]\n', "utf-8")
    found = layout(["企业名称", "镇街", "村社区", "手机"], ["单位", "专管员"], folders=(own, SHIPPED))
    assert (found.line, found.mapping.name) == (2, "wages")


def test_a_mapping_is_asked_for_by_name(own: Path) -> None:
    (own / "a.toml").write_text('[columns]\nname = ["甲"]\n', "utf-8")
    assert layout(["甲", "企业名称"], name="a", folders=(own, SHIPPED)).places == {"name": 0}
    with pytest.raises(MappingMissing, match=r"no mapping called b\. There are: a, enterprises"):
        layout(["甲"], name="b", folders=(own, SHIPPED))


def test_headings_that_nobody_knows_are_named_with_those_that_were_expected() -> None:
    with pytest.raises(HeadingsUnknown) as unknown:
        layout(["名单"], ["甲", "乙", "丙"])
    assert "seen: 甲、乙、丙" in str(unknown.value)
    assert "企业名称、单位名称" in str(unknown.value)


def test_mappings_of_events_are_left_alone(own: Path) -> None:
    (own / "events.toml").write_text('[columns]\ntitle = ["名称"]\n', "utf-8")
    assert set(mapping.read_all([own, SHIPPED])) == {"enterprises"}


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        ('[columns]\nname = ["甲"]\nfone = ["乙"]\n', 3, "fone is none of name"),
        ('colums = 1\n[columns]\nname = ["甲"]\n', 1, "colums is none of header"),
        ('[columns]\nname = "甲"\n', 2, "must be a list"),
        ("[columns]\nname = [1]\n", 2, "must be a list"),
        ('[columns]\nname = ["甲"]\n\n[values.above_scale]\nyes = ["是"]\nmaybe = ["也许"]\n', 6, "only yes and no"),
        ('[columns]\nname = ["甲"]\n[values.size]\nbig = ["大"]\n', 3, "size is none of"),
        ('[columns]\nname = ["甲"]\n[defaults]\ncity = "示例市"\n', 4, "city is none of"),
        ('[columns]\nname = ["甲"\n[defaults]\n', 3, "line 3"),
        ("columns = 3\n", 1, "must be a table"),
    ],
)
def test_a_mapping_that_cannot_be_used_names_the_file_the_line_and_the_fault(own: Path, source: str, line: int, why: str) -> None:
    (own / "mine.toml").write_text(source, "utf-8")
    with pytest.raises(MappingBroken) as broken:
        mapping.read_all([own])
    assert f"mine.toml, line {line}" in str(broken.value)
    assert why in str(broken.value)


@pytest.mark.parametrize(
    ("headings", "pairs"),
    [
        (["法定代表人", "联系电话"], {"法定代表人": "联系电话"}),
        (["法定代表人", "法人手机"], {"法定代表人": "法人手机"}),
        (["负责人", "手机"], {"负责人": "手机"}),
        (["负责人", "联系人", "联系电话"], {"联系人": "联系电话", "负责人": None}),
        (["法定代表人", "联系人", "手机"], {"联系人": "手机", "法定代表人": None}),
        (["法定代表人", "法人手机", "联系人", "联系电话"], {"联系人": "联系电话", "法定代表人": "法人手机"}),
        (["负责人", "负责人手机", "联系人", "联系人手机"], {"联系人": "联系人手机", "负责人": "负责人手机"}),
        (["负责人", "法定代表人", "手机号码"], {"负责人": "手机号码", "法定代表人": None}),
        (["联系人", "负责人", "法定代表人", "电话"], {"联系人": "电话", "负责人": None, "法定代表人": None}),
        (["联系人", "手机", "联系人2", "手机2"], {"联系人": "手机", "联系人2": "手机2"}),
    ],
)
def test_each_person_of_a_list_keeps_his_own_number(headings: list[str], pairs: dict[str, str | None]) -> None:
    cells = ["企业名称", *headings]
    places = layout(cells).places
    numbers = ("", "2", "3")
    found = {cells[places["contact" + n]]: cells[places["phone" + n]] if "phone" + n in places else None for n in numbers if "contact" + n in places}
    assert found == pairs


def test_the_shipped_mapping_gives_no_heading_of_an_enterprise_to_two_fields() -> None:
    columns = mapping.read(SHIPPED / "enterprises.toml").columns
    contacts = {word for field, words in columns.items() if field.rstrip("23") in mapping.CONTACT_FIELDS for word in words}
    words = [word for field in mapping.ENTERPRISE_FIELDS for word in columns[field]]
    assert len(words) == len(set(words))
    assert not contacts & set(words)
