"""The head of a template: between two lines `+++`, what it is called, which channel carries it and as which kind it is filed."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from outreach.errors import BadInput
from outreach.rendering.fields import nearest

FENCE = "+++"
NOTICE, PUBLICITY, ONE_TIME_CODE = "通知", "推广", "验证码"
KINDS = (NOTICE, PUBLICITY, ONE_TIME_CODE)
"""As Chinese gateways file a text: a notice, publicity (which must offer a way out), a one-time code."""

KEYS = ("title", "channel", "kind", "filed", "signature", "wechat")
PLEDGE_KEYS = (*KEYS, "renews", "one_time_code", "letter", "privacy")
"""A pledge says besides which pledge it renews, whether a one-time code is asked for, and where its letter and privacy notice are."""
LETTER_KEYS = (*KEYS, "layout", "red_head", "enclosures", "form")
"""A letter says besides how it is laid out, whose red head (红头) it bears, what lies in the envelope with it (《宣传册》), and whether
the enterprise's own sheet for signing by hand is printed behind it."""
LETTER_LAYOUT = "letter/letter"
WECHAT_WAYS = ("template", "subscription", "service")
"""How WeChat carries a text: filled into a template that followers may be sent (模板消息), into one that somebody subscribed to (订阅通知),
or as plain words to one who wrote within two days (客服消息)."""
WECHAT_SETTINGS = ("id", "via")
"""What stands in the table `wechat` beside the keys of the provider's template."""
ON_PAPER = ("letter", "visit", "pledge")
"""Folders of texts that are read on paper, on a page or aloud: of their keys only the title must be there."""


class TemplateInvalid(BadInput):
    """{file}, line {line}: the template cannot be understood."""


class FrontMatterMissing(TemplateInvalid):
    """{file}, line {line}: a template begins with a line +++; write title, channel and kind beneath it, then another line +++."""


class FrontMatterOpen(TemplateInvalid):
    """{file}, line {line}: the front matter is not closed; write a line +++ beneath its last key."""


class FrontMatterBroken(TemplateInvalid):
    """{file}, line {line}: this is not written as key = "text": {detail}."""


class KeyUnknown(TemplateInvalid):
    """{file}, line {line}: the key {key} is not known here; use {known}."""


class KeyMisspelt(KeyUnknown):
    """{file}, line {line}: the key {key} is not known here; write {nearest}."""


class KeyMissing(TemplateInvalid):
    """{file}, line {line}: the front matter does not say {key}; add a line {key} = "…"."""


class KeyWrong(TemplateInvalid):
    """{file}, line {line}: {key} is {value}; write {expected}."""


@dataclass(frozen=True)
class FrontMatter:
    """What the head says; `lines` tells in which line of the file each key stands.

    From `renews` on they are a pledge's only, from `layout` on a letter's. `red_head` is true for the office's own name.
    """

    title: str
    channel: str
    kind: str
    filed: str
    signature: str
    wechat: Mapping[str, str]
    lines: Mapping[str, int]
    renews: str = ""
    one_time_code: bool = False
    letter: str = ""
    privacy: str = ""
    layout: str = ""
    red_head: str | bool = False
    enclosures: tuple[str, ...] = ()
    form: bool = False


def split(source: str, *, file: str) -> tuple[str, str, int]:
    """Return the front matter, the body, and the line in which the body begins."""
    lines = source.split("\n")
    if lines[0].rstrip() != FENCE:
        raise FrontMatterMissing(file=file, line=1)
    for number, line in enumerate(lines[1:], start=2):
        if line.rstrip() == FENCE:
            return "\n".join(lines[1 : number - 1]), "\n".join(lines[number:]), number + 1
    raise FrontMatterOpen(file=file, line=1)


def title(head: str, *, file: str) -> str:
    """Return the title of a text whose head was read before, such as one that was frozen."""
    return str(_toml(head, file=file).get("title", ""))


def read(head: str, *, channel: str, file: str) -> FrontMatter:
    """Read the front matter of a template in the folder `channel`; refuse what is not known, naming the line."""
    values = _toml(head, file=file)
    lines = {key: _line_of(key, head) for key in values}
    known = {"pledge": PLEDGE_KEYS, "letter": LETTER_KEYS}.get(channel, KEYS)
    _require_known(values, lines, known, channel=channel, file=file)
    texts = {key: _text(values, key, lines, file=file) for key in known if key not in _NO_TEXTS}
    texts |= {"channel": texts["channel"] or channel, "kind": texts["kind"] or NOTICE}
    if texts["channel"] != channel:
        raise KeyWrong(file=file, line=lines["channel"], key="channel", value=_quoted(texts["channel"]), expected=f'"{channel}"')
    if texts["kind"] not in KINDS:
        raise KeyWrong(file=file, line=lines["kind"], key="kind", value=_quoted(texts["kind"]), expected=_choice(KINDS))
    if channel == "letter":
        texts["layout"] = _layout(texts["layout"], lines, file=file)
    return FrontMatter(
        **texts,
        one_time_code=_truth(values, "one_time_code", lines, file=file),
        wechat=_wechat(values, lines, file=file),
        red_head=_red_head(values, lines, file=file),
        enclosures=_enclosures(values, lines, file=file),
        form=_truth(values, "form", lines, file=file),
        lines=MappingProxyType(lines),
    )


_NO_TEXTS = ("wechat", "one_time_code", "red_head", "enclosures", "form")


def _layout(name: str, lines: Mapping[str, int], *, file: str) -> str:
    if name and not re.fullmatch(r"[\w-]{1,64}/\w[\w.-]{0,63}", name):
        raise KeyWrong(file=file, line=lines["layout"], key="layout", value=_quoted(name), expected=f'"{LETTER_LAYOUT}"')
    return name or LETTER_LAYOUT


def _red_head(values: Mapping[str, Any], lines: Mapping[str, int], *, file: str) -> str | bool:
    value = values.get("red_head", False)
    if not isinstance(value, str | bool):
        raise KeyWrong(file=file, line=lines["red_head"], key="red_head", value=_quoted(value), expected='red_head = true / red_head = "…"')
    return " ".join(value.split()) if isinstance(value, str) else value


def _enclosures(values: Mapping[str, Any], lines: Mapping[str, int], *, file: str) -> tuple[str, ...]:
    value = values.get("enclosures", [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value) or len(set(value)) < len(value):
        raise KeyWrong(file=file, line=lines["enclosures"], key="enclosures", value=_quoted(value), expected='enclosures = ["《宣传册》"]')
    return tuple(" ".join(item.split()) for item in value)


def _toml(head: str, *, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(head)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in thousands of brackets
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else head.count("\n") + 1
        detail = re.sub(r"\s*\(at .*\)$", "", str(error))
        raise FrontMatterBroken(file=file, line=line + 1, detail=detail) from error


def _line_of(key: str, head: str) -> int:
    """Find the line of the file in which a key stands (the head begins in line 2)."""
    for number, line in enumerate(head.split("\n"), start=2):
        if re.match(rf"""\s*\[?\s*["']?{re.escape(key)}["']?\s*[\].=]""", line):
            return number
    return 1


def _require_known(values: Mapping[str, Any], lines: Mapping[str, int], known: tuple[str, ...], *, channel: str, file: str) -> None:
    for key in values:
        if key in known:
            continue
        likely = nearest(key, known)
        if likely:
            raise KeyMisspelt(file=file, line=lines[key], key=_quoted(key), nearest=likely)
        raise KeyUnknown(file=file, line=lines[key], key=_quoted(key), known=" ".join(known))
    needed = ("title",) if channel in ON_PAPER else ("title", "channel", "kind") if channel == "sms" else ("title", "channel")
    for key in needed:
        if not values.get(key):
            raise KeyMissing(file=file, line=lines.get(key, 1), key=key)


def _text(values: Mapping[str, Any], key: str, lines: Mapping[str, int], *, file: str) -> str:
    value = values.get(key, "")
    if not isinstance(value, str):
        raise KeyWrong(file=file, line=lines[key], key=key, value=_quoted(value), expected=f'{key} = "…"')
    return value.strip()


def _truth(values: Mapping[str, Any], key: str, lines: Mapping[str, int], *, file: str) -> bool:
    value = values.get(key, False)
    if not isinstance(value, bool):
        raise KeyWrong(file=file, line=lines[key], key=key, value=_quoted(value), expected=f"{key} = true / {key} = false")
    return value


def _wechat(values: Mapping[str, Any], lines: Mapping[str, int], *, file: str) -> Mapping[str, str]:
    """Check the table that says how WeChat carries a text, under which template id, and with an expression for each of that template's keys."""
    table = values.get("wechat", {})
    if not isinstance(table, dict):
        raise KeyWrong(file=file, line=lines["wechat"], key="wechat", value=_quoted(table), expected=_TABLE)
    for key, value in table.items():
        if not isinstance(value, str):
            raise KeyWrong(file=file, line=lines["wechat"], key=f"wechat.{key}", value=_quoted(value), expected=f'{key} = "…"')
    via = table.get("via") or ("template" if table.get("id") else "service")
    if via not in WECHAT_WAYS:
        raise KeyWrong(file=file, line=lines["wechat"], key="wechat.via", value=_quoted(via), expected=_choice(WECHAT_WAYS))
    fills_a_template = bool(set(table) - set(WECHAT_SETTINGS))
    if table and (fills_a_template != (via != "service") or bool(table.get("id")) != (via != "service")):
        raise KeyWrong(file=file, line=lines["wechat"], key="wechat", value=_quoted(table), expected=_TABLE)
    return MappingProxyType(table | {"via": via} if table else {})


_TABLE = 'wechat = { id = "…", thing1 = "…" } / wechat = { via = "service" }'


def _quoted(value: object) -> str:
    """Show a value as it might stand in the file, on one line and not too long."""
    text = " ".join((f'"{value}"' if isinstance(value, str) else str(value)).split())
    return text if len(text) <= 60 else text[:59] + "…"


def _choice(values: tuple[str, ...]) -> str:
    return " / ".join(f'"{value}"' for value in values)
