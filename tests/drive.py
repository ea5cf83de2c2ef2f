"""A small office in the middle of a drive: enterprises, contacts, and campaigns planned, approved and launched as staff do it.

Leases and due times run by the database's own clock, so here the real time is used throughout; `elapse` is the one way to make time pass.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Row, insert, select, text, update

from outreach import clock, settings
from outreach.campaigns import approving, definition, directory, ladder, launching, planning, progress, reach, statement
from outreach.campaigns.definition import Definition
from outreach.channels.base import Accepted, Message, Outcome, Receipt, Reply
from outreach.database.engine import Database
from outreach.database.tables import Address, Contact, Delivery, Enterprise, Recipient, Sender
from outreach.database.wechat_tables import Binding, Follower
from outreach.links import personal, resolving
from outreach.links.resolving import Visitor
from outreach.outbox import receipts, senders, settle, texts
from outreach.outbox.claim import Claimed, Rules, Slice, claim
from outreach.outbox.record import Patience, record
from outreach.outbox.settle import Answer, Grace, Question
from outreach.pledges import signing
from outreach.pledges.signing import Signed, SignRequest
from outreach.rendering import templates
from outreach.settings import Settings

LEASE = timedelta(seconds=20)
GRACE = Grace(lease=LEASE, request_timeout=timedelta(seconds=5), settle_grace=timedelta(seconds=5))
PATIENCE = Patience(first_question=timedelta(0), breaker=timedelta(seconds=5))
OVER = timedelta(seconds=31)
"""A little more than lease, time-out and grace together: silence of the provider's list counts."""
SHORT = "sms/pledge-invitation-short"
LONG = "sms/pledge-invitation"
REMINDER = "sms/pledge-reminder"
PLEDGE = "no-arrears-2026"


def always(_pace: Mapping[str, Any], now: datetime) -> datetime:
    """The hours of an office that never sleeps."""
    return now


def phone(number: int) -> str:
    """Return a mobile number: each `number` its own."""
    return f"+86138{number:08d}"


@dataclass
class Office:
    """One office on one database; every method is one transaction, as a doorway would open it."""

    database: Database
    settings: Settings
    sender_id: int
    rules: Rules
    grace: Grace = GRACE
    patience: Patience = PATIENCE
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    # the contacts

    def enterprises(self, count: int = 1, *, town: str = "桥头镇", phones: Sequence[str] | None = None, contacts: int = 1) -> list[int]:
        """Found so many enterprises, each with so many contacts; `phones` gives the phones of the first contacts. Return their ids."""
        now = clock.now()
        ids: list[int] = []
        with self.database.write() as session:
            for place in range(count):
                number = next(self._numbers)
                known = {"name": f"第{number}鞋业有限公司", "town": town, "created_at": now, "updated_at": now}
                enterprise = session.execute(insert(Enterprise).values(known).returning(Enterprise.id)).scalar_one()
                ids.append(enterprise)
                for rank in range(contacts):
                    number_of = phones[place] if phones and rank == 0 else phone(1000 * rank + number)
                    person = {"enterprise_id": enterprise, "name": f"王{number}", "phone": number_of, "rank": rank, "created_at": now, "updated_at": now}
                    session.execute(insert(Contact).values(person))
        return ids

    def settle_enterprise(self, enterprise: int, *, outcome: str = "signed", at: datetime | None = None) -> None:
        """Let an enterprise sign (or decline, or withdraw), as the transaction of its signature writes it."""
        self.write(update(Enterprise).where(Enterprise.id == enterprise).values(settled_at=at or clock.now(), outcome=outcome))

    def suppress(self, number: str) -> None:
        """Put a number on the list of those not to be written to."""
        with self.database.write() as session:
            key = session.execute(select(Address.id).where(Address.channel == "sms", Address.value == number)).scalar_one()
            receipts.suppress(session, [{"id": key, "suppressed_at": clock.now(), "suppressed_reason": "opted_out", "suppressed_source": "staff"}])

    @property
    def wechat_id(self) -> int:
        """The row of the office's WeChat account among the senders."""
        with self.database.read() as session:
            return session.execute(select(Sender.id).where(Sender.channel == "wechat", Sender.mode == self.settings.mode)).scalar_one()

    def bind(self, number: str, openid: str) -> None:
        """Let the owner of a phone follow the account, and bind his openid to all contacts with that phone."""
        now = clock.now()
        with self.database.write() as session:
            session.execute(insert(Follower).values(openid=openid, follows=True, followed_at=now, subscriptions={}))
            for contact in session.scalars(select(Contact.id).where(Contact.phone == number)).all():
                session.execute(insert(Binding).values(openid=openid, contact_id=contact, phone=number, way="conversation", bound_at=now))
        with self.database.write() as session:
            reach.make_addresses(session, "wechat")

    def unfollow(self, openid: str) -> None:
        """Let somebody leave the account."""
        self.write(update(Follower).where(Follower.openid == openid).values(follows=False, left_at=clock.now()))
        self.write(update(Binding).where(Binding.openid == openid).values(ended_at=clock.now(), ended_reason="unsubscribed"))

    def advance(self) -> None:
        """Let the ladder write what is due, and judge the campaigns, as a worker's tick does."""
        with self.database.write() as session:
            progress.review(session, settings=self.settings, now=clock.now())
            ladder.advance(session, mode=self.settings.mode, now=clock.now())

    def refuse(self, openid: str) -> None:
        """Let somebody say no in WeChat."""
        self.write(update(Address).where(Address.value == openid).values(suppressed_at=clock.now(), suppressed_reason="opted_out", suppressed_source="reply"))

    # the campaigns

    def launch(self, name: str = "drive", *, town: str = "桥头镇", first: int | None = None, steps: Sequence[Mapping[str, Any]] = (), **keys: Any) -> int:
        """Plan, approve and launch a campaign to all of a town, and return its id; `keys` are those of a campaign file."""
        now = clock.now()
        planned = self._definition(name, town, steps or [{"channel": "sms", "template": SHORT}], keys)
        with self.database.write() as session:
            campaign = planning.plan(session, planned, settings=self.settings, path=None, planned_by="alice", now=now)
            code = campaign.summary["code"]
        with self.database.write() as session:
            approving.approve(session, name, code=code, account="bob", settings=self.settings, now=clock.now())
        with self.database.write() as session:
            return launching.launch(session, name, settings=self.settings, first=first, now=clock.now()).id

    # the pledge

    def asking(self, name: str = "drive", **keys: Any) -> int:
        """Launch a campaign whose goal is this year's pledge, and return its id."""
        return self.launch(name, goal={"pledge": PLEDGE}, **keys)

    def recipients(self, campaign: int | None = None) -> list[Row[Any]]:
        """Return the included recipients (of a campaign), in order."""
        included = select(Recipient.__table__).where(Recipient.exclusion.is_(None)).order_by(Recipient.id)
        with self.database.read() as session:
            return list(session.execute(included.where(Recipient.campaign_id == campaign) if campaign else included))

    def link(self, recipient: int, *, way: str = "link", generation: int = 1) -> str:
        """Return the token of a recipient's personal link."""
        return personal.make(self.settings.office_key, recipient, generation, way)

    def visitor(self, recipient: int, *, way: str = "link", now: datetime | None = None) -> Visitor:
        """Return who comes through a recipient's link."""
        with self.database.read() as session:
            return resolving.resolve(session, self.link(recipient, way=way), settings=self.settings, now=now or clock.now())

    def sign(self, *requests: SignRequest) -> list[list[Signed]]:
        """Sign in one group."""
        with self.database.write() as session:
            return signing.sign(session, requests)

    def signing(self, recipient: int, *enterprises: int, **keys: Any) -> SignRequest:
        """Return what the page makes of a recipient's form; for all the enterprises he speaks for, unless some are given."""
        visitor = self.visitor(recipient)
        values: dict[str, Any] = {
            "enterprise_ids": enterprises or tuple(item.id for item in visitor.enterprises),
            "version_id": visitor.version.id,
            "way": "link",
            "method": "typed",
            "signer": "王建国",
            "capacity": "legal_representative",
            "at": clock.now(),
            "recipient_id": recipient,
            "campaign_id": visitor.campaign_id,
            "contact_id": visitor.contact_id,
            "ip": "192.0.2.7",
            "user_agent": "MicroMessenger/8.0",
        }
        return SignRequest(**(values | keys))

    def rows(self, table: Any) -> list[Row[Any]]:
        """Return all rows of a table, in order."""
        with self.database.read() as session:
            return list(session.execute(select(table.__table__).order_by(table.id)))

    def _definition(self, name: str, town: str, steps: Sequence[Mapping[str, Any]], keys: Mapping[str, Any]) -> Definition:
        values = {"name": name, "title": "年度无欠薪宣传", "audience": f"镇街 = {town}", "step": list(steps), **keys}
        return definition.parse(values, path="drive.toml")

    def alone(self, purpose: str, number: str, *, template: str = "sms/one-time-code", fields: Mapping[str, Any] | None = None) -> int:
        """Queue a message outside campaigns, and return its delivery."""
        with self.database.write() as session:
            found = session.scalar(select(Address.id).where(Address.channel == "sms", Address.value == number))
            address = found or session.execute(insert(Address).values(channel="sms", value=number).returning(Address.id)).scalar_one()
            text_id = texts.freeze(session, templates.load(template, self.settings.template_folders), signature="示例人社")
            delivery = Delivery(
                purpose=purpose,
                channel="sms",
                sender_id=self.sender_id,
                address_id=address,
                text_id=text_id,
                fields=dict(fields or {"one_time_code": "482913"}),
                state="queued",
                segments=1,
                due_at=clock.now(),
            )
            session.add(delivery)
            session.flush()
            return delivery.id

    def statement(self, name: str = "drive") -> dict[str, Any]:
        """Return a campaign's statement."""
        with self.database.read() as session:
            return statement.statement(session, name, now=clock.now())

    # the outbox

    def claim(self, *, sender_id: int | None = None, rules: Rules | None = None) -> Slice:
        """Claim one slice."""
        with self.database.write() as session:
            return claim(session, sender_id=sender_id or self.sender_id, rules=rules or self.rules)

    def take(self, how_many: int | None = None, **asked: Any) -> list[Claimed]:
        """Claim one slice, of so many where that is said."""
        claimed = list(self.claim(**asked).claimed)
        assert how_many is None or len(claimed) == how_many, claimed
        return claimed

    def record(self, *answers: tuple[Claimed, Outcome], sender_id: int | None = None) -> None:
        """Record answers."""
        with self.database.write() as session:
            key = sender_id or self.sender_id
            record(session, sender_id=key, provider=self._provider(key), answers=answers, patience=self.patience)

    def _provider(self, sender_id: int) -> str:
        with self.database.read() as session:
            return session.execute(select(Sender.provider).where(Sender.id == sender_id)).scalar_one()

    def send_all(self) -> list[Claimed]:
        """Claim and record as accepted until nothing is due; return all that was claimed."""
        sent: list[Claimed] = []
        while claimed := self.take():
            self.record(*((item, Accepted(f"SM{item.message.attempt_id}")) for item in claimed))
            sent += claimed
        return sent

    def hear(self, *items: Receipt | Reply) -> None:
        """Store what came in, as the web does."""
        with self.database.write() as session:
            receipts.store(session, items, now=clock.now())

    def expire(self) -> int:
        """Turn what was claimed too long ago into unknown."""
        with self.database.write() as session:
            return settle.expire(session)

    def ask(self, find: Callable[[Message], Any], *, grace: Grace | None = None, sender_id: int | None = None) -> list[Question]:
        """Ask a provider about the unknown deliveries whose turn it is: `find` returns what its list shows, None when it does not answer."""
        key = sender_id or self.sender_id
        with self.database.write() as session:
            asked = settle.questions(session, sender_id=key, grace=grace or self.grace, secrets=self.rules.secrets)
        answers = [Answer(question, find(question.message)) for question in asked]
        with self.database.write() as session:
            settle.answer(session, provider=self._provider(key), answers=answers, grace=grace or self.grace, now=clock.now())
        return asked

    def elapse(self, span: timedelta) -> None:
        """Let time pass, for every lease, due time and breaker.

        Their clock is the database's, which no test can turn; so what they are compared with is moved back instead.
        """
        with self.database.write() as session:
            for table, columns in TIMES.items():
                for column in columns:
                    back = f"{column} - {span // timedelta(microseconds=1)}"
                    if self.database.is_postgresql:
                        back = f"{column} - interval '{span.total_seconds()} seconds'"
                    session.execute(text(f"update {table} set {column} = {back} where {column} is not null"))

    # what the tables say

    def write(self, statement: Any) -> None:
        """Execute one statement."""
        with self.database.write() as session:
            session.execute(statement)

    def deliveries(self, campaign: int | None = None) -> list[Row[Any]]:
        """Return the deliveries (of a campaign), in order."""
        statement = select(Delivery.__table__).order_by(Delivery.id)
        with self.database.read() as session:
            return list(session.execute(statement.where(Delivery.campaign_id == campaign) if campaign else statement))

    def delivery(self, key: int) -> Row[Any]:
        """Return one delivery."""
        with self.database.read() as session:
            return session.execute(select(Delivery.__table__).where(Delivery.id == key)).one()

    def address(self, number: str) -> Row[Any]:
        """Return the row of a phone."""
        with self.database.read() as session:
            return session.execute(select(Address.__table__).where(Address.value == number)).one()

    def sender(self) -> Row[Any]:
        """Return the sender's row."""
        with self.database.read() as session:
            return session.execute(select(Sender.__table__).where(Sender.id == self.sender_id)).one()

    def campaign(self, name: str = "drive") -> Any:
        """Return a campaign."""
        with self.database.read() as session:
            return directory.named(session, name)

    def states(self, campaign: int | None = None) -> list[str]:
        """Return the state of each delivery, in order."""
        return [row.state for row in self.deliveries(campaign)]

    def fly_alone(self) -> None:
        """Check that an address is held exactly by the delivery that is in flight to it."""
        with self.database.read() as session:
            holders = {(row.holder, row.id) for row in session.execute(text("select id, holder from address where holder is not null"))}
            in_flight = "select id, address_id from delivery where state in ('sending', 'unknown', 'review') and purpose is null"
            assert holders == {(row.id, row.address_id) for row in session.execute(text(in_flight))}


TIMES = {
    "delivery": ("due_at", "claimed_at", "lease_until", "final_at"),
    "sender": ("breaker_until", "quota_until", "refreshed_at"),
    "address": ("cap_from",),
    "campaign": ("approved_at", "launched_at", "finished_at"),
    "campaign_step": ("until",),
    "recipient": ("opened_at", "stopped_at"),
    "enterprise": ("settled_at",),
    "signature": ("signed_at", "ended_at"),
    "refusal": ("declined_at",),
    "print_batch": ("made_at", "posted_on"),
    "print_chunk": ("lease_until", "rendered_at"),
    "letter": ("posted_at", "returned_at"),
    "visit_result": ("visited_on",),
}
"""What time's passing is told by."""


def office(database: Database, home: Path, **options: Any) -> Office:
    """Open an office in rehearsal on an empty database; `options` are settings."""
    chosen = settings.load(home, database_url=database.url, **options)
    with database.write() as session:
        known = senders.store(session, chosen)
    return Office(
        database, chosen, known[chosen.sender[0].name], rules=Rules(LEASE, chosen.weekly_cap, always, texts.Secrets(chosen.office_key, chosen.public_url))
    )


def recount(desk: Office, name: str = "drive") -> dict[str, Any]:
    """Count a campaign anew from the rows, sharing no code with the statement; return it in the statement's shape, without `at`."""
    deliveries = "select recipient_id, step, occurrence, rank, state, reason, doubled from delivery where campaign_id = :c"
    spoken = """
        select s.enterprise_id, s.recipient_id, r.exclusion, e.outcome from recipient_enterprise s
        join recipient r on r.id = s.recipient_id join enterprise e on e.id = s.enterprise_id where s.campaign_id = :c"""
    goal = "select v.pledge from pledge_version v join campaign c on c.pledge_version_id = v.id where c.id = :c"
    with desk.database.read() as session:
        campaign = session.execute(text("select id from campaign where name = :n"), {"n": name}).scalar_one()
        rows = session.execute(text(deliveries), {"c": campaign}).all()
        enterprises = session.execute(text(spoken), {"c": campaign}).all()
        channels: dict[int, str] = dict(session.execute(text("select number, channel from campaign_step where campaign_id = :c"), {"c": campaign}).all())
        pledge = session.scalar(text(goal), {"c": campaign})
        signatures = session.execute(text("select enterprise_id, state, signed_at, ended_at from signature where pledge = :p"), {"p": pledge}).all()
        refusals = session.execute(text("select enterprise_id, declined_at from refusal where pledge = :p"), {"p": pledge}).all()
    steps = []
    for step, occurrence in sorted({(row.step, row.occurrence) for row in rows}):
        here = [row for row in rows if (row.step, row.occurrence) == (step, occurrence)]
        last = [
            max((row for row in here if row.recipient_id == key), key=lambda row: (row.reason != "no_address", row.rank))
            for key in sorted({row.recipient_id for row in here})
        ]
        states = [row.state for row in last]
        reasons = sorted({row.reason for row in last if row.state == "skipped"})
        steps.append(
            {"step": step, "occurrence": occurrence, "channel": channels[step], "included": len(last)}
            | {state: states.count(state) for state in ("delivered", "silent", "failed", "undelivered", "unknown", "review")}
            | {"waiting": {state: states.count(state) for state in ("queued", "sending", "accepted")}}
            | {"skipped": {reason: sum(row.state == "skipped" and row.reason == reason for row in last) for reason in reasons}}
            | {"doubled": sum(bool(row.doubled) for row in here), "adds_up": True}
        )
    said = {row.enterprise_id: row.outcome if pledge is None else _answer(row.enterprise_id, signatures, refusals) for row in enterprises}
    states_of = {key: {row.state for row in rows if row.recipient_id == key} for key in {row.recipient_id for row in enterprises}}
    columns = [said[row.enterprise_id] or _column(row, states_of[row.recipient_id]) for row in enterprises]
    left_out = [row.exclusion for row, column in zip(enterprises, columns, strict=True) if column == "excluded"]
    counted = {column: columns.count(column) for column in ("signed", "declined", "withdrawn", "reached", "waiting", "unknown", "not_reached")}
    excluded = {exclusion: left_out.count(exclusion) for exclusion in sorted(set(left_out))}
    return {"campaign": name, "steps": steps, "enterprises": {"selected": len(columns), **counted, "excluded": excluded, "adds_up": True}}


def _answer(enterprise: int, signatures: Sequence[Row[Any]], refusals: Sequence[Row[Any]]) -> str | None:
    """Return what an enterprise answered last; a signature that holds goes before all, and a paper without its scan is no answer."""
    mine = [row for row in signatures if row.enterprise_id == enterprise]
    if any(row.state == "signed" for row in mine):
        return "signed"
    acts = [(row.ended_at, "withdrawn") for row in mine if row.state == "withdrawn"] + [(row.signed_at, "signed") for row in mine if row.state == "superseded"]
    acts += [(row.declined_at, "declined") for row in refusals if row.enterprise_id == enterprise]
    return max(acts)[1] if acts else None


def _column(row: Row[Any], states: set[str]) -> str:
    if row.exclusion:
        return "excluded"
    if "delivered" in states:
        return "reached"
    if not states or states & {"queued", "sending", "accepted"}:
        return "waiting"
    return "unknown" if states & {"unknown", "review"} else "not_reached"
