"""The web application: routes, and one place where every error becomes an answer."""

import contextlib
import http
import logging
import re
import traceback
from collections.abc import AsyncIterator, Callable

from sqlalchemy import text
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outreach import i18n, tokens
from outreach.database.engine import Database
from outreach.errors import OutreachError, Unavailable
from outreach.settings import Settings
from outreach.web import deeds, hooks
from outreach.web.public import PublicDoor

log = logging.getLogger("outreach.web")


def create(settings: Settings, database: Database) -> Starlette:
    """Make the application of an office."""
    commits = hooks.committer(settings, database)
    acts = deeds.committer(settings, database)
    pages = PublicDoor(settings, database, acts)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await commits.drained()
        await acts.drained()
        database.close()

    def health(_request: Request) -> Response:
        """Say whether the database answers: 200, or 503 for whoever watches over this process."""
        try:
            with database.read() as session:
                session.execute(text("select 1"))
            ok = True
        except Unavailable:
            ok = False
        document = {"ok": ok, "mode": settings.mode, "database": database.engine.dialect.name, "office": office_id(settings)}
        return JSONResponse(document, status_code=200 if ok else 503)

    def http_error(request: Request, error: Exception) -> Response:
        """Answer a wrong address: with a page to whoever reads pages, else as the API does."""
        assert isinstance(error, HTTPException)
        if not reads_pages(request):
            return _http(error)
        answer = pages.sorry(request, error.status_code)
        answer.headers.update(error.headers or {})
        return answer

    return Starlette(
        routes=[Route("/healthz", health, methods=["GET"]), *hooks.routes(settings, commits), *pages.routes()],
        middleware=[Middleware(NothingPersonal, sorry=pages.sorry)],
        exception_handlers={OutreachError: _refuse, HTTPException: http_error},
        lifespan=lifespan,
    )


def office_id(settings: Settings) -> str:
    """Return what tells this office's server from another one's on the same machine: a digest of its mode and database."""
    return tokens.digest([settings.mode, settings.database_url])[:16]


def reads_pages(request: Request) -> bool:
    """Whether a person asks, through a browser; providers and programmes have doors of their own."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(("/hooks/", "/api/"))


class NothingPersonal:
    """Answer 500 to what nobody foresaw, and log its kind and place only: the text of a database's error holds phones and forms."""

    def __init__(self, app: ASGIApp, sorry: Callable[[Request, int], Response]) -> None:
        self._app = app
        self._sorry = sorry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; nothing that it raises goes further up, where the server would print it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            return None  # nobody waits for an answer, and nothing was kept
        except Exception as error:  # noqa: BLE001 - the outermost place; answered and logged, never swallowed
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error("%s %s: %s at %s:%s", scope["method"], _shown(scope), type(error).__name__, place.filename, place.lineno)
            if not begun:
                request = Request(scope)
                answer = self._sorry(request, 500) if reads_pages(request) else _answer(500, "internal_error", "internal error")
                await answer(scope, receive, send)
        return None


def _shown(scope: Scope) -> str:
    """Return the path of a request without what stands in it for a person or a secret: links, serials, the word of a callback's address."""
    path = str(scope["path"])
    for value in sorted(map(str, scope.get("path_params", {}).values()), key=len, reverse=True):
        path = path.replace(value, "…")
    return re.sub(r"(?<=^/hooks/aliyun/)[^/]+", "…", path)


def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OutreachError)
    if error.status >= 500:
        log.error("%s: %s", type(error).__name__, error)
    return _answer(error.status, _id(type(error).__name__), i18n.say(error))


def _http(error: HTTPException) -> Response:
    return _answer(error.status_code, _id(http.HTTPStatus(error.status_code).name), error.detail, error.headers)


def _id(name: str) -> str:
    """Return the id of an error, `bad_signature`, by the name of its class or of its status."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _answer(status: int, name: str, message: str, headers: object = None) -> Response:
    kept = dict(headers) if isinstance(headers, dict) else None
    return JSONResponse({"error": {"id": name, "message": message}}, status_code=status, headers=kept)
