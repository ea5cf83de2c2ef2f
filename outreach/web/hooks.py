"""What providers call: verified, stored, committed in groups, and answered after the commit; so nothing that we confirmed can be lost."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from outreach import clock
from outreach.channels import directory
from outreach.channels.base import Hooks, MalformedCallback, Receipt, Reply
from outreach.database.engine import Database
from outreach.errors import BadInput
from outreach.outbox import receipts
from outreach.settings import Settings
from outreach.web.groups import LARGEST_GROUP, GroupCommit

LARGEST = 64 * 1024
MOST_FIELDS = 200
FORM = "application/x-www-form-urlencoded"


class TooLarge(BadInput):
    """This callback is larger than {most} bytes."""

    status = 413


class NotAForm(MalformedCallback):
    """This callback came as {kind}; a callback is a form (application/x-www-form-urlencoded)."""


class FormBroken(MalformedCallback):
    """The form of this callback cannot be read: it is cut, is not UTF-8 or has more than {most} fields."""


class CallbackDoor:
    """The door of one provider's callbacks."""

    def __init__(self, settings: Settings, hooks: Hooks, commits: GroupCommit[Receipt | Reply]) -> None:
        self._public_url = settings.public_url.rstrip("/")
        self._hooks = hooks
        self._commits = commits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 204 after the commit, also for what nobody knows and for what came before.

        Plain ASGI, not a Request: its URL would be made of the Host header, which anybody can write, even so that no URL comes of it.
        """
        headers = Headers(scope=scope)
        form = _form(headers, await _body(receive))
        query = scope["query_string"].decode("latin-1")
        url = self._public_url + scope["path"] + (f"?{query}" if query else "")
        item = self._hooks.read_callback(url=url, form=form, headers=headers)
        await self._commits.add(item)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


def routes(settings: Settings, commits: GroupCommit[Receipt | Reply]) -> list[Route]:
    """Return the routes of all providers' callbacks."""
    door = CallbackDoor(settings, directory.open_hooks(settings)["twilio"], commits)
    return [Route(path, door, methods=["POST"]) for path in ("/hooks/twilio/status", "/hooks/twilio/inbound")]


def committer(database: Database, *, at_most: int = LARGEST_GROUP) -> GroupCommit[Receipt | Reply]:
    """Return what stores receipts and replies, a group of `at_most` in one transaction."""

    def store(items: Sequence[Receipt | Reply]) -> None:
        with database.write() as session:
            receipts.store(session, items, now=clock.now())

    return GroupCommit(store, at_most=at_most)


async def _body(receive: Receive) -> bytes:
    """Read the body, but no more than a callback can be."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect()
        body += message.get("body", b"")
        if len(body) > LARGEST:
            raise TooLarge(most=LARGEST)
        if not message.get("more_body", False):
            return bytes(body)


def _form(headers: Headers, body: bytes) -> dict[str, str]:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise NotAForm(kind=kind[:80] or "-")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise FormBroken(most=MOST_FIELDS) from error
