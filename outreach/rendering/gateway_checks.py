"""What a gateway would refuse that writes a text itself, from one filed with it: a filed text holds words and variables and nothing else.

The rules are those in which the domestic gateways agree: a variable has at most 35 characters (Aliyun), holds no link, does not stand
next to another one without a word between them, and is not all there is (Huawei, support.huaweicloud.com/productdesc-msgsms/sms_faq_0003).
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from outreach.i18n import gettext as _
from outreach.rendering import language, templates
from outreach.rendering.characters import excerpt, url_in
from outreach.rendering.fields import FIELDS
from outreach.rendering.frontmatter import TemplateInvalid
from outreach.rendering.problems import REFUSE, WARN, Problem, once, problem_of
from outreach.rendering.templates import MessageTemplate

LONGEST_VARIABLE = 35


def sentences() -> dict[str, str]:
    """Return the sentence for each problem."""
    return {
        "filed_plain": _(
            "{file}, line {line}: a filed text may hold {{{{ field }}}} and {{{{ field|short(20) }}}} alone; write this part without if, for and the like."
        ),
        "filed_twice": _("{file}: 企业名称 and the like may be shortened in one way only in a filed text; {field} is shortened in two."),
        "filed_link": _("{file}: the gateway takes no link for a variable; write 签署码 and 公众号 in place of {field}."),
        "filed_contact": _("{file}: gateways take no account and no phone number for a variable; in the text that you file, write out {field}."),
        "filed_adjacent": _("{file}: {field} follows another variable; a filed text needs a word or a sign between them."),
        "filed_bare": _("{file}: a filed text cannot be variables alone; write some words."),
        "filed_too_long": _("{file}: {field} takes {longest} characters in a filed text, this one has {length}: {value}; shorten it: {field}|short({longest})"),
    }


def plain_fields_only(template: MessageTemplate, *, samples: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Return all that keeps a text from being filed with a gateway that writes it itself, each kind once."""
    return once(list(_problems(template, list(samples))))


def _problems(template: MessageTemplate, samples: list[Mapping[str, Any]]) -> Iterator[Problem]:
    try:
        templates.require_known(templates.fields_used(template), file=template.file)
    except TemplateInvalid as error:
        yield Problem("invalid", REFUSE, {"error": error})
        return
    parts = language.outputs(template.body)
    yield from _in_parts(template, parts)
    if not any(part.words.strip() for part in parts):
        yield problem_of("filed_bare", template)
    for sample in samples:
        yield from _in_values(template, sample)


def _in_parts(template: MessageTemplate, parts: list[language.Part]) -> Iterator[Problem]:
    ways: dict[str, tuple[int | None, ...]] = {}
    for part in parts:
        if not part.field and not part.words:
            yield problem_of("filed_plain", template, line=template.body_line + part.line - 1)
        if part.field == "link":
            yield problem_of("filed_link", template, field=FIELDS["link"])
        if part.field in ("account", "hotline"):
            yield problem_of("filed_contact", template, WARN, field=FIELDS[part.field])
        if part.field and ways.setdefault(part.field, part.lengths) != part.lengths:
            yield problem_of("filed_twice", template, field=FIELDS[part.field])
    for before, part in pairwise(parts):
        if part.field and not before.words:
            yield problem_of("filed_adjacent", template, field=FIELDS[part.field])


def _in_values(template: MessageTemplate, sample: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        values = templates.variables(template, sample)
    except TemplateInvalid as error:
        yield Problem("not_written", REFUSE, {"error": error})
        return
    for name, value in values.items():
        shown = FIELDS.get(name, name)
        if len(value) > LONGEST_VARIABLE:
            yield problem_of("filed_too_long", template, field=shown, longest=LONGEST_VARIABLE, length=len(value), value=excerpt(value, 0))
        if url_in(value):
            yield problem_of("filed_link", template, field=shown)
