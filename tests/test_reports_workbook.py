"""What leaves as a file can be opened, counted and read again, and nothing in it is a formula."""

import csv
import io
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.reports import workbook
from outreach.reports.tables import Column, Table

TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("=+-@＝＋－＠\t\r\n'\x00\ufeff 　\"，,;"), max_size=12)
HOSTILE = ["=1+1", "+8613800138000x", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "\x00=1", '=HYPERLINK("http://x")', "'=1"]


def table(rows: Sequence[dict[str, Any]], **rest: Any) -> Table:
    return Table("deliveries", (Column("name", "企业名称"), Column("value", "=数值")), rows, **rest)


def as_csv(written: Table) -> list[list[str]]:
    stream = io.BytesIO()
    workbook.write_csv(written, stream)
    assert not stream.closed
    assert stream.getvalue().startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(stream.getvalue().decode("utf-8-sig"), newline="")))


def as_workbook(written: Table) -> Any:
    stream = io.BytesIO()
    workbook.write_xlsx(written, stream)
    return openpyxl.load_workbook(stream).worksheets[0]


@given(st.lists(st.tuples(TEXTS, TEXTS | st.integers() | st.decimals(allow_nan=False) | st.none() | st.booleans()), max_size=4))
@settings(max_examples=60, deadline=None)
def test_no_cell_of_a_csv_begins_as_a_formula_does(pairs: list[tuple[str, Any]]) -> None:
    lines = as_csv(table([{"name": name, "value": value} for name, value in pairs]))
    assert len(lines) == len(pairs) + 1
    for line in lines:
        assert len(line) == 2
        assert not [cell for cell in line if cell.lstrip()[:1] in tuple("=+-@＝＋－＠") or cell[:1] in ("\t", "\r", "\n")]


@given(st.lists(TEXTS, min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_no_text_of_a_workbook_is_a_formula_and_each_comes_back(texts: list[str]) -> None:
    sheet = as_workbook(table([{"name": text} for text in texts]))
    for row, text in enumerate(texts, 2):
        cell = sheet.cell(row, 1)
        assert cell.data_type in ("s", "inlineStr", "n")
        if cell.value is not None:
            assert cell.data_type != "n"
        assert (cell.value or "").replace("\r\n", "\n") == workbook.shown(text).replace("\r\n", "\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_could_be_a_formula_is_quoted_as_each_format_does_it(text: str) -> None:
    assert as_csv(table([{"name": text}]))[1][0].startswith("'")
    cell = as_workbook(table([{"name": text}])).cell(2, 1)
    assert cell.data_type == "s"
    assert cell.value == text.translate(workbook.UNSEEN)
    assert cell.quotePrefix == (text != "'=1")


def test_values_are_written_as_people_read_them() -> None:
    moment = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
    values = ["+8613800138000", "+85261234567", "138****8000", 7, True, False, None, moment, date(2026, 1, 15), Decimal("0.10")]
    cells = [line[1] for line in as_csv(table([{"value": value} for value in values]))[1:]]
    assert cells == ["13800138000", "'+85261234567", "138****8000", "7", "yes", "no", "", "2026-01-15 17:00:00", "2026-01-15", "0.10"]
    sheet = as_workbook(table([{"value": value} for value in values]))
    read = [sheet.cell(row, 2).value for row in range(2, len(values) + 2)]
    assert read == [
        "13800138000",
        "+85261234567",
        "138****8000",
        7,
        "yes",
        "no",
        None,
        datetime(2026, 1, 15, 17, 0),
        datetime(2026, 1, 15, 0, 0),
        0.1,
    ]


def test_a_number_too_long_for_a_spreadsheet_stays_text() -> None:
    sheet = as_workbook(table([{"value": 10**17 + 1}, {"value": "913302826000000000"}]))
    assert [sheet.cell(row, 2).value for row in (2, 3)] == ["100000000000000001", "913302826000000000"]


def test_the_sheet_is_ready_to_be_worked_with() -> None:
    long = "示例市逍林镇示例鞋业有限公司"
    written = table([{"name": long, "value": 1}, {"name": "短", "value": 2}], by=["town"], totals={"value": 3})
    sheet = as_workbook(written)
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:B3"
    assert [cell.font.bold for cell in sheet[1]] == [True, True]
    assert [(cell.value, cell.font.bold) for cell in sheet[4]] == [("Total", True), (3, True)]
    assert 2 * len(long) <= sheet.column_dimensions["A"].width <= 2 * len(long) + 4
    assert [line[0] for line in as_csv(written)] == ["企业名称", long, "短"]


def test_an_empty_table_still_has_its_headings() -> None:
    assert as_csv(table([])) == [["企业名称", "'=数值"]]
    assert [cell.value for cell in as_workbook(table([]))[1]] == ["企业名称", "=数值"]


def test_a_text_longer_than_a_cell_is_cut_and_shows_it() -> None:
    value = as_workbook(table([{"name": "字" * 40_000}])).cell(2, 1).value
    assert len(value) == workbook.CELL_LIMIT
    assert value.endswith("字…")


def test_rows_are_written_as_they_come() -> None:
    rows = ({"name": f"企业{number}", "value": number} for number in range(20_000))
    stream = io.BytesIO()
    tracemalloc.start()
    workbook.write_xlsx(table([]), stream, rows=rows)
    workbook.write_csv(table([]), io.BytesIO(), rows=({"name": "企业", "value": number} for number in range(20_000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000
    assert openpyxl.load_workbook(stream, read_only=True).worksheets[0].max_row == 20_001


def test_a_list_and_a_report_have_their_shapes_in_json() -> None:
    moment = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
    rows = [{"name": "a", "value": Decimal("1.50"), "at": moment, "on": date(2026, 1, 15)}]
    shown = [{"name": "a", "value": "1.50", "at": "2026-01-15T09:00:00Z", "on": "2026-01-15"}]
    assert table(rows).document() == {"rows": shown, "total": 1, "next": None}
    assert table(rows, total=38_000, next="17").document() == {"rows": shown, "total": 38_000, "next": "17"}
    assert table(rows, by=["town"], totals={"value": Decimal("1.50")}).document() == {
        "report": "deliveries",
        "by": ["town"],
        "columns": [{"id": "name", "label": "企业名称"}, {"id": "value", "label": "=数值"}],
        "rows": shown,
        "totals": {"value": "1.50"},
    }
