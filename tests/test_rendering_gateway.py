"""Texts that a gateway writes itself, from one filed with it."""

from pathlib import Path
from typing import Any

import pytest

from outreach import i18n
from outreach.rendering import checks, templates
from outreach.rendering.checks import plain_fields_only
from outreach.rendering.templates import MessageTemplate

FOLDERS = [Path(__file__).parents[1] / "templates"]
FIELDS: dict[str, Any] = {
    "enterprise": "示例市大桥头第一橡胶塑料五金制品股份有限公司",
    "enterprises": ["甲厂", "乙厂"],
    "enterprise_count": 2,
    "contact": "张建国",
    "code": "7K3M9P",
    "account": "示例人社",
    "hotline": "12333",
    "town": None,
    "register": {"risk": {"tier": "红"}},
    "link": "http://127.0.0.1:8000/p/abc",
}


def text(body: str) -> MessageTemplate:
    return templates.parse("sms/try", f'+++\ntitle = "试"\nchannel = "sms"\nkind = "通知"\nfiled = "SMS_1"\n+++\n{body}')


def told(body: str, **values: Any) -> list[tuple[str, str]]:
    return [(problem.id, problem.severity) for problem in plain_fields_only(text(body), samples=[{**FIELDS, **values}])]


def test_the_variables_are_the_fields_that_the_text_reads_as_it_shows_them() -> None:
    template = text("{{ 负责人 }}您好：{{ 企业名称|short|short(10) }}的签署码{{ code }}，{{ 企业列表 }}共{{ 企业数 }}家{{ 镇街 }}。")
    assert templates.variables(template, FIELDS) == {
        "contact": "张建国",
        "enterprise": "示例市大桥头第一橡…",
        "code": "7K3M9P",
        "enterprises": "甲厂、乙厂",
        "enterprise_count": "2",
        "town": "",
    }


def test_the_gateway_writes_what_we_would_have_written() -> None:
    template = templates.load("sms/pledge-invitation-filed", FOLDERS)
    filed = templates.filed_text(template)
    for name, value in templates.variables(template, FIELDS).items():
        filed = filed.replace(f"${{{name}}}", value)
    assert filed == templates.render(template, FIELDS)
    assert "$" not in filed


def test_a_variable_without_a_value_is_told() -> None:
    with pytest.raises(templates.FieldMissing, match="编号"):
        templates.variables(text("您好{{ serial }}"), FIELDS)
    with pytest.raises(templates.RenderFailed):
        templates.variables(text("您好{{ register }}"), FIELDS)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{{ 负责人 }}您好，签署码{{ 签署码 }}。", []),
        ("{{ 负责人|short(4) }}您好，{{ 负责人|short(4) }}", []),
        ("您好，请签订《不欠薪倡议书》。", []),
        ("{% if 企业数 > 1 %}您{% endif %}好", [("filed_plain", "refuse")]),
        ("{{ 负责人 or '您好' }}好", [("filed_plain", "refuse")]),
        ("{{ 负责人|upper }}好", [("filed_plain", "refuse")]),
        ("{{ 企业名称[:3] }}好", [("filed_plain", "refuse")]),
        ("{{ register.risk.tier }}好", [("filed_plain", "refuse")]),
        ("{{ 企业名称|short(4) }}和{{ 企业名称|short(5) }}", [("filed_twice", "refuse")]),
        ("{{ 专属链接 }}好", [("filed_link", "refuse")]),
        ("{{ 负责人 }}{{ 签署码 }}好", [("filed_adjacent", "refuse")]),
        ("{{ 签署码 }}", [("filed_bare", "refuse")]),
        ("微信{{ 公众号 }}电话{{ 咨询电话 }}", [("filed_contact", "warn"), ("filed_contact", "warn")]),
        ("{{ 企业名 }}好", [("invalid", "refuse")]),
        ("{{ serial }}好", [("not_written", "refuse")]),
    ],
)
def test_a_filed_text_holds_words_and_plain_fields_alone(body: str, expected: list[tuple[str, str]]) -> None:
    assert told(body) == expected


def test_a_variable_holds_35_characters_and_no_link() -> None:
    assert told("{{ 企业名称 }}好", enterprise="长" * 35) == []
    assert told("{{ 企业名称 }}好", enterprise="长" * 36) == [("filed_too_long", "refuse")]
    assert told("{{ 企业名称|short(35) }}好", enterprise="长" * 36) == []
    assert told("{{ 企业名称 }}好", enterprise="看a.cn") == [("filed_link", "refuse")]


def test_the_line_of_what_cannot_be_filed_is_told() -> None:
    problem = plain_fields_only(text("您好\n{{ 负责人 }}\n{% if 镇街 %}请{% endif %}"), samples=[])[0]
    assert checks.words(problem).startswith("sms/try.txt, line 9: a filed text may hold {{ field }}")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_problem_of_a_filed_text_has_its_sentence(lang: str) -> None:
    i18n.use(lang)
    body = "{{ 企业名称 }}{{ 企业名称|short(3) }}{{ 公众号 }}{{ link }}{% if 镇街 %}x{% endif %}{{ 负责人 }}"
    problems = [*plain_fields_only(text(body), samples=[{**FIELDS, "contact": "长" * 40}]), *plain_fields_only(text("{{ 签署码 }}"), samples=[])]
    sentences = {problem.id: checks.words(problem) for problem in problems}
    assert set(sentences) == {id for id in checks.sentences() if id.startswith("filed_")}
    assert all(sentence and "\n" not in sentence for sentence in sentences.values())
