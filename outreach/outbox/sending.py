"""Send what is due: claim a slice, hand it to its channel, record the answers. No transaction is open while the network is waited for."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from outreach.channels import directory
from outreach.channels.base import Channel, Message, Outcome, ProviderUnavailable
from outreach.database.engine import Database, database_now
from outreach.outbox import hours, limits, senders, settle
from outreach.outbox.claim import SIZES, Claimed, Rules, Slice, claim
from outreach.outbox.record import Patience, record, record_again
from outreach.outbox.settle import Answer, Grace, Question
from outreach.outbox.texts import Secrets
from outreach.settings import Sender, Settings

BATCH = 250
"""Answers that are recorded at once when they come fast; else what came within MOMENT. A batch costs about three statements."""
MOST_UNRECORDED = 1000
"""Answers that may wait to be recorded before nothing more is claimed: what a kill -9 would leave to be settled."""
MOMENT = 0.05
LONGEST_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True)
class Outbox:
    """An office's outbox: what one process needs to send and to settle."""

    database: Database
    settings: Settings

    @property
    def rules(self) -> Rules:
        """What bounds every claim."""
        return Rules(self.settings.lease, self.settings.weekly_cap, partial(hours.campaign_opens_at, self.settings), self.secrets)

    @property
    def secrets(self) -> Secrets:
        """What makes the fields that are stored nowhere."""
        return Secrets(self.settings.office_key, self.settings.public_url)

    @property
    def grace(self) -> Grace:
        """When "not in the provider's list" may be believed."""
        chosen = self.settings
        return Grace(chosen.lease, chosen.request_timeout, chosen.settle_grace, chosen.settle == "person")

    @property
    def patience(self) -> Patience:
        """How long to wait after uncertain answers."""
        return Patience(self.settings.settle_grace / 2, self.settings.settle_grace)


async def drain(outbox: Outbox, *, goes_on: Callable[[], bool] = lambda: True) -> int:
    """Send until nothing is due for any sender, or `goes_on` says no; return how many requests were answered or given up."""
    with outbox.database.read() as session:
        known = senders.ids(session, outbox.settings)
    counts = await asyncio.gather(*(_drain_sender(outbox, key, sender, goes_on) for key, sender in known.items()))
    return sum(counts)


async def _drain_sender(outbox: Outbox, sender_id: int, sender: Sender, goes_on: Callable[[], bool]) -> int:
    channel = _open(outbox, sender_id, sender)
    try:
        return await _Stream(outbox, sender_id, sender, channel).run(goes_on)
    finally:
        await channel.close()


class _Stream:
    """One sender's messages on their way: slices overlap, so that one answer that hangs holds up nobody else's."""

    def __init__(self, outbox: Outbox, sender_id: int, sender: Sender, channel: Channel) -> None:
        self._outbox, self._sender_id, self._sender, self._channel = outbox, sender_id, sender, channel
        self._under_way: dict[int, Claimed] = {}
        self._answers: list[tuple[Claimed, Outcome]] = []
        self._moved = asyncio.Event()
        self._slices: set[asyncio.Task[None]] = set()
        self._unanswered = self._answered = 0

    async def run(self, goes_on: Callable[[], bool]) -> int:
        """Claim while there is room, record beside it, and return the number of answers once nothing is under way."""
        recorder = asyncio.create_task(self._record())
        try:
            while goes_on() and not recorder.done():
                if self._unanswered >= max(2 * self._sender.in_flight, SIZES[-1]) or len(self._answers) > MOST_UNRECORDED:
                    await self._wait_for_answers()
                elif not await self._claim():
                    break
        finally:
            await asyncio.gather(*self._slices)
            self._slices.clear()
            await self._last_record(recorder)
        return self._answered

    async def _claim(self) -> bool:
        """Claim a slice and set it going; return whether to go on asking."""
        begun = asyncio.get_running_loop().time()
        taken = await asyncio.to_thread(_claim, self._outbox, self._sender_id, self._channel.fills_templates)
        if not taken.claimed:
            if taken.wait is not None:
                await asyncio.sleep(min(taken.wait, LONGEST_PAUSE).total_seconds())
            elif self._under_way:
                await self._wait_for_answers()  # a busy address may come free
            return taken.wait is not None or bool(self._under_way)
        self._under_way |= {item.message.delivery: item for item in taken.claimed}
        self._unanswered += len(taken.claimed)
        covered = self._outbox.settings.lease - self._outbox.settings.request_timeout
        sending = self._channel.send([item.message for item in taken.claimed], until=begun + covered.total_seconds(), answered=self._answer)
        task = asyncio.create_task(sending)
        self._slices.add(task)
        task.add_done_callback(self._slices.discard)
        return True

    def _answer(self, message: Message, outcome: Outcome) -> None:
        self._answers.append((self._under_way[message.delivery], outcome))
        self._unanswered -= 1
        if len(self._answers) >= BATCH:
            self._moved.set()

    async def _wait_for_answers(self) -> None:
        """Wait for a batch of answers, or a moment."""
        self._moved.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), MOMENT)

    async def _record(self) -> None:
        """Record batch after batch, until cancelled; an error here ends the stream, and what was claimed is settled later."""
        while True:
            if len(self._answers) < BATCH:
                await asyncio.sleep(MOMENT)
            await self._record_once()

    async def _record_once(self) -> None:
        answers, self._answers = self._answers, []
        if not answers:
            return
        await asyncio.to_thread(_record, self._outbox, self._sender_id, self._sender.provider, answers)
        for claimed, _outcome in answers:
            self._under_way.pop(claimed.message.delivery, None)
        self._answered += len(answers)
        self._moved.set()

    async def _last_record(self, recorder: asyncio.Task[None]) -> None:
        while self._under_way and not recorder.done():
            await asyncio.sleep(MOMENT / 5)
        if recorder.done():
            recorder.result()
        recorder.cancel()
        await asyncio.gather(recorder, return_exceptions=True)


def _claim(outbox: Outbox, sender_id: int, filed: bool) -> Slice:
    with outbox.database.write() as session:
        return claim(session, sender_id=sender_id, rules=outbox.rules, filed=filed)


def _record(outbox: Outbox, sender_id: int, provider: str, answers: list[Any]) -> None:
    with outbox.database.write() as session:
        record(session, sender_id=sender_id, provider=provider, answers=answers, patience=outbox.patience)


async def settle_unknown(outbox: Outbox, *, now: Callable[[], datetime]) -> int:
    """Ask each provider about the deliveries that nobody knows of, and settle those; return how many were asked about."""
    with outbox.database.read() as session:
        known = senders.ids(session, outbox.settings)
    asked = 0
    for sender_id, sender in known.items():
        asked += await _settle_sender(outbox, sender_id, sender, now)
    return asked


async def _settle_sender(outbox: Outbox, sender_id: int, sender: Sender, now: Callable[[], datetime]) -> int:
    """Ask about one sender's; where the provider drops copies, the answer is that to the same attempt sent once more."""
    channel = _open(outbox, sender_id, sender)
    try:
        with outbox.database.write() as session:
            asked = settle.questions(session, sender_id=sender_id, grace=outbox.grace, secrets=outbox.secrets, filed=channel.fills_templates)
        if not asked:
            return 0
        timeout = outbox.settings.request_timeout
        again = [question for question in asked if question.repeatable(channel.repeats(question.message), timeout)]
        repeated = await _repeat(channel, again, timeout)
        answers = await asyncio.gather(*(_ask(channel, question) for question in asked if question not in again))
    finally:
        await channel.close()
    with outbox.database.write() as session:
        record_again(session, sender_id=sender_id, provider=sender.provider, answers=repeated, patience=outbox.patience)
        settle.answer(session, provider=sender.provider, answers=answers, grace=outbox.grace, now=now())
    return len(asked)


async def _repeat(channel: Channel, questions: Sequence[Question], timeout: timedelta) -> list[tuple[Claimed, Outcome]]:
    """Send the same attempts once more; what would begin so late that its answer could come after `timeout` is left for the next time."""
    claims = {question.message.delivery: question.claimed for question in questions}
    outcomes: list[tuple[Claimed, Outcome]] = []
    if claims:
        until = asyncio.get_running_loop().time() + timeout.total_seconds()
        await channel.send(
            [claimed.message for claimed in claims.values()],
            until=until,
            answered=lambda message, outcome: outcomes.append((claims[message.delivery], outcome)),
        )
    return outcomes


async def _ask(channel: Channel, question: Question) -> Answer:
    if not (channel.can_look_up or question.review):
        return Answer(question, None)
    try:
        return Answer(question, await channel.look_up(question.message, since=question.claimed_at))
    except ProviderUnavailable:
        return Answer(question, None)


def _open(outbox: Outbox, sender_id: int, sender: Sender) -> Channel:
    """Open a sender's channel; what it asks leave for is counted in the sender's row."""

    def may_refresh() -> bool:
        with outbox.database.write() as session:
            return limits.allow_refresh(session, sender_id, now=database_now(session))

    return directory.open_channel(outbox.settings, sender, may_refresh=may_refresh)
