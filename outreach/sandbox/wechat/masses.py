"""Mass messages: to a list, to a tag or to all; sent once for each clientmsgid of a day, reported in totals."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import md5
from typing import Any

from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.envelopes import Tree
from outreach.sandbox.wechat.events import Events
from outreach.sandbox.wechat.people import People
from outreach.sandbox.wechat.quotas import day, month
from outreach.sandbox.wechat.world import World
from outreach.sandbox.wire import Request

REMEMBERED = 24 * 3600.0
LIST = range(2, 10_001)
KINDS = ("text", "mpnews", "image", "voice", "mpvideo", "wxcard")
LONGEST_ID = 64


@dataclass(slots=True)
class Job:
    """One mass message: who is to get it is settled when it was asked for, who did when it is done."""

    number: int
    at: float
    to_all: bool
    openids: Sequence[str] = ()
    status: str = "SENDING"
    outcome: str = "delivered"
    fault: str | None = None


class Masses:
    """Mass messages by their number."""

    def __init__(self, world: World, people: People, events: Events) -> None:
        self._world = world
        self._people = people
        self._events = events
        self._jobs: dict[int, Job] = {}
        self._by_client: dict[str, int] = {}
        for entry in world.ledger.entries():
            if entry["channel"] == "wechat" and entry["more"]["api"] == "mass":
                self._restore(entry)

    def send(self, request: Request, posted: dict[str, Any]) -> None:
        """Answer message/mass/send: to a list of openids."""
        openids = posted.get("touser")
        if not isinstance(openids, list) or len(openids) not in LIST or not all(isinstance(openid, str) for openid in openids):
            raise Declined(40032)
        digest = md5("\n".join(sorted(openids)).encode(), usedforsecurity=False).hexdigest()[:8]
        self._begin(request, posted, f"@list:{len(openids)}:{digest}", list(dict.fromkeys(openids)))

    def send_all(self, request: Request, posted: dict[str, Any]) -> None:
        """Answer message/mass/sendall: to a tag or to all."""
        asked = posted.get("filter")
        if not isinstance(asked, dict):
            raise Declined(47003, "filter invalid")
        if asked.get("is_to_all"):
            self._begin(request, posted, "@all", self._people.followers(), to_all=True)
        elif isinstance(asked.get("tag_id"), int):
            self._begin(request, posted, f"@tag:{asked['tag_id']}", self._people.followers(asked["tag_id"]))
        else:
            raise Declined(47003, "filter.tag_id invalid")

    def get(self, request: Request, posted: dict[str, Any]) -> None:
        """Answer message/mass/get."""
        job = self._job(posted)
        self._world.answer(request, {"msg_id": job.number, "msg_status": job.status})

    def delete(self, request: Request, posted: dict[str, Any]) -> None:
        """Answer message/mass/delete: gone from people's phones, not from the ledger."""
        self._job(posted).status = "DELETE"
        self._world.answer(request, {"errcode": 0, "errmsg": "ok"})

    def clear(self) -> None:
        """Forget every mass message."""
        self._jobs.clear()
        self._by_client.clear()

    def _job(self, posted: dict[str, Any]) -> Job:
        number = str(posted.get("msg_id", ""))
        job = self._jobs.get(int(number)) if number.isascii() and number.isdigit() else None
        if job is None:
            raise Declined(40059)
        return job

    def _begin(self, request: Request, posted: dict[str, Any], to: str, openids: Sequence[str], *, to_all: bool = False) -> None:
        body, client = _body(posted), posted.get("clientmsgid")
        key = str(client) if client else md5(f"{to}\n{body}".encode(), usedforsecurity=False).hexdigest()
        now = self._world.now()
        self._refuse_copy(key, now)
        if to_all:
            self._allow_all(now)
        fault = self._world.draw(to, body)
        outcome = {"undelivered": "undelivered", "receipt_lost": "silent"}.get(fault or "", "delivered")
        job = Job(self._world.number(), now, to_all, openids, outcome=outcome, fault=fault)
        self._jobs[job.number], self._by_client[key] = job, job.number
        more = {"api": "mass", "number": job.number, "key": key}
        attempt = str(client) if client else None
        then = partial(self._accepted, request, job, self._world.faults.point(to, body))
        self._world.write(reference=str(job.number), to=to, body=body, attempt=attempt, outcome=outcome, more=more, then=then)

    def _refuse_copy(self, key: str, now: float) -> None:
        if len(key) > LONGEST_ID:
            raise Declined(45067)
        known = self._by_client.get(key)
        if known is not None and now - self._jobs[known].at < REMEMBERED:
            self._world.ledger.flush()
            raise Declined(45065, msg_id=known)

    def _allow_all(self, now: float) -> None:
        """To all: once a day and four times a month."""
        earlier = [job.at for job in self._jobs.values() if job.to_all]
        month_full = sum(month(at) == month(now) for at in earlier) >= self._world.scenario.mass_month
        if month_full or any(day(at) == day(now) for at in earlier):
            raise Declined(45028)

    def _accepted(self, request: Request, job: Job, point: int) -> None:
        late = self._world.faults.configuration.late if job.fault == "receipt_late" else 0.0
        self._world.callbacks.pending += 1
        self._world.later(self._world.scenario.mass_s + late, partial(self._finish, job))
        answer = {"errcode": 0, "errmsg": "send job submission success", "msg_id": job.number, "msg_data_id": job.number % 2**31}
        self._world.answer(request, answer, job.fault, point)

    def _finish(self, job: Job) -> None:
        """Deliver, and report."""
        self._world.callbacks.pending -= 1
        counts = self._deliver(job)
        good = job.outcome != "undelivered"
        job.status = "SEND_SUCCESS" if good else "SEND_FAIL"
        if job.outcome == "silent":
            return
        head: Tree = {"MsgType": "event", "Event": "MASSSENDJOBFINISH", "MsgID": job.number}
        checked: Tree = {"CopyrightCheckResult": {"Count": 0, "ResultList": "", "CheckState": 0}}
        sender = self._world.account.name
        if job.fault == "receipt_forged":
            self._events.post_later(0.0, sender, {**head, "Status": "send fail", **counts, **checked}, forged=True)
        for _ in range(2 if job.fault == "receipt_twice" else 1):
            self._events.post_later(0.0, sender, {**head, "Status": "send success" if good else "send fail", **counts, **checked})

    def _deliver(self, job: Job) -> dict[str, int]:
        """Return the totals: of the followers meant, who had his four of the month is filtered, who blocks the account is an error."""
        now = month(self._world.now())
        meant = [self._people.get(openid) for openid in job.openids if self._people.follows(openid)]
        ready = [person for person in meant if person.masses[now] < self._world.scenario.mass_month]
        got = [person for person in ready if not person.blocks and job.outcome != "undelivered"]
        for person in got:
            person.masses[now] += 1
        return {"TotalCount": len(meant), "FilterCount": len(ready), "SentCount": len(got), "ErrorCount": len(ready) - len(got)}

    def _restore(self, entry: dict[str, Any]) -> None:
        """Take a mass message of an earlier life: it was sent."""
        more = entry["more"]
        status = "SEND_FAIL" if entry["outcome"] == "undelivered" else "SEND_SUCCESS"
        self._jobs[more["number"]] = Job(more["number"], more["created"], entry["to"] == "@all", status=status)
        self._by_client[more["key"]] = more["number"]


def _body(posted: dict[str, Any]) -> str:
    kind = posted.get("msgtype")
    content = posted.get(str(kind))
    if kind not in KINDS or not isinstance(content, dict):
        raise Declined(47003, "msgtype invalid")
    text = content.get("content")
    return text if kind == "text" and isinstance(text, str) else json.dumps(content, ensure_ascii=False, sort_keys=True)
