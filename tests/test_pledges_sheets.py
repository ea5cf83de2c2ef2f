"""Sheets are printed for whoever has not answered, each with a way back to its own enterprise."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pypdfium2
import pytest
from papers import codes, words
from sqlalchemy import select, update

from outreach import clock
from outreach.campaigns import launching
from outreach.database.tables import Enterprise, Recipient
from outreach.links import personal, resolving
from outreach.pledges import documents, sheet_codes, sheets, signing
from outreach.pledges.sheets import CampaignUnknown, CodesUnknown, NobodyLeft, NothingAsked, PlaceUnknown, Where
from outreach.pledges.versions import PledgeUnknown

from drive import PLEDGE, Office, phone  # isort: skip
from test_pledges_signing import decline, declining  # isort: skip

AT = datetime(2026, 1, 15, 4, tzinfo=UTC)


def printed(desk: Office, *given: str, campaign: str = "", place: bool = False, **keys: Any) -> list[documents.Sheet]:
    with desk.database.read() as session:
        if place:
            batches = sheets.of_place(session, settings=desk.settings, **keys)
        elif campaign:
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
    with pytest.raises(PlaceUnknown, match="观海卫镇"):
        printed(desk, campaign="drive", where=Where(["桥头镇", "观海卫镇"], ["无此村"]))
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
        printed(desk, asked.code, where=Where(["观海卫镇"]))
    for name in ("plain", "nothing"):
        with pytest.raises(CampaignUnknown, match=name):
            printed(desk, campaign=name)


# --- a place, an event ---


def moved(desk: Office, village: str, *enterprises: int) -> None:
    desk.write(update(Enterprise).where(Enterprise.id.in_(enterprises)).values(village=village))


def test_a_place_gets_the_sheets_of_all_there_who_were_asked_and_have_not_answered(desk: Office) -> None:
    mine = desk.enterprises(4)
    [elsewhere] = desk.enterprises(town="观海卫镇")
    desk.asking()
    desk.asking("other", town="观海卫镇")
    signed, _declined, *_left = desk.recipients()
    desk.sign(desk.signing(signed.id))
    decline(desk, declining(desk, desk.recipients()[1].id))
    moved(desk, "五村", mine[3])
    assert [sheet.enterprise for sheet in printed(desk, place=True, where=Where(["桥头镇"]))] == names(desk, *mine[2:])
    assert [sheet.enterprise for sheet in printed(desk, place=True, where=Where(["桥头镇", "观海卫镇"]))] == names(desk, *mine[2:], elsewhere)
    assert [sheet.enterprise for sheet in printed(desk, place=True, where=Where(villages=["五村"]))] == names(desk, mine[3])
    chosen = Where(["桥头镇"], chosen=select(Enterprise.id).where(Enterprise.id == mine[2]))
    assert [sheet.enterprise for sheet in printed(desk, campaign="drive", where=chosen)] == names(desk, mine[2])
    with pytest.raises(NobodyLeft):
        printed(desk, place=True, where=Where(["桥头镇"], chosen=select(Enterprise.id).where(Enterprise.id == mine[0])))
    with pytest.raises(PlaceUnknown, match="六村"):
        printed(desk, place=True, where=Where(villages=["六村"]))


def test_who_was_asked_twice_gets_one_sheet_by_the_newest_campaign_that_was_not_cancelled(desk: Office) -> None:
    desk.enterprises(2)
    first = desk.asking()
    second = desk.asking("second")
    assert {sheet.code for sheet in printed(desk, place=True, where=Where(["桥头镇"]))} == {row.code for row in desk.recipients(second)}
    with desk.database.write() as session:
        launching.cancel(session, "second", now=clock.now())
    assert {sheet.code for sheet in printed(desk, place=True, where=Where(["桥头镇"]))} == {row.code for row in desk.recipients(first)}


def test_blank_sheets_bear_the_pledge_of_the_newest_campaign_or_the_one_that_is_named(desk: Office) -> None:
    with desk.database.write() as session:
        with pytest.raises(NothingAsked):
            sheets.version_asked(session, "", settings=desk.settings, now=clock.now())
        frozen = sheets.version_asked(session, PLEDGE, settings=desk.settings, now=clock.now())
        assert frozen.number == 1, "what is signed by hand is kept word for word, even before anybody was asked"
        with pytest.raises(PledgeUnknown):
            sheets.version_asked(session, "nothing", settings=desk.settings, now=clock.now())
    desk.enterprises()
    desk.asking()
    with desk.database.write() as session:
        assert sheets.version_asked(session, "", settings=desk.settings, now=clock.now()).id == frozen.id
        assert sheets.version_of_campaign(session, "drive", settings=desk.settings).id == frozen.id
    batch = sheets.blank(frozen, 2, town="桥头镇", settings=desk.settings)
    content = sheets.pdf(sheets.at_event([batch], "春风行动招聘会"), settings=desk.settings, now=clock.now())
    assert codes(content) == [f"{desk.settings.public_url}/"] * 2
    said = words(content)
    assert said.count("春风行动招聘会") == said.count("桥头镇") == said.count("统一社会信用代码：") == 2


def test_a_name_that_no_font_can_set_is_named_and_the_others_are_printed(desk: Office) -> None:
    [odd, _fine] = desk.enterprises(2)
    desk.write(update(Enterprise).where(Enterprise.id == odd).values(name="𪛖野食品厂"))
    desk.asking()
    with desk.database.read() as session:
        batches, left_out = sheets.printable(sheets.of_campaign(session, "drive", settings=desk.settings), settings=desk.settings)
    assert left_out == {"𪛖野食品厂": "𪛖 (U+2A6D6)"}
    assert [sheet.enterprise for batch in batches for sheet in batch.sheets] == names(desk, _fine)


def test_a_long_run_is_written_in_parts_page_for_page_and_the_same_each_time(desk: Office) -> None:
    desk.enterprises(3)
    desk.asking()
    [batch] = sheets_of(desk)
    many = [sheets.Batch(batch.version, [replace(batch.sheets[0], code=f"{number:06d}") for number in range(documents.AT_ONCE + 3)]), batch]
    told: list[int] = []
    made = []
    for _time in range(2):
        stream = BytesIO()
        size = sheets.write(many, stream, settings=desk.settings, now=AT, progress=told.append)
        assert size == len(stream.getvalue())
        made.append(stream.getvalue())
    assert made[0] == made[1] and b"20260115040000" in made[0]
    assert told == [documents.AT_ONCE, documents.AT_ONCE + 3, documents.AT_ONCE + 6] * 2
    with closing(pypdfium2.PdfDocument(made[0])) as document:
        pages = [document[page].get_textpage().get_text_bounded() for page in range(len(document))]
    assert [sheet.code in page for page, sheet in zip(pages, [*many[0].sheets, *batch.sheets], strict=True)] == [True] * len(pages)


def sheets_of(desk: Office) -> list[sheets.Batch]:
    with desk.database.read() as session:
        return sheets.of_campaign(session, "drive", settings=desk.settings)
