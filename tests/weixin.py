"""A WeChat of a few lines on loopback: answers what it is told, keeps what it was asked. For what a polite sandbox would never answer.

with Weixin() as weixin:
    weixin.says("message/template/send", {"errcode": 40001}, HANG)     # to the next two calls; `ok` to those after
    settings = weixin.office(tmp_path)
"""

import contextlib
import itertools
import json
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from outreach import settings
from outreach.settings import Settings

SECRET = "s3cr3t-of-the-office"
HANG = "hang"
DROP = "drop"
CUT = "cut"
TRICKLE = "trickle"


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of who hung up: that is what some tests are about."""


@dataclass(frozen=True)
class Asked:
    """One call as it arrived."""

    api: str
    query: dict[str, str]
    data: Any
    headers: dict[str, str]


class Weixin:
    """One account; each token that it gives bears a number."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.good: set[str] = set()
        """Tokens that are accepted."""
        self.token = ""
        """The stable one."""
        self.life: Any = 7200
        self.pause = 0.0
        """Seconds before a token is given."""
        self._scripts: dict[str, list[Any]] = defaultdict(list)
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self._connections: set[socket.socket] = set()
        weixin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                weixin._connections.add(self.connection)

            def do_GET(self) -> None:
                weixin._answer(self)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._server.shutdown()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def office(self, home: Path, **options: Any) -> Settings:
        """Return the settings of an office that knows its account here."""
        given = {"wechat_app_id": "wx0123456789abcdef", "wechat_secret": SECRET, "wechat_base_url": self.url, "request_timeout": "2s", "lease": "10s"}
        return settings.load(home, **(given | options))

    def says(self, api: str, *answers: Any) -> None:
        """Lay down the next answers of one call: an object, `(status, bytes)`, HANG, DROP, CUT or TRICKLE."""
        self._scripts[api] += answers

    def calls(self, api: str) -> list[Asked]:
        """Return what one call was asked, in order."""
        return [asked for asked in self.asked if asked.api == api]

    def expire(self) -> None:
        """Let every token end now, long before its time."""
        self.good.clear()
        self.token = ""

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        api = parts.path.removeprefix("/cgi-bin/").removeprefix("/")
        asked = Asked(api, dict(parse_qsl(parts.query)), json.loads(body) if body else None, dict(handler.headers))
        self.asked.append(asked)
        scripted = self._scripts[api].pop(0) if self._scripts[api] else None
        self._write(handler, self._usual(asked) if scripted is None else scripted)

    def _usual(self, asked: Asked) -> Any:
        if asked.api == "stable_token":
            time.sleep(self.pause)
            if asked.data["force_refresh"] or not self.token:
                self.good.discard(self.token)
                self.token = f"token-{next(self._numbers)}-" + "x" * 500
                self.good.add(self.token)
            return {"access_token": self.token, "expires_in": self.life}
        if asked.query.get("access_token") not in self.good:
            return {"errcode": 42001, "errmsg": f"access_token expired {asked.query.get('access_token')}"}
        return {"errcode": 0, "errmsg": "ok", "msgid": 2**33 + next(self._numbers)}

    def _write(self, handler: BaseHTTPRequestHandler, answer: Any) -> None:
        if answer in (HANG, DROP):
            handler.close_connection = True
            if answer == HANG:
                self._over.wait(30)
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        status, payload = answer if isinstance(answer, tuple) else (200, json.dumps({"errcode": 0} if isinstance(answer, str) else answer).encode())
        handler.send_response_only(status)
        handler.send_header("Content-Length", str(len(payload) + (100 if answer in (CUT, TRICKLE) else 0)))
        handler.end_headers()
        handler.wfile.write(payload)
        if answer == CUT:
            handler.close_connection = True
        handler.wfile.flush()
        while answer == TRICKLE and not self._over.wait(0.1):
            handler.wfile.write(b" ")
            handler.wfile.flush()
