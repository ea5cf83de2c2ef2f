"""The words an audience may use: every field, channel and function under its English and its Chinese name."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "name": "企业名称",
        "credit_code": "信用代码",
        "town": "镇街",
        "village": "村社区",
        "department": "主管部门",
        "industry": "行业",
        "scale": "规模",
        "above_scale": "规上",
        "address": "地址",
        "contact": "联系人",
        "role": "职务",
        "phone": "手机",
        "signed": "已签署",
        "declined": "已拒绝",
        "opened": "已打开",
        "attended": "已参加",
    }
)
"""English name -> Chinese name."""

YES_NO = frozenset({"above_scale", "signed", "declined", "opened", "attended"})
"""Fields that are yes or no; all others are text."""
FACTS = YES_NO - {"above_scale"}
"""Yes-or-no fields that are always known: something happened, or it did not."""

CHANNELS: Mapping[str, str] = MappingProxyType({"sms": "短信", "wechat": "微信", "letter": "信函"})
FUNCTIONS: Mapping[str, str] = MappingProxyType({"has": "有", "signed": "已签署", "attended": "已参加"})
REGISTER = ("register", "名册")
YES = frozenset({"yes", "true", "是"})
NO = frozenset({"no", "false", "否"})

_names = "|".join(sorted({*FIELDS, *FIELDS.values(), *FUNCTIONS.values()}, key=len, reverse=True))
GLUED_FIELD = re.compile(rf"^(?P<first>非|not)(?:{_names})$|^(?:{_names})(?P<last>不属于|属于|形如|in|like)$|(?P<middle>且|或)非?(?:{_names})", re.IGNORECASE)
"""A word where a field should stand, but a keyword of the language is stuck to it without a blank."""
GLUED_VALUE = re.compile(rf"(?P<middle>且|或)非?(?:{'|'.join(FIELDS.values())}|有)", re.IGNORECASE)
"""A word where a value should stand that goes on with a Chinese keyword and the next field."""


def canonical(word: str, names: Mapping[str, str]) -> str | None:
    """Return the English name that a word of either language stands for, or nothing."""
    lower = word.lower()
    return lower if lower in names else next((english for english, chinese in names.items() if chinese == word), None)


def nearest(word: str, names: Iterable[str]) -> str:
    """Return the known name most like `word`, or nothing when none is like it."""
    return next(iter(get_close_matches(word.lower(), list(names), n=1, cutoff=0.45)), "")


def both(names: Mapping[str, str]) -> list[str]:
    """Return all names of both languages."""
    return [*names.values(), *names]
