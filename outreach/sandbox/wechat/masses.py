"""Mass messages: to a list, to a tag or to all; sent once for each clientmsgid of a day, reported in totals."""

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import md5
from typing import Any

from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.envelopes import Tree
from outreach.sandbox.wechat.events import Events
from outreach.sandbox.wechat.people import People
from outreach.sandbox.wechat.world import World
from outreach.sandbox.wire import Request

REMEMBERED = 24 * 3600.0
LIST = range(2, 10_001)
KINDS = ("text", "mpnews", "image", "voice", "mpvideo", "wxcard")


class Masses:
    """Mass messages by their number."""

    def __init__(self, world: World, people: People, events: Events) -> None:
        self._world = world
        self._people = people
        self._events = events
        self._jobs: dict[int, dict[str, Any]] = {}
        self._by_client: dict[str, int] = {}
        for entry in world.ledger.entries():
            if entry["channel"] == "wechat" and entry["more"].get("api") == "mass":
                self._note(entry["more"]["number"], entry["attempt"], entry["more"]["created"], "SEND_SUCCESS", to_all=entry["to"] == "@all")

    def send(self, request: Request, posted: dict[str, Any]) -> None:
        """Answer message/mass/send: to a list of openids."""
        openids = posted.get("touser")
        if not isinstance(openids, list) or len(openids) not in LIST or not all(isinstance(openid, str) for openid in openids):
            raise Declined(40032)
        digest = md5("\n".join(sorted(openids)).encode(), usedforsecurity=False).hexdigest()[:8]
        self._begin(request, posted, f"@list:{len(openids)}:{digest}", openids, to_all=False)

    def send_all(self, request: Request, posted: dict[str, Any]) -> None:
        """Answer message/mass/sendall: to a tag or to all."""
        asked = posted.get("filter")
        if not isinstance(asked, dict):
            raise Declined(47003, "filter invalid")
        if asked.get("is_to_all"):
            self._begin(request, posted, "@all", self._people.followers(), to_all=True)
        elif isinstance(asked.get("tag_id"), int):
            self._begin(request, posted, f"@tag:{asked['tag_id']}", self._people.followers(asked["tag_id"]), to_all=False)
        else:
            raise Declined(47003, "filter.tag_id invalid")

    def get(self, request: Request, posted: dict[str, Any]) -> None:
        """Answer message/mass/get."""
        number = str(posted.get("msg_id", ""))
        job = self._jobs.get(int(number)) if number.isdigit() else None
        if job is None:
            raise Declined(40059)
        self._world.answer(request, {"msg_id": int(number), "msg_status": job["status"]})

    def delete(self, request: Request, posted: dict[str, Any]) -> None:
        """Answer message/mass/delete: gone from people's phones, not from the ledger."""
        job = self._jobs.get(posted.get("msg_id", 0))
        if job is None:
            raise Declined(40059)
        job["status"] = "DELETE"
        self._world.answer(request, {"errcode": 0, "errmsg": "ok"})

    def clear(self) -> None:
        """Forget every mass message."""
        self._jobs.clear()
        self._by_client.clear()

    def _begin(self, request: Request, posted: dict[str, Any], to: str, openids: Sequence[str], *, to_all: bool) -> None:
        kind = posted.get("msgtype")
        content = posted.get(str(kind))
        if kind not in KINDS or not isinstance(content, dict):
            raise Declined(47003, "msgtype invalid")
        body = content["content"] if kind == "text" and isinstance(content.get("content"), str) else json.dumps(content, ensure_ascii=False, sort_keys=True)
        client = posted.get("clientmsgid")
        key = str(client) if client else md5(f"{to}\n{body}".encode(), usedforsecurity=False).hexdigest()
        if len(key) > 64:
            raise Declined(45067)
        now = self._world.now()
        known = self._by_client.get(key)
        if known is not None and now - self._jobs[known]["at"] < REMEMBERED:
            self._world.ledger.flush()
            raise Declined(45065, msg_id=known)
        if to_all:
            self._allow_all(now)
        fault = self._world.draw(to, body)
        number, point = self._world.number(), self._world.faults.point(to, body) if fault else 0
        self._note(number, key, now, "SENDING", to_all=to_all)
        outcome = {"undelivered": "undelivered", "receipt_lost": "silent"}.get(fault or "", "delivered")
        then = partial(self._accepted, request, number, openids, outcome, fault, point)
        self._world.write(
            reference=str(number), to=to, body=body, attempt=str(client) if client else None, outcome=outcome, more={"api": "mass", "number": number}, then=then
        )

    def _allow_all(self, now: float) -> None:
        """To all: once a day and four times a month."""
        earlier = [job["at"] for job in self._jobs.values() if job["to_all"]]
        today = [at for at in earlier if _day(at) == _day(now)]
        month = [at for at in earlier if _month(at) == _month(now)]
        if today or len(month) >= self._world.scenario.mass_month:
            raise Declined(45028)

    def _accepted(self, request: Request, number: int, openids: Sequence[str], outcome: str, fault: str | None, point: int) -> None:
        answer = {"errcode": 0, "errmsg": "send job submission success", "msg_id": number, "msg_data_id": number % 2**31}
        finish: Callable[[], None] = partial(self._finish, number, openids, outcome, fault)
        self._world.callbacks.pending += 1
        late = self._world.faults.configuration.late if fault == "receipt_late" else 0.0
        self._world.later(self._world.scenario.mass_s + late, finish)
        self._world.answer(request, answer, fault, point)

    def _finish(self, number: int, openids: Sequence[str], outcome: str, fault: str | None) -> None:
        """Deliver, and report the totals: who left or had his four of the month is filtered."""
        self._world.callbacks.pending -= 1
        job = self._jobs.get(number)
        if job is None:
            return
        month, failed = _month(self._world.now()), outcome == "undelivered"
        good = [openid for openid in openids if self._people.follows(openid) and self._people.get(openid).masses[month] < self._world.scenario.mass_month]
        errors = 0
        for openid in good if not failed else ():
            person = self._people.get(openid)
            person.masses[month] += 1
            errors += person.blocks
        job["status"] = "SEND_FAIL" if failed else "SEND_SUCCESS"
        counts = {
            "TotalCount": len(openids),
            "FilterCount": len(good),
            "SentCount": 0 if failed else len(good) - errors,
            "ErrorCount": len(good) if failed else errors,
        }
        status = "send fail" if failed else "send success"
        tree: Tree = {
            "MsgType": "event",
            "Event": "MASSSENDJOBFINISH",
            "MsgID": number,
            "Status": status,
            **counts,
            "CopyrightCheckResult": {"Count": 0, "ResultList": "", "CheckState": 0},
        }
        if outcome == "silent":
            return
        sender = self._world.account.name
        if fault == "receipt_forged":
            self._events.post_later(0.0, sender, {**tree, "Status": "send fail"}, forged=True)
        for _ in range(2 if fault == "receipt_twice" else 1):
            self._events.post_later(0.0, sender, tree)

    def _note(self, number: int, client: str | None, at: float, status: str, *, to_all: bool) -> None:
        self._jobs[number] = {"at": at, "status": status, "to_all": to_all}
        if client:
            self._by_client[client] = number


def _day(at: float) -> int:
    return int((at + 8 * 3600) // 86400)


def _month(at: float) -> int:
    there = time.gmtime(at + 8 * 3600)
    return there.tm_year * 12 + there.tm_mon
