"""Read what a request asks to send, or refuse it with the code that the provider has for it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_IN_BATCH = 100
MOST_NUMBERS = 1000
LONGEST_VALUE = 35
LONGEST_SIGNATURE = 16
LONGEST_OUT_ID = 255

WORDS = {
    "isv.MOBILE_NUMBER_ILLEGAL": "非法手机号",
    "isv.MOBILE_COUNT_OVER_LIMIT": "手机号码数量超过限制",
    "isv.SMS_TEMPLATE_ILLEGAL": "短信模板不合法",
    "isv.SMS_SIGNATURE_ILLEGAL": "短信签名不合法",
    "isv.TEMPLATE_MISSING_PARAMETERS": "模板缺少变量",
    "isv.INVALID_PARAMETERS": "参数异常",
    "isv.INVALID_JSON_PARAM": "JSON参数不合法，只接受字符串值",
    "isv.PARAM_LENGTH_LIMIT": "参数超出长度限制",
    "isv.PARAM_NOT_SUPPORT_URL": "不支持URL",
    "isv.BUSINESS_LIMIT_CONTROL": "触发天级流控Permits:{value}",
    "isv.DAY_LIMIT_CONTROL": "触发日发送限额",
    "isv.OUT_OF_SERVICE": "业务停机",
    "isv.AMOUNT_NOT_ENOUGH": "账户余额不足",
    "isp.SYSTEM_ERROR": "系统错误",
    "Throttling.User": "Request was denied due to user flow control.",
    "InvalidAccessKeyId.NotFound": "Specified access key is not found.",
    "SignatureDoesNotMatch": "Specified signature does not match our calculation.",
    "SignatureNonceUsed": "Specified signature nonce was used already.",
    "InvalidTimeStamp.Expired": "Specified time stamp or date value is expired.",
    "InvalidAction.NotFound": "Specified api is not found, please check your url and method.",
}

_MOBILE = re.compile(r"(?:\+86|0086|86)?(1[3-9]\d{9})", re.ASCII)
_URL = re.compile(r"https?://|www\.", re.IGNORECASE)
_PLACE = re.compile(r"\$\{([^}]+)\}")


class Declined(Exception):
    """The provider would refuse the request with this code: 200 for what is wrong with a text, 4xx for what is wrong with the request."""

    def __init__(self, code: str, status: int = 200, message: str | None = None, *, value: object = "") -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.message = message or WORDS.get(code, code).format(value=value)


@dataclass(frozen=True, slots=True)
class Text:
    """One text to one number, in the provider's own words of it."""

    to: str
    body: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to send that nothing speaks against."""

    out_id: str
    template: str
    texts: tuple[Text, ...]


@dataclass(slots=True)
class Filed:
    """What the account was told: the texts filed with it (none: every code is good), its limits, and numbers that bring a code with them."""

    templates: dict[str, str] = field(default_factory=dict)
    per_number: int = 50
    daily: int = 0
    codes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)


def read(action: str, form: Mapping[str, str], filed: Filed) -> Asked:
    """Return what a SendSms or SendBatchSms asks for; raises Declined."""
    template, name = form.get("TemplateCode", ""), form.get("OutId", "")
    if not template:
        raise Declined("MissingTemplateCode", 400, "TemplateCode is mandatory for this action.")
    if len(name) > LONGEST_OUT_ID:
        raise Declined("isv.INVALID_PARAMETERS")
    if filed.templates and template not in filed.templates:
        raise Declined("isv.SMS_TEMPLATE_ILLEGAL")
    rows = _one_for_many(form) if action == "SendSms" else _one_each(form)
    return Asked(name, template, tuple(Text(_mobile(number), _body(template, sign, values, filed)) for number, sign, values in rows))


def _one_for_many(form: Mapping[str, str]) -> list[tuple[Any, Any, Any]]:
    numbers = form.get("PhoneNumbers", "").split(",")
    if len(numbers) > MOST_NUMBERS:
        raise Declined("isv.MOBILE_COUNT_OVER_LIMIT")
    values = _json(form.get("TemplateParam") or "{}")
    return [(number, form.get("SignName", ""), values) for number in numbers]


def _one_each(form: Mapping[str, str]) -> list[tuple[Any, Any, Any]]:
    numbers, signs = _json(form.get("PhoneNumberJson", "")), _json(form.get("SignNameJson", ""))
    values = _json(form.get("TemplateParamJson") or "null")
    if not isinstance(numbers, list) or not isinstance(signs, list) or not numbers:
        raise Declined("isv.INVALID_JSON_PARAM")
    if len(numbers) > MOST_IN_BATCH:
        raise Declined("isv.MOBILE_COUNT_OVER_LIMIT")
    values = [{} for _ in numbers] if values is None else values
    if not isinstance(values, list) or not len(numbers) == len(signs) == len(values):
        raise Declined("isv.INVALID_PARAMETERS")
    return list(zip(numbers, signs, values, strict=True))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as cause:
        raise Declined("isv.INVALID_JSON_PARAM") from cause


def _mobile(number: Any) -> str:
    """Return a Chinese mobile as eleven digits."""
    found = _MOBILE.fullmatch(number) if isinstance(number, str) else None
    if not found:
        raise Declined("isv.MOBILE_NUMBER_ILLEGAL")
    return found[1]


def _body(template: str, sign: Any, values: Any, filed: Filed) -> str:
    """Return the text as the person reads it; of a code that nobody filed here, the code and its values."""
    if not isinstance(sign, str) or not 2 <= len(sign) <= LONGEST_SIGNATURE:
        raise Declined("isv.SMS_SIGNATURE_ILLEGAL")
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise Declined("isv.INVALID_JSON_PARAM")
    if any(_URL.search(value) for value in values.values()):
        raise Declined("isv.PARAM_NOT_SUPPORT_URL")
    if any(len(value) > LONGEST_VALUE for value in values.values()):
        raise Declined("isv.PARAM_LENGTH_LIMIT")
    if template not in filed.templates:
        return f"【{sign}】{template} {json.dumps(values, ensure_ascii=False, sort_keys=True)}"
    try:
        return f"【{sign}】{_PLACE.sub(lambda place: values[place[1]], filed.templates[template])}"
    except KeyError as cause:
        raise Declined("isv.TEMPLATE_MISSING_PARAMETERS") from cause
