"""Start the sandbox gateway as a process of its own, on a free port, and speak to its own doors: for tests and benchmarks.

with Gateway(tmp_path / "ledger.jsonl") as gateway:
    gateway.faults(mix={"throttle": 0.1})
    client = gateway.client()          # the real SDK
    ...
    gateway.settled()                  # every callback has ended
    gateway.ledger()                   # what was accepted, a dict a message
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import requests
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

ACCOUNT_SID = "AC" + "0" * 32
AUTH_TOKEN = "sandbox"
FROM = "+15005550006"
PATIENCE = 20.0


class Gateway:
    """One sandbox process; `start` after `kill` or `stop` brings it back on the same port with the same ledger."""

    def __init__(
        self,
        ledger: Path,
        *,
        seed: int = 1,
        inbound_url: str | None = None,
        wechat_url: str | None = None,
        office: str | None = None,
        port: int = 0,
    ) -> None:
        """`office` is where the pushes of Aliyun go, without a path."""
        self.path = ledger
        self.port = port
        self._seed = seed
        self._inbound_url = inbound_url
        self._wechat_url = wechat_url
        self._office = office
        self._process: subprocess.Popen[str] | None = None
        self._sessions: list[requests.Session] = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The gateway's base address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> Self:
        """Start it, and return when it listens."""
        command = [sys.executable, "-m", "outreach.sandbox", "--port", str(self.port), "--ledger", str(self.path), "--seed", str(self._seed)]
        if self._inbound_url:
            command += ["--inbound-url", self._inbound_url]
        if self._wechat_url:
            command += ["--wechat-url", self._wechat_url]
        if self._office:
            hooks = f"{self._office}/hooks/aliyun/sandbox"
            command += ["--aliyun-report-url", f"{hooks}/report", "--aliyun-reply-url", f"{hooks}/reply"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        said = self._process.stdout.readline()
        if not said.startswith("listening on "):
            self.stop()
            raise RuntimeError("the sandbox did not start")
        self.port = int(said.rsplit(":", 1)[1])
        return self

    def stop(self) -> int:
        """End it politely, and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it as a power cut of the process would: kill -9."""
        return self._end(signal.SIGKILL)

    def client(self) -> Client:
        """Return the provider's real SDK, pointed here."""
        http = TwilioHttpClient(timeout=PATIENCE)
        client = Client(ACCOUNT_SID, AUTH_TOKEN, http_client=http)
        client.api.base_url = self.url
        assert http.session
        self._sessions.append(http.session)
        return client

    def ledger(self) -> list[dict[str, Any]]:
        """Return every message accepted, in order."""
        _, body = self.request("GET", "/_sandbox/ledger")
        return [json.loads(line) for line in body.split(b"\n") if line]

    def faults(self, **configuration: Any) -> dict[str, Any]:
        """Replace the configuration of faults: seed, mix, rules, latency_ms, list_lag_ms, late_ms, times."""
        return self._json("POST", "/_sandbox/faults", configuration)

    def reply(self, **message: Any) -> dict[str, Any]:
        """Send a text as a person would: channel, from (give it as `from_`), to, body, url."""
        message = {"from" if key == "from_" else key: value for key, value in message.items()}
        return self._json("POST", "/_sandbox/reply", {"channel": "sms", **message})

    def act(self, openid: str, event: str = "text", **more: Any) -> str:
        """Do what a person does in WeChat, and return the reference of it."""
        return str(self._json("POST", "/_sandbox/reply", {"channel": "wechat", "openid": openid, "event": event, **more})["reference"])

    def wechat(self, **change: Any) -> dict[str, Any]:
        """Return the counters of the WeChat side; before that let people `follow`, `leave`, `block` or be tagged without a word to the office."""
        return self._json("POST", "/_sandbox/wechat", change) if change else self._json("GET", "/_sandbox/wechat")

    def aliyun(self, **told: Any) -> dict[str, Any]:
        """Return the counters of the Aliyun side; before that tell it what is filed, its limits and codes."""
        return self._json("POST", "/_sandbox/aliyun", told) if told else self._json("GET", "/_sandbox/aliyun")

    def reset(self) -> None:
        """Empty everything."""
        status, _ = self.request("POST", "/_sandbox/reset", b"")
        assert status == 204

    def health(self) -> dict[str, Any]:
        """Return its counts."""
        return self._json("GET", "/_sandbox/health")

    def settled(self, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait until no callback is on its way or to come, and return the counts."""
        return self.until(lambda health: health["callbacks"]["pending"] == 0, patience)

    def until(self, condition: Callable[[dict[str, Any]], bool], patience: float = PATIENCE) -> dict[str, Any]:
        """Wait until the counts fulfil `condition`, and return them."""
        deadline = time.monotonic() + patience
        while not condition(health := self.health()):
            assert time.monotonic() < deadline, health
            time.sleep(0.02)
        return health

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Make one request, and return status and body."""
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers or {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()

    def _json(self, method: str, path: str, value: Any = None) -> dict[str, Any]:
        status, body = self.request(method, path, None if value is None else json.dumps(value).encode())
        found: dict[str, Any] = json.loads(body)
        assert status < 300, (status, found)
        return found

    def _end(self, number: signal.Signals) -> int:
        while self._sessions:
            self._sessions.pop().close()
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            os.kill(process.pid, number)
        try:
            return process.wait(PATIENCE)
        finally:
            if process.stdout:
                process.stdout.close()


@dataclass(frozen=True)
class Call:
    """One webhook as it arrived."""

    path: str
    form: dict[str, str]
    headers: dict[str, str]
    genuine: bool

    @property
    def status(self) -> str:
        return self.form["MessageStatus"]

    @property
    def event(self) -> str:
        """What a provider's repetition of the same webhook has in common."""
        return self.headers["I-Twilio-Idempotency-Token"]


class Receiver:
    """A tiny host for webhooks, in a thread: keeps what arrives, checks it with the SDK's own validator, answers as told."""

    def __init__(self, *, port: int = 0, token: str = AUTH_TOKEN) -> None:
        self.calls: list[Call] = []
        self.answers: list[int] = []
        """Statuses for the next webhooks, in order; 204 when there is none left."""
        self._connections: set[socket.socket] = set()
        validator = RequestValidator(token)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                receiver._connections.add(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = dict(parse_qsl(body, keep_blank_values=True))
                genuine = validator.validate(receiver.url + self.path, form, self.headers.get("X-Twilio-Signature", ""))
                receiver.calls.append(Call(self.path, form, dict(self.headers), genuine))
                self.send_response_only(receiver.answers.pop(0) if receiver.answers else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # as a host that goes away, not only a door that closes
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its base address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def statuses(self) -> list[str]:
        """Return what the status callbacks said, in order of arrival."""
        return [call.status for call in self.calls]
