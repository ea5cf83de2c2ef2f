"""kill -9 at any moment, then the same command again: nothing lost, nothing doubled. The gateway's ledger is the witness."""

import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from office import CONTENT, Stranger, until

pytestmark = pytest.mark.chaos
FAULTS = {"drop_after_accept": 0.04, "error_html": 0.03, "throttle": 0.04, "truncate": 0.04, "receipt_twice": 0.1, "receipt_early": 0.1, "receipt_lost": 0.02}


@pytest.fixture
def office(tmp_path: Path, database_url: str) -> Iterator[Stranger]:
    with Stranger(tmp_path / "office", None if database_url.startswith("sqlite") else database_url) as office:
        office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"))
        office.serve()
        office.faults(seed=random.randrange(10**6), mix=FAULTS, latency_ms=30)
        yield office


def require_once(office: Stranger, plan: Any, statement: Any) -> None:
    """Hold the statement against the ledger: each recipient once, nobody forgotten, and the figures add up."""
    ledger = office.ledger()
    codes = [re.search("签署码([2-9A-Z]{6})", line["body"])[1] for line in ledger]  # type: ignore[index]
    step = statement["steps"][0]
    assert len(ledger) == len({line["to"] for line in ledger}), "a phone twice"
    assert len(set(codes)) == plan["recipients"] == step["included"], "a recipient forgotten"
    assert (step["unknown"], step["waiting"]["queued"], step["waiting"]["sending"], step["doubled"]) == (0, 0, 0, 0)
    assert step["adds_up"]
    assert statement["enterprises"]["adds_up"]
    assert office.sql("select count(*) from address where holder is not null") == [(0,)]


def launch_and_kill(office: Stranger, name: str, *, after: float) -> bool:
    """Launch, and kill -9 after a while; return whether it was still at work."""
    process = office.start("campaign", "launch", name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


@pytest.mark.long
def test_a_launch_killed_again_and_again_sends_each_text_once(office: Stranger) -> None:
    plan = office.approved("drive")
    kills = 0
    for round_ in range(4):
        kills += launch_and_kill(office, "drive", after=1.2 + round_ * 0.4 + random.random())
    assert kills, "the kills came too late to prove anything"
    statement = office.json("campaign", "launch", "drive")
    require_once(office, plan, statement)


@pytest.mark.long
def test_a_web_server_killed_meanwhile_loses_no_receipt_that_it_confirmed(office: Stranger) -> None:
    plan = office.approved("drive")
    process = office.start("campaign", "launch", "drive", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: office.sql("select count(*) from receipt")[0][0] > 20, seconds=40)
    web = office.children.pop()
    web.send_signal(signal.SIGKILL)
    web.wait()
    time.sleep(0.3)
    office.serve_web()
    assert process.wait(90) == 0
    statement = office.json("campaign", "launch", "drive")
    require_once(office, plan, statement)


@pytest.mark.long
def test_workers_on_redis_killed_at_work_send_each_text_once(tmp_path: Path, new_postgresql: Callable[[], str], redis_url: str) -> None:
    with Stranger(tmp_path / "office", new_postgresql(), {"broker_url": redis_url}) as office:
        office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"))
        office.serve()
        office.faults(seed=3, mix=FAULTS, latency_ms=30)
        plan = office.approved("drive")
        worker = office.worker()
        office.ok("campaign", "launch", "drive", "--detach")
        for _round in range(2):
            time.sleep(1.0 + random.random())
            office.kill_group(worker)
            worker = office.worker()
        until(lambda: office.sql("select count(*) from delivery where state in ('queued', 'sending', 'unknown')") == [(0,)], seconds=60)
        office.ok("campaign", "watch", "drive")
        statement = office.json("campaign", "statement", "drive")
        require_once(office, plan, statement)
        office.kill_group(worker)
