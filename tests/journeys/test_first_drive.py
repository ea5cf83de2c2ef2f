"""A county's contact file goes in, every text goes out once, receipts come back, and the statement adds up: as a stranger does it."""

import re
import signal
from collections import Counter
from pathlib import Path

import pytest
from office import CONTENT, Stranger, until


@pytest.fixture
def office(tmp_path: Path, database_url: str):
    with Stranger(tmp_path / "office", None if database_url.startswith("sqlite") else database_url) as office:
        yield office


def test_the_first_drive_from_a_contact_list_to_a_statement(office: Stranger) -> None:
    imported = office.json("contacts", "import", str(CONTENT / "示例企业名单.csv"), "--rejects", str(office.home / "rejects.csv"))
    assert imported["read"] == imported["added"] + imported["updated"] + imported["unchanged"] + imported["rejected"]
    again = office.json("contacts", "import", str(CONTENT / "示例企业名单.csv"), "--rejects", str(office.home / "rejects.csv"))
    assert (again["added"], again["updated"]) == (0, 0)

    plan = office.json("campaign", "plan", str(office.campaign("drive")), signed="alice")
    assert plan["enterprises"]["selected"] == plan["recipients"] + plan["enterprises"]["merged"] + plan["enterprises"]["excluded"]
    assert plan["recipients"] == plan["steps"][0]["messages"] + sum(plan["steps"][0]["skipped"].values())
    assert plan["steps"][0]["samples"][0].startswith("【示例人社】")

    too_early = office.run("campaign", "launch", "drive")
    assert (too_early.code, "approve" in too_early.error) == (1, True)
    own = office.run("campaign", "approve", "drive", "--code", plan["code"], signed="alice")
    assert own.code == 1
    office.ok("campaign", "approve", "drive", "--code", plan["code"], signed="bob")

    office.serve()
    office.faults(
        seed=7, mix={"drop_after_accept": 0.05, "throttle": 0.05, "truncate": 0.05, "receipt_twice": 0.1, "receipt_reordered": 0.1, "undelivered": 0.05}
    )
    statement = office.json("campaign", "launch", "drive")

    ledger = office.ledger()
    codes = [re.search("签署码([2-9A-Z]{6})", line["body"])[1] for line in ledger]
    assert len(ledger) == len({line["to"] for line in ledger}), "no phone twice"
    assert len(set(codes)) == plan["recipients"], "no recipient forgotten"
    step = statement["steps"][0]
    assert step["adds_up"]
    assert statement["enterprises"]["adds_up"]
    last = {code: line["outcome"] for code, line in zip(codes, ledger, strict=True)}  # an alternate contact is tried after the first
    assert (step["delivered"], step["undelivered"]) == (Counter(last.values())["delivered"], Counter(last.values())["undelivered"])
    assert (step["unknown"], step["doubled"], step["waiting"]["queued"]) == (0, 0, 0)
    assert office.sql("select count(distinct recipient_id) from delivery where state = 'delivered'") == [(step["delivered"],)]

    report = office.json("report", "deliveries", "--campaign", "drive", "--by", "town")
    assert sum(row["included"] for row in report["rows"]) == step["included"] == report["totals"]["included"]
    once_more = office.json("campaign", "launch", "drive")
    assert once_more["steps"][0]["delivered"] == step["delivered"]
    assert len(office.ledger()) == len(ledger), "launching again sends nothing again"


@pytest.mark.long
def test_what_changes_after_the_approval_voids_it(office: Stranger) -> None:
    office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"))
    office.approved("drive")
    path = office.home / "drive.toml"
    path.write_text(path.read_text("utf-8").replace("全部", "镇街 = 逍林镇"), "utf-8")
    refused = office.run("campaign", "launch", "drive")
    assert (refused.code, "plan and approve it again" in refused.error) == (1, True)


@pytest.mark.long
def test_first_pauses_and_the_same_command_goes_on(office: Stranger) -> None:
    office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"))
    plan = office.approved("drive")
    first = office.json("campaign", "launch", "drive", "--first", "20")
    assert first["steps"][0]["delivered"] == 20
    assert office.json("campaign", "status", "drive")["state"] == "paused"
    shown = office.at_terminal("campaign", "launch", "drive")
    assert (shown.code, "Traceback" in shown.err, "188/188" in shown.err) == (0, False, True), shown
    rest = office.json("campaign", "statement", "drive")
    assert rest["steps"][0]["delivered"] == plan["recipients"] == len(office.ledger())


@pytest.mark.long
def test_ctrl_c_stops_a_launch_and_the_same_command_goes_on(office: Stranger) -> None:
    office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"))
    plan = office.approved("drive")
    office.serve()
    office.faults(seed=1, latency_ms=400)
    process = office.start("campaign", "launch", "drive")
    until(lambda: office.sql("select count(*) from delivery where state <> 'queued'")[0][0] > 0, seconds=60)
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in err) == (130, False), err
    rest = office.json("campaign", "launch", "drive")
    assert rest["steps"][0]["delivered"] == plan["recipients"] == len(office.ledger())


@pytest.mark.long
def test_the_web_server_of_another_office_is_not_taken_for_ours(tmp_path: Path) -> None:
    with Stranger(tmp_path / "neighbour") as neighbour, Stranger(tmp_path / "office") as office:
        neighbour.serve()
        office.web = neighbour.web
        office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"))
        office.approved("drive")
        refused = office.run("campaign", "launch", "drive")
        assert (refused.code, "another office" in refused.error) == (1, True)
