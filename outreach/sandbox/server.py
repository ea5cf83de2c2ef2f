"""Put the gateway together and run it until it is told to stop."""

import asyncio
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import uvloop

from outreach.sandbox.aliyun.doors import PATH as AT_ALIYUN
from outreach.sandbox.aliyun.doors import Account as AliyunAccount
from outreach.sandbox.aliyun.doors import Aliyun
from outreach.sandbox.callbacks import Callbacks
from outreach.sandbox.control import Control
from outreach.sandbox.faults import Faults
from outreach.sandbox.ledger import Ledger
from outreach.sandbox.twilio.doors import PREFIX, Twilio
from outreach.sandbox.wechat.doors import PREFIXES as AT_WECHAT
from outreach.sandbox.wechat.doors import WeChat
from outreach.sandbox.wechat.world import Account
from outreach.sandbox.wire import OWN_DOORS, Connection, Request, compose_json

ACCOUNT_SID = "AC" + "0" * 32
AUTH_TOKEN = "sandbox"
INBOUND_URL = "http://127.0.0.1:8000/hooks/twilio/inbound"
WECHAT = Account()
ALIYUN = AliyunAccount()
BACKLOG = 4096
STOP_LOOK = 0.1


class Gateway:
    """Everything behind the listening socket; a further provider is a further prefix in `_doors`."""

    def __init__(self, ledger: Ledger, *, seed: int, account_sid: str, auth_token: str, inbound_url: str, wechat: Account, aliyun: AliyunAccount) -> None:
        self.ledger = ledger
        self.callbacks = Callbacks()
        faults = Faults(seed)
        twilio = Twilio(ledger, faults, self.callbacks, account_sid=account_sid, auth_token=auth_token)
        self.wechat = WeChat(wechat, ledger, faults, self.callbacks)
        self._aliyun = Aliyun(aliyun, ledger, faults, self.callbacks)
        control = Control(ledger, faults, self.callbacks, twilio, self.wechat, self._aliyun, inbound_url=inbound_url)
        self._doors = ((PREFIX, twilio.handle), *((prefix, self.wechat.handle) for prefix in AT_WECHAT), (OWN_DOORS, control.handle))

    def handle(self, request: Request) -> None:
        """Hand a request to whoever owns its path."""
        for prefix, handle in self._doors:
            if request.path.startswith(prefix):
                handle(request)
                return
        if request.path == AT_ALIYUN:
            self._aliyun.handle(request)
            return
        message = f"there is no {request.path.decode('ascii', 'replace')}"
        request.reply(compose_json(404, {"error": {"id": "not_found", "message": message}}))


def serve(
    host: str,
    port: int,
    *,
    ledger: Path,
    seed: int = 0,
    account_sid: str = ACCOUNT_SID,
    auth_token: str = AUTH_TOKEN,
    inbound_url: str = INBOUND_URL,
    wechat: Account = WECHAT,
    aliyun: AliyunAccount = ALIYUN,
    ready: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT (in the main thread) or until `stop` is set; `ready` is told the port that was bound (0: any).

    Raises OSError if the address or the ledger is taken.
    """
    _allow_many_connections()
    book = Ledger(ledger)
    try:
        gateway = Gateway(book, seed=seed, account_sid=account_sid, auth_token=auth_token, inbound_url=inbound_url, wechat=wechat, aliyun=aliyun)
        try:
            uvloop.run(_serve(gateway, host, port, ready, stop))
        finally:
            gateway.wechat.close()
    finally:
        book.close()


async def _serve(gateway: Gateway, host: str, port: int, ready: Callable[[int], None] | None, stop: threading.Event | None) -> None:
    loop = asyncio.get_running_loop()
    connections: set[Connection] = set()
    server = await loop.create_server(lambda: Connection(gateway.handle, connections), host, port, backlog=BACKLOG)
    stopping = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
    if ready:
        ready(server.sockets[0].getsockname()[1])
    if stop is None:
        await stopping.wait()
    else:
        while not (stop.is_set() or stopping.is_set()):
            await asyncio.sleep(STOP_LOOK)
    server.close()
    gateway.callbacks.close()
    for connection in list(connections):
        connection.abort()
    await asyncio.sleep(0)


def _allow_many_connections() -> None:
    """Take as many open files as this process may have: a benchmark holds more connections than the usual 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
