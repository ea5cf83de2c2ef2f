"""The office's end of WeChat for tests of the sandbox: the provider's own client with its known faults mended, and a door for callbacks.

The door judges with wechatpy's parser, signature check and crypto, which are not ours: what they take, a real office would have taken.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from wechatpy import WeChatClient, parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.replies import TextReply
from wechatpy.utils import check_signature

from gateway import Gateway  # isort: skip

APP_ID, SECRET, TOKEN, AES_KEY = "wx" + "0" * 16, "sandbox", "sandbox", "sandbox" + "0" * 36
TEMPLATE = "T" * 43


class Client(WeChatClient):
    """wechatpy's client on a stable token, without its own retries."""

    def __init__(self, base_url: str) -> None:
        self.API_BASE_URL = f"{base_url}/cgi-bin/"
        self.token = ""
        super().__init__(APP_ID, SECRET, timeout=10, auto_retry=False)

    @property
    def access_token(self) -> str:
        return str(self.__dict__.get("token", ""))

    def renew(self, **more: Any) -> str:
        """Fetch the stable token."""
        asked = {"grant_type": "client_credential", "appid": APP_ID, "secret": SECRET, **more}
        self.token = str(self.post("stable_token", params={"access_token": ""}, data=asked)["access_token"])
        return self.token

    def send(self, openid: str, *, client_msg_id: str | None = None, template: str = TEMPLATE, data: Any = None, **more: Any) -> Any:
        """Send a template message, with the id that wechatpy cannot pass."""
        posted = {"touser": openid, "template_id": template, "data": data or {"thing1": {"value": "签订倡议书"}}, **more}
        return self.post("message/template/send", data=posted | ({"client_msg_id": client_msg_id} if client_msg_id else {}))


def client(gateway: Gateway) -> Client:
    """Return a client with a good token."""
    made = Client(gateway.url)
    made.renew()
    return made


@dataclass
class Heard:
    """One callback as it arrived; `message` is wechatpy's reading, None where a signature is wrong."""

    query: dict[str, str]
    body: bytes
    message: Any
    sealed: bool
    at: float = field(default_factory=time.monotonic)

    @property
    def kind(self) -> str:
        """The name of the event as the provider writes it, else the type of message."""
        data = self.message._data
        return str(data.get("Event") or data["MsgType"])


class Door:
    """Takes callbacks in a thread; `answers` are for the next ones: a status, the text for the person, seconds to wait, or raw bytes."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answers: list[int | str | float | bytes] = []
        self._crypto = WeChatCrypto(TOKEN, AES_KEY, APP_ID)
        self.connections: set[socket.socket] = set()
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                door.connections.add(self.connection)

            def do_GET(self) -> None:
                query = dict(parse_qsl(urlsplit(self.path).query))
                check_signature(TOKEN, query["signature"], query["timestamp"], query["nonce"])
                self._say(200, query["echostr"].encode() if not door.answers else b"other")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard = door._read(dict(parse_qsl(urlsplit(self.path).query)), body)
                door.heard.append(heard)
                answer = door.answers.pop(0) if door.answers else 200
                if isinstance(answer, float):
                    time.sleep(answer)
                self._say(*door._answer(heard, answer))

            def _say(self, status: int, text: bytes) -> None:
                with contextlib.suppress(OSError):
                    self.send_response_only(status)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where callbacks go."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hooks/wechat"

    def clear(self) -> None:
        """Forget what came and how to answer."""
        self.heard.clear()
        self.answers.clear()

    def kinds(self) -> list[str]:
        """Return what came, in order."""
        return [heard.kind for heard in self.heard if heard.message]

    def _read(self, query: dict[str, str], body: bytes) -> Heard:
        sealed = query.get("encrypt_type") == "aes"
        try:
            check_signature(TOKEN, query["signature"], query["timestamp"], query["nonce"])
            plain = self._crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"]) if sealed else body
        except InvalidSignatureException:
            return Heard(query, body, None, sealed)
        return Heard(query, body, parse_message(plain), sealed)

    def _answer(self, heard: Heard, answer: int | str | float | bytes) -> tuple[int, bytes]:
        if isinstance(answer, bytes):
            return 200, answer
        if isinstance(answer, int):
            return answer, b"success"
        text = TextReply(content=str(answer), message=heard.message).render()
        return 200, (self._crypto.encrypt_message(text, "n1", "1700000000") if heard.sealed else text).encode()


def until(condition: Callable[[], bool], patience: float = 30.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def form(value: Any) -> bytes:
    """Return a body of JSON."""
    return json.dumps(value).encode()
