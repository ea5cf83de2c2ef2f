"""Which message meets which fault: drawn from a seed, the number and the text, so that the order of arrival changes nothing."""

import json
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from outreach.sandbox.wechat import scenario
from outreach.sandbox.wechat.scenario import Scenario, ScenarioMisread

REFUSALS = ("throttle", "error_json", "error_html")
"""The message is refused and not stored: the same message must get through when it is tried again."""

AFTER_ACCEPTANCE = ("drop_after_accept", "hang_after_accept", "truncate")
"""The message is stored and reported, but the sender does not hear of it."""

RECEIPTS = ("receipt_late", "receipt_twice", "receipt_reordered", "receipt_lost", "receipt_forged", "receipt_early", "undelivered")
"""The message is accepted and answered; what follows is out of the ordinary."""

FAULTS = REFUSALS + AFTER_ACCEPTANCE + RECEIPTS

AT_WECHAT = ("review", "review_blocked", "unfollowed", "blocked", "token_expired", "quota")
"""What only WeChat does: it reads a message first, or refuses it by a code of its own. Elsewhere these pass."""

TRIED_AGAIN = (*REFUSALS, "token_expired", "quota")
"""Of the mix these hit only the first tries of a message."""

KNOWN = FAULTS + AT_WECHAT
LATE_MS = 3000.0
LONGEST_MS = 3_600_000.0


class FaultsMisread(ValueError):
    """The configuration of faults cannot be understood."""


@dataclass(slots=True)
class Rule:
    """What happens to one number: the fault (None: spared by the mix), and how often; `times` None is always."""

    fault: str | None
    times: int | None


@dataclass(slots=True)
class Configuration:
    """What was posted: shares of the mix as upper bounds of [0, 1), rules by number, delays in seconds."""

    seed: int = 0
    mix: dict[str, float] = field(default_factory=dict)
    bounds: list[tuple[float, str]] = field(default_factory=list)
    times: int = 1
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    latency: float = 0.0
    list_lag: float = 0.0
    late: float = LATE_MS / 1000
    wechat: Scenario = field(default_factory=Scenario)
    wechat_mix: dict[str, float] | None = None
    wechat_bounds: list[tuple[float, str]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """Return the configuration in the shape in which it is posted."""
        rules = [{"to": to, "fault": rule.fault, "times": rule.times} for to, found in self.rules.items() for rule in found]
        at_wechat = self.wechat.shown() | ({} if self.wechat_mix is None else {"mix": self.wechat_mix})
        milliseconds = {"latency_ms": self.latency, "list_lag_ms": self.list_lag, "late_ms": self.late}
        return {
            "seed": self.seed,
            "mix": self.mix,
            "times": self.times,
            "rules": rules,
            **{key: round(seconds * 1000, 3) for key, seconds in milliseconds.items()},
            **({"wechat": at_wechat} if at_wechat else {}),
        }


class Faults:
    """Draws the fault of each message that would otherwise be accepted."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.configuration = Configuration(seed=seed)
        self.drawn: Counter[str] = Counter()
        self._refused: Counter[int] = Counter()

    def configure(self, text: bytes) -> None:
        """Replace the whole configuration by the JSON in `text`; raises FaultsMisread and changes nothing if it is wrong."""
        self.configuration = read(text, self._seed)
        self.drawn.clear()
        self._refused.clear()

    def clear(self) -> None:
        """Go back to a gateway without faults."""
        self.configuration = Configuration(seed=self._seed)
        self.drawn.clear()
        self._refused.clear()

    def draw(self, to: str, body: str, *, channel: str = "sms") -> str | None:
        """Return the fault that this try to send `body` to `to` meets, or None.

        A rule for the number goes first. Of the mix, a refusal hits only the first tries of a message (`times`, one unless posted):
        its further tries pass.
        """
        found = self.configuration
        bounds = found.wechat_bounds if channel == "wechat" else found.bounds
        if not bounds and not found.rules:
            return None
        fault, ruled = self._by_rule(to) if found.rules else (None, False)
        if not ruled:
            fault = self._by_mix(to, body, bounds)
        return self._met(fault, channel)

    def ruled(self, to: str, *, channel: str) -> str | None:
        """Return the fault that a rule has for `to`, or None: for what is no message of its own."""
        return self._met(self._by_rule(to)[0], channel)

    def point(self, to: str, body: str) -> int:
        """Return 64 bits that belong to this seed, number and text: what else must be chosen about the message is read from them."""
        return int.from_bytes(blake2b(f"{self.configuration.seed}\0{to}\0{body}".encode(), digest_size=8).digest(), "big")

    def _by_rule(self, to: str) -> tuple[str | None, bool]:
        for rule in self.configuration.rules.get(to, ()):
            if rule.times is None:
                return rule.fault, True
            if rule.times > 0:
                rule.times -= 1
                return rule.fault, True
        return None, False

    def _met(self, fault: str | None, channel: str) -> str | None:
        if fault is None or (channel != "wechat" and fault in AT_WECHAT):
            return None
        self.drawn[fault] += 1
        return fault

    def _by_mix(self, to: str, body: str, bounds: list[tuple[float, str]]) -> str | None:
        point = self.point(to, body)
        share = point / 2**64
        fault = next((fault for bound, fault in bounds if share < bound), None)
        if fault in TRIED_AGAIN:
            self._refused[point] += 1
            if self._refused[point] > self.configuration.times:
                return None
        return fault


def read(text: bytes, seed: int) -> Configuration:
    """Return the configuration in the JSON `text`; `seed` stands in where none is given. Raises FaultsMisread."""
    try:
        posted = json.loads(text)
    except ValueError as cause:
        raise FaultsMisread("faults must be one JSON object") from cause
    if not isinstance(posted, dict):
        raise FaultsMisread("faults must be one JSON object")
    known = {"seed", "mix", "times", "rules", "latency_ms", "list_lag_ms", "late_ms", "wechat"}
    if unknown := sorted(posted.keys() - known):
        raise FaultsMisread(f"unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    mix = _mix(posted.get("mix") or {})
    at_wechat, own_mix = _at_wechat(posted.get("wechat"))
    return Configuration(
        seed=_whole(posted, "seed", seed, lowest=None),
        mix=mix,
        bounds=_bounds(mix),
        times=_whole(posted, "times", 1, lowest=0),
        rules=_rules(posted.get("rules") or []),
        latency=_milliseconds(posted, "latency_ms", 0.0),
        list_lag=_milliseconds(posted, "list_lag_ms", 0.0),
        late=_milliseconds(posted, "late_ms", LATE_MS),
        wechat=at_wechat,
        wechat_mix=own_mix,
        wechat_bounds=_bounds(mix if own_mix is None else own_mix),
    )


def _at_wechat(posted: Any) -> tuple[Scenario, dict[str, float] | None]:
    """Return what the WeChat side is told, and its own mix if it has one."""
    try:
        told = scenario.read(posted)
    except ScenarioMisread as cause:
        raise FaultsMisread(str(cause)) from cause
    return told, _mix(posted["mix"]) if posted and "mix" in posted else None


def _mix(posted: Any) -> dict[str, float]:
    if not isinstance(posted, dict):
        raise FaultsMisread("mix must be an object of fault: share")
    for fault, share in posted.items():
        _known(fault)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise FaultsMisread(f"the share of {fault} must be a number from 0 to 1")
    if sum(posted.values()) > 1 + 1e-9:
        raise FaultsMisread(f"the shares of the mix add up to {sum(posted.values()):g}, more than 1")
    return {fault: float(share) for fault, share in posted.items()}


def _bounds(mix: dict[str, float]) -> list[tuple[float, str]]:
    """Return where each fault's share ends; by name, so that the order in which they were posted changes nothing."""
    bounds, end = [], 0.0
    for fault in KNOWN:
        if mix.get(fault):
            end += mix[fault]
            bounds.append((end, fault))
    return bounds


def _rules(posted: Any) -> dict[str, list[Rule]]:
    if not isinstance(posted, list):
        raise FaultsMisread('rules must be a list of {"to", "fault"}')
    rules: dict[str, list[Rule]] = {}
    for rule in posted:
        if not isinstance(rule, dict) or not isinstance(rule.get("to"), str) or not rule.keys() <= {"to", "fault", "times"} or "fault" not in rule:
            raise FaultsMisread('a rule must be {"to": number, "fault": name} and may say "times"')
        if rule["fault"] is not None:
            _known(rule["fault"])
        times = None if rule.get("times") is None else _whole(rule, "times", 1, lowest=0)
        rules.setdefault(rule["to"], []).append(Rule(rule["fault"], times))
    return rules


def _known(fault: Any) -> None:
    if fault not in KNOWN:
        raise FaultsMisread(f"unknown fault {fault!r}; known: {', '.join(KNOWN)}")


def _whole(posted: dict[str, Any], key: str, default: int, *, lowest: int | None) -> int:
    value = posted.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or (lowest is not None and value < lowest):
        raise FaultsMisread(f"{key} must be a whole number" + ("" if lowest is None else f", at least {lowest}"))
    return value


def _milliseconds(posted: dict[str, Any], key: str, default: float) -> float:
    value = posted.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_MS:
        raise FaultsMisread(f"{key} must be milliseconds, from 0 to {LONGEST_MS:.0f}")
    return value / 1000
