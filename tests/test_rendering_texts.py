"""The texts that ship: their wording for the office's example, and that each keeps the rules of its channel."""

from pathlib import Path
from typing import Any

import pytest

from outreach.rendering import checks, templates
from outreach.rendering.segments import Measure, measure, sms_text

FOLDERS = [Path(__file__).parents[1] / "templates"]
SIGNATURE = "示例人社"
EXAMPLE: dict[str, Any] = {
    "enterprise": "示例鞋业有限公司",
    "enterprises": ["示例鞋业有限公司"],
    "enterprise_count": 1,
    "contact": "张建国",
    "town": "逍林镇",
    "code": "7K3M9P",
    "link": "http://127.0.0.1:8000/p/abc",
    "deadline": "1月15日",
    "office": "示例市人力资源和社会保障局",
    "place": "示例市",
    "hotline": "12333",
    "account": "示例人社",
    "date": "2026年1月15日",
    "serial": "2026-000317",
    "one_time_code": "482916",
    "answer": "您单位已在签订名单中。",
    "register": {},
}
THREE = {**EXAMPLE, "enterprises": ["示例鞋业有限公司", "示例服装厂", "示例五金厂"], "enterprise_count": 3}

TEXTS = {
    "sms/pledge-invitation": (
        114,
        "【示例人社】张建国您好：诚邀示例市逍林镇示例鞋业有限公司签订《不欠薪倡议书》。请在微信关注认证公众号“示例人社”，"
        "发送签署码7K3M9P办理，也可到镇街劳动保障所签纸质件。自愿免费，不索要密码和银行卡。核实请自行拨打12333。",
    ),
    "sms/pledge-invitation-filed": (
        108,
        "【示例人社】张建国您好：诚邀示例鞋业有限公司签订《不欠薪倡议书》。请在微信关注认证公众号“示例人社”，"
        "发送签署码7K3M9P办理，也可到镇街劳动保障所签纸质件。自愿免费，不索要密码和银行卡。核实请自行拨打12333。",
    ),
    "sms/pledge-invitation-short": (
        63,
        "【示例人社】张建国：请贵企业签订《不欠薪倡议书》。微信关注“示例人社”，发送签署码7K3M9P。自愿免费，核实请拨12333。",
    ),
    "sms/pledge-reminder": (
        65,
        "【示例人社】张建国：贵企业《不欠薪倡议书》待签订，1月15日前微信“示例人社”发送7K3M9P即可。已签请忽略，核实拨12333。",
    ),
    "sms/pledge-confirmation": (
        54,
        "【示例人社】示例鞋业《不欠薪倡议书》已签订，编号2026-000317，谢谢支持。非本人办理请拨12333。",
    ),
    "sms/one-time-code": (45, "【示例人社】482916为《不欠薪倡议书》签订验证码，5分钟内有效。工作人员不会向您索要。"),
}


def sent(name: str, fields: dict[str, Any]) -> str:
    return sms_text(SIGNATURE, templates.render(templates.load(name, FOLDERS), fields))


@pytest.mark.parametrize("name", TEXTS)
def test_the_texts_read_as_they_were_agreed(name: str) -> None:
    units, text = TEXTS[name]
    assert sent(name, EXAMPLE) == text
    assert measure(text) == Measure(units, "UCS-2", 2 if units > 70 else 1)


def test_every_text_that_ships_is_agreed_here() -> None:
    assert {stored.name for stored in templates.names(FOLDERS) if stored.name.startswith("sms/")} == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_that_ships_breaks_a_rule(name: str) -> None:
    template = templates.load(name, FOLDERS)
    found = checks.problems(
        template,
        signature=SIGNATURE,
        links_allowed=False,
        production=False,
        samples=[EXAMPLE, THREE],
        campaign=template.kind != "验证码",
    )
    assert [(problem.id, problem.data["line"]) for problem in found] == [("not_filed", 3)]


def test_one_who_answers_for_several_enterprises_is_told_how_many() -> None:
    assert "诚邀示例市逍林镇示例鞋业有限公司等3家企业签订《不欠薪倡议书》" in sent("sms/pledge-invitation", THREE)
    assert "张建国：请贵方3家企业签订" in sent("sms/pledge-invitation-short", THREE)
    assert "张建国：贵方3家企业《不欠薪倡议书》待签订" in sent("sms/pledge-reminder", THREE)
    assert "】示例鞋业等3家企业《不欠薪倡议书》已签订，编号2026-000317等，谢谢支持" in sent("sms/pledge-confirmation", THREE)


@pytest.mark.parametrize(
    ("name", "parts"),
    [("sms/pledge-invitation", 2), ("sms/pledge-invitation-short", 1), ("sms/pledge-reminder", 1), ("sms/pledge-confirmation", 1)],
)
def test_long_names_do_not_cost_a_further_part(name: str, parts: int) -> None:
    long = {**THREE, "enterprise": "示例市逍林镇大桥头第一橡胶塑料五金制品股份有限公司", "deadline": "12月31日"}
    assert measure(sent(name, long)).segments == parts


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_reads_well_without_a_name_or_a_deadline(name: str) -> None:
    text = sent(name, {**EXAMPLE, "contact": None, "deadline": None, "town": None})
    assert "None" not in text
    assert not text.removeprefix("【示例人社】").startswith(("：", "，"))
    assert "，前" not in text


def test_no_text_uses_words_that_frighten_or_lure() -> None:
    for name in TEXTS:
        assert not any(word in sent(name, THREE) for word in ("点击", "领取", "逾期", "后果"))
