"""A list that came back is read row by row: each is recorded, known, empty or refused for a reason, and read twice it changes nothing."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from outreach import clock
from outreach.campaigns import visit_lists
from outreach.campaigns.visit_lists import Asked, ImportResult
from outreach.clock import OFFICE_ZONE
from outreach.contacts import reading
from outreach.database.engine import Database
from outreach.database.paper_tables import VISIT_RESULTS, VisitResult
from outreach.database.pledge_tables import Refusal, Signature
from outreach.database.tables import Contact, Delivery, Enterprise, Recipient
from outreach.reports import town_books
from outreach.reports import visits as report
from outreach.visits import workbook
from outreach.visits.workbook import HEADINGS, REASONS, RESULTS, Faulty, NoResultsList

from drive import Office, office  # isort: skip
from rounds import SEEN, TEXTED, bring, brought, enterprise, issue, live, visit_of, which  # isort: skip

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    return office(database, tmp_path / "home")


def town_book(desk: Office, path: Path) -> Path:
    """Write the workbook of the one town there is."""
    with desk.database.read() as session:
        [town] = town_books.towns(session, mode=desk.settings.mode)
        with path.open("wb") as stream:
            town_books.write(town, stream)
    return path


def typed(path: Path, rows: Mapping[str, Mapping[str, Any]], *, to: Path | None = None) -> Path:
    """Type something into the rows of some enterprises, by name, as somebody does in Excel, and save the workbook."""
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    places = {cell.value: cell.column for cell in sheet[1]}
    for row in range(2, sheet.max_row + 1):
        for heading, value in rows.get(sheet.cell(row, places["企业名称"]).value, {}).items():
            sheet.cell(row, places[heading], value)
    book.save(to or path)
    return to or path


def listed(path: Path, rows: Sequence[Mapping[str, Any]], *, encoding: str = "utf-8-sig") -> Path:
    """Write a list of one's own as CSV, with the headings of the first row."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(stream.getvalue().encode(encoding))
    return path


def read(desk: Office, path: Path, **keys: Any) -> ImportResult:
    asked = Asked(**{key: keys.pop(key) for key in ("visitor", "day", "town", "limit") if key in keys})
    return visit_lists.import_file(desk.database, path, settings=desk.settings, asked=asked, by="alice", now=clock.now(), **keys)


def refused(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))[1:]


def name(desk: Office, key: int) -> str:
    return str(enterprise(desk, key).name)


def test_a_towns_workbook_comes_back_with_every_kind_of_result(desk: Office, tmp_path: Path) -> None:
    ids = desk.enterprises(10)
    desk.asking(steps=TEXTED)
    desk.send_all()
    desk.write(update(Delivery).values(state="undelivered", reason="address", final_at=clock.now()))
    desk.advance()
    issue(desk, "王村干")
    book = town_book(desk, tmp_path / "桥头镇.xlsx")
    said = {name(desk, key): {"结果": RESULTS[result]} for key, result in zip(ids, VISIT_RESULTS, strict=False)}
    said[name(desk, ids[3])]["新手机"] = 13900000001
    typed(book, said)
    before = Counted.of(desk)
    result = read(desk, book)
    assert result.figures() == {"read": 10, "recorded": 8, "already": 0, "unchanged": 2, "rejected": 0, "pending": 1, "phones": 1}
    assert result.document()["results"] == dict.fromkeys(VISIT_RESULTS, 1)
    states = {key: (visit_of(desk, key).state, visit_of(desk, key).reason) for key in ids}
    expected = ["delivered"] * 4 + ["undelivered", "delivered", "undelivered", "accepted", "accepted", "accepted"]
    assert [states[key][0] for key in ids] == expected
    assert {row.visitor for row in desk.rows(VisitResult)} == {"王村干"}, "the visitor's name stood in the workbook"
    assert (len(desk.rows(Signature)), len(desk.rows(Refusal))) == (1, 1)
    after = Counted.of(desk)
    assert after != before
    again = read(desk, book)
    assert (again.already, again.unchanged, again.recorded, again.pending, again.phones) == (8, 2, 0, 0, 0)
    assert Counted.of(desk) == after


class Counted:
    """What the tables say, so that nothing can change unseen."""

    @staticmethod
    def of(desk: Office) -> list[Any]:
        tables = (VisitResult, Signature, Refusal, Contact, Enterprise, Recipient, Delivery)
        return [tuple(row) for table in tables for row in desk.rows(table)]


def test_the_next_years_workbook_with_the_same_words_is_news(desk: Office, tmp_path: Path) -> None:
    [key] = desk.enterprises()
    desk.asking("first", steps=SEEN)
    said = {name(desk, key): {"结果": "未找到", "走访人": "王村干"}}
    first = typed(town_book(desk, tmp_path / "first.xlsx"), said)
    assert read(desk, first).recorded == 1
    desk.asking("second", steps=SEEN)
    second = typed(town_book(desk, tmp_path / "second.xlsx"), said)
    assert read(desk, second).recorded == 1
    assert (read(desk, first).already, read(desk, second).already) == (1, 1)
    assert desk.states() == ["undelivered", "undelivered"]


def test_the_visitors_own_list_is_read_back_too(desk: Office, tmp_path: Path) -> None:
    ids = desk.enterprises(3)
    desk.asking(steps=SEEN)
    issue(desk, "李网格", limit=2)
    path = tmp_path / "李网格.xlsx"
    with desk.database.read() as session, path.open("wb") as stream:
        assert report.write_sheet(session, which(desk, visitor="李网格", stand="open"), stream) == 2
    typed(path, {name(desk, ids[0]): {"结果": "愿意签订", "走访日期": clock.now().astimezone(OFFICE_ZONE).date(), "走访说明": "月底前签"}})
    assert read(desk, path).figures()["recorded"] == 1
    [row] = desk.rows(VisitResult)
    assert (row.visitor, row.result, row.detail, row.delivery_id) == ("李网格", "will_sign", {"remark": "月底前签"}, visit_of(desk, ids[0]).id)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_a_list_saved_as_csv_is_known_by_code_or_by_name_and_town(desk: Office, tmp_path: Path, encoding: str) -> None:
    by_code, by_name = desk.enterprises(2)
    live(desk, by_code, credit_code="91330282MA2AF1234N")
    desk.asking(steps=SEEN)
    rows = [
        {"统一社会信用代码": "91330282MA2AF1234N", "企业名称": "", "镇街": "", "结果": "已见面"},
        {"统一社会信用代码": "", "企业名称": name(desk, by_name), "镇街": "桥头镇", "结果": "已见面"},
        {"统一社会信用代码": "", "企业名称": name(desk, by_name), "镇街": "别的镇", "结果": "已见面"},
    ]
    result = read(desk, listed(tmp_path / "走访.csv", rows, encoding=encoding))
    assert (result.recorded, dict(result.reasons)) == (2, {"enterprise_unknown": 1})
    assert desk.states() == ["delivered", "delivered"]


def test_rows_that_were_moved_against_their_numbers_are_refused(desk: Office, tmp_path: Path) -> None:
    ids = desk.enterprises(3)
    desk.asking(steps=SEEN)
    book = town_book(desk, tmp_path / "桥头镇.xlsx")
    loaded = openpyxl.load_workbook(book)
    sheet = loaded.worksheets[0]
    places = {cell.value: cell.column for cell in sheet[1]}
    names = [sheet.cell(row, places["企业名称"]).value for row in (2, 3, 4)]
    for row, moved in zip((2, 3, 4), [names[1], names[2], names[0]], strict=True):  # somebody sorted one column only
        sheet.cell(row, places["企业名称"], moved)
        sheet.cell(row, places["结果"], "已停业")
    loaded.save(book)
    result = read(desk, book)
    assert dict(result.reasons) == {"mismatch": 3}
    assert all(enterprise(desk, key).closed_at is None for key in ids)
    assert [row[1] for row in refused(tmp_path / "桥头镇-退回.csv")] == ["企业名称"] * 3


FAULTS = {
    "result": {"结果": "签了"},
    "result_missing": {"走访说明": "不在"},
    "phone": {"结果": "换了号码", "新手机": "63210000"},
    "phone_scientific": {"结果": "换了号码", "新手机": "1.39E+10"},
    "phone_missing": {"结果": "换了号码"},
    "day": {"结果": "已见面", "走访日期": "2031-02-29"},
    "credit_code": {"结果": "已见面", "统一社会信用代码": "91330282MA2AF12340"},
    "enterprise_missing": {"企业名称": "", "结果": "已见面"},
    "enterprise_unknown": {"企业名称": "没有这家", "结果": "已见面"},
    "conflict": {"企业名称": "两家同名", "结果": "已见面"},
    "mismatch": {"企业编号": "1", "企业名称": "别的名字", "结果": "已见面"},
    "other_town": {"企业名称": "别镇的", "结果": "已见面"},
    "not_asked": {"结果": "已签纸质件"},
    "before_text": {"企业名称": "受邀的", "结果": "已签纸质件", "走访日期": "2020-01-15"},
    "too_long": {"结果": "已见面", "走访说明": "长" * 2001},
    "value": {"结果": "已见面", "走访说明": "\ufffd\ufffd"},
}


def test_every_fault_is_refused_by_name_and_the_rest_goes_in(desk: Office, tmp_path: Path) -> None:
    plain, invited, one, two, elsewhere = desk.enterprises(5)
    live(desk, two, credit_code="91330282MA2AF1234N")
    live(desk, one, credit_code="91330282MA2AF5678T")
    for key, where in ((plain, "平常的"), (invited, "受邀的"), (one, "两家同名"), (two, "两家同名"), (elsewhere, "别镇的")):
        live(desk, key, name=where, town="丙镇" if key == elsewhere else "甲镇")
    live(desk, invited, town="丁镇")
    desk.asking(town="丁镇", steps=SEEN)
    live(desk, invited, town="甲镇")
    headings = ("企业编号", "企业名称", "统一社会信用代码", "走访日期", "结果", "新手机", "走访说明")
    rows = [dict.fromkeys(headings, "") | {"企业名称": "平常的"} | fault for fault in FAULTS.values()]
    rows += [dict.fromkeys(headings, "") | {"企业名称": "平常的", "结果": "已见面"}, dict.fromkeys(headings, "") | {"企业名称": "合计"}]
    path = listed(tmp_path / "走访.csv", rows)
    result = read(desk, path, limit="甲镇")
    assert dict(result.reasons) == dict.fromkeys(REASONS, 1)
    assert (result.read, result.recorded, result.rejected) == (17, 1, 16)
    assert [row.enterprise_id for row in desk.rows(VisitResult)] == [plain]
    told = refused(tmp_path / "走访-退回.csv")
    assert [int(row[0]) for row in told] == list(range(2, 18))
    assert [row[3] for row in told] == [workbook.explain(reason) for reason in FAULTS]
    assert set(FAULTS) == set(REASONS)
    for reason in REASONS:
        assert workbook.brief(reason)


def test_a_rehearsal_says_what_would_happen_and_writes_nothing(desk: Office, tmp_path: Path) -> None:
    desk.enterprises(3)
    desk.asking(steps=SEEN)
    book = typed(town_book(desk, tmp_path / "桥头镇.xlsx"), {name(desk, 1): {"结果": "已停业"}, name(desk, 2): {"结果": "什么"}})
    before = Counted.of(desk)
    rehearsed = read(desk, book, dry_run=True)
    assert (Counted.of(desk), rehearsed.rejects, list(tmp_path.glob("*退回*"))) == (before, None, [])
    done = read(desk, book)
    assert {**rehearsed.document(), "dry_run": False, "rejects": done.rejects} == done.document()


def test_what_is_no_list_of_visits_is_said_so(desk: Office, tmp_path: Path) -> None:
    with pytest.raises(NoResultsList):
        read(desk, listed(tmp_path / "企业.csv", [{"企业名称": "甲", "手机": "13800138000"}]))


def test_titles_above_other_columns_and_sums_beneath_do_no_harm(desk: Office, tmp_path: Path) -> None:
    [key] = desk.enterprises()
    path = tmp_path / "走访.csv"
    path.write_text(f"桥头镇走访情况,,\n,,\n 序号 ,企业 名称,结 果\n1,{name(desk, key)},met\n序号,企业名称,结果\n合计,1,\n", "utf-8")
    result = read(desk, path)
    assert (result.read, result.recorded) == (1, 1)


def test_a_new_number_without_a_word_is_that_and_a_visitor_alone_is_a_plan(desk: Office, tmp_path: Path) -> None:
    one, two = desk.enterprises(2)
    rows = [
        {"企业名称": name(desk, one), "走访人": "王村干", "结果": "", "新手机": "139-0000-0001"},
        {"企业名称": name(desk, two), "走访人": "王村干", "结果": "", "新手机": ""},
    ]
    result = read(desk, listed(tmp_path / "走访.csv", rows))
    assert (result.document()["results"], result.unchanged, result.phones) == ({"new_phone": 1}, 1, 1)


def test_who_went_and_when_stand_in_for_rows_that_do_not_say_it(desk: Office, tmp_path: Path) -> None:
    one, two = desk.enterprises(2)
    day = clock.now().astimezone(OFFICE_ZONE).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)
    rows = [
        {"企业名称": name(desk, one), "走访人": "李网格", "走访日期": f"{day - timedelta(days=1):%Y/%m/%d}", "结果": "met"},
        {"企业名称": name(desk, two), "走访人": "", "走访日期": "", "结果": "met"},
    ]
    path = listed(tmp_path / "走访.csv", rows)
    assert read(desk, path, visitor="王村干", day=day).recorded == 2
    assert [(row.visitor, row.visited_on) for row in desk.rows(VisitResult)] == [("李网格", day - timedelta(days=1)), ("王村干", day)]


def test_after_an_interruption_the_same_file_goes_on(desk: Office, tmp_path: Path) -> None:
    ids = desk.enterprises(1200, contacts=0)
    path = listed(tmp_path / "走访.csv", [{"企业名称": name_, "结果": "未找到"} for name_ in (f"第{number}鞋业有限公司" for number in range(1, 1201))])

    def stop(_rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(desk, path, progress=stop)
    assert (len(desk.rows(VisitResult)), list(tmp_path.glob("*退回*"))) == (visit_lists.SLICE, [])
    result = read(desk, path)
    assert (result.already, result.recorded) == (visit_lists.SLICE, len(ids) - visit_lists.SLICE)


DAYS = [
    ("2026-01-15", "2026-01-15"),
    ("2026/1/5", "2026-01-05"),
    ("2026.1.5", "2026-01-05"),
    ("2026年1月15日", "2026-01-15"),
    ("１月１５日", "2026-01-15"),
    ("12月31日", "2025-12-31"),
    ("20260115", "2026-01-15"),
    ("46037", "2026-01-15"),
    ("2026-01-15 00:00:00", "2026-01-15"),
    ("2026-03-02", "2026-03-02"),
    ("", None),
    ("/", None),
]


@pytest.mark.parametrize(("written", "meant"), DAYS)
def test_a_day_is_read_as_people_write_it(written: str, meant: str | None) -> None:
    found = workbook.day(written, now=NOW)
    assert (found and f"{found.astimezone(OFFICE_ZONE):%Y-%m-%d}") == meant
    assert found is None or found <= NOW


@pytest.mark.parametrize("written", ["2026-03-03", "2月30日", "昨天", "15", "1999-01-01", "2026-13-01", "99999999"])
def test_what_is_no_day_or_still_to_come_is_refused(written: str) -> None:
    with pytest.raises(Faulty) as fault:
        workbook.day(written, now=NOW)
    assert fault.value.reason == "day"


def test_every_word_of_the_list_means_its_result() -> None:
    assert tuple(RESULTS) == VISIT_RESULTS
    assert all(workbook.result_of(word) == id == workbook.result_of(id) == workbook.result_of(f" {word} ") for id, word in RESULTS.items())
    assert workbook.result_of("已签") is None
    assert len(set(HEADINGS.values())) == len(HEADINGS)


@pytest.fixture(scope="module")
def quick(new_sqlite: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    opened = Database(new_sqlite())
    made = office(opened, tmp_path_factory.mktemp("home"))
    made.enterprises(4)
    made.asking(steps=SEEN)
    yield made
    opened.close()


CELLS = st.fixed_dictionaries(
    {
        "企业编号": st.sampled_from(["", "1", "2", "9", "x"]),
        "企业名称": st.sampled_from(["", "第1鞋业有限公司", "第2鞋业有限公司", "别家", "合计"]),
        "走访日期": st.sampled_from(["", "2026-01-15", "不知道"]),
        "结果": st.sampled_from(["", "已见面", "已签纸质件", "未找到", "已停业", "拒绝签订", "什么"]),
        "新手机": st.sampled_from(["", "13900000001", "1"]),
        "走访说明": st.sampled_from(["", "说明", "=1+1"]),
    }
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CELLS, min_size=1, max_size=8))
def test_every_row_is_counted_once_and_the_second_time_nothing_is_new(quick: Office, tmp_path: Path, rows: list[dict[str, str]]) -> None:
    quick.write(delete(VisitResult))
    path = listed(tmp_path / "走访.csv", rows)
    first, second = read(quick, path), None
    state = Counted.of(quick)
    second = read(quick, path)
    for result in (first, second):
        assert result.read == result.recorded + result.already + result.unchanged + result.rejected
        assert result.recorded == result.results.total() or result is second
    assert (second.recorded, second.already) == (0, first.already + first.recorded)
    assert (second.unchanged, second.reasons) == (first.unchanged, first.reasons)
    assert Counted.of(quick) == state
    with reading.opened(path) as source:
        assert first.read <= len(list(source.rows))


def test_an_open_visit_is_answered_by_a_row_without_its_number(desk: Office, tmp_path: Path) -> None:
    [key] = desk.enterprises()
    desk.asking(steps=SEEN)
    bring(desk, brought(key, "again"))
    assert read(desk, listed(tmp_path / "走访.csv", [{"企业名称": name(desk, key), "结果": "已见面"}])).recorded == 1
    assert desk.states() == ["delivered"]
