"""A campaign file that cannot be used: one line with the key and the reason, in words of ours."""

from pathlib import Path

import pytest

from outreach import i18n
from outreach.campaigns import definition
from outreach.errors import BadInput

GOOD = {"name": '"drive"', "title": '"drive"', "audience": '"全部"'}
STEP = '[[step]]\nchannel = "sms"\ntemplate = "sms/x"\n'


def written(folder: Path, step: str = STEP, **keys: str | None) -> Path:
    path = folder / "drive.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in (GOOD | keys).items() if value is not None) + step, "utf-8")
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    assert definition.read(written(tmp_path, start='"2026-01-15"', deadline="2026-01-16")).name == "drive"


@pytest.mark.parametrize(
    ("keys", "said", "chinese"),
    [
        ({"title": None}, "title is wrong: it is missing", "缺少"),
        ({"title": "1"}, "title is wrong: it must be text in quotation marks", "引号"),
        ({"title": '""'}, "it must have at least 1 characters", "至少"),
        ({"title": '"' + "x" * 201 + '"'}, "it may have at most 200 characters", "200"),
        ({"name": '"a b"'}, "name is wrong: it takes 1 to 64 letters", "1 到 64"),
        ({"start": '"soon"'}, "start is wrong: it must be a date such as 2026-01-15", "日期"),
        ({"deadline": "1"}, "deadline is wrong: it must be a date such as 2026-01-15", "日期"),
        ({"one_per": '"person"'}, "it must be one of address, enterprise", "address, enterprise"),
        ({"link_days": "0"}, "it must be at least 1", "至少"),
        ({"alternates": "4"}, "it must be at most 3", "最多"),
        ({"pace": "1"}, "pace is wrong: it must be a table", "表"),
        ({"pace": '{hours = "9-17"}'}, "pace.hours is wrong: it must be hours such as 08:00-20:00", "时段"),
        ({"step": '[[step]]\nchannel = "sms"\n'}, "step.1 is wrong: a step needs a template", "模板"),
        ({"step": '[[step]]\nchannel = "fax"\ntemplate = "x"\n'}, "step.1.channel is wrong: it must be one of sms, wechat, letter, visit", "之一"),
        ({"step": STEP + 'after = "soon"\n'}, "step.1.after is wrong: 'soon' is not a duration", "时长"),
        ({"step": "step = []\n"}, "it must have at least 1 entries", "至少"),
        ({"title": '"x'}, "line 2, column 11: a closing quotation mark is missing", "第 2 行"),
    ],
)
def test_what_is_wrong_in_a_campaign_file_is_said_with_its_key_in_words_of_ours(tmp_path: Path, keys: dict[str, str], said: str, chinese: str) -> None:
    with pytest.raises(BadInput) as caught:
        definition.read(written(tmp_path, **keys))
    line = i18n.say(caught.value)
    assert said in line
    assert [word for word in ("should", "Input", "valid date", "Value error", "Invalid", "isoformat") if word in line] == []
    i18n.use("zh")
    assert chinese in i18n.say(caught.value)
    assert "must" not in i18n.say(caught.value)
