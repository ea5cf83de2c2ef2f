"""The words a template may fill in: every merge field under its English and its Chinese name."""

from collections.abc import Iterable
from difflib import get_close_matches
from types import MappingProxyType

FIELDS = MappingProxyType(
    {
        "enterprise": "企业名称",
        "enterprises": "企业列表",  # a list of names; the first is `enterprise`
        "enterprise_count": "企业数",
        "contact": "负责人",
        "town": "镇街",
        "code": "签署码",
        "link": "专属链接",
        "deadline": "截止日",  # as a short Chinese date: 1月15日
        "deadline_time": "截止时间",  # with its year, and with the hour where it has one: 2026年1月15日 17:00
        "office": "机关全称",
        "place": "地名",
        "hotline": "咨询电话",
        "account": "公众号",
        "date": "日期",  # of the plan: 2026年1月15日
        "serial": "编号",
        "one_time_code": "验证码",  # in messages of kind 验证码 only; never the personal code, which is 签署码
        "answer": "答复",  # in what staff answer by hand to somebody who wrote; in nothing else
        "register": "名册",  # register.<name>.<field>
    }
)
"""English name -> Chinese name. Templates may write either; the values are given under the English one."""

ENGLISH = MappingProxyType({chinese: english for english, chinese in FIELDS.items()})


def canonical(name: str) -> str:
    """Return the English name of a field, or the name itself when it is no field."""
    return ENGLISH.get(name, name)


def nearest(name: str, names: Iterable[str] | None = None) -> str:
    """Return the known name most like `name` (of the fields, unless told of others), or nothing when none is like it."""
    known = list(names) if names is not None else [*FIELDS.values(), *FIELDS]
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.4)), "")
