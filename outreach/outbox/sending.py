"""Send what is due: claim a slice, hand it to its channel, record the answers. No transaction is open while the network is waited for."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from outreach.channels import directory
from outreach.channels.base import Channel, ProviderUnavailable
from outreach.database.engine import Database
from outreach.outbox import hours, senders, settle
from outreach.outbox.claim import Rules, Slice, claim
from outreach.outbox.record import Patience, record
from outreach.outbox.settle import Answer, Grace, Question
from outreach.settings import Sender, Settings

LANES = 2
"""Slices under way at once in one process: while one waits for the network, the other works on the database."""
LONGEST_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True)
class Outbox:
    """An office's outbox: what one process needs to send and to settle."""

    database: Database
    settings: Settings

    @property
    def rules(self) -> Rules:
        """What bounds every claim."""
        return Rules(self.settings.lease, self.settings.weekly_cap, partial(opens_at, self.settings))

    @property
    def grace(self) -> Grace:
        """When "not in the provider's list" may be believed."""
        chosen = self.settings
        return Grace(chosen.lease, chosen.request_timeout, chosen.settle_grace, chosen.settle == "person")

    @property
    def patience(self) -> Patience:
        """How long to wait after uncertain answers."""
        return Patience(self.settings.settle_grace / 2, self.settings.settle_grace)


def opens_at(settings: Settings, pace: Mapping[str, Any], now: datetime) -> datetime:
    """Return when a campaign of this pace may send, `now` if it may already; a rehearsal ignores all hours unless told otherwise."""
    if settings.ignore_hours:
        return now
    opens: datetime = hours.opens_at(now, quiet=settings.quiet_hours, hours=pace.get("hours"), days=pace.get("days") or "all")
    return opens


async def drain(outbox: Outbox, *, goes_on: Callable[[], bool] = lambda: True) -> int:
    """Send until nothing is due for any sender, or `goes_on` says no; return how many requests were answered or given up."""
    with outbox.database.read() as session:
        known = senders.ids(session, outbox.settings)
    counts = await asyncio.gather(*(_drain_sender(outbox, key, sender, goes_on) for key, sender in known.items()))
    return sum(counts)


async def _drain_sender(outbox: Outbox, sender_id: int, sender: Sender, goes_on: Callable[[], bool]) -> int:
    channel = directory.open_channel(outbox.settings, sender)
    try:
        lanes = (_lane(outbox, sender_id, sender, channel, goes_on) for _ in range(LANES))
        return sum(await asyncio.gather(*lanes))
    finally:
        await channel.close()


async def _lane(outbox: Outbox, sender_id: int, sender: Sender, channel: Channel, goes_on: Callable[[], bool]) -> int:
    loop, sent = asyncio.get_running_loop(), 0
    while goes_on():
        begun = loop.time()
        taken = await asyncio.to_thread(_claim, outbox, sender_id)
        if not taken.claimed:
            if taken.wait is None:
                break
            await asyncio.sleep(min(taken.wait, LONGEST_PAUSE).total_seconds())
            continue
        until = begun + (outbox.settings.lease - outbox.settings.request_timeout).total_seconds()
        outcomes = await channel.send([item.message for item in taken.claimed], until=until)
        answers = list(zip(taken.claimed, outcomes, strict=True))
        await asyncio.to_thread(_record, outbox, sender_id, sender.provider, answers)
        sent += len(answers)
    return sent


def _claim(outbox: Outbox, sender_id: int) -> Slice:
    with outbox.database.write() as session:
        return claim(session, sender_id=sender_id, rules=outbox.rules)


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
    with outbox.database.write() as session:
        asked = settle.questions(session, sender_id=sender_id, grace=outbox.grace)
    if not asked:
        return 0
    channel = directory.open_channel(outbox.settings, sender)
    try:
        answers = await asyncio.gather(*(_ask(channel, question) for question in asked))
    finally:
        await channel.close()
    with outbox.database.write() as session:
        settle.answer(session, provider=sender.provider, answers=answers, grace=outbox.grace, now=now())
    return len(asked)


async def _ask(channel: Channel, question: Question) -> Answer:
    if not channel.can_look_up:
        return Answer(question, None)
    try:
        return Answer(question, await channel.look_up(question.message, since=question.claimed_at))
    except ProviderUnavailable:
        return Answer(question, None)
