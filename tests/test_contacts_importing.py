"""What an import makes of a list, on both databases."""

import csv
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text

from outreach import settings as offices
from outreach.contacts import cleaning, importing
from outreach.contacts.importing import ImportResult, import_file
from outreach.contacts.mapping import HeadingsUnknown
from outreach.contacts.rejects import RejectsUnwritable
from outreach.database.engine import Database
from outreach.database.tables import Address, Contact, Enterprise

FOLDERS = [offices.shipped("contacts") / "mappings"]
HEADINGS = ("企业名称", "信用代码", "镇街", "负责人", "手机", "职务", "地址")
LATER = timedelta(days=1)


def code(number: int) -> str:
    body = f"91339999MA{number:07d}"
    return body + cleaning.check_character(body)


C1, C2, C3 = code(1), code(2), code(3)
P1, P2, P3 = "13800138001", "13800138002", "13800138003"


class Office:
    """An office with a database, to which lists come."""

    def __init__(self, database: Database, folder: Path, now: datetime) -> None:
        self.database, self.folder, self.now = database, folder, now

    def file(self, *rows: Iterable[str], headings: Iterable[str] | None = HEADINGS, name: str = "名单.csv") -> Path:
        written = io.StringIO(newline="")
        csv.writer(written).writerows([headings, *rows] if headings else rows)
        path = self.folder / name
        path.write_text(written.getvalue(), "utf-8", newline="")
        return path

    def take(self, path: Path, **options: Any) -> ImportResult:
        return import_file(self.database, path, **{"folders": FOLDERS, "now": self.now, **options})

    def bring(self, *rows: Iterable[str], headings: Iterable[str] = HEADINGS, **options: Any) -> ImportResult:
        return self.take(self.file(*rows, headings=headings), **options)

    def enterprises(self) -> list[tuple[Any, ...]]:
        e = Enterprise.__table__.c
        with self.database.read() as session:
            return [tuple(row) for row in session.execute(select(e.name, e.credit_code, e.town, e.address).order_by(e.id))]

    def contacts(self) -> list[tuple[Any, ...]]:
        e, c = Enterprise.__table__.c, Contact.__table__.c
        query = select(e.name, c.name, c.phone, c.rank, c.revision).join_from(Contact, Enterprise).order_by(e.id, c.rank, c.id)
        with self.database.read() as session:
            return [(one, two, three.removeprefix("+86"), *rest) for one, two, three, *rest in session.execute(query)]

    def everything(self) -> list[Any]:
        with self.database.read() as session:
            return [session.execute(select(table).order_by(table.c.id)).all() for table in (Enterprise.__table__, Contact.__table__)]

    def rejects(self, name: str = "名单-退回.csv") -> list[list[str]]:
        data = (self.folder / name).read_bytes()
        assert data.startswith(b"\xef\xbb\xbf")
        return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database of either kind for all tests here: on PostgreSQL a new one for each would take longer than the tests."""
    with closing(Database(request.getfixturevalue(f"new_{request.param}")())) as database:
        yield database


@pytest.fixture
def database(opened: Database) -> Database:
    """That database, empty."""
    with opened.write() as session:
        for table in (Address, Contact, Enterprise):
            session.execute(delete(table))
    return opened


@pytest.fixture
def office(database: Database, tmp_path: Path, now: datetime) -> Office:
    return Office(database, tmp_path, now)


def figures(result: ImportResult) -> tuple[int, int, int, int]:
    assert result.read == result.added + result.updated + result.unchanged + result.rejected
    return result.added, result.updated, result.unchanged, result.rejected


def test_a_new_list_goes_in_and_the_same_list_again_changes_nothing(office: Office) -> None:
    rows = [("甲厂", C1, "逍林镇", "张三", P1, "总经理", "示例路1号"), ("乙厂", "", "桥头镇", "李四", P2, "", "")]
    assert figures(office.bring(*rows)) == (2, 0, 0, 0)
    assert office.enterprises() == [("甲厂", C1, "逍林镇", "示例路1号"), ("乙厂", None, "桥头镇", "")]
    assert office.contacts() == [("甲厂", "张三", P1, 0, 1), ("乙厂", "李四", P2, 0, 1)]
    before = office.everything()
    assert figures(office.bring(*rows, now=office.now + LATER)) == (0, 0, 2, 0)
    assert office.everything() == before


def test_the_answer_has_the_shape_that_strangers_know(office: Office) -> None:
    result = office.bring(("甲厂", C1, "", "", P1, "", ""), ("乙厂", "", "", "", "0574-63000000", "", ""))
    assert result.document() == {
        "file": str(office.folder / "名单.csv"),
        "mapping": "enterprises",
        "read": 2,
        "added": 1,
        "updated": 0,
        "unchanged": 0,
        "rejected": 1,
        "reasons": {"phone": 1},
        "rejects": str(office.folder / "名单-退回.csv"),
        "dry_run": False,
    }


def test_a_known_code_under_a_new_name_or_town_is_news(office: Office) -> None:
    office.bring(("甲厂", C1, "逍林镇", "张三", P1, "", ""))
    assert figures(office.bring(("甲集团", C1, "桥头镇", "张三", P1, "", ""))) == (0, 1, 0, 0)
    assert office.enterprises() == [("甲集团", C1, "桥头镇", "")]


def test_without_a_code_name_and_town_are_the_identity(office: Office) -> None:
    office.bring(("甲厂", "", "逍林镇", "", "", "", ""))
    assert figures(office.bring(("甲厂", "", "逍林镇", "", "", "", "新地址"), ("甲厂", "", "桥头镇", "", "", "", ""))) == (1, 1, 0, 0)
    assert office.enterprises() == [("甲厂", None, "逍林镇", "新地址"), ("甲厂", None, "桥头镇", "")]


def test_a_row_with_a_code_finds_the_enterprise_that_had_none(office: Office) -> None:
    office.bring(("甲厂", "", "逍林镇", "张三", P1, "", ""))
    assert figures(office.bring(("甲厂", C1, "逍林镇", "", "", "", ""))) == (0, 1, 0, 0)
    assert office.enterprises() == [("甲厂", C1, "逍林镇", "")]


def test_a_row_without_a_code_finds_the_enterprise_that_has_one(office: Office) -> None:
    office.bring(("甲厂", C1, "逍林镇", "张三", P1, "", ""))
    assert figures(office.bring(("甲厂", "", "逍林镇", "李四", P2, "", ""))) == (1, 0, 0, 0)
    assert office.contacts() == [("甲厂", "张三", P1, 0, 1), ("甲厂", "李四", P2, 1, 1)]


def test_a_list_without_towns_finds_enterprises_by_their_name_alone(office: Office) -> None:
    office.bring(("甲厂", C1, "逍林镇", "", "", "", ""))
    assert figures(office.bring(("甲厂", P1), headings=("企业名称", "手机"))) == (1, 0, 0, 0)
    assert office.contacts() == [("甲厂", "", P1, 0, 1)]


def test_two_codes_are_two_enterprises_though_name_and_town_are_the_same(office: Office) -> None:
    assert figures(office.bring(("甲店", C1, "逍林镇", "", "", "", ""), ("甲店", C2, "逍林镇", "", "", "", ""))) == (2, 0, 0, 0)


def test_a_row_without_a_code_that_could_mean_two_enterprises_is_a_conflict(office: Office) -> None:
    office.bring(("甲店", C1, "逍林镇", "", "", "", ""), ("甲店", C2, "逍林镇", "", "", "", ""))
    result = office.bring(("甲店", "", "逍林镇", "张三", P1, "", ""))
    assert (figures(result), result.reasons) == ((0, 0, 0, 1), {"conflict": 1})


def test_one_code_with_two_names_in_one_list_is_a_conflict(office: Office) -> None:
    result = office.bring(("甲厂", C1, "逍林镇", "", "", "", ""), ("乙厂", C1, "逍林镇", "", "", "", ""))
    assert (figures(result), result.reasons) == ((1, 0, 0, 1), {"conflict": 1})
    assert office.rejects()[1][:3] == ["3", "信用代码", C1]


def test_what_a_list_says_first_of_an_enterprise_counts(office: Office) -> None:
    rows = [("甲厂", C1, "逍林镇", "", "", "", ""), ("甲厂", C1, "", "", "", "", "一号"), ("甲厂", C1, "桥头镇", "", "", "", "二号")]
    assert figures(office.bring(*rows)) == (1, 1, 1, 0)
    assert office.enterprises() == [("甲厂", C1, "逍林镇", "一号")]
    assert figures(office.bring(*rows)) == (0, 0, 3, 0)


def test_an_empty_cell_never_erases_what_is_known(office: Office) -> None:
    office.bring(("甲厂", C1, "逍林镇", "张三", P1, "总经理", "一号"))
    before = office.everything()
    for row in (("甲厂", C1, "", "", "", "", ""), ("甲厂", C1, "无", "张三", "", "/", " "), ("甲厂", C1, "", "", P1, "", "")):
        assert figures(office.bring(row, now=office.now + LATER)) == (0, 0, 1, 0)
    assert office.everything() == before


def test_an_enterprise_without_a_phone_is_kept(office: Office) -> None:
    assert figures(office.bring(("甲厂", C1, "", "", "", "", "一号"), ("乙厂", C2, "", "李四", "无", "", ""))) == (2, 0, 0, 0)
    assert office.contacts() == [("乙厂", "李四", "", 0, 1)]


def test_several_principals_keep_their_place(office: Office) -> None:
    headings = (*HEADINGS, "联系人2", "手机2", "联系人3", "手机3")
    rows = [("甲厂", C1, "", "张三", P1, "", "", "李四", P2, "王五", P3), ("甲厂", C1, "", "赵六", "13800138004", "", "", "", "", "", "")]
    office.bring(*rows, headings=headings)
    assert [row[1:4] for row in office.contacts()] == [("张三", P1, 0), ("李四", P2, 1), ("王五", P3, 2), ("赵六", "13800138004", 3)]
    office.bring(rows[1], ("甲厂", C1, "", "李四", P2, "", ""), headings=HEADINGS)
    assert [row[1] for row in office.contacts()] == ["张三", "李四", "王五", "赵六"]


def test_a_column_of_ranks_decides_who_comes_first(office: Office) -> None:
    headings = ("企业名称", "联系人", "手机", "顺序")
    office.bring(("甲厂", "张三", P1, "2"), ("甲厂", "李四", P2, "1"), headings=headings)
    assert [row[1] for row in office.contacts()] == ["李四", "张三"]


def test_one_person_with_several_enterprises_is_a_contact_of_each(office: Office) -> None:
    office.bring(("甲厂", C1, "", "张三", P1, "", ""), ("乙厂", C2, "", "张三", P1, "", ""))
    assert office.contacts() == [("甲厂", "张三", P1, 0, 1), ("乙厂", "张三", P1, 0, 1)]


def test_a_changed_name_or_phone_raises_the_revision_and_nothing_else_does(office: Office) -> None:
    office.bring(("甲厂", C1, "", "张三", P1, "", ""))
    assert figures(office.bring(("甲厂", C1, "", "张三", P1, "总经理", ""))) == (0, 1, 0, 0)
    assert office.contacts() == [("甲厂", "张三", P1, 0, 1)]
    assert figures(office.bring(("甲厂", C1, "", "张三", P2, "", ""))) == (0, 1, 0, 0)
    assert office.contacts() == [("甲厂", "张三", P2, 0, 2)]
    assert figures(office.bring(("甲厂", C1, "", "张三丰", P2, "", ""))) == (0, 1, 0, 0)
    assert office.contacts() == [("甲厂", "张三丰", P2, 0, 3)]


def test_people_who_change_phones_with_each_other_are_followed(office: Office) -> None:
    headings = ("企业名称", "联系人", "手机", "联系人2", "手机2")
    office.bring(("甲厂", "张三", P1, "李四", P2), headings=headings)
    swapped = ("甲厂", "张三", P2, "李四", P1)
    assert figures(office.bring(swapped, headings=headings)) == (0, 1, 0, 0)
    assert {row[1:3] for row in office.contacts()} == {("张三", P2), ("李四", P1)}
    assert figures(office.bring(swapped, headings=headings)) == (0, 0, 1, 0)


def test_a_contact_may_take_over_the_name_and_phone_that_another_leaves(office: Office) -> None:
    """Rows of one list: 李四 gets a new number, and 王五, who shared the old one, turns out to be another 李四."""
    office.bring(("甲厂", C1, "", "王五", P2, "", ""), ("甲厂", C1, "", "李四", P2, "", ""))
    rows = [("甲厂", C1, "", "李四", P3, "", ""), ("甲厂", C1, "", "李四", P2, "", "")]
    assert figures(office.bring(*rows)) == (0, 2, 0, 0)
    assert {row[1:3] for row in office.contacts()} == {("李四", P3), ("李四", P2)}


def test_every_reason_is_counted_and_told_in_words_with_the_row_as_a_spreadsheet_shows_it(office: Office) -> None:
    result = office.bring(
        ("甲厂", C1, "", "", "0574-63000000", "", ""),
        ("乙厂", C2, "", "", "1.38E+10", "", ""),
        ("丙厂", C1[:-1] + "0", "", "", P1, "", ""),
        ("", C3, "", "张三", P1, "", ""),
        ("很长" * 110, C3, "", "", P1, "", ""),
        ("丁\ufffd厂", C3, "", "", P1, "", ""),
        ("=cmd()", C3, "", "", "@bad", "", ""),
    )
    assert result.reasons == {"phone": 2, "phone_scientific": 1, "credit_code": 1, "name_missing": 1, "too_long": 1, "value": 1}
    rows = office.rejects()
    assert rows[0] == ["行", "列", "值", "原因"]
    assert [row[:3] for row in rows[1:]] == [
        ["2", "手机", "0574-63000000"],
        ["3", "手机", "1.38E+10"],
        ["4", "信用代码", C1[:-1] + "0"],
        ["5", "企业名称", ""],
        ["6", "企业名称", "很长" * 100 + "…"],
        ["7", "企业名称", "丁\ufffd厂"],
        ["8", "手机", "'@bad"],
    ]
    assert all(len(row[3]) > 20 for row in rows[1:])


def test_without_refusals_there_is_no_list_of_them_and_an_old_one_goes(office: Office) -> None:
    office.bring(("甲厂", C1, "", "", "0574-63000000", "", ""))
    assert office.rejects()
    assert office.bring(("甲厂", C1, "", "", P1, "", "")).rejects is None
    assert sorted(path.name for path in office.folder.iterdir() if path.suffix == ".csv") == ["名单.csv"]


def test_the_list_of_refusals_goes_where_one_says(office: Office) -> None:
    where = office.folder / "坏.csv"
    result = office.bring(("甲厂", C1, "", "", "x", "", ""), rejects=where)
    assert (result.rejects, len(office.rejects("坏.csv"))) == (str(where), 2)


def test_the_list_of_refusals_never_overwrites_the_list_itself(office: Office) -> None:
    path = office.file(("甲厂", C1, "", "", "x", "", ""))
    for where in (path, office.folder, office.folder / "没有" / "坏.csv"):
        with pytest.raises(RejectsUnwritable):
            office.take(path, rejects=where)
    assert office.enterprises() == []


def test_blank_rows_sums_and_repeated_headings_are_no_rows(office: Office) -> None:
    path = office.file(
        ("示例市企业名单",),
        (),
        ("序号", "企业名称", "手机"),
        ("1", "甲厂", P1),
        ("", "", ""),
        (" ", "　", ""),
        ("序号", "企业名称", "手机"),
        ("2", "乙厂", P2),
        ("合计", "", "2"),
        ("", "合 计", ""),
        headings=None,
    )
    assert figures(office.take(path)) == (2, 0, 0, 0)


def test_short_and_long_rows_are_read_as_far_as_they_go(office: Office) -> None:
    assert figures(office.bring(("甲厂",), ("乙厂", C2, "", "", P1, "", "", "更多", "更多"))) == (2, 0, 0, 0)


def test_a_list_with_headings_only_has_no_rows(office: Office) -> None:
    assert figures(office.bring()) == (0, 0, 0, 0)


def test_headings_below_the_first_twenty_rows_are_not_looked_for(office: Office) -> None:
    with pytest.raises(HeadingsUnknown):
        office.take(office.file(*[("说明",)] * 20, HEADINGS, ("甲厂", C1), headings=None))
    assert figures(office.take(office.file(*[("说明",)] * 19, HEADINGS, ("甲厂", C1), headings=None))) == (1, 0, 0, 0)


def test_defaults_and_words_of_a_mapping_fill_in_and_translate(office: Office) -> None:
    folder = office.folder / "mappings"
    folder.mkdir()
    (folder / "town.toml").write_text(
        '[columns]\nname = ["厂名"]\nabove_scale = ["大小"]\nphone = ["手机"]\n[values.above_scale]\nyes = ["大"]\nno = ["小"]\n'
        '[values.town]\n"逍林镇" = ["逍林"]\n[defaults]\ntown = "逍林"\nrole = "厂长"\n',
        "utf-8",
    )
    path = office.file(("甲厂", "大", P1), ("乙厂", " 小 ", P2), ("丙厂", "", P3), ("丁厂", "中", ""), headings=("厂名", "大小", "手机"))
    result = office.take(path, mapping="town", folders=[folder])
    assert (figures(result), result.reasons) == ((3, 0, 0, 1), {"value": 1})
    with office.database.read() as session:
        rows = session.execute(select(Enterprise.town, Enterprise.above_scale, Contact.role).join_from(Enterprise, Contact).order_by(Enterprise.id)).all()
    assert rows == [("逍林镇", True, "厂长"), ("逍林镇", False, "厂长"), ("逍林镇", None, "厂长")]


def test_a_rehearsal_gives_the_same_figures_and_changes_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "SLICE", 2)
    office.bring(("甲厂", C1, "", "张三", P1, "", ""))
    rows = [
        ("甲厂", C1, "", "李四", P2, "", ""),
        ("乙厂", "", "逍林镇", "", "", "", ""),
        ("乙厂", C2, "逍林镇", "", "", "", ""),
        ("丙厂", C2, "逍林镇", "", "", "", ""),
        ("甲厂", C1, "", "李四", P2, "", ""),
        ("丁厂", "", "", "", "x", "", ""),
    ]
    before = office.everything()
    rehearsed = office.bring(*rows, dry_run=True)
    assert office.everything() == before
    done = office.bring(*rows)
    assert rehearsed.document() == done.document() | {"dry_run": True, "rejects": None}
    assert figures(done) == (2, 1, 1, 2)


def test_what_is_committed_stays_when_an_import_is_stopped_and_the_next_goes_on(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "SLICE", 10)
    path = office.file(*((f"厂{n}", code(n), "", "", "x" if n == 1 else "", "", "") for n in range(50)))

    def stop(rows: int, share: float) -> None:
        assert 0 < share <= 1
        if rows >= 29:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        office.take(path, progress=stop)
    assert len(office.enterprises()) == 28
    assert [path.name for path in office.folder.iterdir() if "退回" in path.name] == []
    assert figures(office.take(path)) == (21, 0, 28, 1)


def test_slices_know_what_earlier_ones_claimed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "SLICE", 1)
    rows = [("甲厂", C1, "", "张三", P1, "", "一号"), ("甲厂", C1, "", "张三", P2, "", "二号"), ("乙厂", C1, "", "", "", "", "")]
    assert figures(office.bring(*rows)) == (2, 0, 0, 1)
    assert office.enterprises() == [("甲厂", C1, "", "一号")]
    assert office.contacts() == [("甲厂", "张三", P1, 0, 1), ("甲厂", "张三", P2, 1, 1)]
    assert figures(office.bring(*rows)) == (0, 0, 2, 1)


def test_two_imports_at_the_same_time_do_not_disturb_each_other(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "SLICE", 20)
    rows = [(f"厂{n}", code(n), "逍林镇", f"人{n}", f"1380013{n:04d}", "", "") for n in range(200)]
    paths = [office.file(*rows, name="一.csv"), office.file(*reversed(rows), name="二.csv")]
    results: list[ImportResult] = []
    threads = [threading.Thread(target=lambda path=path: results.append(office.take(path))) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result.added for result in results) == 200
    assert sum(result.unchanged for result in results) == 200
    assert (len(office.enterprises()), len(office.contacts())) == (200, 200)


def test_an_enterprise_that_somebody_else_adds_meanwhile_is_found_at_the_second_look(new_postgresql: Callable[[], str], tmp_path: Path, now: datetime) -> None:
    with closing(Database(new_postgresql())) as database:
        office = Office(database, tmp_path, now)
        results: list[ImportResult] = []
        thread = threading.Thread(target=lambda: results.append(office.bring(("甲厂", C1, "逍林镇", "张三", P1, "", ""))))
        with database.write() as session:
            session.execute(insert(Enterprise).values(name="甲厂", credit_code=C1, created_at=now, updated_at=now))
            thread.start()
            waiting = text("select count(*) from pg_locks where not granted")
            while not session.scalar(waiting):
                thread.join(0.01)
        thread.join()
        assert figures(results[0]) == (1, 0, 0, 0)
        assert office.enterprises() == [("甲厂", C1, "逍林镇", "")]


def test_an_import_never_touches_addresses(office: Office) -> None:
    with office.database.write() as session:
        session.execute(insert(Address).values(channel="sms", value="+86" + P1, suppressed_at=office.now, suppressed_reason="opted_out"))
    office.bring(("甲厂", C1, "", "张三", P1, "", ""))
    with office.database.read() as session:
        assert session.execute(select(Address.value, Address.suppressed_reason)).all() == [("+86" + P1, "opted_out")]


def test_an_erased_contact_stays_erased(office: Office) -> None:
    office.bring(("甲厂", C1, "", "张三", P1, "", ""))
    with office.database.write() as session:
        session.execute(Contact.__table__.update().values(name="", phone="", erased_at=office.now))
    office.bring(("甲厂", C1, "", "李四", P2, "", ""))
    assert [row[1:3] for row in office.contacts()] == [("", ""), ("李四", P2)]


NAMES = st.sampled_from(["甲厂", "乙厂", "甲厂 "])
ROWS = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from(["", "", C1, C2, "错"]),
        st.sampled_from(["", "逍林镇", "桥头镇"]),
        st.sampled_from(["", "张三", "李四"]),
        st.sampled_from(["", P1, P2, "1.38E+10"]),
        st.sampled_from(["", "总经理", "厂长"]),
        st.sampled_from(["", "一号", "二号"]),
    ),
    max_size=9,
)


@pytest.fixture(scope="module")
def scratch(new_sqlite: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    from conftest import NOON

    with closing(Database(new_sqlite())) as database:
        yield Office(database, tmp_path_factory.mktemp("lists"), NOON)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, size=st.sampled_from([1, 3, 100]))
def test_importing_a_list_twice_changes_nothing_unless_it_contradicted_itself(scratch: Office, rows: list[tuple[str, ...]], size: int) -> None:
    with scratch.database.write() as session:
        session.execute(delete(Contact))
        session.execute(delete(Enterprise))
    path = scratch.file(*rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "SLICE", size)
        first = scratch.take(path)
        once = scratch.everything()
        second = scratch.take(path, now=scratch.now + LATER)
    assert sum(figures(first)) == sum(figures(second)) == len(rows)
    if not first.reasons["conflict"]:  # a row that was refused for one may be clear once the rows after it are known
        assert (second.added, second.updated, second.reasons) == (0, 0, first.reasons)
        assert scratch.everything() == once


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, before=ROWS)
def test_the_size_of_a_slice_and_a_rehearsal_make_no_difference(scratch: Office, rows: list[tuple[str, ...]], before: list[tuple[str, ...]]) -> None:
    answers = []
    for size in (1, 4, 100):
        with scratch.database.write() as session:
            session.execute(delete(Contact))
            session.execute(delete(Enterprise))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(importing, "SLICE", size)
            scratch.bring(*before)
            rehearsed = scratch.bring(*rows, dry_run=True)
            done = scratch.bring(*rows)
        assert rehearsed.document() == done.document() | {"dry_run": True, "rejects": None}
        answers.append((done.document(), scratch.enterprises(), scratch.contacts()))
    assert answers[0] == answers[1] == answers[2]
