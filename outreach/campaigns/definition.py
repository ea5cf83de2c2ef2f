"""A campaign is a file: what staff write in TOML, read and checked; unknown keys are refused, with the nearest known one."""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from outreach import reasons, tokens
from outreach.clock import OFFICE_ZONE
from outreach.errors import BadInput, NotFound
from outreach.reasons import Reason
from outreach.settings import Duration

CHANNELS = ("sms", "wechat", "letter", "visit")
CONDITIONS = ("always", "unreached", "unopened", "unsigned", "unanswered", "absent", "attended")
TALKING_POINTS = "visit/talking-points"
NAME = re.compile(r"[\w.\-]{1,64}")


class DefinitionMissing(NotFound):
    """There is no campaign file {path}; make one with: outreach campaign new NAME"""


class DefinitionBroken(BadInput):
    """{path} is not valid TOML in UTF-8: {why}"""


class KeyUnknown(BadInput):
    """{path}: there is no key {key}; the nearest is {nearest}."""


class ValueWrong(BadInput):
    """{path}: {key} is wrong: {why}"""


class NoDate(Reason):
    """it must be a date such as 2026-01-15"""


class TemplateMissing(Reason):
    """a step needs a template"""


class NameOdd(Reason):
    """it takes 1 to 64 letters, digits, - _ and ."""


def _moment(value: Any) -> Any:
    """Read a TOML date or date-time; without a zone it is the office's wall clock."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=OFFICE_ZONE)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=OFFICE_ZONE)
    if isinstance(value, str):
        try:
            return _moment(datetime.fromisoformat(value))
        except ValueError as error:
            raise NoDate() from error
    raise NoDate()


Moment = Annotated[datetime, BeforeValidator(_moment)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Goal(_Part):
    """What the campaign is for."""

    pledge: str | None = None
    event: str | None = None
    form: str | None = None


class Pace(_Part):
    """How fast and when it may send."""

    per_hour: int | None = Field(default=None, ge=1)
    hours: str | None = Field(default=None, pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")
    days: Literal["workdays", "all"] = "all"
    waves: Literal["town"] | None = None


class Step(_Part):
    """One channel and template, and the condition under which it is due."""

    channel: Literal["sms", "wechat", "letter", "visit"]
    template: str | None = None
    sender: str | None = None
    when: Literal["always", "unreached", "unopened", "unsigned", "unanswered", "absent", "attended"] = "always"
    after: Duration = timedelta(0)
    every: Duration | None = None
    until: Moment | None = None

    @model_validator(mode="after")
    def _has_a_template(self) -> "Step":
        if self.template is None and self.channel != "visit":
            raise TemplateMissing()
        return self

    @property
    def text(self) -> str:
        """The name of its text; of a visit that names none, what every visitor says."""
        return self.template or TALKING_POINTS


class Definition(_Part):
    """What a campaign file says."""

    name: str
    title: str = Field(min_length=1, max_length=200)
    audience: str = Field(min_length=1)
    goal: Goal | None = None
    one_per: Literal["address", "enterprise"] = "address"
    start: Moment | None = None
    deadline: Moment | None = None
    sender: str | None = None
    link_days: int = Field(default=60, ge=1, le=3650)
    alternates: int | None = Field(default=None, ge=0, le=3)
    pace: Pace = Pace()
    steps: tuple[Step, ...] = Field(alias="step", min_length=1, max_length=50)

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise NameOdd()
        return value

    @property
    def digest(self) -> str:
        """The digest of all that the file says; comments and order of keys do not count."""
        return tokens.digest(self.document())

    def document(self) -> dict[str, Any]:
        """Return the definition as plain JSON."""
        return self.model_dump(mode="json", by_alias=True)


def read(path: Path) -> Definition:
    """Read a campaign file. Raises DefinitionMissing, DefinitionBroken, KeyUnknown and ValueWrong."""
    try:
        values = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise DefinitionMissing(path=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise DefinitionBroken(path=path, why=reasons.of_file(error)) from error
    return parse(values, path=path)


def parse(values: Mapping[str, Any], *, path: Path | str) -> Definition:
    """Check what a campaign file says; errors name the file and the key."""
    try:
        return Definition.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        places = [str(part + 1) if isinstance(part, int) else str(part) for part in first["loc"]]
        key = ".".join(places) or "[[step]]"
        if first["type"] == "extra_forbidden":
            known = _known_keys(places[:-1])
            nearest = next(iter(get_close_matches(places[-1], known, n=1, cutoff=0.3)), ", ".join(known))
            raise KeyUnknown(path=path, key=key, nearest=nearest) from error
        raise ValueWrong(path=path, key=key, why=reasons.of_value(first)) from error


def _known_keys(place: list[str]) -> list[str]:
    models: dict[str, type[BaseModel]] = {"step": Step, "pace": Pace, "goal": Goal}
    model = models.get(place[0], Definition) if place else Definition
    return [field.alias or name for name, field in model.model_fields.items()]


def chinese_date(moment: datetime, *, year: bool) -> str:
    """Write a date as letters and texts do: 2026年1月15日, or 1月15日 where the year goes without saying."""
    local = moment.astimezone(OFFICE_ZONE)
    return f"{local.year}年{local.month}月{local.day}日" if year else f"{local.month}月{local.day}日"


def utc(moment: datetime) -> datetime:
    """Return the same moment in UTC."""
    return moment.astimezone(UTC)
