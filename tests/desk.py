"""The office's desk for Aliyun's pushes, on a port of the loopback: the product's own reader behind a tiny host that keeps what it was told."""

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from outreach import settings
from outreach.channels.aliyun import AliyunHooks
from outreach.channels.base import Incoming, Receipt, Reply
from outreach.errors import OutreachError
from outreach.settings import Settings


class Desk:
    """`settings(gateway)` are those of an office whose public address this is."""

    def __init__(self, home: Path) -> None:
        self.items: list[Incoming] = []
        self.lists: list[int] = []
        """How many items each push held that was taken."""
        self.refusals: list[int] = []
        self.answers: list[tuple[int, bytes]] = []
        """What the next pushes are answered in place of the product's own answer."""
        self.home = home
        self._connections: set[socket.socket] = set()
        desk = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                desk._connections.add(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, said = desk.answers.pop(0) if desk.answers else desk.hear(self.path, body)
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.hooks = AliyunHooks(settings.load(home, public_url=self.url))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()

    def settings(self, gateway_url: str, **options: Any) -> Settings:
        return settings.load(self.home, public_url=self.url, sandbox_url=gateway_url, sender=[{"provider": "aliyun"}], **options)

    def hear(self, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            found = self.hooks.read_callback(url=self.url + path, body=body, headers={})
        except OutreachError as error:
            self.refusals.append(error.status)
            return error.status, b""
        self.items += found
        self.lists.append(len(found))
        said = self.hooks.acknowledge(found)
        return said.status, said.body

    @property
    def receipts(self) -> list[Receipt]:
        return [item for item in self.items if isinstance(item, Receipt)]

    @property
    def replies(self) -> list[Reply]:
        return [item for item in self.items if isinstance(item, Reply)]
