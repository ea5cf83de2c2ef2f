"""Public pages as they go out: written in the reader's language, everything within them, and nothing else allowed to load or to frame them."""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from outreach import clock, i18n, tokens
from outreach.settings import Settings

Endpoint = Callable[[Request], Awaitable[Response]]
Guard = Callable[[Endpoint], Endpoint]
"""What makes an endpoint answer in its reader's language, and with a page whatever goes wrong."""
HEADERS = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",  # the address of a personal link is a secret
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex",
    }
)
"""For whatever leaves through a personal link, pages and files."""


class Pages:
    """The pages of one office: its own folder `templates/web/` goes before ours."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        folders = [folder / "web" for folder in settings.template_folders]
        self._environment = Environment(
            loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
        )
        self._environment.globals |= {
            "_": i18n.gettext,
            "day": day,
            "moment": moment,
            "style": self._asset("style.css"),
            "script": self._asset("page.js"),
            "office": {"name": settings.office_name, "place": settings.office_place, "hotline": settings.hotline},
        }

    def page(self, name: str, request: Request, *, status: int = 200, **context: Any) -> Response:
        """Write a page; `context` is what its template speaks of."""
        lang = language(request)
        text = self._environment.get_template(name).render(lang=lang, query=query(request), **context)
        headers = {**HEADERS, "Content-Security-Policy": self._policy, "Content-Language": "en" if lang == "en" else "zh-CN", "Vary": "Accept-Language"}
        return HTMLResponse(text, status_code=status, headers=headers)

    def message(self, request: Request, title: str, *lines: str, status: int = 200, links: Mapping[str, str] | None = None) -> Response:
        """Write a page of a few lines; `links` are words by their address."""
        return self.page("message.html", request, status=status, title=title, lines=lines, links=list((links or {}).items()))

    def _asset(self, name: str) -> Markup:
        """Return a style sheet or script as it stands within the page: without indents and lines of comment."""
        source, _path, _current = self._environment.loader.get_source(self._environment, name)  # type: ignore[union-attr]
        lines = (line.strip() for line in source.splitlines())
        return Markup("\n".join(line for line in lines if line and not line.startswith("//")))  # our own file, which holds no data

    @cached_property
    def _policy(self) -> str:
        """What a browser may do for these pages: the one style and the one script, by their digests, and forms to ourselves."""
        style, script = (_hash(str(self._environment.globals[name])) for name in ("style", "script"))
        rules = {
            "default-src": "'none'",
            "style-src": style,
            "script-src": script,
            "connect-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        return "; ".join(f"{name} {value}" for name, value in rules.items())


def language(request: Request) -> str:
    """Return `en` or `zh`: what the address asks for, then what the browser prefers, else Chinese."""
    asked = request.query_params.get("lang", "")
    if asked in i18n.LOCALES:
        return asked
    weighed = [_weighed(part) for part in request.headers.get("accept-language", "")[:500].split(",")]
    known = [(weight, lang) for weight, lang in weighed if lang in i18n.LOCALES and weight > 0]
    return max(known, key=lambda item: item[0])[1] if known else "zh"


def query(request: Request) -> str:
    """Return what keeps the chosen language in the next address."""
    asked = request.query_params.get("lang", "")
    return f"?lang={asked}" if asked in i18n.LOCALES else ""


def redirect(address: str) -> Response:
    """Send the browser on with a GET, so that neither reloading nor going back posts anything again."""
    return RedirectResponse(address, status_code=303, headers=dict(HEADERS))


def hint(phone: str) -> str:
    """Say which phone is meant without its last digits: whoever was passed a link could confirm himself by them."""
    return tokens.mask(phone)[:3] + "********" if phone else ""


def day(at: datetime) -> str:
    """Write a day by the office's calendar."""
    local = at.astimezone(clock.OFFICE_ZONE)
    return i18n.gettext("{year}-{month:02}-{day:02}").format(year=local.year, month=local.month, day=local.day)


def moment(at: datetime) -> str:
    """Write a moment by the office's clock, and say which clock that is."""
    local = at.astimezone(clock.OFFICE_ZONE)
    return i18n.gettext("{day} {hour:02}:{minute:02} (Beijing time)").format(day=day(at), hour=local.hour, minute=local.minute)


def _weighed(part: str) -> tuple[float, str]:
    """Read one entry of Accept-Language, such as `zh-CN;q=0.8` (RFC 9110, 12.5.4)."""
    name, _semicolon, parameter = part.strip().partition(";")
    _q, _equals, weight = parameter.strip().partition("=")
    try:
        return float(weight or 1), name.lower()[:2]
    except ValueError:
        return 0, ""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
