"""The papers of a pledge: the PDF of one that was signed, and the sheet for signing by hand.

Both are Chinese: what is signed is the Chinese text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from outreach.clock import OFFICE_ZONE
from outreach.database.pledge_tables import Signature
from outreach.database.tables import PledgeVersion
from outreach.errors import Refused
from outreach.rendering import documents, fonts, ink, layouts, markup, qr
from outreach.rendering import sheets as wording
from outreach.rendering.characters import visible
from outreach.rendering.layouts import Layout
from outreach.settings import Settings

PROOF = "平台存证：记录内容、时间和核验方式，不等同于电子公章。"
CAPACITIES = MappingProxyType({"legal_representative": "法定代表人", "principal": "负责人", "agent": "受托人"})
WAYS = MappingProxyType({"link": "专属链接", "code": "签署码", "wechat": "微信公众号", "event": "活动现场", "paper": "纸质", "staff": "工作人员代录"})
METHODS = MappingProxyType({"typed": "填写姓名并勾选同意", "drawn": "手写签名", "paper": "纸质签字盖章，扫描件存档"})
CHECKS = MappingProxyType(
    {
        "phone_last4": "登记手机号后四位",
        "credit_code_last6": "统一社会信用代码后六位",
        "one_time_code": "短信验证码",
        "wechat_bound": "已绑定的微信（绑定时核对登记手机号后四位）",
    }
)
UNREAD = "见纸质扫描件（尚待人工核对）"
"""What the PDF of a piled sheet says of its signer: our list's contact may not be who signed."""
SIZES = ("16pt", "14.5pt", "13pt", "11.5pt", "10.5pt")
"""Of the text of a sheet: the largest at which every sheet is one page."""


AT_ONCE = 50
"""Sheets set in one go. What the setter remembers of the last parts grows with them: with 50 a run of any length stays at 410 MB, with 500
it takes a gigabyte (measured); 50 are no slower."""
BY_HAND = "　　　　　　"
"""What stands in a text in place of what somebody writes in."""


class SheetTooLong(Refused):
    """The text of the pledge is too long for a sheet of one page; shorten templates/pledge/{pledge}.md"""


class NotCounted(Refused):
    """Signature {serial} is on paper and waits for its scan; there is no PDF of it yet."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is printed on one enterprise's sheet: `address` stands in the QR code, `code` beneath it in letters; `event` is where it is laid out.

    One without a code is for whoever walks in: enterprise and code are written by hand, and its QR code leads to the office's page.
    """

    enterprise: str
    town: str
    code: str
    address: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    event: str = ""


def signed_pdf(signature: Signature, version: PledgeVersion, *, settings: Settings, fields: Mapping[str, Any] = MappingProxyType({}), seal: str = "") -> bytes:
    """Return the PDF/A-2b of a signed pledge, without a seal yet; `seal` is what the paper says of its seal.

    `fields` are the merge fields of the signer (town, contact), for a text that names them. Dated by the moment of signing, so the
    same signature gives the same bytes. Raises NotCounted and GlyphMissing.
    """
    if signature.state == "pending":
        raise NotCounted(what="signature", serial=signature.serial)
    document = markup.parse(version.source, _fields(version, signature.enterprise, fields), file=f"pledge/{version.pledge}.md")
    address = verify_address(signature.serial, settings)
    data = {
        "title": version.title,
        "office": str(version.fields.get("office", settings.office_name)),
        "blocks": markup.to_data(document),
        "serial": signature.serial,
        "enterprise": visible(signature.enterprise),
        "erased": not signature.signer,
        "signer": UNREAD if _unread(signature) else visible(signature.signer),
        "capacity": "" if _unread(signature) else _capacity(signature),
        "ink": ink.svg(signature.ink) if signature.ink else None,
        "how": _how(signature),
        "at": _moment(signature.signed_at) + ("（录入时间）" if _unread(signature) else ""),
        "ended": _ended(signature),
        "qr": qr.svg(address),
        "verify": address,
        "proof": PROOF,
        "version": version.number,
        "digest": version.digest,
        "seal": seal,
    }
    fonts.require(_words(data), fonts.shelf(settings.home), name=signature.enterprise)
    return documents.pdf("pledge/signed", data, settings=settings, now=signature.signed_at)


def _unread(signature: Signature) -> bool:
    """Whether a machine led this sheet to its enterprise and nobody has read yet who signed it, and when."""
    return signature.method == "paper" and signature.review and bool(signature.signer)


def sheets_pdf(version: PledgeVersion, sheets: Sequence[Sheet], *, settings: Settings, now: datetime, at_once: int = AT_ONCE) -> bytes:
    """Return the sheets for signing by hand in one PDF, one page each. Raises SheetTooLong and GlyphMissing.

    Up to `at_once` sheets are one PDF/A-2b; more are set in parts and put together.
    """
    parts = list(sheet_parts(version, sheets, settings=settings, now=now, at_once=at_once))
    return parts[0] if len(parts) == 1 else documents.joined(parts, now=now)


def sheet_parts(version: PledgeVersion, sheets: Sequence[Sheet], *, settings: Settings, now: datetime, at_once: int = AT_ONCE) -> Iterator[bytes]:
    """Yield the sheets as PDFs of `at_once` pages each, so that memory stays bounded. Raises SheetTooLong and GlyphMissing."""
    shelf, layout = fonts.shelf(settings.home), layouts.load("pledge/sheet", settings.template_folders)
    for start in range(0, len(sheets), at_once):
        pages = []
        for sheet in sheets[start : start + at_once]:
            page = _sheet(version, sheet)
            fonts.require(_words(page), shelf, name=sheet.enterprise)
            pages.append(page)
        yield _sheets_part(version, layout, pages, settings=settings, now=now, tags=len(sheets) <= at_once)


def lacking(sheet: Sheet, *, settings: Settings) -> str:
    """Return the characters of a sheet's own words that no font has, each named with its number; nothing where all can be set."""
    own = [sheet.enterprise, sheet.town, sheet.event, *(value for value in sheet.fields.values() if isinstance(value, str))]
    return fonts.named(fonts.missing(visible("".join(own)), fonts.shelf(settings.home)))


def _sheets_part(version: PledgeVersion, layout: Layout, pages: Sequence[Mapping[str, Any]], *, settings: Settings, now: datetime, tags: bool) -> bytes:
    """Set so many sheets at the largest size at which each is one page; tags are for a file of one part, and lost when parts are joined."""
    for size in SIZES:
        data = _said(version, settings) | {"sheets": pages, "size": size}
        made = layouts.compile(layout, data, settings=settings, now=now, tags=tags)
        if documents.pages(made) == len(pages):
            return made
    raise SheetTooLong(what="sheet", pledge=version.pledge)


def _said(version: PledgeVersion, settings: Settings) -> dict[str, Any]:
    """Return what every sheet says."""
    return wording.said(version.title, hotline=str(version.fields.get("hotline", settings.hotline))) | {
        "office": str(version.fields.get("office", settings.office_name))
    }


def verify_address(serial: str, settings: Settings) -> str:
    """Return where a signed pledge is verified, as the QR code on it says."""
    return f"{settings.public_url.rstrip('/')}/v/{serial}"


def _sheet(version: PledgeVersion, sheet: Sheet) -> dict[str, Any]:
    fields = _fields(version, sheet.enterprise or BY_HAND, {"town": sheet.town, "code": sheet.code or BY_HAND, **sheet.fields})
    document = markup.parse(version.source, fields, file=f"pledge/{version.pledge}.md")
    return {
        "enterprise": visible(sheet.enterprise),
        "town": visible(sheet.town),
        "event": visible(sheet.event),
        "code": sheet.code,
        "qr": qr.svg(sheet.address),
        "blocks": markup.to_data(document),
    }


def _fields(version: PledgeVersion, enterprise: str, others: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge fields of a text that is signed for one enterprise, whatever else its signer speaks for."""
    return {"contact": "负责人", "town": "", **others, **version.fields, "enterprise": enterprise, "enterprises": [enterprise], "enterprise_count": 1}


def _capacity(signature: Signature) -> str:
    return "，".join(filter(None, (CAPACITIES.get(signature.capacity, signature.capacity), visible(signature.relation))))


def _how(signature: Signature) -> str:
    how = [WAYS.get(signature.way, signature.way), METHODS.get(signature.method, signature.method)]
    checks = "、".join(CHECKS.get(check, check) for check in signature.checks or ())
    return "，".join(dict.fromkeys(how)) + (f"；核验：{checks}" if checks else "")


def _ended(signature: Signature) -> str:
    if signature.ended_at is None:
        return ""
    return f"本签署已于{_moment(signature.ended_at)}{'被新的签署取代' if signature.state == 'superseded' else '撤回'}。"


def _moment(moment: datetime) -> str:
    local = moment.astimezone(OFFICE_ZONE)
    return f"{local.year}年{local.month}月{local.day}日 {local:%H:%M:%S}（北京时间）"


def _words(data: Any) -> Iterator[str]:
    """Yield every text in the data of a paper; pictures are none."""
    match data:
        case str():
            yield "" if data.startswith("<svg ") else data
        case dict():
            for value in data.values():
                yield from _words(value)
        case list():
            for value in data:
                yield from _words(value)
