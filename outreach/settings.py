"""Every setting, read once: what the office wrote in outreach.toml, the environment, and the defaults of the mode.

Precedence: an option of the command, then `OUTREACH_<KEY>`, then `outreach.toml`, then the default. A secret may stand in
`OUTREACH_<KEY>_FILE` or in `secrets/<key>` below the home instead.
"""

import os
import tomllib
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from outreach import reasons
from outreach.errors import Misconfigured, OutreachError
from outreach.reasons import Reason

PREFIX = "OUTREACH_"
SECRETS = (
    "office_key",
    "twilio_auth_token",
    "wechat_secret",
    "wechat_token",
    "wechat_aes_key",
    "aliyun_access_key_secret",
    "aliyun_hook_word",
    "seal_key",
    "seal_key_password",
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class SettingsFileBroken(Misconfigured):
    """The settings file {path} cannot be read as TOML: {why}. Mend that, or move the file away and run: outreach init"""


class SettingWrong(Misconfigured):
    """The setting {key} is wrong: {why}. It comes from {origin}."""


class SecretUnreadable(Misconfigured):
    """The secret in {path} cannot be read: {why}."""


class NoSuchSetting(Reason):
    """there is no such setting"""


class NearlySuchSetting(Reason):
    """there is no such setting; the nearest is {nearest}"""


class NoDuration(Reason):
    """{text} is not a duration such as 15s, 2m, 72h or 3d"""


class LessThanNothing(Reason):
    """{text} is less than nothing"""


class NotLongEnough(Reason):
    """it must be longer than lease, request_timeout and settle_grace together ({shortest})"""


class FromVariable(Reason):
    """the environment variable {name}"""


class FromCommandLine(Reason):
    """the command line"""


class FromDefaults(Reason):
    """the defaults"""


def duration(value: Any) -> timedelta:
    """Read a duration as people write it: `15s`, `2m`, `72h`, `3d`; raise ValueError else."""
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = _UNITS.get(text[len(number) :])
    try:
        if unit is None:
            raise ValueError(text)
        span = timedelta(**{unit: float(number)})
    except (ValueError, OverflowError) as error:
        raise NoDuration(text=repr(text)) from error
    if span < timedelta(0):
        raise LessThanNothing(text=repr(text))
    return span


def seconds(span: timedelta) -> str:
    """Write a duration so that `duration` reads it back."""
    return f"{span.total_seconds():g}s"


Duration = Annotated[timedelta, BeforeValidator(duration), PlainSerializer(seconds)]


class Sender(BaseModel):
    """Who a channel's messages go out as: one table `[[sender]]`, with the provider's limits and price."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    name: str = "sms"
    channel: Literal["sms", "wechat"] = "sms"
    provider: str = "twilio"
    from_: str = Field(default="", alias="from")
    messaging_service: str = ""
    prefixes: tuple[str, ...] = ("+86",)
    links: Literal["forbidden", "allowed"] = "forbidden"
    per_second: float = Field(default=-1, ge=-1)
    daily: int = Field(default=0, ge=0)
    in_flight: int = Field(default=64, ge=1, le=2000)
    price: Decimal = Decimal("0.05")
    currency: str = "CNY"


class Settings(BaseModel):
    """What the office decided. Missing values are filled by the mode: seconds in rehearsal, a provider's pace in production."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    home: Path = Path()
    mode: Literal["rehearsal", "production"] = "rehearsal"
    lang: Literal["zh", "en"] = "zh"
    database_url: str = ""
    broker_url: str = "memory://"

    office_name: str = "示例市人力资源和社会保障局"
    office_place: str = "示例市"
    sms_signature: str = "示例人社"
    hotline: str = "12333"
    wechat_name: str = "示例人社"
    office_key: str = ""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    public_url: str = "http://127.0.0.1:8000"
    proxies: str = ""
    """Addresses of reverse proxies before this server, whose X-Forwarded-For is believed; separated by blanks."""
    sandbox_url: str = "http://127.0.0.1:8099"

    twilio_base_url: str = ""
    twilio_account_sid: str = ""
    twilio_auth_token: str = ""
    wechat_base_url: str = ""
    wechat_app_id: str = ""
    wechat_secret: str = ""
    wechat_token: str = ""
    wechat_aes_key: str = ""
    wechat_oauth_url: str = ""
    """Where a phone's WeChat says whose it is (open.weixin.qq.com)."""
    wechat_oauth: bool = False
    """Whether the pledge page offers to bind the reader's WeChat: only a verified service account may."""
    wechat_window: Duration = timedelta(hours=48)
    """How long after his last word a person may be answered by a customer-service message."""

    aliyun_base_url: str = ""
    aliyun_access_key_id: str = ""
    aliyun_access_key_secret: str = ""
    aliyun_hook_word: str = ""
    """A secret word in the address of its callbacks, which bear no signature."""

    seal_certificate: str = "seal.pem"
    seal_key: str = ""
    seal_key_password: str = ""
    seal_timestamp_url: str = ""

    request_timeout: Duration = timedelta(0)
    lease: Duration = timedelta(0)
    settle_grace: Duration = timedelta(0)
    settle: Literal["auto", "person"] = "auto"
    patience_sms: Duration = timedelta(hours=72)
    patience_wechat: Duration = timedelta(hours=24)
    receipt_wait: Duration = timedelta(0)
    canary_failures: float = Field(default=0.2, ge=0, le=1)
    quiet_hours: str = "21:00-08:00"
    ignore_hours: bool | None = None
    weekly_cap: int = Field(default=-1, ge=-1)
    alternates: int = Field(default=1, ge=0, le=3)
    letter_price: Decimal = Field(default=Decimal(0), ge=0)
    """What one letter costs, printed and posted: for the plan's estimate."""
    max_cells: int = Field(default=2_000_000, ge=1000)
    sender: tuple[Sender, ...] = (Sender(),)

    @property
    def rehearsal(self) -> bool:
        """Whether nothing leaves this machine."""
        return self.mode == "rehearsal"

    @cached_property
    def template_folders(self) -> tuple[Path, ...]:
        """Where templates are looked for: the office's own folder first, then those that ship with the product."""
        return (self.home / "templates", shipped("templates"))

    @cached_property
    def mapping_folders(self) -> tuple[Path, ...]:
        """Where column mappings are looked for, in the same order."""
        return (self.home / "contacts" / "mappings", shipped("contacts") / "mappings")


def shipped(folder: str) -> Path:
    """Return a content folder of the product: inside the wheel, else at the top of the checkout."""
    inside = Path(__file__).parent / "_content" / folder
    return inside if inside.is_dir() else Path(__file__).parent.parent / folder


def load(home: str | Path | None = None, **options: Any) -> Settings:
    """Read the settings of the office whose folder is `home` (else `OUTREACH_HOME`, else the current folder).

    Raises SettingsFileBroken and SettingWrong, each with the place to mend.
    """
    folder = home_of(home)
    origins: dict[str, str | OutreachError] = {}
    values: dict[str, Any] = {}
    for origin, layer in (
        (str(folder / "outreach.toml"), _from_file(folder / "outreach.toml")),
        (str(folder / "secrets"), _from_secrets(folder)),
        (None, _from_environment()),
        (FromCommandLine(), {key: value for key, value in options.items() if value is not None}),
    ):
        values |= layer
        origins |= {key: origin or FromVariable(name=PREFIX + key.upper()) for key in layer}
    try:
        plain = Settings(**{**values, "home": folder})
    except ValidationError as error:
        raise _wrong(error, origins) from error
    return _checked(_with_defaults_of_mode(plain))


def _wrong(error: ValidationError, origins: dict[str, str | OutreachError]) -> SettingWrong:
    """Say the first of the faults that pydantic found."""
    first = error.errors(include_url=False)[0]
    places = [str(part + 1) if isinstance(part, int) else part for part in first["loc"]]
    why: Reason = reasons.of_value(first)
    if first["type"] == "extra_forbidden":
        known = (Sender if len(places) > 1 else Settings).model_fields
        nearest = get_close_matches(places[-1], [field.alias or name for name, field in known.items()], n=1)
        why = NearlySuchSetting(nearest=nearest[0]) if nearest else NoSuchSetting()
    return SettingWrong(key=".".join(places), why=why, origin=origins.get(places[0], FromDefaults()))


def home_of(home: str | Path | None = None) -> Path:
    """Return the office's folder: the one that is given, else `OUTREACH_HOME`, else the current one."""
    return Path(home or os.environ.get(PREFIX + "HOME") or ".").resolve()


def lang_from_environment() -> str:
    """Return the language of `OUTREACH_LANG`, Chinese without one: for when the settings themselves cannot be read."""
    return "en" if os.environ.get(PREFIX + "LANG") == "en" else "zh"


def staff_from_environment() -> tuple[str | None, Path | None]:
    """Return the account and the password file of an unattended run, where `OUTREACH_STAFF…` name them."""
    file = os.environ.get(PREFIX + "STAFF_PASSWORD_FILE")
    return os.environ.get(PREFIX + "STAFF"), Path(file) if file else None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsFileBroken(path=path, why=reasons.of_file(error)) from error


def _from_secrets(home: Path) -> dict[str, Any]:
    files = {key: home / "secrets" / key for key in SECRETS}
    return {key: _secret(path) for key, path in files.items() if path.is_file()}


def _secret(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (UnicodeDecodeError, OSError) as error:
        raise SecretUnreadable(path=path, why=reasons.of_file(error)) from error


def _from_environment() -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key in Settings.model_fields:
        name = PREFIX + key.upper()
        if key in SECRETS and os.environ.get(name + "_FILE"):
            values[key] = _secret(Path(os.environ[name + "_FILE"]))
        if name in os.environ and key not in ("home", "sender"):
            values[key] = os.environ[name]
    return values


def _with_defaults_of_mode(plain: Settings) -> Settings:
    seconds = {True: (5, 20, 5, 10), False: (15, 60, 120, 900)}[plain.rehearsal]
    spans = dict(zip(("request_timeout", "lease", "settle_grace", "receipt_wait"), seconds, strict=True))
    filled: dict[str, Any] = {key: timedelta(seconds=span) for key, span in spans.items() if key not in plain.model_fields_set}
    filled["database_url"] = (plain.database_url or "sqlite:///{home}/outreach.db").replace("{home}", str(plain.home))
    if plain.weekly_cap < 0:
        filled["weekly_cap"] = 0 if plain.rehearsal else 3
    filled["ignore_hours"] = plain.rehearsal and plain.ignore_hours is not False
    if plain.rehearsal:
        filled |= _rehearsal_gateway(plain)
    else:
        filled |= {
            "twilio_base_url": plain.twilio_base_url or "https://api.twilio.com",
            "wechat_base_url": plain.wechat_base_url or "https://api.weixin.qq.com",
            "wechat_oauth_url": plain.wechat_oauth_url or "https://open.weixin.qq.com",
            "aliyun_base_url": plain.aliyun_base_url or "https://dysmsapi.aliyuncs.com",
        }
    filled["sender"] = tuple(_paced(sender, plain.rehearsal) for sender in _with_wechat(plain.sender, filled.get("wechat_app_id", plain.wechat_app_id)))
    return plain.model_copy(update=filled)


def _with_wechat(senders: tuple[Sender, ...], app_id: str) -> tuple[Sender, ...]:
    """Add the office's own account where the settings know it and no table says more of it."""
    if not app_id or any(sender.channel == "wechat" for sender in senders):
        return senders
    own = {"name": "wechat", "channel": "wechat", "provider": "wechat", "prefixes": (), "links": "allowed", "in_flight": 16, "price": Decimal(0)}
    return (*senders, Sender.model_validate(own))


def _paced(sender: Sender, rehearsal: bool) -> Sender:
    if sender.per_second >= 0:
        return sender
    return sender.model_copy(update={"per_second": 0 if rehearsal else 20})


def _rehearsal_gateway(plain: Settings) -> dict[str, Any]:
    """Fill in the fixed account under which the sandbox knows us: a rehearsal needs no secret of the office."""
    fixed = {
        "twilio_base_url": plain.sandbox_url,
        "wechat_base_url": plain.sandbox_url,
        "twilio_account_sid": "AC" + "0" * 32,
        "twilio_auth_token": "sandbox",
        "wechat_app_id": "wx" + "0" * 16,
        "wechat_secret": "sandbox",
        "wechat_token": "sandbox",
        "wechat_aes_key": "sandbox" + "0" * 36,
        "wechat_oauth_url": plain.sandbox_url,
        "aliyun_base_url": plain.sandbox_url,
        "aliyun_access_key_id": "sandbox",
        "aliyun_access_key_secret": "sandbox",
        "aliyun_hook_word": "sandbox",
        "office_key": "0" * 64,
    }
    return {key: getattr(plain, key) or value for key, value in fixed.items()}


def _checked(settings: Settings) -> Settings:
    """Hold the time-outs against each other: a lease must outlast the request that it covers, or two workers could send one row."""
    if settings.lease < 2 * settings.request_timeout:
        raise Misconfigured(key="lease", why="it must be at least twice request_timeout")
    if settings.request_timeout <= timedelta(0):
        raise Misconfigured(key="request_timeout", why="it must be more than 0s")
    shortest = settings.lease + settings.request_timeout + settings.settle_grace
    for key in ("patience_sms", "patience_wechat"):
        if getattr(settings, key) <= shortest:
            raise Misconfigured(key=key, why=NotLongEnough(shortest=seconds(shortest)))
    return settings


def is_loopback(url: str) -> bool:
    """Whether an address stays on this machine; a name before an @ is no host."""
    try:
        return urlsplit(url).hostname in LOOPBACK
    except ValueError:
        return False
