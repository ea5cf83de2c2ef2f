"""The merge fields that all recipients of a campaign share."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from outreach import settings
from outreach.campaigns import definition, drafts
from outreach.rendering import wechat_values


@pytest.mark.parametrize(
    ("deadline", "short", "full"),
    [
        ("2026-01-15", "1月15日", "2026年1月15日"),
        ("2026-01-15T17:00:00", "1月15日", "2026年1月15日 17:00"),
        ("2026-01-15T23:30:00Z", "1月16日", "2026年1月16日 07:30"),
        (None, None, None),
    ],
)
def test_a_deadline_is_written_short_for_texts_and_in_full_for_forms(
    deadline: str | None, short: str | None, full: str | None, now: datetime, tmp_path: Path
) -> None:
    values: dict[str, Any] = {"name": "drive", "title": "宣传", "audience": "全部", "step": [{"channel": "sms", "template": "sms/pledge-invitation"}]}
    found = definition.parse(values | ({"deadline": deadline} if deadline else {}), path="drive.toml")
    fields = drafts.shared_fields(found, settings.load(tmp_path), now=now)
    assert (fields["deadline"], fields["deadline_time"]) == (short, full)
    assert full is None or wechat_values.fault("time1", full) is None
