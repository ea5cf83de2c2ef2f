"""The texts accepted, as the ledger keeps them and QuerySendDetails shows them."""

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from outreach.sandbox.aliyun.asked import Asked, Declined
from outreach.sandbox.ledger import Ledger
from outreach.sandbox.twilio.messages import iso, quoted
from outreach.sandbox.twilio.segments import segments

PROVIDER = "aliyun"
CHINA = timezone(timedelta(hours=8))
MOST_IN_PAGE = 50
WAITING, FAILED, ARRIVED = 1, 2, 3


@dataclass(slots=True)
class Record:
    """One text, and what is to become of it; `reported` is when the office was told, 0 before."""

    biz_id: str
    out_id: str
    to: str
    template: str
    body: str
    created: float
    outcome: str
    error: str
    reported: float = 0.0

    @property
    def status(self) -> int:
        """SendStatus: still waiting for its receipt, failed, or arrived."""
        if not self.reported or self.outcome == "silent":
            return WAITING
        return ARRIVED if self.outcome == "delivered" else FAILED

    def report(self, *, success: bool | None = None) -> dict[str, Any]:
        """Return the receipt of this text (SmsReport)."""
        arrived = self.outcome == "delivered" if success is None else success
        return {
            "phone_number": self.to,
            "send_time": china(self.created),
            "report_time": china(time.time()),
            "success": arrived,
            "err_code": "DELIVERED" if arrived else self.error or "UNDELIV",
            "err_msg": "用户接收成功" if arrived else "发送失败",
            "sms_size": str(segments(self.body)),
            "biz_id": self.biz_id,
            "out_id": self.out_id,
        }

    def detail(self) -> dict[str, Any]:
        """Return the text as QuerySendDetails shows it."""
        told = {"ErrCode": "DELIVERED" if self.status == ARRIVED else self.error or "UNDELIV", "ReceiveDate": china(self.reported)}
        return {
            "PhoneNum": self.to,
            "SendDate": china(self.created),
            "SendStatus": self.status,
            "TemplateCode": self.template,
            "Content": self.body,
            "OutId": self.out_id,
            **({} if self.status == WAITING else told),
        }


def china(second: float) -> str:
    """Return a time as the provider writes it: that of China, without saying so."""
    return datetime.fromtimestamp(second, CHINA).strftime("%Y-%m-%d %H:%M:%S")


class Messages:
    """All texts by number; their lines are those of the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._last = 0
        self._by_number: dict[str, list[Record]] = defaultdict(list)
        for entry in ledger.entries():
            if entry["channel"] == "sms" and entry["more"].get("provider") == PROVIDER:
                self._restore(entry)

    def biz_id(self) -> str:
        """Return a new id of a request that sends."""
        self._last = max(self._last + 1, int(time.time() * 1_000_000))
        return f"{self._last}^0"

    def add(self, record: Record, place: int) -> bytes:
        """Take one text, and return its line for the ledger, which must be appended at once; `attempt` is the OutId of its request."""
        self._by_number[record.to].append(record)
        more = {"provider": PROVIDER, "biz_id": record.biz_id, "template": record.template, "created": record.created, "error": record.error}
        line = (
            f'{{"channel":"sms","reference":"{record.biz_id}-{place}","to":"+86{record.to}","body":{quoted(record.body)},'
            f'"attempt":{quoted(record.out_id or None)},"at":"{iso(int(record.created))}","outcome":"{record.outcome}",'
            f'"more":{json.dumps(more)}}}\n'
        )
        return line.encode()

    def today(self, now: float, number: str | None = None, template: str = "") -> int:
        """Return how many texts went out on this day in China: all, or those of one filed text to one number."""
        day = china(now)[:10]
        rows = (row for rows in self._by_number.values() for row in rows) if number is None else self._by_number.get(number, ())
        return sum(china(row.created)[:10] == day and (number is None or row.template == template) for row in rows)

    def details(self, form: Mapping[str, str], list_lag: float) -> dict[str, Any]:
        """Return a page of the texts to one number on one day, newest first. Raises Declined."""
        number, day = form.get("PhoneNumber", ""), form.get("SendDate", "")
        size, page = form.get("PageSize", ""), form.get("CurrentPage", "")
        if not number or len(day) != 8 or not size.isdigit() or not page.isdigit() or not 1 <= int(size) <= MOST_IN_PAGE or int(page) < 1:
            raise Declined("isv.INVALID_PARAMETERS")
        before = time.time() - list_lag
        biz_id = form.get("BizId")
        rows = [row for row in reversed(self._by_number.get(number, ())) if china(row.created)[:10].replace("-", "") == day and row.created <= before]
        rows = [row for row in rows if biz_id is None or row.biz_id == biz_id]
        shown = rows[(int(page) - 1) * int(size) : int(page) * int(size)]
        return {"TotalCount": str(len(rows)), "SmsSendDetailDTOs": {"SmsSendDetailDTO": [row.detail() for row in shown]}}

    def clear(self) -> None:
        """Forget every text."""
        self._by_number.clear()

    def _restore(self, entry: dict[str, Any]) -> None:
        """Take a text of an earlier life: what was to become of it has become of it."""
        more, to = entry["more"], entry["to"].removeprefix("+86")
        created = more["created"]
        record = Record(more["biz_id"], entry["attempt"] or "", to, more["template"], entry["body"], created, entry["outcome"], more["error"], created)
        self._by_number[to].append(record)


def outcome_of(fault: str | None, point: int) -> tuple[str, str]:
    """Return what becomes of a text, and the code of its failure."""
    if fault == "undelivered":
        return "undelivered", ("UNDELIV", "MK:0001")[point & 1]
    return ("silent", "") if fault == "receipt_lost" else ("delivered", "")


def records(asked: Asked, biz_id: str, faults: list[tuple[str | None, int]], now: float) -> list[Record]:
    """Return the texts of one request, each with what its fault makes of it."""
    return [
        Record(biz_id, asked.out_id, text.to, asked.template, text.body, now, *outcome_of(fault, point))
        for text, (fault, point) in zip(asked.texts, faults, strict=True)
    ]
