"""Texts with markup: what staff write becomes blocks, and what a field holds is shown as it is."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.rendering import language, markup, templates
from outreach.rendering.characters import visible
from outreach.rendering.markup import Document, Heading, Items, Paragraph, Rule, Run, SignOff

HOSTILE = [
    '#panic("x")',
    "<script>alert(1)</script>",
    "【】[]*_$",
    "**x**",
    "# 一",
    "- 一",
    "1. 一",
    "---",
    "{{7*7}}",
    "\\*",
    "𠮷" * 200,
    "a\nb",
    "\u202eabc",
    "&amp;",
]


def of(source: str, **fields: Any) -> tuple[markup.Block, ...]:
    return markup.parse(source, fields).blocks


def line(text: str) -> markup.Line:
    return (Run(text),)


def test_each_line_is_a_paragraph_and_the_blanks_before_it_go() -> None:
    assert of("　　您好！\n  一、依法用工\n\n二、按月足额") == tuple(Paragraph(line(text)) for text in ("您好！", "一、依法用工", "二、按月足额"))


@pytest.mark.parametrize(
    ("source", "block"),
    [
        ("# 标题", Heading(1, line("标题"))),
        ("## 小标题", Heading(2, line("小标题"))),
        ("### 深", Paragraph(line("### 深"))),
        ("#标题", Paragraph(line("#标题"))),
        ("\\# 标题", Paragraph(line("# 标题"))),
        ("1. 甲\n2. 乙", Items((line("甲"), line("乙")), numbered=True)),
        ("1. 甲\n\n1. 乙", Items((line("甲"), line("乙")), numbered=True)),
        ("- 甲\n* 乙", Items((line("甲"), line("乙")), numbered=False)),
        ("2026.1 起", Paragraph(line("2026.1 起"))),
        ("---", Rule()),
        ("<b>粗</b>", Paragraph(line("<b>粗</b>"))),
        ("[a](http://x) `b` _c_", Paragraph(line("[a](http://x) `b` _c_"))),
        ("**“六项制度”**。", Paragraph((Run("“六项制度”", strong=True), Run("。")))),
        ("落实**“六项制度”**是**义务**", Paragraph((Run("落实"), Run("“六项制度”", strong=True), Run("是"), Run("义务", strong=True)))),
        ("2 ** 3 ** 4", Paragraph(line("2 ** 3 ** 4"))),
        ("\\*\\*不\\*\\*", Paragraph(line("**不**"))),
    ],
)
def test_a_little_markup_is_understood_and_everything_else_is_text(source: str, block: markup.Block) -> None:
    assert of(source) == (block,)


def test_what_stands_after_the_last_rule_is_the_sign_off_and_before_it_the_first_line_greets() -> None:
    blocks = of("{{ 企业名称 }}{{ 负责人 }}：\n您好！\n---\n{{ 机关全称 }}\n{{ 日期 }}", enterprise="甲厂", contact="张三", office="某局", date="1月15日")
    assert blocks == (Paragraph(line("甲厂张三："), salutation=True), Paragraph(line("您好！")), SignOff((line("某局"), line("1月15日"))))
    assert of("我单位承诺：\n---\n# 附件\n一") == (Paragraph(line("我单位承诺：")), Rule(), Heading(1, line("附件")), Paragraph(line("一")))


def test_conditions_and_lists_of_enterprises_are_written_before_the_markup_is_read() -> None:
    source = "{% if 企业数 > 1 %}您的企业：\n{% for 一家 in 企业列表 %}\n- {{ 一家|short(6) }}\n{% endfor %}\n{% endif %}"
    assert of(source, enterprise_count=2, enterprises=["甲有限公司", "# 乙"]) == (
        Paragraph(line("您的企业：")),
        Items((line("甲有限公司"), line("# 乙")), numbered=False),
    )
    assert of(source, enterprise_count=1, enterprises=["甲"]) == ()


def test_a_line_whose_fields_are_empty_is_no_line() -> None:
    assert of("{{ 镇街 }}\n**{{ 镇街 }}**\n- {{ 镇街 }}\n完", town="") == (Paragraph(line("完")),)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_name_is_shown_as_it_is(value: str) -> None:
    for before, after in (("", ""), ("# ", ""), ("- ", ""), ("1. ", ""), ("**", "**")):
        text = markup.to_text(Document("", of(f"{before}{{{{ 企业名称 }}}}{after}", enterprise=value)))
        assert text == ("" if before in ("# ", "**") else before) + visible(value)


@settings(max_examples=150, deadline=None)
@given(name=st.text(max_size=200), contact=st.text(max_size=20))
def test_whatever_a_field_holds_only_the_markup_of_the_text_makes_blocks(name: str, contact: str) -> None:
    source = "# 致{{ 企业名称 }}。\n**甲{{ 负责人 }}**乙\n1. 丙{{ 企业名称 }}\n---\n丁{{ 负责人 }}"
    blocks = of(source, enterprise=name, contact=contact)
    name, contact = visible(name), visible(contact)
    assert blocks == (
        Heading(1, line(f"致{name}。")),
        Paragraph((Run(f"甲{contact}", strong=True), Run("乙"))),
        Items((line(f"丙{name}"),), numbered=True),
        SignOff((line(f"丁{contact}"),)),
    )
    html = str(markup.to_html(Document("", blocks)))
    tags = re.findall(r"<[^>]*>", html)
    assert tags == ["<h2>", "</h2>", "<p>", "<strong>", "</strong>", "</p>", "<ol>", "<li>", "</li>", "</ol>", '<p class="sign-off">', "</p>"]
    assert unescape(re.sub(r"<[^>]*>", "", html)).replace("\n", "") == f"致{name}。甲{contact}乙丙{name}丁{contact}".replace("\n", "")


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("*#-\\1. 甲“”。\n<&>　"), max_size=60))
def test_any_text_that_staff_write_can_be_read_and_its_html_holds_only_our_tags(source: str) -> None:
    html = str(markup.to_html(markup.parse(source, {})))
    assert set(re.findall(r"</?(\w+)", html)) <= {"h2", "h3", "p", "ol", "ul", "li", "strong", "hr"}


def test_the_data_for_a_layout_says_the_same_as_the_page() -> None:
    document = markup.parse('+++\ntitle = "信"\n+++\n甲**乙**\n1. 丙\n---\n丁', {})
    assert document.title == "信"
    assert markup.to_data(document) == [
        {"kind": "paragraph", "line": [{"text": "甲", "strong": False}, {"text": "乙", "strong": True}]},
        {"kind": "numbered", "lines": [[{"text": "丙", "strong": False}]]},
        {"kind": "sign-off", "lines": [[{"text": "丁", "strong": False}]]},
    ]


@pytest.mark.parametrize(
    ("source", "error", "number"),
    [
        ('+++\ntitle = "信"\n+++\n甲\n{{ 企业民称 }}', templates.UnknownField, 0),
        ('+++\ntitle = "信"\n+++\n甲\n{{ 企业名称 }}', templates.FieldMissing, 5),
        ('+++\ntitle = "信"\n+++\n甲\n{% set x = 1 %}', language.ConstructRefused, 5),
        ('+++\ntitle = "信"\n+++\n甲\n{{ 企业名称 - 1 }}', templates.FieldMissing, 5),
    ],
)
def test_a_fault_is_named_with_its_file_and_line(source: str, error: type[Exception], number: int) -> None:
    with pytest.raises(error, match=r"信\.md" + (f", line {number}" if number else "")):
        markup.parse(source, {}, file="信.md")


SHIPPED = Path(__file__).parent.parent / "templates"
FIELDS = {
    "enterprise": "示例鞋业有限公司",
    "enterprise_count": 1,
    "contact": "张建国",
    "place": "示例市",
    "account": "示例人社",
    "code": "7K3M9P",
    "town": "逍林镇",
    "hotline": "12333",
    "office": "示例市人力资源和社会保障局",
    "date": "2026年1月15日",
}


@pytest.mark.parametrize("name", ["letter/open-letter", "pledge/no-arrears-2026", "pledge/privacy"])
def test_the_texts_that_ship_have_the_same_parts_in_both_languages(name: str) -> None:
    chinese, english = (markup.parse((SHIPPED / (name + ending)).read_text("utf-8"), FIELDS) for ending in (".md", ".en.md"))
    assert [(type(block), len(getattr(block, "lines", ""))) for block in chinese.blocks] == [
        (type(block), len(getattr(block, "lines", ""))) for block in english.blocks
    ]
    assert not re.search(r"[{}*#]", markup.to_text(chinese) + markup.to_text(english))
