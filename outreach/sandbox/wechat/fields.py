"""The data of a template message, held against the provider's field types: a value too long or of the wrong kind is refused by name."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from outreach.sandbox.wechat.codes import Declined

_written = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KEY = re.compile(r"([a-z_]+?)(\d+)\.?")
_CHINESE = r"[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U000323af]"
_DATE = r"\d{4}年\d{1,2}月(?:\d{1,2}日)?|\d{1,2}月\d{1,2}日|\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}"
_CLOCK = r"\d{1,2}[:：]\d{2}(?:[:：]\d{2})?"
_MOMENT = rf"(?:(?:{_DATE})(?: ?{_CLOCK})?|{_CLOCK})"


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern.replace(r"\d", "[0-9]"))
    return lambda value: compiled.fullmatch(value) is not None


TYPES: dict[str, Callable[[str], bool]] = {
    "thing": lambda value: len(value) <= 20,
    "short_thing": lambda value: len(value) <= 5,
    "character_string": _matches(rf"(?:(?!{_CHINESE})\S){{1,32}}"),
    "letter": _matches(r"[A-Za-z]{1,32}"),
    "number": _matches(r"-?\d{1,32}(?:\.\d+)?"),
    "symbol": _matches(r"[^\w\s]{1,5}"),
    "time": _matches(rf"{_MOMENT}(?: ?~ ?{_MOMENT})?"),
    "date": _matches(rf"(?:{_DATE})(?: ?{_CLOCK})?(?: ?~ ?(?:{_DATE})(?: ?{_CLOCK})?)?"),
    "amount": _matches(r"[¥￥$€]?\d{1,10}(?:\.\d{1,2})?元?"),
    "phone_number": _matches(r"[0-9+\-() ]{1,17}"),
    "car_number": lambda value: len(value) <= 8,
    "name": lambda value: len(value) <= (10 if re.search(_CHINESE, value) else 20),
    "phrase": _matches(f"{_CHINESE}{{1,5}}"),
    "const": lambda value: len(value) <= 20,
    "enum": lambda value: len(value) <= 20,
}
"""What each type takes (the provider's table 参数值内容限制); a key of another form is not looked at. Of symbols the table says only that
they are the usual ones, so none is refused but control characters; whether a blank may stand in a character_string it does not say."""


def canonical(data: Any, required: Sequence[str] | None) -> str:
    """Return the data as the ledger keeps it; raises Declined with the first key that is wrong.

    `required` are the fields that the template was filed with, where the sandbox was told.
    """
    if not isinstance(data, dict) or not data:
        raise Declined(47003, "data is empty")
    for key in required or ():
        if key not in data:
            raise Declined(47003, f"data.{key}.value is empty")
    for key, field in data.items():
        value = field.get("value") if isinstance(field, dict) else None
        if not isinstance(value, str) or not value.strip():
            raise Declined(47003, f"data.{key}.value is empty")
        found = _KEY.fullmatch(key)
        good = TYPES.get(found[1]) if found else None
        if (good and not good(value)) or _CONTROL.search(value):
            raise Declined(47003, f"data.{key}.value invalid")
    return _written(data)
