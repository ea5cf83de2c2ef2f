"""What providers call: verified, stored, committed in groups, and answered after the commit; so nothing that we confirmed can be lost."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outreach import clock
from outreach.channels import directory
from outreach.channels.base import Hooks, MalformedCallback, Receipt, Reply
from outreach.database.engine import Database
from outreach.errors import BadInput
from outreach.outbox import receipts
from outreach.settings import Settings
from outreach.web.groups import GroupCommit

LARGEST = 64 * 1024
FORM = "application/x-www-form-urlencoded"


class TooLarge(BadInput):
    """This callback is larger than {most} bytes."""

    status = 413


class CallbackDoor:
    """The door of one provider's callbacks."""

    def __init__(self, settings: Settings, hooks: Hooks, commits: GroupCommit[Receipt | Reply]) -> None:
        self._public_url = settings.public_url.rstrip("/")
        self._hooks = hooks
        self._commits = commits

    async def __call__(self, request: Request) -> Response:
        """Answer 204 after the commit, also for what nobody knows and for what came before."""
        form = _form(request, await _body(request))
        # Not request.url: that is made of the Host header, which anybody can write, even so that no URL comes of it.
        query = request.scope["query_string"].decode("latin-1")
        url = self._public_url + request.scope["path"] + (f"?{query}" if query else "")
        item = self._hooks.read_callback(url=url, form=form, headers=request.headers)
        await self._commits.add(item)
        return Response(status_code=204)


def routes(settings: Settings, commits: GroupCommit[Receipt | Reply]) -> list[Route]:
    """Return the routes of all providers' callbacks."""
    door = CallbackDoor(settings, directory.open_hooks(settings)["twilio"], commits)
    return [Route(path, door.__call__, methods=["POST"]) for path in ("/hooks/twilio/status", "/hooks/twilio/inbound")]


def committer(database: Database) -> GroupCommit[Receipt | Reply]:
    """Return what stores receipts and replies, a group in one transaction."""

    def store(items: Sequence[Receipt | Reply]) -> None:
        with database.write() as session:
            receipts.store(session, items, now=clock.now())

    return GroupCommit(store)


async def _body(request: Request) -> bytes:
    """Read the body, but no more than a callback can be."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise TooLarge(most=LARGEST)
    return bytes(body)


def _form(request: Request, body: bytes) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise MalformedCallback(what=FORM)
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=200))
    except ValueError as error:
        raise MalformedCallback(what=FORM) from error
