"""What the office asks of the account: followers, one person, QR codes with a scene, tags."""

import secrets
from typing import Any
from urllib.parse import unquote

from outreach.sandbox.wechat.codes import Declined
from outreach.sandbox.wechat.people import People
from outreach.sandbox.wechat.world import World

USUAL_LIFE = 60
LONGEST_LIFE = 2_592_000
SCENES = {"QR_SCENE": "scene_id", "QR_STR_SCENE": "scene_str", "QR_LIMIT_SCENE": "scene_id", "QR_LIMIT_STR_SCENE": "scene_str"}


class Queries:
    """Answers of the account to questions of the office."""

    def __init__(self, world: World, people: People) -> None:
        self._world = world
        self._people = people
        self._tickets: dict[str, tuple[str, float | None]] = {}

    def followers(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer user/get: a page of openids after `next_openid`."""
        after = str(asked.get("next_openid") or "")
        if after and not self._people.follows(after):
            raise Declined(40003)
        page = self._people.page(after, self._world.scenario.page)
        found: dict[str, Any] = {"total": self._people.following, "count": len(page)}
        if page:
            found["data"] = {"openid": page}
        return {**found, "next_openid": page[-1] if page else ""}

    def person(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer user/info."""
        openid = str(asked.get("openid") or "")
        if not openid:
            raise Declined(40003)
        return self._shown(openid)

    def persons(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer user/info/batchget: at most a hundred."""
        asked_for = asked.get("user_list")
        if not isinstance(asked_for, list) or not 1 <= len(asked_for) <= 100 or not all(isinstance(one, dict) and one.get("openid") for one in asked_for):
            raise Declined(40032)
        return {"user_info_list": [self._shown(str(one["openid"])) for one in asked_for]}

    def tags(self, _: dict[str, Any]) -> dict[str, Any]:
        """Answer tags/get."""
        return {"tags": [{"id": tag, "name": f"标签{tag}", "count": len(self._people.followers(tag))} for tag in sorted(self._people.tags)]}

    def make_qr(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer qrcode/create."""
        action, info = asked.get("action_name"), asked.get("action_info")
        scene = info.get("scene") if isinstance(info, dict) else None
        key = SCENES.get(str(action))
        value = scene.get(key) if isinstance(scene, dict) and key else None
        if value is None or not 1 <= len(str(value)) <= 64 or (key == "scene_id" and not isinstance(value, int)):
            raise Declined(40053)
        seconds = asked.get("expire_seconds") or USUAL_LIFE
        if not isinstance(seconds, int) or seconds < 1:
            raise Declined(47001)
        life = None if str(action).startswith("QR_LIMIT") else min(seconds, LONGEST_LIFE)
        ticket = "gQ" + secrets.token_urlsafe(68) + "=="
        self._tickets[ticket] = (str(value), None if life is None else self._world.now() + life)
        url = "http://weixin.qq.com/q/" + secrets.token_urlsafe(15)
        self._tickets[url] = self._tickets[ticket]
        return {"ticket": ticket, **({} if life is None else {"expire_seconds": life}), "url": url}

    def scene_of(self, qr: str) -> str | None:
        """Return the scene of a QR code by its ticket or its url; None if there is none or it has expired."""
        scene, end = self._tickets.get(qr) or self._tickets.get(unquote(qr)) or (None, None)
        return scene if end is None or end > self._world.now() else None

    def clear(self) -> None:
        """Forget the QR codes."""
        self._tickets.clear()

    def _shown(self, openid: str) -> dict[str, Any]:
        person = self._people.known(openid)
        if person is None or not person.follows:
            return {"subscribe": 0, "openid": openid, "tagid_list": []}
        return {
            "subscribe": 1,
            "openid": openid,
            "nickname": "",
            "sex": 0,
            "language": "zh_CN",
            "city": "",
            "province": "",
            "country": "",
            "headimgurl": "",
            "subscribe_time": person.since,
            "remark": "",
            "groupid": 0,
            "tagid_list": [tag for tag, members in self._people.tags.items() if openid in members],
            "subscribe_scene": "ADD_SCENE_QR_CODE" if person.scene else "ADD_SCENE_SEARCH",
            "qr_scene": 0,
            "qr_scene_str": person.scene,
        }
