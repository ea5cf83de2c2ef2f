"""Sheets are printed for whoever has not answered, each with a way back to its own enterprise."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from papers import codes
from sqlalchemy import update

from outreach import clock
from outreach.database.engine import Database
from outreach.database.tables import Enterprise, Recipient
from outreach.links import personal, resolving
from outreach.pledges import sheet_codes, sheets, signing
from outreach.pledges.sheets import CampaignUnknown, CodesUnknown, NobodyLeft

from drive import Databases, Office, office, phone  # isort: skip
from test_pledges_signing import decline, declining  # isort: skip


@pytest.fixture(scope="module")
def kept() -> Iterator[Databases]:
    databases = Databases()
    yield databases
    databases.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, kept: Databases) -> Database:
    return kept.empty(request)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    return office(database, tmp_path)


def printed(desk: Office, *given: str, campaign: str = "", **keys: Any) -> list[sheets.Sheet]:
    with desk.database.read() as session:
        if campaign:
            batches = sheets.of_campaign(session, campaign, settings=desk.settings, **keys)
        else:
            batches = sheets.of_codes(session, given, settings=desk.settings, **keys)
    assert all(batch.version.pledge == "no-arrears-2026" for batch in batches)
    return [sheet for batch in batches for sheet in batch.sheets]


def names(desk: Office, *enterprises: int) -> list[str]:
    return [row.name for row in desk.rows(Enterprise) if row.id in enterprises]


def test_the_qr_code_of_a_sheet_leads_to_its_own_recipient_by_way_of_paper(desk: Office) -> None:
    desk.enterprises(2)
    desk.asking()
    first, second = desk.recipients()
    [sheet] = printed(desk, f" {second.code[:3].lower()}-{second.code[3:]} ")
    assert (sheet.code, sheet.town) == (second.code, "桥头镇")
    with desk.database.read() as session:
        visitor = resolving.resolve(session, sheet.address.rpartition("/p/")[2], settings=desk.settings, now=clock.now())
    assert (visitor.recipient_id, visitor.way) == (second.id, "paper")
    assert first.id != second.id


def test_a_person_of_several_enterprises_gets_a_sheet_for_each_that_says_which(desk: Office) -> None:
    mine = desk.enterprises(3, phones=[phone(7)] * 3)
    desk.asking()
    [recipient] = desk.recipients()
    desk.sign(desk.signing(recipient.id, mine[1]))
    both = printed(desk, recipient.code)
    assert [sheet.enterprise for sheet in both] == sorted(names(desk, mine[0], mine[2]))
    marks = [sheet_codes.mark(sheet.address) for sheet in both]
    assert {mark.enterprise_id for mark in marks if mark} == {mine[0], mine[2]}
    assert {mark.claimed for mark in marks if mark} == {personal.read(desk.link(recipient.id, way="paper"))}
    with desk.database.read() as session:
        batches = sheets.of_codes(session, [recipient.code], settings=desk.settings)
    assert codes(sheets.pdf(batches, settings=desk.settings, now=clock.now())) == [sheet.address for sheet in both]


def test_a_campaign_prints_those_who_have_not_answered_by_town_and_name(desk: Office) -> None:
    mine = desk.enterprises(7)
    desk.asking()
    signed, declined, withdrew, _closed, stopped, *left = desk.recipients()
    desk.sign(desk.signing(signed.id), desk.signing(withdrew.id))
    decline(desk, declining(desk, declined.id))
    with desk.database.write() as session:
        signing.withdraw(session, _serial(desk, withdrew.id), reason="改主意", by="alice", now=clock.now())
        session.execute(update(Enterprise).where(Enterprise.id == mine[3]).values(closed_at=clock.now()))
        session.execute(update(Recipient).where(Recipient.id == stopped.id).values(stopped_at=clock.now()))
    assert [sheet.enterprise for sheet in printed(desk, campaign="drive")] == sorted(names(desk, *mine[5:]))
    assert [sheet.code for sheet in printed(desk, stopped.code)] == [stopped.code], "who is named by code is printed all the same"
    assert len(left) == 2
    with pytest.raises(NobodyLeft):
        printed(desk, campaign="drive", town="观海卫镇")
    with pytest.raises(NobodyLeft):
        printed(desk, signed.code)


def _serial(desk: Office, recipient: int) -> str:
    [spoken] = desk.visitor(recipient).enterprises
    assert spoken.signature is not None
    return spoken.signature.serial


def test_codes_and_campaigns_that_are_none_are_named(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    desk.enterprises(town="观海卫镇")
    desk.launch("plain", town="观海卫镇")
    [asked, unasked] = desk.recipients()
    for given in (["2B3C4D"], [asked.code, "XXXXXX"], [unasked.code]):
        with pytest.raises(CodesUnknown, match=given[-1]):
            printed(desk, *given)
    with pytest.raises(CodesUnknown):
        printed(desk, asked.code, town="观海卫镇")
    for name in ("plain", "nothing"):
        with pytest.raises(CampaignUnknown, match=name):
            printed(desk, campaign=name)
