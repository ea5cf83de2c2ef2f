"""What the characters of a text give away: links in any disguise, brackets, and what nobody sees on a phone."""

import re
import unicodedata


def faults(text: str, *, links_allowed: bool) -> tuple[str, ...]:
    """Return what is wrong with the characters of a text: `brackets`, `invisible`, `url`. Quick, for every body of a plan."""
    found = []
    if has_brackets(text):
        found.append("brackets")
    if has_invisible(text):
        found.append("invisible")
    if not links_allowed and url_in(text):
        found.append("url")
    return tuple(found)


def url_in(text: str) -> str:
    """Return what a phone or a provider would take for a link, or nothing.

    A link is a scheme, www., four numbers, a name under a well-known ending, or any dotted name with a path. Full-width
    letters, other dots and invisible characters are seen through. An e-mail address is not a link.
    """
    if not (_perhaps_url(text) or has_invisible(text)):
        return ""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).lower()
    found = _URL.search(_DOT_BETWEEN.sub(".", plain))
    return found[0] if found else ""


# What is not seen on a phone, or turns the line around: control and format characters, fillers, lone surrogates, tags. The tab
# and the line end are seen; private-use characters stand for rare characters in names from older registers.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U000e0000-\U000e007f]"
)
has_invisible = _INVISIBLE.search
has_brackets = re.compile("[【】]").search


def visible(text: str) -> str:
    """Return a value on one line without what nobody sees: a name may not turn the line around, nor break it."""
    return _INVISIBLE.sub("", text.replace("\n", " ").replace("\t", " "))


_CHINESE_ENDINGS = "中国|公司|网络|网址|政务|公益|在线"
_ENDINGS = (
    "cn|com|net|org|gov|edu|top|vip|cc|io|me|xyz|info|shop|site|online|club|link|wang|ink|tech|store|live|mobi|biz|pro|fun"
    "|cloud|app|dev|hk|tw|ly|xn--[a-z0-9-]+"
)
_HOST = r"(?<![a-z0-9._-])(?:[a-z0-9-]+\.)+"
_URL = re.compile(
    r"[a-z0-9+.-]{0,20}://[!-~]*"
    r"|www\.\S[!-~]*"
    r"|(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"
    rf"|(?<!@){_HOST}(?:{_ENDINGS})(?![a-z0-9-])(?:[/?#:][!-~]*)?"
    rf"|{_HOST}[a-z]{{2,}}(?::\d+)?/[!-~]+"
    rf"|[^\s.,:;!?，。：；！？]{{1,63}}\.(?:{_CHINESE_ENDINGS})"
)
_DOT_BETWEEN = re.compile("(?<=[a-z0-9])。(?=[a-z0-9])")
_perhaps_url = re.compile(
    "[:：][/／]|[.．。｡․﹒⒈-⒛][^\\s\u2000-\u206f\u3000-\u9fff]" rf"|[.．․﹒](?:{_CHINESE_ENDINGS})",
).search


def quoted(fault: str, text: str) -> str:
    """Quote what `faults` found, with a little of the text around it."""
    if fault == "url":
        return excerpt(url_in(text), 0)
    found = (has_brackets if fault == "brackets" else has_invisible)(text)
    return excerpt(text, found.start() if found else 0)


def excerpt(text: str, place: int) -> str:
    """Quote a text around a place on one line, invisible characters written as their numbers."""
    start = max(place - 8, 0)
    part = " ".join(_INVISIBLE.sub(lambda found: f"<U+{ord(found[0]):04X}>", text[start : place + 24]).split())
    return ("…" if start else "") + part + ("…" if place + 24 < len(text) else "")
