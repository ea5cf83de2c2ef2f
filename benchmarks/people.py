"""Invented enterprises of an invented 示例市, the same for the same seed: rows for the import's benchmark and for the sample in contacts/.

No number is anybody's on purpose: phones are 1990000 or 19 and a count, codes have a made-up organisation and a true check character.
"""

import csv
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import xlsxwriter

HEADINGS = ("企业名称", "统一社会信用代码", "镇街", "村社区", "主管部门", "行业", "规模", "规上", "地址", "负责人", "职务", "手机")
SECOND = ("联系人2", "手机2")
SAMPLE = 200
TOWNS = {
    "逍林镇": ("逍林社区", "新园村", "福合院村"),
    "桥头镇": ("桥头社区", "五姓村", "潭河沿村"),
    "河东镇": ("河东社区", "东港村", "三塘村"),
    "白石街道": ("白石社区", "石桥社区", "新城社区"),
    "南山街道": ("南山社区", "梅园社区", "学府社区"),
    "长堰镇": ("长堰社区", "上堰村", "下堰村"),
}
TRADES = (
    ("制造业", "经信局", ("鞋业", "电器", "五金", "轴承", "塑料", "服饰", "模具", "机械")),
    ("建筑业", "住建局", ("建设", "装饰", "市政工程", "劳务")),
    ("住宿和餐饮业", "商务局", ("餐饮", "酒店管理")),
    ("批发和零售业", "商务局", ("商贸", "物资")),
    ("居民服务业", "市场监管局", ("保洁服务", "家政服务")),
)
FIRST = "恒宏盛嘉瑞泰福德永顺祥金华光新康达安远明锦丰和正鑫"
LAST = "达业源隆昌兴茂信诚博宇航辉腾飞鹏龙海洋江星辰阳春"
SURNAMES = "王李张刘陈杨黄赵周吴徐孙胡朱高林何郭马罗"
GIVEN = "伟芳娜敏静强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰文建国志海"
CODE_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CODE_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


class Row(NamedTuple):
    """One row of a list, as text."""

    name: str
    credit_code: str
    town: str
    village: str
    department: str
    industry: str
    scale: str
    above_scale: str
    address: str
    contact: str
    role: str
    phone: str


def credit_code(number: int) -> str:
    """Return the code of the enterprise with this number: district 339999 does not exist, the check character is right."""
    body = f"91339999MA{number:07d}"
    total = sum(CODE_CHARACTERS.index(character) * weight for character, weight in zip(body, CODE_WEIGHTS, strict=True))
    return body + CODE_CHARACTERS[-total % 31]


def person(dice: random.Random) -> str:
    """Return a name."""
    return dice.choice(SURNAMES) + "".join(dice.choice(GIVEN) for _ in range(dice.choice((1, 2, 2))))


def enterprise(number: int, dice: random.Random) -> Row:
    """Return one enterprise with its principal."""
    town = dice.choice(list(TOWNS))
    industry, department, trades = dice.choice(TRADES)
    above = dice.random() < 0.3
    mark = dice.choice(FIRST) + dice.choice(LAST) + dice.choice(FIRST)
    kind = dice.choice(("有限公司", "有限公司", "股份有限公司", "厂"))
    phone = f"1990000{number:04d}" if number < 10_000 else f"19{number + 100_000_000:09d}"
    return Row(
        name=f"示例市{mark}{number if number > 200 else ''}{dice.choice(trades)}{kind}",
        credit_code=credit_code(number),
        town=town,
        village=dice.choice(TOWNS[town]),
        department=department,
        industry=industry,
        scale=dice.choice(("大型", "中型")) if above else dice.choice(("小型", "微型")),
        above_scale="是" if above else "否",
        address=f"示例市{town}示例路{dice.randint(1, 999)}号",
        contact=person(dice),
        role=dice.choice(("法定代表人", "总经理", "负责人")),
        phone=phone,
    )


def sample() -> Iterator[tuple[str, ...]]:
    """Yield the rows of the sample list, headings first: 200 enterprises, of which every sort that an office meets has a few.

    Every 40th has no phone, every 25th shares its principal with the one before, every 20th has a second contact.
    """
    yield (*HEADINGS, *SECOND)
    dice = random.Random(7)
    before: Row | None = None
    for number, row in enumerate(enterprises(SAMPLE), 1):
        if number % 40 == 0:
            row = row._replace(phone="")
        elif number % 25 == 0 and before is not None:
            row = row._replace(contact=before.contact, phone=before.phone)
        second = (person(dice), f"1990000{9000 + number:04d}") if number % 20 == 1 else ("", "")
        yield (*row, *second)
        before = row


def messy() -> list[tuple[str, ...]]:
    """Return the rows of the list with every defect that offices know: titles above the headings, 9 rows that go in, 8 that are refused."""
    code = [credit_code(8000 + number) for number in range(20)]
    wrong = code[8][:-1] + ("0" if code[8][-1] != "0" else "1")
    return [
        ("示例市企业联系名单（企业、人员、号码均为虚构）",),
        ("填报日期：2026-01-15", "", "", "填报人：示例"),
        (),
        ("序号", "企业名称（必填）", "统一社会信用代码", "镇 街", "负责人", "联系电话", "是否规上"),
        ("1", "示例市全角数字鞋业有限公司", code[1], "逍林镇", "王伟", "１９９００００８００１", "是"),
        ("2", "示例市加号横线电器厂", code[2], "逍林镇", "李娜", "+86-199 0000 8002", "否"),
        ("3", "示例市国家代码五金厂", code[3].lower(), "桥头镇", "张　强", "8619900008003", "规下"),
        ("4", "　示例市（全角）ＡＢＣ塑料厂　", code[4], "桥头镇", "陈  静", "'19900008004", "√"),
        ("5", "示例市\u202e反转\u200b字符\x07服饰有限公司", code[5], "逍林镇", "刘\u2066洋", "0086 199 0000 8005", "否"),
        ("6", "示例市没有手机餐饮店", "", "逍林镇", "黄勇", "无", ""),
        ("7", "示例市没有手机餐饮店", "", "逍林镇", "周杰", "19900008007", ""),
        ("8", "示例市加号横线电器厂", code[2], "逍林镇", "李娜", "19900008002", "否"),
        ("9", "示例市小数点模具厂", code[9], "河东镇", "吴敏", "19900008009.0", "否"),
        ("10", "示例市科学计数机械厂", code[10], "河东镇", "徐磊", "1.38E+10", "否"),
        ("11", "示例市固定电话商贸有限公司", code[11], "河东镇", "孙艳", "0574-63000000", "否"),
        ("12", "示例市错误代码物资有限公司", wrong, "白石街道", "胡军", "19900008012", "是"),
        ("13", "", code[13], "白石街道", "朱涛", "19900008013", "是"),
        ("14", "示例市" + "很长" * 110 + "有限公司", code[14], "白石街道", "高明", "19900008014", "是"),
        ("15", "示例市同一代码另一名称有限公司", code[1], "逍林镇", "林超", "19900008015", "是"),
        ("16", "示例市打了星号的装饰有限公司", code[16], "南山街道", "何秀", "199****8016", "否"),
        ("17", "示例市说不清楚的家政服务有限公司", code[17], "南山街道", "郭霞", "19900008017", "也许"),
        ("合计", "", "", "", "", "", ""),
    ]


def enterprises(count: int, seed: int = 2026) -> Iterator[Row]:
    """Yield `count` enterprises, one row each, phones and codes all different."""
    dice = random.Random(seed)
    return (enterprise(number, dice) for number in range(1, count + 1))


def write_samples(folder: Path) -> None:
    """Write the sample list as GB18030 CSV and as XLSX, and the one with the defects as UTF-8 CSV."""
    rows = list(sample())
    with (folder / "示例企业名单.csv").open("w", encoding="gb18030", newline="") as file:
        csv.writer(file).writerows(rows)
    with (folder / "示例问题名单.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(messy())
    with xlsxwriter.Workbook(folder / "示例企业名单.xlsx") as book:
        book.set_properties({"title": "示例企业名单", "comments": "企业、人员、号码均为虚构", "created": datetime(2026, 1, 1)})
        sheet = book.add_worksheet("企业名单")
        sheet.freeze_panes(1, 0)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)


if __name__ == "__main__":
    write_samples(Path(__file__).parent.parent / "contacts")
