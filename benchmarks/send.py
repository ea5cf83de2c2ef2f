"""How fast a campaign leaves: beside the ceiling of the same HTTP client, and beside one Celery task a message; all in one run.

    python benchmarks/send.py [--messages 10000] [--database URL]

All three speak to the same sandbox gateway on this machine. The ceiling posts the same form over the same aiohttp pool and does
nothing else. The task-a-message baseline is what most projects do: a Celery task loads one row, sends it with the stock SDK and
commits. Read the ratios; the absolute figures are this machine's today.
"""

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import uvloop
from celery import Celery
from sqlalchemy import select
from sqlalchemy.orm import Session
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from gateway import ACCOUNT_SID, AUTH_TOKEN, FROM, Gateway

from outreach import i18n, settings
from outreach.campaigns import approving, definition, launching, planning
from outreach.campaigns import statement as statements
from outreach.database import bulk, tables, upgrading
from outreach.database.engine import Database
from outreach.outbox import sending

SAMPLE = 1000
"""Messages of the slow baseline: more would only make it slower to wait for."""
IN_FLIGHT = 64
BODY = (
    "【示例人社】张建国您好：诚邀示例市逍林镇示例鞋业有限公司签订《不欠薪倡议书》。请在微信关注认证公众号“示例人社”，发送签署码7K3M9P办理，"
    "也可到镇街劳动保障所签纸质件。自愿免费，不索要密码和银行卡。核实请自行拨打12333。"
)


def main() -> None:
    """Run the three and print a line each."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--messages", type=int, default=10_000)
    options.add_argument("--database", help="a PostgreSQL URL; else SQLite in a scratch folder")
    chosen = options.parse_args()
    i18n.use("en")
    with tempfile.TemporaryDirectory() as folder, Gateway(Path(folder) / "ledger.jsonl") as gateway:
        office = settings.load(folder, sandbox_url=gateway.url, **({"database_url": chosen.database} if chosen.database else {}))
        gateway.faults(mix={"receipt_lost": 1.0})  # receipts are another benchmark
        ceiling = best(2, lambda: run(post_raw(gateway, chosen.messages)), chosen.messages)
        ours = send_campaign(office, chosen.messages)
        accepted = gateway.ledger()
        baseline = task_a_message(office, gateway, min(SAMPLE, chosen.messages))
        ceiling = max(ceiling, best(1, lambda: run(post_raw(gateway, chosen.messages)), chosen.messages))
    texts = [line for line in accepted if line["attempt"]]
    assert len(texts) == len({line["to"] for line in texts}) == chosen.messages, "each recipient exactly once"
    print(f"same client, no database    {ceiling:8,.0f} messages/s")
    print(f"campaign ({office.database_url.split(':')[0]:10})       {ours:8,.0f} messages/s   {ours / ceiling:5.2f} of the ceiling (aim 0.6)")
    print(f"one Celery task a message   {baseline:8,.0f} messages/s   campaign is {ours / baseline:5.1f} times as fast (aim 20)")
    print(f"peak memory                 {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8,.0f} MiB")


def best(times: int, work: Any, count: int) -> float:
    """Return the best rate of several runs."""
    rates = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        rates.append(count / (time.perf_counter() - begun))
    return max(rates)


def run(work: Any) -> Any:
    """Run on the same event loop that a worker uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def post_raw(gateway: Gateway, count: int) -> None:
    """Post the form of a text `count` times over one aiohttp pool."""
    url = f"{gateway.url}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT_SID, AUTH_TOKEN), "Content-Type": "application/x-www-form-urlencoded"}
    numbers = iter(range(count))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT), headers=headers) as session:

        async def runner() -> None:
            for number in numbers:
                form = urlencode({"To": f"+86139{number:08d}", "From": FROM, "Body": BODY}).encode()
                async with session.post(url, data=form) as response:
                    await response.json()

        await asyncio.gather(*(runner() for _ in range(IN_FLIGHT)))


def send_campaign(office: settings.Settings, count: int) -> float:
    """Plan, approve and launch a campaign to invented contacts, and return the rate at which it is sent and recorded."""
    database = Database(office.database_url)
    upgrading.upgrade(database)
    now = datetime.now(UTC)
    with database.write() as session:
        invent(session, count, now)
        found = definition.parse(
            {"name": "bench", "title": "bench", "audience": "全部", "step": [{"channel": "sms", "template": "sms/pledge-invitation"}]}, path="bench"
        )
        plan = planning.plan(session, found, settings=office, path=None, planned_by="a", now=now)
        approving.approve(session, "bench", code=plan.summary["code"], account="b", settings=office, now=now)
        launching.launch(session, "bench", settings=office, first=count, now=now)
        launching.pause(session, "bench")
        launching.resume(session, "bench")  # without the canary's counting
    outbox = sending.Outbox(database, office)
    begun = time.perf_counter()
    run(sending.drain(outbox))
    rate = count / (time.perf_counter() - begun)
    with database.read() as session:
        step = statements.statement(session, "bench", now=now)["steps"][0]
    assert step["adds_up"] and step["waiting"]["accepted"] == count, step
    database.close()
    return rate


def invent(session: Session, count: int, now: datetime) -> None:
    """Write invented enterprises with a contact each."""
    stamps = {"created_at": now, "updated_at": now}
    names = [{"id": number, "name": f"示例{number}鞋业有限公司", "town": "逍林镇", **stamps} for number in range(1, count + 1)]
    bulk.insert_rows(session, tables.Enterprise, names)
    people = [{"id": number, "enterprise_id": number, "name": "张建国", "phone": f"+86138{number:08d}", **stamps} for number in range(1, count + 1)]
    bulk.insert_rows(session, tables.Contact, people)


def task_a_message(office: settings.Settings, gateway: Gateway, count: int) -> float:
    """Send with one Celery task a message: the row by ORM, the stock SDK, a commit each; in a worker thread on an in-memory broker."""
    database = Database(office.database_url)
    client = Client(ACCOUNT_SID, AUTH_TOKEN, http_client=TwilioHttpClient())
    client.api.base_url = gateway.url
    app = Celery("baseline", broker="memory://", set_as_current=False)
    app.conf.update(broker_transport_options={"polling_interval": 0.001}, task_ignore_result=True, worker_hijack_root_logger=False)
    done = threading.Semaphore(0)

    @app.task(name="one")  # type: ignore[untyped-decorator]
    def one(key: int) -> None:
        with database.write() as session:
            contact = session.execute(select(tables.Contact).where(tables.Contact.id == key)).scalar_one()
            client.messages.create(to=contact.phone.replace("+86138", "+86137"), from_=FROM, body=f"【示例人社】{contact.name}您好")
            contact.note = "sent"
        done.release()

    with BaselineWorker(app):
        begun = time.perf_counter()
        for key in range(1, count + 1):
            app.send_task("one", [key])
        for _ in range(count):
            done.acquire()
        rate = count / (time.perf_counter() - begun)
    database.close()
    return rate


class BaselineWorker:
    """A Celery worker in a thread, for as long as the `with` lasts."""

    def __init__(self, app: Celery) -> None:
        self.ready = threading.Event()
        ready = self.ready

        class Controller(app.WorkController):
            """Says when it is ready."""

            def on_consumer_ready(self, _consumer: Any) -> None:
                ready.set()

        self.worker = Controller(app=app, pool_cls="solo", concurrency=1, without_mingle=True, without_gossip=True, loglevel="ERROR")

    def __enter__(self) -> None:
        self.thread = threading.Thread(target=self.worker.start, daemon=True)
        self.thread.start()
        self.ready.wait(10)

    def __exit__(self, *_: object) -> None:
        self.worker.stop()
        self.thread.join(10)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the in-memory broker's threads would linger
