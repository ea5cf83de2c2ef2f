"""The little language of templates: what may stand in one, and that its text is a function of its fields alone."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.i18n import say
from outreach.rendering import templates
from outreach.rendering.filters import short
from outreach.rendering.frontmatter import TemplateInvalid
from outreach.rendering.language import LONGEST, ConstructRefused, FilterUnknown, SyntaxWrong, TooDeep, TooLong

HEAD = '+++\ntitle = "试"\nchannel = "sms"\nkind = "通知"\n+++\n'
FIRST_LINE = 6


def template(body: str) -> templates.MessageTemplate:
    return templates.parse("sms/try", HEAD + body)


def written(body: str, **fields: Any) -> str:
    return templates.render(template(body), fields)


values = st.one_of(
    st.text(max_size=20).map(lambda text: text.replace("\n", "").strip()),
    st.sampled_from(["{{7*7}}", "{% for x in y %}", "{{ enterprise }}", "{# x #}", "{%raw%}", "%s %(a)s {0} {a}", "${x}", "\\n", "<b>&amp;"]),
)


@settings(max_examples=100, deadline=None)
@given(values, values)
def test_values_print_as_they_are_whatever_they_look_like(enterprise: str, contact: str) -> None:
    body = "甲{{ 企业名称 }}乙{{ contact }}丙"
    fields = {"enterprise": enterprise, "contact": contact}
    first = templates.render(template(body), fields)
    assert first.replace("\r", "") == f"甲{enterprise}乙{contact}丙".replace("\r", "")
    assert templates.render(template(body), dict(reversed(fields.items()))) == first


def test_english_and_chinese_names_are_the_same_field() -> None:
    fields = {"enterprise": "示例鞋业", "register": {"风险": {"等级": "红"}}}
    assert written("{{企业名称}}{{ enterprise }}", **fields) == "示例鞋业示例鞋业"
    assert written("{{ register.风险.等级 }}{{ 名册['风险']['等级'] }}", **fields) == "红红"
    assert templates.fields_used(template("{{ 企业名称 }}{% if town == '甲' %}{{ code }}{% endif %}")) == {"enterprise", "town", "code"}


def test_the_fields_of_a_register_are_told_one_by_one() -> None:
    used = templates.fields_used(template("{{ 名册.风险.等级 }}{% if register.deposit.paid %}{{ 负责人 }}{% endif %}"))
    assert used == {"register.风险.等级", "register.deposit.paid", "contact"}


def test_a_register_field_is_a_key_and_never_a_method() -> None:
    assert written("{{ register.a.values }}{{ register.a.items }}", register={"a": {"values": "甲", "items": 3}}) == "甲3"
    with pytest.raises(templates.FieldMissing):
        written("{{ register.a.keys }}", register={"a": {}})
    with pytest.raises(templates.FieldMissing):
        written("{{ register['a']['keys'] }}", register={"a": {}})


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{% if 企业数 > 1 %}等{{ 企业数 }}家{% else %}一家{% endif %}", "等3家"),
        ("{% for 企业 in 企业列表 %}{{ loop.index }}.{{ 企业 }}{% if not loop.last %}；{% endif %}{% endfor %}", "1.甲；2.乙；3.丙"),
        ("{% for e in enterprises[:2] %}{{ e }}{% endfor %}", "甲乙"),
        ("{{ enterprises }}", "甲、乙、丙"),
        ("{{ enterprises[:2]|join('和') }}等{{ 企业数 - 1 + 1 }}家", "甲和乙等3家"),
        ("{{ enterprises|first }}{{ enterprises|length }}{{ enterprises[1] }}", "甲3乙"),
        ("{{ 负责人 or '您好' }}{{ 镇街|default('本镇') }}", "您好本镇"),
        ("{{ 企业名称 if 企业数 == 1 else '贵方' }}", "贵方"),
        ("{% if 编号 is defined and 编号 in ['a', 'b'] %}x{% endif %}无", "无"),
        ("{{ 名册.a.b }}{{ 名册.a.c }}{{ 名册.a.d }}{{ 名册.a.e }}", "是否1.5"),
        ("{{ '甲' ~ 企业数 }}{# 注 #}{% raw %}{{ x }}{% endraw %}", "甲3{{ x }}"),
        ("{{ -企业数 }}{{ not 负责人 }}", "-3是"),
    ],
)
def test_what_the_language_knows(body: str, text: str) -> None:
    register = {"a": {"b": True, "c": False, "d": None, "e": 1.5}}
    assert written(body, enterprise="甲", enterprises=["甲", "乙", "丙"], enterprise_count=3, contact=None, register=register) == text


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("{{ range(10**9) }}", ConstructRefused),
        ("{% for i in range(9) %}{% endfor %}", ConstructRefused),
        ("{% for c in 企业名称 %}{% endfor %}", ConstructRefused),
        ("{% for a in 企业列表 %}{% for b in 企业列表 %}{% endfor %}{% endfor %}", ConstructRefused),
        ("{% for a in 企业列表 recursive %}{{ loop(a) }}{% endfor %}", ConstructRefused),
        ("{% set a = 'x' %}", ConstructRefused),
        ("{% set a %}x{% endset %}", ConstructRefused),
        ("{% with a = 'x' %}{% endwith %}", ConstructRefused),
        ("{% macro m() %}x{% endmacro %}", ConstructRefused),
        ("{% filter upper %}x{% endfilter %}", ConstructRefused),
        ("{% include 'sms/other' %}", ConstructRefused),
        ("{% import 'x' as y %}", ConstructRefused),
        ("{% extends 'x' %}", ConstructRefused),
        ("{% block b %}{% endblock %}", ConstructRefused),
        ("{{ 'x' * 999999999 }}", ConstructRefused),
        ("{{ 9 ** 9 ** 9 }}", ConstructRefused),
        ("{{ '%999999999d' % 1 }}", ConstructRefused),
        ("{{ 企业名称.__class__.__mro__ }}", ConstructRefused),
        ("{{ 企业名称.upper }}", ConstructRefused),
        ("{{ ''.format }}", ConstructRefused),
        ("{{ cycler('a') }}", ConstructRefused),
        ("{{ {'a': 1} }}", ConstructRefused),
        ("{{ 企业列表|random }}", FilterUnknown),
        ("{{ 企业名称|center(999999999) }}", FilterUnknown),
        ("{{ 企业名称|replace('a', 'b') }}", FilterUnknown),
        ("{{ 企业名称 is callable }}", FilterUnknown),
        ("{{ 企业名称", SyntaxWrong),
        ("{% if 企业名称 %}", SyntaxWrong),
        ("{% do x %}", SyntaxWrong),
        ("{{ " + "9" * 5000 + " }}", SyntaxWrong),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", TooDeep),
        ("{% if 企业数 %}" * 150 + "{% endif %}" * 150, TooDeep),
        ("{{ " + "not " * 2000 + "1 }}", TooDeep),
        ("长" * (LONGEST + 1), TooLong),
    ],
)
def test_what_could_call_grow_or_wander_is_refused_in_one_line(body: str, error: type[TemplateInvalid]) -> None:
    with pytest.raises(error) as caught:
        templates.compile(template("您好\n" + body))
    assert "\n" not in say(caught.value)
    assert say(caught.value).startswith("sms/try.txt, line ")


@pytest.mark.parametrize(
    ("body", "line"),
    [("一\n二{{ x(1) }}", 7), ("一\n\n{{ 三", 8), ("{% set a = 1 %}", 6), ("一\n二\n{% if 企业数 %}\n{{ 企业数 * 2 }}{% endif %}", 9)],
)
def test_the_line_is_that_of_the_file(body: str, line: int) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        templates.compile(template(body))
    assert caught.value.data["line"] == line


@pytest.mark.parametrize(
    "body",
    [
        "{{ 企业数 + 'x' }}",
        "{{ 企业列表 > 3 }}",
        "{{ 名册 }}",
        "{{ 企业名称|join('、') }}",
        "{{ 企业名称|short(0) }}",
        "{{ 企业名称|short('x') }}",
    ],
)
def test_a_value_of_the_wrong_kind_is_told_with_its_line(body: str) -> None:
    with pytest.raises(templates.RenderFailed) as caught:
        written("一\n" + body, enterprise="甲", enterprises=["甲"], enterprise_count=1, register={})
    assert caught.value.data["line"] == FIRST_LINE + 1
    assert "\n" not in say(caught.value)


@pytest.mark.parametrize(
    ("name", "n", "shortened"),
    [
        ("示例鞋业有限公司", 20, "示例鞋业有限公司"),
        ("示例鞋业有限公司", None, "示例鞋业"),
        ("示例鞋业有限公司", 7, "示例鞋业"),
        ("示例鞋业有限责任公司", 7, "示例鞋业"),
        ("示例鞋业股份有限公司", 7, "示例鞋业"),
        ("示例鞋业集团有限公司", 7, "示例鞋业集团"),
        ("示例鞋业有限公司逍林分公司", 10, "示例鞋业逍林分公司"),
        ("逍林镇好味小吃店（个体工商户）", 10, "逍林镇好味小吃店"),
        ("示例合伙（普通合伙）", 8, "示例合伙"),
        ("Example Shoes Co., Ltd.", 15, "Example Shoes"),
        ("示例市逍林镇大桥头第一鞋业有限公司", 6, "示例市逍林…"),
        ("示例市逍林镇示例五金塑料制品有限责任公司第二分公司", 18, "示例市逍林镇示例五金塑料…第二分公司"),
        ("示例市逍林镇示例五金塑料制品有限责任公司第二分公司", 9, "示例市逍林镇示例…"),
        ("有限公司", 3, "有限…"),
        ("有限公司", None, "有限公司"),
        ("示例鞋业", 1, "…"),
    ],
)
def test_a_name_loses_its_legal_form_before_its_end(name: str, n: int | None, shortened: str) -> None:
    assert short(name, n) == shortened


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="示例鞋业有限责任公司股份集团（）个体第二分厂 CoLtd.,", max_size=30), st.integers(1, 25))
def test_a_shortened_name_fits_and_stays_as_it_is(name: str, n: int) -> None:
    once = short(name, n)
    assert len(once) <= n
    assert short(once, n) == once
    assert name.strip() == once or len(name.strip()) > n
