"""What providers call: verified, stored, committed in groups, and answered after the commit; so nothing that we confirmed can be lost."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from outreach import clock
from outreach.campaigns import announcing
from outreach.channels import directory
from outreach.channels.base import Acknowledgement, Hooks, Incoming, MassReport, Receipt, Reply
from outreach.database.engine import Database
from outreach.errors import BadInput
from outreach.links import conversation, refusals
from outreach.outbox import receipts
from outreach.settings import Settings
from outreach.web.groups import LARGEST_GROUP, GroupCommit

LARGEST = 64 * 1024
LARGEST_TALK = 100


class TooLarge(BadInput):
    """This callback is larger than {most} bytes."""

    status = 413


@dataclass(slots=True)
class Callback:
    """What one callback brought; after its commit `answer` is what the person who wrote is told, if anything."""

    items: Sequence[Incoming]
    answer: str | None = None


class CallbackDoor:
    """The door of one provider's callbacks."""

    def __init__(self, settings: Settings, hooks: Hooks, commits: "Keeper") -> None:
        self._public_url = settings.public_url.rstrip("/")
        self._hooks = hooks
        self._commits = commits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer after the commit, also for what nobody knows and for what came before.

        Plain ASGI, not a Request: its URL would be made of the Host header, which anybody can write, even so that no URL comes of it.
        """
        query = scope["query_string"].decode("latin-1")
        url = self._public_url + scope["path"] + (f"?{query}" if query else "")
        if scope["method"] == "POST":
            said = await self._keep(url, Headers(scope=scope), await _body(receive))
        else:
            said = self._show(url, scope["method"])
        headers = [(b"content-type", said.content_type.encode())] if said.content_type else []
        await send({"type": "http.response.start", "status": said.status, "headers": headers})
        await send({"type": "http.response.body", "body": said.body})

    async def _keep(self, url: str, headers: Headers, body: bytes) -> Acknowledgement:
        callback = Callback(self._hooks.read_callback(url=url, body=body, headers=headers))
        if callback.items:
            await self._commits.add(callback)
        return self._hooks.acknowledge(callback.items, callback.answer)

    def _show(self, url: str, method: str) -> Acknowledgement:
        """Say whose address this is to a provider that asks."""
        word = self._hooks.challenge(url=url) if method == "GET" else None
        if word is None:
            raise HTTPException(405, headers={"Allow": "POST"})
        return Acknowledgement(200, "text/plain; charset=utf-8", word.encode())


def routes(settings: Settings, commits: "Keeper") -> list[Route]:
    """Return the routes of all providers' callbacks."""
    return [Route(path, CallbackDoor(settings, hooks, commits)) for hooks in directory.open_hooks(settings) for path in hooks.paths]


class Keeper:
    """What callbacks brought, on its way into the database: receipts in great groups; what people do in WeChat in small ones, because
    each waits for his answer and the provider for no longer than five seconds."""

    def __init__(self, settings: Settings, database: Database, *, at_most: int) -> None:
        self._settings, self._database = settings, database
        self._reports = GroupCommit(self._store, at_most=at_most)
        self._talk = GroupCommit(self._hear, at_most=min(at_most, LARGEST_TALK))

    async def add(self, callback: Callback) -> None:
        """Return once the callback is committed, and its answer known."""
        await (self._talk if any(_is_talk(item) for item in callback.items) else self._reports).add(callback)

    async def drained(self) -> None:
        """Wait until nothing is under way any more."""
        await self._reports.drained()
        await self._talk.drained()

    def _store(self, callbacks: Sequence[Callback]) -> None:
        items, now = [item for callback in callbacks for item in callback.items], clock.now()
        with self._database.write() as session:
            texts = [item for item in items if isinstance(item, Reply)]
            refusing = refusals.fresh(session, texts)
            receipts.store(session, [item for item in items if isinstance(item, Receipt | Reply)], now=now)
            refusals.by_text(session, refusing, now=now)
            announcing.store_reports(session, [item for item in items if isinstance(item, MassReport)], now=now)

    def _hear(self, callbacks: Sequence[Callback]) -> None:
        said = [item for callback in callbacks for item in callback.items if isinstance(item, Reply)]
        with self._database.write() as session:
            answers = conversation.hear(session, said, settings=self._settings, now=clock.now())
        for callback in callbacks:
            told = [answers[item.reference] for item in callback.items if isinstance(item, Reply)]
            callback.answer = next((answer for answer in told if answer), None)


def committer(settings: Settings, database: Database, *, at_most: int = LARGEST_GROUP) -> Keeper:
    """Return what stores what callbacks brought, a group of `at_most` in one transaction."""
    return Keeper(settings, database, at_most=at_most)


def _is_talk(item: Incoming) -> bool:
    return isinstance(item, Reply) and item.channel == conversation.CHANNEL


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
