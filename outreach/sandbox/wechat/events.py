"""Posts to the office: what people do and what became of messages; three tries of five seconds each, and the office's answer to a person."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable

from outreach.sandbox.callbacks import FIRST_RETRY, Address
from outreach.sandbox.lines import Outcome
from outreach.sandbox.wechat.envelopes import Envelopes, Tree, Unreadable, compose
from outreach.sandbox.wechat.scenario import Mode
from outreach.sandbox.wechat.world import World

LONGEST_ANSWER = 2048
"""Bytes of a text to a person; beyond it the provider shows him that the service is out of order."""

Then = Callable[[Outcome], None]


class Post:
    """One callback from its first try to its end: the bytes of all tries are the same."""

    __slots__ = ("_address", "_epoch", "_forged", "_heard", "_on_answer", "_then", "_tries", "_world", "connect_timeout", "payload", "read_timeout")

    def __init__(self, world: World, address: Address, payload: bytes, *, then: Then, on_answer: Callable[[bytes], None], forged: bool) -> None:
        self._world = world
        self._address = address
        self._then = then
        self._on_answer = on_answer
        self._forged = forged
        self._epoch = world.callbacks.epoch
        self._heard: list[bytes] = []
        self._tries = 1
        self.payload = payload
        self.connect_timeout = self.read_timeout = world.scenario.deadline_s

    def go(self) -> None:
        """Hand it to a line, unless everything was forgotten meanwhile."""
        if self._epoch == self._world.callbacks.epoch:
            self._heard = []
            self._world.callbacks.host(self._address.origin).submit(self)

    def heard(self, chunk: bytes) -> None:
        """Take a part of the answer."""
        self._heard.append(chunk)

    def ended(self, outcome: Outcome) -> None:
        """Take the outcome of one try: the end, or another try after a while."""
        callbacks = self._world.callbacks
        if self._epoch != callbacks.epoch:
            return
        good = outcome == 200
        if not good and not self._forged and self._tries < self._world.scenario.tries:
            asyncio.get_running_loop().call_later(FIRST_RETRY * 2 ** (self._tries - 1), self.go)
            self._tries += 1
            return
        callbacks.pending -= 1
        if not self._forged:
            callbacks.sent += good
            callbacks.failed += not good
        if good and not self._forged:
            self._on_answer(b"".join(self._heard))
        self._then(outcome)


class Events:
    """Everything that goes to the office's address."""

    def __init__(self, world: World) -> None:
        self._world = world
        account = world.account
        self._envelopes = Envelopes(account.token, account.aes_key, account.app_id)
        self._wrong = Envelopes(os.urandom(16).hex(), account.aes_key, account.app_id)
        self._address = Address.parse(account.hook_url)
        self.forged = self.forged_accepted = 0
        self.answers: Counter[str] = Counter()
        """How the office answered people: `none`, `text`, `again` (the same once more), `other` (another one than before), `broken`."""
        self.broken = ""
        """Why the last broken one could not be shown."""
        self._answered: dict[str, str] = {}

    def tell(
        self,
        openid: str,
        tree: Tree,
        *,
        created: int | None = None,
        reference: str = "",
        url: str | None = None,
        encrypted: Mode | None = None,
        forged: bool = False,
        then: Then = lambda _: None,
    ) -> None:
        """Post what `tree` says of `openid`; an answer to the person counts where `reference` names what he said.

        The caller raises `pending` of the callbacks before, for a post may wait for its turn.
        """
        head: Tree = {"ToUserName": self._world.account.name, "FromUserName": openid, "CreateTime": created or int(time.time())}
        mode = encrypted or self._world.scenario.encrypted
        address = Address.parse(url) if url else self._address
        payload = self._payload(address, openid, compose({**head, **tree}), head, mode, forged=forged)

        def ended(outcome: Outcome) -> None:
            if forged:
                self.forged += 1
                self.forged_accepted += outcome == 200
            then(outcome)

        def answered(answer: bytes) -> None:
            if reference:
                self._answer(openid, reference, answer, mode)

        Post(self._world, address, payload, then=ended, on_answer=answered, forged=forged).go()

    def post_later(self, after: float, openid: str, tree: Tree, *, forged: bool = False, then: Then = lambda _: None) -> None:
        """Post `after` so many seconds, counted as pending from now."""
        self._world.callbacks.pending += 1
        if after > 0:
            self._world.later(after, lambda: self.tell(openid, tree, forged=forged, then=then))
        else:
            self.tell(openid, tree, forged=forged, then=then)

    def challenge(self, url: str | None, then: Callable[[bool], None]) -> None:
        """Ask the office's address whether it is ours, as the provider's console does when it is typed in."""
        timestamp, nonce, echo = str(int(time.time())), _nonce(), str(self._world.number())
        address = Address.parse(url) if url else self._address
        query = {"signature": self._envelopes.sign(timestamp, nonce), "echostr": echo, "timestamp": timestamp, "nonce": nonce}
        head = f"GET {_target(address, query)} HTTP/1.1\r\nHost: {address.origin.name}\r\nAccept: */*\r\nUser-Agent: Mozilla/4.0\r\n\r\n"
        told: list[bytes] = []
        self._world.callbacks.pending += 1
        Post(
            self._world,
            address,
            head.encode(),
            then=lambda _: then(told == [echo.encode()]),
            on_answer=lambda answer: told.append(answer.strip()),
            forged=False,
        ).go()

    def clear(self) -> None:
        """Forget the counts."""
        self.forged = self.forged_accepted = 0
        self.answers.clear()
        self._answered.clear()
        self.broken = ""

    def _payload(self, address: Address, openid: str, xml: str, head: Tree, mode: Mode, *, forged: bool) -> bytes:
        signer = self._wrong if forged else self._envelopes
        timestamp, nonce = str(int(time.time())), _nonce()
        query = {"signature": signer.sign(timestamp, nonce), "timestamp": timestamp, "nonce": nonce, "openid": openid}
        if mode != "plain":
            sealed = self._envelopes.seal(xml)
            query |= {"encrypt_type": "aes", "msg_signature": signer.sign(timestamp, nonce, sealed)}
            outside = compose({"ToUserName": self._world.account.name, "Encrypt": sealed})
            xml = outside if mode == "safe" else xml.removesuffix("</xml>") + compose({"Encrypt": sealed}).removeprefix("<xml>")
        body = xml.encode()
        lines = (
            f"POST {_target(address, query)} HTTP/1.1\r\nHost: {address.origin.name}\r\nContent-Type: text/xml\r\nUser-Agent: Mozilla/4.0\r\n"
            f"Accept: */*\r\nPragma: no-cache\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return lines.encode() + body

    def _answer(self, openid: str, reference: str, answer: bytes, mode: Mode) -> None:
        """Show the person what the office answered, once for each thing he said."""
        if answer.strip() in (b"", b"success"):
            self.answers["none"] += 1
            return
        try:
            text = self._text(openid, self._envelopes.answer(answer, mode))
        except Unreadable as cause:
            self.answers["broken"] += 1
            self.broken = str(cause)
            return
        if reference in self._answered:
            self.answers["again" if self._answered[reference] == text else "other"] += 1
            return
        self._answered[reference] = text
        self.answers["text"] += 1
        self._world.write(
            reference=f"passive-{reference}",
            to=openid,
            body=text,
            attempt=None,
            outcome="delivered",
            more={"api": "passive"},
            then=lambda: None,
        )

    def _text(self, openid: str, found: dict[str, str]) -> str:
        if (found.get("ToUserName"), found.get("FromUserName"), found.get("MsgType")) != (openid, self._world.account.name, "text"):
            raise Unreadable("an answer of another person or kind")
        if not found.get("CreateTime", "").isdigit() or not found.get("Content") or len(found["Content"].encode()) > LONGEST_ANSWER:
            raise Unreadable("no text that can be shown")
        return found["Content"]


def _nonce() -> str:
    return str(int.from_bytes(os.urandom(4), "big"))


def _target(address: Address, query: dict[str, str]) -> str:
    """Return the path and query that are called; none of the values needs an escape."""
    own = f"{address.query}&" if address.query else ""
    return f"{address.origin.path}?{own}{'&'.join([f'{name}={value}' for name, value in query.items()])}"
