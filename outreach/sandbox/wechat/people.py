"""Who follows the account, who may still be answered, and who agreed to notices; kept beside the ledger, for people outlive a restart."""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from outreach.sandbox.wechat.world import World

OPENID = re.compile(r"[A-Za-z0-9_-]{1,64}")
AFTER_AN_ACT = (60.0, 3)
"""Seconds and number of customer-service messages after following, scanning or tapping a menu (the rule of 2021-06)."""


@dataclass(slots=True)
class Person:
    """One openid."""

    follows: bool = False
    since: int = 0
    scene: str = ""
    moved: int = 0
    open_until: float = 0.0
    left: int = 0
    agreed: Counter[str] = field(default_factory=Counter)
    blocks: bool = False
    masses: Counter[int] = field(default_factory=Counter)


class People:
    """Everyone whom the account ever met; `path` is where follows and leaves are written down."""

    def __init__(self, world: World, path: Path) -> None:
        self._world = world
        self._everyone: dict[str, Person] = {}
        self._followers: dict[str, None] = {}
        self.tags: dict[int, dict[str, None]] = {}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._read_back()

    def get(self, openid: str) -> Person:
        """Return the person, new if nobody heard of him."""
        return self._everyone.setdefault(openid, Person())

    def known(self, openid: str) -> Person | None:
        """Return the person, if anybody heard of him."""
        return self._everyone.get(openid)

    def follows(self, openid: str) -> bool:
        """Say whether `openid` follows now."""
        return openid in self._followers

    @property
    def following(self) -> int:
        """How many follow now."""
        return len(self._followers)

    def page(self, after: str, size: int) -> list[str]:
        """Return the next `size` followers after one of them, in the order in which they came."""
        everyone = iter(self._followers)
        if after:
            for openid in everyone:
                if openid == after:
                    break
        return list(islice(everyone, size))

    def followers(self, tag: int | None = None) -> list[str]:
        """Return all followers, or those with a tag."""
        return [openid for openid in self._followers if tag is None or openid in self.tags.get(tag, ())]

    def follow(self, openids: Iterable[str], *, scene: str = "", at: int | None = None) -> None:
        """Let people follow; who does already goes on as he did."""
        self._move([openid for openid in openids if openid not in self._followers], follows=True, scene=scene, at=at)

    def leave(self, openids: Iterable[str], *, at: int | None = None) -> None:
        """Let people leave."""
        self._move([openid for openid in openids if openid in self._followers], follows=False, scene="", at=at)

    def spoke(self, openid: str) -> None:
        """Open the window for answers after a text."""
        scenario, person = self._world.scenario, self.get(openid)
        person.open_until, person.left = self._world.now() + scenario.window_s, scenario.window_count

    def acted(self, openid: str) -> None:
        """Open the short window after following, scanning or tapping, unless a longer one is open."""
        person, until = self.get(openid), self._world.now() + AFTER_AN_ACT[0]
        if until > person.open_until:
            person.open_until, person.left = until, AFTER_AN_ACT[1]

    def clear(self) -> None:
        """Forget everyone."""
        self._everyone.clear()
        self._followers.clear()
        self.tags.clear()
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _move(self, openids: list[str], *, follows: bool, scene: str, at: int | None) -> None:
        moment = at or int(time.time())
        lines = []
        for openid in openids:
            entry = {"openid": openid, "follows": follows, "at": moment, "scene": scene}
            self._take(entry)
            lines.append(json.dumps(entry) + "\n")
        rest = memoryview("".join(lines).encode())
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _take(self, entry: dict[str, Any]) -> None:
        openid, person = entry["openid"], self.get(entry["openid"])
        person.follows, person.since = entry["follows"], entry["at"]
        person.scene = entry["scene"]
        if person.follows:
            self._followers[openid] = None
        else:
            self._followers.pop(openid, None)
            person.agreed.clear()

    def _read_back(self) -> None:
        """Take who followed in an earlier life; a torn last line was never answered and goes."""
        size = 0
        with open(self._file, "rb", closefd=False) as file:
            for line in file:
                if line.endswith(b"\n"):
                    self._take(json.loads(line))
                    size += len(line)
        os.ftruncate(self._file, size)
