"""The lists in contacts/: what a stranger tries first."""

import csv
import io
import sys
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from outreach import settings
from outreach.contacts import reading
from outreach.contacts.importing import ImportResult, import_file
from outreach.database.engine import Database
from outreach.database.tables import Contact, Enterprise

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import people

SAMPLES = settings.shipped("contacts")


def brought(database: Database, name: str, folder: Path, now: datetime) -> ImportResult:
    return import_file(database, SAMPLES / name, folders=[SAMPLES / "mappings"], now=now, rejects=folder / "退回.csv")


def test_the_sample_goes_in_whole_and_its_workbook_says_the_same(database: Database, tmp_path: Path, now: datetime) -> None:
    first = brought(database, "示例企业名单.csv", tmp_path, now)
    assert (first.read, first.added, first.rejected) == (200, 200, 0)
    second = brought(database, "示例企业名单.xlsx", tmp_path, now)
    assert (second.read, second.unchanged) == (200, 200)


def test_the_sample_has_every_sort_of_enterprise(new_sqlite: object, tmp_path: Path, now: datetime) -> None:
    with closing(Database(new_sqlite())) as database:  # type: ignore[operator]
        brought(database, "示例企业名单.csv", tmp_path, now)
        with database.read() as session:
            towns = Counter(session.scalars(select(Enterprise.town)))
            above = Counter(session.scalars(select(Enterprise.above_scale)))
            phones = Counter(session.scalars(select(Contact.phone)))
            several = session.scalars(select(func.count()).select_from(Contact).group_by(Contact.enterprise_id)).all()
    assert towns.keys() == people.TOWNS.keys()
    assert {"逍林镇", "桥头镇"} < towns.keys()
    assert above[True] > 50 < above[False]
    assert phones[""] == 5
    assert sum(count > 1 for phone, count in phones.items() if phone) == 7
    assert Counter(several) == {1: 190, 2: 10}


def test_the_samples_are_those_that_the_generator_writes(tmp_path: Path) -> None:
    people.write_samples(tmp_path)
    for path in tmp_path.iterdir():
        assert list(reading.rows(path)) == list(reading.rows(SAMPLES / path.name))
    assert (tmp_path / "示例企业名单.csv").read_bytes() == (SAMPLES / "示例企业名单.csv").read_bytes()
    (SAMPLES / "示例企业名单.csv").read_bytes().decode("gb18030")


def test_every_number_in_the_samples_is_made_up() -> None:
    for row in people.sample():
        assert row[1] == "统一社会信用代码" or row[1].startswith("91339999MA")
        assert all(phone == "" or phone.startswith(("1990000", "手机")) for phone in (row[11], row[13]))


@pytest.mark.parametrize("again", [False, True])
def test_the_list_with_every_defect_is_taken_apart_as_it_says(database: Database, tmp_path: Path, now: datetime, again: bool) -> None:
    result = brought(database, "示例问题名单.csv", tmp_path, now)
    if again:
        result = brought(database, "示例问题名单.csv", tmp_path, now)
    assert (result.added, result.updated, result.unchanged) == ((0, 0, 9) if again else (8, 0, 1))
    assert result.reasons == {"phone": 2, "phone_scientific": 1, "credit_code": 1, "name_missing": 1, "too_long": 1, "conflict": 1, "value": 1}
    rejects = csv.reader(io.StringIO((tmp_path / "退回.csv").read_text("utf-8-sig"), newline=""))
    assert [row[0] for row in rejects] == ["行", *(str(number) for number in range(14, 22))]


def test_what_the_list_with_every_defect_leaves_behind_is_clean(database: Database, tmp_path: Path, now: datetime) -> None:
    brought(database, "示例问题名单.csv", tmp_path, now)
    with database.read() as session:
        rows = session.execute(select(Enterprise.name, Contact.name, Contact.phone).join_from(Enterprise, Contact).order_by(Contact.id)).all()
    assert rows == [
        ("示例市全角数字鞋业有限公司", "王伟", "+8619900008001"),
        ("示例市加号横线电器厂", "李娜", "+8619900008002"),
        ("示例市国家代码五金厂", "张强", "+8619900008003"),
        ("示例市(全角)ABC塑料厂", "陈静", "+8619900008004"),
        ("示例市反转字符服饰有限公司", "刘洋", "+8619900008005"),
        ("示例市没有手机餐饮店", "黄勇", ""),
        ("示例市没有手机餐饮店", "周杰", "+8619900008007"),
        ("示例市小数点模具厂", "吴敏", "+8619900008009"),
    ]
