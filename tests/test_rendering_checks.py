"""What may not be sent."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach import i18n
from outreach.rendering import checks, templates
from outreach.rendering.characters import faults, url_in
from outreach.rendering.checks import Problem, problems, words

SAMPLE = {
    "enterprise": "示例鞋业有限公司",
    "enterprises": ["示例鞋业有限公司"],
    "enterprise_count": 1,
    "contact": "张建国",
    "link": "http://127.0.0.1:8000/p/abc",
    "code": "7K3M9P",
}


def template(body: str, kind: str = "通知", channel: str = "sms", head: str = 'filed = "SMS_1"') -> templates.MessageTemplate:
    source = f'+++\ntitle = "试"\nchannel = "{channel}"\nkind = "{kind}"\n{head}\n+++\n{body}'
    return templates.parse(f"{channel}/try", source)


def found(
    body: str, kind: str = "通知", channel: str = "sms", head: str = 'filed = "SMS_1"', values: dict[str, Any] | None = None, **rules: Any
) -> list[Problem]:
    given_rules = {"signature": "示例人社", "links_allowed": False, "production": True, "samples": [{**SAMPLE, **(values or {})}], **rules}
    return problems(template(body, kind, channel, head), **given_rules)


def ids(*args: Any, **rules: Any) -> list[str]:
    return [problem.id for problem in found(*args, **rules)]


@pytest.mark.parametrize(
    ("body", "values", "expected"),
    [
        ("{{ 负责人 }}您好，签署码{{ 签署码 }}。", {}, []),
        ("{{ 企业名 }}您好", {}, ["unknown_field"]),
        ("{{ 企业名 }}{{ 公众 }}{{ 企业名 }}", {}, ["unknown_field", "unknown_field"]),
        ("【示例人社】您好", {}, ["brackets"]),
        ("{{ '【' }}您好", {}, ["brackets"]),
        ("{{ 负责人 }}您好", {"contact": "【优惠】"}, ["brackets"]),
        ("请访问http://a.cn/x", {}, ["url"]),
        ("请访问www.example.com", {}, ["url"]),
        ("请访问a.cn/x办理", {}, ["url"]),
        ("{{ 负责人 }}您好", {"contact": "加v看a.cn"}, ["url"]),
        ("{{ 负责人 }}.cn", {"contact": "abc"}, ["url"]),
        ("{% if 企业数 > 9 %}请访问a.cn{% endif %}您好", {}, ["url"]),
        ("请打开{{ 专属链接 }}", {}, ["link_forbidden", "url"]),
        ("{% if 企业数 > 9 %}{{ link }}{% endif %}您好", {}, ["link_forbidden"]),
        ("您\u200b好", {}, ["invisible"]),
        ("{{ 负责人 }}您好", {"contact": "张\u202e建国"}, ["invisible"]),
        ("{{ 负责人 }}您好", {"contact": "张\x07"}, ["invisible"]),
        ("中" * 530, {}, []),  # 6 + 530 = 536 = 8 x 67
        ("中" * 531, {}, ["too_long"]),
        ("{{ 负责人 }}您好", {"contact": "长" * 600}, ["too_long"]),
        ("{{ 负责人 }}", {"contact": None}, ["empty"]),
        ("{{ 编号 }}您好", {}, ["not_written"]),
        ("{{ 企业数 + 'x' }}", {}, ["not_written"]),
        ("{% set a = 1 %}", {}, ["invalid"]),
        ("您好，拒收请回复R", {}, ["way_out_forbidden"]),
        ("{{ 负责人 }}您好", {"contact": "拒收请回复R"}, ["way_out_forbidden"]),
    ],
)
def test_each_fault_of_a_text_has_its_reason_once(body: str, values: dict[str, Any], expected: list[str]) -> None:
    assert ids(body, values=values) == expected
    assert all(problem.refuses for problem in found(body, values=values))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("您好，拒收请回复R", []),
        ("您好，拒收请回复R。", ["way_out_missing"]),
        ("您好", ["way_out_missing"]),
        ("{{ 负责人 }}您好{% if 企业数 == 1 %}，拒收请回复R{% endif %}", []),
        ("{{ 负责人 }}您好{% if 企业数 == 2 %}，拒收请回复R{% endif %}", ["way_out_missing"]),
    ],
)
def test_publicity_ends_with_the_way_out(body: str, expected: list[str]) -> None:
    assert ids(body, kind="推广") == expected


def test_the_way_out_is_looked_for_without_samples_too() -> None:
    assert ids("您好", kind="推广", samples=[]) == ["way_out_missing"]
    assert ids("拒收请回复R\n", kind="推广", samples=[]) == []
    assert ids("拒收请回复R您好", samples=[]) == ["way_out_forbidden"]


def test_a_template_without_approval_number_is_refused_in_production_only() -> None:
    assert [(problem.id, problem.severity) for problem in found("您好", head='filed = ""')] == [("not_filed", "refuse")]
    assert [(problem.id, problem.severity) for problem in found("您好", head="", production=False)] == [("not_filed", "warn")]
    assert words(found("您好", head='filed = ""')[0]).startswith("sms/try.txt, line 5: ")
    assert ids("您好", channel="letter", head="") == []


def test_one_time_codes_belong_to_no_campaign() -> None:
    assert ids("{{ 验证码 }}", kind="验证码", values={"one_time_code": "482916"}) == ["one_time_code"]
    assert ids("{{ 验证码 }}", kind="验证码", values={"one_time_code": "482916"}, campaign=False) == []


@pytest.mark.parametrize(
    ("own", "office", "expected"),
    [
        ("", "示例人社", []),
        ("", "人社", []),
        ("", "示" * 16, []),
        ("", "示" * 17, ["signature_wrong"]),
        ("", "示", ["signature_wrong"]),
        ("", "", ["signature_missing"]),
        ("示例人社", "", []),
        ("【示例】", "示例人社", ["signature_wrong"]),
        ("示 例", "示例人社", ["signature_wrong"]),
        ("示\\u200b例", "示例人社", ["signature_wrong"]),
    ],
)
def test_the_signature_has_2_to_16_characters(own: str, office: str, expected: list[str]) -> None:
    assert ids("您好", head=f'filed = "1"\nsignature = "{own}"', signature=office) == expected


def test_links_may_stand_where_the_sender_allows_them() -> None:
    assert ids("请打开{{ 专属链接 }}或a.cn", links_allowed=True) == []
    assert ids("请打开{{ 专属链接 }}【】", channel="letter") == []


def test_the_samples_are_all_looked_at() -> None:
    samples = ({**SAMPLE, "contact": name} for name in ["张建国", "李【", "王a.cn", "赵【"])
    assert ids("{{ 负责人 }}您好", samples=samples) == ["brackets", "url"]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("见HTTPS://A.CN/x。", "https://a.cn/x"),
        ("weixin://dl", "weixin://dl"),
        ("http：／／a.cn", "http://a.cn"),
        ("ａ．ｃｎ", "a.cn"),
        ("a。cn", "a.cn"),
        ("a\u200b.c\u200dn", "a.cn"),
        ("𝐚.𝐜𝐧", "a.cn"),
        ("请看bit.ly/3x", "bit.ly/3x"),
        ("t.zz/1", "t.zz/1"),
        ("x@evil.zz/p", "evil.zz/p"),
        ("例子.中国", "例子.中国"),
        ("10.0.0.1", "10.0.0.1"),
        ("dwz.cn办理", "dwz.cn"),
        ("rs.gov.cn:8080/a", "rs.gov.cn:8080/a"),
    ],
)
def test_a_link_is_seen_in_every_disguise(text: str, url: str) -> None:
    assert url_in(text) == url
    assert "url" in faults(text, links_allowed=False)
    assert "url" not in faults(text, links_allowed=True)


@pytest.mark.parametrize(
    "text",
    [
        "发送签署码7K3M9P。自愿免费，核实请拨12333。",
        "签订倡议书。中国制造，诚信为本",
        "金额10.5万元，版本2.0，编号2026.01.15",
        "Foo Shoes Co.Ltd",
        "邮箱x@rs.gov.cn",
        "时间：09:00-17:30，No.1，A.M.",
        "1/2、3//4",
        "示例鞋业…公司",
        "",
    ],
)
def test_ordinary_words_are_no_link(text: str) -> None:
    assert url_in(text) == ""


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=15), st.sampled_from(["http://", "https://", "HTTP://"]), st.text(max_size=15))
def test_a_scheme_is_found_whatever_stands_around_it(before: str, scheme: str, after: str) -> None:
    assert url_in(f"{before} {scheme}{after}")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_value_is_either_sent_as_it_is_or_told_in_one_line(value: str) -> None:
    told = found("{{ 负责人 }}您好", values={"contact": value})
    if told:
        assert all(len(words(problem).splitlines()) == 1 for problem in told)
    else:
        text = templates.render(template("{{ 负责人 }}您好"), {"contact": value})
        assert "".join(text.split()) == "".join(value.split()) + "您好"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_problem_has_its_sentence(lang: str) -> None:
    i18n.use(lang)
    cases = [
        found("{{ 企业名 }}", kind="验证码", head="", signature=""),
        found("【】http://a\u200b{{ link }}拒收请回复R", signature="示"),
        found("{{ 负责人 }}", values={"contact": ""}),
        found("长" * 600, kind="推广"),
        found("{{ serial }}"),
        found("{{"),
    ]
    told = {problem.id: words(problem) for case in cases for problem in case}
    assert set(told) == {id for id in checks.sentences() if not id.startswith(("wechat_", "filed_"))} | {"invalid", "not_written"}
    assert all(sentence and "\n" not in sentence and "{" not in sentence for sentence in told.values())
