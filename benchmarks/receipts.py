"""How fast receipts are taken in: signed, verified, stored, applied and answered after the commit; beside a commit each, in one run.

    python benchmarks/receipts.py [--receipts 40000] [--connections 64] [--database URL]

A server process of its own takes them over real HTTP, one receipt a request, each for a delivery of its own. The client shares the
machine's cores with it. Read the ratio; the absolute figures are this machine's today.
"""

import argparse
import asyncio
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

import uvicorn
import uvloop
import wire
from sqlalchemy import func, select
from starlette.applications import Starlette
from twilio.request_validator import RequestValidator

from outreach import settings
from outreach.database import bulk, tables, upgrading
from outreach.database.engine import Database
from outreach.web import app, hooks

SAMPLE = 4000
"""Receipts of the slow baseline: more would only make it slower to wait for."""
OFFICE = settings.load("/")
VALIDATOR = RequestValidator(OFFICE.twilio_auth_token)
HEAD = (
    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nX-Twilio-Signature: {signature}\r\nContent-Length: {length}\r\n\r\n"
)


def main() -> None:
    """Run both and print a line each."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--receipts", type=int, default=40_000)
    options.add_argument("--connections", type=int, default=64)
    options.add_argument("--database", help="the URL of an empty PostgreSQL database; else SQLite in a scratch folder")
    options.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options.add_argument("--at-most", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve is not None:
        serve(chosen.serve, chosen.database, chosen.at_most)
        return
    with tempfile.TemporaryDirectory() as folder:
        url = chosen.database or f"sqlite:///{folder}/outreach.db"
        total = chosen.receipts + SAMPLE
        requests = [request(number) for number in range(1, total + 1)]
        database = Database(url)
        upgrading.upgrade(database)
        write_deliveries(database, total)
        alone = measure(url, requests[chosen.receipts :], chosen.connections, at_most=1)
        groups = measure(url, requests[: chosen.receipts], chosen.connections, at_most=None)
        with database.read() as session:
            delivered = session.scalar(select(func.count()).where(tables.Delivery.state == "delivered"))
        assert delivered == total, f"{delivered} of {total} receipts arrived"
        database.close()
    kind = url.partition(":")[0]
    print(f"a commit each     ({kind})  {alone}")
    print(f"commits in groups ({kind})  {groups}   {groups.rate / alone.rate:.1f} times as fast")


class Figures(NamedTuple):
    """Receipts a second, milliseconds within which 99 of 100 were answered, and microseconds of the server's processor a receipt (with its start)."""

    rate: float
    slowest: float
    processor: float

    def __str__(self) -> str:
        return f"{self.rate:8,.0f} receipts/s   99 % within {self.slowest:6.1f} ms   processor {self.processor:6,.0f} µs each"


def request(number: int) -> bytes:
    """Return the whole request of one receipt, as Twilio writes and signs it."""
    path = f"/hooks/twilio/status?a={number}.1"
    sid = f"SM{number:032x}"
    form = {
        "MessageSid": sid,
        "SmsSid": sid,
        "MessageStatus": "delivered",
        "SmsStatus": "delivered",
        "AccountSid": "AC" + "0" * 32,
        "From": "+15005550006",
        "To": f"+86138{number:08d}",
        "ApiVersion": "2010-04-01",
    }
    signature = VALIDATOR.compute_signature(OFFICE.public_url + path, form)
    body = urlencode(form)
    return (HEAD.format(path=path, signature=signature, length=len(body)) + body).encode()


def write_deliveries(database: Database, count: int) -> None:
    """Write deliveries that the provider has accepted, each with an address of its own."""
    now = datetime.now(UTC)
    numbers = range(1, count + 1)
    with database.write() as session:
        bulk.insert_rows(session, tables.MessageText, [{"id": 1, "digest": "d", "name": "sms/bench", "source": "…", "signature": "示例人社"}])
        bulk.insert_rows(session, tables.Sender, [{"id": 1, "name": "sms", "channel": "sms", "provider": "twilio"}])
        bulk.insert_rows(session, tables.Address, [{"id": number, "channel": "sms", "value": f"+86138{number:08d}"} for number in numbers])
        tries = {"step": 1, "occurrence": 1, "rank": 0, "attempt": 1}
        same = tries | {"channel": "sms", "sender_id": 1, "text_id": 1, "state": "accepted", "segments": 2, "due_at": now, "claimed_at": now}
        rows = [same | {"id": number, "purpose": f"bench:{number}", "address_id": number, "reference": f"SM{number:032x}"} for number in numbers]
        bulk.insert_rows(session, tables.Delivery, rows)


def serve(descriptor: int, url: str, at_most: int | None) -> None:
    """Be the server: the application as it is, or one that commits each receipt alone."""
    database = Database(url)
    application = app.create(OFFICE, database)
    if at_most:
        application = Starlette(routes=hooks.routes(OFFICE, hooks.committer(OFFICE, database, at_most=at_most)))
    config = uvicorn.Config(application, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


def measure(url: str, requests: Sequence[bytes], connections: int, *, at_most: int | None) -> "Figures":
    """Start a server, post all requests, and return how it went."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    before = used.ru_utime + used.ru_stime
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        command = [sys.executable, __file__, "--serve", str(listener.fileno()), "--database", url, *(["--at-most", str(at_most)] if at_most else [])]
        process = subprocess.Popen(command, pass_fds=[listener.fileno()])
        port = listener.getsockname()[1]
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(wire.post(port, requests[:1], 1))  # until it has started
            begun = time.perf_counter()
            times = runner.run(wire.post(port, requests[1:], connections))
            spent = time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Figures(len(times) / spent, sorted(times)[len(times) * 99 // 100] * 1000, (used.ru_utime + used.ru_stime - before) / len(requests) * 1e6)


if __name__ == "__main__":
    main()
