"""The web application: routes, and one place where every error becomes an answer."""

import contextlib
import logging
from collections.abc import AsyncIterator

from sqlalchemy import text
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outreach import i18n
from outreach.database.engine import Database
from outreach.errors import OutreachError
from outreach.settings import Settings
from outreach.web import hooks

log = logging.getLogger("outreach.web")


def create(settings: Settings, database: Database) -> Starlette:
    """Make the application of an office."""
    commits = hooks.committer(database)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await commits.drained()
        database.close()

    def health(_request: Request) -> Response:
        """Say whether the database answers."""
        with database.read() as session:
            session.execute(text("select 1"))
        return JSONResponse({"ok": True, "mode": settings.mode})

    return Starlette(
        routes=[Route("/healthz", health, methods=["GET"]), *hooks.routes(settings, commits)],
        exception_handlers={OutreachError: _refuse, HTTPException: _http, Exception: _broken},
        lifespan=lifespan,
    )


def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OutreachError)
    return _answer(error.status, type(error).__name__, i18n.say(error))


def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, "Http", error.detail, error.headers)


def _broken(request: Request, error: Exception) -> Response:
    log.error("%s %s: %s", request.method, request.url.path, type(error).__name__)  # never the form: it holds phones
    return _answer(500, type(error).__name__, "internal error")


def _answer(status: int, name: str, message: str, headers: object = None) -> Response:
    kept = dict(headers) if isinstance(headers, dict) else None
    return JSONResponse({"error": {"id": name, "message": message}}, status_code=status, headers=kept)
