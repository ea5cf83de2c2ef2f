"""QR codes of the account are asked for once, hold while paper lies about, and name nobody; followers are held against the provider's list."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from signers import Signers
from sqlalchemy import insert, text, update

from outreach.database import bulk
from outreach.database.engine import Database
from outreach.database.tables import Address, Campaign, Enterprise, Recipient
from outreach.database.wechat_tables import Binding, Follower, Scene
from outreach.links import followers, scenes
from outreach.links.scenes import NoLabel, Personal, SceneCampaignUnknown, ScenesOfNobody, SceneTooEarly
from outreach.reports import followers as people
from outreach.settings import Settings

from conftest import NOON  # isort: skip

REHEARSAL = Settings(office_key="0" * 64)
DAY = timedelta(days=1)


@pytest.fixture
def office(database: Database) -> Signers:
    """Three recipients of a launched campaign."""
    made = Signers(database).found()
    made.write(update(Campaign).values(name="drive", mode="rehearsal", launched_at=NOON))
    return made


def of_campaign(office: Signers, *, at: datetime = NOON, **which: Any) -> list[Personal]:
    with office.database.write() as session:
        return scenes.of_campaign(session, "drive", settings=REHEARSAL, now=at, **which)


def of_codes(office: Signers, *codes: str, at: datetime = NOON) -> list[Personal]:
    with office.database.write() as session:
        return scenes.of_codes(session, codes, settings=REHEARSAL, now=at)


def keep(office: Signers, found: list[Personal], at: datetime = NOON) -> None:
    with office.database.write() as session:
        scenes.keep(session, [(one.scene_id, f"http://weixin.qq.com/q/{one.scene}", at + scenes.LASTS) for one in found])


def test_each_recipient_gets_one_random_word_that_a_second_run_finds_again(office: Signers) -> None:
    first = of_campaign(office)
    assert sorted(one.code for one in first) == sorted(office.codes)
    assert all(one.lacks(NOON) and re.fullmatch("r[0-9a-f]{24}", one.scene) for one in first)
    assert len({one.scene for one in first}) == 3
    assert of_campaign(office) == first
    assert office.rows("select count(*) from scene")[0][0] == 3


def test_what_was_asked_for_is_not_asked_for_again_until_half_its_life_is_over(office: Signers) -> None:
    found = of_campaign(office)
    keep(office, found[:2])
    again = of_campaign(office)
    assert [one.lacks(NOON) for one in again] == [False, False, True]
    assert [one.scene for one in again] == [one.scene for one in found]
    for days, lacks in ((14, False), (16, True), (40, True)):
        assert again[0].lacks(NOON + days * DAY) is lacks


def test_a_recipient_who_answered_or_stopped_gets_none_with_the_campaign_but_by_the_code(office: Signers) -> None:
    office.write(update(Enterprise).where(Enterprise.id == office.enterprises[0]).values(settled_at=NOON))
    office.write(update(Recipient).where(Recipient.id == office.recipients[1]).values(stopped_at=NOON))
    assert [one.code for one in of_campaign(office)] == [office.codes[2]]
    assert [one.code for one in of_codes(office, office.codes[0].lower() + " ")] == [office.codes[0]]


def test_town_and_limit_narrow_a_campaign(office: Signers) -> None:
    office.write(update(Recipient).where(Recipient.id == office.recipients[0]).values(town="桥头镇"))
    assert [one.code for one in of_campaign(office, town="桥头镇")] == [office.codes[0]]
    assert len(of_campaign(office, limit=2)) == 2
    assert office.rows("select count(*) from scene")[0][0] <= 3


def test_codes_and_campaigns_that_are_not_there_or_not_launched_are_refused(office: Signers) -> None:
    with pytest.raises(ScenesOfNobody):
        of_codes(office, office.codes[0], "AAAAAA")
    with pytest.raises(SceneCampaignUnknown), office.database.write() as session:
        scenes.of_campaign(session, "nowhere", settings=REHEARSAL, now=NOON)
    office.write(update(Campaign).values(launched_at=None))
    with pytest.raises(SceneTooEarly):
        of_campaign(office)
    with pytest.raises(ScenesOfNobody):
        of_codes(office, office.codes[0])


def test_a_poster_has_one_scene_by_its_label_and_no_recipient(office: Signers) -> None:
    with office.database.write() as session:
        first = scenes.poster(session, " 逍林镇政务大厅 ", now=NOON)
        assert scenes.poster(session, "逍林镇政务大厅", now=NOON + DAY) == first
        assert scenes.poster(session, "桥头镇", now=NOON).scene != first.scene
        scenes.keep(session, [(first.scene_id, "http://weixin.qq.com/q/x", None)])
        assert scenes.poster(session, "逍林镇政务大厅", now=NOON + 400 * DAY).url == "http://weixin.qq.com/q/x"
        for label in ("  ", "长" * 61):
            with pytest.raises(NoLabel):
                scenes.poster(session, label, now=NOON)
    assert {row.recipient_id for row in office.rows("select recipient_id from scene")} == {None}


def follow(office: Signers, *rows: dict[str, Any]) -> None:
    known = {"follows": True, "followed_at": NOON - DAY, "left_at": None}
    with office.database.write() as session:
        bulk.insert_rows(session, Follower, [known | row for row in rows])


def bind(office: Signers, openid: str, number: int) -> None:
    phone = office.rows(f"select phone from contact where id = {office.contacts[number]}")[0].phone
    office.write(insert(Binding).values(openid=openid, contact_id=office.contacts[number], phone=phone, way="scene", bound_at=NOON))


def sync(office: Signers, pages: list[list[str]], *, since: datetime = NOON, sure: bool = False) -> tuple[int, int, int]:
    """Do what the command does, and return how many came, left and were unbound."""
    with office.database.write() as session:
        came = sum(followers.found_following(session, page, since=since) for page in pages)
        away = followers.gone(session, {openid for page in pages for openid in page}, since=since, sure=sure)
        return came, len(away), followers.left(session, away, since=since, now=since + DAY)


def standing(office: Signers) -> dict[str, bool]:
    return {row.openid: bool(row.follows) for row in office.rows("select openid, follows from follower")}


def test_the_providers_list_brings_in_whom_we_missed_and_lets_go_who_left_unheard(office: Signers) -> None:
    follow(office, {"openid": "o-here"}, {"openid": "o-gone"}, {"openid": "o-back", "follows": False, "left_at": NOON - DAY})
    bind(office, "o-here", 0)
    bind(office, "o-gone", 1)
    assert sync(office, [["o-here", "o-new"], ["o-back", "o-new"]]) == (2, 1, 1)
    assert standing(office) == {"o-here": True, "o-gone": False, "o-back": True, "o-new": True}
    ended = office.rows("select openid, ended_reason from binding where ended_at is not null")
    assert [tuple(row) for row in ended] == [("o-gone", "unsubscribed")]
    assert sync(office, [["o-here", "o-new"], ["o-back"]]) == (0, 0, 0)


def test_an_event_that_came_while_the_list_was_read_prevails(office: Signers) -> None:
    moments = {"followed_at": NOON + timedelta(seconds=5)}, {"follows": False, "left_at": NOON + timedelta(seconds=5)}
    follow(office, {"openid": "o-just-came", **moments[0]})
    follow(office, {"openid": "o-just-left", **moments[1]})
    assert sync(office, [["o-just-left"]]) == (0, 0, 0)
    assert standing(office) == {"o-just-came": True, "o-just-left": False}


def test_a_list_of_another_account_takes_nobody_away(office: Signers) -> None:
    follow(office, *({"openid": f"o{number}"} for number in range(300)))
    with pytest.raises(followers.TooManyGone):
        sync(office, [["x1", "x2"]])
    assert sum(standing(office).values()) == 300
    assert sync(office, [["o1", "o2"]], sure=True)[1] == 298


def test_who_was_refused_for_not_following_may_be_written_to_again_but_not_who_said_no(office: Signers) -> None:
    follow(office, {"openid": "o-back", "follows": False}, {"openid": "o-no", "follows": False})
    for openid, reason in (("o-back", "address"), ("o-no", "opted_out")):
        office.write(insert(Address).values(channel="wechat", value=openid, suppressed_at=NOON, suppressed_reason=reason, suppressed_source="43004"))
    sync(office, [["o-back", "o-no"]])
    assert [row.value for row in office.rows("select value from address where suppressed_at is not null")] == ["o-no"]


def test_the_list_of_followers_is_masked_and_adds_up(office: Signers) -> None:
    follow(office, *({"openid": f"oRf1x5Gd_{number:019}"} for number in range(5)), {"openid": "oRf1x5Gd_of-one-who-left-us", "follows": False})
    bind(office, f"oRf1x5Gd_{0:019}", 0)
    bind(office, f"oRf1x5Gd_{0:019}", 1)
    with office.database.read() as session:
        counted = people.counts(session)
        listed = list(people.rows(session))
        assert counted == {"following": 5, "bound": 1, "unbound": 4, "left": 1, "contacts": 2}
        for state in people.STATES:
            page = people.listing(session, state=state, limit=2)
            found = [*page.rows]
            while page.next is not None:
                page = people.listing(session, state=state, limit=2, after=int(page.next))
                found += page.rows
            assert len(found) == page.total == counted[state]
            assert {row["standing"] for row in found} == {state}
        whole = list(people.rows(session, state="bound", unmask=True))
    assert len(listed) == 6
    assert all("****" in row["openid"] for row in listed)
    assert [(row["contacts"], row["contact"]) for row in whole] == [(2, "王小明")]
    assert whole[0]["openid"] == f"oRf1x5Gd_{0:019}"
    with office.database.write() as session:
        session.execute(text("update contact set phone = '+8613000000000'"))
        assert people.counts(session)["contacts"] == 0, "a phone that changed voids what was confirmed by it"


def test_replanning_a_campaign_takes_its_scenes_away_with_its_recipients(office: Signers) -> None:
    of_campaign(office)
    with office.database.write() as session:
        for table in ("recipient_contact", "recipient_enterprise", "recipient"):
            session.execute(text(f"delete from {table}"))
        assert session.query(Scene).count() == 0
