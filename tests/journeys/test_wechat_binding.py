"""From a letter's QR code to a bound WeChat: scan, four digits, the personal link; counted in the report, and gone when the person is erased."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway import Gateway
from served import Served
from sqlalchemy import text

from outreach.channels import directory
from outreach.contacts import erasing
from outreach.links import scenes
from outreach.reports import reach

from conftest import NOON  # isort: skip

OPENID = "oRf1x5GdWX9kLm2nPq7sTu8vYzA0"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "ledger.jsonl", wechat_url="http://127.0.0.1:9/hooks/wechat") as made:
        yield made


@pytest.fixture
def web(tmp_path: Path, new_sqlite: Callable[[], str], gateway: Gateway) -> Iterator[Served]:
    with Served(tmp_path, new_sqlite(), sandbox_url=gateway.url) as served:
        yield served


def said(gateway: Gateway, after: int) -> str:
    """Wait for the next answer to the person."""
    for _wait in range(200):
        lines = gateway.ledger()
        if len(lines) > after:
            return str(lines[after]["body"])
        time.sleep(0.05)
    raise AssertionError("the office did not answer")


def totals(web: Served) -> dict[str, Any]:
    with web.database.read() as session:
        return dict(reach.reach(session).totals)


def test_a_scanned_letter_leads_by_four_digits_to_the_page_and_to_a_bound_wechat(web: Served, gateway: Gateway) -> None:
    guest = web.hall.guest("示例鞋业有限公司", phone="+8613800138000")
    with web.database.write() as session:
        (personal,) = scenes.of_codes(session, [guest.code], settings=web.settings, now=web.hall.now)
    with directory.open_account(web.settings) as account:
        ticket = account.ticket(personal.scene, lasts=scenes.LASTS)
    assert guest.code not in ticket.url
    hook = f"{web.url}/hooks/wechat"
    gateway.act(OPENID, "subscribe", qr=ticket.url, url=hook)
    assert "后四位" in said(gateway, 0)
    assert totals(web)["wechat"] == 0, "a letter may lie on anybody's desk"
    gateway.act(OPENID, "text", body="8001", url=hook)
    assert "示例鞋业" not in said(gateway, 1)
    gateway.act(OPENID, "text", body="８０００", url=hook)
    answer = said(gateway, 2)
    assert "示例鞋业有限公司" in answer
    link = re.search(rf"{web.url}(/p/[\w-]+)", answer)
    assert link
    assert web.get(link[1]).status == 200
    with web.database.read() as session:
        (binding,) = session.execute(text("select openid, way, ended_at from binding")).all()
    assert tuple(binding) == (OPENID, "scene", None)
    assert totals(web) == {"enterprises": 1, "wechat": 1, "sms": 1, "letter": 0, "none": 0}
    with web.database.write() as session:
        erasing.erase(session, 1, now=NOON)
    assert totals(web) == {"enterprises": 1, "wechat": 0, "sms": 0, "letter": 0, "none": 1}
    gateway.act(OPENID, "text", body="8000", url=hook)
    assert "示例鞋业" not in said(gateway, 3), "who was erased is a stranger again"


def test_who_leaves_the_account_is_reached_by_it_no_more(web: Served, gateway: Gateway) -> None:
    guest = web.hall.guest("示例鞋业有限公司", phone="+8613800138000")
    hook = f"{web.url}/hooks/wechat"
    gateway.act(OPENID, "subscribe", url=hook)
    gateway.act(OPENID, "text", body=f"{guest.code} 8000", url=hook)
    assert "示例鞋业有限公司" in said(gateway, 1)
    assert totals(web)["wechat"] == 1
    gateway.act(OPENID, "unsubscribe", url=hook)
    for _wait in range(200):
        if totals(web)["wechat"] == 0:
            return
        time.sleep(0.05)
    raise AssertionError("the office did not notice")
