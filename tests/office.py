"""An office as a stranger meets it: a folder, the command line, and HTTP. It shares no code with the product.

with Stranger(tmp_path, database_url) as office:
    plan = office.json("campaign", "plan", "drive.toml", signed="alice")
"""

import contextlib
import json
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CONTENT = Path(__file__).parent.parent / "contacts"
PASSWORD = "a long pass phrase of {account}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The last line on stderr."""
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""


@dataclass
class Stranger:
    """Alice plans, Bob approves; both passwords lie in files. `settings` are further keys of outreach.toml."""

    home: Path
    database_url: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    children: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def __enter__(self) -> Self:
        self.web, self.gateway = free_port(), free_port()
        self.home.mkdir(parents=True, exist_ok=True)
        for account in ("alice", "bob"):
            self.password(account).write_text(PASSWORD.format(account=account) + "\n")
        self.ok("--password-file", str(self.password("alice")), "init", "--yes", "--account", "alice")
        self.ok("staff", "add", "bob", "--role", "approver", "--password-file", str(self.password("bob")), signed="alice")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for child in self.children:
            end(child)
        for port in (self.web, self.gateway):
            kill_listener(port)

    def password(self, account: str) -> Path:
        return self.home / f"{account}.password"

    def variables(self) -> dict[str, str]:
        values = {
            "OUTREACH_HOME": str(self.home),
            "OUTREACH_LANG": "en",
            "OUTREACH_PORT": str(self.web),
            "OUTREACH_PUBLIC_URL": f"http://127.0.0.1:{self.web}",
            "OUTREACH_SANDBOX_URL": f"http://127.0.0.1:{self.gateway}",
            "OUTREACH_REQUEST_TIMEOUT": "1s",
            "OUTREACH_LEASE": "3s",
            "OUTREACH_SETTLE_GRACE": "1s",
            "OUTREACH_RECEIPT_WAIT": "3s",
        }
        if self.database_url:
            values["OUTREACH_DATABASE_URL"] = self.database_url
        values |= {f"OUTREACH_{key.upper()}": value for key, value in self.settings.items()}
        outside = {key: value for key, value in os.environ.items() if not key.startswith("OUTREACH_")}
        return outside | values | self.environment

    def start(self, *arguments: str, signed: str | None = None, **options: Any) -> "subprocess.Popen[str]":
        environment = self.variables()
        if signed:
            environment |= {"OUTREACH_STAFF": signed, "OUTREACH_STAFF_PASSWORD_FILE": str(self.password(signed))}
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
        return subprocess.Popen([sys.executable, "-m", "outreach", *arguments], env=environment, cwd=self.home, **{**pipes, **options})

    def run(self, *arguments: str, signed: str | None = None, seconds: float = 120) -> Answer:
        process = self.start(*arguments, signed=signed)
        out, err = process.communicate(timeout=seconds)
        return Answer(process.returncode, out, err)

    def ok(self, *arguments: str, signed: str | None = None, seconds: float = 120) -> Answer:
        answer = self.run(*arguments, signed=signed, seconds=seconds)
        assert answer.code == 0, (arguments, answer)
        return answer

    def at_terminal(self, *arguments: str, seconds: float = 120) -> Answer:
        """Run a command whose stderr is a terminal, as progress bars are seen."""
        ours, theirs = pty.openpty()
        process = self.start(*arguments, stderr=theirs)
        os.close(theirs)
        shown = bytearray()

        def read() -> None:
            with contextlib.suppress(OSError):  # a terminal that nobody holds any more reads as an error
                while part := os.read(ours, 4096):
                    shown.extend(part)

        reader = threading.Thread(target=read)
        reader.start()
        out, _none = process.communicate(timeout=seconds)
        reader.join(10)
        os.close(ours)
        return Answer(process.returncode, out, shown.decode("utf-8", "replace"))

    def json(self, *arguments: str, signed: str | None = None, seconds: float = 120) -> Any:
        return json.loads(self.ok(*arguments, "--format", "json", signed=signed, seconds=seconds).out)

    def campaign(self, name: str, **keys: str) -> Path:
        """Write the simplest campaign file."""
        path = self.home / f"{name}.toml"
        lines = {"name": json.dumps(name), "title": '"drive"', "audience": '"全部"', "deadline": "2026-12-31"} | keys
        text = "".join(f"{key} = {value}\n" for key, value in lines.items())
        path.write_text(text + '[[step]]\nchannel = "sms"\ntemplate = "sms/pledge-invitation"\n', "utf-8")
        return path

    def approved(self, name: str, **keys: str) -> Any:
        """Plan as Alice and approve as Bob; return the plan."""
        plan = self.json("campaign", "plan", str(self.campaign(name, **keys)), signed="alice")
        self.ok("campaign", "approve", name, "--code", plan["code"], signed="bob")
        return plan

    def http(self, path: str, *, port: int, document: Any = None) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}",
            data=None if document is None else json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
            method="GET" if document is None else "POST",
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return bytes(response.read())

    def ledger(self) -> list[dict[str, Any]]:
        """What the gateway accepted, by its own word."""
        return [json.loads(line) for line in self.http("/_sandbox/ledger", port=self.gateway).splitlines()]

    def faults(self, **document: Any) -> None:
        self.http("/_sandbox/faults", port=self.gateway, document=document)

    def serve(self) -> None:
        """Start gateway and web before any launch, so that faults can be set."""
        for command, port, path in (("sandbox", self.gateway, "/_sandbox/health"), ("serve", self.web, "/healthz")):
            self.children.append(self.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))
            until(lambda port=port, path=path: self._answers(port, path), seconds=60)

    def serve_web(self) -> None:
        """Start the web again."""
        self.children.append(self.start("serve", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))
        until(lambda: self._answers(self.web, "/healthz"), seconds=60)

    def worker(self) -> "subprocess.Popen[str]":
        """Start a worker in a group of its own, and wait until it lives."""
        process = self.start("worker", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.children.append(process)
        before = time.time()
        until(lambda: any(seen.timestamp() > before for (seen,) in self.sql("select seen_at from worker_process")), seconds=60)
        return process

    def kill_group(self, process: "subprocess.Popen[str]") -> None:
        """kill -9 a process with all its children."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)

    def _answers(self, port: int, path: str) -> bool:
        try:
            self.http(path, port=port)
        except OSError:
            return False
        return True

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Recount in plain SQL, past all of our code."""
        if self.database_url and self.database_url.startswith("postgresql"):
            import psycopg

            with psycopg.connect(self.database_url.replace("postgresql+psycopg", "postgresql")) as connection:
                return list(connection.execute(statement).fetchall())
        path = self.database_url.removeprefix("sqlite:///") if self.database_url else str(self.home / "outreach.db")
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            return list(connection.execute(statement).fetchall())


def end(process: "subprocess.Popen[str]") -> None:
    """kill -9 a process, with those it has started where it leads a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait(20)


def until(condition: Any, *, seconds: float) -> None:
    """Wait for a condition; fail when it does not come true in time."""
    over = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < over, "it did not come true in time"
        time.sleep(0.05)


def kill_listener(port: int) -> None:
    """Kill whoever of ours listens on a port."""
    import psutil

    for process in psutil.process_iter(["pid", "cmdline"]):
        if "outreach" not in (process.info["cmdline"] or []):
            continue
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if any(item.laddr and item.laddr.port == port and item.status == "LISTEN" for item in process.net_connections("tcp")):
                os.kill(process.pid, signal.SIGKILL)
