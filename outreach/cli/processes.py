"""The processes of an office: web, worker, schedule, sandbox, or all in one."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from outreach.channels import loopback
from outreach.cli.base import Command, Office, option, pass_office
from outreach.cli.output import note
from outreach.errors import Refused, Unavailable
from outreach.i18n import gettext as _
from outreach.settings import Settings, is_loopback

HEALTH_OF_SANDBOX = "/_sandbox/health"
HEALTH_OF_WEB = "/healthz"
STARTS_WITHIN = 20.0


class SandboxInProduction(Refused):
    """The sandbox belongs to rehearsal, and this office is in production."""


class SandboxRefused(Unavailable):
    """The sandbox cannot start at {host}:{port} ({why}); stop what runs there, or give another --port or --ledger."""


class NotStarted(Unavailable):
    """outreach {command} did not start: {reason} ({log})"""


class SandboxEnded(Unavailable):
    """The sandbox has ended, and up with it: {reason} ({log})"""


class OtherOffice(Refused):
    """At {url} the web server of another office or mode answers; stop it, or set port and public_url to others."""


@dataclass(frozen=True)
class Child:
    """A process of this office that another one started; what it has to say stands in its log, from `begins` on."""

    command: str
    process: subprocess.Popen[bytes]
    log: Path
    begins: int

    def last_words(self) -> str:
        """Return the last line that it wrote, without the mark of an error; of one that said nothing its exit code."""
        with self.log.open("rb") as file:
            file.seek(max(self.begins, file.seek(0, os.SEEK_END) - 4096))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
        mark = _("error: {line}").format(line="").strip()
        return lines[-1].removeprefix(mark).strip() if lines else _("exit code {code}").format(code=self.process.returncode)


@click.command("serve", cls=Command)
@pass_office
def serve(office: Office) -> None:
    """Serve the pages and the providers' callbacks."""
    _end_well_at_sigterm()
    from outreach.web import server

    _database_is_ready(office)
    server.serve(office.settings)


@click.command("worker", cls=Command)
@option("--concurrency", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes that send.")
@pass_office
def worker(office: Office, concurrency: int) -> None:
    """Send what is due; the schedule rings inside it."""
    from outreach.worker import running

    _database_is_ready(office)
    running.work(office.settings, concurrency=concurrency)


@click.command("schedule", cls=Command)
@pass_office
def schedule(office: Office) -> None:
    """Ring the bell for the workers, once a second."""
    from outreach.worker import running

    running.schedule(office.settings)


@click.command("sandbox", cls=Command)
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option("--port", type=click.IntRange(1, 65535), default=None, help="Port to listen on.")
@option("--ledger", type=click.Path(path_type=Path, dir_okay=False), default=None, help="File of what was accepted.")
@option("--seed", type=int, default=0, show_default=True, help="Seed of the faults.")
@pass_office
def sandbox(office: Office, host: str, port: int | None, ledger: Path | None, seed: int) -> None:
    """Play the provider on this machine: nothing is really sent."""
    from outreach.channels import aliyun
    from outreach.channels.twilio import INBOUND_PATH
    from outreach.channels.wechat.hooks import PATH as WECHAT_PATH
    from outreach.sandbox import server
    from outreach.sandbox.aliyun.doors import Account as AliyunAccount
    from outreach.sandbox.wechat.world import Account

    settings = office.settings
    if not settings.rehearsal:
        raise SandboxInProduction()
    chosen = port or _port(settings.sandbox_url)
    try:
        server.serve(
            host,
            chosen,
            ledger=ledger or ledger_of(settings),
            seed=seed,
            account_sid=settings.twilio_account_sid,
            auth_token=settings.twilio_auth_token,
            inbound_url=settings.public_url.rstrip("/") + INBOUND_PATH,
            wechat=Account(
                settings.wechat_app_id,
                settings.wechat_secret,
                settings.wechat_token,
                settings.wechat_aes_key,
                settings.public_url.rstrip("/") + WECHAT_PATH,
            ),
            aliyun=AliyunAccount(
                settings.aliyun_access_key_id,
                settings.aliyun_access_key_secret,
                *(settings.public_url.rstrip("/") + path.format(word=settings.aliyun_hook_word) for path in (aliyun.REPORT_PATH, aliyun.REPLY_PATH)),
            ),
        )
    except OSError as error:
        raise SandboxRefused(host=host, port=chosen, why=error.strerror or str(error)) from error


@click.command("up", cls=Command)
@option("--sandbox", "with_sandbox", is_flag=True, help="Play the provider too.")
@pass_office
def up(office: Office, with_sandbox: bool) -> None:
    """Everything on one machine: web, worker and schedule."""
    _end_well_at_sigterm()
    from outreach.web import server
    from outreach.worker.embedded import Embedded

    _database_is_ready(office)
    with _gateway(office.settings, wanted=with_sandbox):
        note(_("Pages: {url}   stop: Ctrl-C").format(url=office.settings.public_url))
        with Embedded(office.settings):
            server.serve(office.settings)


def _end_well_at_sigterm() -> None:
    """Leave with 0 when told to: uvicorn raises the signal again when it has stopped, and then the rest must stop too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


@contextmanager
def _gateway(settings: Settings, *, wanted: bool) -> Iterator[None]:
    """Keep a sandbox beside this process, where none answers yet: whichever ends, the other does too. Raises SandboxEnded."""
    if not wanted or loopback.answers(settings.sandbox_url, HEALTH_OF_SANDBOX):
        yield
        return
    child, leaving, ended = _begin(settings, "sandbox"), threading.Event(), threading.Event()

    def watch() -> None:
        child.process.wait()
        if not leaving.is_set():
            ended.set()
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        _await(child, settings.sandbox_url, HEALTH_OF_SANDBOX)
        threading.Thread(target=watch, daemon=True).start()
        yield
    except SystemExit as leave:
        if ended.is_set():
            raise SandboxEnded(reason=child.last_words(), log=child.log) from leave
        raise
    finally:
        leaving.set()
        child.process.terminate()


def _await(child: Child, url: str, health: str) -> None:
    """Wait until a process that was just started answers. Raises NotStarted if it ends first, and Unavailable if it does not in time."""
    over = time.monotonic() + STARTS_WITHIN
    while not loopback.answers(url, health):
        if child.process.poll() is not None:
            raise NotStarted(command=child.command, reason=child.last_words(), log=child.log)
        if time.monotonic() > over:
            raise Unavailable(what=f"outreach {child.command} ({child.log})")
        time.sleep(0.05)


def _database_is_ready(office: Office) -> None:
    """Open the database now, so that a missing one is said before anything starts."""
    office.database.close()


def ensure_rehearsal(settings: Settings) -> None:
    """Start sandbox and web, as processes that outlive this one, where nothing answers at their addresses."""
    for command, url, health in (("sandbox", settings.sandbox_url, HEALTH_OF_SANDBOX), ("serve", settings.public_url, HEALTH_OF_WEB)):
        if loopback.answers(url, health):
            continue
        _await(_begin(settings, command), url, health)
    _require_own_web(settings)


def _require_own_web(settings: Settings) -> None:
    """Refuse a web server of another office at our address: the receipts would go into its database."""
    from outreach.web.app import office_id

    found = loopback.ask(settings.public_url, HEALTH_OF_WEB) if is_loopback(settings.public_url) else None
    if found is not None and found.get("office") != office_id(settings):
        raise OtherOffice(url=settings.public_url)


def start(settings: Settings, command: str) -> subprocess.Popen[bytes]:
    """Start a process of this office in a session of its own, its output in a log beside the database."""
    return _begin(settings, command).process


def _begin(settings: Settings, command: str) -> Child:
    log = log_of(settings, command)
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OUTREACH_HOME": str(settings.home)}
    with log.open("ab") as sink:
        begins = sink.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            [sys.executable, "-m", "outreach", command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=environment,
            cwd=settings.home,
            start_new_session=True,
        )
    return Child(command, process, log, begins)


def log_of(settings: Settings, command: str) -> Path:
    """Return where a process of this office writes what it has to say."""
    return settings.home / "log" / f"{command}.log"


def ledger_of(settings: Settings) -> Path:
    """Return where the sandbox of this office keeps its ledger."""
    return settings.home / "sandbox" / "ledger.jsonl"


def _port(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])
