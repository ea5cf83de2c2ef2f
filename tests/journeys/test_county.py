"""A county texts 38,000 principals: to the end, each exactly once by the gateway's own ledger, with flat memory."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from office import Stranger

PRINCIPALS = 38_000
FAULTS = {
    "drop_after_accept": 0.005,
    "hang_after_accept": 0.001,
    "throttle": 0.005,
    "truncate": 0.005,
    "error_html": 0.003,
    "receipt_twice": 0.01,
    "receipt_reordered": 0.01,
    "undelivered": 0.01,
}


@pytest.fixture
def county(tmp_path: Path, database_url: str) -> Iterator[Stranger]:
    with Stranger(tmp_path / "office", None if database_url.startswith("sqlite") else database_url) as office:
        rows = (f"示例{number}鞋业有限公司,{'逍林镇' if number % 2 else '桥头镇'},张建国,1{37 + number % 2}{number:08d}" for number in range(PRINCIPALS))
        (office.home / "名单.csv").write_text("\n".join(["企业名称,镇街,负责人,手机", *rows]) + "\n", "utf-8")
        yield office


def peak_memory(process: "subprocess.Popen[str]") -> tuple[int, int]:
    """Wait for a process; return its memory in MiB after five seconds of sending, and at its peak."""
    early = peak = 0
    begun = time.monotonic()
    while process.poll() is None:
        try:
            now = psutil.Process(process.pid).memory_info().rss >> 20
        except psutil.Error:
            break
        early = early or (now if time.monotonic() - begun > 5 else 0)
        peak = max(peak, now)
        time.sleep(0.2)
    return early, peak


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_county_is_texted_once_each_and_the_statement_adds_up(county: Stranger) -> None:
    assert county.json("contacts", "import", str(county.home / "名单.csv"), seconds=300)["added"] == PRINCIPALS
    plan = county.approved("drive")
    assert plan["recipients"] == PRINCIPALS
    county.serve()
    county.faults(seed=7, mix=FAULTS)
    with (county.home / "statement.json").open("w") as out:
        launch = county.start("campaign", "launch", "drive", "--format", "json", stdout=out, stderr=subprocess.DEVNULL)
        early, peak = peak_memory(launch)
        assert launch.wait(600) == 0
    statement = json.loads((county.home / "statement.json").read_text("utf-8"))
    step = statement["steps"][0]

    ledger = county.ledger()
    assert len(ledger) == len({line["to"] for line in ledger}) == PRINCIPALS, "each included recipient exactly once"
    outcomes = [line["outcome"] for line in ledger]
    assert (step["delivered"], step["undelivered"]) == (outcomes.count("delivered"), outcomes.count("undelivered"))
    assert step["adds_up"] and statement["enterprises"]["adds_up"] and not step["doubled"]
    assert county.sql("select state, count(*) from delivery group by state order by state") == [
        ("delivered", step["delivered"]),
        ("undelivered", step["undelivered"]),
    ]
    assert peak - early < 100, f"memory grew from {early} to {peak} MiB"
