"""Towns get their workbooks, somebody goes round, what was typed in comes back, and the statement adds up: as a stranger does it."""

import csv
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import openpyxl
import papers
import pytest
from office import CONTENT, Stranger, end, until

RESULTS = {"已见面": "delivered", "已签纸质件": "delivered", "愿意签订": "delivered", "已停业": "undelivered", "拒绝签订": "delivered", "未找到": "undelivered"}
TOWNS = ("逍林镇", "桥头镇")
MANY = 12000


@pytest.fixture
def office(tmp_path: Path, database_url: str):
    with Stranger(tmp_path / "office", None if database_url.startswith("sqlite") else database_url) as office:
        yield office


def type_results(path: Path) -> Counter[str]:
    """Type one result after the other into the rows of a town's workbook, with gaps, and return how often each."""
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    places = {cell.value: cell.column for cell in sheet[1]}
    said: Counter[str] = Counter()
    for row in range(2, sheet.max_row + 1):
        if row % 7 == 0 or not sheet.cell(row, places["走访编号"]).value:
            continue
        result = list(RESULTS)[row % len(RESULTS)]
        said[result] += 1
        for heading, value in (("走访人", "王村干"), ("结果", result), ("走访说明", f"第{row}行")):
            sheet.cell(row, places[heading], value)
    book.save(path)
    return said


def test_the_rounds_of_all_towns_come_back_and_add_up(office: Stranger) -> None:
    office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"))
    path = office.campaign("drive", goal='{pledge = "no-arrears-2026"}', audience=f'"镇街 in ({", ".join(TOWNS)})"')
    path.write_text(path.read_text("utf-8") + '[[step]]\nchannel = "visit"\nwhen = "unsigned"\n', "utf-8")
    plan = office.json("campaign", "plan", str(path), signed="alice")
    office.ok("campaign", "approve", "drive", "--code", plan["code"], signed="bob")
    office.json("campaign", "launch", "drive")
    visits = office.json("visits", "list", "--open")
    assert visits["total"] == plan["recipients"]
    assert {row["condition"] for row in visits["rows"]} == {"unsigned"}
    assert {row["tried"][0]["channel"] for row in visits["rows"]} == {"sms"}
    towns = Counter(row["town"] for row in visits["rows"])
    assert set(towns) == set(TOWNS)
    for town, count in towns.items():
        given = office.json("visits", "issue", "--visitor", f"{town}的人", "--town", town)
        assert (given["given"], given["skipped"]) == (count, {})
    biggest, count = towns.most_common(1)[0]
    office.ok("visits", "sheet", "--visitor", f"{biggest}的人", "--out", "走访单.pdf")
    sheet = (office.home / "走访单.pdf").read_bytes()
    assert len(set(papers.codes(sheet, dpi=150))) == count
    printed = papers.words(sheet)
    for row in visits["rows"]:
        assert (row["code"] in printed) == (row["town"] == biggest)

    folder = office.home / "各镇街"
    office.ok("report", "towns", "--campaign", "drive", "--split", "--out", str(folder))
    said: Counter[str] = Counter()
    for path in sorted(folder.glob("*.xlsx")):
        if "对账表" in path.name:
            continue
        typed = type_results(path)
        said += typed
        first = office.json("visits", "import", str(path))
        assert first["read"] == first["recorded"] + first["already"] + first["unchanged"] + first["rejected"]
        assert (first["recorded"], first["rejected"], first["results"].get("refused", 0)) == (typed.total(), 0, typed["拒绝签订"])
        again = office.json("visits", "import", str(path))
        assert (again["recorded"], again["already"]) == (0, typed.total())

    assert office.sql("select count(*) from visit_result") == [(said.total(),)]
    statement = office.json("campaign", "statement", "drive")
    step = next(step for step in statement["steps"] if step["channel"] == "visit")
    alone = dict(office.sql("select enterprise_id, 1 from recipient_enterprise group by enterprise_id, recipient_id"))
    assert (step["adds_up"], statement["enterprises"]["adds_up"], len(alone)) == (True, True, statement["enterprises"]["selected"])
    made = dict(office.sql("select state, count(*) from delivery where channel = 'visit' group by state"))
    assert (step["delivered"], step["undelivered"], step["waiting"]["accepted"]) == (made["delivered"], made["undelivered"], made["accepted"])
    assert office.sql("select count(*) from enterprise where closed_at is not null") == [(said["已停业"],)]
    assert office.sql("select count(*) from enterprise where outcome = 'declined'") == [(said["拒绝签订"],)]
    assert office.sql("select count(*) from signature where state = 'pending' and way = 'paper'") == [(said["已签纸质件"],)]
    assert statement["enterprises"]["declined"] == said["拒绝签订"]
    assert statement["enterprises"]["signed"] == 0, "no paper counts without its scan"
    office.ok("pledges", "audit")


def many(office: Stranger) -> Path:
    """Import thousands of enterprises, and return a list that says of each that nobody was found."""
    contacts, results = office.home / "many.csv", office.home / "results.csv"
    for path, rest in ((contacts, {"镇街": "甲镇"}), (results, {"走访人": "王村干", "结果": "未找到"})):
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer: Any = csv.writer(file)
            writer.writerow(["企业名称", *rest])
            writer.writerows([f"第{number}号企业", *rest.values()] for number in range(MANY))
    office.ok("contacts", "import", str(contacts))
    return results


@pytest.mark.long
@pytest.mark.parametrize("stopped_by", [signal.SIGKILL, signal.SIGINT])
def test_an_import_that_is_broken_off_goes_on_where_it_stopped(office: Stranger, stopped_by: signal.Signals) -> None:
    results = many(office)
    process = office.start("visits", "import", str(results), "--format", "json")
    until(lambda: office.sql("select count(*) from visit_result")[0][0] > 0, seconds=60)
    process.send_signal(stopped_by)
    process.communicate(timeout=60)
    assert process.returncode == (130 if stopped_by is signal.SIGINT else -9)
    [(there,)] = office.sql("select count(*) from visit_result")
    assert 0 < there < MANY
    rest = office.json("visits", "import", str(results))
    assert (rest["read"], rest["already"], rest["recorded"]) == (MANY, there, MANY - there)
    assert office.sql("select count(*), count(distinct enterprise_id) from visit_result") == [(MANY, MANY)]
    end(process)
