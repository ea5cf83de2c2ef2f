"""QR codes of the office's account (场景): a recipient's own, or a poster's; each stands for a random word, and its ticket is asked for once.

A recipient's is a temporary one of thirty days, of which there may be as many as one likes; a poster's is one of the 100,000 permanent
ones (developers.weixin.qq.com/doc/service, Generating_a_Parametric_QR_Code). What is printed must hold while it lies on a desk, so a
temporary one is asked for anew, under the same word, once less than half its life is left.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, exists, func, select
from sqlalchemy.orm import Session

from outreach import tokens
from outreach.contacts import cleaning
from outreach.database import bulk
from outreach.database.tables import Campaign, Enterprise, Recipient, RecipientEnterprise
from outreach.database.wechat_tables import Scene
from outreach.errors import BadInput, NotFound, Refused
from outreach.links.resolving import tidy
from outreach.settings import Settings

LASTS = timedelta(days=30)
"""The longest that a temporary one can; what is printed holds at least half as long."""
LONGEST_LABEL = 60


class ScenesOfNobody(NotFound):
    """There is no signing code {codes} in any launched campaign; compare it with the letter or text."""


class SceneCampaignUnknown(NotFound):
    """There is no campaign {name}; `outreach campaign list` shows those there are."""


class SceneTooEarly(Refused):
    """Campaign {name} was not launched yet: another plan would make other codes. Launch it, then make its QR codes."""


class NoLabel(BadInput):
    """A poster needs a label that says where it hangs, of at most {most} characters."""


@dataclass(frozen=True, slots=True)
class Personal:
    """A recipient with his QR code: the scene's row and word, and what the code holds, empty while it is still to be asked for."""

    scene_id: int
    scene: str
    code: str
    enterprise: str
    town: str
    url: str
    expires_at: datetime | None

    def lacks(self, now: datetime) -> bool:
        """Whether the provider must be asked for it, for the first time or anew."""
        return not self.url or (self.expires_at is not None and self.expires_at - now < LASTS / 2)


def of_codes(session: Session, codes: Collection[str], *, settings: Settings, town: str = "", now: datetime) -> list[Personal]:
    """Return the recipients with these codes, each with a scene, which is made where there is none. Raises ScenesOfNobody."""
    typed = {tidy(code) for code in codes}
    found = _personal(session, settings, town, Recipient.code.in_(typed), now=now)
    if missing := typed - {one.code for one in found}:
        raise ScenesOfNobody(what="code", codes="、".join(sorted(missing)))
    return found


def of_campaign(session: Session, name: str, *, settings: Settings, town: str = "", limit: int | None = None, now: datetime) -> list[Personal]:
    """Return the recipients of a campaign who have still something to answer, by town and code, each with a scene; at most `limit`.

    Raises SceneCampaignUnknown and SceneTooEarly.
    """
    campaign = session.scalars(select(Campaign).where(Campaign.name == name, Campaign.mode == settings.mode)).one_or_none()
    if campaign is None:
        raise SceneCampaignUnknown(what="campaign", name=name)
    if campaign.launched_at is None:
        raise SceneTooEarly(name=name)
    enterprise = RecipientEnterprise.enterprise_id == Enterprise.id
    open_one = exists().where(RecipientEnterprise.recipient_id == Recipient.id, enterprise, Enterprise.settled_at.is_(None))
    return _personal(session, settings, town, Recipient.campaign_id == campaign.id, Recipient.stopped_at.is_(None), open_one, limit=limit, now=now)


def _personal(session: Session, settings: Settings, town: str, *conditions: ColumnElement[bool], limit: int | None = None, now: datetime) -> list[Personal]:
    first = select(func.min(Scene.id)).where(Scene.recipient_id == Recipient.id).correlate(Recipient).scalar_subquery()
    asked = (
        select(Recipient.id, Recipient.code, Recipient.fields, Recipient.town, Scene.id.label("scene_id"), Scene.scene, Scene.url, Scene.expires_at)
        .join(Campaign, Campaign.id == Recipient.campaign_id)
        .outerjoin(Scene, Scene.id == first)
        .where(Recipient.exclusion.is_(None), Campaign.launched_at.is_not(None), Campaign.mode == settings.mode, *conditions)
        .order_by(Recipient.town, Recipient.code)
        .limit(limit)
    )
    if town:
        asked = asked.where(Recipient.town == town)
    rows = session.execute(asked).all()
    if new := [row.id for row in rows if row.scene_id is None]:
        bulk.insert_rows(session, Scene, [{"scene": _word(), "recipient_id": key, "url": "", "made_at": now} for key in new])
        rows = session.execute(asked).all()
    return [_one(row) for row in rows]


def _one(row: Row[*tuple[object, ...]]) -> Personal:
    return Personal(row.scene_id, row.scene, row.code, str(row.fields.get("enterprise", "")), row.town, row.url, row.expires_at)


def _word() -> str:
    """Make the word that the provider sends back when the code is scanned: it says nothing of anybody."""
    return f"r{tokens.serial()}"


def keep(session: Session, asked: Sequence[tuple[int, str, datetime | None]]) -> None:
    """Keep what QR codes hold, and until when: scene's row, url, moment; in one statement."""
    rows = [{"id": key, "url": url, "expires_at": until} for key, url, until in asked]
    bulk.update_rows(session, Scene, rows, keys=["id"], sets=["url", "expires_at"])


@dataclass(frozen=True, slots=True)
class Poster:
    """The QR code of a poster: whoever scans it meets the account, and the label tells where."""

    scene_id: int
    scene: str
    url: str


def poster(session: Session, label: str, *, now: datetime) -> Poster:
    """Return the scene of a poster, made when its label is first named. Raises NoLabel."""
    name = cleaning.text(label)
    if not name or len(name) > LONGEST_LABEL:
        raise NoLabel(what="label", most=LONGEST_LABEL)
    found = session.scalars(select(Scene).where(Scene.label == name, Scene.recipient_id.is_(None)).order_by(Scene.id).limit(1)).one_or_none()
    if found is None:
        found = Scene(scene=_word(), label=name, url="", made_at=now)
        session.add(found)
        session.flush()
    return Poster(found.id, found.scene, found.url)
