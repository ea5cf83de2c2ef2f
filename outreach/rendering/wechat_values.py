"""What WeChat takes for each key of a template message: the kind of value that its name says, and how long that may be.

Each key is named after its kind and numbered (thing1, character_string5). A value of another kind or length makes WeChat refuse the
whole message (47003), so it is looked at before. The kinds and their limits are WeChat's 订阅消息参数值内容限制说明, which holds for
template messages alike (developers.weixin.qq.com/doc/offiaccount/Subscription_Messages/api.html); phrase, short_thing and const are as
its staff answer in its community (doc/000ece58dd4630c30333e03ba6b400). Characters are counted one each, Chinese or not. Where
the page leaves doubt, the narrower reading is taken: a refusal at the plan costs a minute, one by WeChat halts the campaign.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from outreach.rendering.characters import has_invisible

Fault = Literal["empty", "too_long", "kind"]

_DATE = r"(?:[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日|[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2})"
_CLOCK = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?"
_MOMENT = rf"(?:{_DATE}(?: ?{_CLOCK})?|{_CLOCK})"
_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"


@dataclass(frozen=True)
class Kind:
    """One kind of value: at most `longest` characters (0: as many as `form` allows) in this form; `shortens` where cutting it makes sense."""

    longest: int
    form: re.Pattern[str]
    shortens: bool = False


def _kind(longest: int, form: str = ".+", *, shortens: bool = False) -> Kind:
    return Kind(longest, re.compile(form), shortens)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "thing": _kind(20, shortens=True),
        "short_thing": _kind(5, shortens=True),
        "character_string": _kind(32, "[!-~]+"),
        "phrase": _kind(5, f"[{_CHINESE}]+"),
        "name": _kind(20, f"(?=.*[{_CHINESE}])[^0-9]{{1,10}}|[^0-9{_CHINESE}]+", shortens=True),
        "number": _kind(32, r"-?[0-9]+(?:\.[0-9]+)?"),
        "letter": _kind(32, "[A-Za-z]+"),
        "symbol": _kind(5, rf"[^\w\s{_CHINESE}]+"),
        "time": _kind(0, f"{_MOMENT}(?: ?~ ?{_MOMENT})?"),
        "date": _kind(0, f"{_DATE}(?: ?{_CLOCK})?(?: ?~ ?{_DATE}(?: ?{_CLOCK})?)?"),
        "amount": _kind(0, r"[¥￥$€]?[0-9]{1,10}(?:\.[0-9]{1,2})?元?"),
        "phone_number": _kind(17, r"[0-9+()-]+"),
        "car_number": _kind(8, f"[{_CHINESE}A-Z0-9][A-Z0-9]+[{_CHINESE}A-Z0-9]"),
        "const": _kind(20),
        "enum": _kind(20),
    }
)
"""The kinds by the word in front of the number. What const and enum may be is agreed with WeChat for each template, and known to it alone."""

_KEY = re.compile(r"([a-z_]+?)[0-9]{0,3}")


def kind_of(key: str) -> str:
    """Return the kind that a key is named after; nothing for one of the templates from before 2023 (first, keyword1, remark)."""
    found = _KEY.fullmatch(key)
    return found[1] if found and found[1] in KINDS else ""


def fault(key: str, value: str) -> Fault | None:
    """Return what WeChat would refuse in the value of a key: nothing in it, too many characters, or not of its kind. Quick, for every recipient."""
    if not value:
        return "empty"
    kind = KINDS.get(kind_of(key))
    if kind is None:
        return None
    if kind.longest and len(value) > kind.longest:
        return "too_long"
    return None if kind.form.fullmatch(value) and not has_invisible(value) else "kind"
