"""What the WeChat side is told to do: the object `wechat` in `POST /_sandbox/faults`."""

from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["plain", "safe", "compat"]

DAILY = {
    "token": 2_000,
    "stable_token": 500_000,
    "message/template/send": 100_000,
    "message/subscribe/bizsend": 100_000,
    "message/custom/send": 500_000,
    "message/mass/send": 100,
    "message/mass/sendall": 100,
    "qrcode/create": 100_000,
    "user/get": 500,
    "user/info": 5_000_000,
    "user/info/batchget": 5_000_000,
}
"""Calls a day of a new account: doc/service/Message_Management/API_Call_Limits, and of the stable token api_getstableaccesstoken."""

A_MINUTE = {"stable_token": 10_000, "message/mass/send": 60, "message/mass/sendall": 60}


class ScenarioMisread(ValueError):
    """What the WeChat side is told cannot be understood."""


@dataclass(slots=True)
class Scripted:
    """An answer laid down for the next calls of one api: a code, or `html`, `drop`, `hang`."""

    api: str
    errcode: int | str
    times: int | None


@dataclass(slots=True)
class Scenario:
    """Everything that may be told; times in seconds."""

    token_life_s: float = 7200.0
    token_jump: bool = False
    token_stuck: bool = False
    force_daily: int = 20
    force_gap_s: float = 30.0
    quota_day: dict[str, int] = field(default_factory=dict)
    per_minute: dict[str, int] = field(default_factory=dict)
    clock_s: float = 0.0
    review_s: float = 2.0
    review_msgid: bool = False
    duplicate_msgid: str = "same"
    duplicate_s: float = 600.0
    event_msgid: str = "same"
    encrypted: Mode = "plain"
    tries: int = 3
    deadline_s: float = 5.0
    mass_s: float = 0.2
    mass_month: int = 4
    window_s: float = 48 * 3600.0
    window_count: int = 20
    long_term: bool = False
    page: int = 10_000
    snapshot: bool = False
    templates: dict[str, list[str]] = field(default_factory=dict)
    errors: list[Scripted] = field(default_factory=list)

    def daily(self, api: str) -> int | None:
        """Return how many calls of `api` a day allows; None: any number."""
        return self.quota_day.get(api, DAILY.get(api))

    def a_minute(self, api: str) -> int | None:
        """Return how many calls of `api` a minute allows; None: any number."""
        return self.per_minute.get(api, A_MINUTE.get(api))

    def shown(self) -> dict[str, Any]:
        """Return what differs from the usual, in the shape in which it is posted."""
        usual, found = Scenario(), {}
        for name in self.__slots__:
            value = getattr(self, name)
            if value != getattr(usual, name):
                found[name] = [{"api": one.api, "errcode": one.errcode, "times": one.times} for one in value] if name == "errors" else value
        return found


def read(posted: Any) -> Scenario:
    """Return the scenario in what was posted; raises ScenarioMisread. A mix beside it is read by `faults`."""
    if posted is None:
        return Scenario()
    if not isinstance(posted, dict):
        raise ScenarioMisread("wechat must be an object")
    known = set(Scenario.__slots__) | {"mix"}
    if unknown := sorted(posted.keys() - known):
        raise ScenarioMisread(f"unknown key wechat.{unknown[0]}; known: {', '.join(sorted(known))}")
    scenario = Scenario()
    for key, value in posted.items():
        if key != "mix":
            setattr(scenario, key, _read(key, value, getattr(scenario, key)))
    return scenario


def _read(key: str, value: Any, usual: Any) -> Any:
    if key == "encrypted":
        return mode(value)
    if key in ("duplicate_msgid", "event_msgid"):
        return _one_of(key, value, ("same", "zero"))
    if key == "quota_day" and isinstance(value, int) and not isinstance(value, bool):
        value = {"message/template/send": value}
    if key in ("quota_day", "per_minute"):
        return _counts(key, value)
    if key == "templates":
        return _templates(value)
    if key == "errors":
        return _errors(value)
    if isinstance(usual, bool):
        if not isinstance(value, bool):
            raise ScenarioMisread(f"wechat.{key} must be true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or (value < 0 and key != "clock_s"):
        raise ScenarioMisread(f"wechat.{key} must be a number, at least 0")
    if isinstance(usual, int) and value != int(value):
        raise ScenarioMisread(f"wechat.{key} must be a whole number")
    return type(usual)(value)


def mode(value: Any) -> Mode:
    """Return the mode of callbacks that `value` names: true is safe mode, false plain. Raises ScenarioMisread."""
    if isinstance(value, bool):
        return "safe" if value else "plain"
    if value == "plain" or value == "safe" or value == "compat":
        return value  # type: ignore[no-any-return]  # compared with each of the three just now
    raise ScenarioMisread("encrypted must be true, false, plain, safe or compat")


def _one_of(key: str, value: Any, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise ScenarioMisread(f"wechat.{key} must be {' or '.join(known)}")
    return value


def _counts(key: str, value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or any(isinstance(count, bool) or not isinstance(count, int) or count < 0 for count in value.values()):
        raise ScenarioMisread(f"wechat.{key} must be an object of api: number")
    return value


def _templates(value: Any) -> dict[str, list[str]]:
    if not isinstance(value, dict) or not all(isinstance(keys, list) and all(isinstance(name, str) for name in keys) for keys in value.values()):
        raise ScenarioMisread("wechat.templates must be an object of template id: list of field names")
    return value


def _errors(value: Any) -> list[Scripted]:
    if not isinstance(value, list):
        raise ScenarioMisread('wechat.errors must be a list of {"api", "errcode"}')
    found = []
    for one in value:
        if not isinstance(one, dict) or not one.keys() <= {"api", "errcode", "times"} or not isinstance(one.get("api"), str):
            raise ScenarioMisread('an error must be {"api", "errcode"} and may say "times"')
        code, times = one.get("errcode"), one.get("times", 1)
        if isinstance(code, bool) or not (isinstance(code, int) or code in ("html", "drop", "hang")):
            raise ScenarioMisread("errcode must be a whole number, html, drop or hang")
        if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 0):
            raise ScenarioMisread("times must be a whole number, at least 0, or null")
        found.append(Scripted(one["api"], code, times))
    return found
