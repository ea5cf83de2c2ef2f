"""How fast 64 people sign at once: the real page's POST, beside a Flask page that does the same inserts, in one run.

    python benchmarks/signing.py [--signatures 8000] [--connections 64] [--database URL]

Each request signs for an enterprise of its own and is answered after the commit. Ours checks the link, keeps signature, evidence and the
fact that stops all writing, in groups. The Flask page (gunicorn, 16 threads, SQLAlchemy ORM) looks its recipient up, inserts the same
signature and a row of evidence, settles the enterprise and commits, one request at a time, as most projects do it. Client and server
share the machine's cores. Read the ratios; the absolute figures are this machine's today.
"""

import argparse
import asyncio
import hashlib
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import uvicorn
import uvloop
import wire
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from outreach import clock, settings
from outreach.campaigns import approving, definition, launching, planning
from outreach.database import bulk, tables, upgrading
from outreach.database.engine import Database
from outreach.database.pledge_tables import Evidence, Signature
from outreach.links import personal
from outreach.web import app

THREADS = 16
SIGNER = {"signer": "王建国", "capacity": "legal_representative", "agree": "1", "all": "1"}


def main() -> None:
    """Run both and print a line each."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--signatures", type=int, default=8000)
    options.add_argument("--connections", type=int, default=64)
    options.add_argument("--database", help="the URL of an empty PostgreSQL database; else SQLite in a scratch folder")
    options.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve is not None:
        serve(chosen.serve, chosen.database)
        return
    with tempfile.TemporaryDirectory() as folder:
        url = chosen.database or f"sqlite:///{folder}/outreach.db"
        office = settings.load(folder, database_url=url)
        database = Database(url)
        upgrading.upgrade(database)
        recipients = launched(database, office, 2 * chosen.signatures)
        half = chosen.signatures
        flask = measure(flask_command(url), [request(f"/sign/{key}") for key in recipients[:half]], chosen.connections, b"HTTP/1.1 204")
        links = [f"/p/{personal.make(office.office_key, key, 1, 'link')}/sign" for key in recipients[half:]]
        ours = measure(["--serve", "{fd}", "--database", url], [request(path) for path in links], chosen.connections, b"HTTP/1.1 303")
        with database.read() as session:
            signed = session.scalar(select(func.count()).where(Signature.state == "signed"))
            proofs = session.scalar(select(func.count()).where(Evidence.act == "signed"))
        assert signed == proofs == 2 * half, (signed, proofs, 2 * half)
        database.close()
    kind = url.partition(":")[0]
    print(f"Flask, a commit each  ({kind})  {flask}")
    print(f"this page             ({kind})  {ours}   {ours.rate / flask.rate:.1f} times as fast (aim 4), p99 {ours.slowest / flask.slowest:.2f} (aim 0.33)")


class Figures(NamedTuple):
    """Signatures a second, milliseconds within which 99 of 100 were answered, microseconds of the server's processor each (with its start)."""

    rate: float
    slowest: float
    processor: float

    def __str__(self) -> str:
        return f"{self.rate:8,.0f} signatures/s   99 % within {self.slowest:6.1f} ms   processor {self.processor:6,.0f} µs each"


def launched(database: Database, office: settings.Settings, count: int) -> list[int]:
    """Invent enterprises, launch a campaign for the pledge to all of them, and return its recipients."""
    now = datetime.now(UTC)
    stamps = {"created_at": now, "updated_at": now}
    with database.write() as session:
        names = [{"id": number, "name": f"示例{number}鞋业有限公司", "town": "逍林镇", **stamps} for number in range(1, count + 1)]
        bulk.insert_rows(session, tables.Enterprise, names)
        people = [{"id": number, "enterprise_id": number, "name": "张建国", "phone": f"+86138{number:08d}", **stamps} for number in range(1, count + 1)]
        bulk.insert_rows(session, tables.Contact, people)
        step = {"channel": "sms", "template": "sms/pledge-invitation"}
        goal = {"pledge": "no-arrears-2026"}
        found = definition.parse({"name": "bench", "title": "bench", "audience": "全部", "goal": goal, "step": [step]}, path="bench")
        plan = planning.plan(session, found, settings=office, path=None, planned_by="a", now=now)
        approving.approve(session, "bench", code=plan.summary["code"], account="b", settings=office, now=now)
        launching.launch(session, "bench", settings=office, first=1, now=now)
        bulk.take_stock(session, tables.Recipient, tables.RecipientEnterprise, tables.Enterprise, Signature)
        return list(session.scalars(select(tables.Recipient.id).order_by(tables.Recipient.id)))


def request(path: str) -> bytes:
    """Return the whole request of one signature."""
    body = urlencode(SIGNER)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def serve(descriptor: int, url: str) -> None:
    """Be the server: the application as it is."""
    with tempfile.TemporaryDirectory() as folder:
        office = settings.load(folder, database_url=url)
        config = uvicorn.Config(app.create(office, Database(url)), loop="uvloop", http="httptools", access_log=False, log_level="warning")
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


def flask_command(url: str) -> list[str]:
    """Return the command of the baseline's server."""
    here = Path(__file__).parent
    options = ["--worker-class", "gthread", "--threads", str(THREADS), "--workers", "1", "--keep-alive", "75", "--log-level", "error", "--chdir", str(here)]
    return ["-m", "gunicorn", *options, "--bind", "fd://{fd}", f"signing:flask_page({url!r})"]


def flask_page(url: str) -> Any:
    """Make the baseline: what a Flask project would write."""
    import flask

    database = Database(url)
    page = flask.Flask("baseline")

    @page.post("/sign/<int:recipient>")
    def sign(recipient: int) -> tuple[str, int]:
        with database.write() as session:
            sign_one(session, recipient, flask.request.form)
        return "", 204

    return page


def sign_one(session: Session, recipient: int, form: Any) -> None:
    """Look a recipient up, keep his signature and its evidence, and settle the enterprise, all by the ORM."""
    now = datetime.now(UTC)
    spoken = session.execute(select(tables.RecipientEnterprise).where(tables.RecipientEnterprise.recipient_id == recipient)).scalar_one()
    enterprise = session.get_one(tables.Enterprise, spoken.enterprise_id)
    campaign = session.get_one(tables.Campaign, spoken.campaign_id)
    version = session.get_one(tables.PledgeVersion, campaign.pledge_version_id)
    year = now.astimezone(clock.OFFICE_ZONE).year
    signature = Signature(
        serial=f"{year}-F{recipient:06d}",
        enterprise_id=enterprise.id,
        enterprise=enterprise.name,
        pledge=version.pledge,
        version_id=version.id,
        campaign_id=campaign.id,
        recipient_id=recipient,
        state="signed",
        way="link",
        method="typed",
        signer=form["signer"],
        capacity=form["capacity"],
        checks=[],
        signed_at=now,
    )
    session.add(signature)
    session.flush()
    body = json.dumps({"serial": signature.serial, "version": version.digest})
    session.add(
        Evidence(act="signed", at=now, enterprise_id=enterprise.id, signature_id=signature.id, body=body, leaf=hashlib.sha256(body.encode()).hexdigest())
    )
    enterprise.settled_at, enterprise.outcome = now, "signed"


def measure(command: Sequence[str], requests: Sequence[bytes], connections: int, expected: bytes) -> Figures:
    """Start a server, post all requests, and return how it went."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    before = used.ru_utime + used.ru_stime
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        parts = [part.replace("{fd}", str(listener.fileno())) for part in command]
        prefix = [sys.executable] if parts[0] == "-m" else [sys.executable, __file__]
        process = subprocess.Popen([*prefix, *parts], pass_fds=[listener.fileno()])
        port = listener.getsockname()[1]
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(wire.post(port, requests[:1], 1, expected=expected))  # until it has started
            begun = time.perf_counter()
            times = runner.run(wire.post(port, requests[1:], connections, expected=expected))
            spent = time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Figures(len(times) / spent, sorted(times)[len(times) * 99 // 100] * 1000, (used.ru_utime + used.ru_stime - before) / len(requests) * 1e6)


if __name__ == "__main__":
    main()
