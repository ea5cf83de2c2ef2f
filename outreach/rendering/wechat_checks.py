"""What WeChat would refuse, or punish the office's account for: the values of a template message, and what it may be used for."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from outreach.i18n import gettext as _
from outreach.rendering import frontmatter, templates, wechat_values
from outreach.rendering.characters import excerpt, has_invisible, quoted
from outreach.rendering.frontmatter import PUBLICITY
from outreach.rendering.problems import REFUSE, WARN, Problem, problem_of
from outreach.rendering.templates import MessageTemplate

MOST_BYTES = 2048
"""The longest text of a customer-service, mass or answering message in UTF-8, found by trial (developers.weixin.qq.com,
community/develop/doc/00084e2936c340b9015a753405b800); a longer one is refused with 45002."""

PLACEHOLDER = "rehearsal"
"""How the ids of the templates that ship begin, which WeChat does not know."""

LURES = ("宣传", "推广", "促销", "优惠", "折扣", "抽奖", "中奖", "奖品", "红包", "领取", "有礼", "免费", "点击", "转发", "分享", "邀请您参加", "欢迎参加")
"""Words of publicity. A template message is for what somebody has to do or was done for him; for advertising WeChat takes the
template away and closes the way for days or for good (doc/offiaccount/Message_Management/Template_Message_Interface.html)."""


def sentences() -> dict[str, str]:
    """Return the sentence for each problem."""
    return {
        "wechat_not_filed": _("{file}, line {line}: {number} is no template of WeChat's; write the id of the template that you chose in its console."),
        "wechat_id_odd": _("{file}, line {line}: {number} does not look like the id of a template, which has 43 letters, digits, - and _."),
        "wechat_publicity": _("{file}: a text filed as 推广 may not go out as a template message; announce it, or file what it asks as 通知."),
        "wechat_lure": _("{file}: {word} sounds like publicity, for which WeChat closes template messages; name the matter that is pending."),
        "wechat_key_unknown": _("{file}: {field} is of no kind that is known here, so its value is not checked; keys are named like thing1."),
        "wechat_key_unread": _("{file}: nobody reads {field}, for the text beneath does not show it; write {{{{{field}.DATA}}}} where the template has it."),
        "wechat_empty": _("{file}: {field} has no value for a recipient, and WeChat refuses that; write a value for when there is none: … or '…'"),
        "wechat_too_long": _("{file}: {field} takes {longest} characters, this one has {length}: {value}; shorten it: …|short({longest})"),
        "wechat_too_long_form": _("{file}: {field} takes {longest} characters, this one has {length}: {value}; write a shorter value."),
        "wechat_kind": _("{file}: {field} takes {rule}, and not: {value}"),
        "wechat_bytes": _("{file}: a text of {bytes} bytes is too long for WeChat, which takes {most}; a Chinese character has 3. Shorten it: {excerpt}"),
    }


def in_head(template: MessageTemplate, *, production: bool) -> Iterator[Problem]:
    """Check how a text is to go out: its template id, the names of its keys, and whether it is publicity."""
    if templates.via(template) == "service":
        return
    id, line = template.wechat["id"], template.lines.get("wechat", 1)
    if id.startswith(PLACEHOLDER):
        yield problem_of("wechat_not_filed", template, REFUSE if production else WARN, number=id, line=line)
    elif not re.fullmatch(r"[\w-]{43}", id, re.ASCII):
        yield problem_of("wechat_id_odd", template, WARN, number=excerpt(id, 0), line=line)
    if template.kind == PUBLICITY:
        yield problem_of("wechat_publicity", template)
    for key in template.wechat:
        if key not in frontmatter.WECHAT_SETTINGS:
            yield from _in_key(template, key)


def _in_key(template: MessageTemplate, key: str) -> Iterator[Problem]:
    if not wechat_values.kind_of(key):
        yield problem_of("wechat_key_unknown", template, WARN, field=key)
    if template.body.strip() and not re.search(rf"\{{\{{\s*{re.escape(key)}\.DATA\s*\}}\}}", template.body):
        yield problem_of("wechat_key_unread", template, WARN, field=key)


def in_text(template: MessageTemplate, text: str) -> Iterator[Problem]:
    """Check the characters of a text, and its length where WeChat does not write it itself."""
    if has_invisible(text):
        yield problem_of("invisible", template, excerpt=quoted("invisible", text))
    if templates.via(template) == "service":
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > MOST_BYTES:
            yield problem_of("wechat_bytes", template, bytes=size, most=MOST_BYTES, excerpt=excerpt(text, 0))


def in_words(template: MessageTemplate, literal: str) -> Iterator[Problem]:
    """Check what a text says whoever reads it; a name may hold such words."""
    yield from in_text(template, literal)
    lure = next((word for word in LURES if word in literal), "")
    if lure and templates.via(template) != "service":
        yield problem_of("wechat_lure", template, WARN, word=lure)


def in_sample(template: MessageTemplate, sample: Mapping[str, Any], text: str) -> Iterator[Problem]:
    """Check what a text is for one recipient; of a template message the values that WeChat fills in."""
    yield from in_text(template, text)
    if not text:
        yield problem_of("empty", template)
    yield from in_data(template, templates.wechat_data(template, sample))


def in_data(template: MessageTemplate, data: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what WeChat would refuse in the values of a template message; nothing but a few matches where all is well."""
    for key, value in data.items():
        found = wechat_values.fault(key, value)
        if found:
            yield _in_value(template, key, value, found)


def _in_value(template: MessageTemplate, key: str, value: str, fault: wechat_values.Fault) -> Problem:
    kind = wechat_values.kind_of(key)
    shown = excerpt(value, 0)
    if fault == "empty":
        return problem_of("wechat_empty", template, field=key)
    if fault == "kind":
        return problem_of("wechat_kind", template, field=key, value=shown, rule=_rules()[kind])
    limit = wechat_values.KINDS[kind]
    id = "wechat_too_long" if limit.shortens else "wechat_too_long_form"
    return problem_of(id, template, field=key, value=shown, length=len(value), longest=limit.longest)


def _rules() -> dict[str, str]:
    line = _("characters that can be seen, on one line")
    moment = _("a date with its year such as {example}, with a time behind it if need be, or two with ~ between them").format(example="2026年1月15日")
    return {
        **dict.fromkeys(("thing", "short_thing", "const", "enum"), line),
        "character_string": _("letters, digits and signs without Chinese"),
        "phrase": _("Chinese characters alone"),
        "name": _("a name of 10 characters, or of 20 without Chinese"),
        "number": _("a number"),
        "letter": _("letters alone"),
        "symbol": _("signs alone"),
        "time": moment,
        "date": moment,
        "amount": _("a sum such as {example}").format(example="¥100.50"),
        "phone_number": _("a phone number"),
        "car_number": _("a number plate"),
    }
