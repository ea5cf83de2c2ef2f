"""The conversation in the office's account: who follows is told what to send; code and last four digits lead to the personal link.

What a person sends again is answered again as before and changes nothing; what he did before something that we know already, late to
come, changes nothing either.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from outreach.channels.base import Reply
from outreach.database import bulk, tables
from outreach.database.tables import Recipient
from outreach.database.wechat_tables import Follower, Scene
from outreach.links import bindings, guessing, personal, refusals, resolving
from outreach.links.answers import Answers, opened
from outreach.links.guessing import TooManyTries
from outreach.links.resolving import CodeUnknown
from outreach.links.understanding import Said, understand
from outreach.settings import Settings

CHANNEL = "wechat"
PATIENCE = timedelta(minutes=30)
"""How long a code waits for its digits."""
LONGEST = 1600
"""Characters that are kept of what somebody wrote."""
_KEPT = ["follows", "followed_at", "left_at", "spoke_at", "moved_at", "chose_at", "asked_code", "asked_way", "asked_at", "subscriptions"]


@dataclass(slots=True)
class _Turn:
    """One thing that somebody did: what it was taken for, and which text or which link answers it."""

    reply: Reply
    meaning: str | None
    text: str = ""
    token: str = ""


def hear(session: Session, replies: Sequence[Reply], *, settings: Settings, now: datetime) -> dict[str, str | None]:
    """Keep what people did in the account, do as they say, and return what answers each, by the provider's id of it.

    Nothing is raised for what a person does wrong: it is answered. The caller commits, also the tries that were counted.
    """
    people = _people(session, {reply.sender for reply in replies})
    known = _known(session, {reply.reference for reply in replies})
    fresh = {reply.reference: reply for reply in reversed(replies) if reply.reference not in known}
    turns = _Room(session, people, list(reversed(fresh.values())), settings=settings, now=now).hear() if fresh else []
    written = _written(session, turns, settings=settings, now=now)
    _keep(session, people, turns, written, now=now)
    return opened(session, known | written, settings=settings)


class _Room:
    """A group of people talking to the account, each in his own order; what all their words need is read at once."""

    def __init__(self, session: Session, people: Mapping[str, Follower], replies: Sequence[Reply], *, settings: Settings, now: datetime) -> None:
        self._session, self._settings, self._now = session, settings, now
        self._people = people
        self._replies = sorted(replies, key=lambda reply: reply.at or now)
        self._scenes = _scenes(session, {reply.scene for reply in replies if reply.scene})
        texts = [(reply.sender, understand(reply.body, awaited=True)) for reply in replies if reply.act == "text"]
        self._codes = {said.code for _openid, said in texts if said.code} | set(self._scenes.values())
        self._links = resolving.of_codes(session, self._codes, way=CHANNEL, settings=settings, now=now)
        self._bound = bindings.bound_codes(session, people, self._codes)
        self._leaving: set[str] = set()
        self._came: set[str] = set()
        self._refusals: dict[refusals.Place, bool] = {}
        self._hold(texts)

    def _hold(self, texts: Sequence[tuple[str, Said]]) -> None:
        """Take the counters of all tries at once and in their one order, or two groups could wait for each other in a circle."""
        trying = {openid for openid, said in texts if said.digits}
        pairs = {(openid, said.code) for openid, said in texts} | {(openid, self._people[openid].asked_code) for openid in trying}
        pairs |= {(reply.sender, self._scenes.get(reply.scene)) for reply in self._replies}
        key = self._settings.office_key
        bounds = [bound for openid, code in pairs if code and openid in trying for bound in guessing.for_code(key, code, openid)]
        guessing.hold(self._session, bounds, now=self._now)

    def hear(self) -> list[_Turn]:
        """Let each speak in turn, and then do what they asked for."""
        turns = [self._turn(self._people[reply.sender], reply) for reply in self._replies]
        self._part()
        refused = refusals.obey(self._session, self._refusals, came=self._came, now=self._now)
        for turn in turns:
            if turn.meaning == "opt_in" and turn.reply.sender in refused:  # staff wrote him out; a person looks at it
                turn.meaning, turn.text = None, "received"
        return turns

    def _turn(self, person: Follower, reply: Reply) -> _Turn:
        at = min(reply.at or self._now, self._now)
        if reply.act == "text":
            return self._text(person, reply, at)
        if reply.act == "subscription":
            person.subscriptions = {**person.subscriptions, **reply.choices}
            return _Turn(reply, reply.act)
        if person.moved_at is not None and at < person.moved_at:
            return _Turn(reply, "late")
        person.moved_at = at
        if reply.act == "leave":
            return self._leave(person, reply, at)
        self._arrive(person, at, anew=reply.act == "follow")
        code = self._scenes.get(reply.scene)
        return self._code(person, reply, code, way="scene") if code else _Turn(reply, reply.act, "greeting")

    def _arrive(self, person: Follower, at: datetime, *, anew: bool) -> None:
        if anew or not person.follows:
            person.follows, person.followed_at = True, at
            self._came.add(person.openid)

    def _leave(self, person: Follower, reply: Reply, at: datetime) -> _Turn:
        person.follows, person.left_at = False, at
        person.asked_code = person.asked_way = person.asked_at = None
        self._leaving.add(person.openid)
        self._came.discard(person.openid)
        self._bound = {(openid, code) for openid, code in self._bound if openid != person.openid}
        return _Turn(reply, reply.act)

    def _part(self) -> None:
        """Undo the bindings of those who left, before the next one is made or asked for."""
        bindings.unbind_all(self._session, self._leaving, reason=bindings.UNSUBSCRIBED, now=self._now)
        self._leaving.clear()

    def _text(self, person: Follower, reply: Reply, at: datetime) -> _Turn:
        if not person.follows and (person.moved_at is None or at > person.moved_at):
            person.moved_at = at  # that he came was never told: the provider gives up after three tries
            self._arrive(person, at, anew=True)
        person.spoke_at = max(person.spoke_at or at, at)
        left_since = not person.follows or (person.left_at is not None and at < person.left_at)
        if left_since and not reply.stops:  # he wrote before he left: that opens nothing any more
            return _Turn(reply, "late")
        if reply.stops or reply.restarts:
            if person.chose_at is not None and at < person.chose_at:
                return _Turn(reply, "late")
            person.chose_at = at
            self._part()
            self._refusals |= dict.fromkeys(refusals.places(self._session, person.openid), reply.stops)
            return _Turn(reply, "opt_out", "stopped") if reply.stops else _Turn(reply, "opt_in", "restarted")
        awaited = person.asked_code if person.asked_at and self._now - person.asked_at <= PATIENCE else None
        said = understand(reply.body, awaited=awaited is not None)
        if said.meaning == "code":
            return self._code(person, reply, said.code, way="conversation")
        if said.meaning == "code_digits":
            person.asked_code, person.asked_way, person.asked_at = said.code, "conversation", self._now
            return self._digits(person, reply, said)
        if said.meaning == "digits":
            return self._digits(person, reply, said) if awaited else _Turn(reply, "digits", "greeting")
        return _Turn(reply, "mistyped", "mistyped") if said.meaning == "mistyped" else _Turn(reply, None, "received")

    def _code(self, person: Follower, reply: Reply, code: str, *, way: str) -> _Turn:
        """Ask for the digits, also of a code that does not exist; give the link to whom it belongs already."""
        meaning = "code" if reply.act == "text" else reply.act
        if (person.openid, code) in self._bound and code in self._links:
            return _Turn(reply, meaning, token=self._links[code])
        person.asked_code, person.asked_way, person.asked_at = code, way, self._now
        return _Turn(reply, meaning, "ask-digits")

    def _digits(self, person: Follower, reply: Reply, said: Said) -> _Turn:
        code = str(person.asked_code)
        try:
            token = resolving.by_code(self._session, code, said.digits, address=person.openid, settings=self._settings, now=self._now, way=CHANNEL)
        except TooManyTries:
            return _Turn(reply, said.meaning, "too-many")
        except CodeUnknown:
            return _Turn(reply, said.meaning, "wrong")
        claimed = personal.read(token)
        if claimed and claimed.way == CHANNEL:
            self._bind(person, claimed.recipient_id, code, said.digits)
        person.asked_code = person.asked_way = person.asked_at = None
        return _Turn(reply, said.meaning, token=token)

    def _bind(self, person: Follower, recipient_id: int, code: str, digits: str) -> None:
        """Bind him whose phone it is. An enterprise without one is known by its credit code, which anybody can look up: no binding."""
        self._part()
        contacts = bindings.confirmed(self._session, recipient_id, digits)
        bindings.bind(self._session, person.openid, contacts, way=person.asked_way or "conversation", now=self._now)
        self._bound = bindings.bound_codes(self._session, self._people, self._codes | {code})  # he may have taken it from somebody


def _people(session: Session, openids: Collection[str]) -> dict[str, Follower]:
    """Return who speaks, made known where he is new, and locked: two processes hear one person one after the other."""
    wanted = select(Follower).where(Follower.openid.in_(openids)).order_by(Follower.id).with_for_update(key_share=True)
    people: dict[str, Follower] = {}
    while len(people) < len(openids):  # somebody may be erased while we wait for his row: he is new again
        bulk.insert_rows(session, Follower, [{"openid": openid} for openid in sorted(openids)], ignore_conflicts=True)
        people = {row.openid: row for row in session.scalars(wanted.execution_options(populate_existing=True))}
    for person in people.values():
        session.expunge(person)  # written back with one statement for all
    return people


def _known(session: Session, references: Collection[str]) -> dict[str, str | None]:
    """Return what was answered to what came before."""
    kept = tables.Reply
    rows = session.execute(select(kept.reference, kept.answer).where(kept.channel == CHANNEL, kept.reference.in_(references)))
    return {row.reference: row.answer for row in rows}


def _scenes(session: Session, scenes: Collection[str]) -> dict[str, str]:
    """Return the codes of the recipients that personal QR codes stand for."""
    if not scenes:
        return {}
    statement = select(Scene.scene, Recipient.code).join(Recipient, Recipient.id == Scene.recipient_id)
    return {row.scene: row.code for row in session.execute(statement.where(Scene.scene.in_(scenes), Recipient.code.is_not(None)))}


def _written(session: Session, turns: Sequence[_Turn], *, settings: Settings, now: datetime) -> dict[str, str | None]:
    """Write the answers as they are stored."""
    texts = Answers(settings)
    visitors = resolving.resolve_all(session, {turn.token for turn in turns if turn.token}, settings=settings, now=now)
    written: dict[str, str | None] = {}
    for turn in turns:
        if turn.token:
            written[turn.reply.reference] = texts.with_link(visitors[turn.token], turn.token)
        else:
            written[turn.reply.reference] = texts.plain(turn.text) if turn.text else None
    return written


def _keep(session: Session, people: Mapping[str, Follower], turns: Sequence[_Turn], written: Mapping[str, str | None], *, now: datetime) -> None:
    rows = [
        {
            "channel": CHANNEL,
            "reference": turn.reply.reference,
            "sender": turn.reply.sender,
            "body": (turn.reply.body or turn.reply.scene)[:LONGEST],
            "act": turn.reply.act,
            "meaning": turn.meaning,
            "answer": written[turn.reply.reference],
            "received_at": now,
        }
        for turn in turns
    ]
    bulk.insert_rows(session, tables.Reply, rows, ignore_conflicts=True)
    spoke = {turn.reply.sender for turn in turns}
    changed = [{"id": person.id, **{name: getattr(person, name) for name in _KEPT}} for openid, person in people.items() if openid in spoke]
    bulk.update_rows(session, Follower, changed, keys=["id"], sets=_KEPT)
