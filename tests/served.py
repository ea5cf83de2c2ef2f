"""The web application behind a real server, on a port of the loopback, for tests that speak plain HTTP or steer a browser."""

import html
import http.client
import re
import socket
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvicorn
from visitors import Hall

from outreach import clock, settings
from outreach.database.engine import Database
from outreach.web import app

FORM = "application/x-www-form-urlencoded"
SIGNING = {"signer": "张建国", "capacity": "legal_representative", "agree": "1"}
"""A form of signing as most people fill it in."""


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a reader sees: without tags, style and script."""
        shown = re.sub(r"<(style|script)>.*?</\1>", "", self.text, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", shown)).split())

    @property
    def location(self) -> str:
        return self.headers["location"]


class Served:
    """An office's web, and a hall of visitors."""

    def __init__(self, home: Path, database_url: str, *, now: datetime | None = None, one_time_code: bool = False, **options: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = settings.load(home, database_url=database_url, public_url=self.url, **options)
        self.database = Database(database_url)
        self.hall = Hall(self.settings, self.database, now=now or clock.now(), one_time_code=one_time_code)
        config = uvicorn.Config(
            app.create(self.settings, Database(database_url)), loop="uvloop", http="httptools", access_log=False, log_config=None, proxy_headers=False
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> "Served":
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *_ended: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.database.close()

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return self.ask(method, path, b"", {"Accept-Language": "zh-CN,zh;q=0.9", **headers})

    def post(self, path: str, fields: Any = (), **headers: str) -> Answer:
        body = fields if isinstance(fields, bytes) else urlencode(fields, doseq=True).encode()
        return self.ask("POST", path, body, {"Accept-Language": "zh-CN", "Content-Type": FORM, **headers})

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()
