"""How values become words in a template: names shortened, lists joined, yes and no in Chinese."""

import re
from typing import Any

from jinja2 import Undefined


def short(name: object, n: int | None = None) -> str:
    """Shorten an enterprise's name to at most `n` characters: first its legal form goes, then, for a …, its end, but of a branch its middle.

    A name that fits stays as it is. Without `n` only the legal form goes.
    """
    text = str(name).strip()
    if n is None:
        return _without_legal_form(text)
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError("short(n) takes a number of characters, from 1")
    if len(text) <= n:
        return text
    text = _without_legal_form(text)
    if len(text) <= n:
        return text
    branch = _BRANCH.search(text)
    tail = branch[0] if branch and 2 * len(branch[0]) <= n else ""
    return text[: n - 1 - len(tail)].rstrip() + "…" + tail


_BRANCH = re.compile(r"第[一二三四五六七八九十百零〇\d]{1,4}(?:分公司|分厂|分店|门店|营业部|项目部|工厂|车间)$")
"""What tells one branch of a company from the next."""


_LEGAL_FORM = re.compile(
    r"(?:股份)?有限(?:责任)?公司|股份公司|责任公司"
    r"|[(（](?:特殊普通合伙|普通合伙|有限合伙|个人独资|个体工商户?)[)）]"
    r"|(?:,?\s*(?:Co\.?,?\s*Ltd|Inc|Corp|Ltd|LLC)\.?)$"
)


def _without_legal_form(name: str) -> str:
    """Take 有限公司 and its like off a name; a branch keeps what tells it from its company; never all of the name."""
    bare = _LEGAL_FORM.sub("", name).strip()
    return bare if len(bare) >= 2 else name


def joined(values: object, separator: object = "、") -> str:
    """Put a list of names on one line. A text is refused: joining its characters could only blow it up."""
    if not isinstance(values, list | tuple):
        raise TypeError("join takes a list, such as the enterprises")
    return str(separator).join(_text_of(value) for value in values)


def shown(value: Any) -> Any:
    """Say how a value is printed: nothing for none, 是 or 否 for a truth value, names of a list with 、 between them."""
    if value.__class__ is str or isinstance(value, Undefined):
        return value
    return _text_of(value)


def _text_of(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "是" if value else "否"
        case str() | int() | float():
            return str(value)
        case list() | tuple():
            return joined(value)
        case _:
            raise TypeError("this is a group of values, not a text; name one of them")
