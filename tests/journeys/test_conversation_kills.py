"""kill -9 of the web while people talk to the account: what was answered is kept, what was not is told again, nobody is heard twice."""

import json
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from office import CONTENT, Stranger, until

pytestmark = [pytest.mark.chaos, pytest.mark.long]


@pytest.fixture
def office(tmp_path: Path, database_url: str) -> Iterator[Stranger]:
    with Stranger(tmp_path / "office", None if database_url.startswith("sqlite") else database_url) as office:
        office.ok("contacts", "import", str(CONTENT / "示例企业名单.csv"))
        office.serve()
        yield office


def act(office: Stranger, openid: str, event: str, body: str = "") -> None:
    """Do something in WeChat, as a person does."""
    office.http("/_sandbox/reply", port=office.gateway, document={"channel": "wechat", "openid": openid, "event": event, "body": body})


def told(office: Stranger) -> dict[str, tuple[str, str]]:
    """Return what the account answered, by the id of the message: to whom, and what."""
    passive = [line for line in office.ledger() if str(line["reference"]).startswith("passive-")]
    assert len(passive) == len({line["reference"] for line in passive}), "answered twice"
    return {line["reference"].removeprefix("passive-"): (line["to"], line["body"]) for line in passive}


def settled(office: Stranger) -> bool:
    health = json.loads(office.http("/_sandbox/health", port=office.gateway))
    return not health["callbacks"]["pending"]


def test_whoever_talks_while_the_web_is_killed_is_heard_once(office: Stranger) -> None:
    office.approved("drive", goal='{ pledge = "no-arrears-2026" }')
    office.ok("campaign", "launch", "drive")
    people = (
        "select r.code, c.phone from recipient r join recipient_contact c on c.recipient_id = r.id and c.rank = 0 where r.code is not null and c.phone <> ''"
    )
    owners = {f"oOwner{place:022d}": (code, phone[-4:]) for place, (code, phone) in enumerate(office.sql(people))}
    assert len(owners) > 50

    def talk(openid: str) -> None:
        code, digits = owners[openid]
        act(office, openid, "subscribe")
        act(office, openid, "text", f"{code} {digits}")
        time.sleep(0.05)

    with ThreadPoolExecutor(8) as pool:
        talking = [pool.submit(talk, openid) for openid in owners]
        for _kill in range(3):
            time.sleep(0.2 + random.random() * 0.5)
            web = office.children[-1]
            web.send_signal(signal.SIGKILL)
            web.wait(20)
            office.serve_web()
        for done in talking:
            done.result()
    until(lambda: settled(office), seconds=60)
    for openid, (code, digits) in owners.items():
        if not any(to == openid and "/p/" in body for to, body in told(office).values()):
            act(office, openid, "text", f"{code} {digits}")  # the provider gave up; he tries again
    until(lambda: settled(office), seconds=60)

    kept = dict(office.sql("select reference, answer from reply where channel = 'wechat'"))
    for reference, (_to, body) in told(office).items():
        assert reference in kept, "answered, and not kept"
        assert body.partition("/p/")[0] == kept[reference].partition("/p/")[0]
    linked = {to for to, body in told(office).values() if "/p/" in body}
    bound = [openid for (openid,) in office.sql("select openid from binding where ended_at is null")]
    assert linked == set(owners)
    assert set(bound) == linked
    assert office.sql("select count(*) from attempts where used > 0 and key not like 'sent%'") == [(0,)], "a try counted that was right"
