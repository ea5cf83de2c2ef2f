"""Texts that WeChat carries: by which way, what it fills in, and what it would refuse."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach import i18n
from outreach.i18n import say
from outreach.rendering import checks, templates, wechat_values
from outreach.rendering.checks import Problem
from outreach.rendering.filters import short
from outreach.rendering.frontmatter import KeyWrong
from outreach.rendering.templates import MessageTemplate
from outreach.sandbox.wechat.fields import TYPES

FOLDERS = [Path(__file__).parents[1] / "templates"]
ID = "ngqIpbwh8bUfcSsECmogfXcV14J0tQlEpBO27izEYtY"
FIELDS: dict[str, Any] = {
    "enterprise": "示例鞋业有限公司",
    "enterprises": ["示例鞋业有限公司"],
    "enterprise_count": 1,
    "contact": "张建国",
    "code": "7K3M9P",
    "date": "2026年1月15日",
    "deadline": "1月15日",
    "link": "http://127.0.0.1:8000/p/abc",
}


def parsed(wechat: str = "", body: str = "", kind: str = "通知") -> MessageTemplate:
    table = f"wechat = {{ {wechat} }}\n" if wechat else ""
    return templates.parse("wechat/try", f'+++\ntitle = "待办"\nchannel = "wechat"\nkind = "{kind}"\n{table}+++\n{body}')


def found(template: MessageTemplate, *, production: bool = True, **values: Any) -> list[Problem]:
    return checks.problems(template, signature="示例人社", links_allowed=True, production=production, samples=[{**FIELDS, **values}])


@pytest.mark.parametrize(
    ("wechat", "via"),
    [
        ("", "service"),
        ('via = "service"', "service"),
        (f'id = "{ID}", thing1 = "企业名称"', "template"),
        (f'id = "{ID}", via = "template", thing1 = "企业名称"', "template"),
        (f'id = "{ID}", via = "subscription", thing1 = "企业名称"', "subscription"),
    ],
)
def test_a_text_goes_by_the_way_that_its_head_says(wechat: str, via: str) -> None:
    template = parsed(wechat, "您好")
    assert templates.via(template) == via
    assert templates.filed_id(template) == ("" if via == "service" else ID)
    assert templates.wechat_data(template, FIELDS) == ({} if via == "service" else {"thing1": "示例鞋业有限公司"})


@pytest.mark.parametrize(
    "wechat",
    [
        f'id = "{ID}"',
        'thing1 = "企业名称"',
        'via = "template", thing1 = "企业名称"',
        f'id = "{ID}", via = "service"',
        f'id = "{ID}", via = "mass", thing1 = "企业名称"',
        f'id = "{ID}", thing1 = 1',
    ],
)
def test_a_head_that_leaves_the_way_open_is_refused_with_its_line(wechat: str) -> None:
    with pytest.raises(KeyWrong) as caught:
        parsed(wechat)
    assert say(caught.value).startswith("wechat/try.txt, line 5: wechat") and "\n" not in say(caught.value)


def test_a_text_message_goes_by_no_way_of_wechat() -> None:
    assert templates.via(templates.load("sms/pledge-invitation", FOLDERS)) == ""


def test_a_template_message_reads_as_the_provider_shows_it() -> None:
    template = parsed(f'id = "{ID}", thing1 = "企业名称|short(6)", phrase2 = "\'待签订\'"', "单位：{{thing1.DATA}}\n状态：{{ phrase2.DATA }}\n")
    assert templates.render(template, FIELDS) == "单位：示例鞋业\n状态：待签订"
    assert templates.render(parsed(f'id = "{ID}", thing1 = "企业名称"'), FIELDS) == "thing1：示例鞋业有限公司"


def test_a_value_that_the_head_does_not_give_is_told_with_its_line() -> None:
    for wechat in (f'id = "{ID}", thing1 = "企业名称"', ""):
        problem = found(parsed(wechat, "单位：\n{{thing2.DATA}}"))[0]
        assert problem.id == "invalid" and f"line {8 if wechat else 7}: the text shows thing2" in checks.words(problem)


GOOD_AND_BAD: dict[str, tuple[list[str], list[str]]] = {
    "thing1": (["签订《不欠薪倡议书》", "十" * 20, "a b", "1,2"], ["", "十" * 21, "上\n下", "零\u200b宽"]),
    "short_thing1": (["张建国等", "五个字以内"], ["六个字不可以"]),
    "character_string12": (["7K3M9P", "2026-000317", "x" * 32], ["签署码", "x" * 33, "全角Ａ", " ", "a b"]),
    "phrase3": (["待签订", "仍待签订啊"], ["六个字不可以", "待签订！", "OK", "1月"]),
    "name4": (["张建国", "John Smith", "欧阳 · 建国"], ["十一个字的名字十一个字呀", "张3", "x" * 21]),
    "number5": (["3", "0.5", "-1"], ["三", "３", "1,000", "9" * 33]),
    "letter6": (["abc"], ["a1", "x" * 33]),
    "symbol7": (["%", "+-"], ["a", "中", "%%%%%%"]),
    "time8": (
        ["15:01", "2026年1月15日", "2026年1月15日 17:00", "2026年1月15日17:00:30", "2026-01-15 09:00", "2026.01.15", "9:00~17:30"],
        ["25:00", "２026年1月15日", "明天", "1月15日", "1月15日前", "2026年", "17点"],
    ),
    "date9": (["2026年1月15日", "2026/01/15"], ["截止1月15日", "2026年1月15日~", "17:00"]),
    "amount10": (["100元", "¥100.50", "3"], ["一百元", "12345678901", "100 元", "1.234"]),
    "phone_number11": (["12333", "+86-0766-66888866", "0574-63918300"], ["12333转1", "1" * 18]),
    "car_number12": (["粤A8Z888挂", "浙B12345"], ["浙B·12345"]),
    "const13": (["是"], [""]),
}


@pytest.mark.parametrize("key", GOOD_AND_BAD)
def test_a_value_is_of_the_kind_that_its_key_is_named_after(key: str) -> None:
    good, bad = GOOD_AND_BAD[key]
    assert {value: wechat_values.fault(key, value) for value in good} == dict.fromkeys(good)
    assert all(wechat_values.fault(key, value) for value in bad), [value for value in bad if not wechat_values.fault(key, value)]


def test_every_kind_is_tried_here() -> None:
    assert {wechat_values.kind_of(key) for key in GOOD_AND_BAD} == set(wechat_values.KINDS) - {"enum"}
    assert [wechat_values.kind_of(key) for key in ("first", "keyword1", "remark", "things1", "thing1x")] == [""] * 5


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(set(wechat_values.KINDS))), st.text(st.sampled_from("示厂年月日7K2０２026-/.:~ ¥元+()aZ…《》％%\n"), max_size=22), st.data())
def test_the_gateway_takes_whatever_passes_here(kind: str, value: str, data: st.DataObject) -> None:
    known = [one for key, (good, _bad) in GOOD_AND_BAD.items() for one in good if key.startswith(kind)]
    value = data.draw(st.sampled_from([value, *known]))
    if wechat_values.fault(f"{kind}1", value) is None and value.strip():
        assert TYPES[kind](value), (kind, value)


@settings(max_examples=80, deadline=None)
@given(st.text(st.sampled_from("示例市有限公司分第一（）AB 1厂"), max_size=40), st.integers(1, 25))
def test_a_shortened_name_always_fits(name: str, longest: int) -> None:
    assert len(short(name, longest)) <= longest
    if name.strip():
        assert wechat_values.fault("thing1", short(name, 20)) is None


@pytest.mark.parametrize(
    ("wechat", "body", "values", "told"),
    [
        (
            f'id = "{ID}", thing1 = "企业名称"',
            "",
            {"enterprise": "长" * 21},
            "thing1 takes 20 characters, this one has 21: 长长长长长长长长长长长长长长长长长长长长长; shorten it: …|short(20)",
        ),
        (
            f'id = "{ID}", phrase1 = "企业名称"',
            "",
            {"enterprise": "示例鞋业厂家"},
            "phrase1 takes 5 characters, this one has 6: 示例鞋业厂家; write a shorter value.",
        ),
        (f'id = "{ID}", phrase1 = "签署码[:5]"', "", {}, "phrase1 takes Chinese characters alone, and not: 7K3M9"),
        (f'id = "{ID}", time1 = "截止日"', "", {"deadline": None}, "time1 has no value for a recipient"),
        (f'id = "{ID}", time1 = "截止日 ~ \'前\'"', "", {}, "time1 takes a date with its year such as"),
        (
            f'id = "{ID}", thing1 = "企业名称"',
            "",
            {"enterprise": "示例\u202e厂"},
            "thing1 takes characters that can be seen, on one line, and not: 示例<U+202E>厂",
        ),
        ("", "{{ 负责人 }}", {"contact": None}, "nothing is left of the text"),
        ("", "长" * 683, {}, "a text of 2049 bytes is too long for WeChat"),
        (f'id = "{ID}", thing1 = "企业名称"', "{{thing1.DATA}}", {"kind": "推广"}, "a text filed as 推广 may not go out as a template message"),
        ('id = "rehearsal-x", thing1 = "企业名称"', "", {}, "line 5: rehearsal-x is no template of WeChat's"),
    ],
)
def test_what_wechat_would_refuse_is_refused_before_with_its_cure(wechat: str, body: str, values: dict[str, Any], told: str) -> None:
    fields = {key: value for key, value in values.items() if key != "kind"}
    problems = [problem for problem in found(parsed(wechat, body, kind=values.get("kind", "通知")), **fields) if problem.refuses]
    assert any(told in checks.words(problem) for problem in problems), [checks.words(problem) for problem in problems]
    assert all("\n" not in checks.words(problem) for problem in problems)


@pytest.mark.parametrize(
    ("wechat", "body", "id"),
    [
        (f'id = "{ID}", thing1 = "\'免费办理\'"', "", "wechat_lure"),
        (f'id = "{ID}", thing1 = "企业名称"', "欢迎参加{{thing1.DATA}}", "wechat_lure"),
        (f'id = "{ID}", keyword1 = "企业名称"', "", "wechat_key_unknown"),
        (f'id = "{ID}", thing1 = "企业名称", thing2 = "签署码"', "{{thing1.DATA}}", "wechat_key_unread"),
        ('id = "too-short", thing1 = "企业名称"', "", "wechat_id_odd"),
    ],
)
def test_what_may_bring_trouble_is_warned_of(wechat: str, body: str, id: str) -> None:
    assert [(problem.id, problem.severity) for problem in found(parsed(wechat, body))] == [(id, "warn")]


def test_a_name_that_holds_a_word_of_publicity_is_not_warned_of() -> None:
    assert found(parsed(f'id = "{ID}", thing1 = "企业名称"'), enterprise="示例宣传推广有限公司") == []


def test_a_customer_service_message_may_say_anything_and_hold_the_link() -> None:
    assert found(parsed("", "{{ 企业名称 }}：免费办理，{{ 专属链接 }}【示例】")) == []


@pytest.mark.parametrize("name", ["wechat/pledge-invitation", "wechat/pledge-reminder"])
def test_the_template_messages_that_ship_keep_wechats_rules(name: str) -> None:
    template = templates.load(name, FOLDERS)
    long = {"enterprise": "示例市逍林镇示例五金塑料制品及模具制造有限责任公司第二分公司", "enterprise_count": 138, "deadline": "12月31日"}
    for values in ({}, long, {"deadline": None}):
        assert [(problem.id, problem.severity) for problem in found(template, production=False, **values)] == [("wechat_not_filed", "warn")]
    assert [problem.refuses for problem in found(template)] == [True]


@pytest.mark.parametrize("page", ["wechat-texts.md", "wechat-texts.zh-CN.md"])
def test_the_example_in_the_docs_is_a_text_that_may_be_sent(page: str) -> None:
    source = (Path(__file__).parents[1] / "docs" / page).read_text("utf-8")
    template = templates.parse("wechat/example", source[source.index("+++") : source.index("\n```", source.index("+++"))])
    told = [(problem.id, problem.data.get("field")) for problem in found(template, production=False, deadline_time=None)]
    assert told == [("wechat_not_filed", None), ("wechat_key_unread", "time4"), ("wechat_key_unread", "character_string5")]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_problem_of_wechat_has_its_sentence(lang: str) -> None:
    i18n.use(lang)
    every = ", ".join(f"{key} = \"''\"" for key in GOOD_AND_BAD)
    cases = [
        found(parsed(f'id = "rehearsal", {every}, keyword9 = "\'宣传\'"', "x", kind="推广")),
        found(parsed(f'id = "x", thing1 = "企业名称 ~ \'{"长" * 30}\'", phrase1 = "\'六个字不可以\'"')),
        found(parsed("", "长" * 700)),
        *(found(parsed(f'id = "{ID}", {key} = "企业名称"'), enterprise="1\u200b") for key in GOOD_AND_BAD),
    ]
    told = {problem.id: checks.words(problem) for case in cases for problem in case}
    assert {id for id in checks.sentences() if id.startswith("wechat_")} <= set(told)
    assert all(sentence and "\n" not in sentence and "{" not in sentence.replace("{{", "") for sentence in told.values())
