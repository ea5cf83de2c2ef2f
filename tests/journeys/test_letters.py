"""Two thousand letters while workers and the command line are killed and enterprises sign: each in the PDFs once, and the same bytes each time."""

import csv
import hashlib
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from letters import write_plain
from office import Stranger, until
from test_pledge import GOAL

pytestmark = [pytest.mark.long, pytest.mark.chaos, pytest.mark.timeout(600)]
LETTERS = 2000
TOWNS = ("逍林镇", "桥头镇", "观海卫镇")


def letters_due(office: Stranger) -> None:
    """Import the enterprises, and launch a campaign that begins with a letter."""
    path = office.home / "list.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["企业名称", "镇街", "村社区", "地址", "联系人", "手机"])
        writer.writerows([f"示例第{n}鞋业有限公司", TOWNS[n % 3], f"第{n % 7}村", f"示例路{n}号", f"王建{n % 97}", f"138{n:08d}"] for n in range(LETTERS))
    office.ok("contacts", "import", str(path))
    write_plain(office.home)
    campaign = office.campaign("drive", goal=GOAL)
    text = campaign.read_text("utf-8").split("[[step]]")[0]
    campaign.write_text(text + '[[step]]\nchannel = "letter"\ntemplate = "letter/open-letter"\n', "utf-8")
    plan = office.json("campaign", "plan", str(campaign), signed="alice")
    office.ok("campaign", "approve", "drive", "--code", plan["code"], signed="bob")
    office.ok("campaign", "launch", "drive")


@pytest.fixture
def signers() -> Iterator[Callable[[Stranger], None]]:
    """Enterprises that sign while their letters are printed: one every tenth of a second, as the transaction of a signature writes it."""
    over, threads = threading.Event(), []

    def begin(office: Stranger) -> None:
        def sign() -> None:
            chosen = random.Random(4).sample(range(1, LETTERS + 1), 400)
            while chosen and not over.wait(0.1):
                settle(office, chosen.pop())

        threads.append(threading.Thread(target=sign))
        threads[0].start()

    def end() -> None:
        over.set()
        for thread in threads:
            thread.join(30)

    begin.end = end  # type: ignore[attr-defined]
    yield begin
    end()


def settle(office: Stranger, key: int) -> None:
    if office.database_url and office.database_url.startswith("postgresql"):
        import psycopg

        with psycopg.connect(office.database_url.replace("postgresql+psycopg", "postgresql")) as connection:
            connection.execute("update enterprise set settled_at = clock_timestamp(), outcome = 'signed' where id = %s", (key,))
        return
    import sqlite3

    connection = sqlite3.connect(office.home / "outreach.db", timeout=30)
    try:
        moment = time.time_ns() // 1000
        connection.execute("update enterprise set settled_at = ?, outcome = 'signed' where id = ?", (moment, key))
        connection.commit()
    finally:
        connection.close()


def chunks(office: Stranger, *, set_: bool) -> int:
    return int(office.sql(f"select count(*) from print_chunk where digest is {'not' if set_ else ''} null")[0][0])


def render_and_kill(office: Stranger) -> bool:
    """Print, and kill -9 once two chunks more are set; return whether there was more to set."""
    beyond = chunks(office, set_=True) + 2
    process = office.start("letters", "render", "drive", "--out", "out", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until(lambda: chunks(office, set_=True) >= beyond or process.poll() is not None, seconds=180)
    time.sleep(random.random() / 3)
    left = chunks(office, set_=False)
    process.kill()
    said = process.communicate()[1]
    assert process.returncode in (0, -signal.SIGKILL), said
    return left > 0


def pages(folder: Path) -> Counter[str]:
    """Return on how many pages of the letters' PDFs each signing code stands, by a reader that is not ours."""
    found: Counter[str] = Counter()
    for path in folder.glob("*.pdf"):
        if not path.stem.endswith(("标签", "信封", "交接单")):
            text = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True, text=True).stdout
            found.update(code for page in text.split("\f") for code in set(re.findall("(?<![0-9A-Za-z])[2-9A-Z]{6}(?![0-9A-Za-z])", page)))
    return found


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def require_each_once(office: Stranger, answer: Any) -> None:
    """Hold the PDFs against the tables: each letter that is in a batch once, nobody else, none who had signed before its chunk was set."""
    printed = pages(office.home / "out")
    rows = office.sql("select r.code, d.state, d.reason from delivery d join recipient r on r.id = d.recipient_id")
    accepted = {code for code, state, _reason in rows if state == "accepted"}
    assert len(rows) == LETTERS
    assert Counter(state for _code, state, _reason in rows).keys() == {"accepted", "skipped"}
    assert {reason for _code, state, reason in rows if state == "skipped"} == {"goal_reached"}
    assert {code: count for code, count in printed.items() if code in {row[0] for row in rows}} == dict.fromkeys(accepted, 1)
    assert sum(one["letters"] for one in answer["batches"]) == sum(one["pages"] for one in answer["batches"]) == len(accepted)
    assert office.sql("select count(*) from letter") == [(len(accepted),)]
    too_late = office.sql(
        "select count(*) from letter l join print_chunk c on c.batch_id = l.batch_id and c.number = l.chunk "
        "join enterprise e on e.id = l.enterprise_id where e.settled_at < c.rendered_at"
    )
    assert too_late == [(0,)]
    statement = office.json("campaign", "statement", "drive")
    (step,) = statement["steps"]
    assert (step["adds_up"], step["waiting"]["accepted"], step["skipped"]) == (True, len(accepted), {"goal_reached": LETTERS - len(accepted)})


def same_again(office: Stranger) -> None:
    """Print once more, into the same folder and into another."""
    before = digests(office.home / "out")
    for folder in ("out", "other"):
        office.ok("letters", "render", "drive", "--out", folder)
        assert digests(office.home / folder) == before


def test_a_print_run_killed_again_and_again_prints_each_letter_once(tmp_path: Path, signers: Any) -> None:
    with Stranger(tmp_path / "office") as office:
        letters_due(office)
        signers(office)
        kills = sum(render_and_kill(office) for _round in range(4))
        assert kills, "the kills came too late to prove anything"
        signers.end()
        answer = office.json("letters", "render", "drive", "--out", "out", seconds=300)
        assert answer["adds_up"]
        require_each_once(office, answer)
        same_again(office)


def test_workers_on_redis_killed_at_the_press_print_each_letter_once(tmp_path: Path, new_postgresql: Callable[[], str], redis_url: str, signers: Any) -> None:
    with Stranger(tmp_path / "office", new_postgresql(), {"broker_url": redis_url}) as office:
        letters_due(office)
        workers = [office.worker() for _ in range(2)]
        signers(office)
        waiting = office.start("letters", "render", "drive", "--out", "out", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        kills = 0
        for round_ in range(4):
            until(lambda done=round_: chunks(office, set_=True) > done, seconds=180)
            kills += chunks(office, set_=False) > 0
            office.kill_group(workers[round_ % 2])
            workers[round_ % 2] = office.worker()
        assert kills, "the kills came too late to prove anything"
        waiting.kill()
        waiting.wait()
        signers.end()
        answer = office.json("letters", "render", "drive", "--out", "out", seconds=300)
        assert answer["adds_up"]
        require_each_once(office, answer)
        same_again(office)
        for worker in workers:
            office.kill_group(worker)
