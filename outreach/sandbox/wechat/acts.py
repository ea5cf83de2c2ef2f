"""What a person does on his phone: follow, scan, type, agree to notices, leave; the office hears of it as from the provider."""

import re
import time
from typing import Any

from outreach.sandbox.callbacks import Address
from outreach.sandbox.wechat.envelopes import Tree
from outreach.sandbox.wechat.events import Events
from outreach.sandbox.wechat.people import OPENID, People
from outreach.sandbox.wechat.queries import Queries
from outreach.sandbox.wechat.scenario import Mode, ScenarioMisread, mode
from outreach.sandbox.wechat.world import World

EVENTS = ("text", "subscribe", "unsubscribe", "SCAN", "CLICK", "subscribe_msg_popup_event", "subscribe_msg_change_event")
KNOWN = {"channel", "openid", "event", "body", "scene", "qr", "choices", "url", "encrypted", "repeat", "forged", "lost", "created"}
MOST_REPEATS = 10
_TAG = re.compile("[0-9]{1,9}")


class ActMisread(ValueError):
    """What a person is to do cannot be understood."""


class Acts:
    """Does what `POST /_sandbox/reply` with channel wechat says."""

    def __init__(self, world: World, people: People, events: Events, queries: Queries) -> None:
        self._world = world
        self._people = people
        self._events = events
        self._queries = queries

    def do(self, posted: dict[str, Any]) -> str:
        """Do it, and return the reference by which the provider would repeat it; raises ActMisread."""
        if unknown := sorted(posted.keys() - KNOWN):
            raise ActMisread(f"unknown key {unknown[0]!r}; known: {', '.join(sorted(KNOWN))}")
        openid, event = posted.get("openid"), posted.get("event", "text")
        if not isinstance(openid, str) or not OPENID.fullmatch(openid):
            raise ActMisread('a person needs "openid": up to 64 letters, digits, - and _')
        event = next((known for known in EVENTS if known.lower() == str(event).lower()), None)
        if event is None:
            raise ActMisread(f"unknown event {posted.get('event')!r}; known: {', '.join(EVENTS)}")
        url, encrypted, repeat, created = self._how(posted)
        scene = self._scene(posted, event)
        if event == "text":
            reference, tree = self._text(openid, posted.get("body"))
            created = created or int(time.time())
        else:
            created = self._moment(openid, created)
            tree = self._event(openid, event, scene, posted, created)
            reference = f"{openid}:{created}:{event}"
        if not posted.get("lost"):
            self._world.callbacks.pending += 1 + repeat
            for _ in range(1 + repeat):
                self._events.tell(openid, tree, created=created, reference=reference, url=url, encrypted=encrypted, forged=bool(posted.get("forged")))
        return reference

    def arrange(self, posted: dict[str, Any]) -> None:
        """Let people follow, leave, block the account or bear a tag, without a word to the office; raises ActMisread and changes nothing."""
        tags = posted.get("tags", {})
        known = posted.keys() <= {"follow", "leave", "block", "tags"} and isinstance(tags, dict) and all(_TAG.fullmatch(tag) for tag in tags)
        if not known or not all(_are_openids(found) for found in (*tags.values(), *(posted[key] for key in posted if key != "tags"))):
            raise ActMisread('the WeChat side takes {"follow", "leave", "block": [openid], "tags": {tag: [openid]}}, or {"verify": url}')
        self._people.follow(posted.get("follow", ()))
        self._people.leave(posted.get("leave", ()))
        for openid in posted.get("block", ()):
            self._people.get(openid).blocks = True
        self._people.tags.update({int(tag): dict.fromkeys(openids) for tag, openids in tags.items()})

    def _how(self, posted: dict[str, Any]) -> tuple[str | None, Mode | None, int, int | None]:
        url, repeat, created = posted.get("url"), posted.get("repeat", 0), posted.get("created")
        try:
            if url is not None:
                Address.parse(str(url))
            encrypted = mode(posted["encrypted"]) if "encrypted" in posted else None
        except ScenarioMisread as cause:
            raise ActMisread(str(cause)) from cause
        except ValueError as cause:
            raise ActMisread(f"{url!r} is no http address") from cause
        if isinstance(repeat, bool) or not isinstance(repeat, int) or not 0 <= repeat <= MOST_REPEATS:
            raise ActMisread(f"repeat must be a whole number from 0 to {MOST_REPEATS}")
        if created is not None and (isinstance(created, bool) or not isinstance(created, int) or created < 1):
            raise ActMisread("created must be seconds of the epoch")
        return None if url is None else str(url), encrypted, repeat, created

    def _scene(self, posted: dict[str, Any], event: str) -> str:
        if "qr" in posted:
            scene = self._queries.scene_of(str(posted["qr"]))
            if scene is None:
                raise ActMisread("there is no such QR code, or it has expired")
            return scene
        scene = str(posted.get("scene") or "")
        if event == "SCAN" and not scene:
            raise ActMisread('a scan needs a "scene", or the "qr" that was made')
        return scene

    def _moment(self, openid: str, created: int | None) -> int:
        """Return the second of an act: each of one person has its own, for the provider tells his acts apart by it."""
        person = self._people.get(openid)
        moment = created or max(int(time.time()), person.moved + 1)
        person.moved = max(moment, person.moved)
        return moment

    def _text(self, openid: str, body: Any) -> tuple[str, Tree]:
        if not isinstance(body, str) or not body:
            raise ActMisread('a text needs "body" as text')
        self._people.spoke(openid)
        number = self._world.number()
        return str(number), {"MsgType": "text", "Content": body, "MsgId": number}

    def _event(self, openid: str, event: str, scene: str, posted: dict[str, Any], created: int) -> Tree:
        if event in ("subscribe_msg_popup_event", "subscribe_msg_change_event"):
            return self._agree(openid, event, posted.get("choices"))
        if event == "CLICK":
            self._people.acted(openid)
            return {"MsgType": "event", "Event": event, "EventKey": str(posted.get("body") or "")}
        if event == "unsubscribe":
            self._people.leave([openid], at=created)
            return {"MsgType": "event", "Event": event, "EventKey": ""}
        follows = self._people.follows(openid)
        self._people.follow([openid], scene=scene, at=created)
        self._people.acted(openid)
        ticket: Tree = {"Ticket": f"ticket-{scene}"} if scene else {}
        if event == "SCAN" and follows:
            return {"MsgType": "event", "Event": "SCAN", "EventKey": scene, **ticket}
        return {"MsgType": "event", "Event": "subscribe", "EventKey": f"qrscene_{scene}" if scene else "", **ticket}

    def _agree(self, openid: str, event: str, choices: Any) -> Tree:
        """Take or refuse notices; the pop-up may take several at once."""
        if not isinstance(choices, dict) or not choices or not all(choice in ("accept", "reject") for choice in choices.values()):
            raise ActMisread('notices need "choices": {template id: "accept" or "reject"}')
        agreed = self._people.get(openid).agreed
        rows: list[Tree] = []
        for template, choice in choices.items():
            agreed[template] = agreed[template] + 1 if choice == "accept" else 0
            rows.append({"TemplateId": template, "SubscribeStatusString": choice, **({"PopupScene": 2} if "popup" in event else {})})
        name = "SubscribeMsgPopupEvent" if "popup" in event else "SubscribeMsgChangeEvent"
        return {"MsgType": "event", "Event": event, name: {"List": rows}}


def _are_openids(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(openid, str) and OPENID.fullmatch(openid) for openid in found)
