"""What may not be sent: everything wrong with a template before anybody is written to, each with a reason that says what to do."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from outreach.i18n import gettext as _
from outreach.i18n import say
from outreach.rendering import gateway_checks, templates, wechat_checks
from outreach.rendering.characters import excerpt, faults, has_invisible, quoted
from outreach.rendering.fields import FIELDS, nearest
from outreach.rendering.frontmatter import ONE_TIME_CODE, PUBLICITY, TemplateInvalid
from outreach.rendering.gateway_checks import plain_fields_only as plain_fields_only
from outreach.rendering.problems import REFUSE as REFUSE
from outreach.rendering.problems import WARN as WARN
from outreach.rendering.problems import Problem as Problem
from outreach.rendering.problems import once, problem_of
from outreach.rendering.segments import measure, sms_text
from outreach.rendering.templates import MessageTemplate

MOST_SEGMENTS = 8
"""A provider takes 500 Chinese characters, eight parts, to mainland China at most (twilio.com/en/guidelines/cn/sms)."""

WAY_OUT = "拒收请回复R"
"""Publicity must end with it and a notice must not hold it, as Chinese gateways file texts."""


def problems(
    template: MessageTemplate,
    *,
    signature: str,
    links_allowed: bool,
    production: bool,
    samples: Iterable[Mapping[str, Any]],
    campaign: bool = True,
) -> list[Problem]:
    """Return all that is wrong with a template, each kind once for the template and once at most for its samples.

    `signature` is the office's, for a template that has none of its own; `links_allowed` is the sender's rule; `samples` are
    merge fields under their English names (real recipients and the longest values); `campaign` is false when a template is
    looked at by itself, where one-time codes are in their place.
    """
    try:
        body = templates.compile(template)
    except TemplateInvalid as error:
        return [Problem("invalid", REFUSE, {"error": error})]
    unknown = templates.unknown_fields(template)
    found = [problem_of("unknown_field", template, field=name, nearest=_suggestion(name)) for name in unknown]
    if campaign and template.kind == ONE_TIME_CODE:
        found.append(problem_of("one_time_code", template))
    if template.channel == "sms":
        found += _in_head(template, signature=signature, production=production)
        if not links_allowed and "link" in body.fields:
            found.append(problem_of("link_forbidden", template))
        found += _in_characters(template, body.literal, links_allowed=links_allowed)
    if template.channel == "wechat":
        found += wechat_checks.in_head(template, production=production)
        found += wechat_checks.in_words(template, body.literal)
    if not unknown:
        found += _in_samples(template, list(samples), signature=signature, links_allowed=links_allowed)
    return once(found)


def words(problem: Problem) -> str:
    """Say a problem in one line of the reader's language."""
    if isinstance(error := problem.data.get("error"), TemplateInvalid):
        return say(error)
    return sentences()[problem.id].format(**problem.data)


def sentences() -> dict[str, str]:
    """Return the sentence for each problem, by its id."""
    return {
        **wechat_checks.sentences(),
        **gateway_checks.sentences(),
        "unknown_field": _("{file}: there is no field {field}; the nearest is {nearest}."),
        "one_time_code": _("{file} is filed as 验证码 and belongs to no campaign; choose a template of another kind."),
        "not_filed": _("{file}, line {line}: the provider's approval number is missing; write it behind filed before production."),
        "signature_missing": _("{file} has no signature; write one behind signature, or sms_signature in the settings."),
        "signature_wrong": _("{file}: the signature {signature} must have 2 to 16 characters, no brackets, blanks or invisible ones."),
        "brackets": _("{file}: 【】 may not stand in the text, as the channel puts 【signature】 in front; take it out of: {excerpt}"),
        "invisible": _("{file}: an invisible character stands in the text; type it anew: {excerpt}"),
        "url": _("{file}: the sender's rules forbid links in a text; take out: {excerpt}"),
        "link_forbidden": _("{file}: the sender's rules forbid links in a text; write 签署码 and 公众号 in place of 专属链接."),
        "way_out_missing": _("{file}: a text filed as 推广 must end with 拒收请回复R."),
        "way_out_forbidden": _("{file}: a text filed as {kind} must not hold 拒收请回复R; take it out, or file the text as 推广."),
        "too_long": _("{file}: a text of {units} characters goes out in {segments} parts, {most} are allowed; shorten it: {excerpt}"),
        "empty": _("{file}: for a recipient nothing is left of the text; write what everybody is to read."),
    }


def _suggestion(field: str) -> str:
    return nearest(field) or " ".join(FIELDS.values())


def _in_head(template: MessageTemplate, *, signature: str, production: bool) -> Iterator[Problem]:
    """Check what the head of a text message says: how it was filed, and whose name is put in front."""
    if not template.filed:
        severity = REFUSE if production else WARN
        yield problem_of("not_filed", template, severity, line=template.lines.get("filed", 1))
    signed = template.signature or signature
    if not signed:
        yield problem_of("signature_missing", template)
    elif not 2 <= len(signed) <= 16 or _UNFIT_IN_SIGNATURE.search(signed) or has_invisible(signed):
        yield problem_of("signature_wrong", template, signature=excerpt(signed, 0))


_UNFIT_IN_SIGNATURE = re.compile(r"[【】\[\]\s]")


def _in_characters(template: MessageTemplate, text: str, *, links_allowed: bool) -> Iterator[Problem]:
    for fault in faults(text, links_allowed=links_allowed):
        yield problem_of(fault, template, excerpt=quoted(fault, text))


def _in_samples(template: MessageTemplate, samples: list[Mapping[str, Any]], *, signature: str, links_allowed: bool) -> Iterator[Problem]:
    """Write the template for each sample and check what comes out, as it would be sent."""
    write, texts = templates.renderer(template), []
    for sample in samples:
        try:
            texts.append(write(sample))
            if template.channel == "wechat":
                yield from wechat_checks.in_sample(template, sample, texts[-1])
        except TemplateInvalid as error:
            yield Problem("not_written", REFUSE, {"error": error})
    if template.channel == "sms":
        for text in texts:
            yield from _in_text(template, text, signature=signature, links_allowed=links_allowed)
        yield from _in_way_out(template, texts or [template.body.strip()])


def _in_text(template: MessageTemplate, text: str, *, signature: str, links_allowed: bool) -> Iterator[Problem]:
    yield from _in_characters(template, text, links_allowed=links_allowed)
    if not text:
        yield problem_of("empty", template)
    length = measure(sms_text(template.signature or signature, text))
    if length.segments > MOST_SEGMENTS:
        yield problem_of(
            "too_long",
            template,
            units=length.units,
            segments=length.segments,
            most=MOST_SEGMENTS,
            excerpt=excerpt(text, 0),
        )


def _in_way_out(template: MessageTemplate, texts: list[str]) -> Iterator[Problem]:
    if template.kind == PUBLICITY:
        if not all(text.endswith(WAY_OUT) for text in texts):
            yield problem_of("way_out_missing", template)
    elif any(WAY_OUT in text for text in texts):
        yield problem_of("way_out_forbidden", template, kind=template.kind)
