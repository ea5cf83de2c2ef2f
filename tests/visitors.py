"""People who come through a link: enterprises, contacts and a launched campaign with a pledge, as rows."""

import functools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.engine import Database
from outreach.database.tables import Campaign, Contact, Enterprise, PledgeVersion, Recipient, RecipientContact, RecipientEnterprise
from outreach.links import personal
from outreach.pledges import versions
from outreach.settings import Settings

PLEDGE = "no-arrears-2026"


@dataclass(frozen=True)
class Guest:
    """One recipient, and how he gets in."""

    recipient_id: int
    enterprise_ids: tuple[int, ...]
    code: str
    key: str
    generation: int = 1

    def token(self, way: str = "link") -> str:
        return personal.make(self.key, self.recipient_id, self.generation, way)

    @functools.cached_property
    def page(self) -> str:
        return f"/p/{self.token()}"


class Hall:
    """A launched campaign; `guest` makes a recipient of it."""

    def __init__(self, settings: Settings, database: Database, *, now: datetime, one_time_code: bool = False, days: int = 60) -> None:
        self.settings, self.database, self.now = settings, database, now
        with database.write() as session:
            version = versions.freeze(session, PLEDGE, settings=settings, now=now)
            if one_time_code:
                session.execute(update(PledgeVersion).where(PledgeVersion.id == version.id).values(one_time_code=True))
            self.version_id = version.id
            self.campaign_id = self._campaign(session, version.id, days)

    def _campaign(self, session: Session, version_id: int, days: int) -> int:
        fields = {"office": self.settings.office_name, "deadline": "1月31日", "date": "2026年1月15日"}
        row = Campaign(
            name=f"drive-{secrets.token_hex(4)}",
            title="drive",
            state="running",
            mode=self.settings.mode,
            definition={"link_days": days},
            fields=fields,
            pledge_version_id=version_id,
            inputs={},
            summary={},
            digest=secrets.token_hex(32),
            planned_by="alice",
            planned_at=self.now,
            launched_at=self.now,
        )
        session.add(row)
        session.flush()
        return row.id

    def guest(self, *names: str, contact: str = "张建国", phone: str = "+8613800138000", town: str = "逍林镇", credit_codes: Sequence[str] = ()) -> Guest:
        names = names or (f"示例鞋业{secrets.token_hex(3)}有限公司",)
        with self.database.write() as session:
            enterprises = [self._enterprise(name, town, code) for name, code in zip(names, [*credit_codes, *[None] * len(names)], strict=False)]
            session.add_all(enterprises)
            session.flush()
            people = [Contact(enterprise_id=row.id, name=contact, phone=phone, created_at=self.now, updated_at=self.now) for row in enterprises]
            session.add_all(people)
            code = tokens.personal_code()
            fields: dict[str, Any] = {"enterprise": names[0], "enterprises": list(names), "enterprise_count": len(names), "contact": contact}
            recipient = Recipient(campaign_id=self.campaign_id, code=code, town=town, fields={**fields, "town": town, "code": code})
            session.add(recipient)
            session.flush()
            session.add_all(RecipientEnterprise(recipient_id=recipient.id, enterprise_id=row.id, campaign_id=self.campaign_id) for row in enterprises)
            session.add(RecipientContact(recipient_id=recipient.id, rank=0, contact_id=people[0].id, revision=1, name=contact, phone=phone))
            return Guest(recipient.id, tuple(row.id for row in enterprises), code, self.settings.office_key)

    def expire(self) -> None:
        with self.database.write() as session:
            session.execute(update(Campaign).values(launched_at=self.now - timedelta(days=400)))

    def _enterprise(self, name: str, town: str, credit_code: str | None) -> Enterprise:
        return Enterprise(name=name, town=town, credit_code=credit_code, created_at=self.now, updated_at=self.now)
