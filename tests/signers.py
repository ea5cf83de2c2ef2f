"""A small office whose enterprises sign: a pledge, a campaign with recipients, and signatures with their evidence."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.database.engine import Database
from outreach.database.pledge_tables import Evidence, EvidenceBlock, Signature
from outreach.database.tables import Base, Campaign, Contact, Enterprise, PledgeVersion, Recipient, RecipientContact, RecipientEnterprise
from outreach.pledges import audit, evidence, sealing, signing
from outreach.pledges.faults import Report
from outreach.pledges.signing import SignRequest

AT = datetime(2026, 1, 15, 4, 0, 0, 250, tzinfo=UTC)
INK = [[[100, 200, 0], [140.5, 210, 16], [300, 90, 40]], [[500, 120, 300], [520, 300, 350]]]
PLEDGE = "no-arrears-2026"
NAME, PHONE = "王小明", "+8613800138000"


@dataclass
class Signers:
    """Each method is one transaction, as a doorway would open it."""

    database: Database
    enterprises: list[int] = field(default_factory=list)
    contacts: list[int] = field(default_factory=list)
    recipients: list[int] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    def found(self, count: int = 3) -> "Signers":
        """Found so many enterprises, each with one contact and one recipient; all contacts but the first have names of their own."""
        with self.database.write() as session:
            self.version = _version(session)
            self.campaign = _campaign(session, self.version)
            for number in range(count):
                self._found(session, number)
        return self

    def _found(self, session: Session, number: int) -> None:
        stamps = {"created_at": AT, "updated_at": AT}
        enterprise = _new(session, Enterprise, name=f"第{number}鞋业有限公司", town="桥头镇", **stamps)
        person = {"name": NAME if number == 0 else f"李{number}", "phone": PHONE if number == 0 else f"+86138001381{number:02d}"}
        contact = _new(session, Contact, enterprise_id=enterprise, wechat=f"o{number}", note="老板", **person, **stamps)
        code = tokens.personal_code()
        fields = {"enterprise": f"第{number}鞋业有限公司", "contact": person["name"], "code": code}
        recipient = _new(session, Recipient, campaign_id=self.campaign, code=code, fields=fields)
        session.execute(insert(RecipientEnterprise).values(recipient_id=recipient, enterprise_id=enterprise, campaign_id=self.campaign))
        session.execute(insert(RecipientContact).values(recipient_id=recipient, rank=0, contact_id=contact, revision=1, **person))
        for known, key in ((self.enterprises, enterprise), (self.contacts, contact), (self.recipients, recipient)):
            known.append(key)
        self.codes.append(code)

    def sign(self, number: int = 0, *, at: datetime = AT, **changes: Any) -> str:
        """Let one enterprise open its link and sign, and return the serial."""
        known: dict[str, Any] = {
            "enterprise_ids": [self.enterprises[number]],
            "version_id": self.version,
            "way": "link",
            "method": "drawn",
            "signer": NAME,
            "capacity": "agent",
            "relation": "会计",
            "ink": INK,
            "honour": True,
            "at": at,
            "recipient_id": self.recipients[number],
            "campaign_id": self.campaign,
            "contact_id": self.contacts[number],
            "ip": "203.0.113.9",
            "user_agent": "MicroMessenger/8.0",
        }
        request = SignRequest(**known | changes)
        with self.database.write() as session:
            if request.way != "paper":
                signing.opened(session, [self.recipients[number]], now=at)
            return signing.sign(session, [request])[0][0].serial

    def close(self, *, minutes: int = 1) -> int | None:
        """Close a block, so many minutes after the signing."""
        with self.database.write() as session:
            return sealing.close_block(session, now=AT + timedelta(minutes=minutes))

    def audit(self) -> Report:
        """Audit everything."""
        with self.database.read() as session:
            return audit.audit(session)

    def faults(self) -> list[tuple[str, str]]:
        """What an audit finds."""
        return [(fault.what, fault.where) for fault in self.audit().faults]

    def write(self, statement: Any) -> None:
        """Execute one statement, SQL or not."""
        with self.database.write() as session:
            session.execute(text(statement) if isinstance(statement, str) else statement)

    def rows(self, what: str) -> list[Any]:
        """Ask in plain SQL."""
        with self.database.read() as session:
            return list(session.execute(text(what)))

    def signature(self, serial: str) -> Signature:
        """Return a signature."""
        with self.database.read() as session:
            return session.execute(select(Signature).where(Signature.serial == serial)).scalar_one()

    def unguard(self) -> None:
        """Take the triggers away, as one who owns the server can."""
        if self.database.is_postgresql:
            self.write("drop trigger evidence_stands on evidence")
            return
        for trigger in ("evidence_stands", "evidence_stays"):
            self.write(f"drop trigger {trigger}")

    def forge(self, number: int, body: str) -> None:
        """Write another body into a row, with the leaf that fits it."""
        self.write(update(Evidence).where(Evidence.id == number).values(body=body, leaf=evidence.leaf(body)))

    def blocks(self) -> list[EvidenceBlock]:
        """Return the blocks in order."""
        with self.database.read() as session:
            return list(session.scalars(select(EvidenceBlock).order_by(EvidenceBlock.id)))


def _new(session: Session, table: type[Base], **values: Any) -> int:
    return int(session.execute(insert(table).values(**values).returning(table.__table__.c.id)).scalar_one())


def _version(session: Session, number: int = 1) -> int:
    known: dict[str, Any] = {"pledge": PLEDGE, "fields": {"office": "慈溪市人力资源和社会保障局"}, "title": "承诺书", "source": "不拖欠工资。"}
    known |= {"letter": "致负责人", "privacy": "我们记录……", "renews": "", "one_time_code": False}
    return _new(session, PledgeVersion, number=number, digest=evidence.version_digest(known), made_at=AT, **known)


def _campaign(session: Session, version: int) -> int:
    known: dict[str, Any] = {"name": "drive", "title": "宣传", "mode": "rehearsal", "definition": {}, "fields": {}, "inputs": {}, "digest": "x"}
    summary = {"steps": [{"step": 1, "samples": [f"{NAME}，请签署承诺书。"]}]}
    return _new(session, Campaign, **known, summary=summary, planned_by="alice", planned_at=AT, pledge_version_id=version)
