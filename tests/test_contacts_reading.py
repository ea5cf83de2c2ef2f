"""Reading lists, whatever they were saved as."""

import codecs
import contextlib
import csv
import io
import struct
import tempfile
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
import xlsxwriter
import xlwt
from hypothesis import given, settings
from hypothesis import strategies as st
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

from outreach.contacts import reading, sheets, textfiles
from outreach.contacts.reading import EncodingsMixed, FileEmpty, FileMissing, FileUnreadable, NotAList
from outreach.contacts.workbooks import SheetMissing, WorkbookBroken, WorkbookEmpty, WorkbookLocked, WorkbookTooLarge
from outreach.errors import OutreachError

ROWS = [["企业名称", "手机"], ["示例鞋业有限公司", "13800138000"], ["𠮷野家", "13900139000"]]


def lines(path: Path, **options: str | int) -> list[tuple[int, list[str]]]:
    return list(reading.rows(path, **options))  # type: ignore[arg-type]


def cells(path: Path) -> list[list[str]]:
    return [row for _line, row in lines(path)]


def text_file(folder: Path, text: str | bytes, encoding: str = "utf-8", name: str = "名单.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


@pytest.mark.parametrize("mark", [",", "\t", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_is_read_in_every_encoding_with_every_separator_and_line_end(tmp_path: Path, encoding: str, end: str, mark: str) -> None:
    assert cells(text_file(tmp_path, end.join(mark.join(row) for row in ROWS) + end, encoding)) == ROWS


def test_utf_16_may_begin_with_either_byte_order_mark(tmp_path: Path) -> None:
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        assert cells(text_file(tmp_path, mark + "企业名称\t手机\n示例厂\t1\n".encode(encoding))) == [["企业名称", "手机"], ["示例厂", "1"]]


def test_separators_inside_cells_do_not_decide(tmp_path: Path) -> None:
    for mark, others in (("\t", "a,b;c,d,e;f"), (";", "a,b\tc"), (",", "a;b")):
        path = text_file(tmp_path, mark.join(["企业名称", "镇街", "地址"]) + "\n" + mark.join(["甲", "乙", others]) + "\n")
        assert cells(path) == [["企业名称", "镇街", "地址"], ["甲", "乙", others]]


def test_rows_have_the_numbers_that_a_spreadsheet_shows(tmp_path: Path) -> None:
    path = text_file(tmp_path, '名单\n\n企业名称,地址\n"甲","一行\n两行"\n乙,丙\n')
    assert lines(path) == [(1, ["名单"]), (2, []), (3, ["企业名称", "地址"]), (4, ["甲", "一行\n两行"]), (5, ["乙", "丙"])]


def test_a_quotation_mark_that_is_never_closed_spoils_its_own_row_only(tmp_path: Path) -> None:
    good = [[f"厂{n}", "13800138000"] for n in range(300)]
    path = text_file(tmp_path, '企业名称,手机\n"没关上,13800138000\n' + "".join(f"{','.join(row)}\n" for row in good))
    assert cells(path) == [["企业名称", "手机"], ["没关上", "13800138000"], *good]


def test_quotation_marks_inside_a_cell_are_kept(tmp_path: Path) -> None:
    assert cells(text_file(tmp_path, '企业名称,手机\n示例"老牌"厂,1\n"示例""新牌""厂",2\n"示例"厂,3\n')) == [
        ["企业名称", "手机"],
        ['示例"老牌"厂', "1"],
        ['示例"新牌"厂', "2"],
        ["示例厂", "3"],
    ]


def test_a_cell_beyond_all_measure_does_not_stop_the_file(tmp_path: Path) -> None:
    path = text_file(tmp_path, "企业名称,手机\n" + "长" * 300_000 + ",1\n甲,2\n")
    assert cells(path)[-1] == ["甲", "2"]


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@given(st.lists(st.lists(WORDS, min_size=2, max_size=4), min_size=1, max_size=5))
def test_what_the_csv_module_writes_is_read_back(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    assert list(textfiles.records(io.StringIO(text.getvalue(), newline=""), ",")) == rows


def test_single_bad_bytes_do_not_stop_the_file(tmp_path: Path) -> None:
    good = "".join(f"示例{n}厂,1\n" for n in range(200))
    path = text_file(tmp_path, ("企业名称,手机\n" + good).encode("gb18030") + b"\xff\xff,1\n" + "乙,2\n".encode("gb18030"))
    assert cells(path)[-2:] == [["\ufffd\ufffd", "1"], ["乙", "2"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("nuls", [1, 2, 5])
@pytest.mark.parametrize("many", [0, 3, 3000])
def test_stray_nul_bytes_make_no_utf_16_of_a_list(tmp_path: Path, encoding: str, nuls: int, many: int) -> None:
    more = [["示例厂", "13800138000"]] * many
    text = "".join(",".join(row) + "\n" for row in [*ROWS, *more]) + "甲厂" + "\0" * nuls + ",13700137000\n"
    found = cells(text_file(tmp_path, text, encoding))
    assert [[cell.replace("\0", "") for cell in row] for row in found] == [*ROWS, *more, ["甲厂", "13700137000"]]


@pytest.mark.parametrize(("first", "then", "named"), [("utf-8", "gb18030", "UTF-8"), ("gb18030", "utf-8", "GB18030"), ("utf-8-sig", "gb18030", "UTF-8")])
@pytest.mark.parametrize("before", [1, 40])
def test_a_file_of_two_encodings_is_refused_with_the_row_and_byte_where_it_breaks(tmp_path: Path, first: str, then: str, named: str, before: int) -> None:
    head = ("企业名称,手机\n" + "示例鞋业有限公司,13800138000\n" * (before - 1)).encode(first)
    path = text_file(tmp_path, head + "1,厂家五金有限公司\n".encode(then) * 20)
    with pytest.raises(EncodingsMixed, match=rf"begins in {named}, and row {before + 1} \(byte {len(head) + 3} of the file\)"):
        lines(path)


def test_one_utf_8_line_in_a_gb18030_list_is_never_read_as_other_characters(tmp_path: Path) -> None:
    line = "示例五金,13800138000\n".encode()
    assert line.decode("gb18030") != line.decode()
    path = text_file(tmp_path, "企业名称,手机\n示例鞋业,1\n".encode("gb18030") * 500 + line)
    with pytest.raises(EncodingsMixed, match=r"begins in GB18030, and row 1001 \(byte"):
        lines(path)


def xlsx(folder: Path, rows: list[list[object]], sheets: int = 1) -> Path:
    path = folder / "名单.xlsx"
    book = openpyxl.Workbook()
    for number in range(1, sheets):
        book.create_sheet(f"表{number}")
    for row in rows:
        book.worksheets[-1].append(row)
    book.save(path)
    return path


def xls(folder: Path, rows: list[list[object]], sheets: int = 1) -> Path:
    path = folder / "名单.xls"
    book = xlwt.Workbook()
    for number in range(sheets):
        sheet = book.add_sheet(f"表{number}")
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            sheet.write(y, x, cell)
    book.save(str(path))
    return path


def ods(folder: Path, rows: list[list[object]], sheets: int = 1) -> Path:
    path = folder / "名单.ods"
    book = OpenDocumentSpreadsheet()
    for number in range(sheets):
        table = Table(name=f"表{number}")
        book.spreadsheet.addElement(table)
    for row in rows:
        line = TableRow()
        for cell in row:
            whole = isinstance(cell, int)
            made = TableCell(valuetype="float", value=str(cell)) if whole else TableCell(valuetype="string")
            made.addElement(P(text=str(cell)))
            line.addElement(made)
        table.addElement(line)
    book.save(str(path))
    return path


@pytest.mark.parametrize("make", [xlsx, xls, ods])
def test_workbooks_give_the_first_sheet_that_holds_anything_with_whole_numbers_whole(tmp_path: Path, make: Callable[..., Path]) -> None:
    path = make(tmp_path, [["企业名称", "手机"], ["示例鞋业有限公司", 13800138000], ["𠮷野家", "13900139000"]], 3)
    assert cells(path) == ROWS


@pytest.mark.parametrize("make", [xlsx, xls, ods])
def test_the_content_decides_not_the_ending(tmp_path: Path, make: Callable[..., Path]) -> None:
    path = make(tmp_path, [["企业名称", "手机"], ["甲", 1]]).rename(tmp_path / "名单.csv")
    assert cells(path) == [["企业名称", "手机"], ["甲", "1"]]
    assert cells(text_file(tmp_path, "企业名称\t手机\n甲\t1\n", "gb18030", "名单.xls")) == [["企业名称", "手机"], ["甲", "1"]]


def test_a_sheet_is_asked_for_by_name_and_a_missing_one_answered_with_those_there_are(tmp_path: Path) -> None:
    path = xlsx(tmp_path, [["企业名称"]], 2)
    assert lines(path, sheet="表1") == [(1, ["企业名称"])]
    with pytest.raises(SheetMissing, match=r"no sheet called 表9 in .*Its sheets: Sheet、表1"):
        lines(path, sheet="表9")


def test_cells_become_the_text_that_people_would_type(tmp_path: Path) -> None:
    path = tmp_path / "名单.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        day, moment = book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        sheet.write_row(1, 1, [13800138000, 1.5, 9.11e17, True, "'13800138000"])
        sheet.write_datetime(1, 6, datetime(2026, 1, 15), day)
        sheet.write_datetime(1, 7, datetime(2026, 1, 15, 9, 30), moment)
        sheet.write_formula(1, 8, '="示例"&"厂"', value="示例厂")
        sheet.write_formula(1, 9, "=1/0", value="#DIV/0!")
    _title, row = cells(path)
    assert row == ["13800138000", "1.5", "9.11e+17", "yes", "'13800138000", "2026-01-15", "2026-01-15 09:30:00", "示例厂", ""]
    assert sheets.text(date(2026, 1, 15)) == "2026-01-15"


def test_a_merged_cell_says_in_each_place_what_it_says_in_the_first(tmp_path: Path) -> None:
    path = tmp_path / "名单.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.merge_range("B1:E1", "示例市企业名单")
        sheet.merge_range("B2:B3", "镇街")
        sheet.merge_range("C2:C3", "企业名称")
        sheet.merge_range("D2:E2", "负责人")
        sheet.write_row("D3", ["姓名", "手机"])
        sheet.merge_range("B4:B6", "逍林镇")
        for y in range(3, 6):
            sheet.write_row(y, 2, [f"厂{y}", "张三", f"1380013800{y}"])
    assert cells(path) == [
        ["示例市企业名单"] * 4,
        ["镇街", "企业名称", "负责人", "负责人"],
        ["镇街", "企业名称", "姓名", "手机"],
        ["逍林镇", "厂3", "张三", "13800138003"],
        ["逍林镇", "厂4", "张三", "13800138004"],
        ["逍林镇", "厂5", "张三", "13800138005"],
    ]


def altered(path: Path, *changes: tuple[bytes, bytes]) -> Path:
    """A workbook whose first sheet is written otherwise."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    for before, after in changes:
        assert before in parts["xl/worksheets/sheet1.xml"]
        parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].replace(before, after)
    with zipfile.ZipFile(path, "w") as new:
        for name, data in parts.items():
            new.writestr(name, data)
    return path


@pytest.mark.parametrize("corner", [b'<c r="XFD1048576"', b'<c s="0" r="XFD1048576"'])
def test_a_sheet_whose_corners_are_far_apart_is_refused_before_it_takes_all_memory(tmp_path: Path, corner: bytes) -> None:
    """Two cells, and 17 thousand million between them."""
    path = altered(xlsx(tmp_path, [["企业名称", "手机"], ["甲", "1"]]), (b'<c r="B2"', corner))
    with pytest.raises(WorkbookTooLarge, match=r"more than 2000000 cells\. Save the sheet as CSV"):
        lines(path)


def test_an_ods_sheet_that_says_how_often_a_cell_is_repeated_cannot_take_all_memory(tmp_path: Path) -> None:
    path = tmp_path / "名单.ods"
    book = OpenDocumentSpreadsheet()
    table, row, cell = Table(name="表"), TableRow(numberrowsrepeated=1048570), TableCell(valuetype="string", numbercolumnsrepeated=16384)
    cell.addElement(P(text="x"))
    row.addElement(cell)
    table.addElement(row)
    book.spreadsheet.addElement(table)
    book.save(str(path))
    with pytest.raises(WorkbookTooLarge):
        lines(path)


def test_a_sheet_without_cell_references_is_measured_too(tmp_path: Path) -> None:
    """Some programs write rows and cells that do not say where they are."""
    path = xlsx(tmp_path, [["企业名称", "手机"], ["甲", "1"]])
    altered(path, *((f' r="{reference}"'.encode(), b"") for reference in ("A1", "B1", "A2", "B2", "1", "2")))
    assert cells(path) == [["企业名称", "手机"], ["甲", "1"]]
    with pytest.raises(WorkbookTooLarge):
        lines(path, max_cells=3)


@pytest.mark.parametrize("make", [xlsx, xls, ods])
def test_a_workbook_beyond_the_stated_number_of_cells_is_refused(tmp_path: Path, make: Callable[..., Path]) -> None:
    path = make(tmp_path, [["企业名称", "手机"]] * 10)
    assert len(lines(path, max_cells=20)) == 10
    with pytest.raises(WorkbookTooLarge):
        lines(path, max_cells=19)


def locked_xls(folder: Path) -> bytes:
    """An XLS file whose second record says that what follows is encrypted (FILEPASS, MS-XLS 2.4.117)."""
    data = bytearray(xls(folder, [["企业名称"]]).read_bytes())
    beginning = data.index(b"\x09\x08\x10\x00")
    data[beginning + 20 : beginning + 22] = b"\x2f\x00"
    return bytes(data)


def locked_xlsx(_folder: Path) -> bytes:
    """A compound file with an EncryptedPackage, which is what Excel makes of a workbook with a password (MS-OFFCRYPTO 1.3.3)."""

    def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
        wide = name.encode("utf-16-le") + b"\0\0"
        return struct.pack("<64sHBBiii16sIQQIQ", wide, len(wide), kind, 1, -1, -1, child, b"", 0, 0, 0, start, size)

    fat = struct.pack("<128i", -3, -2, *range(3, 10), -2, *[-1] * 118)
    directory = entry("Root Entry", 5, 1, 0xFFFFFFFE, 0) + entry("EncryptedPackage", 2, -1, 2, 4096) + bytes(256)
    header = struct.pack("<8s16sHHHHH6sIIIIIIIIII", reading.OLE, b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, 0)
    return header + struct.pack("<108i", *[-1] * 108) + fat + directory + bytes(4096)


@pytest.mark.parametrize(("make", "ending"), [(locked_xls, "xls"), (locked_xlsx, "xlsx")])
def test_a_workbook_with_a_password_is_refused_and_says_what_to_do(tmp_path: Path, make: Callable[[Path], bytes], ending: str) -> None:
    with pytest.raises(WorkbookLocked, match="protected by a password"):
        lines(text_file(tmp_path, make(tmp_path), name=f"加密.{ending}"))


def test_an_empty_workbook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkbookEmpty):
        lines(xlsx(tmp_path, []))


def zipped(name: str) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        with zipfile.ZipFile(folder / "zip", "w") as archive:
            archive.writestr(name, "<x/>")
        return (folder / "zip").read_bytes()

    return make


def truncated(folder: Path) -> bytes:
    return xlsx(folder, [["企业名称"]]).read_bytes()[:-100]


def garbled(folder: Path) -> bytes:
    data = bytearray(xlsx(folder, [["企业名称"]]).read_bytes())
    for place in range(40, len(data) - 200, 7):
        data[place] ^= 0x55
    return bytes(data)


@pytest.mark.parametrize("make", [zipped("word/document.xml"), zipped("xl/workbook.bin"), truncated, garbled, lambda _: reading.OLE + bytes(range(256)) * 40])
def test_a_damaged_workbook_is_refused_in_one_line(tmp_path: Path, make: Callable[[Path], bytes]) -> None:
    with pytest.raises(WorkbookBroken) as broken:
        lines(text_file(tmp_path, make(tmp_path), name="坏.xlsx"))
    assert "\n" not in str(broken.value)
    assert "save it as XLSX or CSV" in str(broken.value)


def test_a_workbook_that_brings_its_reader_down_is_refused_like_any_damaged_one(tmp_path: Path) -> None:
    """calamine 0.37 panics where a sheet is said to begin beyond the end of the file (BOUNDSHEET, MS-XLS 2.4.28)."""
    data = bytearray(xls(tmp_path, [["企业名称"]]).read_bytes())
    record = data.index(b"\x85\x00")
    data[record + 4 : record + 8] = b"\xf0\xff\xff\x88"
    with pytest.raises(WorkbookBroken, match="it is damaged"):
        lines(text_file(tmp_path, bytes(data), name="坏.xls"))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=40))
def test_no_damage_to_a_workbook_brings_anything_but_an_error_of_ours(place: int, damage: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for make in (xlsx, xls, ods):
            data = bytearray(make(Path(folder), [["企业名称", "手机"], ["甲", "13800138000"]]).read_bytes())
            start = place % len(data)
            data[start : start + len(damage)] = damage
            with contextlib.suppress(OutreachError):
                lines(text_file(Path(folder), bytes(data), name="坏"))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"MZ\x90\x00\x03" + bytes(range(256)) * 30, "a program"),
        (b"\x7fELF" + bytes(range(256)), "a program"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "a picture"),
        (b"Rar!\x1a\x07\x00" + bytes(99), "an archive"),
        ("<html><table><tr><td>企业名称</td></tr></table></html>".encode(), "a web page"),
        (b"\xef\xbb\xbf <?xml version='1.0'?><Workbook/>", "a web page"),
        (bytes(range(1, 256)) * 40, "data that is no text"),
        (b"\x00\x01\x02\x03\xfd\xd8" * 500, "data that is no text"),
        (b"\xff\xfe" + b"\x00\xd8\x01\x00" * 500, "data that is no text"),
    ],
)
def test_what_is_no_list_at_all_is_named_whatever_it_is_called(tmp_path: Path, data: bytes, kind: str) -> None:
    with pytest.raises(NotAList, match=f"not a list but {kind}. Save the list as CSV or XLSX"):
        lines(text_file(tmp_path, data, name="企业名单.xlsx"))


@pytest.mark.parametrize("data", [b"", b"\n\n  \r\n", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b",,,\n,,,\n"])
def test_an_empty_file_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(FileEmpty):
        lines(text_file(tmp_path, data))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        lines(tmp_path / "没有.csv")
    with pytest.raises(FileUnreadable, match="Is a directory"):
        lines(tmp_path)


def test_a_sheet_of_a_text_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAList, match="without sheets"):
        lines(text_file(tmp_path, "企业名称\n甲\n"), sheet="表1")


def test_the_share_that_was_read_grows_to_the_whole(tmp_path: Path) -> None:
    for path in (text_file(tmp_path, "企业名称,手机\n" + "示例厂,13800138000\n" * 100_000), xlsx(tmp_path, [["企业名称"]] * 50)):
        with reading.opened(path) as source:
            shares = [source.share() for _row in source.rows]
        assert shares == sorted(shares)
        assert shares[0] < 0.6
        assert shares[-1] == 1
