"""Letters and visits in the reports: figures that add up, in words that fit what people carry."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import update

from outreach import cli, clock
from outreach.cli.wording import statement_lines
from outreach.contacts import directory, postal
from outreach.database.tables import Address, Enterprise
from outreach.outbox import carried
from outreach.reports import deliveries, statements, town_books, words

from drive import SHORT, Office  # isort: skip

LETTER = {"channel": "letter", "template": "letter/open-letter"}
STEPS = [LETTER, {"channel": "visit", "when": "unreached"}]


@pytest.fixture
def desk(desk: Office) -> Office:
    """Two towns with a letter each printed, posted and returned; one that must not be sent; one queued; one enterprise without an address."""
    for town, count in (("桥头镇", 5), ("观海卫镇", 3)):
        for number in desk.enterprises(count, town=town):
            desk.write(update(Enterprise).where(Enterprise.id == number).values(address=f"示例路{number}号"))
    desk.enterprises(town="观海卫镇")
    desk.launch(audience="全部", steps=STEPS, goal={"pledge": "no-arrears-2026"})
    return desk


def carry(desk: Office) -> None:
    """Print, post and bring back: the second of a town comes back, the third is printed, the fourth must not go any more."""
    letters = [row for row in desk.deliveries() if row.state == "queued"]
    by_town = [letters[:5], letters[5:]]
    now = clock.now()
    with desk.database.write() as session:
        for of_town in by_town:
            carried.accept(session, [row.id for row in of_town[:3]], now=now)
            carried.arrive(session, {row.id: "delivered" for row in of_town[:2]}, at=now)
            carried.arrive(session, {of_town[1].id: "undelivered"}, at=now, reasons={of_town[1].id: "moved"})
        address = next(row.value for row in _addresses(desk) if row.id == letters[3].address_id)
        directory.opt_out(session, channel=postal.CHANNEL, value=address, now=now)
        carried.skip_refused(session, now=now)


def _addresses(desk: Office) -> list[Any]:
    return desk.rows(Address)


def test_the_figures_of_letters_add_up_by_channel_and_town(desk: Office) -> None:
    carry(desk)
    with desk.database.read() as session:
        table = deliveries.deliveries(session, by=("channel", "town"), mode=desk.settings.mode)
    figures = {row["town"]: {key: row[key] for key in ("included", "delivered", "undelivered", "accepted", "queued", "skipped")} for row in table.rows}
    assert figures == {
        "桥头镇": {"included": 5, "delivered": 1, "undelivered": 1, "accepted": 1, "queued": 1, "skipped": 1},
        "观海卫镇": {"included": 4, "delivered": 1, "undelivered": 1, "accepted": 1, "queued": 0, "skipped": 1},
    }
    assert all(row["included"] == sum(row[part] for part in deliveries.PARTS) for row in (*table.rows, table.totals))
    headings = {column.id: column.label for column in table.columns}
    assert [headings[key] for key in ("delivered", "undelivered", "accepted", "queued")] == ["Posted", "Returned", "Printed, to be posted", "To be printed"]


def test_a_table_of_several_channels_has_the_words_that_fit_all(desk: Office) -> None:
    carry(desk)
    desk.launch("texts", steps=[{"channel": "sms", "template": SHORT}])
    with desk.database.read() as session:
        table = deliveries.deliveries(session, by=("channel",), mode=desk.settings.mode)
    assert {row["channel"] for row in table.rows} == {"letter", "sms"}
    assert {column.id: column.label for column in table.columns}["delivered"] == "Delivered"


def test_behind_a_figure_stand_the_letters_with_their_addresses_and_nobodys_phone(desk: Office) -> None:
    carry(desk)
    with desk.database.read() as session:
        back = list(deliveries.rows(session, state="undelivered", mode=desk.settings.mode, unmask=True))
        everything = list(deliveries.rows(session, mode=desk.settings.mode))
    assert [(row["address"], row["phone"], row["reason"]) for row in back] == [("示例路2号", "", "moved"), ("示例路7号", "", "moved")]
    assert len(everything) == 9 and not any("****" in str(row) for row in everything)
    assert [row["reason"] for row in words.in_words(back)] == ["moved away", "moved away"]


def test_the_statement_speaks_of_letters_as_people_do(desk: Office) -> None:
    carry(desk)
    document = desk.statement()
    line, enterprises = statement_lines(document)
    assert line == (
        "Step 1 letter: 9 = posted 2 + returned 2 + printed, to be posted 2 + to be printed 1"
        " + not sent (no postal address 1, no letters to this address 1) 2 ✓"
    )
    assert "reached 2" in enterprises
    table = statements.steps_table(document)
    assert {column.id: column.label for column in table.columns}["skipped_no_address"] == "Not sent: no postal address"


def test_who_goes_to_an_enterprise_reads_that_its_letter_came_back(desk: Office) -> None:
    carry(desk)
    with desk.database.read() as session:
        [town, _other] = town_books.towns(session, campaign="drive")
        stream = BytesIO()
        town_books.write(town, stream)
    book = openpyxl.load_workbook(stream)
    headings, *rows = book.worksheets[0].values
    said = [dict(zip(headings, row, strict=True))["送达情况"] for row in rows]
    assert [any(word in (line or "") for line in said) for word in ("已寄出", "退回（已迁移）", "已印待寄", "该地址停寄", "待印")] == [True] * 5, said


def test_letters_and_visits_are_told_apart_at_the_command_line(desk: Office, tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    carry(desk)
    code, out = run("report", "deliveries", "--campaign", "drive", "--by", "channel,town")
    assert code == 0 and "Posted" in out and "Returned" in out
    code, out = run("report", "deliveries", "--campaign", "drive", "--rows", "--state", "undelivered")
    assert code == 0 and "示例路2号" in out and "moved away" in out
    code, out = run("report", "deliveries", "--campaign", "drive", "--rows", "--format", "json")
    assert {row["channel"] for row in json.loads(out)["rows"]} == {"letter"} and json.loads(out)["rows"][1]["reason"] == "moved"


@pytest.fixture
def run(desk: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("OUTREACH_LANG", "en")
    monkeypatch.setenv("OUTREACH_DATABASE_URL", desk.database.url)

    def command(*arguments: str) -> tuple[int, str]:
        return cli.run(["--home", str(tmp_path), *arguments]), capsys.readouterr().out

    return command
